//! Programs of this machine, run to their end: what they say is shown while they work and quoted
//! when they fail.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

/// How many of the last lines of a failed program are quoted.
const QUOTED: usize = 12;

/// Runs `command` and returns what it printed; each line of its stderr goes to `heard` at once.
///
/// # Errors
/// If the program is missing (`package` is what brings it on Debian) or ends unsuccessfully; its
/// last lines are quoted then.
pub fn run(command: &mut Command, package: &str, mut heard: impl FnMut(&str)) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|cause| {
        match cause.kind() {
            ErrorKind::NotFound => anyhow!("The program {name} is missing; install it with `apt-get install {package}`."),
            _ => anyhow!(cause).context(format!("The program {name} cannot be started.")),
        }
    })?;
    let stdout = child.stdout.take().context("stdout was just piped")?;
    let stderr = child.stderr.take().context("stderr was just piped")?;
    let reader = std::thread::spawn(move || {
        let mut printed = Vec::new();
        BufReader::new(stdout).read_to_end(&mut printed).map(|_| printed)
    });
    let mut last = VecDeque::with_capacity(QUOTED + 1);
    for line in BufReader::new(stderr).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        heard(&line);
        last.push_back(line);
        if last.len() > QUOTED {
            last.pop_front();
        }
    }
    let status = child.wait()?;
    let printed = reader.join().map_err(|_| anyhow!("The reader of the output of {name} has crashed."))??;
    if status.success() {
        return Ok(String::from_utf8_lossy(&printed).into_owned());
    }
    if last.is_empty() {
        last.extend(tail(&String::from_utf8_lossy(&printed)));
    }
    let what = spoken(command);
    let said = last.make_contiguous().join("\n");
    bail!("`{what}` failed ({status}); its last words:\n{said}");
}

fn tail(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let from = lines.len().saturating_sub(QUOTED);
    lines[from..].iter().map(|&line| line.to_owned()).collect()
}

/// The command as it would be typed, cut after a few words.
fn spoken(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut text: Vec<_> = words.take(6).map(OsStr::to_string_lossy).collect();
    if command.get_args().len() > 5 {
        text.push("…".into());
    }
    text.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_what_was_printed_and_passes_on_what_was_said() {
        let mut said = Vec::new();
        let printed = run(Command::new("sh").args(["-c", "echo out; echo one >&2; echo two >&2"]), "dash", |line| {
            said.push(line.to_owned());
        });
        assert_eq!(printed.unwrap(), "out\n");
        assert_eq!(said, ["one", "two"]);
    }

    #[test]
    fn a_failure_quotes_the_last_words() {
        let failed = run(Command::new("sh").args(["-c", "seq 30 >&2; exit 3"]), "dash", |_| {});
        let message = failed.unwrap_err().to_string();
        assert!(message.starts_with("`sh -c seq 30"), "{message}");
        assert!(message.contains("exit status: 3"), "{message}");
        assert!(message.ends_with("19\n20\n21\n22\n23\n24\n25\n26\n27\n28\n29\n30"));
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let failed = run(&mut Command::new("no-such-program"), "its-package", |_| {});
        assert_eq!(
            failed.unwrap_err().to_string(),
            "The program no-such-program is missing; install it with `apt-get install its-package`."
        );
    }
}
