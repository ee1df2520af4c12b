//! The way back. Out: what has not come is called off, and new replicas leave again. In: a replica that has left does not come back,
//! for its volume keeps the operator from adding one there (O 4.5); it ends where it is.

use std::collections::BTreeSet;

use crate::decide::operation::gates::{LEAVE, leaving, unobserved_change, wait};
use crate::decide::operation::journal::Operation;
use crate::decide::operation::operator;
use crate::decide::operation::plan::{Action, Decision, Plan, Range, Step};
use crate::model::names::Ordinal;
use crate::model::operator::OperatorView;
use crate::model::snapshot::Snapshot;

use super::{Operated, PASSES, call_off, suspended, tidy, way};

/// What to take back next.
pub fn taken_back(seen: &Snapshot, operation: &Operation, operated: &Operated) -> Decision {
    let Some(view) = operator::view(seen) else { return operator::unread() };
    if let Some(wait) = unobserved_change(seen) {
        return wait;
    }
    let (now, before, told) = (Range::of(&seen.objects.stateful_set), operation.memo.range, view.spec.replicas);
    // It is somebody else's by now: it is left alone.
    if !ours(operated, told, before) {
        return Decision::Done;
    }
    let out = operated.replicas > before.replicas;
    // On the way out a smaller number is one that has a new replica leave again.
    if now.replicas < told || (now.replicas > told && !out) {
        return go(call_off(seen, view, now, None));
    }
    if now.replicas > told {
        return wait(format!("mariadb-operator has not made the set smaller yet: {}", view.says()), LEAVE);
    }
    if let Some(pod) = leaving(seen, now) {
        return wait(format!("{} is stopping", pod.name), LEAVE);
    }
    if out && now.replicas > before.replicas {
        return leave_again(seen, operation, view, now);
    }
    ended(seen, operated, view, before)
}

/// Whether the object holds what this operation found there or wrote.
fn ours(operated: &Operated, told: u32, before: Range) -> bool {
    operated.told.contains(&told) || told == before.replicas
}

fn go(step: Step) -> Decision {
    Decision::Go(Plan { steps: vec![step], ..Plan::default() })
}

fn leave_again(seen: &Snapshot, operation: &Operation, view: &OperatorView, now: Range) -> Decision {
    if view.spec.suspended {
        return Decision::Refuse(suspended(seen, view));
    }
    let newest = Ordinal(now.end() - 1);
    if let Some(refusal) = way::inwards(seen, view, now, now.replicas - 1) {
        return Decision::Refuse(refusal.plugin(&format!("operation abort {}", seen.target.name)));
    }
    // One that never came to be a replica may go; the others have to be well without it.
    let others = way::formation(seen).and_then(|formation| formation.whole(seen, &BTreeSet::from([newest])));
    if let Err(why) = others {
        return wait(why, PASSES);
    }
    if let Some(why) = way::closes(seen, view).into_iter().next() {
        return wait(why, PASSES);
    }
    let steps = (operation.memo.range.replicas..now.replicas).rev().map(|left| {
        let pod = seen.pod_name(Ordinal(now.start + left));
        let act = Action::Replicas { from: left + 1, to: left, failed: None };
        Step::new(format!("remove {pod} again"), format!("have mariadb-operator stop {pod} again; its volume stays"), act)
    });
    Decision::Go(Plan { steps: steps.collect(), ..Plan::default() })
}

/// The object says what runs: the operator has to say so, too, before it is left to itself.
fn ended(seen: &Snapshot, operated: &Operated, view: &OperatorView, before: Range) -> Decision {
    let scaled = view.status.condition("ScaledOut").filter(|condition| condition.holds != Some(true) && !view.spec.suspended);
    if let Some(condition) = scaled {
        return wait(format!("mariadb-operator has not given up yet: ScaledOut is {condition}"), PASSES);
    }
    // What is not known, or still in use, is left where it is: nothing rests on it here.
    match tidy(seen, view) {
        Ok(Ok(Some(step))) if operated.reached > before.replicas => go(step),
        _ => Decision::Done,
    }
}

/// What takes back a number that the operator has not acted on when it is no longer waited for: it would do so later, with nobody
/// there to see it (safety B7). So does a new pod that has found no node.
pub fn settled(seen: &Snapshot, operation: &Operation) -> Option<Step> {
    let (operated, view) = (operation.memo.operated.as_ref()?, operator::view(seen)?);
    let now = Range::of(&seen.objects.stateful_set);
    if operation.begun.is_empty() || !operated.told.contains(&view.spec.replicas) {
        return None;
    }
    if view.spec.replicas != now.replicas {
        return Some(call_off(seen, view, now, None));
    }
    let newest = now.ordinals().next_back().filter(|newest| newest.0 >= operation.memo.range.end())?;
    let pod = seen.members.get(&newest)?.pod.as_ref()?;
    pod.unscheduled.is_some().then(|| call_off(seen, view, now.with(now.replicas - 1), None))
}
