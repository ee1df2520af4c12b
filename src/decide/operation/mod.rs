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
pub mod departure;
pub mod formation;
pub mod founding;
pub mod gates;
pub mod handover;
mod hold;
pub mod journal;
pub mod memo;
mod operator;
pub mod plan;
mod preflight;
mod rebuild;
mod recover;
pub mod restart;
mod scale;
mod start;
mod stop;
mod suspension;
mod undo;
pub mod upgrade;
mod zero;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::fact::Why;
use crate::model::kubernetes::Pod;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use custody::Custody;
use handover::Handover;
use journal::{Operation, Stopped};
use memo::{Choice, Memo};
use plan::{Action, Decision, Loss, Range, Refusal, Step};

pub use founding::bootstrap_name;
use scale::set_back;
pub use scale::{MADE_BY, Operated, Scale, Volumes, claim, kept};
pub use undo::{forward, undo};

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
    /// Another number of members, one by one.
    Scale,
    /// mariadb-operator does nothing for the cluster.
    Suspend,
    /// It works on it again.
    Unsuspend,
    /// Another image, one pod after the other.
    Upgrade,
    /// Every pod, or one, made anew.
    Restart,
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
            Self::Scale => "scale",
            Self::Suspend => "suspend",
            Self::Unsuspend => "unsuspend",
            Self::Upgrade => "upgrade",
            Self::Restart => "restart",
        }
    }

    /// Whether mariadb-operator stands still as long as it lasts.
    const fn steers(self) -> bool {
        matches!(self, Self::Stop | Self::Start | Self::Recover | Self::Bootstrap)
    }

    /// Whether the data directories say who founds the cluster.
    #[must_use]
    pub const fn elects(self) -> bool {
        matches!(self, Self::Recover | Self::Bootstrap)
    }

    /// Whether the cluster runs in the end.
    const fn founds(self) -> bool {
        matches!(self, Self::Start | Self::Recover | Self::Bootstrap)
    }

    /// Whether the first step rests on how the servers stand to each other now: for 6.3 s after a cut both halves say Primary
    /// (safety G1).
    #[must_use]
    pub const fn settles(self) -> bool {
        matches!(self, Self::Stop | Self::Rebuild | Self::Unsuspend | Self::Upgrade | Self::Restart | Self::Scale)
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
    /// Of an upgrade: what to run; none: what the pod template says.
    pub image: Option<String>,
    /// Of an upgrade: the lowest ordinal that gets it; none: all.
    pub partition: Option<u32>,
    /// Of an upgrade: a long-term series may be left out.
    pub skips_lts: bool,
    /// Of `scale`.
    pub number: Option<Number>,
    /// Of what founds a cluster: it stops before clients reach anybody.
    pub holds: bool,
    /// Of the same: how many members a set has that is scaled to 0.
    pub members: Option<u32>,
}

/// How many members there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    pub replicas: u32,
    /// How many there must be now.
    pub current: Option<u32>,
    pub volumes: Volumes,
}

impl Number {
    fn flags(self) -> String {
        let volumes = match self.volumes {
            Volumes::Refuse => "",
            Volumes::Reuse => " --reuse-pvcs",
            Volumes::Prune => " --prune-pvcs",
        };
        format!(" --replicas {}{volumes}", self.replicas)
    }
}

impl From<Goal> for Wish {
    fn from(goal: Goal) -> Self {
        let (ordinal, accepted, image, partition, number) = (None, None, None, None, None);
        Self {
            goal,
            ordinal,
            new_volume: false,
            accepted,
            image,
            partition,
            skips_lts: false,
            number,
            holds: false,
            members: None,
        }
    }
}

impl Wish {
    /// The command with what it needs, as it is typed.
    #[must_use]
    pub fn words(&self, set: &str) -> String {
        let subject = self.ordinal.map_or_else(|| set.to_owned(), |ordinal| ordinal.pod(set));
        let number = self.number.map_or_else(String::new, Number::flags);
        let image = self.image.as_ref().map_or_else(String::new, |image| format!(" --image {image}"));
        let partition = self.partition.map_or_else(String::new, |partition| format!(" --partition {partition}"));
        let skips = if self.skips_lts { " --allow-lts-skip" } else { "" };
        let holds = if self.holds { " --hold-traffic" } else { "" };
        let members = self.members.map_or_else(String::new, |members| format!(" --replicas {members}"));
        format!("{} {subject}{number}{image}{partition}{skips}{holds}{members}", self.goal.verb())
    }

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
    fn holding(self) -> Self {
        let holding = |mut memo: Box<Memo>| {
            memo.recovery.holds = true;
            memo
        };
        match self {
            Self::Begin(memo) => Self::Begin(holding(memo)),
            Self::Wait { why, limit, then } => Self::Wait { why, limit, then: then.map(holding) },
            other => other,
        }
    }

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
    if let Some(refusal) = preflight::anyone(wish, seen, custody) {
        return Ok(Beginning::Refuse(refusal));
    }
    if wish.goal.moves_pods()
        && let Some(refusal) = preflight::claim_going(seen)?
    {
        return Ok(Beginning::Refuse(refusal));
    }
    if wish.holds
        && let Some(refusal) = hold::impossible(seen)?
    {
        return Ok(Beginning::Refuse(refusal));
    }
    let beginning = match wish.goal {
        Goal::Stop => stop::begin(seen, stopped)?,
        Goal::Start => start::begin(seen, stopped)?,
        Goal::Recover => match operator::recovery(seen, stopped) {
            // Nobody tells the operator to keep clients away.
            Some(Beginning::Wait { .. }) if wish.holds => recover::begin(wish, seen, stopped)?,
            Some(beginning) => beginning,
            None => recover::begin(wish, seen, stopped)?,
        },
        Goal::Bootstrap => recover::begin(wish, seen, stopped)?,
        Goal::Rebuild => rebuild::begin(wish, seen)?,
        Goal::Scale => scale::begin(wish, seen)?,
        Goal::Suspend | Goal::Unsuspend => suspension::begin(wish.goal, seen, stopped)?,
        Goal::Upgrade => upgrade::begin(wish, seen)?,
        Goal::Restart => restart::begin(wish, seen)?,
    };
    let beginning = if wish.goal.steers() { beginning.steered(seen) } else { beginning };
    Ok(if wish.holds { beginning.holding() } else { beginning })
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
        Goal::Scale => scale::decide(seen, memo),
        Goal::Suspend | Goal::Unsuspend => suspension::decide(goal, seen, memo),
        Goal::Upgrade => upgrade::decide(seen, memo),
        Goal::Restart => restart::decide(seen, memo),
    }?;
    let decision = operator::out_of_the_way(seen, memo, decision);
    Ok(if goal.founds() { operator::given_back(seen, memo, decision) } else { decision })
}

/// Whether two looks that ask for the same step are enough for it: the servers may say more between them.
///
/// # Errors
/// What they do not confirm, in words that follow "waiting: ".
pub fn confirmed(operation: &Operation, first: &Snapshot, second: &Snapshot) -> Result<(), String> {
    let memo = &operation.memo;
    // What is taken back may be a replica that never came to be one.
    if memo.operated.is_some() && !operation.aborting {
        return scale::confirmed(first, second);
    }
    match moving(operation) {
        // The old primary has everything, and waits for nobody.
        Some(_) if operation.aborting => return Ok(()),
        Some(handover) if handover.promoting || handover.is_promoted(second) => return Ok(()),
        Some(handover) => handover.confirmed(first, second)?,
        None => {}
    }
    let formation = memo.upgrade.as_ref().map(|upgrade| upgrade.formation);
    let formation = formation.or_else(|| memo.restart.as_ref().map(|restart| restart.formation));
    formation.map_or(Ok(()), |formation| formation.confirmed(first, second))
}

/// What gives clients their primary back if nobody goes on with moving it: nobody can write meanwhile.
#[must_use]
pub fn called_off(seen: &Snapshot, operation: &Operation) -> Vec<Step> {
    moving(operation).map(|handover| handover.called_off(seen, &operation.begun)).unwrap_or_default()
}

/// What whoever leaves a handover has to be told: nobody was seen to take writes.
#[must_use]
pub fn left_closed(seen: &Snapshot, operation: &Operation) -> Option<String> {
    moving(operation)?.closed(seen, &operation.begun)
}

/// The primary that is being moved.
#[must_use]
pub fn moving(operation: &Operation) -> Option<&Handover> {
    operation.memo.upgrade.as_ref()?.handover.as_ref()
}

/// Keeps what the look shows and a later one will not. Whether there is any.
pub fn notice(memo: &mut Memo, seen: &Snapshot) -> bool {
    (memo.upgrade.is_some() || memo.restart.is_some()) && departure::notice(&mut memo.departures, seen)
}

/// What takes back a change that the controller has not acted on: it would fire later, perhaps hours later (safety B7). When a
/// wait is given up, the set is put back to what is true of its pods. `None`: it says so already, or says what is not ours.
#[must_use]
pub fn settled(seen: &Snapshot, operation: &Operation) -> Option<Step> {
    let memo = &operation.memo;
    if memo.operated.is_some() {
        return scale::settled(seen, operation);
    }
    if let Some((from, to)) = memo.upgrade.as_ref().and_then(|upgrade| upgrade::settled_at(seen, upgrade)) {
        let say = "close the partition again: what was not replaced is not replaced later";
        let revision = memo.upgrade.as_ref().and_then(|upgrade| upgrade.revision.clone());
        return Some(Step::new(format!("settle at partition {}", to.partition), say, Action::Rollout { from, to, revision }));
    }
    let (from, to) = (Range::of(&seen.objects.stateful_set), set_back(seen, memo)?);
    // A pod that is missing for other reasons than a change of ours is to come back.
    let changed = operation.begun.iter().any(|step| step.act.range().is_some());
    if !changed || !memo.ranges.contains(&from) {
        return None;
    }
    let say = "set the range back to what is true of the pods";
    Some(Step::new(format!("settle at {} replicas", to.replicas), say, Action::Range { from, to }))
}

/// The range of the set that is true of its pods now. `None`: it says so already.
fn true_range(seen: &Snapshot) -> Option<Range> {
    let now = Range::of(&seen.objects.stateful_set);
    let stays =
        |ordinal: &Ordinal, pod: &Pod| ordinal.0 >= now.start && pod.name == seen.pod_name(*ordinal) && pod.deletion.is_none();
    let staying = seen.members.iter().filter(|(ordinal, member)| member.pod.as_ref().is_some_and(|pod| stays(ordinal, pod)));
    let replicas = staying.map(|(ordinal, _)| ordinal.0 - now.start + 1).max().unwrap_or(0);
    let is = now.with(replicas);
    (is != now).then_some(is)
}
