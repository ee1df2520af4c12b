//! A fresh copy for one Galera member, while the others live.
//!
//! Its data directory is marked as one whose data must not be trusted, beside whatever runs on it, and its pod is deleted: the
//! next server that starts there takes a full copy (safety B10). A volume that is lost with its node is replaced by a new one.
//! Done means that the disk itself says that a copy has come: a server that was never restarted goes on being Synced with the
//! old data, and the mark stays.

mod loss;
mod source;
#[cfg(test)]
mod tests;
mod volume;

use crate::decide::can_stop::Load;
use crate::decide::helper::taken;
use crate::decide::rules::operations as rules;
use crate::model::disk::{Disk, Side, StateFile};
use crate::model::fact::Why;
use crate::model::galera::Groups;
use crate::model::kubernetes::Pod;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::gates::{AGREE, JOIN, changed_outside, synced, wait};
use super::memo::{Memo, Rebuild};
use super::plan::{Action, Decision, Plan, Refusal, Step};
use super::{Beginning, Wish};

pub(super) use source::held_back;

use source::Source;

pub(super) fn begin(wish: &Wish, seen: &Snapshot) -> Result<Beginning, Why> {
    let Some(ordinal) = wish.ordinal else { return Err(Why::Failed("no pod is named".to_owned())) };
    let set = &seen.objects.stateful_set;
    if !set.wants(ordinal) {
        let summary = format!("{} is no member that {} wants", seen.pod_name(ordinal), set.name);
        let refusal = Refusal::new(&rules::NOT_THIS_KIND, summary).because([format!("spec.replicas: {}", set.replicas)]);
        return Ok(Beginning::Refuse(refusal));
    }
    // First: a member on a node that does not answer cannot be asked either.
    let claims = if wish.new_volume { volume::lost(seen, ordinal)? } else { volume::in_reach(seen, ordinal)? };
    let claims = match claims {
        Ok(claims) => claims,
        Err(refusal) => return Ok(Beginning::Refuse(refusal)),
    };
    if let Some(why) = taken(seen, ordinal).filter(|_| !wish.new_volume) {
        let summary = format!("the data of {} cannot be marked beside its pod: {why}", seen.pod_name(ordinal));
        let refusal = Refusal::new(&rules::ONE_POD_ONLY, summary);
        return Ok(Beginning::Refuse(refusal.because(modes(seen, ordinal))));
    }
    let source = match source::of(seen, ordinal) {
        Ok(Ok(source)) => source,
        Ok(Err(refusal)) => return Ok(Beginning::Refuse(refusal)),
        Err(why) if source::crashes(seen, ordinal) => {
            return Ok(Beginning::Wait { why: why.to_string(), limit: AGREE, then: None });
        }
        Err(why) => return Err(why),
    };
    // Both looks before the first step must find the others no busier than a full load makes them (safety D7). Later it is no
    // gate: data that is marked would wait for a quiet moment that a busy cluster does not have.
    if let Some(refusal) = source::spares(seen, &source, ordinal, Load::Burst)? {
        return Ok(Beginning::Refuse(refusal));
    }
    let rebuild = Rebuild {
        ordinal,
        state_uuid: source.component.state_uuid,
        with: source.others(ordinal),
        pod: pod(seen, ordinal).map(|pod| pod.uid.clone()),
        datadir: disk(seen, ordinal).map(|disk| disk.datadir.clone()),
        reset: false,
        claims,
        accepted: wish.accepted.clone(),
    };
    Ok(Beginning::Begin(Box::new(Memo { rebuild: Some(rebuild), ..Memo::new(seen) })))
}

pub(super) fn decide(seen: &Snapshot, memo: &Memo) -> Result<Decision, Why> {
    let Some(rebuild) = &memo.rebuild else {
        return Err(Why::Failed("the journal does not say which member is rebuilt".to_owned()));
    };
    if memo.stray.is_some() {
        return Ok(Decision::Refuse(founded_apart(seen, rebuild)));
    }
    if let Some(decision) = changed_outside(seen, memo) {
        return Ok(decision);
    }
    if let Some(step) = stop_second(seen, rebuild) {
        return Ok(Decision::Go(Plan { steps: vec![step], ..Plan::default() }));
    }
    let steps = forecast(seen, memo, rebuild)?;
    if steps.is_empty() {
        return Ok(match joined(seen, rebuild) {
            Ok(()) => Decision::Done,
            Err(why) => wait(why, JOIN),
        });
    }
    if rebuild.claims.is_empty()
        && let Some(refusal) = loss::refusal(seen, memo, rebuild)
    {
        return Ok(Decision::Refuse(refusal));
    }
    // A member that is marked serves on, and is copied anew whenever it stops: nothing is gained by giving up soon.
    let limit = if rebuild.reset { JOIN } else { AGREE };
    let source = match source::of(seen, rebuild.ordinal)? {
        Ok(source) if source.component.state_uuid == rebuild.state_uuid => source,
        Ok(_) => return Ok(Decision::Refuse(source::another_history(seen))),
        // Whoever is away may come back; without a source the old data is the better copy.
        Err(refusal) => return Ok(wait(refusal.summary, limit)),
    };
    if let Some(refusal) = source::spares(seen, &source, rebuild.ordinal, Load::Any)? {
        return Ok(wait(format!("{}: {}", refusal.summary, refusal.because.join("; ")), limit));
    }
    if let Some(refusal) = volume::came_back(seen, rebuild)? {
        return Ok(Decision::Refuse(refusal));
    }
    let losses = loss::of(seen, memo, rebuild).into_iter().collect();
    Ok(Decision::Go(Plan { steps, losses, notes: notes(seen, memo, rebuild, &source) }))
}

/// Everything that is left to be changed. What comes after is only waited for.
fn forecast(seen: &Snapshot, memo: &Memo, rebuild: &Rebuild) -> Result<Vec<Step>, Why> {
    let mut steps = Vec::new();
    let name = seen.pod_name(rebuild.ordinal);
    if rebuild.claims.is_empty() {
        if !rebuild.reset {
            if rebuild.datadir.is_none() && !memo.recovery.files.contains_key(&rebuild.ordinal) {
                let say = format!("read the state files of {name} with a short-lived pod that mounts its volume read-only");
                let act = Action::Read { ordinals: vec![rebuild.ordinal] };
                steps.push(Step::new(format!("read the state files of {name}"), say, act));
            }
            let say = format!(
                "mark the data of {name} in grastate.dat as not to be trusted, with a short-lived pod: its next start asks for a full copy"
            );
            let read = memo.recovery.files.get(&rebuild.ordinal).map(|disk| disk.datadir.clone());
            let likely = || seen.objects.stateful_set.layout.mounts.first().map(|mount| mount.path.clone());
            let datadir = read.or_else(|| rebuild.datadir.clone()).or_else(likely);
            let datadir = datadir.ok_or_else(|| Why::Failed(format!("where the data directory of {name} is was not found")))?;
            let act =
                Action::Reset { ordinal: rebuild.ordinal, datadir, pod: pod(seen, rebuild.ordinal).map(|pod| pod.uid.clone()) };
            steps.push(Step::new(format!("mark {name}"), say, act).without_return());
        }
    } else {
        steps.extend(volume::replace(seen, rebuild)?);
    }
    if must_restart(seen, rebuild) {
        let say = format!("delete the pod {name} with its own grace period, and wait until it is Synced with a fresh copy");
        let act = Action::DeletePods { ordinals: vec![rebuild.ordinal] };
        steps.push(Step::new(format!("restart {name}"), say, act).without_return());
    }
    Ok(steps)
}

/// Whether the pod that is there runs on the old data. A container that crashed may have started on the mark by itself; it is
/// not disturbed while it takes its copy.
fn must_restart(seen: &Snapshot, rebuild: &Rebuild) -> bool {
    let Some(pod) = pod(seen, rebuild.ordinal).filter(|pod| pod.deletion.is_none()) else { return false };
    if (rebuild.reset || !rebuild.claims.is_empty()) && has_copy(seen, rebuild).is_ok() {
        return false;
    }
    let marked = disk(seen, rebuild.ordinal).is_some_and(|disk| !is_trusted(disk));
    let old_server = rebuild.reset && marked && synced(seen, rebuild.ordinal, rebuild.state_uuid).is_ok();
    old_server || rebuild.pod.as_ref() == Some(&pod.uid) && !takes_copy(seen, rebuild)
}

/// A transfer into the member that began after the mark.
fn takes_copy(seen: &Snapshot, rebuild: &Rebuild) -> bool {
    let copying = disk(seen, rebuild.ordinal).and_then(|disk| disk.copying.as_ref());
    rebuild.reset && copying.is_some_and(|copying| copying.side == Side::Joiner)
}

/// Whether what lies on the disk has come after the operation began.
fn has_copy(seen: &Snapshot, rebuild: &Rebuild) -> Result<(), String> {
    let name = seen.pod_name(rebuild.ordinal);
    let Some(pod) = pod(seen, rebuild.ordinal) else {
        let why = source::held_back(seen, rebuild.ordinal).map(|why| format!(": {why}")).unwrap_or_default();
        return Err(format!("{name} has no pod yet{why}"));
    };
    if pod.deletion.is_some() {
        return Err(format!("{name} is stopping"));
    }
    if let Some(why) = &pod.unscheduled {
        return Err(format!("{name} finds no node: {why}"));
    }
    volume::is_new(seen, rebuild)?;
    synced(seen, rebuild.ordinal, rebuild.state_uuid)?;
    let member = &seen.members[&rebuild.ordinal];
    let disk = member.files.known().map_err(|why| format!("the files of {name} are not known: {why}"))?;
    if disk.grastate.parsed().is_some_and(|state| state.uuid == rebuild.state_uuid) {
        Ok(())
    } else {
        Err(format!("{name} is Synced, and its grastate.dat does not say that a copy has come"))
    }
}

/// Back in the one component, with all that were in it (safety A7).
fn joined(seen: &Snapshot, rebuild: &Rebuild) -> Result<(), String> {
    has_copy(seen, rebuild)?;
    let groups = Groups::of(seen);
    let primaries: Vec<_> = groups.primaries().collect();
    let [one] = primaries[..] else {
        return Err("the members do not see each other in one primary component yet".to_owned());
    };
    let missing = rebuild.with.iter().chain([&rebuild.ordinal]).filter(|ordinal| !one.ordinals.contains(ordinal));
    let missing: Vec<String> = missing.map(|ordinal| seen.pod_name(*ordinal)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("{} is not in the primary component", missing.join(", "))) }
}

/// A member that comes up Primary without the others has founded a second cluster: it is stopped at once (safety A7).
fn stop_second(seen: &Snapshot, rebuild: &Rebuild) -> Option<Step> {
    let pod = pod(seen, rebuild.ordinal).filter(|pod| pod.deletion.is_none())?;
    let restarted = rebuild.pod.as_ref() != Some(&pod.uid) && (rebuild.reset || volume::is_new(seen, rebuild).is_ok());
    let groups = Groups::of(seen);
    let apart = groups.primaries().any(|one| one.ordinals.iter().eq([&rebuild.ordinal]) && one.others.is_empty());
    let others = groups.primaries().any(|one| one.ordinals.is_superset(&rebuild.with));
    (restarted && apart && others).then(|| {
        let say = format!("stop {} again: it founded a second cluster instead of joining", pod.name);
        let act = Action::DeletePods { ordinals: vec![rebuild.ordinal] };
        Step { emergency: true, ..Step::new(format!("stop the second cluster in {}", pod.name), say, act) }
    })
}

fn founded_apart(seen: &Snapshot, rebuild: &Rebuild) -> Refusal {
    let (pod, set) = (seen.pod_name(rebuild.ordinal), &seen.target.name);
    let summary = format!("{pod} founded a second cluster instead of joining; its pod was deleted, and {set} starts it again");
    Refusal::new(&rules::SECOND_CLUSTER, summary)
        .because([format!("rebuilt: {pod}")])
        .plugin(&format!("status {set}"))
        .plugin(&format!("operation resume {set}"))
}

/// What whoever confirms should know.
fn notes(seen: &Snapshot, memo: &Memo, rebuild: &Rebuild, source: &Source) -> Vec<String> {
    let name = seen.pod_name(rebuild.ordinal);
    let mut notes = vec![source.predicts(seen, &name)];
    if pod(seen, rebuild.ordinal).is_some() {
        // Of three members a budget allows one away, and a broken one is away already: it would forbid its own repair.
        notes.push(format!(
            "{name} is deleted, not evicted: no PodDisruptionBudget is asked. That the others can spare it was found out here."
        ));
    }
    notes.extend(loss::note(seen, memo, rebuild));
    notes.extend(volume::notes(seen, rebuild));
    notes
}

fn pod(seen: &Snapshot, ordinal: Ordinal) -> Option<&Pod> {
    seen.members.get(&ordinal)?.pod.as_ref()
}

fn disk(seen: &Snapshot, ordinal: Ordinal) -> Option<&Disk> {
    seen.members.get(&ordinal)?.files.known().ok()
}

fn modes(seen: &Snapshot, ordinal: Ordinal) -> Vec<String> {
    let own: Vec<String> = seen.objects.stateful_set.claims_of(ordinal).collect();
    let claims = seen.objects.claims.known().into_iter().flatten().filter(|claim| own.contains(&claim.name));
    claims.map(|claim| format!("spec.accessModes of claim {}: {}", claim.name, claim.access_modes.join(", "))).collect()
}

/// Whether a server that starts there would believe its own position.
fn is_trusted(disk: &Disk) -> bool {
    matches!(&disk.grastate, StateFile::Parsed(state) if !state.uuid.is_nil())
}
