//! Questions to the person at the terminal.

use std::io::{self, BufRead as _, BufReader, Read};

use tokio::sync::oneshot;

/// Asks for a password without showing it. It goes past the streams of the process: to the terminal itself.
///
/// # Errors
/// There is no terminal, or it is closed.
pub fn password(question: &str) -> io::Result<String> {
    rpassword::prompt_password(question)
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Yes,
    /// Anything else; also the end of the input.
    No,
    /// There is nobody to ask.
    Nobody,
}

/// Reads lines from a person. The question itself is written by the printer.
pub struct Asker {
    stdin: Option<Box<dyn Read + Send>>,
}

impl Asker {
    /// `stdin` if a terminal is there to answer at.
    #[must_use]
    pub fn new(stdin: Box<dyn Read + Send>, is_terminal: bool) -> Self {
        Self { stdin: Some(stdin).filter(|_| is_terminal) }
    }

    /// Whether there is anybody to ask.
    #[must_use]
    pub const fn can_ask(&self) -> bool {
        self.stdin.is_some()
    }

    /// Waits for one line. A thread of its own does the waiting: Ctrl-C must still be heard.
    pub async fn answer(&mut self) -> Answer {
        let Some(stdin) = self.stdin.take() else { return Answer::Nobody };
        let (tell, told) = oneshot::channel();
        std::thread::spawn(move || {
            // One byte at a time: what is behind the line belongs to the next question.
            let mut reader = BufReader::with_capacity(1, stdin);
            let mut line = String::new();
            let read = reader.read_line(&mut line);
            // Nobody waits any more: then the program is ending.
            let _ = tell.send((read.map(|_| line), reader.into_inner()));
        });
        let Ok((line, stdin)) = told.await else { return Answer::No };
        self.stdin = Some(stdin);
        let line = line.unwrap_or_default();
        if ["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str()) { Answer::Yes } else { Answer::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_clear_yes_is_one_and_each_question_has_its_line() {
        let mut asker = Asker::new(Box::new("y\nYES \nno\n\nmaybe\n".as_bytes()), true);
        for expected in [Answer::Yes, Answer::Yes, Answer::No, Answer::No, Answer::No, Answer::No] {
            assert_eq!(asker.answer().await, expected);
        }
        let mut nobody = Asker::new(Box::new("y\n".as_bytes()), false);
        assert_eq!((nobody.can_ask(), nobody.answer().await), (false, Answer::Nobody));
    }
}
