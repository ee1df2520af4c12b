//! Clusters of mariadb-operator: who acts when, and what the operator is told in the end.

use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::*;

const RECOVER: &[&str] = &["galera", "recover", "db", "-y"];
const FORCE: &str = "forceClusterBootstrapInPod";

fn operated() -> Cluster {
    let mut cluster = cluster(false).operated();
    cluster.as_galera().behind(2, 3);
    cluster
}

/// All were killed at one moment, db-2 some transactions behind.
fn outage(cluster: impl FnOnce(&mut Cluster)) -> Shared {
    let mut all = operated();
    all.as_galera().kill(&[0, 1, 2]);
    (0..3).for_each(|ordinal| all.crash_loop(ordinal));
    cluster(&mut all);
    World::with([all])
}

fn forced(cluster: &mut Cluster) {
    cluster.tell_operator(|spec| spec["galera"]["recovery"][FORCE] = json!("db-2"));
}

/// What the operator was told in the end: nothing of ours is left.
fn steering(world: &Shared) -> (Value, Value, Value) {
    let mut world = world.lock();
    let spec = &world.cluster("db").operator().spec;
    (spec["suspend"].clone(), spec["galera"]["recovery"]["enabled"].clone(), spec["galera"]["recovery"][FORCE].clone())
}

fn free() -> (Value, Value, Value) {
    (json!(false), json!(true), Value::Null)
}

#[tokio::test]
async fn an_operator_that_would_lose_rows_stands_still_until_the_cluster_is_whole() {
    let world = outage(forced);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, RECOVER, 0).await;
    assert_eq!((standing(&world), steering(&world)), (runs(false), free()), "{}", run.stderr);
    let bootstrapped = world.lock().cluster("db").operator().bootstrapped.clone();
    assert!(bootstrapped.is_empty() && !unfinished(&world), "{bootstrapped:?}\n{}", run.stderr);
    assert!(run.stderr.contains("mariadb-operator would start from db-2"), "{}", run.stderr);
    assert!(world.lock().cluster("db").founder().is_none(), "no bootstrap pod of ours");
    let grastate = world.lock().cluster("db").as_galera().grastate(0);
    assert!(grastate.contains("safe_to_bootstrap: 0"), "{grastate}");
    insta::assert_snapshot!("operator_recovered", without_waits(&run.text(&server)));
}

#[tokio::test]
async fn an_operator_that_chooses_right_is_left_to_it() {
    let world = outage(|_| ());
    (0..3).for_each(|ordinal| {
        world.lock().cluster("db").member(ordinal).pod = crate::support::world::Pod::Running { ready: false }
    });
    (0..3).for_each(|ordinal| world.lock().cluster("db").as_galera().start(ordinal));
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, RECOVER, 0).await;
    assert_eq!((standing(&world), steering(&world)), (runs(false), free()), "{}", run.stderr);
    assert!(run.stdout.contains("nothing to recover"), "{}", run.stdout);
}

#[tokio::test]
async fn whoever_suspended_it_before_finds_it_so_afterwards() {
    let world = outage(|cluster| cluster.tell_operator(|spec| spec["suspend"] = json!(true)));
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, RECOVER, 0).await;
    assert_eq!(steering(&world), (json!(true), json!(true), Value::Null), "{}", run.stderr);
    assert_eq!(standing(&world), runs(false), "{}", run.stderr);
}

#[tokio::test]
async fn an_operator_without_recovery_recovers_this_once() {
    let world = outage(|cluster| cluster.tell_operator(|spec| spec["galera"]["recovery"]["enabled"] = json!(false)));
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, RECOVER, 0).await;
    assert_eq!(steering(&world), (json!(false), json!(false), Value::Null), "{}", run.stderr);
    assert_eq!(standing(&world), runs(false), "{}", run.stderr);
}

#[tokio::test]
async fn a_cluster_stops_and_starts_with_the_operator_standing_still() {
    let world = World::with([cluster(false).operated()]);
    let server = serve(&world, &Fates::default()).await;
    let stopped = played(&server, STOP, 0).await;
    assert_eq!((standing(&world), steering(&world).0), (down(), json!(true)), "{}", stopped.stderr);
    let refused = played(&server, &["unsuspend", "db", "-y"], 5).await;
    assert!(refused.stdout.contains("MDB733"), "{}", refused.stdout);
    let refused = played(&server, RECOVER, 5).await;
    assert!(refused.stdout.contains("start db"), "{}", refused.stdout);
    let started = played(&server, START, 0).await;
    assert_eq!((standing(&world), steering(&world)), (runs(false), free()), "{}", started.stderr);
    assert!(world.lock().cluster("db").operator().bootstrapped.is_empty(), "started in an order that nobody chose");
}

#[tokio::test]
async fn a_stop_that_is_taken_back_lets_the_operator_work_again() {
    let world = World::with([cluster(false).operated()]);
    let server = serve(&world, &Fates::new(Of::Changes, Some((6, Fate::Dies)))).await;
    run_quickly(&server, STOP).await;
    assert!(unfinished(&world) && steering(&world).0 == true);
    let server = serve(&world, &Fates::default()).await;
    let back = played(&server, ABORT, 0).await;
    assert_eq!((standing(&world), steering(&world)), (runs(false), free()), "{}", back.stderr);
}

#[tokio::test]
async fn the_operator_is_suspended_and_works_again_and_what_is_in_the_way_is_said() {
    let world = World::with([cluster(false).operated()]);
    let server = serve(&world, &Fates::default()).await;
    let suspended = played(&server, &["suspend", "db", "-y"], 0).await;
    insta::assert_snapshot!("suspended", without_waits(&suspended.text(&server)));
    forced(world.lock().cluster("db"));
    let refused = played(&server, &["unsuspend", "db", "-y"], 5).await;
    insta::assert_snapshot!("unsuspend_refused", refused.text(&server));
    world.lock().cluster("db").tell_operator(|spec| spec["galera"]["recovery"][FORCE] = Value::Null);
    played(&server, &["unsuspend", "db", "-y"], 0).await;
    assert_eq!(steering(&world), free());
    let plain = World::with([cluster(false)]);
    let server = serve(&plain, &Fates::default()).await;
    assert!(played(&server, &["suspend", "db", "-y"], 5).await.stdout.contains("no mariadb-operator manages db"));
}

/// Dies after each change in turn; whoever resumes brings it to the same end.
#[tokio::test]
async fn whoever_resumes_brings_it_to_its_end() {
    let all = {
        let fates = Fates::new(Of::Changes, None);
        let server = serve(&outage(forced), &fates).await;
        played(&server, RECOVER, 0).await;
        fates.count()
    };
    let cut = async |number| {
        let world = outage(forced);
        let server = serve(&world, &Fates::new(Of::Changes, Some((number, Fate::Dies)))).await;
        let died = run_quickly(&server, RECOVER).await;
        let server = serve(&world, &Fates::default()).await;
        let resumed = run_quickly(&server, if unfinished(&world) { RESUME } else { RECOVER }).await;
        let told = format!("dies at change {number}\n{}{}\n{}{}", died.stdout, died.stderr, resumed.stdout, resumed.stderr);
        assert_eq!((resumed.exit, standing(&world), steering(&world)), (0, runs(false), free()), "{told}");
        assert!(!world.lock().cluster("db").operator().bootstrapped.contains(&2), "{told}");
    };
    // Each run waits for everything there is to wait for: every fourth is enough beside those of a plain set.
    stream::iter((1..=all).step_by(cuts::every(4))).map(cut).buffer_unordered(cuts::AT_ONCE).collect::<()>().await;
}
