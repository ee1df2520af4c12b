//! Proof that the server of an ordinal does not run (safety F1). A silent node is no proof, and neither is a pod that is not
//! there: one that was deleted by force may run on.

use crate::decide::exit::database;
use crate::model::kubernetes::{ContainerState, NodeReady};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

/// What proves that a server is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The kubelet of a Ready node says that the container has ended.
    Ended { container: String, exit_code: i32 },
    /// The node it ran on no longer exists.
    NodeGone(String),
    /// The node carries the taint that says it is off.
    OutOfService(String),
}

/// The proof, if there is one.
#[must_use]
pub fn proof(seen: &Snapshot, ordinal: Ordinal) -> Option<Proof> {
    let member = seen.members.get(&ordinal)?;
    let name = member.pod.as_ref()?.node.as_ref()?;
    let nodes = seen.objects.nodes.known().ok()?;
    let Some(node) = nodes.iter().find(|node| node.name == *name) else { return Some(Proof::NodeGone(name.clone())) };
    if node.is_out_of_service() {
        return Some(Proof::OutOfService(name.clone()));
    }
    let container = database(seen, member).filter(|_| node.ready == NodeReady::Yes)?;
    let end = match &container.state {
        ContainerState::Terminated(end) => end,
        ContainerState::Waiting { .. } => container.last_end.as_ref()?,
        ContainerState::Running { .. } | ContainerState::Unreported => return None,
    };
    Some(Proof::Ended { container: container.name.clone(), exit_code: end.exit_code })
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended { container, exit_code } => {
                write!(f, "its node says that the container {container} has ended (exit code {exit_code})")
            }
            Self::NodeGone(node) => write!(f, "its node {node} no longer exists"),
            Self::OutOfService(node) => write!(f, "its node {node} is marked out of service"),
        }
    }
}
