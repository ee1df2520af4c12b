//! Processes that outlive the program that started them.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process, named so that it is never mistaken for another: a process id is given out again,
/// together with the start time (clock ticks since boot) and the boot it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    started: u64,
    boot: String,
}

impl Process {
    /// The process that has this id now; `None` if there is none or only its exit status is left.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let (state, _, started) = stat(pid)?;
        let boot = boot_id();
        (!matches!(state, 'Z' | 'X')).then_some(Self { pid, started, boot })
    }

    #[must_use]
    pub fn alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Whether nothing of it runs any more: a killed process is called a zombie while others of its threads still end.
    fn gone(&self) -> bool {
        let Some((state, _, started)) = stat(self.pid) else { return true };
        let other = started != self.started || boot_id() != self.boot;
        other || (matches!(state, 'Z' | 'X') && threads(self.pid) <= 1)
    }

    /// Sends `signal` if the process still lives.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(());
        };
        // The descriptor pins the process: what is checked after it was opened is what is hit.
        let Ok(pinned) = pidfd_open(pid, PidfdFlags::empty()) else {
            return Ok(());
        };
        if !self.alive() {
            return Ok(());
        }
        match pidfd_send_signal(&pinned, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(cause) => Err(cause).with_context(|| format!("Process {} cannot be signalled", self.pid)),
        }
    }

    /// Kills the process and waits until it is gone, with all its threads: as long as one of them lives, its ports are taken.
    ///
    /// # Errors
    /// If it is not gone after ten seconds.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        if wait_until(Duration::from_secs(10), || self.gone()) {
            return Ok(());
        }
        bail!("Process {} was killed but does not end; look at /proc/{0}/stack.", self.pid)
    }

    /// Resident memory in KiB.
    #[must_use]
    pub fn resident(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    }
}

/// State, parent and start time of a process.
fn stat(pid: u32) -> Option<(char, u32, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses, which may itself hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.first()?.chars().next()?, fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
}

/// Threads that a process has, itself included.
fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// Every process id of the machine.
pub(crate) fn all_pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The processes whose parent is `pid`.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let mut all = all_pids();
    all.retain(|child| stat(*child).is_some_and(|(_, parent, _)| parent == pid));
    all
}

/// This process and those that started it.
pub(crate) fn own_line() -> Vec<u32> {
    let mut line = vec![std::process::id()];
    while let Some((_, parent, _)) = line.last().and_then(|pid| stat(*pid)) {
        if parent == 0 {
            break;
        }
        line.push(parent);
    }
    line
}

/// What the kernel calls this boot; two beds of the same boot agree on it.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Starts `command` in a session of its own, its output appended to `log`, and lets go of it.
///
/// # Errors
/// If the log cannot be opened or the program not be started.
pub(crate) fn spawn_detached(command: &Command, log: &Path) -> Result<u32> {
    let out = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("The log {} cannot be opened", log.display()))?;
    let mut child = Command::new("setsid")
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out)
        .spawn()
        .context("setsid (package util-linux) cannot be started")?;
    let pid = child.id();
    // Whoever lives long (a test) must not collect the exit statuses of what it started.
    std::thread::spawn(move || child.wait());
    Ok(pid)
}

/// Asks `true_now` every 20 ms until it is or `limit` has passed; the last answer.
pub(crate) fn wait_until(limit: Duration, mut true_now: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if true_now() {
            return true;
        }
        if began.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Reads a record that a process left; `None` if there is none or it is torn.
pub(crate) fn read_record<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Writes a record beside its place and renames it, so that no reader sees half of it.
pub(crate) fn write_record<T: Serialize>(path: &Path, record: &T) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_vec(record)?)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Removes a file that may not be there.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e).with_context(|| format!("{} cannot be removed", path.display())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_more_than_its_id() {
        let me = Process::of(std::process::id()).unwrap();
        assert!(me.alive());
        let earlier = Process { started: me.started - 1, ..me.clone() };
        assert!(!earlier.alive());
        let other_boot = Process { boot: String::from("other"), ..me };
        assert!(!other_boot.alive());
        other_boot.kill().unwrap();
    }

    #[test]
    fn a_detached_process_is_killed_and_gone() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; exec sleep 60"]);
        let process = Process::of(spawn_detached(&command, &log).unwrap()).unwrap();
        assert!(wait_until(Duration::from_secs(5), || { fs::read(&log).unwrap() == b"begun\n" }));
        let record = folder.path().join("record");
        write_record(&record, &process).unwrap();
        let read: Process = read_record(&record).unwrap();
        assert!(read.alive());
        read.kill().unwrap();
        assert!(!process.alive());
    }

    #[test]
    fn parents_and_children_are_found() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let me = std::process::id();
        assert!(children(me).contains(&child.id()));
        assert_eq!(own_line().first(), Some(&me));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children(me).contains(&child.id()));
    }
}
