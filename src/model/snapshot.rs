//! Everything one look has seen.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::fact::Fact;
use super::kubernetes::{Claim, EndpointSlice, Event, Node, Pod, Service, StatefulSet};
use super::names::{Ordinal, Target};
use super::server::Server;

/// One look at one cluster. Fixtures, bundles and replay are this value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    pub taken: Timestamp,
    pub target: Target,
    pub objects: Objects,
    /// Every ordinal the set wants, and every pod of the set beyond them.
    pub members: BTreeMap<Ordinal, Member>,
}

/// What the API server said. Everything but the StatefulSet is an extra: a missing right shows as unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Objects {
    pub stateful_set: StatefulSet,
    pub claims: Fact<Vec<Claim>>,
    pub services: Fact<Vec<Service>>,
    pub endpoint_slices: Fact<Vec<EndpointSlice>>,
    pub nodes: Fact<Vec<Node>>,
    pub events: Fact<Vec<Event>>,
}

/// One ordinal: what Kubernetes says of its pod and volume, what the server says, what the files say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// `None`: there is no pod of this ordinal.
    pub pod: Option<Pod>,
    pub server: Fact<Server>,
    pub files: Fact<Disk>,
}

impl Snapshot {
    /// The pod name of an ordinal.
    #[must_use]
    pub fn pod_name(&self, ordinal: Ordinal) -> String {
        ordinal.pod(&self.target.name)
    }

    /// Members the set wants to run now, `[start, start + replicas)`.
    pub fn expected(&self) -> impl Iterator<Item = (Ordinal, &Member)> {
        let set = &self.objects.stateful_set;
        self.members.iter().map(|(ordinal, member)| (*ordinal, member)).filter(|(ordinal, _)| set.wants(*ordinal))
    }
}
