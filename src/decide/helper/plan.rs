//! Which helper pods would be of use, and why none is of use for the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::exit::{database, runs};
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::NodeReady;
use crate::model::names::Ordinal;
use crate::model::snapshot::{Member, Snapshot};

use super::{Helper, Kind, Template};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub helpers: Vec<Helper>,
    /// Ordinals that need one and cannot have it, and why.
    pub impossible: BTreeMap<Ordinal, String>,
}

/// A helper for every ordinal whose files nobody else can read: no pod, or a container that does not run.
#[must_use]
pub fn inspections(seen: &Snapshot, template: Template<'_>) -> Plan {
    let unread = seen.members.iter().filter(|(_, member)| matches!(member.files, Fact::Unknown(Why::NotRunning(_))));
    plan(seen, template, Kind::Inspect, unread.map(|(ordinal, _)| *ordinal))
}

/// A helper for every one of `which`, each with its files known.
#[must_use]
pub fn recoveries(seen: &Snapshot, template: Template<'_>, which: &BTreeSet<Ordinal>) -> Plan {
    plan(seen, template, Kind::Recover, which.iter().copied())
}

fn plan(seen: &Snapshot, template: Template<'_>, kind: Kind, ordinals: impl Iterator<Item = Ordinal>) -> Plan {
    let mut plan = Plan::default();
    for ordinal in ordinals {
        let Some(member) = seen.members.get(&ordinal) else { continue };
        let datadir = member.files.known().ok().map(|disk| disk.datadir.as_str());
        let helper = obstacle(seen, ordinal, member, kind)
            .map_or_else(|| template.helper(ordinal, kind, member.pod.as_ref(), datadir), Err);
        match helper {
            Ok(helper) => plan.helpers.push(helper),
            Err(why) => drop(plan.impossible.insert(ordinal, why)),
        }
    }
    plan
}

fn obstacle(seen: &Snapshot, ordinal: Ordinal, member: &Member, kind: Kind) -> Option<String> {
    if kind == Kind::Recover && runs(seen, member) {
        let name = database(seen, member).map_or("mariadb", |container| container.name.as_str());
        return Some(format!("container {name} runs: no position is recovered beside a server"));
    }
    let claims = seen.objects.claims.known().ok()?;
    let pod = ordinal.pod(&seen.target.name);
    for name in seen.objects.stateful_set.claim_templates.iter().map(|template| format!("{template}-{pod}")) {
        match claims.iter().find(|claim| claim.name == name) {
            None => return Some(format!("there is no volume claim {name}")),
            Some(claim) if claim.phase != "Bound" => {
                return Some(format!("the volume claim {name} has no volume ({})", claim.phase));
            }
            Some(_) => {}
        }
    }
    let node = member.pod.as_ref()?.node.as_ref()?;
    let nodes = seen.objects.nodes.known().ok()?;
    match nodes.iter().find(|known| known.name == *node).map(|known| &known.ready) {
        Some(NodeReady::Yes) => None,
        Some(NodeReady::No(why)) => Some(format!("its node {node} is not ready ({why})")),
        Some(NodeReady::Silent { .. }) => Some(format!("its node {node} is silent")),
        None => Some(format!("its node {node} does not exist any more")),
    }
}
