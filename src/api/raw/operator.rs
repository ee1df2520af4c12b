//! Objects of mariadb-operator. Its fields have moved between releases, so they are read by path: what is not there, or has
//! another shape, is absent and breaks nothing else.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::api::objects::BackupOwner;
use crate::model::fact::{Fact, Why};
use crate::model::names::Ordinal;
use crate::model::operator as model;
use crate::model::position::Position;

use super::{Condition, Metadata};

/// A `MariaDB` object of any of its groups.
#[derive(Deserialize)]
pub(in crate::api) struct MariaDb {
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

impl MariaDb {
    pub(in crate::api) fn into_model(self, group: model::ApiGroup) -> model::OperatorView {
        let Self { metadata, spec, status } = self;
        model::OperatorView {
            group,
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            generation: metadata.generation,
            deletion: metadata.deletion_timestamp,
            spec: read_spec(&spec),
            status: read_status(&status),
        }
    }
}

fn read_spec(spec: &Value) -> model::OperatorSpec {
    let is_on = |mode: &str| switch(spec, &format!("/{mode}/enabled")) == Some(true);
    let (mode, block) = if is_on("galera") {
        (model::Mode::Galera, "/galera")
    } else if is_on("replication") {
        (model::Mode::Replication, "/replication")
    } else {
        (model::Mode::Standalone, "/none")
    };
    let block = spec.pointer(block).unwrap_or(&Value::Null);
    // Up to v0.0.25 a struct of repository and tag.
    let image =
        text(spec, "/image").or_else(|| Some(format!("{}:{}", text(spec, "/image/repository")?, text(spec, "/image/tag")?)));
    model::OperatorSpec {
        image,
        // The API server writes the default into every object.
        replicas: number(spec, "/replicas").unwrap_or(1),
        suspended: switch(spec, "/suspend").unwrap_or(false),
        update_strategy: text(spec, "/updateStrategy/type"),
        partition: number(spec, "/updateStrategy/rollingUpdate/partition"),
        mode,
        primary_index: number(block, "/primary/podIndex").map(Ordinal),
        auto_failover: switch(block, "/primary/autoFailover").or_else(|| switch(block, "/primary/automaticFailover")),
        recovery_enabled: switch(block, "/recovery/enabled"),
        force_bootstrap_in: text(block, "/recovery/forceClusterBootstrapInPod"),
        min_cluster_size: block.pointer("/recovery/minClusterSize").and_then(words),
        max_scale: text(spec, "/maxScaleRef/name"),
        data_plane_image: text(block, "/agent/image").or_else(|| text(block, "/initContainer/image")),
        seeds_from: text(block, "/replica/bootstrapFrom/physicalBackupTemplateRef/name"),
    }
}

fn read_status(status: &Value) -> model::OperatorStatus {
    let roles = status.pointer("/replication/roles").or_else(|| status.pointer("/replicationStatus"));
    model::OperatorStatus {
        conditions: conditions(status),
        current_primary: text(status, "/currentPrimary"),
        current_primary_index: number(status, "/currentPrimaryPodIndex").map(Ordinal),
        primary_failing_since: time(status, "/currentPrimaryFailingSince"),
        roles: entries(roles, |role| role.as_str().map(str::to_owned)),
        recovery: status.pointer("/galeraRecovery").map(read_recovery),
        scale_out_from: number(status, "/scaleOutInitialIndex").map(Ordinal),
        server_certificate_ends: time(status, "/tls/serverCert/notAfter"),
    }
}

fn read_recovery(recovery: &Value) -> model::GaleraRecovery {
    let state = |entry: &Value| {
        let safe_to_bootstrap = switch(entry, "/safeToBootstrap")?;
        Some(model::RecordedState { position: position(entry)?, safe_to_bootstrap })
    };
    model::GaleraRecovery {
        states: entries(recovery.pointer("/state"), state),
        recovered: entries(recovery.pointer("/recovered"), position),
        bootstrap_pod: text(recovery, "/bootstrap/pod"),
        bootstrap_at: time(recovery, "/bootstrap/time"),
        pods_restarted: switch(recovery, "/podsRestarted").unwrap_or(false),
    }
}

fn position(entry: &Value) -> Option<Position> {
    let uuid: Uuid = text(entry, "/uuid")?.parse().ok()?;
    let seqno = entry.pointer("/seqno")?.as_i64()?;
    Some(Position { uuid, seqno: u64::try_from(seqno).ok(), gtid: None })
}

fn conditions(status: &Value) -> Vec<model::Condition> {
    let read = |condition: &Value| Condition::deserialize(condition).ok().map(Condition::into_operator);
    status.pointer("/conditions").and_then(Value::as_array).into_iter().flatten().filter_map(read).collect()
}

impl Condition {
    fn into_operator(self) -> model::Condition {
        let holds = match self.status.as_str() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        };
        let Self { r#type: name, reason, message, last_transition_time: since, .. } = self;
        model::Condition { name, holds, reason, message, since }
    }
}

/// A `Backup` or `PhysicalBackup`.
#[derive(Deserialize)]
pub(in crate::api) struct Backup {
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

impl Backup {
    /// The backup and the name of the `MariaDB` object it is of. `None`: it names none, or one of another namespace.
    pub(in crate::api) fn into_model(self, kind: model::BackupKind) -> Option<(String, (String, model::Backup))> {
        let Self { metadata, spec, status } = self;
        let cluster = text(&spec, "/mariaDbRef/name")?;
        if text(&spec, "/mariaDbRef/namespace").is_some_and(|namespace| namespace != metadata.namespace) {
            return None;
        }
        let backup = model::Backup {
            kind,
            name: metadata.name,
            uid: metadata.uid,
            created: metadata.creation_timestamp,
            schedule: text(&spec, "/schedule/cron"),
            suspended: switch(&spec, "/schedule/suspend").unwrap_or(false),
            complete: conditions(&status).into_iter().find(|condition| condition.name == "Complete"),
            last_scheduled: time(&status, "/lastScheduleTime"),
            runs: Fact::Unknown(Why::NotAsked),
        };
        Some((metadata.namespace, (cluster, backup)))
    }
}

/// A Job, for the sake of the backups that run as one.
#[derive(Deserialize)]
pub(in crate::api) struct Job {
    metadata: Metadata,
    #[serde(default)]
    status: JobStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JobStatus {
    start_time: Option<Timestamp>,
    completion_time: Option<Timestamp>,
    conditions: Vec<Condition>,
}

impl Job {
    /// The job and its owner: a backup, or the CronJob of the backup of the same name. `None`: it is somebody else's.
    pub(in crate::api) fn into_model(mut self) -> Option<(String, (BackupOwner, model::BackupRun))> {
        let owner = self.metadata.take_controller()?;
        let owner = match owner.kind.as_str() {
            "Backup" | "PhysicalBackup" => BackupOwner::Uid(owner.uid),
            "CronJob" => BackupOwner::CronJob(owner.name),
            _ => return None,
        };
        let condition = |name: &str| self.status.conditions.iter().find(|found| found.r#type == name && found.status == "True");
        let end = match (condition("Failed"), condition("Complete")) {
            (Some(failed), _) => model::RunEnd::Failed { at: failed.last_transition_time, why: failed.words() },
            (None, Some(_)) => model::RunEnd::Succeeded { at: self.status.completion_time },
            (None, None) => model::RunEnd::Running,
        };
        let started = self.status.start_time.or(self.metadata.creation_timestamp);
        let run = model::BackupRun { job: self.metadata.name, started, end };
        Some((self.metadata.namespace, (owner, run)))
    }
}

fn text(value: &Value, path: &str) -> Option<String> {
    value.pointer(path)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A number or a text, as text.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn switch(value: &Value, path: &str) -> Option<bool> {
    value.pointer(path)?.as_bool()
}

fn number(value: &Value, path: &str) -> Option<u32> {
    value.pointer(path)?.as_u64()?.try_into().ok()
}

fn time(value: &Value, path: &str) -> Option<Timestamp> {
    value.pointer(path)?.as_str()?.parse().ok()
}

fn entries<T>(map: Option<&Value>, read: impl Fn(&Value) -> Option<T>) -> std::collections::BTreeMap<String, T> {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(pod, entry)| Some((pod.clone(), read(entry)?))).collect()
}
