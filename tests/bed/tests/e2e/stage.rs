//! What a scenario works with.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bed::testing::cluster::{Cluster, Wsrep};
use bed::testing::faults::{Faults, Lasting};
use bed::testing::plugin::{Plugin, Seen};
use bed::testing::reliability::{self, Record};
use bed::testing::run::wait_until;
use bed::testing::shape::Source;

/// Long enough for whatever a healthy machine does by itself.
pub const SOON: Duration = Duration::from_secs(60);

pub struct Stage {
    /// `row_2::11.8`.
    pub trial: String,
    /// Where the bed keeps what trials leave.
    pub root: PathBuf,
    pub cluster: Cluster,
    pub plugin: Plugin,
    pub faults: Faults,
    /// Kept when the trial fails.
    pub folder: PathBuf,
}

/// What `status` must answer.
#[derive(Debug, Default)]
pub struct Expected<'a> {
    pub exit: i32,
    /// Codes that must be among the findings.
    pub codes: &'a [&'a str],
    /// Codes that must not.
    pub without: &'a [&'a str],
    /// Words that must be on the screen.
    pub says: &'a [&'a str],
}

impl Stage {
    /// Keeps what this trial came to, for `docs/reliability.md`. The last thing a trial does.
    pub fn record(&self, record: Record) -> Result<()> {
        let shape = &self.cluster.shape;
        let source = match shape.source {
            Source::Operator => "mariadb-operator",
            Source::Bitnami => "Bitnami chart",
            Source::Plain(_) | Source::Habit(_) => "StatefulSet",
        };
        let place = (format!("{:?}, {source}", shape.kind), shape.version.to_string());
        reliability::keep(&self.root, &self.trial, place, record)
    }

    /// Keeps what a trial of `status` came to: the first findings, in their own words. The last thing a trial does.
    pub fn saw(&self, rows: &str, fault: &str, seen: &Seen) -> Result<()> {
        let worrying = seen.findings().filter(|finding| finding["severity"] != "info").take(3);
        let said = worrying.map(|finding| format!("{} {}", finding["code"], finding["summary"]).replace('"', ""));
        self.said(rows, fault, &format!("`status`: {}", said.collect::<Vec<_>>().join("; ")))
    }

    /// Keeps what a trial came to in which nothing was changed.
    pub fn said(&self, rows: &str, fault: &str, said: &str) -> Result<()> {
        let (rows, fault, did) = (rows.to_owned(), fault.to_owned(), said.to_owned());
        self.record(Record { rows, fault, did, took: None, acknowledged: None })
    }

    /// Runs `status` as the administrator and compares. Pods get time: the machine may be busy with other clusters.
    pub fn status(&self, expected: &Expected<'_>) -> Result<Seen> {
        let seen = self.plugin.status(&self.cluster, &["--pod-timeout=15s"])?;
        compare(&seen, expected)?;
        Ok(seen)
    }

    /// As [`Self::status`], with the deadlines that users have.
    pub fn status_in_time(&self, expected: &Expected<'_>) -> Result<Seen> {
        let seen = self.plugin.status(&self.cluster, &[])?;
        compare(&seen, expected)?;
        Ok(seen)
    }

    /// Waits until every member of `ordinals` answers over its own socket so that `is_so` holds.
    pub fn wait_wsrep(&self, what: &str, ordinals: &[u32], is_so: impl Fn(&Wsrep) -> bool) -> Result<Duration> {
        wait_until(what, SOON, || {
            for ordinal in ordinals {
                let wsrep = self.wsrep(*ordinal)?;
                ensure!(is_so(&wsrep), "db-{ordinal}: {wsrep:?}");
            }
            Ok(())
        })
    }

    /// Waits until a full copy to the third member begins, and stops its processes at the donor.
    pub fn hold_copy(&self) -> Result<Lasting> {
        let possible = [self.cluster.pod(0)?, self.cluster.pod(1)?];
        let began = Instant::now();
        loop {
            // As the set's method of transfer has it.
            let copies = ["rsync", "mariadb-backup", "mariabackup"];
            let both = possible.iter().flat_map(|donor| copies.map(|copy| (donor, copy)));
            if let Some(paused) = both.into_iter().find_map(|(donor, copy)| self.faults.pause(donor, copy).ok()) {
                return Ok(paused);
            }
            ensure!(began.elapsed() < SOON, "no state transfer began");
            // A copy this small is over within a second.
            thread::sleep(Duration::from_millis(3));
        }
    }

    pub fn wsrep(&self, ordinal: u32) -> Result<Wsrep> {
        Wsrep::of(&mut self.cluster.connect(&self.cluster.pod(ordinal)?)?)
    }
}

pub fn compare(seen: &Seen, expected: &Expected<'_>) -> Result<()> {
    let mut wrong = Vec::new();
    for (form, ended) in [("table", &seen.table), ("json", &seen.structured)] {
        if ended.code != Some(expected.exit) {
            wrong.push(format!("exit code {:?} of the {form} instead of {}", ended.code, expected.exit));
        }
    }
    let codes = seen.codes();
    wrong.extend(expected.codes.iter().filter(|code| !codes.contains(**code)).map(|code| format!("no {code}")));
    wrong.extend(expected.without.iter().filter(|code| codes.contains(**code)).map(|code| format!("a {code} too many")));
    wrong.extend(
        expected
            .says
            .iter()
            .filter(|text| !seen.table.stdout.contains(**text))
            .map(|text| format!("the screen does not say {text:?}")),
    );
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}; findings {codes:?}\n{}", wrong.join("; "), seen.told())
}
