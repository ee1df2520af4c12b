//! What the trials of the fault matrix came to, for `docs/reliability.md`. Each trial that passes leaves a record. The
//! page is made of the records of all runs of a bed and of its own lines: it may be gone on with on another machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One trial that passed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Rows of the fault matrix: `2, 6`.
    pub rows: String,
    /// What went wrong.
    pub fault: String,
    /// What the plugin said and did.
    pub did: String,
    /// From the command to its end, or to what it waited for; none: nothing had to be waited for.
    pub took: Option<Duration>,
    /// Rows that were acknowledged to writers, and found on every member in the end.
    pub acknowledged: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    trial: String,
    source: String,
    version: String,
    date: String,
    commit: String,
    record: Record,
}

fn file(root: &Path, trial: &str) -> PathBuf {
    let plain = trial.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_', "-");
    root.join("reliability").join(format!("{plain}.json"))
}

/// Forgets what an earlier run of this trial left.
pub fn forget(root: &Path, trial: &str) {
    fs::remove_file(file(root, trial)).ok();
}

/// Keeps the record of a trial.
///
/// # Errors
/// It cannot be written.
pub fn keep(root: &Path, trial: &str, (source, version): (String, String), record: Record) -> Result<()> {
    let date = jiff::Timestamp::now().strftime("%F").to_string();
    let kept = Kept { trial: trial.to_owned(), source, version, date, commit: commit().to_owned(), record };
    let file = file(root, trial);
    fs::create_dir_all(file.parent().unwrap_or(root))?;
    fs::write(&file, serde_json::to_string(&kept)?).with_context(|| format!("{} cannot be written", file.display()))
}

/// What is tested. Asked for first when a run begins: it may last for hours, and somebody may go on working.
pub fn commit() -> &'static str {
    static COMMIT: OnceLock<String> = OnceLock::new();
    COMMIT.get_or_init(|| {
        let git = Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]).output();
        git.map_or_else(|_| "unknown".to_owned(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    })
}

/// The page, of every record under `root` and of the lines of the page `before`: what a trial came to last counts.
///
/// # Errors
/// A record cannot be read.
pub fn page(root: &Path, before: &str) -> Result<String> {
    let lines = before.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| row "));
    let mut by_trial: BTreeMap<String, String> =
        lines.filter_map(|line| Some((last_cell(line)?.to_owned(), line.to_owned()))).collect();
    for entry in fs::read_dir(root.join("reliability")).into_iter().flatten() {
        let path = entry?.path();
        let kept: Kept = serde_json::from_str(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;
        by_trial.insert(kept.trial.clone(), line(&kept));
    }
    let mut lines: Vec<(&String, &String)> = by_trial.iter().collect();
    lines.sort_by_cached_key(|(trial, line)| (first_row(line.split(" | ").next().unwrap_or_default()), (*trial).clone()));
    let mut page = HEAD.to_owned();
    for (_, line) in lines {
        writeln!(page, "{line}")?;
    }
    Ok(page)
}

fn last_cell(line: &str) -> Option<&str> {
    line.trim_end().strip_suffix(" |")?.rsplit(" | ").next()
}

fn line(kept: &Kept) -> String {
    let Kept { trial, source, version, date, commit, record } = kept;
    let Record { rows, fault, did, took, acknowledged } = record;
    let acknowledged = acknowledged.map_or_else(String::new, |count| format!("{count}, all there"));
    let took = took.map_or_else(String::new, |took| format!("{:.0} s", took.as_secs_f32()));
    let (fault, did) = (in_a_cell(fault), in_a_cell(did));
    format!("| {rows} | {source} | {version} | {fault} | {did} | {took} | {acknowledged} | {commit}, {date} | {trial} |")
}

fn in_a_cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn first_row(rows: &str) -> u32 {
    rows.split(|c: char| !c.is_ascii_digit()).find_map(|number| number.parse().ok()).unwrap_or(u32::MAX)
}

const HEAD: &str = "<!-- Written by `cargo bed test --all` from what its trials saw. -->
# Reliability

Each line is a trial on a real cluster of three members: a fault, and what the plugin said and did. Rows are those of a matrix of
faults of Galera and replication; `none` stands beside it. A trial is listed when it
passed, with the commit it passed on last; `cargo bed test --all TRIAL` plays it again. Where writers wrote meanwhile, every row that was acknowledged to them was looked for on
every member afterwards, and the checksums of all members were compared. Times are those of two cores that carry the whole
cluster, often two of them at once.

| row | source | MariaDB | fault | what the plugin said or did | time | acknowledged rows | seen on | trial |
|---|---|---|---|---|---:|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_all_runs_make_the_page_in_the_order_of_the_matrix() {
        let root = tempfile::tempdir().unwrap();
        let record = |rows: &str, acknowledged| Record {
            rows: rows.to_owned(),
            fault: "a fault".to_owned(),
            did: "what it\ndid".to_owned(),
            took: Some(Duration::from_secs(7)),
            acknowledged,
        };
        let place = || ("galera".to_owned(), "11.8".to_owned());
        keep(root.path(), "b::10", place(), record("10", None)).unwrap();
        keep(root.path(), "a::2", place(), record("2, 6", Some(12))).unwrap();
        keep(root.path(), "c::3", place(), record("3", None)).unwrap();
        forget(root.path(), "c::3");
        let page = page(root.path(), "").unwrap();
        let lines: Vec<&str> = page.lines().filter(|line| line.contains("| what it did |")).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("| 2, 6 | galera | 11.8 | a fault | what it did | 7 s | 12, all there | "), "{}", lines[0]);
        assert!(lines[1].starts_with("| 10 | "), "{}", lines[1]);

        // Another machine, which has played one of them again, and a new one.
        let other = tempfile::tempdir().unwrap();
        keep(other.path(), "b::10", place(), record("10", Some(99))).unwrap();
        keep(other.path(), "d::none", place(), record("none", None)).unwrap();
        let merged = super::page(other.path(), &page).unwrap();
        let trials: Vec<&str> = merged.lines().filter(|line| line.starts_with("| ")).filter_map(last_cell).collect();
        assert_eq!(trials, ["trial", "a::2", "b::10", "d::none"]);
        assert!(merged.contains("99, all there") && merged.contains("12, all there"), "{merged}");
    }
}
