//! A Galera cluster whose set somebody has scaled to 0: nothing runs that would have to be stopped, and nothing says any more how
//! many members there are.

use crate::decide::rules::kubernetes::SCALED_TO_ZERO;
use crate::decide::rules::operations as rules;
use crate::model::snapshot::Snapshot;

use super::choice::not_one_of;
use super::journal::Stopped;
use super::memo::{Memo, Recovery};
use super::plan::{Range, Refusal};
use super::{Beginning, Wish, operator};

/// How a recovery of it begins; `None`: the set says itself how many members it has.
pub(super) fn begin(wish: &Wish, seen: &Snapshot, stopped: Option<&Stopped>) -> Option<Beginning> {
    let (name, now) = (&seen.target.name, Range::of(&seen.objects.stateful_set));
    let refused = |refusal| Some(Beginning::Refuse(refusal));
    let is_operated = operator::view(seen).is_some();
    let Some(members) = wish.members else {
        return if now.replicas == 0 && !is_operated { refused(unsaid(wish, seen, stopped)) } else { None };
    };
    if now.replicas > 0 || is_operated {
        let says = match operator::view(seen) {
            Some(view) => format!("the MariaDB object {} says how many members there are: {}", view.name, view.spec.replicas),
            None => format!("the set itself says how many members there are: {}", now.replicas),
        };
        let summary = format!("--replicas is for a set that is scaled to 0: {says}");
        let without = Wish { members: None, ..wish.clone() };
        return refused(Refusal::new(&rules::OTHER_NUMBER, summary).plugin(&without.words(name)));
    }
    if stopped.is_some() {
        return refused(unsaid(wish, seen, stopped));
    }
    let range = now.with(members);
    let choice = wish.choice();
    if let Some(choice) = choice.as_ref().filter(|choice| !range.ordinals().any(|ordinal| ordinal == choice.ordinal)) {
        return refused(not_one_of(seen, &seen.pod_name(choice.ordinal)).plugin(&format!("galera grastate {name}")));
    }
    let recovery = Recovery { choice, began: Some(seen.taken), ..Recovery::default() };
    Some(Beginning::Begin(Box::new(Memo { range, recovery, ..Memo::new(seen) })))
}

fn unsaid(wish: &Wish, seen: &Snapshot, stopped: Option<&Stopped>) -> Refusal {
    let name = &seen.target.name;
    if stopped.is_some() {
        let summary = format!("{name} was stopped with `kubectl mariadb stop`: nothing is to be recovered");
        return Refusal::new(&SCALED_TO_ZERO, summary).plugin(&format!("start {name}"));
    }
    let refusal =
        Refusal::new(&SCALED_TO_ZERO, format!("StatefulSet {name} is scaled to 0: it does not say how many members it has"));
    // As many as have volumes; whoever knows better names another number.
    let members = claimed(seen).map_or(3, |last| last + 1 - seen.objects.stateful_set.start);
    refusal
        .because([format!("spec.replicas of statefulset/{name}: 0")])
        .plugin(&format!("galera grastate {name}"))
        .plugin(&Wish { members: Some(members), ..wish.clone() }.words(name))
}

/// The highest ordinal that has a volume.
fn claimed(seen: &Snapshot) -> Option<u32> {
    let set = &seen.objects.stateful_set;
    let claims = seen.objects.claims.known().into_iter().flatten();
    claims.filter_map(|claim| set.ordinal_of_claim(&claim.name)).map(|ordinal| ordinal.0).filter(|last| *last >= set.start).max()
}

/// What is not looked at, before anything is.
pub(super) fn left_out(seen: &Snapshot, memo: &Memo) -> Option<String> {
    let at_zero = memo.steering.is_none() && memo.ranges.first().is_some_and(|range| range.replicas == 0);
    let looked = !memo.recovery.files.is_empty() || !memo.recovery.unread.is_empty();
    if !at_zero || looked {
        return None;
    }
    let set = &seen.objects.stateful_set;
    let beyond = |name: &str| set.ordinal_of_claim(name).is_some_and(|ordinal| ordinal.0 >= memo.range.end());
    let claims: Vec<&str> = match seen.objects.claims.known() {
        Ok(claims) => claims.iter().map(|claim| claim.name.as_str()).filter(|name| beyond(name)).collect(),
        Err(why) => return Some(format!("Whether there are volumes of more members is not known: {why}.")),
    };
    (!claims.is_empty()).then(|| {
        let claims = claims.join(", ");
        format!(
            "Beyond {} members there is {claims}: it is left alone, and what only it holds is not looked at.",
            memo.range.replicas
        )
    })
}
