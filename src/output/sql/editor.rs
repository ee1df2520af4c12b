//! The prompt of the shell: line editing and history. It reads and draws on the terminal itself.

use std::io;

use rustyline::config::Configurer as _;
use rustyline::error::ReadlineError;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What came of one prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    Line(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the terminal went away.
    End,
}

/// A line editor in a thread of its own, so that the session is looked after while somebody thinks.
pub struct Editor {
    asks: std::sync::mpsc::Sender<Ask>,
    typed: UnboundedReceiver<Typed>,
}

enum Ask {
    Line(String),
    Remember(String),
}

impl Editor {
    /// # Errors
    /// The terminal cannot be used.
    pub fn open() -> io::Result<Self> {
        let mut lines = rustyline::DefaultEditor::new().map_err(io::Error::other)?;
        // What is pasted runs only at its line ends, as it was written.
        lines.enable_bracketed_paste(true);
        let (asks, asked) = std::sync::mpsc::channel();
        let (tell, typed) = unbounded_channel();
        std::thread::Builder::new().name("prompt".to_owned()).spawn(move || {
            while let Ok(ask) = asked.recv() {
                let answer = match ask {
                    Ask::Remember(statement) => {
                        let _ = lines.add_history_entry(statement);
                        continue;
                    }
                    Ask::Line(prompt) => match lines.readline(&prompt) {
                        Ok(line) => Typed::Line(line),
                        Err(ReadlineError::Interrupted) => Typed::Interrupted,
                        Err(_) => Typed::End,
                    },
                };
                if tell.send(answer).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { asks, typed })
    }

    /// Starts to ask for a line; it is told by [`Self::typed`].
    pub fn ask(&self, prompt: &str) {
        // A thread that is gone tells so below.
        let _ = self.asks.send(Ask::Line(prompt.to_owned()));
    }

    /// What was typed. Nothing is lost if it is not waited for to the end.
    pub async fn typed(&mut self) -> Typed {
        self.typed.recv().await.unwrap_or(Typed::End)
    }

    /// Puts a statement into the history, which lives as long as the shell. Statements about passwords are left out.
    pub fn remember(&self, statement: &str) {
        let lower = statement.to_ascii_lowercase();
        if !lower.contains("identified") && !lower.contains("password") {
            let _ = self.asks.send(Ask::Remember(format!("{statement};")));
        }
    }
}
