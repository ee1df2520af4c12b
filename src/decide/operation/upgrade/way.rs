//! The steps from what is to what is asked for: one pod at a time.

use std::collections::BTreeSet;

use crate::decide::operation::formation::{BACK, Formation, does_not_start, server};
use crate::decide::operation::gates::{AGREE, LEAVE, wait};
use crate::decide::operation::handover::{AWAITED, Handover};
use crate::decide::operation::plan::{Action, Decision, Plan, Refusal, Step};
use crate::decide::rules::operations as rules;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::version::Version;

use super::pods::{self, is_new, runs, unstarted};
use super::{Rollout, Upgrade};

/// The way from what is to `aim`: one pod at a time, from the highest ordinal down.
pub struct Way<'a> {
    pub seen: &'a Snapshot,
    pub upgrade: &'a Upgrade,
    pub aim: &'a Rollout,
    /// The pods that are not what it asks for.
    pub open: Vec<Ordinal>,
    /// The pods that were replaced on this way: a primary among them came back as its configuration says.
    pub restarted: BTreeSet<Ordinal>,
    pub forth: bool,
    /// The primary is being moved, this way.
    pub handover: Option<Handover>,
}

impl Way<'_> {
    /// The steps that are left, after `steps`.
    pub fn advance(&self, mut steps: Vec<Step>) -> Decision {
        if let Some(handover) = &self.handover {
            return match handover.left(self.seen) {
                Ok(left) => self.after(handover, [steps, left].concat()),
                Err(why) => wait(why, AWAITED),
            };
        }
        let Self { seen, upgrade, .. } = *self;
        let broken = unstarted(seen, &self.open);
        let restarted = |ordinal: &Ordinal| self.restarted.contains(ordinal);
        if let Some(step) = upgrade.formation.opening(seen, restarted).or_else(|| upgrade.formation.closing(seen, restarted)) {
            return Decision::Go(Plan { steps: vec![step], ..Plan::default() });
        }
        if let Err(why) = upgrade.formation.whole(seen, &broken) {
            return wait(why, BACK);
        }
        let primary = upgrade.formation.primary().filter(|_| self.forth);
        let Some((from, to)) = primary.and_then(|primary| pods::handed_over(seen, primary, &self.open)) else {
            return self.replace_all(steps);
        };
        if let Some(broken) = broken.first() {
            return Decision::Refuse(self.mend_first(*broken, from));
        }
        match Handover::of(seen, from, to) {
            Err(why) => wait(why.to_string(), AGREE),
            Ok(Err(refusal)) => Decision::Refuse(refusal),
            Ok(Ok(handover)) => match handover.left(seen) {
                Err(why) => wait(why, AGREE),
                Ok(left) => {
                    steps.push(handover.begun(seen));
                    steps.extend(left);
                    self.after(&handover, steps)
                }
            },
        }
    }

    /// Everybody has to follow the new primary, and this one cannot.
    fn mend_first(&self, broken: Ordinal, from: Ordinal) -> Refusal {
        let (seen, name) = (self.seen, &self.seen.target.name);
        let (pod, primary) = (seen.pod_name(broken), seen.pod_name(from));
        let summary = format!("{pod} does not start, and the role of {primary} can only be handed over while all follow");
        let refusal = Refusal::new(&rules::PRIMARY_NOT_LAST, summary).because(does_not_start(seen, broken));
        if broken < from {
            return refusal.kubectl(&format!("describe pod {pod}"));
        }
        let partition = broken.0 - seen.objects.stateful_set.start;
        refusal.plugin(&format!("upgrade {name} --image {} --partition {partition}", self.aim.image))
    }

    /// The steps that are left once the primary was moved.
    fn after(&self, handover: &Handover, steps: Vec<Step>) -> Decision {
        let formation = Formation::Replication { primary: handover.to, writable: true };
        let upgrade = &Upgrade { formation, ..self.upgrade.clone() };
        let way = Way { upgrade, open: self.open.clone(), restarted: self.restarted.clone(), handover: None, ..*self };
        match way.replace_all(steps) {
            Decision::Go(mut plan) => {
                plan.notes.push(handover.note(self.seen));
                Decision::Go(plan)
            }
            other => other,
        }
    }

    fn replace_all(&self, mut steps: Vec<Step>) -> Decision {
        let Self { seen, upgrade, aim, .. } = *self;
        let set = &seen.objects.stateful_set;
        let Some(now) = Rollout::of(seen) else { return wait("the update strategy was changed", AGREE) };
        let broken = unstarted(seen, &self.open);
        let mut partition = now.partition;
        if now.image != aim.image {
            partition = if self.forth { pods::closed(seen, &broken, aim) } else { set.replicas };
            steps.push(set_image(seen, &now, &aim.held_at(partition)));
        } else if let Some(decision) = self.under_way(&now, &broken).filter(|_| steps.is_empty()) {
            return decision;
        }
        steps.extend(self.unconverted().map(|ordinal| convert(seen, ordinal)));
        let (mut formation, mut left) = (upgrade.formation, self.open.clone());
        for ordinal in &self.open {
            if let Some((moved, step)) = formation.moved_off(seen, *ordinal, &left) {
                steps.push(step);
                formation = moved;
            }
            partition = self.replacing(*ordinal, partition, &broken, &mut steps);
            left.retain(|due| due != ordinal);
        }
        // Nothing was begun yet: the operator's own order is still what it was.
        let last = if self.open.is_empty() && now.image == aim.image { now.clone() } else { aim.held_at(partition) };
        if last != *aim {
            steps.push(hold(seen, last, aim.clone()));
        }
        let first = self.open.first().filter(|first| !broken.contains(first));
        match first.and_then(|first| upgrade.formation.holds_back(seen, *first)) {
            Some(why) if matches!(steps.first().map(|step| &step.act), Some(Action::Rollout { .. })) => wait(why, BACK),
            _ if steps.is_empty() => Decision::Done,
            _ => Decision::Go(Plan { steps, losses: Vec::new(), notes: pods::notes(seen, upgrade, &self.open) }),
        }
    }

    /// The partition is open for a pod that is still the old one: the controller is about to replace it.
    fn under_way(&self, now: &Rollout, broken: &BTreeSet<Ordinal>) -> Option<Decision> {
        let released = |ordinal: &&Ordinal| ordinal.0 >= self.seen.objects.stateful_set.start + now.partition;
        // One that does not start may be waited for without end.
        let ordinal = self.open.iter().filter(released).find(|ordinal| !broken.contains(ordinal))?;
        Some(wait(format!("Kubernetes has not stopped {} yet", self.seen.pod_name(*ordinal)), LEAVE))
    }

    /// The steps that replace one pod; gives the partition after them.
    fn replacing(&self, ordinal: Ordinal, partition: u32, broken: &BTreeSet<Ordinal>, steps: &mut Vec<Step>) -> u32 {
        let Self { seen, upgrade, aim, forth, .. } = *self;
        let index = ordinal.0 - seen.objects.stateful_set.start;
        if index < partition {
            let step = replace(seen, upgrade, ordinal, aim.held_at(partition), aim.held_at(index));
            steps.push(if forth && upgrade.is_for_good() { step.without_return() } else { step });
        }
        if broken.contains(&ordinal) {
            steps.push(delete(seen, ordinal));
        }
        if forth {
            steps.extend(will_convert(seen, upgrade, ordinal));
        }
        if upgrade.formation.primary() == Some(ordinal) {
            steps.extend(upgrade.formation.will_open(seen));
        }
        partition.min(index)
    }

    /// Those that run the new series on tables of an older one.
    fn unconverted(&self) -> impl Iterator<Item = Ordinal> {
        let set = &self.seen.objects.stateful_set;
        set.wanted().filter(|ordinal| self.forth && needs_converting(self.seen, self.upgrade, *ordinal))
    }
}

fn rollout(id: String, say: String, from: Rollout, to: Rollout, revision: Option<String>) -> Step {
    let undo = Some(Action::Rollout { from: to.clone(), to: from.clone(), revision: None });
    Step { undo, ..Step::new(id, say, Action::Rollout { from, to, revision }) }
}

fn set_image(seen: &Snapshot, from: &Rollout, to: &Rollout) -> Step {
    let set = &seen.objects.stateful_set;
    let held = if to.partition >= set.replicas {
        format!("with the partition at {}: no pod is replaced by that", to.partition)
    } else {
        format!("with the partition at {}: only the pod that does not start is replaced by that", to.partition)
    };
    rollout(
        format!("set the image {}", to.image),
        format!("set the image {} in the pod template, {held}", to.image),
        from.clone(),
        to.clone(),
        None,
    )
}

fn replace(seen: &Snapshot, upgrade: &Upgrade, ordinal: Ordinal, from: Rollout, to: Rollout) -> Step {
    let pod = seen.pod_name(ordinal);
    let then = match upgrade.formation {
        Formation::Galera { .. } => "until it is Synced again in one component with all others",
        Formation::Replication { primary, .. } if primary == ordinal => {
            "until it serves again; it is the primary: no writes until then"
        }
        Formation::Replication { .. } => "until it follows the primary again and has caught up",
        Formation::Single => "until its server serves again; clients have none until then",
    };
    let say = format!("replace {pod} (partition {}), and wait {then}", to.partition);
    let revision =
        Some(seen.objects.stateful_set.update_revision.clone()).filter(|_| seen.objects.stateful_set.layout.image == to.image);
    rollout(replaces(seen, ordinal), say, from, to, revision)
}

/// The step that replaces a pod.
pub fn replaces(seen: &Snapshot, ordinal: Ordinal) -> String {
    format!("replace {}", seen.pod_name(ordinal))
}

/// Under `OrderedReady` Kubernetes does not replace a pod that is not Ready: it waits for it for ever (safety D3).
fn delete(seen: &Snapshot, ordinal: Ordinal) -> Step {
    let pod = seen.pod_name(ordinal);
    let say = format!("delete {pod}, which does not start: Kubernetes makes it anew from the template as it is now");
    Step::new(format!("delete {pod}"), say, Action::DeletePods { ordinals: vec![ordinal] })
}

fn hold(seen: &Snapshot, from: Rollout, to: Rollout) -> Step {
    let say = if to.partition == 0 {
        let strategy = to.strategy.as_ref().filter(|strategy| from.strategy.as_ref() != Some(*strategy));
        let strategy = strategy.map_or_else(String::new, |strategy| format!(" and the update strategy back to {strategy}"));
        format!("set the partition back to 0{strategy}: every pod runs the image")
    } else {
        format!(
            "leave the partition at {}: pods below {} stay as they are",
            to.partition,
            seen.pod_name(Ordinal(seen.objects.stateful_set.start + to.partition))
        )
    };
    let revision = Some(seen.objects.stateful_set.update_revision.clone());
    rollout("set the partition".to_owned(), say, from, to, revision)
}

/// Whether its system tables are those of an older series. Every member has its own: they are neither replicated nor logged (G 4).
fn needs_converting(seen: &Snapshot, upgrade: &Upgrade, ordinal: Ordinal) -> bool {
    let Some(server) = server(seen, ordinal).filter(|_| !upgrade.converted.contains(&ordinal)) else { return false };
    let files = seen.members.get(&ordinal).and_then(|member| member.files.known().ok());
    let tables = files.and_then(|disk| disk.upgrade_info.as_ref()).and_then(|info| info.parse::<Version>().ok());
    let before = || upgrade.before.get(&ordinal).cloned();
    is_new(seen, ordinal)
        && runs(seen, ordinal, &upgrade.to.image)
        && tables.or_else(before).is_some_and(|tables| tables.series() != server.version.series() && tables < server.version)
}

fn convert(seen: &Snapshot, ordinal: Ordinal) -> Step {
    let pod = seen.pod_name(ordinal);
    let say = format!("convert the system tables of {pod} (mariadb-upgrade), as each server of a new series needs it");
    Step::new(format!("convert {pod}"), say, Action::Convert { ordinal }).without_return()
}

fn will_convert(seen: &Snapshot, upgrade: &Upgrade, ordinal: Ordinal) -> Option<Step> {
    let (before, after) = (upgrade.before.get(&ordinal), upgrade.version());
    let same = before.zip(after).is_some_and(|(before, after)| after.series() == before.series());
    (!same).then(|| convert(seen, ordinal))
}
