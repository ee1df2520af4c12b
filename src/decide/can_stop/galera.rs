//! Galera: quorum without the member, nobody else away, nobody copying, a donor left.

use std::collections::BTreeSet;

use crate::model::galera::{Component, Who, donors, ist_possible};
use crate::model::names::Ordinal;
use crate::model::position::Position;
use crate::model::server::Galera;
use crate::model::snapshot::Snapshot;
use crate::model::wsrep::{LocalState, Status};

use super::{Case, Decision, Leave, Load, Reason, Standing, Stop, standing};

/// `gcs.fc_limit` of the provider where a server does not tell its own.
const FC_LIMIT: u64 = 16;
/// Write sets: as many as clients commit at one moment.
const FEW: u64 = 4;
/// Write sets; a choice. With the default limit flow control lets 28 wait on each of three members, and then stops the writers. Of
/// some thirty looks at three real members under full load most found a handful or none, a few 27 or 28, and one 137.
const BURST: u64 = 64;

/// No ordinal of any member: stands for all votes that nobody could be asked about.
const UNASKED: Ordinal = Ordinal(u32::MAX);

pub(super) fn decide(case: &Case, decision: &mut Decision) {
    let primaries: Vec<&Component> = case.groups.primaries().collect();
    let component = match primaries[..] {
        [component] => component,
        [] => {
            decision.whole.push(nobody_primary(case));
            return;
        }
        _ => {
            decision.whole.push(Reason::against("members see different primary components: look at `status` first"));
            return;
        }
    };
    decision.whole.extend(at_rest(case, component));
    decision.whole.extend(unseen(case));
    let inside: BTreeSet<Ordinal> = case.running.iter().copied().filter(|ordinal| is_inside(component, *ordinal)).collect();
    if inside.len() > 1 {
        let names: Vec<String> = inside.iter().map(|ordinal| case.name(*ordinal)).collect();
        let text = format!("{} would stop at once: two members never do, whatever the quorum (safety D1)", names.join(" and "));
        decision.whole.push(Reason::against(text));
    }
    decision.whole.extend(quorum(case, component, &inside));
    decision.whole.extend(others(case, component, &inside));
    for ordinal in &inside {
        let reasons = decision.pods.entry(*ordinal).or_default();
        reasons.extend(transfer(case, *ordinal));
    }
    for ordinal in case.running.iter().filter(|ordinal| !inside.contains(ordinal)) {
        let reasons = decision.pods.entry(*ordinal).or_default();
        reasons.extend(transfer(case, *ordinal));
        if standing(case.seen, *ordinal) == Standing::Up || standing(case.seen, *ordinal) == Standing::Quiet {
            reasons.push(Reason::note("it is not in the primary component: the others go on without it already"));
        }
    }
}

fn nobody_primary(case: &Case) -> Reason {
    let blind = case.seen.members.keys().any(|ordinal| matches!(standing(case.seen, *ordinal), Standing::Unseen(_)));
    if blind {
        Reason::unknown("no member that answers is in a primary component, and not all could be asked")
    } else {
        Reason::against("there is no primary component: every copy counts until there is one again")
    }
}

fn is_inside(component: &Component, ordinal: Ordinal) -> bool {
    component.ordinals.contains(&ordinal) || component.others.iter().any(|other| other.who == Who::Silent(ordinal))
}

/// The group is at rest and its history is known.
fn at_rest(case: &Case, component: &Component) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if component.state_uuid.is_nil() {
        reasons.push(Reason::against("the history of the cluster is not known (zero UUID): its members were never compared"));
    }
    for ordinal in &component.ordinals {
        let Some(status) = status(case.seen, *ordinal) else { continue };
        let state = status.evs_state.as_deref().unwrap_or("not told");
        if state != "OPERATIONAL" {
            let name = case.name(*ordinal);
            reasons.push(Reason::against(format!("membership is being negotiated (wsrep_evs_state {state} on {name})")));
        }
    }
    reasons
}

/// Members that run and could not be asked may be anything.
fn unseen(case: &Case) -> Vec<Reason> {
    let tell = |ordinal: &Ordinal| {
        let name = case.name(*ordinal);
        match standing(case.seen, *ordinal) {
            Standing::Unseen(why) => Some(Reason::unknown(format!("{name} could not be asked: {why}"))),
            Standing::Hung => Some(Reason::against(format!("the server of {name} hangs: the cluster is about to lose it"))),
            _ => None,
        }
    };
    case.seen.members.keys().filter_map(tell).collect()
}

/// Whether the rest is a strict majority even if the member vanishes without a goodbye (G 2.5).
fn quorum(case: &Case, component: &Component, inside: &BTreeSet<Ordinal>) -> Option<Reason> {
    if inside.is_empty() {
        return None;
    }
    let Some(quorum) = component.quorum(case.seen) else {
        return Some(Reason::unknown("no member tells the weight of the component (wsrep_cluster_weight)"));
    };
    let (total, mut lost) = (quorum.total(), inside.clone());
    let survives = match case.stop.leave {
        Leave::EitherWay => quorum.survives_loss(lost.iter().copied()),
        Leave::Cleanly => component.members.len() > inside.len() && inside.iter().all(|left| quorum.survives_leave(*left)),
    };
    if !survives {
        return Some(Reason::against(if component.members.len() == inside.len() {
            "nobody else is in the primary component: clients would have no server".to_owned()
        } else {
            format!("without it the others are no majority of the {total} votes, and would stop taking writes")
        }));
    }
    lost.insert(UNASKED);
    if case.stop.leave == Leave::Cleanly || quorum.survives_loss(lost) {
        return None;
    }
    // Whoever does not answer may not be there to vote: for some seconds a view counts those who have died.
    let silent: Vec<Ordinal> = component
        .others
        .iter()
        .filter_map(|other| match other.who {
            Who::Silent(ordinal) | Who::Elsewhere(ordinal) => Some(ordinal),
            Who::Arbitrator | Who::Stranger => None,
        })
        .collect();
    if let Some(first) = silent.first() {
        let unseen = silent.iter().all(|ordinal| matches!(standing(case.seen, *ordinal), Standing::Unseen(_)));
        let text = format!("without it the majority depends on {}, which does not answer", case.name(*first));
        return Some(if unseen { Reason::unknown(text) } else { Reason::against(text) });
    }
    let arbitrator = component.others.iter().any(|other| matches!(other.who, Who::Arbitrator | Who::Stranger));
    (case.stop.nodes && arbitrator).then(|| {
        Reason::unknown("a vote comes from outside of this set (an arbitrator); if it runs there too, the majority is lost")
    })
}

/// The others: all there, Synced, with little to apply; one of them can be a donor.
fn others(case: &Case, component: &Component, inside: &BTreeSet<Ordinal>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if inside.is_empty() {
        return reasons;
    }
    let leaves_synced = inside.iter().any(|ordinal| status(case.seen, *ordinal).is_none_or(is_synced));
    let mut donor = false;
    for ordinal in case.others() {
        let name = case.name(ordinal);
        let synced = status(case.seen, ordinal).filter(|status| component.ordinals.contains(&ordinal) && is_synced(status));
        if let Some(status) = synced {
            donor = true;
            reasons.extend(busy(case, ordinal, status));
        } else if leaves_synced && case.seen.objects.stateful_set.wants(ordinal) {
            reasons.push(Reason::against(match standing(case.seen, ordinal) {
                Standing::Up => format!("{name} is not Synced ({})", state(case.seen, ordinal)),
                // It is said elsewhere.
                Standing::Unseen(_) | Standing::Hung => continue,
                Standing::Quiet => format!("{name} takes no statements"),
                Standing::Down => format!("{name} is down already"),
            }));
        }
        if case.pod(ordinal).is_some_and(|pod| pod.deletion.is_some()) {
            reasons.push(Reason::against(format!("{name} is being stopped already")));
        }
    }
    if !donor {
        reasons.push(Reason::against("no other member is Synced: this is the last good copy that serves"));
    }
    reasons
}

/// Little to apply (safety D7): 1 % of what flow control allows, and a handful where that is less. With the default limit of 16
/// the rule's own 1 % is nothing at all, and a cluster under load is never so.
fn busy(case: &Case, ordinal: Ordinal, status: &Status) -> Option<Reason> {
    let galera = galera(case.seen, ordinal)?;
    let limit = galera.options.get("gcs.fc_limit").and_then(|limit| limit.parse().ok()).unwrap_or(FC_LIMIT);
    let name = case.name(ordinal);
    let few = match case.stop.load {
        Load::Quiet => FEW,
        Load::Burst => BURST,
        Load::Any => return None,
    };
    if status.flow_control.active && case.stop.load == Load::Quiet {
        return Some(Reason::against(format!("writes are paused by flow control ({name})")));
    }
    (status.recv_queue > (limit / 100).max(few)).then(|| {
        Reason::against(format!(
            "{name} is behind in applying ({} write sets wait; flow control limit {limit})",
            status.recv_queue
        ))
    })
}

/// It gives or gets a copy.
fn transfer(case: &Case, ordinal: Ordinal) -> Option<Reason> {
    if donors(case.seen).contains(&ordinal) {
        return Some(Reason::against("it is a donor: the member it gives its data to would have to start again"));
    }
    let markers = || {
        let files = case.member(ordinal)?.files.known().ok()?;
        files.transfer_markers.first().filter(|_| standing(case.seen, ordinal) == Standing::Quiet)
    };
    if case.groups.joiners(case.seen).contains(&ordinal) || markers().is_some() {
        return Some(Reason::against("it is a joiner: its copy would be left half done"));
    }
    None
}

/// How it will come back, from two looks: by the write sets it misses while the donors still have them, else by a full copy.
pub(super) fn reach_in_time(first: &Snapshot, second: &Snapshot, stop: &Stop) -> Vec<Reason> {
    let tell = |ordinal: &Ordinal| {
        let name = second.pod_name(*ordinal);
        let own = status(second, *ordinal)?;
        let donors = second.members.keys().filter(|other| !stop.ordinals.contains(other));
        let donors = donors.filter_map(|other| status(second, *other).filter(|status| is_synced(status)));
        let donors: Vec<&Status> = donors.collect();
        // Under writes no two of them tell the same moment: one that was asked last is not ahead of the others.
        let newest = donors.iter().filter_map(|donor| donor.last_committed).max();
        let position = Position { uuid: own.local_state_uuid, seqno: own.last_committed.min(newest), gtid: None };
        let reach = donors.into_iter().filter(|donor| ist_possible(&position, donor) == Some(true));
        let reach = reach.filter_map(|donor| Some(own.last_committed?.saturating_sub(donor.cached_downto?) + 1)).max();
        let Some(reach) = reach else {
            return Some(Reason::note(format!(
                "{name} would come back by a full copy (SST): no donor has the write sets it will miss"
            )));
        };
        let before = status(first, *ordinal)?.last_committed?;
        let written = own.last_committed?.saturating_sub(before);
        let millis = u64::try_from(second.taken.duration_since(first.taken).as_millis()).unwrap_or(0);
        let rate = match written.checked_mul(60_000).and_then(|written| written.checked_div(millis)) {
            Some(0) | None => "nothing is written now".to_owned(),
            Some(per_minute) => format!("{per_minute} are written a minute now"),
        };
        Some(Reason::note(format!(
            "{name} comes back without a full copy (IST) while the donors keep what it misses: they hold the last {reach} write sets, and {rate}"
        )))
    };
    stop.ordinals.iter().filter_map(tell).collect()
}

fn is_synced(status: &Status) -> bool {
    status.local_state == LocalState::Synced && status.ready && status.connected
}

fn state(seen: &Snapshot, ordinal: Ordinal) -> &str {
    status(seen, ordinal).map_or("no Galera", |status| status.state_comment.as_str())
}

fn galera(seen: &Snapshot, ordinal: Ordinal) -> Option<&Galera> {
    seen.members.get(&ordinal)?.server.known().ok()?.galera.as_ref()
}

fn status(seen: &Snapshot, ordinal: Ordinal) -> Option<&Status> {
    galera(seen, ordinal).map(|galera| &galera.status)
}
