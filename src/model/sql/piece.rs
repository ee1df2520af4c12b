//! Text cut into the pieces a server reads: words, quoted texts, comments.

/// How a session reads quotes, from its `sql_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quoting {
    /// `ANSI_QUOTES`: `"` encloses a name, not a text.
    pub ansi_quotes: bool,
    /// `NO_BACKSLASH_ESCAPES`: `\` in a text is a character like any other.
    pub no_backslash_escapes: bool,
}

impl Quoting {
    /// Every way there is.
    pub const ALL: [Self; 4] = [Self::new(false, false), Self::new(false, true), Self::new(true, false), Self::new(true, true)];

    const fn new(ansi_quotes: bool, no_backslash_escapes: bool) -> Self {
        Self { ansi_quotes, no_backslash_escapes }
    }

    /// From the value of `@@sql_mode`.
    #[must_use]
    pub fn of(sql_mode: &str) -> Self {
        let has = |mode: &str| sql_mode.split(',').any(|set| set == mode);
        Self::new(has("ANSI_QUOTES"), has("NO_BACKSLASH_ESCAPES"))
    }
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Space,
    /// Not read by the server.
    Comment,
    /// The start of a comment whose inside is read, by all servers or by some: `/*!`, `/*!50000`, `/*M!100100`.
    OpenCode,
    /// Its end.
    CloseCode,
    Text,
    /// A quoted name.
    Name,
    /// A keyword, a bare name or a number.
    Word,
    /// One character.
    Symbol,
}

/// A piece of a text. All pieces of a text, one after the other, are the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// It ends where the text ends, and should not have ended there.
    pub open: bool,
}

impl Piece<'_> {
    /// Whether it is this keyword, in any case.
    #[must_use]
    pub fn is(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    #[must_use]
    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }

    /// Whether the server reads it: neither blank nor comment.
    #[must_use]
    pub fn counts(&self) -> bool {
        !matches!(self.kind, Kind::Space | Kind::Comment)
    }
}

/// The pieces of `text`.
#[must_use]
pub fn pieces(text: &str, quoting: Quoting) -> Pieces<'_> {
    Pieces { rest: text, quoting, in_code: false }
}

pub struct Pieces<'a> {
    rest: &'a str,
    quoting: Quoting,
    in_code: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let first = self.rest.chars().next()?;
        let (kind, length) = match first {
            '\'' => self.quoted(Kind::Text, b'\'', !self.quoting.no_backslash_escapes),
            '"' if self.quoting.ansi_quotes => self.quoted(Kind::Name, b'"', false),
            '"' => self.quoted(Kind::Text, b'"', !self.quoting.no_backslash_escapes),
            '`' => self.quoted(Kind::Name, b'`', false),
            '#' => (Kind::Comment, self.line()),
            _ if self.is_dashed() => (Kind::Comment, self.line()),
            '/' if self.rest.starts_with("/*") => self.comment(),
            '*' if self.in_code && self.rest.starts_with("*/") => {
                self.in_code = false;
                (Kind::CloseCode, Some(2))
            }
            _ if is_space(first) => (Kind::Space, self.run(is_space)),
            _ if is_word(first) => (Kind::Word, self.run(is_word)),
            other => (Kind::Symbol, Some(other.len_utf8())),
        };
        let open = length.is_none();
        let (text, rest) = self.rest.split_at(length.unwrap_or(self.rest.len()));
        self.rest = rest;
        Some(Piece { kind, text, open })
    }
}

impl Pieces<'_> {
    fn run(&self, belongs: impl Fn(char) -> bool) -> Option<usize> {
        Some(self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len()))
    }

    /// Up to the line's end. One that ends with the text is whole.
    fn line(&self) -> Option<usize> {
        Some(self.rest.find('\n').unwrap_or(self.rest.len()))
    }

    /// `--` starts a comment only before a blank or a control character.
    fn is_dashed(&self) -> bool {
        let after = self.rest.strip_prefix("--").map(|after| after.chars().next());
        after.is_some_and(|next| next.is_none_or(|c| is_space(c) || c.is_control()))
    }

    fn comment(&mut self) -> (Kind, Option<usize>) {
        let code = ["/*!", "/*M!"].into_iter().find(|start| self.rest.starts_with(start));
        match code {
            Some(start) => {
                self.in_code = true;
                let digits = self.rest[start.len()..].bytes().take_while(u8::is_ascii_digit).count();
                (Kind::OpenCode, Some(start.len() + digits))
            }
            None => (Kind::Comment, self.rest[2..].find("*/").map(|end| end + 4)),
        }
    }

    /// Up to the closing quote; a doubled one is part of the text.
    fn quoted(&self, kind: Kind, quote: u8, escapes: bool) -> (Kind, Option<usize>) {
        let bytes = self.rest.as_bytes();
        let mut at = 1;
        while at < bytes.len() {
            match bytes[at] {
                b'\\' if escapes => at += 2,
                byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
                byte if byte == quote => return (kind, Some(at + 1)),
                _ => at += 1,
            }
        }
        (kind, None)
    }
}

/// What the server takes for blank.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// Everything beyond ASCII is part of names.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(text: &str, quoting: Quoting) -> Vec<(Kind, &str, bool)> {
        pieces(text, quoting)
            .filter(|piece| piece.kind != Kind::Space)
            .map(|piece| (piece.kind, piece.text, piece.open))
            .collect()
    }

    #[test]
    fn quotes_are_read_as_the_mode_says() {
        let text = r#"'a\' b "c\" d"#;
        let usual = told(text, Quoting::default());
        assert_eq!(usual, [(Kind::Text, r#"'a\' b "c\" d"#, true)]);
        let ansi = Quoting::of("STRICT_TRANS_TABLES,ANSI_QUOTES,NO_BACKSLASH_ESCAPES");
        assert_eq!(
            told(text, ansi),
            [(Kind::Text, r"'a\'", false), (Kind::Word, "b", false), (Kind::Name, r#""c\""#, false), (Kind::Word, "d", false)]
        );
        assert_eq!(told("'it''s' `a``;`", Quoting::default()), [(Kind::Text, "'it''s'", false), (Kind::Name, "`a``;`", false)]);
    }

    #[test]
    fn comments_and_code_in_comments_are_told_apart() {
        assert_eq!(
            told("1 -- x\n--2 # y ' \n/* ; ' */ /*!50000 a */ /*M!100100 b*/ /*+ hint */", Quoting::default()),
            [
                (Kind::Word, "1", false),
                (Kind::Comment, "-- x", false),
                (Kind::Symbol, "-", false),
                (Kind::Symbol, "-", false),
                (Kind::Word, "2", false),
                (Kind::Comment, "# y ' ", false),
                (Kind::Comment, "/* ; ' */", false),
                (Kind::OpenCode, "/*!50000", false),
                (Kind::Word, "a", false),
                (Kind::CloseCode, "*/", false),
                (Kind::OpenCode, "/*M!100100", false),
                (Kind::Word, "b", false),
                (Kind::CloseCode, "*/", false),
                (Kind::Comment, "/*+ hint */", false),
            ]
        );
        assert_eq!(told("/* open", Quoting::default()), [(Kind::Comment, "/* open", true)]);
        assert_eq!(told("--", Quoting::default()), [(Kind::Comment, "--", false)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_between_the_pieces(text in r#"[a-z0-9 '"`\\;#*/!M\n@é-]{0,60}"#) {
            for quoting in Quoting::ALL {
                let whole: String = pieces(&text, quoting).map(|piece| piece.text).collect();
                prop_assert_eq!(&whole, &text);
                let open: Vec<bool> = pieces(&text, quoting).map(|piece| piece.open).collect();
                prop_assert!(open.iter().rev().skip(1).all(|open| !open), "only the last piece can be open");
            }
        }
    }
}
