//! Child processes with a deadline.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What a child process left.
#[derive(Clone, Debug)]
pub struct Ended {
    /// `None`: ended by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Ended {
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }
}

/// Runs `command` with `stdin` and waits for its end.
///
/// # Errors
/// It cannot be started, or is not done within `limit`; it is killed then. An exit code other than 0 is no error.
pub fn run(mut command: Command, stdin: &str, limit: Duration) -> Result<Ended> {
    let name = words(&command);
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{name}` cannot be started"))?;
    let mut to = child.stdin.take().context("a child without stdin")?;
    let input = stdin.to_owned();
    // A child that does not read its input closes it: not an error of ours.
    let writer = thread::spawn(move || drop(to.write_all(input.as_bytes())));
    let stdout = collect(child.stdout.take().context("a child without stdout")?);
    let stderr = collect(child.stderr.take().context("a child without stderr")?);
    let ended = wait(&mut child, started + limit)?;
    let took = started.elapsed();
    if ended.is_none() {
        child.kill().ok();
        child.wait().ok();
    }
    // Grandchildren may hold the pipes open after a kill: only a child that ended by itself is read to the end.
    let Some(code) = ended else {
        bail!("`{name}` was not done within {limit:?}; it said {}{}", stdout.so_far(), stderr.so_far());
    };
    writer.join().ok();
    Ok(Ended { code, stdout: stdout.all(), stderr: stderr.all(), took })
}

/// Like [`run`], but an exit code other than 0 is an error that holds what the child said; answers its stdout.
///
/// # Errors
/// Also those of [`run`].
pub fn output(command: Command, stdin: &str, limit: Duration) -> Result<String> {
    let name = words(&command);
    let ended = run(command, stdin, limit)?;
    if !ended.is_success() {
        bail!("`{name}` ended with {:?}: {}{}", ended.code, ended.stderr.trim(), ended.stdout.trim());
    }
    Ok(ended.stdout)
}

/// Asks `is_so` until it holds; the last reason why not is part of the error.
///
/// # Errors
/// It does not hold within `limit`. A failed look counts as "not yet".
pub fn wait_until(what: &str, limit: Duration, mut is_so: impl FnMut() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    loop {
        let Err(why) = is_so() else { return Ok(started.elapsed()) };
        if started.elapsed() >= limit {
            return Err(why.context(format!("{what}: not so after {limit:?}")));
        }
        thread::sleep(Duration::from_millis(300));
    }
}

/// `Some(code)` when it ended before `deadline`.
fn wait(child: &mut Child, deadline: Instant) -> Result<Option<Option<i32>>> {
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.code()));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// What a child writes, as it comes.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: thread::JoinHandle<()>,
}

impl Collected {
    fn so_far(&self) -> String {
        self.bytes.lock().map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn all(self) -> String {
        let Self { bytes, reader } = self;
        reader.join().ok();
        bytes.lock().map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Collected {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&bytes);
    let reader = thread::spawn(move || {
        let mut chunk = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            let Ok(mut bytes) = to.lock() else { break };
            bytes.extend_from_slice(&chunk[..count]);
        }
    });
    Collected { bytes, reader }
}

fn words(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|word| word.to_string_lossy()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_child_gets_its_input_and_gives_its_words() {
        let ended = run(shell("cat; echo no >&2; exit 3"), "yes", Duration::from_secs(5)).unwrap();
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(3), "yes", "no\n"));
    }

    #[test]
    fn a_child_that_hangs_costs_its_deadline_only() {
        let started = Instant::now();
        let why = run(shell("sleep 20"), "", Duration::from_millis(100)).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(2));
        assert!(why.to_string().contains("was not done within 100ms"), "{why}");
    }

    #[test]
    fn waiting_names_the_last_reason() {
        let why = wait_until("the sky falls", Duration::ZERO, || bail!("it is up")).unwrap_err();
        assert_eq!(format!("{why:#}"), "the sky falls: not so after 0ns: it is up");
    }
}
