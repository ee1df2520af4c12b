//! The shell: statements from a prompt, one after the other, in one session.

use std::time::Instant;

use super::place::{Place, Server};
use super::run::{Ended, Out, Running, find, note};
use crate::cli::global::Format;
use crate::cli::{self, Request};
use crate::decide::sql::{On, refuse_writing};
use crate::failure::{Exit, Failure, Kind};
use crate::model::sql::shell::{Input, read};
use crate::model::sql::{Statement, split};
use crate::output::Printer;
use crate::output::sql::editor::{Editor, Typed};
use crate::process::{Interrupts, Process, run_async};

const HELP: &str = "\
A statement ends with ; or \\g, or with \\G for one line per column. It may have several lines.
\\c or Ctrl-C gives up what is typed, Ctrl-C during a statement stops it on the server, \\q or Ctrl-D leaves.";

/// Whether a shell makes sense with these arguments.
///
/// # Errors
/// A mistake.
pub fn may_open(request: &Request, args: &cli::Sql) -> Result<(), Failure> {
    if args.on == On::All {
        return Err(Failure::new(Kind::Usage, "--on all has no prompt").hint("give the statements with -e, -f or stdin"));
    }
    if !matches!(request.output.format, Format::Table | Format::Wide) {
        return Err(Failure::new(Kind::Usage, "at a prompt answers are tables").hint("give the statements with -e, -f or stdin"));
    }
    Ok(())
}

/// Opens the shell, and stays until the user leaves.
pub fn open(request: &Request, args: &cli::Sql, process: &Process, printer: &mut Printer) -> Exit {
    let printing = &mut *printer;
    let work = async {
        let mut interrupts = Interrupts::new(process.signals);
        let place = find(request, args, process, &mut interrupts).await?;
        let editor = Editor::open()
            .map_err(|problem| Failure::new(Kind::Other, format!("this terminal cannot be used for a prompt: {problem}")))?;
        let mut shell = Shell::start(&place, request, args, editor, printing).await?;
        shell.stay(&mut interrupts, printing).await;
        Ok(())
    };
    match run_async(false, work) {
        Ok(()) => Exit::Ok,
        Err(failure) => printer.fail(&failure),
    }
}

struct Shell<'a> {
    place: &'a Place,
    request: &'a Request,
    args: &'a cli::Sql,
    editor: Editor,
    /// `None`: the connection was lost; the next statement connects again.
    running: Option<Running<'a>>,
    /// What the prompt says.
    pod: String,
    database: Option<String>,
    /// Lines that are no whole statement yet.
    typed: String,
    delimiter: String,
}

impl<'a> Shell<'a> {
    async fn start(
        place: &'a Place,
        request: &'a Request,
        args: &'a cli::Sql,
        editor: Editor,
        printer: &mut Printer,
    ) -> Result<Self, Failure> {
        let server = place.server(args)?;
        note(&server, printer);
        let pod = server.pod.name.clone();
        let running = Running::open(place, server, args, request.pod_timeout).await?;
        let mode = if args.write { "--write: statements may change data" } else { "read-only: --write allows changes" };
        let version = running.standing.version.split('-').next().unwrap_or_default();
        printer.progress(&format!("MariaDB {version}, {mode}; \\h helps, \\q leaves"));
        let database = running.standing.database.clone();
        let typed = String::new();
        Ok(Self { place, request, args, editor, running: Some(running), pod, database, typed, delimiter: ";".to_owned() })
    }

    async fn stay(&mut self, interrupts: &mut Interrupts, printer: &mut Printer) {
        loop {
            self.editor.ask(&self.prompt());
            match self.line(printer).await {
                Typed::End => return,
                Typed::Interrupted => {
                    if self.typed.is_empty() {
                        printer.progress("\\q or Ctrl-D leaves");
                    }
                    self.typed.clear();
                }
                Typed::Line(line) => match read(&self.typed, &line) {
                    Input::Leave => return,
                    Input::Help => HELP.lines().for_each(|line| printer.progress(line)),
                    Input::Nothing => {}
                    Input::Clear => self.typed.clear(),
                    Input::Text(text) => {
                        self.typed.push_str(&text);
                        self.run_what_is_whole(interrupts, printer).await;
                    }
                },
            }
        }
    }

    /// Waits for a line, and notices meanwhile when the connection is lost.
    async fn line(&mut self, printer: &mut Printer) -> Typed {
        loop {
            let Some(running) = &mut self.running else { return self.editor.typed().await };
            tokio::select! {
                biased;
                typed = self.editor.typed() => return typed,
                lost = running.watch() => {
                    self.running = None;
                    printer.progress("");
                    printer.progress(&format!("{}; the next statement connects again, without @variables and open transactions", lost.message));
                }
            }
        }
    }

    fn prompt(&self) -> String {
        let place = self.database.as_ref().map_or_else(|| self.pod.clone(), |database| format!("{}/{database}", self.pod));
        if self.typed.is_empty() { format!("{place}> ") } else { format!("{:>1$} ", "->", place.len() + 1) }
    }

    async fn run_what_is_whole(&mut self, interrupts: &mut Interrupts, printer: &mut Printer) {
        let quoting = self.running.as_ref().map(|running| running.standing.quoting).unwrap_or_default();
        let split = match split(&self.typed, quoting, &self.delimiter) {
            Ok(split) => split,
            Err(problem) => {
                self.typed.clear();
                printer.tell(&Failure::new(Kind::Usage, problem.what));
                return;
            }
        };
        self.delimiter = split.delimiter;
        self.typed = if split.rest.trim().is_empty() { String::new() } else { split.rest };
        for statement in &split.statements {
            self.editor.remember(&statement.text);
            if let Err(failure) = self.run(statement, interrupts, printer).await {
                printer.tell(&failure);
                return;
            }
        }
    }

    async fn run(&mut self, statement: &Statement, interrupts: &mut Interrupts, printer: &mut Printer) -> Result<(), Failure> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.connect_again().await?,
        };
        let allowed = if self.args.write { Ok(()) } else { refuse_writing(statement, running.standing.quoting) };
        if let Err(refusal) = allowed {
            self.running = Some(running);
            return Err(refusal);
        }
        let began = Instant::now();
        let mut out = Out::to(printer, &self.pod);
        let ended = running.one(statement, interrupts, &mut out).await;
        drop(out);
        match ended {
            Ok(Ended::Done(done)) => {
                self.database.clone_from(&done.now.database);
                self.running = Some(running);
                match done.error {
                    Some(error) => return Err(Failure::new(Kind::Other, format!("{} answers {error}", self.pod))),
                    None => printer.progress(&format!("{:.3} s", began.elapsed().as_secs_f64())),
                }
            }
            Ok(Ended::NoReader) => {}
            Err(failure) => {
                // After a statement that was stopped the session goes on.
                self.running = Some(running).filter(Running::in_step);
                return Err(failure);
            }
        }
        Ok(())
    }

    async fn connect_again(&self) -> Result<Running<'a>, Failure> {
        let server = Server { pod: self.place.pod(self.pod.clone()), role: crate::decide::sql::Role::Named };
        Running::open(self.place, server, self.args, self.request.pod_timeout).await
    }
}
