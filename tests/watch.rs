//! Watching the model world: what changes is seen, nothing is asked twice, and what breaks comes back.

mod terminal;

use std::time::Duration;

use jiff::Timestamp;
use kubectl_mariadb::api::objects::get_stateful_set;
use kubectl_mariadb::model::fact::{Fact, Why};
use kubectl_mariadb::model::names::{Ordinal, Target};
use kubectl_mariadb::model::snapshot::Snapshot;
use kubectl_mariadb::observe::watch::{View, Watched, Watching};
use kubectl_mariadb::observe::{self, Depth};
use kubectl_mariadb::process::Clock;

use crate::support::program::start;
use crate::support::server::Server;
use crate::support::world::{Cluster, ExecState, Node, Pod, Shared, World};

const EVERY: Duration = Duration::from_millis(100);

fn depth() -> Depth {
    Depth { exec: true, pod_timeout: Duration::from_millis(600), clock: Clock::Fixed(Timestamp::UNIX_EPOCH) }
}

fn galera() -> Shared {
    World::with([Cluster::galera("shop", "db", 3)])
}

async fn watch(server: &Server, every: Duration) -> Watching {
    let api = server.api().await;
    let set = get_stateful_set(&api, "shop", "db").await.unwrap();
    Watching::start(&api, &Watched::one(&set), depth(), every)
}

/// The next view of this kind.
async fn until(watching: &mut Watching, what: &str, is: impl Fn(&View) -> bool) -> View {
    let mut last = None;
    let wanted = async {
        loop {
            let view = watching.next().await;
            if is(&view) {
                return view;
            }
            last = Some(view);
        }
    };
    let wanted = tokio::time::timeout(Duration::from_secs(15), wanted).await;
    wanted.unwrap_or_else(|_| panic!("never {what}: {last:#?}"))
}

fn only(view: &View) -> &Snapshot {
    assert_eq!(view.clusters.len(), 1);
    &view.clusters[0]
}

fn committed(seen: &Snapshot, ordinal: u32) -> Option<u64> {
    seen.members[&Ordinal(ordinal)].server.known().ok()?.galera.as_ref()?.status.last_committed
}

fn why(seen: &Snapshot, ordinal: u32) -> Option<&Why> {
    seen.members[&Ordinal(ordinal)].server.known().err()
}

fn lists(server: &Server) -> usize {
    server.log().text().lines().filter(|line| line.contains("limit=500")).count()
}

#[tokio::test]
async fn the_first_view_is_what_a_look_sees() {
    let server = galera().serve().await;
    let mut watching = watch(&server, EVERY).await;
    let first = watching.next().await;
    let target = Target { namespace: "shop".into(), name: "db".into() };
    let looked = observe::cluster(&server.api().await, &target, depth()).await.unwrap();
    assert_eq!(*only(&first), looked);
    assert_eq!(first.lost, None);
}

#[tokio::test]
async fn every_kind_of_change_is_a_new_view() {
    let world = galera();
    let server = world.serve().await;
    let mut watching = watch(&server, EVERY).await;
    watching.next().await;
    let before = lists(&server);
    world.lock().cluster("db").as_galera().write(0, 5);
    until(&mut watching, "what a server says", |view| committed(only(view), 0) == Some(15)).await;
    world.lock().cluster("db").member(2).pod = Pod::Running { ready: false };
    until(&mut watching, "a pod", |view| !only(view).members[&Ordinal(2)].pod.as_ref().unwrap().ready).await;
    world.lock().cluster("db").partition = 2;
    until(&mut watching, "the set", |view| format!("{:?}", only(view).objects.stateful_set.update_strategy).contains('2')).await;
    world.lock().cluster("db").member(1).claim_deleted = true;
    let deleted = |view: &View| only(view).objects.claims.known().unwrap().iter().any(|claim| claim.deletion.is_some());
    until(&mut watching, "a claim", deleted).await;
    world.lock().nodes.insert("n2".into(), Node::Silent);
    let silent = |view: &View| format!("{:?}", only(view).objects.nodes).contains("Silent");
    until(&mut watching, "a node", silent).await;
    world.lock().cluster("db").warnings.push(("Pod/db-1".into(), "BackOff", "restarting"));
    until(&mut watching, "an event", |view| only(view).objects.events.known().unwrap().len() == 1).await;
    world.lock().cluster("db").scale(2);
    let scaled = |view: &View| only(view).members.len() == 2 && committed(only(view), 0).is_some();
    until(&mut watching, "a pod less", scaled).await;
    world.lock().clusters.clear();
    until(&mut watching, "no cluster", |view| view.clusters.is_empty()).await;
    assert_eq!(lists(&server), before, "{}", server.log().text());
}

#[tokio::test]
async fn an_idle_minute_asks_nothing_but_samples() {
    let world = galera();
    let server = world.serve().await;
    let mut watching = watch(&server, Duration::from_secs(1)).await;
    watching.next().await;
    let (requests, samples) = (server.log().len(), world.samples());
    tokio::time::pause();
    for _ in 0..60 {
        // A little more than a second: timers have whole milliseconds.
        tokio::time::advance(Duration::from_millis(1005)).await;
        // Time stands still while real messages travel.
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(10))).await.unwrap();
    }
    let sampled = world.samples() - samples;
    assert_eq!(server.log().len(), requests, "{}", server.log().text());
    assert!((150..=186).contains(&sampled), "{sampled} samples of 3 pods in 60 s");
}

#[tokio::test]
async fn a_version_that_was_forgotten_is_listed_anew() {
    let world = galera();
    let server = world.serve().await;
    let mut watching = watch(&server, EVERY).await;
    watching.next().await;
    let before = lists(&server);
    {
        let mut world = world.lock();
        world.told.forget();
        world.expiries += 1;
        world.cluster("db").member(2).pod = Pod::Running { ready: false };
    }
    until(&mut watching, "the pod", |view| !only(view).members[&Ordinal(2)].pod.as_ref().unwrap().ready).await;
    assert!(lists(&server) > before);
}

#[tokio::test]
async fn cut_connections_are_made_again() {
    let world = galera();
    let server = world.serve().await;
    let mut watching = watch(&server, EVERY).await;
    watching.next().await;
    world.lock().cuts += 1;
    {
        let mut world = world.lock();
        world.cluster("db").as_galera().write(0, 5);
        world.cluster("db").member(2).pod = Pod::Running { ready: false };
    }
    let back = |view: &View| {
        let seen = only(view);
        committed(seen, 0) == Some(15) && !seen.members[&Ordinal(2)].pod.as_ref().unwrap().ready
    };
    until(&mut watching, "both again", back).await;
}

#[tokio::test]
async fn what_was_seen_last_stays_while_the_api_server_is_away() {
    let world = galera();
    let server = world.serve().await;
    let mut watching = watch(&server, EVERY).await;
    let first = watching.next().await;
    {
        let mut world = world.lock();
        world.down = Some((503, "the API server restarts"));
        world.cuts += 1;
    }
    let lost = until(&mut watching, "lost", |view| view.lost.is_some()).await;
    assert!(lost.lost.as_ref().unwrap().why.contains("the API server restarts"), "{:?}", lost.lost);
    assert_eq!(only(&lost).members, only(&first).members);
    {
        let mut world = world.lock();
        world.down = None;
        world.cluster("db").as_galera().write(0, 5);
    }
    let back = until(&mut watching, "back", |view| view.lost.is_none() && committed(only(view), 0) == Some(15)).await;
    assert!((0..3).all(|ordinal| why(only(&back), ordinal).is_none()));
}

#[tokio::test]
async fn a_pod_that_goes_silent_is_unknown_after_its_time_and_comes_back() {
    let world = galera();
    let server = world.serve().await;
    let mut watching = watch(&server, EVERY).await;
    watching.next().await;
    world.lock().cluster("db").member(1).exec = ExecState::Hangs;
    let limit = depth().pod_timeout;
    let silent = until(&mut watching, "silent", |view| why(only(view), 1) == Some(&Why::TimedOut(limit))).await;
    assert!(why(only(&silent), 0).is_none());
    world.lock().cluster("db").as_galera().write(0, 5);
    until(&mut watching, "the others", |view| committed(only(view), 0) == Some(15) && why(only(view), 1).is_some()).await;
    world.lock().cluster("db").member(1).exec = ExecState::Answers;
    until(&mut watching, "the pod again", |view| committed(only(view), 1) == Some(15)).await;
}

#[tokio::test]
async fn missing_rights_leave_the_rest() {
    let world = galera();
    world.lock().denied.extend(["list events", "watch services", "get pods/exec"]);
    let server = world.serve().await;
    let mut watching = watch(&server, EVERY).await;
    // On a busy machine a look may come before a pod has answered.
    let answered = |view: &View| why(only(view), 0) != Some(&Why::NotAsked);
    let view = until(&mut watching, "an answer of db-0", answered).await;
    let seen = only(&view);
    assert_eq!(seen.objects.events, Fact::Unknown(Why::Forbidden("list events in namespace shop".into())));
    assert_eq!(seen.objects.services.known().unwrap().len(), 2);
    assert_eq!(why(seen, 0), Some(&Why::Forbidden("get pods/exec in namespace shop".into())));
}

#[tokio::test]
async fn without_a_needed_right_nothing_is_claimed() {
    let (watch, wait) = (&["status", "db", "-w"][..], &["wait", "db", "--for=healthy"][..]);
    // A screen without what servers say is a screen; nobody can wait for what nobody may see.
    for (right, commands) in
        [("list pods", &[watch, wait][..]), ("list statefulsets", &[watch, wait]), ("get pods/exec", &[wait])]
    {
        let world = galera();
        world.lock().denied.extend([right]);
        let server = world.serve().await;
        for args in commands {
            let run = start(&server, args, false).end().await;
            assert_eq!((run.exit, run.stdout.as_str()), (8, ""), "{args:?} without {right}");
            assert!(run.stderr.contains(&format!("error: you may not {}", right.split(' ').next().unwrap())), "{}", run.stderr);
        }
    }
}

#[tokio::test]
async fn a_fleet_grows_and_shrinks() {
    let world = World::with([Cluster::galera("shop", "db", 3), Cluster::replication("bank", "ledger", 2)]);
    let server = world.serve().await;
    let api = server.api().await;
    let mut watching = Watching::start(&api, &Watched::Many { namespace: None, labels: None }, depth(), EVERY);
    let names = |view: &View| view.clusters.iter().map(|seen| seen.target.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&watching.next().await), ["bank/ledger", "shop/db"]);
    world.lock().clusters.push(Cluster::replication("shop", "cache", 1));
    let grown = |view: &View| {
        view.clusters.len() == 3
            && view.clusters.iter().all(|seen| seen.members.values().all(|member| member.server.known().is_ok()))
    };
    until(&mut watching, "one more", grown).await;
    world.lock().clusters.retain(|cluster| cluster.name == "ledger");
    until(&mut watching, "two less", |view| view.clusters.len() == 1).await;
}

#[tokio::test]
async fn more_pods_than_sessions_are_looked_at_in_turns() {
    let world = World::with((0..12).map(|number| Cluster::galera("shop", &format!("db{number:02}"), 3)));
    let server = world.serve().await;
    let api = server.api().await;
    let watched = Watched::Many { namespace: Some("shop".into()), labels: None };
    let mut watching = Watching::start(&api, &watched, Depth { pod_timeout: Duration::from_secs(10), ..depth() }, EVERY);
    let first = watching.next().await;
    assert!(first.clusters.iter().all(|seen| seen.members.values().all(|member| member.server.known().is_ok())));
    assert!((36..=37).contains(&world.samples()), "{}", world.samples());
}

#[tokio::test]
async fn without_a_terminal_each_change_is_a_line() {
    let world = galera();
    let server = world.serve().await;
    let run = start(&server, &["status", "db", "-w"], false);
    run.says("shop/db Healthy: 3 of 3 members Synced in one primary component\n").await;
    world.lock().cluster("db").as_galera().disconnect(2);
    run.says("db-2 Synced → Disconnected; db-2 member → no role; +MDB212 ").await;
    run.close_stdout();
    world.lock().cluster("db").member(2).pod = Pod::Absent;
    let run = run.end().await;
    // Nothing else has changed: sequence numbers and times are no change.
    assert_eq!(run.stdout.lines().count(), 2, "{}", run.stdout);
    assert!(run.stdout.starts_with("2026-01-02T04:00:0"), "{}", run.stdout);
}

#[tokio::test]
async fn jsonl_is_a_document_for_each_change() {
    let world = galera();
    let server = world.serve().await;
    let run = start(&server, &["status", "db", "-w", "-o", "jsonl"], false);
    run.says("\"state\":\"healthy\"").await;
    {
        let mut world = world.lock();
        world.down = Some((503, "away"));
        world.cuts += 1;
    }
    run.says("\"lost\":{\"since\"").await;
    world.lock().down = None;
    for _ in 0..500 {
        if run.stdout().lines().count() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.close_stdout();
    world.lock().cluster("db").member(2).pod = Pod::Absent;
    let run = run.end().await;
    let documents: Vec<serde_json::Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = documents.iter().map(|one| (one["kind"].as_str().unwrap(), one["exitCode"].as_u64().unwrap())).collect();
    assert_eq!(told, [("Status", 0), ("Status", 4), ("Status", 0)], "{}", run.stdout);
}

#[tokio::test]
async fn a_terminal_shows_a_screen_that_stays_and_q_ends_it_with_the_last_verdict() {
    let world = galera();
    let server = world.serve().await;
    let run = start(&server, &["status", "db", "-w", "--color=never"], true);
    run.says("q: end").await;
    world.lock().cluster("db").as_galera().disconnect(2);
    run.says("Degraded").await;
    run.press(b'x');
    run.press(b'q');
    let run = run.end().await;
    assert_eq!(run.exit, 3);
    let (live, last) = run.stdout.split_once("\u{1b}[?1049l").expect("the normal screen comes back");
    assert!(live.starts_with("\u{1b}[?2026h\u{1b}[?1049h"));
    // Only the first frame begins with an empty screen.
    assert_eq!(live.matches("\u{1b}[2J").count(), 1);
    assert!(last.starts_with("Degraded: 2 of 3 members Synced"), "{last}");
    assert!(!last.contains('\u{1b}'), "{last}");
}

#[tokio::test]
async fn forms_that_are_one_answer_are_refused_before_anything_is_asked() {
    let server = galera().serve().await;
    for form in ["json", "yaml", "name"] {
        let run = start(&server, &["status", "-w", "-o", form], false).end().await;
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""));
        assert!(run.stderr.starts_with(&format!("error: --watch does not go with -o {form}, ")), "{}", run.stderr);
    }
    assert_eq!(server.log().len(), 0);
}
