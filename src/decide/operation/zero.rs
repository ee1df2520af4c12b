//! A Galera cluster whose set somebody has scaled to 0: nothing runs that would have to be stopped, and nothing says any more how
//! many members there are.

use crate::decide::rules::kubernetes::SCALED_TO_ZERO;
use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::kubernetes::Pod;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::choice::not_one_of;
use super::gates::LEAVE;
use super::journal::Stopped;
use super::memo::{Memo, Recovery};
use super::plan::{Range, Refusal};
use super::preflight::MOST_ORDINALS;
use super::recover::alone;
use super::{Beginning, Wish, operator};

/// How a recovery of it begins; `None`: the set says itself how many members it has.
///
/// # Errors
/// The volume claims are not known.
pub(super) fn begin(wish: &Wish, seen: &Snapshot, stopped: Option<&Stopped>) -> Result<Option<Beginning>, Why> {
    let now = Range::of(&seen.objects.stateful_set);
    let operated = operator::view(seen);
    let Some(members) = wish.members else {
        let is_unsaid = now.replicas == 0 && operated.is_none();
        return Ok(is_unsaid.then(|| Beginning::Refuse(unsaid(wish, seen, stopped))));
    };
    let says = match operated {
        Some(view) => Some(format!("the MariaDB object {} says how many members there are: {}", view.name, view.spec.replicas)),
        None if now.replicas > 0 => Some(format!("the set itself says how many members there are: {}", now.replicas)),
        None => None,
    };
    if let Some(says) = says {
        let summary = format!("--replicas is for a set that is scaled to 0: {says}");
        let without = Wish { members: None, ..wish.clone() };
        return Ok(Some(Beginning::Refuse(Refusal::new(&rules::OTHER_NUMBER, summary).plugin(&typed(&without, seen)))));
    }
    if stopped.is_some() {
        return Ok(Some(Beginning::Refuse(unsaid(wish, seen, stopped))));
    }
    if let Some(beginning) = pods_there(seen) {
        return Ok(Some(beginning));
    }
    let range = now.with(members);
    if let Some(refusal) = alone(seen, members).or_else(|| wrong_number(wish, seen, range)) {
        return Ok(Some(Beginning::Refuse(refusal)));
    }
    let beyond = beyond(seen, range)?;
    if !beyond.is_empty() {
        let summary = format!("there are volumes of more members than {members}: what they hold would not be looked at");
        let refusal = Refusal::new(&rules::OTHER_NUMBER, summary).because(beyond);
        let all = Wish { members: Some(claimed(seen)), ..wish.clone() };
        return Ok(Some(Beginning::Refuse(refusal.plugin(&typed(&all, seen)))));
    }
    let recovery = Recovery { choice: wish.choice(), members: Some(members), began: Some(seen.taken), ..Recovery::default() };
    Ok(Some(Beginning::Begin(Box::new(Memo { range, recovery, ..Memo::new(seen) }))))
}

/// Pods that the controller has left: under OrderedReady it stops at the first one that is not Ready. Their servers may be the cluster,
/// right or wrong.
fn pods_there(seen: &Snapshot) -> Option<Beginning> {
    let pods: Vec<&Pod> = seen.members.values().filter_map(|member| member.pod.as_ref()).collect();
    let (going, there): (Vec<&Pod>, Vec<&Pod>) = pods.into_iter().partition(|pod| pod.deletion.is_some());
    let names = |pods: &[&Pod]| pods.iter().map(|pod| pod.name.clone()).collect::<Vec<_>>();
    if !there.is_empty() {
        let (name, names) = (&seen.target.name, names(&there));
        let summary =
            format!("StatefulSet {name} is scaled to 0, and pods of it are still there: their servers may be the cluster");
        let refusal = Refusal::new(&SCALED_TO_ZERO, summary).because(names.iter().map(|pod| format!("pod/{pod}")));
        let refusal = refusal.plugin(&format!("status {name}")).kubectl(&format!("delete pod {}", names.join(" ")));
        return Some(Beginning::Refuse(refusal));
    }
    let why = || format!("{} is stopping", names(&going).join(", "));
    (!going.is_empty()).then(|| Beginning::Wait { why: why(), limit: LEAVE, then: None })
}

fn wrong_number(wish: &Wish, seen: &Snapshot, range: Range) -> Option<Refusal> {
    let choice = wish.choice().filter(|choice| !range.ordinals().any(|ordinal| ordinal == choice.ordinal))?;
    let refusal = not_one_of(seen, &seen.pod_name(choice.ordinal));
    Some(refusal.plugin(&format!("galera grastate {}", seen.target.name)))
}

fn unsaid(wish: &Wish, seen: &Snapshot, stopped: Option<&Stopped>) -> Refusal {
    let name = &seen.target.name;
    if stopped.is_some() {
        let summary = format!("{name} was stopped with `kubectl mariadb stop`: nothing is to be recovered");
        return Refusal::new(&SCALED_TO_ZERO, summary).plugin(&format!("start {name}"));
    }
    let summary = format!("StatefulSet {name} is scaled to 0: it does not say how many members it has");
    Refusal::new(&SCALED_TO_ZERO, summary)
        .because([format!("spec.replicas of statefulset/{name}: 0")])
        .plugin(&format!("galera grastate {name}"))
        .plugin(&typed(&Wish { members: Some(claimed(seen)), ..wish.clone() }, seen))
}

/// With what was accepted.
fn typed(wish: &Wish, seen: &Snapshot) -> String {
    let accepted = wish.accepted.as_ref().map_or_else(String::new, |loss| format!(" --accept-data-loss={}", loss.0));
    format!("{}{accepted}", wish.words(&seen.target.name))
}

/// As many as have volumes; whoever knows better names another number.
fn claimed(seen: &Snapshot) -> u32 {
    let set = &seen.objects.stateful_set;
    let claims = seen.objects.claims.known().into_iter().flatten();
    let last = claims.filter_map(|claim| set.ordinal_of_claim(&claim.name)).filter(|ordinal| ordinal.0 < MOST_ORDINALS).max();
    last.map_or(3, |last| (last.0 + 1).saturating_sub(set.start).max(2))
}

/// Claims of members that the number leaves out.
fn beyond(seen: &Snapshot, range: Range) -> Result<Vec<String>, Why> {
    let set = &seen.objects.stateful_set;
    let is_beyond = |ordinal: Ordinal| !range.ordinals().any(|wanted| wanted == ordinal);
    let claims = seen.objects.claims.known().map_err(Clone::clone)?;
    let left = claims.iter().filter(|claim| set.ordinal_of_claim(&claim.name).is_some_and(is_beyond));
    Ok(left.map(|claim| format!("persistentvolumeclaim/{}", claim.name)).collect())
}
