//! Clusters of mariadb-operator: what its pods are made of stays out of helper pods, and it starts whom we said it would.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::stage::Stage;

use super::helpers::helper_pods;
use super::outage::{crashed, stopped_cleanly};
use super::{scale_back, stop_in_order};

/// Row 4: it takes the member that was the last to leave, at once, and so do we.
pub fn clean_stop(stage: &Stage) -> Result<()> {
    stop_in_order(stage)?;
    let seen = stopped_cleanly(stage)?;
    ensure!(seen.of_operator()? == (Some("db-0"), false), "{}", seen.told());
    scale_back(stage)?;
    has_started(stage, "db-0")?;
    stage.said("4", "a clean stop in order", &seen.said())
}

/// Rows 2 and 6: it recovers positions by itself, and takes the higher ordinal among equals.
pub fn crash(stage: &Stage) -> Result<()> {
    let seen = recovery_keeps_to_the_data(stage)?;
    ensure!(seen == (Some("db-1".to_owned()), false), "{seen:?}");
    scale_back(stage)?;
    has_started(stage, "db-1")
}

/// The same without the operator's own recovery, which takes minutes: whom it would start.
pub fn crash_at_rest(stage: &Stage) -> Result<()> {
    let seen = recovery_keeps_to_the_data(stage)?;
    ensure!(seen == (Some("db-1".to_owned()), false), "{seen:?}");
    Ok(())
}

/// Its init container, its agent, its token and a way to write to its configuration are in no helper pod.
fn recovery_keeps_to_the_data(stage: &Stage) -> Result<(Option<String>, bool)> {
    let (seen, pods) = watching(stage, || crashed(stage))?;
    for kind in ["inspect", "recover"] {
        let all = pods.values().filter(|pod| pod["metadata"]["labels"]["kubectl-mariadb/helper"] == kind);
        ensure!(all.count() > 0, "no pod to {kind} was seen: {:?}", pods.keys());
    }
    for (name, pod) in &pods {
        let spec = &pod["spec"];
        let containers = spec["containers"].as_array().context("it has containers")?;
        ensure!(containers.len() == 1 && spec["initContainers"].is_null(), "{name}: {spec:#}");
        ensure!(!spec.to_string().contains("serviceAccountToken"), "{name} carries a token: {spec:#}");
        let volumes = spec["volumes"].as_array().context("it has volumes")?;
        let config = volumes.iter().find(|volume| volume["name"] == "galera").context("it has the volume of configuration")?;
        let mut mounts = containers[0]["volumeMounts"].as_array().into_iter().flatten();
        let written = mounts.any(|mount| mount["name"] == "galera" && mount["readOnly"] != true);
        ensure!(!written || config["persistentVolumeClaim"]["readOnly"] == true, "{name} may write to {config}");
    }
    let (pod, differs) = seen.of_operator()?;
    Ok((pod.map(str::to_owned), differs))
}

/// What `work` gives, and every helper pod that was there meanwhile, by name.
fn watching<T>(stage: &Stage, work: impl FnOnce() -> Result<T>) -> Result<(T, BTreeMap<String, Value>)> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = BTreeMap::new();
            while !done.load(Ordering::Relaxed) {
                for pod in helper_pods(stage).unwrap_or_default() {
                    seen.insert(pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(), pod);
                }
                thread::sleep(Duration::from_millis(100));
            }
            seen
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        let seen = watcher.join().ok().context("the watcher panicked")?;
        Ok((result?, seen))
    })
}

/// Whom the operator's own recovery has started.
fn has_started(stage: &Stage, pod: &str) -> Result<()> {
    let recovery = stage.cluster.get("mariadb/db")?["status"]["galeraRecovery"].clone();
    ensure!(recovery["bootstrap"]["pod"] == pod, "{pod} was foretold, and it did {recovery:#}");
    Ok(())
}
