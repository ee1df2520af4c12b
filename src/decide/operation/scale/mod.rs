//! Another number of members, one at a time, each gate by the set of members (safety B5, D1, D2).
//!
//! In: the highest ordinal leaves first, and nobody leaves whom the others need. Its volume stays. Out: one ordinal more, and
//! the next when it is Synced with exactly the others; a volume that lies in its place is read first ([`stale`], safety D5). As
//! long as it lasts Kubernetes deletes no volume of a pod that goes (safety B2), on the way back neither.

mod back;
mod inwards;
mod kind;
mod left;
mod memo;
mod operated;
mod outwards;
mod seeding;
mod stale;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::names::Ordinal;
use crate::model::quorum::Quorum;
use crate::model::snapshot::Snapshot;
use crate::model::topology::Topology;

use super::founding::second_cluster;
use super::gates::{LEAVE, changed_outside, galera, leaving, observed, together_or_arbitrated, wait};
use super::memo::Memo;
use super::operator;
use super::plan::{Action, Decision, Plan, Range, Refusal, Step};
use super::preflight::{MOST_ORDINALS, going};
use super::stop::deletes_again;
use super::{Beginning, Number, Wish};

pub use back::set_back;
pub(super) use back::{keeps, waits};
pub use memo::{Scale, Volumes};
pub use operated::Operated;
pub(super) use operated::{confirmed, settled, taken_back};
pub(super) use seeding::unused;
pub use seeding::{MADE_BY, claim};

pub(super) fn begin(wish: &Wish, seen: &Snapshot) -> Result<Beginning, Why> {
    let Some(number) = wish.number else { return Err(Why::Failed("no number of replicas is named".to_owned())) };
    let now = Range::of(&seen.objects.stateful_set);
    if let Some(refusal) = kind::operated(seen, now, number.replicas).or_else(|| not_to(seen, now, number)) {
        return Ok(Beginning::Refuse(refusal));
    }
    if let Some(view) = operator::view(seen) {
        return operated::begin(seen, view, number.replicas, now);
    }
    if number.replicas == now.replicas {
        return Ok(Beginning::Nothing(format!(
            "{} has {} already: there is nothing to do",
            seen.target.name,
            members(now.replicas)
        )));
    }
    observed(seen)?;
    let out = number.replicas > now.replicas;
    let mut seeding = None;
    let history = match Topology::of(seen) {
        Topology::Galera => match history(seen, now) {
            Ok(history) => Some(history),
            Err(why) => return Ok(Beginning::Refuse(not_now(seen, [why]))),
        },
        Topology::Replication { .. } => {
            if out {
                match seeding::begin(seen, number, now)? {
                    Ok(begun) => seeding = Some(begun),
                    Err(refusal) => return Ok(Beginning::Refuse(refusal)),
                }
            }
            None
        }
        // What earlier replicas have left says how they replicated.
        Topology::Single if out && number.volumes == Volumes::Reuse && left::there(seen, now, number.replicas)? => {
            match seeding::begin(seen, number, now)? {
                Ok(begun) => seeding = Some(begun),
                Err(refusal) => return Ok(Beginning::Refuse(refusal)),
            }
            None
        }
        Topology::Unknown { .. } => {
            return Err(Why::Failed("what kind of cluster this is cannot be told: no server answers".to_owned()));
        }
        other => return Ok(Beginning::Refuse(kind::not_scaled(seen, &other, number.replicas))),
    };
    let mut scale = Scale {
        replicas: number.replicas,
        history,
        volumes: number.volumes,
        stale: BTreeMap::new(),
        seeding,
        reached: now.end(),
        accepted: wish.accepted.clone(),
    };
    if let Some(pod) = leaving(seen, now) {
        let why = format!("{} is outside of the range of the set and still there", pod.name);
        return Ok(Beginning::Refuse(not_now(seen, [why])));
    }
    if let Err(why) = whole(seen, &scale, now) {
        return Ok(Beginning::Refuse(not_now(seen, [why])));
    }
    let refusal = if out { stale::begin(seen, wish, &mut scale, now)? } else { inwards::begin(seen, &scale, now)? };
    Ok(match refusal {
        Some(refusal) => Beginning::Refuse(refusal),
        None => Beginning::Begin(Box::new(Memo { scale: Some(scale), ..Memo::new(seen) })),
    })
}

/// What does not depend on the servers.
fn not_to(seen: &Snapshot, now: Range, number: Number) -> Option<Refusal> {
    if let Some(expected) = number.current.filter(|expected| *expected != now.replicas) {
        return Some(kind::other_number(seen, now, expected));
    }
    if number.replicas == 0 {
        return Some(kind::to_zero(seen));
    }
    if now.replicas == 0 {
        return Some(not_now(seen, ["spec.replicas: 0".to_owned()]).plugin(&format!("start {}", seen.target.name)));
    }
    (now.with(number.replicas).end() > MOST_ORDINALS).then(|| kind::too_many(seen, number.replicas))
}

/// The state UUID of the cluster.
fn history(seen: &Snapshot, now: Range) -> Result<Uuid, String> {
    let first = Ordinal(now.start);
    let history = galera(seen, first).map(|galera| galera.status.cluster_state_uuid);
    history.filter(|history| !history.is_nil()).ok_or_else(|| format!("{} tells no state UUID", seen.pod_name(first)))
}

fn not_now(seen: &Snapshot, because: impl IntoIterator<Item = String>) -> Refusal {
    let name = &seen.target.name;
    let summary = format!("{name} is not whole, so no member is added or removed");
    Refusal::new(&rules::SCALE_NOT_NOW, summary).because(because).plugin(&format!("status {name}"))
}

pub(super) fn decide(seen: &Snapshot, memo: &Memo) -> Result<Decision, Why> {
    if let Some(operated) = &memo.operated {
        return operated::decide(seen, memo, operated);
    }
    let Some(scale) = &memo.scale else {
        return Err(Why::Failed("the journal does not say how many members there are to be".to_owned()));
    };
    let (set, now) = (&seen.objects.stateful_set, Range::of(&seen.objects.stateful_set));
    if let Some(stray) = &memo.stray {
        return Ok(Decision::Refuse(second_cluster(seen, stray)));
    }
    if let Some(decision) = changed_outside(seen, memo) {
        return Ok(decision);
    }
    if let Some(step) = outwards::stop_second(seen, memo, now) {
        return Ok(Decision::Go(Plan { steps: vec![step], ..Plan::default() }));
    }
    let there = now.replicas == scale.replicas;
    if set.deletes_claims_when_scaled && !there && !(memo.deleted_claims && now == memo.range) {
        // Set to Retain before the first change of the range: somebody else has put it back.
        return Ok(Decision::Refuse(deletes_again(seen)));
    }
    if let Some(refusal) = going(seen, |ordinal| set.wants(ordinal))? {
        return Ok(Decision::Refuse(refusal));
    }
    if let Some(pod) = leaving(seen, now) {
        return Ok(wait(format!("{} is stopping", pod.name), LEAVE));
    }
    if now.replicas > scale.replicas {
        return inwards::next(seen, memo, scale, now);
    }
    if let Some(decision) = scale.seeding.as_ref().and_then(|seeding| seeding::newest(seen, memo, seeding, now)) {
        return Ok(decision);
    }
    if !there {
        return outwards::next(seen, memo, scale, now);
    }
    Ok(match whole(seen, scale, now) {
        Err(why) => outwards::waits(seen, memo, now, why),
        Ok(()) => match around(seen, memo, Vec::new()) {
            steps if steps.is_empty() => Decision::Done,
            steps => Decision::Go(Plan { steps, ..Plan::default() }),
        },
    })
}

/// Whether the members of `range`, and nobody else with data, are the cluster.
fn whole(seen: &Snapshot, scale: &Scale, range: Range) -> Result<(), String> {
    if let Some(history) = scale.history {
        return together_or_arbitrated(seen, &range.ordinals().collect(), history);
    }
    if let Some(seeding) = scale.seeding.as_ref().filter(|_| range == Range::of(&seen.objects.stateful_set)) {
        return seeding::in_step(seen, seeding);
    }
    for ordinal in range.ordinals() {
        let name = seen.pod_name(ordinal);
        let member = seen.members.get(&ordinal).ok_or_else(|| format!("{name} has no pod yet"))?;
        member.server.known().map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

/// The steps, with volumes kept before the first and what was so before put back after the last (safety B2). A claim without a
/// pod is no concern of the retention policy: it is judged when a pod leaves the range, and the claim goes with that pod.
fn around(seen: &Snapshot, memo: &Memo, steps: Vec<Step>) -> Vec<Step> {
    if !memo.deleted_claims {
        return steps;
    }
    let deletes = seen.objects.stateful_set.deletes_claims_when_scaled;
    let mut all = Vec::new();
    if deletes && !steps.is_empty() {
        all.push(keep());
    }
    if !deletes || !steps.is_empty() {
        let say = "set whenScaled to Delete again, as it was before: it deletes no volume of a pod that is gone already";
        all.extend(steps);
        all.push(Step::new("restore whenScaled", say, Action::WhenScaled { delete: true }));
    }
    all
}

fn keep() -> Step {
    let say = "set whenScaled to Retain: as it is, Kubernetes deletes the volumes of pods that leave";
    let step = Step::new("keep the volumes", say, Action::WhenScaled { delete: false });
    Step { undo: Some(Action::WhenScaled { delete: true }), ..step }
}

/// How many members may fail, and what this number is worth (G 2.5).
fn arithmetic(replicas: u32, quorum: Option<&Quorum>) -> Option<String> {
    let (spare, usual) = (quorum?.spare(), (replicas as usize).saturating_sub(1) / 2);
    let told = match replicas {
        1 => "One member is no cluster: while its pod is down there is no database, its volume is the only copy, and when it starts \
              again nobody is there to join: it has to found the cluster once more."
            .to_owned(),
        _ if spare == 0 => format!("With {replicas} members none may fail: the others would stop taking writes."),
        _ if replicas.is_multiple_of(2) && spare == usual => {
            format!("With {replicas} members {spare} may fail at once, as with {}: an even number gains no safety.", replicas - 1)
        }
        _ => format!("With {replicas} members {spare} may fail at once without an end of writing."),
    };
    Some(told)
}

fn members(count: u32) -> String {
    if count == 1 { "1 member".to_owned() } else { format!("{count} members") }
}

fn names(seen: &Snapshot, ordinals: impl IntoIterator<Item = Ordinal>) -> String {
    ordinals.into_iter().map(|ordinal| seen.pod_name(ordinal)).collect::<Vec<_>>().join(", ")
}

/// Pods outside of the range whose volume claims are there.
#[must_use]
pub fn kept(seen: &Snapshot) -> Vec<String> {
    let set = &seen.objects.stateful_set;
    let claims = seen.objects.claims.known().into_iter().flatten().filter(|claim| claim.deletion.is_none());
    let outside: BTreeSet<Ordinal> =
        claims.filter_map(|claim| set.ordinal_of_claim(&claim.name)).filter(|ordinal| !set.wants(*ordinal)).collect();
    outside.into_iter().map(|ordinal| seen.pod_name(ordinal)).collect()
}
