//! `status`.

use clap::{Args, ValueEnum};

use crate::decide::finding::Severity;
use crate::model::target_name::TargetName;

/// What is true of a cluster, and what to do about it
///
/// The exit code is the verdict: 0 no finding as bad as --fail-on, 3 such a finding, 4 a needed fact could not be seen, 8 a needed right is missing.
#[derive(Args, Clone, Debug)]
pub struct Status {
    /// NAME, sts/NAME or mariadb/NAME; none: every cluster of the namespace
    pub target: Option<TargetName>,
    /// Every cluster of every namespace
    #[arg(short = 'A', long, conflicts_with = "target")]
    pub all_namespaces: bool,
    /// Only clusters with these labels, as in kubectl
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "target")]
    pub selector: Option<String>,
    /// Stay, and show every change; on a terminal q ends it with the exit code of the last verdict
    #[arg(short = 'w', long)]
    pub watch: bool,
    /// Look twice, at least eight seconds apart, and say whether anything moved between
    #[arg(long, conflicts_with = "watch")]
    pub settled: bool,
    /// Ask only the API server, run nothing in the pods
    #[arg(long)]
    pub no_exec: bool,
    /// The lowest severity of a finding that makes the exit code 3
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t)]
    pub fail_on: FailOn,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    Info,
    Warning,
    #[default]
    Error,
    Never,
}

impl FailOn {
    /// The lowest severity that makes a cluster count as unhealthy; `None`: none does.
    #[must_use]
    pub const fn severity(self) -> Option<Severity> {
        match self {
            Self::Info => Some(Severity::Info),
            Self::Warning => Some(Severity::Warning),
            Self::Error => Some(Severity::Error),
            Self::Never => None,
        }
    }
}
