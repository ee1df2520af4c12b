//! Exit codes, and the failures that lead to them. One place decides code and hint.

use std::fmt;

/// The exit codes of every command, worst first where several apply: 3, 8, 4. An API; documented in `docs/exit-codes.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    Ok,
    Failed,
    Usage,
    Unhealthy,
    Unobserved,
    Refused,
    TimedOut,
    Declined,
    Forbidden,
    Interrupted,
}

impl Exit {
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Unhealthy,
        Self::Unobserved,
        Self::Refused,
        Self::TimedOut,
        Self::Declined,
        Self::Forbidden,
        Self::Interrupted,
    ];

    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unhealthy => 3,
            Self::Unobserved => 4,
            Self::Refused => 5,
            Self::TimedOut => 6,
            Self::Declined => 7,
            Self::Forbidden => 8,
            Self::Interrupted => 130,
        }
    }

    /// What the code means, for `docs/exit-codes.md` and `explain`.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "It is done, or all is well.",
            Self::Failed => "It failed: the message says what and why.",
            Self::Usage => "The command line is wrong; nothing was asked of the API server, nothing was changed.",
            Self::Unhealthy => "The cluster has a finding at or above `--fail-on` (default `error`).",
            Self::Unobserved => "A needed fact (pods, exec, SQL, files) could not be observed, so there is no verdict.",
            Self::Refused => "A safety check refused; nothing was changed.",
            Self::TimedOut => "A deadline passed; the state is printed.",
            Self::Declined => "The question was answered with no; nothing was changed.",
            Self::Forbidden => "The user lacks a needed right; the message names it.",
            Self::Interrupted => "Interrupted (Ctrl-C or SIGTERM); the state is printed.",
        }
    }
}

/// What went wrong, in kinds that callers can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bad arguments or an unusable kubeconfig entry named by them.
    Usage,
    /// The named thing does not exist.
    NotFound,
    /// The API server says 403.
    Forbidden,
    /// The API server says 401, or the credential plugin failed.
    Unauthorized,
    /// The API server cannot be reached or does not answer in time.
    Unreachable,
    /// A needed fact could not be observed.
    Unobserved,
    /// A safety check refused.
    Refused,
    /// A deadline of the command passed.
    TimedOut,
    Interrupted,
    /// Anything else.
    Other,
}

impl Kind {
    /// One word for machines.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Usage => "Usage",
            Self::NotFound => "NotFound",
            Self::Forbidden => "Forbidden",
            Self::Unauthorized => "Unauthorized",
            Self::Unreachable => "Unreachable",
            Self::Unobserved => "Unobserved",
            Self::Refused => "Refused",
            Self::TimedOut => "TimedOut",
            Self::Interrupted => "Interrupted",
            Self::Other => "Other",
        }
    }
}

/// A failure for the user: one sentence of what and why, and a hint of what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with one thing more to say.
    #[must_use]
    pub fn and(mut self, more: &str) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }

    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self.kind {
            Kind::Usage => Exit::Usage,
            Kind::Forbidden => Exit::Forbidden,
            Kind::TimedOut => Exit::TimedOut,
            Kind::Interrupted => Exit::Interrupted,
            Kind::Refused => Exit::Refused,
            Kind::Unobserved | Kind::Unreachable | Kind::Unauthorized => Exit::Unobserved,
            Kind::NotFound | Kind::Other => Exit::Failed,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
