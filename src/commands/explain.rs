//! `explain`: the text of a finding or an exit code, offline.

use crate::decide::rules;
use crate::failure::{Exit, Failure, Kind};
use crate::output::explain::{Explanation, ExplanationList};

/// Every code there is.
#[must_use]
pub fn list() -> ExplanationList {
    let findings = rules::catalog().iter().map(|rule| Explanation::from(*rule));
    ExplanationList { items: findings.chain(Exit::ALL.into_iter().map(Explanation::from)).collect() }
}

/// What `code` means: the number of an exit code, or a finding's code in any case.
///
/// # Errors
/// A usage failure that names codes like it.
pub fn explain(code: &str) -> Result<Explanation, Failure> {
    if let Some(exit) = Exit::ALL.into_iter().find(|exit| exit.code().to_string() == code) {
        return Ok(Explanation::from(exit));
    }
    if let Some(rule) = rules::explain(code) {
        return Ok(Explanation::from(rule));
    }
    let near = near(code);
    let all = "all codes: kubectl mariadb explain";
    let hint = if near.is_empty() { all.to_owned() } else { format!("codes like it: {}; {all}", near.join(", ")) };
    Err(Failure::new(Kind::Usage, format!("'{code}' is neither the code of a finding nor an exit code")).hint(hint))
}

/// At most five codes that differ in few characters, nearest first.
fn near(code: &str) -> Vec<&'static str> {
    let code = code.to_ascii_uppercase();
    let mut found: Vec<_> = rules::catalog().iter().map(|rule| (distance(&code, rule.code), rule.code)).collect();
    found.retain(|(distance, _)| *distance <= 2);
    found.sort_unstable();
    found.into_iter().take(5).map(|(_, code)| code).collect()
}

/// Levenshtein distance of two short words.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, letter) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], above + 1);
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn codes_are_found_in_any_case_and_exit_codes_by_number() {
        assert_eq!(explain("mdb201").unwrap().code, "MDB201");
        assert_eq!(explain("130").unwrap().title, "exit code 130");
        assert_eq!(list().items.len(), rules::catalog().len() + Exit::ALL.len());
    }

    #[test]
    fn an_unknown_code_names_those_like_it() {
        let failure = explain("MDB2o1").unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.hint.unwrap().starts_with("codes like it: MDB201, "));
        assert_eq!(explain("nonsense").unwrap_err().hint.as_deref(), Some("all codes: kubectl mariadb explain"));
    }

    #[test]
    fn distances_count_single_edits() {
        for (left, right, edits) in [("", "abc", 3), ("abc", "abc", 0), ("MDB20", "MDB201", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }
}
