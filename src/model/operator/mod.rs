//! What mariadb-operator is told and believes: its `MariaDB` object, as narrow as the decisions need it.
//!
//! Field names differ between releases (`automaticFailover` became `autoFailover`, `status.replicationStatus` became
//! `status.replication.roles`, both in 25.10); the reader in `api` knows them all. A condition is what the operator says,
//! never what is true: it is not refreshed in several phases, and there is no `observedGeneration`.

mod backup;
mod steering;

pub use backup::{Backup, BackupKind, BackupRun, RunEnd};
pub use steering::Steering;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::names::Ordinal;
use super::position::Position;

/// The API groups that serve `mariadbs`, all in version `v1alpha1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApiGroup {
    /// `k8s.mariadb.com`: since v0.0.26.
    MariaDb,
    /// `enterprise.mariadb.com`: the Enterprise Operator.
    Enterprise,
    /// `mariadb.mmontes.io`: v0.0.6 to v0.0.25.
    Mmontes,
    /// `database.mmontes.io`: up to v0.0.5.
    FirstMmontes,
}

impl ApiGroup {
    /// Newest first.
    pub const ALL: [Self; 4] = [Self::MariaDb, Self::Enterprise, Self::Mmontes, Self::FirstMmontes];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "k8s.mariadb.com",
            Self::Enterprise => "enterprise.mariadb.com",
            Self::Mmontes => "mariadb.mmontes.io",
            Self::FirstMmontes => "database.mmontes.io",
        }
    }

    /// The group of `GROUP/VERSION`.
    #[must_use]
    pub fn of_api_version(api_version: &str) -> Option<Self> {
        let group = api_version.split('/').next()?;
        Self::ALL.into_iter().find(|known| known.name() == group)
    }
}

/// What one `MariaDB` object says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorView {
    pub group: ApiGroup,
    pub name: String,
    pub namespace: String,
    pub uid: String,
    /// Counts changes of the spec.
    #[serde(default)]
    pub generation: i64,
    pub deletion: Option<Timestamp>,
    pub spec: OperatorSpec,
    pub status: OperatorStatus,
}

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorSpec {
    /// `None`: the operator's default.
    pub image: Option<String>,
    pub replicas: u32,
    /// `spec.suspend`: the operator does nothing, failover and recovery included.
    pub suspended: bool,
    /// `spec.updateStrategy.type`: `ReplicasFirstPrimaryLast` (the default), `RollingUpdate`, `OnDelete`, `Never`.
    pub update_strategy: Option<String>,
    /// `spec.updateStrategy.rollingUpdate.partition`; heeded with `RollingUpdate` only.
    #[serde(default)]
    pub partition: Option<u32>,
    pub mode: Mode,
    /// `primary.podIndex` of the mode in use: the primary that is wanted.
    pub primary_index: Option<Ordinal>,
    /// `primary.autoFailover`; before 25.10 `automaticFailover`.
    pub auto_failover: Option<bool>,
    /// `galera.recovery.enabled`.
    pub recovery_enabled: Option<bool>,
    /// `galera.recovery.forceClusterBootstrapInPod`: the next recovery bootstraps there, whatever that pod holds. The
    /// operator never clears it.
    pub force_bootstrap_in: Option<String>,
    /// `galera.recovery.minClusterSize`, a number or a percentage.
    pub min_cluster_size: Option<String>,
    /// `spec.maxScaleRef.name`: then the operator does no failover of its own.
    pub max_scale: Option<String>,
    /// Image of the init or agent container the operator puts into the pods: an operator image.
    pub data_plane_image: Option<String>,
    /// `replication.replica.bootstrapFrom`: the `PhysicalBackup` after whose model the operator copies the data for a new replica.
    #[serde(default)]
    pub seeds_from: Option<String>,
}

/// The kind of cluster that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    Galera,
    Replication,
    /// One server.
    Standalone,
}

/// What the operator believes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorStatus {
    pub conditions: Vec<Condition>,
    pub current_primary: Option<String>,
    pub current_primary_index: Option<Ordinal>,
    /// Since when the primary has been failing, as the operator counts before a failover.
    pub primary_failing_since: Option<Timestamp>,
    /// `Primary`, `Replica`, `PrimaryReplica`, `Unknown` by pod; before 25.10 `Master`, `Slave`, `NotConfigured`.
    pub roles: BTreeMap<String, String>,
    /// Kept after a recovery has ended: its presence does not mean that one is running.
    pub recovery: Option<GaleraRecovery>,
    /// `status.scaleOutInitialIndex`: set only while a replication scale-out runs.
    pub scale_out_from: Option<Ordinal>,
    pub server_certificate_ends: Option<Timestamp>,
}

/// `status.galeraRecovery`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GaleraRecovery {
    /// What the agents read in each `grastate.dat`.
    pub states: BTreeMap<String, RecordedState>,
    /// What the recovery jobs found by `--wsrep-recover`.
    pub recovered: BTreeMap<String, Position>,
    pub bootstrap_pod: Option<String>,
    pub bootstrap_at: Option<Timestamp>,
    pub pods_restarted: bool,
}

/// One entry of `status.galeraRecovery.state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedState {
    pub position: Position,
    pub safe_to_bootstrap: bool,
}

/// One condition of an object of the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `GaleraReady`, `Updated`, `Complete` …
    pub name: String,
    /// `None`: `Unknown`.
    pub holds: Option<bool>,
    pub reason: String,
    pub message: String,
    pub since: Option<Timestamp>,
}

impl fmt::Display for Condition {
    /// `False (SwitchPrimary: Switching primary to 'db-0')`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holds = match self.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        write!(f, "{holds} ({}: {})", self.reason, self.message)
    }
}

impl OperatorStatus {
    #[must_use]
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.name == name)
    }

    /// Whether the operator itself says that it is suspended: a pass that was under way has ended then.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.condition("Ready").is_some_and(|ready| ready.holds == Some(false) && ready.reason == "Suspended")
    }

    /// Whether a condition is there and False: how the operator itself tells that something is under way.
    #[must_use]
    pub fn denies(&self, name: &str) -> bool {
        self.condition(name).is_some_and(|condition| condition.holds == Some(false))
    }
}

/// A version of the operator, from the tag of its image: `25.10.4`, `v0.38.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorVersion {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl OperatorVersion {
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// The version in the tag of an image; `None`: a digest, `latest`, or somebody's own tag.
    #[must_use]
    pub fn of_image(image: &str) -> Option<Self> {
        let (_, tag) = image.split('@').next()?.rsplit_once(':')?;
        // Behind a colon of a port there is a path.
        let number = tag.trim_start_matches('v').split(['-', '+']).next()?;
        let mut parts = number.split('.').map(|part| part.parse::<u32>().ok());
        let version = Self::new(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for OperatorVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl OperatorView {
    /// What the operator says of the cluster as a whole, in words.
    #[must_use]
    pub fn says(&self) -> String {
        let says = match self.status.condition("Ready") {
            Some(ready) => format!("its condition Ready is {ready}"),
            None => "the operator has said nothing of it yet: see that it runs, and watches this namespace".to_owned(),
        };
        let suspended = if self.spec.suspended { "; it is suspended" } else { "" };
        let deletion = if self.deletion.is_some() { "; it is being deleted" } else { "" };
        format!("{says}{suspended}{deletion}")
    }

    /// The version of the operator that made the pods, by the image of its agent: the operator itself may be newer
    /// (`updateStrategy.autoUpdateDataPlane` is off by default).
    #[must_use]
    pub fn data_plane(&self) -> Option<OperatorVersion> {
        OperatorVersion::of_image(self.spec.data_plane_image.as_deref()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_a_tag_and_from_nothing_else() {
        let read = |image| OperatorVersion::of_image(image).map(|version| version.to_string());
        for (image, expected) in [
            ("ghcr.io/mariadb-operator/mariadb-operator:25.10.4", Some("25.10.4")),
            ("registry:5000/mariadb-operator:v0.38.1", Some("0.38.1")),
            ("mariadb-operator:26.10.1-ubi@sha256:00", Some("26.10.1")),
            ("registry:5000/mariadb-operator", None),
            ("mariadb-operator@sha256:00", None),
            ("mariadb-operator:latest", None),
            ("mariadb-operator:25.10", None),
            ("mariadb-operator:25.10.4.1", None),
        ] {
            assert_eq!(read(image).as_deref(), expected, "{image}");
        }
        assert!(OperatorVersion::new(25, 8, 4) < OperatorVersion::new(25, 10, 0));
        assert!(OperatorVersion::new(0, 38, 1) < OperatorVersion::new(25, 8, 0));
    }

    #[test]
    fn a_group_is_known_by_the_api_version_of_an_owner() {
        for group in ApiGroup::ALL {
            assert_eq!(ApiGroup::of_api_version(&format!("{}/v1alpha1", group.name())), Some(group));
        }
        for other in ["", "v1", "apps/v1", "mariadb.com/v1"] {
            assert_eq!(ApiGroup::of_api_version(other), None, "{other}");
        }
    }
}
