//! Looks, one after the other: two that agree end a wait.

use super::{Met, Wish, is_delayed, met, others, server};
use crate::decide::exit::unobserved;
use crate::decide::settled::settled;
use crate::model::fact::Why;
use crate::model::snapshot::Snapshot;
use crate::model::topology::{Primary, Topology};

/// Looks, one after the other, until all wishes are met and confirmed.
#[derive(Clone, Debug)]
pub struct Waiting {
    wishes: Vec<Wish>,
    /// The look that showed it first, and since then nothing moved.
    first: Option<Box<Snapshot>>,
}

/// What one more look means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is so, in two looks.
    Done,
    /// It is so in this look; the second one, some seconds later, has to confirm it.
    Confirming,
    /// What is missing, one thing each.
    NotYet(Vec<String>),
    /// Waiting cannot help; why, in one sentence.
    Never(String),
    /// Nobody without this right can tell.
    Forbidden(String),
}

impl Waiting {
    #[must_use]
    pub const fn new(wishes: Vec<Wish>) -> Self {
        Self { wishes, first: None }
    }

    /// Two looks have to agree (safety G1): nothing moved between them, and every replica has by now what the primary had
    /// then. A lag of 0 alone does not prove that (G 3.1).
    pub fn look(&mut self, seen: &Snapshot) -> Progress {
        let mut missing = Vec::new();
        for wish in &self.wishes {
            match met(wish, seen) {
                Met::Yes => {}
                Met::NotYet(more) => missing.extend(more),
                Met::Never(why) => return Progress::Never(why),
            }
        }
        if !missing.is_empty() {
            self.first = None;
            let forbidden = unobserved(seen).needed.into_iter().find_map(|gap| match gap.why {
                Why::Forbidden(right) => Some(right),
                _ => None,
            });
            return forbidden.map_or(Progress::NotYet(missing), Progress::Forbidden);
        }
        let Some(first) = &self.first else {
            self.first = Some(Box::new(seen.clone()));
            return Progress::Confirming;
        };
        let settlement = settled(first, seen);
        let moved = !settlement.moved.is_empty();
        if moved {
            self.first = Some(Box::new(seen.clone()));
            return Progress::NotYet(settlement.moved);
        }
        if settlement.too_soon.is_some() {
            return Progress::Confirming;
        }
        let mut missing = settlement.unseen;
        if self.wishes.contains(&Wish::Synced) {
            missing.extend(behind(first, seen));
        }
        if missing.is_empty() {
            return Progress::Done;
        }
        self.first = Some(Box::new(seen.clone()));
        Progress::NotYet(missing)
    }
}

/// Replicas that have not applied what the primary had at the first look.
fn behind(first: &Snapshot, second: &Snapshot) -> Vec<String> {
    let Topology::Replication { primary: Primary::Pod(primary) } = Topology::of(second) else { return Vec::new() };
    let Some(before) = server(first, primary) else { return Vec::new() };
    let wanted = &before.gtid.binlog_pos;
    let behind = others(second, primary).filter(|(_, server)| !is_delayed(server) && !server.gtid.slave_pos.covers(wanted));
    behind.map(|(name, server)| format!("{name} is at {} and has not applied {wanted} yet", server.gtid.slave_pos)).collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::model::fact::Fact;
    use crate::model::testing::{galera_of, gtids, healthy_galera, healthy_replication, noon, server_of, silence};

    /// The same look, so many seconds later.
    fn later(seen: &Snapshot, seconds: i64) -> Snapshot {
        let mut later = seen.clone();
        for member in later.members.values_mut() {
            if let Fact::Known(server) = &mut member.server {
                server.asked = noon() + SignedDuration::from_secs(seconds);
            }
        }
        later
    }

    #[test]
    fn it_takes_two_looks_that_agree() {
        let seen = healthy_galera();
        let mut waiting = Waiting::new(vec![Wish::Healthy, Wish::Synced]);
        assert_eq!(waiting.look(&seen), Progress::Confirming);
        assert_eq!(waiting.look(&later(&seen, 5)), Progress::Confirming);
        let mut broken = later(&seen, 6);
        silence(&mut broken, 1);
        assert!(matches!(waiting.look(&broken), Progress::NotYet(_)));
        // From the beginning.
        for (second, progress) in
            [(7, Progress::Confirming), (9, Progress::Confirming), (14, Progress::Confirming), (15, Progress::Done)]
        {
            assert_eq!(waiting.look(&later(&seen, second)), progress, "{second}");
        }
        // It holds in each look, and yet something moved between them.
        let mut waiting = Waiting::new(vec![Wish::Synced]);
        waiting.look(&seen);
        let mut moved = later(&seen, 9);
        (0..3).for_each(|ordinal| galera_of(&mut moved, ordinal).status.conf_id = Some(20));
        assert!(matches!(waiting.look(&moved), Progress::NotYet(moved) if moved[0].contains("the number of the view")));
        assert_eq!(waiting.look(&later(&moved, 17)), Progress::Done);
    }

    #[test]
    fn a_replica_has_caught_up_when_it_has_what_the_primary_had_before() {
        let first = healthy_replication();
        let mut second = later(&first, 9);
        // The primary has gone on; what it had at first has arrived.
        server_of(&mut second, 0).gtid = gtids("0-10-9000", "");
        let mut waiting = Waiting::new(vec![Wish::Synced]);
        waiting.look(&first);
        assert_eq!(waiting.look(&second), Progress::Done);
        let mut ahead = first;
        server_of(&mut ahead, 0).gtid = gtids("0-10-8000", "");
        let mut waiting = Waiting::new(vec![Wish::Synced]);
        waiting.look(&ahead);
        let Progress::NotYet(missing) = waiting.look(&second) else { panic!("it is behind") };
        assert_eq!(missing[0], "db-1 is at 0-10-3514 and has not applied 0-10-8000 yet");
    }
}
