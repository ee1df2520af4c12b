//! Kubernetes objects, as narrow as the decisions need them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::names::Ordinal;
use super::operator::ApiGroup;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatefulSet {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub resource_version: String,
    pub created: Option<Timestamp>,
    pub deletion: Option<Timestamp>,
    pub generation: i64,
    /// Behind `generation`: the controller has not acted on the last change yet.
    pub observed_generation: i64,
    /// `spec.replicas`.
    pub replicas: u32,
    /// `spec.ordinals.start`.
    pub start: u32,
    pub current_revision: String,
    pub update_revision: String,
    pub update_strategy: UpdateStrategy,
    /// `spec.updateStrategy.rollingUpdate.maxUnavailable`, a number or a percentage; none: one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<String>,
    pub pod_management: PodManagement,
    /// `persistentVolumeClaimRetentionPolicy.whenScaled` is `Delete`: a scale-in deletes volumes.
    pub deletes_claims_when_scaled: bool,
    pub service_name: String,
    pub selector: BTreeMap<String, String>,
    pub claim_templates: Vec<String>,
    /// The controller among its `ownerReferences`.
    pub owner: Option<Owner>,
    pub layout: Layout,
}

/// The object that made another one and controls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// `GROUP/VERSION`.
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub uid: String,
}

impl Owner {
    /// The group, if this is a `MariaDB` object of mariadb-operator.
    #[must_use]
    pub fn operator(&self) -> Option<ApiGroup> {
        ApiGroup::of_api_version(&self.api_version).filter(|_| self.kind == "MariaDB")
    }
}

impl StatefulSet {
    /// Whether the set wants a pod of this ordinal, `[start, start + replicas)`.
    #[must_use]
    pub fn wants(&self, ordinal: Ordinal) -> bool {
        self.wanted().any(|wanted| wanted == ordinal)
    }

    /// The ordinal whose volume a claim of this name is, by the set's claim templates.
    #[must_use]
    pub fn ordinal_of_claim(&self, claim: &str) -> Option<Ordinal> {
        let of = |template: &String| Ordinal::of_pod(&self.name, claim.strip_prefix(template.as_str())?.strip_prefix('-')?);
        self.claim_templates.iter().find_map(of)
    }

    /// The claims of one ordinal, by the set's claim templates.
    pub fn claims_of(&self, ordinal: Ordinal) -> impl Iterator<Item = String> + use<'_> {
        let pod = ordinal.pod(&self.name);
        self.claim_templates.iter().map(move |template| format!("{template}-{pod}"))
    }

    pub fn wanted(&self) -> impl Iterator<Item = Ordinal> + use<> {
        (self.start..self.start.saturating_add(self.replicas)).map(Ordinal)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UpdateStrategy {
    OnDelete,
    /// Pods with an ordinal of at least `start + partition` get the new revision.
    RollingUpdate {
        partition: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PodManagement {
    OrderedReady,
    Parallel,
}

/// How a pod template runs MariaDB: what a hand-written set, or a chart, chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layout {
    /// The container that runs the server.
    pub container: String,
    pub image: String,
    /// Mount paths of the database container, most likely data directory first.
    pub mounts: Vec<Mount>,
    /// Ways the template itself would found a new cluster, as found in command, args and env.
    pub bootstrap_switches: Vec<String>,
    /// The chart that made the template, as far as its labels, paths and variables tell.
    pub chart: Option<Chart>,
    /// What in the template speaks of Galera (a port, an argument, a variable): a guess for when no server can be asked.
    pub galera_signs: Vec<String>,
    /// Until the startup probe has succeeded once, the liveness probe is not run.
    pub startup_probe: Option<Probe>,
    pub liveness_probe: Option<Probe>,
}

/// A chart by Bitnami.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chart {
    pub kind: ChartKind,
    /// From the label `helm.sh/chart`.
    pub version: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ChartKind {
    /// `mariadb-galera`.
    BitnamiGalera,
    /// `mariadb`: one server, or a set for the primary and a set for the replicas.
    Bitnami,
}

impl ChartKind {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BitnamiGalera => "mariadb-galera",
            Self::Bitnami => "mariadb",
        }
    }
}

/// When the kubelet ends a container whose probe fails. Times in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    pub initial_delay: u32,
    pub period: u32,
    pub failures: u32,
    /// How it asks.
    pub handler: Handler,
}

/// How a probe asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Handler {
    /// Its command, words joined by blanks.
    Exec(String),
    /// A connection to a port, HTTP or gRPC, with the path if there is one.
    Network(String),
}

impl Probe {
    /// Seconds from the start of the container to its end if the probe never succeeds.
    #[must_use]
    pub const fn patience(&self) -> u32 {
        self.initial_delay.saturating_add(self.period.saturating_mul(self.failures))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    pub path: String,
    pub volume: String,
    pub source: VolumeSource,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VolumeSource {
    /// From a claim template, or a claim named in the pod.
    Claim,
    /// Dies with the pod object.
    EmptyDir,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    pub name: String,
    pub uid: String,
    pub created: Timestamp,
    /// When its grace period is over; of a pod that is being deleted.
    pub deletion: Option<Timestamp>,
    /// `deletionGracePeriodSeconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_grace: Option<u32>,
    /// `terminationGracePeriodSeconds`: how long its containers may take to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<u32>,
    pub node: Option<String>,
    pub ip: Option<String>,
    pub phase: String,
    /// Condition `Ready`.
    pub ready: bool,
    /// Why it is not scheduled, from condition `PodScheduled` (reason: message).
    pub unscheduled: Option<String>,
    /// `status.reason` and message of the pod as a whole: `Evicted: The node was low on resource: …`.
    pub reason: Option<String>,
    /// Label `controller-revision-hash`.
    pub revision: Option<String>,
    /// What a label says its role is: a hint that somebody wrote, never the truth.
    pub role: Option<RoleLabel>,
    pub containers: Vec<Container>,
    pub init_containers: Vec<Container>,
    /// Names of the claims it mounts.
    pub claims: Vec<String>,
}

/// A label such as `k8s.mariadb.com/role=primary`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleLabel {
    pub key: String,
    pub value: String,
    pub role: LabelledRole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LabelledRole {
    Primary,
    Replica,
}

impl RoleLabel {
    /// A label whose key ends in `role`, with a value that names the role of a database server.
    #[must_use]
    pub fn read(key: &str, value: &str) -> Option<Self> {
        let role = match value.to_ascii_lowercase().as_str() {
            "primary" | "master" | "leader" => LabelledRole::Primary,
            "replica" | "secondary" | "slave" => LabelledRole::Replica,
            _ => return None,
        };
        let is_role = key.rsplit('/').next() == Some("role");
        is_role.then(|| Self { key: key.to_owned(), value: value.to_owned(), role })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    pub name: String,
    pub image: String,
    pub image_id: String,
    pub ready: bool,
    /// Its startup probe has succeeded, or it has none. `None`: the node did not say.
    pub started: Option<bool>,
    pub restarts: u32,
    pub state: ContainerState,
    pub last_end: Option<ContainerEnd>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ContainerState {
    Waiting {
        reason: String,
        message: String,
    },
    Running {
        since: Option<Timestamp>,
    },
    Terminated(ContainerEnd),
    /// The node has reported nothing about it.
    Unreported,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerEnd {
    pub exit_code: i32,
    pub signal: Option<i32>,
    /// `OOMKilled`, `Error`, `Completed` …
    pub reason: String,
    /// When this run had begun.
    pub started: Option<Timestamp>,
    pub at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    pub name: String,
    pub uid: String,
    pub phase: String,
    /// Set under a running pod: the data vanishes at the pod's next restart (safety B11).
    pub deletion: Option<Timestamp>,
    /// The pod among its `ownerReferences`: the claim is deleted with it (safety B2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_with: Option<String>,
    pub capacity: Option<String>,
    pub storage_class: Option<String>,
    /// `spec.accessModes`: who else may mount it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_modes: Vec<String>,
    pub volume: Option<String>,
    /// The node that the scheduler chose for the volume: it lies there, or was made for there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What makes volumes for it. Without one nobody makes another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioner: Option<String>,
}

impl Claim {
    /// Whether no second pod can use it as long as one does, also on the same node: the scheduler lets that wait.
    #[must_use]
    pub fn is_for_one_pod(&self) -> bool {
        self.access_modes.iter().any(|mode| mode == "ReadWriteOncePod")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub name: String,
    pub ready: NodeReady,
    pub cordoned: bool,
    pub taints: Vec<String>,
}

/// Says of a node that it is off for good; whoever sets this taint vouches for that.
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

impl Node {
    #[must_use]
    pub fn is_out_of_service(&self) -> bool {
        self.taints.iter().any(|taint| taint.starts_with(OUT_OF_SERVICE))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NodeReady {
    Yes,
    /// The kubelet says it is not ready.
    No(String),
    /// The kubelet is silent since then. Silent is not dead (safety F1).
    Silent {
        since: Option<Timestamp>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    pub name: String,
    pub headless: bool,
    pub selector: BTreeMap<String, String>,
    pub publishes_not_ready: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    pub service: String,
    /// Pod name and whether it receives traffic.
    pub endpoints: BTreeMap<String, bool>,
}

/// An event of one of the cluster's objects that may tell of trouble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub object: String,
    pub reason: String,
    pub message: String,
    pub count: u32,
    pub last: Option<Timestamp>,
}
