//! `Backup` and `PhysicalBackup` objects, and the jobs they have run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Condition;
use crate::model::fact::Fact;

/// One backup object of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    pub kind: BackupKind,
    pub name: String,
    pub uid: String,
    pub created: Option<Timestamp>,
    /// `spec.schedule.cron`; `None`: it runs once.
    pub schedule: Option<String>,
    /// `spec.schedule.suspend`: a template, or switched off.
    pub suspended: bool,
    /// Condition `Complete`. Up to 26.6 it is `True` also when the job has failed; only its reason tells.
    pub complete: Option<Condition>,
    /// `status.lastScheduleTime` of a `PhysicalBackup`: begun, not done.
    pub last_scheduled: Option<Timestamp>,
    /// The jobs of it that still exist; Kubernetes keeps a few. A volume snapshot has none.
    pub runs: Fact<Vec<BackupRun>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BackupKind {
    /// `Backup`: a dump.
    Logical,
    /// `PhysicalBackup`: mariadb-backup or a volume snapshot.
    Physical,
}

impl BackupKind {
    /// The kind of the object.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logical => "Backup",
            Self::Physical => "PhysicalBackup",
        }
    }

    /// The plural name of its resource.
    #[must_use]
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Logical => "backups",
            Self::Physical => "physicalbackups",
        }
    }
}

/// One job of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupRun {
    pub job: String,
    pub started: Option<Timestamp>,
    pub end: RunEnd,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunEnd {
    Running,
    Succeeded { at: Option<Timestamp> },
    Failed { at: Option<Timestamp>, why: String },
}

impl Backup {
    /// When it last succeeded, as far as its jobs or, where no job is left, its condition tells. That an artefact was
    /// written is all this says; nobody has read it back.
    #[must_use]
    pub fn last_success(&self) -> Option<Timestamp> {
        let by_jobs = self.jobs().iter().filter_map(|run| match run.end {
            RunEnd::Succeeded { at } => at,
            RunEnd::Running | RunEnd::Failed { .. } => None,
        });
        by_jobs.max().or_else(|| {
            let condition =
                self.complete.as_ref().filter(|condition| condition.holds == Some(true) && !condition.says_failed())?;
            condition.since.filter(|_| self.jobs().is_empty())
        })
    }

    /// The newest run or, where no job is left, the condition, if it failed: when, and why.
    #[must_use]
    pub fn last_failure(&self) -> Option<(Option<Timestamp>, String)> {
        let newest = self.jobs().iter().filter(|run| run.end != RunEnd::Running).max_by_key(|run| run.started);
        match newest.map(|run| &run.end) {
            Some(RunEnd::Failed { at, why }) => Some((*at, why.clone())),
            Some(_) => None,
            None => {
                let condition = self.complete.as_ref().filter(|condition| condition.says_failed())?;
                Some((condition.since, condition.to_string()))
            }
        }
    }
}

impl Backup {
    /// An upper bound of the time between two runs, in hours; `None`: it has no schedule, or one that is not understood.
    #[must_use]
    pub fn interval_hours(&self) -> Option<i64> {
        let schedule = self.schedule.as_deref()?.trim();
        match schedule {
            "@hourly" => return Some(1),
            "@daily" | "@midnight" => return Some(24),
            "@weekly" => return Some(7 * 24),
            "@monthly" => return Some(31 * 24),
            _ => {}
        }
        let fields: Vec<&str> = schedule.split_whitespace().collect();
        let [_, hour, day, month, weekday] = fields[..] else { return None };
        // A list or a step runs more often, which only makes the bound looser.
        Some(match (hour, day, month, weekday) {
            (_, _, month, _) if month != "*" => 366 * 24,
            (_, day, _, _) if day != "*" => 31 * 24,
            (_, _, _, weekday) if weekday != "*" => 7 * 24,
            (hour, _, _, _) if hour != "*" => 24,
            _ => 1,
        })
    }

    fn jobs(&self) -> &[BackupRun] {
        self.runs.known().map_or(&[], Vec::as_slice)
    }
}

impl Condition {
    /// Whether a condition `Complete` tells of a failure, whatever its status: up to 26.6 a failed job is shown as
    /// `True` with the reason `JobFailed`, and a failed scheduled dump with a wrong reason and the message `Failed`.
    #[must_use]
    pub fn says_failed(&self) -> bool {
        (self.reason.ends_with("Failed") || self.message == "Failed") && !self.waits_for_ready()
    }

    /// Whether a backup has not begun because the operator does not call the cluster ready.
    #[must_use]
    pub fn waits_for_ready(&self) -> bool {
        self.holds == Some(false) && self.message.contains("MariaDB not ready")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_gives_the_longest_time_between_two_runs() {
        for (schedule, hours) in [
            ("*/10 * * * *", Some(1)),
            ("0 3 * * *", Some(24)),
            ("0 */6 * * *", Some(24)),
            ("30 2 * * 0", Some(7 * 24)),
            ("0 3 1 * *", Some(31 * 24)),
            ("0 3 1 1 *", Some(366 * 24)),
            ("@daily", Some(24)),
            ("@every 5m", None),
            ("", None),
        ] {
            assert_eq!(
                Backup { schedule: Some(schedule.to_owned()), ..backup(None, vec![]) }.interval_hours(),
                hours,
                "{schedule}"
            );
        }
        assert_eq!(Backup { schedule: None, ..backup(None, vec![]) }.interval_hours(), None);
    }

    fn at(hour: i8) -> Option<Timestamp> {
        Some(format!("2026-11-20T{hour:02}:00:00Z").parse().unwrap())
    }

    fn run(hour: i8, end: RunEnd) -> BackupRun {
        BackupRun { job: format!("nightly-{hour}"), started: at(hour), end }
    }

    fn backup(complete: Option<(bool, &str, &str)>, runs: Vec<BackupRun>) -> Backup {
        let complete = complete.map(|(holds, reason, message)| Condition {
            name: "Complete".into(),
            holds: Some(holds),
            reason: reason.into(),
            message: message.into(),
            since: at(9),
        });
        Backup {
            kind: BackupKind::Physical,
            name: "nightly".into(),
            uid: "1".into(),
            created: at(0),
            schedule: Some("0 3 * * *".into()),
            suspended: false,
            complete,
            last_scheduled: None,
            runs: Fact::Known(runs),
        }
    }

    #[test]
    fn the_jobs_tell_more_than_the_condition() {
        let failed = |hour| run(hour, RunEnd::Failed { at: at(hour), why: "BackoffLimitExceeded".into() });
        let good = |hour| run(hour, RunEnd::Succeeded { at: at(hour) });
        let shown_complete = Some((true, "JobFailed", "Failed"));
        for (complete, runs, success, fails) in [
            (Some((true, "JobComplete", "Success")), vec![], at(9), false),
            (Some((true, "JobComplete", "Success")), vec![good(3), good(4)], at(4), false),
            (Some((true, "JobComplete", "Success")), vec![good(3), failed(5)], at(3), true),
            (shown_complete, vec![failed(5)], None, true),
            (shown_complete, vec![], None, true),
            // One retained failed job keeps the condition at Failed although later ones succeeded.
            (shown_complete, vec![failed(3), good(4)], at(4), false),
            (Some((false, "CronJobScheduled", "Failed")), vec![], None, true),
            (Some((false, "Failed", "MariaDB not ready")), vec![], None, false),
            (Some((false, "JobRunning", "Running")), vec![run(3, RunEnd::Running)], None, false),
            (None, vec![], None, false),
        ] {
            let backup = backup(complete, runs);
            assert_eq!((backup.last_success(), backup.last_failure().is_some()), (success, fails), "{backup:?}");
        }
    }
}
