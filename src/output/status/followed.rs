//! Clusters that are followed: a screen that stays, or a line or a document for each change.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::{Status, StatusList, changes};
use crate::cli::global::Format;
use crate::failure::Exit;
use crate::model::fact::Lost;
use crate::output::style::Label;
use crate::output::styled::{Span, Styled};
use crate::output::{Printer, Screen};

/// Changes that stay on the screen.
const RECENT: usize = 5;
const KEYS: &str = "q: end · Ctrl-C: interrupt";

/// What was seen last, and what has changed.
pub struct Followed {
    items: Vec<Status>,
    lost: Option<Lost>,
    /// A row each, even if there is only one.
    always_rows: bool,
    /// When, and what.
    recent: VecDeque<(String, String)>,
    /// Not shown yet: whose, and what has changed; nothing for the first look.
    news: Vec<(Status, Vec<String>)>,
    begun: bool,
}

impl Followed {
    #[must_use]
    pub const fn new(always_rows: bool) -> Self {
        Self { items: Vec::new(), lost: None, always_rows, recent: VecDeque::new(), news: Vec::new(), begun: false }
    }

    /// Takes a new look at all clusters.
    pub fn take(&mut self, items: Vec<Status>, lost: Option<&Lost>) {
        let same = |one: &Status, other: &Status| (&one.namespace, &one.name) == (&other.namespace, &other.name);
        for new in &items {
            match self.items.iter().find(|old| same(old, new)) {
                Some(old) => {
                    let told = changes(old, new);
                    if !told.is_empty() {
                        self.news.push((new.clone(), told));
                    }
                }
                None if self.begun => self.news.push((new.clone(), vec!["is new".to_owned()])),
                None => self.news.push((new.clone(), Vec::new())),
            }
        }
        for old in self.items.iter().filter(|old| !items.iter().any(|new| same(old, new))) {
            self.news.push((old.clone(), vec!["the StatefulSet is gone".to_owned()]));
        }
        self.items = items;
        self.lost = lost.cloned();
        self.begun = true;
    }

    /// Shows what is new; `false`: nobody reads it any more.
    pub fn show(&mut self, printer: &mut Printer) -> bool {
        let news = std::mem::take(&mut self.news);
        if printer.is_live() {
            for (status, told) in news.iter().filter(|(_, told)| !told.is_empty()) {
                let at = time_of(status);
                let place = if self.items.len() > 1 { format!("{}/{}  ", status.namespace, status.name) } else { String::new() };
                self.recent.push_back((at.strftime("%H:%M:%S").to_string(), format!("{place}{}", told.join("; "))));
            }
            while self.recent.len() > RECENT {
                self.recent.pop_front();
            }
            return !self.begun || self.paint(printer).is_ok();
        }
        news.iter().all(|(status, told)| {
            if printer.format() == Format::Jsonl {
                printer.event(status).is_ok()
            } else {
                printer.line(&line(status, told)).is_ok()
            }
        })
    }

    fn paint(&self, printer: &mut Printer) -> std::io::Result<()> {
        match &self.items[..] {
            [only] if !self.always_rows => printer.show_live(only, |out| self.below(out)),
            several => printer.show_live(&StatusList::new(several.to_vec()), |out| self.below(out)),
        }
    }

    /// Where there is no room for all of it, the end is left out: the newest change comes first.
    fn below(&self, out: &mut Styled) {
        if self.items.is_empty() {
            let why = self.lost.as_ref().map_or("there is no cluster any more", |lost| lost.why.as_str());
            out.hanging(Vec::new(), Label::Faint, why);
        }
        out.end_line();
        for (at, what) in self.recent.iter().rev() {
            out.hanging(vec![Span::new(Label::Faint, format!("{at}  "))], Label::Faint, what);
        }
        if !self.recent.is_empty() {
            out.end_line();
        }
        out.line(Label::Faint, KEYS);
    }

    /// Leaves the last state on the normal screen; gives its exit code.
    pub fn end(self, printer: &mut Printer) -> Exit {
        let list = StatusList::new(self.items);
        let exit = list.exit();
        let exit = if self.lost.is_some() && exit == Exit::Ok { Exit::Unobserved } else { exit };
        if printer.is_live() {
            match &list.items[..] {
                [only] if !self.always_rows => drop(printer.show(only)),
                _ => drop(printer.show(&list)),
            }
        }
        exit
    }
}

/// `2026-11-21T03:43:07Z shop/db Degraded: … | db-2 Synced → Running; db-2 is not Ready`.
fn line(status: &Status, told: &[String]) -> String {
    let at = time_of(status).strftime("%Y-%m-%dT%H:%M:%SZ");
    let what = if told.is_empty() { String::new() } else { format!(" | {}", told.join("; ")) };
    format!("{at} {}/{} {}{what}", status.namespace, status.name, status.headline)
}

/// While nothing is heard, the look is older than what is said about it.
fn time_of(status: &Status) -> Timestamp {
    status.lost.as_ref().map_or(status.taken, |lost| lost.since)
}
