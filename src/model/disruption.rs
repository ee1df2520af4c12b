//! What else stands between a pod and its stop: disruption budgets, and volumes that cannot follow it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A `PodDisruptionBudget`, and the pods it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    pub name: String,
    pub namespace: String,
    /// `status.disruptionsAllowed`: how many evictions it would let pass now.
    pub allowed: u32,
    /// The controller has seen the newest spec: `allowed` belongs to it.
    pub current: bool,
    /// Names of the pods its selector finds.
    pub pods: BTreeSet<String>,
}

/// A `PersistentVolume` that only some nodes can mount, because it lies on their disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalVolume {
    pub name: String,
    /// `local`, `hostPath`, or what else binds it.
    pub kind: String,
    /// Names of the nodes that can mount it, by its node affinity; empty where that does not tell.
    pub nodes: Vec<String>,
}
