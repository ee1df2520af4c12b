//! Faults are written down before they are done, so that whoever comes next can undo them: a test can be killed at any moment.
//!
//! One JSON line per entry: `{"id":…,"fault":{…}}` before the fault, `{"id":…,"undone":true}` after its undoing.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::process::Process;

/// What was done to the bed, with all that its undoing needs: another process must be able to do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// Processes got SIGKILL: their container restarts by itself.
    Killed { pod: String, processes: Vec<Process> },
    /// Processes got SIGSTOP.
    Paused { pod: String, processes: Vec<Process> },
    /// Pods were deleted: their set makes new ones.
    PodsDeleted { pods: Vec<String> },
    /// The machine lost its power.
    PoweredOff { node: String },
    /// The network cable was pulled, both ways.
    Unplugged { node: String },
    /// Packets are dropped by these rules, each an argument list of `iptables` after `-I`.
    Dropping { node: String, rules: Vec<Vec<String>> },
    /// The node's link is slow, both ways.
    Slowed { node: String },
    /// A file that takes the room of a volume; the path is one on the node.
    Filled { node: String, path: PathBuf },
    /// The API server does not run.
    ApiServerDown,
}

impl Fault {
    /// The node it was done to.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::PoweredOff { node }
            | Self::Unplugged { node }
            | Self::Dropping { node, .. }
            | Self::Slowed { node }
            | Self::Filled { node, .. } => Some(node),
            Self::Killed { .. } | Self::Paused { .. } | Self::PodsDeleted { .. } | Self::ApiServerDown => None,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    undone: bool,
}

/// The file; any number of processes may hold it open.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
}

impl Ledger {
    /// The ledger of a bed with this state directory.
    #[must_use]
    pub fn at(state: &Path) -> Self {
        Self { path: state.join("faults.jsonl") }
    }

    /// The right to do faults, which one test run at a time has, for as long as it keeps the answer; `None`: another run has it.
    ///
    /// # Errors
    /// The lock's file cannot be made.
    pub fn claim(&self) -> Result<Option<File>> {
        let path = self.path.with_file_name("testing.lock");
        let lock = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(lock.try_lock().is_ok().then_some(lock))
    }

    /// Writes `fault` down, on the disk, and answers its id.
    ///
    /// # Errors
    /// The file cannot be written: the fault must not be done then.
    pub fn begin(&self, fault: &Fault) -> Result<u64> {
        self.append(|id| Line { id, fault: Some(fault.clone()), undone: false })
    }

    /// Says that the fault is undone.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn end(&self, undone: u64) -> Result<()> {
        self.append(|_| Line { id: undone, fault: None, undone: true }).map(drop)
    }

    /// Faults that nobody undid, the newest first: the order of their undoing.
    ///
    /// # Errors
    /// The file cannot be read. A line cut short by a crash was never acted upon and is passed over.
    pub fn open_entries(&self) -> Result<Vec<(u64, Fault)>> {
        let text = match std::fs::read_to_string(&self.path) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.with_context(|| format!("the ledger {} cannot be read", self.path.display()))?,
        };
        let mut open = BTreeMap::new();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
            match line.fault {
                Some(fault) => open.insert(line.id, fault),
                None => open.remove(&line.id),
            };
        }
        Ok(open.into_iter().rev().collect())
    }

    /// Forgets everything: for a bed that is taken down with all its faults.
    ///
    /// # Errors
    /// The file is there and cannot be removed.
    pub fn forget(&self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(why).context("the ledger cannot be removed"),
            _ => Ok(()),
        }
    }

    /// Appends under the file's lock, so that ids are unique and lines whole.
    fn append(&self, line: impl FnOnce(u64) -> Line) -> Result<u64> {
        let work = || -> Result<u64> {
            let mut file = self.locked()?;
            let mut text = String::new();
            file.rewind()?;
            file.read_to_string(&mut text)?;
            let id = text.lines().count() as u64;
            let start = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            let line = serde_json::to_string(&line(id))?;
            file.write_all(format!("{start}{line}\n").as_bytes())?;
            file.sync_all()?;
            Ok(id)
        };
        work().with_context(|| format!("the ledger {} cannot be written", self.path.display()))
    }

    fn locked(&self) -> Result<File> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(&self.path)?;
        file.lock()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Fault {
        Fault::PoweredOff { node: name.into() }
    }

    #[test]
    fn what_was_not_undone_is_open_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::at(dir.path());
        assert!(ledger.open_entries().unwrap().is_empty());
        let first = ledger.begin(&node("n1")).unwrap();
        let second = ledger.begin(&node("n2")).unwrap();
        let third = ledger.begin(&Fault::ApiServerDown).unwrap();
        ledger.end(second).unwrap();
        // Another process reads the same.
        assert_eq!(Ledger::at(dir.path()).open_entries().unwrap(), [(third, Fault::ApiServerDown), (first, node("n1"))]);
        ledger.forget().unwrap();
        assert!(ledger.open_entries().unwrap().is_empty());
    }

    #[test]
    fn one_run_at_a_time_does_faults() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::at(dir.path());
        let run = ledger.claim().unwrap();
        assert!(run.is_some());
        assert!(ledger.claim().unwrap().is_none());
        drop(run);
        assert!(ledger.claim().unwrap().is_some());
    }

    #[test]
    fn a_line_cut_short_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::at(dir.path());
        ledger.begin(&node("n1")).unwrap();
        let mut file = OpenOptions::new().append(true).open(dir.path().join("faults.jsonl")).unwrap();
        file.write_all(b"{\"id\":1,\"fau").unwrap();
        let next = ledger.begin(&node("n2")).unwrap();
        assert_eq!(ledger.open_entries().unwrap(), [(next, node("n2")), (0, node("n1"))]);
    }

    #[test]
    fn threads_get_ids_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::at(dir.path());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| ledger.begin(&Fault::ApiServerDown).unwrap());
            }
        });
        assert_eq!(ledger.open_entries().unwrap().len(), 8);
    }
}
