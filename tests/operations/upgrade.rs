//! `upgrade` and `restart`, whole: by partition, on Galera and on replication, with images that do not work, with somebody in
//! between, cut at every change.

use futures::stream::{self, StreamExt as _};

use super::cuts::{AT_ONCE, every};
use super::*;

/// The version of the same series behind the one that all run.
pub(super) const NEWER: &str = "mariadb:11.8.9";
pub(super) const UPGRADE: &[&str] = &["upgrade", "db", "--image", NEWER, "-y"];
const RESTART: &[&str] = &["restart", "db", "-y"];

fn to(image: &'static str, more: &[&'static str]) -> Vec<&'static str> {
    [&["upgrade", "db", "--image", image, "-y"], more].concat()
}

fn galera(ordered: bool) -> Shared {
    World::with([cluster(ordered)])
}

fn replication() -> Shared {
    World::with([Cluster::replication("shop", "db", 3).controlled(true)])
}

/// What each pod runs, the template's image and the partition.
fn rollout(world: &Shared) -> (Vec<String>, String, u32) {
    let mut world = world.lock();
    let cluster = world.cluster("db");
    (cluster.images(), cluster.image.clone(), cluster.partition)
}

fn all(image: &str, partition: u32) -> (Vec<String>, String, u32) {
    (vec![image.to_owned(); 3], image.to_owned(), partition)
}

pub(super) const OLD: &str = "mariadb:11.8";

/// As [`super::serve`], for clusters of any kind.
async fn serve(world: &Shared, fates: &Fates) -> Server {
    let galera = matches!(world.lock().cluster("db").engine, crate::support::world::Engine::Galera(_));
    if galera {
        return super::serve(world, fates).await;
    }
    let world = world.clone();
    Server::start(move |request| {
        let answer = world.answer(request);
        let mut world = world.lock();
        let replication = world.cluster("db").as_replication();
        let writable = (0..3).filter(|ordinal| !replication.server(*ordinal).read_only).count();
        assert!(writable <= 1, "two servers take writes");
        answer
    })
    .await
}

#[tokio::test]
async fn every_pod_gets_the_image_one_after_the_other() {
    for ordered in [true, false] {
        let world = galera(ordered);
        let server = serve(&world, &Fates::default()).await;
        let run = played(&server, UPGRADE, 0).await;
        assert_eq!(rollout(&world), all(NEWER, 0), "{}", run.stderr);
        assert!(run.stdout.starts_with("Every pod of db runs mariadb:11.8.9 (11.8.9)."), "{}", run.stdout);
        assert_eq!(standing(&world), runs(false));
        assert!(!unfinished(&world) && world.lock().helpers.alive().is_empty());
        assert_eq!(world.lock().cluster("db").rolling.conversions, 0, "the series is the same");
        insta::assert_snapshot!("upgrade", without_waits(&run.stderr));
        let again = played(&server, UPGRADE, 0).await;
        assert!(again.stdout.contains("every pod of db runs mariadb:11.8.9 already"), "{}", again.stdout);
    }
}

#[tokio::test]
async fn it_ends_at_the_partition_and_goes_on_with_a_lower_one() {
    for world in [galera(true), galera(false), replication()] {
        let server = serve(&world, &Fates::default()).await;
        let first = played(&server, &to(NEWER, &["--partition", "2"]), 0).await;
        let (images, image, partition) = rollout(&world);
        assert_eq!((images, image.as_str(), partition), (vec![OLD.into(), OLD.into(), NEWER.into()], NEWER, 2));
        assert!(first.stdout.contains("upgrade db --partition 1"), "{}", first.stdout);
        let seen = run_quickly(&server, &["status", "db"]).await;
        assert!(seen.stdout.contains("held by partition 2"), "{}", seen.stdout);
        let same = played(&server, &["upgrade", "db", "--partition", "2", "-y"], 0).await;
        assert!(same.stdout.contains("every pod from db-2 up of db runs mariadb:11.8.9 already"), "{}", same.stdout);
        played(&server, &["upgrade", "db", "--partition", "1", "-y"], 0).await;
        assert_eq!(rollout(&world).0, [OLD, NEWER, NEWER]);
        let none = played(&server, &["operation", "abort", "db", "-y"], 0).await;
        assert!(none.stdout.contains("No operation on db is unfinished."), "{}", none.stdout);
        played(&server, &["operation", "resume", "db", "-y"], 0).await;
        assert_eq!(rollout(&world), all(NEWER, 0));
        assert!(!unfinished(&world));
        let none = played(&server, &["operation", "resume", "db", "-y"], 0).await;
        assert!(none.stdout.contains("No operation on db is unfinished."), "{}", none.stdout);
    }
}

#[tokio::test]
async fn a_primary_comes_last_and_takes_writes_again() {
    let world = replication();
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, UPGRADE, 0).await;
    assert_eq!(rollout(&world), all(NEWER, 0), "{}", run.stderr);
    assert!(!world.lock().cluster("db").as_replication().server(0).read_only, "it stays closed");
    assert!(run.stderr.contains("let db-0 take writes again"), "{}", run.stderr);
    played(&server, RESTART, 0).await;
    assert!(!world.lock().cluster("db").as_replication().server(0).read_only, "it stays closed");
    assert!((0..3).all(|ordinal| world.lock().cluster("db").member(ordinal).remade == 2));
}

/// Whoever closes the primary has a reason, a switchover for example: only one that was restarted is opened again.
#[tokio::test]
async fn a_primary_that_somebody_has_closed_stays_closed() {
    for args in [&["upgrade", "db", "--image", NEWER, "-y", "--timeout", "4s"][..], &["restart", "db", "-y", "--timeout", "4s"]] {
        let world = replication();
        let server = serve(&world, &Fates::default()).await;
        let other = async {
            while world.lock().cluster("db").member(2).remade == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            world.lock().cluster("db").as_replication().server(0).read_only = true;
        };
        let (run, ()) = tokio::join!(run_quickly(&server, args), other);
        assert_eq!(run.exit, 6, "{}{}", run.stdout, run.stderr);
        assert!(world.lock().cluster("db").as_replication().server(0).read_only, "it was opened");
        assert_eq!(world.lock().cluster("db").member(0).remade, 0);
    }
}

#[tokio::test]
async fn a_newer_series_converts_the_tables_of_every_server() {
    let mut cluster = cluster(true);
    (cluster.version, cluster.image) = ("11.4.5".into(), "mariadb:11.4".into());
    let world = World::with([cluster]);
    let server = serve(&world, &Fates::default()).await;
    let planned = played(&server, &["upgrade", "db", "--image", "mariadb:11.8.6", "--dry-run"], 0).await;
    assert!(planned.stdout.contains("no way back from here"), "{}", planned.stdout);
    let run = played(&server, &to("mariadb:11.8.6", &["--partition", "1"]), 0).await;
    assert_eq!(world.lock().cluster("db").rolling.conversions, 2, "{}", run.stderr);
    let back = played(&server, &to("mariadb:11.4.5", &[]), 5).await;
    assert!(back.stdout.contains("MDB741"), "{}", back.stdout);
    assert_eq!(rollout(&world).1, "mariadb:11.8.6");
    played(&server, &["upgrade", "db", "-y"], 0).await;
    assert_eq!(world.lock().cluster("db").rolling.conversions, 3);
}

#[tokio::test]
async fn what_must_not_begin_does_not() {
    let mut newest = cluster(true);
    (newest.version, newest.image) = ("10.11.19".into(), "mariadb:10.11.19".into());
    let skips = World::with([newest]);
    // Its Service leads to all pods: nobody knows how clients find the primary.
    let mut first = Cluster::replication("shop", "db", 3).controlled(true).led_by(2);
    first.clients = None;
    let first = World::with([first]);
    let mut away = cluster(false);
    away.as_galera().kill(&[1]);
    away.crash_loop(1);
    let away = World::with([away]);
    for (world, args, code) in [
        (&skips, to("mariadb:11.8.6", &[]), "MDB735"),
        (&first, UPGRADE.to_vec(), "MDB739"),
        (&away, UPGRADE.to_vec(), "MDB734"),
        (&away, RESTART.to_vec(), "MDB734"),
        (&galera(true), vec!["upgrade", "db", "-y"], "MDB740"),
        (&galera(true), to(NEWER, &["--partition", "3"]), "MDB740"),
        (&galera(true), to("two words", &[]), "MDB740"),
        (&galera(true), to("mariadb:11.4.2", &[]), "MDB741"),
    ] {
        let before = rollout(world);
        let server = Server::start({
            let world = world.clone();
            move |request| world.answer(request)
        })
        .await;
        let run = played(&server, &args, 5).await;
        assert!(run.stdout.contains(code), "{args:?}: {}", run.stdout);
        assert!(run.stdout.contains("Nothing was changed."), "{args:?}: {}", run.stdout);
        assert_eq!(rollout(world), before, "{args:?}");
    }
    let server = serve(&skips, &Fates::default()).await;
    played(&server, &to("mariadb:11.8.6", &["--allow-lts-skip"]), 0).await;
}

#[tokio::test]
async fn an_image_that_cannot_be_had_changes_nothing() {
    let world = galera(true);
    world.lock().helpers.unpullable.insert(NEWER.to_owned());
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, UPGRADE, 5).await;
    assert!(run.stdout.contains("MDB738") && run.stdout.contains("Nothing was changed."), "{}", run.stdout);
    assert_eq!(rollout(&world), all(OLD, 0));
    assert!(!unfinished(&world) && world.lock().helpers.alive().is_empty());
}

/// A server that does not get beyond its start: nobody else is touched, and either way leads out.
#[tokio::test]
async fn an_image_that_does_not_start_holds_everybody_else() {
    for ordered in [true, false] {
        for way in [&["operation", "abort", "db", "-y"][..], &to("mariadb:11.8.10", &[]), &to(OLD, &[])] {
            let world = galera(ordered);
            world.lock().cluster("db").rolling.stuck.insert(NEWER.to_owned());
            let server = serve(&world, &Fates::default()).await;
            let run = played(&server, UPGRADE, 5).await;
            assert!(run.stdout.contains("MDB737"), "{}", run.stdout);
            assert_eq!(rollout(&world), (vec![OLD.into(), OLD.into(), NEWER.into()], NEWER.into(), 2));
            assert!(unfinished(&world));
            played(&server, way, 0).await;
            let (images, image, partition) = rollout(&world);
            let wanted = if way[0] == "operation" { OLD } else { way[3] };
            assert_eq!((image.as_str(), partition), (wanted, 0), "{way:?}");
            assert!(images.iter().all(|own| own == wanted), "{way:?}: {images:?}");
            assert!(!unfinished(&world));
        }
    }
}

#[tokio::test]
async fn a_member_that_does_not_join_keeps_the_next_one_running() {
    let world = galera(false);
    world.lock().cluster("db").rolling.lost.insert(2);
    let server = serve(&world, &Fates::default()).await;
    let run = run_quickly(&server, &to(NEWER, &["--timeout", "8s"])).await;
    assert_eq!(run.exit, 6, "{}{}", run.stdout, run.stderr);
    assert_eq!(rollout(&world), (vec![OLD.into(), OLD.into(), NEWER.into()], NEWER.into(), 2));
}

#[tokio::test]
async fn somebody_elses_change_is_noticed_and_not_overwritten() {
    let changes: [fn(&mut Cluster); 3] =
        [|cluster| cluster.set_image("mariadb:11.8.7"), |cluster| cluster.partition = 0, |cluster| cluster.scale_from_outside(5)];
    for change in changes {
        let world = galera(false);
        let server = serve(&world, &Fates::default()).await;
        played(&server, &to(NEWER, &["--partition", "2"]), 0).await;
        world.lock().cluster("db").rolling.lost.insert(1);
        let other = async {
            while rollout(&world).2 != 1 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            change(world.lock().cluster("db"));
        };
        let args = ["upgrade", "db", "-y", "--timeout", "20s"];
        let (run, ()) = tokio::join!(run_quickly(&server, &args), other);
        assert_eq!(run.exit, 5, "{}{}", run.stdout, run.stderr);
        assert!(run.stdout.contains("MDB712"), "{}", run.stdout);
    }
}

#[tokio::test]
async fn a_budget_that_allows_nobody_to_go_is_waited_for() {
    let world = galera(false);
    world.lock().cluster("db").disruptions_allowed = 0;
    let server = serve(&world, &Fates::default()).await;
    let later = async {
        while world.lock().held_back == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!((0..3).all(|ordinal| world.lock().cluster("db").member(ordinal).remade == 0));
        world.lock().cluster("db").disruptions_allowed = 1;
    };
    let (run, ()) = tokio::join!(played(&server, RESTART, 0), later);
    assert!(one_line(&run.stderr).contains("disruption budget"), "{}", run.stderr);
    assert!((0..3).all(|ordinal| world.lock().cluster("db").member(ordinal).remade == 1));
    assert_eq!(rollout(&world), all(OLD, 0));
}

#[tokio::test]
async fn one_pod_is_restarted_alone() {
    let world = galera(true);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, &["restart", "--pod", "db-1", "-y"], 0).await;
    assert!(run.stdout.starts_with("db-1 was restarted"), "{}", run.stdout);
    let remade: Vec<u32> = (0..3).map(|ordinal| world.lock().cluster("db").member(ordinal).remade).collect();
    assert_eq!(remade, [0, 1, 0]);
    let other = run_quickly(&server, &["restart", "web", "--pod", "db-1", "-y"]).await;
    assert_eq!(other.exit, 2, "{}", other.stderr);
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Through its object alone: held by a partition that only one of the operator's strategies heeds, and its own one comes back
/// in the end.
#[tokio::test]
async fn a_cluster_of_the_operator_is_upgraded_through_its_object() {
    for strategy in ["ReplicasFirstPrimaryLast", "RollingUpdate", "OnDelete"] {
        let mut cluster = cluster(false).operated();
        cluster.rolling.on_delete = strategy != "RollingUpdate";
        cluster.tell_operator(|spec| spec["updateStrategy"]["type"] = strategy.into());
        let world = World::with([cluster]);
        let server = serve(&world, &Fates::default()).await;
        let first = played(&server, &to(NEWER, &["--partition", "2"]), 0).await;
        assert_eq!(rollout(&world).0, [OLD, OLD, NEWER], "{}", first.stderr);
        let told = world.lock().cluster("db").operator().spec["updateStrategy"].clone();
        assert_eq!((&told["type"], &told["rollingUpdate"]["partition"]), (&"RollingUpdate".into(), &2.into()));
        played(&server, &["restart", "db", "--pod", "db-1", "-y"], 5).await;
        played(&server, &["upgrade", "db", "-y"], 0).await;
        assert_eq!(rollout(&world), all(NEWER, 0));
        let told = world.lock().cluster("db").operator().spec["updateStrategy"]["type"].clone();
        assert_eq!(told, strategy);
        assert!(!unfinished(&world));
    }
    let changes: [fn(&mut serde_json::Value); 2] =
        [|spec| spec["suspend"] = true.into(), |spec| spec["updateStrategy"]["type"] = "Never".into()];
    for change in changes {
        let mut cluster = cluster(false).managed();
        cluster.tell_operator(change);
        let world = World::with([cluster]);
        let server = serve(&world, &Fates::default()).await;
        let run = played(&server, UPGRADE, 5).await;
        assert!(run.stdout.contains("MDB736"), "{}", run.stdout);
    }
}

/// Dies after a change; then it is gone on with, or taken back.
async fn cut(number: usize, fate: Fate, way: &'static [&'static str]) {
    let cut = format!("change {number} {fate:?}, then {way:?}");
    let world = galera(number.is_multiple_of(2));
    let server = serve(&world, &Fates::new(Of::Changes, Some((number, fate)))).await;
    let first = run_quickly(&server, UPGRADE).await;
    drop(server);
    let server = serve(&world, &Fates::default()).await;
    if unfinished(&world) {
        let run = run_quickly(&server, way).await;
        assert_eq!(run.exit, 0, "{cut}\n{}{}{}", first.stderr, run.stdout, run.stderr);
    }
    let (images, image, partition) = rollout(&world);
    // Before the journal was written, or taken back: as it was.
    assert!(image == NEWER || image == OLD && first.exit != 0, "{cut}: {image}");
    assert!(images.iter().all(|own| *own == image), "{cut}: {images:?}");
    assert_eq!(partition, 0, "{cut}");
    assert_eq!(standing(&world), runs(false), "{cut}");
    assert!(!unfinished(&world), "{cut}");
}

async fn cut_at(usual: usize, fate: Fate, way: &'static [&'static str]) {
    let fates = Fates::new(Of::Changes, None);
    let world = galera(false);
    let server = serve(&world, &fates).await;
    played(&server, UPGRADE, 0).await;
    let all = fates.count();
    assert!(all > 10, "{all} changes");
    stream::iter((1..=all).step_by(every(usual)))
        .map(|number| cut(number, fate, way))
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<()>>()
        .await;
}

#[tokio::test]
async fn an_upgrade_that_dies_after_any_change_can_be_gone_on_with() {
    cut_at(1, Fate::Dies, RESUME).await;
}

#[tokio::test]
async fn an_upgrade_that_dies_after_any_change_can_be_taken_back() {
    cut_at(1, Fate::Dies, ABORT).await;
}

#[tokio::test]
async fn an_upgrade_whose_requests_get_lost_ends_whole() {
    cut_at(4, Fate::Lost, RESUME).await;
    cut_at(4, Fate::Never, RESUME).await;
}

/// The primary comes back as its configuration says, read-only: whoever takes the rest back lets it take writes again first.
#[tokio::test]
async fn a_primary_that_was_restarted_takes_writes_again_also_if_the_rest_is_taken_back() {
    for args in [UPGRADE, RESTART] {
        let world = replication();
        let dies = world.clone();
        let server = Server::start(move |request| {
            if dies.lock().cluster("db").as_replication().server(0).read_only {
                return Answer::error(401, "Unauthorized");
            }
            dies.answer(request)
        })
        .await;
        run_quickly(&server, args).await;
        drop(server);
        let server = serve(&world, &Fates::default()).await;
        assert!(world.lock().cluster("db").as_replication().server(0).read_only && unfinished(&world), "{args:?}");
        let back = played(&server, &["operation", "abort", "db", "-y"], 0).await;
        assert!(!world.lock().cluster("db").as_replication().server(0).read_only, "{args:?}: {}", back.stderr);
        assert!(!unfinished(&world), "{args:?}");
        assert_eq!(rollout(&world), all(OLD, 0), "{args:?}");
    }
}
