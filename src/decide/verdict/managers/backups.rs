//! Backups as the operator's objects and their jobs tell them.

use crate::decide::finding::Finding;
use crate::decide::rules::backup as rule;
use crate::decide::verdict::Scene;
use crate::decide::verdict::kubernetes::before;
use crate::model::manager::Operator;
use crate::model::operator::{Backup, RunEnd};

use super::object;

pub(super) fn findings(scene: &Scene, operator: &Operator) -> Vec<Finding> {
    let Ok(backups) = operator.backups.known() else { return Vec::new() };
    if backups.is_empty() {
        let summary = "no Backup and no PhysicalBackup names this cluster";
        return vec![Finding::new(&rule::NONE, summary).seen(format!("backups of {}", object(operator)), "none")];
    }
    // A suspended one is a template, or switched off on purpose.
    let active = backups.iter().filter(|backup| !backup.suspended);
    let look = |backup| [failed(scene, operator, backup), waits(operator, backup), late(scene, operator, backup)];
    let complete = backups.iter().filter_map(|backup| shown_complete(operator, backup));
    active.flat_map(look).flatten().chain(complete).collect()
}

fn name(backup: &Backup) -> String {
    format!("{} {}", backup.kind.name(), backup.name)
}

fn describe(operator: &Operator, backup: &Backup) -> String {
    format!("describe {}.{} {}", backup.kind.resource(), operator.group.name(), backup.name)
}

/// When it last succeeded, in words.
fn last(scene: &Scene, backup: &Backup) -> String {
    backup
        .last_success()
        .map_or_else(|| "never, as far as is known".to_owned(), |at| format!("{} ago", before(scene.seen.taken, at)))
}

fn with_condition(finding: Finding, backup: &Backup) -> Finding {
    match &backup.complete {
        Some(complete) => finding.seen(format!("condition Complete of {}", name(backup)), complete),
        None => finding,
    }
}

fn failed(scene: &Scene, operator: &Operator, backup: &Backup) -> Option<Finding> {
    let (at, why) = backup.last_failure()?;
    let ago = at.map(|at| format!(" {} ago", before(scene.seen.taken, at))).unwrap_or_default();
    let finding = Finding::new(&rule::FAILED, format!("{} failed{ago}; its last success: {}", name(backup), last(scene, backup)))
        .seen(format!("newest run of {}", name(backup)), why);
    Some(with_condition(finding, backup).kubectl(&describe(operator, backup)))
}

fn shown_complete(operator: &Operator, backup: &Backup) -> Option<Finding> {
    let complete = backup.complete.as_ref().filter(|complete| complete.holds == Some(true))?;
    if !complete.says_failed() && backup.last_failure().is_none() {
        return None;
    }
    let finding = Finding::new(&rule::SHOWN_COMPLETE, format!("{} is shown as complete although it failed", name(backup)))
        .seen(format!("condition Complete of {}", name(backup)), complete);
    Some(finding.kubectl(&describe(operator, backup)))
}

fn waits(operator: &Operator, backup: &Backup) -> Option<Finding> {
    backup.complete.as_ref().filter(|complete| complete.waits_for_ready())?;
    let finding = Finding::new(&rule::WAITS, format!("{} waits: the operator does not call the cluster ready", name(backup)));
    Some(with_condition(finding, backup).kubectl(&describe(operator, backup)))
}

/// Scheduled, and without a success for more than two intervals.
fn late(scene: &Scene, operator: &Operator, backup: &Backup) -> Option<Finding> {
    let runs = backup.runs.known().ok()?;
    let interval = backup.interval_hours()?;
    let since = backup.last_success().or(backup.created)?;
    let hours = scene.seen.taken.duration_since(since).as_hours();
    // A failure is told as such.
    if hours <= 2 * interval || backup.last_failure().is_some() || runs.iter().any(|run| run.end == RunEnd::Running) {
        return None;
    }
    let finding = Finding::new(&rule::LATE, format!("{} is late; its last success: {}", name(backup), last(scene, backup)))
        .seen(format!("spec.schedule.cron of {}", name(backup)), backup.schedule.as_deref().unwrap_or_default());
    Some(with_condition(finding, backup).kubectl(&describe(operator, backup)))
}
