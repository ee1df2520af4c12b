//! A fact is known, or unknown for a reason. Unknown never turns into a default.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The answer of one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fact<T> {
    Known(T),
    Unknown(Why),
}

/// Why something is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// Nobody asked (`--no-exec`, or a command that does not need it).
    NotAsked,
    /// There is nothing running that could answer; the text says what there is instead.
    NotRunning(String),
    /// The user lacks a right; the text is the right, as `kubectl auth can-i` writes it.
    Forbidden(String),
    /// No answer within the deadline.
    TimedOut(Duration),
    /// The API server cannot reach the kubelet of the pod's node; the text is its words for the connection that failed.
    Unreachable(String),
    /// The container answers, but the server in it cannot be asked; the message is one sentence for people.
    NoSql { obstacle: Obstacle, message: String },
    /// It answered with an error, given here as one sentence.
    Failed(String),
}

/// What stands between a container that answers and its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Obstacle {
    /// Error 1045: the password the container knows is not the server's.
    WrongPassword,
    /// The container's environment and files name no password to use.
    NoPassword,
    /// Neither `mariadb` nor `mysql` is in the image.
    NoClient,
    /// Nothing listens on the socket: no server, one that is starting, a joiner, or one that waits for a member.
    NoSocket,
    /// The server answers that it is not ready for statements yet.
    Starting,
    /// Errors 1040, 1203.
    TooManyConnections,
    /// The server takes the connection and says nothing within the deadline: hung, or stopped by a signal.
    Silent,
    /// Error 2026: the client and the server do not agree on TLS.
    Tls,
}

/// Nothing new is heard of what was seen before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    pub since: Timestamp,
    /// One sentence.
    pub why: String,
}

impl<T> Fact<T> {
    /// The value, or why there is none.
    ///
    /// # Errors
    /// The reason the fact is unknown.
    pub const fn known(&self) -> Result<&T, &Why> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Unknown(why) => Err(why),
        }
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Known(value) => Fact::Known(f(value)),
            Self::Unknown(why) => Fact::Unknown(why),
        }
    }
}

impl<T> From<Result<T, Why>> for Fact<T> {
    fn from(result: Result<T, Why>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(why) => Self::Unknown(why),
        }
    }
}

impl Why {
    /// One word for machines.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotAsked => "NotAsked",
            Self::NotRunning(_) => "NotRunning",
            Self::Forbidden(_) => "Forbidden",
            Self::TimedOut(_) => "TimedOut",
            Self::Unreachable(_) => "Unreachable",
            Self::NoSql { obstacle, .. } => obstacle.reason(),
            Self::Failed(_) => "Failed",
        }
    }
}

impl Obstacle {
    /// One word for machines.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::WrongPassword => "WrongPassword",
            Self::NoPassword => "NoPassword",
            Self::NoClient => "NoClient",
            Self::NoSocket => "NoSocket",
            Self::Starting => "Starting",
            Self::TooManyConnections => "TooManyConnections",
            Self::Silent => "Silent",
            Self::Tls => "Tls",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("not asked"),
            Self::NotRunning(what) | Self::Failed(what) | Self::NoSql { message: what, .. } => f.write_str(what),
            Self::Forbidden(right) => write!(f, "you may not {right}"),
            Self::TimedOut(limit) => write!(f, "no answer within {}", Seconds(*limit)),
            Self::Unreachable(how) => write!(f, "the API server cannot reach the kubelet of its node: {how}"),
        }
    }
}

/// A duration as people write it here: `3s`, `0.5s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs_f64())
    }
}
