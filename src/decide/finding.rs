//! Findings: what the verdict is made of.

use serde::Serialize;

/// How bad it is. One severity per rule: if it depends, it is two rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Severity {
    Info,
    Warning,
    Error,
}

impl Severity {
    /// The word used in output and flags.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
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

impl Rule {
    /// Whether it says that something could not be seen (`MDB9xx`), not that something is wrong.
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        self.code.starts_with("MDB9")
    }
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

impl Finding {
    #[must_use]
    pub fn new(rule: &'static Rule, summary: impl Into<String>) -> Self {
        Self { rule, summary: summary.into(), pods: Vec::new(), evidence: Vec::new(), next: Vec::new() }
    }

    /// The pods it is about.
    #[must_use]
    pub fn about(mut self, pods: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.pods.extend(pods.into_iter().map(Into::into));
        self
    }

    /// A piece of evidence.
    #[must_use]
    pub fn seen(mut self, source: impl Into<String>, value: impl ToString) -> Self {
        self.evidence.push(Evidence { source: source.into(), value: value.to_string() });
        self
    }

    /// The `kubectl` command to run next, its arguments separated by blanks.
    #[must_use]
    pub fn kubectl(mut self, arguments: &str) -> Self {
        self.next.push(NextCommand::Kubectl(arguments.split(' ').map(str::to_owned).collect()));
        self
    }

    /// The `kubectl mariadb` command to run next, its arguments separated by blanks.
    #[must_use]
    pub fn plugin(mut self, arguments: &str) -> Self {
        self.next.push(NextCommand::Plugin(arguments.split(' ').map(str::to_owned).collect()));
        self
    }
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
