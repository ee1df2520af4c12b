//! Operations: commands of several steps that survive whoever started them.
//!
//! A decider is asked again before every step. The plan it gives is the forecast of everything left; only its first step is
//! carried out, then the world is looked at again. A step's precondition is that it is still first; it is done when it is
//! no longer first. Resuming is the same question again.
//!
//! # An operation more
//!
//! 1. A variant of [`Goal`], with its verb.
//! 2. A module beside `stop` and `start` with two pure functions. `begin` looks once, before anything is asked of anybody: it
//!    refuses, or gives the [`Memo`]: what the world will not show later. `decide` is asked before every step, with any
//!    state that a death in the middle can leave, and answers [`Decision::Done`], a wait, a refusal, or the plan of everything
//!    left. It must not remember anything but the memo, and must not act on a range that is not in `memo.ranges`: somebody
//!    else wrote that ([`gates::changed_outside`]).
//! 3. Steps are made of the [`plan::Action`]s there are: each is one change that is either done or not, or a read by helper
//!    pods. A new kind of change is a variant there and an arm in `carry_out::act`; what it learns goes into the memo. A step
//!    has the same `id` in every forecast. From the first one that cannot be taken back on it is
//!    [`plan::Step::without_return`].
//! 4. [`founding`] leads from one member that may found a cluster, with nothing running, to the whole one: a decider that
//!    elects a member sets `memo.founder` and continues with it.
//! 5. [`undo`] takes changes of the range and of `whenScaled` back by themselves, in the opposite order.
//! 6. A command in `cli::operation` and `commands::operation`, and its cut points in `tests/operations`.

pub mod bootstrap;
mod choice;
pub mod custody;
pub mod founding;
pub mod gates;
pub mod journal;
mod operator;
pub mod plan;
mod preflight;
mod rebuild;
mod recover;
mod start;
mod stop;
mod suspension;
mod undo;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::fact::Why;
use crate::model::kubernetes::Pod;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use custody::Custody;
use journal::Stopped;
use plan::{Choice, Decision, Loss, Memo, Range, Refusal};

pub use founding::bootstrap_name;
pub use undo::undo;

/// What an operation is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Goal {
    /// Every member stopped in order, the last one recorded.
    Stop,
    /// The member that stopped last first, then the others.
    Start,
    /// A Galera cluster of which no server runs on, whole again.
    Recover,
    /// A fresh copy for one member of a living cluster.
    Rebuild,
    /// The same, founded by the member that the user chooses.
    Bootstrap,
    /// mariadb-operator does nothing for the cluster.
    Suspend,
    /// It works on it again.
    Unsuspend,
}

impl Goal {
    /// The command, as it is typed.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Recover => "galera recover",
            Self::Rebuild => "rebuild",
            Self::Bootstrap => "galera bootstrap",
            Self::Suspend => "suspend",
            Self::Unsuspend => "unsuspend",
        }
    }

    /// Whether mariadb-operator stands still as long as it lasts.
    const fn steers(self) -> bool {
        matches!(self, Self::Stop | Self::Start | Self::Recover | Self::Bootstrap)
    }

    /// Whether the cluster runs in the end.
    const fn founds(self) -> bool {
        matches!(self, Self::Start | Self::Recover | Self::Bootstrap)
    }

    /// Whether pods are stopped or started.
    const fn moves_pods(self) -> bool {
        !matches!(self, Self::Suspend | Self::Unsuspend)
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub goal: Goal,
    /// Of a command about one pod: which.
    pub ordinal: Option<Ordinal>,
    /// Its volume is lost with its node: it gets another one.
    pub new_volume: bool,
    /// What may be lost, in the words of the refusal that named it.
    pub accepted: Option<Loss>,
}

impl From<Goal> for Wish {
    fn from(goal: Goal) -> Self {
        Self { goal, ordinal: None, new_volume: false, accepted: None }
    }
}

impl Wish {
    fn choice(&self) -> Option<Choice> {
        Some(Choice { ordinal: self.ordinal?, accepted: self.accepted.clone() })
    }
}

/// How a new operation begins.
pub enum Beginning {
    /// Nothing to do, and why.
    Nothing(String),
    /// It comes by itself: what is waited for, and how long that may take. `then`: what to begin with if it has not come.
    Wait {
        why: String,
        limit: Duration,
        then: Option<Box<Memo>>,
    },
    Begin(Box<Memo>),
    Refuse(Refusal),
}

impl Beginning {
    fn steered(self, seen: &Snapshot) -> Self {
        let steered = |memo: Box<Memo>| Box::new(operator::steered(seen, *memo));
        match self {
            Self::Begin(memo) => Self::Begin(steered(memo)),
            Self::Wait { why, limit, then } => Self::Wait { why, limit, then: then.map(steered) },
            other => other,
        }
    }
}

/// What is to be kept in mind from the first look on; or why the operation must not begin.
///
/// # Errors
/// A fact that is needed is not known.
pub fn begin(wish: &Wish, seen: &Snapshot, custody: &Custody, stopped: Option<&Stopped>) -> Result<Beginning, Why> {
    if let Some(refusal) = preflight::anyone(wish.goal, seen, custody) {
        return Ok(Beginning::Refuse(refusal));
    }
    if wish.goal.moves_pods()
        && let Some(refusal) = preflight::claim_going(seen)?
    {
        return Ok(Beginning::Refuse(refusal));
    }
    let beginning = match wish.goal {
        Goal::Stop => stop::begin(seen, stopped)?,
        Goal::Start => start::begin(seen, stopped)?,
        Goal::Recover => operator::recovery(seen, stopped).unwrap_or_else(|| recover::begin(seen, None)),
        Goal::Bootstrap => recover::begin(seen, wish.choice()),
        Goal::Rebuild => rebuild::begin(wish, seen)?,
        Goal::Suspend | Goal::Unsuspend => suspension::begin(wish.goal, seen, stopped)?,
    };
    Ok(if wish.goal.steers() { beginning.steered(seen) } else { beginning })
}

/// What to do next.
///
/// # Errors
/// A fact that is needed is not known: before the first step a refusal, later a wait with a deadline.
pub fn decide(goal: Goal, seen: &Snapshot, memo: &Memo) -> Result<Decision, Why> {
    let decision = match goal {
        Goal::Stop => stop::decide(seen, memo),
        Goal::Start => start::decide(seen, memo),
        Goal::Recover | Goal::Bootstrap => recover::decide(seen, memo),
        Goal::Rebuild => rebuild::decide(seen, memo),
        Goal::Suspend | Goal::Unsuspend => suspension::decide(goal, seen, memo),
    }?;
    let decision = operator::out_of_the_way(seen, memo, decision);
    Ok(if goal.founds() { operator::given_back(seen, memo, decision) } else { decision })
}

/// The range of the set that is true of its pods now. A change that the controller has not acted on fires later, perhaps
/// hours later (safety B7): when a wait is given up, the set is put back to this. `None`: it says so already.
#[must_use]
pub fn true_range(seen: &Snapshot) -> Option<Range> {
    let now = Range::of(&seen.objects.stateful_set);
    let stays =
        |ordinal: &Ordinal, pod: &Pod| ordinal.0 >= now.start && pod.name == seen.pod_name(*ordinal) && pod.deletion.is_none();
    let staying = seen.members.iter().filter(|(ordinal, member)| member.pod.as_ref().is_some_and(|pod| stays(ordinal, pod)));
    let replicas = staying.map(|(ordinal, _)| ordinal.0 - now.start + 1).max().unwrap_or(0);
    let is = now.with(replicas);
    (is != now).then_some(is)
}
