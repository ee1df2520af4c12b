//! Building the program for other platforms, with cargo-zigbuild: zig is C compiler and linker for all of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::platform::{Os, Platform};
use crate::{PROGRAM, workspace};

/// What became of a platform.
#[derive(Debug)]
pub enum Built {
    Program(PathBuf),
    /// It compiles; it cannot be linked here.
    Compiles(&'static str),
}

/// Builds for release, in the folder that cargo builds in.
///
/// # Errors
/// A missing tool or standard library, with the command that brings it; cargo's own, which has said why.
pub fn build(platform: Platform, folder: &Path) -> Result<Built> {
    ensure!(has_standard_library(platform)?, "its standard library is missing; say: rustup target add {}", platform.target);
    // The frameworks of macOS come with its SDK alone.
    let linkable = platform.os != Os::Darwin || cfg!(target_os = "macos") || std::env::var_os("SDKROOT").is_some();
    let verb = match linkable {
        true if cfg!(target_os = "macos") && platform.os == Os::Darwin => "build",
        true => "zigbuild",
        false => "check",
    };
    let mut build = cargo(verb);
    build.args(["--release", "--locked", "--package", PROGRAM, "--target", platform.target]).arg("--target-dir").arg(folder);
    let ended = build.current_dir(workspace()).status().with_context(|| format!("{build:?} cannot be started"))?;
    ensure!(ended.success(), "it does not build");
    if !linkable {
        return Ok(Built::Compiles("linking needs the SDK of macOS: build it there, or set SDKROOT"));
    }
    Ok(Built::Program(folder.join(platform.target).join("release").join(platform.program())))
}

/// `cargo-zigbuild check` compiles the C parts with zig, too.
fn cargo(verb: &str) -> Command {
    match verb {
        "check" => {
            let mut check = Command::new("cargo-zigbuild");
            check.arg("check");
            check
        }
        verb => {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.arg(verb);
            cargo
        }
    }
}

/// Says what to install if cargo-zigbuild is missing.
///
/// # Errors
/// It is.
pub fn tools() -> Result<()> {
    match Command::new("cargo-zigbuild").arg("--version").output() {
        Ok(said) if said.status.success() => Ok(()),
        _ => bail!("cargo-zigbuild is missing; say: pip install cargo-zigbuild ziglang"),
    }
}

fn has_standard_library(platform: Platform) -> Result<bool> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(workspace()).args(["--print", "target-libdir", "--target", platform.target]);
    let said = rustc.output().context("rustc cannot be started")?;
    let folder = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    Ok(said.status.success() && Path::new(&folder).is_dir())
}
