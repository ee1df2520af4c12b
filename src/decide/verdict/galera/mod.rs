//! Galera: who is in which component, by sets of members.

mod files;
mod load;
mod members;
mod transfer;

pub(super) use load::mixed_versions;

use std::collections::BTreeSet;

use crate::decide::finding::Finding;
use crate::decide::rules::galera as rule;
use crate::model::galera::{Component, Who};
use crate::model::names::Ordinal;
use crate::model::server::{Galera, Server};
use crate::model::wsrep::{ClusterStatus, LocalState, Status};

use super::{Scene, Standing, list, verb};

pub(super) fn findings(scene: &Scene) -> Vec<Finding> {
    if !scene.is_galera() {
        return Vec::new();
    }
    let mut found = sets(scene);
    found.extend(nobody_primary(scene));
    found.extend(not_in_view(scene));
    found.extend(outsiders(scene));
    found.extend(votes(scene));
    let files = files::findings(scene);
    found.extend(members::findings(scene, &files));
    found.extend(transfer::findings(scene));
    found.extend(files);
    found.extend(load::findings(scene));
    found
}

/// How many members are in order, when there is one primary component.
pub(super) fn shape(scene: &Scene) -> Option<String> {
    let [_] = primaries(scene).as_slice() else { return None };
    let wanted: BTreeSet<Ordinal> = scene.wanted().collect();
    let synced = up(scene).filter(|(ordinal, galera)| wanted.contains(ordinal) && is_synced(&galera.status)).count();
    Some(format!("{synced} of {} members Synced in one primary component", wanted.len()))
}

/// Whether clients can use this member.
pub(super) fn serves(status: &Status) -> Option<bool> {
    match (&status.cluster_status, &status.local_state) {
        (ClusterStatus::Primary, LocalState::Synced) => Some(status.ready && status.connected),
        (ClusterStatus::Primary, LocalState::Inconsistent) => Some(false),
        (ClusterStatus::Primary, _) => None,
        _ => Some(false),
    }
}

fn is_primary(status: &Status) -> bool {
    status.cluster_status == ClusterStatus::Primary
}

fn is_synced(status: &Status) -> bool {
    is_primary(status) && status.local_state == LocalState::Synced
}

/// Galera as every server sees it that answered and has it.
fn up<'a>(scene: &Scene<'a>) -> impl Iterator<Item = (Ordinal, &'a Galera)> + use<'a> {
    scene.up().filter_map(|(ordinal, server): (_, &Server)| Some((ordinal, server.galera.as_ref()?)))
}

fn primaries<'a>(scene: &'a Scene) -> Vec<&'a Component> {
    scene.groups.primaries().collect()
}

/// The pods in the view of a component, silent ones included.
fn inside(component: &Component) -> BTreeSet<Ordinal> {
    let silent = component.others.iter().filter_map(|other| match other.who {
        Who::Silent(ordinal) => Some(ordinal),
        Who::Arbitrator | Who::Elsewhere(_) | Who::Stranger => None,
    });
    component.ordinals.iter().copied().chain(silent).collect()
}

fn has_primary(scene: &Scene) -> bool {
    up(scene).any(|(_, galera)| is_primary(&galera.status))
}

/// Pods whose servers may run without our seeing it.
fn unseen(scene: &Scene) -> Vec<Ordinal> {
    let hidden = |ordinal: &Ordinal| {
        matches!(scene.standing(*ordinal), Standing::Unseen(_)) || (scene.standing(*ordinal) == Standing::Hung)
    };
    scene.seen.members.keys().copied().filter(hidden).collect()
}

/// What each of these members says of one thing.
fn say<'a>(scene: &Scene<'a>, mut finding: Finding, what: &str, of: impl Fn(Ordinal, &'a Galera) -> Option<String>) -> Finding {
    for (ordinal, galera) in up(scene) {
        if let Some(value) = of(ordinal, galera) {
            finding = finding.seen(format!("{what} on {}", scene.pod_name(ordinal)), value);
        }
    }
    finding
}

/// The names in a member's own view of the cluster.
fn view(galera: &Galera) -> String {
    galera.view.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Split brain, two clusters, renegotiation, zero UUID: what the primary components are to each other.
fn sets(scene: &Scene) -> Vec<Finding> {
    let mut found = Vec::new();
    let zero: Vec<Ordinal> = up(scene)
        .filter(|(_, galera)| is_primary(&galera.status) && galera.status.cluster_state_uuid.is_nil())
        .map(|(ordinal, _)| ordinal)
        .collect();
    if !zero.is_empty() {
        let names = scene.names(zero.iter().copied());
        let summary = format!("the cluster of {} has a zero UUID: the data of its members was never compared", list(&names));
        let finding = Finding::new(&rule::ZERO_UUID, summary);
        let finding = say(scene, finding, "wsrep_cluster_state_uuid, wsrep_last_committed", |ordinal, galera| {
            let position = galera.status.last_committed.map_or_else(|| "-1".to_owned(), |seqno| seqno.to_string());
            zero.contains(&ordinal).then(|| format!("{}, {position}", galera.status.cluster_state_uuid))
        });
        found.push(finding.about(names));
    }

    let moving = |galera: &Galera| galera.status.evs_state.as_deref().is_some_and(|state| state != "OPERATIONAL");
    let settled = !up(scene).any(|(_, galera)| moving(galera));
    let split = scene.groups.split_brain();
    if !split.is_empty() && settled {
        found.push(split_brain(scene, &split));
    } else if !split.is_empty() || !settled || scene.groups.unsettled() || conf_ids_differ(scene) {
        let finding = Finding::new(&rule::RENEGOTIATING, "membership is being renegotiated: look again in ten seconds");
        let finding = say(scene, finding, "wsrep_evs_state, view", |_, galera| {
            Some(format!("{}; {}", galera.status.evs_state.as_deref().unwrap_or("none"), view(galera)))
        });
        found.push(finding.plugin("status"));
    }
    found
}

/// Whether members of one component have counted a different number of views: one of them is behind in knowing it.
fn conf_ids_differ(scene: &Scene) -> bool {
    scene.groups.primaries().any(|component| {
        let ids: BTreeSet<Option<u64>> = up(scene)
            .filter(|(ordinal, galera)| component.ordinals.contains(ordinal) && is_primary(&galera.status))
            .map(|(_, galera)| galera.status.conf_id)
            .collect();
        ids.len() > 1
    })
}

fn split_brain(scene: &Scene, primaries: &[&Component]) -> Finding {
    let histories: BTreeSet<_> = primaries.iter().map(|component| component.state_uuid).collect();
    let groups: Vec<String> =
        primaries.iter().map(|component| format!("[{}]", list(&scene.names(component.ordinals.iter().copied())))).collect();
    let (rule, what) = if histories.len() > 1 {
        (&rule::TWO_CLUSTERS, "two clusters with different histories")
    } else {
        (&rule::SPLIT_BRAIN, "split brain")
    };
    let finding = Finding::new(rule, format!("{what}: {} are Primary apart from each other", list(&groups)));
    let finding = say(scene, finding, "state UUID, view", |_, galera| {
        is_primary(&galera.status).then(|| format!("{}; {}", galera.status.cluster_state_uuid, view(galera)))
    });
    let all: BTreeSet<Ordinal> = primaries.iter().flat_map(|component| component.ordinals.iter().copied()).collect();
    finding.about(scene.names(all))
}

/// No member that answers is Primary.
fn nobody_primary(scene: &Scene) -> Option<Finding> {
    let answering: Vec<Ordinal> = up(scene).map(|(ordinal, _)| ordinal).collect();
    if answering.is_empty() || has_primary(scene) {
        return None;
    }
    let names = scene.names(answering);
    let hidden = scene.names(unseen(scene));
    let (rule, summary) = if hidden.is_empty() {
        (&rule::NO_PRIMARY, format!("no primary component: {} {} no statements", list(&names), verb(&names, "accepts", "accept")))
    } else {
        let summary = format!("no member that answers is Primary; {} could not be asked and may be", list(&hidden));
        (&rule::NO_PRIMARY_SEEN, summary)
    };
    let finding = say(scene, Finding::new(rule, summary), "wsrep_cluster_status, live members", |_, galera| {
        let live: Vec<&str> = galera.status.incoming_addresses.iter().map(String::as_str).collect();
        Some(format!("{}; {}", status_name(&galera.status), if live.is_empty() { "none".to_owned() } else { live.join(", ") }))
    });
    Some(finding.about(names))
}

fn status_name(status: &Status) -> &str {
    match &status.cluster_status {
        ClusterStatus::Primary => "Primary",
        ClusterStatus::NonPrimary => "non-Primary",
        ClusterStatus::Disconnected => "Disconnected",
        ClusterStatus::Other(other) => other,
    }
}

/// Pods that could not be asked, and that the only primary component does not know.
fn not_in_view(scene: &Scene) -> Option<Finding> {
    let [component] = primaries(scene)[..] else { return None };
    let inside = inside(component);
    let lost: Vec<Ordinal> =
        unseen(scene).into_iter().filter(|ordinal| !inside.contains(ordinal) && !scene.on_bad_node(*ordinal)).collect();
    if lost.is_empty() {
        return None;
    }
    let names = scene.names(lost);
    let finding =
        Finding::new(&rule::NOT_IN_VIEW, format!("the cluster runs without {}, which could not be asked", list(&names)));
    let finding = say(scene, finding, "wsrep_cluster_members", |_, galera| is_primary(&galera.status).then(|| view(galera)));
    Some(finding.kubectl(&format!("logs {} --tail=50", names[0])).about(names))
}

/// Members of a primary component that are no pods of this set.
fn outsiders(scene: &Scene) -> Vec<Finding> {
    let mut found = Vec::new();
    for component in scene.groups.primaries() {
        let who = |who: Who| component.others.iter().filter(move |other| other.who == who);
        let empty_addresses = up(scene)
            .filter(|(ordinal, _)| component.ordinals.contains(ordinal))
            .map(|(_, galera)| galera.status.incoming_addresses.iter().filter(|address| address.is_empty()).count())
            .max();
        let arbitrators = who(Who::Arbitrator).count().max(empty_addresses.unwrap_or(0));
        let views = |finding| {
            say(scene, finding, "wsrep_cluster_members", |ordinal, galera| {
                component.ordinals.contains(&ordinal).then(|| view(galera))
            })
        };
        if arbitrators > 0 {
            let finding =
                Finding::new(&rule::ARBITRATOR, format!("{arbitrators} of the votes come from arbitrators without data"));
            found.push(say(scene, finding, "wsrep_incoming_addresses", |_, galera| {
                Some(galera.status.incoming_addresses.join(","))
            }));
        }
        let strangers: Vec<String> = who(Who::Stranger).map(|member| format!("{} ({})", member.name, member.address)).collect();
        if !strangers.is_empty() {
            let summary = format!("the cluster has members outside of this set: {}", list(&strangers));
            found.push(views(Finding::new(&rule::OUTSIDER, summary)));
        }
    }
    found
}

/// What the loss of one more member would do.
fn votes(scene: &Scene) -> Option<Finding> {
    let [component] = primaries(scene)[..] else { return None };
    let quorum = component.quorum(scene.seen)?;
    let inside = inside(component);
    let wanted: Vec<Ordinal> = scene.wanted().collect();
    let away: Vec<Ordinal> = wanted.iter().copied().filter(|ordinal| !inside.contains(ordinal)).collect();
    let (rule, summary) = if quorum.spare() == 0 && !away.is_empty() {
        let left = wanted.len() - away.len();
        let summary =
            format!("one more loss stops all writes: {left} of {} members are left in the primary component", wanted.len());
        (&rule::MARGIN_GONE, summary)
    } else if away.is_empty() && quorum.total().is_multiple_of(2) {
        (&rule::EVEN_SIZE, format!("the cluster has an even number of votes ({})", quorum.total()))
    } else {
        return None;
    };
    let finding = Finding::new(rule, summary)
        .seen("wsrep_cluster_weight", quorum.total())
        .seen("members that may be lost at one moment", quorum.spare());
    Some(finding.about(scene.names(away)))
}
