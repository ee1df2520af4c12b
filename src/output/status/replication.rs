//! Replication: who follows whom, how far behind, with what of its own.

use serde::Serialize;

use super::pod::Role;
use crate::model::gtid::Errant;
use crate::model::names::Ordinal;
use crate::model::replica::{Channel, IoThread, ServerError};
use crate::model::server::Server;
use crate::model::snapshot::Snapshot;
use crate::model::topology::Primary;

/// One replication channel of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChannelStatus {
    /// Empty: the default channel.
    pub name: String,
    pub source_host: String,
    pub source_port: u16,
    /// The pod of this cluster that the host stands for, if it is one.
    pub source_pod: Option<String>,
    /// `Slave_IO_Running`: `Yes`, `No`, `Connecting`, `Preparing`.
    pub io_thread: String,
    pub io_error: Option<ErrorStatus>,
    pub sql_thread_running: bool,
    pub sql_error: Option<ErrorStatus>,
    /// `Seconds_Behind_Master`; `null` when broken. 0 does not prove that all is applied.
    pub lag_seconds: Option<u64>,
    pub delay_seconds: u64,
    pub uses_gtid: bool,
    pub gtid_io_pos: String,
}

/// An error number and text of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ErrorStatus {
    pub code: u32,
    pub text: String,
}

impl From<&ServerError> for ErrorStatus {
    fn from(error: &ServerError) -> Self {
        Self { code: error.code, text: error.text.clone() }
    }
}

impl ChannelStatus {
    pub(super) fn new(seen: &Snapshot, channel: &Channel) -> Self {
        Self {
            name: channel.name.clone(),
            source_host: channel.source_host.clone(),
            source_port: channel.source_port,
            source_pod: source(seen, channel).map(|ordinal| seen.pod_name(ordinal)),
            io_thread: io_thread(channel.io).to_owned(),
            io_error: channel.io_error.as_ref().map(Into::into),
            sql_thread_running: channel.sql_running,
            sql_error: channel.sql_error.as_ref().map(Into::into),
            lag_seconds: channel.lag_seconds,
            delay_seconds: channel.delay_seconds,
            uses_gtid: channel.uses_gtid,
            gtid_io_pos: channel.gtid_io_pos.to_string(),
        }
    }

    /// `db-0`, or the host as it is configured.
    #[must_use]
    pub fn source(&self) -> &str {
        self.source_pod.as_deref().unwrap_or(&self.source_host)
    }
}

const fn io_thread(io: IoThread) -> &'static str {
    match io {
        IoThread::Yes => "Yes",
        IoThread::No => "No",
        IoThread::Connecting => "Connecting",
        IoThread::Preparing => "Preparing",
    }
}

/// The pod of this set that a channel's host is: by its name as the first label, or by its address.
fn source(seen: &Snapshot, channel: &Channel) -> Option<Ordinal> {
    let host = channel.source_host.as_str();
    let label = host.split('.').next().unwrap_or(host);
    seen.members.iter().find_map(|(ordinal, member)| {
        let address = member.pod.as_ref().and_then(|pod| pod.ip.as_deref());
        (seen.pod_name(*ordinal) == label || address == Some(host)).then_some(*ordinal)
    })
}

/// The state of a replica in a word or two.
pub(super) fn state(channels: &[Channel]) -> &'static str {
    let all = |is: fn(&Channel) -> bool| channels.iter().all(is);
    let io_stopped = !all(|channel| channel.io != IoThread::No);
    match (io_stopped, !all(|channel| channel.sql_running)) {
        (true, true) => "stopped",
        (true, false) => "IO stopped",
        (false, true) => "SQL stopped",
        (false, false) if all(|channel| channel.io == IoThread::Yes) => "replicating",
        (false, false) => "connecting",
    }
}

/// The largest lag of all channels; `None` when one is broken.
pub(super) fn lag(channels: &[Channel]) -> Option<u64> {
    channels.iter().map(|channel| channel.lag_seconds).collect::<Option<Vec<u64>>>()?.into_iter().max()
}

/// The role of a server in a set that replicates.
pub(super) fn role(ordinal: Ordinal, server: &Server, primary: &Primary) -> Option<Role> {
    match primary {
        Primary::Pod(one) if *one == ordinal => Some(Role::Primary),
        Primary::Several(several) if several.contains(&ordinal) => Some(Role::Primary),
        _ if !server.channels.is_empty() => Some(Role::Replica),
        _ => None,
    }
}

/// Replication of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReplicationStatus {
    /// The pod that every chain of sources ends in; `null`: there is not one such pod, or it cannot be told.
    pub primary: Option<String>,
    /// Pods where chains end, if that is more than one.
    pub several: Vec<String>,
    /// Where all chains end, if that is no pod of this set: `HOST:PORT`.
    pub outside_source: Option<String>,
    /// Servers that replicate, with what only they have.
    pub replicas: Vec<ReplicaStatus>,
}

/// One server that replicates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReplicaStatus {
    pub pod: String,
    /// Pods or hosts it replicates from.
    pub sources: Vec<String>,
    /// The largest of its channels; `null` when one is broken.
    pub lag_seconds: Option<u64>,
    /// Transactions that the primary has not. `null`: the primary could not be asked, or there is not exactly one.
    pub errant: Option<Vec<ErrantStatus>>,
}

/// Transactions of one server in one domain: at most those from `first` to `last`, since servers share a domain's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ErrantStatus {
    pub domain: u32,
    pub server: u32,
    pub first: String,
    pub last: String,
    /// The same for people; the text may change.
    pub text: String,
}

impl From<&Errant> for ErrantStatus {
    fn from(errant: &Errant) -> Self {
        let Errant { domain, server, from, to } = *errant;
        Self { domain, server, first: from.to_string(), last: to.to_string(), text: errant.to_string() }
    }
}

impl ReplicationStatus {
    pub(super) fn new(seen: &Snapshot, primary: &Primary) -> Self {
        let server = |ordinal: Ordinal| seen.members.get(&ordinal)?.server.known().ok();
        let one = if let Primary::Pod(ordinal) = primary { Some(*ordinal) } else { None };
        let several = if let Primary::Several(several) = primary { several.iter().copied().collect() } else { Vec::new() };
        let origin = one.and_then(server);
        let replicas = seen.members.keys().filter_map(|ordinal| {
            let replica = server(*ordinal).filter(|server| !server.channels.is_empty())?;
            let source = |channel| ChannelStatus::new(seen, channel).source().to_owned();
            let errant = origin.map(|origin| replica.gtid.errant_against(&origin.gtid));
            Some(ReplicaStatus {
                pod: seen.pod_name(*ordinal),
                sources: replica.channels.iter().map(source).collect(),
                lag_seconds: lag(&replica.channels),
                errant: errant.map(|errant| errant.iter().map(Into::into).collect()),
            })
        });
        Self {
            replicas: replicas.collect(),
            primary: one.map(|ordinal| seen.pod_name(ordinal)),
            several: several.into_iter().map(|ordinal| seen.pod_name(ordinal)).collect(),
            outside_source: match primary {
                Primary::Outside { host, port } => Some(format!("{host}:{port}")),
                Primary::Pod(_) | Primary::Several(_) | Primary::Unclear => None,
            },
        }
    }
}
