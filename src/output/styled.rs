//! A screen while it is being written: labelled text, lines, tables.

use comfy_table::{ContentArrangement, Table, presets};

use super::style::Label;

/// A piece of text and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub label: Label,
    pub text: String,
}

impl Span {
    /// Control characters become blanks: texts of servers and containers must not drive the terminal.
    pub fn new(label: Label, text: impl Into<String>) -> Self {
        Self { label, text: text.into().replace(char::is_control, " ") }
    }

    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(Label::Plain, text)
    }
}

/// Collects what a screen says; painted when it is complete.
#[derive(Clone, Debug)]
pub struct Styled {
    spans: Vec<Span>,
    headers: bool,
    /// Columns that prose may take.
    prose: usize,
    /// Columns that a table may take; `None`: as many as it needs.
    table: Option<usize>,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub head: &'static str,
    /// On a narrow terminal the columns with the highest number go first; 0 never goes.
    pub yields: u8,
}

/// Blanks between two columns.
const GAP: u16 = 2;

/// Sentences without a terminal are as wide as on the usual one.
const WIDTH: usize = 80;

/// Longer lines are hard to read, however wide the terminal is.
const PROSE: usize = 100;

impl Styled {
    /// `width`: columns of the terminal; without one, or with `wide`, tables have no limit: a reader that is a program
    /// wants every column.
    #[must_use]
    pub fn new(headers: bool, width: Option<u16>, wide: bool) -> Self {
        let width = width.map(usize::from);
        Self { spans: Vec::new(), headers, prose: width.unwrap_or(WIDTH).min(PROSE), table: width.filter(|_| !wide) }
    }

    pub fn add(&mut self, label: Label, text: impl Into<String>) -> &mut Self {
        self.spans.push(Span::new(label, text));
        self
    }

    pub fn plain(&mut self, text: impl Into<String>) -> &mut Self {
        self.add(Label::Plain, text)
    }

    pub fn end_line(&mut self) {
        self.spans.push(Span { label: Label::Plain, text: "\n".to_owned() });
    }

    /// A whole line of one kind.
    pub fn line(&mut self, label: Label, text: impl Into<String>) {
        self.add(label, text).end_line();
    }

    /// `first`, then `text` wrapped at the terminal's width; further lines begin under the start of `text`.
    pub fn hanging(&mut self, first: Vec<Span>, label: Label, text: &str) {
        let indent: usize = first.iter().map(|span| measure(&span.text)).sum();
        self.spans.extend(first);
        for (number, line) in wrap(text, self.prose.saturating_sub(indent).max(20)).into_iter().enumerate() {
            if number > 0 {
                self.plain(" ".repeat(indent));
            }
            self.line(label, line);
        }
    }

    /// A table without borders. Columns that do not fit the terminal are left out, the most dispensable first.
    pub fn table(&mut self, columns: &[Column], rows: &[Vec<Span>]) {
        let heads: Vec<Span> = columns.iter().map(|column| Span::new(Label::Heading, column.head)).collect();
        let rows: Vec<&Vec<Span>> = self.headers.then_some(&heads).into_iter().chain(rows).collect();
        let mut kept: Vec<usize> = (0..columns.len()).collect();
        let mut lines = lay_out(&rows, &kept);
        while self.table.is_some_and(|width| lines.iter().any(|line| measure(line) > width)) {
            let dispensable = kept.iter().copied().filter(|index| columns[*index].yields > 0);
            let Some(first) = dispensable.max_by_key(|index| columns[*index].yields) else { break };
            kept.retain(|index| *index != first);
            lines = lay_out(&rows, &kept);
        }
        for (line, row) in lines.iter().zip(rows) {
            self.label_row(line, kept.iter().map(|index| &row[*index]));
        }
    }

    /// Writes a laid out line, giving each cell in it its label back.
    fn label_row<'a>(&mut self, line: &str, cells: impl Iterator<Item = &'a Span>) {
        let mut rest = line;
        for cell in cells.filter(|cell| !cell.text.is_empty()) {
            let Some(start) = rest.find(&cell.text) else { break };
            self.plain(&rest[..start]);
            self.spans.push(cell.clone());
            rest = &rest[start + cell.text.len()..];
        }
        self.plain(rest);
        self.end_line();
    }

    /// The text, with or without colours.
    #[must_use]
    pub fn paint(&self, colour: bool) -> String {
        self.spans.iter().map(|span| span.label.paint(&span.text, colour)).collect()
    }
}

/// The lines of a table of these columns.
fn lay_out(rows: &[&Vec<Span>], kept: &[usize]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.add_rows(rows.iter().map(|row| kept.iter().map(|index| row[*index].text.as_str()).collect::<Vec<_>>()));
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn measure(text: &str) -> usize {
    text.chars().count()
}

/// Breaks at blanks; a word longer than `width` stays whole, so that commands and names can be copied.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && measure(&line) + 1 + measure(word) > width {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(width: u16, headers: bool) -> String {
        let columns =
            [Column { head: "POD", yields: 0 }, Column { head: "STATE", yields: 1 }, Column { head: "NODE", yields: 2 }];
        let row = |cells: [&str; 3]| cells.map(Span::plain).to_vec();
        let mut out = Styled::new(headers, Some(width), false);
        out.table(&columns, &[row(["db-0", "Synced", "a-node"]), row(["db-10", "", "b"])]);
        out.paint(false)
    }

    #[test]
    fn a_table_is_aligned_and_has_no_trailing_blanks() {
        assert_eq!(table(80, true), "POD    STATE   NODE\ndb-0   Synced  a-node\ndb-10          b\n");
        assert_eq!(table(80, false), "db-0   Synced  a-node\ndb-10          b\n");
    }

    #[test]
    fn a_narrow_terminal_loses_the_dispensable_columns_first() {
        assert_eq!(table(20, true), "POD    STATE\ndb-0   Synced\ndb-10\n");
        assert_eq!(table(3, true), "POD\ndb-0\ndb-10\n");
    }

    #[test]
    fn foreign_text_does_not_drive_the_terminal() {
        let mut out = Styled::new(true, Some(80), false);
        out.hanging(vec![Span::plain("- ")], Label::Plain, "a\u{1b}[31mred\nb\r\u{7}c");
        assert_eq!(out.paint(false), "- a [31mred\n  b  c\n");
    }

    #[test]
    fn long_text_hangs_under_its_start_and_words_stay_whole() {
        let mut out = Styled::new(true, Some(30), false);
        out.hanging(vec![Span::plain("error  ")], Label::Plain, "one two three four five a-very-long-word-that-does-not-fit six");
        assert_eq!(out.paint(false), "error  one two three four five\n       a-very-long-word-that-does-not-fit\n       six\n");
    }
}
