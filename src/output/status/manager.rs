//! Who manages the cluster, and what that manager believes.

use jiff::Timestamp;
use serde::Serialize;

use super::unknown::{Unknown, split};
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::Layout;
use crate::model::manager::{Manager, Operator};
use crate::model::operator::{Backup, Condition, Mode, OperatorView};
use crate::model::snapshot::Snapshot;
use crate::output::age::age;

/// Who makes and changes the StatefulSet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ManagerStatus {
    pub kind: ManagerKind,
    /// The chart that made the set; `null`: none that is known.
    pub chart: Option<ChartStatus>,
    /// `null`: no operator.
    pub operator: Option<OperatorStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ManagerKind {
    /// mariadb-operator.
    Operator,
    /// Nobody but Kubernetes: a chart or somebody's own set.
    StatefulSet,
}

/// A chart of Bitnami.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChartStatus {
    pub name: String,
    pub version: Option<String>,
}

/// mariadb-operator and its object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OperatorStatus {
    /// API group of the `MariaDB` object.
    pub group: String,
    pub name: String,
    /// The object owns the set, if there is one; else they only share a name.
    pub owns: bool,
    /// Of the operator that is at work, by its Deployment.
    pub version: Option<String>,
    /// Why `version` is `null`.
    pub version_unknown: Option<Unknown>,
    /// What the object says. It is what the operator believes, not what is true.
    pub says: Option<OperatorWords>,
    /// Why `says` is `null`.
    pub says_unknown: Option<Unknown>,
    pub backups: Option<Vec<BackupStatus>>,
    /// Why `backups` is `null`.
    pub backups_unknown: Option<Unknown>,
}

/// The `MariaDB` object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OperatorWords {
    pub mode: OperatorMode,
    /// `spec.replicas`.
    pub replicas: u32,
    pub suspended: bool,
    /// `status.currentPrimary`.
    pub primary: Option<String>,
    /// `primary.podIndex` of the mode: the primary that is wanted.
    pub wanted_primary_index: Option<u32>,
    /// `galera.recovery.forceClusterBootstrapInPod`.
    pub force_bootstrap_in: Option<String>,
    /// Version of the operator that made the pods; the operator itself may be newer. `null`: its image does not tell.
    pub data_plane_version: Option<String>,
    pub conditions: Vec<ConditionStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum OperatorMode {
    Galera,
    Replication,
    Standalone,
}

/// A condition of the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConditionStatus {
    pub name: String,
    /// `null`: `Unknown`.
    pub holds: Option<bool>,
    pub reason: String,
    pub message: String,
    pub since: Option<Timestamp>,
}

/// A `Backup` or `PhysicalBackup` of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BackupStatus {
    /// `Backup` or `PhysicalBackup`.
    pub kind: String,
    pub name: String,
    /// A cron line; `null`: it runs once.
    pub schedule: Option<String>,
    pub suspended: bool,
    /// When a run of it last succeeded, as far as its jobs or its condition tell; nobody has read the result back.
    pub last_success: Option<Timestamp>,
    /// Why the newest run failed; `null`: it did not.
    pub failing: Option<String>,
}

impl ManagerStatus {
    pub(super) fn new(seen: &Snapshot) -> Self {
        let Layout { chart, .. } = &seen.objects.stateful_set.layout;
        let manager = &seen.objects.manager;
        Self {
            kind: if matches!(manager, Manager::Operator(_)) { ManagerKind::Operator } else { ManagerKind::StatefulSet },
            chart: chart.as_ref().map(|chart| ChartStatus { name: chart.kind.name().to_owned(), version: chart.version.clone() }),
            operator: manager.operator().map(OperatorStatus::new),
        }
    }

    /// A line below the headline; nothing to say of somebody's own set.
    pub(super) fn words(&self, now: Timestamp) -> Option<String> {
        let Some(operator) = &self.operator else {
            let chart = self.chart.as_ref()?;
            let version = chart.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
            return Some(format!("made by the Bitnami chart {}{version}", chart.name));
        };
        if !operator.owns {
            return Some(format!("beside a MariaDB {} that does not own it", operator.name));
        }
        let version = match (&operator.version, &operator.version_unknown) {
            (Some(version), _) => format!(" {version}"),
            (None, Some(unknown)) if unknown.reason != Why::NotAsked.reason() => " (version ?)".to_owned(),
            (None, _) => String::new(),
        };
        let suspended = if operator.says.as_ref().is_some_and(|says| says.suspended) { ", suspended" } else { "" };
        let backup = operator.last_backup(now).map(|words| format!("; {words}")).unwrap_or_default();
        Some(format!("managed by mariadb-operator{version}{suspended}{backup}"))
    }
}

impl OperatorStatus {
    fn new(operator: &Operator) -> Self {
        let (version, version_unknown) = split(&operator.version(), ToString::to_string);
        let (says, says_unknown) = split(&operator.view, OperatorWords::new);
        let (backups, backups_unknown) =
            split(&operator.backups, |backups| backups.iter().map(BackupStatus::new).collect::<Vec<_>>());
        Self {
            group: operator.group.name().to_owned(),
            name: operator.name.clone(),
            owns: operator.owns,
            version,
            version_unknown,
            says,
            says_unknown,
            backups,
            backups_unknown,
        }
    }
}

impl OperatorStatus {
    /// Of an object without a set: its backups were not asked for.
    pub(super) fn of_unmade(view: &OperatorView) -> Self {
        Self::new(&Operator {
            group: view.group,
            name: view.name.clone(),
            owns: true,
            view: Fact::Known(view.clone()),
            backups: Fact::Unknown(Why::NotAsked),
            deployments: Fact::Unknown(Why::NotAsked),
        })
    }

    fn last_backup(&self, now: Timestamp) -> Option<String> {
        let backups = self.backups.as_ref()?;
        let newest = backups.iter().filter_map(|backup| Some((backup.last_success?, &backup.name))).max();
        Some(match newest {
            Some((at, name)) => format!("last backup {} ago ({name})", age(at, now)),
            None if backups.is_empty() => "no Backup or PhysicalBackup of it".to_owned(),
            None => "no backup has succeeded yet".to_owned(),
        })
    }
}

impl OperatorWords {
    fn new(view: &OperatorView) -> Self {
        let condition = |condition: &Condition| ConditionStatus {
            name: condition.name.clone(),
            holds: condition.holds,
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            since: condition.since,
        };
        Self {
            mode: match view.spec.mode {
                Mode::Galera => OperatorMode::Galera,
                Mode::Replication => OperatorMode::Replication,
                Mode::Standalone => OperatorMode::Standalone,
            },
            replicas: view.spec.replicas,
            suspended: view.spec.suspended,
            primary: view.status.current_primary.clone(),
            wanted_primary_index: view.spec.primary_index.map(|index| index.0),
            force_bootstrap_in: view.spec.force_bootstrap_in.clone(),
            data_plane_version: view.data_plane().map(|version| version.to_string()),
            conditions: view.status.conditions.iter().map(condition).collect(),
        }
    }
}

impl BackupStatus {
    fn new(backup: &Backup) -> Self {
        Self {
            kind: backup.kind.name().to_owned(),
            name: backup.name.clone(),
            schedule: backup.schedule.clone(),
            suspended: backup.suspended,
            last_success: backup.last_success(),
            failing: backup.last_failure().map(|(_, why)| why),
        }
    }
}
