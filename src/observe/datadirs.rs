//! The data directories of a whole set: also of ordinals without a pod, and of containers that live for seconds only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::{join, join_all};
use tokio::time::{Instant, sleep, timeout};

use crate::api::disruption::get_local_volumes;
use crate::api::objects::{Pods, Scope, get_nodes, latest_log, list_claims, list_pods};
use crate::api::{Api, Password, PodRef};
use crate::failure::Failure;
use crate::model::fact::{Fact, Why};
use crate::model::galera::Groups;
use crate::model::kubernetes::{ContainerState, Node, Pod};
use crate::model::names::{Ordinal, Target};
use crate::model::recovered::{LastStart, Recovered, RecoveredBy, at_rest_in_log, last_start};
use crate::model::snapshot::{Member, Snapshot};

use super::probe::{Looks, script_with};
use super::{Depth, assemble, look, pods_of, within};

/// Between two looks at containers that crash and start again.
const PAUSE: Duration = Duration::from_millis(500);
/// A claim may carry any number in its name; no Galera cluster has more members than this.
const MOST_MEMBERS: usize = 64;
/// A start that recovers its position writes this much at most after it.
const LOG_LINES: i64 = 2000;

/// One look, with a member for every ordinal that has a volume, wanted or not.
///
/// # Errors
/// As [`super::cluster`].
pub async fn datadirs(api: &Api, target: &Target, depth: Depth) -> Result<Snapshot, Failure> {
    let claims = list_claims(api, Scope::Namespace(&target.namespace));
    let (seen, claims) = join(super::cluster(api, target, depth), claims).await;
    let mut seen = seen?;
    let set = &seen.objects.stateful_set;
    let claims = claims.map(|mut found| {
        let mut claims = found.remove(&target.namespace).unwrap_or_default();
        claims.retain(|claim| set.ordinal_of_claim(&claim.name).is_some());
        claims
    });
    let claimed = claims.known().into_iter().flatten().filter_map(|claim| set.ordinal_of_claim(&claim.name));
    let ordinals: BTreeSet<Ordinal> = claimed.chain(seen.members.keys().copied()).collect();
    for ordinal in with_gaps(&ordinals, set.start) {
        let why = Why::NotRunning(format!("there is no pod {}", ordinal.pod(&set.name)));
        let unseen = Member { pod: None, server: Fact::Unknown(why.clone()), files: Fact::Unknown(why) };
        seen.members.entry(ordinal).or_insert(unseen);
    }
    seen.objects.claims = claims;
    Ok(seen)
}

/// A gap is a member whose volume is gone: of a set that is scaled to 0, nothing else tells.
fn with_gaps(ordinals: &BTreeSet<Ordinal>, start: u32) -> BTreeSet<Ordinal> {
    let Some(last) = ordinals.last() else { return BTreeSet::new() };
    let gaps = (start..last.0).take(MOST_MEMBERS).map(Ordinal);
    gaps.chain(ordinals.iter().copied()).collect()
}

/// The nodes on whose disks volumes of these ordinals lie, by claim: no pod is there that would tell. An extra: what cannot be
/// read is left out.
pub async fn homes(
    api: &Api,
    seen: &Snapshot,
    ordinals: impl Iterator<Item = Ordinal>,
    limit: Duration,
) -> BTreeMap<String, Node> {
    let set = &seen.objects.stateful_set;
    let wanted: BTreeSet<String> = ordinals.flat_map(|ordinal| set.claims_of(ordinal)).collect();
    let claims = seen.objects.claims.known().into_iter().flatten().filter(|claim| wanted.contains(&claim.name));
    let volumes: BTreeMap<&str, &str> =
        claims.filter_map(|claim| Some((claim.volume.as_deref()?, claim.name.as_str()))).collect();
    let found = async {
        let local = get_local_volumes(api, volumes.keys().copied()).await.known().ok().cloned().unwrap_or_default();
        let alone = local.iter().filter_map(|volume| match volume.nodes.as_slice() {
            [node] => Some((volumes[volume.name.as_str()].to_owned(), node.as_str())),
            _ => None,
        });
        let by_claim: BTreeMap<String, &str> = alone.collect();
        let names: BTreeSet<&str> = by_claim.values().copied().collect();
        let nodes = get_nodes(api, names).await.known().ok().cloned().unwrap_or_default();
        let home = |(claim, name): (String, &str)| Some((claim, nodes.iter().find(|node| node.name == name)?.clone()));
        by_claim.into_iter().filter_map(home).collect()
    };
    timeout(limit, found).await.unwrap_or_default()
}

/// Looks again at containers that crash and start again, for as long as `window`: each lives for some seconds at a time.
pub async fn catch(api: &Api, seen: &mut Snapshot, depth: Depth, window: Duration) {
    let until = Instant::now() + window;
    let layout = &seen.objects.stateful_set.layout;
    let script = script_with(layout, Looks::Once, api.password().map(Password::reveal));
    loop {
        let waiting: Vec<Ordinal> =
            seen.members.iter().filter(|(_, member)| crashes(seen, member)).map(|(ordinal, _)| *ordinal).collect();
        let (Some(first), Some(last)) = (waiting.first(), waiting.last()) else { return };
        if Instant::now() >= until {
            return;
        }
        sleep(PAUSE).await;
        let which = Pods::Ordinals { set: &seen.target.name, ordinals: first.0..last.0.saturating_add(1) };
        // What cannot be listed now is tried again.
        let Ok(listed) = list_pods(api, Scope::Namespace(&seen.target.namespace), &which).await else { continue };
        let pods = pods_of(&seen.objects.stateful_set, listed.into_values().flatten());
        let now = assemble::snapshot(seen.objects.stateful_set.clone(), pods, depth.clock.now());
        let alive = waiting
            .iter()
            .filter(|ordinal| now.members.get(ordinal).is_some_and(|member| member.files == Fact::Unknown(Why::NotAsked)));
        let looks = alive.map(|ordinal| {
            let pod = container(seen, *ordinal);
            let script = script.as_bytes();
            async move { (*ordinal, look(api, &pod, script, depth).await) }
        });
        for (ordinal, sample) in join_all(looks).await {
            // One that died under the look is waited for again.
            if let (Fact::Known(_), Some(member)) = (&sample.files, seen.members.get_mut(&ordinal)) {
                member.pod = now.members.get(&ordinal).and_then(|member| member.pod.clone());
                (member.server, member.files) = (sample.server, sample.files);
            }
        }
    }
}

/// Its database container has run before, and nothing could be run in it just now.
fn crashes(seen: &Snapshot, member: &Member) -> bool {
    let has_run = |pod: &Pod| {
        let name = &seen.objects.stateful_set.layout.container;
        let database = pod.containers.iter().find(|container| container.name == *name);
        database.is_some_and(|database| {
            let waits = matches!(database.state, ContainerState::Waiting { .. } | ContainerState::Terminated(_));
            waits && (database.restarts > 0 || database.last_end.is_some())
        })
    };
    matches!(member.files, Fact::Unknown(Why::NotRunning(_))) && member.pod.as_ref().is_some_and(has_run)
}

fn container(seen: &Snapshot, ordinal: Ordinal) -> PodRef {
    PodRef {
        namespace: seen.target.namespace.clone(),
        name: seen.pod_name(ordinal),
        container: seen.objects.stateful_set.layout.container.clone(),
    }
}

/// Positions that the latest starts of these members recovered themselves, as far as their logs tell. An extra: what cannot be
/// read is left out.
pub async fn in_logs(api: &Api, seen: &Snapshot, ordinals: impl IntoIterator<Item = Ordinal>) -> BTreeMap<Ordinal, Recovered> {
    let has_pod = |ordinal: &Ordinal| {
        seen.members.get(ordinal).and_then(|member| member.pod.as_ref()).is_some_and(|pod| pod.node.is_some())
    };
    let reads = ordinals.into_iter().filter(has_pod).map(|ordinal| async move {
        let log = latest_log(api, &container(seen, ordinal), LOG_LINES).await;
        let position = at_rest_in_log(log.known().ok()?)?;
        Some((ordinal, Recovered { by: RecoveredBy::StartLog, position: Fact::Known(position) }))
    });
    join_all(reads).await.into_iter().flatten().collect()
}

/// How the latest runs of members ended that crash beside a primary component: whether one is ahead of it is told nowhere else
/// while they wait for their next start, which may be the one that erases it. An extra.
pub async fn last_starts(api: &Api, seen: &Snapshot, limit: Duration) -> BTreeMap<Ordinal, Fact<Option<LastStart>>> {
    if Groups::of(seen).primaries().next().is_none() {
        return BTreeMap::new();
    }
    let reads = seen.members.iter().filter(|(_, member)| crashes(seen, member)).map(|(ordinal, _)| async move {
        let log = within(limit, latest_log(api, &container(seen, *ordinal), LOG_LINES)).await;
        (*ordinal, log.map(|log| last_start(&log)))
    });
    join_all(reads).await.into_iter().collect()
}
