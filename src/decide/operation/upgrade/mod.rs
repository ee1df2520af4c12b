//! Another image, one pod after the other, held by the partition of the set's rolling update.
//!
//! The partition is closed in the same change as the image is set, so nobody is replaced before it is opened for one ordinal
//! (safety D3). Each pod is a gate of its own: the next one only when the servers say that all are together again, in two
//! looks. Pods below the partition stay as they are, whatever happens to them.

mod path;
mod pods;
mod rollout;
#[cfg(test)]
mod tests;
mod way;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::kubernetes::{StatefulSet, UpdateStrategy};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::version::Version;

use super::departure::heeded;
use super::formation::{Formation, server};
use super::gates::{AGREE, unobserved_change, wait};
use super::handover::{AWAITED, Handover};
use super::journal::{Journal, Operation, Outcome};
use super::memo::Memo;
use super::operator::{PASS, is_unread, unread};
use super::plan::{Action, Decision, Plan, Range, Refusal, Step};
use super::{Beginning, Goal, Wish};

use pods::{due, image_of, is_new, replaced, unstarted};
use rollout::{held_back, not_passed_on};
use way::Way;

pub use path::tag_version;
pub use rollout::Rollout;

/// Of an upgrade: what the world does not show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// What the set said before the first step.
    pub from: Rollout,
    /// What it is to say in the end.
    pub to: Rollout,
    pub formation: Formation,
    /// The update strategy that mariadb-operator had before any of it.
    #[serde(default)]
    pub strategy: Option<String>,
    /// A step over a long-term version is what the user wants.
    pub skips_lts: bool,
    /// The pods that were to be replaced when it began.
    #[serde(default)]
    pub replaces: BTreeSet<Ordinal>,
    /// What each server ran before.
    pub before: BTreeMap<Ordinal, Version>,
    /// What the image turned out to be in a pod of its own; none: it was not tried yet.
    #[serde(default)]
    pub tried: Option<Tried>,
    /// `status.updateRevision` with the image in the template, once it was seen.
    #[serde(default)]
    pub revision: Option<String>,
    /// The primary is being moved: the formation is what it was until that is done.
    #[serde(default)]
    pub handover: Option<Handover>,
    /// What this operation may have left the set to say, like [`Memo::ranges`].
    pub rollouts: Vec<Rollout>,
    /// Members whose system tables were converted.
    #[serde(default)]
    pub converted: BTreeSet<Ordinal>,
}

/// What came of starting the image once without any volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Tried {
    /// The server in it says so itself.
    Version(Version),
    /// It does not start, or holds no server.
    Unusable(String),
}

impl Upgrade {
    /// The version of the image: as its server says, or else as its tag does.
    fn version(&self) -> Option<Version> {
        match &self.tried {
            Some(Tried::Version(version)) => Some(version.clone()),
            _ => tag_version(&self.to.image),
        }
    }

    /// Whoever goes on has been told how the set stands, and confirms what is done from here. An image that is somebody else's is
    /// not adopted.
    pub fn adopt(&mut self, seen: &Snapshot) {
        let Some(now) = Rollout::of(seen).filter(|now| now.image == self.to.image || now.image == self.from.image) else {
            return;
        };
        if !self.rollouts.contains(&now) {
            self.rollouts = vec![now];
        }
        self.revision = None;
    }

    /// Whether a pod that is replaced must not go back to what it was (safety D4). Not known is no.
    fn is_for_good(&self) -> bool {
        let Some(version) = self.version() else { return true };
        self.from.image == self.to.image || self.before.values().any(|before| before.series() != version.series())
    }
}

pub(super) fn begin(wish: &Wish, seen: &Snapshot) -> Result<Beginning, Why> {
    let set = &seen.objects.stateful_set;
    let from = match held_back(seen) {
        Ok(from) => from,
        Err(refusal) => return Ok(Beginning::Refuse(refusal)),
    };
    let to = match wanted(wish, seen, &from) {
        Ok(to) => to,
        Err(refusal) => return Ok(Beginning::Refuse(refusal)),
    };
    let first = Ordinal(set.start + to.partition);
    let open = due(seen, &to);
    if from.image == to.image && open.is_empty() && from.partition <= to.partition {
        let whom = if to.partition == 0 { "every pod".to_owned() } else { format!("every pod from {} up", seen.pod_name(first)) };
        return Ok(Beginning::Nothing(format!("{whom} of {} runs {} already", set.name, to.image)));
    }
    let broken = unstarted(seen, &open);
    let formation = match Formation::of(seen, "upgrade", &broken)? {
        Ok(formation) => formation,
        Err(refusal) => return Ok(Beginning::Refuse(refusal)),
    };
    if let Err(why) = formation.whole(seen, &broken) {
        let summary = format!("{} is not whole, so no pod of it is replaced", set.name);
        let refusal = Refusal::new(&rules::NOT_SETTLED, summary).because([why]).plugin(&format!("status {}", set.name));
        return Ok(Beginning::Refuse(refusal));
    }
    if let Some(refusal) = pods::misplaced(seen, &formation, &open, &broken, &to) {
        return Ok(Beginning::Refuse(refusal));
    }
    if let Some(refusal) = pods::unwell(seen).filter(|_| broken.is_empty()) {
        return Ok(Beginning::Refuse(refusal));
    }
    let before = seen.expected().filter_map(|(ordinal, _)| Some((ordinal, server(seen, ordinal)?.version.clone()))).collect();
    let upgrade = Upgrade {
        rollouts: vec![from.clone()],
        strategy: from.strategy.clone(),
        from,
        to,
        formation,
        skips_lts: wish.skips_lts,
        replaces: open.into_iter().collect(),
        before,
        tried: None,
        revision: None,
        handover: None,
        converted: BTreeSet::new(),
    };
    // What the tag says is enough to refuse by; to go on the server itself is asked.
    if let Some(refusal) = path::refused(seen, &upgrade) {
        return Ok(Beginning::Refuse(refusal));
    }
    Ok(Beginning::Begin(Box::new(Memo { upgrade: Some(upgrade), ..Memo::new(seen) })))
}

/// What the set is to say in the end.
fn wanted(wish: &Wish, seen: &Snapshot, from: &Rollout) -> Result<Rollout, Refusal> {
    let set = &seen.objects.stateful_set;
    let name = &set.name;
    let unfinished = seen.expected().any(|(ordinal, _)| !is_new(seen, ordinal));
    let image = match &wish.image {
        Some(image) => image.clone(),
        None if unfinished => from.image.clone(),
        None => {
            let summary = format!("no rollout of {name} is unfinished, so the image has to be named");
            return Err(Refusal::new(&rules::UNSAID, summary)
                .because([format!("image of the pod template, and of every pod: {}", from.image)])
                .plugin(&format!("upgrade {name} --image IMAGE")));
        }
    };
    if image.is_empty() || image.contains(char::is_whitespace) {
        let summary = format!("`{image}` is no name of an image");
        return Err(Refusal::new(&rules::UNSAID, summary).plugin(&format!("upgrade {name} --image IMAGE")));
    }
    let lowest = wish.partition.unwrap_or(set.start);
    if !set.wants(Ordinal(lowest)) {
        let range = format!("{} to {}", set.start, (set.start + set.replicas).saturating_sub(1));
        let summary = format!("no pod of {name} has the ordinal {lowest}: --partition names the lowest one that gets the image");
        return Err(Refusal::new(&rules::UNSAID, summary).because([format!("ordinals of {name}: {range}")]));
    }
    let partition = lowest - set.start;
    // Only with nobody left to hold back does the operator get back its own order.
    let strategy = if partition == 0 { from.strategy.clone() } else { from.held_at(0).strategy };
    Ok(Rollout { image, partition, strategy })
}

pub(super) fn decide(seen: &Snapshot, memo: &Memo) -> Result<Decision, Why> {
    let upgrade = of(memo)?;
    if is_unread(seen) {
        return Ok(unread());
    }
    if let Some(decision) = changed(seen, memo, upgrade) {
        return Ok(decision);
    }
    if let Some(refusal) = path::refused(seen, upgrade).or_else(|| pods::failed(seen, upgrade)) {
        return Ok(Decision::Refuse(refusal));
    }
    let open = due(seen, &upgrade.to);
    let mut steps = Vec::new();
    if upgrade.tried.is_none() && !open.is_empty() {
        let say =
            format!("start {} in a pod without any volume: whether it can be had, and which version it is", upgrade.to.image);
        steps.push(Step::new("try the image", say, Action::Try { image: upgrade.to.image.clone() }));
    }
    let restarted = upgrade.replaces.iter().copied().filter(|ordinal| !open.contains(ordinal)).collect();
    let handover = upgrade.handover.clone();
    let way = Way { seen, upgrade, aim: &upgrade.to, open: open.clone(), restarted, forth: true, handover };
    let decision = way.advance(steps);
    Ok(heeded(seen, memo, decision, &open))
}

fn of(memo: &Memo) -> Result<&Upgrade, Why> {
    memo.upgrade.as_ref().ok_or_else(|| Why::Failed("the journal does not say what is to be rolled out".to_owned()))
}

/// What there is to take back: the image and the partition, and the pods that were replaced.
pub(super) fn back(seen: &Snapshot, operation: &Operation) -> Decision {
    let upgrade = match of(&operation.memo) {
        Ok(upgrade) => upgrade,
        Err(why) => return wait(why.to_string(), AGREE),
    };
    if is_unread(seen) {
        return unread();
    }
    // Whatever the set says by now: no clients are left without a primary.
    if let Some(handover) = &upgrade.handover {
        match handover.taken_back(seen, &operation.begun) {
            Err(why) => return wait(why, AWAITED),
            Ok(steps) if !steps.is_empty() => return Decision::Go(Plan { steps, ..Plan::default() }),
            Ok(_) => {}
        }
    }
    let now = Rollout::of(seen);
    // What is somebody else's by now is left alone.
    if now.is_none_or(|now| now != upgrade.from && !upgrade.rollouts.contains(&now)) {
        return Decision::Done;
    }
    if let Some(why) = not_passed_on(seen) {
        return wait(why, PASS);
    }
    if let Some(wait) = unobserved_change(seen) {
        return wait;
    }
    let set = &seen.objects.stateful_set;
    let open = replaced(seen, upgrade);
    // Whatever kept it from beginning, there is nothing to take back.
    if !operation.begun.iter().any(|step| step.act.rollout().is_some()) {
        return Decision::Done;
    }
    // Those that have the new image yet, and those that were given the old one again.
    let went_back = |ordinal: &Ordinal| operation.begun.iter().any(|step| step.back && step.id == way::replaces(seen, *ordinal));
    let restarted = set.wanted().filter(|ordinal| open.contains(ordinal) || went_back(ordinal)).collect();
    let way = Way { seen, upgrade, aim: &upgrade.from, open: open.clone(), restarted, forth: false, handover: None };
    let decision = way.advance(Vec::new());
    heeded(seen, &operation.memo, decision, &open)
}

/// Somebody else changed what this rests on, or the controller has not seen the last change.
fn changed(seen: &Snapshot, memo: &Memo, upgrade: &Upgrade) -> Option<Decision> {
    let set = &seen.objects.stateful_set;
    let refuse = |summary: String, was: String, is: String| {
        let refusal = Refusal::new(&rules::CHANGED_OUTSIDE, summary);
        Some(Decision::Refuse(refusal.because([format!("this operation left: {was}"), format!("the set says now: {is}")])))
    };
    let now = Range::of(set);
    if !memo.ranges.contains(&now) {
        let summary = format!("somebody else scaled {} meanwhile; nothing was overwritten", set.name);
        return refuse(summary, format!("replicas {}", memo.range.replicas), format!("replicas {}", now.replicas));
    }
    let rollout = Rollout::of(seen);
    if rollout.as_ref().is_none_or(|rollout| !upgrade.rollouts.contains(rollout)) {
        let summary =
            format!("somebody else changed the image or the partition of {} meanwhile; nothing was overwritten", set.name);
        let was = upgrade.rollouts.last().map_or_else(String::new, Rollout::told);
        return refuse(summary, was, rollout.map_or_else(|| "update strategy OnDelete".to_owned(), |rollout| rollout.told()));
    }
    if let Some(why) = not_passed_on(seen) {
        return Some(wait(why, PASS));
    }
    if let Some(wait) = unobserved_change(seen) {
        return Some(wait);
    }
    let revision = upgrade.revision.as_ref().filter(|revision| **revision != set.update_revision)?;
    let summary =
        format!("somebody else changed the pod template of {} meanwhile: its pods would come back as something else", set.name);
    refuse(summary, format!("status.updateRevision {revision}"), format!("status.updateRevision {}", set.update_revision))
}

/// What the set is put to when a wait is given up: a pod that was not replaced yet is not replaced later, when nobody looks
/// (safety B7). `None`: it says so already.
pub(super) fn settled_at(seen: &Snapshot, upgrade: &Upgrade) -> Option<(Rollout, Rollout)> {
    let set = &seen.objects.stateful_set;
    let now = Rollout::of(seen).filter(|now| upgrade.rollouts.contains(now))?;
    let replaced = set
        .wanted()
        .filter(|ordinal| seen.members.get(ordinal).is_none_or(|member| member.pod.is_none()) || is_new(seen, *ordinal));
    let lowest = replaced.map(|ordinal| ordinal.0 - set.start).filter(|index| *index >= now.partition).min();
    let to = now.held_at(lowest.unwrap_or(set.replicas));
    (to.partition > now.partition).then_some((now, to))
}

/// Whether the newest operation was an upgrade that ended at a partition, where the rollout still rests.
#[must_use]
pub fn rests(set: &StatefulSet, journal: &Journal) -> bool {
    let held = matches!(set.update_strategy, UpdateStrategy::RollingUpdate { partition } if partition > 0);
    let last = journal.history.first().filter(|past| past.goal == Goal::Upgrade && past.outcome == Outcome::Done);
    held && set.current_revision != set.update_revision && last.is_some() && journal.current.is_none()
}

/// What is said when it has ended well.
#[must_use]
pub fn told(seen: &Snapshot, upgrade: &Upgrade) -> String {
    let set = &seen.objects.stateful_set;
    let versions: BTreeSet<String> = seen
        .expected()
        .filter(|(ordinal, _)| ordinal.0 >= set.start + upgrade.to.partition)
        .filter_map(|(ordinal, _)| Some(server(seen, ordinal)?.version.to_string()))
        .collect();
    let versions = versions.into_iter().collect::<Vec<_>>().join(", ");
    let image = image_of(seen);
    if upgrade.to.partition == 0 {
        return format!("Every pod of {} runs {image} ({versions}).", set.name);
    }
    let first = seen.pod_name(Ordinal(set.start + upgrade.to.partition));
    let kept: BTreeSet<String> = seen
        .expected()
        .filter(|(ordinal, _)| ordinal.0 < set.start + upgrade.to.partition)
        .filter_map(|(ordinal, _)| Some(server(seen, ordinal)?.version.to_string()))
        .collect();
    let kept = kept.into_iter().collect::<Vec<_>>().join(", ");
    format!("Every pod of {} from {first} up runs {image} ({versions}); those below stay as they are ({kept}).", set.name)
}
