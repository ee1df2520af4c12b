//! Fewer members: the highest ordinal leaves first, and nobody leaves whom the others need (safety D1, D2).

use std::collections::BTreeSet;

use crate::decide::can_stop::{Leave, Load, Stop};
use crate::decide::operation::gates::{AGREE, against, wait};
use crate::decide::operation::memo::Memo;
use crate::decide::operation::plan::{Decision, Plan, Range, Refusal, Step};
use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::galera::Groups;
use crate::model::names::Ordinal;
use crate::model::quorum::Quorum;
use crate::model::snapshot::Snapshot;
use crate::model::topology::{Primary, Topology};

use super::{Scale, arithmetic, around, names, whole};

/// Those that leave, the first one first.
fn leaving(scale: &Scale, now: Range) -> impl Iterator<Item = Ordinal> + use<> {
    let first_gone = now.with(scale.replicas).end();
    now.ordinals().rev().take_while(move |ordinal| ordinal.0 >= first_gone)
}

/// Whether they may leave at all, and the first one now.
pub fn begin(seen: &Snapshot, scale: &Scale, now: Range) -> Result<Option<Refusal>, Why> {
    if let Some(refusal) = needed(seen, scale, now) {
        return Ok(Some(refusal));
    }
    // Both looks before the first step must find the others no busier than a full load makes them (safety D7). Later it is no
    // gate: under full load a quiet moment may never come.
    let reasons = against(seen, &stop(scale, now, Load::Burst))?;
    Ok((!reasons.is_empty()).then(|| not_spared(seen, scale, now, reasons)))
}

fn not_spared(seen: &Snapshot, scale: &Scale, now: Range, reasons: Vec<String>) -> Refusal {
    let rule = if scale.history.is_some() { &rules::SCALE_NOT_NOW } else { &rules::SERVER_NEEDED };
    let victims = leaving(scale, now).take(if scale.history.is_some() { 1 } else { usize::MAX });
    let victims: Vec<Ordinal> = victims.collect();
    let summary =
        format!("{} cannot be taken away from {} at this moment", names(seen, victims.iter().copied()), seen.target.name);
    let refusal = Refusal::new(rule, summary).because(reasons);
    victims.first().map_or(refusal.clone(), |first| refusal.plugin(&format!("can-stop {}", seen.pod_name(*first))))
}

/// Of Galera one after the other; of replicas all together, since whoever stays has to be enough.
fn stop(scale: &Scale, now: Range, load: Load) -> Stop {
    let one = scale.history.is_some();
    let ordinals: BTreeSet<Ordinal> = leaving(scale, now).take(if one { 1 } else { usize::MAX }).collect();
    // Of two members none is the majority: only a goodbye leaves the other one Primary.
    let leave = if one && now.replicas == 2 { Leave::Cleanly } else { Leave::EitherWay };
    Stop { ordinals, nodes: false, load, leave }
}

/// The primary among those that leave.
fn needed(seen: &Snapshot, scale: &Scale, now: Range) -> Option<Refusal> {
    let Topology::Replication { primary: Primary::Pod(primary) } = Topology::of(seen) else { return None };
    leaving(scale, now).find(|ordinal| *ordinal == primary).map(|primary| {
        let (name, pod) = (&seen.target.name, seen.pod_name(primary));
        let summary =
            format!("{pod} is the primary of {name}, and would be removed: make a server with a lower ordinal the primary first");
        Refusal::new(&rules::SERVER_NEEDED, summary)
            .because([format!("the replicas of {name} copy from: {pod}")])
            .plugin(&format!("status {name}"))
    })
}

pub fn next(seen: &Snapshot, memo: &Memo, scale: &Scale, now: Range) -> Result<Decision, Why> {
    if let Err(why) = whole(seen, scale, now) {
        return Ok(wait(why, AGREE));
    }
    if let Some(refusal) = needed(seen, scale, now) {
        return Ok(Decision::Refuse(refusal));
    }
    let reasons = against(seen, &stop(scale, now, Load::Any))?;
    if !reasons.is_empty() {
        return Ok(wait(reasons.join("; "), AGREE));
    }
    let steps = (scale.replicas..now.replicas).rev().map(|left| step(seen, scale, now, left)).collect();
    Ok(Decision::Go(Plan { steps: around(seen, memo, steps), losses: Vec::new(), notes: notes(seen, memo, scale, now) }))
}

fn step(seen: &Snapshot, scale: &Scale, now: Range, left: u32) -> Step {
    let pod = seen.pod_name(Ordinal(now.start + left));
    let until = if scale.history.is_some() {
        ", and wait until the others agree that it has left"
    } else {
        ", and wait until it is gone"
    };
    Step::range(format!("stop {pod}"), format!("stop {pod}{until}"), now.with(left + 1), now.with(left))
}

fn notes(seen: &Snapshot, memo: &Memo, scale: &Scale, now: Range) -> Vec<String> {
    let name = &seen.target.name;
    let removed: BTreeSet<Ordinal> = leaving(scale, now).collect();
    let mut notes = Vec::new();
    if scale.history.is_some() {
        let groups = Groups::of(seen);
        let quorum = groups.primaries().next().and_then(|one| one.quorum(seen));
        let after = quorum.as_ref().map(|quorum| removed.iter().fold(quorum.clone(), |quorum, left| quorum.without(*left)));
        notes.extend(arithmetic(scale.replicas, after.as_ref()));
        notes.extend(quorum.filter(|_| scale.replicas == 1).and_then(|quorum| last_goodbye(seen, now, &quorum)));
    } else if scale.replicas == 1 {
        notes.push(
            "The server that is left is the only copy then, and nobody is left who could be copied for a new replica: --reuse-pvcs brings \
             those back that leave, as long as their volumes are kept and the primary keeps its binary logs."
                .to_owned(),
        );
    }
    notes.push(format!(
        "The volumes of {} stay. `kubectl mariadb pvc prune {name}` removes those that nobody needs.",
        names(seen, removed)
    ));
    if memo.deleted_claims {
        notes.push(
            "whenScaled is Delete: as long as this lasts it is Retain, so that the volumes stay also when it is taken back. Then it is \
             Delete again, and deletes the volumes of pods that leave later."
                .to_owned(),
        );
    }
    notes
}

/// Of the last two one leaves.
fn last_goodbye(seen: &Snapshot, now: Range, quorum: &Quorum) -> Option<String> {
    let [last, left] = [Ordinal(now.start), Ordinal(now.start + 1)];
    let two = now.ordinals().skip(2).fold(quorum.clone(), |quorum, left| quorum.without(left));
    (!two.survives_loss([left])).then(|| {
        format!(
            "{} has to say goodbye: if it is killed instead (its grace period ends, its node dies), {} stops taking writes until it is \
             made primary by hand.",
            seen.pod_name(left),
            seen.pod_name(last)
        )
    })
}
