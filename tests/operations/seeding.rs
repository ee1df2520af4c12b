//! New replicas: each starts from a copy of another one, or not at all.

use futures::stream::{self, StreamExt as _};

use super::cuts::{AT_ONCE, every};
use super::*;
use crate::support::world::Pod;
use crate::support::world::seeding::{SECRET, Seeding};

const TO_4: &[&str] = &["scale", "db", "--replicas", "4", "-y"];
const TO_5: &[&str] = &["scale", "db", "--replicas", "5", "-y"];

/// Three servers, the volumes of which were made larger than the template says.
fn three() -> Cluster {
    let mut cluster = Cluster::replication("shop", "db", 3).controlled(true);
    for ordinal in 0..3 {
        cluster.volumes.sizes.insert(ordinal, (2, 2));
    }
    // Volumes that were made for nothing go again.
    cluster.controller.prunes = true;
    cluster
}

fn going_wrong(seeding: Seeding) -> Shared {
    let mut cluster = three();
    cluster.seeding = seeding;
    World::with([cluster])
}

/// How many servers run, and which ordinals have a volume.
fn stands(world: &Shared) -> (usize, Vec<u32>) {
    let mut world = world.lock();
    let cluster = world.cluster("db");
    let runs = cluster.members.values().filter(|member| member.pod == (Pod::Running { ready: true })).count();
    (runs, cluster.members.iter().filter(|(_, member)| member.has_claim).map(|(ordinal, _)| *ordinal).collect())
}

/// Every server has what the primary has, and takes no writes.
fn follow(world: &Shared, replicas: u32) {
    let mut world = world.lock();
    let engine = world.cluster("db").as_replication();
    let has = engine.variables(0)["gtid_binlog_pos"].clone();
    for ordinal in 1..replicas {
        let own = engine.variables(ordinal);
        assert_eq!((own["gtid_slave_pos"].as_str(), own["read_only"].as_str()), (has.as_str(), "ON"), "db-{ordinal}");
    }
}

#[tokio::test]
async fn each_new_replica_starts_from_a_copy() {
    let world = World::with([three()]);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, TO_5, 0).await;
    assert_eq!(stands(&world), (5, vec![0, 1, 2, 3, 4]));
    follow(&world, 5);
    assert!(world.lock().helpers.alive().is_empty() && !unfinished(&world));
    assert!(!run.stdout.contains(SECRET) && !run.stderr.contains(SECRET), "the password was printed");
    let kept = world.lock().config_maps.kept("kubectl-mariadb.db", "history").to_string();
    assert!(!kept.contains(SECRET), "the password is in the journal");
    insta::assert_snapshot!("seeded", without_waits(&run.text(&server)));
    let dry = World::with([three()]);
    let server = serve(&dry, &Fates::default()).await;
    insta::assert_snapshot!(
        "seeded_dry_run",
        played(&server, &["scale", "db", "--replicas", "4", "--dry-run=server"], 0).await.text(&server)
    );
    assert_eq!(stands(&dry), (3, vec![0, 1, 2]));
}

#[tokio::test]
async fn nothing_starts_where_no_copy_can_be_given() {
    let world = going_wrong(Seeding { no_backup: true, ..Seeding::default() });
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, TO_4, 1).await;
    assert!(run.stderr.contains("no mariadb-backup"), "{}{}", run.stdout, run.stderr);
    assert_eq!(stands(&world), (3, vec![0, 1, 2, 3]));
    played(&server, ABORT, 0).await;
    assert_eq!((stands(&world), unfinished(&world)), ((3, vec![0, 1, 2]), false), "the volume that nobody used is left");

    let mut late = three();
    for ordinal in [1, 2] {
        late.as_replication().stop_thread(ordinal);
    }
    let world = World::with([late]);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, TO_4, 5).await;
    assert!(run.stdout.contains("MDB750") && run.stdout.contains("replication from db-0 does not run"), "{}", run.stdout);
}

#[tokio::test]
async fn a_new_replica_that_cannot_follow_is_told_and_taken_back() {
    let wrong = [
        (Seeding { twins: true, ..Seeding::default() }, "db-3 has the server_id of db-2"),
        (Seeding { error: Some((1062, "Duplicate entry")), ..Seeding::default() }, "1062 Duplicate entry"),
    ];
    for (seeding, says) in wrong {
        let world = going_wrong(seeding);
        let server = serve(&world, &Fates::default()).await;
        let run = played(&server, TO_5, 5).await;
        let told = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("MDB749") && told.contains(says), "{}", run.stdout);
        assert_eq!(stands(&world).0, 4, "the next one was not begun");
        played(&server, ABORT, 0).await;
        assert_eq!(stands(&world), (3, vec![0, 1, 2, 3]), "{says}");
    }
    let world = going_wrong(Seeding { open: true, ..Seeding::default() });
    let server = serve(&world, &Fates::default()).await;
    played(&server, TO_4, 0).await;
    follow(&world, 4);
}

/// Whatever is lost or dies: nothing starts from nothing (the world would not have it), and it can be finished or taken back.
async fn cut(number: usize, fate: Fate, way: &'static [&'static str]) -> bool {
    let cut = format!("change {number} {fate:?}, then {way:?}");
    let world = World::with([three()]);
    let server = serve(&world, &Fates::new(Of::Changes, Some((number, fate)))).await;
    let first = run_quickly(&server, TO_4).await;
    drop(server);
    let server = serve(&world, &Fates::default()).await;
    if !unfinished(&world) {
        let stands = stands(&world).0;
        assert!(stands == 3 || stands == 4, "{cut}: {stands}\n{}", first.stderr);
        return stands == 3;
    }
    let run = run_quickly(&server, way).await;
    assert_eq!(run.exit, 0, "{cut}\n{}{}{}", first.stderr, run.stdout, run.stderr);
    let back = way == ABORT;
    assert_eq!(stands(&world).0, if back { 3 } else { 4 }, "{cut}");
    assert!(!unfinished(&world), "{cut}: something is left");
    if !back {
        follow(&world, 4);
    }
    back
}

#[tokio::test]
async fn whatever_dies_is_finished_or_taken_back() {
    let fates = Fates::new(Of::Changes, None);
    let server = serve(&World::with([three()]), &fates).await;
    played(&server, TO_4, 0).await;
    let changes = fates.count();
    assert!(changes > 8, "{changes}");
    let plays =
        [(Fate::Dies, RESUME, 1), (Fate::Dies, ABORT, 1), (Fate::Lost, RESUME, every(3)), (Fate::Never, RESUME, every(3))];
    for (fate, way, step) in plays {
        let cuts = (1..=changes).step_by(step).map(|number| cut(number, fate, way));
        let ended: Vec<bool> = stream::iter(cuts).buffer_unordered(AT_ONCE).collect().await;
        assert!(ended.len() > 2, "{fate:?}");
    }
}
