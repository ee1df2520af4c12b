//! The ConfigMap that is lock and journal in one, and the one way to write it: compare and swap (safety E1).

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::objects::list_config_maps;
use crate::api::writes::{Denied, Resource, create, merge, read};
use crate::decide::operation::journal::{Holder, Journal};
use crate::failure::{Failure, Kind};
use crate::model::names::Target;
use crate::process::Clock;

/// What the label says that finds all journals.
pub const LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "kubectl-mariadb");
const PARTS: [&str; 3] = ["current", "stopped", "history"];
const PAUSE: Duration = Duration::from_millis(100);

/// The name of the journal of a set.
#[must_use]
pub fn name(set: &str) -> String {
    format!("kubectl-mariadb.{set}")
}

/// A journal as it was read, with what is needed to write it.
pub struct Held<'a> {
    api: &'a Api,
    target: &'a Target,
    clock: Clock,
    holder: Holder,
    patience: Duration,
    /// `None`: there is no ConfigMap yet.
    version: Option<String>,
    pub journal: Journal,
    written: (Instant, jiff::Timestamp),
}

/// Why the journal was not written.
#[derive(Debug)]
pub enum Unwritten {
    /// Somebody else holds it.
    TakenOver(Option<Holder>),
    Failed(Failure),
}

impl<'a> Held<'a> {
    /// Reads the journal of a cluster; an empty one if there is none, or if it is about an older set of this name.
    ///
    /// # Errors
    /// It cannot be read, or is not understood.
    pub async fn read(
        api: &'a Api,
        target: &'a Target,
        holder: Holder,
        clock: Clock,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let (version, journal) = load(api, target).await.map_err(|denied| failure(denied, target))?;
        Ok(Self { api, target, clock, holder, patience, version, journal, written: (Instant::now(), clock.now()) })
    }

    /// Reads it again.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn refresh(&mut self) -> Result<(), Failure> {
        (self.version, self.journal) = load(self.api, self.target).await.map_err(|denied| failure(denied, self.target))?;
        Ok(())
    }

    #[must_use]
    pub const fn holder(&self) -> &Holder {
        &self.holder
    }

    /// How long ago the journal was last written by us: by the clock that stops with the machine and by the one that does not.
    #[must_use]
    pub fn age(&self) -> Duration {
        let wall = self.clock.now().duration_since(self.written.1);
        self.written.0.elapsed().max(Duration::try_from(wall).unwrap_or_default())
    }

    /// Writes the journal as `change` makes it, if nobody else has written it since. What others may write beside us (a wish
    /// that we stop) is kept.
    ///
    /// # Errors
    /// [`Unwritten`].
    pub async fn write(&mut self, change: impl Fn(&mut Journal)) -> Result<(), Unwritten> {
        let (began, now) = (Instant::now(), self.clock.now());
        loop {
            // The same value in every attempt: one whose answer was lost is known again when it is found.
            let mut next = self.journal.clone();
            change(&mut next);
            if let Some(operation) = &mut next.current {
                operation.beat += 1;
                operation.renewed = now;
            }
            let denied = match self.send(&next).await {
                Ok(stored) => {
                    self.took(&stored, next);
                    return Ok(());
                }
                Err(denied) => denied,
            };
            if matches!(denied, Denied::Right(_) | Denied::Refused(_)) {
                return Err(Unwritten::Failed(failure(denied, self.target)));
            }
            match load(self.api, self.target).await {
                // The answer was lost, and it was written.
                Ok((version, found)) if found == next => {
                    (self.version, self.journal) = (version, found);
                    self.written = (Instant::now(), self.clock.now());
                    return Ok(());
                }
                Ok((version, found)) if self.is_ours(&found) => (self.version, self.journal) = (version, found),
                Ok((_, found)) => return Err(Unwritten::TakenOver(found.current.and_then(|operation| operation.holder))),
                Err(denied @ (Denied::Right(_) | Denied::Refused(_))) => {
                    return Err(Unwritten::Failed(failure(denied, self.target)));
                }
                Err(denied) if began.elapsed() > self.patience => return Err(Unwritten::Failed(failure(denied, self.target))),
                Err(_) => {}
            }
            if began.elapsed() > self.patience {
                return Err(Unwritten::Failed(failure(denied, self.target)));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Leaves a wish for whoever holds the operation: stop after the current step. Their heartbeat stays theirs.
    ///
    /// # Errors
    /// [`Unwritten::TakenOver`]: nobody holds it any more.
    pub async fn ask_to_stop(&mut self) -> Result<(), Unwritten> {
        let began = Instant::now();
        loop {
            let mut next = self.journal.clone();
            match &mut next.current {
                Some(operation) if operation.holder.is_some() => operation.stop_asked = true,
                _ => return Err(Unwritten::TakenOver(None)),
            }
            match self.send(&next).await {
                Ok(_) => return Ok(()),
                Err(denied) if began.elapsed() > self.patience => return Err(Unwritten::Failed(failure(denied, self.target))),
                Err(denied @ (Denied::Right(_) | Denied::Refused(_))) => {
                    return Err(Unwritten::Failed(failure(denied, self.target)));
                }
                Err(_) => self.refresh().await.map_err(Unwritten::Failed)?,
            }
        }
    }

    /// Whether what was found is still what we may build on: nobody else has begun, taken over, or written a beat.
    fn is_ours(&self, found: &Journal) -> bool {
        match (&self.journal.current, &found.current) {
            (None, None) => self.journal.history == found.history,
            (Some(own), Some(found)) => own.holder == found.holder && own.beat == found.beat && own.started == found.started,
            _ => false,
        }
    }

    fn took(&mut self, stored: &Value, journal: Journal) {
        self.version = stored["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        self.journal = journal;
        self.written = (Instant::now(), self.clock.now());
    }

    async fn send(&self, journal: &Journal) -> Result<Value, Denied> {
        let (namespace, name) = (self.target.namespace.as_str(), name(&self.target.name));
        let text = |value: Result<String, serde_json::Error>| value.map_err(|problem| Denied::Refused(problem.to_string()));
        let part = |present: bool, value: Result<String, serde_json::Error>| -> Result<Value, Denied> {
            Ok(if present { json!(text(value)?) } else { Value::Null })
        };
        let mut data = json!({
            "setUid": journal.set_uid,
            "current": part(journal.current.is_some(), serde_json::to_string(&journal.current))?,
            "stopped": part(journal.stopped.is_some(), serde_json::to_string(&journal.stopped))?,
            "history": part(!journal.history.is_empty(), serde_json::to_string(&journal.history))?,
        });
        match &self.version {
            Some(version) => {
                let patch = json!({"metadata": {"resourceVersion": version}, "data": data});
                merge(self.api, Resource::ConfigMaps, namespace, &name, &patch).await
            }
            None => {
                if let Some(data) = data.as_object_mut() {
                    data.retain(|_, value| !value.is_null());
                }
                let labels = json!({LABEL.0: LABEL.1, "kubectl-mariadb/set": self.target.name});
                let map = json!({
                    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": data,
                });
                create(self.api, Resource::ConfigMaps, namespace, &map, false).await
            }
        }
    }
}

async fn load(api: &Api, target: &Target) -> Result<(Option<String>, Journal), Denied> {
    match read(api, Resource::ConfigMaps, &target.namespace, &name(&target.name)).await {
        Ok(map) => {
            let version = map["metadata"]["resourceVersion"].as_str().map(str::to_owned);
            Ok((version, parse(&map).map_err(Denied::Refused)?))
        }
        Err(Denied::Gone) => Ok((None, Journal::default())),
        Err(denied) => Err(denied),
    }
}

/// The journal in a ConfigMap.
///
/// # Errors
/// Which part is not understood, as one sentence.
pub fn parse(map: &Value) -> Result<Journal, String> {
    let data = &map["data"];
    let [current, stopped, history] = PARTS;
    Ok(Journal {
        set_uid: data["setUid"].as_str().unwrap_or_default().to_owned(),
        current: part(data, current)?,
        stopped: part(data, stopped)?,
        history: part(data, history)?.unwrap_or_default(),
    })
}

fn part<T: DeserializeOwned>(data: &Value, name: &str) -> Result<Option<T>, String> {
    let Some(text) = data[name].as_str() else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|problem| {
        format!("`{name}` in the journal is not understood ({problem}); a newer version of this plugin may have written it")
    })
}

fn failure(denied: Denied, target: &Target) -> Failure {
    let map = name(&target.name);
    match denied {
        Denied::Right(right) => Failure::new(Kind::Forbidden, format!("the journal, configmaps \"{map}\", is forbidden to you"))
            .hint(format!("you need the right to {right}")),
        Denied::Refused(words) | Denied::Busy(words) => {
            Failure::new(Kind::Other, format!("the journal {map} cannot be used: {words}"))
        }
        Denied::Gone | Denied::Exists => Failure::new(Kind::Other, format!("the journal {map} keeps changing; nothing was done")),
        Denied::Lost(words) => Failure::new(Kind::Unreachable, format!("the journal {map} cannot be reached: {words}")),
    }
}

/// Every journal of a namespace, with the name of its set.
///
/// # Errors
/// They cannot be listed, or one is not understood.
pub async fn all(api: &Api, namespace: &str) -> Result<Vec<(Target, Journal)>, Failure> {
    let selector = format!("{}={}", LABEL.0, LABEL.1);
    let maps = list_config_maps(api, namespace, &selector).await?;
    let mut journals = Vec::new();
    for map in maps {
        let Some(set) = map["metadata"]["labels"]["kubectl-mariadb/set"].as_str() else { continue };
        let target = Target { namespace: namespace.to_owned(), name: set.to_owned() };
        let journal = parse(&map).map_err(|why| failure(Denied::Refused(why), &target))?;
        journals.push((target, journal));
    }
    Ok(journals)
}
