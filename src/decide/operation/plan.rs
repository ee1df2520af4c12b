//! Plans, steps and refusals: the words every decider speaks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::decide::finding::{Finding, NextCommand, Rule};
use crate::decide::helper::StateChange;
use crate::model::disk::Disk;
use crate::model::fact::Why;
use crate::model::grastate::Grastate;
use crate::model::kubernetes::StatefulSet;
use crate::model::names::Ordinal;
use crate::model::operator::Steering;
use crate::model::recovered::Recovered;
use crate::model::snapshot::Snapshot;

use super::journal::Stopped;

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
    /// A bare pod that founds the cluster on the volume of one ordinal (safety A6).
    Bootstrap { ordinal: Ordinal },
    /// Ends the bootstrap pod with a clean leave.
    EndBootstrap { ordinal: Ordinal },
    /// Forgets who was elected, and why: from here on it is a recovery (safety A8). `ended`: the founder's pod is removed first.
    BeginAgain { ended: Option<Ordinal> },
    /// Takes the position from a data directory, also beside a server (safety B10). `pod`: uid of the pod that is there.
    Reset { ordinal: Ordinal, datadir: String, pod: Option<String> },
    /// Deletes a volume claim, only if it is still the one that was seen.
    DeleteClaim { name: String, uid: String },
    /// Tells mariadb-operator how far it may act (safety F4).
    Steer { from: Steering, to: Steering },
    /// Takes `safe_to_bootstrap: 1` out of the `grastate.dat` of a member that runs among others.
    Unflag { ordinal: Ordinal, datadir: String },
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

/// What the world cannot show any more, or not yet. Kept in the journal; no secret is ever part of it (safety E2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memo {
    /// The range before the first step, or, of a start, before the stop.
    pub range: Range,
    /// `whenScaled` was `Delete` then.
    pub deleted_claims: bool,
    /// Of a stop and a start: who stops last and starts first. Of a recovery: whoever is elected, and nobody before.
    #[serde(default)]
    pub founder: Option<Founder>,
    /// State files as the helper pods read them.
    #[serde(default)]
    pub closed: BTreeMap<Ordinal, Closed>,
    /// Of a start: the position that the last one stopped at.
    #[serde(default)]
    pub stopped_at: Option<Closed>,
    /// The values of the range that this operation may have left: the last one it wrote, and the one before if the answer to
    /// that is unknown. Any other value is somebody else's.
    pub ranges: Vec<Range>,
    /// What mariadb-operator was told before the first step, or, of a start, before the stop; none: it does not come into this.
    #[serde(default)]
    pub steering: Option<Steering>,
    /// What it may have been told by this operation, like `ranges`.
    #[serde(default)]
    pub steerings: Vec<Steering>,
    /// What there is to write down or to remove of how it was stopped is so.
    #[serde(default)]
    pub recorded: bool,
    /// A server was started on the files of the founder: what was known of them is no longer so.
    #[serde(default)]
    pub founded: bool,
    /// The founder has ended once, and everything was read and elected anew (safety A8).
    #[serde(default)]
    pub begun_again: bool,
    /// Joiners that were started once more because their first start came to nothing.
    #[serde(default)]
    pub restarted: BTreeSet<Ordinal>,
    /// A pod that had to be stopped because it was about to be a second cluster.
    #[serde(default)]
    pub stray: Option<String>,
    /// The image of each pod's database container before, by pod: what it really ran (safety B8).
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    /// `status.updateRevision` of the set: another one is another pod template.
    pub revision: String,
    /// Of a recovery: what it has found out.
    #[serde(default)]
    pub recovery: Recovery,
    /// Of a rebuild.
    #[serde(default)]
    pub rebuild: Option<Rebuild>,
}

/// The member that gets a fresh copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebuild {
    pub ordinal: Ordinal,
    /// The history of the others.
    pub state_uuid: Uuid,
    /// Those that were in the primary component when it began.
    pub with: BTreeSet<Ordinal>,
    /// uid of the pod that runs on the old data; none: there was no pod.
    pub pod: Option<String>,
    /// As its server's container showed it; none: it could not be asked.
    pub datadir: Option<String>,
    /// The position was taken from the data directory.
    #[serde(default)]
    pub reset: bool,
    /// Claims that are lost with their node, and their uids: new ones come in their place. Without any the volume stays.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    /// What may be lost.
    #[serde(default)]
    pub accepted: Option<Loss>,
}

/// Who founds the cluster, and the history that must not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Founder {
    pub ordinal: Ordinal,
    pub state_uuid: Uuid,
}

impl Memo {
    /// What is as it is now, and nothing learned yet.
    #[must_use]
    pub fn new(seen: &Snapshot) -> Self {
        let set = &seen.objects.stateful_set;
        let range = Range::of(set);
        Self {
            range,
            deleted_claims: set.deletes_claims_when_scaled,
            founder: None,
            closed: BTreeMap::new(),
            stopped_at: None,
            ranges: vec![range],
            steering: None,
            steerings: Vec::new(),
            recorded: true,
            founded: false,
            begun_again: false,
            restarted: BTreeSet::new(),
            stray: None,
            images: images(seen),
            revision: set.update_revision.clone(),
            recovery: Recovery::default(),
            rebuild: None,
        }
    }

    /// Of an operation that knows from its beginning who founds the cluster.
    ///
    /// # Errors
    /// The journal does not say so.
    pub fn founder(&self) -> Result<Founder, Why> {
        self.founder.ok_or_else(|| Why::Failed("the journal does not say who founds the cluster".to_owned()))
    }
}

/// The image each database container really runs, by pod (safety B8).
fn images(seen: &Snapshot) -> BTreeMap<String, String> {
    let container = &seen.objects.stateful_set.layout.container;
    let pods = seen.members.values().filter_map(|member| member.pod.as_ref());
    pods.filter_map(|pod| {
        // A container that never ran has none.
        let own = pod.containers.iter().find(|known| known.name == *container && !known.image_id.is_empty())?;
        Some((pod.name.clone(), own.image_id.clone()))
    })
    .collect()
}

/// What a recovery has found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// Data directories as they were read while nothing ran, and as they were written since.
    #[serde(default)]
    pub files: BTreeMap<Ordinal, Disk>,
    /// What position recovery told.
    #[serde(default)]
    pub positions: BTreeMap<Ordinal, Recovered>,
    /// The user's own choice of who founds the cluster; none: whoever is elected.
    #[serde(default)]
    pub choice: Option<Choice>,
    /// It was waited for the members to find each other again, and they did not.
    #[serde(default)]
    pub waited: bool,
    /// Members whose `grastate.dat` was put back.
    #[serde(default)]
    pub restored: BTreeSet<Ordinal>,
}

/// Who is to found the cluster whatever the election says, and what may be lost by that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    pub ordinal: Ordinal,
    #[serde(default)]
    pub accepted: Option<Loss>,
}

/// A `grastate.dat` of a stopped member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Closed {
    pub state_uuid: Uuid,
    #[serde(with = "as_text")]
    pub seqno: Option<u64>,
    pub safe_to_bootstrap: bool,
    /// A `gvwstate.dat` lies beside it: the server did not stop cleanly.
    pub unclean: bool,
}

impl Closed {
    #[must_use]
    pub fn new(grastate: &Grastate, unclean: bool) -> Self {
        let safe_to_bootstrap = grastate.safe_to_bootstrap == Some(true);
        Self { state_uuid: grastate.uuid, seqno: grastate.seqno, safe_to_bootstrap, unclean }
    }

    /// As people read it.
    #[must_use]
    pub fn told(&self) -> String {
        let seqno = self.seqno.map_or_else(|| "-1".to_owned(), |seqno| seqno.to_string());
        let unclean = if self.unclean { ", gvwstate.dat present" } else { "" };
        format!("{}:{seqno}, safe_to_bootstrap {}{unclean}", self.state_uuid, u8::from(self.safe_to_bootstrap))
    }
}

/// 64-bit numbers are strings in documents: JavaScript and jq keep only 53 bits.
mod as_text {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    #[expect(clippy::ref_option, reason = "the form serde asks for")]
    pub(super) fn serialize<S: Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(|value| value.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
