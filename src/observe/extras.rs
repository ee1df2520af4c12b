//! Facts that make the picture richer and that nobody has to be allowed to read.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::{joined, within};
use crate::api::Api;
use crate::api::objects::{
    ByNamespace, OwnScope, Scope, get_nodes, is_about, list_claims, list_endpoint_slices, list_events, list_nodes, list_services,
};
use crate::model::fact::Fact;
use crate::model::kubernetes::{Claim, EndpointSlice, Event, Node, Service, StatefulSet};
use crate::model::snapshot::Snapshot;

/// Lists under way beside the needed requests. They never hold the look at the pods up.
pub struct Extras {
    claims: JoinHandle<Fact<ByNamespace<Claim>>>,
    services: JoinHandle<Fact<ByNamespace<Service>>>,
    slices: JoinHandle<Fact<ByNamespace<EndpointSlice>>>,
    events: JoinHandle<Fact<ByNamespace<Event>>>,
}

/// What the lists brought.
pub struct Found {
    pub claims: Fact<ByNamespace<Claim>>,
    pub services: Fact<ByNamespace<Service>>,
    pub slices: Fact<ByNamespace<EndpointSlice>>,
    pub events: Fact<ByNamespace<Event>>,
}

impl Extras {
    /// Starts all lists.
    pub fn ask(api: &Api, scope: Scope<'_>) -> Self {
        let scope = OwnScope::from(scope);
        macro_rules! start {
            ($list:ident) => {{
                let (api, scope) = (api.clone(), scope.clone());
                tokio::spawn(async move { $list(&api, scope.get()).await })
            }};
        }
        Self {
            claims: start!(list_claims),
            services: start!(list_services),
            slices: start!(list_endpoint_slices),
            events: start!(list_events),
        }
    }

    /// Waits for all of them, `limit` at most.
    pub async fn wait(self, limit: Duration) -> Found {
        let (claims, services, slices, events) = tokio::join!(
            within(limit, joined(self.claims)),
            within(limit, joined(self.services)),
            within(limit, joined(self.slices)),
            within(limit, joined(self.events)),
        );
        Found { claims, services, slices, events }
    }
}

impl Found {
    /// Gives a snapshot what is about its own set.
    pub fn share(&self, snapshot: &mut Snapshot) {
        let namespace = snapshot.target.namespace.clone();
        let set = &snapshot.objects.stateful_set;
        let pods: BTreeSet<String> = snapshot.members.keys().map(|ordinal| ordinal.pod(&set.name)).collect();
        let mounted: BTreeSet<&String> =
            snapshot.members.values().filter_map(|member| member.pod.as_ref()).flat_map(|pod| &pod.claims).collect();
        // Also of pods that are gone, and what mariadb-operator copies new replicas from.
        let is_temporary =
            |name: &str| name.strip_prefix(set.name.as_str()).is_some_and(|rest| matches!(rest, "-pb-scaleout" | "-pb-recovery"));
        let found_claims = own(&self.claims, &namespace, |claim| {
            set.ordinal_of_claim(&claim.name).is_some() || mounted.contains(&claim.name) || is_temporary(&claim.name)
        });
        let slices = own(&self.slices, &namespace, |slice| slice.endpoints.keys().any(|pod| pods.contains(pod)));
        let services = own(&self.services, &namespace, |service| reaches(service, set));
        let events = own(&self.events, &namespace, |event| is_about(event, set));
        let objects = &mut snapshot.objects;
        objects.claims = found_claims;
        objects.endpoint_slices = slices;
        objects.services = services;
        objects.events = events;
    }
}

/// A Service reaches pods of the set: it is the set's own, or it selects by a label the set selects by.
fn reaches(service: &Service, set: &StatefulSet) -> bool {
    let agrees = |(key, value): (&String, &String)| set.selector.get(key).map(|own| own == value);
    let labels: Vec<bool> = service.selector.iter().filter_map(agrees).collect();
    service.name == set.service_name || (!labels.is_empty() && labels.into_iter().all(|same| same))
}

fn own<T: Clone>(all: &Fact<ByNamespace<T>>, namespace: &str, mine: impl Fn(&T) -> bool) -> Fact<Vec<T>> {
    match all {
        Fact::Known(found) => {
            Fact::Known(found.get(namespace).into_iter().flatten().filter(|object| mine(object)).cloned().collect())
        }
        Fact::Unknown(why) => Fact::Unknown(why.clone()),
    }
}

/// The nodes of one cluster's pods.
pub async fn nodes(api: &Api, names: Vec<String>, limit: Duration) -> Fact<Vec<Node>> {
    within(limit, get_nodes(api, names.iter().map(String::as_str))).await
}

/// All nodes, for many clusters.
pub async fn all_nodes(api: &Api, limit: Duration) -> Fact<Vec<Node>> {
    within(limit, list_nodes(api)).await
}
