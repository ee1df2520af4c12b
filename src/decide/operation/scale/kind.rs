//! Clusters and numbers that are not scaled, and what to do instead.

use crate::decide::operation::operator;
use crate::decide::operation::plan::{Range, Refusal};
use crate::decide::operation::preflight::MOST_ORDINALS;
use crate::decide::rules::operations as rules;
use crate::model::operator::{Mode, OperatorView};
use crate::model::snapshot::Snapshot;
use crate::model::topology::Topology;

use super::left;

pub fn other_number(seen: &Snapshot, now: Range, expected: u32) -> Refusal {
    let name = &seen.target.name;
    let summary = format!("{name} has {} now, not {expected}", super::members(now.replicas));
    Refusal::new(&rules::OTHER_NUMBER, summary)
        .because([format!("spec.replicas: {}", now.replicas)])
        .plugin(&format!("status {name}"))
}

pub fn to_zero(seen: &Snapshot) -> Refusal {
    let name = &seen.target.name;
    let summary = format!("{name} is not scaled to 0: that is a stop, which records and verifies the last member");
    Refusal::new(&rules::TO_ZERO, summary).plugin(&format!("stop {name}"))
}

pub fn too_many(seen: &Snapshot, replicas: u32) -> Refusal {
    let summary = format!(
        "{} is not scaled to {}: members above ordinal {} are not handled",
        seen.target.name,
        replicas,
        MOST_ORDINALS - 1
    );
    Refusal::new(&rules::NOT_SCALED, summary).because([format!("spec.ordinals.start: {}", seen.objects.stateful_set.start)])
}

/// Fewer replicas than a scale-in was to leave. Their volumes may be old by now: each new one gets a copy, by a command of its own.
pub fn fewer_already(seen: &Snapshot, replicas: u32) -> Refusal {
    let name = &seen.target.name;
    let summary =
        format!("{name} has fewer replicas by now than the {replicas} that this scale-in was to leave, and it adds none");
    Refusal::new(&rules::NO_SEED, summary)
        .because([format!("spec.replicas: {}", seen.objects.stateful_set.replicas)])
        .plugin(&format!("operation abort {name}"))
        .plugin(&format!("scale {name} --replicas {replicas}"))
}

/// What more or fewer pods would not make a larger or smaller cluster of (safety D2).
pub fn not_scaled(seen: &Snapshot, topology: &Topology, replicas: u32) -> Refusal {
    let name = &seen.target.name;
    match topology {
        Topology::Single => {
            let summary = format!("{name} is a single server: another pod would be another database, writable and empty");
            let refusal = Refusal::new(&rules::NOT_SCALED, summary);
            let left = super::kept(seen);
            if left.is_empty() {
                return refusal;
            }
            // It may have had replicas; they come back where each new ordinal up to the last has its volumes.
            let now = Range::of(&seen.objects.stateful_set);
            let reused = (now.replicas + 1..=replicas).rev().find(|replicas| left::there(seen, now, *replicas) == Ok(true));
            let refusal = refusal.because(left.iter().map(|pod| format!("there still are volumes of {pod}")));
            match reused {
                Some(replicas) => refusal.plugin(&format!("scale {name} --replicas {replicas} --reuse-pvcs")),
                None => refusal,
            }
        }
        Topology::Independent | Topology::Galera | Topology::Replication { .. } | Topology::Unknown { .. } => {
            let summary =
                format!("the servers of {name} do not know each other: each has rows of its own, and a new one would have none");
            Refusal::new(&rules::NOT_SCALED, summary).plugin(&format!("status {name}"))
        }
    }
}

/// A cluster of mariadb-operator that cannot be stepped through from here (safety F5). It is told by its own object, never by the
/// scale subresource, which skips its checks (F4a). Replicas it adds and removes one at a time: [`super::operated`].
pub fn operated(seen: &Snapshot, now: Range, replicas: u32) -> Option<Refusal> {
    let view = operator::view(seen)?;
    if view.spec.mode == Mode::Replication && replicas >= 2 {
        return None;
    }
    let name = &seen.target.name;
    let because = match view.spec.mode {
        Mode::Galera => {
            "mariadb-operator starts or removes all members of the difference at once, and then restarts every other one"
                .to_owned()
        }
        Mode::Replication => "a replicating cluster of mariadb-operator has two servers at least".to_owned(),
        Mode::Standalone => "the MariaDB object asks for one server without replication".to_owned(),
    };
    let summary = format!("{name} belongs to mariadb-operator, which scales it itself, not one member at a time");
    let refusal = Refusal::new(&rules::OPERATOR_SCALES, summary).because([because]);
    let refusal = refusal.because(obstacles(seen, view, now, replicas));
    let Some((replicas, even)) = asked(view, now, replicas) else { return Some(refusal.plugin(&format!("status {name}"))) };
    let even = if even { ",\"replicasAllowEvenNumber\":true" } else { "" };
    let patch = format!("{{\"spec\":{{\"replicas\":{replicas}{even}}}}}");
    Some(refusal.kubectl(&format!("patch mariadbs.{} {} --type=merge -p {patch}", view.group.name(), view.name)))
}

/// What to ask the operator for: how many replicas, and whether even numbers have to be allowed. `None`: it would refuse it.
fn asked(view: &OperatorView, now: Range, replicas: u32) -> Option<(u32, bool)> {
    if replicas < 2 || replicas == now.replicas || view.spec.primary_index.is_some_and(|primary| primary.0 >= replicas) {
        return None;
    }
    match view.spec.mode {
        Mode::Galera => Some((replicas, replicas.is_multiple_of(2))),
        Mode::Replication | Mode::Standalone => None,
    }
}

fn obstacles(seen: &Snapshot, view: &OperatorView, now: Range, replicas: u32) -> Vec<String> {
    let mut obstacles = Vec::new();
    if view.spec.suspended {
        obstacles.push("spec.suspend of the MariaDB object: true, so it does nothing now".to_owned());
    }
    if replicas < 2 && view.spec.mode != Mode::Standalone {
        obstacles.push(format!("mariadb-operator refuses {replicas} on a cluster"));
    }
    if let Some(primary) = view.spec.primary_index.filter(|primary| primary.0 >= replicas && replicas > 0) {
        obstacles.push(format!("the primary {} would be removed: mariadb-operator refuses that", seen.pod_name(primary)));
    }
    let set = &seen.objects.stateful_set;
    let stale = seen.objects.claims.known().into_iter().flatten().filter(|claim| {
        let ordinal = set.ordinal_of_claim(&claim.name);
        ordinal.is_some_and(|ordinal| (now.end()..now.with(replicas).end()).contains(&ordinal.0))
    });
    obstacles.extend(stale.map(|claim| format!("the volume claim {} is there already: it would be reused as it is", claim.name)));
    obstacles
}
