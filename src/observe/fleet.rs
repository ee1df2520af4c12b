//! Many clusters at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::{FutureExt, join, join3, try_join};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Semaphore;

use super::extras::{self, Extras};
use super::{Depth, Found, assemble, is_of, last_starts, look_at_members, manager, nodes_of, pods_of, take};
use crate::api::Api;
use crate::api::objects::{Pods, Scope, list_pods, list_stateful_sets};
use crate::failure::Failure;
use crate::model::fact::Why;
use crate::model::names::Target;
use crate::model::snapshot::Snapshot;
use crate::model::unmade::Unmade;

/// Execs under way at once.
const FAN_OUT: usize = 32;

/// What there is in a namespace, or in all.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// By namespace and name.
    pub clusters: Vec<Snapshot>,
    pub unmade: Vec<Unmade>,
    /// Why there may be more of those. It is an extra.
    pub unlisted: Option<Why>,
}

impl Fleet {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty() && self.unmade.is_empty()
    }
}

/// A fleet of one, found by its name.
impl From<Found> for Fleet {
    fn from(found: Found) -> Self {
        let (clusters, unmade) = match found {
            Found::Cluster(seen) => (vec![*seen], Vec::new()),
            Found::Unmade(unmade) => (Vec::new(), vec![*unmade]),
        };
        Self { clusters, unmade, unlisted: None }
    }
}

/// Which sets.
struct Which<'a> {
    scope: Scope<'a>,
    selector: Option<&'a str>,
    /// Also objects that have none.
    unmade: bool,
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
) -> Result<Fleet, Failure> {
    // A selector is about labels of sets: what has no set has none of them.
    Box::pin(look_at_all(api, Which { scope, selector, unmade: selector.is_none() }, depth, |_| true, each)).await
}

/// Those clusters only whose objects `are_meant`; the pods of the others are not asked.
///
/// # Errors
/// The sets or their pods could not be listed.
pub async fn clusters(
    api: &Api,
    scope: Scope<'_>,
    depth: Depth,
    are_meant: impl Fn(&Snapshot) -> bool,
) -> Result<Vec<Snapshot>, Failure> {
    let which = Which { scope, selector: None, unmade: false };
    Ok(Box::pin(look_at_all(api, which, depth, are_meant, |_| ())).await?.clusters)
}

/// Its future is large: whoever awaits it puts it on the heap.
async fn look_at_all(
    api: &Api,
    which: Which<'_>,
    depth: Depth,
    are_meant: impl Fn(&Snapshot) -> bool,
    mut each: impl FnMut(&Snapshot),
) -> Result<Fleet, Failure> {
    let Which { scope, selector, unmade } = which;
    let extras = Extras::ask(api, scope);
    let managers = manager::AskedAll::ask(api, scope, unmade);
    let needed = try_join(list_stateful_sets(api, scope, selector), list_pods(api, scope, &Pods::OfAnySet));
    let (sets, mut listed) = needed.await?;
    let several = sets.len() > 1;
    let owners = manager::owners(&sets);
    let mut snapshots: Vec<Snapshot> = Vec::with_capacity(sets.len());
    for set in sets {
        let (own, others) =
            listed.remove(&set.namespace).unwrap_or_default().into_iter().partition::<Vec<_>, _>(|pod| is_of(&set, pod));
        listed.insert(set.namespace.clone(), others);
        let pods = pods_of(&set, own.into_iter());
        snapshots.push(assemble::snapshot(set, pods, depth.clock.now()));
    }
    let all: BTreeSet<Target> = snapshots.iter().map(|snapshot| snapshot.target.clone()).collect();
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
        let managers = Box::pin(managers.wait(api, owners, scope, depth.pod_timeout));
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
            if depth.exec {
                snapshot.last_starts = last_starts(api, &snapshot, depth.pod_timeout).await;
            }
            found.share(&mut snapshot);
            snapshot.objects.nodes.clone_from(nodes);
            snapshot.objects.manager = managers.of(&snapshot.objects.stateful_set);
            snapshot
        })
        .collect();
    let mut clusters = Vec::new();
    while let Some(snapshot) = looks.next().await {
        each(&snapshot);
        clusters.push(snapshot);
    }
    clusters.sort_by(|a, b| a.target.cmp(&b.target));
    if !unmade {
        return Ok(Fleet { clusters, unmade: Vec::new(), unlisted: None });
    }
    let (_, _, managers) = &*beside.clone().await;
    let taken = depth.clock.now();
    let unmade = managers.unmade(&all).into_iter().map(|view| Unmade { taken, view }).collect();
    Ok(Fleet { clusters, unmade, unlisted: managers.unlisted() })
}
