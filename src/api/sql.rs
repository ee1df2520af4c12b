//! What the `mariadb` client of a container prints: result sets of `--batch`, and its errors.

use std::collections::BTreeMap;

use crate::model::fact::{Obstacle, Why};

pub mod client;
pub mod xml;

/// A row of a result set by column name; `None` is NULL.
pub type Row = BTreeMap<String, Option<String>>;

/// Result sets of one `--batch` run, by the name the script gave each.
///
/// The script puts `SELECT 'name' AS <mark>` before each statement. In batch output a value never holds a raw
/// line end (the client escapes it), so a line that is just the mark can only be such a header.
#[must_use]
pub fn result_sets(mark: &str, output: &str) -> BTreeMap<String, Vec<Row>> {
    let mut sets = BTreeMap::new();
    let mut lines = output.lines().peekable();
    while let Some(line) = lines.next() {
        if line != mark {
            continue;
        }
        let Some(name) = lines.next() else { break };
        let mut block = Vec::new();
        while let Some(next) = lines.next_if(|next| *next != mark) {
            block.push(next);
        }
        sets.insert(name.to_owned(), rows(&block));
    }
    sets
}

/// A header line and value lines, tab separated.
fn rows(block: &[&str]) -> Vec<Row> {
    let Some((header, values)) = block.split_first() else { return Vec::new() };
    let columns: Vec<String> = header.split('\t').map(unescape).collect();
    let row = |line: &&str| columns.iter().cloned().zip(line.split('\t').map(value)).collect();
    values.iter().map(row).collect()
}

/// NULL and the text `NULL` look the same in batch output; no column that is read here can hold that text.
fn value(field: &str) -> Option<String> {
    (field != "NULL").then(|| unescape(field))
}

/// The client's batch escapes: `\t`, `\n`, `\0` and `\\`.
fn unescape(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('t')) => text.push('\t'),
            ('\\', Some('n')) => text.push('\n'),
            ('\\', Some('0')) => text.push('\0'),
            ('\\', Some(other)) => text.push(other),
            (other, _) => text.push(other),
        }
    }
    text
}

/// The container has no client.
#[must_use]
pub fn no_client() -> Why {
    let message = "the container has neither the mariadb nor the mysql client".into();
    Why::NoSql { obstacle: Obstacle::NoClient, message }
}

/// Why a client run did not deliver, from its exit code (`None`: it is not known) and what it wrote to stderr.
#[must_use]
pub fn obstacle(exit: Option<i32>, errors: &str) -> Why {
    let Some((code, line)) = errors.lines().find_map(error_line) else {
        return silent_or_failed(exit, errors);
    };
    let (obstacle, cause) = match code {
        1045 | 1698 if line.contains("using password: NO") => {
            (Obstacle::NoPassword, "the server wants a password and the container's environment and files name none")
        }
        1045 | 1698 => {
            (Obstacle::WrongPassword, "the server refuses the password that the container's environment or files name")
        }
        1040 | 1203 => {
            (Obstacle::TooManyConnections, "the server has no connection left, not even the one kept for administrators")
        }
        2002 | 2003 => {
            (Obstacle::NoSocket, "the server listens on no socket: it is starting, waiting for other members, or not running")
        }
        2013 | 2006 => (Obstacle::Silent, "the server takes the connection and does not answer"),
        2026 | 3159 => (Obstacle::Tls, "the client in the container and the server do not agree on TLS"),
        1053 | 1927 => (Obstacle::Starting, "the server is starting or stopping"),
        _ => return Why::Failed(format!("the server answers {line}")),
    };
    Why::NoSql { obstacle, message: format!("{cause} ({line})") }
}

/// `ERROR 1045 (28000): Access denied …`: its number and the whole line.
fn error_line(line: &str) -> Option<(u32, &str)> {
    let digits: String = line.strip_prefix("ERROR ")?.chars().take_while(char::is_ascii_digit).collect();
    Some((digits.parse().ok()?, line))
}

fn silent_or_failed(exit: Option<i32>, errors: &str) -> Why {
    let said = errors.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let Some(exit) = exit else {
        let said = if said.is_empty() { "it said nothing".to_owned() } else { said };
        return Why::Failed(format!("how the client ended is not known: {said}"));
    };
    match exit {
        // `timeout` ends the client with 124; a shell reports a killed one as 128 + signal.
        124 | 137 | 143 => Why::NoSql {
            obstacle: Obstacle::Silent,
            message: "the server takes the connection and does not answer within 2.5s".into(),
        },
        0 => Why::Failed("the client ended before it gave all answers".into()),
        _ if said.is_empty() => Why::Failed(format!("the client ended with exit code {exit} and no message")),
        _ => Why::Failed(format!("the client ended with exit code {exit}: {said}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_sets_are_read_by_name_with_escapes_and_null() {
        let output = "@@\none\na\tb\n1\tNULL\nx\\ty\\\\n\t\\n\n@@\nempty\n@@\nend\nmark\nend\n";
        let sets = result_sets("@@", output);
        assert_eq!(sets.keys().collect::<Vec<_>>(), ["empty", "end", "one"]);
        assert_eq!(sets["empty"], Vec::<Row>::new());
        let one = &sets["one"];
        assert_eq!(one[0]["a"].as_deref(), Some("1"));
        assert_eq!(one[0]["b"], None);
        assert_eq!(one[1]["a"].as_deref(), Some("x\ty\\n"));
        assert_eq!(one[1]["b"].as_deref(), Some("\n"));
    }

    #[test]
    fn each_cause_of_failure_is_told_apart() {
        let cases = [
            (
                "ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: YES)",
                Some(Obstacle::WrongPassword),
            ),
            ("ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: NO)", Some(Obstacle::NoPassword)),
            ("ERROR 1698 (28000): Access denied for user 'root'@'localhost'", Some(Obstacle::WrongPassword)),
            (
                "ERROR 2002 (HY000): Can't connect to local server through socket '/run/mysqld/mysqld.sock' (2)",
                Some(Obstacle::NoSocket),
            ),
            (
                "ERROR 2013 (HY000): Lost connection to server at 'waiting for initial communication packet'",
                Some(Obstacle::Silent),
            ),
            ("ERROR 1040 (08004): Too many connections", Some(Obstacle::TooManyConnections)),
            ("ERROR 2026 (HY000): TLS/SSL error: SSL is required, but the server does not support it", Some(Obstacle::Tls)),
            ("ERROR 1146 (42S02) at line 3: Table 'mysql.x' doesn't exist", None),
        ];
        for (text, expected) in cases {
            let why = obstacle(Some(1), &format!("warning: something\n{text}\n"));
            let found = if let Why::NoSql { obstacle, .. } = &why { Some(*obstacle) } else { None };
            assert_eq!(found, expected, "{text}");
            assert!(why.to_string().contains(text), "{why}");
        }
        assert!(matches!(obstacle(Some(124), ""), Why::NoSql { obstacle: Obstacle::Silent, .. }));
        assert!(matches!(obstacle(Some(0), ""), Why::Failed(_)));
        assert!(obstacle(None, "").to_string().contains("not known"));
    }
}
