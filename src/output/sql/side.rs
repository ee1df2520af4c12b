//! `--on all`: the answers of every server side by side.

use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::document::{ResultSet, RunError, ServerMessage, StatementResult};
use super::table::cell;
use crate::api::sql::client::{Done, Warning};
use crate::failure::{Exit, Failure};
use crate::model::sql::Statement;
use crate::model::sql::compare::{Compared, Line, Matched, Set, Value, compare};
use crate::output::Screen;
use crate::output::style::Label;
use crate::output::styled::Styled;

/// What one server answered to one statement.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub sets: Vec<Set>,
    pub done: Done,
}

/// What one server answered to all of them, and why it did not answer more.
#[derive(Clone, Debug)]
pub struct Server {
    pub pod: String,
    pub answers: Vec<Answer>,
    pub failure: Option<Failure>,
}

/// The answers of all servers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SqlComparison {
    pub statements: Vec<Comparison>,
    pub servers: Vec<ServerResult>,
    pub exit_code: u8,
    #[serde(skip)]
    exit: Exit,
    #[serde(skip)]
    answered: Vec<Server>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Comparison {
    pub statement: String,
    /// Line of the input it begins in, from 1.
    pub line: usize,
    /// `null`: those that answered agree, and not all did.
    pub same: Option<bool>,
    pub differences: Vec<Difference>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Difference {
    /// Number of the result set, from 1.
    pub result_set: usize,
    /// The row's first value, where that is what rows were matched by; else its number, from 1.
    pub row: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServerResult {
    pub server: String,
    pub statements: Vec<StatementResult>,
    /// Why there is not more.
    pub error: Option<RunError>,
}

impl SqlComparison {
    #[must_use]
    pub fn new(statements: &[Statement], answered: Vec<Server>) -> Self {
        // What was not seen weighs more than what failed: 8, 4, 1.
        let rank = |exit: &Exit| match exit {
            Exit::Interrupted => 4,
            Exit::Forbidden => 3,
            Exit::Unobserved => 2,
            _ => 1,
        };
        let exits = answered.iter().filter_map(|server| server.failure.as_ref().map(Failure::exit));
        let exit = exits.max_by_key(rank).unwrap_or(Exit::Ok);
        let compared =
            statements.iter().enumerate().map(|(number, statement)| comparison(number, statement, &answered)).collect();
        let servers = answered.iter().map(|server| result(server, statements)).collect();
        Self { statements: compared, servers, exit_code: exit.code(), exit, answered }
    }
}

/// The result sets number `set` of the answers to statement `number`, of those servers that have one.
fn sets_of(answered: &[Server], number: usize, set: usize) -> Vec<(&str, &Set)> {
    let one = |server| -> Option<(&str, &Set)> {
        let server: &Server = server;
        Some((server.pod.as_str(), server.answers.get(number)?.sets.get(set)?))
    };
    answered.iter().filter_map(one).collect()
}

fn most_sets(answered: &[Server], number: usize) -> usize {
    answered.iter().filter_map(|server| server.answers.get(number)).map(|answer| answer.sets.len()).max().unwrap_or_default()
}

fn comparison(number: usize, statement: &Statement, answered: &[Server]) -> Comparison {
    let mut differences = Vec::new();
    let mut complete = answered.iter().all(|server| server.answers.get(number).is_some_and(|answer| answer.done.error.is_none()));
    for set in 0..most_sets(answered, number) {
        let sets: Vec<&Set> = sets_of(answered, number, set).into_iter().map(|(_, set)| set).collect();
        complete &= sets.len() == answered.len();
        let compared = compare(&sets);
        for (at, line) in compared.lines.iter().enumerate().filter(|(_, line)| !line.same) {
            let key = match compared.matched {
                Matched::ByFirstColumn => line.rows.iter().flatten().find_map(|row| row.first().cloned()).flatten(),
                Matched::Only | Matched::ByNumber => Some((at + 1).to_string()),
            };
            differences.push(Difference { result_set: set + 1, row: key });
        }
    }
    let same = if differences.is_empty() { complete.then_some(true) } else { Some(false) };
    Comparison { statement: statement.text.clone(), line: statement.line, same, differences }
}

fn result(server: &Server, statements: &[Statement]) -> ServerResult {
    let one = |(statement, answer): (&Statement, &Answer)| StatementResult {
        statement: statement.text.clone(),
        line: statement.line,
        result_sets: answer
            .sets
            .iter()
            .map(|set| ResultSet { columns: set.columns.clone(), rows: Some(set.rows.clone()), row_count: set.rows.len() as u64 })
            .collect(),
        rows_affected: answer.done.rows_affected,
        warnings: answer.done.warnings.iter().map(ServerMessage::from).collect(),
        error: answer.done.error.as_ref().map(ServerMessage::from),
    };
    ServerResult {
        server: server.pod.clone(),
        statements: statements.iter().zip(&server.answers).map(one).collect(),
        error: server.failure.as_ref().map(RunError::from),
    }
}

impl Screen for SqlComparison {
    const KIND: &'static str = "SqlComparison";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        for (number, statement) in self.statements.iter().enumerate() {
            if number > 0 {
                out.end_line();
            }
            if self.statements.len() > 1 {
                out.line(Label::Faint, statement.statement.split_whitespace().collect::<Vec<_>>().join(" "));
            }
            for set in 0..most_sets(&self.answered, number) {
                let sets = sets_of(&self.answered, number, set);
                let pods: Vec<&str> = sets.iter().map(|(pod, _)| *pod).collect();
                let sets: Vec<&Set> = sets.into_iter().map(|(_, set)| set).collect();
                show(&pods, &compare(&sets), out);
            }
            let pods: Vec<&str> = self.answered.iter().map(|server| server.pod.as_str()).collect();
            out.line(said(statement).0, said_of(statement, &pods));
            for (server, warning) in warnings(&self.answered, number) {
                out.line(Label::Warning, format!("{server}: {warning}"));
            }
        }
        for server in &self.answered {
            if let Some(failure) = &server.failure {
                out.line(Label::Error, failure.message.clone());
            }
        }
    }

    fn names(&self) -> Vec<String> {
        self.answered.iter().map(|server| format!("pod/{}", server.pod)).collect()
    }

    fn exit(&self) -> Exit {
        self.exit
    }
}

fn warnings(answered: &[Server], number: usize) -> impl Iterator<Item = (&str, &Warning)> {
    answered.iter().flat_map(move |server| {
        let warnings = server.answers.get(number).into_iter().flat_map(|answer| &answer.done.warnings);
        warnings.map(|warning| (server.pod.as_str(), warning))
    })
}

fn said(comparison: &Comparison) -> (Label, &'static str) {
    match comparison.same {
        Some(true) => (Label::Good, "the same on"),
        Some(false) => (Label::Warning, "lines with * differ between"),
        None => (Label::Faint, "the same on all that answered, of"),
    }
}

fn said_of(comparison: &Comparison, pods: &[&str]) -> String {
    format!("{} {}", said(comparison).1, pods.join(", "))
}

/// One result set: a column per server where that fits its form, else a line per server where they differ.
fn show(pods: &[&str], compared: &Compared, out: &mut Styled) {
    let whole = |row: &Option<&[Value]>, at: usize| row.and_then(|row| row.get(at)).map_or("(no row)".to_owned(), cell);
    let mut table: Vec<(bool, Vec<String>)> = Vec::new();
    let heads = |first: &str| std::iter::once(first).chain(pods.iter().copied()).map(str::to_owned).collect::<Vec<_>>();
    match (compared.matched, compared.columns.len()) {
        (Matched::Only, _) => {
            table.push((true, heads("")));
            for line in &compared.lines {
                for (at, name) in compared.columns.iter().enumerate() {
                    let values: Vec<String> = line.rows.iter().map(|row| whole(row, at)).collect();
                    let same = values.windows(2).all(|pair| pair[0] == pair[1]);
                    table.push((same, std::iter::once(name.clone()).chain(values).collect()));
                }
            }
        }
        (Matched::ByFirstColumn, 2) => {
            table.push((true, heads(&compared.columns[0])));
            for line in &compared.lines {
                let key = line.rows.iter().flatten().find_map(|row| row.first()).map(cell).unwrap_or_default();
                table.push((line.same, std::iter::once(key).chain(line.rows.iter().map(|row| whole(row, 1))).collect()));
            }
        }
        _ => {
            table.push((true, std::iter::once("SERVER".to_owned()).chain(compared.columns.iter().cloned()).collect()));
            compared.lines.iter().for_each(|line| table.extend(per_server(pods, line)));
        }
    }
    lay_out(&table, out);
}

/// A row that is the same everywhere once, any other once per server.
fn per_server(pods: &[&str], line: &Line) -> Vec<(bool, Vec<String>)> {
    let told = |name: &str, row: &Option<&[Value]>| {
        let values = row.map_or(vec!["(no row)".to_owned()], |row| row.iter().map(cell).collect());
        std::iter::once(name.to_owned()).chain(values).collect()
    };
    match line.rows.first() {
        Some(first) if line.same => vec![(true, told("all", first))],
        _ => pods.iter().zip(&line.rows).map(|(pod, row)| (false, told(pod, row))).collect(),
    }
}

/// The first line is the header. Lines that differ begin with `*`.
fn lay_out(table: &[(bool, Vec<String>)], out: &mut Styled) {
    let columns = table.iter().map(|(_, cells)| cells.len()).max().unwrap_or_default();
    let width =
        |at: usize| table.iter().filter_map(|(_, cells)| cells.get(at)).map(|text| text.width()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (number, (same, cells)) in table.iter().enumerate() {
        let last = cells.len().saturating_sub(1);
        let mut line = String::from(if *same { "  " } else { "* " });
        for (at, text) in cells.iter().enumerate() {
            let pad = if at == last { 0 } else { widths[at] - text.width() + 2 };
            line.push_str(text);
            line.extend(std::iter::repeat_n(' ', pad));
        }
        let label = match (number, same) {
            (0, _) => Label::Heading,
            (_, true) => Label::Plain,
            (_, false) => Label::Warning,
        };
        out.line(label, line);
    }
}
