//! What the files of one pod say, read inside the container without the server's help.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::grastate::Grastate;
use super::gtid::GtidState;
use super::gvwstate::Gvwstate;

/// One look at one data directory and the server process beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    pub asked: Timestamp,
    pub datadir: String,
    /// The directory holds a `mysql` schema. A directory without one has never been a complete server.
    pub initialised: bool,
    /// The volume holds no file at all. Only told of one at rest: without a `mysql` schema there may still be data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty: bool,
    pub grastate: StateFile<Grastate>,
    pub gvwstate: StateFile<Gvwstate>,
    /// Leftovers of a state transfer into it that is running or was cut: `sst_in_progress`, `.sst`. Not `wsrep_sst.pid`, which a
    /// donor's script writes, too: a joiner that was killed has one of the others, or a `grastate.dat` of 0 bytes or with the zero
    /// UUID (10.11, 11.8: every method).
    pub transfer_markers: Vec<String>,
    /// The script of a state transfer that runs beside the server. `None`: none runs.
    pub copying: Option<Copying>,
    /// Text of `mariadb_upgrade_info` or `mysql_upgrade_info`: the last version whose system tables are installed.
    pub upgrade_info: Option<String>,
    /// What the binary log ended with (`*.state` beside it). A server writes that when it stops cleanly and removes it when it
    /// starts (11.8.6, seen). By the name of the log. Only told of a directory at rest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub logged: BTreeMap<String, GtidState>,
    /// It was told whom to replicate from (`master.info`). Only told of a directory at rest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follows: bool,
    /// The file system of the data directory.
    pub space: Space,
    pub process: Process,
    /// What the server's own options (configuration files and command line) make of `read_only` at its next start. `None`: no
    /// server runs, or its options cannot be read.
    pub starts_read_only: Option<bool>,
    /// Ways this container would found a new cluster at its next start (flag, config file, environment), as found.
    pub bootstrap_switches: Vec<String>,
    /// The certificate that the server's configuration names. `None`: no server runs, it names none, or it cannot be read.
    pub certificate: Option<Certificate>,
}

impl Disk {
    /// Its server was alone in a primary component when it ended: it left as the last (`safe_to_bootstrap: 1`), or was killed while
    /// its view named nobody else (Galera 26.4; a later start that fails keeps the flag: seen on 10.11 and 11.8). So whoever goes on while this directory is at rest goes on without what it wrote
    /// then, and what both number alike may be different rows.
    #[must_use]
    pub fn was_alone(&self) -> bool {
        match &self.gvwstate {
            // Of who was killed the flag says nothing: others may have written it (mariadb-operator does).
            StateFile::Parsed(view) => view.members.len() == 1,
            _ => self.grastate.parsed().is_some_and(|state| state.safe_to_bootstrap == Some(true)),
        }
    }
}

/// A certificate in a file. The server holds what was there at its start or at its last `FLUSH SSL`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    pub path: String,
    pub starts: Timestamp,
    pub ends: Timestamp,
}

/// One side of a state transfer (SST), as its script shows in the process list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Copying {
    pub side: Side,
    /// `rsync`, `mariabackup`, `mysqldump`: the end of the script's name.
    pub method: String,
    /// Since the script was started.
    pub seconds: u64,
    /// The host to which a donor sends.
    pub peer: Option<String>,
    /// On the donor, the databases, the InnoDB files and the Aria log, which is what is copied. On the joiner, the files written
    /// since the transfer began. `None`: they could not be counted.
    pub bytes: Option<u64>,
}

/// Which end of a state transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    Donor,
    Joiner,
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

impl<T> StateFile<T> {
    /// What a file says, given its bytes (`None`: there is no such file) and the parser of its text.
    pub fn read(bytes: Option<&[u8]>, parse: impl FnOnce(&str) -> Result<T, String>) -> Self {
        let Some(bytes) = bytes else { return Self::Absent };
        if bytes.is_empty() {
            return Self::Empty;
        }
        let text = String::from_utf8_lossy(bytes);
        match parse(&text) {
            Ok(value) => Self::Parsed(value),
            Err(problem) => Self::Malformed { text: text.into_owned(), problem },
        }
    }

    /// The value, if the file is there and readable.
    pub const fn parsed(&self) -> Option<&T> {
        match self {
            Self::Parsed(value) => Some(value),
            _ => None,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{fixture, fixtures};

    #[test]
    fn no_file_an_empty_file_and_a_damaged_file_are_three_things() {
        let read = |bytes: Option<&[u8]>| StateFile::read(bytes, Grastate::parse);
        assert_eq!(read(None), StateFile::Absent);
        let empty = fixture!("galera-10.11/e9-joiner-killed-mid-rsync-SST-grastate.dat");
        assert_eq!(read(Some(empty.as_bytes())), StateFile::Empty);
        assert!(read(Some(fixture!("galera-10.11/running-grastate.dat").as_bytes())).parsed().is_some());
        let damaged = StateFile::Malformed { text: "\u{fffd}".to_owned(), problem: "it has no `uuid:` line".to_owned() };
        assert_eq!(read(Some(b"\xff")), damaged);
    }

    #[test]
    fn every_recorded_file_is_readable_or_empty() {
        for (path, bytes) in fixtures("grastate.dat") {
            let file = StateFile::read(Some(&bytes), Grastate::parse);
            assert!(file == StateFile::Empty || file.parsed().is_some(), "{path}: {file:?}");
        }
        for (path, bytes) in fixtures("gvwstate.dat") {
            assert!(StateFile::read(Some(&bytes), Gvwstate::parse).parsed().is_some(), "{path}");
        }
    }
}
