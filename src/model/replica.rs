//! One row of `SHOW ALL REPLICAS STATUS`.

use serde::{Deserialize, Serialize};

use super::gtid::GtidList;

/// `Slave_IO_Running`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IoThread {
    Yes,
    No,
    Connecting,
    Preparing,
}

/// One replication channel of a replica. Column names keep Master/Slave in 10.11 and 11.8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    pub name: String,
    pub source_host: String,
    pub source_port: u16,
    /// 0 until the IO thread has connected once.
    pub source_server_id: u32,
    pub io: IoThread,
    pub sql_running: bool,
    pub io_error: Option<ServerError>,
    pub sql_error: Option<ServerError>,
    /// `Seconds_Behind_Master`: NULL (not 0) when broken; 0 does not prove that all is applied.
    pub lag_seconds: Option<u64>,
    /// `Using_Gtid` is `Slave_Pos` or `Current_Pos`.
    pub uses_gtid: bool,
    pub gtid_io_pos: GtidList,
    /// Intended delay in seconds (`SQL_Delay`).
    pub delay_seconds: u64,
}

/// An error number and text as the server wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerError {
    pub code: u32,
    pub text: String,
}
