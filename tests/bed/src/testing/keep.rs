//! What is kept of a failed test: the logs of its pods and of every component.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::cluster::Cluster;
use super::run::run;
use super::shape::Source;
use crate::Bed;

/// An empty folder for what a trial leaves; what an earlier run left under this name is removed.
///
/// # Errors
/// The folder cannot be made.
pub fn folder(bed: &Bed, trial: &str) -> Result<PathBuf> {
    let plain = trial.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_', "-");
    let folder = bed.layout().root().join("kept").join(plain);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder)
}

/// Keeps the cluster's objects, events and pod logs, and everything that the bed itself can tell, in `folder`.
/// What cannot be had is left out: the test has failed for another reason.
pub fn keep(bed: &Bed, cluster: Option<&Cluster>, folder: &Path) {
    if let Some(cluster) = cluster {
        let namespace = cluster.namespace.as_str();
        let objects = "statefulset,pod,pvc,service,endpointslice,pdb,configmap,job";
        save(bed, folder, "objects.yaml", &["-n", namespace, "get", objects, "-o", "yaml"]);
        save(bed, folder, "pods.txt", &["-n", namespace, "get", "pods", "-o", "wide"]);
        save(bed, folder, "events.txt", &["-n", namespace, "get", "events", "--sort-by=.metadata.creationTimestamp"]);
        if cluster.shape.source == Source::Operator {
            save(bed, folder, "operator.yaml", &["-n", namespace, "get", "mariadb,backup,physicalbackup", "-o", "yaml"]);
            save(bed, folder, "operator.log", &["-n", "mariadb-operator", "logs", "deployment/mariadb-operator", "--timestamps"]);
        }
        for pod in cluster.shape.pods() {
            save(
                bed,
                folder,
                &format!("{pod}.log"),
                &["-n", namespace, "logs", &pod, "--timestamps", "--all-containers", "--prefix"],
            );
            save(
                bed,
                folder,
                &format!("{pod}.previous.log"),
                &["-n", namespace, "logs", &pod, "--timestamps", "-c", cluster.shape.layout().container, "-p"],
            );
        }
    }
    bed.logs_to(&folder.join("bed")).ok();
}

fn save(bed: &Bed, folder: &Path, file: &str, args: &[&str]) {
    if let Ok(ended) = run(bed.kubectl(args), "", Duration::from_secs(15)) {
        let text = if ended.is_success() { ended.stdout } else { ended.stderr };
        fs::write(folder.join(file), text).ok();
    }
}
