//! Screens of operations: the plan, what became of it, why it was refused, the journal.

mod journal;
mod refusal;
mod told;

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::carry_out::operation::Event;
use crate::decide::operation::Goal;
use crate::decide::operation::plan::{Plan, Step};
use crate::failure::Exit;
use crate::model::names::Target;

use super::Screen;
use super::style::Label;
use super::styled::{Span, Styled};

pub use journal::{Journal, JournalList};
pub use refusal::Refused;
pub use told::{Answer, Told};

/// A plan that was asked for with `--dry-run`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Planned {
    pub namespace: String,
    /// Of the `StatefulSet`.
    pub name: String,
    /// The command: `stop`, `start`.
    pub operation: String,
    /// Of a command about one pod: its name.
    pub pod: Option<String>,
    pub steps: Vec<PlannedStep>,
    /// What could be lost; empty: nothing.
    pub losses: Vec<String>,
    pub notes: Vec<String>,
    /// Whether the API server was asked.
    pub validated: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlannedStep {
    pub id: String,
    pub does: String,
    /// From here on it can only be finished, not taken back.
    pub no_return: bool,
    /// With `--dry-run=server`: `accepted`, or why not; `null`: not asked, or nothing to ask.
    pub server: Option<String>,
}

impl Planned {
    /// `answers`: what the API server said to each step, if it was asked.
    #[must_use]
    pub fn new(target: &Target, goal: Goal, plan: &Plan, answers: Option<&[Option<String>]>) -> Self {
        let step = |(number, step): (usize, &Step)| PlannedStep {
            id: step.id.clone(),
            does: step.say.clone(),
            no_return: step.no_return,
            server: answers.and_then(|answers| answers.get(number).cloned().flatten()),
        };
        Self {
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            operation: goal.verb().to_owned(),
            pod: None,
            steps: plan.steps.iter().enumerate().map(step).collect(),
            losses: plan.losses.iter().map(|loss| loss.0.clone()).collect(),
            notes: plan.notes.clone(),
            validated: answers.is_some(),
        }
    }

    /// What is shown before the question, too.
    pub fn steps(&self, out: &mut Styled) {
        out.line(Label::Heading, format!("{} {}", self.operation, self.pod.as_ref().unwrap_or(&self.name)));
        let width = self.steps.len().to_string().len();
        for (number, step) in self.steps.iter().enumerate() {
            let first = Span::plain(format!("  {:>width$}  ", number + 1));
            out.hanging(vec![first], Label::Plain, &step.does);
            let indent = " ".repeat(width + 4);
            if step.no_return {
                out.hanging(vec![Span::plain(indent.clone())], Label::Warning, "no way back from here: only forward");
            }
            if let Some(server) = &step.server {
                out.hanging(vec![Span::plain(indent)], Label::Faint, &format!("API server: {server}"));
            }
        }
        for loss in &self.losses {
            out.hanging(vec![Span::new(Label::Error, "lost: ")], Label::Error, loss);
        }
        for note in &self.notes {
            out.hanging(Vec::new(), Label::Plain, note);
        }
    }
}

impl Screen for Planned {
    const KIND: &'static str = "Plan";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        self.steps(out);
        out.line(Label::Faint, "Nothing was changed.");
    }

    fn names(&self) -> Vec<String> {
        self.steps.iter().map(|step| step.id.clone()).collect()
    }

    fn exit(&self) -> Exit {
        Exit::Ok
    }
}

/// What became of an operation.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Ended {
    pub namespace: String,
    /// Of the `StatefulSet`.
    pub name: String,
    /// The command: `stop`, `start`.
    pub operation: String,
    /// `done`, `nothingToDo`, `wouldWait`, `aborted`, `declined`, `notConfirmed`, `interrupted`, `timedOut`, `failed`, `asked`, `onHold`.
    pub outcome: String,
    pub message: String,
    /// Steps that were begun, in order.
    pub begun: Vec<String>,
    /// What else should be known.
    pub notes: Vec<String>,
    /// What to run next.
    pub next: Vec<String>,
    pub exit_code: u8,
    #[serde(skip)]
    pub exit: Exit,
}

impl Ended {
    #[must_use]
    pub fn new(target: &Target, operation: &str, outcome: &str, exit: Exit, message: impl Into<String>) -> Self {
        Self {
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            operation: operation.to_owned(),
            outcome: outcome.to_owned(),
            message: message.into(),
            begun: Vec::new(),
            notes: Vec::new(),
            next: Vec::new(),
            exit_code: exit.code(),
            exit,
        }
    }

    #[must_use]
    pub fn next(mut self, line: String) -> Self {
        self.next.push(line);
        self
    }

    #[must_use]
    pub fn note(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }

    #[must_use]
    pub fn begun(self, begun: Vec<String>) -> Self {
        Self { begun, ..self }
    }
}

impl Screen for Ended {
    const KIND: &'static str = "Operation";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        let label = match self.exit {
            Exit::Ok => Label::Good,
            Exit::Failed => Label::Error,
            _ => Label::Warning,
        };
        out.hanging(Vec::new(), label, &self.message);
        for note in &self.notes {
            out.hanging(Vec::new(), Label::Warning, note);
        }
        for next in &self.next {
            out.plain("  → ").line(Label::Command, next.as_str());
        }
    }

    fn names(&self) -> Vec<String> {
        vec![format!("statefulset/{}", self.name)]
    }

    fn exit(&self) -> Exit {
        self.exit
    }
}

/// One line of `-o jsonl` while an operation goes on.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Progress {
    /// `begins`, `waits`, `again`, `willStop`.
    pub event: String,
    pub step: Option<String>,
    pub number: Option<usize>,
    pub total: Option<usize>,
    pub message: String,
}

impl Progress {
    #[must_use]
    pub fn new(event: &Event<'_>) -> Self {
        let plain = |event: &str, message: &str| Self {
            event: event.to_owned(),
            step: None,
            number: None,
            total: None,
            message: message.to_owned(),
        };
        match event {
            Event::Begins { number, total, step } => {
                Self { step: Some(step.id.clone()), number: Some(*number), total: Some(*total), ..plain("begins", &step.say) }
            }
            Event::Waits { why } => plain("waits", why),
            Event::Again { why } => plain("again", why),
            Event::WillStop => plain("willStop", "stopping after this step; once more to leave at once"),
        }
    }

    /// For people, on stderr.
    pub fn tell(&self, out: &mut Styled) {
        match (self.number, self.total) {
            (Some(number), Some(total)) => {
                out.hanging(vec![Span::new(Label::Heading, format!("[{number}/{total}] "))], Label::Plain, &self.message);
            }
            _ if self.event == "waits" => {
                out.hanging(vec![Span::plain("      ")], Label::Faint, &format!("waiting: {}", self.message));
            }
            _ if self.event == "again" => {
                out.hanging(vec![Span::plain("      ")], Label::Warning, &format!("looking again: {}", self.message));
            }
            _ => out.line(Label::Warning, self.message.as_str()),
        }
    }
}

impl Screen for Progress {
    const KIND: &'static str = "Progress";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        self.tell(out);
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn exit(&self) -> Exit {
        Exit::Ok
    }
}
