//! `pvc prune`: what goes, what stays, and every refusal.

use super::*;

const PRUNE: &[&str] = &["pvc", "prune", "db", "-y"];

#[tokio::test]
async fn what_the_members_hold_goes_and_nothing_else() {
    let world = scaled_in();
    insta::assert_snapshot!("pruned", shown(&world, PRUNE).await);
    assert_eq!(deleted(&world), ["data-db-3", "data-db-4"]);
    assert_nothing_is_left(&world);
    assert!(world.lock().cluster("db").members.range(..3).all(|(_, member)| member.has_claim));
    let run = played(&world, PRUNE, 0).await;
    assert!(run.stdout.starts_with("No volume of db is left over."), "{}", run.stdout);
    assert_eq!(deleted(&world).len(), 2);
}

#[tokio::test]
async fn what_is_ahead_foreign_or_unknown_stays_with_its_reason() {
    let world = scaled_in();
    {
        let mut world = world.lock();
        let cluster = world.cluster("db");
        cluster.as_galera().put_foreign(4, 90_000);
        cluster.volumes.reclaim = "Retain";
    }
    insta::assert_snapshot!("pruned_in_part", shown(&world, PRUNE).await);
    assert_eq!(deleted(&world), ["data-db-3"]);
    // Only that one is left: everything that was asked is refused.
    insta::assert_snapshot!("all_stay", shown(&world, PRUNE).await);
    let (exit, json) = document(&world, PRUNE).await;
    assert_eq!((exit, &json["kind"], &json["code"]), (5, &json!("Refusal"), &json!("MDB757")));
    let other = played(&world, &[PRUNE, &["--accept-data-loss=data-db-4:unknown:x"]].concat(), 5).await;
    assert!(other.stdout.contains("MDB757"), "{}", other.stdout);
    assert_eq!(deleted(&world), ["data-db-3"]);
    let words = format!("--accept-data-loss=data-db-4:{FOREIGN}:90000");
    let command = json["next"][0].as_str().unwrap();
    assert!(command.ends_with(&words), "{command}");
    insta::assert_snapshot!("accepted", shown(&world, &[PRUNE, &[&words]].concat()).await);
    assert_eq!(deleted(&world), ["data-db-3", "data-db-4"]);
    assert_nothing_is_left(&world);
}

/// What is on the volume of db-4, and the words for its loss.
async fn kept(grastate: &'static str) -> (String, String) {
    let world = scaled_in();
    world.lock().cluster("db").member(4).grastate = Some(grastate);
    let (exit, json) = document(&world, PRUNE).await;
    assert_eq!((exit, deleted(&world)), (0, vec!["data-db-3".to_owned()]), "{json:#}");
    let kept = &json["volumes"][1];
    assert_eq!(kept["result"], "kept", "{json:#}");
    (kept["because"].as_str().unwrap().to_owned(), kept["loss"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn unknown_is_kept_whatever_the_reason() {
    let ahead = "uuid: 2ec812f1-e4f6-11f1-ad8a-000000000001\nseqno: 5000\nsafe_to_bootstrap: 0\n";
    let (because, loss) = kept(ahead).await;
    assert!(because.contains("ahead of the members"), "{because}");
    assert_eq!(loss, "data-db-4:2ec812f1-e4f6-11f1-ad8a-000000000001:5000");
    let killed = "uuid: 2ec812f1-e4f6-11f1-ad8a-000000000001\nseqno: -1\nsafe_to_bootstrap: 0\n";
    let (because, loss) = kept(killed).await;
    assert!(because.contains("seqno -1") && loss.starts_with("data-db-4:unknown:uid-"), "{because} {loss}");
    let zeroed = "uuid: 00000000-0000-0000-0000-000000000000\nseqno: -1\nsafe_to_bootstrap: 0\n";
    assert!(kept(zeroed).await.0.contains("zero UUID"));
    assert!(kept("garbage").await.0.contains("unreadable"));
    // A seqno of a server that was killed while its provider was paused (experiment V8).
    let world = scaled_in();
    world.lock().cluster("db").as_galera().start(4);
    world.lock().cluster("db").as_galera().kill(&[4]);
    world.lock().cluster("db").member(4).grastate =
        Some("uuid: 2ec812f1-e4f6-11f1-ad8a-000000000001\nseqno: 3\nsafe_to_bootstrap: 0\n");
    let (_, json) = document(&world, PRUNE).await;
    assert_eq!(results(&json), [("data-db-3", "deleted"), ("data-db-4", "kept")], "{json:#}");
    assert!(json["volumes"][1]["because"].as_str().unwrap().contains("gvwstate.dat"), "{json:#}");
}

#[tokio::test]
async fn an_empty_volume_goes_also_where_positions_tell_nothing() {
    let mut cluster = Cluster::replication("shop", "db", 5);
    cluster.scale(3);
    cluster.member(3).killed = true;
    cluster.volumes.empty = [4].into();
    let world = World::with([cluster]);
    insta::assert_snapshot!("replication", shown(&world, PRUNE).await);
    assert_eq!(deleted(&world), ["data-db-4"]);
    let (exit, json) = document(&world, PRUNE).await;
    assert_eq!((exit, &json["code"]), (5, &json!("MDB757")));
    let words = json["next"][0].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    played(&world, &[PRUNE, &[&words]].concat(), 0).await;
    assert_eq!(deleted(&world), ["data-db-4", "data-db-3"]);
}

#[tokio::test]
async fn a_volume_that_somebody_mounts_is_neither_read_nor_deleted() {
    let world = scaled_in();
    world.lock().cluster("db").volumes.guests = vec![("dump".to_owned(), "data-db-4".to_owned())];
    let (exit, json) = document(&world, PRUNE).await;
    assert_eq!((exit, results(&json)), (0, vec![("data-db-3", "deleted"), ("data-db-4", "kept")]));
    assert!(json["volumes"][1]["because"] == "it is used by dump" && json["volumes"][1]["loss"].is_null(), "{json:#}");
    assert_eq!(world.lock().helpers.created.len(), 1);
}

async fn refused(world: &Shared, code: &str) -> Value {
    let (exit, json) = document(world, PRUNE).await;
    assert_eq!((exit, json["code"].as_str()), (5, Some(code)), "{json:#}");
    assert_eq!(deleted(world), Vec::<String>::new());
    assert!(world.lock().helpers.created.is_empty(), "nothing is read of what is not judged");
    json
}

#[tokio::test]
async fn nothing_goes_while_the_cluster_is_not_whole() {
    let world = scaled_in();
    world.lock().cluster("db").crash_loop(1);
    let json = refused(&world, "MDB756").await;
    assert!(json["evidence"].to_string().contains("db-1"), "{json:#}");
    let world = scaled_in();
    world.lock().cluster("db").as_galera().disconnect(2);
    refused(&world, "MDB756").await;
    let split = scaled_in();
    split.lock().cluster("db").as_galera().cut(&[&[0, 1], &[2]]);
    split.lock().cluster("db").as_galera().pc_bootstrap(2);
    refused(&split, "MDB756").await;
}

#[tokio::test]
async fn nothing_is_left_over_of_a_cluster_that_is_stopped() {
    let world = World::with([Cluster::galera("shop", "db", 3).controlled(false)]);
    played(&world, &["stop", "db", "-y"], 0).await;
    world.lock().helpers.created.clear();
    let json = refused(&world, "MDB755").await;
    assert!(json["evidence"].to_string().contains("record of the stop"), "{json:#}");
    let zero = scaled_in();
    zero.lock().cluster("db").scale(0);
    refused(&zero, "MDB755").await;
    let operated = World::with([Cluster::galera("shop", "db", 3).managed()]);
    operated.lock().cluster("db").scale(2);
    refused(&operated, "MDB755").await;
}

#[tokio::test]
async fn an_unfinished_operation_and_an_autoscaler_come_first() {
    let world = scaled_in();
    let server = world.serve().await;
    // Whoever stops the cluster dies after the first step.
    let first = Arc::new(Mutex::new(false));
    let (own, seen) = (world.clone(), Arc::clone(&first));
    let dying = Server::start(move |request| {
        let mut dead = seen.lock().unwrap();
        if *dead {
            return Answer::error(401, "Unauthorized");
        }
        *dead = request.method == "PATCH" && request.path.contains("/statefulsets/") && request.query("dryRun").is_none();
        own.answer(request)
    })
    .await;
    assert_ne!(run_quickly(&dying, &["stop", "db", "-y"]).await.exit, 0);
    assert!(*first.lock().unwrap());
    let run = run_quickly(&server, PRUNE).await;
    assert!(run.exit == 5 && run.stdout.contains("MDB701"), "{}", run.text(&server));
    assert_eq!(deleted(&world), Vec::<String>::new());
    let scaled = scaled_in();
    scaled.lock().horizontal =
        vec![json!({ "metadata": { "name": "load" }, "spec": { "scaleTargetRef": { "kind": "StatefulSet", "name": "db" } } })];
    refused(&scaled, "MDB704").await;
}

#[tokio::test]
async fn the_questions_are_two_and_each_may_be_answered_with_no() {
    let world = scaled_in();
    let server = world.serve().await;
    let nobody = run_quickly(&server, &["pvc", "prune", "db"]).await;
    assert!(nobody.exit == 5 && nobody.stdout.contains("give -y"), "{}", nobody.text(&server));
    assert!(world.lock().helpers.created.is_empty());
    insta::assert_snapshot!("declined", run_at_terminal(&server, &["pvc", "prune", "db"], "y\nn\n").await.text(&server));
    assert_eq!(deleted(&world), Vec::<String>::new());
    assert_nothing_is_left(&world);
}

#[tokio::test]
async fn a_dry_run_reads_and_deletes_nothing() {
    let world = scaled_in();
    insta::assert_snapshot!("dry_run", shown(&world, &["pvc", "prune", "db", "--dry-run"]).await);
    let (exit, json) = document(&world, &["pvc", "prune", "db", "--dry-run=server"]).await;
    assert_eq!((exit, results(&json)), (0, vec![("data-db-3", "wouldRead"), ("data-db-4", "wouldRead")]));
    assert_eq!(json["volumes"][0]["server"], "accepted");
    assert!(world.lock().helpers.created.is_empty() && deleted(&world).is_empty());
    assert!(world.lock().cluster("db").members[&3].has_claim);
}

#[tokio::test]
async fn a_change_in_the_middle_ends_it_and_the_rest_is_kept() {
    type Change = fn(&mut World);
    let changes: [(Change, &str); 3] = [
        (|world| world.cluster("db").scale_from_outside(4), "metadata.generation"),
        (|world| world.cluster("db").crash_loop(1), "db-1"),
        (|world| world.cluster("db").volumes.guests = vec![("dump".to_owned(), "data-db-4".to_owned())], "used by dump"),
    ];
    for (change, says) in changes {
        let world = scaled_in();
        let own = world.clone();
        // As soon as the first one is gone.
        let server = Server::start(move |request| {
            let answer = own.answer(request);
            if request.method == "DELETE" && request.path.ends_with("/data-db-3") {
                change(&mut own.lock());
            }
            answer
        })
        .await;
        let run = run_quickly(&server, &[PRUNE, &["-o", "json"]].concat()).await;
        let json: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!((run.exit, results(&json)), (5, vec![("data-db-3", "deleted"), ("data-db-4", "notReached")]), "{json:#}");
        assert!(json["volumes"][1]["because"].as_str().unwrap().contains(says), "{json:#}");
        assert_eq!(deleted(&world), ["data-db-3"]);
        assert_nothing_is_left(&world);
    }
}

#[tokio::test]
async fn an_operation_that_was_begun_meanwhile_ends_it() {
    let world = scaled_in();
    let (own, other) = (world.clone(), world.serve().await);
    let begun = Arc::new(Mutex::new(false));
    // While the volumes are read somebody else begins, and is through, or dies: both leave another journal.
    let server = Server::start(move |request| {
        let mut begun = begun.lock().unwrap();
        if !*begun && request.method == "DELETE" && request.path.contains("/jobs/") {
            *begun = true;
            let map = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "kubectl-mariadb.db", "labels": {} },
                "data": { "setUid": "uid-shop-db", "history": history() },
            });
            own.lock().config_maps.create("shop", map);
        }
        own.answer(request)
    })
    .await;
    let run = run_quickly(&server, PRUNE).await;
    assert!(run.exit == 5 && run.stdout.contains("MDB762"), "{}", run.text(&server));
    assert_eq!(deleted(&world), Vec::<String>::new());
    // Run again it looks anew.
    assert_eq!(run_quickly(&other, PRUNE).await.exit, 0);
    assert_eq!(deleted(&world).len(), 2);
}

fn history() -> String {
    let at = "2026-01-02T03:00:00Z";
    json!([{ "goal": "rebuild", "by": "other@there", "started": at, "ended": at, "outcome": "done", "steps": 2 }]).to_string()
}

#[tokio::test]
async fn rights_that_are_missing_end_it_before_anything_goes() {
    for right in ["list persistentvolumeclaims", "create jobs", "create pods", "get configmaps", "delete persistentvolumeclaims"]
    {
        let world = scaled_in();
        world.lock().denied = [right].into();
        let run = played(&world, PRUNE, 8).await;
        assert!(run.stderr.contains(right), "{right}: {}", run.stderr);
        assert_eq!(deleted(&world), Vec::<String>::new());
    }
    // Whether the data goes with the claim is not known then.
    let world = scaled_in();
    world.lock().denied = ["get persistentvolumes"].into();
    let run = played(&world, PRUNE, 0).await;
    assert!(run.stdout.contains("count on it"), "{}", run.stdout);
}

#[tokio::test]
async fn kubernetes_own_deletion_is_told() {
    let world = scaled_in();
    world.lock().cluster("db").controller.deletes_claims = true;
    let run = played(&world, PRUNE, 0).await;
    assert!(run.stdout.contains("whenScaled:"), "{}", run.stdout);
}

/// What the log of a replica ended with, when it was stopped, says what its volume holds.
#[tokio::test]
async fn what_every_server_has_logged_goes_and_what_a_former_primary_wrote_alone_stays() {
    let mut cluster = Cluster::replication("shop", "db", 6).controlled(false);
    cluster.as_replication().write(0, 5);
    cluster.scale(3);
    cluster.as_replication().write(0, 4);
    // Nobody had got these from it.
    cluster.as_replication().write(4, 2);
    cluster.member(5).killed = true;
    let world = World::with([cluster]);
    insta::assert_snapshot!("replicas_pruned", shown(&world, PRUNE).await);
    assert_eq!(deleted(&world), ["data-db-3"]);
    let (_, json) = document(&world, PRUNE).await;
    let accept = |at: usize| format!("--accept-data-loss={}", json["next"][at].as_str().unwrap().rsplit_once('=').unwrap().1);
    assert!(accept(0).starts_with("--accept-data-loss=data-db-4:0-104-"), "{json:#}");
    assert!(accept(1).starts_with("--accept-data-loss=data-db-5:unknown:"), "{json:#}");
    for at in [0, 1] {
        played(&world, &[PRUNE, &[&accept(at)]].concat(), 0).await;
    }
    assert_eq!(deleted(&world), ["data-db-3", "data-db-4", "data-db-5"]);
    assert_nothing_is_left(&world);
}
