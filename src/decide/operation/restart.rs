//! `restart`: one pod after the other is evicted, with the gates of an upgrade and without any change of the template
//! (safety B9).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::kubernetes::Pod;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::departure::heeded;
use super::formation::{BACK, Formation, does_not_start, lead_to, open as open_again, server};
use super::gates::{changed_outside, wait};
use super::journal::Operation;
use super::memo::Memo;
use super::operator::{is_unread, unread, view};
use super::plan::{Action, Decision, Plan, Refusal, Step};
use super::{Beginning, Wish};

/// Of a restart: what the world does not show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// uid of the pod of each member that is to come back as another one.
    pub pods: BTreeMap<Ordinal, String>,
    /// The one that was asked for; none: all.
    pub only: Option<Ordinal>,
    pub formation: Formation,
}

pub(super) fn begin(wish: &Wish, seen: &Snapshot) -> Result<Beginning, Why> {
    let set = &seen.objects.stateful_set;
    if let Some(ordinal) = wish.ordinal.filter(|ordinal| !set.wants(*ordinal)) {
        let summary = format!("{} is no pod that {} wants", seen.pod_name(ordinal), set.name);
        let refusal = Refusal::new(&rules::NOT_THIS_KIND, summary).because([format!("spec.replicas: {}", set.replicas)]);
        return Ok(Beginning::Refuse(refusal));
    }
    let asked = |ordinal: &Ordinal| wish.ordinal.is_none_or(|only| only == *ordinal);
    let pods: BTreeMap<Ordinal, String> = seen
        .expected()
        .filter(|(ordinal, _)| asked(ordinal))
        .filter_map(|(ordinal, member)| Some((ordinal, member.pod.as_ref()?.uid.clone())))
        .collect();
    if pods.is_empty() {
        let what = wish.ordinal.map_or_else(|| set.name.clone(), |ordinal| seen.pod_name(ordinal));
        return Ok(Beginning::Nothing(format!("{what} has no pod that could be restarted")));
    }
    let broken = broken(seen, &pods, wish.ordinal);
    let formation = match Formation::of(seen, "restart", &broken)? {
        Ok(formation) => formation,
        Err(refusal) => return Ok(Beginning::Refuse(refusal)),
    };
    if let Err(why) = formation.whole(seen, &broken) {
        let summary = format!("{} is not whole, so no pod of it is restarted", set.name);
        let refusal = Refusal::new(&rules::NOT_SETTLED, summary).because([why]).plugin(&format!("status {}", set.name));
        return Ok(Beginning::Refuse(refusal));
    }
    let restart = Restart { pods, only: wish.ordinal, formation };
    Ok(Beginning::Begin(Box::new(Memo { restart: Some(restart), ..Memo::new(seen) })))
}

/// Whoever was named alone and does not serve: it is what the restart is to mend.
fn broken(seen: &Snapshot, pods: &BTreeMap<Ordinal, String>, only: Option<Ordinal>) -> BTreeSet<Ordinal> {
    let unwell = |ordinal: &Ordinal| {
        let member = &seen.members[ordinal];
        member.server.known().is_err() || does_not_start(seen, *ordinal).is_some()
    };
    pods.keys().copied().filter(|ordinal| only == Some(*ordinal) && unwell(ordinal)).collect()
}

pub(super) fn decide(seen: &Snapshot, memo: &Memo) -> Result<Decision, Why> {
    let Some(restart) = &memo.restart else {
        return Err(Why::Failed("the journal does not say which pods are restarted".to_owned()));
    };
    if is_unread(seen) {
        return Ok(unread());
    }
    if let Some(decision) = changed_outside(seen, memo) {
        return Ok(decision);
    }
    let due = due(seen, restart);
    let broken = broken(seen, &due.iter().map(|ordinal| (*ordinal, String::new())).collect(), restart.only);
    let restarted = |ordinal: &Ordinal| restart.pods.contains_key(ordinal) && !due.contains(ordinal);
    if let Some(step) = restart.formation.opening(seen, restarted).or_else(|| restart.formation.closing(seen, restarted)) {
        return Ok(Decision::Go(Plan { steps: vec![step], ..Plan::default() }));
    }
    if let Err(why) = restart.formation.whole(seen, &broken) {
        return Ok(wait(why, BACK));
    }
    let Some(first) = due.first() else { return Ok(Decision::Done) };
    if let Some(why) = restart.formation.holds_back(seen, *first).filter(|_| !broken.contains(first)) {
        return Ok(wait(why, BACK));
    }
    let mut steps = Vec::new();
    let (mut formation, mut left) = (restart.formation, due.clone());
    for ordinal in &due {
        if let Some((moved, step)) = formation.moved_off(seen, *ordinal, &left) {
            steps.push(step);
            formation = moved;
        }
        left.retain(|other| other != ordinal);
        steps.push(step(seen, *ordinal, restart, broken.contains(ordinal)));
        if restart.formation.primary() == Some(*ordinal) {
            steps.extend(restart.formation.will_open(seen));
        }
    }
    let notes = restart.formation.moving_note(seen, &due).into_iter().collect();
    Ok(heeded(seen, memo, Decision::Go(Plan { steps, notes, ..Plan::default() }), &due))
}

/// Pods that were restarted stay so; but a primary among them takes writes again, as before (safety E5).
pub(super) fn back(seen: &Snapshot, operation: &Operation) -> Decision {
    let Some(restart) = &operation.memo.restart else { return Decision::Done };
    let due = due(seen, restart);
    let restarted = |ordinal: &Ordinal| restart.pods.contains_key(ordinal) && !due.contains(ordinal);
    match restart.formation {
        Formation::Replication { primary, writable: true } if restarted(&primary) && view(seen).is_none() => {
            reopened(seen, primary)
        }
        _ => Decision::Done,
    }
}

/// A primary that came back read-only, unless another server is the primary by now.
fn reopened(seen: &Snapshot, primary: Ordinal) -> Decision {
    let open = |(ordinal, _)| server(seen, ordinal).is_some_and(|server| !server.read_only);
    if lead_to(seen, primary).is_err() || seen.expected().any(open) {
        return Decision::Done;
    }
    match server(seen, primary) {
        None => wait(format!("{} does not answer yet", seen.pod_name(primary)), BACK),
        Some(server) if server.channels.is_empty() => {
            Decision::Go(Plan { steps: vec![open_again(seen, primary)], ..Plan::default() })
        }
        Some(_) => Decision::Done,
    }
}

/// The pods that are still the ones that were there, the highest ordinal first, the primary last.
fn due(seen: &Snapshot, restart: &Restart) -> Vec<Ordinal> {
    let still = |(ordinal, uid): &(&Ordinal, &String)| {
        let pod: Option<&Pod> = seen.members.get(ordinal).and_then(|member| member.pod.as_ref());
        pod.is_some_and(|pod| pod.uid == **uid)
    };
    let mut due: Vec<Ordinal> = restart.pods.iter().filter(still).map(|(ordinal, _)| *ordinal).collect();
    due.sort_by_key(|ordinal| (restart.formation.primary() == Some(*ordinal), std::cmp::Reverse(*ordinal)));
    due
}

fn step(seen: &Snapshot, ordinal: Ordinal, restart: &Restart, broken: bool) -> Step {
    let pod = seen.pod_name(ordinal);
    let then = match restart.formation {
        Formation::Galera { .. } => "until it is Synced again in one component with all others",
        Formation::Replication { primary, .. } if primary == ordinal => {
            "until it serves again; it is the primary: no writes until then"
        }
        Formation::Replication { .. } => "until it follows the primary again and has caught up",
        Formation::Single => "until its server serves again; clients have none until then",
    };
    let id = format!("restart {pod}");
    if broken {
        let say = format!("delete {pod}, whose server does not serve, and wait {then}");
        return Step::new(id, say, Action::DeletePods { ordinals: vec![ordinal] });
    }
    Step::new(id, format!("evict {pod}, and wait {then}"), Action::Evict { ordinal })
}
