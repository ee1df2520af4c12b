//! The answer of `wait`.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::status::Status;
use super::style::Label;
use super::styled::{Span, Styled};
use super::{Printer, Screen};
use crate::decide::wish::Wish;
use crate::failure::Exit;

/// What became of the wait.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Waited {
    /// What was waited for, as given with `--for`.
    pub r#for: Vec<String>,
    /// It is so, in two looks at least eight seconds apart.
    pub met: bool,
    pub waited_seconds: f64,
    /// What was missing at the end, if it is not so.
    pub missing: Vec<String>,
    /// 0 met, 6 timed out, 130 interrupted.
    pub exit_code: u8,
    /// The last look; `null`: nothing was seen.
    pub status: Option<Status>,
    #[serde(skip)]
    #[cfg_attr(test, schemars(skip))]
    exit: Exit,
}

impl Waited {
    #[must_use]
    pub fn new(wishes: &[Wish], exit: Exit, waited: Duration, missing: Vec<String>, status: Option<Status>) -> Self {
        Self {
            r#for: wishes.iter().map(ToString::to_string).collect(),
            met: exit == Exit::Ok,
            waited_seconds: (waited.as_secs_f64() * 10.0).round() / 10.0,
            missing,
            exit_code: exit.code(),
            status,
            exit,
        }
    }
}

/// Says on stderr what is missing, when that changes and not more often than people read.
pub struct Said {
    wishes: String,
    last: Option<(String, Instant)>,
}

/// Numbers change all the time: a sentence that differs in them alone waits so long.
const PATIENCE: Duration = Duration::from_secs(10);

impl Said {
    #[must_use]
    pub fn new(wishes: &[Wish]) -> Self {
        let wishes: Vec<String> = wishes.iter().map(ToString::to_string).collect();
        Self { wishes: wishes.join(" and "), last: None }
    }

    pub fn say(&mut self, missing: &[String], printer: &mut Printer) {
        let text = missing.join("; ");
        let words = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        let new = self
            .last
            .as_ref()
            .is_none_or(|(said, at)| words(said) != words(&text) || (*said != text && at.elapsed() >= PATIENCE));
        if new {
            printer.progress(&format!("waiting for {}: {text}", self.wishes));
            self.last = Some((text, Instant::now()));
        }
    }
}

impl Screen for Waited {
    const KIND: &'static str = "Waited";

    fn screen(&self, wide: bool, out: &mut Styled) {
        let wishes = self.r#for.join(" and ");
        let (label, what) = match self.exit {
            Exit::Ok => (Label::Good, "met"),
            Exit::Interrupted => (Label::Warning, "interrupted"),
            _ => (Label::Error, "timed out"),
        };
        let text = match self.exit {
            Exit::Ok => format!(": {wishes}, in two looks, after {:.1} s", self.waited_seconds),
            _ => format!(": not {wishes} after {:.1} s", self.waited_seconds),
        };
        out.hanging(vec![Span::new(label, what)], Label::Plain, &text);
        // The headline of the last look follows anyway.
        let headline = self.status.as_ref().map(|status| &status.headline);
        for missing in self.missing.iter().filter(|missing| Some(*missing) != headline) {
            out.hanging(vec![Span::plain("  - ")], Label::Plain, missing);
        }
        if let Some(status) = &self.status {
            out.end_line();
            status.screen(wide, out);
        }
    }

    fn names(&self) -> Vec<String> {
        self.status.iter().flat_map(Screen::names).collect()
    }

    fn exit(&self) -> Exit {
        self.exit
    }
}
