//! The journal of a cluster, and those of a namespace.

use jiff::Timestamp;
use serde::Serialize;

use crate::decide::finding::NextCommand;
use crate::decide::operation::journal::{self, Outcome};
use crate::failure::Exit;
use crate::model::names::Target;
use crate::output::Screen;
use crate::output::command_line::OwnFlags;
use crate::output::style::Label;
use crate::output::styled::{Column, Span, Styled};

/// What was begun on a cluster, and what was done before.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Journal {
    pub namespace: String,
    /// Of the `StatefulSet`.
    pub name: String,
    /// The unfinished operation, if there is one.
    pub current: Option<Current>,
    /// How the cluster was stopped, if `stop` did it.
    pub stopped: Option<StoppedStatus>,
    /// The last ten, the latest first.
    pub history: Vec<PastStatus>,
    /// How to go on.
    pub next: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Current {
    /// The command: `stop`, `start`.
    pub operation: String,
    pub aborting: bool,
    /// `null`: nobody carries it out.
    pub holder: Option<String>,
    pub started: Timestamp,
    /// The holder's last heartbeat, by its own clock.
    pub renewed: Timestamp,
    pub steps: Vec<StepStatus>,
    pub can_abort: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StepStatus {
    pub id: String,
    /// `done`, `begun` (whether it was carried out is looked at by whoever goes on), `open`.
    pub state: String,
    pub does: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StoppedStatus {
    pub at: Timestamp,
    pub by: String,
    /// The pod that stopped last and starts first.
    pub last: String,
    /// What its `grastate.dat` said.
    pub position: Option<String>,
    pub replicas: u32,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PastStatus {
    pub operation: String,
    pub by: String,
    pub started: Timestamp,
    pub ended: Timestamp,
    pub outcome: Outcome,
    pub steps: u32,
}

impl Journal {
    #[must_use]
    pub fn new(target: &Target, journal: &journal::Journal, flags: &OwnFlags) -> Self {
        let current = journal.current.as_ref().map(current);
        let line = |verb: &str| {
            let words = ["operation", verb, &target.name].map(str::to_owned);
            flags.line(&NextCommand::Plugin(words.to_vec()), &target.namespace)
        };
        let next = current.as_ref().map_or_else(Vec::new, |current| {
            let verbs: &[&str] = if current.can_abort && !current.aborting { &["resume", "abort"] } else { &["resume"] };
            verbs.iter().map(|verb| line(verb)).collect()
        });
        Self {
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            current,
            stopped: journal.stopped.as_ref().map(|stopped| StoppedStatus {
                at: stopped.at,
                by: stopped.by.clone(),
                last: stopped.last.pod(&target.name),
                position: stopped.positions.get(&stopped.last).map(|closed| closed.told()),
                replicas: stopped.range.replicas,
            }),
            history: journal.history.iter().map(past).collect(),
            next,
        }
    }

    fn operation(&self, current: &Current, out: &mut Styled) {
        let verb = if current.aborting { format!("{}, being taken back", current.operation) } else { current.operation.clone() };
        let holder = current.holder.as_deref().map_or_else(
            || "nobody carries it out now".to_owned(),
            |who| format!("carried out by {who}, last heartbeat {}", current.renewed),
        );
        out.line(Label::Warning, format!("unfinished: {verb}"));
        out.hanging(vec![Span::plain("  ")], Label::Plain, &format!("begun {}; {holder}", current.started));
        for step in &current.steps {
            let label = if step.state == "open" { Label::Faint } else { Label::Plain };
            out.hanging(vec![Span::new(label, format!("  {:<6} ", step.state))], label, &step.does);
        }
        for next in &self.next {
            out.plain("  → ").line(Label::Command, next.as_str());
        }
    }
}

fn current(operation: &journal::Operation) -> Current {
    let begun = operation.begun.iter().map(|step| {
        let planned = operation.plan.steps.iter().find(|planned| planned.id == step.id);
        StepStatus {
            id: step.id.clone(),
            state: if step.done { "done" } else { "begun" }.to_owned(),
            does: planned.map_or_else(|| step.id.clone(), |planned| planned.say.clone()),
        }
    });
    let is_begun = |id: &str| operation.begun.iter().any(|step| step.id == id);
    let open = operation.plan.steps.iter().filter(|step| !operation.aborting && !is_begun(&step.id));
    let open = open.map(|step| StepStatus { id: step.id.clone(), state: "open".to_owned(), does: step.say.clone() });
    Current {
        operation: operation.goal.verb().to_owned(),
        aborting: operation.aborting,
        holder: operation.holder.as_ref().map(|holder| holder.who.clone()),
        started: operation.started,
        renewed: operation.renewed,
        steps: begun.chain(open).collect(),
        can_abort: operation.can_abort(),
    }
}

fn past(past: &journal::Past) -> PastStatus {
    PastStatus {
        operation: past.goal.verb().to_owned(),
        by: past.by.clone(),
        started: past.started,
        ended: past.ended,
        outcome: past.outcome,
        steps: past.steps,
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Aborted => "taken back",
        Outcome::Orphaned => "its set was deleted",
        Outcome::Refused => "refused, nothing was changed",
        Outcome::Replaced => "another one took its place",
    }
}

impl Screen for Journal {
    const KIND: &'static str = "Journal";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        match &self.current {
            Some(current) => self.operation(current, out),
            None => out.line(Label::Plain, format!("{}: no operation is under way", self.name)),
        }
        if let Some(stopped) = &self.stopped {
            let position = stopped.position.as_deref().unwrap_or("not read");
            let text = format!("stopped {} by {}; {} was the last one: {position}", stopped.at, stopped.by, stopped.last);
            out.hanging(Vec::new(), Label::Plain, &text);
        }
        if !self.history.is_empty() {
            let columns = ["ENDED", "OPERATION", "OUTCOME", "STEPS", "BY"].map(|head| Column { head, yields: 0 });
            let row = |past: &PastStatus| {
                let steps = past.steps.to_string();
                [&past.ended.to_string(), &past.operation, outcome(past.outcome), &steps, &past.by].map(Span::plain).to_vec()
            };
            out.table(&columns, &self.history.iter().map(row).collect::<Vec<_>>());
        }
    }

    fn names(&self) -> Vec<String> {
        vec![format!("statefulset/{}", self.name)]
    }

    fn exit(&self) -> Exit {
        Exit::Ok
    }
}

/// Every journal of a namespace.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JournalList {
    pub items: Vec<Journal>,
}

impl Screen for JournalList {
    const KIND: &'static str = "JournalList";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        if self.items.is_empty() {
            out.line(Label::Plain, "No operation was begun in this namespace.");
            return;
        }
        let columns = ["NAME", "OPERATION", "STATE", "BY"].map(|head| Column { head, yields: 0 });
        let row = |journal: &Journal| {
            let (operation, state, by) = match (&journal.current, journal.history.first()) {
                (Some(current), _) => {
                    let done = current.steps.iter().filter(|step| step.state == "done").count();
                    let state = format!("unfinished, {done} of {} steps", current.steps.len());
                    (current.operation.as_str(), state, current.holder.clone().unwrap_or_else(|| "nobody".to_owned()))
                }
                (None, Some(past)) => (past.operation.as_str(), outcome(past.outcome).to_owned(), past.by.clone()),
                (None, None) => ("–", "–".to_owned(), "–".to_owned()),
            };
            [journal.name.as_str(), operation, &state, &by].map(Span::plain).to_vec()
        };
        out.table(&columns, &self.items.iter().map(row).collect::<Vec<_>>());
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().flat_map(Journal::names).collect()
    }

    fn exit(&self) -> Exit {
        Exit::Ok
    }
}
