//! `upgrade` of a replicating set whose primary is not the lowest ordinal: the role is handed over first, whole or not at all, cut at
//! every change, every exec and every statement.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};

use super::cuts::{AT_ONCE, every};
use super::upgrade::{NEWER, OLD, UPGRADE, one_line};
use super::*;
use crate::support::world::replication::Behind;
use crate::support::world::seeding::SECRET;

/// Three servers; the second one is the primary, and the Service for clients selects its pod.
fn second_leads(ordered: bool) -> Shared {
    World::with([Cluster::replication("shop", "db", 3).controlled(ordered).led_by(1)])
}

/// What the pods run and are to run, who takes writes, whom each one follows, and where clients are led.
#[derive(Debug, PartialEq)]
struct Stands {
    images: Vec<String>,
    image: String,
    partition: u32,
    open: Vec<u32>,
    sources: Vec<String>,
    clients: Option<u32>,
    /// How many different positions there are.
    positions: usize,
}

fn stands(world: &Shared) -> Stands {
    let mut world = world.lock();
    let cluster = world.cluster("db");
    let (images, image, partition, clients) = (cluster.images(), cluster.image.clone(), cluster.partition, cluster.clients);
    let replication = cluster.as_replication();
    assert!(replication.most_open <= 1, "two servers took writes");
    let positions: BTreeSet<String> = (0..3).map(|ordinal| replication.variables(ordinal)["gtid_binlog_pos"].clone()).collect();
    let source = |ordinal| match &replication.server(ordinal).channel {
        None => "nobody".to_owned(),
        Some(channel) if channel.io == "Yes" && channel.sql_running => format!("db-{}", channel.source),
        Some(channel) => format!("db-{}, stopped", channel.source),
    };
    let sources = (0..3).map(source).collect();
    let open = (0..3).filter(|ordinal| replication.runs(*ordinal) && !replication.server(*ordinal).read_only).collect();
    Stands { images, image, partition, open, sources, clients, positions: positions.len() }
}

/// All is well with this image and this primary.
fn with(image: &str, primary: u32) -> Stands {
    let source = |ordinal| if ordinal == primary { "nobody".to_owned() } else { format!("db-{primary}") };
    Stands {
        images: vec![image.to_owned(); 3],
        image: image.to_owned(),
        partition: 0,
        open: vec![primary],
        sources: (0..3).map(source).collect(),
        clients: Some(primary),
        positions: 1,
    }
}

/// Everything that was sent in requests, and the objects that are kept.
async fn serve_noted(world: &Shared) -> (Server, Arc<Mutex<String>>) {
    let sent = Arc::new(Mutex::new(String::new()));
    let (noted, world) = (Arc::clone(&sent), world.clone());
    let server = Server::start(move |request| {
        let mut noted = noted.lock().unwrap();
        noted.push_str(&format!("{}?{:?}\n", request.path, request.query));
        noted.push_str(&String::from_utf8_lossy(&request.body));
        drop(noted);
        let answer = world.answer(request);
        watch(&world);
        answer
    })
    .await;
    (server, sent)
}

#[tokio::test]
async fn the_lowest_ordinal_becomes_the_primary_before_anybody_is_replaced() {
    for ordered in [true, false] {
        let world = second_leads(ordered);
        let (server, sent) = serve_noted(&world).await;
        let dry = played(&server, &["upgrade", "db", "--image", NEWER, "--dry-run=server"], 0).await;
        assert_eq!(stands(&world), with(OLD, 1));
        let run = played(&server, &[UPGRADE, &["--show-requests"]].concat(), 0).await;
        assert_eq!(stands(&world), with(NEWER, 0), "{}", run.stderr);
        assert!(run.stdout.starts_with("Every pod of db runs mariadb:11.8.9 (11.8.9)."), "{}", run.stdout);
        assert!(!unfinished(&world) && world.lock().helpers.alive().is_empty());
        let kept = format!("{:?}", world.lock().config_maps.objects(None));
        let statements = world.lock().statements.clone();
        assert!(statements.iter().any(|(pod, text)| pod == "db-1" && text.contains(SECRET)), "it was told no password");
        for seen in [&run.stdout, &run.stderr, &dry.stdout, &dry.stderr, &kept, &*sent.lock().unwrap()] {
            assert!(!seen.contains(SECRET), "the password is seen: {seen}");
        }
        insta::assert_snapshot!("handover_dry_run", dry.text(&server));
    }
    let world = second_leads(true);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, UPGRADE, 0).await;
    insta::assert_snapshot!("handover", without_waits(&run.stderr));
}

#[tokio::test]
async fn nothing_is_handed_over_while_the_primary_stays() {
    let world = second_leads(true);
    let server = serve(&world, &Fates::default()).await;
    let first = played(&server, &[UPGRADE, &["--partition", "2"]].concat(), 0).await;
    let now = stands(&world);
    assert_eq!(now.images, [OLD, OLD, NEWER], "{}", first.stderr);
    assert_eq!((now.open, now.sources, now.clients), (vec![1], with(OLD, 1).sources, Some(1)));
    assert!(world.lock().orders == 0 && !one_line(&first.stderr).contains("hand the role"), "{}", first.stderr);
    let second = played(&server, &["upgrade", "db", "-y"], 0).await;
    assert_eq!(stands(&world), with(NEWER, 0));
    assert!(one_line(&second.stderr).contains("hand the role"), "{}", second.stderr);
}

#[tokio::test]
async fn what_cannot_be_handed_over_stays_as_it_is() {
    type Wrong = (fn(&mut Cluster), &'static str, &'static str);
    let wrong: [Wrong; 4] = [
        // `status` says so already: it leads writers to a replica.
        (|cluster| cluster.clients = Some(0), "MDB73", "db-1"),
        (|cluster| cluster.clients = None, "MDB739", "no Service selects db-1"),
        (
            |cluster| cluster.as_replication().server(2).channel.as_mut().unwrap().host = Some("10.0.0.11".to_owned()),
            "MDB739",
            "10.0.0.11",
        ),
        (|cluster| cluster.member(1).starts_read_only = Some(false), "MDB742", "read_only"),
    ];
    for (change, code, why) in wrong {
        let world = second_leads(true);
        change(world.lock().cluster("db"));
        let clients = world.lock().cluster("db").clients;
        let fates = Fates::default();
        let server = serve(&world, &fates).await;
        let run = played(&server, UPGRADE, 5).await;
        let told = one_line(&run.stdout);
        assert!(told.contains(code) && told.contains(why) && told.contains("Nothing was changed."), "{}", run.stdout);
        assert_eq!((stands(&world), fates.count()), (Stands { clients, ..with(OLD, 1) }, 0), "{why}");
        assert!(!unfinished(&world) && world.lock().orders == 0);
    }
}

#[tokio::test]
async fn without_the_right_to_lead_clients_nothing_begins() {
    let world = second_leads(true);
    world.lock().denied.insert("patch services");
    let fates = Fates::default();
    let server = serve(&world, &fates).await;
    let run = played(&server, UPGRADE, 8).await;
    assert!(run.stderr.contains("patch services"), "{}{}", run.stdout, run.stderr);
    assert_eq!((stands(&world), fates.count(), unfinished(&world)), (with(OLD, 1), 0, false));
    assert_eq!(world.lock().orders, 0);
}

/// Nobody can write while it is waited for: so it is not waited for long, and the role goes back.
#[tokio::test]
async fn one_that_stops_applying_is_not_promoted() {
    for way in [RESUME, ABORT] {
        let world = second_leads(true);
        let error = Some((1032, "Can't find record in 't'"));
        world.lock().cluster("db").as_replication().behind = Some(Behind { ordinal: 0, error });
        let server = serve(&world, &Fates::default()).await;
        let run = run_quickly(&server, &[UPGRADE, &["--timeout", "4s"]].concat()).await;
        assert_eq!(run.exit, 6, "{}{}", run.stdout, run.stderr);
        let now = stands(&world);
        assert_eq!((now.open, now.clients, now.image.as_str()), (vec![1], Some(1), OLD), "{}", run.stderr);
        assert_eq!(now.sources, ["db-1, stopped", "nobody", "db-1"]);
        world.lock().cluster("db").as_replication().start_thread(0);
        played(&server, way, 0).await;
        assert_eq!(stands(&world), if way == RESUME { with(NEWER, 0) } else { with(OLD, 1) });
        assert!(!unfinished(&world));
    }
}

/// Whoever closed the primary is gone. It takes writes again, whatever became of the others and of the set.
#[tokio::test]
async fn the_primary_gets_its_role_back_and_needs_nobody_for_it() {
    let sick: [fn(&mut Cluster); 3] = [
        |cluster| cluster.as_replication().behind = Some(Behind { ordinal: 0, error: Some((1032, "Can't find record in 't'")) }),
        |cluster| cluster.member(0).exec = crate::support::world::ExecState::Missing,
        |cluster| cluster.image = "mariadb:other".to_owned(),
    ];
    for (number, change) in sick.into_iter().enumerate() {
        let world = second_leads(true);
        if number == 0 {
            change(world.lock().cluster("db"));
        }
        let dies = world.clone();
        let server =
            Server::start(
                move |request| {
                    if dies.lock().orders > 0 { Answer::error(401, "Unauthorized") } else { dies.answer(request) }
                },
            )
            .await;
        run_quickly(&server, UPGRADE).await;
        drop(server);
        assert!(stands(&world).open.is_empty());
        if number > 0 {
            change(world.lock().cluster("db"));
        }
        let server = serve(&world, &Fates::default()).await;
        played(&server, ABORT, 0).await;
        let now = stands(&world);
        assert_eq!((now.open, now.clients, unfinished(&world)), (vec![1], Some(1), false), "{number}");
    }
}

/// Whoever closed the primary is gone, and somebody has opened the other one by hand, as `status` says (MDB301).
#[tokio::test]
async fn nobody_is_opened_beside_the_one_that_was_promoted_by_hand() {
    for way in [RESUME, ABORT] {
        let world = second_leads(true);
        let dies = world.clone();
        let dying = move |request: &_| {
            if dies.lock().orders > 0 { Answer::error(401, "Unauthorized") } else { dies.answer(request) }
        };
        run_quickly(&Server::start(move |request| dying(request)).await, UPGRADE).await;
        assert!(stands(&world).open.is_empty());
        {
            let mut world = world.lock();
            let replication = world.cluster("db").as_replication();
            replication.server(0).channel = None;
            replication.server(0).read_only = false;
            replication.write(0, 3);
        }
        let server = serve(&world, &Fates::default()).await;
        played(&server, way, 0).await;
        assert_eq!(stands(&world), with(if way == RESUME { NEWER } else { OLD }, 0));
        assert!(!unfinished(&world));
    }
}

#[tokio::test]
async fn one_that_is_behind_is_waited_for() {
    let world = second_leads(true);
    world.lock().cluster("db").as_replication().behind = Some(Behind { ordinal: 0, error: None });
    let server = serve(&world, &Fates::default()).await;
    let later = async {
        while !world.lock().cluster("db").as_replication().server(1).read_only {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = stands(&world);
        assert_eq!((now.open, now.clients), (vec![], Some(1)), "it was not waited for");
        world.lock().cluster("db").as_replication().start_thread(0);
    };
    let (run, ()) = tokio::join!(played(&server, UPGRADE, 0), later);
    assert_eq!(stands(&world), with(NEWER, 0), "{}", run.stderr);
    let all = world.lock().cluster("db").as_replication().variables(0)["gtid_binlog_pos"].clone();
    assert!(all.ends_with("-10"), "{all}");
}

/// Clients write wherever they are led, at every request. What was acknowledged is everywhere in the end.
#[tokio::test]
async fn nothing_that_clients_wrote_is_missing() {
    let world = second_leads(true);
    let acknowledged = Arc::new(Mutex::new(7));
    let (writing, counted) = (world.clone(), Arc::clone(&acknowledged));
    let server = Server::start(move |request| {
        let led = writing.lock().cluster("db").clients.unwrap();
        {
            let mut world = writing.lock();
            let replication = world.cluster("db").as_replication();
            if replication.runs(led) && !replication.server(led).read_only {
                replication.write(led, 1);
                *counted.lock().unwrap() += 1;
            }
        }
        let answer = writing.answer(request);
        watch(&writing);
        answer
    })
    .await;
    let run = played(&server, UPGRADE, 0).await;
    assert_eq!(stands(&world), with(NEWER, 0), "{}", run.stderr);
    let all = world.lock().cluster("db").as_replication().variables(2)["gtid_binlog_pos"].clone();
    assert_eq!(all, format!("0-100-{}", acknowledged.lock().unwrap()));
}

/// Goes on in this way with what a first run left.
async fn ended(world: &Shared, first: &Run, way: &[&str], cut: &str) {
    let begun = unfinished(world);
    let server = serve(world, &Fates::default()).await;
    let mut said = format!("{cut}\n{}{}", first.stdout, first.stderr);
    if begun {
        let run = run_quickly(&server, way).await;
        said = format!("{said}\n--- {way:?}\n{}{}", run.stdout, run.stderr);
        assert_eq!(run.exit, 0, "{said}");
    }
    // The journal was not written yet, or its end was; or it was taken back, before or after the role had gone over.
    let wanted = match (begun, first.exit) {
        (true, _) if way == ABORT => vec![with(OLD, 1), with(OLD, 0)],
        (false, exit) if exit != 0 => vec![with(OLD, 1), with(NEWER, 0)],
        _ => vec![with(NEWER, 0)],
    };
    let now = stands(world);
    assert!(wanted.contains(&now), "{now:#?}\n{said}");
    assert!(!unfinished(world), "something is left: {said}");
}

async fn cut(of: Of, number: usize, fate: Fate, way: &'static [&'static str]) {
    let world = second_leads(number.is_multiple_of(2));
    let server = serve(&world, &Fates::new(of, Some((number, fate)))).await;
    let first = run_quickly(&server, UPGRADE).await;
    drop(server);
    ended(&world, &first, way, &format!("request {number} of {of:?} {fate:?}, then {way:?}")).await;
}

async fn cut_at(of: Of, usual: usize, fate: Fate, way: &'static [&'static str]) {
    let fates = Fates::new(of, None);
    let server = serve(&second_leads(false), &fates).await;
    played(&server, UPGRADE, 0).await;
    let all = fates.count();
    assert!(all > 10, "{all} of {of:?}");
    let cuts = (1..=all).step_by(every(usual)).map(|number| cut(of, number, fate, way));
    stream::iter(cuts).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn a_handover_that_dies_after_any_change_can_be_gone_on_with() {
    cut_at(Of::Changes, 1, Fate::Dies, RESUME).await;
}

#[tokio::test]
async fn a_handover_that_dies_after_any_change_can_be_taken_back() {
    cut_at(Of::Changes, 1, Fate::Dies, ABORT).await;
}

#[tokio::test]
async fn dying_before_any_answer_leaves_what_can_be_gone_on_with_or_taken_back() {
    for way in [RESUME, ABORT] {
        cut_at(Of::All, 29, Fate::Dies, way).await;
    }
}

#[tokio::test]
async fn whatever_gets_lost_it_ends_whole() {
    cut_at(Of::Changes, 5, Fate::Lost, RESUME).await;
    cut_at(Of::Changes, 4, Fate::Never, RESUME).await;
    cut_at(Of::Execs, 19, Fate::Lost, RESUME).await;
}

/// A statement was carried out, and its answer is lost; the plugin lives on, or is gone as well.
async fn cut_after(number: usize, dies: bool, way: &'static [&'static str]) {
    let world = second_leads(true);
    world.lock().breaks_after = Some(number);
    let shared = world.clone();
    let server = Server::start(move |request| {
        if dies && shared.lock().orders >= number {
            return Answer::error(401, "Unauthorized");
        }
        let answer = shared.answer(request);
        watch(&shared);
        answer
    })
    .await;
    let first = run_quickly(&server, UPGRADE).await;
    drop(server);
    ended(&world, &first, way, &format!("statement {number}, dies {dies}, then {way:?}")).await;
}

#[tokio::test]
async fn it_may_be_cut_after_any_statement() {
    let world = second_leads(true);
    let server = serve(&world, &Fates::default()).await;
    played(&server, UPGRADE, 0).await;
    let all = world.lock().orders;
    // Closed; the old primary and the other replica follow; promoted; opened again in the end.
    assert_eq!(all, 1 + 3 + 3 + 3 + 1, "{:?}", world.lock().statements);
    for (dies, way) in [(true, RESUME), (true, ABORT), (false, RESUME)] {
        let cuts = (1..=all).map(|number| cut_after(number, dies, way));
        stream::iter(cuts).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }
}
