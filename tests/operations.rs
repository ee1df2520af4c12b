//! Operations, whole, in this process against the model world: stopping, starting, dying in the middle, going on, taking back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kubectl_mariadb::process::Pace;

use crate::support::program::{QUICK, Run, run_at, run_quickly};
use crate::support::server::{Answer, Request, Server};
use crate::support::world::{Cluster, Engine, Shared, World};

mod cuts;
mod grace;
mod handover;
mod hold;
mod left;
mod operated;
mod operator;
mod rebuild;
mod recover;
mod refusals;
mod scale;
mod screens;
mod seeding;
mod unread;
mod upgrade;

const STOP: &[&str] = &["stop", "db", "-y"];
const START: &[&str] = &["start", "db", "-y"];
const RESUME: &[&str] = &["operation", "resume", "db", "-y"];
const ABORT: &[&str] = &["operation", "abort", "db", "-y"];

fn cluster(ordered: bool) -> Cluster {
    Cluster::galera("shop", "db", 3).controlled(ordered)
}

/// What happens to one request on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It is carried out, and whoever asked for it dies before the answer.
    Dies,
    /// It is carried out, and the answer is lost.
    Lost,
    /// The connection breaks before it arrives.
    Never,
    /// It and the next few do not arrive: the API server is gone for a while.
    Away,
}

/// Which requests are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Of {
    #[default]
    Changes,
    Execs,
    All,
}

/// How many requests an API server that is gone for a while misses.
const MISSED: usize = 12;

/// Counts requests, and gives one of them its fate.
#[derive(Clone, Default)]
struct Fates(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    of: Of,
    count: usize,
    fate: Option<(usize, Fate)>,
    dead: bool,
    missed: usize,
}

impl Fates {
    /// The request of this number, among those that `of` counts, has this fate.
    fn new(of: Of, fate: Option<(usize, Fate)>) -> Self {
        Self(Arc::new(Mutex::new(Counted { of, fate, ..Counted::default() })))
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().count
    }
}

impl Counted {
    fn fate_of(&mut self, request: &Request) -> Option<Fate> {
        let change = request.method != "GET" && request.query("dryRun").is_none();
        let counts = match self.of {
            Of::Changes => change,
            Of::Execs => request.path.ends_with("/exec"),
            Of::All => true,
        };
        self.count += usize::from(counts);
        let (number, fate) = self.fate?;
        let hit = counts && number == self.count;
        if fate == Fate::Away && (hit || (1..MISSED).contains(&self.missed)) {
            self.missed += 1;
            return Some(Fate::Away);
        }
        hit.then_some(fate)
    }
}

/// The world behind an API server, watched: there is never more than one primary component, and no volume goes.
async fn serve(world: &Shared, fates: &Fates) -> Server {
    let (world, fates) = (world.clone(), fates.clone());
    Server::start(move |request| {
        let mut counted = fates.0.lock().unwrap();
        if counted.dead {
            return Answer::error(401, "Unauthorized");
        }
        let fate = counted.fate_of(request);
        if matches!(fate, Some(Fate::Never | Fate::Away)) {
            return Answer::Cut("");
        }
        let answer = world.answer(request);
        watch(&world);
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

fn watch(world: &Shared) {
    let mut world = world.lock();
    let cluster = world.cluster("db");
    if let Engine::Gtid(_) = cluster.engine {
        let ordinals: Vec<u32> = cluster.members.keys().copied().collect();
        let replication = cluster.as_replication();
        let writable = |ordinal: &&u32| replication.runs(**ordinal) && !replication.server(**ordinal).read_only;
        let writable = ordinals.iter().filter(writable).count();
        assert!(writable <= 1 || cluster.seeding.open, "two servers take writes");
    } else if cluster.controller.stray.is_none() {
        assert!(cluster.as_galera().primaries().len() <= 1, "two primary components");
    }
    let kept = cluster.controller.prunes || cluster.members.values().all(|member| member.has_claim);
    assert!(kept, "a volume was deleted");
}

/// How the set stands: replicas, start, whether it deletes volumes, the members that are Primary.
type Standing = (u32, u32, bool, Vec<Vec<u32>>);

fn standing(world: &Shared) -> Standing {
    let mut world = world.lock();
    let cluster = world.cluster("db");
    let primaries = cluster.as_galera().primaries().into_iter().map(|members| members.into_iter().collect()).collect();
    (cluster.replicas, cluster.controller.start, cluster.controller.deletes_claims, primaries)
}

fn runs(deletes: bool) -> Standing {
    (3, 0, deletes, vec![vec![0, 1, 2]])
}

fn down() -> Standing {
    (0, 0, false, vec![])
}

fn unfinished(world: &Shared) -> bool {
    !world.lock().config_maps.kept("kubectl-mariadb.db", "current").is_null()
}

/// Without what was waited for, which differs from run to run.
fn without_waits(text: &str) -> String {
    let mut waits = false;
    let says = |line: &&str| {
        waits = line.trim_start().starts_with("waiting: ") || waits && line.starts_with("      ");
        !waits
    };
    text.lines().filter(says).collect::<Vec<_>>().join("\n")
}

async fn played(server: &Server, args: &[&str], exit: u8) -> Run {
    let run = run_quickly(server, args).await;
    assert_eq!(run.exit, exit, "{args:?}\n{}{}", run.stdout, run.stderr);
    run
}

/// A cluster that was stopped.
async fn stopped(ordered: bool, deletes: bool) -> Shared {
    let mut cluster = cluster(ordered);
    cluster.controller.deletes_claims = deletes;
    let world = World::with([cluster]);
    let server = serve(&world, &Fates::default()).await;
    played(&server, STOP, 0).await;
    world
}

#[tokio::test]
async fn a_cluster_stops_and_starts_again() {
    for (ordered, deletes) in [(true, false), (false, true), (true, true), (false, false)] {
        let world = stopped(ordered, deletes).await;
        assert_eq!(standing(&world), down(), "ordered {ordered}, deletes {deletes}");
        assert!(!unfinished(&world));
        let position = world.lock().cluster("db").as_galera().position(0);
        let server = serve(&world, &Fates::default()).await;
        played(&server, START, 0).await;
        assert_eq!(standing(&world), runs(deletes));
        assert!(!unfinished(&world));
        assert!(world.lock().cluster("db").founder().is_none(), "the bootstrap pod is left");
        assert!(world.lock().config_maps.kept("kubectl-mariadb.db", "stopped").is_null());
        let history = |position: &str| position.split(':').next().unwrap().to_owned();
        assert_eq!(history(&world.lock().cluster("db").as_galera().position(2)), history(&position));
    }
}

/// What is sent is told before it is sent; what is only asked about, too.
#[tokio::test]
async fn every_request_that_changes_something_can_be_shown() {
    let world = World::with([cluster(false)]);
    let server = serve(&world, &Fates::default()).await;
    let quiet = played(&server, &["stop", "db", "--dry-run=server"], 0).await;
    assert!(!quiet.stderr.contains("PATCH "), "{}", quiet.stderr);
    let proven = played(&server, &["stop", "db", "--dry-run=server", "--show-requests"], 0).await;
    let patches: Vec<&str> = proven.stderr.lines().filter(|line| line.starts_with("PATCH ")).collect();
    assert!(patches.len() == 3 && patches.iter().all(|line| line.contains("dryRun=All")), "{}", proven.stderr);
    assert!(proven.stderr.contains(r#"{"op":"replace","path":"/spec/replicas","value":2}"#), "{}", proven.stderr);
    let done = played(&server, &["stop", "db", "-y", "--show-requests"], 0).await;
    let sent = done.stderr.lines().filter(|line| line.starts_with("PATCH /apis/apps/v1/") && !line.contains("dryRun")).count();
    assert_eq!((sent, standing(&world)), (3, down()), "{}", done.stderr);
}

#[tokio::test]
async fn two_at_once_do_not_take_each_others_steps() {
    let world = World::with([cluster(false)]);
    let server = serve(&world, &Fates::default()).await;
    let (one, other) = tokio::join!(run_quickly(&server, STOP), run_quickly(&server, STOP));
    let mut exits = [one.exit, other.exit];
    exits.sort_unstable();
    assert_eq!(exits, [0, 5], "{}{}\n{}{}", one.stdout, one.stderr, other.stdout, other.stderr);
    assert_eq!(standing(&world), down());
}

/// The plugin that stops the cluster, with its heart beating.
fn beating(server: &Server) -> impl Future<Output = Run> {
    run_at(server, STOP, Pace { beat: Duration::from_millis(20), patience: Duration::from_secs(60), ..QUICK })
}

#[tokio::test]
async fn an_operation_that_is_being_carried_out_is_not_taken_over() {
    let world = World::with([cluster(false)]);
    world.lock().cluster("db").controller.idle = true;
    let server = serve(&world, &Fates::default()).await;
    let other = async {
        while !unfinished(&world) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let run = played(&server, RESUME, 5).await;
        assert!(run.stdout.contains("MDB721"), "{}", run.stdout);
        let asked = played(&server, &["operation", "stop", "db"], 0).await;
        assert!(asked.stdout.contains("is asked to stop"), "{}", asked.stdout);
        world.lock().cluster("db").controller.idle = false;
    };
    let (first, ()) = tokio::join!(beating(&server), other);
    assert_eq!(first.exit, 130, "{}{}", first.stdout, first.stderr);
    assert!(first.stderr.contains("stopping after this step; once more to leave at once"), "{}", first.stderr);
    assert!(first.stdout.starts_with("Stopped after `stop db-2`. The stop of db is unfinished."), "{}", first.stdout);
    played(&server, RESUME, 0).await;
    assert_eq!(standing(&world), down());
}
