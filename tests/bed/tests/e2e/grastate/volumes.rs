//! Rows 9 and 10: a volume that is gone, and one of another history.

use anyhow::{Context, Result, ensure};
use bed::testing::run::wait_until;
use bed::testing::shape::Source;
use serde_json::{Value, json};

use crate::stage::{SOON, Stage};

use super::{nothing_left, on_volume, run, scale_back, stop_in_order};

/// Row 10. The seqno of the foreign directory is the highest, which must count for nothing.
pub fn foreign_history(stage: &Stage) -> Result<()> {
    stop_in_order(stage)?;
    let foreign =
        "sed -i -e 's/^uuid:.*/uuid:    650ade90-e4f7-11f1-9ccc-d3c02d18f50e/' -e 's/^seqno:.*/seqno:   900000/' grastate.dat";
    on_volume(stage, 2, foreign)?;
    let seen = run(stage, &["--yes"])?;
    seen.refused(5, "Histories")?;
    let message = seen.document["election"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("650ade90 by db-2"), "{message}");
    if stage.cluster.shape.source == Source::Operator {
        // It would not even look at the third.
        ensure!(seen.of_operator()? == (Some("db-0"), true), "{}", seen.told());
    }
    nothing_left(stage)?;
    let said = seen.said();
    on_volume(stage, 2, "rm -rf ./* ./.[!.]*")?;
    let seen = run(stage, &["--yes"])?;
    // An empty directory is in nobody's way.
    ensure!(seen.elected()? == "db-0" && seen.member(2)?["trust"] == "never", "{}", seen.told());
    scale_back(stage)?;
    stage.said("10", "the volume of db-2 is of another history, with the highest seqno", &said)
}

/// Row 9. The set is scaled to 0, so only the gap between the others tells that there was a volume.
pub fn volume_gone(stage: &Stage) -> Result<()> {
    stop_in_order(stage)?;
    let claim = format!("{}-db-1", stage.cluster.shape.layout().claim);
    let before = stage.cluster.get(&format!("pvc/{claim}"))?;
    stage.cluster.kubectl(&["delete", "pvc", &claim, "--wait=true"])?;
    let seen = run(stage, &["--yes", "--recover-positions"])?;
    seen.refused(4, "Unread")?;
    let why = seen.member(1)?["filesUnknown"]["message"].as_str().unwrap_or_default();
    ensure!(why.contains(&format!("there is no volume claim {claim}")), "{}", seen.told());
    ensure!(seen.position(0)?.1 == "grastate" && seen.position(2)?.1 == "grastate", "{}", seen.told());
    nothing_left(stage)?;
    stage.cluster.apply(&[on_its_node(&before)?])?;
    scale_back(stage)?;
    stage.said("9", "the volume claim of db-1 is gone", &seen.said())
}

/// Row 9, with a node that is gone together with the disk of its member: no pod is made that could only wait for it.
pub fn lost_node(stage: &Stage) -> Result<()> {
    let node = stage.cluster.pod(1)?.node()?.to_owned();
    let claim = format!("{}-db-1", stage.cluster.shape.layout().claim);
    stop_in_order(stage)?;
    let off = stage.faults.power_off(&node)?;
    is_ready(stage, &node, "Unknown")?;
    let seen = run(stage, &["--yes", "--recover-positions"])?;
    seen.refused(4, "Unread")?;
    let why = seen.member(1)?["filesUnknown"]["message"].as_str().unwrap_or_default();
    ensure!(why == format!("the volume of {claim} is on node {node}, which is silent"), "{}", seen.told());
    ensure!(seen.document["helpers"].as_array().is_some_and(|helpers| helpers.len() == 2), "{}", seen.told());
    ensure!(seen.position(0)?.1 == "grastate" && seen.position(2)?.1 == "grastate", "{}", seen.told());
    nothing_left(stage)?;
    let said = seen.said();
    off.heal()?;
    is_ready(stage, &node, "True")?;
    let seen = run(stage, &["--yes"])?;
    ensure!(seen.elected()? == "db-0", "{}", seen.told());
    nothing_left(stage)?;
    stage.said("9, 20", "the node of db-1 is dead, with the disk of its volume", &said)
}

fn is_ready(stage: &Stage, node: &str, wanted: &str) -> Result<()> {
    wait_until("Kubernetes knows", SOON, || {
        let path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        let ready = stage.cluster.kubectl(&["get", "node", node, "-o", path])?;
        ensure!(ready == wanted, "Ready is {ready}");
        Ok(())
    })
    .map(drop)
}

/// A claim like the one before, for the same node. Left to the scheduler, the new volume may land where the volume of the next
/// pod is, which then finds no node at all.
fn on_its_node(before: &Value) -> Result<Value> {
    const NODE: &str = "volume.kubernetes.io/selected-node";
    let metadata = &before["metadata"];
    let node = metadata["annotations"][NODE].as_str().context("its node was chosen by the scheduler")?;
    let mut spec = before["spec"].clone();
    spec.as_object_mut().context("a claim has a spec")?.remove("volumeName");
    let metadata = json!({"name": metadata["name"], "labels": metadata["labels"], "annotations": {NODE: node}});
    Ok(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}))
}
