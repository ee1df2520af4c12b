//! Events as evidence. Kubernetes keeps them for an hour; that there is none proves nothing.

use crate::decide::finding::Finding;
use crate::decide::rules::kubernetes as rule;
use crate::decide::verdict::Scene;
use crate::model::kubernetes::{Container, ContainerEnd, ContainerState, Event, Pod};
use crate::model::names::Ordinal;

use super::{before, seconds};

/// Seconds within which an event speaks of now.
const RECENT: i64 = 900;

/// The set as events name it.
pub(super) fn of_set(scene: &Scene) -> String {
    format!("StatefulSet/{}", scene.seen.objects.stateful_set.name)
}

/// The newest recent event of an object (`KIND/NAME`) with one of these reasons.
fn newest<'a>(scene: &Scene<'a>, object: &str, is: impl Fn(&Event) -> bool) -> Option<&'a Event> {
    let recent = |event: &&Event| event.last.is_some_and(|last| seconds(scene.seen.taken, last) < RECENT);
    let events = scene.seen.objects.events.known().ok()?.iter();
    events.filter(|event| event.object == object && is(event)).filter(recent).max_by_key(|event| event.last)
}

/// Adds the newest event with one of these reasons.
pub(in crate::decide::verdict) fn tell(scene: &Scene, finding: Finding, object: &str, reasons: &[&str]) -> Finding {
    match newest(scene, object, |event| reasons.contains(&event.reason.as_str())) {
        Some(event) => with(scene, finding, event),
        None => finding,
    }
}

fn with(scene: &Scene, finding: Finding, event: &Event) -> Finding {
    let ago = event.last.map(|last| format!(", {} ago", before(scene.seen.taken, last))).unwrap_or_default();
    let times = if event.count > 1 { format!(" ({} times{ago})", event.count) } else { format!(" (once{ago})") };
    finding.seen(format!("event {} of {}{times}", event.reason, event.object), event.message.trim())
}

/// The kubelet has ended the container's last run, or is ending this one, for a probe that failed.
pub(super) fn probe_kills(scene: &Scene, ordinal: Ordinal, pod: &Pod) -> Option<Finding> {
    let container = scene.database(ordinal)?;
    if pod.deletion.is_some() {
        return None;
    }
    let (which, evidence) = killed(scene, pod, container).or_else(|| likely_killed(scene, pod, container))?;
    // It got through in the end.
    if which == "startup" && container.ready {
        return None;
    }
    let summary =
        format!("the kubelet ends the server of {} because its {which} probe fails ({} restarts)", pod.name, container.restarts);
    let mut finding = with(scene, Finding::new(&rule::PROBE_KILLS, summary), evidence);
    if let Some(failure) = failure(scene, pod, which).filter(|failure| *failure != evidence) {
        finding = with(scene, finding, failure);
    }
    let layout = &scene.seen.objects.stateful_set.layout;
    let probe = if which == "startup" { &layout.startup_probe } else { &layout.liveness_probe };
    if let Some(probe) = probe {
        finding = finding.seen(format!("{which} probe"), format!("ends the container {} s after its start", probe.patience()));
    }
    Some(finding.kubectl(&format!("describe pod {}", pod.name)).about([&pod.name]))
}

/// The kubelet says so: `Container mariadb failed startup probe, will be restarted`.
fn killed<'a>(scene: &Scene<'a>, pod: &Pod, container: &Container) -> Option<(&'static str, &'a Event)> {
    let begun = container.last_end.as_ref().and_then(|end| end.started);
    let which = |event: &Event| {
        let failed = event.message.strip_prefix("Container ")?.strip_prefix(&container.name)?.strip_prefix(" failed ")?;
        ["startup", "liveness"].into_iter().find(|which| event.reason == "Killing" && failed.starts_with(which))
    };
    let of_these_runs = |event: &Event| begun.is_none_or(|begun| event.last.is_some_and(|last| last >= begun));
    let event = newest(scene, &format!("Pod/{}", pod.name), |event| which(event).is_some() && of_these_runs(event))?;
    Some((which(event)?, event))
}

/// The number of events that are written of one pod is limited, so that the kubelet's word of the end may be missing. A run that was
/// ended from outside after such failures, and that a startup probe had no patience with any more, tells as much.
fn likely_killed<'a>(scene: &Scene<'a>, pod: &Pod, container: &Container) -> Option<(&'static str, &'a Event)> {
    let end = container.last_end.as_ref().filter(|end| [137, 143].contains(&end.exit_code) || end.exit_code == 0)?;
    if end.reason == "OOMKilled" || container.restarts == 0 {
        return None;
    }
    let found = ["startup", "liveness"].into_iter().filter_map(|which| Some((which, failure(scene, pod, which)?)));
    let (which, event) = found.max_by_key(|(_, event)| event.last)?;
    let before_the_end = event.last.zip(end.at).is_some_and(|(last, at)| seconds(at, last) < RECENT);
    (before_the_end && (which == "liveness" || ran_out_of_patience(scene, end))).then_some((which, event))
}

/// The newest failure of this probe.
fn failure<'a>(scene: &Scene<'a>, pod: &Pod, which: &str) -> Option<&'a Event> {
    let failed = |event: &Event| event.reason == "Unhealthy" && event.message.to_ascii_lowercase().starts_with(which);
    newest(scene, &format!("Pod/{}", pod.name), failed)
}

/// Whether this run lasted as long as its startup probe lets a server start.
fn ran_out_of_patience(scene: &Scene, end: &ContainerEnd) -> bool {
    let probe = scene.seen.objects.stateful_set.layout.startup_probe.as_ref();
    let lasted = end.at.zip(end.started).map(|(at, started)| seconds(at, started));
    probe
        .zip(lasted)
        .is_some_and(|(probe, lasted)| u64::try_from(lasted).is_ok_and(|lasted| lasted >= u64::from(probe.patience())))
}

/// Whether the liveness probe of this run is known to fail.
pub(in crate::decide::verdict) fn liveness_fails(scene: &Scene, ordinal: Ordinal) -> bool {
    let object = format!("Pod/{}", scene.pod_name(ordinal));
    let of_this_run = |event: &Event| {
        let age = event.last.map(|last| seconds(scene.seen.taken, last));
        age.zip(super::age(scene, ordinal)).is_some_and(|(age, running)| age <= running)
    };
    let fails = |event: &Event| event.reason == "Unhealthy" && event.message.starts_with("Liveness probe");
    newest(scene, &object, |event| fails(event) && of_this_run(event)).is_some()
}

/// A pod that has its node, and whose volume does not come.
pub(super) fn volume(scene: &Scene, ordinal: Ordinal, pod: &Pod) -> Option<Finding> {
    let waits = match scene.database(ordinal).map(|container| &container.state) {
        Some(ContainerState::Waiting { reason, .. }) => reason == "ContainerCreating" || reason == "PodInitializing",
        Some(ContainerState::Unreported) | None => pod.node.is_some(),
        Some(ContainerState::Running { .. } | ContainerState::Terminated(_)) => false,
    };
    let is = |event: &Event| ["FailedAttachVolume", "FailedMount", "FailedMapVolume"].contains(&event.reason.as_str());
    let event = newest(scene, &format!("Pod/{}", pod.name), is).filter(|_| waits && pod.deletion.is_none())?;
    let what = if event.message.contains("Multi-Attach") {
        "is still attached to another node"
    } else {
        "cannot be attached or mounted"
    };
    let finding = Finding::new(&rule::VOLUME_NOT_ATTACHED, format!("{} waits for a volume that {what}", pod.name));
    Some(with(scene, finding, event).kubectl(&format!("describe pod {}", pod.name)).about([&pod.name]))
}
