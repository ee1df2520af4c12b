//! `pvc …`: reads what left-over volumes hold, deletes them one by one, makes volumes grow one by one.

pub mod expand;
mod guard;
pub mod list;
pub mod prune;
pub mod read;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::api::Api;
use crate::api::objects::{ByNamespace, Scope};
use crate::api::volumes::{get_reclaim_policies, list_mounts, list_volumes, volumes};
use crate::decide::finding::{NextCommand, Rule};
use crate::decide::operation::plan::{Loss, Refusal};
use crate::decide::volumes::prune::Mounts;
use crate::failure::{Exit, Failure, Kind};
use crate::model::fact::{Fact, Why};
use crate::model::names::Ordinal;
use crate::model::volumes::Volume;
use crate::observe::within;

use super::prepare::unseen;

/// How such a command ended.
pub enum End {
    /// Nothing was changed.
    Refused(Refusal),
    Report(Report),
}

/// What became of each volume.
#[derive(Clone, Debug)]
pub struct Report {
    pub outcome: Outcome,
    /// One sentence.
    pub message: String,
    /// Why it went no further.
    pub rule: Option<&'static Rule>,
    pub items: Vec<Item>,
    pub notes: Vec<String>,
    pub next: Vec<NextCommand>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    NothingToDo,
    Planned,
    /// Of a dry run: the API server would not take it.
    Denied,
    Declined,
    NobodyToAsk,
    /// Something changed in the middle.
    Stopped,
    TimedOut,
    Failed,
}

impl Outcome {
    #[must_use]
    pub const fn exit(self) -> Exit {
        match self {
            Self::Done | Self::NothingToDo | Self::Planned => Exit::Ok,
            Self::Declined => Exit::Declined,
            Self::NobodyToAsk | Self::Stopped => Exit::Refused,
            Self::TimedOut => Exit::TimedOut,
            Self::Denied | Self::Failed => Exit::Failed,
        }
    }
}

/// One claim.
#[derive(Clone, Debug)]
pub struct Item {
    pub volume: Volume,
    pub ordinal: Ordinal,
    pub did: Did,
    pub because: String,
    /// What would have to be accepted for it to go.
    pub loss: Option<Loss>,
    /// `persistentVolumeReclaimPolicy` of its volume.
    pub reclaim: Fact<String>,
    /// What the API server said to a dry run of the change.
    pub server: Option<Result<(), Why>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    Deleted,
    /// The API server has taken the deletion, and it is not gone yet.
    Going,
    Kept,
    WouldDelete,
    /// A helper pod would read it first, and what it holds decides.
    WouldRead,
    Expanded,
    /// Its file system grows when a pod mounts it.
    Pending,
    WouldExpand,
    Failed,
    NotReached,
}

impl Item {
    fn new(volume: &Volume, ordinal: Ordinal, did: Did, because: impl Into<String>) -> Self {
        Self {
            volume: volume.clone(),
            ordinal,
            did,
            because: because.into(),
            loss: None,
            reclaim: Fact::Unknown(Why::NotAsked),
            server: None,
        }
    }
}

/// Every claim of the namespace. Without them there is nothing to decide.
async fn needed_volumes(api: &Api, namespace: &str) -> Result<Vec<Volume>, Failure> {
    list_volumes(api, namespace).await.known().cloned().map_err(|why| unlisted("its volume claims", why))
}

/// Every claim of each namespace.
async fn volumes_in(api: &Api, scope: Scope<'_>) -> Result<ByNamespace<Volume>, Failure> {
    volumes(api, scope).await.known().cloned().map_err(|why| unlisted("volume claims", why))
}

/// Who mounts what.
async fn needed_mounts(api: &Api, namespace: &str) -> Result<Mounts, Failure> {
    list_mounts(api, namespace).await.known().cloned().map_err(|why| unlisted("its pods", why))
}

fn unlisted(what: &str, why: &Why) -> Failure {
    match why {
        Why::Forbidden(right) => Failure::new(Kind::Forbidden, format!("to list {what} is forbidden to you"))
            .hint(format!("you need the right to {right}")),
        why => unseen(why.clone()),
    }
}

/// Says of each volume what becomes of it when its claim is deleted. An extra.
async fn tell_reclaim(api: &Api, items: &mut [Item], limit: Duration) {
    let names: BTreeSet<&str> = items.iter().filter_map(|item| item.volume.volume.as_deref()).collect();
    let policies = within(limit, get_reclaim_policies(api, names)).await;
    for item in items {
        let name = item.volume.volume.clone().unwrap_or_default();
        item.reclaim = policies.clone().known().map_err(Clone::clone).map_or_else(Fact::Unknown, |policies| {
            policies.get(&name).cloned().map_or_else(|| Fact::Unknown(Why::Failed("it has no volume".to_owned())), Fact::Known)
        });
    }
}
