//! Which statements may run without `--write` (safety G4): a guard against slips, not against intent. What it lets through
//! still runs in a read-only transaction, which is what stops stored functions that write.

use std::fmt;

use super::piece::{Kind, Piece, Quoting, pieces};

/// Why a statement does not count as reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It begins with another word; empty: with none.
    Verb(String),
    /// `SELECT … INTO OUTFILE` or `DUMPFILE`.
    WritesFile,
    /// `FOR UPDATE`, `FOR SHARE`, `LOCK IN SHARE MODE`.
    Locks,
    /// `SET` of something else than `@variables`.
    SetsMore,
    /// `/*! … */`: some servers run the inside, others do not, and only the server knows.
    CodeInComment,
    /// A delimiter of its own lets several through as one.
    Several,
    /// `WITH` that does not lead to a `SELECT`.
    WithoutSelect,
    /// A quote or comment does not end.
    Open,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verb(verb) if verb.is_empty() => f.write_str("it does not begin with a word"),
            Self::Verb(verb) => write!(f, "{} may change something", verb.to_ascii_uppercase()),
            Self::WritesFile => f.write_str("INTO OUTFILE and INTO DUMPFILE write a file on the server"),
            Self::Locks => f.write_str("it locks rows"),
            Self::SetsMore => f.write_str("SET may change @variables only"),
            Self::CodeInComment => f.write_str("some servers run what is in /*! … */"),
            Self::Several => f.write_str("it is more than one statement"),
            Self::WithoutSelect => f.write_str("WITH may lead to a SELECT only"),
            Self::Open => f.write_str("a quote or a comment in it does not end"),
        }
    }
}

/// Whether one statement is SELECT, SHOW, EXPLAIN, DESCRIBE, WITH … SELECT, USE or SET @x, without what writes or locks.
///
/// # Errors
/// The first reason why not.
pub fn only_reads(statement: &str, quoting: Quoting) -> Result<(), Unfit> {
    let all: Vec<Piece> = pieces(statement, quoting).collect();
    if all.iter().any(|piece| piece.open) {
        return Err(Unfit::Open);
    }
    let read: Vec<Piece> = all.into_iter().filter(Piece::counts).collect();
    if read.iter().any(|piece| piece.kind == Kind::OpenCode) {
        return Err(Unfit::CodeInComment);
    }
    if read.iter().any(|piece| piece.is_symbol(";")) {
        return Err(Unfit::Several);
    }
    let inside = read.iter().position(|piece| !piece.is_symbol("(")).unwrap_or(read.len());
    let verb = read.get(inside).filter(|piece| piece.kind == Kind::Word).map_or("", |piece| piece.text).to_ascii_uppercase();
    match (verb.as_str(), inside) {
        ("SELECT", _) | ("SHOW" | "EXPLAIN" | "DESCRIBE" | "DESC", 0) => {}
        ("WITH", _) => leads_to_select(&read[inside + 1..])?,
        ("USE", 0) if read.len() == 2 => {}
        ("SET", 0) => sets_variables(&read[1..])?,
        _ => return Err(Unfit::Verb(verb)),
    }
    neither_writes_nor_locks(&read)
}

fn neither_writes_nor_locks(read: &[Piece]) -> Result<(), Unfit> {
    for pair in read.windows(2) {
        if pair[0].is("into") && (pair[1].is("outfile") || pair[1].is("dumpfile")) {
            return Err(Unfit::WritesFile);
        }
        if (pair[0].is("for") && (pair[1].is("update") || pair[1].is("share"))) || (pair[0].is("lock") && pair[1].is("in")) {
            return Err(Unfit::Locks);
        }
    }
    Ok(())
}

/// `[RECURSIVE] name [(columns)] AS (…) [CYCLE … RESTRICT], … SELECT`.
fn leads_to_select(mut rest: &[Piece]) -> Result<(), Unfit> {
    if rest.first().is_some_and(|piece| piece.is("recursive")) {
        rest = &rest[1..];
    }
    loop {
        let [name, after @ ..] = rest else { return Err(Unfit::WithoutSelect) };
        if !matches!(name.kind, Kind::Word | Kind::Name) {
            return Err(Unfit::WithoutSelect);
        }
        let after = group(after).unwrap_or(after);
        let [word, body @ ..] = after else { return Err(Unfit::WithoutSelect) };
        let Some(mut next) = group(body).filter(|_| word.is("as")) else { return Err(Unfit::WithoutSelect) };
        if next.first().is_some_and(|piece| piece.is("cycle")) {
            let end = next.iter().position(|piece| piece.is("restrict")).ok_or(Unfit::WithoutSelect)?;
            next = &next[end + 1..];
        }
        match next.first() {
            Some(piece) if piece.is_symbol(",") => rest = &next[1..],
            Some(piece) if piece.is("select") => return Ok(()),
            _ => return Err(Unfit::WithoutSelect),
        }
    }
}

/// What follows a group in parentheses; `None`: it does not begin with one.
fn group<'a, 'b>(pieces: &'b [Piece<'a>]) -> Option<&'b [Piece<'a>]> {
    let mut depth = 0_usize;
    for (at, piece) in pieces.iter().enumerate() {
        if piece.is_symbol("(") {
            depth += 1;
        } else if piece.is_symbol(")") {
            depth = depth.checked_sub(1)?;
        }
        if depth == 0 {
            return (at > 0).then(|| &pieces[at + 1..]);
        }
    }
    None
}

/// Every assignment of the list is one to a `@variable`.
fn sets_variables(list: &[Piece]) -> Result<(), Unfit> {
    let mut depth = 0_i32;
    let assignments = list.split(|piece| {
        depth += i32::from(piece.is_symbol("(")) - i32::from(piece.is_symbol(")"));
        depth == 0 && piece.is_symbol(",")
    });
    for assignment in assignments {
        let [at, rest @ ..] = assignment else { return Err(Unfit::SetsMore) };
        let name = rest.iter().take_while(|piece| !piece.is_symbol("=") && !piece.is_symbol(":")).count();
        let named =
            rest[..name].iter().all(|piece| matches!(piece.kind, Kind::Word | Kind::Name | Kind::Text) || piece.is_symbol("."));
        if !at.is_symbol("@") || name == 0 || name == rest.len() || !named {
            return Err(Unfit::SetsMore);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_reads_is_let_through() {
        for text in [
            "SELECT 1",
            "select * from t where a = 'drop table t; --'",
            "(SELECT 1) UNION ((SELECT 2))",
            "SHOW ALL SLAVES STATUS",
            "show create table `into outfile`",
            "EXPLAIN UPDATE t SET a = 1",
            "desc t",
            "DESCRIBE t",
            "USE shop",
            "use `odd name`",
            "SET @a = 1, @b := (SELECT MAX(x), 2 FROM t), @`c d` = 'x', @e.f = 1",
            "SELECT a INTO @a FROM t",
            "WITH a AS (SELECT 1), b (x, y) AS (SELECT 1, 2) SELECT * FROM a, b",
            "with recursive a as (select 1 union select n + 1 from a) cycle n restrict select * from a",
            "-- a comment\nselect /*+ MAX_EXECUTION_TIME(1) */ 1 # done",
            "select \"into outfile\", 'for update', `for update` from t",
            "select for_update, outfile from t use index for order by (i)",
        ] {
            assert_eq!(only_reads(text, Quoting::default()), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_may_change_something_is_not() {
        let verb = |verb: &str| Unfit::Verb(verb.to_owned());
        for (text, unfit) in [
            ("", verb("")),
            ("'select'", verb("")),
            ("INSERT INTO t VALUES (1)", verb("INSERT")),
            ("/* select */ drop table t", verb("DROP")),
            ("(delete from t)", verb("DELETE")),
            ("(show tables)", verb("SHOW")),
            ("system ls", verb("SYSTEM")),
            ("source x.sql", verb("SOURCE")),
            ("EXECUTE IMMEDIATE 'select 1'", verb("EXECUTE")),
            ("ANALYZE SELECT 1", verb("ANALYZE")),
            ("begin", verb("BEGIN")),
            ("set statement max_statement_time=1 for select 1", Unfit::SetsMore),
            ("use a b", verb("USE")),
            ("select 1 into outfile '/tmp/x'", Unfit::WritesFile),
            ("select 1 into /* x */ DumpFile '/tmp/x'", Unfit::WritesFile),
            ("select * from t for update", Unfit::Locks),
            ("select * from t lock in share mode", Unfit::Locks),
            ("(select * from t for\nupdate)", Unfit::Locks),
            ("SET GLOBAL read_only = 0", Unfit::SetsMore),
            ("SET @a = 1, GLOBAL read_only = 0", Unfit::SetsMore),
            ("SET @@global.read_only = 0", Unfit::SetsMore),
            ("SET @a", Unfit::SetsMore),
            ("SET password = ''", Unfit::SetsMore),
            ("set names utf8", Unfit::SetsMore),
            ("set", Unfit::SetsMore),
            ("/*!50000 DROP TABLE t */", Unfit::CodeInComment),
            ("/*!99999 select */ drop table t", Unfit::CodeInComment),
            ("select 1 /*M!100100 into outfile 'x' */", Unfit::CodeInComment),
            ("select 1; drop table t", Unfit::Several),
            ("with a as (select 1) delete from t", Unfit::WithoutSelect),
            ("with a as (select 1) update t set x = (select 1)", Unfit::WithoutSelect),
            ("with a (select 1) select 1", Unfit::WithoutSelect),
            ("with a as select 1", Unfit::WithoutSelect),
            ("with", Unfit::WithoutSelect),
            ("select 'open", Unfit::Open),
            ("select 1 /* open", Unfit::Open),
        ] {
            assert_eq!(only_reads(text, Quoting::default()), Err(unfit), "{text}");
        }
    }

    #[test]
    fn the_sessions_mode_decides_what_is_a_text() {
        let text = r"select 'C:\' into outfile 'x' -- '";
        assert_eq!(only_reads(text, Quoting::default()), Ok(()));
        assert_eq!(only_reads(text, Quoting { no_backslash_escapes: true, ..Quoting::default() }), Err(Unfit::WritesFile));
    }

    /// Words that never stand in a statement that only reads, however they are dressed up.
    const FORBIDDEN: &[&str] =
        &["drop table t", "into outfile 'f'", "into dumpfile 'f'", "for update", "; delete from t", "/*! x */"];

    proptest! {
        /// Blanks, comments, case and parentheses around a forbidden phrase change nothing.
        #[test]
        fn no_dress_hides_a_forbidden_phrase(
            phrase in prop::sample::select(FORBIDDEN),
            blank in prop::sample::select(vec![" ", "\n", "\t", " /* select */ ", " -- x\n", " # ' \n", "/**/ "]),
            upper in any::<bool>(),
            before in prop::sample::select(vec!["select 1", "select '`' , \"'\"", "select `a'b`, 'it''s'", "select '\\'', 1"]),
        ) {
            let phrase = if upper { phrase.to_uppercase() } else { (*phrase).to_owned() };
            let dressed = if phrase.starts_with(['/', ';']) { phrase } else { phrase.replace(' ', blank) };
            let text = if dressed.to_lowercase().starts_with("drop") { format!("{blank}{dressed}") } else { format!("{before}{blank}{dressed}") };
            prop_assert!(only_reads(&text, Quoting::default()).is_err(), "{}", text);
        }

        /// In quotes the same phrases are only text.
        #[test]
        fn in_quotes_it_is_only_text(phrase in prop::sample::select(FORBIDDEN), quote in prop::sample::select(vec!["'", "\"", "`"])) {
            let text = format!("select {quote}{}{quote}", phrase.replace('\'', "''").replace('"', ""));
            let text = if quote == "`" { text.replace("''", "'") } else { text };
            prop_assert_eq!(only_reads(&text, Quoting::default()), Ok(()), "{}", text);
        }

        /// Nothing makes the guard panic, and nothing that begins with another word passes.
        #[test]
        fn only_the_listed_verbs_pass(text in r#"[a-zA-Z0-9 '"`\\;#*/!M\n@é,=():-]{0,40}"#) {
            for quoting in Quoting::ALL {
                if only_reads(&text, quoting).is_ok() {
                    let first = pieces(&text, quoting).find(|piece| piece.counts() && !piece.is_symbol("(")).unwrap();
                    let verbs = ["select", "show", "explain", "describe", "desc", "with", "use", "set"];
                    prop_assert!(verbs.iter().any(|verb| first.is(verb)), "{}", text);
                }
            }
        }
    }
}
