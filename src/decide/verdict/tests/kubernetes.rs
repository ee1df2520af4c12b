use crate::decide::rules::kubernetes as rule;
use crate::model::fact::{Fact, Obstacle, Why};
use crate::model::kubernetes::{ContainerState, Event, Handler, NodeReady, Probe, UpdateStrategy};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::testing::{files_of, galera_of, healthy_galera, healthy_replication, member, server, server_of, single};

use super::*;

/// A warning event so many seconds before the look.
fn event(seen: &mut Snapshot, object: &str, reason: &str, message: &str, ago: i64) {
    let Fact::Known(events) = &mut seen.objects.events else { panic!("no events") };
    let event = Event { object: object.into(), reason: reason.into(), message: message.into(), count: 3, last: Some(at(-ago)) };
    events.push(event);
}

#[test]
fn events_are_evidence_of_what_the_controller_and_the_provisioner_say() {
    let mut seen = healthy_galera();
    remove(&mut seen, 2);
    event(&mut seen, "StatefulSet/db", "FailedCreate", "create Pod db-2 failed: exceeded quota", 60);
    let found = verdict(&seen).findings;
    let missing = found.iter().find(|finding| finding.rule == &rule::POD_MISSING).unwrap();
    assert!(missing.evidence.iter().any(|evidence| evidence.value.contains("exceeded quota")), "{missing:#?}");
}

/// The set's startup probe gives up after so many seconds.
fn startup_probe(seen: &mut Snapshot, patience: u32) {
    let probe = Probe { initial_delay: 0, period: 1, failures: patience, handler: Handler::Exec("healthcheck.sh".into()) };
    seen.objects.stateful_set.layout.startup_probe = Some(probe);
}

#[test]
fn the_kubelets_own_word_is_the_best_evidence_of_a_probe_that_kills() {
    let told = |seen: &Snapshot| verdict(seen).findings.into_iter().find(|finding| finding.rule == &rule::PROBE_KILLS);
    for (said, expected) in [
        ("Container mariadb failed startup probe, will be restarted", true),
        ("Container mariadb failed liveness probe, will be restarted", true),
        // Of another container, or of a deletion.
        ("Container agent failed startup probe, will be restarted", false),
        ("Stopping container mariadb", false),
    ] {
        let mut seen = healthy_galera();
        crash(&mut seen, 2, "Error", 1);
        event(&mut seen, "Pod/db-2", "Killing", said, 35);
        assert_eq!(told(&seen).is_some(), expected, "{said}");
    }
    // Of a run before the last one, which ended otherwise.
    let mut seen = healthy_galera();
    crash(&mut seen, 2, "Error", 1);
    event(&mut seen, "Pod/db-2", "Killing", "Container mariadb failed liveness probe, will be restarted", 300);
    assert_eq!(told(&seen), None);
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            rule: &rule::PROBE_KILLS,
            base: healthy_galera,
            hit: |seen| {
                crash(seen, 2, "Error", 137);
                startup_probe(seen, 20);
                event(seen, "Pod/db-2", "Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 500", 40);
            },
            miss: |seen| {
                // Killed by somebody else, long before the probe would have given up.
                crash(seen, 2, "Error", 137);
                startup_probe(seen, 300);
                event(seen, "Pod/db-2", "Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 500", 40);
            },
        },
        Case {
            rule: &rule::VOLUME_NOT_ATTACHED,
            base: healthy_galera,
            hit: |seen| {
                stop(seen, 2, waiting("ContainerCreating"));
                event(seen, "Pod/db-2", "FailedAttachVolume", "Multi-Attach error for volume \"pv-2\"", 40);
            },
            miss: |seen| {
                stop(seen, 2, waiting("ContainerCreating"));
                event(seen, "Pod/db-2", "FailedAttachVolume", "Multi-Attach error for volume \"pv-2\"", 1200);
            },
        },
        Case { rule: &rule::SCALED_TO_ZERO, base: single, hit: scale_to_zero, miss: |seen| remove(seen, 0) },
        Case {
            rule: &rule::NO_PODS,
            base: healthy_galera,
            hit: |seen| (0..3).for_each(|n| remove(seen, n)),
            miss: |seen| {
                remove(seen, 1);
                remove(seen, 2);
            },
        },
        Case {
            rule: &rule::POD_MISSING,
            base: healthy_galera,
            hit: |seen| remove(seen, 2),
            miss: |seen| {
                seen.members.remove(&Ordinal(2));
                seen.objects.stateful_set.replicas = 2;
            },
        },
        Case {
            rule: &rule::SET_BEING_DELETED,
            base: single,
            hit: |seen| seen.objects.stateful_set.deletion = Some(at(-1)),
            miss: nothing,
        },
        Case {
            rule: &rule::UNSCHEDULABLE,
            base: healthy_galera,
            hit: |seen| unscheduled(seen, "0/3 nodes: Insufficient cpu"),
            miss: |seen| {
                stop(seen, 2, waiting("ContainerCreating"));
            },
        },
        Case {
            rule: &rule::IMAGE_PULL,
            base: healthy_galera,
            hit: |seen| stop(seen, 2, waiting("ImagePullBackOff")),
            miss: |seen| {
                stop(seen, 2, waiting("CreateContainerConfigError"));
            },
        },
        Case {
            rule: &rule::INIT_FAILING,
            base: healthy_galera,
            hit: |seen| init(seen, ContainerState::Terminated(end("Error", 1, 5))),
            miss: |seen| {
                init(seen, ContainerState::Running { since: Some(at(-5)) });
            },
        },
        Case {
            rule: &rule::POD_FAILED,
            base: healthy_galera,
            hit: |seen| failed(seen, "Failed"),
            miss: |seen| failed(seen, "Running"),
        },
        Case { rule: &rule::STARTING, base: single, hit: |seen| quiet(seen, 0), miss: |seen| slow_start(seen, 700) },
        Case {
            rule: &rule::CANNOT_START,
            base: single,
            hit: |seen| stop(seen, 0, waiting("CreateContainerConfigError")),
            miss: |seen| {
                stop(seen, 0, waiting("ContainerCreating"));
            },
        },
        Case {
            rule: &rule::CRASH_LOOP,
            base: single,
            hit: |seen| crash(seen, 0, "Error", 1),
            miss: |seen| crash(seen, 0, "OOMKilled", 137),
        },
        Case {
            rule: &rule::CONTAINER_ENDED,
            base: single,
            hit: |seen| stop(seen, 0, ContainerState::Terminated(end("Error", 137, 1))),
            miss: |seen| {
                crash(seen, 0, "Error", 137);
            },
        },
        Case {
            rule: &rule::OOM_LOOP,
            base: single,
            hit: |seen| crash(seen, 0, "OOMKilled", 137),
            miss: |seen| crash(seen, 0, "Error", 137),
        },
        Case {
            rule: &rule::OOM_KILLED,
            base: single,
            hit: |seen| ended(seen, "OOMKilled", 7200),
            miss: |seen| ended(seen, "OOMKilled", 90_000),
        },
        Case {
            rule: &rule::RESTARTED,
            base: single,
            hit: |seen| ended(seen, "Error", 600),
            miss: |seen| ended(seen, "Error", 7200),
        },
        Case { rule: &rule::NOT_READY_SERVES, base: single, hit: |seen| unready(seen, 60), miss: |seen| unready(seen, 10) },
        Case {
            rule: &rule::READY_DOES_NOT_SERVE,
            base: healthy_galera,
            hit: |seen| {
                galera_of(seen, 1).status.cluster_status = crate::model::wsrep::ClusterStatus::NonPrimary;
            },
            miss: |seen| galera_of(seen, 1).status.local_state = crate::model::wsrep::LocalState::DonorDesynced,
        },
        Case { rule: &rule::STARTS_LONG, base: single, hit: |seen| slow_start(seen, 700), miss: |seen| slow_start(seen, 500) },
        Case {
            rule: &rule::SERVER_HANGS,
            base: single,
            hit: |seen| obstruct(seen, 0, Obstacle::Silent),
            miss: |seen| hide(seen, 0, timed_out()),
        },
        Case { rule: &rule::NODE_SILENT, base: healthy_galera, hit: dead_node, miss: |seen| hide(seen, 2, timed_out()) },
        Case {
            rule: &rule::NODE_GONE,
            base: healthy_galera,
            hit: |seen| nodes(seen).retain(|node| node.name != "node-2"),
            miss: |seen| {
                seen.objects.nodes = Fact::Unknown(Why::Forbidden("list nodes".to_owned()));
            },
        },
        Case {
            rule: &rule::NODE_NOT_READY,
            base: healthy_galera,
            hit: |seen| {
                nodes(seen)[1].ready = NodeReady::No("KubeletNotReady: container runtime is down".to_owned());
            },
            miss: |seen| nodes(seen)[1].cordoned = true,
        },
        Case {
            rule: &rule::NODE_CORDONED,
            base: healthy_galera,
            hit: |seen| nodes(seen)[1].cordoned = true,
            miss: |seen| {
                nodes(seen)[1].cordoned = true;
                nodes(seen)[1].name = "elsewhere".to_owned();
            },
        },
        Case {
            rule: &rule::TERMINATING_LONG,
            base: healthy_galera,
            hit: |seen| pod_of(seen, 2).deletion = Some(at(-60)),
            miss: |seen| {
                pod_of(seen, 2).deletion = Some(at(-10));
            },
        },
        Case {
            rule: &rule::TERMINATING,
            base: healthy_galera,
            hit: |seen| pod_of(seen, 2).deletion = Some(at(20)),
            miss: |seen| {
                pod_of(seen, 2).deletion = Some(at(-60));
            },
        },
        Case {
            rule: &rule::CONTROLLER_BEHIND,
            base: single,
            hit: |seen| seen.objects.stateful_set.generation = 2,
            miss: |seen| {
                seen.objects.stateful_set.generation = 2;
                seen.objects.stateful_set.observed_generation = 2;
            },
        },
        Case {
            rule: &rule::ROLLOUT_UNFINISHED,
            base: healthy_galera,
            hit: |seen| rollout(seen, 0),
            miss: |seen| rollout(seen, 3),
        },
        Case { rule: &rule::PARTITION_PAUSED, base: healthy_galera, hit: |seen| rollout(seen, 2), miss: |seen| rollout(seen, 1) },
        Case {
            rule: &rule::PARTITION_SET,
            base: healthy_galera,
            hit: |seen| {
                seen.objects.stateful_set.update_strategy = UpdateStrategy::RollingUpdate { partition: 3 };
            },
            miss: |seen| rollout(seen, 2),
        },
        Case {
            rule: &rule::ON_DELETE_MIXED,
            base: healthy_galera,
            hit: |seen| {
                rollout(seen, 0);
                seen.objects.stateful_set.update_strategy = UpdateStrategy::OnDelete;
            },
            miss: |seen| seen.objects.stateful_set.update_strategy = UpdateStrategy::OnDelete,
        },
        Case {
            rule: &rule::CLAIMS_DELETED_WHEN_SCALED,
            base: single,
            hit: |seen| {
                seen.objects.stateful_set.deletes_claims_when_scaled = true;
            },
            miss: nothing,
        },
        Case {
            rule: &rule::EXTRA_POD,
            base: healthy_replication,
            hit: |seen| seen.objects.stateful_set.replicas = 2,
            miss: |seen| {
                seen.objects.stateful_set.replicas = 2;
                seen.members.remove(&Ordinal(2));
            },
        },
        Case {
            rule: &rule::NOBODY_RUNS,
            base: healthy_replication,
            hit: |seen| (0..3).for_each(|ordinal| crash(seen, ordinal, "Error", 1)),
            miss: |seen| {
                (0..2).for_each(|ordinal| crash(seen, ordinal, "Error", 1));
                hide(seen, 2, timed_out());
            },
        },
    ]
}

fn nodes(seen: &mut Snapshot) -> &mut Vec<crate::model::kubernetes::Node> {
    match &mut seen.objects.nodes {
        Fact::Known(nodes) => nodes,
        Fact::Unknown(why) => panic!("the nodes are unknown: {why}"),
    }
}

fn scale_to_zero(seen: &mut Snapshot) {
    seen.objects.stateful_set.replicas = 0;
    seen.members.clear();
}

fn unscheduled(seen: &mut Snapshot, reason: &str) {
    stop(seen, 2, ContainerState::Unreported);
    let pod = pod_of(seen, 2);
    pod.unscheduled = Some(format!("Unschedulable: {reason}"));
    pod.node = None;
    pod.containers.clear();
}

fn init(seen: &mut Snapshot, state: ContainerState) {
    stop(seen, 2, waiting("PodInitializing"));
    let mut container = pod_of(seen, 2).containers[0].clone();
    container.name = "prepare".to_owned();
    container.state = state;
    pod_of(seen, 2).init_containers = vec![container];
}

fn failed(seen: &mut Snapshot, phase: &str) {
    stop(seen, 2, ContainerState::Terminated(end("Error", 137, 5)));
    pod_of(seen, 2).phase = phase.to_owned();
}

/// The server runs again after an end so long ago.
fn ended(seen: &mut Snapshot, reason: &str, ago: i64) {
    container_of(seen, 0).last_end = Some(end(reason, 137, ago));
    container_of(seen, 0).restarts = 1;
}

fn unready(seen: &mut Snapshot, age: i64) {
    pod_of(seen, 0).ready = false;
    container_of(seen, 0).state = ContainerState::Running { since: Some(at(-age)) };
}

fn slow_start(seen: &mut Snapshot, age: i64) {
    quiet(seen, 0);
    container_of(seen, 0).state = ContainerState::Running { since: Some(at(-age)) };
}

pub(super) fn dead_node(seen: &mut Snapshot) {
    nodes(seen)[2].ready = NodeReady::Silent { since: Some(at(-90)) };
    hide(seen, 2, timed_out());
}

/// The highest pod runs the new revision, the others the old one.
fn rollout(seen: &mut Snapshot, partition: u32) {
    seen.objects.stateful_set.update_revision = "db-new".to_owned();
    seen.objects.stateful_set.update_strategy = UpdateStrategy::RollingUpdate { partition };
    pod_of(seen, 2).revision = Some("db-new".to_owned());
}

#[test]
fn a_dead_node_is_one_error_and_not_five() {
    let mut seen = healthy_galera();
    dead_node(&mut seen);
    for ordinal in 0..2 {
        galera_of(&mut seen, ordinal).view.pop();
        galera_of(&mut seen, ordinal).status.cluster_size = 2;
        galera_of(&mut seen, ordinal).status.cluster_weight = Some(2);
    }
    assert_eq!(alarms(&seen), ["MDB121", "MDB223"]);
    pod_of(&mut seen, 2).deletion = Some(at(-300));
    assert_eq!(alarms(&seen), ["MDB121", "MDB223"], "its pod waits for its deletion");
}

#[test]
fn an_ordered_start_names_the_pod_that_it_waits_for() {
    let mut seen = healthy_replication();
    crash(&mut seen, 1, "Error", 1);
    remove(&mut seen, 2);
    let missing = verdict(&seen).findings.into_iter().find(|finding| finding.rule.code == "MDB103").unwrap();
    assert!(missing.evidence.iter().any(|evidence| evidence.value.contains("waits until db-1 is Ready")), "{missing:?}");
}

#[test]
fn a_server_that_runs_between_two_crashes_crashes_again_and_again() {
    let mut seen = single();
    quiet(&mut seen, 0);
    container_of(&mut seen, 0).restarts = 4;
    container_of(&mut seen, 0).last_end = Some(end("Error", 1, 40));
    assert_eq!(alarms(&seen), ["MDB111"]);
    container_of(&mut seen, 0).restarts = 1;
    assert_eq!(alarms(&seen), ["MDB109"], "one restart is no loop");
    let container = container_of(&mut seen, 0);
    container.restarts = 4;
    container.last_end = Some(ContainerEnd { started: Some(at(-3600)), ..end("Error", 255, 40) });
    assert_eq!(alarms(&seen), ["MDB109"], "a server that ran for an hour does not crash in a loop");
}

#[test]
fn a_container_that_runs_without_a_server_process_is_starting() {
    let mut seen = single();
    member_of(&mut seen, 0).server = Fact::Unknown(Why::NotRunning("no mariadbd process runs in the container".to_owned()));
    files_of(&mut seen, 0).process = crate::model::disk::Process::None;
    container_of(&mut seen, 0).state = ContainerState::Running { since: Some(at(-5)) };
    pod_of(&mut seen, 0).ready = false;
    assert_eq!(alarms(&seen), ["MDB109"]);
}

#[test]
fn a_process_stopped_by_a_signal_is_told_even_if_the_look_timed_out() {
    let mut seen = single();
    member_of(&mut seen, 0).server = Fact::Unknown(timed_out());
    files_of(&mut seen, 0).process = crate::model::disk::Process::Running { pid: 1, state: 'T', listening: vec![3306] };
    assert_eq!(alarms(&seen), ["MDB120", "MDB118"]);
}

#[test]
fn a_set_that_starts_at_another_ordinal_is_counted_from_there() {
    let mut seen = healthy_replication();
    seen.objects.stateful_set.start = 1;
    seen.objects.stateful_set.replicas = 3;
    seen.members.insert(Ordinal(3), member(3, server(3)));
    server_of(&mut seen, 3).read_only = true;
    server_of(&mut seen, 3).channels = vec![crate::model::testing::channel(0, "0-10-3514")];
    server_of(&mut seen, 3).gtid = crate::model::testing::gtids("0-10-3514", "0-10-3514");
    pod_of(&mut seen, 3).node = Some("node-2".to_owned());
    pod_of(&mut seen, 3).claims.clear();
    assert_eq!(alarms(&seen), ["MDB137"], "db-0 is beyond what the set wants");
}
