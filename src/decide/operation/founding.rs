//! From nothing that runs to a whole cluster, by one member that founds it in a bare pod of its own (safety A6): the others
//! join it one by one on one side of it, the bare pod leaves, and the set takes the rest over (safety A7, A8).
//!
//! Why that member may found is not decided here: [`super::start`] knows it from the record of a stop.

use std::collections::BTreeSet;

use crate::decide::recover::{Route, route};
use crate::decide::rules::galera::NO_PRIMARY_SEEN;
use crate::decide::rules::operations as rules;
use crate::model::galera::Groups;
use crate::model::kubernetes::{ContainerState, Pod};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::wsrep::ClusterStatus;

use super::gates::{AGREE, JOIN, LEAVE, galera, leaving, together, wait};
use super::hold::hold;
use super::memo::{Founder, Memo};
use super::plan::{Action, Decision, Plan, Range, Refusal, Step};
use super::recover::reading;

/// The name of the pod that founds the cluster on an ordinal's volume: none that a StatefulSet adopts.
#[must_use]
pub fn bootstrap_name(set: &str, ordinal: Ordinal) -> String {
    format!("{}-bootstrap", ordinal.pod(set))
}

/// The bootstrap pod, if it is there.
fn bootstrap_pod(seen: &Snapshot, ordinal: Ordinal) -> Option<&Pod> {
    let pod = seen.members.get(&ordinal)?.pod.as_ref()?;
    (pod.name == bootstrap_name(&seen.target.name, ordinal)).then_some(pod)
}

/// What to do once a first member may found the cluster, to the last thing that is left. `None`: nothing is founded yet.
pub(super) fn onward(seen: &Snapshot, memo: &Memo, founder: Founder, now: Range) -> Option<Decision> {
    Some(match progress(seen, memo, founder, now)? {
        Decision::Go(mut plan) => {
            plan.steps.extend(afterwards(seen, memo));
            Decision::Go(plan)
        }
        Decision::Done => {
            let steps = afterwards(seen, memo);
            if steps.is_empty() { Decision::Done } else { Decision::Go(Plan { steps, ..Plan::default() }) }
        }
        other => other,
    })
}

/// The same, up to the whole cluster.
fn progress(seen: &Snapshot, memo: &Memo, founder: Founder, now: Range) -> Option<Decision> {
    let pod = bootstrap_pod(seen, founder.ordinal);
    if let Some(pod) = pod.filter(|pod| pod.deletion.is_some()) {
        return Some(wait(format!("{} is stopping", pod.name), LEAVE));
    }
    if pod.is_some_and(|pod| end_of(pod).is_none()) {
        return Some(with_founder(seen, memo, founder, now));
    }
    if now.replicas == 0 && pod.is_some() {
        return Some(over(seen, memo, founder, now, pod));
    }
    if let Some(other) = leaving(seen, now).filter(|other| pod.is_none_or(|pod| pod.name != other.name)) {
        return Some(wait(format!("{} is stopping", other.name), LEAVE));
    }
    (now.replicas > 0).then(|| without_founder(seen, memo, founder, now, pod))
}

/// The founder has left: those beside it carry the cluster alone, until all are back (safety A8). `ended`: its pod is still there.
fn without_founder(seen: &Snapshot, memo: &Memo, founder: Founder, now: Range, ended: Option<&Pod>) -> Decision {
    let limit = if now == beside(memo, founder, others(memo, founder)) { AGREE } else { JOIN };
    match together(seen, &now.ordinals().collect(), founder.state_uuid) {
        Ok(()) => {
            let mut steps: Vec<Step> = ended.map(|pod| remove(pod, founder)).into_iter().collect();
            steps.extend(take_over(seen, memo, now));
            if steps.is_empty() { Decision::Done } else { Decision::Go(Plan { steps, ..Plan::default() }) }
        }
        Err(why) if Groups::of(seen).primaries().next().is_some() => restart(seen, memo, now).unwrap_or_else(|| wait(why, limit)),
        Err(_) => over(seen, memo, founder, now, ended),
    }
}

/// Nobody carries the cluster any more. Clients may have written to it meanwhile, so what was decided before does not count:
/// everything is read again, and the election is another one (safety A8).
fn over(seen: &Snapshot, memo: &Memo, founder: Founder, now: Range, ended: Option<&Pod>) -> Decision {
    if let Some(twice) = ended.filter(|_| memo.begun_again) {
        return Decision::Refuse(ends_always(seen, twice));
    }
    if now.replicas > 0 {
        match route(seen) {
            Route::Wait { why, limit, .. } => return wait(why, limit),
            Route::Refused(finding) if finding.rule == &NO_PRIMARY_SEEN => return wait(finding.summary, AGREE),
            Route::Refused(finding) => return Decision::Refuse(Refusal::of(&finding)),
            Route::Nothing | Route::Rebuild(_) | Route::Bootstrap { .. } => {}
        }
    }
    let mut steps = Vec::new();
    if now.replicas > 0 {
        let say = "set replicas to 0: nobody carries the cluster any more, and no server may start beside what follows";
        steps.push(Step { undo: None, ..Step::range("stop every pod again", say, now, now.with(0)) });
    }
    steps.extend(begin_again(memo, ended.map(|_| founder.ordinal)));
    Decision::Go(Plan { steps, ..Plan::default() })
}

/// Back to reading and electing. `ended`: the pod of the founder is still there.
pub(super) fn begin_again(memo: &Memo, ended: Option<Ordinal>) -> Vec<Step> {
    let say = "forget who was elected: the member that founded the cluster has ended, and nobody is Primary";
    let mut steps = vec![Step::new("begin again", say, Action::BeginAgain { ended })];
    steps.extend(reading(memo.range.ordinals().collect()));
    steps
}

/// Its server does not run in the bootstrap pod: trying once more finds nothing else.
fn ends_always(seen: &Snapshot, pod: &Pod) -> Refusal {
    Refusal::new(&rules::FOUNDER_ENDED, format!("{} has ended again, and with it the cluster it founded", pod.name))
        .because(end_of(pod))
        .kubectl(&format!("logs {}", pod.name))
        .plugin(&format!("operation resume {}", seen.target.name))
}

/// The set without the member that founds: `joined` of those above it, or below where there are more of them.
pub(super) fn beside(memo: &Memo, founder: Founder, joined: u32) -> Range {
    let (first, above) = (founder.ordinal.0, above(memo, founder));
    let start = if above >= first.saturating_sub(memo.range.start) { first + 1 } else { memo.range.start };
    Range { start, replicas: joined }
}

fn above(memo: &Memo, founder: Founder) -> u32 {
    (memo.range.start + memo.range.replicas).saturating_sub(founder.ordinal.0 + 1)
}

fn others(memo: &Memo, founder: Founder) -> u32 {
    above(memo, founder).max(founder.ordinal.0.saturating_sub(memo.range.start))
}

/// What its server ended with, if it has.
fn end_of(pod: &Pod) -> Option<String> {
    pod.containers.iter().find_map(|container| match &container.state {
        ContainerState::Terminated(end) => {
            Some(format!("container {}: {} (exit code {})", container.name, end.reason, end.exit_code))
        }
        _ => None,
    })
}

fn remove(pod: &Pod, founder: Founder) -> Step {
    let say = format!("remove the pod {}: its server has ended", pod.name);
    Step::new(format!("remove {}", pod.name), say, Action::EndBootstrap { ordinal: founder.ordinal })
}

fn with_founder(seen: &Snapshot, memo: &Memo, founder: Founder, now: Range) -> Decision {
    if let Some(step) = stop_second(seen, founder, now) {
        return Decision::Go(Plan { steps: vec![step], ..Plan::default() });
    }
    let members: BTreeSet<Ordinal> = now.ordinals().chain([founder.ordinal]).collect();
    match together(seen, &members, founder.state_uuid) {
        Err(why) => restart(seen, memo, now).unwrap_or_else(|| wait(why, JOIN)),
        Ok(()) => {
            let steps = joining(seen, memo, founder, now.replicas);
            Decision::Go(Plan { steps, ..Plan::default() })
        }
    }
}

/// A joiner whose server has left the group for good does not come back by itself, and the next start cures it: seen on 11.8
/// after a full copy over a longer history ("Receiving IST failed, node restart required"). Once.
fn restart(seen: &Snapshot, memo: &Memo, now: Range) -> Option<Decision> {
    let gone = |ordinal: &Ordinal| {
        galera(seen, *ordinal).is_some_and(|galera| galera.status.cluster_status == ClusterStatus::Disconnected)
    };
    let joiner = now.ordinals().find(|ordinal| gone(ordinal) && !memo.restarted.contains(ordinal))?;
    let pod = seen.pod_name(joiner);
    let say = format!("start {pod} once more: its server has left the group for good");
    let step = Step::new(format!("restart {pod}"), say, Action::DeletePods { ordinals: vec![joiner] });
    Some(Decision::Go(Plan { steps: vec![Step { unasked: true, ..step }], ..Plan::default() }))
}

/// A joiner that is Primary without the founder is a second cluster: it is stopped at once.
fn stop_second(seen: &Snapshot, founder: Founder, now: Range) -> Option<Step> {
    let groups = Groups::of(seen);
    let newest = now.ordinals().next_back()?;
    let apart = groups
        .primaries()
        .any(|one| one.ordinals.contains(&newest) && !one.ordinals.contains(&founder.ordinal) && one.others.is_empty());
    let founder_is_up = groups.primaries().any(|one| one.ordinals.contains(&founder.ordinal));
    (apart && founder_is_up).then(|| {
        let pod = seen.pod_name(newest);
        let say = format!("stop {pod} again: it founded a second cluster instead of joining");
        let step = Step::range(format!("stop the second cluster in {pod}"), say, now, now.with(now.replicas - 1));
        Step { emergency: true, undo: None, ..step }
    })
}

/// Every step from `now`, where nothing runs, to the whole cluster.
pub(super) fn founding(seen: &Snapshot, memo: &Memo, founder: Founder, now: Range) -> Vec<Step> {
    let (first, idle) = (seen.pod_name(founder.ordinal), beside(memo, founder, 0));
    let mut steps = Vec::new();
    if now != idle {
        let say = format!("take {first} out of the range of the set (ordinals.start {}), still without any pod", idle.start);
        steps.push(Step::range(format!("set {first} apart"), say, now, idle));
    }
    let pod = bootstrap_name(&seen.target.name, founder.ordinal);
    let holds = memo.recovery.holds;
    let clients = if holds { "no client is led to it (--hold-traffic)" } else { "clients reach it when it is Ready" };
    let say = format!("found the cluster in the pod {pod} on the volume of {first}; {clients}");
    let found = Action::Bootstrap { ordinal: founder.ordinal, holds };
    steps.push(Step::new(format!("found in {pod}"), say, found).without_return());
    steps.extend(joining(seen, memo, founder, 0));
    steps
}

/// Every step from a founder with `joined` others to the whole cluster.
fn joining(seen: &Snapshot, memo: &Memo, founder: Founder, joined: u32) -> Vec<Step> {
    let first = seen.pod_name(founder.ordinal);
    let mut steps = Vec::new();
    if joined == 0 {
        steps.extend(hold(seen, memo, founder.ordinal));
    }
    for joined in joined..others(memo, founder) {
        let (from, to) = (beside(memo, founder, joined), beside(memo, founder, joined + 1));
        let ordinal = Ordinal(from.start + joined);
        steps.extend(mark(seen, memo, ordinal));
        let pod = seen.pod_name(ordinal);
        let say = format!("start {pod}, and wait until it is Synced in the cluster of {first}");
        steps.push(Step { undo: None, ..Step::range(format!("start {pod}"), say, from, to) });
    }
    let pod = bootstrap_name(&seen.target.name, founder.ordinal);
    let say = format!("stop {pod} cleanly: the others carry the cluster");
    steps.push(Step::new(format!("end {pod}"), say, Action::EndBootstrap { ordinal: founder.ordinal }));
    steps.extend(take_over(seen, memo, beside(memo, founder, others(memo, founder))));
    steps
}

/// Before a member starts that was given up because it could not be read: it takes a full copy. With a position of its own it might
/// take an incremental one, which leaves rows there that no other member has, and nothing would show them. A claim that is gone
/// comes back empty.
fn mark(seen: &Snapshot, memo: &Memo, ordinal: Ordinal) -> Option<Step> {
    memo.recovery.unread.get(&ordinal)?;
    let set = &seen.objects.stateful_set;
    let own: Vec<String> = set.claims_of(ordinal).collect();
    if seen.objects.claims.known().is_ok_and(|claims| !claims.iter().any(|claim| own.contains(&claim.name))) {
        return None;
    }
    // That of the others: all are made of one template.
    let read = memo.recovery.files.values().next().map(|disk| disk.datadir.clone());
    let datadir = read.or_else(|| set.layout.mounts.first().map(|mount| mount.path.clone())).unwrap_or_default();
    let pod = seen.pod_name(ordinal);
    let claims = own.join(", ");
    let say = format!(
        "mark the data of {pod}, which was given up, as not to be trusted: its start takes a full copy then (if its volume is lost for good, \
         delete the claim {claims} and resume)"
    );
    Some(Step::new(format!("mark {pod}"), say, Action::Reset { ordinal, datadir, pod: None }))
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
        steps.extend(mark(seen, memo, pod));
        let pod = seen.pod_name(pod);
        let say = format!("give {pod} back to the set, and wait until it is Synced");
        steps.push(Step { undo: None, ..Step::range(format!("start {pod}"), say, now, to) });
        now = to;
    }
    steps
}

/// What is left when every member is back.
pub(super) fn afterwards(seen: &Snapshot, memo: &Memo) -> Vec<Step> {
    let mut steps = Vec::new();
    if memo.deleted_claims && !seen.objects.stateful_set.deletes_claims_when_scaled {
        let say = "set whenScaled to Delete again, as it was before";
        steps.push(Step::new("restore whenScaled", say, Action::WhenScaled { delete: true }));
    }
    if !memo.recorded {
        steps.push(Step::new("forget the stop", "remove the record of the stop", Action::Forget));
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
