//! `status` on every state a cluster can get into: each is really reached first, on real servers, and proven by SQL or `kubectl`.

pub mod access;
pub mod galera;
pub mod habits;
pub mod nodes;
pub mod operator;
pub mod outage;
pub mod replication;
pub mod single;

use anyhow::{Result, ensure};
use bed::testing::plugin::Seen;

use crate::stage::{Expected, Stage};

/// Right verdict, exit 0, nothing to worry about; table, JSON and YAML say the same.
pub fn healthy(stage: &Stage) -> Result<()> {
    let seen = stage.status(&Expected::default())?;
    let worrying: Vec<_> = seen.findings().filter(|finding| finding["severity"] != "info").collect();
    ensure!(worrying.is_empty(), "a healthy cluster has findings: {worrying:?}\n{}", seen.told());
    forms_agree(stage, &seen)
}

fn forms_agree(stage: &Stage, seen: &Seen) -> Result<()> {
    let namespace = &stage.cluster.namespace;
    let yaml = stage.plugin.run(&["status", &stage.cluster.shape.target(), "-n", namespace, "-o", "yaml"])?;
    let yaml: serde_json::Value = serde_saphyr::from_str(&yaml.stdout)?;
    ensure!(shape_of(&yaml) == shape_of(&seen.document), "yaml and json differ:\n{yaml}\n{}", seen.document);
    for pod in stage.cluster.shape.pods() {
        ensure!(seen.table.stdout.contains(&pod), "the table has no row for {pod}:\n{}", seen.table.stdout);
    }
    let too_wide = seen.table.stdout.lines().find(|line| line.chars().count() > 80);
    ensure!(too_wide.is_none(), "a line is wider than 80 columns: {too_wide:?}");
    Ok(())
}

/// A document without its values that change from look to look: names, structure, words.
fn shape_of(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), shape_of(value))).collect(),
        Value::Array(items) => items.iter().map(shape_of).collect(),
        Value::String(text) if text.chars().any(|c| c.is_ascii_digit()) => Value::String("changes".into()),
        Value::Number(_) => Value::String("changes".into()),
        other => other.clone(),
    }
}
