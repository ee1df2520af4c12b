//! A server that does not stop within the grace period of its pod is killed: nobody else is taken before somebody was told.

use super::*;

const NEWER: &str = "mariadb:11.8.9";
const UPGRADE: &[&str] = &["upgrade", "db", "--image", NEWER, "-y"];
const RESTART: &[&str] = &["restart", "db", "-y"];

/// Servers that outstay it, of a Galera cluster or of replication.
fn slow(galera: bool, ordinals: &[u32]) -> Shared {
    let mut cluster = if galera { cluster(false) } else { Cluster::replication("shop", "db", 3).controlled(true) };
    cluster.rolling.outstay.extend(ordinals);
    World::with([cluster])
}

async fn serve(world: &Shared) -> Server {
    let world = world.clone();
    Server::start(move |request| world.answer(request)).await
}

/// How often each pod was made anew.
fn remade(world: &Shared) -> [u32; 3] {
    [0, 1, 2].map(|ordinal| world.lock().cluster("db").member(ordinal).remade)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn nobody_else_is_taken_after_one_was_killed_until_somebody_goes_on() {
    for (galera, args, word) in
        [(true, UPGRADE, "upgrade"), (true, RESTART, "restart"), (false, UPGRADE, "upgrade"), (false, RESTART, "restart")]
    {
        let world = slow(galera, &[2]);
        let server = serve(&world).await;
        let run = played(&server, args, 5).await;
        let said = one_line(&run.stdout);
        assert!(
            said.contains("MDB743 db-2 was still there when its grace period of 30 s was over, so db-1 is not taken"),
            "{said}"
        );
        assert!(said.contains("exit code of the server of db-2: 137 (SIGKILL)"), "{said}");
        assert!(said.contains("spec.template.spec.terminationGracePeriodSeconds of StatefulSet db"), "{said}");
        assert!(said.contains("kubectl mariadb operation resume db"), "{said}");
        assert_eq!(remade(&world), [0, 0, 1], "{word}");
        assert!(unfinished(&world), "{word}");
        let partition = world.lock().cluster("db").partition;
        assert_eq!(partition, if word == "upgrade" { 2 } else { 0 });

        let shown = played(&server, &["operation", "resume", "db", "--dry-run"], 0).await;
        assert!(one_line(&shown.stdout).contains("as long to stop is killed, too"), "{}", shown.stdout);
        let resumed = played(&server, RESUME, 0).await;
        assert_eq!(remade(&world), [1, 1, 1], "{word}");
        assert!(resumed.stdout.contains("MDB743"), "{}", resumed.stdout);
        assert!(!unfinished(&world));
    }
}

/// Each one that is killed is told of; the last one has nobody after it.
#[tokio::test]
async fn every_one_that_is_killed_stops_it_once() {
    let world = slow(true, &[0, 1, 2]);
    let server = serve(&world).await;
    for (args, after) in [(UPGRADE, [0, 0, 1]), (RESUME, [0, 1, 1])] {
        let run = played(&server, args, 5).await;
        assert!(run.stdout.contains("MDB743"), "{}", run.stdout);
        assert_eq!(remade(&world), after);
    }
    let run = played(&server, RESUME, 0).await;
    assert_eq!((remade(&world), unfinished(&world)), ([1, 1, 1], false));
    assert!(run.stdout.starts_with("Every pod of db runs"), "{}", run.stdout);
}

#[tokio::test]
async fn what_was_replaced_can_be_taken_back_all_the_same() {
    let world = slow(true, &[2]);
    let server = serve(&world).await;
    played(&server, UPGRADE, 5).await;
    played(&server, ABORT, 0).await;
    assert_eq!((remade(&world), unfinished(&world)), ([0, 0, 2], false));
    let mut world = world.lock();
    assert_eq!(world.cluster("db").image, "mariadb:11.8");
}

#[tokio::test]
async fn a_plan_says_the_grace_period_and_the_end_what_was_measured() {
    let world = slow(true, &[]);
    let server = serve(&world).await;
    for args in [UPGRADE, RESTART] {
        let planned = played(&server, &[args, &["--dry-run"]].concat(), 0).await;
        let said = one_line(&planned.stdout);
        let note = "A server may take 30 s to stop (terminationGracePeriodSeconds), then it is killed; how long it takes is \
                    measured at the first pod.";
        assert!(said.contains(note), "{said}");
    }
    let run = played(&server, UPGRADE, 0).await;
    assert!(one_line(&run.stdout).contains("The longest that a pod took to go was 3 s, of the 30 s it had"), "{}", run.stdout);
}
