//! Result sets for people: a table, or one line per value where a table would be too wide.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use super::Page;
use crate::api::sql::client::Done;
use crate::api::sql::xml::Value;
use crate::model::sql::Statement;
use crate::output::style::Label;

/// Rows that decide how wide the columns are.
const HELD_ROWS: usize = 200;
/// More than this is not held either.
const HELD_BYTES: usize = 256 << 10;
const GAP: &str = "  ";

pub struct Table {
    /// Columns of the terminal; `None`: a table may be as wide as it likes.
    width: Option<usize>,
    headers: bool,
    colour: bool,
    /// `\G`.
    asked_vertical: bool,
    /// Asked for, or a table of this set would be too wide.
    vertical: bool,
    columns: Vec<String>,
    held: Vec<Vec<Value>>,
    held_bytes: usize,
    /// How wide each column is, once that is decided.
    widths: Option<Vec<usize>>,
    rows: u64,
    sets: u64,
    sets_of_statement: u64,
}

impl Table {
    #[must_use]
    pub fn new(width: Option<usize>, headers: bool, colour: bool) -> Self {
        Self {
            width,
            headers,
            colour,
            asked_vertical: false,
            vertical: false,
            columns: Vec::new(),
            held: Vec::new(),
            held_bytes: 0,
            widths: None,
            rows: 0,
            sets: 0,
            sets_of_statement: 0,
        }
    }

    pub fn statement(&mut self, statement: &Statement) {
        self.asked_vertical = statement.vertical;
        self.vertical = statement.vertical;
        self.sets_of_statement = 0;
    }

    pub fn columns(&mut self, columns: Vec<String>) {
        self.columns = columns;
    }

    pub fn row(&mut self, row: Vec<Value>, page: &mut Page) {
        self.held_bytes += row.iter().flatten().map(String::len).sum::<usize>();
        self.held.push(row);
        if self.widths.is_some() || self.held.len() >= HELD_ROWS || self.held_bytes >= HELD_BYTES {
            self.pause(page);
        }
    }

    /// Shows what is held back.
    pub fn pause(&mut self, page: &mut Page) {
        if self.held.is_empty() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        let widths = match self.widths.take() {
            Some(widths) => widths,
            None => self.settle(&held, page),
        };
        for row in held {
            self.rows += 1;
            if self.vertical { self.show_vertical(&row, page) } else { self.show(&row, &widths, page) }
        }
        self.widths = Some(widths);
    }

    pub fn end_of_set(&mut self, page: &mut Page) {
        self.pause(page);
        if self.rows == 0 {
            page.stderr.push_str("no rows\n");
        }
        self.sets += u64::from(self.rows > 0);
        self.sets_of_statement += 1;
        self.rows = 0;
        self.widths = None;
        self.vertical = self.asked_vertical;
    }

    pub fn done(&mut self, done: &Done, page: &mut Page) {
        if let (0, Some(rows)) = (self.sets_of_statement, done.rows_affected) {
            let _ = writeln!(page.stderr, "{rows} {} affected", if rows == 1 { "row" } else { "rows" });
        }
        for warning in &done.warnings {
            let word = Label::Warning.paint(&format!("{}:", warning.level.to_lowercase()), self.colour);
            let _ = writeln!(page.stderr, "{word} {}: {}", warning.code, on_one_line(&warning.message));
        }
    }

    /// Decides on the widths, and writes the header.
    fn settle(&mut self, held: &[Vec<Value>], page: &mut Page) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|name| on_one_line(name).width()).collect();
        for row in held {
            for (width, value) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell(value).width());
            }
        }
        let whole = widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1);
        self.vertical |= self.width.is_some_and(|most| whole > most);
        if self.sets > 0 && self.rows == 0 {
            page.stdout.push('\n');
        }
        if self.headers && !self.vertical {
            let names: Vec<String> = self.columns.iter().map(|name| on_one_line(name)).collect();
            let line = line(names.iter().map(String::as_str), &widths);
            page.stdout.push_str(&Label::Heading.paint(&line, self.colour));
            page.stdout.push('\n');
        }
        widths
    }

    fn show(&self, row: &[Value], widths: &[usize], page: &mut Page) {
        let last = row.len().saturating_sub(1);
        for (at, (value, width)) in row.iter().zip(widths).enumerate() {
            let text = cell(value);
            let pad = if at == last { 0 } else { width.saturating_sub(text.width()) + GAP.len() };
            let label = if value.is_none() { Label::Faint } else { Label::Plain };
            page.stdout.push_str(&label.paint(&text, self.colour));
            page.stdout.extend(std::iter::repeat_n(' ', pad));
        }
        page.stdout.push('\n');
    }

    fn show_vertical(&self, row: &[Value], page: &mut Page) {
        let stars = "*".repeat(27);
        if self.headers {
            let _ = writeln!(page.stdout, "{stars} {}. row {stars}", self.rows);
        }
        let widest = self.columns.iter().map(|name| on_one_line(name).width()).max().unwrap_or_default();
        for (name, value) in self.columns.iter().zip(row) {
            let name = on_one_line(name);
            let pad = " ".repeat(widest - name.width());
            let text = match value {
                None => Label::Faint.paint("NULL", self.colour),
                Some(text) => quoted_null(text).unwrap_or_else(|| with_lines(text)),
            };
            let _ = writeln!(page.stdout, "{pad}{}: {text}", Label::Heading.paint(&name, self.colour));
        }
    }
}

/// A line of a table; the last cell is not filled up.
fn line<'a>(cells: impl ExactSizeIterator<Item = &'a str>, widths: &[usize]) -> String {
    let last = cells.len().saturating_sub(1);
    let mut line = String::new();
    for (at, (text, width)) in cells.zip(widths).enumerate() {
        line.push_str(text);
        if at < last {
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(text.width()) + GAP.len()));
        }
    }
    line
}

/// A value in one line: NULL, and never something else that looks like it.
#[must_use]
pub fn cell(value: &Value) -> String {
    match value {
        None => "NULL".to_owned(),
        Some(text) => quoted_null(text).unwrap_or_else(|| on_one_line(text)),
    }
}

/// The text NULL, in one more pair of quotes than it has.
fn quoted_null(text: &str) -> Option<String> {
    let bare = text.trim_start_matches('\'');
    let quotes = text.len() - bare.len();
    (bare.strip_prefix("NULL") == Some("'".repeat(quotes).as_str())).then(|| format!("'{text}'"))
}

/// Control characters as escapes: no value may drive the terminal.
fn on_one_line(text: &str) -> String {
    escaped(text, |_| false)
}

/// The same, but lines stay lines.
fn with_lines(text: &str) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, kept: impl Fn(char) -> bool) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut told, c| {
        match c {
            _ if !c.is_control() || kept(c) => told.push(c),
            '\n' => told.push_str("\\n"),
            '\t' => told.push_str("\\t"),
            '\r' => told.push_str("\\r"),
            _ => told.push_str(&format!("\\x{:02X}", u32::from(c))),
        }
        told
    })
}
