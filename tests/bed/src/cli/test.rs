//! `cargo bed test`: every check and every tier of tests, the cheap ones first.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bed::progress::spoken;
use bed::testing::reliability;
use bed::{Bed, Options};

use super::cargo::{build, cargo};

/// What is asked for.
#[derive(clap::Args)]
pub struct Args {
    /// Every row of the matrix: every version, source and kill point
    #[arg(long)]
    all: bool,
    /// Only tests whose name contains one of these, and no lints
    filter: Vec<String>,
}

/// What a tier came to.
struct Outcome {
    tier: &'static str,
    count: Count,
    /// Why it could not be run or to its end.
    broken: Option<String>,
    took: Duration,
}

#[derive(Clone, Copy, Default)]
struct Count {
    passed: u32,
    failed: u32,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { passed, failed } = self.count;
        let took = spoken(self.took);
        write!(f, "{:34} {passed:>5} passed {failed:>4} failed {took:>14}", self.tier)?;
        match &self.broken {
            Some(why) => write!(f, "   {why}"),
            None => Ok(()),
        }
    }
}

/// Runs the tiers one after the other, whatever becomes of each.
///
/// # Errors
/// If the bed has no possible name.
pub fn run(bed: &Bed, args: &Args) -> Result<ExitCode> {
    let began = Instant::now();
    let mut outcomes = Vec::new();
    if args.filter.is_empty() {
        outcomes.push(tier("formatting", || check(&["fmt", "--all", "--check"])));
        let lints = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny=warnings"];
        outcomes.push(tier("lints", || check(&lints)));
    }
    outcomes.push(tier("tiers 1 and 2: hermetic", || hermetic(&args.filter)));
    let api = Bed::open(&format!("{}api", bed.layout().name()))?;
    let api_only = Options { api_only: true, ..Options::default() };
    outcomes.push(tier("tier 3: API server without nodes", || on_bed(&api, &api_only, &["api"], args)));
    let whole = Options::default();
    outcomes.push(tier("tier 4: the bed", || on_bed(bed, &whole, &["images", "e2e"], args)));

    if args.all {
        outcomes.push(tier("docs/reliability.md", || written(bed)));
    }

    println!("\n{}", "─".repeat(72));
    for outcome in &outcomes {
        println!("{outcome}");
    }
    let count = outcomes.iter().fold(Count::default(), |sum, outcome| sum.and(outcome.total()));
    if count.failed > 0 {
        let kept = bed.layout().root().join("kept");
        println!("Logs of failed tests of the bed are kept in {}.", kept.display());
    }
    println!("All of it took {}.", spoken(began.elapsed()));
    // The last line stands alone, so that whatever runs this can read it.
    println!("{} passed, {} failed", count.passed, count.failed);
    Ok(if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Count {
    const fn and(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

impl Outcome {
    /// A tier that broke counts as one more failure.
    fn total(&self) -> Count {
        let failed = u32::from(self.broken.is_some());
        self.count.and(Count { passed: 0, failed })
    }
}

fn tier(tier: &'static str, work: impl FnOnce() -> Result<Count>) -> Outcome {
    println!("\n── {tier}");
    let began = Instant::now();
    let (count, broken) = match work() {
        Ok(count) => (count, None),
        Err(cause) => (Count::default(), Some(format!("{cause:#}"))),
    };
    if let Some(why) = &broken {
        eprintln!("bed: {why}");
    }
    let took = began.elapsed();
    Outcome { tier, count, broken, took }
}

/// The page of what the trials of the fault matrix came to, in this run and in those before it.
fn written(bed: &Bed) -> Result<Count> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reliability.md");
    let before = std::fs::read_to_string(&page).unwrap_or_default();
    std::fs::write(&page, reliability::page(bed.layout().root(), &before)?).with_context(|| page.display().to_string())?;
    Ok(Count::default())
}

/// One check that passes or fails as a whole.
fn check(args: &[&str]) -> Result<Count> {
    let status = cargo(args).status().context("cargo cannot be started")?;
    let (passed, failed) = if status.success() { (1, 0) } else { (0, 1) };
    Ok(Count { passed, failed })
}

/// Everything that needs no cluster: the plugin's tests and the bed's own.
fn hermetic(filter: &[String]) -> Result<Count> {
    let mut sum = Count::default();
    for package in [&["--package=kubectl-mariadb"][..], &["--package=bed", "--lib", "--bins"], &["--package=release"]] {
        let mut test = cargo(&[&["test", "--quiet", "--no-fail-fast"], package, &["--"]].concat());
        sum = sum.and(counted(test.args(filter))?);
    }
    Ok(sum)
}

/// The test programs `targets` of this package, run on `bed`, which is left as it was found: up or down.
fn on_bed(bed: &Bed, options: &Options, targets: &[&str], args: &Args) -> Result<Count> {
    let plugin = build("kubectl-mariadb", &["build", "--package=kubectl-mariadb"])?;
    let mut tests = Vec::new();
    for target in targets {
        let program = build(target, &["test", "--package=bed", "--no-run", "--test", target])?;
        let everything = [String::new()];
        // These programs take one filter each; the empty one matches every name.
        for filter in if args.filter.is_empty() { &everything[..] } else { &args.filter } {
            let mut test = Command::new(&program);
            test.env("BED", bed.layout().name()).env("KUBECTL_MARIADB", &plugin).arg(filter);
            if args.all && *target == "e2e" {
                test.arg("--all");
            }
            tests.push(test);
        }
    }
    let was_up = bed.status().anything();
    bed.up(options)?;
    let counts: Result<Vec<Count>> = tests.iter_mut().map(counted).collect();
    if !was_up {
        // The state of the whole bed holds the logs of failed tests.
        bed.down(options.api_only)?;
    }
    Ok(counts?.into_iter().fold(Count::default(), Count::and))
}

/// Runs tests, shows what they print, and adds up their results.
fn counted(test: &mut Command) -> Result<Count> {
    let mut child = test.stdout(Stdio::piped()).spawn().context("The tests cannot be started")?;
    let stdout = child.stdout.take().context("The tests have no output")?;
    let mut sum = Count::default();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        sum = sum.and(result(&line).unwrap_or_default());
        println!("{line}");
    }
    let status = child.wait()?;
    // They did not build, or ended before they could say how many failed.
    anyhow::ensure!(status.success() || sum.failed > 0, "The tests ended with {status}.");
    Ok(sum)
}

/// `test result: ok. 46 passed; 0 failed; …`
fn result(line: &str) -> Option<Count> {
    let counts = line.strip_prefix("test result: ")?;
    let before = |word: &str| {
        let mut words = counts.split([' ', ';', '.']).filter(|word| !word.is_empty());
        let mut last = "";
        words
            .find_map(|next| {
                if next == word {
                    Some(last)
                } else {
                    last = next;
                    None
                }
            })?
            .parse()
            .ok()
    };
    Some(Count { passed: before("passed")?, failed: before("failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_from_what_the_harness_prints() {
        let line = "test result: FAILED. 46 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.23s";
        let count = result(line).unwrap();
        assert_eq!((count.passed, count.failed), (46, 2));
        assert!(result("test a ... ok").is_none());
        assert!(result("test result: ").is_none());
    }

    #[test]
    fn a_broken_tier_is_a_failure() {
        let outcome = tier("broken", || anyhow::bail!("no compiler"));
        assert_eq!(outcome.total().failed, 1);
        assert!(outcome.to_string().ends_with("no compiler"));
    }
}
