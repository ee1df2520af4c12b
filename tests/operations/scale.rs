//! `scale`, whole: members come and go one at a time, volumes stay, and nothing starts on a volume that was not read.

use futures::stream::{self, StreamExt as _};
use serde_json::json;

use super::cuts::{AT_ONCE, every};
use super::*;
use crate::support::world::Pod;

const TO_5: &[&str] = &["scale", "db", "--replicas", "5", "-y"];
const TO_3: &[&str] = &["scale", "db", "--replicas", "3", "-y"];
const TO_1: &[&str] = &["scale", "db", "--replicas", "1", "-y"];
const REUSE: &[&str] = &["scale", "db", "--replicas", "5", "--reuse-pvcs", "-y"];
const PRUNE: &[&str] = &["scale", "db", "--replicas", "5", "--prune-pvcs", "-y"];

/// A cluster of so many members.
fn of(replicas: u32, deletes: bool) -> Standing {
    (replicas, 0, deletes, vec![(0..replicas).collect()])
}

fn grown() -> Cluster {
    Cluster::galera("shop", "db", 5).controlled(false)
}

/// Three members, and the volumes of two that have left.
fn shrunk() -> Cluster {
    let mut cluster = grown();
    cluster.scale(3);
    cluster
}

/// How often each member got a full copy.
fn copies(world: &Shared) -> Vec<u32> {
    let mut world = world.lock();
    let galera = world.cluster("db").as_galera();
    (0..5).map(|ordinal| galera.copies(ordinal)).collect()
}

/// How often the pods of those that stay were made anew.
fn remade(world: &Shared) -> [u32; 3] {
    let mut world = world.lock();
    [0, 1, 2].map(|ordinal| world.cluster("db").member(ordinal).remade)
}

/// Without what was waited for, which differs from run to run.
fn told(run: &Run, server: &Server) -> String {
    without_waits(&run.text(server))
}

#[tokio::test]
async fn members_come_and_go_one_by_one_and_volumes_stay() {
    for ordered in [false, true] {
        let world = World::with([cluster(ordered)]);
        let server = serve(&world, &Fates::default()).await;
        let out = played(&server, TO_5, 0).await;
        assert_eq!((standing(&world), copies(&world)), (of(5, false), vec![0, 0, 0, 1, 1]));
        let back = played(&server, TO_3, 0).await;
        assert_eq!(standing(&world), of(3, false));
        let refused = played(&server, TO_5, 5).await;
        let reused = played(&server, REUSE, 0).await;
        assert_eq!((standing(&world), copies(&world)), (of(5, false), vec![0, 0, 0, 1, 1]), "they had what they needed");
        played(&server, TO_1, 0).await;
        assert_eq!(standing(&world), of(1, false));
        assert_eq!(played(&server, TO_1, 0).await.stdout, "db has 1 member already: there is nothing to do\n");
        world.lock().cluster("db").controller.prunes = true;
        played(&server, &["scale", "db", "--replicas", "3", "--prune-pvcs", "-y"], 0).await;
        assert_eq!((standing(&world), copies(&world)), (of(3, false), vec![0, 1, 1, 1, 1]));
        assert!(!unfinished(&world) && world.lock().helpers.alive().is_empty());
        if !ordered {
            insta::assert_snapshot!("scaled_out", told(&out, &server));
            insta::assert_snapshot!("scaled_in", told(&back, &server));
            insta::assert_snapshot!("scale_stale", refused.text(&server));
            insta::assert_snapshot!("scale_reused", told(&reused, &server));
        }
    }
}

#[tokio::test]
async fn a_set_that_deletes_volumes_deletes_none_and_is_the_same_afterwards() {
    for (ordered, args, after) in [(true, TO_1, 1), (false, TO_1, 1), (false, TO_5, 5)] {
        let mut deleting = cluster(ordered);
        deleting.controller.deletes_claims = true;
        let world = World::with([deleting]);
        let server = serve(&world, &Fates::default()).await;
        let run = played(&server, args, 0).await;
        assert_eq!(standing(&world), of(after, true), "{}", run.stderr);
        if ordered {
            insta::assert_snapshot!("scaled_in_deletes", told(&run, &server));
        }
    }
}

#[tokio::test]
async fn what_is_refused_says_what_to_do() {
    let world = World::with([cluster(false)]);
    let server = serve(&world, &Fates::default()).await;
    insta::assert_snapshot!("scale_to_zero", played(&server, &["scale", "db", "--replicas", "0", "-y"], 5).await.text(&server));
    let args = &["scale", "db", "--replicas", "5", "--current-replicas", "4", "-y"];
    insta::assert_snapshot!("scale_current", played(&server, args, 5).await.text(&server));
    assert_eq!(played(&server, TO_3, 0).await.stdout, "db has 3 members already: there is nothing to do\n");
    let expected = &["scale", "db", "--replicas", "5", "--current-replicas", "3", "--dry-run"];
    insta::assert_snapshot!("scale_dry_run", played(&server, expected, 0).await.text(&server));
    played(&server, &["scale", "db", "--replicas", "5", "--reuse-pvcs", "--prune-pvcs"], 2).await;
    world.lock().cluster("db").controller.labels = json!({ "argocd.argoproj.io/instance": "shop" });
    let argo = played(&server, PRUNE, 5).await;
    assert!(argo.stdout.contains("scale db --replicas 5 --prune-pvcs --gitops-paused"), "{}", argo.stdout);
    assert_eq!((standing(&world), remade(&world)), (of(3, false), [0, 0, 0]));

    let mut broken = cluster(false);
    broken.as_galera().disconnect(1);
    let broken = World::with([broken]);
    let server = serve(&broken, &Fates::default()).await;
    insta::assert_snapshot!("scale_not_whole", told(&played(&server, TO_1, 5).await, &server));

    let operated = World::with([Cluster::galera("shop", "db", 3).controlled(false).operated()]);
    let server = serve(&operated, &Fates::default()).await;
    insta::assert_snapshot!("scale_operated", played(&server, TO_5, 5).await.text(&server));
    let single = World::with([Cluster::replication("shop", "db", 1)]);
    let server = single.serve().await;
    insta::assert_snapshot!("scale_single", played(&server, TO_3, 5).await.text(&server));
}

#[tokio::test]
async fn a_replica_leaves_and_the_primary_stays() {
    let world = World::with([Cluster::replication("shop", "db", 3).controlled(true)]);
    let server = world.serve().await;
    let run = played(&server, &["scale", "db", "--replicas", "2", "-y"], 0).await;
    insta::assert_snapshot!("scale_replica_in", told(&run, &server));
    {
        let mut world = world.lock();
        let cluster = world.cluster("db");
        assert!(cluster.replicas == 2 && cluster.members[&2].pod == Pod::Absent && cluster.members[&2].has_claim);
    }
    let lies = played(&server, TO_3, 5).await;
    assert!(lies.stdout.contains("MDB751") && lies.stdout.contains("--replicas 3 --reuse-pvcs"), "{}", lies.stdout);
    {
        let mut world = world.lock();
        let cluster = world.cluster("db");
        cluster.as_replication().follow(0, 1);
        let primary = cluster.as_replication().server(1);
        (primary.channel, primary.read_only) = (None, false);
        cluster.as_replication().server(0).read_only = true;
    }
    let refused = played(&server, TO_1, 5).await;
    assert!(refused.stdout.contains("MDB754") && refused.stdout.contains("db-1 is the primary"), "{}", refused.stdout);
}

#[tokio::test]
async fn what_a_volume_holds_more_is_not_erased() {
    let mut foreign = shrunk();
    foreign.as_galera().put_foreign(4, 7);
    let world = World::with([foreign]);
    world.lock().cluster("db").controller.prunes = true;
    let server = serve(&world, &Fates::default()).await;
    insta::assert_snapshot!("scale_foreign", told(&played(&server, REUSE, 5).await, &server));
    assert_eq!((standing(&world), unfinished(&world)), (of(3, false), false));
    let refused = played(&server, PRUNE, 5).await;
    assert!(refused.stdout.contains("MDB752"), "{}", refused.stdout);
    let words = refused.stdout.split_whitespace().find(|word| word.starts_with("--accept-data-loss=")).unwrap().to_owned();
    let run = played(&server, &[PRUNE, &[&words]].concat(), 0).await;
    assert!(run.stderr.contains("lost: db-4:"), "{}", run.stderr);
    assert_eq!((standing(&world), copies(&world)), (of(5, false), vec![0, 0, 0, 1, 1]));

    let mut ahead = shrunk();
    let state = ahead.as_galera().grastate(4);
    let seqno = state.lines().find(|line| line.starts_with("seqno:")).unwrap().to_owned();
    ahead.as_galera().put_grastate(4, &state.replace(&seqno, "seqno: 4000"));
    let world = World::with([ahead]);
    let server = serve(&world, &Fates::default()).await;
    insta::assert_snapshot!("scale_ahead", told(&played(&server, PRUNE, 5).await, &server));
    assert!(played(&server, REUSE, 5).await.stdout.contains("MDB753"));
    assert_eq!((standing(&world), copies(&world)), (of(3, false), vec![0; 5]));
}

/// A server that was killed: only recovery tells its position.
#[tokio::test]
async fn positions_that_the_files_do_not_tell_are_recovered() {
    let mut killed = grown();
    killed.as_galera().kill(&[4]);
    killed.as_galera().write(0, 3);
    killed.scale(3);
    killed.member(4).pod = Pod::Absent;
    let world = World::with([killed]);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, REUSE, 0).await;
    let kinds: Vec<String> = world.lock().helpers.created.iter().map(|job| job["metadata"]["name"].to_string()).collect();
    assert!(kinds.len() == 3 && kinds[2].contains("recover"), "{kinds:?}");
    assert_eq!(standing(&world), of(5, false), "{}", run.stderr);
}

#[tokio::test]
async fn a_pod_that_finds_no_node_is_set_back_when_it_is_given_up() {
    let world = World::with([cluster(false)]);
    world.lock().cluster("db").controller.no_room = Some(4);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, &[TO_5, &["--timeout", "4s"]].concat(), 6).await;
    let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("db-4 finds no node: Unschedulable: 0/3 nodes are available: 3 Insufficient memory."), "{words}");
    assert_eq!(standing(&world).0, 4, "it may find one hours later");
    let back = played(&server, ABORT, 0).await;
    assert_eq!(standing(&world), of(3, false));
    assert!(back.stdout.starts_with("The scale of db was taken back; the volumes of db-3, db-4 are kept."), "{}", back.stdout);

    let world = World::with([cluster(true)]);
    world.lock().cluster("db").controller.no_room = Some(3);
    let server = serve(&world, &Fates::default()).await;
    played(&server, &[TO_5, &["--timeout", "4s"]].concat(), 6).await;
    world.lock().cluster("db").controller.no_room = None;
    played(&server, RESUME, 0).await;
    assert_eq!(standing(&world), of(5, false));
}

#[tokio::test]
async fn a_new_member_that_founds_a_second_cluster_is_stopped_at_once() {
    let world = World::with([cluster(false)]);
    world.lock().cluster("db").controller.stray = Some(4);
    let server = serve(&world, &Fates::default()).await;
    let run = played(&server, TO_5, 5).await;
    assert!(run.stdout.contains("MDB717"), "{}", run.stdout);
    assert_eq!(standing(&world).0, 4);
    let (server, _) = (serve(&world, &Fates::default()).await, world.lock().cluster("db").controller.stray.take());
    played(&server, ABORT, 0).await;
    assert_eq!(standing(&world), of(3, false));
}

/// Somebody else changes the number in the middle.
#[tokio::test]
async fn a_number_from_outside_is_not_overwritten() {
    let world = World::with([cluster(false)]);
    let outside = world.clone();
    let server = Server::start(move |request| {
        let answer = outside.answer(request);
        let mut world = outside.lock();
        let cluster = world.cluster("db");
        if cluster.replicas == 4 && cluster.members.get(&3).is_some_and(|member| member.pod != Pod::Absent) {
            cluster.scale_from_outside(6);
        }
        drop(world);
        answer
    })
    .await;
    let run = played(&server, TO_5, 5).await;
    assert!(run.stdout.contains("MDB712"), "{}", run.stdout);
    assert_eq!(standing(&world).0, 6);
}

/// A world, what is played in it, and how many members there are before and after.
struct Play {
    world: fn() -> Shared,
    args: &'static [&'static str],
    before: u32,
    after: u32,
    deletes: bool,
}

fn deleting(mut cluster: Cluster) -> Shared {
    cluster.controller.deletes_claims = true;
    World::with([cluster])
}

fn pruning() -> Shared {
    let mut cluster = shrunk();
    cluster.controller.prunes = true;
    World::with([cluster])
}

const PLAYS: [Play; 4] = [
    Play { world: || deleting(grown()), args: TO_1, before: 5, after: 1, deletes: true },
    Play { world: || deleting(cluster(true)), args: TO_5, before: 3, after: 5, deletes: true },
    Play { world: || World::with([shrunk()]), args: REUSE, before: 3, after: 5, deletes: false },
    Play { world: pruning, args: PRUNE, before: 3, after: 5, deletes: false },
];

impl Play {
    async fn changes(&self) -> usize {
        let fates = Fates::new(Of::Changes, None);
        let world = (self.world)();
        let server = serve(&world, &fates).await;
        played(&server, self.args, 0).await;
        fates.count()
    }

    /// Gives a change of it this fate, and then goes on in this way. Whether it was taken back.
    async fn cut(&self, number: usize, fate: Fate, way: &'static [&'static str]) -> bool {
        let cut = format!("{:?}, change {number} {fate:?}, then {way:?}", self.args);
        let world = (self.world)();
        let server = serve(&world, &Fates::new(Of::Changes, Some((number, fate)))).await;
        let first = run_quickly(&server, self.args).await;
        drop(server);
        let server = serve(&world, &Fates::default()).await;
        let (before, after) = (of(self.before, self.deletes), of(self.after, self.deletes));
        if !unfinished(&world) {
            let stands = standing(&world);
            assert!(stands == before || stands == after, "{cut}: {stands:?}\n{}", first.stderr);
            return stands == before;
        }
        let run = run_quickly(&server, way).await;
        let back = way == ABORT && run.exit == 0;
        if back {
            assert_eq!(standing(&world), before, "{cut}\n{}{}", run.stdout, run.stderr);
        } else if way == ABORT {
            assert!(run.exit == 5 && run.stdout.contains("MDB718"), "{cut}\n{}{}", run.stdout, run.stderr);
            played(&server, RESUME, 0).await;
        } else {
            assert_eq!(run.exit, 0, "{cut}\n{}{}{}", first.stderr, run.stdout, run.stderr);
        }
        assert!(back || standing(&world) == after, "{cut}: {:?}", standing(&world));
        assert!(!unfinished(&world), "{cut}: something is left");
        assert_eq!(remade(&world)[0], 0, "{cut}: the lowest was touched");
        back
    }

    async fn cut_everywhere(&self, fate: Fate, way: &'static [&'static str]) -> (usize, usize) {
        self.cut_at(1, fate, way).await
    }

    async fn cut_at(&self, every: usize, fate: Fate, way: &'static [&'static str]) -> (usize, usize) {
        let cuts = (1..=self.changes().await).step_by(every).map(|number| self.cut(number, fate, way));
        let back: Vec<bool> = stream::iter(cuts).buffer_unordered(AT_ONCE).collect().await;
        let (all, back) = (back.len(), back.into_iter().filter(|back| *back).count());
        (back, all - back)
    }
}

#[tokio::test]
async fn a_scale_that_dies_after_any_change_can_be_gone_on_with() {
    for play in PLAYS {
        let (_, all) = play.cut_everywhere(Fate::Dies, RESUME).await;
        assert!(all > 4, "{:?}: {all}", play.args);
    }
}

#[tokio::test]
async fn a_scale_that_dies_after_any_change_can_be_taken_back_until_a_volume_is_deleted() {
    for play in PLAYS {
        let (back, forward) = play.cut_everywhere(Fate::Dies, ABORT).await;
        let deletes = play.args == PRUNE;
        assert!(back > 4 && (forward > 4) == deletes, "{:?}: {back} taken back, {forward} not", play.args);
    }
}

/// The plugin dies after each change in turn. Then somebody scales the set up and down again: other volumes lie there.
#[tokio::test]
async fn what_others_have_left_there_meanwhile_is_read_like_the_rest() {
    let cut = async |play: &Play, number: usize| {
        let world = (play.world)();
        run_quickly(&serve(&world, &Fates::new(Of::Changes, Some((number, Fate::Dies)))).await, play.args).await;
        if !unfinished(&world) || world.lock().cluster("db").replicas != 3 {
            return false;
        }
        let read = {
            let mut world = world.lock();
            let cluster = world.cluster("db");
            cluster.scale_from_outside(5);
            for ordinal in [3, 4] {
                let member = cluster.member(ordinal);
                (member.has_claim, member.claims_remade) = (true, member.claims_remade + 1);
            }
            cluster.scale_from_outside(3);
            world.helpers.created.len()
        };
        let run = run_quickly(&serve(&world, &Fates::default()).await, RESUME).await;
        let told = format!("{:?} dies at change {number}\n{}{}", play.args, run.stdout, run.stderr);
        assert_eq!((run.exit, standing(&world)), (0, of(5, false)), "{told}");
        assert!(world.lock().helpers.created.len() > read, "{told}");
        true
    };
    for play in &PLAYS[2..] {
        let cuts = (1..=play.changes().await).map(|number| cut(play, number));
        let read: Vec<bool> = stream::iter(cuts).buffer_unordered(AT_ONCE).collect().await;
        let again = read.into_iter().filter(|again| *again).count();
        assert!(again > 2, "{:?}: {again}", play.args);
    }
}

#[tokio::test]
async fn any_answer_may_be_lost_and_any_change_may_not_arrive() {
    for play in [&PLAYS[0], &PLAYS[3]] {
        for fate in [Fate::Lost, Fate::Never] {
            play.cut_at(every(3), fate, RESUME).await;
        }
    }
}
