//! More members of a cluster; of Galera: one ordinal more each time, and the next when it is Synced with exactly the others.

use crate::decide::operation::gates::{AGREE, JOIN, galera, wait};
use crate::decide::operation::memo::Memo;
use crate::decide::operation::plan::{Decision, Plan, Range, Step};
use crate::decide::operation::rebuild::held_back;
use crate::model::fact::Why;
use crate::model::galera::Groups;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::stale::{self, Lying};
use super::{Scale, arithmetic, around, kind, seeding, whole};

pub fn next(seen: &Snapshot, memo: &Memo, scale: &Scale, now: Range) -> Result<Decision, Why> {
    match (&scale.seeding, scale.history) {
        (Some(seeding), _) => return seeding::next(seen, memo, scale, seeding, now),
        // A scale-in of replicas, gone on with after somebody else has taken more away: nobody comes back by it without a copy.
        (None, None) => return Ok(Decision::Refuse(kind::fewer_already(seen, scale.replicas))),
        (None, Some(_)) => {}
    }
    if let Err(why) = whole(seen, scale, now) {
        return Ok(waits(seen, memo, now, why));
    }
    let Lying { mut steps, losses, mut notes } = match stale::next(seen, memo, scale, now)? {
        Ok(lying) => lying,
        Err(decision) => return Ok(decision),
    };
    for replicas in now.replicas..scale.replicas {
        let pod = seen.pod_name(Ordinal(now.start + replicas));
        let say = format!("start {pod}, and wait until it is Synced with the others");
        steps.push(Step::range(format!("start {pod}"), say, now.with(replicas), now.with(replicas + 1)));
    }
    notes.extend(self::notes(seen, memo, scale, now));
    Ok(Decision::Go(Plan { steps: around(seen, memo, steps), losses, notes }))
}

/// The wait for a new member, with what keeps it from coming.
pub fn waits(seen: &Snapshot, memo: &Memo, now: Range, why: String) -> Decision {
    let Some(newest) = newest(memo, now) else { return wait(why, AGREE) };
    let name = seen.pod_name(newest);
    let why = match seen.members.get(&newest).and_then(|member| member.pod.as_ref()) {
        None => {
            let held = held_back(seen, newest).map(|held| format!(": {held}")).unwrap_or_default();
            format!("{name} has no pod yet{held}")
        }
        Some(pod) => match &pod.unscheduled {
            Some(unscheduled) => format!("{name} finds no node: {unscheduled}"),
            None => why,
        },
    };
    wait(why, JOIN)
}

/// The highest ordinal, if this operation has added it.
pub fn newest(memo: &Memo, now: Range) -> Option<Ordinal> {
    now.ordinals().next_back().filter(|newest| newest.0 >= memo.range.end())
}

/// A new member that is Primary without the others is a second cluster: it is stopped at once (safety A7).
pub fn stop_second(seen: &Snapshot, memo: &Memo, now: Range) -> Option<Step> {
    let newest = newest(memo, now)?;
    let groups = Groups::of(seen);
    let apart = groups.primaries().any(|one| one.ordinals.iter().eq([&newest]) && one.others.is_empty());
    let others = groups.primaries().any(|one| !one.ordinals.contains(&newest));
    (apart && others).then(|| {
        let pod = seen.pod_name(newest);
        let say = format!("stop {pod} again: it founded a second cluster instead of joining");
        let step = Step::range(format!("stop the second cluster in {pod}"), say, now, now.with(now.replicas - 1));
        Step { emergency: true, undo: None, ..step }
    })
}

fn notes(seen: &Snapshot, memo: &Memo, scale: &Scale, now: Range) -> Vec<String> {
    let mut notes: Vec<String> = copies(seen, scale, now).into_iter().collect();
    let groups = Groups::of(seen);
    let quorum = groups.primaries().next().and_then(|one| one.quorum(seen));
    let added = now.with(scale.replicas).ordinals().skip(now.replicas as usize);
    let after = quorum.map(|quorum| added.fold(quorum, |quorum, joined| quorum.with(joined)));
    notes.extend(arithmetic(scale.replicas, after.as_ref()));
    notes.push(
        "Whether there is room for a pod is known when it is there. One that finds no node is waited for, and when that takes too long \
         replicas is set back."
            .to_owned(),
    );
    if memo.deleted_claims {
        notes.push(
            "whenScaled is Delete: as long as this lasts it is Retain, so that no volume is deleted when it is taken back."
                .to_owned(),
        );
    }
    notes
}

/// New members that get no volume of their own history, and what their copies cost the others.
fn copies(seen: &Snapshot, scale: &Scale, now: Range) -> Option<String> {
    let first = Ordinal(now.start);
    let method = galera(seen, first).map_or("rsync", |galera| galera.sst_method.as_str());
    let used = seen.members.get(&first).and_then(|member| member.files.known().ok()).map(|disk| disk.space.used >> 20);
    let size = used.map_or_else(String::new, |used| format!(", up to {used} MiB"));
    let blocks = match (method, now.replicas) {
        ("rsync" | "mysqldump", 1) => " Its only member takes no writes while it gives.",
        ("rsync" | "mysqldump", _) => " Whoever gives takes no writes meanwhile.",
        _ => "",
    };
    let fresh = now.with(scale.replicas).ordinals().skip(now.replicas as usize);
    let stale = |ordinal: &Ordinal| {
        let mut claims = seen.objects.stateful_set.claims_of(*ordinal);
        claims.any(|claim| scale.stale.contains_key(&claim))
    };
    let fresh: Vec<Ordinal> = fresh.filter(|ordinal| !stale(ordinal)).collect();
    (!fresh.is_empty()).then(|| {
        format!(
            "{} {} a full copy (SST by {method}{size}).{blocks} Until a new member is Synced it has a vote and no data.",
            super::names(seen, fresh.iter().copied()),
            if fresh.len() == 1 { "takes" } else { "take" },
        )
    })
}
