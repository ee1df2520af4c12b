use crate::decide::rules::replication as rule;
use crate::decide::verdict::State;
use std::collections::BTreeMap;

use crate::model::fact::{Fact, Obstacle};
use crate::model::kubernetes::{EndpointSlice, Service};
use crate::model::names::Ordinal;
use crate::model::replica::{IoThread, ServerError};
use crate::model::server::Server;
use crate::model::snapshot::Snapshot;
use crate::model::testing::{channel, files_of, gtids, healthy_replication, server, server_of, single, snapshot};

use super::*;

pub(super) fn cases() -> Vec<Case> {
    let base = healthy_replication;
    vec![
        Case { rule: &rule::NO_PRIMARY, base, hit: |seen| crash(seen, 0, "Error", 1), miss: |seen| crash(seen, 1, "Error", 1) },
        Case { rule: &rule::PRIMARY_READ_ONLY, base, hit: |seen| server_of(seen, 0).read_only = true, miss: nothing },
        Case {
            rule: &rule::TWO_WRITABLE,
            base,
            hit: |seen| {
                server_of(seen, 2).channels.clear();
                server_of(seen, 2).read_only = false;
            },
            miss: |seen| server_of(seen, 2).read_only = false,
        },
        Case { rule: &rule::INDEPENDENT, base: independent, hit: nothing, miss: |seen| *seen = single() },
        Case {
            rule: &rule::IO_STOPPED,
            base,
            hit: |seen| io_error(seen, 1595, "Relay log write failure"),
            miss: |seen| {
                io_error(seen, 1236, "could not find next log; the first event 'bin.000002'");
            },
        },
        Case { rule: &rule::SQL_STOPPED, base, hit: |seen| sql_error(seen, 1205), miss: |seen| sql_error(seen, 1062) },
        Case {
            rule: &rule::PURGED,
            base,
            hit: |seen| {
                io_error(
                    seen,
                    1236,
                    "Got fatal error 1236 from master: 'Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old and required binlog files have been purged.'",
                );
            },
            miss: diverged,
        },
        Case { rule: &rule::DIVERGED, base, hit: diverged, miss: |seen| io_error(seen, 1236, "could not find next log") },
        Case {
            rule: &rule::CREDENTIALS,
            base,
            hit: |seen| {
                connecting(seen, Some((1045, "error connecting to master 'repl@db-0:3306' - Access denied for user 'repl'")));
            },
            miss: |seen| connecting(seen, Some((2003, "error connecting to master"))),
        },
        Case { rule: &rule::OUT_OF_ORDER, base, hit: |seen| sql_error(seen, 1950), miss: |seen| sql_error(seen, 1205) },
        Case { rule: &rule::DUPLICATE_KEY, base, hit: |seen| sql_error(seen, 1062), miss: |seen| sql_error(seen, 1032) },
        Case { rule: &rule::ROW_MISSING, base, hit: |seen| sql_error(seen, 1032), miss: |seen| sql_error(seen, 1062) },
        Case {
            rule: &rule::STOPPED,
            base,
            hit: |seen| {
                replica(seen).io = IoThread::No;
                replica(seen).sql_running = false;
            },
            miss: |seen| sql_error(seen, 1205),
        },
        Case {
            rule: &rule::CONNECTING,
            base,
            hit: |seen| connecting(seen, None),
            miss: |seen| {
                connecting(seen, None);
                crash(seen, 0, "Error", 1);
            },
        },
        Case {
            rule: &rule::LAG,
            base,
            hit: |seen| replica(seen).lag_seconds = Some(31),
            miss: |seen| replica(seen).lag_seconds = Some(30),
        },
        Case {
            rule: &rule::DELAYED,
            base,
            hit: |seen| {
                replica(seen).delay_seconds = 3600;
                replica(seen).lag_seconds = Some(3610);
            },
            miss: |seen| {
                replica(seen).delay_seconds = 3600;
                replica(seen).lag_seconds = Some(3700);
            },
        },
        Case { rule: &rule::CHAINED, base, hit: |seen| replica(seen).source_host = "db-1.db".to_owned(), miss: wrong_source },
        Case {
            rule: &rule::WRONG_SOURCE,
            base,
            hit: wrong_source,
            miss: |seen| replica(seen).source_host = "db-1.db".to_owned(),
        },
        Case {
            rule: &rule::EXTERNAL_SOURCE,
            base: single,
            hit: |seen| {
                let mut channel = channel(0, "0-77-5");
                channel.source_host = "primary.example.org".to_owned();
                server_of(seen, 0).channels = vec![channel];
            },
            miss: nothing,
        },
        Case {
            rule: &rule::NOT_REPLICATING,
            base,
            hit: |seen| server_of(seen, 2).channels.clear(),
            miss: |seen| {
                server_of(seen, 2).channels.clear();
                server_of(seen, 2).read_only = false;
            },
        },
        Case {
            rule: &rule::SERVER_ID_DIFFERS,
            base,
            hit: |seen| replica(seen).source_server_id = 11,
            miss: |seen| {
                replica(seen).source_server_id = 0;
            },
        },
        Case { rule: &rule::RING, base, hit: |seen| server_of(seen, 0).channels = vec![channel(1, "0-10-3514")], miss: nothing },
        Case {
            rule: &rule::NOT_COMPARABLE,
            base,
            hit: |seen| {
                server_of(seen, 2).gtid = gtids("", "0-10-3514,9-99-4");
            },
            miss: |seen| server_of(seen, 2).gtid = gtids("", "0-10-3514"),
        },
        Case {
            rule: &rule::ERRANT,
            base,
            hit: |seen| {
                server_of(seen, 2).gtid.binlog_state = "0-10-3514,0-12-3515".parse().unwrap();
            },
            miss: |seen| server_of(seen, 2).gtid = gtids("0-10-3520", "0-10-3520"),
        },
        Case { rule: &rule::WRITABLE_REPLICA, base, hit: |seen| server_of(seen, 2).read_only = false, miss: nothing },
        Case {
            rule: &rule::RESTARTS_WRITABLE,
            base,
            hit: |seen| files_of(seen, 2).starts_read_only = Some(false),
            // The primary may start as it likes as long as it is the primary.
            miss: |seen| files_of(seen, 0).starts_read_only = Some(false),
        },
        Case {
            rule: &rule::PRIMARY_STARTS_WRITABLE,
            base,
            hit: |seen| files_of(seen, 0).starts_read_only = Some(false),
            miss: |seen| files_of(seen, 0).starts_read_only = None,
        },
        Case {
            rule: &rule::NOT_A_CANDIDATE,
            base,
            hit: |seen| server_of(seen, 2).binlog.logs_replicated = false,
            miss: |seen| {
                server_of(seen, 0).binlog.logs_replicated = false;
            },
        },
        Case { rule: &rule::NO_GTID, base, hit: |seen| replica(seen).uses_gtid = false, miss: nothing },
        Case {
            rule: &rule::MULTI_SOURCE,
            base,
            hit: |seen| {
                let mut second = channel(0, "0-10-3514");
                second.name = "second".to_owned();
                server_of(seen, 2).channels.push(second);
            },
            miss: nothing,
        },
        Case {
            rule: &rule::OLDER_THAN_SOURCE,
            base,
            hit: |seen| {
                server_of(seen, 0).version = "11.8.6-MariaDB-log".parse().unwrap();
            },
            miss: |seen| server_of(seen, 2).version = "11.8.6-MariaDB-log".parse().unwrap(),
        },
        Case {
            rule: &rule::MIXED_VERSIONS,
            base,
            hit: |seen| {
                server_of(seen, 2).version = "11.8.6-MariaDB-log".parse().unwrap();
            },
            miss: |seen| server_of(seen, 2).version = "10.11.19-MariaDB-ubu2204".parse().unwrap(),
        },
        Case {
            rule: &rule::SERVICE_ELSEWHERE,
            base,
            hit: |seen| writers_service(seen, "db-primary", &["db-1"]),
            miss: |seen| {
                writers_service(seen, "db-primary", &["db-0"]);
                writers_service(seen, "db-readers", &["db-1", "db-2"]);
            },
        },
    ]
}

/// A Service with these ready endpoints.
fn writers_service(seen: &mut Snapshot, name: &str, pods: &[&str]) {
    let (Fact::Known(services), Fact::Known(slices)) = (&mut seen.objects.services, &mut seen.objects.endpoint_slices) else {
        panic!("the Services are unknown");
    };
    let selector = BTreeMap::from([("app".to_owned(), "db".to_owned())]);
    services.push(Service { name: name.to_owned(), headless: false, selector, publishes_not_ready: false });
    let endpoints = pods.iter().map(|pod| ((*pod).to_owned(), true)).collect();
    slices.push(EndpointSlice { service: name.to_owned(), endpoints });
}

/// The channel of db-2.
fn replica(seen: &mut Snapshot) -> &mut crate::model::replica::Channel {
    &mut server_of(seen, 2).channels[0]
}

fn io_error(seen: &mut Snapshot, code: u32, text: &str) {
    let channel = replica(seen);
    channel.io = IoThread::No;
    channel.io_error = Some(ServerError { code, text: text.to_owned() });
    channel.lag_seconds = None;
}

fn sql_error(seen: &mut Snapshot, code: u32) {
    sql_error_of(replica(seen), code);
}

fn sql_error_of(channel: &mut crate::model::replica::Channel, code: u32) {
    channel.sql_running = false;
    channel.sql_error = Some(ServerError { code, text: "Error on slave".to_owned() });
    channel.lag_seconds = None;
}

fn connecting(seen: &mut Snapshot, error: Option<(u32, &str)>) {
    let channel = replica(seen);
    channel.io = IoThread::Connecting;
    channel.io_error = error.map(|(code, text)| ServerError { code, text: text.to_owned() });
    channel.lag_seconds = None;
}

fn diverged(seen: &mut Snapshot) {
    io_error(
        seen,
        1236,
        "Got fatal error 1236 from master when reading data from binary log: 'Error: connecting slave requested to start from \
         GTID 0-12-3513, which is not in the master's binlog.'",
    );
}

/// db-2 still follows the old primary, which is a replica now and logs nothing.
fn wrong_source(seen: &mut Snapshot) {
    replica(seen).source_host = "db-1.db".to_owned();
    server_of(seen, 1).binlog.logs_replicated = false;
}

fn independent() -> Snapshot {
    snapshot((0..3).map(server))
}

/// db-1 was promoted while db-0 was away; db-2 follows it.
fn failed_over() -> Snapshot {
    let mut seen = healthy_replication();
    *server_of(&mut seen, 1) = Server { server_id: 11, ..server(1) };
    server_of(&mut seen, 1).gtid = gtids("0-11-3520", "0-10-3514");
    server_of(&mut seen, 1).gtid.binlog_state = "0-10-3514,0-11-3520".parse().unwrap();
    server_of(&mut seen, 2).channels = vec![channel(1, "0-11-3520")];
    server_of(&mut seen, 2).gtid = gtids("0-11-3520", "0-11-3520");
    server_of(&mut seen, 2).gtid.binlog_state = "0-10-3514,0-11-3520".parse().unwrap();
    seen
}

#[test]
fn an_old_primary_that_comes_back_writable_is_a_second_primary_with_its_own_transactions() {
    let mut seen = failed_over();
    server_of(&mut seen, 0).gtid.binlog_state = "0-10-3516".parse().unwrap();
    assert_eq!(alarms(&seen), ["MDB303", "MDB341"]);
    let errant = verdict(&seen).findings.into_iter().find(|finding| finding.rule.code == "MDB341").unwrap();
    assert!(errant.summary.contains("0-10-3515..3516"), "{}", errant.summary);
    assert_eq!(verdict(&seen).state, State::Critical);
}

#[test]
fn a_replica_left_behind_by_a_failover_is_found_although_its_threads_run() {
    let mut seen = failed_over();
    *server_of(&mut seen, 0) = Server { read_only: true, channels: vec![channel(1, "0-11-3520")], ..server(0) };
    server_of(&mut seen, 0).gtid = gtids("0-11-3520", "0-11-3520");
    server_of(&mut seen, 0).gtid.binlog_state = "0-10-3514,0-11-3520".parse().unwrap();
    server_of(&mut seen, 0).binlog.logs_replicated = false;
    server_of(&mut seen, 2).channels = vec![channel(0, "0-10-3514")];
    assert_eq!(alarms(&seen), ["MDB335", "MDB345"]);
}

#[test]
fn a_dead_primary_is_the_cause_and_its_replicas_are_the_evidence() {
    let mut seen = healthy_replication();
    crash(&mut seen, 0, "Error", 1);
    for ordinal in 1..3 {
        server_of(&mut seen, ordinal).channels[0].io = IoThread::Connecting;
        server_of(&mut seen, ordinal).channels[0].lag_seconds = None;
    }
    assert_eq!(alarms(&seen), ["MDB301", "MDB111"]);
    assert_eq!(verdict(&seen).state, State::Critical);
}

#[test]
fn a_primary_that_could_not_be_asked_is_not_called_dead() {
    let mut seen = healthy_replication();
    obstruct(&mut seen, 0, Obstacle::WrongPassword);
    assert_eq!(alarms(&seen), ["MDB903"]);
    assert_eq!(verdict(&seen).state, State::Unknown);
}

#[test]
fn an_idle_standby_cluster_has_no_primary_of_its_own() {
    let mut seen = healthy_replication();
    server_of(&mut seen, 0).read_only = true;
    server_of(&mut seen, 0).channels = vec![channel(0, "0-10-3514")];
    server_of(&mut seen, 0).channels[0].source_host = "primary.example.org".to_owned();
    server_of(&mut seen, 0).channels[0].source_server_id = 77;
    assert_eq!(alarms(&seen), Vec::<&str>::new());
    assert!(codes(&seen).contains("MDB336"));
}

#[test]
fn what_the_primary_wrote_after_its_answer_is_not_errant_on_a_replica() {
    let mut seen = healthy_replication();
    server_of(&mut seen, 1).gtid = gtids("0-10-3600", "0-10-3600");
    assert_eq!(alarms(&seen), Vec::<&str>::new());
}

#[test]
fn servers_whose_peers_are_unknown_are_not_called_independent() {
    let mut seen = independent();
    hide(&mut seen, 2, timed_out());
    assert_eq!(alarms(&seen), ["MDB901"]);
    seen.members.remove(&Ordinal(2));
    assert!(!codes(&seen).contains("MDB902"));
}

#[test]
fn the_only_service_that_selects_one_pod_is_for_writers() {
    let mut seen = healthy_replication();
    writers_service(&mut seen, "clients", &["db-1"]);
    assert!(!codes(&seen).contains("MDB351"));
    let Fact::Known(services) = &mut seen.objects.services else { panic!("the Services are unknown") };
    services[1].selector.insert("statefulset.kubernetes.io/pod-name".to_owned(), "db-1".to_owned());
    assert!(codes(&seen).contains("MDB351"));
}

#[test]
fn a_galera_member_that_replicates_from_elsewhere_is_watched_too() {
    let mut seen = crate::model::testing::healthy_galera();
    let mut from = channel(0, "7-70-5");
    from.source_host = "old.example.org".to_owned();
    server_of(&mut seen, 1).channels = vec![from];
    sql_error_of(&mut server_of(&mut seen, 1).channels[0], 1062);
    assert_eq!(alarms(&seen), ["MDB317"]);
    assert!(codes(&seen).contains("MDB336"));
}

#[test]
fn the_same_error_on_two_replicas_is_one_finding() {
    let mut seen = healthy_replication();
    for ordinal in 1..3 {
        sql_error_of(&mut server_of(&mut seen, ordinal).channels[0], 1062);
    }
    let answer = verdict(&seen);
    assert_eq!(answer.findings.len(), 1);
    assert_eq!(answer.findings[0].summary, "db-1 no longer applies: error 1062; likewise db-2");
    assert_eq!(answer.findings[0].pods, ["db-1", "db-2"]);
}
