//! Galera: components as sets of members, who copies from whom, flow control, gcache reach.

use std::collections::BTreeSet;

use serde::Serialize;

use super::transfer::TransferStatus;
use crate::model::galera::{Apart, Component, Groups, Other, Who, donors};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::transfer::Transfer;
use crate::model::wsrep::{ClusterStatus, Status};

/// Galera of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GaleraStatus {
    /// One, Primary, of all pods, if all is well.
    pub components: Vec<ComponentStatus>,
    /// Pods whose server runs and belongs to no component.
    pub outside: Vec<String>,
    pub donors: Vec<String>,
    pub joiners: Vec<String>,
    /// Full copies under way, as far as their scripts can be seen.
    pub transfers: Vec<TransferStatus>,
    /// Fraction of time (0 to 1) that writes were paused since the last `FLUSH STATUS`: the highest of all members.
    pub paused_fraction: Option<f64>,
    /// The member that asked for most pauses since its start, if any did.
    pub throttled_by: Option<String>,
    /// How far back write sets can be sent: who is behind by fewer than that gets IST instead of a full copy.
    pub gcache_reach: Option<GcacheReach>,
}

/// Members that see each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentStatus {
    pub primary: bool,
    /// The history; zeros: it was never agreed on.
    pub state_uuid: String,
    /// Pods that answered and see exactly this set, themselves included.
    pub members: Vec<String>,
    /// Members they see that do not say the same: joiners, silent pods, arbitrators, strangers.
    pub others: Vec<OtherMember>,
}

/// A member that others see, and that does not say the same itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OtherMember {
    /// A pod of this set, or `wsrep_node_name`.
    pub name: String,
    pub address: String,
    pub kind: OtherKind,
}

/// What such a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum OtherKind {
    /// garbd: a vote without data.
    Arbitrator,
    /// A pod whose server did not answer: a joiner, a hung server, or one that died a moment ago.
    Silent,
    /// A pod whose server says that it is somewhere else.
    Elsewhere,
    /// No pod of this set.
    Stranger,
}

/// The reach of the member that has the most write sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GcacheReach {
    pub pod: String,
    /// The lowest write set it can send.
    pub from: String,
    /// How many that are, up to its own position.
    pub write_sets: String,
}

/// `wsrep_cluster_status` as the server writes it.
pub(super) fn cluster_status(status: &Status) -> &str {
    match &status.cluster_status {
        ClusterStatus::Primary => "Primary",
        ClusterStatus::NonPrimary => "non-Primary",
        ClusterStatus::Disconnected => "Disconnected",
        ClusterStatus::Other(text) => text,
    }
}

/// Who sends and who receives a state transfer.
pub(super) struct Transfers {
    pub donors: BTreeSet<Ordinal>,
    pub joiners: BTreeSet<Ordinal>,
}

impl Transfers {
    pub(super) fn of(seen: &Snapshot, groups: &Groups) -> Self {
        Self { donors: donors(seen), joiners: groups.joiners(seen) }
    }
}

impl GaleraStatus {
    pub(super) fn new(seen: &Snapshot, groups: &Groups) -> Self {
        let transfers = Transfers::of(seen, groups);
        let names = |ordinals: &BTreeSet<Ordinal>| ordinals.iter().map(|ordinal| seen.pod_name(*ordinal)).collect();
        let outside = groups.apart.iter().filter(|(_, why)| matches!(why, Apart::Disconnected | Apart::NotGalera));
        let answers: Vec<(Ordinal, &Status)> = seen
            .members
            .iter()
            .filter_map(|(ordinal, member)| Some((*ordinal, &member.server.known().ok()?.galera.as_ref()?.status)))
            .collect();
        let flow = |of: fn(&Status) -> f64| answers.iter().map(|(_, status)| of(status)).reduce(f64::max);
        let throttling = answers.iter().filter(|(_, status)| status.flow_control.sent > 0);
        Self {
            components: groups.components.iter().map(|component| ComponentStatus::new(seen, component)).collect(),
            outside: outside.map(|(ordinal, _)| seen.pod_name(*ordinal)).collect(),
            donors: names(&transfers.donors),
            joiners: names(&transfers.joiners),
            transfers: Transfer::all(seen, groups).iter().map(|transfer| TransferStatus::new(seen, transfer)).collect(),
            paused_fraction: flow(|status| status.flow_control.paused_fraction),
            throttled_by: throttling
                .max_by_key(|(_, status)| status.flow_control.sent)
                .map(|(ordinal, _)| seen.pod_name(*ordinal)),
            gcache_reach: gcache_reach(seen, &answers),
        }
    }

    /// Histories of all components.
    pub(super) fn state_uuids(&self) -> BTreeSet<&str> {
        self.components.iter().map(|component| component.state_uuid.as_str()).collect()
    }
}

impl ComponentStatus {
    fn new(seen: &Snapshot, component: &Component) -> Self {
        let other = |other: &Other| {
            let (kind, pod) = match other.who {
                Who::Arbitrator => (OtherKind::Arbitrator, None),
                Who::Silent(ordinal) => (OtherKind::Silent, Some(ordinal)),
                Who::Elsewhere(ordinal) => (OtherKind::Elsewhere, Some(ordinal)),
                Who::Stranger => (OtherKind::Stranger, None),
            };
            let name = pod.map_or_else(|| other.name.clone(), |ordinal| seen.pod_name(ordinal));
            OtherMember { name, address: other.address.clone(), kind }
        };
        Self {
            primary: component.primary,
            state_uuid: component.state_uuid.to_string(),
            members: component.ordinals.iter().map(|ordinal| seen.pod_name(*ordinal)).collect(),
            others: component.others.iter().map(other).collect(),
        }
    }

    /// How many members it has, by its own word.
    pub(super) fn size(&self) -> usize {
        self.members.len() + self.others.len()
    }
}

impl OtherKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Arbitrator => "arbitrator",
            Self::Silent => "no SQL answer",
            Self::Elsewhere => "says otherwise",
            Self::Stranger => "not of this set",
        }
    }
}

fn gcache_reach(seen: &Snapshot, answers: &[(Ordinal, &Status)]) -> Option<GcacheReach> {
    let primary = answers.iter().filter(|(_, status)| status.cluster_status == ClusterStatus::Primary);
    let reach = primary.filter_map(|(ordinal, status)| {
        let (from, last) = (status.cached_downto?, status.last_committed?);
        Some(((last + 1).saturating_sub(from), from, *ordinal))
    });
    let (write_sets, from, ordinal) = reach.max_by_key(|(write_sets, ..)| *write_sets)?;
    Some(GcacheReach { pod: seen.pod_name(ordinal), from: from.to_string(), write_sets: write_sets.to_string() })
}
