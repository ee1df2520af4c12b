//! Tests that look at files of the repository: the generated page, and what the pure folders import.

use std::fs;
use std::path::{Path, PathBuf};

use super::catalog_markdown;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_page_of_findings_is_the_catalog() {
    let path = repository("docs/findings.md");
    let page = catalog_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).expect("docs/findings.md can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/findings.md is not up to date: run UPDATE_DOCS=1 cargo test --lib decide");
}

/// The clock, the network, the disk, the environment and the terminal stay outside of `model/` and `decide/`.
const FORBIDDEN: &[&str] = &[
    "kube::",
    "k8s_openapi",
    "tokio",
    "hyper",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::io",
    "std::thread",
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "println!",
    "eprintln!",
    "crate::api",
    "crate::observe",
    "crate::output",
    "crate::commands",
    "crate::cli",
    "crate::carry_out",
];

#[test]
fn model_and_decide_are_pure() {
    let mut sources = Vec::new();
    for folder in ["src/model", "src/decide"] {
        collect(&repository(folder), &mut sources);
    }
    assert!(sources.len() > 20, "the folders were found: {sources:?}");
    for path in sources {
        let text = fs::read_to_string(&path).expect("a source file can be read");
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for word in FORBIDDEN {
                assert!(!line.contains(word), "{}:{} uses {word}", path.display(), number + 1);
            }
        }
    }
}

/// Rust files below `folder`, without those that are only tests.
fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder can be read") {
        let path = entry.expect("a folder entry can be read").path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            if name != "tests" && name != "testing" {
                collect(&path, into);
            }
        } else if name.ends_with(".rs") && !name.ends_with("_tests.rs") {
            into.push(path);
        }
    }
}
