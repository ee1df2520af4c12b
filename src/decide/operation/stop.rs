//! A planned full stop of Galera on a plain StatefulSet: from the highest ordinal down, one at a time, each gate by the set
//! of members. The lowest stops last, and what it leaves is read and written down.

use std::collections::BTreeSet;

use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::topology::Topology;

use super::Beginning;
use super::gates::{AGREE, LEAVE, changed_outside, galera, leaving, observed, together, wait};
use super::journal::Stopped;
use super::memo::{Founder, Memo};
use super::plan::{Action, Decision, Plan, Range, Refusal, Step};
use super::preflight::claim_going;

pub(super) fn begin(seen: &Snapshot, stopped: Option<&Stopped>) -> Result<Beginning, Why> {
    let name = &seen.target.name;
    let range = Range::of(&seen.objects.stateful_set);
    if range.replicas == 0 && seen.members.is_empty() {
        return Ok(Beginning::Nothing(match stopped {
            Some(stopped) => format!("{name} is stopped already, by {} at {}", stopped.by, stopped.at),
            None => format!("{name} runs no pod: replicas is 0, and how it was stopped was not recorded"),
        }));
    }
    observed(seen)?;
    let topology = Topology::of(seen);
    match topology {
        Topology::Galera if range.replicas > 1 => {}
        Topology::Unknown { .. } => {
            return Err(Why::Failed("what kind of cluster this is cannot be told: no server answers".to_owned()));
        }
        other => return Ok(Beginning::Refuse(not_this_kind(seen, &other))),
    }
    let members: BTreeSet<Ordinal> = range.ordinals().collect();
    let not_whole = |why: String| {
        let summary = format!("{name} is not whole, so a stop now could leave the last one behind the others");
        Ok(Beginning::Refuse(Refusal::new(&rules::NOT_WHOLE, summary).because([why]).plugin(&format!("status {name}"))))
    };
    let history = galera(seen, range.ordinals().next().unwrap_or(Ordinal(0))).map(|galera| galera.status.cluster_state_uuid);
    let Some(history) = history.filter(|history| !history.is_nil()) else {
        return not_whole(format!("{} tells no state UUID", seen.pod_name(Ordinal(range.start))));
    };
    if let Some(pod) = leaving(seen, range) {
        return not_whole(format!("{} is outside of the range of the set and still there", pod.name));
    }
    if let Err(why) = together(seen, &members, history) {
        return not_whole(why);
    }
    let founder = Founder { ordinal: Ordinal(range.start), state_uuid: history };
    Ok(Beginning::Begin(Box::new(Memo { founder: Some(founder), recorded: false, ..Memo::new(seen) })))
}

fn not_this_kind(seen: &Snapshot, topology: &Topology) -> Refusal {
    let name = &seen.target.name;
    let (what, instead) = match topology {
        Topology::Galera => {
            ("a Galera cluster of one member", "its own start must found the cluster again, and that cannot be told from here")
        }
        Topology::Replication { .. } => ("a replication cluster", "stop and start know Galera only, so far"),
        Topology::Single => ("a single server", "there is no order to keep: scale it to 0 and back"),
        Topology::Independent | Topology::Unknown { .. } => ("no cluster", "its servers do not know each other"),
    };
    Refusal::new(&rules::NOT_THIS_KIND, format!("{name} is {what}: {instead}")).kubectl(&format!("scale sts {name} --replicas 0"))
}

pub(super) fn decide(seen: &Snapshot, memo: &Memo) -> Result<Decision, Why> {
    let set = &seen.objects.stateful_set;
    let (now, last) = (Range::of(set), memo.founder()?);
    if let Some(decision) = changed_outside(seen, memo) {
        return Ok(decision);
    }
    if set.deletes_claims_when_scaled {
        // Set to Retain before the first member stopped: somebody else has put it back.
        let mine = memo.deleted_claims && now == memo.range;
        return Ok(if mine { Decision::Go(forecast(seen, memo, last, now)) } else { Decision::Refuse(deletes_again(seen)) });
    }
    if let Some(refusal) = claim_going(seen)? {
        return Ok(Decision::Refuse(refusal));
    }
    if let Some(pod) = leaving(seen, now) {
        return Ok(wait(format!("{} is stopping", pod.name), LEAVE));
    }
    if now.replicas > 0 {
        return Ok(match together(seen, &now.ordinals().collect(), last.state_uuid) {
            Err(why) => wait(why, AGREE),
            Ok(()) => Decision::Go(forecast(seen, memo, last, now)),
        });
    }
    if memo.range.ordinals().any(|ordinal| !memo.closed.contains_key(&ordinal)) {
        return Ok(Decision::Go(forecast(seen, memo, last, now)));
    }
    if let Some(refusal) = not_last(seen, memo, last) {
        return Ok(Decision::Refuse(refusal));
    }
    Ok(if memo.recorded { Decision::Done } else { Decision::Go(forecast(seen, memo, last, now)) })
}

/// Everything from `now` on.
fn forecast(seen: &Snapshot, memo: &Memo, founder: Founder, now: Range) -> Plan {
    let mut steps = Vec::new();
    if seen.objects.stateful_set.deletes_claims_when_scaled {
        let undo = Some(Action::WhenScaled { delete: true });
        let say = "set whenScaled to Retain: as it is, Kubernetes deletes the volumes of stopped pods";
        steps.push(Step { undo, ..Step::new("keep the volumes", say, Action::WhenScaled { delete: false }) });
    }
    for left in (0..now.replicas).rev() {
        let pod = seen.pod_name(Ordinal(now.start + left));
        let (from, to) = (now.with(left + 1), now.with(left));
        let step = if left > 0 {
            Step::range(format!("stop {pod}"), format!("stop {pod}, and wait until the others agree that it has left"), from, to)
        } else {
            Step::range(
                format!("stop {pod}"),
                format!("stop {pod}, the last one: no client can read or write from here on"),
                from,
                to,
            )
            .without_return()
        };
        steps.push(step);
    }
    if memo.range.ordinals().any(|ordinal| !memo.closed.contains_key(&ordinal)) {
        let last = seen.pod_name(founder.ordinal);
        let say = format!("read the state files with short-lived pods, and verify that {last} holds everything");
        steps.push(Step::new("read the state files", say, Action::Inspect { ordinals: memo.range.ordinals().collect() }));
    }
    if !memo.recorded {
        // Filled in when it is carried out: only then is it known.
        let stopped = Box::new(record(seen, memo, founder));
        let say = "write down how it was stopped, for `start`";
        steps.push(Step::new("write it down", say, Action::Record { stopped }));
    }
    let notes = vec![format!(
        "When all are stopped the database is down until `kubectl mariadb start {}`; no row is lost.",
        seen.target.name
    )];
    Plan { steps, losses: Vec::new(), notes }
}

fn record(seen: &Snapshot, memo: &Memo, founder: Founder) -> Stopped {
    Stopped {
        at: seen.taken,
        by: String::new(),
        range: memo.range,
        deleted_claims: memo.deleted_claims,
        last: founder.ordinal,
        state_uuid: founder.state_uuid,
        positions: memo.closed.clone(),
        images: memo.images.clone(),
        image: seen.objects.stateful_set.layout.image.clone(),
        steering: memo.steering.clone(),
    }
}

/// Whether the last one holds all that any of them holds, and says so itself.
fn not_last(seen: &Snapshot, memo: &Memo, founder: Founder) -> Option<Refusal> {
    let last = memo.closed.get(&founder.ordinal)?;
    let highest = memo.closed.values().map(|closed| closed.seqno).max().flatten();
    let holds = last.safe_to_bootstrap
        && !last.unclean
        && last.state_uuid == founder.state_uuid
        && last.seqno.is_some()
        && last.seqno == highest
        && memo.closed.values().all(|closed| closed.state_uuid == founder.state_uuid);
    let told =
        memo.closed.iter().map(|(ordinal, closed)| format!("grastate.dat of {}: {}", seen.pod_name(*ordinal), closed.told()));
    (!holds).then(|| {
        let name = &seen.target.name;
        Refusal::new(
            &rules::NOT_LAST,
            format!("{} stopped last, and its files do not say that it holds everything", seen.pod_name(founder.ordinal)),
        )
        .because(told)
        .plugin(&format!("galera grastate {name}"))
    })
}

/// Somebody else made the set one that deletes volumes.
pub(super) fn deletes_again(seen: &Snapshot) -> Refusal {
    let name = &seen.target.name;
    let summary = format!("somebody else has changed {name} meanwhile: stopping a member would delete its volume");
    let path = "spec.persistentVolumeClaimRetentionPolicy.whenScaled";
    Refusal::new(&rules::CHANGED_OUTSIDE, summary).because([format!("{path}: Delete")]).kubectl(&format!(
        "patch sts {name} --type merge -p {{\"spec\":{{\"persistentVolumeClaimRetentionPolicy\":{{\"whenScaled\":\"Retain\"}}}}}}"
    ))
}
