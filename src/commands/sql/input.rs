//! Where the statements come from.

use std::io::Read as _;

use crate::cli;
use crate::decide::sql::guarded;
use crate::failure::{Failure, Kind};
use crate::model::sql::{Quoting, Statement};
use crate::process::Process;

/// Texts with statements, in order; each begins at its own line 1.
pub struct Input(Vec<String>);

impl Input {
    /// From `-e`, `-f` or stdin; `None`: there is a terminal to ask for statements.
    ///
    /// # Errors
    /// A file cannot be read, or is no text.
    pub fn take(args: &cli::Sql, process: &mut Process) -> Result<Option<Self>, Failure> {
        if !args.execute.is_empty() {
            return Ok(Some(Self(args.execute.clone())));
        }
        if args.file.is_none() && args.stdin.is_none() && process.terminal.stdin_is && process.terminal.stdout_is {
            return Ok(None);
        }
        let text = match args.file.as_deref().filter(|file| file.as_os_str() != "-") {
            Some(file) => {
                let told = |problem: &dyn std::fmt::Display| {
                    Failure::new(Kind::Usage, format!("{} cannot be read: {problem}", file.display()))
                };
                let bytes = std::fs::read(file).map_err(|problem| told(&problem))?;
                String::from_utf8(bytes).map_err(|_| told(&"it is no UTF-8 text"))?
            }
            None => {
                let mut bytes = Vec::new();
                let told =
                    |problem: &dyn std::fmt::Display| Failure::new(Kind::Usage, format!("stdin cannot be read: {problem}"));
                process.stdin.read_to_end(&mut bytes).map_err(|problem| told(&problem))?;
                String::from_utf8(bytes).map_err(|_| told(&"it is no UTF-8 text"))?
            }
        };
        Ok(Some(Self(vec![text])))
    }

    /// Whether there is anything to run that may run, before anybody is asked: in the server's own way to read quotes, which is
    /// not known yet, it may still be refused.
    ///
    /// # Errors
    /// A refusal, or a mistake.
    pub fn check(&self, write: bool) -> Result<(), Failure> {
        let usual = self.statements(Quoting::default(), write);
        if usual.is_ok() || Quoting::ALL.into_iter().any(|quoting| self.statements(quoting, write).is_ok()) {
            return Ok(());
        }
        usual.map(drop)
    }

    /// The statements as a server with this mode reads them.
    ///
    /// # Errors
    /// A refusal, or a mistake.
    pub fn statements(&self, quoting: Quoting, write: bool) -> Result<Vec<Statement>, Failure> {
        guarded(&self.0, quoting, write)
    }
}
