//! What becomes of helper pods that nobody looks after any more.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bed::testing::run::wait_until;
use serde_json::Value;

use crate::stage::{SOON, Stage};

use super::{nothing_left, run, scale_back, scale_to_zero};

/// The plugin is killed while its helper pods live: nothing takes them for members, and Kubernetes ends and removes them.
pub fn killed_plugin(stage: &Stage) -> Result<()> {
    scale_to_zero(stage)?;
    let namespace = stage.cluster.namespace.as_str();
    let mut plugin = stage.plugin.command(&["galera", "grastate", "db", "-n", namespace, "--yes"]).spawn()?;
    // As soon as the first of them runs, and long before the last one is read.
    let began = Instant::now();
    while helper_pods(stage)?.is_empty() {
        ensure!(began.elapsed() < SOON, "no helper pod was made");
        thread::sleep(Duration::from_millis(20));
    }
    plugin.kill()?;
    plugin.wait()?;
    wait_until("a helper pod runs", SOON, || {
        let pods = helper_pods(stage)?;
        ensure!(pods.iter().any(|pod| pod["status"]["phase"] == "Running"), "none of {} runs", pods.len());
        Ok(())
    })?;
    let pods = helper_pods(stage)?;
    pods.iter().try_for_each(harmless)?;
    pods.iter().try_for_each(|pod| beside_its_volume(stage, pod))?;
    let slices: Value = serde_json::from_str(&stage.cluster.kubectl(&["get", "endpointslices", "-o", "json"])?)?;
    for pod in &pods {
        let name = pod["metadata"]["name"].as_str().context("a pod has a name")?;
        ensure!(!slices.to_string().contains(name), "{name} is an endpoint: {slices:#}");
    }
    // The set comes back beside them and adopts none.
    let again = run(stage, &["--yes"])?;
    ensure!(again.exit == 4 && again.told().contains("another run is at work"), "{}", again.told());
    // 120 s of life, 60 s for the log.
    wait_until("Kubernetes has removed them all", Duration::from_secs(300), || nothing_left(stage))?;
    ensure!(run(stage, &["--yes"])?.elected()? == "db-0", "the volumes are free again");
    nothing_left(stage)?;
    scale_back(stage)?;
    stage.said("19, 20", "the plugin is killed while its helper pods live, each on the node of its volume", &again.said())
}

pub(super) fn helper_pods(stage: &Stage) -> Result<Vec<Value>> {
    let list = stage.cluster.kubectl(&["get", "pods", "-l", "kubectl-mariadb/helper", "-o", "json"])?;
    let mut list: Value = serde_json::from_str(&list)?;
    Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

/// A volume that lies on one node is read there.
fn beside_its_volume(stage: &Stage, pod: &Value) -> Result<()> {
    let Some(node) = pod["spec"]["nodeName"].as_str() else { return Ok(()) };
    let claim = pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"].as_str().context("it has a volume")?;
    let claim = stage.cluster.get(&format!("pvc/{claim}"))?;
    let volume = claim["spec"]["volumeName"].as_str().context("it is bound")?;
    let affinity = stage.cluster.get(&format!("pv/{volume}"))?["spec"]["nodeAffinity"].to_string();
    ensure!(affinity.contains(&format!("\"{node}\"")), "a helper is on {node}, and its volume by {affinity}");
    Ok(())
}

/// No set is its controller, no volume of it is writable, nothing of the set runs in it.
fn harmless(pod: &Value) -> Result<()> {
    let owners = pod["metadata"]["ownerReferences"].as_array().context("it has an owner")?;
    ensure!(owners.iter().all(|owner| owner["kind"] == "Job"), "{owners:?}");
    let spec = &pod["spec"];
    ensure!(spec["initContainers"].is_null(), "{spec:#}");
    let volumes = spec["volumes"].as_array().context("it has volumes")?;
    ensure!(volumes.iter().all(|volume| volume["persistentVolumeClaim"]["readOnly"] == true), "{volumes:?}");
    ensure!(spec["activeDeadlineSeconds"].as_u64().is_some_and(|seconds| seconds <= 120), "{spec:#}");
    Ok(())
}
