//! `can-stop`, the whole program against the model world.

use crate::support::program::{Run, start};
use crate::support::world::{Cluster, Pod, Shared, World};

async fn asked(world: &Shared, args: &[&str]) -> Run {
    let server = world.serve().await;
    start(&server, &[&["can-stop"], args].concat(), false).end().await
}

fn galera(change: impl FnOnce(&mut Cluster)) -> Shared {
    let mut cluster = Cluster::galera("shop", "db", 3);
    change(&mut cluster);
    World::with([cluster])
}

#[tokio::test]
async fn a_yes_takes_two_looks() {
    let run = asked(&galera(|_| {}), &["pod/db-1"]).await;
    assert_eq!(
        (run.exit, run.stderr.as_str()),
        (0, "nothing speaks against it; a second look follows in 8 s\n"),
        "{}",
        run.stdout
    );
    insta::assert_snapshot!("yes", run.stdout);
}

#[tokio::test]
async fn a_no_takes_one() {
    let run = asked(&galera(|cluster| cluster.as_galera().disconnect(0)), &["db-1"]).await;
    assert_eq!((run.exit, run.stderr.as_str()), (5, ""));
    insta::assert_snapshot!("no", run.stdout);
    let budget = asked(&galera(|cluster| cluster.disruptions_allowed = 0), &["db-1"]).await;
    assert!(budget.exit == 5 && budget.stdout.contains("PodDisruptionBudget db allows no disruption now"), "{}", budget.stdout);
    let primary = asked(&World::with([Cluster::replication("shop", "users", 3)]), &["users-0", "-o", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(&primary.stdout).unwrap();
    assert_eq!((primary.exit, document["answer"].as_str()), (5, Some("no")));
    assert_eq!(document["clusters"][0]["pods"][0]["role"], "primary");
}

#[tokio::test]
async fn all_clusters_of_a_node_must_agree() {
    // Every first pod is on n1: a Galera member, the primary of a set, and a pod that is down already.
    let mut down = Cluster::galera("bank", "ledger", 3);
    down.as_galera().stop(0);
    down.member(0).pod = Pod::Waiting { reason: "CrashLoopBackOff", message: "" };
    let world = World::with([Cluster::galera("shop", "db", 3), Cluster::replication("shop", "users", 2), down]);
    let run = asked(&world, &["--node", "n1"]).await;
    assert_eq!(run.exit, 5);
    insta::assert_snapshot!("node", run.stdout);
    let zone = asked(&world, &["--zone", "zone-n1", "-o", "name"]).await;
    assert_eq!((zone.exit, zone.stdout.as_str()), (5, ""));
    let one = asked(&world, &["--node", "n1", "-n", "bank"]).await;
    assert_eq!(one.exit, 0, "{}", one.stdout);
    assert!(one.stdout.contains("only namespace bank was looked at"), "{}", one.stdout);
}

#[tokio::test]
async fn names_that_lead_nowhere_and_rights_that_are_missing() {
    let world = galera(|_| {});
    world.lock().denied.extend(["list poddisruptionbudgets", "get persistentvolumes"]);
    for (args, exit, says) in [
        (&["db-7"][..], 1, "there is no pod db-7 of a MariaDB StatefulSet in namespace shop"),
        (&["web"], 1, "there is no pod web of a MariaDB StatefulSet"),
        (&["--node", "n9"], 1, "there is no node n9"),
        (&["--zone", "moon"], 1, "no node has the label topology.kubernetes.io/zone=moon"),
        (&["sts/db"], 2, "'sts' is no pod: give POD or pod/NAME"),
        (&[], 2, "Usage: kubectl mariadb can-stop"),
        (&["db-0", "--node", "n1"], 2, "cannot be used with"),
    ] {
        let run = asked(&world, args).await;
        assert_eq!(run.exit, exit, "{args:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(says), "{args:?}: {}", run.stderr);
    }
    let run = asked(&world, &["db-1"]).await;
    assert_eq!(run.exit, 0, "{}", run.stdout);
    assert!(run.stdout.contains("? whether a PodDisruptionBudget allows it: you may not list"), "{}", run.stdout);
    world.lock().denied.extend(["get pods/exec"]);
    assert_eq!(asked(&world, &["db-1"]).await.exit, 8);
}
