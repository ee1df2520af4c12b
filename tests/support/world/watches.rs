//! Watches of the model world: what changes between two moments becomes events, as the API server writes them.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Asked, Shared, World, selected};
use crate::support::server::{Answer, Request};

/// How often the API server says that nothing has happened.
const BOOKMARK: Duration = Duration::from_secs(60);

/// What was told about each list, by version: where a watch goes on.
#[derive(Default)]
pub struct Told(BTreeMap<(String, u64), BTreeMap<String, Value>>);

impl Told {
    pub fn note(&mut self, request: &Request, version: u64, objects: &[Value]) {
        self.0.insert((key(request), version), by_name(objects.to_vec()));
    }

    /// As etcd after a compaction.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

/// The question without what differs between a list and the watch that follows it.
fn key(request: &Request) -> String {
    let part = |name: &str| request.query(name).unwrap_or_default().to_owned();
    format!("{} {} {}", request.path, part("labelSelector"), part("fieldSelector"))
}

fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let name = |object: &Value| format!("{}/{}", object["metadata"]["namespace"], object["metadata"]["name"]);
    objects.into_iter().map(|object| (name(&object), object)).collect()
}

fn line(kind: &str, mut object: Value, version: u64) -> Bytes {
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    Bytes::from(format!("{}\n", json!({ "type": kind, "object": object })))
}

fn expired() -> Bytes {
    let status =
        json!({ "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old resource version" });
    Bytes::from(format!("{}\n", json!({ "type": "ERROR", "object": status })))
}

/// The watch that a request asks for.
pub fn answer(shared: &Shared, world: &World, asked: &Asked, request: &Request) -> Answer {
    let from: u64 = request.query("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
    let (sender, receiver) = mpsc::channel(64);
    match world.told.0.get(&(key(request), from)) {
        None => {
            sender.try_send(Ok(expired())).unwrap();
        }
        Some(before) => {
            let watch = Watch {
                shared: shared.clone(),
                group: asked.group.clone(),
                resource: asked.resource.clone(),
                namespace: asked.namespace.clone(),
                request: Request {
                    method: request.method.clone(),
                    path: request.path.clone(),
                    query: request.query.clone(),
                    headers: request.headers.clone(),
                    body: Vec::new(),
                },
                before: before.clone(),
                cuts: world.cuts,
                expiries: world.expiries,
                sender,
            };
            tokio::spawn(watch.run());
        }
    }
    Answer::Stream(receiver)
}

struct Watch {
    shared: Shared,
    group: String,
    resource: String,
    namespace: Option<String>,
    request: Request,
    before: BTreeMap<String, Value>,
    cuts: u32,
    expiries: u32,
    sender: mpsc::Sender<std::io::Result<Bytes>>,
}

impl Watch {
    async fn run(mut self) {
        let mut changed = self.shared.changes();
        let seconds = self.request.query("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(300);
        let mut end = std::pin::pin!(tokio::time::sleep(Duration::from_secs(seconds)));
        let mut bookmarks = tokio::time::interval_at(tokio::time::Instant::now() + BOOKMARK, BOOKMARK);
        loop {
            for news in self.news() {
                let last = news.is_err();
                if self.sender.send(news).await.is_err() || last {
                    return;
                }
            }
            if self.expiries != self.shared.peek().expiries {
                return;
            }
            tokio::select! {
                _ = changed.changed() => {}
                _ = bookmarks.tick() => {
                    let version = self.shared.version();
                    let _ = self.sender.send(Ok(line("BOOKMARK", json!({}), version))).await;
                    let mut world = self.shared.peek();
                    let now: Vec<Value> = self.before.values().cloned().collect();
                    world.told.note(&self.request, version, &now);
                }
                () = &mut end => return,
                () = self.sender.closed() => return,
            }
        }
    }

    /// What is different now, or how the watch ends.
    fn news(&mut self) -> Vec<std::io::Result<Bytes>> {
        let version = self.shared.version();
        let mut world = self.shared.peek();
        if world.cuts != self.cuts {
            return vec![Err(std::io::Error::other("cut"))];
        }
        if world.expiries != self.expiries {
            return vec![Ok(expired())];
        }
        let objects = world.objects(&self.group, &self.resource, self.namespace.as_deref()).unwrap_or_default();
        let objects = selected(objects, &self.request);
        let now = by_name(objects.clone());
        let mut news = Vec::new();
        for (name, object) in &now {
            match self.before.get(name) {
                None => news.push(Ok(line("ADDED", object.clone(), version))),
                Some(old) if old != object => news.push(Ok(line("MODIFIED", object.clone(), version))),
                Some(_) => {}
            }
        }
        for (name, object) in &self.before {
            if !now.contains_key(name) {
                news.push(Ok(line("DELETED", object.clone(), version)));
            }
        }
        if !news.is_empty() {
            world.told.note(&self.request, version, &objects);
        }
        self.before = now;
        news
    }
}
