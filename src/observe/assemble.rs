//! From the objects of a namespace, or of all, to snapshots whose members have not been asked yet.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::{ContainerState, Pod, StatefulSet};
use crate::model::manager::Manager;
use crate::model::names::{Ordinal, Target};
use crate::model::snapshot::{Member, Objects, Snapshot};

/// The snapshot of one set from its own pods. Servers and files of members with a running database container are
/// `NotAsked`; of all others it is known why nobody can be asked.
#[must_use]
pub fn snapshot(set: StatefulSet, pods: Vec<Pod>, taken: Timestamp) -> Snapshot {
    let mut by_ordinal: BTreeMap<Ordinal, Pod> =
        pods.into_iter().filter_map(|pod| Some((Ordinal::of_pod(&set.name, &pod.name)?, pod))).collect();
    let ordinals: Vec<Ordinal> = set.wanted().chain(by_ordinal.keys().copied().filter(|ordinal| !set.wants(*ordinal))).collect();
    let members = ordinals.into_iter().map(|ordinal| (ordinal, member(&set, ordinal, by_ordinal.remove(&ordinal)))).collect();
    let target = Target { namespace: set.namespace.clone(), name: set.name.clone() };
    Snapshot {
        taken,
        target,
        objects: Objects {
            claims: Fact::Unknown(Why::NotAsked),
            services: Fact::Unknown(Why::NotAsked),
            endpoint_slices: Fact::Unknown(Why::NotAsked),
            nodes: Fact::Unknown(Why::NotAsked),
            events: Fact::Unknown(Why::NotAsked),
            manager: Manager::of(&set, Fact::Unknown(Why::NotAsked)),
            stateful_set: set,
        },
        members,
        last_starts: BTreeMap::new(),
    }
}

pub(super) fn member(set: &StatefulSet, ordinal: Ordinal, pod: Option<Pod>) -> Member {
    let why = match &pod {
        None => Why::NotRunning(format!("there is no pod {}", ordinal.pod(&set.name))),
        Some(pod) => not_running(set, pod).map_or(Why::NotAsked, Why::NotRunning),
    };
    Member { pod, server: Fact::Unknown(why.clone()), files: Fact::Unknown(why) }
}

/// Why the database container of a pod cannot be asked; `None`: it runs.
fn not_running(set: &StatefulSet, pod: &Pod) -> Option<String> {
    if pod.node.is_none() {
        let why = pod.unscheduled.as_deref().unwrap_or("the scheduler has not chosen a node yet");
        return Some(format!("the pod is not on any node: {why}"));
    }
    let name = &set.layout.container;
    let Some(container) = pod.containers.iter().find(|container| container.name == *name) else {
        return Some(format!("the node has not reported container {name} yet"));
    };
    match &container.state {
        ContainerState::Running { .. } => None,
        ContainerState::Waiting { reason, message } if message.is_empty() => Some(format!("container {name} waits: {reason}")),
        ContainerState::Waiting { reason, message } => Some(format!("container {name} waits: {reason} ({message})")),
        ContainerState::Terminated(end) => {
            Some(format!("container {name} has ended: {} (exit code {})", end.reason, end.exit_code))
        }
        ContainerState::Unreported => Some(format!("the node has not reported the state of container {name} yet")),
    }
}
