//! Colours, decided last: text carries labels, and only here do labels become escape codes.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};

use crate::cli::global::Colour;
use crate::decide::finding::Severity;

/// What a piece of text is. Nothing is said by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    Plain,
    /// A heading of a table or a block.
    Heading,
    Good,
    Info,
    Warning,
    Error,
    /// Not known, or secondary.
    Faint,
    /// Something to type.
    Command,
}

impl Label {
    const fn style(self) -> Style {
        let style = Style::new();
        match self {
            Self::Plain => style,
            Self::Heading => style.bold(),
            Self::Good => style.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green))),
            Self::Info => style.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Blue))),
            Self::Warning => style.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow))),
            Self::Error => style.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red))).bold(),
            Self::Faint => style.dimmed(),
            Self::Command => style.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan))),
        }
    }

    /// `text` as it goes to a stream.
    #[must_use]
    pub fn paint(self, text: &str, colour: bool) -> String {
        let style = self.style();
        if colour && !text.is_empty() && style != Style::new() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

impl From<Severity> for Label {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Info,
            Severity::Warning => Self::Warning,
            Severity::Error => Self::Error,
        }
    }
}

/// Whether a stream gets colours. The flag wins over the environment, the environment over what the stream is.
#[must_use]
pub fn colour(flag: Colour, env: &BTreeMap<String, String>, terminal: bool) -> bool {
    let set = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
    match flag {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto if set("NO_COLOR") => false,
        Colour::Auto if set("CLICOLOR_FORCE") => env["CLICOLOR_FORCE"] != "0",
        Colour::Auto => terminal && env.get("TERM").is_none_or(|term| term != "dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_environment_and_that_over_the_terminal() {
        let auto = |pairs: &[(&str, &str)], terminal| {
            let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            colour(Colour::Auto, &env, terminal)
        };
        assert!(auto(&[], true));
        assert!(!auto(&[], false));
        assert!(!auto(&[("TERM", "dumb")], true));
        assert!(!auto(&[("NO_COLOR", "1")], true));
        assert!(auto(&[("NO_COLOR", "")], true));
        assert!(auto(&[("CLICOLOR_FORCE", "1")], false));
        assert!(!auto(&[("CLICOLOR_FORCE", "0")], true));
        assert!(!auto(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true));
        let no_colour = BTreeMap::from([("NO_COLOR".to_owned(), "1".to_owned())]);
        assert!(colour(Colour::Always, &no_colour, false));
        assert!(!colour(Colour::Never, &BTreeMap::new(), true));
    }
}
