//! Every finding there is, each once: code, severity, title, explanation. Codes are an API: never reused, never renumbered.

use std::sync::LazyLock;

use super::finding::Rule;

/// Defines the rules of one family and the list of them, so that none is left out of the catalog.
macro_rules! rules {
    ($($name:ident = $code:literal, $severity:ident, $title:literal, $explanation:literal;)*) => {
        $(pub const $name: crate::decide::finding::Rule = crate::decide::finding::Rule {
            code: $code,
            severity: crate::decide::finding::Severity::$severity,
            title: $title,
            explanation: $explanation,
        };)*
        /// The rules of this family by code.
        pub const ALL: &[&crate::decide::finding::Rule] = &[$(&$name),*];
    };
}

pub mod backup;
pub mod galera;
pub mod kubernetes;
pub mod managers;
pub mod operations;
pub mod replication;
pub mod storage;
pub mod unseen;

/// All rules by code.
#[must_use]
pub fn catalog() -> &'static [&'static Rule] {
    static ALL: LazyLock<Vec<&'static Rule>> = LazyLock::new(|| {
        let first = [kubernetes::ALL, galera::ALL, replication::ALL, storage::ALL];
        let last = [managers::ALL, backup::ALL, operations::ALL, unseen::ALL];
        [first.concat(), last.concat()].concat()
    });
    &ALL
}

/// The rule of a code, written `MDB207`, `mdb207` or `207`.
#[must_use]
pub fn explain(code: &str) -> Option<&'static Rule> {
    let code = code.trim().to_ascii_uppercase();
    catalog().iter().find(|rule| rule.code == code || rule.code.strip_prefix("MDB") == Some(&code)).copied()
}

/// The first digit of a code, and what its family is about.
const FAMILIES: &[(char, &str)] = &[
    ('1', "Kubernetes: sets, pods, containers, nodes"),
    ('2', "Galera"),
    ('3', "Replication"),
    ('4', "Storage"),
    ('5', "Managers: the operator, labels"),
    ('6', "Backups"),
    ('7', "Operations: why a command does not begin, or does not go on"),
    ('9', "What could not be seen"),
];

/// The text of `docs/findings.md`.
#[must_use]
pub fn catalog_markdown() -> String {
    let mut page = String::from(
        "<!-- Generated from src/decide/rules; a test fails when they differ. UPDATE_DOCS=1 cargo test rewrites it. -->\n\
         # Findings\n\n\
         `kubectl mariadb status` prints findings; `kubectl mariadb explain CODE` prints the same text as this page, offline.\n\
         Codes keep their meaning for ever. A code has one severity:\n\n\
         | severity | meaning |\n|---|---|\n\
         | error | something is broken now, or data is at risk; the exit code is 3 |\n\
         | warning | it works, with less safety than it should have; the exit code is 3 only with `--fail-on warning` |\n\
         | info | good to know |\n\n\
         Findings `MDB9xx` say what could not be seen. They never lead to exit code 3: a needed fact that is missing gives 4\n\
         (8 if a right is missing), a missing extra changes no code.\n",
    );
    for (digit, name) in FAMILIES {
        page.push_str(&format!("\n## {digit}xx {name}\n"));
        for rule in catalog().iter().filter(|rule| rule.code[3..].starts_with(*digit)) {
            let severity = rule.severity.name();
            page.push_str(&format!("\n### {} {}\n\n*{severity}*\n\n{}\n", rule.code, rule.title, rule.explanation));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_sorted_and_of_a_family() {
        let codes: Vec<&str> = catalog().iter().map(|rule| rule.code).collect();
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
        for code in codes {
            assert!(code.len() == 6 && code.starts_with("MDB") && code[3..].chars().all(|c| c.is_ascii_digit()), "{code}");
            assert!(FAMILIES.iter().any(|(digit, _)| code[3..].starts_with(*digit)), "{code}");
        }
    }

    #[test]
    fn every_rule_is_told_in_full_sentences() {
        for rule in catalog() {
            assert!(rule.explanation.len() > 150, "{} says too little", rule.code);
            assert!(rule.explanation.ends_with(['.', ')', '`']), "{}", rule.code);
            assert!(!rule.title.ends_with('.') && rule.title.len() <= 90, "{}: {}", rule.code, rule.title);
            assert!(rule.explanation.lines().all(|line| line.trim() == line), "{} has stray blanks", rule.code);
            assert!(!rule.explanation.replace("\n\n", "").contains('\n'), "{}: a paragraph is one line", rule.code);
        }
    }

    #[test]
    fn a_code_is_found_however_it_is_written() {
        for code in ["MDB207", "mdb207", "207", " 207 "] {
            assert_eq!(explain(code).map(|rule| rule.code), Some("MDB207"));
        }
        assert_eq!(explain("MDB2"), None);
        assert_eq!(explain(""), None);
    }
}
