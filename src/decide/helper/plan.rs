//! Which helper pods would be of use, and why none is of use for the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::exit::{database, runs};
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::{Node, NodeReady};
use crate::model::names::Ordinal;
use crate::model::snapshot::{Member, Snapshot};

use super::{Helper, Kind, Template};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub helpers: Vec<Helper>,
    /// Ordinals that need one and cannot have it, and why.
    pub impossible: BTreeMap<Ordinal, String>,
}

/// Ordinals whose files nobody else can read: no pod, or a container that does not run.
pub fn unread(seen: &Snapshot) -> impl Iterator<Item = Ordinal> {
    let unread = seen.members.iter().filter(|(_, member)| matches!(member.files, Fact::Unknown(Why::NotRunning(_))));
    unread.map(|(ordinal, _)| *ordinal)
}

/// A helper for every one of [`unread`]. `homes`: the node that alone can mount a claim, where that is known.
#[must_use]
pub fn inspections(seen: &Snapshot, template: Template<'_>, homes: &BTreeMap<String, Node>) -> Plan {
    plan(seen, template, Kind::Inspect, unread(seen), homes)
}

/// A helper for every one of `which`, each with its files known.
#[must_use]
pub fn recoveries(seen: &Snapshot, template: Template<'_>, which: &BTreeSet<Ordinal>) -> Plan {
    plan(seen, template, Kind::Recover, which.iter().copied(), &BTreeMap::new())
}

fn plan(
    seen: &Snapshot,
    template: Template<'_>,
    kind: Kind,
    ordinals: impl Iterator<Item = Ordinal>,
    homes: &BTreeMap<String, Node>,
) -> Plan {
    let mut plan = Plan::default();
    for ordinal in ordinals {
        let Some(member) = seen.members.get(&ordinal) else { continue };
        let datadir = member.files.known().ok().map(|disk| disk.datadir.as_str());
        let helper = obstacle(seen, ordinal, member, kind, homes)
            .map_or_else(|| template.helper(ordinal, kind, member.pod.as_ref(), datadir), Err);
        match helper {
            Ok(helper) => plan.helpers.push(helper),
            Err(why) => drop(plan.impossible.insert(ordinal, why)),
        }
    }
    plan
}

/// Why no helper pod can mount the volume of an ordinal now: one pod alone may use its claim (`ReadWriteOncePod`), and its own does.
/// One without a node uses nothing yet, and one that has ended nothing any more.
#[must_use]
pub fn taken(seen: &Snapshot, ordinal: Ordinal) -> Option<String> {
    let pod = seen.members.get(&ordinal)?.pod.as_ref()?;
    if pod.node.is_none() || matches!(pod.phase.as_str(), "Succeeded" | "Failed") {
        return None;
    }
    let own: Vec<String> = seen.objects.stateful_set.claims_of(ordinal).collect();
    let mut claims = seen.objects.claims.known().ok()?.iter();
    let claim = claims.find(|claim| own.contains(&claim.name) && claim.is_for_one_pod())?;
    Some(format!("one pod alone may use the volume claim {} (ReadWriteOncePod), and {} does", claim.name, pod.name))
}

fn obstacle(seen: &Snapshot, ordinal: Ordinal, member: &Member, kind: Kind, homes: &BTreeMap<String, Node>) -> Option<String> {
    if kind == Kind::Recover && runs(seen, member) {
        let name = database(seen, member).map_or("mariadb", |container| container.name.as_str());
        return Some(format!("container {name} runs: no position is recovered beside a server"));
    }
    if let Some(why) = taken(seen, ordinal) {
        return Some(why);
    }
    let claims = seen.objects.claims.known().ok()?;
    for name in seen.objects.stateful_set.claims_of(ordinal) {
        match claims.iter().find(|claim| claim.name == name) {
            None => return Some(format!("there is no volume claim {name}")),
            Some(claim) if claim.phase != "Bound" => {
                return Some(format!("the volume claim {name} has no volume ({})", claim.phase));
            }
            Some(_) => {}
        }
        if let Some((node, trouble)) = homes.get(&name).and_then(|node| Some((&node.name, trouble(&node.ready)?))) {
            return Some(format!("the volume of {name} is on node {node}, which {trouble}"));
        }
    }
    let node = member.pod.as_ref()?.node.as_ref()?;
    let nodes = seen.objects.nodes.known().ok()?;
    match nodes.iter().find(|known| known.name == *node) {
        Some(known) => trouble(&known.ready).map(|trouble| format!("its node {node} {trouble}")),
        None => Some(format!("its node {node} does not exist any more")),
    }
}

fn trouble(ready: &NodeReady) -> Option<String> {
    match ready {
        NodeReady::Yes => None,
        NodeReady::No(why) => Some(format!("is not ready ({why})")),
        NodeReady::Silent { .. } => Some("is silent".to_owned()),
    }
}
