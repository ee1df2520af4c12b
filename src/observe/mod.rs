//! Looks at a cluster: API server and pod exec, in parallel, into one snapshot.

mod datadirs;
pub mod probe;
pub mod watch;

mod assemble;
mod certificate;
mod extras;
mod fleet;
mod founder;
mod lost;
mod manager;
mod server;
mod unmade;

use std::future::Future;
use std::time::Duration;

use futures::future::{join_all, join3, try_join};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::api::exec::{ExecEnd, exec_until};
use crate::api::objects::{OwnedPod, Pods, Scope, get_stateful_set, list_pods};
use crate::api::script::LOADER;
use crate::api::{Api, Password, PodRef};
use crate::failure::{Failure, Kind};
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::{Pod, StatefulSet};
use crate::model::manager::Manager;
use crate::model::names::{Ordinal, Target};
use crate::model::snapshot::Snapshot;
use crate::model::target_name::TargetName;
use crate::model::unmade::Unmade;
use crate::process::Clock;

use datadirs::last_starts;
pub use datadirs::{catch, datadirs, homes, in_logs};
pub use fleet::{Fleet, clusters, fleet};
pub use founder::founder;
pub use lost::nodes_of_claims;

use extras::Extras;
use probe::{END, Looks, Sample};

/// Ordinals whose pods are listed before the set itself is known: enough for nearly every cluster.
const LIKELY_ORDINALS: std::ops::Range<u32> = 0..9;

/// A look prints a few kilobytes; more than this is not ours.
const MAX_OUTPUT: usize = 1 << 20;

/// How to look.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// Ask the pods, not just the API server.
    pub exec: bool,
    /// Deadline of each pod, and of extras once the needed objects are there.
    pub pod_timeout: Duration,
    pub clock: Clock,
}

/// What is there under a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Cluster(Box<Snapshot>),
    Unmade(Box<Unmade>),
}

/// The cluster that a user has named, in the namespace in use.
///
/// # Errors
/// Those of [`cluster`]; `mariadb/NAME` names a set that no `MariaDB` object is known to manage.
pub async fn named(api: &Api, name: &TargetName, depth: Depth) -> Result<Snapshot, Failure> {
    let target = Target { namespace: api.namespace().to_owned(), name: name.name().to_owned() };
    let seen = cluster(api, &target, depth).await?;
    is_of_kind(name, &seen)?;
    Ok(seen)
}

/// The same for whoever can do something with an object that has no set.
///
/// # Errors
/// Those of [`named`], of which `sts/NAME` alone insists on a set.
pub async fn found(api: &Api, name: &TargetName, depth: Depth) -> Result<Found, Failure> {
    let target = Target { namespace: api.namespace().to_owned(), name: name.name().to_owned() };
    let found = Box::pin(look_at(api, &target, depth)).await?;
    match (&found, name) {
        (Found::Cluster(seen), _) => is_of_kind(name, seen)?,
        (Found::Unmade(unmade), TargetName::StatefulSet(_)) => return Err(unmade::no_cluster(unmade)),
        (Found::Unmade(_), _) => {}
    }
    Ok(found)
}

/// Whether the cluster is what the user called it.
///
/// # Errors
/// `mariadb/NAME` names a set that no `MariaDB` object is known to manage.
pub fn is_of_kind(name: &TargetName, seen: &Snapshot) -> Result<(), Failure> {
    match (name, &seen.objects.manager) {
        (TargetName::MariaDb(name), Manager::StatefulSet) => {
            let namespace = &seen.target.namespace;
            let message = format!("no MariaDB {name} is seen in namespace {namespace}, only a StatefulSet of that name");
            Err(Failure::new(Kind::NotFound, message).hint(format!("name the set instead: sts/{name}")))
        }
        _ => Ok(()),
    }
}

/// One cluster: two rounds of requests, each in parallel.
///
/// # Errors
/// The set or its pods could not be read. What a pod or an extra does not tell is an unknown fact, no error.
pub async fn cluster(api: &Api, target: &Target, depth: Depth) -> Result<Snapshot, Failure> {
    match Box::pin(look_at(api, target, depth)).await? {
        Found::Cluster(seen) => Ok(*seen),
        Found::Unmade(unmade) => Err(unmade::no_cluster(&unmade)),
    }
}

/// Its future is large: whoever awaits it puts it on the heap.
async fn look_at(api: &Api, target: &Target, depth: Depth) -> Result<Found, Failure> {
    let scope = Scope::Namespace(&target.namespace);
    let extras = Extras::ask(api, scope);
    let asked = manager::Asked::ask(api, &target.namespace, &target.name);
    let likely = Pods::Ordinals { set: &target.name, ordinals: LIKELY_ORDINALS };
    let needed = try_join(get_stateful_set(api, &target.namespace, &target.name), list_pods(api, scope, &likely)).await;
    let (set, listed) = match needed {
        Ok(needed) => needed,
        Err(failure) if failure.kind == Kind::NotFound => {
            let today = asked.wait(depth.pod_timeout).await;
            return Box::pin(unmade::instead(api, target, today, failure, depth))
                .await
                .map(|unmade| Found::Unmade(Box::new(unmade)));
        }
        Err(failure) => return Err(failure),
    };
    let mut pods = pods_of(&set, listed.into_values().flatten());
    if set.wanted().any(|ordinal| !LIKELY_ORDINALS.contains(&ordinal.0)) {
        let wanted = Pods::Ordinals { set: &target.name, ordinals: set.start..set.start.saturating_add(set.replicas) };
        let more = list_pods(api, scope, &wanted).await?;
        pods.extend(pods_of(&set, more.into_values().flatten()));
    }
    let mut snapshot = assemble::snapshot(set, pods, depth.clock.now());
    // The execs first: they take the connections of the first round.
    let nodes: Vec<String> = nodes_of(&snapshot);
    let limit = depth.pod_timeout;
    let (samples, nodes, manager) = join3(
        look_at_members(api, &snapshot, depth, None),
        extras::nodes(api, nodes, limit),
        Box::pin(manager::of(api, &snapshot.objects.stateful_set, asked, limit)),
    )
    .await;
    take(&mut snapshot, samples);
    if depth.exec {
        snapshot.last_starts = Box::pin(last_starts(api, &snapshot, limit)).await;
    }
    extras.wait(limit).await.share(&mut snapshot);
    snapshot.objects.nodes = nodes;
    snapshot.objects.manager = manager;
    Ok(Found::Cluster(Box::new(snapshot)))
}

fn is_of(set: &StatefulSet, pod: &OwnedPod) -> bool {
    pod.controller.as_ref() == Some(&set.uid)
}

fn pods_of(set: &StatefulSet, pods: impl Iterator<Item = OwnedPod>) -> Vec<Pod> {
    pods.filter_map(|pod| pod.of(set)).map(|(_, pod)| pod).collect()
}

fn nodes_of(snapshot: &Snapshot) -> Vec<String> {
    let names = snapshot.members.values().filter_map(|member| member.pod.as_ref()?.node.clone());
    names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// Looks at every member whose database container runs, all at once or as permits allow.
async fn look_at_members(api: &Api, seen: &Snapshot, depth: Depth, permits: Option<&Semaphore>) -> Vec<(Ordinal, Sample)> {
    if !depth.exec {
        return Vec::new();
    }
    let layout = &seen.objects.stateful_set.layout;
    let script = probe::script_with(layout, Looks::Once, api.password().map(Password::reveal));
    let looks =
        seen.members.iter().filter(|(_, member)| member.server == Fact::Unknown(Why::NotAsked)).map(|(ordinal, member)| {
            let pod = PodRef {
                namespace: seen.target.namespace.clone(),
                name: member.pod.as_ref().map_or_else(|| seen.pod_name(*ordinal), |pod| pod.name.clone()),
                container: layout.container.clone(),
            };
            let script = script.as_bytes();
            async move {
                // A closed semaphore would only mean no limit.
                let _permit = match permits {
                    Some(permits) => permits.acquire().await.ok(),
                    None => None,
                };
                (*ordinal, look(api, &pod, script, depth).await)
            }
        });
    join_all(looks).await
}

async fn look(api: &Api, pod: &PodRef, script: &[u8], depth: Depth) -> Sample {
    let asked = depth.clock.now();
    match exec_until(api, pod, &LOADER, script, END, depth.pod_timeout, MAX_OUTPUT).await {
        ExecEnd::Complete { stdout } | ExecEnd::Exited { code: 0, stdout, .. } => probe::read(&stdout, asked),
        ExecEnd::Exited { code, stderr, .. } => {
            let said = String::from_utf8_lossy(&stderr);
            Sample::unknown(&Why::Failed(format!("the look at the pod ended with exit code {code}: {}", said.trim())))
        }
        ExecEnd::Refused(why) | ExecEnd::Lost(why) => Sample::unknown(&why),
    }
}

fn take(snapshot: &mut Snapshot, samples: Vec<(Ordinal, Sample)>) {
    for (ordinal, sample) in samples {
        if let Some(member) = snapshot.members.get_mut(&ordinal) {
            member.server = sample.server;
            member.files = sample.files;
        }
    }
}

async fn joined<T>(task: JoinHandle<Fact<T>>) -> Fact<T> {
    task.await.unwrap_or_else(|_| Fact::Unknown(Why::Failed("the request was given up".into())))
}

/// An extra within its deadline, or why not.
pub async fn within<T>(limit: Duration, asked: impl Future<Output = Fact<T>>) -> Fact<T> {
    tokio::time::timeout(limit, asked).await.unwrap_or(Fact::Unknown(Why::TimedOut(limit)))
}
