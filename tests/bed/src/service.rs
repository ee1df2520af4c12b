//! Long-running programs of the bed: started once, found again by anybody, killed for sure.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::cache::digest;
use crate::command::command;
use crate::process::{Process, children, read_record, remove_file, spawn_detached, wait_until, write_record};

/// In bytes.
const LARGE_LOG: u64 = 32 << 20;

/// Where a service runs.
#[derive(Debug, Clone)]
pub(crate) enum Inside {
    /// In a network namespace, otherwise on the host.
    Network(PathBuf),
    /// In every namespace of the node that has this PID 1.
    Node(Process),
}

/// What a service runs.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub inside: Inside,
    /// Program and arguments; the path is that of the place it runs in.
    pub words: Vec<String>,
    /// Contents of its configuration: a running service with other ones is started again.
    pub configuration: Vec<String>,
}

/// A service: a record of its process and a log.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub name: String,
    record: PathBuf,
    pub log: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    process: Process,
    /// Digest of what it was started with.
    program: String,
}

impl Service {
    pub(crate) fn new(name: &str, run: &Path, log: &Path) -> Self {
        Self { name: name.to_owned(), record: run.join(format!("{name}.json")), log: log.join(format!("{name}.log")) }
    }

    /// The process, if it lives.
    pub(crate) fn process(&self) -> Option<Process> {
        let record: Record = read_record(&self.record)?;
        record.process.alive().then_some(record.process)
    }

    /// Makes the service run as `program` says; a service that runs so already is left alone.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(&self, program: &Program) -> Result<()> {
        let wanted = digest(program.words.iter().chain(&program.configuration));
        if let Some(record) = read_record::<Record>(&self.record)
            && record.process.alive()
        {
            if record.program == wanted {
                return Ok(());
            }
            record.process.kill()?;
        }
        self.put_away_log()?;
        let process = match &program.inside {
            Inside::Network(path) => self.spawn_in_network(path, &program.words)?,
            Inside::Node(init) => self.spawn_in_node(init, &program.words)?,
        };
        let program = wanted;
        write_record(&self.record, &Record { process, program })
    }

    /// Begins a new log when the old one is large; the one before that is dropped.
    fn put_away_log(&self) -> Result<()> {
        if fs::metadata(&self.log).is_ok_and(|log| log.len() > LARGE_LOG) {
            fs::rename(&self.log, self.log.with_extension("log.1"))?;
        }
        Ok(())
    }

    fn spawn_in_network(&self, network: &Path, words: &[String]) -> Result<Process> {
        let mut all = vec![String::from("nsenter"), format!("--net={}", network.display())];
        all.extend_from_slice(words);
        // Neither setsid nor nsenter forks here: the process keeps its id when it becomes the program.
        let pid = spawn_detached(&command(&all), &self.log)?;
        Process::of(pid).with_context(|| self.ended())
    }

    fn spawn_in_node(&self, init: &Process, words: &[String]) -> Result<Process> {
        let mut all = enter_words(init.pid);
        all.extend_from_slice(words);
        let parent = spawn_detached(&command(&all), &self.log)?;
        let is_program = |pid: &u32| {
            let path = fs::read_link(format!("/proc/{pid}/exe"));
            path.is_ok_and(|exe| !exe.ends_with("nsenter"))
        };
        let mut found = None;
        wait_until(Duration::from_secs(10), || {
            // nsenter forks to enter a PID namespace: the service is its child.
            found = children(parent).into_iter().find(is_program);
            found.is_some() || Process::of(parent).is_none()
        });
        found.and_then(Process::of).with_context(|| self.ended())
    }

    /// Makes the service run as `program` says and waits until it is `ready`. Like a service manager
    /// it starts a program that ended before that again, `starts` times in all.
    ///
    /// # Errors
    /// If it ends at every start, or is not ready after `limit`.
    pub(crate) fn start_until_ready(
        &self,
        program: &Program,
        starts: u32,
        limit: Duration,
        ready: impl Fn() -> bool,
    ) -> Result<()> {
        let mut left = starts;
        loop {
            left = left.saturating_sub(1);
            match self.start(program).and_then(|()| self.wait_ready(limit, &ready)) {
                Err(_) if left > 0 && self.process().is_none() => std::thread::sleep(Duration::from_secs(1)),
                done => return done,
            }
        }
    }

    /// Kills the service, if it runs.
    ///
    /// # Errors
    /// If it does not end.
    pub(crate) fn kill(&self) -> Result<()> {
        if let Some(process) = self.process() {
            process.kill()?;
        }
        remove_file(&self.record)
    }

    /// Waits until `ready`.
    ///
    /// # Errors
    /// If the service ends before, or is not ready after `limit`.
    pub(crate) fn wait_ready(&self, limit: Duration, ready: impl Fn() -> bool) -> Result<()> {
        let mut ended = false;
        let in_time = wait_until(limit, || {
            ended = self.process().is_none();
            ended || ready()
        });
        if ended {
            bail!(self.ended());
        }
        if !in_time {
            bail!("{} is not ready after {} s; its log is {}.", self.name, limit.as_secs(), self.log.display());
        }
        Ok(())
    }

    fn ended(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().rev().find(|line| !line.trim().is_empty());
        format!("{} ended at once; the last line of {} is: {}", self.name, self.log.display(), last.unwrap_or("(empty)"))
    }
}

/// The words that put a command in front of them into every namespace of a node: without the PID
/// namespace /proc/self would not exist there and mount(8) would fail.
pub(crate) fn enter_words(init: u32) -> Vec<String> {
    let pid = init.to_string();
    ["nsenter", "-t", &pid, "-m", "-p", "-n", "-u", "-i", "--"].map(String::from).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(folder: &Path) -> Service {
        Service::new("sleeper", folder, folder)
    }

    fn program(seconds: &str) -> Program {
        Program {
            inside: Inside::Network(PathBuf::from("/proc/self/ns/net")),
            words: ["sleep", seconds].map(String::from).to_vec(),
            configuration: Vec::new(),
        }
    }

    #[test]
    fn starting_twice_starts_once_unless_the_program_changed() {
        let folder = tempfile::tempdir().unwrap();
        let service = service(folder.path());
        assert_eq!(service.process(), None);
        if !rustix::process::geteuid().is_root() {
            return; // nsenter needs rights
        }
        service.start(&program("60")).unwrap();
        let first = service.process().unwrap();
        service.start(&program("60")).unwrap();
        assert_eq!(service.process(), Some(first.clone()));
        service.start(&program("61")).unwrap();
        let second = service.process().unwrap();
        assert_ne!(first, second);
        assert!(!first.alive());
        service.kill().unwrap();
        assert!(!second.alive());
        service.kill().unwrap();
    }

    #[test]
    fn a_program_that_ends_before_it_is_ready_is_started_again() {
        if !rustix::process::geteuid().is_root() {
            return; // nsenter needs rights
        }
        let folder = tempfile::tempdir().unwrap();
        let (service, starts) = (service(folder.path()), folder.path().join("starts"));
        let ends_twice = format!("echo >>{0}; [ $(wc -l <{0}) -gt 2 ] || exit 1; sleep 60", starts.display());
        let words = ["sh", "-c", &ends_twice].map(String::from).to_vec();
        let program = Program { words, ..program("60") };
        let count = || std::fs::read_to_string(&starts).unwrap_or_default().lines().count();
        let limit = Duration::from_secs(10);
        let refused = service.start_until_ready(&program, 2, limit, || count() > 2).unwrap_err();
        assert!(refused.to_string().contains("ended at once"), "{refused}");
        service.start_until_ready(&program, 2, limit, || count() > 2).unwrap();
        assert_eq!(count(), 3);
        service.kill().unwrap();
    }
}
