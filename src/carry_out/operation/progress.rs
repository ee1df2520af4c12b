//! What the loop remembers from look to look.

use std::time::{Duration, Instant};

use crate::decide::finding::Rule;
use crate::model::snapshot::Snapshot;

pub(super) struct Progress {
    /// When the last step was carried out, or the loop began.
    pub since: Instant,
    /// What the last look asked for, and since when every look has: it counts when it has lasted.
    asked: Option<(Asked, Instant)>,
    /// The look that asked for it first.
    pub first: Option<Box<Snapshot>>,
    /// The step that was tried last, and how often.
    pub attempts: (String, u32),
    /// Since when nothing could be seen of the cluster, or something needed was not known.
    pub blind: Option<Instant>,
    /// Whether it was said that it will stop.
    pub told: bool,
    pub waiting_for: String,
}

#[derive(PartialEq)]
pub(super) enum Asked {
    Done,
    Step(String),
    Refuse(&'static Rule),
    Changed(String),
}

impl Progress {
    pub fn new() -> Self {
        let attempts = (String::new(), 0);
        Self { since: Instant::now(), asked: None, first: None, attempts, blind: None, told: false, waiting_for: String::new() }
    }

    /// Whether two looks in succession asked for the same, the first of them at least `apart` ago.
    pub fn agrees(&mut self, asked: Asked, apart: Duration) -> bool {
        match &self.asked {
            Some((before, since)) if *before == asked => since.elapsed() >= apart,
            _ => {
                self.asked = Some((asked, Instant::now()));
                self.first = None;
                false
            }
        }
    }

    pub fn disagrees(&mut self) {
        self.asked = None;
        self.first = None;
    }

    /// Notes a step that is tried; whether it is another one than the last.
    pub fn tries(&mut self, step: &str) -> bool {
        let other = self.attempts.0 != step;
        self.attempts = (step.to_owned(), if other { 1 } else { self.attempts.1 + 1 });
        other
    }
}

/// How long what is seen must last before it counts. Two servers that were just cut off from each other both say for 6.3 s
/// that all is well (safety G1); one alone has nobody to be cut off from.
pub(super) fn apart(seen: &Snapshot, settle: Duration) -> Duration {
    let answering = seen.members.values().filter(|member| member.server.known().is_ok()).count();
    if answering > 1 { settle } else { Duration::ZERO }
}
