//! Everything one look has seen.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::fact::Fact;
use super::kubernetes::{Claim, EndpointSlice, Event, Node, Pod, Service, StatefulSet};
use super::manager::Manager;
use super::names::{Ordinal, Target};
use super::recovered::LastStart;
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
    /// Of Galera members that crash beside a primary component: how their latest run ended, as far as its log tells. An extra.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub last_starts: BTreeMap<Ordinal, Fact<Option<LastStart>>>,
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
    pub manager: Manager,
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

    /// The ordinal a host name or IP belongs to: `db-0`, `db-0.SERVICE`, `db-0.SERVICE.NAMESPACE.svc…`. A pod of that name in
    /// another namespace is somebody else.
    #[must_use]
    pub fn ordinal_at(&self, host: &str) -> Option<Ordinal> {
        let mut labels = host.split('.');
        let pod = labels.next().and_then(|name| Ordinal::of_pod(&self.target.name, name));
        let here = labels.next().is_none_or(|service| service == self.objects.stateful_set.service_name)
            && labels.next().is_none_or(|namespace| namespace == self.target.namespace);
        let is_ip = |member: &Member| member.pod.as_ref().is_some_and(|pod| pod.ip.as_deref() == Some(host));
        let by_ip = || self.members.iter().find(|(_, member)| is_ip(member)).map(|(ordinal, _)| *ordinal);
        pod.filter(|ordinal| here && self.members.contains_key(ordinal)).or_else(by_ip)
    }

    /// Members the set wants to run now, `[start, start + replicas)`.
    pub fn expected(&self) -> impl Iterator<Item = (Ordinal, &Member)> {
        let set = &self.objects.stateful_set;
        self.members.iter().map(|(ordinal, member)| (*ordinal, member)).filter(|(ordinal, _)| set.wants(*ordinal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{healthy_galera, healthy_replication, moment, zero_uuid};

    #[test]
    fn a_host_is_a_pod_by_its_name_here_or_its_ip() {
        let seen = healthy_galera();
        for host in ["db-1", "db-1.db", "db-1.db.shop", "db-1.db.shop.svc.cluster.local", "127.0.0.12"] {
            assert_eq!(seen.ordinal_at(host), Some(Ordinal(1)), "{host}");
        }
        for host in ["", "db", "db-7", "db-1.db.other.svc", "db-1.example.org", "10.0.0.1", "db-01"] {
            assert_eq!(seen.ordinal_at(host), None, "{host}");
        }
    }

    #[test]
    fn a_snapshot_survives_being_written_down() {
        for seen in [healthy_galera(), healthy_replication(), zero_uuid(), moment(["killed-1s-n1", "-", "-"])] {
            let text = serde_json::to_string(&seen).unwrap();
            assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), seen);
        }
    }
}
