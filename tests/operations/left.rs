//! Volumes that earlier replicas have left: they go on there, or get a fresh copy, or are left alone.

use futures::stream::{self, StreamExt as _};

use super::cuts::{AT_ONCE, every};
use super::*;

const IN: &[&str] = &["scale", "db", "--replicas", "3", "-y"];
const REUSE: &[&str] = &["scale", "db", "--replicas", "5", "-y", "--reuse-pvcs"];
const PRUNE: &[&str] = &["scale", "db", "--replicas", "5", "-y", "--prune-pvcs"];

/// Three of five servers run, and something was written since the others left.
async fn scaled_in() -> Shared {
    let mut cluster = Cluster::replication("shop", "db", 5).controlled(true);
    for ordinal in 0..5 {
        cluster.volumes.sizes.insert(ordinal, (2, 2));
    }
    cluster.controller.prunes = true;
    let world = World::with([cluster]);
    let server = serve(&world, &Fates::default()).await;
    played(&server, IN, 0).await;
    world.lock().cluster("db").as_replication().write(0, 6);
    world
}

/// How many servers run and follow, and how often the claims of db-3 and db-4 were made anew.
fn stands(world: &Shared) -> (u32, u32) {
    let mut world = world.lock();
    let cluster = world.cluster("db");
    let remade = (3..5).map(|ordinal| cluster.members[&ordinal].claims_remade).sum();
    let engine = cluster.as_replication();
    let has = engine.variables(0)["gtid_binlog_pos"].clone();
    let in_step = |ordinal: &u32| engine.runs(*ordinal) && engine.variables(*ordinal)["gtid_slave_pos"] == has;
    let follow = (1..5).filter(in_step).count();
    (1 + u32::try_from(follow).unwrap(), remade)
}

#[tokio::test]
async fn replicas_go_on_where_they_left_or_get_a_fresh_copy() {
    let world = scaled_in().await;
    let server = serve(&world, &Fates::default()).await;
    insta::assert_snapshot!("left_in_the_way", played(&server, &REUSE[..5], 5).await.text(&server));
    let run = played(&server, REUSE, 0).await;
    insta::assert_snapshot!("left_reused", without_waits(&run.text(&server)));
    assert_eq!(stands(&world), (5, 0), "{}", run.stderr);
    let world = scaled_in().await;
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, PRUNE, 0).await;
    insta::assert_snapshot!("left_pruned", without_waits(&run.text(&server)));
    assert_eq!(stands(&world), (5, 2), "{}", run.stderr);
    assert!(!unfinished(&world) && world.lock().helpers.alive().is_empty());
}

#[tokio::test]
async fn what_nobody_else_has_and_what_is_not_known_stays() {
    let killed: fn(&mut Cluster) = |cluster| cluster.member(4).killed = true;
    let own: fn(&mut Cluster) = |cluster| cluster.as_replication().write(4, 2);
    let primary: fn(&mut Cluster) = |cluster| cluster.as_replication().server(4).channel = None;
    for (spoil, way, says) in [
        (killed, REUSE, "what it holds is not known"),
        (killed, PRUNE, "what it holds is not known"),
        (own, REUSE, "its log has transactions that the primary has not logged or a replica has not reached: 0-104-"),
        (own, PRUNE, "its log has transactions that the primary has not logged or a replica has not reached: 0-104-"),
        (primary, REUSE, "it may have been a primary"),
    ] {
        let world = scaled_in().await;
        spoil(world.lock().cluster("db"));
        let server = serve(&world, &Fates::default()).await;
        let refused = played(&server, way, 5).await;
        let told = refused.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("MDB751") && told.contains(says) && told.contains("volume of db-4"), "{told}");
        assert_eq!((stands(&world), unfinished(&world)), ((3, 0), false), "{told}");
    }
}

#[tokio::test]
async fn what_is_accepted_by_name_is_deleted_and_no_other_loss() {
    let killed: fn(&mut Cluster) = |cluster| cluster.member(4).killed = true;
    let own: fn(&mut Cluster) = |cluster| cluster.as_replication().write(4, 2);
    for spoil in [killed, own] {
        let world = scaled_in().await;
        spoil(world.lock().cluster("db"));
        let server = serve(&world, &Fates::default()).await;
        let refused = played(&server, PRUNE, 5).await;
        let words = refused.stdout.split_whitespace().find(|word| word.starts_with("--accept-data-loss=db-4:"));
        let words = words.unwrap_or_else(|| panic!("{}", refused.stdout));
        let other = played(&server, &[PRUNE, &[&format!("{words}0")]].concat(), 5).await;
        assert!(other.stdout.contains("MDB751") && stands(&world) == (3, 0), "{}", other.stdout);
        let run = played(&server, &[PRUNE, &[words]].concat(), 0).await;
        let named = run.stderr.contains(words.trim_start_matches("--accept-data-loss="));
        assert!(named && stands(&world) == (5, 2) && !unfinished(&world), "{words}: {}", run.stderr);
    }
}

/// Who is left alone follows nobody; what its replicas left says how they did.
#[tokio::test]
async fn from_one_server_on_the_old_replicas_come_back() {
    let world = scaled_in().await;
    let server = serve(&world, &Fates::default()).await;
    played(&server, &["scale", "db", "--replicas", "1", "-y"], 0).await;
    world.lock().cluster("db").as_replication().write(0, 3);
    let refused = played(&server, &["scale", "db", "--replicas", "3", "-y"], 5).await;
    assert!(refused.stdout.contains("--replicas 3 --reuse-pvcs"), "{}", refused.stdout);
    let run = played(&server, &["scale", "db", "--replicas", "3", "-y", "--reuse-pvcs"], 0).await;
    assert_eq!(stands(&world), (3, 0), "{}", run.stderr);
    assert!(!unfinished(&world));
}

/// Dies after each change in turn: it can be finished, or taken back as long as nothing was deleted.
#[tokio::test]
async fn whoever_comes_after_a_death_finishes_it_or_takes_it_back() {
    for args in [REUSE, PRUNE] {
        let all = {
            let fates = Fates::new(Of::Changes, None);
            played(&serve(&scaled_in().await, &fates).await, args, 0).await;
            fates.count()
        };
        let cut = async |(number, way): (usize, &'static [&'static str])| {
            let world = scaled_in().await;
            let died = run_quickly(&serve(&world, &Fates::new(Of::Changes, Some((number, Fate::Dies)))).await, args).await;
            let server = serve(&world, &Fates::default()).await;
            let told = |run: &Run| {
                format!("{args:?} dies at change {number}, then {way:?}\n{}\n{}{}", died.stderr, run.stdout, run.stderr)
            };
            if !unfinished(&world) {
                assert!(stands(&world).0 == 3 || stands(&world).0 == 5, "{}", died.stderr);
                return;
            }
            let run = run_quickly(&server, way).await;
            if run.exit == 5 && way == ABORT && args == PRUNE {
                assert!(run.stdout.contains("MDB718"), "{}", told(&run));
                let run = run_quickly(&server, RESUME).await;
                assert_eq!((run.exit, stands(&world)), (0, (5, 2)), "{}", told(&run));
                return;
            }
            let expected = if way == ABORT { 3 } else { 5 };
            assert_eq!((run.exit, stands(&world).0, unfinished(&world)), (0, expected, false), "{}", told(&run));
        };
        let ways = (1..=all).step_by(every(2)).flat_map(|number| [(number, RESUME), (number, ABORT)]);
        stream::iter(ways).map(cut).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }
}
