//! What is said of an operation: how it ended, and how to go on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::writes::Denied;
use crate::carry_out::journal::Unwritten;
use crate::carry_out::operation::End;
use crate::carry_out::prepare::held_by;
use crate::decide::finding::NextCommand;
use crate::decide::operation::journal::{Holder, Journal, Operation};
use crate::decide::operation::plan::{Plan, Refusal};
use crate::decide::operation::upgrade::told;
use crate::decide::operation::{Goal, Wish, kept};
use crate::decide::rules::operations as rules;
use crate::failure::{Exit, Failure, Kind};
use crate::model::fact::Why;
use crate::model::names::{Ordinal, Target};
use crate::model::snapshot::Snapshot;
use crate::output::command_line::OwnFlags;
use crate::output::style::Label;
use crate::output::styled::Styled;

use super::{Ended, Planned, Refused};

/// The answer of a command that changes something.
pub enum Answer {
    Refused(Refused),
    Planned(Planned),
    Ended(Ended),
}

/// Whom it is about, for everything that is said.
pub struct Told<'a> {
    pub target: &'a Target,
    pub goal: Goal,
    /// Of a command about one pod.
    pub ordinal: Option<Ordinal>,
    /// Of a change of their number: how many members there are to be.
    pub replicas: Option<u32>,
    /// The command, as it is typed; none: it was typed another time.
    pub words: Option<String>,
    pub flags: OwnFlags,
}

impl<'a> Told<'a> {
    /// Of a command that begins.
    #[must_use]
    pub fn of(target: &'a Target, wish: &Wish, flags: OwnFlags) -> Self {
        let replicas = wish.number.map(|number| number.replicas);
        Self { target, goal: wish.goal, ordinal: wish.ordinal, replicas, words: Some(wish.words(&target.name)), flags }
    }

    /// Of one that was begun.
    #[must_use]
    pub fn of_operation(target: &'a Target, operation: &Operation, flags: OwnFlags) -> Self {
        let memo = &operation.memo;
        let operated = || memo.operated.as_ref().map(|operated| operated.replicas);
        let replicas = memo.scale.as_ref().map(|scale| scale.replicas).or_else(operated);
        Self { target, goal: operation.goal, ordinal: operation.ordinal(), replicas, words: None, flags }
    }
}

impl Told<'_> {
    fn line(&self, words: &str) -> String {
        let words = words.split(' ').map(str::to_owned).collect();
        self.flags.line(&NextCommand::Plugin(words), &self.target.namespace)
    }

    /// The pod, or the whole cluster.
    fn subject(&self) -> String {
        self.ordinal.map_or_else(|| self.target.name.clone(), |ordinal| ordinal.pod(&self.target.name))
    }

    fn typed(&self) -> String {
        self.words.clone().unwrap_or_else(|| format!("{} {}", self.goal.verb(), self.subject()))
    }

    /// `answers`: what the API server said to each step.
    #[must_use]
    pub fn plan(&self, plan: &Plan, answers: Option<&[Option<String>]>) -> Planned {
        let pod = self.ordinal.map(|ordinal| ordinal.pod(&self.target.name));
        Planned { pod, ..Planned::new(self.target, self.goal, plan, answers) }
    }

    fn end(&self, outcome: &str, exit: Exit, message: impl Into<String>) -> Ended {
        Ended::new(self.target, self.goal.verb(), outcome, exit, message)
    }

    #[must_use]
    pub fn nothing(&self, why: String) -> Answer {
        Answer::Ended(self.end("nothingToDo", Exit::Ok, why))
    }

    #[must_use]
    pub fn refused(&self, refusal: &Refusal, unfinished: bool) -> Answer {
        Answer::Refused(Refused::new(self.target, refusal, unfinished, &self.flags))
    }

    /// `answers`: what the API server said to each step.
    #[must_use]
    pub fn planned(&self, plan: &Plan, answers: Option<&[Option<Result<(), Denied>>]>) -> Answer {
        let said = |answer: &Option<Result<(), Denied>>| {
            answer.as_ref().map(|answer| match answer {
                Ok(()) => "accepted".to_owned(),
                Err(denied) => Why::from(denied.clone()).to_string(),
            })
        };
        let said: Option<Vec<Option<String>>> = answers.map(|answers| answers.iter().map(said).collect());
        Answer::Planned(self.plan(plan, said.as_deref()))
    }

    /// The first answer of the API server that is a no.
    #[must_use]
    pub fn not_accepted(&self, answers: &[Option<Result<(), Denied>>]) -> Option<Failure> {
        let denied = answers.iter().flatten().find_map(|answer| answer.as_ref().err())?;
        let kind = if matches!(denied, Denied::Right(_)) { Kind::Forbidden } else { Kind::Other };
        if *denied == Denied::Gone {
            let text = format!(
                "what this {} is about was changed again and again while it was looked at; nothing was changed by it",
                self.goal.verb()
            );
            return Some(
                Failure::new(kind, text)
                    .hint("somebody or something writes it at this moment: run the command again in a minute"),
            );
        }
        let why = Why::from(denied.clone());
        let text = format!("the API server would not accept a step of this {}: {why}; nothing was changed", self.goal.verb());
        Some(
            Failure::new(kind, text).hint(format!("see which one: {}", self.line(&format!("{} --dry-run=server", self.typed())))),
        )
    }

    #[must_use]
    pub fn question(&self) -> String {
        let to = self.replicas.map_or_else(String::new, |replicas| format!(" to {replicas}"));
        format!("{} {}{to} in namespace {}? [y/N] ", capital(self.goal.verb()), self.subject(), self.target.namespace)
    }

    #[must_use]
    pub fn nobody_to_ask(&self) -> Answer {
        Answer::Ended(self.end(
            "notConfirmed",
            Exit::Refused,
            "There is no terminal to ask at: give -y to do this without a question. Nothing was changed.",
        ))
    }

    #[must_use]
    pub fn declined(&self) -> Answer {
        Answer::Ended(self.end("declined", Exit::Declined, "Nothing was changed."))
    }

    #[must_use]
    pub fn nothing_to_resume(target: &Target) -> Answer {
        let message = format!("No operation on {} is unfinished.", target.name);
        Answer::Ended(Ended::new(target, "operation", "nothingToDo", Exit::Ok, message))
    }

    #[must_use]
    pub fn of_another_set(&self) -> Answer {
        let name = &self.target.name;
        let message = format!(
            "The unfinished {} is about an older StatefulSet {name} that was deleted; there is nothing to go on with. The next operation on {name} puts it into the history.",
            self.goal.verb()
        );
        Answer::Ended(self.end("nothingToDo", Exit::Ok, message))
    }

    pub fn watches(&self, holder: Option<&Holder>, silence: Duration, out: &mut Styled) {
        let who = holder.map_or("somebody", |holder| holder.who.as_str());
        let text = format!("{who} may still be at work: watching the heartbeat for {} s", silence.as_secs());
        out.line(Label::Faint, text);
    }

    pub fn other_plan(&self, out: &mut Styled) {
        out.line(Label::Warning, "This is not what was confirmed before: the cluster has changed since.");
    }

    /// # Errors
    /// The journal could not be written.
    pub fn not_taken(&self, why: Unwritten) -> Result<Answer, Failure> {
        match why {
            Unwritten::TakenOver(holder) => Ok(self.refused(&held_by(self.target, holder.as_ref()), true)),
            Unwritten::Failed(failure) => Err(failure),
        }
    }

    #[must_use]
    pub fn stands_already(&self) -> Answer {
        let message = format!("Nobody carries the {} of {} out now.", self.goal.verb(), self.target.name);
        Answer::Ended(self.end("nothingToDo", Exit::Ok, message).next(self.resume()))
    }

    #[must_use]
    pub fn asked_to_stop(&self, holder: &Holder) -> Answer {
        let message =
            format!("{} is asked to stop the {} of {} after its current step.", holder.who, self.goal.verb(), self.target.name);
        Answer::Ended(self.end("asked", Exit::Ok, message).next(self.line(&format!("operation show {}", self.target.name))))
    }

    fn resume(&self) -> String {
        self.line(&format!("operation resume {}", self.target.name))
    }

    fn abort(&self) -> String {
        self.line(&format!("operation abort {}", self.target.name))
    }

    /// A failure in the middle, with the state it leaves.
    #[must_use]
    pub fn failed(&self, failure: Failure, operation: Option<&Operation>) -> Failure {
        let last = operation.and_then(|operation| operation.begun.last());
        let state = last.map_or_else(|| "no step was begun".to_owned(), |step| format!("the last step begun is `{}`", step.id));
        let ways = if operation.is_none_or(Operation::can_abort) {
            format!("go on: {}; take it back: {}", self.resume(), self.abort())
        } else {
            format!("go on: {}", self.resume())
        };
        failure.and(&state).hint(ways)
    }

    /// It did not come by itself in time.
    #[must_use]
    pub fn waited(&self, why: &str, limit: Duration) -> Answer {
        let name = &self.target.name;
        let message = format!("It did not come by itself within {} s: {why}. Nothing was changed.", limit.as_secs());
        Answer::Ended(self.end("timedOut", Exit::TimedOut, message).next(self.line(&format!("status {name}"))))
    }

    /// It may come by itself, and nothing would be done meanwhile.
    #[must_use]
    pub fn would_wait(&self, why: &str, limit: Duration) -> Answer {
        let message = format!("Nothing is to be done, only waited for, up to {} s: {why}.", limit.as_secs());
        Answer::Ended(self.end("wouldWait", Exit::Ok, message))
    }

    /// The second question was answered with no.
    #[must_use]
    pub fn left_open(&self, begun: &[String]) -> Answer {
        let (name, verb) = (&self.target.name, self.goal.verb());
        let ended = self.end("declined", Exit::Declined, format!("Nothing more was done. The {verb} of {name} is unfinished."));
        Answer::Ended(ended.begun(begun.to_vec()).next(self.resume()).next(self.abort()))
    }

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

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
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
