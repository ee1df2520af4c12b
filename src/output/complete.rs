//! What is offered while a command line is typed, as cobra's programs answer it: a line for each word, with its meaning
//! after a tab, and a last line of `:` and what the shell is to do if nothing fits.

use std::io::Write;

use crate::cli::complete::Candidate;
use crate::failure::Exit;

/// What the shell offers when we have nothing. Numbers are those of cobra's `ShellCompDirective`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    Files = 0,
    Nothing = 4,
}

/// The words that fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    candidates: Vec<Candidate>,
    otherwise: Otherwise,
}

impl Answer {
    /// Those that go on from what is there already.
    #[must_use]
    pub fn new(mut candidates: Vec<Candidate>, begun: &str, otherwise: Otherwise) -> Self {
        candidates.retain(|candidate| candidate.word.starts_with(begun));
        Self { candidates, otherwise }
    }

    /// Writes the lines. A reader that went away needs none.
    pub fn write(&self, to: &mut dyn Write) -> Exit {
        let _ = to.write_all(self.text().as_bytes()).and_then(|()| to.flush());
        Exit::Ok
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for Candidate { word, meaning } in &self.candidates {
            text.push_str(word);
            if !meaning.is_empty() {
                text.push('\t');
                // A tab or a line end would be one more word.
                text.push_str(&meaning.replace(['\t', '\n'], " "));
            }
            text.push('\n');
        }
        text + &format!(":{}\n", self.otherwise as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_fit_are_lines_and_the_last_says_what_else() {
        let candidates = vec![Candidate::new("status", "what\tis\ntrue"), Candidate::new("sql", ""), Candidate::new("wait", "")];
        let answer = Answer::new(candidates, "s", Otherwise::Nothing);
        assert_eq!(answer.text(), "status\twhat is true\nsql\n:4\n");
        assert_eq!(Answer::new(Vec::new(), "", Otherwise::Files).text(), ":0\n");
    }
}
