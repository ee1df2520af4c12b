//! The only place that writes to the terminal.

pub mod age;
pub mod can_stop;
pub mod command_line;
pub mod complete;
pub mod completion;
pub mod explain;
pub mod grastate;
pub mod live;
mod log;
pub mod operation;
pub mod progress;
pub mod prompt;
#[cfg(test)]
pub(crate) mod schema;
pub mod sql;
pub mod status;
pub mod structured;
pub mod style;
pub mod styled;
pub mod version;
pub mod volumes;
pub mod waited;

use std::io::{self, Write};

use serde::Serialize;

use crate::api::log::Log;
use crate::cli::Stop;
use crate::cli::global::{Colour, Format, Output};
use crate::failure::{Exit, Failure, Kind};
use crate::process::{Process, Terminal};

use self::live::Live;
use self::log::Shared;
use self::structured::Failed;
use self::style::Label;
use self::styled::Styled;

/// The answer of a command: one value, shown to people as a screen, to machines as a document.
pub trait Screen: Serialize {
    /// `kind` of the document.
    const KIND: &'static str;

    /// Writes it for people; `wide`: everything there is.
    fn screen(&self, wide: bool, out: &mut Styled);

    /// Lines of `-o name`.
    fn names(&self) -> Vec<String>;

    fn exit(&self) -> Exit;
}

/// Ends a run whose command line asks for help or is wrong.
pub fn stop(process: &mut Process, stop: &Stop) -> Exit {
    let (stream, terminal, exit) = if stop.is_mistake() {
        (&mut process.stderr, process.terminal.stderr_is, Exit::Usage)
    } else {
        (&mut process.stdout, process.terminal.stdout_is, Exit::Ok)
    };
    let colour = style::colour(Colour::Auto, &process.env, terminal);
    // A reader that went away has read enough.
    let _ = stream.write_all(stop.text(colour).as_bytes()).and_then(|()| stream.flush());
    exit
}

/// Writes answers and failures in the form that was asked for. It owns the streams: nobody else can write to them.
pub struct Printer {
    stdout: Box<dyn Write + Send>,
    stderr: Shared,
    output: Output,
    terminal: Terminal,
    /// The terminal can be told where to write.
    moves: bool,
    colour_stdout: bool,
    colour_stderr: bool,
    live: Live,
}

impl Drop for Printer {
    /// Whatever happens, the terminal is left as it was found.
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Printer {
    /// Takes the output streams out of the process.
    #[must_use]
    pub fn new(process: &mut Process, output: Output) -> Self {
        let colour = |terminal| style::colour(output.color, &process.env, terminal);
        Self {
            output,
            terminal: process.terminal,
            moves: process.env.get("TERM").is_none_or(|term| term != "dumb"),
            live: Live::default(),
            colour_stdout: colour(process.terminal.stdout_is),
            colour_stderr: colour(process.terminal.stderr_is),
            stdout: std::mem::replace(&mut process.stdout, Box::new(io::sink())),
            stderr: Shared::new(std::mem::replace(&mut process.stderr, Box::new(io::sink()))),
        }
    }

    /// Where the lines of `-v` go.
    #[must_use]
    pub fn log(&self, level: u8) -> Log {
        self.stderr.log(level)
    }

    /// Shows the answer. A reader that went away is no failure: the exit code stays the answer's.
    pub fn show<S: Screen>(&mut self, answer: &S) -> Exit {
        let text = structured::text(self.output.format, S::KIND, answer).unwrap_or_else(|| self.for_people(answer));
        self.write(&text, answer.exit())
    }

    /// Writes a text that is for a program, as it is, whatever form was asked for.
    pub fn text(&mut self, text: &str) -> Exit {
        self.write(text, Exit::Ok)
    }

    /// One value of `-o jsonl`, as it happens; nothing in the other forms.
    pub fn value<S: Screen>(&mut self, value: &S) {
        if self.output.format == Format::Jsonl
            && let Some(text) = structured::text(Format::Jsonl, S::KIND, value)
        {
            // A stream that cannot be written fails again, and is reported, at the last document.
            let _ = self.stdout.write_all(text.as_bytes());
        }
    }

    #[must_use]
    pub const fn format(&self) -> Format {
        self.output.format
    }

    /// Whether a screen that stays can be shown: people look at a terminal that can be drawn on.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.terminal.stdout_is && self.moves && matches!(self.output.format, Format::Table | Format::Wide)
    }

    /// Shows this now, in place of what was shown before; `below`: what follows under it, its last line always in view.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn show_live<S: Screen>(&mut self, answer: &S, below: impl FnOnce(&mut Styled)) -> io::Result<()> {
        self.terminal = self.terminal.measured();
        let mut under = Styled::new(true, self.terminal.width, false);
        below(&mut under);
        let text = self.for_people(answer) + &under.paint(self.colour_stdout);
        let text = self.live.show(&text, self.terminal.height);
        self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush())
    }

    /// The terminal has another size, or something else was shown on it.
    pub fn redraw(&mut self) {
        self.live.forget();
    }

    /// The terminal is its former user's again, until the next screen is shown.
    pub fn give_back(&mut self) {
        let text = self.live.end();
        // Nobody is left to see it.
        let _ = self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush());
    }

    /// A line for people that do not look at a screen that stays: of what has changed.
    ///
    /// # Errors
    /// The reader is gone.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        let text = text.replace(char::is_control, " ") + "\n";
        self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush())
    }

    /// A value of `-o jsonl` of which the reader should know now.
    ///
    /// # Errors
    /// The reader is gone.
    pub fn event<S: Screen>(&mut self, value: &S) -> io::Result<()> {
        let text = structured::text(Format::Jsonl, S::KIND, value).unwrap_or_default();
        self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush())
    }

    /// What is being waited for, on stderr, whatever the form of the answer is.
    pub fn progress(&mut self, text: &str) {
        let text = text.replace(char::is_control, " ");
        let text = Label::Faint.paint(&text, self.colour_stderr) + "\n";
        // Nobody is left to be told.
        let _ = self.stderr.write_all(text.as_bytes()).and_then(|()| self.stderr.flush());
    }

    /// How SQL answers of one pod are written.
    #[must_use]
    pub fn sql_writer(&self, pod: &str) -> sql::Writer {
        sql::Writer::new(self.output.format, pod, self.terminal.width, !self.output.no_headers, self.colour_stdout)
    }

    /// Writes what is ready and empties the page.
    ///
    /// # Errors
    /// stdout cannot be written; a reader that went away is [`io::ErrorKind::BrokenPipe`].
    pub fn put(&mut self, page: &mut sql::Page) -> io::Result<()> {
        // Nobody may be left to be told.
        let _ = self.stderr.write_all(page.stderr.as_bytes()).and_then(|()| self.stderr.flush());
        page.stderr.clear();
        let written = self.stdout.write_all(page.stdout.as_bytes()).and_then(|()| self.stdout.flush());
        page.stdout.clear();
        written
    }

    /// Shows a failure to people only: the document of the run tells it already.
    pub fn tell(&mut self, failure: &Failure) -> Exit {
        self.complain(failure);
        failure.exit()
    }

    /// Shows a failure: a sentence and a hint on stderr, and the document that was asked for on stdout.
    pub fn fail(&mut self, failure: &Failure) -> Exit {
        self.complain(failure);
        let exit = failure.exit();
        if exit == Exit::Usage {
            return exit;
        }
        match structured::text(self.output.format, Failed::KIND, &Failed::new(failure)) {
            Some(text) => self.write(&text, exit),
            None => exit,
        }
    }

    /// Something to read before a change, on stderr in every form of output.
    pub fn brief(&mut self, write: impl FnOnce(&mut Styled)) {
        let mut out = Styled::new(true, self.terminal.width, false);
        write(&mut out);
        let text = out.paint(self.colour_stderr);
        // Whoever cannot read it cannot answer the question that follows, either.
        let _ = self.stderr.write_all(text.as_bytes()).and_then(|()| self.stderr.flush());
    }

    /// A question without a line end.
    pub fn ask(&mut self, question: &str) {
        let _ = self.stderr.write_all(question.as_bytes()).and_then(|()| self.stderr.flush());
    }

    fn for_people<S: Screen>(&self, answer: &S) -> String {
        if self.output.format == Format::Name {
            return answer.names().into_iter().map(|name| name + "\n").collect();
        }
        let wide = self.output.format == Format::Wide;
        let mut out = Styled::new(!self.output.no_headers, self.terminal.width, wide);
        answer.screen(wide, &mut out);
        out.paint(self.colour_stdout)
    }

    fn write(&mut self, text: &str, exit: Exit) -> Exit {
        self.give_back();
        match self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.complain(&Failure::new(Kind::Other, format!("the output cannot be written: {error}")));
                Exit::Failed
            }
            Ok(()) | Err(_) => exit,
        }
    }

    fn complain(&mut self, failure: &Failure) {
        self.give_back();
        let word = |label: Label, word| label.paint(word, self.colour_stderr);
        let hint = failure.hint.as_ref().map(|hint| format!("\n{} {hint}\n", word(Label::Command, "hint:")));
        let text = format!("{} {}\n{}", word(Label::Error, "error:"), failure.message, hint.unwrap_or_default());
        // Nobody is left to be told.
        let _ = self.stderr.write_all(text.as_bytes()).and_then(|()| self.stderr.flush());
    }
}
