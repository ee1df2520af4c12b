//! Dying at any point, losing any answer, and an API server that is gone for a while: what is left can be gone on with, or
//! taken back, and the cluster ends whole.
//!
//! Every change is a cut point. Of all requests every ninth is; `EXHAUSTIVE=1` makes each one.

use futures::stream::{self, StreamExt as _};

use super::*;

/// Runs at once: they wait more than they work.
pub(super) const AT_ONCE: usize = 4;

/// An operation that is to be cut.
#[derive(Clone, Copy)]
struct Play {
    args: &'static [&'static str],
    ordered: bool,
    /// `whenScaled` was `Delete`.
    deletes: bool,
}

const STOPS: Play = Play { args: STOP, ordered: true, deletes: true };
const STARTS: Play = Play { args: START, ordered: false, deletes: true };

impl Play {
    async fn world(self) -> Shared {
        if self.args == START {
            return stopped(self.ordered, self.deletes).await;
        }
        let mut cluster = cluster(self.ordered);
        cluster.controller.deletes_claims = self.deletes;
        World::with([cluster])
    }

    fn whole(self) -> Standing {
        runs(self.deletes)
    }

    fn before(self) -> Standing {
        if self.args == START { down() } else { self.whole() }
    }

    fn after(self) -> Standing {
        if self.args == START { self.whole() } else { down() }
    }

    /// How many of these requests it makes when nothing comes between.
    async fn count(self, of: Of) -> usize {
        let fates = Fates::new(of, None);
        let server = serve(&self.world().await, &fates).await;
        played(&server, self.args, 0).await;
        fates.count()
    }

    /// Gives a request of it this fate; then goes on in this way, if anything is left to go on with. Whether it was taken back.
    async fn cut(self, of: Of, number: usize, fate: Fate, way: &'static [&'static str]) -> bool {
        let cut = format!("{:?}, request {number} of {of:?} {fate:?}, then {way:?}", self.args);
        let world = self.world().await;
        let files = files(&world);
        let server = serve(&world, &Fates::new(of, Some((number, fate)))).await;
        let first = run_quickly(&server, self.args).await;
        drop(server);
        let server = serve(&world, &Fates::default()).await;
        if !unfinished(&world) {
            let stands = standing(&world);
            assert!(stands == self.before() || stands == self.after(), "{cut}: {stands:?}\n{}", first.stderr);
            return stands == self.before();
        }
        let run = run_quickly(&server, way).await;
        let back = way == ABORT && run.exit == 0;
        if back {
            assert_eq!(standing(&world), self.before(), "{cut}\n{}{}", run.stdout, run.stderr);
            // A stop that is taken back has started servers; a start that is taken back has started none.
            assert!(self.args == STOP || self::files(&world) == files, "{cut}: the state files are not as they were");
        } else {
            if way == ABORT {
                assert!(run.exit == 5 && run.stdout.contains("MDB718"), "{cut}\n{}{}", run.stdout, run.stderr);
                played(&server, RESUME, 0).await;
            } else {
                assert_eq!(run.exit, 0, "{cut}\n{}{}{}", first.stderr, run.stdout, run.stderr);
            }
            assert_eq!(standing(&world), self.after(), "{cut}");
        }
        assert!(!unfinished(&world) && world.lock().cluster("db").founder().is_none(), "{cut}: something is left");
        let record = world.lock().config_maps.kept("kubectl-mariadb.db", "stopped");
        assert_eq!(record["last"].is_null(), standing(&world) == self.whole(), "{cut}: {record}");
        back
    }

    /// Cuts it at every `every`th request; gives how often it was taken back.
    async fn cut_at(self, of: Of, every: usize, fate: Fate, way: &'static [&'static str]) -> (usize, usize) {
        let all = self.count(of).await;
        let numbers: Vec<usize> = (1..=all).step_by(every).collect();
        let cuts = numbers.len();
        let back: Vec<bool> =
            stream::iter(numbers).map(|number| self.cut(of, number, fate, way)).buffer_unordered(AT_ONCE).collect().await;
        let back = back.into_iter().filter(|back| *back).count();
        (back, cuts - back)
    }
}

/// The state files of all members.
fn files(world: &Shared) -> Vec<String> {
    let mut world = world.lock();
    let galera = world.cluster("db").as_galera();
    (0..3).map(|ordinal| galera.grastate(ordinal)).collect()
}

pub(super) fn every(usual: usize) -> usize {
    if std::env::var_os("EXHAUSTIVE").is_some() { 1 } else { usual }
}

#[tokio::test]
async fn a_stop_that_dies_after_any_change_can_be_gone_on_with() {
    STOPS.cut_at(Of::Changes, 1, Fate::Dies, RESUME).await;
}

#[tokio::test]
async fn a_stop_that_dies_after_any_change_can_be_taken_back_until_the_last_member_stops() {
    let (back, refused) = STOPS.cut_at(Of::Changes, 1, Fate::Dies, ABORT).await;
    assert!(back > 3 && refused > 3, "{back} taken back, {refused} refused");
}

#[tokio::test]
async fn a_start_that_dies_after_any_change_can_be_gone_on_with() {
    STARTS.cut_at(Of::Changes, 1, Fate::Dies, RESUME).await;
}

#[tokio::test]
async fn a_start_that_dies_after_any_change_can_be_taken_back_until_a_server_runs() {
    let (back, refused) = STARTS.cut_at(Of::Changes, 1, Fate::Dies, ABORT).await;
    assert!(back > 3 && refused > 3, "{back} taken back, {refused} refused");
}

#[tokio::test]
async fn dying_before_any_answer_leaves_what_can_be_gone_on_with_or_taken_back() {
    for play in [STOPS, STARTS] {
        for way in [RESUME, ABORT] {
            play.cut_at(Of::All, every(9), Fate::Dies, way).await;
        }
    }
}

#[tokio::test]
async fn any_answer_may_be_lost_and_any_change_may_not_arrive() {
    for play in [STOPS, STARTS] {
        for fate in [Fate::Lost, Fate::Never] {
            let (_, all) = play.cut_at(Of::Changes, 1, fate, RESUME).await;
            assert!(all > 12, "begin and act, step by step: {all}");
        }
    }
}

#[tokio::test]
async fn any_exec_may_be_lost() {
    for play in [STOPS, STARTS] {
        play.cut_at(Of::Execs, every(5), Fate::Lost, RESUME).await;
    }
}

#[tokio::test]
async fn the_api_server_may_be_gone_for_a_while_at_any_change() {
    for play in [STOPS, STARTS] {
        play.cut_at(Of::Changes, 1, Fate::Away, RESUME).await;
    }
}
