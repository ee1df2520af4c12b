//! One pod of a cluster, as the document says it.

use jiff::Timestamp;
use serde::Serialize;

use super::replication::ChannelStatus;
use super::unknown::{Unknown, split};
use crate::model::disk::{Disk, StateFile};
use crate::model::kubernetes::{Container, ContainerState, Pod};
use crate::model::names::Ordinal;
use crate::model::server::{Galera, Server};
use crate::model::snapshot::{Member, Snapshot};

/// What a server is in its cluster, by SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Role {
    /// Others replicate from it and it replicates from nobody.
    Primary,
    Replica,
    /// Of a Galera component, Primary or not.
    Member,
    /// Sends a state transfer.
    Donor,
    /// Receives a state transfer.
    Joiner,
    /// Neither replicates nor is replicated.
    Single,
}

impl Role {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::Member => "member",
            Self::Donor => "donor",
            Self::Joiner => "joiner",
            Self::Single => "single",
        }
    }
}

/// One ordinal: what Kubernetes, the server and the files say.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PodStatus {
    pub name: String,
    pub ordinal: u32,
    /// Whether the set wants this ordinal now.
    pub wanted: bool,
    /// Whether there is a pod.
    pub exists: bool,
    /// `null`: not known, or no role at all.
    pub role: Option<Role>,
    /// In a word or two, for people; the texts may change.
    pub state: String,
    /// Condition `Ready`, which is what Kubernetes believes.
    pub ready: bool,
    pub node: Option<String>,
    pub ip: Option<String>,
    pub image: Option<String>,
    pub revision: Option<String>,
    /// Of the database container.
    pub restarts: Option<u32>,
    pub created: Option<Timestamp>,
    pub server: Option<ServerStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_unknown: Option<Unknown>,
    pub files: Option<FilesStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_unknown: Option<Unknown>,
}

impl PodStatus {
    pub(super) fn new(seen: &Snapshot, ordinal: Ordinal, member: &Member, role: Option<Role>) -> Self {
        let pod = member.pod.as_ref();
        let container = pod.and_then(|pod| database(seen, pod));
        let (server, server_unknown) = split(&member.server, |server| ServerStatus::new(seen, server));
        let (files, files_unknown) = split(&member.files, |disk| FilesStatus::from(disk));
        Self {
            name: seen.pod_name(ordinal),
            ordinal: ordinal.0,
            wanted: seen.objects.stateful_set.wants(ordinal),
            exists: pod.is_some(),
            role,
            state: state(seen, member, role),
            ready: pod.is_some_and(|pod| pod.ready),
            node: pod.and_then(|pod| pod.node.clone()),
            ip: pod.and_then(|pod| pod.ip.clone()),
            image: container.map(|container| container.image.clone()),
            revision: pod.and_then(|pod| pod.revision.clone()),
            restarts: container.map(|container| container.restarts),
            created: pod.map(|pod| pod.created),
            server,
            server_unknown,
            files,
            files_unknown,
        }
    }
}

fn database<'a>(seen: &Snapshot, pod: &'a Pod) -> Option<&'a Container> {
    pod.containers.iter().find(|container| container.name == seen.objects.stateful_set.layout.container)
}

/// The state of a pod in a word or two: of its server where that answered, otherwise of the pod.
fn state(seen: &Snapshot, member: &Member, role: Option<Role>) -> String {
    let Some(pod) = &member.pod else { return "no pod".to_owned() };
    if let Ok(server) = member.server.known() {
        return server_state(server);
    }
    if role == Some(Role::Joiner) {
        return "joining".to_owned();
    }
    pod_state(pod, database(seen, pod))
}

fn server_state(server: &Server) -> String {
    use crate::model::wsrep::ClusterStatus::{Disconnected, NonPrimary, Other, Primary};
    match &server.galera {
        Some(galera) => match &galera.status.cluster_status {
            Primary => galera.status.state_comment.clone(),
            NonPrimary => "non-Primary".to_owned(),
            Disconnected => "Disconnected".to_owned(),
            Other(text) => text.clone(),
        },
        None if server.channels.is_empty() && server.read_only => "read-only".to_owned(),
        None if server.channels.is_empty() => "writable".to_owned(),
        None => super::replication::state(&server.channels).to_owned(),
    }
}

/// As `kubectl get pods` says it.
fn pod_state(pod: &Pod, container: Option<&Container>) -> String {
    if pod.deletion.is_some() {
        return "Terminating".to_owned();
    }
    let stuck = |container: &Container| match &container.state {
        ContainerState::Waiting { reason, .. } => Some(reason.clone()),
        ContainerState::Terminated(end) if end.exit_code != 0 || end.signal.is_some() => Some(end.reason.clone()),
        ContainerState::Running { .. } | ContainerState::Terminated(_) | ContainerState::Unreported => None,
    };
    if let Some(reason) = pod.init_containers.iter().find_map(stuck) {
        return format!("Init:{reason}");
    }
    match container.map(|container| &container.state) {
        Some(ContainerState::Waiting { reason, .. }) if !reason.is_empty() => reason.clone(),
        Some(ContainerState::Terminated(end)) => end.reason.clone(),
        Some(ContainerState::Running { .. }) => "Running".to_owned(),
        _ => pod.phase.clone(),
    }
}

/// What one server said.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServerStatus {
    pub asked: Timestamp,
    /// The numbers: `10.11.19`.
    pub version: String,
    /// The server's whole text.
    pub version_text: String,
    pub uptime_seconds: u64,
    pub server_id: u32,
    /// `@@read_only`; it does not stop accounts with READ_ONLY ADMIN.
    pub read_only: bool,
    pub gtid: GtidStatus,
    /// `null`: Galera is not in use.
    pub galera: Option<MemberStatus>,
    /// From whom it replicates.
    pub channels: Vec<ChannelStatus>,
    pub replicas_connected: u32,
    pub connections: u32,
    pub connections_limit: u32,
}

/// The position variables of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GtidStatus {
    pub binlog_pos: String,
    pub slave_pos: String,
    pub current_pos: String,
    pub binlog_state: String,
}

/// One Galera member's own view.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MemberStatus {
    /// `wsrep_cluster_status`: `Primary`, `non-Primary`, `Disconnected`.
    pub cluster_status: String,
    /// `wsrep_local_state_comment`.
    pub state_comment: String,
    pub ready: bool,
    pub connected: bool,
    pub cluster_size: u32,
    pub state_uuid: String,
    /// `wsrep_last_committed`; `null`: none.
    pub seqno: Option<String>,
    pub conf_id: Option<String>,
    pub receive_queue: String,
    pub send_queue: String,
    pub flow_control: FlowControlStatus,
    /// `wsrep_local_cached_downto`: the lowest write set it can still send by IST.
    pub cached_downto: Option<String>,
    pub desync: bool,
    pub provider_version: String,
}

/// Flow control of one member since the server's start or the last `FLUSH STATUS`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FlowControlStatus {
    pub active: bool,
    /// 0 to 1, since the last `FLUSH STATUS`.
    pub paused_fraction: f64,
    pub sent: String,
    pub received: String,
}

impl ServerStatus {
    fn new(seen: &Snapshot, server: &Server) -> Self {
        Self {
            asked: server.asked,
            version: server.version.to_string(),
            version_text: server.version.text.clone(),
            uptime_seconds: server.uptime.as_secs(),
            server_id: server.server_id,
            read_only: server.read_only,
            gtid: GtidStatus {
                binlog_pos: server.gtid.binlog_pos.to_string(),
                slave_pos: server.gtid.slave_pos.to_string(),
                current_pos: server.gtid.current_pos.to_string(),
                binlog_state: server.gtid.binlog_state.to_string(),
            },
            galera: server.galera.as_ref().map(MemberStatus::from),
            channels: server.channels.iter().map(|channel| ChannelStatus::new(seen, channel)).collect(),
            replicas_connected: server.replicas_connected,
            connections: server.connections.now,
            connections_limit: server.connections.limit,
        }
    }
}

impl From<&Galera> for MemberStatus {
    fn from(galera: &Galera) -> Self {
        let status = &galera.status;
        Self {
            cluster_status: super::galera::cluster_status(status).to_owned(),
            state_comment: status.state_comment.clone(),
            ready: status.ready,
            connected: status.connected,
            cluster_size: status.cluster_size,
            state_uuid: status.cluster_state_uuid.to_string(),
            seqno: status.last_committed.map(|seqno| seqno.to_string()),
            conf_id: status.conf_id.map(|id| id.to_string()),
            receive_queue: status.recv_queue.to_string(),
            send_queue: status.send_queue.to_string(),
            flow_control: FlowControlStatus {
                active: status.flow_control.active,
                paused_fraction: status.flow_control.paused_fraction,
                sent: status.flow_control.sent.to_string(),
                received: status.flow_control.received.to_string(),
            },
            cached_downto: status.cached_downto.map(|seqno| seqno.to_string()),
            desync: galera.desync || status.desync_count.is_some_and(|count| count > 0),
            provider_version: status.provider_version.clone(),
        }
    }
}

/// What the files of one pod say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FilesStatus {
    pub asked: Timestamp,
    pub datadir: String,
    pub initialised: bool,
    /// Of what a normal user can reach, as `df` counts.
    pub volume_used_percent: u64,
    pub volume_used_bytes: String,
    pub volume_total_bytes: String,
    /// `null`: there is no `grastate.dat`, or it is empty or damaged.
    pub grastate: Option<GrastateStatus>,
    /// Marks of a state transfer that runs or was cut.
    pub transfer_markers: Vec<String>,
    /// Ways this container would found a new cluster at its next start.
    pub bootstrap_switches: Vec<String>,
}

/// `grastate.dat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GrastateStatus {
    pub uuid: String,
    /// `null`: -1, which is also what it says while the server runs.
    pub seqno: Option<String>,
    pub safe_to_bootstrap: Option<bool>,
}

impl From<&Disk> for FilesStatus {
    fn from(disk: &Disk) -> Self {
        let grastate = match &disk.grastate {
            StateFile::Parsed(grastate) => Some(GrastateStatus {
                uuid: grastate.uuid.to_string(),
                seqno: grastate.seqno.map(|seqno| seqno.to_string()),
                safe_to_bootstrap: grastate.safe_to_bootstrap,
            }),
            StateFile::Absent | StateFile::Empty | StateFile::Malformed { .. } => None,
        };
        Self {
            asked: disk.asked,
            datadir: disk.datadir.clone(),
            initialised: disk.initialised,
            volume_used_percent: disk.space.used_percent(),
            volume_used_bytes: disk.space.used.to_string(),
            volume_total_bytes: disk.space.total.to_string(),
            grastate,
            transfer_markers: disk.transfer_markers.clone(),
            bootstrap_switches: disk.bootstrap_switches.clone(),
        }
    }
}
