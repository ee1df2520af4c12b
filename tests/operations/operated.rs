//! `scale` of a replicating cluster of mariadb-operator: its object is told one number at a time, only while the operator's own safe
//! way is open, and nothing that it was told is left to happen later.

use futures::stream::{self, StreamExt as _};

use super::cuts::AT_ONCE;
use super::*;
use crate::support::world::Pod;
use crate::support::world::scaling::Scaling;

const TO_5: &[&str] = &["scale", "db", "--replicas", "5", "-y"];
const TO_4: &[&str] = &["scale", "db", "--replicas", "4", "-y"];
const TO_3: &[&str] = &["scale", "db", "--replicas", "3", "-y"];
const TO_2: &[&str] = &["scale", "db", "--replicas", "2", "-y"];

fn replicating(replicas: u32) -> Cluster {
    Cluster::replication("shop", "db", replicas).controlled(false).seeding()
}

/// What the operator is told, how many pods the set has, and which of them follow db-0 and take no writes.
fn stands(world: &Shared) -> (u32, u32, Vec<u32>) {
    let mut world = world.lock();
    let cluster = world.cluster("db");
    let told = u32::try_from(cluster.operator().spec["replicas"].as_u64().unwrap()).unwrap();
    let running =
        |(ordinal, member): (&u32, &crate::support::world::Member)| matches!(member.pod, Pod::Running { .. }).then_some(*ordinal);
    let running: Vec<u32> = cluster.members.iter().filter_map(running).collect();
    let replicas = cluster.replicas;
    let replication = cluster.as_replication();
    let follows = |ordinal: &u32| {
        let server = replication.server(*ordinal);
        server.running && server.read_only && server.channel.as_ref().is_some_and(|channel| channel.source == 0)
    };
    (told, replicas, running.into_iter().filter(follows).collect())
}

fn of(replicas: u32) -> (u32, u32, Vec<u32>) {
    (replicas, replicas, (1..replicas).collect())
}

/// Nothing is left of backups, and the operator has nothing to do.
fn at_rest(world: &Shared) -> bool {
    let mut world = world.lock();
    let cluster = world.cluster("db");
    let claims = cluster.volumes.others.is_empty();
    let operator = cluster.operator();
    claims && operator.physical_backups.is_empty() && operator.scaling == Scaling::Rests
}

#[tokio::test]
async fn replicas_come_and_go_one_at_a_time_through_the_object() {
    let world = World::with([replicating(3)]);
    let server = serve(&world, &Fates::default()).await;
    let planned = played(&server, &["scale", "db", "--replicas", "5", "--dry-run=server"], 0).await;
    insta::assert_snapshot!("operated_dry_run", planned.text(&server));
    let out = played(&server, TO_5, 0).await;
    assert_eq!(stands(&world), of(5), "{}", out.stderr);
    assert!(out.stderr.contains("mariadb-operator copies the data for db-3"), "{}", out.stderr);
    insta::assert_snapshot!("operated_out", without_waits(&out.text(&server)));
    let back = played(&server, TO_3, 0).await;
    insta::assert_snapshot!("operated_in", without_waits(&back.text(&server)));
    assert_eq!(stands(&world), of(3));
    assert!(at_rest(&world) && !unfinished(&world));
    assert!(played(&server, TO_3, 0).await.stdout.contains("nothing to do"));
    // Their volumes are in the way of the operator.
    insta::assert_snapshot!("operated_stale", played(&server, TO_4, 5).await.text(&server));
    world.lock().cluster("db").controller.prunes = true;
    (3..5).for_each(|ordinal| world.lock().cluster("db").member(ordinal).has_claim = false);
    played(&server, TO_4, 0).await;
    assert_eq!(stands(&world), of(4));
}

/// The code that is to be told, what is asked for, and what is so before.
type Change = (&'static str, &'static [&'static str], fn(&mut Cluster));

#[tokio::test]
async fn what_closes_the_safe_way_is_refused_and_nothing_is_told() {
    let changes: [Change; 7] = [
        ("MDB776", TO_4, |cluster| cluster.tell_operator(|spec| drop(spec["replication"]["replica"].take()))),
        ("MDB774", TO_4, |cluster| cluster.tell_operator(|spec| spec["suspend"] = true.into())),
        ("MDB774", TO_2, |cluster| cluster.operator().condition("Updated", "False", "Updating", "Updating")),
        ("MDB774", TO_4, |cluster| cluster.member(2).pod = Pod::Waiting { reason: "CrashLoopBackOff", message: "" }),
        ("MDB745", &["scale", "db", "--replicas", "1", "-y"], |_| {}),
        ("MDB754", TO_2, |cluster| cluster.tell_operator(|spec| spec["replication"]["primary"]["podIndex"] = 2.into())),
        ("MDB747", &["scale", "db", "--replicas", "4", "--current-replicas", "5", "-y"], |_| {}),
    ];
    for (code, args, change) in changes {
        let mut cluster = replicating(3);
        change(&mut cluster);
        let world = World::with([cluster]);
        let server = serve(&world, &Fates::default()).await;
        let run = run_quickly(&server, args).await;
        let (exit, told) = (run.exit, run.stdout.contains(code));
        // A pod that cannot be asked is not a refusal but a fact that is missing.
        assert!(exit == 5 && told || code == "MDB774" && exit == 4, "{code}: {exit}\n{}{}", run.stdout, run.stderr);
        assert_eq!((stands(&world).0, stands(&world).1), (3, 3), "{code}");
        assert!(!unfinished(&world));
    }
}

#[tokio::test]
async fn a_backup_that_fails_is_called_off_and_can_be_tried_again() {
    let world = World::with([replicating(3)]);
    world.lock().cluster("db").operator().backup_fails = true;
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, TO_4, 5).await;
    insta::assert_snapshot!("operated_failed", without_waits(&run.text(&server)));
    assert_eq!(stands(&world), of(3));
    assert!(unfinished(&world));
    world.lock().cluster("db").operator().backup_fails = false;
    played(&server, RESUME, 0).await;
    assert_eq!(stands(&world), of(4));
    assert!(at_rest(&world) && !unfinished(&world));

    let world = World::with([replicating(3)]);
    world.lock().cluster("db").operator().backup_fails = true;
    let server = serve(&world, &Fates::default()).await;
    played(&server, TO_4, 5).await;
    let back = played(&server, ABORT, 0).await;
    assert!(back.stdout.starts_with("The scale of db was taken back"), "{}", back.stdout);
    assert!(stands(&world) == of(3) && at_rest(&world) && !unfinished(&world));
}

/// The operator would let the set grow without a copy when something comes between.
#[tokio::test]
async fn what_comes_between_calls_it_off() {
    let world = World::with([replicating(3)]);
    let between = world.clone();
    let server = Server::start(move |request| {
        let answer = between.answer(request);
        let mut world = between.lock();
        let operator = world.cluster("db").operator();
        if operator.scaling == Scaling::BacksUp {
            operator.condition("Updated", "False", "Updating", "Updating");
        }
        drop(world);
        answer
    })
    .await;
    let run = played(&server, TO_5, 5).await;
    assert!(run.stdout.contains("MDB775") && run.stdout.contains("Updating"), "{}", run.stdout);
    assert_eq!((stands(&world).0, stands(&world).1), (3, 3));
}

#[tokio::test]
async fn what_is_given_up_is_not_left_to_happen_later() {
    let world = World::with([replicating(3)]);
    world.lock().cluster("db").controller.no_room = Some(3);
    let server = serve(&world, &Fates::default()).await;
    let late = played(&server, &[TO_4, &["--timeout", "8s"]].concat(), 6).await;
    let words = late.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("db-3 finds no node"), "{words}");
    assert_eq!(stands(&world).0, 3, "it may find one hours later");
    let back = played(&server, ABORT, 0).await;
    assert!(back.stdout.contains("the volume of db-3 is kept"), "{}", back.stdout);
    assert_eq!(stands(&world), of(3));

    let world = World::with([replicating(3)]);
    world.lock().cluster("db").operator().acts = false;
    let server = serve(&world, &Fates::default()).await;
    played(&server, &[TO_4, &["--timeout", "1s"]].concat(), 6).await;
    assert_eq!(stands(&world), of(3), "an operator that comes back finds what runs");
}

#[tokio::test]
async fn a_scale_in_that_is_taken_back_ends_where_it_is() {
    let world = World::with([replicating(5)]);
    let fates = Fates::new(Of::Changes, None);
    let server = serve(&world, &fates).await;
    played(&server, TO_3, 0).await;
    let all = fates.count();
    let mut ends = Vec::new();
    for number in 1..=all {
        let world = World::with([replicating(5)]);
        let server = serve(&world, &Fates::new(Of::Changes, Some((number, Fate::Dies)))).await;
        run_quickly(&server, TO_3).await;
        let server = serve(&world, &Fates::default()).await;
        if !unfinished(&world) {
            continue;
        }
        let run = played(&server, ABORT, 0).await;
        let (told, replicas, following) = stands(&world);
        assert!(told == replicas && following.len() + 1 == replicas as usize, "change {number}: {told} {replicas} {following:?}");
        let words = if replicas == 5 { "was taken back" } else { "comes back only as a new one" };
        let told = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(words), "change {number}: {told}");
        assert!(!unfinished(&world));
        ends.push(replicas);
    }
    assert!([3, 4, 5].iter().all(|replicas| ends.contains(replicas)), "{ends:?}");
}

/// Dies after one change, or has it lost; then it is gone on with, or taken back.
async fn cut(args: &'static [&'static str], before: u32, after: u32, number: usize, fate: Fate, way: &'static [&'static str]) {
    let cut = format!("{args:?}, change {number} {fate:?}, then {way:?}");
    let world = World::with([replicating(before)]);
    let server = serve(&world, &Fates::new(Of::Changes, Some((number, fate)))).await;
    let first = run_quickly(&server, args).await;
    drop(server);
    let server = serve(&world, &Fates::default()).await;
    let mut back = false;
    if unfinished(&world) {
        // Whoever waits for ever fails here, and says for what.
        let run = run_quickly(&server, &[way, &["--timeout", "120s"]].concat()).await;
        back = way == ABORT && run.exit == 0;
        if way == RESUME && run.stdout.contains("MDB777") {
            // The volume of a replica that was called off keeps the operator from another one there.
            assert!(first.exit != 0, "{cut}");
            return;
        }
        assert_eq!(run.exit, 0, "{cut}\n{}{}{}", first.stderr, run.stdout, run.stderr);
    }
    let wanted = if back { before } else { after };
    let stands = stands(&world);
    assert!(stands == of(wanted) || stands == of(before) && first.exit != 0, "{cut}: {stands:?}");
    assert!(at_rest(&world) && !unfinished(&world), "{cut}: something is left");
}

async fn cut_everywhere(fate: Fate, way: &'static [&'static str]) {
    let fates = Fates::new(Of::Changes, None);
    let world = World::with([replicating(3)]);
    let server = serve(&world, &fates).await;
    played(&server, TO_5, 0).await;
    let all = fates.count();
    assert!(all > 6, "{all}");
    let cuts = (1..=all).map(|number| cut(TO_5, 3, 5, number, fate, way));
    stream::iter(cuts).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn a_scale_out_that_dies_after_any_change_can_be_gone_on_with() {
    cut_everywhere(Fate::Dies, RESUME).await;
}

#[tokio::test]
async fn a_scale_out_that_dies_after_any_change_can_be_taken_back() {
    cut_everywhere(Fate::Dies, ABORT).await;
}

#[tokio::test]
async fn any_answer_of_a_scale_out_may_be_lost_and_any_change_may_not_arrive() {
    for fate in [Fate::Lost, Fate::Never] {
        cut_everywhere(fate, RESUME).await;
    }
}
