//! Running the programs that the bed is made of.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// A command of `words`; the first is the program.
///
/// # Panics
/// Without a program there is no command.
#[must_use]
pub fn command<S: AsRef<std::ffi::OsStr>>(words: &[S]) -> Command {
    let (program, args) = words.split_first().expect("a command has a first word");
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs `command` to its end and returns its standard output without the last newline.
///
/// # Errors
/// If it cannot be started or fails; the message holds the command line and what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("`{}` cannot be started", spoken(command)))?;
    checked(command, &output)
}

/// As [`output`], for a command that reads `input`.
///
/// # Errors
/// As [`output`].
pub fn output_of_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{}` cannot be started", spoken(command)))?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A command that ends before it has read everything says itself why.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    checked(command, &child.wait_with_output()?)
}

fn checked(command: &Command, output: &Output) -> Result<String> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        let said = if said.is_empty() { "no message" } else { said };
        bail!("`{}` failed ({}): {said}", spoken(command), output.status);
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    Ok(stdout.trim_end_matches('\n').to_owned())
}

/// The command line as a reader would type it.
#[must_use]
pub fn spoken(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let ok = output(&mut command(&["sh", "-c", "echo a; echo b"])).unwrap();
        assert_eq!(ok, "a\nb");
        let failed = output(&mut command(&["sh", "-c", "echo no >&2; exit 3"])).unwrap_err();
        assert_eq!(failed.to_string(), "`sh -c echo no >&2; exit 3` failed (exit status: 3): no");
        let absent = output(&mut command(&["/absent"])).unwrap_err();
        assert_eq!(absent.to_string(), "`/absent` cannot be started");
    }

    #[test]
    fn input_is_read_to_its_end() {
        assert_eq!(output_of_input(&mut command(&["cat"]), "x\n").unwrap(), "x");
    }
}
