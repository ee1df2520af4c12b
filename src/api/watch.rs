//! Objects that are listed once and then followed: what is in memory is what the API server has, a moment later.
//!
//! One task per kind of objects: a list, then watches from where the last one ended. A version that the API server has
//! forgotten (410) is a new list. What breaks on the way is waited for ([`Reach`]) or tried again with growing pauses; what
//! was seen last stays until then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::io::AsyncBufReadExt as _;
use futures::stream::StreamExt as _;
use kube::core::Request;
use kube::core::params::{ListParams, WatchParams};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::failure::Kind;
use crate::model::fact::{Fact, Lost, Why};
use crate::model::kubernetes::{Claim, EndpointSlice, Event, Node, Service, StatefulSet};
use crate::model::operator::{ApiGroup, OperatorView};
use crate::process::Clock;

use super::backoff::{Backoff, random};
use super::objects::{ByNamespace, OwnedPod, PAGE, Page, Pods, Scope, served};
use super::reach::Reach;
use super::trouble::Trouble;
use super::{Api, Ask, raw};

/// How long the API server keeps one watch; it ends all of them after some minutes anyway. Spread, so that not all watches
/// begin anew at one moment.
const WATCH_SECONDS: u32 = 240;
const WATCH_SPREAD: f64 = 50.0;
/// Beyond that the other side has forgotten the watch.
const SLACK: Duration = Duration::from_secs(10);
/// Between lists where the user may list and not watch.
const WITHOUT_WATCH: Duration = Duration::from_secs(10);
/// Between attempts to read what the user had no right to read.
const FORBIDDEN: Duration = Duration::from_secs(60);

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

/// One line of a watch.
#[derive(Deserialize)]
struct Line {
    r#type: String,
    object: Value,
}

/// How a watch ended without trouble.
enum End {
    /// The server ended it: go on from the last version.
    Over,
    /// What happened since is not known any more: list again.
    Expired,
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

struct Following<T> {
    watcher: Watcher,
    what: What<T>,
    state: Arc<Mutex<State<T>>>,
}

impl<T> Following<T> {
    async fn run(self) {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));
        let mut reached = self.watcher.reach.follow();
        // From where to watch; none: list first.
        let mut version: Option<String> = None;
        loop {
            let step = async {
                let from = match version.take() {
                    Some(version) => version,
                    None => self.list().await?,
                };
                let mut last = from;
                let end = self.watch(&mut last).await;
                version = Some(last);
                end
            };
            // A connection that was alive before the way to the server was lost may be silent for ever after.
            let ended = tokio::select! {
                ended = step => ended,
                () = was_lost(&mut reached) => { version = None; continue }
            };
            match ended {
                Ok(End::Over) => backoff.reset(),
                Ok(End::Expired) => version = None,
                Err(trouble) => {
                    if trouble.kind == Kind::Forbidden || trouble.code == Some(405) {
                        version = None;
                    }
                    self.bear(trouble, &mut backoff).await;
                }
            }
        }
    }

    /// Waits as long as this trouble asks for.
    async fn bear(&self, trouble: Trouble, backoff: &mut Backoff) {
        let pause = match trouble.kind {
            Kind::Forbidden if trouble.right.starts_with("watch ") => WITHOUT_WATCH,
            Kind::Forbidden => {
                self.unknown(trouble.into());
                FORBIDDEN
            }
            _ if trouble.code.is_none() && self.watcher.reach.wait().await => Duration::ZERO,
            _ => {
                if self.lose(&trouble) == 1 {
                    backoff.reset();
                }
                backoff.pause()
            }
        };
        // All that had to wait would come back at one moment.
        sleep(pause + Duration::from_millis(200).mul_f64(random())).await;
    }

    /// All objects; gives the version they are of.
    async fn list(&self) -> Result<String, Trouble> {
        let ask = self.ask("list");
        let params = ListParams {
            label_selector: self.what.labels.clone(),
            field_selector: self.what.fields.clone(),
            ..ListParams::default()
        };
        let mut params = params.limit(PAGE);
        let mut objects = BTreeMap::new();
        loop {
            let page: Page<Value> = self.watcher.api.page(&ask, &params).await?;
            for object in page.items.unwrap_or_default() {
                if let Some((key, object)) = self.read(object, &ask)? {
                    objects.insert(key, object);
                }
            }
            match page.metadata.next.filter(|next| !next.is_empty()) {
                Some(next) => params.continue_token = Some(next),
                None => {
                    self.put(|state| state.objects = objects);
                    return Ok(page.metadata.resource_version);
                }
            }
        }
    }

    /// Follows the changes after `version`, which moves on with each.
    async fn watch(&self, version: &mut String) -> Result<End, Trouble> {
        let ask = self.ask("watch");
        let api = &self.watcher.api;
        let seconds = WATCH_SECONDS + (WATCH_SPREAD * random()) as u32;
        let params = WatchParams {
            label_selector: self.what.labels.clone(),
            field_selector: self.what.fields.clone(),
            timeout: Some(seconds),
            bookmarks: true,
            ..WatchParams::default()
        };
        let request = Request::new(ask.path()?).watch(&params, version);
        let request = request.map_err(|problem| Trouble::from_kube(&ask, &api.server, kube::Error::BuildRequest(problem)))?;
        api.fresh_credential().await;
        let opened = api.client.request_stream(request);
        let opened = match api.request_timeout {
            Some(limit) => timeout(limit, opened).await.map_err(|_| Trouble::timed_out(&ask, &api.server, limit))?,
            None => opened.await,
        };
        let lines = match opened {
            Ok(lines) => lines.lines(),
            Err(kube::Error::Api(status)) if status.code == 410 => return Ok(End::Expired),
            Err(problem) => return Err(Trouble::from_kube(&ask, &api.server, problem)),
        };
        self.put(|_| ());
        let mut lines = std::pin::pin!(lines);
        let patience = Duration::from_secs(seconds.into()) + SLACK;
        loop {
            let line = match timeout(patience, lines.next()).await {
                Ok(Some(Ok(line))) => line,
                Ok(None) => return Ok(End::Over),
                Ok(Some(Err(problem))) => return Err(Trouble::broke(&ask, &api.server, &problem)),
                Err(_) => return Err(Trouble::timed_out(&ask, &api.server, patience)),
            };
            if let Some(end) = self.take(&line, version, &ask)? {
                return Ok(end);
            }
        }
    }

    /// One line of a watch; some end it.
    fn take(&self, line: &str, version: &mut String, ask: &Ask<'_>) -> Result<Option<End>, Trouble> {
        let unreadable = |problem| Trouble::unreadable(ask, &self.watcher.api.server, &problem);
        let Line { r#type, object } = serde_json::from_str(line).map_err(unreadable)?;
        if r#type == "ERROR" {
            let code = object["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
            let words = object["message"].as_str().unwrap_or_default();
            return if code == 410 {
                Ok(Some(End::Expired))
            } else {
                Err(Trouble::answered(ask, &self.watcher.api.server, code, words))
            };
        }
        if let Some(newer) = object["metadata"]["resourceVersion"].as_str() {
            newer.clone_into(version);
        }
        match r#type.as_str() {
            "BOOKMARK" => {}
            "DELETED" => {
                let gone = key(&object);
                self.put(|state| drop(state.objects.remove(&gone)));
            }
            _ => {
                let changed = key(&object);
                let object = self.read(object, ask)?;
                self.put(|state| match object {
                    Some((key, object)) => drop(state.objects.insert(key, object)),
                    // It is no MariaDB any more.
                    None => drop(state.objects.remove(&changed)),
                });
            }
        }
        Ok(None)
    }

    fn read(&self, object: Value, ask: &Ask<'_>) -> Result<Option<(Key, T)>, Trouble> {
        let key = key(&object);
        let read = (self.what.read)(object).map_err(|problem| Trouble::unreadable(ask, &self.watcher.api.server, &problem))?;
        Ok(read.map(|object| (key, object)))
    }

    /// Something was heard: nothing is in the way any more.
    fn put(&self, change: impl FnOnce(&mut State<T>)) {
        {
            let mut state = locked(&self.state);
            state.unknown = None;
            state.lost = None;
            state.failures = 0;
            change(&mut state);
        }
        self.watcher.changed.notify_one();
    }

    fn unknown(&self, why: Why) {
        locked(&self.state).unknown = Some(why);
        self.watcher.changed.notify_one();
    }

    /// One connection that broke is no loss, if the next one holds. Gives the number of failures in a row.
    fn lose(&self, trouble: &Trouble) -> u32 {
        let now = self.watcher.clock.now();
        let failures = {
            let mut state = locked(&self.state);
            state.failures += 1;
            if state.failures > 1 {
                let since = state.lost.as_ref().map_or(now, |lost| lost.since);
                state.lost = Some(Lost { since, why: trouble.message.clone() });
                if state.unknown == Some(Why::NotAsked) {
                    state.unknown = Some(trouble.clone().into());
                }
            }
            state.failures
        };
        self.watcher.changed.notify_one();
        failures
    }

    fn ask(&self, verb: &'static str) -> Ask<'_> {
        let What { group, resource, namespace, .. } = &self.what;
        Ask { verb, group, resource, namespace: namespace.as_deref(), name: None }
    }
}

/// Waits for the moment when the way to the server, which was lost, is there again.
async fn was_lost(reached: &mut tokio::sync::watch::Receiver<Option<Lost>>) {
    let lost = reached.wait_for(Option::is_some).await.is_ok();
    if !lost || reached.wait_for(Option::is_none).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn key(object: &Value) -> Key {
    let word = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    (word("namespace"), word("name"))
}
