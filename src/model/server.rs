//! What one server said about itself over SQL, in one sample.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::gtid::{GtidList, GtidState};
use super::replica::Channel;
use super::version::Version;
use super::wsrep;

/// One answer of one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    pub asked: Timestamp,
    pub version: Version,
    pub uptime: Duration,
    pub server_id: u32,
    pub hostname: String,
    /// `@@read_only`; on MariaDB it does not stop accounts with READ_ONLY ADMIN.
    pub read_only: bool,
    pub binlog: Binlog,
    pub gtid: Gtids,
    /// `None`: no Galera provider is loaded, or `wsrep_on` is OFF.
    pub galera: Option<Galera>,
    /// One per `SHOW ALL REPLICAS STATUS` row; empty on a server that replicates from nobody.
    pub channels: Vec<Channel>,
    /// Replicas with a binlog dump running from this server (`Slaves_connected`).
    pub replicas_connected: u32,
    /// `@@innodb_flush_log_at_trx_commit`: only 1 keeps every acknowledged row through a power cut.
    pub flush_log_at_commit: u32,
    pub connections: Connections,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binlog {
    pub enabled: bool,
    /// `@@log_slave_updates`.
    pub logs_replicated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gtids {
    pub domain: u32,
    pub strict: bool,
    pub binlog_pos: GtidList,
    pub slave_pos: GtidList,
    pub current_pos: GtidList,
    /// The only one of these that allows divergence checks (per domain and server).
    pub binlog_state: GtidState,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Galera {
    pub status: wsrep::Status,
    /// `mysql.wsrep_cluster_members`: the last *Primary* view this server was in.
    pub view: Vec<wsrep::ViewMember>,
    pub cluster_name: String,
    pub node_name: String,
    /// `wsrep_provider_options`, parsed.
    pub options: BTreeMap<String, String>,
    /// `@@wsrep_desync`.
    pub desync: bool,
    /// `@@wsrep_sst_method`.
    pub sst_method: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connections {
    pub now: u32,
    pub limit: u32,
}
