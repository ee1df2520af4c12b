//! More or fewer replicas of a cluster of mariadb-operator: its object is told one more or one fewer, and the next only when the
//! servers, the set and the operator's own words agree that it is so ([`way`]). The operator copies the data of a new replica from a
//! backup that it takes for it; what keeps it from that is a reason not to begin, and to call it off.

mod back;
#[cfg(test)]
mod tests;
mod way;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decide::operation::Beginning;
use crate::decide::operation::formation::does_not_start;
use crate::decide::operation::gates::{AGREE, JOIN, LEAVE, leaving, observed, unobserved_change, wait};
use crate::decide::operation::memo::Memo;
use crate::decide::operation::operator;
use crate::decide::operation::plan::{Action, Decision, Plan, Range, Refusal, Step};
use crate::decide::operation::preflight::going;
use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::names::Ordinal;
use crate::model::operator::OperatorView;
use crate::model::snapshot::Snapshot;

use super::names;

pub use back::{settled, taken_back};

/// How long the operator may take for what passes: a rollout, a switchover, a look at its object.
const PASSES: Duration = LEAVE;

/// What is to be kept in mind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operated {
    /// How many replicas there are to be.
    pub replicas: u32,
    /// What this operation may have told the operator, like `ranges` of the memo.
    pub told: Vec<u32>,
    /// As far as it ever went: what is left of backups is of this operation then.
    pub reached: u32,
    /// Why the last new replica was called off.
    #[serde(default)]
    pub failed: Option<String>,
}

impl Operated {
    /// Whoever goes on has been told what somebody else changed, and has seen to what failed.
    pub fn adopt(&mut self, seen: &Snapshot) {
        self.failed = None;
        if let Some(view) = operator::view(seen).filter(|view| !self.told.contains(&view.spec.replicas)) {
            self.told = vec![view.spec.replicas];
        }
    }
}

pub fn begin(seen: &Snapshot, view: &OperatorView, replicas: u32, now: Range) -> Result<Beginning, Why> {
    let name = &seen.target.name;
    if view.spec.replicas != now.replicas {
        return Ok(Beginning::Refuse(pending(seen, view, now)));
    }
    if replicas == now.replicas {
        return Ok(Beginning::Nothing(format!("{name} has {} already: there is nothing to do", super::members(replicas))));
    }
    if view.spec.suspended {
        return Ok(Beginning::Refuse(suspended(seen, view)));
    }
    observed(seen)?;
    let out = replicas > now.replicas;
    let refusal = if out {
        way::out(seen, view, now, replicas)?.map_or_else(|| way::left(seen, view), |refusal| Ok(Some(refusal)))?
    } else {
        way::inwards(seen, view, now, replicas)
    };
    if let Some(refusal) = refusal {
        return Ok(Beginning::Refuse(refusal));
    }
    let mut because = way::busy(seen, view);
    because.extend(whole(seen).err());
    if because.is_empty() && !out {
        because = way::spared(seen, now, replicas)?;
    }
    if !because.is_empty() {
        let summary = format!("{name} is not at rest and whole, so mariadb-operator is not told another number now");
        let refusal = Refusal::new(&rules::SAFE_WAY_CLOSED, summary).because(because).plugin(&format!("status {name}"));
        return Ok(Beginning::Refuse(refusal));
    }
    let operated = Operated { replicas, told: vec![now.replicas], reached: now.replicas, failed: None };
    Ok(Beginning::Begin(Box::new(Memo { operated: Some(operated), ..Memo::new(seen) })))
}

/// What the operator was told before, and has not done yet.
fn pending(seen: &Snapshot, view: &OperatorView, now: Range) -> Refusal {
    let name = &seen.target.name;
    let summary = format!("mariadb-operator was told another number of replicas of {name}, and has not done it yet");
    let said = view.status.condition("ScaledOut").map(|said| format!("condition ScaledOut of MariaDB {}: {said}", view.name));
    let back = format!("{{\"spec\":{{\"replicas\":{}}}}}", now.replicas);
    Refusal::new(&rules::SAFE_WAY_CLOSED, summary)
        .because([
            format!("spec.replicas of MariaDB {}: {}", view.name, view.spec.replicas),
            format!("spec.replicas of the StatefulSet: {}", now.replicas),
        ])
        .because(said)
        .kubectl(&format!("patch mariadbs.{} {} --type=merge -p {back}", view.group.name(), view.name))
}

fn suspended(seen: &Snapshot, view: &OperatorView) -> Refusal {
    let name = &seen.target.name;
    let summary = format!("mariadb-operator is suspended for {name}: what it is told now would happen when it works again");
    Refusal::new(&rules::SAFE_WAY_CLOSED, summary)
        .because([format!("spec.suspend of MariaDB {}: true", view.name)])
        .plugin(&format!("unsuspend {name}"))
}

/// Whether every replica of the set follows the primary, has caught up, is read-only and Ready.
fn whole(seen: &Snapshot) -> Result<(), String> {
    way::formation(seen)?.whole(seen, &BTreeSet::new())
}

/// Whether a second look says so, too.
///
/// # Errors
/// What it does not confirm.
pub fn confirmed(first: &Snapshot, second: &Snapshot) -> Result<(), String> {
    way::formation(first)?.confirmed(first, second)
}

pub fn decide(seen: &Snapshot, memo: &Memo, operated: &Operated) -> Result<Decision, Why> {
    let Some(view) = operator::view(seen) else { return Ok(operator::unread()) };
    if !operated.told.contains(&view.spec.replicas) {
        return Ok(Decision::Refuse(told_otherwise(view, operated)));
    }
    if let Some(wait) = unobserved_change(seen) {
        return Ok(wait);
    }
    let (now, told) = (Range::of(&seen.objects.stateful_set), view.spec.replicas);
    if let Some(failed) = operated.failed.as_ref().filter(|_| now.replicas == told) {
        return Ok(Decision::Refuse(not_seeded(seen, failed)));
    }
    if view.spec.suspended {
        let name = &seen.target.name;
        return Ok(Decision::Refuse(suspended(seen, view).plugin(&format!("operation abort {name}"))));
    }
    if now.replicas < told {
        return Ok(coming(seen, view, operated, now));
    }
    if now.replicas > told {
        return Ok(wait(format!("mariadb-operator has not made the set smaller yet: {}", view.says()), LEAVE));
    }
    if let Some(pod) = leaving(seen, now) {
        return Ok(wait(format!("{} is stopping", pod.name), LEAVE));
    }
    standing(seen, memo, view, operated, now)
}

fn told_otherwise(view: &OperatorView, operated: &Operated) -> Refusal {
    let summary = format!("somebody else changed MariaDB {} meanwhile; nothing was overwritten", view.name);
    let left = operated.told.last().copied().unwrap_or(operated.replicas);
    Refusal::new(&rules::CHANGED_OUTSIDE, summary).because([
        format!("this operation left: spec.replicas {left}"),
        format!("the object says now: spec.replicas {}", view.spec.replicas),
    ])
}

fn not_seeded(seen: &Snapshot, failed: &str) -> Refusal {
    let name = &seen.target.name;
    let summary = format!(
        "mariadb-operator did not bring the new replica of {name}; it was called off, and spec.replicas says again what runs"
    );
    Refusal::new(&rules::NOT_SEEDED, summary)
        .because([failed.to_owned()])
        .plugin(&format!("operation abort {name}"))
        .plugin(&format!("operation resume {name}"))
}

/// The operator has been told of one more, and the set has not grown yet. What goes wrong now is called off at once, without a
/// second look: the operator tries again and again, and when something else comes between it lets the set grow all the same (O 4.5).
fn coming(seen: &Snapshot, view: &OperatorView, operated: &Operated, now: Range) -> Decision {
    let closes = || way::closes(seen, view).into_iter().next();
    let Some(failed) = way::failure(seen, view).or_else(closes) else {
        return wait(way::doing(seen, view, operated, now), JOIN);
    };
    let step = call_off(seen, view, now, Some(failed));
    Decision::Go(Plan { steps: vec![Step { emergency: true, ..step }], ..Plan::default() })
}

/// What the operator was told is taken back before it has come.
fn call_off(seen: &Snapshot, view: &OperatorView, now: Range, failed: Option<String>) -> Step {
    let act = Action::Replicas { from: view.spec.replicas, to: now.replicas, failed };
    let say = format!("tell mariadb-operator again that {} has {}", seen.target.name, super::members(now.replicas));
    Step::new(format!("settle at {} replicas", now.replicas), say, act)
}

/// The set has as many pods as the operator was told.
fn standing(seen: &Snapshot, memo: &Memo, view: &OperatorView, operated: &Operated, now: Range) -> Result<Decision, Why> {
    let busy = way::busy(seen, view);
    if busy.is_empty()
        && let Ok(formation) = way::formation(seen)
        && let Some(step) = formation.closing(seen, |ordinal| ordinal.0 >= memo.range.end())
    {
        return Ok(Decision::Go(Plan { steps: vec![step], ..Plan::default() }));
    }
    if let Err(why) = whole(seen) {
        return Ok(not_whole(seen, memo, now, why));
    }
    if let Some(why) = busy.into_iter().next() {
        return Ok(wait(why, PASSES));
    }
    let tidies = match operated.reached > memo.range.replicas {
        true => tidy(seen, view)?,
        false => Ok(None),
    };
    let tidies = match tidies {
        Ok(tidies) => tidies,
        Err(wait) => return Ok(wait),
    };
    if let Some(refusal) = going(seen, |ordinal| seen.objects.stateful_set.wants(ordinal))? {
        return Ok(Decision::Refuse(refusal));
    }
    let decision = match now.replicas.cmp(&operated.replicas) {
        Ordering::Less => further(seen, view, operated, now)?,
        Ordering::Greater => fewer(seen, view, operated, now)?,
        Ordering::Equal => Decision::Done,
    };
    Ok(match (tidies, decision) {
        (Some(step), Decision::Go(plan)) => Decision::Go(Plan { steps: [vec![step], plan.steps].concat(), ..plan }),
        (Some(step), Decision::Done) => Decision::Go(Plan { steps: vec![step], ..Plan::default() }),
        (_, decision) => decision,
    })
}

fn not_whole(seen: &Snapshot, memo: &Memo, now: Range, why: String) -> Decision {
    let newest = now.ordinals().next_back().filter(|newest| newest.0 >= memo.range.end());
    let Some(newest) = newest else { return wait(why, AGREE) };
    let why = does_not_start(seen, newest).map_or(why, |stuck| format!("{} does not start: {stuck}", seen.pod_name(newest)));
    wait(why, JOIN)
}

/// What the operator leaves of its backup: not there when it began, so it is of a replica of this operation. `Err`: it is waited for.
fn tidy(seen: &Snapshot, view: &OperatorView) -> Result<Result<Option<Step>, Decision>, Why> {
    if let Some(backup) = way::backup(seen, view)? {
        return Ok(Err(wait(format!("mariadb-operator has not removed PhysicalBackup {} yet", backup.name), PASSES)));
    }
    let Some(claim) = way::leaked(seen, view)? else { return Ok(Ok(None)) };
    if claim.deletion.is_some() {
        return Ok(Err(wait(format!("the volume claim {} is being deleted", claim.name), AGREE)));
    }
    let say = format!("delete the volume claim {}, which mariadb-operator leaves of its backup", claim.name);
    let act = Action::DeleteClaim { name: claim.name.clone(), uid: claim.uid.clone() };
    Ok(Ok(Some(Step { unasked: true, ..Step::new(format!("delete {}", claim.name), say, act) })))
}

fn further(seen: &Snapshot, view: &OperatorView, operated: &Operated, now: Range) -> Result<Decision, Why> {
    if let Some(refusal) = way::out(seen, view, now, operated.replicas)? {
        return Ok(Decision::Refuse(midway(seen, refusal)));
    }
    let steps = (now.replicas..operated.replicas).map(|replicas| {
        let pod = seen.pod_name(Ordinal(now.start + replicas));
        let say = format!(
            "have mariadb-operator copy the data for {pod} and start it, and wait until it follows the primary, has caught up and \
             is read-only"
        );
        told(format!("add {pod}"), say, replicas, replicas + 1)
    });
    Ok(Decision::Go(Plan { steps: steps.collect(), losses: Vec::new(), notes: notes_out(seen, view, operated, now) }))
}

/// A refusal between two steps: volumes are not pruned while an operation is unfinished.
fn midway(seen: &Snapshot, refusal: Refusal) -> Refusal {
    let name = &seen.target.name;
    if refusal.rule != &rules::LEFT_OF_OPERATOR {
        return refusal.plugin(&format!("operation resume {name}"));
    }
    let first = Refusal::new(refusal.rule, refusal.summary).because(refusal.because).plugin(&format!("operation abort {name}"));
    Refusal { by_hand: [first.by_hand, refusal.by_hand].concat(), ..first }
}

fn fewer(seen: &Snapshot, view: &OperatorView, operated: &Operated, now: Range) -> Result<Decision, Why> {
    if let Some(refusal) = way::inwards(seen, view, now, operated.replicas) {
        return Ok(Decision::Refuse(midway(seen, refusal)));
    }
    let reasons = way::spared(seen, now, operated.replicas)?;
    if !reasons.is_empty() {
        return Ok(wait(reasons.join("; "), AGREE));
    }
    let steps = (operated.replicas..now.replicas).rev().map(|left| {
        let pod = seen.pod_name(Ordinal(now.start + left));
        let say = format!("have mariadb-operator stop {pod}, and wait until it is gone and the others are whole");
        told(format!("remove {pod}"), say, left + 1, left)
    });
    Ok(Decision::Go(Plan { steps: steps.collect(), losses: Vec::new(), notes: notes_in(seen, operated, now) }))
}

/// The operator is told one more or one fewer, and back.
fn told(id: String, say: String, from: u32, to: u32) -> Step {
    let undo = Some(Action::Replicas { from: to, to: from, failed: None });
    Step { undo, ..Step::new(id, say, Action::Replicas { from, to, failed: None }) }
}

fn notes_out(seen: &Snapshot, view: &OperatorView, operated: &Operated, now: Range) -> Vec<String> {
    let (name, temporary) = (&seen.target.name, way::temporary(view));
    let new = names(seen, now.with(operated.replicas).ordinals().skip(now.replicas as usize));
    let model = view.spec.seeds_from.as_deref().unwrap_or_default();
    vec![
        format!(
            "For each new replica mariadb-operator takes a physical backup of a replica (PhysicalBackup {temporary}, after {model}) and \
             restores it into the new volume. The claim {temporary} that it leaves is deleted: the next backup might find no node with it."
        ),
        format!(
            "Taking it back calls off what has not come, and has {new} leave again. Volumes stay, and have to go \
             (`kubectl mariadb pvc prune {name}`) before mariadb-operator adds a replica there again."
        ),
    ]
}

fn notes_in(seen: &Snapshot, operated: &Operated, now: Range) -> Vec<String> {
    let name = &seen.target.name;
    let removed = names(seen, now.ordinals().skip(operated.replicas as usize));
    let volumes = if seen.objects.stateful_set.deletes_claims_when_scaled {
        format!("whenScaled is Delete: Kubernetes deletes the volumes of {removed} with their pods.")
    } else {
        format!(
            "The volumes of {removed} stay, and have to go (`kubectl mariadb pvc prune {name}`) before mariadb-operator adds a replica \
             there again."
        )
    };
    vec![volumes, "Taking it back ends it where it is: a replica that has left comes back only as a new one.".to_owned()]
}
