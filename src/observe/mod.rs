//! Looks at a cluster: API server and pod exec, in parallel, into one snapshot.

mod datadirs;
pub mod probe;
pub mod watch;

mod assemble;
mod certificate;
mod extras;
mod founder;
mod manager;
mod server;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt, join, join_all, join3, try_join};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::api::exec::{ExecEnd, exec_until};
use crate::api::objects::{OwnedPod, Pods, Scope, get_stateful_set, list_pods, list_stateful_sets};
use crate::api::script::LOADER;
use crate::api::{Api, Password, PodRef};
use crate::failure::{Failure, Kind};
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::{Pod, StatefulSet};
use crate::model::manager::Manager;
use crate::model::names::{Ordinal, Target};
use crate::model::operator::OperatorView;
use crate::model::snapshot::Snapshot;
use crate::model::target_name::TargetName;
use crate::process::Clock;

pub use datadirs::{catch, datadirs, homes, in_logs};
pub use founder::founder;

use extras::Extras;
use probe::{END, Looks, Sample};

/// Ordinals whose pods are listed before the set itself is known: enough for nearly every cluster.
const LIKELY_ORDINALS: std::ops::Range<u32> = 0..9;

/// Execs under way at once when many clusters are looked at.
const FAN_OUT: usize = 32;

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
    let scope = Scope::Namespace(&target.namespace);
    let extras = Extras::ask(api, scope);
    let asked = manager::Asked::ask(api, &target.namespace, &target.name);
    let likely = Pods::Ordinals { set: &target.name, ordinals: LIKELY_ORDINALS };
    let needed = try_join(get_stateful_set(api, &target.namespace, &target.name), list_pods(api, scope, &likely)).await;
    let (set, listed) = match needed {
        Ok(needed) => needed,
        Err(failure) if failure.kind == Kind::NotFound => return Err(without_set(asked.wait(depth.pod_timeout).await, failure)),
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
        manager::of(api, &snapshot.objects.stateful_set, asked, limit),
    )
    .await;
    take(&mut snapshot, samples);
    extras.wait(limit).await.share(&mut snapshot);
    snapshot.objects.nodes = nodes;
    snapshot.objects.manager = manager;
    Ok(snapshot)
}

/// Nothing runs under this name; a `MariaDB` object of it may have been there for long, and say why.
fn without_set(found: Fact<Option<OperatorView>>, not_found: Failure) -> Failure {
    let Fact::Known(Some(view)) = found else { return not_found };
    let says = match view.status.condition("Ready") {
        Some(ready) => format!("its condition Ready is {ready}"),
        None => "the operator has said nothing of it yet: see that it runs, and watches this namespace".to_owned(),
    };
    let suspended = if view.spec.suspended { "; it is suspended" } else { "" };
    let message = format!("MariaDB {0} in namespace {1} has no StatefulSet: {says}{suspended}", view.name, view.namespace);
    Failure::new(Kind::NotFound, message).hint(format!(
        "kubectl -n {} describe mariadbs.{} {}",
        view.namespace,
        view.group.name(),
        view.name
    ))
}

/// Every cluster of a namespace or of all: a number of lists that does not depend on how many clusters there are, then
/// the pods of all of them. `each` is called with every cluster as soon as it is complete.
///
/// # Errors
/// The sets or their pods could not be listed.
pub async fn fleet(
    api: &Api,
    scope: Scope<'_>,
    selector: Option<&str>,
    depth: Depth,
    each: impl FnMut(&Snapshot),
) -> Result<Vec<Snapshot>, Failure> {
    fleet_where(api, scope, selector, depth, |_| true, each).await
}

/// The same for those clusters only whose objects `are_meant`; the pods of the others are not asked.
///
/// # Errors
/// The sets or their pods could not be listed.
pub async fn fleet_where(
    api: &Api,
    scope: Scope<'_>,
    selector: Option<&str>,
    depth: Depth,
    are_meant: impl Fn(&Snapshot) -> bool,
    mut each: impl FnMut(&Snapshot),
) -> Result<Vec<Snapshot>, Failure> {
    let extras = Extras::ask(api, scope);
    let managers = manager::AskedAll::ask(api, scope);
    let needed = try_join(list_stateful_sets(api, scope, selector), list_pods(api, scope, &Pods::OfAnySet));
    let (sets, mut listed) = needed.await?;
    let several = sets.len() > 1;
    let groups = manager::groups(&sets);
    let mut snapshots: Vec<Snapshot> = Vec::with_capacity(sets.len());
    for set in sets {
        let (own, others) =
            listed.remove(&set.namespace).unwrap_or_default().into_iter().partition::<Vec<_>, _>(|pod| is_of(&set, pod));
        listed.insert(set.namespace.clone(), others);
        let pods = pods_of(&set, own.into_iter());
        snapshots.push(assemble::snapshot(set, pods, depth.clock.now()));
    }
    snapshots.retain(are_meant);
    let nodes: Vec<String> = if several { Vec::new() } else { snapshots.iter().flat_map(nodes_of).collect() };
    // Beside the execs, for all clusters at once: no extra holds a pod up.
    let beside = async {
        let asked = async {
            if several {
                extras::all_nodes(api, depth.pod_timeout).await
            } else {
                extras::nodes(api, nodes, depth.pod_timeout).await
            }
        };
        let managers = managers.wait(api, groups, scope, depth.pod_timeout);
        Arc::new(join3(extras.wait(depth.pod_timeout), asked, managers).await)
    }
    .shared();
    let permits = Semaphore::new(FAN_OUT);
    let mut looks: FuturesUnordered<_> = snapshots
        .into_iter()
        .map(|mut snapshot| async {
            let (samples, beside) = join(look_at_members(api, &snapshot, depth, Some(&permits)), beside.clone()).await;
            let (found, nodes, managers) = &*beside;
            take(&mut snapshot, samples);
            found.share(&mut snapshot);
            snapshot.objects.nodes.clone_from(nodes);
            snapshot.objects.manager = managers.of(&snapshot.objects.stateful_set);
            snapshot
        })
        .collect();
    let mut complete = Vec::new();
    while let Some(snapshot) = looks.next().await {
        each(&snapshot);
        complete.push(snapshot);
    }
    complete.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(complete)
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
