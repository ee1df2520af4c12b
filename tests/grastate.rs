//! `galera grastate`, the whole program against the model world: what it says, what it creates, and that nothing is left.

use std::time::Duration;

use serde_json::Value;

use crate::support::program::{Run, run, run_at_terminal};
use crate::support::world::{Cluster, Pod, Shared, World};

const GRASTATE: &[&str] = &["galera", "grastate", "db", "-n", "shop"];

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [GRASTATE, more].concat()
}

fn galera(change: impl FnOnce(&mut Cluster)) -> Shared {
    let mut cluster = Cluster::galera("shop", "db", 3);
    change(&mut cluster);
    World::with([cluster])
}

/// All stopped in order, one after the other, and their pods are gone.
fn stopped() -> Shared {
    galera(|cluster| cluster.scale(0))
}

/// All killed at one moment with db-1 further than the others; the set is scaled to 0.
fn killed() -> Shared {
    galera(|cluster| {
        cluster.as_galera().kill(&[0, 1, 2]);
        cluster.as_galera().behind(0, 6);
        cluster.as_galera().behind(2, 1);
        cluster.replicas = 0;
        (0..3).for_each(|ordinal| cluster.member(ordinal).pod = Pod::Absent);
    })
}

async fn shown(world: &Shared, more: &[&str]) -> String {
    let server = world.serve().await;
    run(&server, &args(more)).await.text(&server)
}

async fn document(world: &Shared, more: &[&str]) -> (u8, Value) {
    let server = world.serve().await;
    let run = run(&server, &args(&[more, &["-o", "json"]].concat())).await;
    (run.exit, serde_json::from_str(&run.stdout).unwrap_or_else(|why| panic!("{why}: {}{}", run.stdout, run.stderr)))
}

fn assert_nothing_is_left(world: &Shared) {
    assert_eq!(world.lock().helpers.alive(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_primary_component_needs_no_election_and_no_helper() {
    let world = galera(|cluster| cluster.crash_loop(2));
    insta::assert_snapshot!("not_needed", shown(&world, &["--recover-positions", "--yes"]).await);
    assert!(world.lock().helpers.created.is_empty());
}

#[tokio::test]
async fn a_clean_stop_is_read_by_helper_pods_that_are_gone_afterwards() {
    let world = stopped();
    insta::assert_snapshot!("clean_stop", shown(&world, &["--yes"]).await);
    assert_nothing_is_left(&world);
    let world = world.lock();
    let mut deleted = world.helpers.deleted.clone();
    deleted.sort();
    assert_eq!(deleted, ["db-0-inspect", "db-1-inspect", "db-2-inspect"]);
}

#[tokio::test]
async fn the_last_to_leave_is_elected_in_every_form_of_output() {
    let (exit, json) = document(&stopped(), &["--yes"]).await;
    assert_eq!((exit, json["election"]["pod"].as_str()), (0, Some("db-0")));
    assert_eq!(json["members"][0]["position"]["from"], "grastate");
    let world = stopped();
    let server = world.serve().await;
    assert_eq!(run(&server, &args(&["--yes", "-o", "name"])).await.stdout, "pod/db-0\n");
}

#[tokio::test]
async fn after_a_crash_positions_are_recovered_and_the_furthest_is_elected() {
    let world = killed();
    insta::assert_snapshot!("killed_inspected", shown(&world, &["--yes"]).await);
    assert_nothing_is_left(&world);
    insta::assert_snapshot!("killed_recovered", shown(&world, &["--yes", "--recover-positions"]).await);
    assert_nothing_is_left(&world);
    let world = world.lock();
    // Files first, of all; then positions (safety A4).
    let kinds: Vec<&str> = world.helpers.created.iter().rev().take(6).rev().map(kind).collect();
    assert_eq!(kinds, ["inspect", "inspect", "inspect", "recover", "recover", "recover"]);
}

fn kind(job: &Value) -> &str {
    job["metadata"]["labels"]["kubectl-mariadb/helper"].as_str().unwrap()
}

#[tokio::test]
async fn a_position_in_the_log_of_the_last_start_needs_no_recovery() {
    let log = "[Note] WSREP: Recovered position: 2ec812f1-e4f6-11f1-ad8a-000000000001:10\n\
               [ERROR] WSREP: failed to open gcomm backend connection: 110: failed to reach primary view\n";
    let world = galera(|cluster| {
        cluster.as_galera().kill(&[0, 1, 2]);
        for ordinal in 0..3 {
            cluster.member(ordinal).pod = Pod::Running { ready: false };
            cluster.member(ordinal).log = log;
        }
    });
    let (exit, json) = document(&world, &[]).await;
    assert_eq!((exit, &json["members"][1]["position"]["from"]), (0, &Value::from("startLog")), "{json:#}");
    assert!(world.lock().helpers.created.is_empty());
}

#[tokio::test]
async fn nobody_to_ask_means_nothing_created_and_the_flag_named() {
    let world = killed();
    insta::assert_snapshot!("nobody_to_ask", shown(&world, &[]).await);
    assert!(world.lock().helpers.created.is_empty());
}

#[tokio::test]
async fn the_question_is_answered_with_yes_or_no() {
    let world = killed();
    let server = world.serve().await;
    let no = run_at_terminal(&server, &args(&[]), "n\n").await;
    insta::assert_snapshot!("declined", no.text(&server));
    assert!(world.lock().helpers.created.is_empty());
    // One question for reading, another one for recovering.
    let both = run_at_terminal(&server, &args(&["--recover-positions"]), "y\ny\n").await;
    assert_eq!((both.exit, both.stderr.matches("[y/N]").count()), (0, 2), "{}", both.text(&server));
    let first = run_at_terminal(&server, &args(&["--recover-positions"]), "yes\nno\n").await;
    assert_eq!(first.exit, 7, "{}", first.text(&server));
    let recovers = world.lock().helpers.created.iter().filter(|job| kind(job) == "recover").count();
    assert_eq!(recovers, 3, "those of the second run only");
    assert_nothing_is_left(&world);
}

#[tokio::test]
async fn a_dry_run_creates_nothing() {
    let world = killed();
    insta::assert_snapshot!("dry_run_client", shown(&world, &["--dry-run"]).await);
    insta::assert_snapshot!("dry_run_server", shown(&world, &["--dry-run=server", "--recover-positions"]).await);
    assert!(world.lock().helpers.created.is_empty());
}

#[tokio::test]
async fn what_the_api_server_would_not_take_is_found_before_anything_is_created() {
    let world = killed();
    world.lock().helpers.quota =
        Some("pods \"db-0-inspect\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=3");
    insta::assert_snapshot!("quota", shown(&world, &["--yes"]).await);
    world.lock().helpers.quota = None;
    world.lock().helpers.injects = Some("istio-proxy");
    let (exit, json) = document(&world, &["--yes"]).await;
    assert_eq!((exit, &json["stopped"]), (4, &Value::from("denied")));
    assert!(json["helpers"][0]["denied"]["message"].as_str().unwrap().contains("istio-proxy"), "{json:#}");
    world.lock().helpers.injects = None;
    world.lock().denied.insert("create pods");
    insta::assert_snapshot!("no_right_to_create", shown(&world, &["--yes"]).await);
    assert!(world.lock().helpers.created.is_empty());
}

#[tokio::test]
async fn missing_rights_to_read_are_named() {
    let world = galera(|cluster| cluster.as_galera().kill(&[0, 1, 2]));
    world.lock().denied.insert("get pods/exec");
    let (exit, json) = document(&world, &["--yes"]).await;
    assert_eq!(exit, 8, "{json:#}");
    let world = stopped();
    world.lock().denied.insert("list persistentvolumeclaims");
    let (exit, json) = document(&world, &["--yes"]).await;
    assert_eq!((exit, &json["election"]["reasons"][0]["reason"]), (8, &Value::from("VolumesUnseen")));
}

#[tokio::test]
async fn a_foreign_history_and_a_half_copy_are_told() {
    let foreign = stopped();
    foreign.lock().cluster("db").as_galera().put_foreign(2, 90_000);
    insta::assert_snapshot!("two_histories", shown(&foreign, &["--yes"]).await);
    let half = killed();
    half.lock().cluster("db").member(1).markers.push("sst_in_progress".to_owned());
    insta::assert_snapshot!("half_copy", shown(&half, &["--yes", "--recover-positions"]).await);
    let recovers = half.lock().helpers.created.iter().filter(|job| kind(job) == "recover").count();
    assert_eq!(recovers, 2, "never in a half copy (safety A4)");
}

#[tokio::test]
async fn a_volume_that_is_gone_forbids_recovery_and_choice() {
    let world = killed();
    world.lock().cluster("db").member(2).has_claim = false;
    world.lock().cluster("db").replicas = 3;
    insta::assert_snapshot!("volume_gone", shown(&world, &["--yes", "--recover-positions"]).await);
    assert!(world.lock().helpers.created.iter().all(|job| kind(job) == "inspect"));
}

#[tokio::test]
async fn no_position_is_recovered_beside_a_server() {
    let world = galera(|cluster| {
        cluster.as_galera().kill(&[0, 1]);
        // It waits for the others, and answers no SQL.
        cluster.member(2).sql = crate::support::world::Sql::Refuses(
            "ERROR 2002 (HY000): Can't connect to local server through socket '/run/mysqld/mysqld.sock' (2)",
        );
    });
    let (exit, json) = document(&world, &["--yes", "--recover-positions"]).await;
    assert_eq!(exit, 4, "{json:#}");
    assert!(world.lock().helpers.created.iter().all(|job| kind(job) != "recover"), "{json:#}");
}

#[tokio::test]
async fn an_earlier_helper_is_taken_away_if_it_has_ended_and_left_alone_if_not() {
    let world = stopped();
    let (exit, _) = document(&world, &["--yes"]).await;
    assert_eq!(exit, 0);
    let job = world.lock().helpers.created[0].clone();
    world.lock().helpers.leave(job.clone(), true);
    assert_eq!(document(&world, &["--yes"]).await.0, 0);
    world.lock().helpers.leave(job, false);
    let (exit, json) = document(&world, &["--yes"]).await;
    assert_eq!(exit, 4);
    let why = json["members"][0]["filesUnknown"]["message"].as_str().unwrap();
    assert!(why.contains("another run is at work"), "{why}");
    assert_eq!(world.lock().helpers.alive(), ["db-0-inspect"], "it is not ours to delete");
}

#[tokio::test]
async fn a_job_without_a_uid_is_not_taken_for_one_that_was_made() {
    let world = stopped();
    world.lock().helpers.nameless = true;
    let (exit, json) = document(&world, &["--yes"]).await;
    assert_eq!(exit, 4, "{json:#}");
    let why = json["members"][0]["filesUnknown"]["message"].as_str().unwrap();
    assert!(why.contains("db-0-inspect was created") && why.contains("names no uid"), "{why}");
    assert_eq!(world.lock().helpers.deleted, Vec::<String>::new(), "another one may have its name by now");
}

#[tokio::test]
async fn recovery_that_fails_is_told_with_its_reason() {
    let world = killed();
    world.lock().helpers.recovery_log = Some("[ERROR] InnoDB: Unable to lock ./ibdata1 error: 11\n");
    let (exit, json) = document(&world, &["--yes", "--recover-positions"]).await;
    assert_eq!((exit, &json["members"][0]["positionUnknown"]), (4, &Value::from("another server holds the data directory")));
    assert_nothing_is_left(&world);
}

#[tokio::test]
async fn the_deadline_ends_the_command_and_takes_the_helpers_away() {
    let world = killed();
    world.lock().helpers.unscheduled = Some("0/3 nodes are available");
    let began = std::time::Instant::now();
    let server = world.serve().await;
    let late: Run = run(&server, &args(&["--yes", "--timeout", "2s"])).await;
    assert_eq!(late.exit, 6, "{}", late.text(&server));
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(late.stderr.contains("nothing of ours is left in the cluster"), "{}", late.stderr);
    assert_nothing_is_left(&world);
}

#[tokio::test]
async fn a_job_whose_creation_was_cut_off_is_not_called_gone() {
    let world = stopped();
    world.lock().helpers.silent = true;
    let server = world.serve().await;
    let late: Run = run(&server, &args(&["--yes", "--timeout", "2s"])).await;
    assert_eq!(late.exit, 6, "{}", late.text(&server));
    assert!(late.stderr.contains("still there: db-0-inspect, db-1-inspect, db-2-inspect, which end by"), "{}", late.stderr);
    assert_eq!(world.lock().helpers.deleted, Vec::<String>::new());
}

#[tokio::test]
async fn helpers_outlive_no_plugin() {
    // A deadline and an owner of its own in every one: whoever kills the plugin, Kubernetes ends it.
    let world = killed();
    document(&world, &["--yes", "--recover-positions"]).await;
    let world = world.lock();
    assert_eq!(world.helpers.created.len(), 6);
    for job in &world.helpers.created {
        let spec = &job["spec"];
        assert!(spec["activeDeadlineSeconds"].as_u64().is_some_and(|seconds| seconds <= 600), "{spec:#}");
        assert!(spec["ttlSecondsAfterFinished"].is_u64() && spec["backoffLimit"] == 0, "{spec:#}");
        assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], "uid-shop-db");
        assert!(job["metadata"]["ownerReferences"][0]["controller"].is_null(), "never adopted by the set");
        assert_eq!(spec["template"]["metadata"]["labels"]["app"], Value::Null, "no Service selects it");
    }
}

#[tokio::test]
async fn other_clusters_and_wrong_names_are_one_sentence() {
    let world = World::with([Cluster::replication("shop", "db", 3)]);
    insta::assert_snapshot!("not_galera", shown(&world, &[]).await);
    let several = World::with([Cluster::galera("shop", "db", 3), Cluster::galera("shop", "users", 3)]);
    let server = several.serve().await;
    let unnamed = run(&server, &["galera", "grastate", "-n", "shop"]).await;
    insta::assert_snapshot!("several", unnamed.text(&server));
    let plain = stopped();
    let server = plain.serve().await;
    let called = run(&server, &["galera", "grastate", "mariadb/db", "-n", "shop", "--yes"]).await;
    assert_eq!(called.exit, 1, "{}", called.text(&server));
    assert!(called.stderr.contains("no MariaDB db is seen") && called.stderr.contains("sts/db"), "{}", called.stderr);
    assert!(plain.lock().helpers.created.is_empty());
}
