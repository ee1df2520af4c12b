//! Taking an operation back: its steps backwards, each only if the field still holds what was written (safety E3).

use crate::decide::finding::NextCommand;
use crate::decide::rules::operations as rules;
use crate::model::names::Ordinal;
use crate::model::operator::Steering;
use crate::model::snapshot::Snapshot;

use super::Goal;
use super::gates::{JOIN, together, unobserved_change, wait};
use super::journal::Operation;
use super::operator;
use super::plan::{Action, Decision, Plan, Range, Refusal, Step};
use super::restart;
use super::scale;
use super::upgrade;

/// What to take back next.
#[must_use]
pub fn undo(seen: &Snapshot, operation: &Operation) -> Decision {
    let set = &seen.objects.stateful_set;
    let now = Range::of(set);
    let back = way_back(operation, now);
    if !operation.can_abort() && back.is_some() {
        return Decision::Refuse(no_return(seen, operation));
    }
    if let Some(operated) = &operation.memo.operated {
        return scale::taken_back(seen, operation, operated);
    }
    match operation.goal {
        Goal::Upgrade => return upgrade::back(seen, operation),
        Goal::Restart => return restart::back(seen, operation),
        _ => {}
    }
    if let Some(wait) = unobserved_change(seen) {
        return wait;
    }
    let steered = operation.begun.iter().any(|step| step.act.steering().is_some());
    if steered && operator::view(seen).is_none() {
        return operator::unread();
    }
    if let Some(wait) = scale::waits(seen, operation, back.as_deref()) {
        return wait;
    }
    // The range is somebody else's by now: it is left alone.
    let back = back.unwrap_or_default();
    let up = operation.goal == Goal::Stop && now.replicas > 0;
    if up
        && let Some(founder) = operation.memo.founder
        && let Err(why) = together(seen, &now.ordinals().collect(), founder.state_uuid)
    {
        return wait(why, JOIN);
    }
    let mut steps: Vec<Step> = files_back(seen, operation);
    steps.extend(scale::keeps(seen, operation, &back));
    steps.extend(back.into_iter().map(|(from, to)| step(seen, operation, from, to)));
    steps.extend(operation.memo.scale.iter().flat_map(|memo| scale::unused(seen, memo)));
    let retained = operation.begun.iter().any(|step| step.act == Action::WhenScaled { delete: false });
    if retained && !set.deletes_claims_when_scaled {
        let say = "set whenScaled to Delete again, as it was before";
        steps.push(Step::new("restore whenScaled", say, Action::WhenScaled { delete: true }));
    }
    steps.extend(steering_back(seen, operation));
    if steps.is_empty() { Decision::Done } else { Decision::Go(Plan { steps, ..Plan::default() }) }
}

/// The refusal of a step, without the way back, and what may only be begun after it, where that would be refused as well.
#[must_use]
pub fn forward(seen: &Snapshot, operation: &Operation, mut refusal: Refusal) -> Refusal {
    let closed = match undo(seen, operation) {
        Decision::Refuse(closed) if operation.goal == Goal::Scale && closed.rule.code == rules::NO_RETURN.code => closed,
        _ => return refusal,
    };
    let shut = |command: &NextCommand| match command {
        NextCommand::Plugin(words) => words[0] == operation.goal.verb() || words.join(" ").starts_with("operation abort"),
        NextCommand::Kubectl(_) => false,
    };
    if refusal.by_hand.iter().any(shut) {
        refusal.by_hand.retain(|command| !shut(command) && !closed.by_hand.contains(command));
        refusal.by_hand.extend(closed.by_hand);
        refusal.because.push("there is no way back any more: once this is dealt with, it goes on".to_owned());
        refusal.because.extend(closed.because);
    }
    refusal
}

/// The operator last: it acts at once.
fn steering_back(seen: &Snapshot, operation: &Operation) -> Vec<Step> {
    let mut changes = operation.begun.iter().filter_map(|step| step.act.steering());
    let (Some(view), Some((before, _))) = (operator::view(seen), changes.clone().next()) else { return Vec::new() };
    let now = Steering::of(view);
    // What it says by now is somebody else's, or the change was never made.
    if now == *before || !changes.any(|(_, to)| *to == now) {
        return Vec::new();
    }
    let whole = operation
        .memo
        .founder
        .is_some_and(|founder| together(seen, &operation.memo.range.ordinals().collect(), founder.state_uuid).is_ok());
    if whole {
        return operator::next(seen, view, before.clone(), operation.memo.range);
    }
    let act = Action::Steer { from: now, to: before.clone() };
    vec![Step::new("give back to mariadb-operator", "tell mariadb-operator again what it was told before", act)]
}

/// The state files that were changed, before anything may start on them.
fn files_back(seen: &Snapshot, operation: &Operation) -> Vec<Step> {
    let written = operation.begun.iter().filter(|step| !step.back).filter_map(|step| match &step.undo {
        Some(Action::Write { ordinal, datadir, change }) => Some((*ordinal, datadir, change)),
        _ => None,
    });
    let open = written.filter(|(ordinal, ..)| !operation.memo.recovery.restored.contains(ordinal));
    open.map(|(ordinal, datadir, change)| {
        let pod = seen.pod_name(ordinal);
        let act = Action::Write { ordinal, datadir: datadir.clone(), change: change.clone() };
        Step::new(format!("put back grastate.dat of {pod}"), format!("write into grastate.dat of {pod} what it said before"), act)
    })
    .collect()
}

/// The changes of the range that lead back from `now` to where it began, first to last. `None`: `now` is no value that this
/// operation wrote or found.
fn way_back(operation: &Operation, now: Range) -> Option<Vec<(Range, Range)>> {
    let mut changes: Vec<(Range, Range)> = Vec::new();
    for change in operation.begun.iter().filter(|step| !step.back).filter_map(|step| step.act.range()) {
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    if changes.is_empty() {
        return operation.memo.ranges.contains(&now).then(Vec::new);
    }
    // Also if that is what a later step has written: nobody is stopped once more to get there.
    if changes[0].0 == now {
        return Some(Vec::new());
    }
    let last = changes.iter().rposition(|(_, to)| *to == now)?;
    Some(changes[..=last].iter().rev().map(|(from, to)| (*to, *from)).collect())
}

fn step(seen: &Snapshot, operation: &Operation, from: Range, to: Range) -> Step {
    let told = |range: Range| format!("replicas {}, ordinals.start {}", range.replicas, range.start);
    let say = if to.replicas > from.replicas {
        let pod = seen.pod_name(Ordinal(to.start + to.replicas - 1));
        let replicates = operation.memo.scale.as_ref().is_some_and(|scale| scale.history.is_none());
        format!("start {pod} again, and wait until it {}", if replicates { "answers" } else { "is Synced" })
    } else if operation.goal == Goal::Scale {
        format!("stop {} again, and wait until the others agree that it has left", seen.pod_name(Ordinal(to.end())))
    } else {
        format!("set the range back to {}", told(to))
    };
    Step::new(format!("back to {}", told(to)), say, Action::Range { from, to })
}

fn no_return(seen: &Snapshot, operation: &Operation) -> Refusal {
    let name = &seen.target.name;
    let step = operation.begun.iter().find(|step| step.no_return).map_or("", |step| step.id.as_str());
    let forward = match operation.goal {
        Goal::Stop => "finish it, then start the cluster",
        Goal::Start | Goal::Recover | Goal::Bootstrap => "finish it, then stop the cluster",
        Goal::Suspend | Goal::Unsuspend => "run the opposite command",
        Goal::Scale => "finish it, then scale back",
        Goal::Rebuild => "finish it, so that the member has a whole copy again",
        Goal::Upgrade => "a newer server has opened data, or what was there before is not known; finish it",
        Goal::Restart => "finish it",
    };
    let refusal = Refusal::new(
        &rules::NO_RETURN,
        format!("this {} of {name} is past the point from which there is a way back: {forward}", operation.goal.verb()),
    );
    refusal.because([format!("begun: {step}")]).plugin(&format!("operation resume {name}"))
}
