//! What a line typed at the prompt is.

/// What to do with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Leave,
    Help,
    /// Give up the lines typed so far.
    Clear,
    Nothing,
    /// More of a statement.
    Text(String),
}

/// `before`: the lines of a statement that has not ended.
#[must_use]
pub fn read(before: &str, line: &str) -> Input {
    let word = line.trim();
    if word.ends_with("\\c") {
        return Input::Clear;
    }
    if !before.is_empty() {
        return Input::Text(format!("{line}\n"));
    }
    match word.trim_end_matches(';').trim_end().to_ascii_lowercase().as_str() {
        "\\q" | "quit" | "exit" => Input::Leave,
        "\\h" | "\\?" | "?" | "help" => Input::Help,
        "" => Input::Nothing,
        // As in the mariadb client: a whole statement without its end.
        command if command.starts_with("use ") && !word.contains([';', '\\']) => Input::Text(format!("{word};\n")),
        _ => Input::Text(format!("{line}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_whole_lines_and_everything_else_is_sql() {
        let text = |text: &str| Input::Text(text.to_owned());
        for (before, line, expected) in [
            ("", "\\q", Input::Leave),
            ("", " EXIT ; ", Input::Leave),
            ("", "help", Input::Help),
            ("", "  ", Input::Nothing),
            ("", ";", Input::Nothing),
            ("select 1\n", "oops \\c", Input::Clear),
            ("", "use shop", text("use shop;\n")),
            ("", "use shop;", text("use shop;\n")),
            ("", "use blog\\G", text("use blog\\G\n")),
            ("", "select 1;", text("select 1;\n")),
            ("select\n", "exit", text("exit\n")),
        ] {
            assert_eq!(read(before, line), expected, "{before:?} {line:?}");
        }
    }
}
