//! mariadb-operator in the bed: brought up only where somebody wants it, since its build takes minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cache::{Cache, digest};
use crate::command::{command, output, output_of_input};
use crate::process::wait_until;
use crate::progress::{Progress, Step};
use crate::{Bed, Node, components, images};

/// Everything of it that its module does not hold ready.
const MANIFEST: &str = include_str!("operator.yaml");

/// Its names in the generated manifests, and what they are called here. The annotation tells the cert-controller which
/// webhooks are its own.
const NAMES: [(&str, &str); 4] = [
    ("name: manager-role", "name: mariadb-operator"),
    ("name: validating-webhook-configuration", "name: mariadb-operator-webhook\n  annotations: {k8s.mariadb.com/webhook: \"\"}"),
    ("name: webhook-service", "name: mariadb-operator-webhook"),
    ("namespace: system", "namespace: mariadb-operator"),
];

/// An object that only its webhook knows to be wrong: two ways of high availability at once.
const REFUSED: &str = r#"{"apiVersion": "k8s.mariadb.com/v1alpha1", "kind": "MariaDB",
    "metadata": {"name": "refused", "namespace": "mariadb-operator"},
    "spec": {"replicas": 3, "storage": {"size": "1Gi"}, "galera": {"enabled": true}, "replication": {"enabled": true}}}"#;

const USUAL: Duration = Duration::from_secs(15);

/// Brings mariadb-operator up in a running bed, or what is missing of it, and waits until its webhook judges.
///
/// # Errors
/// If it cannot be built, the bed has no nodes, or a part of it does not become ready.
pub fn install(bed: &Bed, progress: &Progress) -> Result<()> {
    let cache = Cache::open()?;
    let built = components::operator(&cache, progress)?;
    let image = images::operator(&cache, progress)?;
    ensure!(!bed.nodes().is_empty(), "mariadb-operator needs nodes to run on; bring the bed up without --api-only.");
    progress.during(format!("starting mariadb-operator {}", components::OPERATOR), Some(USUAL), |step| {
        // Where the image is there already this takes a moment, and a node may be new.
        bed.nodes().iter().try_for_each(|node| import(node, &image))?;
        apply(bed, &built, step)?;
        wait(bed, step)
    })
}

/// Whether it has been brought up in this bed before.
pub(crate) fn is_wanted(bed: &Bed) -> bool {
    record(bed).exists()
}

/// Says which manifests were applied.
fn record(bed: &Bed) -> PathBuf {
    bed.layout().root().join("operator")
}

/// Gives the image to the node's containerd.
fn import(node: &Node, image: &Path) -> Result<()> {
    let init =
        node.pid().with_context(|| format!("Node {} cannot get the operator's image because it has no power.", node.name()))?;
    let socket = format!("/proc/{init}/root/run/containerd/containerd.sock");
    let mut import =
        command(&["ctr", "--address", &socket, "--namespace", "k8s.io", "images", "import", "--snapshotter", "overlayfs"]);
    output(import.arg(image)).with_context(|| format!("Node {} cannot take the operator's image", node.name())).map(drop)
}

fn apply(bed: &Bed, built: &Path, step: &Step) -> Result<()> {
    let read = |file: &str| fs::read_to_string(built.join(file)).with_context(|| format!("The operator's {file} cannot be read"));
    let own = NAMES
        .iter()
        .fold(format!("{MANIFEST}---\n{}---\n{}", read("role.yaml")?, read("manifests.yaml")?), |text, (from, to)| {
            text.replace(from, to)
        });
    let kinds = read("crds.yaml")?;
    let (record, wanted) = (record(bed), digest([kinds.as_str(), own.as_str()]));
    if fs::read_to_string(&record).is_ok_and(|applied| applied == wanted) {
        return Ok(());
    }
    // The kinds are too large for the annotation of a client-side apply.
    let apply = ["apply", "--server-side", "--force-conflicts", "--filename=-"];
    step.note("kinds");
    output_of_input(&mut bed.kubectl(&apply), &kinds).context("The operator's kinds cannot be made")?;
    step.note("objects");
    output_of_input(&mut bed.kubectl(&apply), &own).context("The operator's objects cannot be made")?;
    Ok(fs::write(record, wanted)?)
}

fn wait(bed: &Bed, step: &Step) -> Result<()> {
    for part in ["mariadb-operator-cert-controller", "mariadb-operator-webhook", "mariadb-operator"] {
        step.note(part);
        let rollout = ["--namespace=mariadb-operator", "rollout", "status", "--timeout=120s", &format!("deployment/{part}")];
        output(&mut bed.kubectl(&rollout)).with_context(|| format!("The part {part} of the operator does not become ready"))?;
    }
    let mut said = String::new();
    let judges = wait_until(Duration::from_secs(60), || {
        let create = ["create", "--dry-run=server", "--filename=-"];
        said = output_of_input(&mut bed.kubectl(&create), REFUSED).map_or_else(|why| format!("{why:#}"), |_| String::new());
        said.contains("denied the request")
    });
    ensure!(judges, "The operator's webhook does not judge what the API server sends it; the last answer: {said}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_of_the_version_that_is_built() {
        let images: Vec<_> = MANIFEST.lines().filter(|line| line.contains("bed.local/mariadb-operator:")).collect();
        assert_eq!(images.len(), 4);
        let ours = format!("bed.local/mariadb-operator:{}", components::OPERATOR);
        assert!(images.iter().all(|line| line.ends_with(&ours)), "{images:?}");
    }
}
