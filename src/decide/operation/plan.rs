//! Plans, steps and refusals: the words every decider speaks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decide::finding::{Finding, NextCommand, Rule};
use crate::decide::helper::StateChange;
use crate::model::kubernetes::StatefulSet;
use crate::model::names::Ordinal;
use crate::model::operator::Steering;

use super::handover::Handover;
use super::journal::Stopped;
use super::memo::Founder;
use super::upgrade::Rollout;

/// What a decider answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It is reached, as read back from the servers.
    Done,
    /// Something is on its way. `why` is for people and may change from look to look; `limit` counts from the last step.
    Wait {
        why: String,
        limit: Duration,
    },
    Go(Plan),
    Refuse(Refusal),
}

/// Everything that is left to do, as far as can be foreseen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub steps: Vec<Step>,
    /// What could be lost; empty: nothing.
    #[serde(default)]
    pub losses: Vec<Loss>,
    /// What else whoever confirms should know.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Plan {
    /// Whether everything in it was confirmed: the same steps in the same order, perhaps fewer, and no new loss.
    #[must_use]
    pub fn is_within(&self, confirmed: &Self) -> bool {
        let mut left = confirmed.steps.iter();
        let unasked = self.steps.first().is_some_and(|step| step.emergency || step.unasked);
        unasked
            || self.steps.iter().all(|step| left.any(|known| known.id == step.id))
                && self.losses.iter().all(|loss| confirmed.losses.contains(loss))
    }
}

/// What one step is called: the same name for the same target and kind of step, in every forecast.
pub type StepId = String;

/// One change, small enough that it is either done or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub id: StepId,
    /// For people: what it does and what it waits for.
    pub say: String,
    pub act: Action,
    /// What takes it back, if the field still holds what was written.
    pub undo: Option<Action>,
    /// From here on there is no way back, only forward (safety E3).
    #[serde(default)]
    pub no_return: bool,
    /// Ends what has failed already: nobody is asked again.
    #[serde(default)]
    pub unasked: bool,
    /// Stops a second cluster that has just come up: not asked, done at once (safety A7).
    #[serde(default)]
    pub emergency: bool,
}

impl Step {
    pub fn new(id: impl Into<String>, say: impl Into<String>, act: Action) -> Self {
        Self { id: id.into(), say: say.into(), act, undo: None, no_return: false, unasked: false, emergency: false }
    }

    /// A change of the range, and back.
    pub fn range(id: impl Into<String>, say: impl Into<String>, from: Range, to: Range) -> Self {
        let undo = Some(Action::Range { from: to, to: from });
        Self { undo, ..Self::new(id, say, Action::Range { from, to }) }
    }

    #[must_use]
    pub fn without_return(self) -> Self {
        Self { no_return: true, undo: None, ..self }
    }
}

/// The ordinals a set runs, `[start, start + replicas)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Range {
    pub start: u32,
    pub replicas: u32,
}

impl Range {
    #[must_use]
    pub const fn of(set: &StatefulSet) -> Self {
        Self { start: set.start, replicas: set.replicas }
    }

    pub fn ordinals(self) -> impl DoubleEndedIterator<Item = Ordinal> {
        (self.start..self.start.saturating_add(self.replicas)).map(Ordinal)
    }

    /// The first ordinal above it.
    #[must_use]
    pub const fn end(self) -> u32 {
        self.start.saturating_add(self.replicas)
    }

    #[must_use]
    pub const fn with(self, replicas: u32) -> Self {
        Self { replicas, ..self }
    }
}

/// A change of the cluster, or of what is known about it. Everything that is written passes through here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Action {
    /// Sets `replicas` and `ordinals.start` of the set.
    Range { from: Range, to: Range },
    /// Sets `persistentVolumeClaimRetentionPolicy.whenScaled`.
    WhenScaled { delete: bool },
    /// Reads the state files of stopped members with helper pods that come and go.
    Inspect { ordinals: Vec<Ordinal> },
    /// Writes down, beside the journal, how the cluster was stopped.
    Record { stopped: Box<Stopped> },
    /// The cluster runs again: forgets how it was stopped.
    Forget,
    /// Deletes pods of the set, each only if it is still the one that was seen (safety B1).
    DeletePods { ordinals: Vec<Ordinal> },
    /// Reads everything that the data directories of stopped members tell of themselves, with helper pods as well.
    Read { ordinals: Vec<Ordinal> },
    /// Runs position recovery in these data directories (safety A4).
    Recover { datadirs: BTreeMap<Ordinal, String> },
    /// Writes down who founds the cluster, and of which history.
    Elect { founder: Founder },
    /// Changes `grastate.dat` of a stopped member (safety A5).
    Write { ordinal: Ordinal, datadir: String, change: StateChange },
    /// A bare pod that founds the cluster on the volume of one ordinal (safety A6). `holds`: no client is led to it.
    Bootstrap {
        ordinal: Ordinal,
        #[serde(default)]
        holds: bool,
    },
    /// Stops here until somebody has looked at the data of the founder, and goes on (safety A10).
    Hold { ordinal: Ordinal },
    /// Ends the bootstrap pod with a clean leave.
    EndBootstrap { ordinal: Ordinal },
    /// Forgets who was elected, and why: from here on it is a recovery (safety A8). `ended`: the founder's pod is removed first.
    BeginAgain { ended: Option<Ordinal> },
    /// Takes the position from a data directory, also beside a server (safety B10). `pod`: uid of the pod that is there.
    Reset { ordinal: Ordinal, datadir: String, pod: Option<String> },
    /// Deletes a volume claim, only if it is still the one that was seen.
    DeleteClaim { name: String, uid: String },
    /// Makes the volume claims of a new ordinal, with room for what `like` has. `mark`: which operation made them.
    Claim { ordinal: Ordinal, like: Ordinal, mark: String },
    /// Copies the data of `donor`, and what it replicates from, to the empty volume of a new ordinal.
    Seed { ordinal: Ordinal, donor: Ordinal, datadir: String },
    /// Tells mariadb-operator how far it may act (safety F4).
    Steer { from: Steering, to: Steering },
    /// Takes `safe_to_bootstrap: 1` out of the `grastate.dat` of a member that runs among others.
    Unflag { ordinal: Ordinal, datadir: String },
    /// Starts an image in a pod without any volume, and asks its server for its version.
    Try { image: String },
    /// Sets the image in the pod template and the partition, in one change. `revision`: the one that the template had then, if it
    /// is the one to go on with.
    Rollout { from: Rollout, to: Rollout, revision: Option<String> },
    /// Evicts a pod: a PodDisruptionBudget may refuse it (safety B9).
    Evict { ordinal: Ordinal },
    /// Makes a replica read-only, as mariadb-operator means it to be.
    Close { ordinal: Ordinal },
    /// Converts the system tables of one server to its version.
    Convert { ordinal: Ordinal },
    /// Lets a primary take writes again.
    Open { ordinal: Ordinal },
    /// Writes down who is to be the primary of a plain set in the place of whom.
    HandOver { handover: Handover },
    /// Writes down who is the primary, and that nobody is becoming it.
    HandedOver { ordinal: Ordinal },
    /// Has these servers replicate from `source`. `instead`: the primary before it, which the source follows until it is promoted.
    Follow { ordinals: Vec<Ordinal>, source: Ordinal, instead: Ordinal },
    /// Has Services that select the pod of one ordinal select that of another.
    Lead { services: Vec<String>, from: Ordinal, to: Ordinal },
    /// Ends a server's own replication and lets it take writes.
    Promote { ordinal: Ordinal },
    /// Has mariadb-operator make another server the primary, without loss.
    MovePrimary { to: Ordinal },
    /// Has mariadb-operator run another number of replicas. `failed`: what is called off has failed, and why.
    Replicas { from: u32, to: u32, failed: Option<String> },
}

impl Action {
    /// Of a change of the range: what it was and what it becomes.
    #[must_use]
    pub const fn range(&self) -> Option<(Range, Range)> {
        match self {
            Self::Range { from, to } => Some((*from, *to)),
            _ => None,
        }
    }

    /// Of a change of image or partition: what it was and what it becomes.
    #[must_use]
    pub const fn rollout(&self) -> Option<(&Rollout, &Rollout)> {
        match self {
            Self::Rollout { from, to, .. } => Some((from, to)),
            _ => None,
        }
    }

    /// Whether it only finds something out: nothing has to be taken back, or gone on with, where nothing else was begun. What
    /// position recovery writes every start of the server would write, too.
    #[must_use]
    pub const fn finds_out(&self) -> bool {
        matches!(self, Self::Try { .. } | Self::Read { .. } | Self::Inspect { .. } | Self::Recover { .. })
    }

    /// Whether clients wait for it: until it is done nobody can write. No cut leaves such a state for a while, so two looks are
    /// enough, and nobody stops before it.
    #[must_use]
    pub const fn is_awaited(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Follow { .. } | Self::Lead { .. } | Self::Promote { .. })
    }

    /// Of a change of what the operator is told: what it was and what it becomes.
    #[must_use]
    pub const fn steering(&self) -> Option<(&Steering, &Steering)> {
        match self {
            Self::Steer { from, to } => Some((from, to)),
            _ => None,
        }
    }
}

/// What would be lost, in words that fit no other loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Loss(pub String);

/// Why a command does not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub rule: &'static Rule,
    /// One sentence about this cluster.
    pub summary: String,
    /// `source: value`.
    pub because: Vec<String>,
    /// What to run instead, or first.
    pub by_hand: Vec<NextCommand>,
}

impl Refusal {
    /// What stands in the way is a finding.
    pub fn of(finding: &Finding) -> Self {
        let because = finding.evidence.iter().map(|evidence| format!("{}: {}", evidence.source, evidence.value));
        let because = because.collect();
        Self { rule: finding.rule, summary: finding.summary.clone(), because, by_hand: finding.next.clone() }
    }

    pub fn new(rule: &'static Rule, summary: impl Into<String>) -> Self {
        Self { rule, summary: summary.into(), because: Vec::new(), by_hand: Vec::new() }
    }

    #[must_use]
    pub fn because(mut self, reasons: impl IntoIterator<Item = String>) -> Self {
        self.because.extend(reasons);
        self
    }

    /// A `kubectl` command, its arguments separated by blanks.
    #[must_use]
    pub fn kubectl(mut self, arguments: &str) -> Self {
        self.by_hand.push(NextCommand::Kubectl(arguments.split(' ').map(str::to_owned).collect()));
        self
    }

    /// A `kubectl mariadb` command, its arguments separated by blanks.
    #[must_use]
    pub fn plugin(mut self, arguments: &str) -> Self {
        self.by_hand.push(NextCommand::Plugin(arguments.split(' ').map(str::to_owned).collect()));
        self
    }
}
