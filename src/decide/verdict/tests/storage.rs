//! Storage, and what could not be seen.

use crate::decide::rules::{storage as rule, unseen};
use crate::model::disk::Space;
use crate::model::fact::{Fact, Obstacle, Why};
use crate::model::kubernetes::{Claim, ContainerState, VolumeSource};
use crate::model::snapshot::Snapshot;
use crate::model::testing::{files_of, healthy_galera, server_of, single};

use super::*;

pub(super) fn cases() -> Vec<Case> {
    let base = healthy_galera;
    vec![
        Case { rule: &rule::VOLUME_FILLING, base, hit: |seen| used(seen, 85), miss: |seen| used(seen, 84) },
        Case { rule: &rule::VOLUME_FULL, base, hit: |seen| used(seen, 95), miss: |seen| used(seen, 94) },
        Case {
            rule: &rule::CLAIM_DELETED,
            base,
            hit: |seen| claims(seen)[1].deletion = Some(at(-5)),
            miss: |seen| {
                claims(seen)[1].deletion = Some(at(-5));
                pod_of(seen, 1).claims.clear();
            },
        },
        Case {
            rule: &rule::CLAIM_MISSING,
            base,
            hit: |seen| {
                claims(seen).remove(1);
                stop(seen, 1, waiting("ContainerCreating"));
            },
            miss: |seen| seen.objects.claims = Fact::Unknown(Why::Forbidden("list persistentvolumeclaims".to_owned())),
        },
        Case {
            rule: &rule::CLAIM_PENDING,
            base,
            hit: |seen| pending(seen, "pod has unbound immediate PersistentVolumeClaims"),
            miss: |seen| {
                pending(seen, "0/3 nodes are available: 3 Insufficient memory");
            },
        },
        Case { rule: &rule::CLAIM_LOST, base, hit: |seen| claims(seen)[1].phase = "Lost".to_owned(), miss: nothing },
        Case {
            rule: &rule::ON_EMPTY_DIR,
            base,
            hit: |seen| {
                seen.objects.stateful_set.layout.mounts[0].source = VolumeSource::EmptyDir;
            },
            miss: |seen| {
                let mut scratch = seen.objects.stateful_set.layout.mounts[0].clone();
                scratch.path = "/tmp".to_owned();
                scratch.source = VolumeSource::EmptyDir;
                seen.objects.stateful_set.layout.mounts.push(scratch);
            },
        },
        Case { rule: &rule::FLUSH_NOT_ONE, base, hit: |seen| server_of(seen, 1).flush_log_at_commit = 2, miss: nothing },
        Case { rule: &unseen::POD_SILENT, base, hit: |seen| hide(seen, 1, timed_out()), miss: super::kubernetes::dead_node },
        Case {
            rule: &unseen::EXEC_FORBIDDEN,
            base,
            hit: |seen| {
                (0..3).for_each(|n| hide(seen, n, Why::Forbidden("create pods/exec in namespace shop".to_owned())));
            },
            miss: |seen| seen.objects.nodes = Fact::Unknown(Why::Forbidden("list nodes".to_owned())),
        },
        obstacle(&unseen::WRONG_PASSWORD, |seen| obstruct(seen, 1, Obstacle::WrongPassword)),
        obstacle(&unseen::NO_PASSWORD, |seen| obstruct(seen, 1, Obstacle::NoPassword)),
        obstacle(&unseen::NO_CLIENT, |seen| obstruct(seen, 1, Obstacle::NoClient)),
        obstacle(&unseen::TOO_MANY_CONNECTIONS, |seen| obstruct(seen, 1, Obstacle::TooManyConnections)),
        obstacle(&unseen::TLS_DISAGREES, |seen| obstruct(seen, 1, Obstacle::Tls)),
        Case {
            rule: &unseen::NO_SOCKET,
            base,
            hit: |seen| {
                obstruct(seen, 1, Obstacle::NoSocket);
                member_of(seen, 1).files = Fact::Unknown(timed_out());
            },
            miss: |seen| obstruct(seen, 1, Obstacle::NoSocket),
        },
        Case {
            rule: &unseen::SQL_FAILED,
            base,
            hit: |seen| hide(seen, 1, Why::Failed("the stream was cut".to_owned())),
            miss: |seen| {
                hide(seen, 1, timed_out());
            },
        },
        Case {
            rule: &unseen::FILES_UNREADABLE,
            base,
            hit: |seen| {
                member_of(seen, 1).files = Fact::Unknown(Why::Failed("no data directory was found".to_owned()));
            },
            miss: |seen| hide(seen, 1, Why::Failed("the stream was cut".to_owned())),
        },
        Case {
            rule: &unseen::EXTRAS_UNREADABLE,
            base,
            hit: |seen| {
                seen.objects.nodes = Fact::Unknown(Why::Forbidden("list nodes".to_owned()));
            },
            miss: |seen| seen.objects.nodes = Fact::Unknown(Why::NotAsked),
        },
        Case {
            rule: &unseen::NOT_ASKED,
            base,
            hit: |seen| (0..3).for_each(|n| hide(seen, n, Why::NotAsked)),
            miss: |seen| {
                (0..3).for_each(|n| hide(seen, n, timed_out()));
            },
        },
    ]
}

/// An obstacle to SQL, against another one.
fn obstacle(rule: &'static Rule, hit: fn(&mut Snapshot)) -> Case {
    Case { rule, base: healthy_galera, hit, miss: |seen| obstruct(seen, 1, Obstacle::Starting) }
}

fn claims(seen: &mut Snapshot) -> &mut Vec<Claim> {
    match &mut seen.objects.claims {
        Fact::Known(claims) => claims,
        Fact::Unknown(why) => panic!("the claims are unknown: {why}"),
    }
}

fn used(seen: &mut Snapshot, percent: u64) {
    files_of(seen, 1).space = Space { total: 1000, used: percent * 10, available: 1000 - percent * 10 };
}

fn pending(seen: &mut Snapshot, reason: &str) {
    stop(seen, 1, ContainerState::Unreported);
    let pod = pod_of(seen, 1);
    pod.unscheduled = Some(format!("Unschedulable: {reason}"));
    pod.node = None;
    claims(seen)[1].phase = "Pending".to_owned();
}

#[test]
fn a_pending_claim_and_an_unplaced_pod_are_one_finding() {
    for (reason, code) in [("pod has unbound immediate PersistentVolumeClaims", "MDB413"), ("3 Insufficient memory", "MDB105")] {
        let mut seen = single();
        stop(&mut seen, 0, ContainerState::Unreported);
        pod_of(&mut seen, 0).unscheduled = Some(reason.to_owned());
        claims(&mut seen)[0].phase = "Pending".to_owned();
        assert_eq!(alarms(&seen), [code]);
    }
}

#[test]
fn a_doomed_volume_is_critical_and_the_next_command_saves_it() {
    let mut seen = single();
    claims(&mut seen)[0].deletion = Some(at(-5));
    let answer = verdict(&seen);
    assert_eq!(answer.state, crate::decide::verdict::State::Critical);
    let command = r#"["patch", "pv", "pv-0", "-p", "{\"spec\":{\"persistentVolumeReclaimPolicy\":\"Retain\"}}"]"#;
    assert_eq!(format!("{:?}", answer.findings[0].next), format!("[Kubectl({command})]"));
}

#[test]
fn a_data_directory_below_its_mount_is_on_that_volume() {
    let mut seen = single();
    files_of(&mut seen, 0).datadir = "/var/lib/mysql/data".to_owned();
    assert!(!codes(&seen).contains("MDB421"));
    files_of(&mut seen, 0).datadir = "/var/lib/mysql-files".to_owned();
    assert!(codes(&seen).contains("MDB421"), "no mount holds it");
}
