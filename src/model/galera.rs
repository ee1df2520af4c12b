//! Components: which servers form one group, told by the sets of members each of them sees.
//!
//! Sizes, state UUID and view number are equal in both halves of a split brain; only the members differ. A view is stale for
//! about six seconds after a cut: a verdict that leads to a write needs two looks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::disk::Process;
use super::fact::{Fact, Obstacle, Why};
use super::names::Ordinal;
use super::position::Position;
use super::quorum::Quorum;
use super::server::{Galera, Server};
use super::snapshot::{Member, Snapshot};
use super::wsrep::{ClusterStatus, LocalState, Status, ViewMember};

/// What all answers together say about who is with whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Groups {
    /// Primary ones first, larger ones first.
    pub components: Vec<Component>,
    /// Every other ordinal, and why it is in no component.
    pub apart: BTreeMap<Ordinal, Apart>,
}

/// Servers that see the same members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    pub primary: bool,
    pub state_uuid: Uuid,
    /// The group's own ids (`wsrep_gcomm_uuid`) of all members of the view.
    pub members: BTreeSet<Uuid>,
    /// The pods that answered and see exactly these members.
    pub ordinals: BTreeSet<Ordinal>,
    /// Members of the view that are not among `ordinals`.
    pub others: Vec<Other>,
}

/// A member of a view whose own answer does not say the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Other {
    pub uuid: Uuid,
    /// `wsrep_node_name`.
    pub name: String,
    pub address: String,
    pub who: Who,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Who {
    /// garbd: a vote without data.
    Arbitrator,
    /// A pod of the set whose server did not answer: a joiner, a hung server, or one that died in the last seconds.
    Silent(Ordinal),
    /// A pod of the set whose server answered that it is somewhere else, or now has another id: this row is old.
    Elsewhere(Ordinal),
    /// No pod of this set.
    Stranger,
}

/// Why an ordinal is in no component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Apart {
    NoPod,
    /// The server did not answer: see its `server` fact.
    Silent,
    /// It answers without a Galera provider, or with `wsrep_on` OFF.
    NotGalera,
    /// It answers, and has no group: a zombie, or a server about to connect.
    Disconnected,
}

impl Groups {
    #[must_use]
    pub fn of(seen: &Snapshot) -> Self {
        let mut views: BTreeMap<View, BTreeMap<Ordinal, &Galera>> = BTreeMap::new();
        let mut apart = BTreeMap::new();
        for (ordinal, member) in &seen.members {
            let ordinal = *ordinal;
            match place(member) {
                Ok(galera) => {
                    views.entry(View::of(galera)).or_default().insert(ordinal, galera);
                }
                Err(reason) => {
                    apart.insert(ordinal, reason);
                }
            }
        }
        let mut components: Vec<Component> =
            views.into_iter().flat_map(|(view, servers)| view.components(seen, &servers)).collect();
        components.sort_by_key(|component| {
            (!component.primary, std::cmp::Reverse(component.members.len()), component.ordinals.first().copied())
        });
        Self { components, apart }
    }

    pub fn primaries(&self) -> impl Iterator<Item = &Component> {
        self.components.iter().filter(|component| component.primary)
    }

    /// The Primary components of a split brain: those that share no member with another Primary component. Empty, or at
    /// least two.
    #[must_use]
    pub fn split_brain(&self) -> Vec<&Component> {
        let disjoint = |one: &&Component| self.primaries().any(|other| one.members.is_disjoint(&other.members));
        self.primaries().filter(disjoint).collect()
    }

    /// Primary views that differ and yet share members: the membership changed between the answers, or is changing.
    #[must_use]
    pub fn unsettled(&self) -> bool {
        self.primaries()
            .enumerate()
            .any(|(index, one)| self.primaries().skip(index + 1).any(|other| !one.members.is_disjoint(&other.members)))
    }

    /// Ordinals in no Primary component.
    #[must_use]
    pub fn outside(&self, seen: &Snapshot) -> BTreeSet<Ordinal> {
        let inside: BTreeSet<Ordinal> = self.primaries().flat_map(|component| &component.ordinals).copied().collect();
        seen.members.keys().filter(|ordinal| !inside.contains(ordinal)).copied().collect()
    }

    /// Members that are receiving a state transfer: in a Primary view with a running server that answers no SQL yet, or by
    /// their own word. They count for quorum already.
    #[must_use]
    pub fn joiners(&self, seen: &Snapshot) -> BTreeSet<Ordinal> {
        let listed = self.primaries().flat_map(|component| &component.others).filter_map(|other| match other.who {
            Who::Silent(ordinal) => Some(ordinal),
            _ => None,
        });
        let waiting = listed.filter(|ordinal| seen.members.get(ordinal).is_some_and(is_starting));
        waiting
            .chain(in_state(seen, |galera| matches!(galera.status.local_state, LocalState::Joining | LocalState::Joined)))
            .collect()
    }
}

impl Component {
    /// The votes of this view, of a Primary component whose servers tell the weight.
    #[must_use]
    pub fn quorum(&self, seen: &Snapshot) -> Option<Quorum> {
        let servers: Vec<(Ordinal, &Galera)> =
            self.ordinals.iter().filter_map(|ordinal| Some((*ordinal, galera_of(seen, *ordinal)?))).collect();
        let total = servers.iter().find_map(|(_, galera)| galera.status.cluster_weight).filter(|_| self.primary)?;
        let weight = |galera: &Galera| galera.options.get("pc.weight")?.parse().ok();
        Some(Quorum::new(total, servers.into_iter().filter_map(|(ordinal, galera)| Some((ordinal, weight(galera)?))).collect()))
    }
}

/// Members that are giving a state transfer, or are held back by `FLUSH TABLES WITH READ LOCK`; the server calls both
/// Donor/Desynced. Those somebody desynced with `wsrep_desync` are not among them.
#[must_use]
pub fn donors(seen: &Snapshot) -> BTreeSet<Ordinal> {
    in_state(seen, |galera| galera.status.local_state == LocalState::DonorDesynced && !galera.desync).collect()
}

/// Whether a server that starts from `joiner` can be brought up to date by `donor` with an incremental transfer: same
/// history, not ahead, and the next write set still in the donor's cache. `None`: the donor does not say.
#[must_use]
pub fn ist_possible(joiner: &Position, donor: &Status) -> Option<bool> {
    let Some((history, seqno)) = joiner.known() else { return Some(false) };
    if history != donor.local_state_uuid {
        return Some(false);
    }
    let (from, to) = (donor.cached_downto?, donor.last_committed?);
    Some(seqno <= to && seqno + 1 >= from)
}

/// What a server's answer says about its group; servers with equal views are together.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum View {
    /// The members table of a Primary server: exact.
    Primary { state_uuid: Uuid, members: BTreeSet<Uuid> },
    /// The live list of client addresses. All there is when the table is older than the view, which it is in every
    /// non-Primary server, or could not be read.
    Addresses { primary: bool, state_uuid: Uuid, addresses: Vec<String> },
}

impl View {
    fn of(galera: &Galera) -> Self {
        let status = &galera.status;
        let primary = status.cluster_status == ClusterStatus::Primary;
        let state_uuid = status.cluster_state_uuid;
        let members: BTreeSet<Uuid> = galera.view.iter().map(|member| member.uuid).collect();
        if primary && status.gcomm_uuid.is_some_and(|me| members.contains(&me)) {
            Self::Primary { state_uuid, members }
        } else {
            let mut addresses = status.incoming_addresses.clone();
            addresses.sort();
            Self::Addresses { primary, state_uuid, addresses }
        }
    }

    fn components(self, seen: &Snapshot, servers: &BTreeMap<Ordinal, &Galera>) -> Vec<Component> {
        match self {
            Self::Primary { state_uuid, members } => {
                let others = others(seen, servers, |row| members.contains(&row.uuid));
                let ordinals = servers.keys().copied().collect();
                vec![Component { primary: true, state_uuid, members, ordinals, others }]
            }
            Self::Addresses { primary, state_uuid, addresses } => {
                // Addresses need not tell members apart (`AUTO`): more servers than addresses are not one group.
                let groups: Vec<BTreeMap<Ordinal, &Galera>> = if servers.len() > addresses.len() {
                    servers.iter().map(|(ordinal, galera)| BTreeMap::from([(*ordinal, *galera)])).collect()
                } else {
                    vec![servers.clone()]
                };
                let component = |servers: BTreeMap<Ordinal, &Galera>| {
                    let others = others(seen, &servers, |row| !row.address.is_empty() && addresses.contains(&row.address));
                    let mut members: BTreeSet<Uuid> = others.iter().map(|other| other.uuid).collect();
                    members.extend(servers.values().filter_map(|galera| galera.status.gcomm_uuid));
                    Component { primary, state_uuid, members, ordinals: servers.into_keys().collect(), others }
                };
                groups.into_iter().map(component).collect()
            }
        }
    }
}

/// The rows of the first server's table that `belong` to the view and are none of its `servers`.
fn others(seen: &Snapshot, servers: &BTreeMap<Ordinal, &Galera>, belongs: impl Fn(&ViewMember) -> bool) -> Vec<Other> {
    let own: BTreeSet<Uuid> = servers.values().filter_map(|galera| galera.status.gcomm_uuid).collect();
    let rows = servers.values().next().into_iter().flat_map(|galera| &galera.view);
    let mut others: Vec<Other> = rows
        .filter(|row| belongs(row) && !own.contains(&row.uuid))
        .map(|row| Other { uuid: row.uuid, name: row.name.clone(), address: row.address.clone(), who: who(seen, servers, row) })
        .collect();
    others.sort_by(|one, other| (&one.name, one.uuid).cmp(&(&other.name, other.uuid)));
    others
}

fn who(seen: &Snapshot, servers: &BTreeMap<Ordinal, &Galera>, row: &ViewMember) -> Who {
    let host = row.address.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
    let named = seen.ordinal_at(&row.name).or_else(|| seen.ordinal_at(host));
    match named.map(|ordinal| (ordinal, &seen.members[&ordinal])) {
        // A restarted server is in the new view under a new id, and for some seconds in the old one under the old id.
        Some((ordinal, member)) if servers.contains_key(&ordinal) || member.server.known().is_ok() => Who::Elsewhere(ordinal),
        Some((ordinal, _)) => Who::Silent(ordinal),
        None if row.address.is_empty() => Who::Arbitrator,
        None => Who::Stranger,
    }
}

fn place(member: &Member) -> Result<&Galera, Apart> {
    match (&member.server, &member.pod) {
        (Fact::Known(Server { galera: Some(galera), .. }), _) => match galera.status.cluster_status {
            ClusterStatus::Primary | ClusterStatus::NonPrimary => Ok(galera),
            ClusterStatus::Disconnected | ClusterStatus::Other(_) => Err(Apart::Disconnected),
        },
        (Fact::Known(_), _) => Err(Apart::NotGalera),
        (Fact::Unknown(_), None) => Err(Apart::NoPod),
        (Fact::Unknown(_), Some(_)) => Err(Apart::Silent),
    }
}

/// A server process that does not take connections yet.
fn is_starting(member: &Member) -> bool {
    let closed = matches!(&member.server, Fact::Unknown(Why::NoSql { obstacle: Obstacle::NoSocket | Obstacle::Starting, .. }));
    closed && member.files.known().is_ok_and(|disk| disk.process != Process::None)
}

fn galera_of(seen: &Snapshot, ordinal: Ordinal) -> Option<&Galera> {
    seen.members.get(&ordinal)?.server.known().ok()?.galera.as_ref()
}

fn in_state(seen: &Snapshot, is: impl Fn(&Galera) -> bool) -> impl Iterator<Item = Ordinal> {
    seen.members.keys().copied().filter(move |ordinal| galera_of(seen, *ordinal).is_some_and(&is))
}

#[cfg(test)]
#[path = "galera_tests.rs"]
mod tests;
