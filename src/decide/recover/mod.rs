//! What brings a Galera cluster back, if anything has to: the route, chosen from one look before anything is touched.
//!
//! It follows the verdict: what is wrong is said once, there. What is only decided here is who may act on it: the cluster
//! itself, one member, one live component, or nobody before the cause is dealt with.

mod death;
mod files;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::galera::Groups;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::topology::Topology;
use crate::model::wsrep::{ClusterStatus, LocalState};

use super::exit::{Standing, standing};
use super::finding::{Finding, Severity};
use super::rules::{galera, kubernetes};
use super::verdict::verdict;

pub use death::{Proof, proof};
pub use files::{at_rest, elect_at_rest, were_apart, writes};

/// Members that find each other again are together within seconds; a joiner may copy everything.
const REFORM: Duration = Duration::from_secs(120);
const TRANSFER: Duration = Duration::from_secs(3600);

/// What to do about a Galera cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Route {
    /// Every member that the set wants is Synced in the one primary component.
    Nothing,
    /// It comes back by itself: what is waited for, and how long that may take. `then`: if it has not come by then it never
    /// does, and a bootstrap is right; these live without a quorum.
    Wait { why: String, limit: Duration, then: Option<BTreeSet<Ordinal>> },
    /// The cluster lives without these, and what is wrong with each does not heal: it needs a fresh copy.
    Rebuild(BTreeMap<Ordinal, String>),
    /// No primary component is left, and none comes back by itself: one member must found the cluster again from its files.
    /// `alive` run without a quorum. They are not told to go on alone (`pc.bootstrap`, safety A9): whoever is dead may have
    /// been the majority that went on without them, and only its files tell.
    Bootstrap { alive: BTreeSet<Ordinal> },
    /// Nothing that could be done here is right: the finding that stands in the way.
    Refused(Box<Finding>),
}

/// What is wrong with two whole primary components, or with what they hold: only a person can say whose rows count.
const NOBODY_CAN_CHOOSE: &[&str] = &[
    galera::SPLIT_BRAIN.code,
    galera::TWO_CLUSTERS.code,
    galera::ZERO_UUID.code,
    galera::AHEAD.code,
    galera::WITHOUT_GALERA.code,
    galera::NO_PRIMARY_SEEN.code,
    galera::BOOTSTRAP_SWITCH.code,
    galera::BOOTSTRAP_IN_TEMPLATE.code,
    kubernetes::SET_BEING_DELETED.code,
    kubernetes::SCALED_TO_ZERO.code,
];

/// What of one member of a living cluster only a fresh copy cures.
const COPY_ANEW: &[&str] = &[
    galera::ZOMBIE.code,
    galera::INCONSISTENT.code,
    galera::STATE_DIFFERS.code,
    galera::HISTORIES_ON_DISK.code,
    galera::GVWSTATE_BROKEN.code,
];

/// What passes by itself, or does not hinder.
const PASSES: &[&str] = &[
    galera::PARTITIONED.code,
    galera::JOINING.code,
    galera::DONOR.code,
    galera::DESYNCED.code,
    galera::NOT_SYNCED.code,
    galera::LIMBO.code,
    galera::MARGIN_GONE.code,
    galera::HALF_COPY.code,
    galera::DISTRUSTED.code,
    kubernetes::STARTING.code,
    kubernetes::CONTAINER_ENDED.code,
    kubernetes::POD_MISSING.code,
    kubernetes::TERMINATING.code,
];

/// The route for what one look shows. Before the first step two looks have to agree on it.
#[must_use]
pub fn route(seen: &Snapshot) -> Route {
    let findings = verdict(seen).findings;
    if let Some(stop) = findings.iter().find(|finding| NOBODY_CAN_CHOOSE.contains(&finding.rule.code)) {
        return Route::Refused(Box::new(stop.clone()));
    }
    if let Some(moving) = findings.iter().find(|finding| finding.rule.code == galera::RENEGOTIATING.code) {
        return Route::Wait { why: moving.summary.clone(), limit: REFORM, then: None };
    }
    if !matches!(Topology::of(seen), Topology::Galera | Topology::Unknown { .. }) {
        let finding = Finding::new(&galera::WITHOUT_GALERA, format!("{} is no Galera cluster", seen.target.name));
        return Route::Refused(Box::new(finding));
    }
    let groups = Groups::of(seen);
    if groups.primaries().next().is_some() {
        return of_members(seen, &findings);
    }
    let hidden: Vec<Ordinal> = hidden(seen).collect();
    if !hidden.is_empty() {
        return of_hidden(seen, &hidden, &findings);
    }
    if groups.components.is_empty() { of_all_down(&findings) } else { of_component(seen, &groups, &findings) }
}

/// Servers that may run without our seeing it: they may be the primary component (safety A1).
fn hidden(seen: &Snapshot) -> impl Iterator<Item = Ordinal> + '_ {
    let ordinals = seen.members.keys().copied();
    ordinals.filter(|ordinal| matches!(standing(seen, *ordinal), Standing::Unseen(_) | Standing::Hung))
}

/// The worst finding about one pod among those that `fits`.
fn about<'a>(findings: &'a [Finding], pod: &str, fits: impl Fn(&Finding) -> bool) -> Option<&'a Finding> {
    findings.iter().find(|finding| finding.pods.iter().any(|named| named == pod) && fits(finding))
}

fn is_any(codes: &'static [&'static str]) -> impl Fn(&Finding) -> bool {
    |finding| codes.contains(&finding.rule.code)
}

/// A primary component lives: what of the members that are not Synced in it.
fn of_members(seen: &Snapshot, findings: &[Finding]) -> Route {
    let wanted = seen.objects.stateful_set.wanted();
    let away: Vec<(Ordinal, String)> =
        wanted.filter(|ordinal| !is_synced(seen, *ordinal)).map(|ordinal| (ordinal, seen.pod_name(ordinal))).collect();
    if away.is_empty() {
        return Route::Nothing;
    }
    let to_copy: BTreeMap<Ordinal, String> = away
        .iter()
        .filter_map(|(ordinal, pod)| Some((*ordinal, about(findings, pod, is_any(COPY_ANEW))?.summary.clone())))
        .collect();
    if !to_copy.is_empty() {
        return Route::Rebuild(to_copy);
    }
    let stands = |finding: &Finding| finding.rule.severity == Severity::Error && !is_any(PASSES)(finding);
    if let Some(stop) = away.iter().find_map(|(_, pod)| about(findings, pod, stands)) {
        return Route::Refused(Box::new(stop.clone()));
    }
    let says = away.iter().map(|(_, pod)| match about(findings, pod, is_any(PASSES)) {
        Some(finding) => finding.summary.clone(),
        None => format!("{pod} is not Synced yet"),
    });
    let mut says: Vec<String> = says.collect();
    says.dedup();
    Route::Wait { why: says.join("; "), limit: TRANSFER, then: None }
}

fn is_synced(seen: &Snapshot, ordinal: Ordinal) -> bool {
    let server = seen.members.get(&ordinal).and_then(|member| member.server.known().ok());
    server.and_then(|server| server.galera.as_ref()).is_some_and(|galera| {
        let status = &galera.status;
        status.cluster_status == ClusterStatus::Primary && status.local_state == LocalState::Synced && status.ready
    })
}

fn of_hidden(seen: &Snapshot, hidden: &[Ordinal], findings: &[Finding]) -> Route {
    let names: Vec<String> = hidden.iter().map(|ordinal| seen.pod_name(*ordinal)).collect();
    let told = names.iter().find_map(|pod| about(findings, pod, |finding| finding.rule.severity >= Severity::Warning));
    let summary = format!("{} may be a primary component and could not be asked", names.join(", "));
    let mut finding = Finding::new(&galera::NO_PRIMARY_SEEN, summary).about(names);
    if let Some(told) = told {
        finding.evidence.clone_from(&told.evidence);
        finding.next.clone_from(&told.next);
    }
    Route::Refused(Box::new(finding))
}

/// Nobody answers and nobody can hide: a first start under way, or the end of all of them.
fn of_all_down(findings: &[Finding]) -> Route {
    let down = [galera::ALL_DOWN.code, kubernetes::NOBODY_RUNS.code, kubernetes::NO_PODS.code];
    if findings.iter().any(|finding| down.contains(&finding.rule.code)) {
        return Route::Bootstrap { alive: BTreeSet::new() };
    }
    let why = findings.first().map_or_else(|| "the servers are starting".to_owned(), |finding| finding.summary.clone());
    Route::Wait { why, limit: REFORM, then: None }
}

/// Servers answer, and none is Primary. They become so by themselves when the others are back, unless those are proven dead.
fn of_component(seen: &Snapshot, groups: &Groups, findings: &[Finding]) -> Route {
    let component = &groups.components[0];
    let missing: BTreeSet<Ordinal> = seen
        .members
        .keys()
        .copied()
        .chain(seen.objects.stateful_set.wanted())
        .filter(|ordinal| !component.ordinals.contains(ordinal))
        .collect();
    let dead: BTreeSet<Ordinal> = missing.iter().copied().filter(|ordinal| proof(seen, *ordinal).is_some()).collect();
    if groups.components.len() == 1 && dead.len() == missing.len() && !missing.is_empty() {
        return Route::Bootstrap { alive: component.ordinals.clone() };
    }
    // Who is seen to wait for the others, or seen to be dead, hides no primary component.
    let accounted = |ordinal: &Ordinal| dead.contains(ordinal) || standing(seen, *ordinal) == Standing::Quiet;
    let then = missing.iter().all(accounted).then(|| groups.components.iter().flat_map(|one| &one.ordinals).copied().collect());
    let open: Vec<String> =
        missing.iter().filter(|ordinal| !dead.contains(ordinal)).map(|ordinal| seen.pod_name(*ordinal)).collect();
    let why = if open.is_empty() {
        findings.first().map_or_else(String::new, |finding| finding.summary.clone())
    } else {
        format!("the cluster goes on by itself when {} is back: it is not proven that its server is dead", open.join(", "))
    };
    Route::Wait { why, limit: REFORM, then }
}
