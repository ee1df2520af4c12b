//! What must be true before the next step.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use crate::decide::can_stop::{Beside, Reason, Stop, Weight, can_stop};
use crate::decide::exit::unobserved;
use crate::decide::rules::operations as rules;
use crate::model::fact::{Fact, Why};
use crate::model::galera::{Groups, Who};
use crate::model::kubernetes::Pod;
use crate::model::names::Ordinal;
use crate::model::server::Galera;
use crate::model::snapshot::Snapshot;
use crate::model::wsrep::{ClusterStatus, LocalState};

use super::memo::Memo;
use super::operator;
use super::plan::{Decision, Range, Refusal};

/// How long the controller may take to act on a change of the set.
pub const CONTROLLER: Duration = Duration::from_secs(60);
/// How long a server may take to stop cleanly: flushing a large buffer pool takes minutes.
pub const LEAVE: Duration = Duration::from_secs(600);
/// How long the members may take to agree after somebody has left.
pub const AGREE: Duration = Duration::from_secs(120);
/// How long a member may take to come up and join: a state transfer copies everything.
pub const JOIN: Duration = Duration::from_secs(3600);

/// A wait.
pub fn wait(why: impl Into<String>, limit: Duration) -> Decision {
    Decision::Wait { why: why.into(), limit }
}

/// Whether everything that is needed was seen.
///
/// # Errors
/// What was not, and why.
pub fn observed(seen: &Snapshot) -> Result<(), Why> {
    let Some(gap) = unobserved(seen).needed.into_iter().next() else { return Ok(()) };
    Err(match (gap.pod, gap.why) {
        (None, why) | (_, why @ Why::Forbidden(_)) => why,
        (Some(pod), why) => Why::Failed(format!("{pod}: {why}")),
    })
}

/// Whether exactly `members` form the one Primary component of `history`, each of them Synced and none else in it. Judged by
/// the set of members and not by its size: a second cluster is Primary and Synced, too (safety A7).
///
/// # Errors
/// What is missing, in words that follow "waiting: ".
pub fn together(seen: &Snapshot, members: &BTreeSet<Ordinal>, history: Uuid) -> Result<(), String> {
    gathered(seen, members, history, |_| false)
}

/// The same, where an arbitrator may be in the group: a vote without data.
///
/// # Errors
/// As [`together`].
pub fn together_or_arbitrated(seen: &Snapshot, members: &BTreeSet<Ordinal>, history: Uuid) -> Result<(), String> {
    gathered(seen, members, history, |who| who == Who::Arbitrator)
}

fn gathered(seen: &Snapshot, members: &BTreeSet<Ordinal>, history: Uuid, welcome: fn(Who) -> bool) -> Result<(), String> {
    for ordinal in members {
        synced(seen, *ordinal, history)?;
    }
    let groups = Groups::of(seen);
    let primaries: Vec<_> = groups.primaries().collect();
    let [one] = primaries[..] else {
        return Err("the members do not see each other in one primary component yet".to_owned());
    };
    if let Some(other) = one.others.iter().find(|other| !welcome(other.who)) {
        return Err(match other.who {
            Who::Arbitrator => "an arbitrator (garbd) is in the group".to_owned(),
            Who::Silent(ordinal) | Who::Elsewhere(ordinal) => {
                format!("the others still count {} as a member", seen.pod_name(ordinal))
            }
            Who::Stranger => format!("{} ({}) is in the group and is no pod of this set", other.name, other.address),
        });
    }
    if one.ordinals == *members {
        Ok(())
    } else {
        let names =
            |set: BTreeSet<&Ordinal>| set.into_iter().map(|ordinal| seen.pod_name(*ordinal)).collect::<Vec<_>>().join(", ");
        let more = names(one.ordinals.difference(members).collect());
        let fewer = names(members.difference(&one.ordinals).collect());
        Err(if more.is_empty() { format!("{fewer} is not in the primary component") } else { format!("{more} has not left yet") })
    }
}

/// Whether one member is Synced in a Primary component of `history`, and takes part in nothing else.
///
/// # Errors
/// What is missing, in words that follow "waiting: ".
pub fn synced(seen: &Snapshot, ordinal: Ordinal, history: Uuid) -> Result<(), String> {
    let name = seen.pod_name(ordinal);
    let member = seen.members.get(&ordinal).ok_or_else(|| format!("{name} has no pod yet"))?;
    // The bootstrap pod has another name than the member it carries.
    let name = member.pod.as_ref().map_or(name, |pod| pod.name.clone());
    let server = member.server.known().map_err(|why| format!("{name}: {why}"))?;
    let galera = server.galera.as_ref().ok_or_else(|| format!("{name} runs without Galera"))?;
    let status = &galera.status;
    if status.cluster_status != ClusterStatus::Primary {
        return Err(format!("{name} is in no primary component"));
    }
    if status.cluster_state_uuid != history || status.local_state_uuid != history {
        return Err(format!("{name} has the state UUID {}, not {history}", status.cluster_state_uuid));
    }
    if status.local_state != LocalState::Synced || !status.ready {
        return Err(format!("{name} is {}", status.state_comment));
    }
    if status.evs_state.as_deref() != Some("OPERATIONAL") {
        return Err(format!("{name} is agreeing with the others on who is there"));
    }
    if galera.desync || status.desync_count.is_some_and(|count| count > 0) {
        return Err(format!("{name} is desynced"));
    }
    Ok(())
}

/// What `can-stop` says against a stop, budgets and volumes left aside.
///
/// # Errors
/// Nothing speaks against it, and something that it would take is not known.
pub fn against(seen: &Snapshot, stop: &Stop) -> Result<Vec<String>, Why> {
    let beside = Beside { budgets: Fact::Unknown(Why::NotAsked), volumes: Fact::Unknown(Why::NotAsked) };
    let decision = can_stop(seen, stop, &beside);
    let whole = decision.whole.iter().map(|reason| (None, reason));
    let all =
        || whole.clone().chain(decision.pods.iter().flat_map(|(pod, reasons)| reasons.iter().map(move |one| (Some(pod), one))));
    let told = |(pod, reason): (Option<&Ordinal>, &Reason)| match pod.filter(|_| stop.ordinals.len() > 1) {
        Some(pod) => format!("{}: {}", seen.pod_name(*pod), reason.text),
        None => reason.text.clone(),
    };
    let against: Vec<String> = all().filter(|(_, reason)| reason.weight == Weight::Against).map(told).collect();
    match all().find(|(_, reason)| reason.weight == Weight::Unknown) {
        Some(unknown) if against.is_empty() => Err(Why::Failed(told(unknown))),
        _ => Ok(against),
    }
}

/// Galera's own words of one ordinal.
pub fn galera(seen: &Snapshot, ordinal: Ordinal) -> Option<&Galera> {
    match &seen.members.get(&ordinal)?.server {
        Fact::Known(server) => server.galera.as_ref(),
        Fact::Unknown(_) => None,
    }
}

/// The controller has not acted on the last change yet; whatever is seen may be from before it.
pub fn unobserved_change(seen: &Snapshot) -> Option<Decision> {
    let set = &seen.objects.stateful_set;
    (set.observed_generation < set.generation)
        .then(|| wait("the StatefulSet controller has not seen the last change yet", CONTROLLER))
}

/// A pod that is outside of the range, and so on its way out.
pub fn leaving(seen: &Snapshot, range: Range) -> Option<&Pod> {
    let outside = seen.members.iter().filter(|(ordinal, _)| !range.ordinals().any(|wanted| wanted == **ordinal));
    outside.filter_map(|(_, member)| member.pod.as_ref()).next_back()
}

/// Somebody else changed what this operation rests on, or the controller has not seen the last change: the wait or the refusal.
pub fn changed_outside(seen: &Snapshot, memo: &Memo) -> Option<Decision> {
    let set = &seen.objects.stateful_set;
    let now = Range::of(set);
    if !memo.ranges.contains(&now) {
        return Some(Decision::Refuse(other_range(seen, memo, now)));
    }
    if let Some(decision) = operator::changed_outside(seen, memo) {
        return Some(decision);
    }
    if let Some(wait) = unobserved_change(seen) {
        return Some(wait);
    }
    (set.update_revision != memo.revision).then(|| {
        let summary = format!("somebody else changed the pod template of {} meanwhile", seen.target.name);
        Decision::Refuse(Refusal::new(&rules::CHANGED_OUTSIDE, summary).because([
            format!("status.updateRevision at the beginning: {}", memo.revision),
            format!("status.updateRevision now: {}", set.update_revision),
        ]))
    })
}

fn other_range(seen: &Snapshot, memo: &Memo, now: Range) -> Refusal {
    let wrote = memo.ranges.last().copied().unwrap_or(memo.range);
    let told = |range: Range| format!("replicas {}, ordinals.start {}", range.replicas, range.start);
    let name = &seen.target.name;
    let refusal = Refusal::new(
        &rules::CHANGED_OUTSIDE,
        format!("somebody else changed the StatefulSet {name} meanwhile; nothing was overwritten"),
    )
    .because([format!("this operation wrote: {}", told(wrote)), format!("the set says now: {}", told(now))]);
    // The way on for whoever finds that it was a mistake. Not where nobody has founded the cluster yet: servers have started by now,
    // and may be the cluster.
    let looks = memo.recovery.elects() && !memo.founded;
    let refusal = if now.start == wrote.start && !looks {
        refusal.kubectl(&format!("scale statefulset/{name} --replicas={}", wrote.replicas))
    } else {
        refusal
    };
    refusal.plugin(&format!("operation resume {name}"))
}
