//! What the files of one pod say, read inside the container without the server's help.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::grastate::Grastate;
use super::gvwstate::Gvwstate;

/// One look at one data directory and the server process beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    pub asked: Timestamp,
    pub datadir: String,
    /// The directory holds a `mysql` schema. A directory without one has never been a complete server.
    pub initialised: bool,
    pub grastate: StateFile<Grastate>,
    pub gvwstate: StateFile<Gvwstate>,
    /// Leftovers of a state transfer that is running or was cut: `sst_in_progress`, `.sst`, `wsrep_sst.pid`.
    pub transfer_markers: Vec<String>,
    /// Text of `mariadb_upgrade_info` or `mysql_upgrade_info`: the last version whose system tables are installed.
    pub upgrade_info: Option<String>,
    /// The file system of the data directory.
    pub space: Space,
    pub process: Process,
    /// Ways this container would found a new cluster at its next start (flag, config file, environment), as found.
    pub bootstrap_switches: Vec<String>,
}

/// A small state file of Galera.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StateFile<T> {
    Absent,
    /// 0 bytes: for `grastate.dat` the mark of a first state transfer that never completed.
    Empty,
    Parsed(T),
    /// The text as it is, and what is wrong with it.
    Malformed {
        text: String,
        problem: String,
    },
}

/// Bytes of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Space {
    pub total: u64,
    pub used: u64,
    pub available: u64,
}

impl Space {
    /// Used part in percent as `df` counts it: of what a normal user can reach.
    #[must_use]
    pub fn used_percent(&self) -> u64 {
        let reachable = self.used + self.available;
        if reachable == 0 { 0 } else { (self.used * 100).div_ceil(reachable) }
    }
}

/// The server process of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Process {
    /// No mariadbd or mysqld is running.
    None,
    /// A server runs. `state` is the letter of `/proc/PID/stat` (T = stopped by a signal); `listening` are TCP ports.
    Running { pid: u32, state: char, listening: Vec<u16> },
}
