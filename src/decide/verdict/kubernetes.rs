//! What Kubernetes says of the set, its pods and nodes. Every pod whose server is down gets exactly one cause here.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::kubernetes as rule;
use crate::model::fact::Why;
use crate::model::kubernetes::{Container, ContainerEnd, ContainerState, Node, NodeReady, Pod, PodManagement, UpdateStrategy};
use crate::model::names::Ordinal;

use super::{Scene, Standing, list, verb};

/// Seconds after which a start without an answer is no longer normal.
const LONG_START: i64 = 600;
/// Seconds over the grace period after which a pod should be gone.
const STUCK: i64 = 30;

pub(super) fn findings(scene: &Scene) -> Vec<Finding> {
    let mut found = set(scene);
    let (nodes, on_bad_nodes) = nodes(scene);
    found.extend(nodes);
    found.extend(missing(scene));
    found.extend(nobody_runs(scene));
    for (ordinal, pod) in scene.pods() {
        if !on_bad_nodes.contains(&ordinal) {
            found.extend(pod_cause(scene, ordinal, pod));
        }
        found.extend(last_end(scene, ordinal, pod));
    }
    found.extend(readiness(scene));
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

/// Nodes that are silent, gone or not ready: one finding per node, and the ordinals that it explains.
fn nodes(scene: &Scene) -> (Vec<Finding>, Vec<Ordinal>) {
    let Ok(nodes) = scene.seen.objects.nodes.known() else { return (Vec::new(), Vec::new()) };
    let mut hosts: BTreeMap<&str, Vec<Ordinal>> = BTreeMap::new();
    for (ordinal, pod) in scene.pods() {
        if let Some(node) = &pod.node {
            hosts.entry(node).or_default().push(ordinal);
        }
    }
    let (mut found, mut explained) = (Vec::new(), Vec::new());
    for (name, ordinals) in hosts {
        let node = nodes.iter().find(|node| node.name == name);
        let pods: Vec<String> = ordinals.iter().map(|ordinal| scene.pod_name(*ordinal)).collect();
        let Some(finding) = node_finding(scene, name, node, &pods) else { continue };
        let is_bad = finding.rule != &rule::NODE_CORDONED;
        let mut finding = finding.kubectl(&format!("describe node {name}")).about(pods);
        for ordinal in ordinals.into_iter().filter(|_| is_bad) {
            let answer = match scene.standing(ordinal) {
                Standing::Up => "answers".to_owned(),
                Standing::Unseen(why) => why.to_string(),
                Standing::Quiet | Standing::Hung | Standing::Down => "takes no statements".to_owned(),
            };
            finding = finding.seen(format!("server of {}", scene.pod_name(ordinal)), answer);
            explained.push(ordinal);
        }
        found.push(finding);
    }
    (found, explained)
}

fn node_finding(scene: &Scene, name: &str, node: Option<&Node>, pods: &[String]) -> Option<Finding> {
    let pods = list(pods);
    let Some(node) = node else {
        return Some(
            Finding::new(&rule::NODE_GONE, format!("node {name}, on which {pods} ran, no longer exists"))
                .seen(format!("node/{name}"), "not found"),
        );
    };
    match &node.ready {
        NodeReady::Silent { since } => {
            let since = since.map_or_else(|| "a time unknown".to_owned(), |since| before(scene.seen.taken, since));
            Some(
                Finding::new(&rule::NODE_SILENT, format!("node {name} with {pods} has been silent for {since}"))
                    .seen(format!("condition Ready of node/{name}"), "Unknown"),
            )
        }
        NodeReady::No(message) => Some(
            Finding::new(&rule::NODE_NOT_READY, format!("node {name} with {pods} says that it is not ready"))
                .seen(format!("condition Ready of node/{name}"), format!("False: {message}")),
        ),
        NodeReady::Yes if node.cordoned => Some(
            Finding::new(&rule::NODE_CORDONED, format!("node {name} with {pods} is cordoned"))
                .seen(format!("spec.unschedulable of node/{name}"), true),
        ),
        NodeReady::Yes => None,
    }
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
        return Some(Finding::new(&rule::NO_PODS, summary).seen("spec.replicas", set.replicas).kubectl(&describe).about(gone));
    }
    let mut finding = Finding::new(&rule::POD_MISSING, format!("{} {} not exist", list(&gone), verb(&gone, "does", "do")))
        .seen("spec.replicas", set.replicas);
    let unready = scene.pods().find(|(ordinal, pod)| set.wants(*ordinal) && !pod.ready);
    if let (PodManagement::OrderedReady, Some((_, pod))) = (set.pod_management, unready) {
        finding = finding.seen("podManagementPolicy", format!("OrderedReady: waits until {} is Ready", pod.name));
    }
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

/// The one reason why this pod has no server that answers, as far as Kubernetes knows it.
fn pod_cause(scene: &Scene, ordinal: Ordinal, pod: &Pod) -> Option<Finding> {
    let taken = scene.seen.taken;
    let name = &pod.name;
    let describe = format!("describe pod {name}");
    if let Some(deadline) = pod.deletion {
        let over = seconds(taken, deadline);
        let (rule, summary) = if over > STUCK {
            (&rule::TERMINATING_LONG, format!("{name} should have been gone for {} and still exists", before(taken, deadline)))
        } else {
            (&rule::TERMINATING, format!("{name} is being deleted"))
        };
        let finding = Finding::new(rule, summary).seen(format!("metadata.deletionTimestamp of pod/{name}"), deadline);
        return Some(finding.kubectl(&describe).about([name]));
    }
    let finding = match scene.standing(ordinal) {
        Standing::Up | Standing::Unseen(_) => return None,
        Standing::Hung => hung(scene, ordinal, name),
        Standing::Quiet if scene.is_galera() => return None,
        Standing::Quiet => quiet(scene, ordinal, pod),
        Standing::Down => down(scene, ordinal, pod)?,
    };
    Some(finding.kubectl(&describe).about([name]))
}

/// A server process that does not answer.
fn hung(scene: &Scene, ordinal: Ordinal, name: &str) -> Finding {
    let mut finding = Finding::new(&rule::SERVER_HANGS, format!("the server of {name} is alive and answers nothing"));
    if let Some(why) = scene.unknown(ordinal) {
        finding = finding.seen(format!("SQL on {name}"), why);
    }
    match scene.files(ordinal) {
        Some(disk) => finding.seen(format!("server process of {name}"), super::process(disk)),
        None => finding,
    }
}

/// A container that answers, and whose server does not take statements (not in Galera, where this has more meanings).
pub(super) fn quiet(scene: &Scene, ordinal: Ordinal, pod: &Pod) -> Finding {
    let (name, taken) = (&pod.name, scene.seen.taken);
    let container = scene.database(ordinal);
    if let Some(end) = container.and_then(|container| crashes_again_and_again(container, taken)) {
        return crash(name, container, end).kubectl(&format!("logs {name} --previous --tail=50"));
    }
    let (rule, summary) = match age(scene, ordinal) {
        Some(running) if running > LONG_START => {
            (&rule::STARTS_LONG, format!("the server of {name} has been starting for {}", span(running)))
        }
        _ => (&rule::STARTING, format!("the server of {name} is starting")),
    };
    let mut finding = Finding::new(rule, summary);
    if let Some(why) = scene.unknown(ordinal) {
        finding = finding.seen(format!("SQL on {name}"), why);
    }
    if let Some(disk) = scene.files(ordinal) {
        finding = finding.seen(format!("server process of {name}"), super::process(disk));
    }
    finding.kubectl(&format!("logs {name} --tail=50"))
}

/// A pod whose database container does not run. `None`: the storage family tells the cause.
fn down(scene: &Scene, ordinal: Ordinal, pod: &Pod) -> Option<Finding> {
    let name = &pod.name;
    if pod.phase == "Failed" {
        let finding = Finding::new(&rule::POD_FAILED, format!("{name} has failed as a whole"));
        return Some(finding.seen(format!("status.phase of pod/{name}"), &pod.phase));
    }
    if let Some(reason) = &pod.unscheduled {
        let blames_claim = super::storage::blames_claim(scene, pod);
        let finding = Finding::new(&rule::UNSCHEDULABLE, format!("{name} cannot be placed on any node"));
        return (!blames_claim).then(|| finding.seen(format!("condition PodScheduled of pod/{name}"), reason));
    }
    for container in &pod.init_containers {
        if let Some(finding) = stuck_init(name, container) {
            return Some(finding);
        }
    }
    let Some(container) = scene.database(ordinal) else {
        let finding = Finding::new(&rule::STARTING, format!("{name} is starting"));
        return Some(finding.seen(format!("status.phase of pod/{name}"), &pod.phase));
    };
    if !pod.claims.is_empty() && super::storage::blames_claim(scene, pod) {
        return None;
    }
    Some(down_container(scene, ordinal, name, container))
}

/// An init container that cannot end well.
fn stuck_init(pod: &str, container: &Container) -> Option<Finding> {
    let named = format!("init container {} of {pod}", container.name);
    let finding = match &container.state {
        ContainerState::Waiting { reason, message } if is_pull_problem(reason) => pull(&named, &container.image, reason, message),
        ContainerState::Waiting { reason, .. } if reason == "CrashLoopBackOff" => {
            let end = container.last_end.as_ref().map_or_else(|| reason.clone(), describe_end);
            Finding::new(&rule::INIT_FAILING, format!("{named} fails again and again")).seen(format!("last end of {named}"), end)
        }
        ContainerState::Terminated(end) if end.exit_code != 0 => {
            Finding::new(&rule::INIT_FAILING, format!("{named} has failed")).seen(format!("state of {named}"), describe_end(end))
        }
        _ => return None,
    };
    Some(finding.kubectl(&format!("logs {pod} -c {} --tail=50", container.name)))
}

fn down_container(scene: &Scene, ordinal: Ordinal, name: &str, container: &Container) -> Finding {
    let state = format!("state of container {} in {name}", container.name);
    let logs = format!("logs {name} -c {} --previous --tail=50", container.name);
    match &container.state {
        ContainerState::Waiting { reason, message } if is_pull_problem(reason) => {
            pull(&format!("container {} of {name}", container.name), &container.image, reason, message)
        }
        ContainerState::Waiting { reason, .. } if reason == "CrashLoopBackOff" => match &container.last_end {
            Some(end) => crash(name, Some(container), end).kubectl(&logs),
            None => Finding::new(&rule::CRASH_LOOP, format!("the server of {name} crashes again and again")).seen(state, reason),
        },
        ContainerState::Waiting { reason, message } if is_start(reason) => {
            Finding::new(&rule::STARTING, format!("{name} is starting")).seen(state, with(reason, message))
        }
        ContainerState::Waiting { reason, message } => {
            let summary = format!("container {} of {name} cannot be created", container.name);
            Finding::new(&rule::CANNOT_START, summary).seen(state, with(reason, message))
        }
        ContainerState::Terminated(end) if end.reason == "OOMKilled" => crash(name, Some(container), end).kubectl(&logs),
        ContainerState::Terminated(end) => ended(name).seen(state, describe_end(end)).kubectl(&logs),
        ContainerState::Unreported => Finding::new(&rule::STARTING, format!("{name} is starting")).seen(state, "not reported"),
        ContainerState::Running { .. } => match scene.unknown(ordinal) {
            Some(Why::NotRunning(what)) => ended(name).seen(format!("exec in {name}"), what),
            _ => ended(name),
        },
    }
}

fn ended(name: &str) -> Finding {
    Finding::new(&rule::CONTAINER_ENDED, format!("the server's container of {name} has ended"))
}

/// The finding for a container that keeps ending, by the reason of its last end.
fn crash(name: &str, container: Option<&Container>, end: &ContainerEnd) -> Finding {
    let restarts = container.map_or(0, |container| container.restarts);
    let (rule, what): (&'static Rule, _) = match end.reason.as_str() {
        "OOMKilled" => (&rule::OOM_LOOP, "is killed for want of memory"),
        _ => (&rule::CRASH_LOOP, "crashes again and again"),
    };
    Finding::new(rule, format!("the server of {name} {what} (exit code {}, {restarts} restarts)", end.exit_code))
        .seen(format!("last end of the container in {name}"), describe_end(end))
}

fn pull(container: &str, image: &str, reason: &str, message: &str) -> Finding {
    Finding::new(&rule::IMAGE_PULL, format!("the image {image} of {container} cannot be pulled"))
        .seen(format!("state of {container}"), with(reason, message))
}

fn is_pull_problem(reason: &str) -> bool {
    ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"].contains(&reason)
}

fn is_start(reason: &str) -> bool {
    ["ContainerCreating", "PodInitializing"].contains(&reason)
}

/// The last end of a container that runs now, and that has ended twice or more, the last time within ten minutes.
pub(super) fn crashes_again_and_again(container: &Container, taken: Timestamp) -> Option<&ContainerEnd> {
    let recent = |end: &&ContainerEnd| end.exit_code != 0 && end.at.is_some_and(|at| seconds(taken, at) < LONG_START);
    container.last_end.as_ref().filter(recent).filter(|_| container.restarts >= 2)
}

/// What a running server's last end says.
fn last_end(scene: &Scene, ordinal: Ordinal, pod: &Pod) -> Option<Finding> {
    let (taken, name) = (scene.seen.taken, &pod.name);
    let container = scene.database(ordinal).filter(|_| scene.standing(ordinal) == Standing::Up)?;
    let end = container.last_end.as_ref()?;
    let at = end.at?;
    let ago = before(taken, at);
    let (rule, summary) = match seconds(taken, at) {
        age if end.reason == "OOMKilled" && age < 86_400 => {
            (&rule::OOM_KILLED, format!("the server of {name} was killed for want of memory {ago} ago"))
        }
        age if age < 3600 => (&rule::RESTARTED, format!("the server of {name} was restarted {ago} ago")),
        _ => return None,
    };
    Some(
        Finding::new(rule, summary)
            .seen(format!("last end of the container in {name}"), describe_end(end))
            .seen(format!("restarts of the container in {name}"), container.restarts)
            .kubectl(&format!("logs {name} -c {} --previous --tail=50", container.name))
            .about([name]),
    )
}

/// Where readiness and the server disagree.
fn readiness(scene: &Scene) -> Vec<Finding> {
    let mut found = Vec::new();
    let pods = || scene.pods().filter(|(_, pod)| pod.deletion.is_none());
    let unready = pods().filter(|(ordinal, pod)| !pod.ready && scene.serves(*ordinal) == Some(true));
    for (ordinal, pod) in unready {
        let settled = age(scene, ordinal).is_some_and(|age| age > STUCK);
        if settled {
            found.push(
                Finding::new(&rule::NOT_READY_SERVES, format!("{} is not Ready, although its server is fine", pod.name))
                    .seen(format!("condition Ready of pod/{}", pod.name), "False")
                    .kubectl(&format!("describe pod {}", pod.name))
                    .about([&pod.name]),
            );
        }
    }
    let dead: Vec<&String> =
        pods().filter(|(ordinal, pod)| pod.ready && scene.serves(*ordinal) == Some(false)).map(|(_, pod)| &pod.name).collect();
    if !dead.is_empty() {
        let names = list(&dead);
        let (is, server) = (verb(&dead, "is", "are"), verb(&dead, "its server does", "their servers do"));
        let mut finding = Finding::new(&rule::READY_DOES_NOT_SERVE, format!("{names} {is} Ready, although {server} not serve"));
        for pod in &dead {
            finding = finding.seen(format!("condition Ready of pod/{pod}"), "True");
        }
        found.push(finding.about(dead));
    }
    found
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
    Some(finding.kubectl(&format!("describe statefulset {}", set.name)).about(pods))
}

/// Seconds since the database container was started.
pub(super) fn age(scene: &Scene, ordinal: Ordinal) -> Option<i64> {
    scene.database(ordinal).and_then(since).map(|since| seconds(scene.seen.taken, since))
}

fn since(container: &Container) -> Option<Timestamp> {
    match container.state {
        ContainerState::Running { since } => since,
        _ => None,
    }
}

fn describe_end(end: &ContainerEnd) -> String {
    let signal = end.signal.map(|signal| format!(", signal {signal}")).unwrap_or_default();
    let at = end.at.map(|at| format!(" at {at}")).unwrap_or_default();
    format!("exit code {}{signal} ({}){at}", end.exit_code, end.reason)
}

fn with(reason: &str, message: &str) -> String {
    if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
}

fn seconds(taken: Timestamp, at: Timestamp) -> i64 {
    taken.duration_since(at).as_secs()
}

/// How long before `taken` something was, as people say it.
fn before(taken: Timestamp, at: Timestamp) -> String {
    span(seconds(taken, at))
}

fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
