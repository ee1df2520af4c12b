//! What could not be observed, and the exit code of a verdict.

use crate::failure::Exit;
use crate::model::disk::Process;
use crate::model::fact::{Fact, Obstacle, Why};
use crate::model::kubernetes::{Container, ContainerState};
use crate::model::names::Ordinal;
use crate::model::snapshot::{Member, Snapshot};

use super::finding::{Finding, Severity};

/// Facts that a look should have had and has not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unobserved {
    /// Without these there is no full verdict: exit code 4, or 8 where a right is missing.
    pub needed: Vec<Gap>,
    /// These only add to the picture, and never change the exit code.
    pub extra: Vec<Gap>,
}

/// One fact that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// `server`, `files`, `log`, or the name of a kind of objects: `nodes`.
    pub fact: &'static str,
    /// The pod it is about; `None`: the whole cluster.
    pub pod: Option<String>,
    pub why: Why,
}

/// What one look could not observe.
///
/// A server or its files are *needed* facts when the database container runs and yet could not be asked: no answer in time,
/// no right, a refused password, no client, an error that nobody knows. A member that is legitimately down is observed: a
/// missing pod, a container that is waiting, crashing or ended, a server that hangs, and a container that answers while its
/// server opens no SQL socket, as long as the files tell what it does instead. Those are findings of the families 1xx to
/// 3xx. What was not asked on purpose (`--no-exec`) is not needed either; it only keeps the verdict from being Healthy.
#[must_use]
pub fn unobserved(seen: &Snapshot) -> Unobserved {
    let mut gaps = Unobserved::default();
    for (ordinal, member) in &seen.members {
        if !runs(seen, member) {
            continue;
        }
        let mut need = |fact, why: &Why| {
            gaps.needed.push(Gap { fact, pod: Some(seen.pod_name(*ordinal)), why: why.clone() });
        };
        match standing(seen, *ordinal) {
            Standing::Unseen(why) if *why != Why::NotAsked => need("server", why),
            _ => {}
        }
        match &member.files {
            Fact::Unknown(Why::NotAsked | Why::NotRunning(_)) | Fact::Known(_) => {}
            Fact::Unknown(why) => need("files", why),
        }
    }
    for (ordinal, start) in &seen.last_starts {
        if let Err(why) = start.known() {
            gaps.extra.push(Gap { fact: "log", pod: Some(seen.pod_name(*ordinal)), why: why.clone() });
        }
    }
    let objects = &seen.objects;
    let mut extra = |fact, why: Option<&Why>| {
        if let Some(why) = why.filter(|why| **why != Why::NotAsked) {
            gaps.extra.push(Gap { fact, pod: None, why: why.clone() });
        }
    };
    extra("persistentvolumeclaims", objects.claims.known().err());
    extra("services", objects.services.known().err());
    extra("endpointslices", objects.endpoint_slices.known().err());
    extra("nodes", objects.nodes.known().err());
    extra("events", objects.events.known().err());
    if let Some(operator) = objects.manager.operator() {
        extra("mariadbs", operator.view.known().err());
        let backups = operator.backups.known();
        extra("backups", backups.err());
        extra("jobs", backups.ok().and_then(|backups| backups.iter().find_map(|backup| backup.runs.known().err())));
    }
    gaps
}

/// The exit code of a verdict, worst first: 3 (a finding at or above `fail_on`), 8 (a needed right is missing), 4 (a needed
/// fact is missing), 0. Findings `MDB9xx` only say what is missing and never lead to 3. `None`: no finding leads to 3.
#[must_use]
pub fn exit(findings: &[Finding], unobserved: &Unobserved, fail_on: Option<Severity>) -> Exit {
    let fails = |finding: &&Finding| !finding.rule.is_unseen() && fail_on.is_some_and(|limit| finding.rule.severity >= limit);
    if findings.iter().any(|finding| fails(&finding)) {
        Exit::Unhealthy
    } else if unobserved.needed.iter().any(|gap| matches!(gap.why, Why::Forbidden(_))) {
        Exit::Forbidden
    } else if unobserved.needed.is_empty() {
        Exit::Ok
    } else {
        Exit::Unobserved
    }
}

/// What is known of the server of one ordinal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Standing<'a> {
    /// It answered over SQL: see [`Member::server`].
    Up,
    /// The container answers, its server takes no statements (yet): the files say what it does instead.
    Quiet,
    /// The server takes a connection and says nothing, or its process is stopped.
    Hung,
    /// Kubernetes runs no server there; a Kubernetes finding says why.
    Down,
    /// The container runs, and its server could not be asked.
    Unseen(&'a Why),
}

/// The standing of one ordinal of the snapshot.
pub(super) fn standing(seen: &Snapshot, ordinal: Ordinal) -> Standing<'_> {
    let Some(member) = seen.members.get(&ordinal) else { return Standing::Down };
    let why = match &member.server {
        Fact::Known(_) => return Standing::Up,
        Fact::Unknown(why) => why,
    };
    let files = member.files.known();
    match why {
        _ if !runs(seen, member) => Standing::Down,
        Why::NotRunning(_) => {
            if files.is_ok() {
                Standing::Quiet
            } else {
                Standing::Down
            }
        }
        Why::NoSql { obstacle: Obstacle::Silent, .. } => Standing::Hung,
        Why::NoSql { obstacle: Obstacle::NoSocket | Obstacle::Starting, .. } if files.is_ok() => Standing::Quiet,
        Why::TimedOut(_) if files.is_ok_and(|disk| matches!(disk.process, Process::Running { state: 'T', .. })) => Standing::Hung,
        _ => Standing::Unseen(why),
    }
}

/// The container that runs the server.
pub(super) fn database<'a>(seen: &Snapshot, member: &'a Member) -> Option<&'a Container> {
    let name = &seen.objects.stateful_set.layout.container;
    member.pod.as_ref()?.containers.iter().find(|container| container.name == *name)
}

/// Whether the API server says that the database container of this member runs.
pub(super) fn runs(seen: &Snapshot, member: &Member) -> bool {
    database(seen, member).is_some_and(|container| matches!(container.state, ContainerState::Running { .. }))
}
