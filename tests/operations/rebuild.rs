//! `rebuild`, whole: one member gets a full copy while the others go on.

use std::future::ready;

use futures::stream::{self, StreamExt as _};

use super::cuts::AT_ONCE;
use super::*;
use crate::support::world::Pod;

const REBUILD: &[&str] = &["rebuild", "db-2", "-y"];

fn copies(world: &Shared) -> u32 {
    world.lock().cluster("db").as_galera().copies(2)
}

/// The pods of the others, which nobody touches, and how often that of db-2 was made anew.
fn remade(world: &Shared) -> [u32; 3] {
    let mut world = world.lock();
    [0, 1, 2].map(|ordinal| world.cluster("db").member(ordinal).remade)
}

fn whole(world: &Shared, told: &str) {
    assert_eq!(standing(world), runs(false), "{told}");
    assert!(!unfinished(world) && world.lock().helpers.alive().is_empty(), "something is left: {told}");
    assert!(copies(world) > 0, "db-2 has its old data: {told}");
    assert_eq!(remade(world)[..2], [0, 0], "{told}");
}

/// A server that left its group and runs on.
fn zombie() -> Cluster {
    let mut cluster = cluster(false);
    cluster.as_galera().disconnect(2);
    cluster
}

/// Dies at each start, in the middle of a copy.
fn crashing() -> Cluster {
    let mut cluster = cluster(false);
    cluster.crash_loop(2);
    cluster.member(2).markers = vec!["sst_in_progress".to_owned()];
    cluster
}

#[tokio::test]
async fn a_member_gets_a_fresh_copy_while_the_others_go_on() {
    for (what, cluster, ordered) in [
        ("live", cluster(false), false),
        ("ordered", cluster(true), true),
        ("zombie", zombie(), false),
        ("crashing", crashing(), false),
    ] {
        let world = World::with([cluster]);
        let server = serve(&world, &Fates::default()).await;
        let run = played(&server, REBUILD, 0).await;
        whole(&world, &format!("{what}, ordered {ordered}\n{}{}", run.stdout, run.stderr));
        assert_eq!(remade(&world), [0, 0, 1], "{what}");
        if !ordered {
            insta::assert_snapshot!(format!("rebuilt_{what}"), without_waits(&run.text(&server)));
        }
    }
}

#[tokio::test]
async fn what_only_the_member_holds_has_to_be_accepted_in_its_own_words() {
    let mut split = cluster(false);
    split.as_galera().cut(&[&[0, 1], &[2]]);
    split.as_galera().pc_bootstrap(2);
    split.as_galera().heal();
    let world = World::with([split]);
    let server = world.serve().await;
    let refused = played(&server, REBUILD, 5).await;
    insta::assert_snapshot!("rebuild_split", refused.text(&server));
    let words = refused.stdout.split_whitespace().find_map(|word| word.strip_prefix("--accept-data-loss=")).unwrap();
    let accepts = format!("--accept-data-loss={words}");
    let run = played(&server, &["rebuild", "db-2", "-y", &accepts], 0).await;
    whole(&world, &run.stderr);
}

#[tokio::test]
async fn the_last_good_copy_is_left_alone() {
    let mut alone = cluster(false);
    alone.as_galera().disconnect(1);
    alone.as_galera().disconnect(0);
    let world = World::with([alone]);
    let server = serve(&world, &Fates::default()).await;
    insta::assert_snapshot!("rebuild_last", played(&server, REBUILD, 5).await.text(&server));
    let world = World::with([zombie()]);
    let server = serve(&world, &Fates::default()).await;
    insta::assert_snapshot!("rebuild_not_spared", played(&server, &["rebuild", "db-0", "-y"], 5).await.text(&server));
    assert_eq!((copies(&world), remade(&world)), (0, [0, 0, 0]));
}

/// The node with the volume of db-2 is gone; its pod waits for a place.
fn without_node() -> Shared {
    let mut cluster = cluster(false);
    cluster.as_galera().kill(&[2]);
    cluster.member(2).pod = Pod::Pending("0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.");
    cluster.member(2).claim_node = Some("n3");
    let world = World::with([cluster]);
    world.lock().nodes.remove("n3");
    world
}

#[tokio::test]
async fn a_volume_that_is_lost_with_its_node_is_replaced() {
    let world = without_node();
    let server = world.serve().await;
    insta::assert_snapshot!("rebuild_needs_new_volume", played(&server, REBUILD, 5).await.text(&server));
    let run = played(&server, &["rebuild", "db-2", "--new-volume", "-y"], 0).await;
    whole(&world, &run.stderr);
    insta::assert_snapshot!("rebuilt_new_volume", without_waits(&run.text(&server)));
    assert_eq!(world.lock().cluster("db").member(2).claims_remade, 1);
    let again = played(&server, &["rebuild", "db-2", "--new-volume", "-y"], 5).await;
    assert!(again.stdout.contains("MDB729"), "{}", again.stdout);
}

/// A claim remembers the node its pod was first placed on; a network volume does not lie there.
#[tokio::test]
async fn a_network_volume_is_not_lost_with_a_node() {
    let world = without_node();
    world.lock().cluster("db").controller.network_volumes = true;
    let server = world.serve().await;
    let run = played(&server, &["rebuild", "db-2", "--new-volume", "-y"], 5).await;
    assert!(run.stdout.contains("MDB729") && !unfinished(&world), "{}", run.stdout);
    assert_eq!(world.lock().cluster("db").member(2).claims_remade, 0);
    let plain = played(&server, &["rebuild", "db-2", "--dry-run"], 0).await;
    assert!(!plain.stdout.contains("--new-volume"), "{}", plain.stdout);
}

#[tokio::test]
async fn a_plan_is_shown_and_proven() {
    let world = World::with([cluster(false)]);
    let server = serve(&world, &Fates::default()).await;
    let shown = played(&server, &["rebuild", "pod/db-2", "--dry-run=server"], 0).await;
    insta::assert_snapshot!("rebuild_dry_run", shown.text(&server));
    world.lock().helpers.quota = Some("exceeded quota: small");
    let run = run_quickly(&server, REBUILD).await;
    assert!(run.exit == 1 && run.stderr.contains("exceeded quota"), "{}{}", run.stdout, run.stderr);
    assert_eq!((copies(&world), remade(&world)), (0, [0, 0, 0]));
}

/// Whether all of it may be done is asked before any of it is done: data that is marked and a pod that may not be deleted
/// would be half a rebuild (safety C3).
#[tokio::test]
async fn what_may_not_be_deleted_is_found_out_before_anything_is_marked() {
    for (play, right) in [(PLAYS[0], "delete pods"), (PLAYS[3], "delete persistentvolumeclaims")] {
        let world = play.0();
        let server = serve_unwatched(&world, &Fates::default()).await;
        let shown = played(&server, &[play.1, &["--dry-run=server"]].concat(), 0).await;
        assert_eq!(shown.stdout.matches("API server: accepted").count(), 2, "{}", shown.stdout);
        assert_eq!(remade(&world), [0, 0, 0], "{}", shown.stdout);
        world.lock().denied.insert(right);
        let run = run_quickly(&server, play.1).await;
        assert!(run.exit == 8 && run.stderr.contains(right), "{right}: exit {}\n{}{}", run.exit, run.stdout, run.stderr);
        assert_eq!((copies(&world), remade(&world), unfinished(&world)), (0, [0, 0, 0], false), "{right}");
    }
}

/// A world, and the command that is played in it.
type Play = (fn() -> Shared, &'static [&'static str]);

const PLAYS: [Play; 4] = [
    (|| World::with([cluster(false)]), REBUILD),
    (|| World::with([zombie()]), REBUILD),
    (|| World::with([crashing()]), REBUILD),
    (without_node, &["rebuild", "db-2", "--new-volume", "-y"]),
];

/// Like [`serve`], where a volume is to go.
async fn serve_unwatched(world: &Shared, fates: &Fates) -> Server {
    let kept = world.lock().nodes.contains_key("n3");
    if kept {
        return serve(world, fates).await;
    }
    let (world, fates) = (world.clone(), fates.clone());
    Server::start(move |request| {
        let mut counted = fates.0.lock().unwrap();
        if counted.dead {
            return Answer::error(401, "Unauthorized");
        }
        let fate = counted.fate_of(request);
        if fate == Some(Fate::Never) {
            return Answer::Cut("");
        }
        let answer = world.answer(request);
        match fate {
            Some(Fate::Dies) => {
                counted.dead = true;
                Answer::error(401, "Unauthorized")
            }
            Some(Fate::Lost) => Answer::Cut(""),
            _ => answer,
        }
    })
    .await
}

async fn changes((world, args): Play) -> usize {
    let fates = Fates::new(Of::Changes, None);
    let server = serve_unwatched(&world(), &fates).await;
    played(&server, args, 0).await;
    fates.count()
}

/// Dies at a change; whoever comes takes it back, or brings it to its end. Whether it was taken back.
async fn cut(play: Play, number: usize, aborts: bool) -> bool {
    let world = play.0();
    let server = serve_unwatched(&world, &Fates::new(Of::Changes, Some((number, Fate::Dies)))).await;
    let died = run_quickly(&server, play.1).await;
    let server = serve_unwatched(&world, &Fates::default()).await;
    let told = format!("{:?} dies at change {number}, aborts {aborts}\n{}{}", play.1, died.stdout, died.stderr);
    if aborts && unfinished(&world) {
        let run = run_quickly(&server, ABORT).await;
        if run.exit == 0 {
            assert_eq!((copies(&world), remade(&world)), (0, [0, 0, 0]), "{told}");
            return true;
        }
        assert!(run.stdout.contains("MDB718"), "{told}\n{}{}", run.stdout, run.stderr);
    }
    to_its_end(&world, &server, play, &told).await;
    false
}

async fn to_its_end(world: &Shared, server: &Server, play: Play, told: &str) {
    // It may have died with its very last answer.
    if unfinished(world) || copies(world) == 0 {
        let run = run_quickly(server, if unfinished(world) { RESUME } else { play.1 }).await;
        assert_eq!(run.exit, 0, "{told}\n{}{}", run.stdout, run.stderr);
    }
    whole(world, told);
}

#[tokio::test]
async fn whoever_comes_after_a_death_brings_it_to_its_end_or_takes_it_back_until_it_is_marked() {
    let mut back = 0;
    for play in PLAYS {
        let all = changes(play).await;
        let cuts = (1..=all).flat_map(|number| [false, true].map(|aborts| cut(play, number, aborts)));
        back += stream::iter(cuts).buffer_unordered(AT_ONCE).filter(|back| ready(*back)).count().await;
    }
    assert!(back > 3, "{back} taken back");
}

#[tokio::test]
async fn any_answer_of_a_rebuild_may_be_lost() {
    for play in PLAYS {
        let all = changes(play).await;
        let cuts = (1..=all).flat_map(|number| [Fate::Lost, Fate::Never].map(|fate| (number, fate)));
        let lost = cuts.map(async |(number, fate)| {
            let world = play.0();
            let server = serve_unwatched(&world, &Fates::new(Of::Changes, Some((number, fate)))).await;
            let first = run_quickly(&server, play.1).await;
            let server = serve_unwatched(&world, &Fates::default()).await;
            let told = format!("{:?} {fate:?} at change {number}\n{}{}", play.1, first.stdout, first.stderr);
            to_its_end(&world, &server, play, &told).await;
        });
        stream::iter(lost).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    }
}
