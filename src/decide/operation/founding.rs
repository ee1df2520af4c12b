//! From nothing that runs to a whole cluster, by one member that founds it in a bare pod of its own (safety A6): the others
//! join it one by one on one side of it, the bare pod leaves, and the set takes the rest over (safety A7, A8).
//!
//! Why that member may found is not decided here: [`super::start`] knows it from the record of a stop.

use std::collections::BTreeSet;

use crate::decide::rules::operations as rules;
use crate::model::galera::Groups;
use crate::model::kubernetes::{ContainerState, Pod};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::gates::{AGREE, JOIN, LEAVE, leaving, together, wait};
use super::plan::{Action, Decision, Memo, Plan, Range, Refusal, Step};

/// The name of the pod that founds the cluster on an ordinal's volume: none that a StatefulSet adopts.
#[must_use]
pub fn bootstrap_name(set: &str, ordinal: Ordinal) -> String {
    format!("{}-bootstrap", ordinal.pod(set))
}

/// The bootstrap pod, if it is there.
pub(super) fn founder(seen: &Snapshot, ordinal: Ordinal) -> Option<&Pod> {
    let pod = seen.members.get(&ordinal)?.pod.as_ref()?;
    (pod.name == bootstrap_name(&seen.target.name, ordinal)).then_some(pod)
}

/// How far it is: what to do once a first member may found the cluster. `None`: nothing is founded yet.
pub(super) fn progress(seen: &Snapshot, memo: &Memo, now: Range) -> Option<Decision> {
    if let Some(pod) = founder(seen, memo.last) {
        return Some(with_founder(seen, memo, now, pod));
    }
    if let Some(pod) = leaving(seen, now) {
        return Some(wait(format!("{} is stopping", pod.name), LEAVE));
    }
    if now.replicas == 0 {
        return None;
    }
    // The founder has left: those beside it carry the cluster alone, until all are back (safety A8).
    let limit = if now == beside(memo, others(memo)) { AGREE } else { JOIN };
    Some(match together(seen, &now.ordinals().collect(), memo.state_uuid) {
        Err(why) => wait(why, limit),
        Ok(()) => {
            let steps = take_over(seen, memo, now);
            if steps.is_empty() { Decision::Done } else { Decision::Go(Plan { steps, ..Plan::default() }) }
        }
    })
}

/// The set without the member that founds: `joined` of those above it, or below where there are more of them.
pub(super) fn beside(memo: &Memo, joined: u32) -> Range {
    let (first, above) = (memo.last.0, above(memo));
    let start = if above >= first.saturating_sub(memo.range.start) { first + 1 } else { memo.range.start };
    Range { start, replicas: joined }
}

fn above(memo: &Memo) -> u32 {
    (memo.range.start + memo.range.replicas).saturating_sub(memo.last.0 + 1)
}

fn others(memo: &Memo) -> u32 {
    above(memo).max(memo.last.0.saturating_sub(memo.range.start))
}

fn with_founder(seen: &Snapshot, memo: &Memo, now: Range, pod: &Pod) -> Decision {
    if pod.deletion.is_some() {
        return wait(format!("{} is stopping", pod.name), LEAVE);
    }
    let ended = pod.containers.iter().find_map(|container| match &container.state {
        ContainerState::Terminated(end) => Some((container, end)),
        _ => None,
    });
    if let Some((container, end)) = ended {
        return Decision::Refuse(
            Refusal::new(&rules::FOUNDER_ENDED, format!("{} has ended, and with it the cluster it founded", pod.name))
                .because([format!("container {}: {} (exit code {})", container.name, end.reason, end.exit_code)])
                .kubectl(&format!("logs {}", pod.name))
                .plugin(&format!("galera grastate {}", seen.target.name)),
        );
    }
    if let Some(step) = stop_second(seen, memo, now) {
        return Decision::Go(Plan { steps: vec![step], ..Plan::default() });
    }
    let members: BTreeSet<Ordinal> = now.ordinals().chain([memo.last]).collect();
    match together(seen, &members, memo.state_uuid) {
        Err(why) => wait(why, JOIN),
        Ok(()) => {
            let steps = joining(seen, memo, now.replicas);
            Decision::Go(Plan { steps, ..Plan::default() })
        }
    }
}

/// A joiner that is Primary without the founder is a second cluster: it is stopped at once.
fn stop_second(seen: &Snapshot, memo: &Memo, now: Range) -> Option<Step> {
    let groups = Groups::of(seen);
    let newest = now.ordinals().next_back()?;
    let apart = groups
        .primaries()
        .any(|one| one.ordinals.contains(&newest) && !one.ordinals.contains(&memo.last) && one.others.is_empty());
    let founder_is_up = groups.primaries().any(|one| one.ordinals.contains(&memo.last));
    (apart && founder_is_up).then(|| {
        let pod = seen.pod_name(newest);
        let say = format!("stop {pod} again: it founded a second cluster instead of joining");
        let step = Step::range(format!("stop the second cluster in {pod}"), say, now, now.with(now.replicas - 1));
        Step { emergency: true, undo: None, ..step }
    })
}

/// Every step from `now`, where nothing runs, to the whole cluster.
pub(super) fn founding(seen: &Snapshot, memo: &Memo, now: Range) -> Vec<Step> {
    let (first, idle) = (seen.pod_name(memo.last), beside(memo, 0));
    let mut steps = Vec::new();
    if now != idle {
        let say = format!("take {first} out of the range of the set (ordinals.start {}), still without any pod", idle.start);
        steps.push(Step::range(format!("set {first} apart"), say, now, idle));
    }
    let pod = bootstrap_name(&seen.target.name, memo.last);
    let say = format!("found the cluster in the pod {pod} on the volume of {first}; clients reach it when it is Ready");
    steps.push(Step::new(format!("found in {pod}"), say, Action::Bootstrap { ordinal: memo.last }).without_return());
    steps.extend(joining(seen, memo, 0));
    steps
}

/// Every step from a founder with `joined` others to the whole cluster.
fn joining(seen: &Snapshot, memo: &Memo, joined: u32) -> Vec<Step> {
    let first = seen.pod_name(memo.last);
    let mut steps = Vec::new();
    for joined in joined..others(memo) {
        let (from, to) = (beside(memo, joined), beside(memo, joined + 1));
        let pod = seen.pod_name(Ordinal(from.start + joined));
        let say = format!("start {pod}, and wait until it is Synced in the cluster of {first}");
        steps.push(Step { undo: None, ..Step::range(format!("start {pod}"), say, from, to) });
    }
    let pod = bootstrap_name(&seen.target.name, memo.last);
    let say = format!("stop {pod} cleanly: the others carry the cluster");
    steps.push(Step::new(format!("end {pod}"), say, Action::EndBootstrap { ordinal: memo.last }));
    steps.extend(take_over(seen, memo, beside(memo, others(memo))));
    steps
}

/// Every step from those beside the founder to the full range: one ordinal more each time.
fn take_over(seen: &Snapshot, memo: &Memo, now: Range) -> Vec<Step> {
    let (mut now, mut steps) = (now, Vec::new());
    while now != memo.range && now.replicas < memo.range.replicas {
        let more = now.replicas + 1;
        let (to, pod) = if now.start > memo.range.start {
            (Range { start: now.start - 1, replicas: more }, Ordinal(now.start - 1))
        } else {
            (now.with(more), Ordinal(now.start + now.replicas))
        };
        let pod = seen.pod_name(pod);
        let say = format!("give {pod} back to the set, and wait until it is Synced");
        steps.push(Step { undo: None, ..Step::range(format!("start {pod}"), say, now, to) });
        now = to;
    }
    steps
}

/// After a second cluster was stopped: nobody goes on before a person has looked.
pub(super) fn second_cluster(seen: &Snapshot, step: &str) -> Refusal {
    let name = &seen.target.name;
    Refusal::new(&rules::SECOND_CLUSTER, format!("a pod of {name} founded a second cluster and was stopped again"))
        .because([format!("step: {step}")])
        .plugin(&format!("status {name}"))
        .plugin(&format!("operation resume {name}"))
}
