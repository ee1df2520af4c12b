//! Statements one after the other, on one server.

use std::io;
use std::time::Duration;

use super::input::Input;
use super::place::{Place, Server};
use crate::api::sql::client::{Done, Session, Standing, Told, kill_query};
use crate::cli::{self, Request};
use crate::decide::sql::{On, Role};
use crate::failure::{Exit, Failure, Kind};
use crate::model::fact::Why;
use crate::model::sql::Statement;
use crate::output::Printer;
use crate::output::progress::during;
use crate::output::sql::held::Held;
use crate::output::sql::{Page, Writer};
use crate::process::{Interrupts, Process, run_async};

/// Rows that are held back for their table are shown after this long without another one.
const PAUSE: Duration = Duration::from_millis(100);
/// Output is written in pieces of about this size.
const PIECE: usize = 32 << 10;
/// A statement that is killed is gone in milliseconds, unless the server hangs.
const KILL: Duration = Duration::from_secs(10);

/// Runs all statements of the input; stops at the first that fails.
pub fn statements(request: &Request, args: &cli::Sql, input: &Input, process: &Process, printer: &mut Printer) -> Exit {
    let printing = &mut *printer;
    let work = async {
        let mut interrupts = Interrupts::new(process.signals);
        let place = find(request, args, process, &mut interrupts).await?;
        let server = place.server(args)?;
        note(&server, printing);
        let mut running = Running::open(&place, server, args, request.pod_timeout).await?;
        let statements = input.statements(running.standing.quoting, args.write)?;
        let mut out = Out::to(printing, &running.server.pod.name);
        let ended = running.all(&statements, &mut interrupts, &mut out).await;
        let failure = ended.as_ref().err();
        out.writer.finish(failure, &mut out.page);
        let written = out.put();
        Ok(match (failure, written) {
            (Some(failure), _) => printing.tell(failure),
            (None, Err(problem)) if problem.kind() != io::ErrorKind::BrokenPipe => printing.tell(&unwritable(&problem)),
            (None, _) => Exit::Ok,
        })
    };
    match run_async(false, work) {
        Ok(exit) => exit,
        Err(failure) => printer.fail(&failure),
    }
}

/// The look at the cluster. An interrupt ends it: nothing has run yet.
pub async fn find(request: &Request, args: &cli::Sql, process: &Process, interrupts: &mut Interrupts) -> Result<Place, Failure> {
    let finding = during(process.terminal, "asking the API server and the pods", Place::find(request, args, process));
    tokio::select! {
        biased;
        found = finding => found,
        signal = interrupts.next() => Err(Failure::new(Kind::Interrupted, format!("interrupted by {signal}; no statement was run"))),
    }
}

/// Says which server was chosen, where it could have been another one.
pub fn note(server: &Server, printer: &mut Printer) {
    if matches!(server.role, Role::Synced | Role::Replica | Role::Primary) {
        printer.progress(&format!("on {}, {}", server.pod.name, server.role));
    }
}

/// A session on one server, and what it takes to stop its statements.
pub struct Running<'a> {
    place: &'a Place,
    pub server: Server,
    session: Session,
    pub standing: Standing,
}

/// Where the answers go.
pub struct Out<'p> {
    pub writer: Writer,
    page: Page,
    /// `None`: they are kept.
    printer: Option<&'p mut Printer>,
}

impl<'p> Out<'p> {
    /// Written as they come.
    pub fn to(printer: &'p mut Printer, pod: &str) -> Self {
        Self { writer: printer.sql_writer(pod), page: Page::default(), printer: Some(printer) }
    }

    /// Kept, to be compared.
    pub fn held() -> Self {
        Self { writer: Writer::Held(Held::default()), page: Page::default(), printer: None }
    }

    fn put(&mut self) -> io::Result<()> {
        self.printer.as_mut().map_or(Ok(()), |printer| printer.put(&mut self.page))
    }

    fn take(&mut self, told: Told) -> Option<Done> {
        let (writer, page) = (&mut self.writer, &mut self.page);
        match told {
            Told::Columns(columns) => writer.columns(columns, page),
            Told::Row(row) => writer.row(row, page),
            Told::EndOfSet => writer.end_of_set(page),
            Told::Done(done) => {
                writer.done(&done, page);
                return Some(done);
            }
        }
        None
    }

    fn too_much(&self) -> Option<String> {
        if let Writer::Held(held) = &self.writer { held.too_much() } else { None }
    }
}

/// How a statement ended.
pub enum Ended {
    Done(Done),
    /// stdout has no reader any more; the statement was stopped.
    NoReader,
}

impl<'a> Running<'a> {
    /// Connects to the server. With `--write` it must still be the writable one.
    ///
    /// # Errors
    /// The server cannot be asked, or takes no writes any more.
    pub async fn open(place: &'a Place, server: Server, args: &cli::Sql, limit: Duration) -> Result<Self, Failure> {
        let opened = Session::open(&place.api, &server.pod, &place.login, !args.write, limit).await;
        let (session, standing) = opened.map_err(|why| unasked(&server.pod.name, &why, &args.on))?;
        if args.write && standing.read_only {
            return Err(Failure::new(Kind::Refused, format!("{} has become read-only since it was looked at", server.pod.name)));
        }
        Ok(Self { place, server, session, standing })
    }

    /// Runs statements up to the first that fails. `Ok(false)`: nobody reads stdout any more.
    ///
    /// # Errors
    /// Why it ended before the last one.
    pub async fn all(
        &mut self,
        statements: &[Statement],
        interrupts: &mut Interrupts,
        out: &mut Out<'_>,
    ) -> Result<bool, Failure> {
        for statement in statements {
            match self.one(statement, interrupts, out).await? {
                Ended::Done(Done { error: None, .. }) => {}
                Ended::Done(Done { error: Some(error), .. }) => {
                    let place =
                        if statements.len() > 1 { format!(" (statement in line {})", statement.line) } else { String::new() };
                    return Err(Failure::new(Kind::Other, format!("{} answers {error}{place}", self.server.pod.name)));
                }
                Ended::NoReader => return Ok(false),
            }
        }
        self.session.end();
        Ok(true)
    }

    /// Runs one statement; what comes goes to `out`.
    ///
    /// # Errors
    /// It was interrupted, the session was lost, or there is more than can be kept.
    pub async fn one(&mut self, statement: &Statement, interrupts: &mut Interrupts, out: &mut Out<'_>) -> Result<Ended, Failure> {
        out.writer.statement(statement, &mut out.page);
        self.session.run(&statement.text, self.standing.quoting);
        loop {
            let told = tokio::select! {
                biased;
                signal = interrupts.next() => return Err(self.stop(signal, interrupts).await),
                told = self.session.next() => told.map_err(|why| self.lost(&why))?,
                () = tokio::time::sleep(PAUSE) => {
                    out.writer.pause(&mut out.page);
                    if out.put().is_err() {
                        return self.no_reader().await;
                    }
                    continue;
                }
            };
            let done = out.take(told);
            if (done.is_some() || out.page.stdout.len() >= PIECE) && out.put().is_err() {
                return self.no_reader().await;
            }
            if let Some(done) = done {
                self.standing = done.now.clone();
                return Ok(Ended::Done(done));
            }
            if let Some(problem) = out.too_much() {
                let _ = self.kill().await;
                return Err(Failure::new(Kind::Other, format!("{problem}: that is too much to compare"))
                    .hint("ask for less with LIMIT, or ask one server with --on POD"));
            }
        }
    }

    /// Whether another statement may follow.
    pub const fn in_step(&self) -> bool {
        self.session.in_step()
    }

    /// Waits for nothing in particular: it returns when the session is lost.
    pub async fn watch(&mut self) -> Failure {
        loop {
            if let Err(why) = self.session.next().await {
                let message = format!("the connection to {} was lost: {why}", self.server.pod.name);
                return Failure::new(Kind::Other, message);
            }
        }
    }

    /// Whoever read stdout has gone: `| head` has seen enough.
    async fn no_reader(&mut self) -> Result<Ended, Failure> {
        // Nobody waits for the answer; what cannot be stopped ends by itself.
        let _ = self.kill().await;
        Ok(Ended::NoReader)
    }

    /// Stops the running statement, and says what is known of it. A second interrupt leaves at once.
    async fn stop(&mut self, signal: &'static str, interrupts: &mut Interrupts) -> Failure {
        let (pod, id) = (self.server.pod.name.clone(), self.standing.connection);
        let killed = tokio::select! {
            biased;
            again = interrupts.next() => {
                let message = format!("left at the second {again}; the statement may still run on {pod} (connection {id})");
                return Failure::new(Kind::Interrupted, message).hint(format!("see SHOW PROCESSLIST, or stop it with KILL QUERY {id}"));
            }
            killed = self.kill() => killed,
        };
        let message = match killed {
            Ok(()) => format!(
                "interrupted by {signal}: the statement was stopped on {pod} and is gone from its process list (connection {id})"
            ),
            Err(why) => format!(
                "interrupted by {signal}; the statement may still run on {pod} (connection {id}), it could not be stopped: {why}"
            ),
        };
        Failure::new(Kind::Interrupted, message)
    }

    /// Kills the statement over a second connection, while what still comes of it is thrown away: a server that waits for its
    /// reader does not hear.
    async fn kill(&mut self) -> Result<(), Why> {
        let Place { api, login, .. } = self.place;
        let killing = kill_query(api, &self.server.pod, login, self.standing.connection, KILL);
        let session = &mut self.session;
        let draining = async {
            while let Ok(told) = session.next().await {
                if matches!(told, Told::Done(_)) {
                    break;
                }
            }
        };
        let (killed, ()) = futures::future::join(killing, async {
            let _ = tokio::time::timeout(KILL, draining).await;
        })
        .await;
        killed
    }

    fn lost(&self, why: &Why) -> Failure {
        let (pod, id) = (&self.server.pod.name, self.standing.connection);
        let message = format!("the connection to {pod} was lost, the statement may or may not have run to its end: {why}");
        Failure::new(Kind::Other, message).hint(format!("look before you run it again; it was connection {id} of {pod}"))
    }
}

/// Why a server could not be connected to.
pub fn unasked(pod: &str, why: &Why, on: &On) -> Failure {
    let kind = if matches!(why, Why::Forbidden(_)) { Kind::Forbidden } else { Kind::Unobserved };
    let failure = Failure::new(kind, format!("{pod} cannot be asked: {why}"));
    match (why, on) {
        (Why::Forbidden(right), _) => failure.hint(format!("you need the right to {right}")),
        (Why::TimedOut(_), _) => failure.hint("allow more with --pod-timeout, or see `kubectl mariadb status`"),
        _ => failure.hint("see `kubectl mariadb status`"),
    }
}

fn unwritable(problem: &io::Error) -> Failure {
    Failure::new(Kind::Other, format!("the output cannot be written: {problem}"))
}
