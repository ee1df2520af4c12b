//! From a text to its statements.

use super::piece::{Kind, Piece, Quoting, pieces};

/// What ends a statement in the input of the client in the pod. No text of a user holds it.
pub const CLIENT_DELIMITER: &str = "@@kubectl-mdb@@";

/// A statement, without what ended it and without comments before its first word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub text: String,
    /// The line of the input it begins in; the first is 1.
    pub line: usize,
    /// It ended with `\G`: one line per column.
    pub vertical: bool,
}

/// Why a text cannot be sent, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub line: usize,
    /// One sentence.
    pub what: String,
}

/// The statements of a text, and what comes after the last of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    pub statements: Vec<Statement>,
    /// Not ended yet; blank if there is nothing.
    pub rest: String,
    /// `rest` ends inside of quotes or a comment.
    pub open: bool,
    /// What ends a statement after this text.
    pub delimiter: String,
}

/// Cuts `text` at each `delimiter` outside of quotes and comments, at `\g` and at `\G`. A line `DELIMITER //` between two
/// statements changes what ends the next ones; it is for files with stored programs and reaches no server.
///
/// # Errors
/// A backslash outside of quotes: the client in the pod would take it for a command of its own.
pub fn split(text: &str, quoting: Quoting, delimiter: &str) -> Result<Split, Problem> {
    let mut cutter = Cutter { text, delimiter: delimiter.to_owned(), statements: Vec::new(), start: 0, begun: None };
    let mut skip_to = 0;
    let mut at = 0;
    let mut open = false;
    for piece in pieces(text, quoting) {
        // What ended a statement may have been the start of this piece: `\\gselect`.
        let here = at.max(skip_to);
        at += piece.text.len();
        if here >= at {
            continue;
        }
        open = piece.open;
        skip_to = cutter.take(here, Piece { text: &text[here..at], ..piece })?;
    }
    let rest = &text[cutter.start.min(text.len())..];
    if rest.contains(CLIENT_DELIMITER) || cutter.statements.iter().any(|statement| statement.text.contains(CLIENT_DELIMITER)) {
        return Err(Problem { line: 1, what: format!("{CLIENT_DELIMITER} cannot be part of a statement") });
    }
    let rest = match cutter.begun {
        Some(begun) => text[begun..].to_owned(),
        None if open => rest.to_owned(),
        None => String::new(),
    };
    Ok(Split { statements: cutter.statements, rest, open, delimiter: cutter.delimiter })
}

struct Cutter<'a> {
    text: &'a str,
    delimiter: String,
    statements: Vec<Statement>,
    /// Where the present statement's text begins.
    start: usize,
    /// Where its first word is.
    begun: Option<usize>,
}

impl Cutter<'_> {
    /// Takes one piece, and says up to where the text is read.
    fn take(&mut self, at: usize, piece: Piece<'_>) -> Result<usize, Problem> {
        let ahead = &self.text[at..];
        let outside = matches!(piece.kind, Kind::Symbol | Kind::Word | Kind::CloseCode);
        if self.begun.is_none() && piece.is("delimiter") && self.starts_line(at) {
            return self.change_delimiter(at);
        }
        if outside && ahead.starts_with(self.delimiter.as_str()) {
            return Ok(self.end(at, self.delimiter.len(), false));
        }
        if piece.is_symbol("\\") {
            match ahead.as_bytes().get(1) {
                Some(b'g') => return Ok(self.end(at, 2, false)),
                Some(b'G') => return Ok(self.end(at, 2, true)),
                // Short for NULL.
                Some(b'N') => {}
                _ => {
                    let command: String = ahead.chars().take(2).collect();
                    let what = format!("{command} is a command of the mariadb client; only \\g and \\G are understood here");
                    return Err(Problem { line: self.line(at), what });
                }
            }
        }
        if piece.counts() {
            self.begun.get_or_insert(at);
        }
        Ok(at + piece.text.len())
    }

    fn end(&mut self, at: usize, length: usize, vertical: bool) -> usize {
        if let Some(begun) = self.begun.take() {
            let text = self.text[begun..at].trim().to_owned();
            self.statements.push(Statement { text, line: self.line(begun), vertical });
        }
        self.start = at + length;
        self.start
    }

    fn change_delimiter(&mut self, at: usize) -> Result<usize, Problem> {
        let line = self.text[at..].lines().next().unwrap_or_default();
        let wanted = line["delimiter".len()..].trim();
        if wanted.is_empty() || wanted.contains('\\') || wanted.contains(char::is_whitespace) {
            let what = "DELIMITER wants one word without backslashes, such as //".to_owned();
            return Err(Problem { line: self.line(at), what });
        }
        wanted.clone_into(&mut self.delimiter);
        self.start = at + line.len();
        Ok(self.start)
    }

    fn starts_line(&self, at: usize) -> bool {
        let before = &self.text[..at];
        before[before.rfind('\n').map_or(0, |end| end + 1)..].trim().is_empty()
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text[..at].matches('\n').count()
    }
}

/// `statement` as the client in the pod must get it: the client takes the bare word `delimiter` and a blank for a command of
/// its own, wherever it stands (seen on 10.11 and 11.8); before a line end it does not.
#[must_use]
pub fn for_client(statement: &str, quoting: Quoting) -> String {
    let mut text = String::with_capacity(statement.len());
    let mut after_delimiter = false;
    for piece in pieces(statement, quoting) {
        match piece.text.strip_prefix(' ') {
            Some(rest) if after_delimiter && piece.kind == Kind::Space => {
                text.push('\n');
                text.push_str(rest);
            }
            _ => text.push_str(piece.text),
        }
        after_delimiter = piece.kind == Kind::Word && piece.text.to_ascii_lowercase().ends_with("delimiter");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str) -> Vec<String> {
        split(text, Quoting::default(), ";").unwrap().statements.into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn statements_end_outside_of_quotes_and_comments_only() {
        for (text, expected) in [
            ("select 1; select 2;", &["select 1", "select 2"][..]),
            (";; ;\n;", &[]),
            ("select ';' ; -- ; x\nselect `;`;", &["select ';'", "select `;`"]),
            ("select 'a\\'; b';", &["select 'a\\'; b'"]),
            ("select \"it's;\" # ;\n, 2;", &["select \"it's;\" # ;\n, 2"]),
            ("select 1 /* ; */ + 1\\gselect 3\\G", &["select 1 /* ; */ + 1", "select 3"]),
            ("select \\N;", &["select \\N"]),
            ("select 1", &[]),
            ("/*! select 1; */", &["/*! select 1"]),
            (
                "delimiter //\ncreate procedure p() begin select 1; end//\ndelimiter ;\nselect 2;",
                &["create procedure p() begin select 1; end", "select 2"],
            ),
            ("select 1 as delimiter from t;", &["select 1 as delimiter from t"]),
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_the_vertical_form_and_the_rest_are_told() {
        let split = split("-- first\nselect\n1\\G\n\n  select 2; select 'open", Quoting::default(), ";").unwrap();
        let lines: Vec<_> = split.statements.iter().map(|statement| (statement.line, statement.vertical)).collect();
        assert_eq!(lines, [(2, true), (5, false)]);
        assert_eq!((split.rest.as_str(), split.open), ("select 'open", true));
        let comment = super::split("select 1; -- done\n", Quoting::default(), ";").unwrap();
        assert_eq!((comment.rest.as_str(), comment.open), ("", false));
    }

    #[test]
    fn commands_of_the_client_are_problems_and_never_text() {
        for text in ["\\! ls", "select 1; \\. /etc/passwd", "select 1 \\\n", "select /*! \\u x */ 1;", "a\\"] {
            let problem = split(text, Quoting::default(), ";").unwrap_err();
            assert!(problem.what.contains("only \\g and \\G"), "{text}: {problem:?}");
        }
        assert!(split("delimiter", Quoting::default(), ";").unwrap_err().what.starts_with("DELIMITER wants"));
        assert!(split("select @@kubectl-mdb@@;", Quoting::default(), ";").is_err());
    }

    #[test]
    fn the_clients_own_word_is_followed_by_a_line_end() {
        let sent = |text: &str| for_client(text, Quoting::default());
        assert_eq!(sent("select 1 as DELIMITER  from t"), "select 1 as DELIMITER\n from t");
        assert_eq!(sent("select mydelimiter from t"), "select mydelimiter\nfrom t");
        let kept =
            ["select 'delimiter x'", "select `delimiter ` from t", "select delimiter\tfrom t", "/* delimiter x */ select 1"];
        for text in kept {
            assert_eq!(sent(text), text);
        }
    }

    /// What the client in the pod takes for its own: a model of its reader, as narrow as the property needs.
    fn client_commands(text: &str) -> bool {
        pieces(text, Quoting::default())
            .filter(|piece| !matches!(piece.kind, Kind::Text | Kind::Name | Kind::Comment))
            .any(|piece| piece.text.contains('\\'))
            || {
                let bare: String = pieces(text, Quoting::default())
                    .map(|piece| if matches!(piece.kind, Kind::Text | Kind::Name | Kind::Comment) { "x" } else { piece.text })
                    .collect();
                bare.to_ascii_lowercase().contains("delimiter ")
            }
    }

    proptest! {
        /// Statements and rest together hold every word of the input, in order; none holds what ends statements.
        #[test]
        fn splitting_loses_no_word(words in prop::collection::vec(
            prop::sample::select(vec![
                "select", "1", "'a;b'", "`x;y`", "\"q;\"", "/* ; */", "-- ;\n", "# '\n", ";", "\\G", "delimiter", "'it''s'", "drop", "/*! x */",
                "'\\';'",
            ]), 0..14))
        {
            let text = words.join(" ");
            // At the start of a line it is a command, tested above.
            prop_assume!(!text.starts_with("delimiter") && !text.contains("\n delimiter"));
            let split = split(&text, Quoting::default(), ";").unwrap();
            let squeezed = |text: &str| pieces(text, Quoting::default())
                .filter(|piece| piece.counts() && !piece.is_symbol(";")).map(|piece| piece.text.to_owned()).collect::<Vec<_>>();
            let whole: Vec<String> = split.statements.iter().map(|statement| statement.text.as_str())
                .chain([split.rest.as_str()]).flat_map(squeezed).collect();
            prop_assert_eq!(whole, squeezed(&text.replace("\\G", ";")));
            for statement in &split.statements {
                prop_assert!(pieces(&statement.text, Quoting::default()).all(|piece| !piece.is_symbol(";") && !piece.open));
                prop_assert!(!client_commands(&for_client(&statement.text, Quoting::default())), "{}", statement.text);
            }
        }
    }
}
