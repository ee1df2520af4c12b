//! A client that runs in a pod and takes one statement after the other.
//!
//! The statement goes over stdin, never in argv (safety G5). After each of them a question of our own is sent: its answer ends
//! the statement's answer and tells what became of it.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::api::channel::duplex::Duplex;
use crate::api::channel::{Arrival, Channel, End, why_from_words};
use crate::api::{Api, PodRef, script};
use crate::model::fact::{Obstacle, Why};
use crate::model::sql::Quoting;
use crate::model::sql::split::{CLIENT_DELIMITER, for_client};

use super::obstacle;
use super::xml::{Item, Reader, Value};

/// Heads the answer to our own question.
const MARK: &str = "@@kubectl-mariadb@@";

const QUESTION: &str = "SELECT ROW_COUNT() AS `@@kubectl-mariadb@@`, @@warning_count, @@error_count, @@sql_mode, DATABASE(), \
                        CONNECTION_ID(), VERSION(), @@read_only";

/// A statement without a table leaves the warnings of the one before standing; this clears them.
const CLEAR: &str = "DO (SELECT COUNT(*) FROM information_schema.ENGINES)";

/// More on stderr is not kept.
const MAX_STDERR: usize = 64 << 10;

/// Who asks, and where.
#[derive(Clone, Default)]
pub struct Login {
    /// Another account than the container's own.
    pub user: Option<String>,
    /// A password that the user has named, in place of what the container knows.
    pub password: Option<String>,
    pub database: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).field("database", &self.database).finish_non_exhaustive()
    }
}

/// What arrives while a statement runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Names of the columns, before the first row of a result set.
    Columns(Vec<String>),
    Row(Vec<Value>),
    EndOfSet,
    /// The statement is over, well or not.
    Done(Done),
}

/// What became of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// `ROW_COUNT()`; `None` where it counts nothing: after SELECT and SHOW, and after an error.
    pub rows_affected: Option<u64>,
    pub warnings: Vec<Warning>,
    pub error: Option<Warning>,
    pub now: Standing,
}

/// A line of `SHOW WARNINGS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warning {
    /// `Note`, `Warning`, `Error`.
    pub level: String,
    pub code: u32,
    pub message: String,
}

/// What is true of a session between two statements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub quoting: Quoting,
    pub database: Option<String>,
    pub connection: u64,
    pub version: String,
    pub read_only: bool,
}

/// An open session. Dropping it ends its connection to the server, once no statement runs any more.
pub struct Session {
    duplex: Duplex,
    reader: Reader,
    stderr: Vec<u8>,
    state: State,
    warned: bool,
    /// A statement's end has not been seen yet.
    running: bool,
    /// The first columns of the present result set, if it answers our question.
    done: Option<Done>,
    login: Login,
}

/// Whose result set is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Statement,
    Question,
    Warnings,
}

impl Session {
    /// Starts a client in the container and connects. `read_only`: every transaction of the session is (safety G4).
    ///
    /// # Errors
    /// The exec is refused, the server does not let the client in, or there is no answer within `limit`.
    pub async fn open(api: &Api, pod: &PodRef, login: &Login, read_only: bool, limit: Duration) -> Result<(Self, Standing), Why> {
        api.fresh_credential().await;
        let opening = async {
            let channel = Channel::open(api, pod, &script::LOADER).await.map_err(|refused| refused.why)?;
            let mut session = Self {
                duplex: Duplex::new(channel),
                reader: Reader::default(),
                stderr: Vec::new(),
                state: State::Statement,
                warned: false,
                running: false,
                done: None,
                login: login.clone(),
            };
            session.duplex.send(text(login).as_bytes());
            if read_only {
                session.send("SET SESSION autocommit = 1");
                session.send("SET SESSION TRANSACTION READ ONLY");
            }
            session.send(QUESTION);
            loop {
                match session.next().await? {
                    Told::Done(Done { error: Some(error), .. }) => {
                        return Err(Why::Failed(format!("the server answers {error}")));
                    }
                    Told::Done(done) => return Ok((session, done.now)),
                    _ => {}
                }
            }
        };
        timeout(limit, opening).await.map_err(|_| Why::TimedOut(limit))?
    }

    /// Sends a statement. What comes of it is told by [`Self::next`], up to [`Told::Done`]; then the next one may be sent.
    pub fn run(&mut self, statement: &str, quoting: Quoting) {
        if std::mem::take(&mut self.warned) {
            self.send(CLEAR);
        }
        self.running = true;
        self.send(&for_client(statement, quoting));
        self.send(QUESTION);
    }

    /// The next thing. Nothing is lost if it is not waited for to the end.
    ///
    /// # Errors
    /// The session is over, and why; whether the statement ran to its end is not known.
    pub async fn next(&mut self) -> Result<Told, Why> {
        loop {
            if let Some(told) = self.read()? {
                return Ok(told);
            }
            match self.duplex.next().await {
                Ok(Arrival::Stdout(bytes)) => self.reader.push(&bytes),
                Ok(Arrival::Stderr(bytes)) => self.complaint(&bytes)?,
                Ok(Arrival::Ended(End::Exited(code))) => return Err(self.ended(code)),
                Ok(Arrival::Ended(End::Error { words, .. })) => return Err(why_from_words(words)),
                Err(how) => return Err(Why::Failed(how)),
            }
        }
    }

    /// Whether the last statement's end was seen, so that another one may be sent.
    #[must_use]
    pub const fn in_step(&self) -> bool {
        !self.running
    }

    /// Ends the input: the client leaves when it has done what it got.
    pub fn end(&mut self) {
        self.duplex.end_stdin();
    }

    fn send(&mut self, statement: &str) {
        self.duplex.send(format!("{statement}\n{CLIENT_DELIMITER}\n").as_bytes());
    }

    fn read(&mut self) -> Result<Option<Told>, Why> {
        loop {
            let Some(item) = self.reader.take() else { return Ok(None) };
            match (self.state, item) {
                (State::Statement, Item::Columns(columns)) if columns.first().is_some_and(|name| name == MARK) => {
                    self.state = State::Question;
                }
                (State::Statement, Item::Columns(columns)) => return Ok(Some(Told::Columns(columns))),
                (State::Statement, Item::Row(row)) => return Ok(Some(Told::Row(row))),
                (State::Statement, Item::EndOfSet) => return Ok(Some(Told::EndOfSet)),
                (State::Question, Item::Row(row)) => self.done = Some(answer(&row)?),
                (State::Question, Item::EndOfSet) => {
                    let warned = self.done.as_ref().is_some_and(|done| done.error.is_some() || !done.warnings.is_empty());
                    if !warned {
                        return self.over().map(Some);
                    }
                    self.warned = true;
                    self.state = State::Warnings;
                    self.send("SHOW WARNINGS");
                    if let Some(done) = &mut self.done {
                        done.warnings.clear();
                    }
                }
                (State::Warnings, Item::Row(row)) => {
                    if let Some(done) = &mut self.done {
                        take_warning(done, warning(row));
                    }
                }
                (State::Warnings, Item::EndOfSet) => return self.over().map(Some),
                (State::Question | State::Warnings, Item::Columns(_)) => {}
            }
        }
    }

    fn over(&mut self) -> Result<Told, Why> {
        self.state = State::Statement;
        self.running = false;
        self.stderr.clear();
        self.done.take().map(Told::Done).ok_or_else(|| strange(&[]))
    }

    /// Takes what the client says on stderr. Errors of statements come back as warnings; what ends the session does not.
    fn complaint(&mut self, bytes: &[u8]) -> Result<(), Why> {
        self.stderr.extend_from_slice(bytes);
        let excess = self.stderr.len().saturating_sub(MAX_STDERR);
        self.stderr.drain(..excess);
        let said = String::from_utf8_lossy(&self.stderr);
        // Gone away, lost, killed by an administrator or for idleness, the server shuts down.
        let lost = ["2006", "2013", "2055", "1927", "4031", "1053"];
        let line = said.lines().find(|line| lost.iter().any(|code| line.starts_with(&format!("ERROR {code} "))));
        match line {
            Some(line) => Err(Why::Failed(format!("the connection to the server ended: {line}"))),
            None => Ok(()),
        }
    }

    fn ended(&self, code: i32) -> Why {
        let said = String::from_utf8_lossy(&self.stderr);
        if code == 127 && said.trim() == "noclient" {
            return super::no_client();
        }
        match obstacle(Some(code), &said) {
            Why::NoSql { obstacle: Obstacle::WrongPassword | Obstacle::NoPassword, .. } if self.login.password.is_some() => {
                let line = said.lines().find(|line| line.starts_with("ERROR ")).unwrap_or_default().to_owned();
                Why::NoSql {
                    obstacle: Obstacle::WrongPassword,
                    message: format!("the server refuses the account or its password ({line})"),
                }
            }
            why => why,
        }
    }
}

/// Kills the statement that connection `id` runs, and waits until it is gone from the process list.
///
/// # Errors
/// It could not be asked for, or the statement is still there after `limit`.
pub async fn kill_query(api: &Api, pod: &PodRef, login: &Login, id: u64, limit: Duration) -> Result<(), Why> {
    let until = Instant::now() + limit;
    let login = Login { database: None, ..login.clone() };
    let (mut session, standing) = Session::open(api, pod, &login, true, limit).await?;
    let kill = format!("KILL QUERY {id}");
    let running = format!("SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = {id} AND COMMAND <> 'Sleep'");
    let mut statement = kill.as_str();
    loop {
        session.run(statement, standing.quoting);
        let mut runs = false;
        let asked = async {
            loop {
                match session.next().await? {
                    Told::Row(_) => runs = true,
                    Told::Done(done) => return Ok::<Done, Why>(done),
                    _ => {}
                }
            }
        };
        let left = until.saturating_duration_since(Instant::now());
        let done = timeout(left, asked).await.map_err(|_| Why::TimedOut(limit))??;
        match done.error {
            // 1094: no such connection, so no statement of it either.
            Some(error) if error.code == 1094 => return Ok(()),
            Some(error) => return Err(Why::Failed(format!("the server answers {error}"))),
            None if statement == kill => statement = &running,
            None if !runs => return Ok(()),
            None if Instant::now() >= until => return Err(Why::TimedOut(limit)),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// What is written to the loader's stdin before the first statement.
fn text(login: &Login) -> String {
    let settings = [
        ("given_user", login.user.as_deref().unwrap_or_default()),
        ("given", login.password.as_deref().unwrap_or_default()),
        ("database", login.database.as_deref().unwrap_or_default()),
        ("delimiter", CLIENT_DELIMITER),
    ];
    let mut text = script::assignments(&settings);
    script::append(&mut text, script::CLIENT);
    script::append(&mut text, include_str!("shell.sh"));
    text.push_str("--go\n");
    text
}

/// Reads the answer to our question. A count of warnings stands for them until they are known.
///
/// # Errors
/// Something is missing: then it is not known whether the statement failed, on which connection, or who may write here.
fn answer(row: &[Value]) -> Result<Done, Why> {
    let text = |at: usize| row.get(at).and_then(Option::as_deref).ok_or_else(|| strange(row));
    let number = |at: usize| text(at)?.parse::<u64>().map_err(|_| strange(row));
    let (warned, failed) = (number(1)? > 0, number(2)? > 0);
    Ok(Done {
        // -1: the statement was of a kind that affects none.
        rows_affected: text(0)?.parse().ok(),
        warnings: if warned { vec![Warning::default()] } else { Vec::new() },
        error: failed.then(Warning::default),
        now: Standing {
            quoting: Quoting::of(text(3)?),
            database: row.get(4).cloned().flatten(),
            connection: number(5)?,
            version: text(6)?.to_owned(),
            read_only: !matches!(text(7)?, "0" | "OFF"),
        },
    })
}

/// An answer to our question that is none.
fn strange(row: &[Value]) -> Why {
    Why::Failed(format!(
        "the client's answer about the last statement is not understood ({row:?}); whether it took effect is not known"
    ))
}

fn warning(row: Vec<Value>) -> Warning {
    let mut row = row.into_iter();
    let mut text = || row.next().flatten().unwrap_or_default();
    Warning { level: text(), code: text().parse().unwrap_or_default(), message: text() }
}

/// The last error is what ended the statement.
fn take_warning(done: &mut Done, warning: Warning) {
    if warning.level == "Error" && done.error.is_some() {
        let before = done.error.replace(warning).filter(|error| !error.message.is_empty());
        done.warnings.extend(before);
    } else {
        done.warnings.push(warning);
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code == 0 {
            f.write_str("an error it does not name")
        } else {
            write!(f, "{} {}: {}", self.level.to_uppercase(), self.code, self.message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_in_no_debug_text_and_the_script_ends_once() {
        let login = Login { user: Some("eve".into()), password: Some("hush'\n".into()), database: Some("a b".into()) };
        assert!(!format!("{login:?}").contains("hush"));
        let text = text(&login);
        assert!(text.starts_with("given_user='eve'\ngiven='hush'\\''\n'\ndatabase='a b'\n"), "{text}");
        assert_eq!(text.lines().filter(|line| *line == "--go").count(), 1);
        assert!(!text.lines().any(|line| line.starts_with('#')));
    }

    #[test]
    fn the_answer_to_our_question_is_read() {
        let row = ["3", "1", "0", "ANSI_QUOTES", "shop", "41", "11.8.6-MariaDB", "1"].map(|text| Some(text.to_owned()));
        let done = answer(&row).unwrap();
        assert_eq!((done.rows_affected, done.warnings.len(), done.error.is_some()), (Some(3), 1, false));
        assert!(done.now.quoting.ansi_quotes && done.now.read_only);
        assert_eq!((done.now.connection, done.now.database.as_deref()), (41, Some("shop")));
        let failed = ["-1", "1", "1", "", "shop", "41", "11.8.6-MariaDB", "OFF"].map(|text| Some(text.to_owned()));
        let done = answer(&failed).unwrap();
        assert_eq!((done.rows_affected, done.error.is_some(), done.now.read_only), (None, true, false));
    }

    #[test]
    fn an_answer_that_lacks_something_is_no_success() {
        let whole = ["0", "0", "0", "", "shop", "41", "11.8.6-MariaDB", "0"].map(|text| Some(text.to_owned()));
        for lost in [0, 1, 2, 3, 5, 6, 7] {
            let mut row = whole.clone();
            row[lost] = None;
            assert!(answer(&row).is_err(), "without column {lost}");
            assert!(answer(&whole[..lost]).is_err(), "cut before column {lost}");
        }
        let mut nowhere = whole;
        nowhere[4] = None;
        assert_eq!(answer(&nowhere).unwrap().now.database, None);
    }

    #[test]
    fn the_last_error_is_the_one() {
        let row = ["-1", "2", "2", "", "shop", "41", "11.8.6-MariaDB", "0"].map(|text| Some(text.to_owned()));
        let mut done = answer(&row).unwrap();
        done.warnings.clear();
        let line = |level: &str, code| Warning { level: level.into(), code, message: "x".into() };
        for warning in [line("Warning", 1), line("Error", 2), line("Error", 3)] {
            take_warning(&mut done, warning);
        }
        assert_eq!(done.error, Some(line("Error", 3)));
        assert_eq!(done.warnings, [line("Warning", 1), line("Error", 2)]);
    }
}
