//! Whether two looks at one cluster agree, so that what they show may be acted on (safety G1).
//!
//! One look is not enough: for about six seconds after a cut both sides of it still report the old members, and a process
//! that was stopped for a while says even later that it is alone (G 2.4).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::galera::Groups;
use crate::model::kubernetes::Pod;
use crate::model::names::Ordinal;
use crate::model::replica::Channel;
use crate::model::server::{Galera, Server};
use crate::model::snapshot::{Member, Snapshot};
use crate::model::wsrep::ClusterStatus;

use super::exit::unobserved;

/// The least time between the two samples of each server.
pub const APART: Duration = Duration::from_secs(8);

/// What two looks say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// What changed between them, or is changing, a sentence each.
    pub moved: Vec<String>,
    /// What could not be seen in the second one, a sentence each.
    pub unseen: Vec<String>,
    /// The samples are too close to each other to prove anything; how close, as a sentence.
    pub too_soon: Option<String>,
}

impl Settlement {
    /// Both looks saw everything that is needed, and the same.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.moved.is_empty() && self.unseen.is_empty() && self.too_soon.is_none()
    }
}

/// Compares two looks at one cluster. Members, roles and states are the same in both, group communication is at rest, and
/// positions only went forward; a server that is down may stay down.
#[must_use]
pub fn settled(first: &Snapshot, second: &Snapshot) -> Settlement {
    let mut moved = Vec::new();
    if first.objects.stateful_set.uid != second.objects.stateful_set.uid {
        return Settlement { moved: vec!["the StatefulSet was replaced by another one".to_owned()], ..Settlement::default() };
    }
    let ordinals: BTreeSet<Ordinal> = first.members.keys().chain(second.members.keys()).copied().collect();
    for ordinal in ordinals {
        let name = second.pod_name(ordinal);
        let (before, after) = (first.members.get(&ordinal), second.members.get(&ordinal));
        moved.extend(pod_moved(&name, before.and_then(pod), after.and_then(pod)));
        if let (Some(before), Some(after)) = (before, after) {
            moved.extend(server_moved(&name, before, after));
        }
    }
    moved.extend(Groups::of(second).unsettled().then(|| "members of one component see different members".to_owned()));
    let unseen = unobserved(second).needed.into_iter().map(|gap| {
        let place = gap.pod.map(|pod| format!(" of {pod}")).unwrap_or_default();
        format!("the {}{place} could not be seen: {}", gap.fact, gap.why)
    });
    Settlement { moved, unseen: unseen.collect(), too_soon: too_soon(first, second) }
}

/// The first server whose two samples are not far enough apart.
fn too_soon(first: &Snapshot, second: &Snapshot) -> Option<String> {
    first.members.iter().find_map(|(ordinal, before)| {
        let (before, after) = (before.server.known().ok()?, second.members.get(ordinal)?.server.known().ok()?);
        let apart = after.asked.duration_since(before.asked);
        let enough = Duration::try_from(apart).is_ok_and(|apart| apart >= APART);
        let (name, needed) = (second.pod_name(*ordinal), APART.as_secs());
        (!enough).then(|| format!("the samples of {name} are {:.1} s apart, and {needed} s are needed", apart.as_secs_f64()))
    })
}

fn pod(member: &Member) -> Option<&Pod> {
    member.pod.as_ref()
}

fn pod_moved(name: &str, before: Option<&Pod>, after: Option<&Pod>) -> Option<String> {
    match (before, after) {
        (None, None) => None,
        (Some(_), None) => Some(format!("the pod {name} is gone")),
        (None, Some(_)) => Some(format!("the pod {name} is new")),
        (Some(before), Some(after)) if before.uid != after.uid => Some(format!("the pod {name} was replaced by a new one")),
        (Some(before), Some(after)) if restarts(before) != restarts(after) => {
            Some(format!("a container of {name} was restarted"))
        }
        (Some(before), Some(after)) if before.deletion.is_none() && after.deletion.is_some() => {
            Some(format!("the pod {name} is being deleted"))
        }
        (Some(_), Some(_)) => None,
    }
}

fn restarts(pod: &Pod) -> u32 {
    pod.containers.iter().map(|container| container.restarts).sum()
}

fn server_moved(name: &str, before: &Member, after: &Member) -> Vec<String> {
    let (before, after) = match (before.server.known(), after.server.known()) {
        (Ok(before), Ok(after)) => (before, after),
        (Ok(_), Err(why)) => return vec![format!("{name} answered, and does not any more: {why}")],
        (Err(_), Ok(_)) => return vec![format!("{name} did not answer, and does now")],
        (Err(_), Err(_)) => return Vec::new(),
    };
    let mut moved = Vec::new();
    if before.read_only != after.read_only {
        moved.push(format!("{name} became {}", if after.read_only { "read-only" } else { "writable" }));
    }
    match (&before.galera, &after.galera) {
        (Some(before), Some(after)) => moved.extend(galera_moved(name, before, after)),
        (None, None) => moved.extend(replication_moved(name, before, after)),
        (Some(_), None) => moved.push(format!("{name} runs without Galera now")),
        (None, Some(_)) => moved.push(format!("{name} runs with Galera now")),
    }
    moved
}

fn galera_moved(name: &str, first: &Galera, second: &Galera) -> Vec<String> {
    let (before, after) = (&first.status, &second.status);
    let mut moved = Vec::new();
    let mut changed = |is: bool, what: String| moved.extend(is.then_some(what));
    let states = |what: &str, before: &str, after: &str| format!("{what} of {name} changed from {before} to {after}");
    for status in [before, after] {
        let group = matches!(status.cluster_status, ClusterStatus::Primary | ClusterStatus::NonPrimary);
        let state = status.evs_state.as_deref().unwrap_or("not told");
        changed(group && state != "OPERATIONAL", format!("{name} is negotiating membership (wsrep_evs_state {state})"));
    }
    changed(before.cluster_status != after.cluster_status, format!("{name} changed its component ({:?})", after.cluster_status));
    changed(before.gcomm_uuid != after.gcomm_uuid, format!("{name} left the group and is back"));
    changed(
        before.local_state != after.local_state,
        states("wsrep_local_state_comment", &before.state_comment, &after.state_comment),
    );
    changed(
        members(first) != members(second) || before.incoming_addresses.len() != after.incoming_addresses.len(),
        states("the view", &members(first).join(", "), &members(second).join(", ")),
    );
    let number = |id: Option<u64>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
    changed(before.conf_id != after.conf_id, states("the number of the view", &number(before.conf_id), &number(after.conf_id)));
    changed(
        before.cluster_state_uuid != after.cluster_state_uuid || before.local_state_uuid != after.local_state_uuid,
        format!("{name} holds another history now"),
    );
    changed(
        after.last_committed < before.last_committed,
        states("the position", &number(before.last_committed), &number(after.last_committed)),
    );
    moved.dedup();
    moved
}

/// Names in a member's own view, in its order.
fn members(galera: &Galera) -> Vec<&str> {
    galera.view.iter().map(|member| member.name.as_str()).collect()
}

fn replication_moved(name: &str, before: &Server, after: &Server) -> Vec<String> {
    let mut moved = Vec::new();
    let sources = |server: &Server| -> Vec<String> {
        server.channels.iter().map(|channel| format!("{}:{}", channel.source_host, channel.source_port)).collect()
    };
    let or_nobody = |sources: Vec<String>| if sources.is_empty() { "nobody".to_owned() } else { sources.join(", ") };
    let threads = |channel: &Channel| (channel.io, channel.sql_running);
    if sources(before) != sources(after) {
        moved.push(format!("{name} followed {} and now follows {}", or_nobody(sources(before)), or_nobody(sources(after))));
    } else if !before.channels.iter().map(threads).eq(after.channels.iter().map(threads)) {
        moved.push(format!("a replication thread of {name} started or stopped"));
    }
    if !after.gtid.current_pos.covers(&before.gtid.current_pos) {
        moved.push(format!(
            "the position of {name} did not go forward: {} before, {} after",
            before.gtid.current_pos, after.gtid.current_pos
        ));
    }
    moved
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::model::fact::Fact;
    use crate::model::testing::{cut_off, galera_of, gtids, healthy_galera, healthy_replication, noon, server_of, silence};

    /// The same look, so many seconds later.
    fn later(seen: &Snapshot, seconds: i64) -> Snapshot {
        let mut later = seen.clone();
        later.taken = noon() + SignedDuration::from_secs(seconds);
        for member in later.members.values_mut() {
            if let Fact::Known(server) = &mut member.server {
                server.asked = later.taken;
            }
        }
        later
    }

    fn moved(first: &Snapshot, second: &Snapshot) -> String {
        let settlement = settled(first, second);
        assert!(!settlement.is_settled());
        [settlement.moved, settlement.unseen].concat().join("; ")
    }

    #[test]
    fn a_cluster_at_rest_is_settled_while_positions_go_forward() {
        for first in [healthy_galera(), healthy_replication(), cut_off()] {
            let mut second = later(&first, 8);
            for ordinal in 0..3 {
                match &mut server_of(&mut second, ordinal).galera {
                    Some(galera) => galera.status.last_committed = galera.status.last_committed.map(|seqno| seqno + 100),
                    None => server_of(&mut second, ordinal).gtid = gtids("0-10-3600", "0-10-3600"),
                }
            }
            assert_eq!(settled(&first, &second), Settlement::default());
        }
    }

    #[test]
    fn two_samples_need_their_time() {
        let first = healthy_galera();
        let soon = settled(&first, &later(&first, 7));
        assert!(soon.moved.is_empty() && !soon.is_settled());
        assert_eq!(soon.too_soon.unwrap(), "the samples of db-0 are 7.0 s apart, and 8 s are needed");
        // A clock that was set back proves nothing.
        assert!(!settled(&later(&first, 60), &first).is_settled());
    }

    #[test]
    fn every_kind_of_move_is_named() {
        type Change = fn(&mut Snapshot);
        let galera: [(Change, &str); 8] = [
            (
                |seen| galera_of(seen, 1).status.evs_state = Some("GATHER".into()),
                "negotiating membership (wsrep_evs_state GATHER)",
            ),
            (|seen| galera_of(seen, 1).status.cluster_status = ClusterStatus::NonPrimary, "db-1 changed its component"),
            (|seen| drop(galera_of(seen, 1).view.pop()), "the view of db-1 changed from db-0, db-1, db-2 to db-0, db-1"),
            (|seen| galera_of(seen, 1).status.conf_id = Some(9), "the number of the view of db-1 changed from 3 to 9"),
            (|seen| galera_of(seen, 1).status.last_committed = Some(1), "the position of db-1 changed from 3 to 1"),
            (|seen| galera_of(seen, 1).status.gcomm_uuid = None, "db-1 left the group and is back"),
            (|seen| seen.members.get_mut(&Ordinal(2)).unwrap().pod = None, "the pod db-2 is gone"),
            (
                |seen| seen.members.get_mut(&Ordinal(2)).unwrap().pod.as_mut().unwrap().uid = "new".into(),
                "the pod db-2 was replaced by a new one",
            ),
        ];
        for (change, says) in galera {
            let first = healthy_galera();
            let mut second = later(&first, 9);
            change(&mut second);
            assert!(moved(&first, &second).contains(says), "{says}: {}", moved(&first, &second));
        }
        let replication: [(Change, &str); 4] = [
            (|seen| server_of(seen, 0).read_only = true, "db-0 became read-only"),
            (|seen| server_of(seen, 1).channels[0].sql_running = false, "a replication thread of db-1 started or stopped"),
            (|seen| server_of(seen, 1).channels.clear(), "and now follows nobody"),
            (|seen| server_of(seen, 1).gtid = gtids("0-10-3000", "0-10-3000"), "the position of db-1 did not go forward"),
        ];
        for (change, says) in replication {
            let first = healthy_replication();
            let mut second = later(&first, 9);
            change(&mut second);
            assert!(moved(&first, &second).contains(says), "{says}: {}", moved(&first, &second));
        }
    }

    #[test]
    fn a_server_that_cannot_be_asked_settles_nothing() {
        let (mut first, mut second) = (healthy_galera(), later(&healthy_galera(), 9));
        silence(&mut second, 1);
        assert!(moved(&first, &second).contains("db-1 answered, and does not any more: no answer within 3s"));
        silence(&mut first, 1);
        let settlement = settled(&first, &second);
        assert_eq!(settlement.moved, Vec::<String>::new());
        assert_eq!(settlement.unseen, ["the server of db-1 could not be seen: no answer within 3s"]);
    }
}
