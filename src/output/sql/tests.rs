//! The same answers in every form.

use serde_json::Value as Json;

use super::{Page, Writer};
use crate::api::sql::client::{Done, Warning};
use crate::cli::global::Format;
use crate::failure::{Failure, Kind};
use crate::model::sql::Statement;
use crate::output::schema;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn statement(text: &str, vertical: bool) -> Statement {
    Statement { text: text.to_owned(), line: 1, vertical }
}

/// Two statements: one with odd values and an empty set, one that changes rows and warns.
fn write(format: Format, width: Option<u16>, failure: Option<&Failure>) -> Page {
    let mut writer = Writer::new(format, "db-0", width, true, false);
    let mut page = Page::default();
    writer.statement(&statement("CALL p('\u{85}\"')", false), &mut page);
    writer.columns(vec!["a".into(), "a".into(), "long name".into()], &mut page);
    writer.row(vec![None, some("NULL"), some("'NULL'")], &mut page);
    writer.row(vec![some("é✓漢"), some("tab\tnl\nesc\u{1b}[31m\u{9b}"), some("")], &mut page);
    writer.end_of_set(&mut page);
    writer.end_of_set(&mut page);
    writer.done(&Done::default(), &mut page);
    writer.statement(&statement("INSERT INTO t VALUES (1)", false), &mut page);
    let warning = Warning { level: "Warning".into(), code: 1265, message: "Data truncated".into() };
    writer.done(&Done { rows_affected: Some(1), warnings: vec![warning], ..Done::default() }, &mut page);
    if failure.is_some() {
        writer.statement(&statement("SELECT SLEEP(9)", false), &mut page);
        writer.columns(vec!["b".into()], &mut page);
        writer.row(vec![some("1")], &mut page);
    }
    writer.finish(failure, &mut page);
    page
}

#[test]
fn people_see_what_is_null_and_nothing_drives_their_terminal() {
    let page = write(Format::Table, Some(80), None);
    insta::assert_snapshot!("table", format!("{}--- stderr\n{}", page.stdout, page.stderr));
    insta::assert_snapshot!("vertical", write(Format::Table, Some(20), None).stdout);
}

#[test]
fn documents_say_the_same_in_every_syntax() {
    let failure = Failure::new(Kind::Interrupted, "interrupted").hint("again");
    for failure in [None, Some(&failure)] {
        let json = write(Format::Json, None, failure).stdout;
        schema::check(&json);
        let document: Json = serde_json::from_str(&json).unwrap();
        let yaml: Json = serde_saphyr::from_str(&write(Format::Yaml, None, failure).stdout).unwrap();
        assert_eq!(document, yaml);
        let lines = write(Format::Jsonl, None, failure).stdout;
        lines.lines().for_each(schema::check);
        let mut last: Json = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        let rows: Vec<Json> = lines
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap())
            .filter(|line| line["kind"] == "SqlRow")
            .map(|line| line["values"].clone())
            .collect();
        // The lines together hold what the document holds.
        let mut rows = rows.into_iter();
        for statement in last["statements"].as_array_mut().unwrap() {
            for set in statement["resultSets"].as_array_mut().unwrap() {
                let count = usize::try_from(set["rowCount"].as_u64().unwrap()).unwrap();
                set["rows"] = rows.by_ref().take(count).collect();
            }
        }
        assert_eq!(document, last);
    }
    insta::assert_snapshot!("json", write(Format::Json, None, Some(&failure)).stdout);
    insta::assert_snapshot!("yaml", write(Format::Yaml, None, None).stdout);
}

#[test]
fn a_run_that_never_began_is_a_document_too() {
    let failure = Failure::new(Kind::Refused, "no");
    for format in [Format::Json, Format::Jsonl] {
        let mut page = Page::default();
        Writer::new(format, "db-0", None, true, false).finish(Some(&failure), &mut page);
        schema::check(&page.stdout);
    }
}

#[test]
fn rows_are_shown_before_the_last_one_has_come() {
    let mut writer = Writer::new(Format::Table, "db-0", Some(80), true, false);
    let mut page = Page::default();
    writer.statement(&statement("select a", false), &mut page);
    writer.columns(vec!["a".into()], &mut page);
    writer.row(vec![some("1")], &mut page);
    assert_eq!(page.stdout, "");
    writer.pause(&mut page);
    assert_eq!(page.stdout, "a\n1\n");
    for _ in 0..100_000 {
        writer.row(vec![some("22")], &mut page);
        page.stdout.clear();
    }
    writer.statement(&statement("select a", true), &mut page);
    writer.end_of_set(&mut page);
    assert_eq!(page.stderr, "");
}
