//! Pods and their containers: why a server does not run, and where readiness and the server disagree.

use jiff::Timestamp;

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::kubernetes as rule;
use crate::decide::verdict::{Scene, Standing, list, process, storage, verb};
use crate::model::fact::Why;
use crate::model::kubernetes::{Container, ContainerEnd, ContainerState, Pod};
use crate::model::names::Ordinal;

use super::{before, seconds, span};

/// Seconds after which a start without an answer is no longer normal.
const LONG_START: i64 = 600;
/// A run that ends sooner, in seconds, has failed to start.
const SHORT_RUN: i64 = 120;

/// Seconds over the grace period after which a pod should be gone.
const STUCK: i64 = 30;

/// The one reason why this pod has no server that answers, as far as Kubernetes knows it.
pub(super) fn pod_cause(scene: &Scene, ordinal: Ordinal, pod: &Pod) -> Option<Finding> {
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
        Some(disk) => finding.seen(format!("server process of {name}"), process(disk)),
        None => finding,
    }
}

/// A container that answers, and whose server does not take statements (not in Galera, where this has more meanings).
pub(in crate::decide::verdict) fn quiet(scene: &Scene, ordinal: Ordinal, pod: &Pod) -> Finding {
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
        finding = finding.seen(format!("server process of {name}"), process(disk));
    }
    finding.kubectl(&format!("logs {name} --tail=50"))
}

/// A pod whose database container does not run. `None`: the storage family tells the cause.
fn down(scene: &Scene, ordinal: Ordinal, pod: &Pod) -> Option<Finding> {
    let name = &pod.name;
    if pod.phase == "Failed" {
        let evicted =
            if pod.reason.as_ref().is_some_and(|reason| reason.starts_with("Evicted")) { ": it was evicted" } else { "" };
        let finding = Finding::new(&rule::POD_FAILED, format!("{name} has failed as a whole{evicted}"));
        let finding = finding.seen(format!("status.phase of pod/{name}"), &pod.phase);
        return Some(match &pod.reason {
            Some(reason) => finding.seen(format!("status.reason of pod/{name}"), reason),
            None => finding,
        });
    }
    if let Some(reason) = &pod.unscheduled {
        let blames_claim = storage::blames_claim(scene, pod);
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
    if !pod.claims.is_empty() && storage::blames_claim(scene, pod) {
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
fn crashes_again_and_again(container: &Container, taken: Timestamp) -> Option<&ContainerEnd> {
    let recent = |end: &&ContainerEnd| end.exit_code != 0 && end.at.is_some_and(|at| seconds(taken, at) < LONG_START);
    // A server that ran for long and was killed once more does not crash in a loop.
    let soon = |end: &&ContainerEnd| end.started.zip(end.at).is_some_and(|(started, at)| seconds(at, started) < SHORT_RUN);
    container.last_end.as_ref().filter(recent).filter(soon).filter(|_| container.restarts >= 2)
}

/// What a running server's last end says.
pub(super) fn last_end(scene: &Scene, ordinal: Ordinal, pod: &Pod) -> Option<Finding> {
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
pub(super) fn readiness(scene: &Scene) -> Vec<Finding> {
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

/// Seconds since the database container was started.
pub(in crate::decide::verdict) fn age(scene: &Scene, ordinal: Ordinal) -> Option<i64> {
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
