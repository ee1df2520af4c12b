//! The screens, as a person sees them, for clusters well and unwell.

use insta::assert_snapshot;
use jiff::Timestamp;

use super::{Status, StatusList};
use crate::cli::global::{Colour, Connection, Format, Output};
use crate::decide::finding::Severity;
use crate::decide::verdict;
use crate::failure::Exit;
use crate::model::disk::{Copying, Side};
use crate::model::fact::{Fact, Obstacle, Why};
use crate::model::kubernetes::{ContainerEnd, ContainerState};
use crate::model::names::Ordinal;
use crate::model::replica::{IoThread, ServerError};
use crate::model::snapshot::Snapshot;
use crate::model::testing::{
    files_of, galera_of, gtids, healthy_galera, healthy_replication, noon, server, server_of, silence, single, snapshot,
};
use crate::model::wsrep::{ClusterStatus, LocalState};
use crate::output::command_line::OwnFlags;
use crate::output::{Printer, Screen, schema};
use crate::process::Process;

fn status(seen: &Snapshot) -> Status {
    let connection = Connection { namespace: Some("shop".to_owned()), ..Connection::default() };
    Status::new(seen, &verdict(seen), Some(Severity::Error), &OwnFlags::new(&connection, None, false))
}

/// What a terminal of 80 columns shows.
fn print<S: Screen>(answer: &S, format: Format, color: Colour) -> String {
    let (mut process, captured) = Process::captured(Vec::<String>::new(), Timestamp::UNIX_EPOCH);
    process.terminal.width = Some(80);
    let exit = Printer::new(&mut process, Output { format, no_headers: false, color }).show(answer);
    assert_eq!(exit, answer.exit());
    captured.stdout()
}

/// The screen at 80 columns; the exit code first.
fn screen(seen: &Snapshot) -> String {
    let status = status(seen);
    let text = print(&status, Format::Table, Colour::Auto);
    for line in text.lines().filter(|line| !line.contains('→')) {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
    schema::check(&print(&status, Format::Jsonl, Colour::Auto));
    format!("exit code {}\n{text}", status.exit_code)
}

fn age(seen: &mut Snapshot) {
    for (ordinal, member) in &mut seen.members {
        let days = 24 * (i64::from(ordinal.0) * 9 + 3);
        let hours = jiff::SignedDuration::from_hours(days + 4);
        if let Some(pod) = &mut member.pod {
            pod.created = noon() - hours;
        }
    }
}

#[test]
fn healthy_clusters() {
    let mut galera = healthy_galera();
    age(&mut galera);
    assert_snapshot!("healthy_galera", screen(&galera));
    assert_snapshot!("healthy_galera_wide", print(&status(&galera), Format::Wide, Colour::Auto));
    let mut replication = healthy_replication();
    age(&mut replication);
    assert_snapshot!("healthy_replication", screen(&replication));
    assert_snapshot!("healthy_replication_wide", print(&status(&replication), Format::Wide, Colour::Auto));
    assert_snapshot!("healthy_single", screen(&single()));
}

/// A member whose container crashes: Kubernetes says so, nobody could be asked.
fn crash(seen: &mut Snapshot, ordinal: u32) {
    let member = seen.members.get_mut(&Ordinal(ordinal)).unwrap();
    let pod = member.pod.as_mut().unwrap();
    pod.ready = false;
    pod.containers[0].ready = false;
    pod.containers[0].restarts = 17;
    let message = "back-off 5m0s restarting failed container".to_owned();
    pod.containers[0].state = ContainerState::Waiting { reason: "CrashLoopBackOff".to_owned(), message };
    let end = ContainerEnd { exit_code: 1, signal: None, reason: "Error".to_owned(), started: None, at: Some(noon()) };
    pod.containers[0].last_end = Some(end);
    let why = || Why::NotRunning("the container waits: CrashLoopBackOff".to_owned());
    member.server = Fact::Unknown(why());
    member.files = Fact::Unknown(why());
}

#[test]
fn a_pod_that_does_not_answer() {
    let mut seen = healthy_galera();
    silence(&mut seen, 2);
    seen.members.get_mut(&Ordinal(2)).unwrap().files = Fact::Unknown(Why::TimedOut(std::time::Duration::from_secs(3)));
    seen.objects.nodes = Fact::Unknown(Why::Forbidden("list nodes".to_owned()));
    seen.objects.events = Fact::Unknown(Why::Forbidden("list events in namespace shop".to_owned()));
    assert_snapshot!("silent_pod", screen(&seen));
}

#[test]
fn a_member_that_crashes() {
    let mut seen = healthy_galera();
    crash(&mut seen, 1);
    for ordinal in [0, 2] {
        galera_of(&mut seen, ordinal).view.retain(|row| row.name != "db-1");
        galera_of(&mut seen, ordinal).status.cluster_size = 2;
    }
    assert_snapshot!("crash_loop", screen(&seen));
}

#[test]
fn a_network_partition() {
    let mut seen = healthy_galera();
    let view = |seen: &mut Snapshot, ordinal: u32, keep: &[&str]| {
        let galera = galera_of(seen, ordinal);
        galera.view.retain(|row| keep.contains(&row.name.as_str()));
    };
    view(&mut seen, 0, &["db-0", "db-1"]);
    view(&mut seen, 1, &["db-0", "db-1"]);
    let cut = &mut galera_of(&mut seen, 2).status;
    cut.cluster_status = ClusterStatus::NonPrimary;
    cut.local_state = LocalState::Initialized;
    cut.state_comment = "Initialized".to_owned();
    cut.ready = false;
    cut.conf_id = None;
    cut.incoming_addresses = vec!["127.0.0.13:3306".to_owned()];
    assert_snapshot!("partition", screen(&seen));
}

#[test]
fn a_state_transfer() {
    let mut seen = healthy_galera();
    let donor = &mut galera_of(&mut seen, 0).status;
    donor.local_state = LocalState::DonorDesynced;
    donor.state_comment = "Donor/Desynced".to_owned();
    let message = "the server listens on no socket yet".to_owned();
    let joiner = seen.members.get_mut(&Ordinal(2)).unwrap();
    joiner.server = Fact::Unknown(Why::NoSql { obstacle: Obstacle::NoSocket, message });
    joiner.pod.as_mut().unwrap().ready = false;
    files_of(&mut seen, 2).transfer_markers = vec!["sst_in_progress".to_owned()];
    assert_snapshot!("state_transfer", screen(&seen));
    let copying = |side, peer: Option<&str>, mib: u64| {
        let (method, peer, bytes) = ("mariabackup".to_owned(), peer.map(str::to_owned), Some(mib << 20));
        Some(Copying { side, method, seconds: 20, peer, bytes })
    };
    files_of(&mut seen, 2).copying = copying(Side::Joiner, None, 45);
    let transfer = |seen: &Snapshot| {
        let status = status(seen);
        schema::check(&print(&status, Format::Json, Colour::Auto));
        let [transfer] = &status.galera.as_ref().unwrap().transfers[..] else { panic!("one transfer") };
        (transfer.words(), serde_json::to_string_pretty(transfer).unwrap())
    };
    let (words, json) = transfer(&seen);
    assert_eq!(words, "db-0 → db-2 by mariabackup: 45 MiB in 20s, 2.2 MiB/s");
    assert_snapshot!("state_transfer_unknown_size", json);
    files_of(&mut seen, 0).copying = copying(Side::Donor, Some("db-2.db.shop"), 1900);
    let (words, json) = transfer(&seen);
    assert_eq!(words, "db-0 → db-2 by mariabackup: 45 MiB of about 1.8 GiB in 20s, 2.2 MiB/s, at least 13m left");
    assert_snapshot!("state_transfer_progress", json);
}

#[test]
fn replicas_in_trouble() {
    let mut seen = healthy_replication();
    let text = "Could not execute Write_rows_v1 event on table shop.orders; Duplicate entry '4711' for key 'PRIMARY', \
                Error_code: 1062; handler error HA_ERR_FOUND_DUPP_KEY; the event's source log binlog.000004, end_log_pos 5512";
    let channel = &mut server_of(&mut seen, 1).channels[0];
    channel.sql_running = false;
    channel.lag_seconds = None;
    channel.sql_error = Some(ServerError { code: 1062, text: text.to_owned() });
    server_of(&mut seen, 2).gtid = gtids("0-12-3516", "0-10-3514");
    server_of(&mut seen, 2).gtid.binlog_state = "0-10-3514,0-12-3516".parse().unwrap();
    files_of(&mut seen, 0).space.used = 97 << 28;
    files_of(&mut seen, 0).space.available = 3 << 28;
    assert_snapshot!("replicas_in_trouble", screen(&seen));
}

#[test]
fn a_replica_that_connects() {
    let mut seen = healthy_replication();
    let channel = &mut server_of(&mut seen, 2).channels[0];
    channel.io = IoThread::Connecting;
    channel.lag_seconds = None;
    channel.io_error = Some(ServerError { code: 2003, text: "Can't connect to server on 'db-0.db' (111)".to_owned() });
    assert_snapshot!("replica_connecting", screen(&seen));
}

#[test]
fn independent_servers() {
    assert_snapshot!("independent", screen(&snapshot([server(0), server(1), server(2)])));
}

#[test]
fn nobody_may_exec() {
    let mut seen = healthy_replication();
    for member in seen.members.values_mut() {
        let why = || Why::Forbidden("create pods/exec in namespace shop".to_owned());
        member.server = Fact::Unknown(why());
        member.files = Fact::Unknown(why());
    }
    assert_snapshot!("no_exec_right", screen(&seen));
    for member in seen.members.values_mut() {
        member.server = Fact::Unknown(Why::NotAsked);
        member.files = Fact::Unknown(Why::NotAsked);
    }
    assert_snapshot!("not_asked", screen(&seen));
}

#[test]
fn five_pods_with_long_names_fit() {
    let mut seen = healthy_replication();
    let (set, name) = (&mut seen.objects.stateful_set, "orders-mariadb-production");
    set.name = name.to_owned();
    set.service_name = name.to_owned();
    set.replicas = 5;
    seen.target.name = name.to_owned();
    for ordinal in 3..5 {
        let mut member = seen.members[&Ordinal(2)].clone();
        member.pod.as_mut().unwrap().containers[0].restarts = 12;
        seen.members.insert(Ordinal(ordinal), member);
    }
    for (ordinal, member) in &mut seen.members {
        let pod = member.pod.as_mut().unwrap();
        pod.name = ordinal.pod(name);
        pod.node = Some(format!("ip-10-0-{ordinal}-23.eu-west-1.compute.internal"));
        if let Fact::Known(server) = &mut member.server {
            server.channels.iter_mut().for_each(|channel| channel.source_host = format!("{name}-0.{name}"));
        }
    }
    seen.objects.nodes = Fact::Unknown(Why::NotAsked);
    age(&mut seen);
    assert_snapshot!("long_names", screen(&seen));
    assert!(print(&status(&seen), Format::Wide, Colour::Auto).contains("ip-10-0-4-23.eu-west-1.compute.internal"));
}

#[test]
fn documents() {
    let mut seen = healthy_galera();
    crash(&mut seen, 1);
    let json = print(&status(&seen), Format::Json, Colour::Auto);
    schema::check(&json);
    assert_snapshot!("galera_json", json);
    schema::check(&print(&status(&healthy_replication()), Format::Json, Colour::Auto));
    assert_snapshot!("replication_yaml", print(&status(&healthy_replication()), Format::Yaml, Colour::Auto));
    assert_eq!(print(&status(&seen), Format::Name, Colour::Auto), "statefulset.apps/db\n");
    let line = print(&status(&seen), Format::Jsonl, Colour::Auto);
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn colours_only_repeat_what_is_said() {
    let mut seen = healthy_galera();
    crash(&mut seen, 1);
    let coloured = print(&status(&seen), Format::Table, Colour::Always);
    assert_snapshot!("coloured", coloured.replace('\u{1b}', "␛"));
    let mut plain = String::new();
    for (number, part) in coloured.split('\u{1b}').enumerate() {
        plain.push_str(if number == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    assert_eq!(plain, print(&status(&seen), Format::Table, Colour::Never));
}

#[test]
fn a_fleet() {
    let mut crashing = healthy_galera();
    crash(&mut crashing, 1);
    crashing.target.namespace = "z-namespace".to_owned();
    // The worst comes first.
    let list = StatusList::new([&healthy_replication(), &crashing, &single()].map(status).to_vec());
    assert_snapshot!("fleet", print(&list, Format::Table, Colour::Auto));
    schema::check(&print(&list, Format::Json, Colour::Auto));
    assert_eq!(list.exit(), Exit::Unhealthy);
    assert_eq!(print(&list, Format::Name, Colour::Auto).lines().count(), 3);
    assert_eq!(StatusList::new(Vec::new()).exit(), Exit::Ok);
}
