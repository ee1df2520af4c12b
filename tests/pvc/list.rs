//! `pvc list`.

use super::*;

const LIST: &[&str] = &["pvc", "list"];

#[tokio::test]
async fn every_claim_is_told_with_what_is_known_of_it() {
    let world = scaled_in();
    world.lock().cluster("db").volumes.others = vec![
        claim("data-old-0", &json!({})),
        claim("storage-gone-1", &json!({ "pvc.k8s.mariadb.com/role": "storage" })),
        claim("data-pg-0", &json!({ "app.kubernetes.io/name": "postgresql" })),
        claim("uploads", &json!({})),
    ];
    insta::assert_snapshot!("list", shown(&world, LIST).await);
    insta::assert_snapshot!("list_wide", shown(&world, &["pvc", "list", "db", "-o", "wide"]).await);
    assert!(world.lock().helpers.created.is_empty());
    let names = played(&world, &["pvc", "list", "db", "-o", "name"], 0).await.stdout;
    assert_eq!(names.lines().last(), Some("persistentvolumeclaim/data-db-4"), "{names}");
}

#[tokio::test]
async fn volumes_that_nobody_uses_are_read_after_a_question() {
    let world = scaled_in();
    world.lock().cluster("db").as_galera().put_foreign(4, 90_000);
    insta::assert_snapshot!("list_inspected", shown(&world, &["pvc", "list", "db", "--inspect", "-y"]).await);
    let kinds = world.lock().helpers.created.iter().filter(|job| job["metadata"]["name"] == "db-4-inspect").count();
    assert_eq!((kinds, world.lock().helpers.created.len()), (1, 2));
    assert_nothing_is_left(&world);
    let (exit, json) = document(&world, &["pvc", "list", "db", "--inspect", "-y"]).await;
    assert_eq!((exit, &json["items"][3]["verdict"], &json["items"][4]["verdict"]), (0, &json!("mayGo"), &json!("keep")));
    assert_eq!(json["items"][4]["position"], json!(format!("{FOREIGN}:90000")));
    // Nobody to ask; a no; a dry run.
    let before = world.lock().helpers.created.len();
    let (exit, json) = document(&world, &["pvc", "list", "db", "--inspect"]).await;
    assert_eq!((exit, json["unread"].as_array().unwrap().len()), (5, 1), "{json:#}");
    let server = world.serve().await;
    assert_eq!(run_at_terminal(&server, &["pvc", "list", "db", "--inspect"], "n\n").await.exit, 7);
    assert_eq!(document(&world, &["pvc", "list", "db", "--inspect", "--dry-run=server"]).await.0, 0);
    assert_eq!(world.lock().helpers.created.len(), before);
}

#[tokio::test]
async fn what_a_left_over_volume_is_worth_depends_on_the_members() {
    let world = scaled_in();
    world.lock().cluster("db").crash_loop(1);
    let (_, json) = document(&world, &["pvc", "list", "db", "--inspect", "-y"]).await;
    let (verdict, because) = (&json["items"][3]["verdict"], json["items"][3]["because"].as_str().unwrap());
    assert!(verdict == "keep" && because.contains("the cluster is not well"), "{because}");
    // Its pod waits for the next start, and it is wanted.
    assert_eq!(json["items"][1]["verdict"], "inUse");
    world.lock().cluster("db").member(1).pod = Pod::Absent;
    let (_, json) = document(&world, &["pvc", "list", "db"]).await;
    assert_eq!(json["items"][1]["verdict"], "wanted");
}

#[tokio::test]
async fn a_cluster_that_is_gone_is_found_by_its_volumes() {
    let world = scaled_in();
    world.lock().cluster("db").volumes.others = vec![claim("data-old-0", &json!({})), claim("data-old-1", &json!({}))];
    world.lock().cluster("db").volumes.guests = vec![("copy".to_owned(), "data-old-1".to_owned())];
    let (exit, json) = document(&world, &["pvc", "list", "old"]).await;
    assert_eq!((exit, json["items"].as_array().unwrap().len()), (0, 2), "{json:#}");
    assert_eq!((&json["items"][0]["belongsBy"], &json["items"][1]["mountedBy"]), (&json!("name"), &json!(["copy"])));
    let nothing = played(&world, &["pvc", "list", "nothing"], 1).await;
    assert!(nothing.stderr.contains("there is no StatefulSet nothing"), "{}", nothing.stderr);
}

/// Two clusters of one name, and what clusters that are gone have left: each is judged by those of its own namespace.
#[tokio::test]
async fn the_claims_of_all_namespaces_are_told_in_as_many_requests_as_those_of_one() {
    let mut here = Cluster::galera("shop", "db", 4).controlled(false);
    here.scale(3);
    here.volumes.others = vec![claim("data-old-0", &json!({}))];
    let world = World::with([here, Cluster::replication("billing", "users", 2), Cluster::galera("audit", "db", 3)]);
    let text = shown(&world, &["pvc", "list", "-A"]).await;
    insta::assert_snapshot!("list_everywhere", text);
    let server = world.serve().await;
    let run = run_quickly(&server, &["pvc", "list", "--all-namespaces", "-o", "json"]).await;
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    let places: Vec<(&str, &str)> = json["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["namespace"].as_str().unwrap(), item["name"].as_str().unwrap()))
        .collect();
    assert_eq!(places.len(), 10, "{places:?}");
    assert_eq!((places[0], places[3], places[9]), (("audit", "data-db-0"), ("billing", "data-users-0"), ("shop", "data-old-0")));
    assert!(json["namespace"].is_null() && run.exit == 0, "{json:#}");
    assert_eq!(json["items"][8]["verdict"], "keep", "db of shop wants three");
    let lists = |path: &str| server.log().text().lines().filter(|line| line.contains(path)).count();
    assert_eq!((lists("/persistentvolumeclaims"), lists("/persistentvolumes")), (2, 1), "{}", server.log().text());
    assert!(world.lock().helpers.created.is_empty());
    for args in [&["pvc", "list", "db", "-A"][..], &["pvc", "list", "-A", "--inspect"], &["pvc", "prune", "-A"]] {
        assert_eq!(run_quickly(&server, args).await.exit, 2, "{args:?}");
    }
    let nothing = World::with([]);
    let text = shown(&nothing, &["pvc", "list", "-A"]).await;
    assert!(text.contains("No volume claim of MariaDB is in any namespace."), "{text}");
}

#[tokio::test]
async fn rights_that_are_missing_are_named() {
    let world = scaled_in();
    world.lock().denied = ["get persistentvolumes"].into();
    insta::assert_snapshot!("list_without_volumes", shown(&world, &["pvc", "list", "db"]).await);
    world.lock().denied = ["list persistentvolumeclaims"].into();
    let run = played(&world, &["pvc", "list", "db"], 8).await;
    assert!(run.stderr.contains("list persistentvolumeclaims"), "{}", run.stderr);
    world.lock().denied = ["get pods/exec"].into();
    assert_eq!(document(&world, &["pvc", "list", "db"]).await.0, 8);
}
