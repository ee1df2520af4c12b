//! Volume claims with everything that their size and their end depend on, and what a data directory holds.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::disk::{Disk, Process, StateFile};
use super::gtid::GtidState;

/// A `PersistentVolumeClaim`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    pub name: String,
    pub uid: String,
    pub labels: BTreeMap<String, String>,
    pub deletion: Option<Timestamp>,
    /// The pod among its `ownerReferences`: the claim is deleted with it (safety B2).
    pub deleted_with: Option<String>,
    pub phase: String,
    /// `spec.resources.requests.storage`.
    pub requested: Option<String>,
    /// `status.capacity.storage`.
    pub capacity: Option<String>,
    pub class: Option<String>,
    /// The `PersistentVolume` it is bound to.
    pub volume: Option<String>,
    /// Types of the conditions that hold: `Resizing`, `FileSystemResizePending` …
    pub conditions: Vec<String>,
    /// `status.allocatedResourceStatuses.storage`: how far an expansion is, in the words of Kubernetes.
    pub resize: Option<String>,
}

impl Volume {
    /// Whether an expansion of it is under way, as Kubernetes says.
    #[must_use]
    pub fn grows(&self) -> bool {
        self.conditions.iter().any(|condition| matches!(condition.as_str(), "Resizing" | "FileSystemResizePending"))
    }

    /// Why an expansion will not come to an end by waiting. A size that the storage cannot give is never tried again with
    /// success; other errors are.
    #[must_use]
    pub fn cannot_grow(&self) -> Option<&str> {
        self.resize.as_deref().filter(|status| status.ends_with("Infeasible"))
    }
}

/// A `StorageClass`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StorageClass {
    pub name: String,
    /// `allowVolumeExpansion`.
    pub expands: bool,
}

/// What a data directory at rest holds, as far as its files tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// No file at all.
    Nothing,
    /// Galera closed it cleanly here. `alone`: as [`Disk::was_alone`].
    At { uuid: Uuid, seqno: u64, alone: bool },
    /// A server without Galera closed these binary logs cleanly here, by their names.
    Logged(BTreeMap<String, GtidState>),
    /// Why no position can be told.
    Unknown(String),
}

impl Holds {
    /// Reads the files of a server that does not run. A seqno counts only without `gvwstate.dat` (safety A3).
    #[must_use]
    pub fn at_rest(files: &Disk) -> Self {
        if files.empty {
            return Self::Nothing;
        }
        let unknown = |why: &str| Self::Unknown(why.to_owned());
        if files.process != Process::None {
            return unknown("a server runs on it");
        }
        match &files.grastate {
            StateFile::Parsed(state) if state.uuid.is_nil() => {
                unknown("its grastate.dat names no history (zero UUID): what the data is cannot be told")
            }
            StateFile::Parsed(_) if files.gvwstate != StateFile::Absent => {
                unknown("its server did not stop cleanly: gvwstate.dat is still there")
            }
            StateFile::Parsed(state) => match state.seqno {
                Some(seqno) => Self::At { uuid: state.uuid, seqno, alone: files.was_alone() },
                None => unknown("its server did not stop cleanly: grastate.dat says seqno -1"),
            },
            StateFile::Empty => unknown("its grastate.dat is empty: a first copy never completed"),
            StateFile::Malformed { problem, .. } => Self::Unknown(format!("its grastate.dat is unreadable: {problem}")),
            StateFile::Absent if files.logged.is_empty() => unknown(
                "it has no grastate.dat, and no binary log that was closed: its server did not stop cleanly, or logs elsewhere",
            ),
            StateFile::Absent => Self::Logged(files.logged.clone()),
        }
    }
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("empty"),
            Self::At { uuid, seqno, .. } => write!(f, "{uuid}:{seqno}"),
            Self::Logged(logs) => {
                let logs: Vec<String> = logs.values().map(ToString::to_string).collect();
                f.write_str(&logs.join("; "))
            }
            Self::Unknown(why) => f.write_str(why),
        }
    }
}
