//! What Kubernetes says of the set, its pods and nodes. Every pod whose server is down gets exactly one cause here.

pub(super) mod events;
mod nodes;
mod pods;

use jiff::Timestamp;

use crate::decide::finding::Finding;
use crate::decide::rules::kubernetes as rule;
use crate::model::kubernetes::{Pod, PodManagement, UpdateStrategy};
use crate::model::names::Ordinal;

use super::{Scene, Standing, list, verb};

pub(super) use pods::{age, quiet};

pub(super) fn findings(scene: &Scene) -> Vec<Finding> {
    let mut found = set(scene);
    let (nodes, on_bad_nodes) = nodes::nodes(scene);
    found.extend(nodes);
    found.extend(missing(scene));
    found.extend(nobody_runs(scene));
    for (ordinal, pod) in scene.pods() {
        if !on_bad_nodes.contains(&ordinal) {
            found.extend(pods::pod_cause(scene, ordinal, pod));
        }
        found.extend(pods::last_end(scene, ordinal, pod));
        found.extend(events::probe_kills(scene, ordinal, pod));
        found.extend(events::volume(scene, ordinal, pod));
    }
    found.extend(pods::readiness(scene));
    found.extend(revisions(scene));
    found
}

/// Findings about the StatefulSet itself.
fn set(scene: &Scene) -> Vec<Finding> {
    let set = &scene.seen.objects.stateful_set;
    let describe = format!("describe statefulset {}", set.name);
    let mut found = Vec::new();
    if let Some(at) = set.deletion {
        found.push(
            Finding::new(&rule::SET_BEING_DELETED, format!("StatefulSet {} is being deleted", set.name))
                .seen(format!("metadata.deletionTimestamp of statefulset/{}", set.name), at)
                .kubectl(&describe),
        );
    }
    if set.replicas == 0 {
        found.push(
            Finding::new(&rule::SCALED_TO_ZERO, format!("StatefulSet {} is scaled to 0: no server runs", set.name))
                .seen(format!("spec.replicas of statefulset/{}", set.name), 0)
                .kubectl(&format!("get pvc -l {}", selector(scene))),
        );
    }
    if set.observed_generation < set.generation {
        found.push(
            Finding::new(&rule::CONTROLLER_BEHIND, "the StatefulSet controller has not acted on the last change of the set")
                .seen("metadata.generation", set.generation)
                .seen("status.observedGeneration", set.observed_generation)
                .kubectl(&describe),
        );
    }
    if set.deletes_claims_when_scaled {
        found.push(
            Finding::new(&rule::CLAIMS_DELETED_WHEN_SCALED, format!("scaling in StatefulSet {} deletes its volumes", set.name))
                .seen("spec.persistentVolumeClaimRetentionPolicy.whenScaled", "Delete"),
        );
    }
    for (ordinal, _) in scene.pods().filter(|(ordinal, _)| !set.wants(*ordinal)) {
        let name = scene.pod_name(ordinal);
        found.push(
            Finding::new(&rule::EXTRA_POD, format!("{name} still exists, although the set wants {} pods", set.replicas))
                .seen("spec.replicas", set.replicas)
                .seen("spec.ordinals.start", set.start)
                .kubectl(&format!("describe pod {name}"))
                .about([name]),
        );
    }
    found
}

fn selector(scene: &Scene) -> String {
    let pairs = &scene.seen.objects.stateful_set.selector;
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// Wanted pods that do not exist.
fn missing(scene: &Scene) -> Option<Finding> {
    let set = &scene.seen.objects.stateful_set;
    let gone: Vec<String> =
        set.wanted().filter(|ordinal| scene.pod(*ordinal).is_none()).map(|ordinal| scene.pod_name(ordinal)).collect();
    let describe = format!("describe statefulset {}", set.name);
    if gone.is_empty() {
        return None;
    }
    if scene.pods().next().is_none() {
        let summary = format!("StatefulSet {} wants {} pods and has none", set.name, set.replicas);
        let finding = Finding::new(&rule::NO_PODS, summary).seen("spec.replicas", set.replicas);
        return Some(events::tell(scene, finding, &events::of_set(scene), &["FailedCreate"]).kubectl(&describe).about(gone));
    }
    let mut finding = Finding::new(&rule::POD_MISSING, format!("{} {} not exist", list(&gone), verb(&gone, "does", "do")))
        .seen("spec.replicas", set.replicas);
    let unready = scene.pods().find(|(ordinal, pod)| set.wants(*ordinal) && !pod.ready);
    if let (PodManagement::OrderedReady, Some((_, pod))) = (set.pod_management, unready) {
        finding = finding.seen("podManagementPolicy", format!("OrderedReady: waits until {} is Ready", pod.name));
    }
    let finding = events::tell(scene, finding, &events::of_set(scene), &["FailedCreate"]);
    Some(finding.kubectl(&describe).about(gone))
}

/// All servers are down, and nobody is left to say what kind of cluster this is.
fn nobody_runs(scene: &Scene) -> Option<Finding> {
    let wanted: Vec<Ordinal> = scene.wanted().collect();
    let down = |ordinal: &Ordinal| scene.standing(*ordinal) == Standing::Down;
    let has_ended = |ordinal: &Ordinal| scene.database(*ordinal).is_some_and(|container| container.last_end.is_some());
    if wanted.len() < 2 || scene.is_galera() || !wanted.iter().all(down) || !wanted.iter().any(has_ended) {
        return None;
    }
    let names = scene.names(wanted.iter().copied());
    let mut finding = Finding::new(&rule::NOBODY_RUNS, format!("none of {} runs", list(&names)));
    for ordinal in wanted {
        if let Some(why) = scene.unknown(ordinal) {
            finding = finding.seen(format!("server of {}", scene.pod_name(ordinal)), why);
        }
    }
    Some(finding.about(names))
}

/// Rollouts: finished, under way, held, or left to deletions.
fn revisions(scene: &Scene) -> Option<Finding> {
    let set = &scene.seen.objects.stateful_set;
    let old: Vec<(Ordinal, &Pod)> = scene
        .pods()
        .filter(|(ordinal, pod)| set.wants(*ordinal) && pod.revision.as_ref().is_some_and(|own| *own != set.update_revision))
        .collect();
    let names = |pods: &[(Ordinal, &Pod)]| pods.iter().map(|(_, pod)| pod.name.clone()).collect::<Vec<_>>();
    let (rule, pods, summary) = match set.update_strategy {
        UpdateStrategy::OnDelete if old.is_empty() => return None,
        UpdateStrategy::OnDelete if scene.operator_deletes_old_pods() => {
            let pods = names(&old);
            let summary = format!(
                "the operator's rollout has not finished: {} still {} an older revision",
                list(&pods),
                verb(&pods, "runs", "run")
            );
            (&rule::ROLLOUT_UNFINISHED, pods, summary)
        }
        UpdateStrategy::OnDelete => {
            let pods = names(&old);
            let summary = format!("{} {} for a deletion to get the newest template", list(&pods), verb(&pods, "waits", "wait"));
            (&rule::ON_DELETE_MIXED, pods, summary)
        }
        UpdateStrategy::RollingUpdate { partition } => {
            let first = Ordinal(set.start.saturating_add(partition));
            let due: Vec<_> = old.iter().filter(|(ordinal, _)| *ordinal >= first).copied().collect();
            if !due.is_empty() {
                let pods = names(&due);
                let summary =
                    format!("a rollout has not finished: {} still {} an older revision", list(&pods), verb(&pods, "runs", "run"));
                (&rule::ROLLOUT_UNFINISHED, pods, summary)
            } else if !old.is_empty() {
                let pods = names(&old);
                let summary = format!(
                    "a rollout is held by partition {partition}: {} {} an older revision",
                    list(&pods),
                    verb(&pods, "runs", "run")
                );
                (&rule::PARTITION_PAUSED, pods, summary)
            } else if partition > 0 {
                let summary = format!("partition {partition} is set: the next rollout reaches ordinals from {first} up only");
                (&rule::PARTITION_SET, Vec::new(), summary)
            } else {
                return None;
            }
        }
    };
    let mut finding = Finding::new(rule, summary).seen("status.updateRevision", &set.update_revision);
    for (_, pod) in old {
        finding = finding.seen(format!("revision of pod/{}", pod.name), pod.revision.as_deref().unwrap_or_default());
    }
    let finding = if rule == &rule::PARTITION_PAUSED { finding.plugin(&format!("upgrade {}", set.name)) } else { finding };
    Some(finding.kubectl(&format!("describe statefulset {}", set.name)).about(pods))
}

fn seconds(taken: Timestamp, at: Timestamp) -> i64 {
    taken.duration_since(at).as_secs()
}

/// How long before `taken` something was, as people say it.
pub(in crate::decide) fn before(taken: Timestamp, at: Timestamp) -> String {
    span(seconds(taken, at))
}

pub(super) fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
