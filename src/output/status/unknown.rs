//! What could not be seen, in the document and on the screen.

use serde::Serialize;

use crate::decide::Gap;
use crate::model::fact::{Fact, Why};

/// Stands beside a `null`: why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unknown {
    /// One word, for example `TimedOut`, `Unreachable`, `Forbidden`, `NotAsked`, `NotRunning`.
    pub reason: String,
    pub message: String,
}

impl From<&Why> for Unknown {
    fn from(why: &Why) -> Self {
        Self { reason: why.reason().to_owned(), message: why.to_string() }
    }
}

/// A value, or a `null` with its reason.
pub fn split<T, U>(fact: &Fact<T>, view: impl FnOnce(&T) -> U) -> (Option<U>, Option<Unknown>) {
    match fact {
        Fact::Known(value) => (Some(view(value)), None),
        Fact::Unknown(why) => (None, Some(why.into())),
    }
}

/// One fact that a look should have had and has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unseen {
    /// `server`, `files`, `log`, or a kind of objects: `nodes`.
    pub fact: String,
    /// The pod it is about; `null`: the whole cluster.
    pub pod: Option<String>,
    /// Whether the verdict lacks it. What is not needed never changes the exit code.
    pub needed: bool,
    pub reason: String,
    pub message: String,
}

impl Unseen {
    #[must_use]
    pub fn new(gap: &Gap, needed: bool) -> Self {
        let Unknown { reason, message } = (&gap.why).into();
        Self { fact: gap.fact.to_owned(), pod: gap.pod.clone(), needed, reason, message }
    }
}
