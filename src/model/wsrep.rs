//! Galera as one server sees it: `SHOW GLOBAL STATUS LIKE 'wsrep%'` and the members table.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClusterStatus {
    Primary,
    NonPrimary,
    /// With a living process: this server will never come back by itself.
    Disconnected,
    Other(String),
}

/// `wsrep_local_state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LocalState {
    Initialized,
    Joining,
    /// Donor, or desynced by hand or by `FLUSH TABLES WITH READ LOCK`.
    DonorDesynced,
    Joined,
    Synced,
    Inconsistent,
    Other(String),
}

/// One server's view. Counters are since the server's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub cluster_status: ClusterStatus,
    pub local_state: LocalState,
    /// The server's own word for the state (`wsrep_local_state_comment`), for display.
    pub state_comment: String,
    pub ready: bool,
    pub connected: bool,
    /// Members of the view, arbitrators and joiners included; a cached value, see the facts on zero-UUID clusters.
    pub cluster_size: u32,
    pub cluster_weight: Option<u32>,
    /// Live list of client addresses; an empty element is an arbitrator (garbd).
    pub incoming_addresses: Vec<String>,
    /// `None` outside a Primary view.
    pub conf_id: Option<u64>,
    /// Empty in the server's answer reads as nil.
    pub cluster_state_uuid: Uuid,
    pub local_state_uuid: Uuid,
    /// `None`: -1, no position.
    pub last_committed: Option<u64>,
    /// This incarnation of the server in the group.
    pub gcomm_uuid: Option<Uuid>,
    /// `OPERATIONAL`, or what is being negotiated now.
    pub evs_state: String,
    pub recv_queue: u64,
    pub recv_queue_avg: f64,
    pub send_queue: u64,
    pub flow_control: FlowControl,
    /// The lowest write set this server can still send by IST.
    pub cached_downto: Option<u64>,
    pub desync_count: Option<u32>,
    pub provider_version: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowControl {
    /// Nanoseconds paused since start; a rate needs two samples.
    pub paused_ns: u64,
    /// Fraction paused since the last `FLUSH STATUS`.
    pub paused_fraction: f64,
    pub sent: u64,
    pub received: u64,
    pub active: bool,
}

/// One row of `mysql.wsrep_cluster_members`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewMember {
    pub uuid: Uuid,
    pub cluster_uuid: Uuid,
    pub name: String,
    pub address: String,
}
