//! Helper pods: what may be started beside a set to look at a volume or to recover a position, and how it is made so that
//! nothing takes it for a member and nothing lets it live on (safety C1, C2, C4).

mod manifest;
mod plan;
mod seeder;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::grastate::Grastate;
use crate::model::names::Ordinal;
use crate::model::version::Version;

pub use manifest::{CONTAINER, HELPER_LABEL, SET_LABEL, Template};
pub use plan::{Plan, inspections, recoveries, taken, unread};
pub use seeder::{seeded, way_to};

/// What a helper pod is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Reads files; every volume is mounted read-only.
    Inspect,
    /// Runs `mariadbd --wsrep-recover`, which writes to the data directory.
    Recover,
    /// Writes `grastate.dat`, and nothing else.
    Write,
    /// Takes the position from a data directory, so that its server asks for a full copy.
    Reset,
    /// Starts an image and asks its server for its version; it mounts nothing.
    Try,
    /// Takes a copy of a server's data into a new volume.
    Seed,
}

impl Kind {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inspect => "inspect",
            Self::Recover => "recover",
            Self::Write => "write",
            Self::Reset => "reset",
            Self::Try => "try",
            Self::Seed => "seed",
        }
    }

    /// How long a helper may live, nobody watching: the Job controller ends it then.
    #[must_use]
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::Inspect | Self::Write | Self::Reset => Duration::from_secs(120),
            // Its image may have to be pulled first.
            Self::Try => Duration::from_secs(300),
            // InnoDB crash recovery of a gigabyte of redo takes seconds; a lock is waited for 30 s.
            Self::Recover => Duration::from_secs(600),
            // A terabyte at 50 MB a second; where nobody gives, it ends within two minutes.
            Self::Seed => Duration::from_secs(6 * 3600),
        }
    }
}

/// The state in `grastate.dat` as it was seen and as it is to be; `None`: no such file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateChange {
    pub before: Option<Grastate>,
    pub after: Option<Grastate>,
}

impl StateChange {
    /// What a reset makes of it, whatever it said before.
    #[must_use]
    pub fn reset() -> Self {
        Self { before: None, after: Some(Grastate::distrusted()) }
    }

    /// What takes it back.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self { before: self.after.clone(), after: self.before.clone() }
    }
}

/// One helper pod, ready to be created: a Job of one pod, so that Kubernetes itself ends and removes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Helper {
    /// Of the Job; its pod has this name and five more characters.
    pub name: String,
    pub ordinal: Ordinal,
    pub kind: Kind,
    /// The claims it mounts, and whether it may write to them.
    pub claims: Vec<(String, bool)>,
    /// The node it must run on, because the volume is in use there.
    pub node: Option<String>,
    /// Directories of the database container that are on those claims.
    pub mounts: Vec<String>,
    /// Images of its containers.
    pub image: String,
    /// Names of the containers it was made of: others were injected.
    pub containers: Vec<String>,
    /// The Job, without a namespace.
    pub job: Value,
}

impl Helper {
    /// The pod as the Job would make it, for a server dry-run (safety C3).
    #[must_use]
    pub fn pod(&self) -> Value {
        let template = &self.job["spec"]["template"];
        let mut metadata = template["metadata"].clone();
        metadata["name"] = Value::String(self.name.clone());
        serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
    }
}

/// Whether the pod that the API server would store is still the helper that was asked for: an injected container would keep
/// it alive, and a mount that became writable would break its promise (safety C3).
///
/// # Errors
/// What was changed, as one sentence.
pub fn accepted(helper: &Helper, stored: &Value) -> Result<(), String> {
    let list = |field: &str| stored["spec"][field].as_array().into_iter().flatten();
    let foreign = list("containers")
        .chain(list("initContainers"))
        .filter_map(|container| container["name"].as_str())
        .find(|name| !helper.containers.iter().any(|own| own == name));
    if let Some(name) = foreign {
        return Err(format!("something in the cluster adds the container {name} to its helper pod, which would never end"));
    }
    let read_only = |volume: &Value| {
        let claim = &volume["persistentVolumeClaim"];
        claim.is_null() || claim["readOnly"] == true
    };
    if helper.kind == Kind::Inspect && !list("volumes").all(read_only) {
        return Err("something in the cluster makes a volume of its helper pod writable".to_owned());
    }
    Ok(())
}

/// The version in the log of a pod that has tried an image.
///
/// # Errors
/// There is none, as one sentence.
pub fn version(log: &str) -> Result<Version, String> {
    let told = log.lines().find_map(|line| line.split_once(" Ver ")?.1.split_whitespace().next());
    let told = told.ok_or_else(|| {
        let said = log.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("nothing");
        format!("no MariaDB server in it tells its version: {said}")
    })?;
    told.parse()
}

/// What the log of a writer says of its `change`.
///
/// # Errors
/// It was refused, or the file does not say what it should; as one sentence.
pub fn written(log: &str, change: &StateChange) -> Result<(), String> {
    const SAYS: &str = "kubectl-mariadb: grastate.dat: ";
    if let Some((_, why)) = log.lines().rev().find_map(|line| line.split_once("kubectl-mariadb: refused: ")) {
        return Err(format!("it was refused: {}", why.trim_end()));
    }
    let Some((_, says)) = log.lines().rev().find_map(|line| line.split_once(SAYS)) else {
        return Err("it is not known whether grastate.dat was written: the helper pod's log does not say so".to_owned());
    };
    let wanted = change.after.as_ref().map(|state| {
        let seqno = state.seqno.map_or_else(|| "-1".to_owned(), |seqno| seqno.to_string());
        let safe = state.safe_to_bootstrap.map(|safe| format!(" safe_to_bootstrap {}", u8::from(safe))).unwrap_or_default();
        format!("uuid {} seqno {seqno}{safe}", state.uuid)
    });
    let says = says.trim_end();
    if says == wanted.unwrap_or_default() { Ok(()) } else { Err(format!("grastate.dat now says `{says}`")) }
}
