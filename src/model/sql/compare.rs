//! The same statement's result on several servers, side by side.

use std::collections::{BTreeMap, BTreeSet};

/// A value; `None` is NULL.
pub type Value = Option<String>;

/// One result set of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// `None`: there was no row, and then the client does not tell them.
    pub columns: Option<Vec<String>>,
    pub rows: Vec<Vec<Value>>,
}

/// How rows of different servers were matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// No server has more than one row.
    Only,
    /// By the first column, which has no value twice on any server.
    ByFirstColumn,
    /// By their place.
    ByNumber,
}

/// A row as each server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// One per server, in the order given; `None`: that server has no such row.
    pub rows: Vec<Option<&'a [Value]>>,
    pub same: bool,
}

/// The result sets of all servers, matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared<'a> {
    pub columns: Vec<String>,
    pub matched: Matched,
    pub lines: Vec<Line<'a>>,
}

impl Compared<'_> {
    #[must_use]
    pub fn same(&self) -> bool {
        self.lines.iter().all(|line| line.same)
    }
}

/// Matches the rows of `sets`, one set per server.
#[must_use]
pub fn compare<'a>(sets: &[&'a Set]) -> Compared<'a> {
    let columns = sets.iter().find_map(|set| set.columns.clone()).unwrap_or_default();
    let lines = |rows: Vec<Vec<Option<&'a [Value]>>>, matched| {
        let line = |rows: Vec<Option<&'a [Value]>>| Line { same: rows.windows(2).all(|pair| pair[0] == pair[1]), rows };
        Compared { columns: columns.clone(), matched, lines: rows.into_iter().map(line).collect() }
    };
    let longest = sets.iter().map(|set| set.rows.len()).max().unwrap_or_default();
    let by_number = || {
        let row = |number: usize| sets.iter().map(|set| set.rows.get(number).map(Vec::as_slice)).collect();
        (0..longest).map(row).collect::<Vec<_>>()
    };
    if longest <= 1 {
        return lines(by_number(), Matched::Only);
    }
    let by_key: Option<Vec<BTreeMap<&Value, &'a [Value]>>> = sets.iter().map(|set| keyed(set)).collect();
    let Some(by_key) = by_key else { return lines(by_number(), Matched::ByNumber) };
    let mut told = BTreeSet::new();
    let keys = sets.iter().flat_map(|set| &set.rows).filter_map(|row| row.first()).filter(|key| told.insert(*key));
    let row = |key: &Value| by_key.iter().map(|rows| rows.get(key).copied()).collect();
    lines(keys.map(row).collect(), Matched::ByFirstColumn)
}

/// The rows by their first value; `None`: it is not another one in each row.
fn keyed(set: &Set) -> Option<BTreeMap<&Value, &[Value]>> {
    let rows: BTreeMap<&Value, &[Value]> = set.rows.iter().filter_map(|row| Some((row.first()?, row.as_slice()))).collect();
    (rows.len() == set.rows.len()).then_some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(rows: &[&[&str]]) -> Set {
        let value = |text: &&str| (*text != "-").then(|| (*text).to_owned());
        let columns = (!rows.is_empty()).then(|| vec!["k".to_owned(), "v".to_owned()]);
        Set { columns, rows: rows.iter().map(|row| row.iter().map(value).collect()).collect() }
    }

    fn told(sets: &[Set]) -> (Matched, Vec<(String, bool)>) {
        let sets: Vec<&Set> = sets.iter().collect();
        let compared = compare(&sets);
        let cell = |row: &Option<&[Value]>| row.map_or("none".to_owned(), |row| row[1].clone().unwrap_or("NULL".to_owned()));
        let line = |line: &Line| (line.rows.iter().map(cell).collect::<Vec<_>>().join(" "), line.same);
        (compared.matched, compared.lines.iter().map(line).collect())
    }

    fn lines(told: &[(&str, bool)]) -> Vec<(String, bool)> {
        told.iter().map(|(text, same)| ((*text).to_owned(), *same)).collect()
    }

    #[test]
    fn rows_are_matched_by_key_wherever_they_stand() {
        let one = set(&[&["a", "1"], &["b", "2"], &["-", "3"]]);
        let other = set(&[&["b", "2"], &["a", "9"], &["c", "4"]]);
        assert_eq!(
            told(&[one, other]),
            (Matched::ByFirstColumn, lines(&[("1 9", false), ("2 2", true), ("3 none", false), ("none 4", false)]))
        );
    }

    #[test]
    fn without_a_key_rows_are_matched_by_number() {
        let one = set(&[&["a", "1"], &["a", "2"]]);
        let other = set(&[&["a", "1"]]);
        assert_eq!(told(&[one, other]), (Matched::ByNumber, lines(&[("1 1", true), ("2 none", false)])));
    }

    #[test]
    fn null_and_its_name_are_two_values_and_nothing_equals_nothing() {
        assert_eq!(told(&[set(&[&["a", "-"]]), set(&[&["a", "NULL"]])]), (Matched::Only, lines(&[("NULL NULL", false)])));
        assert_eq!(told(&[set(&[]), set(&[])]), (Matched::Only, vec![]));
        assert_eq!(told(&[set(&[]), set(&[&["a", "1"]])]), (Matched::Only, lines(&[("none 1", false)])));
    }
}
