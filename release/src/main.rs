//! `cargo archive`: the archives of a release, those that can be made on this machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use flate2::Compression;

use release::archive::{Archive, checksums, pack};
use release::build::{Built, build, tools};
use release::manifest::{self, NOWHERE};
use release::materials;
use release::platform::{ALL, Platform};

/// Makes the archives of a release in target/archives: the program, LICENSE and bill of materials for each platform,
/// their checksums, and krew's manifest of them
#[derive(Parser)]
#[command(name = "cargo archive")]
struct Args {
    /// Platforms: linux/amd64, windows/arm64 …; none: all six
    platforms: Vec<String>,
    /// Where the archives will be, for the manifest
    #[arg(long, default_value = NOWHERE)]
    url: String,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(whole) if whole => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("cargo archive: {why:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every platform has its archive, or at least compiles where it cannot be linked.
fn run(args: &Args) -> Result<bool> {
    tools()?;
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| release::workspace().join("target"), PathBuf::from);
    let into = folder.join("archives");
    let mut archives = Vec::new();
    let mut told = Vec::new();
    let mut whole = true;
    for platform in chosen(&args.platforms)? {
        eprintln!("── {platform}");
        let outcome = one(platform, &folder, &into);
        whole &= outcome.is_ok();
        told.push(match outcome {
            Ok(Ok(archive)) => {
                let line = format!("{platform:14} {} {:.2} MB", archive.path.display(), archive.bytes as f64 / 1e6);
                archives.push(archive);
                line
            }
            Ok(Err(why)) => format!("{platform:14} compiles; no archive: {why}"),
            Err(why) => format!("{platform:14} failed: {why:#}"),
        });
    }
    if !archives.is_empty() {
        std::fs::write(into.join("checksums.txt"), checksums(&archives))?;
        let file = into.join("mariadb.yaml");
        std::fs::write(&file, manifest::of(&args.url, &archives))?;
        let nowhere = if args.url == NOWHERE { "; without --url its addresses lead nowhere" } else { "" };
        told.push(format!("{} of {} platforms are in {}{nowhere}", archives.len(), ALL.len(), file.display()));
    }
    println!("{}", told.join("\n"));
    Ok(whole)
}

fn one(platform: Platform, folder: &Path, into: &Path) -> Result<Result<Archive, &'static str>> {
    match build(platform, folder)? {
        Built::Program(program) => pack(platform, &program, &materials::of(platform)?, into, Compression::best()).map(Ok),
        Built::Compiles(why) => Ok(Err(why)),
    }
}

fn chosen(names: &[String]) -> Result<Vec<Platform>> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    let find = |name: &String| match ALL.into_iter().find(|platform| platform.to_string() == *name) {
        Some(platform) => Ok(platform),
        None => bail!("there is no platform {name}; there are {}", ALL.map(|platform| platform.to_string()).join(", ")),
    };
    names.iter().map(find).collect()
}
