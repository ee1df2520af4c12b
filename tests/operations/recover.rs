//! `galera recover`, whole: from no server at all to every member in one primary component, with the history and every row.

use futures::stream::{self, StreamExt as _};

use super::*;
use crate::support::world::Pod;
use crate::support::world::controller::FounderEnds;

pub(super) const RECOVER: &[&str] = &["galera", "recover", "db", "-y"];

/// All were killed at one moment, db-2 some transactions behind; nobody comes up by itself.
pub(super) fn outage(ordered: bool) -> Shared {
    let mut cluster = cluster(ordered);
    cluster.as_galera().behind(2, 3);
    cluster.as_galera().kill(&[0, 1, 2]);
    for ordinal in 0..3 {
        cluster.crash_loop(ordinal);
    }
    World::with([cluster])
}

#[tokio::test]
async fn a_cluster_of_which_no_server_runs_is_whole_again() {
    for ordered in [false, true] {
        let world = outage(ordered);
        let server = serve(&world, &Fates::default()).await;
        let run = played(&server, RECOVER, 0).await;
        assert_eq!(standing(&world), runs(false), "{}", run.stderr);
        assert!(!unfinished(&world));
        assert!(world.lock().helpers.alive().is_empty(), "{:?}", world.lock().helpers.alive());
        assert!(!run.stderr.contains("let db-2 found"), "{}", run.stderr);
        if !ordered {
            insta::assert_snapshot!("recovered", without_waits(&run.text(&server)));
        }
        let again = played(&server, RECOVER, 0).await;
        assert!(again.stdout.contains("there is nothing to recover"), "{}", again.stdout);
    }
}

/// The one that still answers was cut off while the others went on, and then those died: `pc.bootstrap` on it would lose rows.
#[tokio::test]
async fn who_lives_without_a_quorum_does_not_found_over_the_rows_of_the_dead() {
    let mut cluster = cluster(true);
    cluster.as_galera().cut(&[&[0, 1], &[2]]);
    cluster.as_galera().write(0, 7);
    cluster.as_galera().kill(&[0, 1]);
    cluster.as_galera().heal();
    (0..2).for_each(|ordinal| cluster.crash_loop(ordinal));
    let world = World::with([cluster]);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, RECOVER, 0).await;
    assert_eq!(standing(&world), runs(false), "{}", run.stderr);
    assert!(run.stderr.contains("db-2 runs without a quorum") && run.stderr.contains("let db-0 found"), "{}", run.stderr);
}

#[tokio::test]
async fn two_histories_are_for_nobody_to_choose_and_what_was_begun_is_put_back() {
    let world = outage(false);
    world.lock().cluster("db").as_galera().put_foreign(1, 900_000);
    let before: Vec<String> = (0..3).map(|ordinal| world.lock().cluster("db").as_galera().grastate(ordinal)).collect();
    let server = serve(&world, &Fates::default()).await;
    let refused = played(&server, RECOVER, 5).await;
    insta::assert_snapshot!("recover_two_histories", refused.text(&server));
    played(&server, ABORT, 0).await;
    let mut locked = world.lock();
    assert_eq!((locked.cluster("db").replicas, locked.cluster("db").controller.start), (3, 0));
    let after: Vec<String> = (0..3).map(|ordinal| locked.cluster("db").as_galera().grastate(ordinal)).collect();
    // The pods are back and try to start, which writes what it always writes; the foreign history is as it was.
    assert_eq!(before.len(), after.len());
    assert!(after[1].contains("650ade90"), "{}", after[1]);
}

/// The bootstrap pod is evicted or its container is killed, before and after others have joined: those who are left carry on, or
/// everything is read and elected anew (safety A8).
#[tokio::test]
async fn a_founder_that_ends_is_no_reason_to_trust_what_was_decided_before() {
    for (joined, cleanly) in [(0, true), (0, false), (1, true), (1, false), (2, true), (2, false)] {
        let world = outage(false);
        world.lock().cluster("db").controller.founder_ends = Some(FounderEnds { joined, cleanly });
        let server = serve(&world, &Fates::default()).await;
        let run = played(&server, RECOVER, 0).await;
        let told = format!("joined {joined}, cleanly {cleanly}\n{}", run.stderr);
        assert_eq!(standing(&world), runs(false), "{told}");
        assert!(!unfinished(&world) && world.lock().cluster("db").founder().is_none(), "{told}");
        let carried_on = joined == 2 || (joined == 1 && cleanly);
        assert_eq!(run.stderr.contains("forget who was elected"), !carried_on, "{told}");
        if (joined, cleanly) == (1, false) {
            insta::assert_snapshot!("recover_again", without_waits(&run.text(&server)));
        }
    }
}

/// A start whose founder ends becomes a recovery: what the stop wrote down is no longer so.
#[tokio::test]
async fn a_start_whose_founder_ends_goes_on_as_a_recovery() {
    for cleanly in [true, false] {
        let world = stopped(true, true).await;
        world.lock().cluster("db").controller.founder_ends = Some(FounderEnds { joined: 0, cleanly });
        let server = serve(&world, &Fates::default()).await;
        let changed = played(&server, START, 5).await;
        assert!(changed.stdout.contains("MDB719"), "{}", changed.stdout);
        let run = played(&server, RESUME, 0).await;
        assert_eq!(standing(&world), runs(true), "{}", run.stderr);
        assert!(!unfinished(&world) && world.lock().config_maps.kept("kubectl-mariadb.db", "stopped").is_null());
    }
}

/// "Receiving IST failed, node restart required" (11.8): the server lives on outside of the group.
#[tokio::test]
async fn a_joiner_whose_first_start_comes_to_nothing_is_started_once_more() {
    let world = outage(false);
    world.lock().cluster("db").controller.stuck = Some(1);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, RECOVER, 0).await;
    assert!(run.stderr.contains("start db-1 once more: its server has left the group for good"), "{}", run.stderr);
    assert_eq!(standing(&world), runs(false), "{}", run.stderr);
}

const BOOTSTRAP: &[&str] = &["galera", "bootstrap", "db-2", "-y"];

/// The words that accept what is lost, as the refusal prints them.
fn accepts(run: &Run) -> String {
    let words = run.stdout.split_whitespace().find(|word| word.starts_with("--accept-data-loss="));
    words.unwrap_or_else(|| panic!("{}", run.stdout)).to_owned()
}

#[tokio::test]
async fn a_choice_that_loses_something_names_it_and_is_made_only_with_its_own_words() {
    let world = outage(false);
    let server = serve(&world, &Fates::default()).await;
    let refused = played(&server, BOOTSTRAP, 5).await;
    insta::assert_snapshot!("bootstrap_would_lose", refused.text(&server));
    played(&server, ABORT, 0).await;
    let other = [BOOTSTRAP, &["--accept-data-loss=db-0,db-1:8-9"]].concat();
    assert!(played(&server, &other, 5).await.stdout.contains("MDB732"), "other words accept nothing");
    played(&server, ABORT, 0).await;
    let words = accepts(&refused);
    let accepted = [BOOTSTRAP, &[words.as_str()]].concat();
    let run = played(&server, &accepted, 0).await;
    assert!(run.stderr.contains("lost: db-0,db-1:8-10"), "{}", run.stderr);
    assert_eq!(standing(&world), runs(false), "{}", run.stderr);
    assert!(!unfinished(&world));
}

#[tokio::test]
async fn a_choice_that_loses_nothing_is_a_recovery() {
    let world = outage(true);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, &["galera", "bootstrap", "db-1", "-y"], 0).await;
    assert!(run.stderr.contains("let db-1 found the cluster, as it was chosen"), "{}", run.stderr);
    assert_eq!(standing(&world), runs(false), "{}", run.stderr);
}

#[tokio::test]
async fn nobody_is_chosen_beside_a_primary_component_or_from_what_is_no_member() {
    let world = World::with([cluster(false)]);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, BOOTSTRAP, 0).await;
    assert!(run.stdout.contains("there is nothing to recover"), "{}", run.stdout);
    let world = outage(false);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, &["galera", "bootstrap", "db-7", "-y"], 5).await;
    assert!(run.stdout.contains("MDB731") && !unfinished(&world), "{}", run.stdout);
}

/// Dies after each change in turn; whoever resumes brings it to the same end.
#[tokio::test]
async fn whoever_resumes_a_recovery_brings_it_to_its_end() {
    let all = {
        let fates = Fates::new(Of::Changes, None);
        let server = serve(&outage(false), &fates).await;
        played(&server, RECOVER, 0).await;
        fates.count()
    };
    let cut = async |number| {
        let world = outage(false);
        let server = serve(&world, &Fates::new(Of::Changes, Some((number, Fate::Dies)))).await;
        let died = run_quickly(&server, RECOVER).await;
        let server = serve(&world, &Fates::default()).await;
        let resumed = run_quickly(&server, if unfinished(&world) { RESUME } else { RECOVER }).await;
        let told = format!("dies at change {number}\n{}{}\n{}{}", died.stdout, died.stderr, resumed.stdout, resumed.stderr);
        assert_eq!((resumed.exit, standing(&world)), (0, runs(false)), "{told}");
    };
    stream::iter(1..=all).map(cut).buffer_unordered(cuts::AT_ONCE).collect::<()>().await;
}

/// The plugin dies after each change in turn. Then somebody scales the set up, its servers start and find nobody, and it is scaled down
/// again: it says what it said before, and what was read and written of its files is no longer so.
#[tokio::test]
async fn what_was_read_before_somebody_scaled_the_set_is_read_again() {
    let all = {
        let fates = Fates::new(Of::Changes, None);
        played(&serve(&outage(false), &fates).await, RECOVER, 0).await;
        fates.count()
    };
    let mut again = 0;
    for number in 1..=all {
        let world = outage(false);
        run_quickly(&serve(&world, &Fates::new(Of::Changes, Some((number, Fate::Dies)))).await, RECOVER).await;
        {
            let mut locked = world.lock();
            let cluster = locked.cluster("db");
            if cluster.replicas > 0 || cluster.founder().is_some() {
                continue;
            }
            cluster.scale_from_outside(3);
            for ordinal in 0..3 {
                let started: Vec<String> = cluster.as_galera().grastate(ordinal).lines().map(started).collect();
                cluster.as_galera().put_grastate(ordinal, &started.join("\n"));
            }
            cluster.scale_from_outside(0);
        }
        if !unfinished(&world) {
            continue;
        }
        again += 1;
        let run = run_quickly(&serve(&world, &Fates::default()).await, RESUME).await;
        assert_eq!(run.exit, 0, "dies at change {number}\n{}{}", run.stdout, run.stderr);
        assert_eq!(standing(&world), runs(false), "dies at change {number}\n{}", run.stderr);
    }
    assert!(again > 5, "only {again} of {all} changes are before the election and the founder");
}

/// What a start makes of a line of `grastate.dat`.
fn started(line: &str) -> String {
    match line.split_once(':') {
        Some(("seqno", _)) => "seqno:   -1".to_owned(),
        Some(("safe_to_bootstrap", _)) => "safe_to_bootstrap: 0".to_owned(),
        _ => line.to_owned(),
    }
}

/// Somebody has scaled it to 0: it does not say any more how many members it has, and whoever knows says so.
#[tokio::test]
async fn a_set_that_was_scaled_to_zero_is_recovered_with_the_number_of_its_members() {
    let zero = || {
        let mut cluster = cluster(true);
        cluster.as_galera().behind(2, 3);
        cluster.as_galera().kill(&[0, 1, 2]);
        cluster.scale(0);
        (0..3).for_each(|ordinal| cluster.member(ordinal).pod = Pod::Absent);
        World::with([cluster])
    };
    let world = zero();
    let server = serve(&world, &Fates::default()).await;
    let refused = played(&server, RECOVER, 5).await;
    insta::assert_snapshot!("recover_scaled_to_zero", refused.text(&server));
    let more = played(&server, &[RECOVER, &["--replicas", "3"]].concat(), 0).await;
    assert_eq!(standing(&world), runs(false), "{}", more.stderr);
    assert!(!more.stderr.contains("let db-2 found") && !unfinished(&world), "{}", more.stderr);
    let said_itself = played(&server, &[RECOVER, &["--replicas", "2"]].concat(), 5).await;
    assert!(
        said_itself.stdout.contains("MDB747") && said_itself.stdout.contains("how many members there are: 3"),
        "{}",
        said_itself.stdout
    );

    let world = zero();
    let server = serve(&world, &Fates::default()).await;
    let fewer = played(&server, &[RECOVER, &["--replicas", "2"]].concat(), 5).await;
    assert!(fewer.stdout.contains("MDB747") && fewer.stdout.contains("data-db-2"), "{}", fewer.stdout);
    assert!(fewer.stdout.contains("galera recover db --replicas 3"), "{}", fewer.stdout);
    // Under OrderedReady the controller leaves pods that are not Ready: the wrong one may be Primary among them.
    (0..2).for_each(|ordinal| world.lock().cluster("db").member(ordinal).pod = Pod::Running { ready: false });
    let there = played(&server, &[RECOVER, &["--replicas", "3"]].concat(), 5).await;
    assert!(
        there.stdout.contains("kubectl delete pod db-0 db-1") && there.stdout.contains("may be the cluster"),
        "{}",
        there.stdout
    );
    (0..2).for_each(|ordinal| world.lock().cluster("db").member(ordinal).pod = Pod::Absent);
    let lost = played(&server, &["galera", "bootstrap", "db-2", "-y", "--replicas", "3"], 5).await;
    let told = lost.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("galera bootstrap db-2 --replicas 3 --accept-data-loss=db-0,db-1:"), "{told}");
    if unfinished(&world) {
        played(&server, ABORT, 0).await;
    }
    let many = played(&server, &[RECOVER, &["--replicas", "4294967295"]].concat(), 5).await;
    assert!(many.stdout.contains("runs more members than galera recover handles"), "{}", many.stdout);
    let chosen = &["galera", "bootstrap", "db-5", "-y", "--replicas", "3"];
    assert!(played(&server, chosen, 5).await.stdout.contains("db-5 is not one of the pods of db"));
    assert_eq!(played(&server, &[RECOVER, &["--replicas", "1"]].concat(), 5).await.exit, 5);
    let chosen = &["galera", "bootstrap", "db-1", "-y", "--replicas", "3"];
    let run = played(&server, chosen, 0).await;
    assert_eq!(standing(&world), runs(false), "{}", run.stderr);
}
