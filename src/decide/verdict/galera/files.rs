//! Galera: what the state files say, above all of members that do not run.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::decide::finding::Finding;
use crate::decide::rules::galera as rule;
use crate::model::disk::{Disk, Process, StateFile};
use crate::model::kubernetes::PodManagement;
use crate::model::names::Ordinal;
use crate::model::recovered::LastStart;

use crate::decide::verdict::verb;

use super::{Scene, Standing, has_primary, is_primary, list, unseen, up};

pub(super) fn findings(scene: &Scene) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(all_down(scene));
    found.extend(half_copies(scene));
    found.extend(distrusted(scene));
    found.extend(missing(scene));
    found.extend(broken_views(scene));
    found.extend(safe_twice(scene));
    found.extend(histories(scene));
    found.extend(ahead(scene));
    found.extend(switches(scene));
    found
}

/// Members whose server takes no statements, and whose files are known.
fn quiet<'a>(scene: &Scene<'a>) -> impl Iterator<Item = (Ordinal, &'a Disk)> {
    scene
        .seen
        .members
        .keys()
        .copied()
        .filter(|ordinal| matches!(scene.standing(*ordinal), Standing::Quiet | Standing::Down))
        .filter_map(|ordinal| Some((ordinal, scene.files(ordinal)?)))
}

/// Whether no primary component is there, seen or hidden.
fn surely_no_primary(scene: &Scene) -> bool {
    !has_primary(scene) && unseen(scene).is_empty()
}

/// `grastate.dat` and `gvwstate.dat` of one member in one line.
fn state(disk: &Disk) -> String {
    let grastate = match &disk.grastate {
        StateFile::Absent => "no grastate.dat".to_owned(),
        StateFile::Empty => "grastate.dat of 0 bytes".to_owned(),
        StateFile::Malformed { problem, .. } => format!("damaged grastate.dat ({problem})"),
        StateFile::Parsed(state) => {
            let safe = match state.safe_to_bootstrap {
                Some(true) => "safe_to_bootstrap 1",
                Some(false) => "safe_to_bootstrap 0",
                None => "no safe_to_bootstrap",
            };
            format!("{}:{}, {safe}", state.uuid, seqno(state.seqno))
        }
    };
    let gvwstate = match &disk.gvwstate {
        StateFile::Absent => "no gvwstate.dat",
        StateFile::Empty => "gvwstate.dat of 0 bytes",
        StateFile::Malformed { .. } => "damaged gvwstate.dat",
        StateFile::Parsed(_) => "gvwstate.dat present",
    };
    let marks = if disk.transfer_markers.is_empty() { String::new() } else { format!(", {}", disk.transfer_markers.join(", ")) };
    format!("{grastate}, {gvwstate}{marks}")
}

fn with_states(scene: &Scene, mut finding: Finding, of: impl Fn(Ordinal, &Disk) -> bool) -> Finding {
    for (ordinal, disk) in quiet(scene).filter(|(ordinal, disk)| of(*ordinal, disk)) {
        finding = finding.seen(format!("state files of {}", scene.pod_name(ordinal)), state(disk));
    }
    finding
}

/// Nobody answers SQL, and at least one member cannot come up by itself.
fn all_down(scene: &Scene) -> Option<Finding> {
    let wanted: Vec<Ordinal> = scene.wanted().collect();
    let off = |ordinal: &Ordinal| matches!(scene.standing(*ordinal), Standing::Quiet | Standing::Down);
    if wanted.is_empty() || !wanted.iter().all(off) || !is_stuck(scene) {
        return None;
    }
    let names = scene.names(wanted);
    let finding = Finding::new(&rule::ALL_DOWN, format!("the whole Galera cluster is down: none of {} answers", list(&names)));
    let finding = with_states(scene, finding, |_, _| true);
    Some(finding.about(names))
}

pub(super) fn seqno(seqno: Option<u64>) -> String {
    seqno.map_or_else(|| "-1 (unknown)".to_owned(), |seqno| seqno.to_string())
}

/// Whether no member without SQL may still be founding the cluster: a first start is down as well, and nothing is wrong.
pub(super) fn is_stuck(scene: &Scene) -> bool {
    let has_history = |ordinal: Ordinal| {
        let ended = scene.database(ordinal).is_some_and(|container| container.restarts > 0 || container.last_end.is_some());
        let on_disk =
            |disk: &Disk| disk.gvwstate != StateFile::Absent || disk.grastate.parsed().is_some_and(|state| !state.uuid.is_nil());
        ended || scene.files(ordinal).is_some_and(on_disk)
    };
    scene.wanted().all(|ordinal| scene.standing(ordinal) == Standing::Down || has_history(ordinal))
}

/// Directories of a transfer that was cut. With a primary component and a running server it is a transfer under way.
fn half_copies(scene: &Scene) -> Option<Finding> {
    let cut =
        |_: Ordinal, disk: &Disk| (disk.grastate == StateFile::Empty || !disk.transfer_markers.is_empty()) && rests(scene, disk);
    let names = scene.names(quiet(scene).filter(|(ordinal, disk)| cut(*ordinal, disk)).map(|(ordinal, _)| ordinal));
    let finding = Finding::new(&rule::HALF_COPY, format!("the data directory of {} is half a copy", list(&names)));
    let finding = with_states(scene, finding, cut);
    (!names.is_empty()).then(|| finding.about(names))
}

/// Whether no state transfer can be running into this directory.
fn rests(scene: &Scene, disk: &Disk) -> bool {
    surely_no_primary(scene) || (disk.process == Process::None && has_primary(scene))
}

/// A zero UUID without the marks of a transfer.
fn distrusted(scene: &Scene) -> Option<Finding> {
    let nil = |_: Ordinal, disk: &Disk| {
        let is_nil = disk.grastate.parsed().is_some_and(|state| state.uuid.is_nil());
        is_nil && disk.transfer_markers.is_empty() && rests(scene, disk)
    };
    let names = scene.names(quiet(scene).filter(|(ordinal, disk)| nil(*ordinal, disk)).map(|(ordinal, _)| ordinal));
    let finding = Finding::new(&rule::DISTRUSTED, format!("the data directory of {} is not to be trusted", list(&names)));
    let finding = with_states(scene, finding, nil);
    (!names.is_empty()).then(|| finding.about(names))
}

fn missing(scene: &Scene) -> Option<Finding> {
    let bare = |_: Ordinal, disk: &Disk| disk.initialised && disk.grastate == StateFile::Absent;
    let names = scene.names(quiet(scene).filter(|(ordinal, disk)| bare(*ordinal, disk)).map(|(ordinal, _)| ordinal));
    if names.is_empty() || !surely_no_primary(scene) {
        return None;
    }
    let finding = Finding::new(
        &rule::GRASTATE_MISSING,
        format!("{} {} a database and no grastate.dat", list(&names), verb(&names, "has", "have")),
    );
    Some(with_states(scene, finding, bare).about(names))
}

fn broken_views(scene: &Scene) -> Option<Finding> {
    let broken = |_: Ordinal, disk: &Disk| matches!(disk.gvwstate, StateFile::Empty | StateFile::Malformed { .. });
    let names = scene.names(quiet(scene).filter(|(ordinal, disk)| broken(*ordinal, disk)).map(|(ordinal, _)| ordinal));
    let finding =
        Finding::new(&rule::GVWSTATE_BROKEN, format!("gvwstate.dat of {} is damaged and blocks the start", list(&names)));
    let finding = with_states(scene, finding, broken);
    (!names.is_empty()).then(|| finding.about(names))
}

fn safe_twice(scene: &Scene) -> Option<Finding> {
    let safe = |_: Ordinal, disk: &Disk| disk.grastate.parsed().is_some_and(|state| state.safe_to_bootstrap == Some(true));
    let names = scene.names(quiet(scene).filter(|(ordinal, disk)| safe(*ordinal, disk)).map(|(ordinal, _)| ordinal));
    if names.len() < 2 || !surely_no_primary(scene) {
        return None;
    }
    let finding = Finding::new(&rule::SAFE_TWICE, format!("{} claim each to be safe to bootstrap", list(&names)));
    Some(with_states(scene, finding, safe).about(names))
}

/// The histories of the primary components that answer.
fn live_histories(scene: &Scene) -> BTreeSet<Uuid> {
    let primary = up(scene).filter(|(_, galera)| is_primary(&galera.status));
    primary.map(|(_, galera)| galera.status.cluster_state_uuid).filter(|uuid| !uuid.is_nil()).collect()
}

/// Directories that do not belong to the history of the others.
fn histories(scene: &Scene) -> Option<Finding> {
    let live = live_histories(scene);
    let own = |disk: &Disk| disk.grastate.parsed().map(|state| state.uuid).filter(|uuid| !uuid.is_nil());
    let resting: BTreeSet<Uuid> = quiet(scene).filter_map(|(_, disk)| own(disk)).collect();
    // More than one living history is a finding of its own.
    if live.len() > 1 || resting.is_empty() || live.union(&resting).count() < 2 {
        return None;
    }
    let odd = |_: Ordinal, disk: &Disk| own(disk).is_some_and(|uuid| !live.contains(&uuid));
    let names = scene.names(quiet(scene).filter(|(ordinal, disk)| odd(*ordinal, disk)).map(|(ordinal, _)| ordinal));
    let mut finding =
        Finding::new(&rule::HISTORIES_ON_DISK, format!("the data directory of {} holds another history", list(&names)));
    for uuid in &live {
        finding = finding.seen("wsrep_cluster_state_uuid of the primary component", uuid);
    }
    Some(with_states(scene, finding, odd).about(names))
}

/// A resting member with more transactions than the primary component: by its files, or by the log of its latest start.
fn ahead(scene: &Scene) -> Option<Finding> {
    let live = live_histories(scene);
    let primary = || up(scene).filter(|(_, galera)| is_primary(&galera.status)).map(|(_, galera)| &galera.status);
    let committed = primary().filter_map(|status| status.last_committed).max()?;
    // What it has received it will commit: the one that is down may have been the quickest.
    let received =
        primary().filter_map(|status| Some(status.last_committed? + status.recv_queue + status.appliers.unwrap_or(1))).max()?;
    let is_beyond = |uuid: &Uuid, seqno: Option<u64>| live.contains(uuid) && seqno.is_some_and(|seqno| seqno > received);
    let beyond = |_: Ordinal, disk: &Disk| disk.grastate.parsed().is_some_and(|state| is_beyond(&state.uuid, state.seqno));
    let by_files = quiet(scene).filter(|(ordinal, disk)| beyond(*ordinal, disk)).map(|(ordinal, _)| ordinal);
    let starts: BTreeMap<Ordinal, String> = scene
        .seen
        .last_starts
        .iter()
        .filter_map(|(ordinal, start)| {
            let start = start.known().ok()?.as_ref()?;
            Some((*ordinal, start_beyond(start, received, is_beyond)?))
        })
        .collect();
    let ordinals: BTreeSet<Ordinal> = by_files.chain(starts.keys().copied()).collect();
    let names = scene.names(ordinals);
    if names.is_empty() {
        return None;
    }
    let summary = format!("{} {} transactions that the cluster lacks", list(&names), verb(&names, "has", "have"));
    let mut finding = Finding::new(&rule::AHEAD, summary).seen("wsrep_last_committed of the primary component", committed);
    for (ordinal, told) in starts {
        finding = finding.seen(format!("log of the latest start of {}", scene.pod_name(ordinal)), told);
    }
    Some(stopping(scene, with_states(scene, finding, beyond), &names).about(names))
}

/// What stops all of them and keeps their volumes: each start of the one that is ahead is one nearer to its end.
fn stopping(scene: &Scene, finding: Finding, ahead: &[String]) -> Finding {
    let (set, name) = (&scene.seen.objects.stateful_set, &scene.seen.target.name);
    let operated = scene.seen.objects.manager.operator().is_some_and(|operator| operator.owns);
    let finding = if operated { finding.plugin(&format!("suspend {name}")) } else { finding };
    let keep = r#"{"spec":{"persistentVolumeClaimRetentionPolicy":{"whenScaled":"Retain"}}}"#;
    let finding = if set.deletes_claims_when_scaled {
        finding.kubectl(&format!("patch statefulset {name} --type=merge -p {keep}"))
    } else {
        finding
    };
    // Under OrderedReady the controller stops at the first pod that is not Ready (safety B1).
    let finding = finding.kubectl(&format!("scale statefulset/{name} --replicas=0"));
    if set.pod_management == PodManagement::OrderedReady {
        finding.kubectl(&format!("delete pod {}", ahead.join(" ")))
    } else {
        finding
    }
}

/// What the log of a start says that was beyond what the primary component has `received`.
fn start_beyond(start: &LastStart, received: u64, is_beyond: impl Fn(&Uuid, Option<u64>) -> bool) -> Option<String> {
    match start {
        LastStart::Rested(at) if is_beyond(&at.uuid, at.seqno) => Some(format!("it starts from {at}")),
        LastStart::TurnedAway { own, group } if *own > received => {
            Some(format!("it holds seqno {own}, found the group at {group}, and gave up (Reversing history)"))
        }
        LastStart::Rested(_) | LastStart::TurnedAway { .. } => None,
    }
}

/// Ways to found a second cluster.
fn switches(scene: &Scene) -> Vec<Finding> {
    let mut found = Vec::new();
    let template = &scene.seen.objects.stateful_set.layout.bootstrap_switches;
    // The running server's own flag came from its start script or from the template, and those are what counts next time;
    // and its environment is the template's.
    let lasting = |switch: &&String| !switch.starts_with("flag ") && (template.is_empty() || !switch.starts_with("environment "));
    // The operator's own file, which it takes away when the cluster runs.
    let at_work = scene
        .seen
        .objects
        .manager
        .view()
        .is_some_and(|view| view.status.denies("GaleraReady") || view.status.condition("GaleraConfigured").is_none());
    let in_use = |switch: &&String| at_work && switch.ends_with("/1-bootstrap.cnf");
    let of = |disk: &Disk| -> Vec<String> {
        disk.bootstrap_switches.iter().filter(lasting).filter(|switch| !in_use(switch)).cloned().collect()
    };
    let left: Vec<(Ordinal, Vec<String>)> = scene
        .pods()
        .filter_map(|(ordinal, _)| Some((ordinal, of(scene.files(ordinal)?))))
        .filter(|(_, switches)| !switches.is_empty())
        .collect();
    if !left.is_empty() {
        let names = scene.names(left.iter().map(|(ordinal, _)| *ordinal));
        let mut finding = Finding::new(&rule::BOOTSTRAP_SWITCH, format!("a bootstrap switch is left on in {}", list(&names)));
        for (ordinal, switches) in &left {
            finding = finding.seen(format!("bootstrap switch of {}", scene.pod_name(*ordinal)), switches.join("; "));
        }
        found.push(finding.about(names));
    }
    if !template.is_empty() {
        let finding = Finding::new(&rule::BOOTSTRAP_IN_TEMPLATE, "the pod template founds a new cluster at every start")
            .seen(format!("template of statefulset/{}", scene.seen.target.name), template.join("; "));
        found.push(finding);
    }
    found
}
