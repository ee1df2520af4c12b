//! The one value through which the outside enters: arguments, environment, time, streams, terminal.
//!
//! Nothing else in the program reads them, so a test runs the whole of it inside its own process.

pub mod keys;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::failure::{Failure, Kind};

/// What a run of the program can see of the world, apart from the API server.
pub struct Process {
    /// As the system gives them: the program's own name first.
    pub args: Vec<OsString>,
    pub env: BTreeMap<String, String>,
    pub home: Option<PathBuf>,
    pub clock: Clock,
    pub stdin: Box<dyn Read + Send>,
    pub stdout: Box<dyn Write + Send>,
    pub stderr: Box<dyn Write + Send>,
    pub terminal: Terminal,
    /// Whether Ctrl-C and SIGTERM are ours to answer.
    pub signals: bool,
    /// `user@host`, for whoever finds what we left.
    pub who: String,
    pub pace: Pace,
}

/// How fast an operation moves.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks while something is waited for.
    pub look: Duration,
    /// Between the two samples that a first step needs (safety G1).
    pub settle: Duration,
    /// Between two heartbeats.
    pub beat: Duration,
    /// How long a heartbeat must be seen standing still before somebody else may take over (safety E1).
    pub silence: Duration,
    /// How long an API server that does not answer is waited for.
    pub patience: Duration,
    /// How long members that see each other again are given to agree: they need some two seconds (experiment V24), and those
    /// that are killed by their kubelet's back-off in between some more.
    pub reform: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            look: Duration::from_millis(300),
            settle: seconds(8),
            beat: seconds(15),
            silence: seconds(60),
            patience: seconds(120),
            reform: seconds(60),
        }
    }
}

/// Where "now" comes from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    System,
    Fixed(Timestamp),
    /// It was `start` at `began`.
    Running {
        start: Timestamp,
        began: Instant,
    },
}

impl Clock {
    #[must_use]
    pub fn now(self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Fixed(at) => at,
            Self::Running { start, began } => start + began.elapsed(),
        }
    }
}

/// Which streams are a terminal, and how wide it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal {
    pub stdin_is: bool,
    pub stdout_is: bool,
    pub stderr_is: bool,
    /// Columns of the terminal that stdout is; `None`: it is none.
    pub width: Option<u16>,
    /// Its lines.
    pub height: Option<u16>,
    /// It is the one of this process, so that its size can change, and keys can be read as they are pressed.
    pub own: bool,
}

impl Terminal {
    /// With the size that it has now.
    #[must_use]
    pub fn measured(self) -> Self {
        if !self.own {
            return self;
        }
        let size = terminal_size::terminal_size().filter(|_| self.stdout_is);
        Self { width: size.map(|(width, _)| width.0), height: size.map(|(_, height)| height.0), ..self }
    }
}

impl Process {
    /// The process we are.
    #[must_use]
    pub fn real() -> Self {
        let stdout_is = io::stdout().is_terminal();
        let terminal = Terminal {
            stdin_is: io::stdin().is_terminal(),
            stdout_is,
            stderr_is: io::stderr().is_terminal(),
            own: true,
            ..Terminal::default()
        };
        Self {
            args: std::env::args_os().collect(),
            env: std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect(),
            home: std::env::home_dir(),
            clock: Clock::System,
            stdin: Box::new(io::stdin()),
            stdout: Box::new(io::stdout()),
            stderr: Box::new(io::stderr()),
            terminal: terminal.measured(),
            signals: true,
            who: who(),
            pace: Pace::default(),
        }
    }

    /// A name for this run that no other run has.
    #[must_use]
    pub fn session(&self) -> String {
        use std::hash::{BuildHasher as _, Hasher as _};
        // Each is seeded by the system's randomness.
        let word = || std::collections::hash_map::RandomState::new().build_hasher().finish();
        format!("{:016x}{:016x}", word(), word())
    }

    /// A process made for a test: these arguments (without the program's name), an empty environment, no terminal, and
    /// streams that are kept.
    #[must_use]
    pub fn captured<A: Into<OsString>>(args: impl IntoIterator<Item = A>, now: Timestamp) -> (Self, Captured) {
        let captured = Captured::default();
        let process = Self {
            args: std::iter::once("kubectl-mariadb".into()).chain(args.into_iter().map(Into::into)).collect(),
            env: BTreeMap::new(),
            home: None,
            clock: Clock::Fixed(now),
            stdin: Box::new(io::empty()),
            stdout: Box::new(captured.stdout.clone()),
            stderr: Box::new(captured.stderr.clone()),
            terminal: Terminal::default(),
            signals: false,
            who: "someone@somewhere".to_owned(),
            pace: Pace::default(),
        };
        (process, captured)
    }
}

/// Runs the part of a command that waits for others. Ctrl-C and SIGTERM end it, if they are ours to answer.
///
/// # Errors
/// Those of the work; `Interrupted`; no runtime could be started.
pub fn run_async<T>(signals: bool, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // One thread: the work is waiting for the network, and start-up is part of every answer.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::Other, format!("the system gives no event loop: {error}")))?;
    let result = runtime.block_on(async {
        tokio::select! {
            biased;
            result = work => result,
            signal = interrupted(), if signals => Err(Failure::new(Kind::Interrupted, format!("interrupted by {signal}; nothing was changed"))),
        }
    });
    // A credential plugin that hangs in a thread must not hold the exit.
    runtime.shutdown_background();
    result
}

/// Ctrl-C and SIGTERM, for work that answers them itself.
pub struct Interrupts {
    #[cfg(unix)]
    streams: Option<[tokio::signal::unix::Signal; 2]>,
    #[cfg(not(unix))]
    listens: bool,
}

impl Interrupts {
    /// From now on none is missed. `listens`: whether they are ours to answer. To be made inside of [`run_async`].
    #[must_use]
    #[cfg(unix)]
    pub fn new(listens: bool) -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let streams = || Some([signal(SignalKind::interrupt()).ok()?, signal(SignalKind::terminate()).ok()?]);
        Self { streams: if listens { streams() } else { None } }
    }

    /// From now on none is missed. `listens`: whether they are ours to answer.
    #[must_use]
    #[cfg(not(unix))]
    pub fn new(listens: bool) -> Self {
        Self { listens }
    }

    /// The next one, in words.
    #[cfg(unix)]
    pub async fn next(&mut self) -> &'static str {
        let Some([interrupt, terminate]) = &mut self.streams else { return std::future::pending().await };
        tokio::select! {
            Some(()) = interrupt.recv() => "Ctrl-C",
            Some(()) = terminate.recv() => "SIGTERM",
            else => std::future::pending().await,
        }
    }

    /// The next one, in words.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> &'static str {
        if self.listens { interrupted().await } else { std::future::pending().await }
    }
}

/// Ends `work` at the first Ctrl-C or SIGTERM, if they are ours to answer. For work that must be tidied up after: run it
/// inside of [`run_async`] without signals, so that what follows still runs.
///
/// # Errors
/// Those of the work; `Interrupted`.
pub async fn until_interrupted<T>(signals: bool, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        biased;
        result = work => result,
        signal = interrupted(), if signals => Err(Failure::new(Kind::Interrupted, format!("interrupted by {signal}"))),
    }
}

#[cfg(unix)]
async fn interrupted() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => "Ctrl-C",
        Some(()) = terminate.recv() => "SIGTERM",
        else => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn interrupted() -> &'static str {
    match tokio::signal::ctrl_c().await {
        Ok(()) => "Ctrl-C",
        Err(_) => std::future::pending().await,
    }
}

/// As far as the environment and the kernel tell it.
fn who() -> String {
    let named = |names: [&str; 2]| names.into_iter().find_map(|name| std::env::var(name).ok()).filter(|value| !value.is_empty());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    let host = host.or_else(|| named(["HOSTNAME", "COMPUTERNAME"]));
    format!("{}@{}", named(["USER", "USERNAME"]).as_deref().unwrap_or("?"), host.as_deref().unwrap_or("?"))
}

fn lossy(text: OsString) -> String {
    text.into_string().unwrap_or_else(|text| text.to_string_lossy().into_owned())
}

/// What a captured process wrote.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    stdout: Buffer,
    stderr: Buffer,
}

impl Captured {
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }
}

#[derive(Clone, Debug, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
