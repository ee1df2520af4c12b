//! Every end of an operation, in words.

use std::collections::BTreeMap;

use crate::carry_out::operation::End;
use crate::decide::finding::NextCommand;
use crate::decide::operation::journal::{Journal, Operation};
use crate::decide::operation::plan::Refusal;
use crate::decide::operation::upgrade::told;
use crate::decide::operation::{Goal, bootstrap_name, kept};
use crate::decide::rules::operations as rules;
use crate::failure::Exit;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::{Answer, Ended, Told};

impl Told<'_> {
    /// Every end but a failure.
    #[must_use]
    pub fn ended(&self, end: End, operation: Option<&Operation>, journal: &Journal) -> Answer {
        let begun: Vec<String> =
            operation.map_or_else(Vec::new, |operation| operation.begun.iter().map(|step| step.id.clone()).collect());
        let (name, verb) = (&self.target.name, self.goal.verb());
        let ways = |ended: Ended| {
            let ended = ended.next(self.resume());
            if operation.is_some_and(|operation| operation.can_abort() && !operation.aborting) {
                ended.next(self.abort())
            } else {
                ended
            }
        };
        let ended = match end {
            End::Done { .. } if self.goal == Goal::Restart && operation.is_some_and(|operation| operation.aborting) => {
                let message = format!("The restart of {name} ended here: pods that were restarted stay so.");
                self.end("aborted", Exit::Ok, message)
            }
            End::Done { seen, .. } if operation.is_some_and(|operation| operation.aborting) => {
                let message =
                    ended_where_it_is(name, operation, &seen).unwrap_or(format!("The {verb} of {name} was taken back."));
                let ended = self.end("aborted", Exit::Ok, message);
                if self.goal == Goal::Scale { self.with_kept(ended, &seen) } else { ended }
            }
            End::Done { seen, departed } if self.goal == Goal::Upgrade => {
                departed.into_iter().fold(self.upgraded(&seen, operation), Ended::note)
            }
            End::Done { seen, departed } => {
                let before = operation.map(|operation| &operation.memo.images);
                before
                    .into_iter()
                    .flat_map(|before| other_images(before, &seen))
                    .chain(departed)
                    .fold(self.done(operation, journal, &seen), Ended::note)
            }
            End::Stopped { after } => {
                let after = after.map_or_else(|| "before the first step".to_owned(), |step| format!("after `{step}`"));
                ways(self.end("interrupted", Exit::Interrupted, format!("Stopped {after}. The {verb} of {name} is unfinished.")))
            }
            End::OnHold { founder, container } => self.on_hold(founder, &container),
            End::TimedOut { waiting_for } => {
                let message = format!("It took too long: {waiting_for}. The {verb} of {name} is unfinished.");
                ways(self.end("timedOut", Exit::TimedOut, message))
            }
            // Where nothing was changed there is nothing to go on with.
            End::Refused(mut refusal) if journal.current.is_none() => {
                refusal.by_hand.retain(|command| !of_operation(command));
                return self.refused(&refusal, false);
            }
            End::Refused(refusal) => return self.refused(&self.with_resume(refusal), true),
            End::Changed(plan) => {
                let reasons = plan.steps.iter().map(|step| format!("would do now: {}", step.say));
                let summary = format!("{name} has changed: what is left to do is not what was confirmed");
                return self.refused(&self.with_resume(Refusal::new(&rules::OTHER_PLAN, summary).because(reasons)), true);
            }
            End::TakenOver => {
                let summary = format!("somebody else has taken the {verb} of {name} over; this run sends nothing more");
                let refusal = Refusal::new(&rules::TAKEN_OVER, summary).plugin(&format!("operation show {name}"));
                return self.refused(&refusal, true);
            }
            End::Failed(failure) => self.end("failed", Exit::Failed, failure.message),
        };
        Answer::Ended(ended.begun(begun))
    }

    /// What there is to look at, and the way on; there is none back.
    fn on_hold(&self, founder: Ordinal, container: &str) -> Ended {
        let (name, verb) = (&self.target.name, self.goal.verb());
        let pod = bootstrap_name(name, founder);
        let message = format!(
            "{pod} is the primary component of {name}, alone, and no Service leads to it but the one by which the members find each \
             other. Look at its data; then let the others join it: clients reach each of them as soon as it is Ready. The {verb} of {name} is unfinished."
        );
        let look = ["exec", "-it", &pod, "-c", container, "--", "mariadb", "-uroot", "-p"].map(str::to_owned);
        let look = self.flags.line(&NextCommand::Kubectl(look.to_vec()), &self.target.namespace);
        self.end("onHold", Exit::Ok, message).next(look).next(self.resume())
    }

    fn with_resume(&self, refusal: Refusal) -> Refusal {
        // A refusal that names one of them knows what leads on: the other may end in the same refusal.
        if refusal.by_hand.iter().any(of_operation) {
            return refusal;
        }
        refusal.plugin(&format!("operation resume {}", self.target.name))
    }

    fn upgraded(&self, seen: &Snapshot, operation: Option<&Operation>) -> Ended {
        let name = &self.target.name;
        let Some(upgrade) = operation.and_then(|operation| operation.memo.upgrade.as_ref()) else {
            return self.end("done", Exit::Ok, format!("{name} is upgraded."));
        };
        let ended = self.end("done", Exit::Ok, told(seen, upgrade));
        match upgrade.to.partition.checked_sub(1) {
            None => ended,
            Some(below) => {
                let next = seen.objects.stateful_set.start + below;
                ended.next(self.line(&format!("upgrade {name} --partition {next}")))
            }
        }
    }

    /// With the volumes that lie outside of the range.
    fn with_kept(&self, ended: Ended, seen: &Snapshot) -> Ended {
        let (name, kept) = (&self.target.name, kept(seen));
        if kept.is_empty() {
            return ended;
        }
        let volumes = if kept.len() == 1 { "the volume" } else { "the volumes" };
        let is = if kept.len() == 1 { "is" } else { "are" };
        let message = format!("{}; {volumes} of {} {is} kept.", ended.message.trim_end_matches('.'), kept.join(", "));
        Ended { message, ..ended }.next(self.line(&format!("pvc prune {name}")))
    }

    fn scaled(&self, operation: Option<&Operation>, seen: &Snapshot) -> Ended {
        let (name, replicas) = (&self.target.name, seen.objects.stateful_set.replicas);
        let members = if replicas == 1 { "1 member".to_owned() } else { format!("{replicas} members") };
        let is_galera =
            operation.and_then(|operation| operation.memo.scale.as_ref()).is_some_and(|scale| scale.history.is_some());
        let synced = match (is_galera, replicas) {
            (true, 1) => ", and it is Synced",
            (true, _) => ", all Synced",
            (false, _) => "",
        };
        self.with_kept(self.end("done", Exit::Ok, format!("{name} has {members}{synced}.")), seen)
    }

    fn done(&self, operation: Option<&Operation>, journal: &Journal, seen: &Snapshot) -> Ended {
        let name = &self.target.name;
        match (self.goal, &journal.stopped) {
            (Goal::Stop, Some(stopped)) => {
                let last = stopped.last.pod(name);
                let position =
                    stopped.positions.get(&stopped.last).map_or_else(String::new, |closed| format!(" at {}", closed.told()));
                let message =
                    format!("{name} is stopped. {last} was the last one{position}: it holds everything and starts first.");
                self.end("done", Exit::Ok, message).next(self.line(&format!("start {name}")))
            }
            (Goal::Stop, None) => self.end("done", Exit::Ok, format!("{name} is stopped.")),
            (Goal::Start | Goal::Recover | Goal::Bootstrap, _) => self.end(
                "done",
                Exit::Ok,
                format!("{name} runs: every member is Synced in one primary component, with the history it had."),
            ),
            (Goal::Suspend, _) => {
                let message = format!("mariadb-operator does nothing for {name} until `kubectl mariadb unsuspend {name}`.");
                self.end("done", Exit::Ok, message).next(self.line(&format!("unsuspend {name}")))
            }
            (Goal::Unsuspend, _) => {
                self.end("done", Exit::Ok, format!("mariadb-operator works on {name} again, and says that all is well."))
            }
            (Goal::Upgrade, _) => self.end("done", Exit::Ok, format!("{name} is upgraded.")),
            (Goal::Restart, _) => {
                let whom = self.ordinal.map_or_else(|| format!("Every pod of {name}"), |ordinal| ordinal.pod(name));
                self.end("done", Exit::Ok, format!("{whom} was restarted, and all are together again."))
            }
            (Goal::Scale, _) => self.scaled(operation, seen),
            (Goal::Rebuild, _) => {
                let message = format!("{} has a fresh copy, and is Synced in the primary component of {name}.", self.subject());
                self.end("done", Exit::Ok, message)
            }
        }
    }
}

/// `operation …`.
fn of_operation(command: &NextCommand) -> bool {
    matches!(command, NextCommand::Plugin(words) if words.first().is_some_and(|word| word == "operation"))
}

/// Pods that run another image than before, under the same name or not (safety B8).
fn other_images(before: &BTreeMap<String, String>, seen: &Snapshot) -> Vec<String> {
    let container = &seen.objects.stateful_set.layout.container;
    let pods = seen.members.values().filter_map(|member| member.pod.as_ref());
    let now = pods.filter_map(|pod| Some((pod, pod.containers.iter().find(|own| own.name == *container)?)));
    let changed = now.filter_map(|(pod, own)| Some((pod, own, before.get(&pod.name).filter(|image| **image != own.image_id)?)));
    changed
        .map(|(pod, own, before)| format!("{} runs another image than before: {}, not {before}", pod.name, own.image_id))
        .collect()
}

/// Of a scale-in by mariadb-operator: replicas that have left do not come back.
fn ended_where_it_is(name: &str, operation: Option<&Operation>, seen: &Snapshot) -> Option<String> {
    let memo = &operation?.memo;
    let (replicas, before) = (seen.objects.stateful_set.replicas, memo.range.replicas);
    memo.operated.as_ref().filter(|operated| operated.replicas < before && replicas < before)?;
    Some(format!(
        "The scale of {name} ended here, with {replicas} members: a replica that has left comes back only as a new one."
    ))
}
