//! What an operation keeps in mind, because the world does not show it any more, or not yet.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::disk::Disk;
use crate::model::fact::Why;
use crate::model::grastate::Grastate;
use crate::model::names::Ordinal;
use crate::model::operator::Steering;
use crate::model::recovered::Recovered;
use crate::model::snapshot::Snapshot;

use super::departure::Departure;
use super::plan::{Loss, Range};
use super::restart::Restart;
use super::scale::{Operated, Scale};
use super::upgrade::Upgrade;

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
    /// Of an upgrade.
    #[serde(default)]
    pub upgrade: Option<Upgrade>,
    /// Of a restart.
    #[serde(default)]
    pub restart: Option<Restart>,
    /// Of a change of the number of members.
    #[serde(default)]
    pub scale: Option<Scale>,
    /// Of an upgrade and a restart: how the pods went that were replaced.
    #[serde(default)]
    pub departures: BTreeMap<Ordinal, Departure>,
    /// Of one that mariadb-operator carries out.
    #[serde(default)]
    pub operated: Option<Operated>,
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
            upgrade: None,
            restart: None,
            scale: None,
            departures: BTreeMap::new(),
            operated: None,
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
    /// Data directories that could not be read, tried again and again, and why.
    #[serde(default)]
    pub unread: BTreeMap<Ordinal, Why>,
    /// What position recovery told.
    #[serde(default)]
    pub positions: BTreeMap<Ordinal, Recovered>,
    /// The user's own choice of who founds the cluster; none: whoever is elected.
    #[serde(default)]
    pub choice: Option<Choice>,
    /// It was waited for the members to find each other again, and they did not.
    #[serde(default)]
    pub waited: bool,
    /// When it began with members that were proven dead. Their containers start again and again meanwhile, and may yet find each
    /// other.
    #[serde(default)]
    pub began: Option<Timestamp>,
    /// Clients are to be kept away from the founder, and its data looked at before anybody joins it (safety A10).
    #[serde(default)]
    pub holds: bool,
    /// It was stopped for that: whoever goes on has looked.
    #[serde(default)]
    pub held: bool,
    /// Members whose `grastate.dat` was put back.
    #[serde(default)]
    pub restored: BTreeSet<Ordinal>,
    /// It began with a set that was scaled to 0: how many members it has, as the user said.
    #[serde(default)]
    pub members: Option<u32>,
    /// `metadata.generation` of the set when the files were read: another one later, and servers may have run on them since.
    #[serde(default)]
    pub generation: Option<i64>,
}

impl Recovery {
    /// Nothing found out yet, for the same choice; whoever lives without a quorum gets the time to find the others once more.
    #[must_use]
    pub fn anew(&self, now: Timestamp) -> Self {
        let (choice, members) = (self.choice.clone(), self.members);
        Self { choice, members, began: Some(now), holds: self.holds, ..Self::default() }
    }

    /// It is that of a recovery, not of another operation that reads files.
    #[must_use]
    pub const fn elects(&self) -> bool {
        self.began.is_some() || self.waited
    }
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
