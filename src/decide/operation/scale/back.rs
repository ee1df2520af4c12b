//! The way back: new members leave again one by one, removed ones come back one by one.

use std::collections::BTreeSet;

use crate::decide::can_stop::{Leave, Load, Stop};
use crate::decide::operation::gates::{AGREE, JOIN, LEAVE, against, leaving, wait};
use crate::decide::operation::journal::Operation;
use crate::decide::operation::memo::Memo;
use crate::decide::operation::plan::{Decision, Range, Step};
use crate::decide::operation::true_range;
use crate::model::snapshot::Snapshot;

use super::{keep, outwards, whole};

/// What the next step back waits for. `back`: the changes of the range that lead back; none: it is somebody else's by now.
pub fn waits(seen: &Snapshot, operation: &Operation, back: Option<&[(Range, Range)]>) -> Option<Decision> {
    let (scale, now) = (operation.memo.scale.as_ref()?, Range::of(&seen.objects.stateful_set));
    // Before all pods are gone the retention policy is not put back: it would take their volumes (safety B2).
    if let Some(pod) = leaving(seen, now) {
        return Some(wait(format!("{} is stopping", pod.name), LEAVE));
    }
    if operation.begun.iter().all(|step| step.act.range().is_none()) {
        return None;
    }
    let leaves = back?.first().is_some_and(|(from, to)| to.replicas < from.replicas);
    match whole(seen, scale, now) {
        Ok(()) if leaves => {
            let ordinals: BTreeSet<_> = now.ordinals().next_back().into_iter().collect();
            let leave = if now.replicas == 2 { Leave::Cleanly } else { Leave::EitherWay };
            match against(seen, &Stop { ordinals, nodes: false, load: Load::Any, leave }) {
                Ok(reasons) if reasons.is_empty() => None,
                Ok(reasons) => Some(wait(reasons.join("; "), AGREE)),
                Err(why) => Some(wait(why.to_string(), AGREE)),
            }
        }
        Ok(()) => None,
        // One that never came to be a member may go: no transfer is broken by it, and no vote is lost.
        Err(_) if leaves && whole(seen, scale, now.with(now.replicas - 1)).is_ok() => None,
        Err(why) => Some(wait(why, JOIN)),
    }
}

/// Members that leave again leave their volumes there, whatever the set says by now (safety B2).
pub fn keeps(seen: &Snapshot, operation: &Operation, back: &[(Range, Range)]) -> Option<Step> {
    let leaves = operation.memo.scale.is_some() && back.iter().any(|(from, to)| to.replicas < from.replicas);
    (leaves && seen.objects.stateful_set.deletes_claims_when_scaled).then(keep)
}

/// What the range is set to when a wait is given up: what is true of the pods (safety B7). A pod that this operation has
/// added and that has found no node may find one hours later, with nobody there to see it join.
#[must_use]
pub fn set_back(seen: &Snapshot, memo: &Memo) -> Option<Range> {
    let now = Range::of(&seen.objects.stateful_set);
    let waits = || {
        let newest = outwards::newest(memo, now).filter(|_| memo.scale.is_some())?;
        let pod = seen.members.get(&newest)?.pod.as_ref()?;
        pod.unscheduled.is_some().then(|| now.with(now.replicas - 1))
    };
    true_range(seen).or_else(waits)
}
