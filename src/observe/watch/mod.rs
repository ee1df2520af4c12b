//! Looks at clusters without end: objects are followed, pods are asked through sessions, and every change is a new view.

mod asking;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use crate::api::objects::{OwnedPod, Pods, Scope};
use crate::api::reach::Reach;
use crate::api::watch::{Followed, Watcher};
use crate::api::{Api, PodRef};
use crate::model::fact::{Fact, Lost, Why};
use crate::model::kubernetes::{Claim, ContainerState, EndpointSlice, Event, Node, Owner, Service, StatefulSet};
use crate::model::manager::Manager;
use crate::model::names::Target;
use crate::model::operator::{ApiGroup, OperatorView};
use crate::model::snapshot::{Member, Snapshot};

use super::extras::Found;
use super::{Depth, assemble, pods_of};
use asking::{Asking, Pace};

/// Sessions kept open at once. With more pods than that, each look is an exec of its own.
const SESSIONS: usize = 32;
/// Execs under way at once, and at most so many a second, when there are more pods than sessions.
const LOOKS: usize = 8;
const LOOKS_A_SECOND: u32 = 10;
/// How long news may wait for the first sample of a container that has just started.
const NEW_POD: Duration = Duration::from_millis(400);
/// What changes within this time is one change.
const TOGETHER: Duration = Duration::from_millis(30);

/// Which clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// One, with the labels that its set selects pods by.
    One { target: Target, selector: BTreeMap<String, String> },
    /// All of a namespace or of all namespaces, or those with these labels of their own.
    Many { namespace: Option<String>, labels: Option<String> },
}

impl Watched {
    /// One set, known from a look at it.
    #[must_use]
    pub fn one(set: &StatefulSet) -> Self {
        let target = Target { namespace: set.namespace.clone(), name: set.name.clone() };
        Self::One { target, selector: set.selector.clone() }
    }

    fn scope(&self) -> Scope<'_> {
        match self {
            Self::One { target, .. } => Scope::Namespace(&target.namespace),
            Self::Many { namespace, .. } => namespace.as_deref().map_or(Scope::AllNamespaces, Scope::Namespace),
        }
    }
}

/// What is known at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// By namespace and name.
    pub clusters: Vec<Snapshot>,
    /// The API server is silent: this is what was seen last.
    pub lost: Option<Lost>,
    /// The right without which nothing can be seen.
    pub forbidden: Option<String>,
}

/// Clusters under watch. Dropping it ends every request.
pub struct Watching {
    views: tokio::sync::watch::Receiver<Option<View>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watching {
    /// Begins; `every` is the time from one sample of a server to the next, where a session can be kept open.
    #[must_use]
    pub fn start(api: &Api, watched: &Watched, depth: Depth, every: Duration) -> Self {
        let (sender, views) = tokio::sync::watch::channel(None);
        let mut engine = Engine::new(api, watched, depth, every);
        let task = tokio::spawn(async move {
            loop {
                let view = engine.next().await;
                if sender.send(Some(view)).is_err() {
                    return;
                }
            }
        });
        Self { views, task }
    }

    /// The first complete view, or what there is when the pods' time is over; then, at each call, the newest after a change.
    /// Nothing is missed when the call is given up.
    pub async fn next(&mut self) -> View {
        loop {
            // The sender lives as long as the task, and the task as long as this.
            if self.views.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(view) = self.views.borrow_and_update().clone() {
                return view;
            }
        }
    }
}

struct Engine {
    watcher: Watcher,
    depth: Depth,
    every: Duration,
    objects: Objects,
    nodes: Nodes,
    /// Of the groups that own a set.
    operators: BTreeMap<ApiGroup, Followed<OperatorView>>,
    scope: Option<String>,
    asking: BTreeMap<PodKey, Asking>,
    permits: Arc<Semaphore>,
    reached: tokio::sync::watch::Receiver<Option<Lost>>,
    /// The last view while the API server answered.
    last: Option<View>,
}

struct Objects {
    sets: Followed<StatefulSet>,
    pods: Followed<OwnedPod>,
    claims: Followed<Claim>,
    services: Followed<Service>,
    slices: Followed<EndpointSlice>,
    events: Followed<Event>,
}

/// Of one cluster only its own nodes: there may be thousands.
enum Nodes {
    Own(BTreeMap<String, Followed<Node>>),
    All(Followed<Node>),
}

/// A container that is asked: another run of it is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PodKey {
    pod: PodRef,
    uid: String,
    restarts: u32,
    since: Option<Timestamp>,
}

impl Engine {
    fn new(api: &Api, watched: &Watched, depth: Depth, every: Duration) -> Self {
        let reach = Reach::new(api, depth.clock);
        let reached = reach.follow();
        let watcher = Watcher { api: api.clone(), reach, clock: depth.clock, changed: Arc::new(Notify::new()) };
        let scope = watched.scope();
        let (sets, pods, nodes) = match watched {
            Watched::One { target, selector } => {
                let own: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let own = own.join(",");
                let pods = if own.is_empty() { Pods::OfAnySet } else { Pods::Selected(&own) };
                let sets = watcher.stateful_sets(scope, Some(&target.name), None);
                (sets, watcher.pods(scope, &pods), Nodes::Own(BTreeMap::new()))
            }
            Watched::Many { labels, .. } => {
                let sets = watcher.stateful_sets(scope, None, labels.as_deref());
                (sets, watcher.pods(scope, &Pods::OfAnySet), Nodes::All(watcher.nodes(None)))
            }
        };
        let objects = Objects {
            sets,
            pods,
            claims: watcher.claims(scope),
            services: watcher.services(scope),
            slices: watcher.endpoint_slices(scope),
            events: watcher.events(scope),
        };
        let permits = Arc::new(Semaphore::new(LOOKS));
        let scope = scope.namespace().map(str::to_owned);
        let (operators, asking) = (BTreeMap::new(), BTreeMap::new());
        Self { watcher, depth, every, objects, nodes, operators, scope, asking, permits, reached, last: None }
    }

    async fn next(&mut self) -> View {
        if self.last.is_none() {
            return self.first().await;
        }
        self.change().await;
        let deadline = Instant::now() + NEW_POD;
        loop {
            let view = self.view();
            if view.lost.is_some() || self.has_asked(&view) || Instant::now() >= deadline {
                return view;
            }
            // That it was not asked yet is true of every new container for a moment, and no news.
            drop(timeout_at(deadline, self.change()).await);
        }
    }

    async fn first(&mut self) -> View {
        // Objects have the limits of their requests; the pods' time starts when it is known which there are.
        let mut deadline = None;
        loop {
            let view = self.view();
            let known = self.objects.sets.is_known() && self.objects.pods.is_known();
            let lost = view.lost.is_some();
            if lost || (known && self.is_complete(&view)) || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                self.last = Some(view.clone());
                return view;
            }
            if known && deadline.is_none() {
                deadline = Some(Instant::now() + self.depth.pod_timeout + Duration::from_millis(200));
            }
            match deadline {
                Some(deadline) => drop(timeout_at(deadline, self.change()).await),
                None => self.change().await,
            }
        }
    }

    fn is_complete(&self, view: &View) -> bool {
        let Objects { claims, services, slices, events, .. } = &self.objects;
        let nodes = match &self.nodes {
            Nodes::Own(nodes) => nodes.values().all(Followed::is_known),
            Nodes::All(nodes) => nodes.is_known(),
        };
        let extras = claims.is_known() && services.is_known() && slices.is_known() && events.is_known();
        extras && nodes && self.operators.values().all(Followed::is_known) && self.has_asked(view)
    }

    /// Whether every server that can be asked has been.
    fn has_asked(&self, view: &View) -> bool {
        !self.depth.exec || !view.clusters.iter().flat_map(|snapshot| snapshot.members.values()).any(is_askable)
    }

    async fn change(&mut self) {
        let changed = Arc::clone(&self.watcher.changed);
        tokio::select! {
            () = changed.notified() => sleep(TOGETHER).await,
            _ = self.reached.changed() => {}
        }
    }

    /// What is known now. Starts to ask pods that are new, and stops to ask those that are gone.
    fn view(&mut self) -> View {
        let lost = self.lost();
        if let (Some(lost), Some(last)) = (&lost, &self.last) {
            return View { lost: Some(lost.clone()), ..last.clone() };
        }
        let now = self.depth.clock.now();
        let mut clusters = self.snapshots(now);
        self.ask(&mut clusters);
        self.share(&mut clusters);
        let view = View { clusters, lost, forbidden: self.forbidden() };
        if self.last.is_some() {
            self.last = Some(view.clone());
        }
        view
    }

    /// The API server cannot be reached, or does not say what is needed.
    fn lost(&self) -> Option<Lost> {
        let Objects { sets, pods, .. } = &self.objects;
        self.watcher.reach.lost().or_else(|| sets.lost()).or_else(|| pods.lost())
    }

    fn forbidden(&self) -> Option<String> {
        let whys = [self.objects.sets.unknown(), self.objects.pods.unknown()];
        whys.into_iter().flatten().find_map(|why| if let Why::Forbidden(right) = why { Some(right) } else { None })
    }

    fn snapshots(&self, now: Timestamp) -> Vec<Snapshot> {
        let (Fact::Known(sets), Fact::Known(mut pods)) = (self.objects.sets.all(), self.objects.pods.by_namespace()) else {
            return Vec::new();
        };
        let snapshot = |set: StatefulSet| {
            let (own, others) = pods
                .remove(&set.namespace)
                .unwrap_or_default()
                .into_iter()
                .partition::<Vec<_>, _>(|pod| pod.controller.as_ref() == Some(&set.uid));
            pods.insert(set.namespace.clone(), others);
            let own = pods_of(&set, own.into_iter());
            assemble::snapshot(set, own, now)
        };
        sets.into_iter().map(snapshot).collect()
    }

    /// Gives members that can be asked their newest sample.
    fn ask(&mut self, clusters: &mut [Snapshot]) {
        if !self.depth.exec {
            return;
        }
        let running = |snapshot: &Snapshot| snapshot.members.values().filter(|member| is_askable(member)).count();
        let total: usize = clusters.iter().map(running).sum();
        let pace = if total <= SESSIONS {
            Pace::Session(self.every)
        } else {
            let every = Duration::from_secs(1) * u32::try_from(total).unwrap_or(u32::MAX) / LOOKS_A_SECOND;
            Pace::Looks { every, permits: Arc::clone(&self.permits) }
        };
        let mut wanted = BTreeSet::new();
        for snapshot in clusters {
            let layout = snapshot.objects.stateful_set.layout.clone();
            for member in snapshot.members.values_mut().filter(|member| is_askable(member)) {
                let Some(pod) = &member.pod else { continue };
                let Some(container) = pod.containers.iter().find(|container| container.name == layout.container) else {
                    continue;
                };
                let ContainerState::Running { since } = container.state else { continue };
                let place = PodRef {
                    namespace: snapshot.target.namespace.clone(),
                    name: pod.name.clone(),
                    container: layout.container.clone(),
                };
                let key = PodKey { pod: place.clone(), uid: pod.uid.clone(), restarts: container.restarts, since };
                let asking = self
                    .asking
                    .entry(key.clone())
                    .or_insert_with(|| Asking::start(&self.watcher, place, &layout, self.depth, pace.clone()));
                if let Some(sample) = asking.last() {
                    member.server = sample.server;
                    member.files = sample.files;
                }
                wanted.insert(key);
            }
        }
        self.asking.retain(|key, _| wanted.contains(key));
    }

    fn share(&mut self, clusters: &mut [Snapshot]) {
        let mut events = self.objects.events.by_namespace();
        if let Fact::Known(events) = &mut events {
            events.values_mut().for_each(|events| events.sort_by_key(|event| event.last));
        }
        let found = Found {
            claims: self.objects.claims.by_namespace(),
            services: self.objects.services.by_namespace(),
            slices: self.objects.slices.by_namespace(),
            events,
        };
        let nodes = self.nodes_of(clusters);
        for snapshot in clusters {
            found.share(snapshot);
            snapshot.objects.nodes.clone_from(&nodes);
            self.manage(snapshot);
        }
    }

    /// Backups are not followed: nothing about them changes while somebody watches a cluster.
    fn manage(&mut self, snapshot: &mut Snapshot) {
        let set = &snapshot.objects.stateful_set;
        let Some(group) = set.owner.as_ref().and_then(Owner::operator) else { return };
        let scope = self.scope.as_deref().map_or(Scope::AllNamespaces, Scope::Namespace);
        let watcher = &self.watcher;
        let views = self.operators.entry(group).or_insert_with(|| watcher.operator_views(scope, group));
        let own =
            views.all().map(|views| views.into_iter().find(|view| (&view.namespace, &view.name) == (&set.namespace, &set.name)));
        snapshot.objects.manager = Manager::of(set, own);
    }

    fn nodes_of(&mut self, clusters: &[Snapshot]) -> Fact<Vec<Node>> {
        match &mut self.nodes {
            Nodes::All(nodes) => nodes.all(),
            Nodes::Own(followed) => {
                let names: BTreeSet<String> = clusters.iter().flat_map(super::nodes_of).collect();
                followed.retain(|name, _| names.contains(name));
                for name in names {
                    let watcher = &self.watcher;
                    followed.entry(name).or_insert_with_key(|name| watcher.nodes(Some(name)));
                }
                let found: Result<Vec<Vec<Node>>, Why> =
                    followed.values().map(|node| node.all().known().cloned().map_err(Clone::clone)).collect();
                Fact::from(found.map(|nodes| nodes.into_iter().flatten().collect()))
            }
        }
    }
}

/// Its container runs, so that its server can be asked.
fn is_askable(member: &Member) -> bool {
    member.server == Fact::Unknown(Why::NotAsked)
}
