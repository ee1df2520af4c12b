//! Screens of `explain`.

use serde::Serialize;

use super::Screen;
use super::style::Label;
use super::styled::{Column, Span, Styled};
use crate::decide::finding::{Rule, Severity};
use crate::failure::Exit;

/// What one code means.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Explanation {
    pub code: String,
    /// Of findings; `null` for exit codes.
    pub severity: Option<Severity>,
    pub title: String,
    /// Paragraphs, one per line.
    pub explanation: String,
}

impl From<&Rule> for Explanation {
    fn from(rule: &Rule) -> Self {
        Self {
            code: rule.code.to_owned(),
            severity: Some(rule.severity),
            title: rule.title.to_owned(),
            explanation: rule.explanation.to_owned(),
        }
    }
}

impl From<Exit> for Explanation {
    fn from(exit: Exit) -> Self {
        Self {
            code: exit.code().to_string(),
            severity: None,
            title: format!("exit code {}", exit.code()),
            explanation: exit.meaning().to_owned(),
        }
    }
}

impl Screen for Explanation {
    const KIND: &'static str = "Explanation";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        match self.severity {
            Some(level) => {
                out.add(Label::Heading, self.code.as_str()).plain(" ").add(level.into(), level.name());
                out.plain(format!(": {}", self.title));
            }
            None => {
                out.add(Label::Heading, self.title.as_str());
            }
        }
        out.end_line();
        for paragraph in self.explanation.lines().filter(|line| !line.is_empty()) {
            out.end_line();
            out.hanging(Vec::new(), Label::Plain, paragraph);
        }
    }

    fn names(&self) -> Vec<String> {
        vec![self.code.clone()]
    }

    fn exit(&self) -> Exit {
        Exit::Ok
    }
}

/// All codes there are.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExplanationList {
    pub items: Vec<Explanation>,
}

impl Screen for ExplanationList {
    const KIND: &'static str = "ExplanationList";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        let columns =
            [Column { head: "CODE", yields: 0 }, Column { head: "SEVERITY", yields: 0 }, Column { head: "TITLE", yields: 0 }];
        let findings = self.items.iter().filter_map(|item| {
            let level = item.severity?;
            Some(vec![Span::plain(&item.code), Span::new(level.into(), level.name()), Span::plain(&item.title)])
        });
        out.table(&columns, &findings.collect::<Vec<_>>());
        out.end_line();
        let exits = self.items.iter().filter(|item| item.severity.is_none());
        let columns = [Column { head: "EXIT", yields: 0 }, Column { head: "MEANING", yields: 0 }];
        out.table(&columns, &exits.map(|item| vec![Span::plain(&item.code), Span::plain(&item.explanation)]).collect::<Vec<_>>());
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|item| item.code.clone()).collect()
    }

    fn exit(&self) -> Exit {
        Exit::Ok
    }
}
