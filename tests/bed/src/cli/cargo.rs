//! Running cargo on the workspace that this program was built from.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// One of the lines that cargo prints with `--message-format=json`.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// `cargo args…` in the workspace.
pub fn cargo(args: &[&str]) -> Command {
    // `cargo run` names the cargo that runs this.
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(args).current_dir(workspace()).stdin(Stdio::null());
    cargo
}

/// Builds what `args` say and returns the program `name` that came out of it, maybe among others.
///
/// # Errors
/// If it does not build; cargo has said why.
pub fn build(name: &str, args: &[&str]) -> Result<PathBuf> {
    let mut child = cargo(args)
        .args(["--quiet", "--message-format=json-render-diagnostics"])
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo cannot be started")?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    let mut program = None;
    for line in BufReader::new(stdout).lines() {
        let message: Message = serde_json::from_str(&line?)?;
        if message.target.is_some_and(|target| target.name == name) {
            program = message.executable.or(program);
        }
    }
    if !child.wait()?.success() {
        bail!("`cargo {}` failed; its messages are above.", args.join(" "));
    }
    program.with_context(|| format!("`cargo {}` built no program {name}.", args.join(" ")))
}

fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}
