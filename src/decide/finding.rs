//! Findings: what the verdict is made of.

use serde::Serialize;

/// How bad it is. One severity per rule: if it depends, it is two rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    Info,
    Warning,
    Error,
}

/// What a finding or refusal is, once and for all: the text of `explain CODE` and of `docs/findings.md`.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// `MDB1xx` Kubernetes, `2xx` Galera, `3xx` replication, `4xx` storage, `5xx` managers, `6xx` backup, `9xx` could not see.
    pub code: &'static str,
    pub severity: Severity,
    pub title: &'static str,
    /// What it means, why it matters and what to do, in paragraphs.
    pub explanation: &'static str,
}

/// One thing that is true of this cluster now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static Rule,
    /// One sentence about this cluster, naming pods.
    pub summary: String,
    /// Pods it is about; empty: the whole cluster.
    pub pods: Vec<String>,
    pub evidence: Vec<Evidence>,
    /// What to run next, without connection flags: the output adds the user's own.
    pub next: Vec<NextCommand>,
}

/// Where a fact comes from, and the fact: `wsrep_cluster_status on db-1: non-Primary`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub source: String,
    pub value: String,
}

/// A command for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextCommand {
    /// Arguments of `kubectl mariadb`.
    Plugin(Vec<String>),
    /// Arguments of `kubectl`.
    Kubectl(Vec<String>),
}

/// The worst severity, if there is any finding.
#[must_use]
pub fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.rule.severity).max()
}
