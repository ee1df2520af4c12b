//! Which left-over volumes may go: never the best copy, never the only one (safety D5).

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::decide::finding::Severity;
use crate::decide::operation::custody::Custody;
use crate::decide::operation::gates::together;
use crate::decide::operation::journal::Stopped;
use crate::decide::operation::plan::{Loss, Refusal};
use crate::decide::rules::operations as rules;
use crate::decide::settled::settled;
use crate::decide::verdict::verdict;
use crate::model::disk::Disk;
use crate::model::fact::{Fact, Why};
use crate::model::names::Ordinal;
use crate::model::snapshot::{Member, Snapshot};
use crate::model::topology::Topology;
use crate::model::volumes::{Holds, Volume};

use super::data_template;
use super::logs::Logs;

/// Who mounts what, by claim.
pub type Mounts = BTreeMap<String, BTreeSet<String>>;

/// The volumes of an ordinal that the set does not want.
#[derive(Clone, Debug, PartialEq)]
pub struct Leftover {
    pub ordinal: Ordinal,
    /// The name that its pod had.
    pub pod: String,
    /// The one with the data first, if it is there.
    pub claims: Vec<Volume>,
    /// Pods that use any of them.
    pub used_by: Fact<BTreeSet<String>>,
    /// Of the data directory, as somebody read them at rest.
    pub files: Fact<Disk>,
}

/// What the members that go on hold, each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// Every write set of `state_uuid` up to `committed`.
    Galera { state_uuid: Uuid, committed: u64 },
    /// What they have replicated.
    Replication { logs: Logs },
    /// Nothing that the files of a stopped server could be compared with, and why.
    Other(String),
}

/// What becomes of a left-over volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes. `loss`: only because that was accepted.
    Goes { because: String, loss: Option<Loss> },
    /// It stays. `loss`: what would have to be accepted; none: nothing makes it go now.
    Stays { because: String, loss: Option<Loss> },
}

/// The left-over volumes of the set, by ordinal. Claims that are being deleted already are nobody's business.
#[must_use]
pub fn leftovers(seen: &Snapshot, volumes: &[Volume], mounts: &Fact<Mounts>) -> Vec<Leftover> {
    let set = &seen.objects.stateful_set;
    let data = data_template(seen).map(|template| format!("{template}-"));
    let mut found: BTreeMap<Ordinal, Vec<Volume>> = BTreeMap::new();
    for volume in volumes.iter().filter(|volume| volume.deletion.is_none()) {
        if let Some(ordinal) = set.ordinal_of_claim(&volume.name).filter(|ordinal| !set.wants(*ordinal)) {
            found.entry(ordinal).or_default().push(volume.clone());
        }
    }
    let leftover = |(ordinal, mut claims): (Ordinal, Vec<Volume>)| {
        claims.sort_by_key(|claim| !data.as_ref().is_some_and(|data| claim.name.starts_with(data)));
        let member = seen.members.get(&ordinal);
        let own = member.and_then(|member| member.pod.as_ref()).map(|pod| pod.name.clone());
        let used_by = mounts.clone().map(|mounts| {
            let others = claims.iter().filter_map(|claim| mounts.get(&claim.name)).flatten().cloned();
            others.chain(own).collect()
        });
        Leftover { ordinal, pod: seen.pod_name(ordinal), claims, used_by, files: Fact::Unknown(Why::NotAsked) }
    };
    found.into_iter().map(leftover).collect()
}

/// The snapshot with a member for each left-over that nobody uses, so that helper pods can be planned for these and for nobody
/// else.
#[must_use]
pub fn to_read(seen: &Snapshot, leftovers: &[Leftover]) -> Snapshot {
    let mut seen = seen.clone();
    for member in seen.members.values_mut().filter(|member| matches!(member.files, Fact::Unknown(Why::NotRunning(_)))) {
        member.files = Fact::Unknown(Why::NotAsked);
    }
    for left in leftovers.iter().filter(|left| left.used_by.known().is_ok_and(BTreeSet::is_empty)) {
        let why = Why::NotRunning(format!("there is no pod {}", seen.pod_name(left.ordinal)));
        let member = Member { pod: None, server: Fact::Unknown(why.clone()), files: Fact::Unknown(why) };
        seen.members.insert(left.ordinal, member);
    }
    seen
}

/// What of the set itself stands against it, whatever the servers say.
///
/// # Errors
/// What mariadb-operator wants is not known.
pub fn of_the_set(seen: &Snapshot, stopped: Option<&Stopped>, custody: &Custody) -> Result<Option<Refusal>, Why> {
    let set = &seen.objects.stateful_set;
    let name = &set.name;
    if set.deletion.is_some() {
        return Ok(Some(Refusal::new(&rules::GOING, format!("the StatefulSet {name} is being deleted"))));
    }
    let refused = |summary: String, because: String| Refusal::new(&rules::NOT_AS_WANTED, summary).because([because]);
    if let Some(stopped) = stopped {
        let summary = format!("{name} was stopped, and its volumes are all there is of it");
        let refusal = refused(summary, format!("record of the stop: {} by {}", stopped.at, stopped.by));
        return Ok(Some(refusal.plugin(&format!("start {name}"))));
    }
    if set.replicas == 0 {
        let summary = format!("{name} is scaled to 0: nobody runs who could hold what the volumes hold");
        return Ok(Some(refused(summary, "spec.replicas: 0".to_owned()).plugin(&format!("status {name}"))));
    }
    if set.observed_generation < set.generation {
        let summary = format!("Kubernetes has not acted on the last change of {name} yet");
        let because = format!("status.observedGeneration: {} of {}", set.observed_generation, set.generation);
        return Ok(Some(refused(summary, because).plugin(&format!("pvc prune {name}"))));
    }
    if let Some(operator) = seen.objects.manager.operator().filter(|operator| operator.owns) {
        let wanted = operator.view.known().map_err(Clone::clone)?.spec.replicas;
        if wanted > set.replicas {
            let summary =
                format!("mariadb-operator was told to run {wanted} members of {name}, and {} are wanted now", set.replicas);
            let because = format!("spec.replicas of MariaDB {}: {wanted}", operator.name);
            return Ok(Some(refused(summary, because).plugin(&format!("status {name}"))));
        }
    }
    let scalers = custody.horizontal.known().into_iter().flatten();
    let scalers: Vec<_> = scalers.collect();
    let Some(first) = scalers.first() else { return Ok(None) };
    let summary = format!("{} may want more members of {name} at any moment, with the volumes that are left", first.told());
    let refusal = Refusal::new(&rules::AUTOSCALED, summary)
        .because(scalers.iter().map(|scaler| format!("target of {}: StatefulSet {name}", scaler.told())));
    Ok(Some(scalers.iter().fold(refusal, |refusal, scaler| refusal.kubectl(&scaler.pause()))))
}

/// What the members hold, if every wanted one is well in this look.
///
/// # Errors
/// What is wrong, a sentence each.
pub fn survivors(seen: &Snapshot) -> Result<Survivors, Vec<String>> {
    // Volumes whose files were read are no members: what they hold is not what is wrong with the cluster.
    let mut seen = seen.clone();
    let set = seen.objects.stateful_set.clone();
    seen.members.retain(|ordinal, member| set.wants(*ordinal) || member.pod.is_some());
    let seen = &seen;
    let mut wrong: Vec<String> =
        seen.expected().filter_map(|(ordinal, member)| unwell(&seen.pod_name(ordinal), member)).collect();
    // What is wrong with its backups is no matter of these volumes.
    let findings = verdict(seen).findings;
    let errors = findings.iter().filter(|finding| finding.rule.severity == Severity::Error && !finding.rule.is_unseen());
    wrong.extend(
        errors
            .filter(|finding| !finding.rule.code.starts_with("MDB6"))
            .map(|finding| format!("{}: {}", finding.rule.code, finding.summary)),
    );
    match Topology::of(seen) {
        _ if !wrong.is_empty() => Err(wrong),
        Topology::Unknown { .. } => Err(vec!["what kind of cluster this is cannot be told".to_owned()]),
        Topology::Galera => of_galera(seen).map_err(|why| vec![why]),
        Topology::Replication { .. } => Ok(match Logs::of(seen) {
            Ok(Ok(logs)) => Survivors::Replication { logs },
            Ok(Err(why)) => Survivors::Other(why),
            Err(why) => Survivors::Other(why.to_string()),
        }),
        Topology::Single | Topology::Independent => Ok(Survivors::Other("they do not replicate".to_owned())),
    }
}

fn unwell(name: &str, member: &Member) -> Option<String> {
    let Some(pod) = &member.pod else { return Some(format!("{name} has no pod")) };
    if pod.deletion.is_some() {
        return Some(format!("{name} is being deleted"));
    }
    if let Err(why) = member.server.known() {
        return Some(format!("the server of {name} does not answer: {why}"));
    }
    (!pod.ready).then(|| format!("{name} is not Ready"))
}

fn of_galera(seen: &Snapshot) -> Result<Survivors, String> {
    let members: BTreeSet<Ordinal> = seen.expected().map(|(ordinal, _)| ordinal).collect();
    let status = |member: &Member| Some(member.server.known().ok()?.galera.as_ref()?.status.clone());
    let all: Option<Vec<_>> = seen.expected().map(|(_, member)| status(member)).collect();
    let all = all.filter(|all| !all.is_empty()).ok_or("not every member runs with Galera")?;
    let state_uuid = all[0].cluster_state_uuid;
    if state_uuid.is_nil() || all.iter().any(|status| status.local_state_uuid != state_uuid) {
        return Err("the members do not hold one history".to_owned());
    }
    together(seen, &members, state_uuid)?;
    // Of the one that is least far.
    let committed = all.iter().map(|status| status.last_committed).collect::<Option<Vec<_>>>();
    let committed = committed.and_then(|all| all.into_iter().min()).ok_or("a member does not tell its last commit")?;
    Ok(Survivors::Galera { state_uuid, committed })
}

/// The same by two looks that have their time between them (safety D5, G1).
///
/// # Errors
/// The refusal.
pub fn survivors_of_both(first: &Snapshot, second: &Snapshot) -> Result<Survivors, Refusal> {
    let wrong = match (survivors(first), survivors(second)) {
        // How far they are only grows: what the second look says holds.
        (Ok(before), Ok(now)) => {
            let settlement = settled(first, second);
            let moved = [settlement.moved, settlement.unseen].concat();
            if moved.is_empty() && same_history(&before, &now) {
                return Ok(now);
            }
            moved
        }
        (Err(wrong), _) | (_, Err(wrong)) => wrong,
    };
    Err(unfit(second, wrong))
}

/// Whether two moments are about the same data.
#[must_use]
pub fn same_history(one: &Survivors, other: &Survivors) -> bool {
    match (one, other) {
        (Survivors::Galera { state_uuid: one, .. }, Survivors::Galera { state_uuid: other, .. }) => one == other,
        (Survivors::Replication { logs: one }, Survivors::Replication { logs: other }) => one.is_of_one_history(other),
        (Survivors::Other(_), Survivors::Other(_)) => true,
        _ => false,
    }
}

/// Members that are not well.
#[must_use]
pub fn unfit(seen: &Snapshot, wrong: Vec<String>) -> Refusal {
    let name = &seen.target.name;
    let summary = format!("{name} is not well: as long as that is so a left-over volume may be the best copy");
    Refusal::new(&rules::SURVIVORS_UNWELL, summary).because(wrong).plugin(&format!("status {name}"))
}

/// The one of them whose server was alone in a primary component of the members' history when it ended: any other may have been with
/// it there before, and no file tells.
#[must_use]
pub fn apart<'a>(all: &'a [Leftover], survivors: &Survivors) -> Option<&'a Leftover> {
    let Survivors::Galera { state_uuid, .. } = survivors else { return None };
    all.iter().find(|left| {
        let files = left.files.known().ok();
        files.is_some_and(|files| files.was_alone() && files.grastate.parsed().is_some_and(|state| state.uuid == *state_uuid))
    })
}

/// Judges the volumes of one ordinal. `apart`: as [`apart`].
#[must_use]
pub fn fate(left: &Leftover, apart: Option<&Leftover>, survivors: &Survivors, accepted: &[Loss]) -> Fate {
    let stays = |because: String| Fate::Stays { because, loss: None };
    match left.used_by.known() {
        Err(why) => return stays(format!("who uses it is not known: {why}")),
        Ok(pods) if !pods.is_empty() => {
            let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
            return stays(format!("it is used by {}", pods.join(", ")));
        }
        Ok(_) => {}
    }
    let (because, what) = match (left.files.known().map(Holds::at_rest), survivors) {
        (Ok(Holds::Nothing), _) => return Fate::Goes { because: "it is empty".to_owned(), loss: None },
        (Ok(Holds::At { uuid, seqno, alone }), survivors) => match beyond(uuid, seqno, alone, apart, survivors) {
            Ok(because) => return Fate::Goes { because, loss: None },
            Err(because) => (because, format!("{uuid}:{seqno}")),
        },
        (Ok(Holds::Logged(found)), Survivors::Replication { logs }) => match logs.ended(&left.pod, &found) {
            Err(why) => (format!("what it holds is not known: {why}"), unknown(left)),
            Ok(state) => {
                let lacking = logs.lacking(state);
                if lacking.is_empty() {
                    let because = format!("every member holds what its log ended with ({state}) and what came before it");
                    return Fate::Goes { because, loss: None };
                }
                let lacking = lacking.into_iter().collect::<Vec<_>>().join("+");
                (
                    format!("its log has transactions that the primary has not logged or a replica has not reached: {lacking}"),
                    lacking,
                )
            }
        },
        (Ok(logged @ Holds::Logged(_)), Survivors::Other(why)) => {
            (format!("its log ended with {logged}, and the members have none to compare that with: {why}"), unknown(left))
        }
        (Ok(logged @ Holds::Logged(_)), Survivors::Galera { .. }) => {
            (format!("its log ended with {logged}, and the members have none to compare that with"), unknown(left))
        }
        (Ok(Holds::Unknown(why)), _) => (format!("its position is not known: {why}"), unknown(left)),
        (Err(why), _) => (format!("its files could not be read: {why}"), unknown(left)),
    };
    let name = left.claims.first().map_or("", |claim| claim.name.as_str());
    let loss = Loss(format!("{name}:{what}"));
    if accepted.contains(&loss) {
        return Fate::Goes { because: format!("its loss was accepted; {because}"), loss: Some(loss) };
    }
    Fate::Stays { because, loss: Some(loss) }
}

/// Why every member holds what a member of Galera has closed there.
///
/// # Errors
/// Why not.
fn beyond(uuid: Uuid, seqno: u64, alone: bool, apart: Option<&Leftover>, survivors: &Survivors) -> Result<String, String> {
    let committed = match survivors {
        Survivors::Galera { state_uuid, committed } if uuid == *state_uuid => *committed,
        _ => return Err("it holds another history than the members: nobody else has any of it".to_owned()),
    };
    if seqno > committed {
        return Err(format!("it is ahead of the members, which are at {committed}: nobody else has what it holds"));
    }
    let others = "the same numbers may be other rows";
    match apart {
        _ if alone => {
            Err(format!("its server was alone in a primary component when it ended, and the members go on without it: {others}"))
        }
        Some(apart) => Err(format!(
            "the server of {} was alone in a primary component when it ended, and this one may have been with it before: {others}",
            apart.pod
        )),
        None => Ok(format!("every member holds {uuid}:{seqno} and what came before it: they are at {committed} and more")),
    }
}

/// Of what has no position the uid of the claim is told: whoever accepts this loss accepts no other one.
fn unknown(left: &Leftover) -> String {
    format!("unknown:{}", left.claims.first().map_or("", |claim| claim.uid.as_str()))
}

/// Nothing of all that is left over may go.
#[must_use]
pub fn all_stay(seen: &Snapshot, judged: &[(Leftover, Fate)]) -> Refusal {
    let name = &seen.target.name;
    let names = |left: &Leftover| left.claims.iter().map(|claim| claim.name.clone()).collect::<Vec<_>>().join(", ");
    let stays: Vec<(String, &String, Option<&Loss>)> = judged
        .iter()
        .filter_map(|(left, fate)| match fate {
            Fate::Stays { because, loss } => Some((names(left), because, loss.as_ref())),
            Fate::Goes { .. } => None,
        })
        .collect();
    let what: Vec<&str> = stays.iter().map(|(name, ..)| name.as_str()).collect();
    let summary = format!("no left-over volume of {name} may go: {}", what.join(", "));
    let refusal =
        Refusal::new(&rules::VOLUMES_STAY, summary).because(stays.iter().map(|(name, why, _)| format!("{name}: {why}")));
    let losses: Vec<&Loss> = stays.iter().filter_map(|(_, _, loss)| *loss).collect();
    if losses.is_empty() {
        return refusal.plugin(&format!("pvc list {name}"));
    }
    // One by one: whoever accepts all of them has looked at each.
    losses.into_iter().fold(refusal, |refusal, loss| refusal.plugin(&accepting(name, loss)))
}

/// The arguments that accept this loss.
#[must_use]
pub fn accepting(name: &str, loss: &Loss) -> String {
    format!("pvc prune {name} --accept-data-loss={}", loss.0)
}
