//! One kind of objects, followed: a list, then watches from where the last one ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::io::AsyncBufReadExt as _;
use futures::stream::StreamExt as _;
use kube::core::Request;
use kube::core::params::{ListParams, WatchParams};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{Key, State, Watcher, What, locked};
use crate::api::Ask;
use crate::api::backoff::{Backoff, random};
use crate::api::objects::{PAGE, Page};
use crate::api::trouble::Trouble;
use crate::failure::Kind;
use crate::model::fact::{Lost, Why};

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

pub struct Following<T> {
    pub watcher: Watcher,
    pub what: What<T>,
    pub state: Arc<Mutex<State<T>>>,
}

impl<T> Following<T> {
    pub async fn run(self) {
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
