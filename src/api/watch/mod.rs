//! Objects that are listed once and then followed: what is in memory is what the API server has, a moment later.
//!
//! One task per kind of objects: a list, then watches from where the last one ended. A version that the API server has
//! forgotten (410) is a new list. What breaks on the way is waited for ([`Reach`]) or tried again with growing pauses; what
//! was seen last stays until then.

mod following;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Notify;

use crate::model::fact::{Fact, Lost, Why};
use crate::model::kubernetes::{Claim, EndpointSlice, Event, Node, Service, StatefulSet};
use crate::model::operator::{ApiGroup, OperatorView};
use crate::process::Clock;

use self::following::Following;
use super::objects::{ByNamespace, OwnedPod, Pods, Scope, served};
use super::reach::Reach;
use super::{Api, raw};

/// Namespace and name.
type Key = (String, String);

/// What every task needs.
#[derive(Clone)]
pub struct Watcher {
    pub api: Api,
    pub reach: Reach,
    pub clock: Clock,
    /// Told after every change.
    pub changed: Arc<Notify>,
}

/// The objects of one kind as of now. Dropping it ends the watch.
pub struct Followed<T> {
    state: Arc<Mutex<State<T>>>,
    task: tokio::task::JoinHandle<()>,
}

struct State<T> {
    objects: BTreeMap<Key, T>,
    /// Why there are none: not listed yet, or no right to.
    unknown: Option<Why>,
    /// The API server answers something else than objects, although it did before.
    lost: Option<Lost>,
    /// Since something was heard last.
    failures: u32,
}

impl<T> Drop for Followed<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T: Clone> Followed<T> {
    /// Whether there has been an answer, be it a refusal.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.state().unknown != Some(Why::NotAsked)
    }

    /// Why there are none.
    #[must_use]
    pub fn unknown(&self) -> Option<Why> {
        self.state().unknown.clone()
    }

    /// All of them, by namespace and name.
    #[must_use]
    pub fn all(&self) -> Fact<Vec<T>> {
        let state = self.state();
        match &state.unknown {
            None => Fact::Known(state.objects.values().cloned().collect()),
            Some(why) => Fact::Unknown(why.clone()),
        }
    }

    #[must_use]
    pub fn by_namespace(&self) -> Fact<ByNamespace<T>> {
        let state = self.state();
        if let Some(why) = &state.unknown {
            return Fact::Unknown(why.clone());
        }
        let mut found = ByNamespace::new();
        for ((namespace, _), object) in &state.objects {
            found.entry(namespace.clone()).or_default().push(object.clone());
        }
        Fact::Known(found)
    }

    /// Since when, and why, nothing new is heard of them.
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        self.state().lost.clone()
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        locked(&self.state)
    }
}

fn locked<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which objects, and how to read one.
struct What<T> {
    group: &'static str,
    resource: &'static str,
    namespace: Option<String>,
    labels: Option<String>,
    fields: Option<String>,
    read: fn(Value) -> Result<Option<T>, serde_json::Error>,
}

impl Watcher {
    /// The StatefulSets that run MariaDB: one by its name, or those a label selector finds.
    #[must_use]
    pub fn stateful_sets(&self, scope: Scope<'_>, name: Option<&str>, labels: Option<&str>) -> Followed<StatefulSet> {
        self.follow(What {
            group: "/apis/apps/v1",
            resource: "statefulsets",
            namespace: scope.namespace().map(str::to_owned),
            labels: labels.map(str::to_owned),
            fields: name.map(|name| format!("metadata.name={name}")),
            read: |object| Ok(from_value::<raw::StatefulSet>(object)?.into_model()),
        })
    }

    #[must_use]
    pub fn pods(&self, scope: Scope<'_>, which: &Pods<'_>) -> Followed<OwnedPod> {
        let read = |object| Ok(from_value::<raw::Pod>(object)?.into_model().map(second));
        self.follow(What { labels: Some(which.selector()), ..whole("/api/v1", "pods", scope, read) })
    }

    #[must_use]
    pub fn claims(&self, scope: Scope<'_>) -> Followed<Claim> {
        self.follow(whole("/api/v1", "persistentvolumeclaims", scope, |object| {
            Ok(from_value::<raw::Claim>(object)?.into_model().map(second))
        }))
    }

    #[must_use]
    pub fn services(&self, scope: Scope<'_>) -> Followed<Service> {
        self.follow(whole("/api/v1", "services", scope, |object| {
            Ok(from_value::<raw::Service>(object)?.into_model().map(second))
        }))
    }

    #[must_use]
    pub fn endpoint_slices(&self, scope: Scope<'_>) -> Followed<EndpointSlice> {
        self.follow(whole("/apis/discovery.k8s.io/v1", "endpointslices", scope, |object| {
            Ok(from_value::<raw::EndpointSlice>(object)?.into_model().map(second))
        }))
    }

    /// Events that may tell of trouble.
    #[must_use]
    pub fn events(&self, scope: Scope<'_>) -> Followed<Event> {
        let read = |object| Ok(from_value::<raw::Event>(object)?.into_model().map(second));
        self.follow(What { fields: Some(super::objects::telling()), ..whole("/api/v1", "events", scope, read) })
    }

    /// The `MariaDB` objects of one group of mariadb-operator.
    #[must_use]
    pub fn operator_views(&self, scope: Scope<'_>, group: ApiGroup) -> Followed<OperatorView> {
        fn of(object: Value, group: ApiGroup) -> Result<Option<OperatorView>, serde_json::Error> {
            Ok(Some(from_value::<raw::MariaDb>(object)?.into_model(group)))
        }
        let read: fn(Value) -> Result<Option<OperatorView>, serde_json::Error> = match group {
            ApiGroup::MariaDb => |object| of(object, ApiGroup::MariaDb),
            ApiGroup::Enterprise => |object| of(object, ApiGroup::Enterprise),
            ApiGroup::Mmontes => |object| of(object, ApiGroup::Mmontes),
            ApiGroup::FirstMmontes => |object| of(object, ApiGroup::FirstMmontes),
        };
        self.follow(whole(served(group), "mariadbs", scope, read))
    }

    /// One node, or all.
    #[must_use]
    pub fn nodes(&self, name: Option<&str>) -> Followed<Node> {
        let read = |object| Ok(Some(from_value::<raw::Node>(object)?.into_model()));
        let fields = name.map(|name| format!("metadata.name={name}"));
        self.follow(What { fields, ..whole("/api/v1", "nodes", Scope::AllNamespaces, read) })
    }

    fn follow<T: Send + 'static>(&self, what: What<T>) -> Followed<T> {
        let state = State { objects: BTreeMap::new(), unknown: Some(Why::NotAsked), lost: None, failures: 0 };
        let state = Arc::new(Mutex::new(state));
        let following = Following { watcher: self.clone(), what, state: Arc::clone(&state) };
        Followed { state, task: tokio::spawn(following.run()) }
    }
}

fn whole<T>(
    group: &'static str,
    resource: &'static str,
    scope: Scope<'_>,
    read: fn(Value) -> Result<Option<T>, serde_json::Error>,
) -> What<T> {
    What { group, resource, namespace: scope.namespace().map(str::to_owned), labels: None, fields: None, read }
}

fn from_value<T: DeserializeOwned>(object: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(object)
}

fn second<A, B>((_, object): (A, B)) -> B {
    object
}
