//! What only the member holds, and what of it is known.

use crate::decide::operation::gates::galera;
use crate::decide::operation::memo::{Memo, Rebuild};
use crate::decide::operation::plan::{Loss, Refusal};
use crate::decide::rules::operations as rules;
use crate::model::disk::StateFile;
use crate::model::galera::Groups;
use crate::model::position::Position;
use crate::model::snapshot::Snapshot;
use crate::model::wsrep::ClusterStatus;

use super::disk;

/// Rows that no other member has, as far as positions tell. In the words that accept it.
pub fn of(seen: &Snapshot, memo: &Memo, rebuild: &Rebuild) -> Option<Loss> {
    let groups = Groups::of(seen);
    if groups.primaries().any(|one| one.ordinals.contains(&rebuild.ordinal) && !one.ordinals.is_disjoint(&rebuild.with)) {
        return None;
    }
    let name = seen.pod_name(rebuild.ordinal);
    if groups.primaries().any(|one| one.ordinals.contains(&rebuild.ordinal)) {
        let uuid = galera(seen, rebuild.ordinal)?.status.cluster_state_uuid;
        return Some(Loss(format!("{name}:{uuid}:since-the-split")));
    }
    let highest = rebuild.with.iter().filter_map(|ordinal| galera(seen, *ordinal)?.status.last_committed).max();
    positions(seen, memo, rebuild).into_iter().find_map(|at| {
        let seqno = at.seqno.map_or_else(|| "unknown".to_owned(), |seqno| seqno.to_string());
        let ahead = at.seqno.zip(highest).is_some_and(|(own, highest)| own > highest);
        // Its own position alone: that of the others moves on meanwhile.
        (at.uuid != rebuild.state_uuid || ahead).then(|| Loss(format!("{name}:{}:{seqno}", at.uuid)))
    })
}

/// What its server and its files say, without what must not be trusted anyway.
fn positions(seen: &Snapshot, memo: &Memo, rebuild: &Rebuild) -> Vec<Position> {
    let server = galera(seen, rebuild.ordinal).map(|galera| {
        let status = &galera.status;
        Position { uuid: status.local_state_uuid, seqno: status.last_committed, gtid: None }
    });
    let file = disk(seen, rebuild.ordinal).or_else(|| memo.recovery.files.get(&rebuild.ordinal)).and_then(|disk| {
        let state = disk.grastate.parsed()?;
        Some(Position { uuid: state.uuid, seqno: state.seqno.filter(|_| disk.gvwstate == StateFile::Absent), gtid: None })
    });
    server.into_iter().chain(file).filter(|at| !at.uuid.is_nil()).collect()
}

/// The loss is not the one that was accepted.
pub fn refusal(seen: &Snapshot, memo: &Memo, rebuild: &Rebuild) -> Option<Refusal> {
    let loss = of(seen, memo, rebuild)?;
    if rebuild.accepted.as_ref() == Some(&loss) {
        return None;
    }
    let name = seen.pod_name(rebuild.ordinal);
    let what = if loss.0.ends_with(":since-the-split") {
        format!("{name} is in a primary component of its own: what its clients wrote there nobody else has")
    } else if loss.0.contains(&rebuild.state_uuid.to_string()) {
        format!("{name} is ahead of the others: it holds write sets that nobody else has")
    } else {
        format!("{name} holds another history: nobody else has any of it")
    };
    let refusal = Refusal::new(&rules::ONLY_HERE, what).because([format!("lost by a rebuild: {}", loss.0)]);
    // Found out in the middle: whoever accepts it begins anew.
    let refusal = if memo.recovery.files.contains_key(&rebuild.ordinal) {
        refusal.plugin(&format!("operation abort {}", seen.target.name))
    } else {
        refusal
    };
    Some(refusal.plugin(&format!("rebuild {name} --accept-data-loss={}", loss.0)))
}

/// Where the member stands, if it is not in the component; what that does not tell.
pub fn note(seen: &Snapshot, memo: &Memo, rebuild: &Rebuild) -> Option<String> {
    let name = seen.pod_name(rebuild.ordinal);
    if !rebuild.claims.is_empty() {
        let claims: Vec<&str> = rebuild.claims.keys().map(String::as_str).collect();
        return Some(format!(
            "What lies in {} cannot be read: if {name} ever took writes that the others did not get, they are on that volume only.",
            claims.join(", ")
        ));
    }
    if galera(seen, rebuild.ordinal).is_some_and(|galera| galera.status.cluster_status == ClusterStatus::Primary) {
        return None;
    }
    let at = positions(seen, memo, rebuild).into_iter().find(|at| at.seqno.is_some());
    Some(match at {
        Some(Position { uuid, seqno: Some(seqno), .. }) => {
            format!("{name} stands at {uuid}:{seqno}, and the others are not behind that.")
        }
        _ => format!(
            "Where {name} stands is not known, for it did not stop cleanly. The others kept the primary component without it, so \
             they have all that it acknowledged, unless somebody has bootstrapped it apart from them."
        ),
    })
}
