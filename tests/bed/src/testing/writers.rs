//! Writers that know what the database promised: each acknowledged row is written down before the next one is sent.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mysql::Conn;
use mysql::prelude::Queryable;

use super::cluster::{Cluster, Pod};
use super::run::wait_until;
use super::shape::DATABASE;

/// How long it may take until the writers have their tables.
const PREPARED: Duration = Duration::from_secs(30);

/// Pause of a writer after an error, and the least age of the list of pods it then asks for.
const AFTER_ERROR: Duration = Duration::from_millis(200);

/// Which pods the writers write to.
#[derive(Clone, Debug)]
pub enum Target {
    /// Each writer starts at another pod and goes on to the next after an error.
    Any,
    /// The pod of this ordinal.
    Pod(u32),
    /// The pod that a Service leads to, asked anew for each connection: as clients do that are not in the cluster's confidence.
    Service(String),
}

/// Rows that a server acknowledged, by writer: writer `w` has table `w<w>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged(pub Vec<BTreeSet<u64>>);

impl Acknowledged {
    #[must_use]
    pub fn rows(&self) -> usize {
        self.0.iter().map(BTreeSet::len).sum()
    }
}

/// What the writers saw.
#[derive(Debug)]
pub struct Written {
    pub acknowledged: Acknowledged,
    /// Refused or lost statements; whether a lost one was carried out is unknown.
    pub errors: usize,
    /// The longest time in which no writer got an acknowledgement.
    pub longest_gap: Duration,
    /// The last error, for the report of a failed test.
    pub last_error: Option<String>,
}

/// Running writers; dropping them stops them.
pub struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Own>>,
    pace: Arc<Mutex<Pace>>,
}

struct Pace {
    last: Instant,
    longest: Duration,
}

impl Pace {
    fn acknowledged(&mut self, now: Instant) {
        self.longest = self.longest.max(now.saturating_duration_since(self.last));
        self.last = now;
    }
}

/// Makes the table of each writer.
fn prepare(cluster: &Cluster, target: &Target, count: usize) -> Result<()> {
    let pods = cluster.pods()?;
    let first = match target {
        Target::Any => pods.iter().find(|pod| takes_writes(cluster, pod)),
        Target::Pod(ordinal) => pods.get(*ordinal as usize),
        Target::Service(name) => {
            let leads_to = behind(cluster, name)?;
            pods.iter().find(|pod| pod.name == leads_to)
        }
    };
    let mut server = cluster.connect_writer(first.context("no pod to write to")?)?;
    for writer in 0..count {
        server.query_drop(format!(
            "CREATE OR REPLACE TABLE {DATABASE}.w{writer} (id BIGINT UNSIGNED PRIMARY KEY, payload VARCHAR(64) NOT NULL)"
        ))?;
    }
    Ok(())
}

/// A primary need not be the first pod any more.
fn takes_writes(cluster: &Cluster, pod: &Pod) -> bool {
    let asked = cluster.connect_writer(pod).ok().and_then(|mut server| server.query_first::<u8, _>("SELECT @@read_only+0").ok());
    asked.flatten() == Some(0)
}

/// The pod behind a Service that leads to one alone.
fn behind(cluster: &Cluster, service: &str) -> Result<String> {
    let slices = cluster.get(&format!("endpoints/{service}"))?;
    let pod = &slices["subsets"][0]["addresses"][0]["targetRef"]["name"];
    Ok(pod.as_str().with_context(|| format!("the Service {service} leads to nobody"))?.to_owned())
}

#[derive(Default)]
struct Own {
    ids: BTreeSet<u64>,
    errors: usize,
    last_error: Option<String>,
}

impl Writers {
    /// Starts `count` writers that write as fast as the database takes it; `log` gets a line `w<writer> <id>` per acknowledged row.
    ///
    /// # Errors
    /// The log or the tables cannot be made.
    pub fn start(cluster: &Cluster, target: &Target, count: usize, log: &Path) -> Result<Self> {
        Self::resting(cluster, target, count, Duration::ZERO, log)
    }

    /// The same with a rest after each row: a replica with one thread never catches up with one that writes without a pause.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn resting(cluster: &Cluster, target: &Target, count: usize, rest: Duration, log: &Path) -> Result<Self> {
        let log = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
        // An operator gives the account its rights some seconds after it calls the cluster ready.
        wait_until("the writers may write", PREPARED, || prepare(cluster, target, count))?;
        let stop = Arc::new(AtomicBool::new(false));
        let pace = Arc::new(Mutex::new(Pace { last: Instant::now(), longest: Duration::ZERO }));
        let log = Arc::new(Mutex::new(log));
        let threads = (0..count)
            .map(|number| {
                let writer = Writer {
                    number,
                    cluster: cluster.clone(),
                    target: target.clone(),
                    stop: Arc::clone(&stop),
                    pace: Arc::clone(&pace),
                    log: Arc::clone(&log),
                    rest,
                };
                thread::spawn(move || writer.write())
            })
            .collect();
        Ok(Self { stop, threads, pace })
    }

    /// Stops the writers and tells what they saw.
    ///
    /// # Errors
    /// A writer could not write its log: what was acknowledged is then not known.
    pub fn stop(mut self) -> Result<Written> {
        self.stop.store(true, Ordering::Relaxed);
        let mut written =
            Written { acknowledged: Acknowledged::default(), errors: 0, longest_gap: Duration::ZERO, last_error: None };
        for thread in std::mem::take(&mut self.threads) {
            let own = thread.join().map_err(|_| anyhow::anyhow!("a writer could not write its log"))?;
            written.acknowledged.0.push(own.ids);
            written.errors += own.errors;
            written.last_error = own.last_error.or(written.last_error);
        }
        let pace = self.pace.lock().map_err(|_| anyhow::anyhow!("a writer died"))?;
        written.longest_gap = pace.longest;
        Ok(written)
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Writer {
    number: usize,
    cluster: Cluster,
    target: Target,
    stop: Arc<AtomicBool>,
    pace: Arc<Mutex<Pace>>,
    log: Arc<Mutex<File>>,
    rest: Duration,
}

impl Writer {
    fn write(self) -> Own {
        let mut own = Own::default();
        let mut attempt = self.number;
        let mut server: Option<Conn> = None;
        let mut next = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            next += 1;
            // An id is used once: a lost answer must not turn into a second row.
            match self.insert(&mut server, attempt, next) {
                Ok(()) => {
                    self.acknowledged(next);
                    own.ids.insert(next);
                    thread::sleep(self.rest);
                }
                Err(why) => {
                    own.errors += 1;
                    own.last_error = Some(format!("{why:#}"));
                    server = None;
                    attempt += 1;
                    thread::sleep(AFTER_ERROR);
                }
            }
        }
        own
    }

    fn insert(&self, server: &mut Option<Conn>, attempt: usize, id: u64) -> Result<()> {
        let server = match server {
            Some(server) => server,
            none => none.insert(self.cluster.connect_writer(&self.pod(attempt)?)?),
        };
        let number = self.number;
        server
            .exec_drop(format!("INSERT INTO {DATABASE}.w{number} VALUES (?, ?)"), (id, format!("row {id} of writer {number}")))?;
        Ok(())
    }

    fn pod(&self, attempt: usize) -> Result<Pod> {
        // Asked anew each time: a pod that was replaced has another address.
        let mut pods = self.cluster.pods()?;
        let wanted = match &self.target {
            Target::Any => attempt % pods.len().max(1),
            Target::Pod(ordinal) => *ordinal as usize,
            Target::Service(name) => {
                let leads_to = behind(&self.cluster, name)?;
                pods.iter().position(|pod| pod.name == leads_to).context("the Service leads to a pod that is gone")?
            }
        };
        anyhow::ensure!(wanted < pods.len(), "no pod to write to");
        Ok(pods.swap_remove(wanted))
    }

    /// # Panics
    /// When the log cannot be written: the whole test would prove nothing.
    fn acknowledged(&self, id: u64) {
        let now = Instant::now();
        let mut log = self.log.lock().expect("no writer dies holding the log");
        writeln!(log, "w{} {id}", self.number).expect("the log of acknowledged rows can be written");
        self.pace.lock().expect("no writer dies holding the pace").acknowledged(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_between_any_two_acknowledgements() {
        let start = Instant::now();
        let mut pace = Pace { last: start, longest: Duration::ZERO };
        for at in [10, 30, 250, 260] {
            pace.acknowledged(start + Duration::from_millis(at));
        }
        assert_eq!(pace.longest, Duration::from_millis(220));
    }
}
