//! Rows 9 and 10: a volume that is gone, and one of another history.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::stage::Stage;

use super::{nothing_left, on_volume, run, scale_back, scale_to_zero};

/// Row 10. The seqno of the foreign directory is the highest, which must count for nothing.
pub fn foreign_history(stage: &Stage) -> Result<()> {
    scale_to_zero(stage)?;
    let foreign =
        "sed -i -e 's/^uuid:.*/uuid:    650ade90-e4f7-11f1-9ccc-d3c02d18f50e/' -e 's/^seqno:.*/seqno:   900000/' grastate.dat";
    on_volume(stage, 2, foreign)?;
    let seen = run(stage, &["--yes"])?;
    seen.refused(5, "Histories")?;
    let message = seen.document["election"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("650ade90 by db-2"), "{message}");
    nothing_left(stage)?;
    on_volume(stage, 2, "rm -rf ./* ./.[!.]*")?;
    let seen = run(stage, &["--yes"])?;
    // An empty directory is in nobody's way.
    ensure!(seen.elected()? == "db-0" && seen.member(2)?["trust"] == "never", "{}", seen.told());
    scale_back(stage)
}

/// Row 9. The set is scaled to 0, so only the gap between the others tells that there was a volume.
pub fn volume_gone(stage: &Stage) -> Result<()> {
    scale_to_zero(stage)?;
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
    scale_back(stage)
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
