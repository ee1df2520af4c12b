//! `wait` and `status --settled`, the whole program against the model world. Both take two looks eight seconds apart.

use crate::support::program::start;
use crate::support::world::{Cluster, ExecState, Pod, World};

fn missing(stdout: &str) -> (serde_json::Value, u64) {
    let document: serde_json::Value = serde_json::from_str(stdout).unwrap();
    (document["missing"].clone(), document["exitCode"].as_u64().unwrap())
}

#[tokio::test]
async fn it_ends_when_two_looks_agree() {
    let world = World::with([Cluster::galera("shop", "db", 3)]);
    world.lock().cluster("db").member(2).pod = Pod::Absent;
    world.lock().cluster("db").as_galera().stop(2);
    let server = world.serve().await;
    let run = start(&server, &["wait", "--for=synced", "--for", "primary=db-2", "-o", "json"], false);
    run.says("waiting for synced and primary=db-2: db-2 does not answer: there is no pod db-2").await;
    world.lock().cluster("db").member(2).pod = Pod::Running { ready: true };
    world.lock().cluster("db").as_galera().start(2);
    run.says("it is so in one look; a second one has to confirm it").await;
    let run = run.end().await;
    assert_eq!((run.exit, missing(&run.stdout)), (0, (serde_json::json!([]), 0)));
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((document["kind"].as_str(), document["met"].as_bool()), (Some("Waited"), Some(true)));
    assert!(document["waitedSeconds"].as_f64().unwrap() >= 8.0, "{document}");
    assert_eq!(document["status"]["state"], "healthy");
}

#[tokio::test]
async fn a_deadline_ends_it_with_the_state() {
    let world = World::with([Cluster::galera("shop", "db", 3)]);
    world.lock().cluster("db").member(2).exec = ExecState::Hangs;
    let server = world.serve().await;
    let args = ["wait", "db", "--for=healthy", "--timeout=1500ms", "--pod-timeout=300ms"];
    let run = start(&server, &args, false).end().await;
    assert_eq!(run.exit, 6);
    assert!(run.stdout.starts_with("timed out: not healthy after 1."), "{}", run.stdout);
    // What is missing is the headline of the last look, which is said once.
    assert!(run.stdout.contains(" s\n\nUnknown: "), "{}", run.stdout);
    assert!(run.stdout.contains("POD   ROLE"), "{}", run.stdout);
    let json = start(&server, &[&args[..], &["-o", "json"]].concat(), false).end().await;
    assert_eq!(missing(&json.stdout).1, 6);
}

#[tokio::test]
async fn what_can_never_be_is_refused_at_once() {
    let clusters = || [Cluster::replication("shop", "one", 1), Cluster::galera("shop", "db", 3)];
    let server = World::with(clusters()).serve().await;
    for (args, exit, says) in [
        (&["wait", "one", "--for=synced"][..], 1, "waiting cannot help: shop/one wants one server"),
        (&["wait", "db", "--for=primary=db-7"], 1, "db-7 is no pod that shop/db wants; those are: db-0, db-1, db-2"),
        (&["wait", "nosuch", "--for=healthy"], 1, "there is no StatefulSet nosuch in namespace shop"),
        (&["wait", "--for=healthy"], 1, "namespace shop has 2 clusters: db, one"),
        (&["wait", "db", "--for=ready"], 2, "wait for healthy, synced or primary=POD"),
        (&["wait", "db"], 2, "--for <WHAT>"),
    ] {
        let run = start(&server, args, false).end().await;
        assert_eq!(run.exit, exit, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{args:?}: {}", run.stderr);
    }
}

#[tokio::test]
async fn settled_says_what_two_looks_say_together() {
    let world = World::with([Cluster::galera("shop", "db", 3), Cluster::replication("shop", "users", 2)]);
    let server = world.serve().await;
    let [still, fleet] =
        [&["status", "db", "--settled", "-o", "json"][..], &["status", "--settled"]].map(|args| start(&server, args, false));
    still.says("the second look follows in 8 s").await;
    fleet.says("the second look follows in 8 s").await;
    world.lock().cluster("users").as_replication().server(1).read_only = false;
    let still = still.end().await;
    let document: serde_json::Value = serde_json::from_str(&still.stdout).unwrap();
    assert_eq!((still.exit, document["settled"]["settled"].as_bool()), (0, Some(true)), "{document}");
    assert!(still.stderr.starts_with("first look: Healthy: 3 of 3 members Synced"), "{}", still.stderr);
    let fleet = fleet.end().await;
    assert_eq!(fleet.exit, 4);
    assert!(fleet.stdout.ends_with("not settled shop/users: users-1 became writable\n"), "{}", fleet.stdout);
}
