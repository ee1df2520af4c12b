//! What is said of an operation: before it begins, how it ended, and how to go on.

mod ended;

use std::time::Duration;

use crate::api::writes::Denied;
use crate::carry_out::journal::Unwritten;
use crate::carry_out::prepare::held_by;
use crate::decide::finding::NextCommand;
use crate::decide::operation::journal::{Holder, Operation};
use crate::decide::operation::plan::{Plan, Refusal};
use crate::decide::operation::{Goal, Wish};
use crate::failure::{Exit, Failure, Kind};
use crate::model::fact::Why;
use crate::model::names::{Ordinal, Target};
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
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}
