//! `--hold-traffic`: one member founds the cluster with no client led to it, and the others wait until somebody goes on.

use super::recover::{RECOVER, outage};
use super::*;

const HOLD: &[&str] = &["galera", "recover", "db", "-y", "--hold-traffic"];
/// As [`runs`], with a founder that is alone.
const ALONE: (u32, u32) = (0, 1);

fn on_hold(world: &Shared, told: &str) {
    let (replicas, start, _, primaries) = standing(world);
    assert_eq!(((replicas, start), primaries), (ALONE, vec![vec![0]]), "{told}");
    let founder = world.lock().cluster("db").founder().expect("somebody founded it");
    assert_eq!(founder["status"]["conditions"][0]["status"], "False", "clients are led to it: {founder:#}");
}

#[tokio::test]
async fn the_founder_is_alone_and_not_ready_until_somebody_goes_on() {
    let world = outage(false);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, HOLD, 0).await;
    insta::assert_snapshot!("recover_on_hold", without_waits(&run.text(&server)));
    on_hold(&world, &run.stderr);
    let refused = played(&server, RECOVER, 5).await;
    assert!(refused.stdout.contains("MDB701"), "{}", refused.stdout);
    let refused = played(&server, ABORT, 5).await;
    assert!(refused.stdout.contains("MDB718"), "{}", refused.stdout);
    on_hold(&world, &refused.stdout);
    let resumed = played(&server, RESUME, 0).await;
    assert_eq!(standing(&world), runs(false), "{}", resumed.stderr);
    assert!(!unfinished(&world) && world.lock().cluster("db").founder().is_none(), "{}", resumed.stderr);
}

/// Whoever holds dies after each change in turn: nobody joins before it was stopped there once.
#[tokio::test]
async fn whoever_goes_on_after_a_death_is_held_up_as_well() {
    let all = {
        let fates = Fates::new(Of::Changes, None);
        played(&serve(&outage(false), &fates).await, HOLD, 0).await;
        fates.count()
    };
    for number in 1..=all {
        let world = outage(false);
        let died = run_quickly(&serve(&world, &Fates::new(Of::Changes, Some((number, Fate::Dies)))).await, HOLD).await;
        let server = serve(&world, &Fates::default()).await;
        let again = if unfinished(&world) { RESUME } else { HOLD };
        let run = run_quickly(&server, again).await;
        let told = format!("dies at change {number}\n{}{}\n{}{}", died.stdout, died.stderr, run.stdout, run.stderr);
        assert_eq!(run.exit, 0, "{told}");
        // The last change is the one that says it was held: then whoever comes has been told to look.
        if standing(&world) != runs(false) {
            on_hold(&world, &told);
            assert_eq!(played(&server, RESUME, 0).await.exit, 0);
        } else {
            assert!(number + 1 >= all, "it was not held: {told}");
        }
        assert_eq!(standing(&world), runs(false), "{told}");
    }
}
