//! Why a command does not do it.

use serde::Serialize;

use crate::decide::operation::plan::Refusal;
use crate::failure::Exit;
use crate::model::names::Target;
use crate::output::Screen;
use crate::output::command_line::OwnFlags;
use crate::output::style::Label;
use crate::output::styled::{Span, Styled};

/// A refusal by a safety check.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Refused {
    pub namespace: String,
    /// Of the `StatefulSet`.
    pub name: String,
    pub code: String,
    pub title: String,
    /// One sentence about this cluster.
    pub message: String,
    /// `source: value`.
    pub evidence: Vec<String>,
    /// What to run first, or instead.
    pub next: Vec<String>,
    /// Whether steps had been carried out before; the operation is unfinished then.
    pub unfinished: bool,
    pub exit_code: u8,
}

impl Refused {
    #[must_use]
    pub fn new(target: &Target, refusal: &Refusal, unfinished: bool, flags: &OwnFlags) -> Self {
        Self {
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            code: refusal.rule.code.to_owned(),
            title: refusal.rule.title.to_owned(),
            message: refusal.summary.clone(),
            evidence: refusal.because.clone(),
            next: refusal.by_hand.iter().map(|command| flags.line(command, &target.namespace)).collect(),
            unfinished,
            exit_code: Exit::Refused.code(),
        }
    }
}

impl Screen for Refused {
    const KIND: &'static str = "Refusal";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        let first = vec![Span::new(Label::Error, "refused "), Span::new(Label::Heading, format!("{} ", self.code))];
        out.hanging(first, Label::Plain, &self.message);
        for evidence in &self.evidence {
            out.hanging(vec![Span::plain("  ")], Label::Faint, evidence);
        }
        for next in &self.next {
            out.plain("  → ").line(Label::Command, next.as_str());
        }
        let state = if self.unfinished { "The operation is unfinished." } else { "Nothing was changed." };
        out.plain(state).plain(" Why: ").line(Label::Command, format!("kubectl mariadb explain {}", self.code));
    }

    fn names(&self) -> Vec<String> {
        vec![self.code.clone()]
    }

    fn exit(&self) -> Exit {
        Exit::Refused
    }
}
