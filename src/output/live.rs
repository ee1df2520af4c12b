//! A screen that stays and changes in place: only lines that differ are written, in one piece, so that nothing flickers.
//!
//! It is drawn beside the normal screen of the terminal (the alternate one); the last state is printed on the normal one
//! when it ends, so that it stays to be read and copied.

/// To the alternate screen; no cursor, and long lines are cut instead of wrapped.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Terminals that know it show what is between at one moment.
const TOGETHER: [&str; 2] = ["\x1b[?2026h", "\x1b[?2026l"];

/// Where a terminal has no size, the usual one.
const LINES: u16 = 24;

/// What is on the screen now.
#[derive(Debug, Default)]
pub struct Live {
    lines: Vec<String>,
    begun: bool,
}

impl Live {
    /// What to write so that the screen shows `text`, of which the last line stays when there is no room for all.
    pub fn show(&mut self, text: &str, height: Option<u16>) -> String {
        let lines = fit(text, height);
        let mut out = String::from(TOGETHER[0]);
        if !self.begun {
            out.push_str(BEGIN);
        }
        if self.lines.is_empty() {
            out.push_str("\x1b[2J");
        }
        for (row, line) in lines.iter().enumerate().filter(|(row, line)| self.lines.get(*row) != Some(*line)) {
            // Erased first: behind a line as long as the screen, its last character would be erased, too.
            out.push_str(&format!("\x1b[{};1H\x1b[2K{line}", row + 1));
        }
        if self.lines.len() > lines.len() {
            out.push_str(&format!("\x1b[{};1H\x1b[J", lines.len() + 1));
        }
        out.push_str(TOGETHER[1]);
        let changed = !self.begun || self.lines != lines;
        self.begun = true;
        self.lines = lines;
        if changed { out } else { String::new() }
    }

    /// Nothing on the screen is as it was left.
    pub fn forget(&mut self) {
        self.lines.clear();
        // Whoever was in the foreground meanwhile has the normal screen.
        self.begun = false;
    }

    /// What to write to get the normal screen back.
    pub fn end(&mut self) -> &'static str {
        if std::mem::take(&mut self.begun) { END } else { "" }
    }
}

/// As many lines as there is room for; the last line of the text is its own.
fn fit(text: &str, height: Option<u16>) -> Vec<String> {
    let room = usize::from(height.unwrap_or(LINES)).max(3);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.len() > room {
        let last = lines.pop().unwrap_or_default();
        let hidden = lines.len() - (room - 2);
        lines.truncate(room - 2);
        lines.push(format!("… {hidden} more lines: make the window taller, or narrow the question"));
        lines.push(last);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_written_and_nothing_when_nothing_does() {
        let mut live = Live::default();
        let first = live.show("one\ntwo\nthree\n", Some(10));
        assert!(first.contains(BEGIN) && first.contains("\x1b[2J") && first.contains("\x1b[3;1H\x1b[2Kthree"), "{first:?}");
        assert_eq!(live.show("one\ntwo\nthree\n", Some(10)), "");
        assert_eq!(live.show("one\n2\nthree\n", Some(10)), "\x1b[?2026h\x1b[2;1H\x1b[2K2\x1b[?2026l");
        assert_eq!(live.show("one\n", Some(10)), "\x1b[?2026h\x1b[2;1H\x1b[J\x1b[?2026l");
        assert_eq!(live.end(), END);
        assert_eq!(live.end(), "");
    }

    #[test]
    fn after_a_change_of_size_all_is_written_again() {
        let mut live = Live::default();
        live.show("one\ntwo\n", Some(10));
        live.forget();
        assert!(live.show("one\ntwo\n", Some(10)).contains("\x1b[2J\x1b[1;1H\x1b[2Kone"));
    }

    #[test]
    fn a_low_window_shows_the_beginning_and_the_last_line() {
        assert_eq!(
            fit("1\n2\n3\n4\n5\nkeys", Some(4)),
            ["1", "2", "… 3 more lines: make the window taller, or narrow the question", "keys"]
        );
        assert_eq!(fit("1\n2\nkeys", Some(3)).len(), 3);
    }
}
