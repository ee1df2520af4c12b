//! `pvc expand`: one after the other, each until its file system shows it.

use super::*;

const EXPAND: &[&str] = &["pvc", "expand", "db", "--size", "3Gi", "-y"];

fn cluster() -> Shared {
    let mut cluster = Cluster::galera("shop", "db", 4).controlled(false);
    cluster.scale(3);
    World::with([cluster])
}

fn sizes(world: &Shared) -> Vec<(u64, u64)> {
    let mut world = world.lock();
    let cluster = world.cluster("db");
    (0..4).map(|ordinal| cluster.volumes.size(ordinal)).collect()
}

#[tokio::test]
async fn every_wanted_volume_grows_and_the_template_is_told() {
    let world = cluster();
    insta::assert_snapshot!("expanded", shown(&world, EXPAND).await);
    assert_eq!(sizes(&world), [(3, 3), (3, 3), (3, 3), (1, 1)], "the left-over one is nobody's business");
    assert_nothing_is_left(&world);
    let (exit, json) = document(&world, EXPAND).await;
    assert_eq!((exit, &json["outcome"]), (0, &json!("nothingToDo")));
}

#[tokio::test]
async fn one_after_the_other_and_never_two_at_once() {
    let world = cluster();
    let own = world.clone();
    let server = Server::start(move |request| {
        let answer = own.answer(request);
        let mut world = own.lock();
        let cluster = world.cluster("db");
        let under_way = (0..4).filter(|ordinal| {
            let (asked, has) = cluster.volumes.size(*ordinal);
            asked > has || cluster.volumes.growing.contains(ordinal)
        });
        assert!(under_way.count() <= 1, "two grow at once");
        answer
    })
    .await;
    assert_eq!(run_quickly(&server, EXPAND).await.exit, 0);
}

async fn refused(world: &Shared, args: &[&str], code: &str) -> Value {
    let before = sizes(world);
    let (exit, json) = document(world, args).await;
    assert_eq!((exit, json["code"].as_str()), (5, Some(code)), "{json:#}");
    assert_eq!(sizes(world), before);
    json
}

#[tokio::test]
async fn what_cannot_grow_is_refused_before_anything_changes() {
    let fixed = cluster();
    fixed.lock().cluster("db").volumes.expands = false;
    insta::assert_snapshot!("class", shown(&fixed, EXPAND).await);
    refused(&fixed, EXPAND, "MDB758").await;
    let large = cluster();
    large.lock().cluster("db").volumes.sizes = [(1, (5, 5))].into();
    insta::assert_snapshot!("smaller", shown(&large, EXPAND).await);
    let going = cluster();
    going.lock().cluster("db").member(2).claim_deleted = true;
    refused(&going, EXPAND, "MDB761").await;
    let operated = World::with([Cluster::galera("shop", "db", 3).managed()]);
    insta::assert_snapshot!("operator", shown(&operated, EXPAND).await);
    assert_eq!(operated.lock().cluster("db").volumes.size(0), (1, 1));
}

#[tokio::test]
async fn a_size_that_is_none_is_a_mistake_of_the_command_line() {
    let world = cluster();
    let run = played(&world, &["pvc", "expand", "db", "--size", "3GB", "-y"], 2).await;
    assert!(run.stderr.contains("`3GB` is no size"), "{}", run.stderr);
    played(&world, &["pvc", "expand", "db", "-y"], 2).await;
}

#[tokio::test]
async fn a_class_that_may_not_be_read_is_not_taken_for_one_that_expands() {
    let world = cluster();
    world.lock().denied = ["get storageclasses"].into();
    let run = played(&world, EXPAND, 8).await;
    assert!(run.stderr.contains("get storageclasses") && run.stderr.contains("nothing was changed"), "{}", run.stderr);
    assert_eq!(sizes(&world), [(1, 1); 4]);
}

#[tokio::test]
async fn a_broken_one_stops_the_rest() {
    let world = cluster();
    world.lock().cluster("db").volumes.infeasible = Some(1);
    let (exit, json) = document(&world, EXPAND).await;
    let expected = [("data-db-0", "expanded"), ("data-db-1", "failed"), ("data-db-2", "notReached")];
    assert_eq!((exit, results(&json), &json["code"]), (1, expected.to_vec(), &json!("MDB763")), "{json:#}");
    assert_eq!(sizes(&world), [(3, 3), (3, 1), (1, 1), (1, 1)]);
    // Once more: it is found before anything changes.
    refused(&world, EXPAND, "MDB761").await;
    world.lock().cluster("db").volumes.infeasible = None;
    let (exit, json) = document(&world, EXPAND).await;
    assert_eq!((exit, results(&json)), (0, vec![("data-db-1", "expanded"), ("data-db-2", "expanded")]), "{json:#}");
}

#[tokio::test]
async fn what_does_not_come_is_told_with_its_state() {
    let world = cluster();
    world.lock().cluster("db").volumes.stuck = Some(0);
    let run = played(&world, &[EXPAND, &["--timeout", "1s"]].concat(), 6).await;
    assert!(run.stdout.contains("the capacity of data-db-0 is 1Gi") && run.stdout.contains("MDB763"), "{}", run.stdout);
    assert!(run.stdout.contains("describe pvc data-db-0"), "{}", run.stdout);
    assert_eq!(sizes(&world), [(3, 1), (1, 1), (1, 1), (1, 1)]);
}

#[tokio::test]
async fn a_member_that_does_not_run_grows_at_its_next_start() {
    let world = cluster();
    world.lock().cluster("db").controller.idle = true;
    world.lock().cluster("db").member(2).pod = Pod::Absent;
    world.lock().cluster("db").as_galera().stop(2);
    let (exit, json) = document(&world, EXPAND).await;
    assert_eq!(exit, 0, "{json:#}");
    assert_eq!(results(&json)[2], ("data-db-2", "pending"), "{json:#}");
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_asks_the_api_server() {
    let world = cluster();
    insta::assert_snapshot!("dry_run_expand", shown(&world, &["pvc", "expand", "db", "--size", "3Gi", "--dry-run=server"]).await);
    assert_eq!(sizes(&world), [(1, 1); 4]);
    let server = world.serve().await;
    let no = run_at_terminal(&server, &["pvc", "expand", "db", "--size", "3Gi"], "n\n").await;
    assert_eq!((no.exit, sizes(&world)), (7, vec![(1, 1); 4]), "{}", no.text(&server));
    assert_eq!(run_quickly(&server, &["pvc", "expand", "db", "--size", "3Gi"]).await.exit, 5);
}
