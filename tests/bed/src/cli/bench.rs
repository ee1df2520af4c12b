//! `cargo bed bench`: the figures of `docs/performance.md`, on the cluster of the demo.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use bed::Bed;
use bed::progress::Progress;
use bed::testing::plugin::BINARY;
use bed::testing::shape::NAME;

use super::cargo::build;
use super::demo::{self, NAMESPACE, Source};
use super::shell::equip;

/// Runs the benchmark inside the bed's network; `words` choose parts of it.
///
/// # Errors
/// One sentence about what does not work. Being slow is no error.
pub fn run(bed: &Bed, words: &[String]) -> Result<ExitCode> {
    // Before the plugin: both builds write it to the same place, and the one for benchmarks holds what only tests need.
    let speed = build("speed", &["bench", "--package=kubectl-mariadb", "--bench=speed", "--no-run"])?;
    let plugin = demo::ready(bed, Source::Plain, &Progress::new())?;
    bed.enter_network()?;
    let mut bench = Command::new(speed);
    equip(&mut bench, bed, plugin.parent())?;
    bench.args(words).env(BINARY, &plugin).env("SPEED_CLUSTER", format!("{NAMESPACE}/{NAME}"));
    let ended = bench.status().context("The benchmark cannot be started")?;
    Ok(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
