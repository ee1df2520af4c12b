//! What is refused, before anything is touched or in the middle.

use serde_json::json;

use super::*;
use crate::support::world::Pod;

#[tokio::test]
async fn members_that_are_not_all_synced_are_not_stopped() {
    let mut broken = cluster(false);
    broken.as_galera().disconnect(1);
    let world = World::with([broken]);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, STOP, 5).await;
    insta::assert_snapshot!("not_whole", run.text(&server));
    assert_eq!(standing(&world).0, 3);
}

#[tokio::test]
async fn others_who_write_the_set_are_named() {
    let mut argo = cluster(false);
    argo.controller.labels = json!({ "argocd.argoproj.io/instance": "shop" });
    let world = World::with([argo]);
    let server = serve(&world, &Fates::default()).await;
    insta::assert_snapshot!("gitops", played(&server, STOP, 5).await.text(&server));
    played(&server, &["stop", "db", "-y", "--gitops-paused"], 0).await;
    let scaled = World::with([cluster(false)]);
    let target = json!({ "kind": "StatefulSet", "name": "db" });
    scaled.lock().horizontal = vec![
        json!({ "metadata": { "name": "by-load" }, "spec": { "scaleTargetRef": target } }),
        json!({ "metadata": { "name": "keda-hpa-shop", "ownerReferences": [{ "kind": "ScaledObject", "name": "shop" }] },
            "spec": { "scaleTargetRef": target } }),
        json!({ "metadata": { "name": "web" }, "spec": { "scaleTargetRef": { "kind": "StatefulSet", "name": "web" } } }),
    ];
    scaled.lock().vertical = vec![
        json!({ "metadata": { "name": "sizes" }, "spec": { "targetRef": target } }),
        json!({ "metadata": { "name": "advice" }, "spec": { "targetRef": target, "updatePolicy": { "updateMode": "Off" } } }),
    ];
    let server = serve(&scaled, &Fates::default()).await;
    insta::assert_snapshot!("autoscaled", played(&server, STOP, 5).await.text(&server));
    let replication = World::with([Cluster::replication("shop", "db", 3)]);
    let server = replication.serve().await;
    insta::assert_snapshot!("replication", played(&server, STOP, 5).await.text(&server));
}

#[tokio::test]
async fn a_second_cluster_is_stopped_at_once() {
    let world = stopped(false, false).await;
    world.lock().cluster("db").controller.stray = Some(1);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, START, 5).await;
    assert!(run.stdout.contains("MDB717"), "{}", run.stdout);
    assert_eq!(standing(&world), (0, 1, false, vec![vec![0]]), "the pod that founded it is stopped, the first one goes on");
}

#[tokio::test]
async fn a_founder_that_ends_is_not_started_again_blindly() {
    let world = stopped(false, false).await;
    world.lock().cluster("db").controller.founder_fails = true;
    let server = serve(&world, &Fates::default()).await;
    let changed = played(&server, START, 5).await;
    assert!(changed.stdout.contains("MDB719") && changed.stdout.contains("forget who was elected"), "{}", changed.stdout);
    // Read and elected anew, as it was asked for; and the new one ends as well.
    let run = played(&server, RESUME, 5).await;
    insta::assert_snapshot!("founder_ends_always", run.text(&server));
}

#[tokio::test]
async fn files_that_changed_since_the_stop_are_noticed() {
    let world = stopped(false, false).await;
    world.lock().cluster("db").member(0).grastate =
        Some("version: 2.1\nuuid: 2ec812f1-e4f6-11f1-ad8a-000000000001\nseqno: -1\nsafe_to_bootstrap: 0\n");
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, START, 5).await;
    assert!(run.stdout.contains("MDB715"), "{}", run.stdout);
    assert!(world.lock().cluster("db").founder().is_none());
}

/// Somebody writes the set between the look and the question whether the API server would take the plan: it is looked at again.
#[tokio::test]
async fn what_changes_before_it_is_proven_is_looked_at_again() {
    for (changes, exit) in [(1, 0), (u32::MAX, 1)] {
        let world = World::with([cluster(false)]);
        let (outside, left) = (world.clone(), Mutex::new(changes));
        let server = Server::start(move |request| {
            let mut left = left.lock().unwrap();
            if *left > 0 && request.method == "PATCH" && request.path.contains("/statefulsets/") {
                *left -= 1;
                outside.lock().cluster("db").controller.generation += 1;
            }
            drop(left);
            outside.answer(request)
        })
        .await;
        let run = played(&server, STOP, exit).await;
        assert_eq!(standing(&world), if exit == 0 { down() } else { runs(false) }, "{}", run.stderr);
        assert!(exit == 0 || run.stderr.contains("run the command again in a minute"), "{}", run.stderr);
    }
}

#[tokio::test]
async fn a_change_from_outside_stops_it_and_is_not_overwritten() {
    let world = World::with([cluster(false)]);
    let outside = world.clone();
    let server = Server::start(move |request| {
        let answer = outside.answer(request);
        let mut world = outside.lock();
        let cluster = world.cluster("db");
        if cluster.replicas == 2 && !cluster.is_leaving(2) {
            cluster.scale_from_outside(3);
        }
        drop(world);
        answer
    })
    .await;
    let run = played(&server, STOP, 5).await;
    assert!(run.stdout.contains("MDB712"), "{}", run.stdout);
    assert_eq!(standing(&world).0, 3);
    drop(server);
    let server = serve(&world, &Fates::default()).await;
    played(&server, ABORT, 0).await;
    assert!(!unfinished(&world));
    assert_eq!(standing(&world).0, 3);
}

#[tokio::test]
async fn a_controller_that_does_nothing_is_waited_for_and_then_the_change_is_taken_back() {
    let world = World::with([cluster(false)]);
    world.lock().cluster("db").controller.idle = true;
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, &["stop", "db", "-y", "--timeout", "1s"], 6).await;
    assert!(run.stdout.contains("operation resume db") && run.stdout.contains("operation abort db"), "{}", run.stdout);
    assert_eq!(standing(&world).0, 3, "a change that nobody acted on fires later");
    world.lock().cluster("db").controller.idle = false;
    played(&server, RESUME, 0).await;
    assert_eq!(standing(&world), (0, 0, false, vec![]));
}

#[tokio::test]
async fn another_image_is_no_start_but_an_upgrade() {
    let world = stopped(false, false).await;
    world.lock().cluster("db").image = "mariadb:12.0".to_owned();
    let server = serve(&world, &Fates::default()).await;
    insta::assert_snapshot!("image_changed", played(&server, START, 5).await.text(&server));
}

#[tokio::test]
async fn volumes_that_go_with_their_pods_are_not_left_alone() {
    let mut doomed = cluster(false);
    doomed.member(2).claim_deleted = true;
    let world = World::with([doomed]);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, STOP, 5).await;
    assert!(run.stdout.contains("MDB709"), "{}", run.stdout);
    world.lock().cluster("db").member(2).claim_deleted = false;
    world.lock().denied.insert("list persistentvolumeclaims");
    let run = played(&server, STOP, 8).await;
    assert!(run.stderr.contains("list persistentvolumeclaims"), "what is not known is not good: {}", run.stderr);
    assert_eq!(standing(&world), runs(false));
}

/// Somebody else puts the set back in the middle: nothing is overwritten.
#[tokio::test]
async fn a_set_that_deletes_volumes_again_is_not_scaled_in_further() {
    let mut deleting = cluster(true);
    deleting.controller.deletes_claims = true;
    let world = World::with([deleting]);
    let outside = world.clone();
    let server = Server::start(move |request| {
        let answer = outside.answer(request);
        let mut world = outside.lock();
        let cluster = world.cluster("db");
        if cluster.replicas == 2 && cluster.members[&2].pod == Pod::Absent && !cluster.controller.deletes_claims {
            cluster.controller.deletes_claims = true;
            cluster.controller.generation += 1;
        }
        drop(world);
        answer
    })
    .await;
    let run = played(&server, STOP, 5).await;
    assert!(run.stdout.contains("MDB712") && run.stdout.contains("whenScaled: Delete"), "{}", run.stdout);
    assert_eq!(standing(&world).0, 2);
}
