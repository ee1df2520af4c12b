//! `galera bootstrap` over a member of which nothing can be read: it is given up by name, and takes a full copy when it is back.

use futures::stream::{self, StreamExt as _};

use super::*;

const RECOVER: &[&str] = &["galera", "recover", "db", "-y"];
const BOOTSTRAP: &[&str] = &["galera", "bootstrap", "db-0", "-y"];
const ACCEPTED: &[&str] = &["galera", "bootstrap", "db-0", "-y", "--accept-data-loss=db-2:unread:pv-data-db-2"];

/// All were killed at one moment; the volume of db-2, which has rows that no other has, cannot be read.
fn outage(ordered: bool) -> Shared {
    let mut cluster = cluster(ordered);
    cluster.as_galera().behind(0, 3);
    cluster.as_galera().behind(1, 3);
    cluster.as_galera().kill(&[0, 1, 2]);
    (0..3).for_each(|ordinal| cluster.crash_loop(ordinal));
    let world = World::with([cluster]);
    world.lock().helpers.unreadable.insert(2);
    world
}

fn whole(world: &Shared, told: &str) {
    assert_eq!(standing(world), runs(false), "{told}");
    assert!(!unfinished(world) && world.lock().cluster("db").founder().is_none(), "something is left: {told}");
    assert_eq!(world.lock().cluster("db").as_galera().copies(2), 1, "db-2 goes on with rows that nobody else has: {told}");
}

#[tokio::test]
async fn it_is_in_the_way_of_an_election_and_given_up_only_by_its_own_words() {
    let world = outage(false);
    let server = serve(&world, &Fates::default()).await;
    let refused = played(&server, RECOVER, 5).await;
    insta::assert_snapshot!("recover_unread", without_waits(&refused.text(&server)));
    played(&server, ABORT, 0).await;
    let refused = played(&server, BOOTSTRAP, 5).await;
    insta::assert_snapshot!("bootstrap_unread", without_waits(&refused.text(&server)));
    assert!(
        !world.lock().helpers.created.iter().any(|job| job["metadata"]["labels"]["kubectl-mariadb/helper"] == "recover"),
        "A4"
    );
    played(&server, ABORT, 0).await;
    for words in ["db-2:unread:pv-other", "db-1:unread:pv-data-db-1", "db-2:unknown"] {
        let words = format!("--accept-data-loss={words}");
        let refused = played(&server, &[BOOTSTRAP, &[words.as_str()]].concat(), 5).await;
        assert!(refused.stdout.contains("MDB732"), "{words} accept nothing: {}", refused.stdout);
        played(&server, ABORT, 0).await;
    }
    let itself = played(&server, &["galera", "bootstrap", "db-2", "-y", ACCEPTED[4]], 5).await;
    assert!(itself.stdout.contains("MDB731"), "{}", itself.stdout);
    played(&server, ABORT, 0).await;
    let run = played(&server, ACCEPTED, 0).await;
    insta::assert_snapshot!("bootstrap_given_up", without_waits(&run.text(&server)));
    whole(&world, &run.stderr);
}

/// The others run by then, and it is said who is not there. Its volume comes back, or a new one in its place.
#[tokio::test]
async fn who_cannot_be_marked_is_not_started_and_joins_when_its_volume_or_a_new_one_is_there() {
    for (ordered, comes_back) in [(false, true), (true, true), (false, false), (true, false)] {
        let world = outage(ordered);
        world.lock().helpers.unwritable.insert(2);
        let server = serve(&world, &Fates::default()).await;
        let run = played(&server, ACCEPTED, 1).await;
        assert!(run.text(&server).contains("the step `mark db-2` failed: grastate.dat of db-2"), "{}", run.text(&server));
        assert_eq!(standing(&world), (1, 1, false, vec![vec![0, 1]]), "{}", run.stderr);
        let resumed = played(&server, RESUME, 1).await;
        assert_eq!(standing(&world).3, [[0, 1]], "{}", resumed.stderr);
        let refused = played(&server, ABORT, 5).await;
        assert!(refused.stdout.contains("MDB718"), "{}", refused.stdout);
        if comes_back {
            world.lock().helpers.unwritable.clear();
        } else {
            let mut locked = world.lock();
            locked.cluster("db").controller.prunes = true;
            locked.cluster("db").member(2).has_claim = false;
        }
        let resumed = played(&server, RESUME, 0).await;
        whole(&world, &format!("ordered {ordered}, comes back {comes_back}\n{}", resumed.stderr));
    }
}

/// Whoever goes on tries first whether it can be read by now: then nothing has to be given up.
#[tokio::test]
async fn what_can_be_read_again_is_not_given_up() {
    let world = outage(false);
    let server = serve(&world, &Fates::default()).await;
    played(&server, RECOVER, 5).await;
    world.lock().helpers.unreadable.clear();
    let run = played(&server, RESUME, 0).await;
    assert!(run.stderr.contains("let db-2 found the cluster"), "its rows are the newest: {}", run.stderr);
    assert_eq!(standing(&world), runs(false), "{}", run.stderr);
}

/// Dies after each change in turn; whoever resumes brings it to the same end, and whoever takes it back gets that far or is told
/// that there is no way back.
#[tokio::test]
async fn a_bootstrap_over_it_that_dies_after_any_change_can_be_gone_on_with_or_taken_back() {
    let all = {
        let fates = Fates::new(Of::Changes, None);
        let server = serve(&outage(false), &fates).await;
        played(&server, ACCEPTED, 0).await;
        fates.count()
    };
    let cut = async |(number, way): (usize, &'static [&'static str])| {
        let world = outage(false);
        let server = serve(&world, &Fates::new(Of::Changes, Some((number, Fate::Dies)))).await;
        let died = run_quickly(&server, ACCEPTED).await;
        let server = serve(&world, &Fates::default()).await;
        let told = |run: &Run| format!("dies at change {number}\n{}{}\n{}{}", died.stdout, died.stderr, run.stdout, run.stderr);
        if !unfinished(&world) {
            let run = run_quickly(&server, ACCEPTED).await;
            assert_eq!(standing(&world), runs(false), "{}", told(&run));
            return false;
        }
        let run = run_quickly(&server, way).await;
        if way == ABORT && run.exit == 0 {
            let (replicas, start, ..) = standing(&world);
            assert_eq!((replicas, start, unfinished(&world)), (3, 0, false), "{}", told(&run));
            return true;
        }
        let run = if way == ABORT {
            assert!(run.exit == 5 && run.stdout.contains("MDB718"), "{}", told(&run));
            run_quickly(&server, RESUME).await
        } else {
            run
        };
        assert_eq!(run.exit, 0, "{}", told(&run));
        whole(&world, &told(&run));
        false
    };
    let ways = (1..=all).flat_map(|number| [(number, RESUME), (number, ABORT)]);
    let back: Vec<bool> = stream::iter(ways).map(cut).buffer_unordered(cuts::AT_ONCE).collect().await;
    assert!(back.iter().filter(|back| **back).count() > 3, "{back:?}");
}

#[tokio::test]
async fn volumes_that_one_pod_alone_may_use_are_in_the_way_only_beside_a_pod() {
    let mut one = cluster(false);
    one.volumes.one_pod = true;
    let world = World::with([one]);
    let server = serve(&world, &Fates::default()).await;
    let refused = played(&server, &["rebuild", "db-2", "-y"], 5).await;
    insta::assert_snapshot!("rebuild_one_pod", refused.text(&server));
    assert!(!unfinished(&world) && world.lock().helpers.created.is_empty());
    played(&server, STOP, 0).await;
    played(&server, START, 0).await;
    assert_eq!(standing(&world), runs(false));
    world.lock().cluster("db").as_galera().kill(&[0, 1, 2]);
    (0..3).for_each(|ordinal| world.lock().cluster("db").crash_loop(ordinal));
    let run = played(&server, RECOVER, 0).await;
    assert_eq!(standing(&world), runs(false), "{}", run.stderr);
}
