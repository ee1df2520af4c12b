//! The whole program in this process, against a fake API server.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use kubectl_mariadb::process::{Captured, Clock, Pace, Process, Terminal};

use super::server::Server;

/// What one run of the program left.
pub struct Run {
    pub exit: u8,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// For snapshots. The port of the fake API server is another one each time.
    pub fn text(&self, server: &Server) -> String {
        let text = format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.exit, self.stdout, self.stderr);
        let text =
            text.replace(&server.url(), "https://api.example").replace(&server.kubeconfig().display().to_string(), "KUBECONFIG");
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

/// A program that goes on until it is told to end.
pub struct Running {
    exit: tokio::sync::oneshot::Receiver<u8>,
    output: Captured,
    keys: mpsc::Sender<u8>,
    closed: Arc<AtomicBool>,
}

/// The key that is pressed next; the end of the input when nobody is left to press one.
struct Keyboard(mpsc::Receiver<u8>);

impl Read for Keyboard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Ok(key) = self.0.recv() else { return Ok(0) };
        buffer[0] = key;
        Ok(1)
    }
}

/// A stream whose reader may go away.
struct Pipe(Box<dyn Write + Send>, Arc<AtomicBool>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1.load(Ordering::SeqCst) { Err(io::ErrorKind::BrokenPipe.into()) } else { self.0.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `kubectl mariadb ARGS` with a clock that runs; `terminal`: of 80 columns and 40 lines, with a keyboard.
pub fn start(server: &Server, args: &[&str], terminal: bool) -> Running {
    let now: Timestamp = "2026-01-02T04:00:00Z".parse().unwrap();
    let (mut process, output) = Process::captured(args.iter().copied(), now);
    process.env.insert("KUBECONFIG".into(), server.kubeconfig().display().to_string());
    // What is offered is the question here, not how fast.
    process.env.insert("KUBECTL_MARIADB_COMPLETION_TIMEOUT".into(), "1m".into());
    process.clock = Clock::Running { start: now, began: std::time::Instant::now() };
    process.terminal =
        Terminal { width: Some(80), height: Some(40), stdin_is: terminal, stdout_is: terminal, ..Terminal::default() };
    let (keys, pressed) = mpsc::channel();
    process.stdin = Box::new(Keyboard(pressed));
    let closed = Arc::new(AtomicBool::new(false));
    let stdout = std::mem::replace(&mut process.stdout, Box::new(io::sink()));
    process.stdout = Box::new(Pipe(stdout, Arc::clone(&closed)));
    let (ended, exit) = tokio::sync::oneshot::channel();
    // A thread that nobody waits for when the test fails.
    std::thread::spawn(move || ended.send(kubectl_mariadb::run(process).code()));
    Running { exit, output, keys, closed }
}

impl Running {
    pub fn press(&self, key: u8) {
        self.keys.send(key).unwrap();
    }

    /// The reader of stdout goes away: the next thing that is written ends the program.
    pub fn close_stdout(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub fn stdout(&self) -> String {
        self.output.stdout()
    }

    /// Waits until stdout or stderr has these words.
    pub async fn says(&self, words: &str) {
        for _ in 0..500 {
            if (self.output.stdout() + &self.output.stderr()).contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it does not say {words:?}:\n{}\n{}", self.output.stdout(), self.output.stderr());
    }

    pub async fn end(self) -> Run {
        let exit = tokio::time::timeout(Duration::from_secs(60), self.exit).await;
        let exit =
            exit.unwrap_or_else(|_| panic!("it does not end:\n{}\n{}", self.output.stdout(), self.output.stderr())).unwrap();
        Run { exit, stdout: self.output.stdout(), stderr: self.output.stderr() }
    }
}

/// `kubectl mariadb ARGS` at a terminal of 80 columns, at noon of the world's day.
pub async fn run(server: &Server, args: &[&str]) -> Run {
    run_with(server, args, "").await
}

/// The same with something on stdin.
pub async fn run_with(server: &Server, args: &[&str], stdin: &str) -> Run {
    let now: Timestamp = "2026-01-02T04:00:00Z".parse().unwrap();
    let (mut process, captured) = Process::captured(args.iter().copied(), now);
    process.env.insert("KUBECONFIG".into(), server.kubeconfig().display().to_string());
    process.terminal.width = Some(80);
    process.stdin = Box::new(std::io::Cursor::new(stdin.as_bytes().to_vec()));
    // The program has an event loop of its own.
    let exit = tokio::task::spawn_blocking(move || kubectl_mariadb::run(process).code()).await.unwrap();
    Run { exit, stdout: captured.stdout(), stderr: captured.stderr() }
}

/// The same with a person at the terminal, who types this.
pub async fn run_at_terminal(server: &Server, args: &[&str], typed: &'static str) -> Run {
    let now: Timestamp = "2026-01-02T04:00:00Z".parse().unwrap();
    let (mut process, captured) = Process::captured(args.iter().copied(), now);
    process.env.insert("KUBECONFIG".into(), server.kubeconfig().display().to_string());
    process.env.insert("NO_COLOR".into(), "1".into());
    process.terminal = Terminal { stdin_is: true, stdout_is: true, stderr_is: true, width: Some(80), ..Terminal::default() };
    process.stdin = Box::new(typed.as_bytes());
    let exit = tokio::task::spawn_blocking(move || kubectl_mariadb::run(process).code()).await.unwrap();
    Run { exit, stdout: captured.stdout(), stderr: captured.stderr() }
}

/// As short as waits can be. The heart does not beat by itself, so that every request has its place.
pub const QUICK: Pace = Pace {
    look: Duration::from_millis(1),
    settle: Duration::from_millis(1),
    beat: Duration::from_secs(20),
    silence: Duration::from_millis(300),
    patience: Duration::from_secs(2),
    reform: Duration::from_millis(300),
};

/// The same, with everything that is waited for in an operation as short as can be.
pub async fn run_quickly(server: &Server, args: &[&str]) -> Run {
    run_at(server, args, QUICK).await
}

/// The same at this pace.
pub async fn run_at(server: &Server, args: &[&str], pace: Pace) -> Run {
    let now: Timestamp = "2026-01-02T04:00:00Z".parse().unwrap();
    let (mut process, captured) = Process::captured(args.iter().copied(), now);
    process.env.insert("KUBECONFIG".into(), server.kubeconfig().display().to_string());
    process.terminal.width = Some(80);
    process.pace = pace;
    let exit = tokio::task::spawn_blocking(move || kubectl_mariadb::run(process).code()).await.unwrap();
    Run { exit, stdout: captured.stdout(), stderr: captured.stderr() }
}
