//! Answers of SQL statements, written as they come: memory holds a screenful, however large the result is.

pub mod document;
pub mod editor;
pub mod held;
pub mod side;
pub mod table;
#[cfg(test)]
mod tests;

use crate::api::sql::client::Done;
use crate::api::sql::xml::Value;
use crate::cli::global::Format;
use crate::failure::Failure;
use crate::model::sql::Statement;

use self::document::{Document, Syntax};
use self::held::Held;
use self::table::Table;

/// What is ready to be written to each stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub stdout: String,
    pub stderr: String,
}

/// How the answers of one server are written.
pub enum Writer {
    People(Table),
    Machines(Document),
    /// Not yet: they are compared with others first.
    Held(Held),
}

impl Writer {
    /// `width`: columns of the terminal that stdout is, if it is one.
    #[must_use]
    pub fn new(format: Format, pod: &str, width: Option<u16>, headers: bool, colour: bool) -> Self {
        let document = |syntax| Self::Machines(Document::new(syntax, pod));
        match format {
            Format::Json => document(Syntax::Json),
            Format::Yaml => document(Syntax::Yaml),
            Format::Jsonl => document(Syntax::Lines),
            Format::Wide => Self::People(Table::new(None, headers, colour)),
            Format::Table | Format::Name => Self::People(Table::new(width.map(usize::from), headers, colour)),
        }
    }

    /// A statement is about to run.
    pub fn statement(&mut self, statement: &Statement, page: &mut Page) {
        match self {
            Self::People(table) => table.statement(statement),
            Self::Machines(document) => document.statement(statement, page),
            Self::Held(held) => held.statement(),
        }
    }

    pub fn columns(&mut self, columns: Vec<String>, page: &mut Page) {
        match self {
            Self::People(table) => table.columns(columns),
            Self::Machines(document) => document.columns(&columns, page),
            Self::Held(held) => held.columns(columns),
        }
    }

    pub fn row(&mut self, row: Vec<Value>, page: &mut Page) {
        match self {
            Self::People(table) => table.row(row, page),
            Self::Machines(document) => document.row(&row, page),
            Self::Held(held) => held.row(row),
        }
    }

    pub fn end_of_set(&mut self, page: &mut Page) {
        match self {
            Self::People(table) => table.end_of_set(page),
            Self::Machines(document) => document.end_of_set(page),
            Self::Held(held) => held.end_of_set(),
        }
    }

    /// The statement is over, well or not.
    pub fn done(&mut self, done: &Done, page: &mut Page) {
        match self {
            Self::People(table) => table.done(done, page),
            Self::Machines(document) => document.done(done, page),
            Self::Held(held) => held.done(done),
        }
    }

    /// Nothing more comes for now: what is held back is shown.
    pub fn pause(&mut self, page: &mut Page) {
        if let Self::People(table) = self {
            table.pause(page);
        }
    }

    /// The last of it.
    pub fn finish(&mut self, failure: Option<&Failure>, page: &mut Page) {
        match self {
            Self::People(table) => table.pause(page),
            Self::Machines(document) => document.finish(failure, page),
            Self::Held(_) => {}
        }
    }
}
