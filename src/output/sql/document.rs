//! Result sets for machines: one document, written while the rows come.
//!
//! Every value is a string or null, rows are lists in the order of the columns: duplicate names lose nothing.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use super::Page;
use crate::api::sql::client::{Done, Warning};
use crate::api::sql::xml::Value;
use crate::failure::{Exit, Failure};
use crate::model::sql::Statement;
use crate::output::structured::API_VERSION;

pub const KIND: &str = "SqlResult";
pub const ROW_KIND: &str = "SqlRow";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    Json,
    /// Blocks, with rows and texts as in JSON, which YAML reads too.
    Yaml,
    /// One row per line; the last line is the document, without the rows.
    Lines,
}

/// What a `SqlResult` holds; it is written piece by piece and never is one value. This type is its schema.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SqlResult {
    /// The pod that was asked.
    pub server: String,
    pub statements: Vec<StatementResult>,
    /// Why the run ended before its end.
    pub error: Option<RunError>,
    pub exit_code: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StatementResult {
    pub statement: String,
    /// Line of the input it begins in, from 1.
    pub line: usize,
    pub result_sets: Vec<ResultSet>,
    /// `null`: it counts none, as SELECT and SHOW, or its end was not seen.
    pub rows_affected: Option<u64>,
    pub warnings: Vec<ServerMessage>,
    pub error: Option<ServerMessage>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ResultSet {
    /// `null`: there was no row, and then the client does not tell them.
    pub columns: Option<Vec<String>>,
    /// Absent in the last line of `-o jsonl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<Vec<Option<String>>>>,
    pub row_count: u64,
}

/// A row of `-o jsonl`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SqlRow<'a> {
    pub server: &'a str,
    /// Number of the statement, from 1.
    pub statement: u64,
    /// Number of the result set of that statement, from 1.
    pub result_set: u64,
    pub columns: &'a [String],
    pub values: &'a [Option<String>],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServerMessage {
    pub level: String,
    pub code: u32,
    pub message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RunError {
    pub reason: &'static str,
    pub message: String,
    pub hint: Option<String>,
}

impl From<&Failure> for RunError {
    fn from(failure: &Failure) -> Self {
        Self { reason: failure.kind.reason(), message: failure.message.clone(), hint: failure.hint.clone() }
    }
}

impl From<&Warning> for ServerMessage {
    fn from(warning: &Warning) -> Self {
        Self { level: warning.level.clone(), code: warning.code, message: warning.message.clone() }
    }
}

/// How far the document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    Nothing,
    Statement,
    /// In a result set that has no row yet.
    Set,
    Rows,
}

pub struct Document {
    syntax: Syntax,
    server: String,
    at: In,
    statements: u64,
    sets: u64,
    rows: u64,
    columns: Vec<String>,
    /// The last line of `-o jsonl`.
    summary: Vec<StatementResult>,
}

impl Document {
    #[must_use]
    pub fn new(syntax: Syntax, server: &str) -> Self {
        Self {
            syntax,
            server: server.to_owned(),
            at: In::Nothing,
            statements: 0,
            sets: 0,
            rows: 0,
            columns: Vec::new(),
            summary: Vec::new(),
        }
    }

    pub fn statement(&mut self, statement: &Statement, page: &mut Page) {
        let out = &mut page.stdout;
        let first = self.statements == 0;
        if first {
            self.head(out);
        }
        self.statements += 1;
        self.sets = 0;
        self.at = In::Statement;
        let text = text(&statement.text);
        let _ = match self.syntax {
            Syntax::Json => {
                let comma = if first { "" } else { "," };
                write!(
                    out,
                    "{comma}\n    {{\n      \"statement\": {text},\n      \"line\": {},\n      \"resultSets\": [",
                    statement.line
                )
            }
            Syntax::Yaml => {
                let head = if first { "\n" } else { "" };
                write!(out, "{head}- statement: {text}\n  line: {}\n  resultSets:", statement.line)
            }
            Syntax::Lines => {
                self.summary.push(StatementResult {
                    statement: statement.text.clone(),
                    line: statement.line,
                    result_sets: Vec::new(),
                    rows_affected: None,
                    warnings: Vec::new(),
                    error: None,
                });
                Ok(())
            }
        };
    }

    pub fn columns(&mut self, columns: &[String], page: &mut Page) {
        self.begin_set(Some(columns), page);
        columns.clone_into(&mut self.columns);
    }

    pub fn row(&mut self, row: &[Value], page: &mut Page) {
        let out = &mut page.stdout;
        self.rows += 1;
        let first = self.at != In::Rows;
        self.at = In::Rows;
        let _ = match self.syntax {
            Syntax::Json => write!(out, "{}\n            {}", if first { "" } else { "," }, list(row)),
            Syntax::Yaml => write!(out, "\n    - {}", list(row)),
            Syntax::Lines => {
                let row = SqlRow {
                    server: &self.server,
                    statement: self.statements,
                    result_set: self.sets,
                    columns: &self.columns,
                    values: row,
                };
                let line = crate::output::structured::text(crate::cli::global::Format::Jsonl, ROW_KIND, &row);
                out.push_str(&line.unwrap_or_default());
                Ok(())
            }
        };
    }

    pub fn end_of_set(&mut self, page: &mut Page) {
        if self.at == In::Statement {
            self.begin_set(None, page);
        }
        let out = &mut page.stdout;
        let rows = self.rows;
        let _ = match (self.syntax, self.at) {
            (Syntax::Json, In::Rows) => write!(out, "\n          ],\n          \"rowCount\": {rows}\n        }}"),
            (Syntax::Json, _) => write!(out, "],\n          \"rowCount\": {rows}\n        }}"),
            (Syntax::Yaml, In::Rows) => write!(out, "\n    rowCount: {rows}"),
            (Syntax::Yaml, _) => write!(out, " []\n    rowCount: {rows}"),
            (Syntax::Lines, at) => {
                let columns = (at != In::Set || !self.columns.is_empty()).then(|| self.columns.clone());
                if let Some(statement) = self.summary.last_mut() {
                    statement.result_sets.push(ResultSet { columns, rows: None, row_count: rows });
                }
                Ok(())
            }
        };
        self.at = In::Statement;
        self.columns.clear();
    }

    pub fn done(&mut self, done: &Done, page: &mut Page) {
        if matches!(self.at, In::Set | In::Rows) {
            self.end_of_set(page);
        }
        let warnings: Vec<ServerMessage> = done.warnings.iter().map(ServerMessage::from).collect();
        let error = done.error.as_ref().map(ServerMessage::from);
        self.end_statement(done.rows_affected, warnings, error, &mut page.stdout);
    }

    pub fn finish(&mut self, failure: Option<&Failure>, page: &mut Page) {
        if matches!(self.at, In::Set | In::Rows) {
            self.end_of_set(page);
        }
        if self.at == In::Statement {
            // Its end was not seen.
            self.end_statement(None, Vec::new(), None, &mut page.stdout);
        }
        let out = &mut page.stdout;
        let none = self.statements == 0;
        if none {
            self.head(out);
        }
        let error = failure.map(RunError::from);
        let exit_code = failure.map_or(Exit::Ok, Failure::exit).code();
        let _ = match self.syntax {
            Syntax::Json => {
                let end = if none { "]" } else { "\n  ]" };
                writeln!(out, "{end},\n  \"error\": {},\n  \"exitCode\": {exit_code}\n}}", value(&error))
            }
            Syntax::Yaml => {
                let end = if none { " []\n" } else { "" };
                writeln!(out, "{end}error: {}\nexitCode: {exit_code}", value(&error))
            }
            Syntax::Lines => {
                let result =
                    SqlResult { server: self.server.clone(), statements: std::mem::take(&mut self.summary), error, exit_code };
                let line = crate::output::structured::text(crate::cli::global::Format::Jsonl, KIND, &result);
                out.push_str(&line.unwrap_or_default());
                Ok(())
            }
        };
    }

    fn head(&self, out: &mut String) {
        let server = text(&self.server);
        let _ = match self.syntax {
            Syntax::Json => write!(
                out,
                "{{\n  \"apiVersion\": \"{API_VERSION}\",\n  \"kind\": \"{KIND}\",\n  \"server\": {server},\n  \"statements\": ["
            ),
            Syntax::Yaml => write!(out, "apiVersion: {API_VERSION}\nkind: {KIND}\nserver: {server}\nstatements:"),
            Syntax::Lines => Ok(()),
        };
    }

    fn begin_set(&mut self, columns: Option<&[String]>, page: &mut Page) {
        let out = &mut page.stdout;
        let first = self.sets == 0;
        self.sets += 1;
        self.rows = 0;
        self.at = In::Set;
        let columns = value(&columns);
        let _ = match self.syntax {
            Syntax::Json => {
                let comma = if first { "" } else { "," };
                write!(out, "{comma}\n        {{\n          \"columns\": {columns},\n          \"rows\": [")
            }
            Syntax::Yaml => write!(out, "\n  - columns: {columns}\n    rows:"),
            Syntax::Lines => Ok(()),
        };
    }

    fn end_statement(
        &mut self,
        affected: Option<u64>,
        warnings: Vec<ServerMessage>,
        error: Option<ServerMessage>,
        out: &mut String,
    ) {
        self.at = In::Nothing;
        let sets = self.sets > 0;
        let _ = match self.syntax {
            Syntax::Json => {
                let end = if sets { "\n      ]" } else { "]" };
                let (affected, warnings, error) = (value(&affected), value(&warnings), value(&error));
                write!(
                    out,
                    "{end},\n      \"rowsAffected\": {affected},\n      \"warnings\": {warnings},\n      \"error\": {error}\n    }}"
                )
            }
            Syntax::Yaml => {
                let end = if sets { "\n" } else { " []\n" };
                let (affected, warnings, error) = (value(&affected), value(&warnings), value(&error));
                writeln!(out, "{end}  rowsAffected: {affected}\n  warnings: {warnings}\n  error: {error}")
            }
            Syntax::Lines => {
                if let Some(statement) = self.summary.last_mut() {
                    (statement.rows_affected, statement.warnings, statement.error) = (affected, warnings, error);
                }
                Ok(())
            }
        };
    }
}

/// A text as JSON writes it, without the characters that YAML does not allow as they are.
fn text(plain: &str) -> String {
    for_yaml(json!(plain).to_string())
}

fn value(plain: &impl Serialize) -> String {
    // Our own types have string keys and no fallible serializers: nothing in them can fail to be written.
    for_yaml(serde_json::to_string(plain).expect("lists, texts and numbers"))
}

fn list(row: &[Value]) -> String {
    value(&row)
}

fn for_yaml(json: String) -> String {
    let odd = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    if !json.contains(odd) {
        return json;
    }
    json.chars().fold(String::with_capacity(json.len() + 8), |told, c| {
        if odd(c) { format!("{told}\\u{:04x}", u32::from(c)) } else { told + c.encode_utf8(&mut [0; 4]) }
    })
}
