//! Galera: each member by itself, from its own answer or from what its container shows.

use std::collections::BTreeSet;

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::galera as rule;
use crate::model::disk::{Disk, Process, StateFile};
use crate::model::galera::{Who, ist_possible};
use crate::model::gvwstate::same_server;
use crate::model::names::Ordinal;
use crate::model::position::Position;
use crate::model::server::Galera;
use crate::model::wsrep::{ClusterStatus, LocalState};

use super::files::{is_stuck, seqno};
use super::{Scene, Standing, has_primary, is_primary, is_synced, list, say, status_name, unseen, up};
use crate::decide::verdict::{kubernetes, process, verb};

/// Port of the group communication.
const GROUP_PORT: u16 = 4567;
/// Seconds within which a server that starts with a saved view may find the others.
const REFORM: i64 = 60;

/// Rules that say of a member without SQL what is more than that it is starting.
const TELLING: &[&str] = &[
    rule::HALF_COPY.code,
    rule::DISTRUSTED.code,
    rule::GRASTATE_MISSING.code,
    rule::GVWSTATE_BROKEN.code,
    rule::HISTORIES_ON_DISK.code,
    rule::AHEAD.code,
];

/// `files` are what the state files have told: a member they speak of needs no word that it is starting.
pub(super) fn findings(scene: &Scene, files: &[Finding]) -> Vec<Finding> {
    let mut found = answering(scene);
    let joiners = joiners(scene);
    found.extend(joining(scene, &joiners));
    found.extend(donors(scene, &joiners));
    let quiet = scene.pods().filter(|(ordinal, pod)| {
        scene.standing(*ordinal) == Standing::Quiet
            && pod.deletion.is_none()
            && !joiners.contains(ordinal)
            && !scene.on_bad_node(*ordinal)
    });
    for (ordinal, pod) in quiet {
        let is_told = files.iter().any(|finding| TELLING.contains(&finding.rule.code) && finding.pods.contains(&pod.name));
        let starting = || (!is_told).then(|| kubernetes::quiet(scene, ordinal, pod).about([&pod.name]));
        found.extend(limbo(scene, ordinal).or_else(|| needs_recovery(scene, ordinal)).or_else(starting));
    }
    found
}

/// Members that answered, by the first thing that is wrong with each.
fn answering(scene: &Scene) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut tell = |rule: &'static Rule, says: [&'static str; 2], of: &dyn Fn(&Galera) -> bool| {
        let names = scene.names(up(scene).filter(|(_, galera)| of(galera)).map(|(ordinal, _)| ordinal));
        if let Some(first) = names.first() {
            let finding = Finding::new(rule, format!("{} {}", list(&names), verb(&names, says[0], says[1])));
            let finding = say(scene, finding, "wsrep_cluster_status, wsrep_local_state_comment", |_, galera| {
                Some(format!("{}, {}", status_name(&galera.status), galera.status.state_comment))
            });
            let finding = match rule.code {
                code if code == rule::STATE_DIFFERS.code => say(scene, finding, "local and cluster state UUID", |_, galera| {
                    of(galera).then(|| format!("{}, {}", galera.status.local_state_uuid, galera.status.cluster_state_uuid))
                }),
                code if code == rule::NOT_ACCEPTING.code => say(scene, finding, "wsrep_ready, wsrep_connected", |_, galera| {
                    of(galera).then(|| format!("{}, {}", on(galera.status.ready), on(galera.status.connected)))
                }),
                _ => finding,
            };
            found.push(finding.kubectl(&format!("logs {first} --tail=50")).about(names));
        }
    };
    let settled = |galera: &Galera| matches!(galera.status.local_state, LocalState::Synced | LocalState::DonorDesynced);
    if has_primary(scene) {
        tell(&rule::PARTITIONED, ["cannot reach the primary component", "cannot reach the primary component"], &|galera| {
            galera.status.cluster_status == ClusterStatus::NonPrimary && galera.status.local_state != LocalState::Inconsistent
        });
    }
    tell(
        &rule::INCONSISTENT,
        ["was voted out of the cluster: its data differs", "were voted out of the cluster: their data differs"],
        &|galera| galera.status.local_state == LocalState::Inconsistent,
    );
    tell(
        &rule::ZOMBIE,
        [
            "has left the cluster for good, and its server still runs",
            "have left the cluster for good, and their servers still run",
        ],
        &|galera| {
            let gone = matches!(galera.status.cluster_status, ClusterStatus::Disconnected | ClusterStatus::Other(_));
            gone && galera.status.local_state != LocalState::Inconsistent
        },
    );
    tell(
        &rule::STATE_DIFFERS,
        ["holds another history than the cluster it is in", "hold another history than the cluster they are in"],
        &|galera| {
            let status = &galera.status;
            let differs = status.local_state_uuid != status.cluster_state_uuid && !status.cluster_state_uuid.is_nil();
            is_primary(status) && settled(galera) && differs
        },
    );
    tell(
        &rule::NOT_ACCEPTING,
        ["is in the primary component and accepts no statements", "are in the primary component and accept no statements"],
        &|galera| is_synced(&galera.status) && !(galera.status.ready && galera.status.connected),
    );
    tell(
        &rule::NOT_SYNCED,
        ["is in the primary component and not Synced", "are in the primary component and not Synced"],
        &|galera| {
            is_primary(&galera.status) && matches!(galera.status.local_state, LocalState::Initialized | LocalState::Other(_))
        },
    );
    let without = scene.names(scene.up().filter(|(_, server)| server.galera.is_none()).map(|(ordinal, _)| ordinal));
    if let Some(first) = without.first() {
        let summary = format!("{} {} without Galera beside members of a cluster", list(&without), verb(&without, "runs", "run"));
        let finding =
            Finding::new(&rule::WITHOUT_GALERA, summary).seen(format!("wsrep_on, wsrep_provider on {first}"), "off or none");
        found.push(finding.kubectl(&format!("logs {first} --tail=50")).about(without));
    }
    found
}

const fn on(switch: bool) -> &'static str {
    if switch { "ON" } else { "OFF" }
}

/// Members that receive data, by their own word, by the view, or by the marks of a transfer in their directory.
fn joiners(scene: &Scene) -> BTreeSet<Ordinal> {
    let mut joiners = scene.groups.joiners(scene.seen);
    joiners.retain(|ordinal| match scene.member(*ordinal).and_then(|member| member.server.known().ok()) {
        Some(server) => server.galera.as_ref().is_some_and(|galera| is_primary(&galera.status)),
        None => true,
    });
    let somebody_gives = has_primary(scene) || !unseen(scene).is_empty();
    let receives = |ordinal: &Ordinal| {
        let Some(disk) = scene.files(*ordinal) else { return false };
        scene.standing(*ordinal) == Standing::Quiet && disk.process != Process::None && shows_transfer(disk)
    };
    joiners.extend(scene.seen.members.keys().copied().filter(|ordinal| somebody_gives && receives(ordinal)));
    joiners
}

/// A state transfer that runs or was cut: marks, a 0-byte `grastate.dat`, or a zero UUID in it.
pub(super) fn shows_transfer(disk: &Disk) -> bool {
    let distrusted = match &disk.grastate {
        StateFile::Empty => true,
        StateFile::Parsed(state) => state.uuid.is_nil(),
        StateFile::Absent | StateFile::Malformed { .. } => false,
    };
    distrusted || !disk.transfer_markers.is_empty()
}

fn joining(scene: &Scene, joiners: &BTreeSet<Ordinal>) -> Option<Finding> {
    let names = scene.names(joiners.iter().copied());
    let first = names.first()?;
    let mut finding = Finding::new(
        &rule::JOINING,
        format!("{} {} data", list(&names), verb(&names, "is joining and receives", "are joining and receive")),
    );
    for ordinal in joiners {
        let name = scene.pod_name(*ordinal);
        if let Some((_, galera)) = up(scene).find(|(up, _)| up == ordinal) {
            finding = finding.seen(format!("wsrep_local_state_comment on {name}"), &galera.status.state_comment);
        } else if let Some(disk) = scene.files(*ordinal) {
            finding = finding.seen(format!("data directory of {name}"), transfer(scene, disk));
        }
        if let Some(progress) = super::transfer::progress(scene, *ordinal) {
            finding = finding.seen(format!("state transfer into {name}"), progress);
        }
    }
    Some(finding.kubectl(&format!("logs {first} --tail=50")).about(names))
}

/// What the directory of a joiner without SQL says of its way in.
fn transfer(scene: &Scene, disk: &Disk) -> String {
    if shows_transfer(disk) {
        let marks = if disk.transfer_markers.is_empty() { "grastate.dat".to_owned() } else { disk.transfer_markers.join(", ") };
        return format!("full state transfer (SST) under way: {marks}");
    }
    let StateFile::Parsed(state) = &disk.grastate else {
        return "no position in grastate.dat: full state transfer (SST)".to_owned();
    };
    let position = Position { uuid: state.uuid, seqno: state.seqno, gtid: None };
    let reachable = up(scene)
        .filter(|(_, galera)| is_synced(&galera.status))
        .filter_map(|(_, galera)| ist_possible(&position, &galera.status));
    match reachable.max() {
        Some(true) => format!("position {}: IST is possible", seqno(state.seqno)),
        Some(false) => {
            format!("position {}: full state transfer (SST), unless the start script recovers a better one", seqno(state.seqno))
        }
        None => format!("position {}; no donor says how far back it reaches", seqno(state.seqno)),
    }
}

/// Donor/Desynced members: for a joiner, or on their own.
fn donors(scene: &Scene, joiners: &BTreeSet<Ordinal>) -> Option<Finding> {
    let donors: Vec<Ordinal> = up(scene)
        .filter(|(_, galera)| is_primary(&galera.status) && galera.status.local_state == LocalState::DonorDesynced)
        .map(|(ordinal, _)| ordinal)
        .collect();
    let names = scene.names(donors.iter().copied());
    let first = names.first()?;
    // A pod that nobody could ask, or a member elsewhere, may be the joiner.
    let strangers = || scene.groups.primaries().flat_map(|component| &component.others).any(|other| other.who == Who::Stranger);
    let by_hand = up(scene).any(|(ordinal, galera)| donors.contains(&ordinal) && galera.desync);
    let for_joiner = !by_hand && (!joiners.is_empty() || !unseen(scene).is_empty() || strangers());
    let finding = if for_joiner {
        Finding::new(&rule::DONOR, format!("{} {} data to a joining member", list(&names), verb(&names, "gives", "give")))
    } else {
        Finding::new(
            &rule::DESYNCED,
            format!("{} {} desynced, and no member is joining", list(&names), verb(&names, "is", "are")),
        )
    };
    let finding = say(scene, finding, "state, wsrep_desync, wsrep_desync_count", |ordinal, galera| {
        let count = galera.status.desync_count.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
        donors.contains(&ordinal).then(|| format!("{}, {}, {count}", galera.status.state_comment, on(galera.desync)))
    });
    Some(finding.kubectl(&format!("logs {first} --tail=50")).about(names))
}

/// A server without SQL that waits for all members of its saved view.
fn limbo(scene: &Scene, ordinal: Ordinal) -> Option<Finding> {
    let disk = scene.files(ordinal)?;
    let StateFile::Parsed(saved) = &disk.gvwstate else { return None };
    let Process::Running { listening, .. } = &disk.process else { return None };
    if has_primary(scene) || !listening.contains(&GROUP_PORT) || listening.contains(&3306) {
        return None;
    }
    let awaited: Vec<String> = saved
        .members
        .keys()
        .filter(|uuid| !same_server(**uuid, saved.my_uuid))
        .filter_map(|uuid| awaited(scene, *uuid))
        .collect();
    let young = kubernetes::age(scene, ordinal).is_some_and(|age| age < REFORM);
    if young && awaited.is_empty() {
        return None;
    }
    let name = scene.pod_name(ordinal);
    let whom = if awaited.is_empty() { "the other members".to_owned() } else { list(&awaited) };
    let finding = Finding::new(&rule::LIMBO, format!("{name} waits for {whom} and takes no statements"))
        .seen(format!("server process of {name}"), process(disk))
        .seen(format!("members in gvwstate.dat of {name}"), saved.members.len());
    Some(finding.kubectl(&format!("logs {name} --tail=50")).about([name]))
}

/// The name of a saved member that does not take part; `None` when its server waits as well, or answers.
fn awaited(scene: &Scene, uuid: uuid::Uuid) -> Option<String> {
    let waits = |disk: &Disk| {
        disk.process != Process::None && disk.gvwstate.parsed().is_some_and(|saved| same_server(saved.my_uuid, uuid))
    };
    let present = scene.seen.members.values().any(|member| member.files.known().is_ok_and(waits));
    if present || up(scene).any(|(_, galera)| galera.status.gcomm_uuid.is_some_and(|id| same_server(id, uuid))) {
        return None;
    }
    let row = up(scene).flat_map(|(_, galera)| &galera.view).find(|row| same_server(row.uuid, uuid));
    let absent: Vec<Ordinal> = scene
        .wanted()
        .filter(|ordinal| matches!(scene.standing(*ordinal), Standing::Down | Standing::Hung | Standing::Unseen(_)))
        .collect();
    Some(match (row, absent.as_slice()) {
        (Some(row), _) => row.name.clone(),
        (None, [only]) => scene.pod_name(*only),
        (None, _) => format!("member {uuid}"),
    })
}

/// A server that cannot come up by itself: no saved view, nobody to join, and it has failed before.
fn needs_recovery(scene: &Scene, ordinal: Ordinal) -> Option<Finding> {
    let disk = scene.files(ordinal)?;
    let container = scene.database(ordinal)?;
    let failed = container.last_end.as_ref().is_some_and(|end| end.exit_code != 0);
    let is_hopeless = !has_primary(scene) && unseen(scene).is_empty() && is_stuck(scene);
    if !is_hopeless || disk.gvwstate != StateFile::Absent || !failed || container.restarts == 0 {
        return None;
    }
    let name = scene.pod_name(ordinal);
    let position = match &disk.grastate {
        StateFile::Parsed(state) => format!("{}:{}", state.uuid, seqno(state.seqno)),
        StateFile::Absent => "no file".to_owned(),
        StateFile::Empty => "0 bytes".to_owned(),
        StateFile::Malformed { problem, .. } => problem.clone(),
    };
    let summary = format!("{name} finds no primary component at its starts ({} restarts)", container.restarts);
    let finding = Finding::new(&rule::NEEDS_RECOVERY, summary)
        .seen(format!("gvwstate.dat of {name}"), "absent")
        .seen(format!("grastate.dat of {name}"), position);
    Some(finding.kubectl(&format!("logs {name} --previous --tail=50")).about([name]))
}
