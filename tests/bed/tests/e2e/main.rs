//! The plugin against real servers: `cargo bed test` runs this inside the bed.
//!
//! Arguments are those of any Rust test (`--list`, `--exact`, `--skip`), with any number of filters, and two more: `--all` adds the
//! rows that repeat a scenario on another version, `--clusters N` says how many clusters may live at once.

mod apart;
mod catalogue;
mod contract;
mod disturbed;
mod grastate;
mod groups;
mod operations;
mod promises;
mod rebuild;
mod recover;
mod rights;
mod scale;
mod sql;
mod stage;
mod status;
mod steering;
mod upgrade;
mod volumes;
mod watch;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bed::Bed;
use bed::progress::Progress;
use bed::testing::cluster::delete_leftovers;
use bed::testing::faults::Faults;
use bed::testing::ledger::Ledger;
use bed::testing::plugin::Plugin;
use bed::testing::reliability;
use bed::testing::shape::Source;
use libtest_mimic::Arguments;

/// Two cores carry two Galera clusters that start at once.
const CLUSTERS: usize = 2;

struct Options {
    all: bool,
    clusters: usize,
    /// Parts of names; none: every trial.
    filters: Vec<String>,
    /// What libtest-mimic understands.
    harness: Arguments,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(why) => {
            eprintln!("{why:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let options = options(std::env::args())?;
    let catalogue = groups::select(catalogue::catalogue(options.all), &options.filters, &options.harness);
    if options.harness.list {
        return Ok(groups::list(catalogue, &options.harness));
    }
    let bed = Bed::open(&std::env::var("BED").unwrap_or_else(|_| "bed".to_owned()))?;
    if catalogue.iter().any(|group| group.shape.source == Source::Operator) {
        // Before any trial, so that none is slow because of it; and outside, where modules come from.
        bed::operator::install(&bed, &Progress::new())?;
    }
    bed.enter_network().context("the tests need a running bed: `cargo bed up`")?;
    let Some(_alone) = Ledger::at(bed.layout().root()).claim()? else {
        bail!("another test run uses this bed; wait for it, or bring up a second bed with --name");
    };
    Faults::of(&bed).undo_all().context("a fault of an earlier run cannot be undone")?;
    delete_leftovers(&bed)?;
    let plugin = Plugin::of(&bed)?;
    eprintln!("testing {}", reliability::commit());
    Ok(groups::run(&bed, &plugin, catalogue, options.clusters, options.harness))
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options> {
    let mut rest: Vec<_> = args.next().into_iter().collect();
    let (mut all, mut clusters, mut filters) = (false, CLUSTERS, Vec::new());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--all" => all = true,
            "--clusters" => {
                let count = args.next().context("--clusters needs a number")?;
                clusters = count.parse().with_context(|| format!("--clusters needs a number, not {count:?}"))?;
            }
            "--skip" | "--color" | "--format" | "--logfile" | "--test-threads" => {
                rest.push(arg);
                rest.extend(args.next());
            }
            option if option.starts_with('-') => rest.push(arg),
            _ => filters.push(arg),
        }
    }
    Ok(Options { all, clusters: clusters.max(1), filters, harness: Arguments::from_iter(rest) })
}
