//! New replicas: a volume of their own first, a copy of a healthy replica on it, and only then their pod. A server that started
//! from nothing would stop with error 1236, or hold less than the others without a word (safety D2, D5).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::decide::operation::formation::{Formation, LAG, keeps_up, lag, server};
use crate::decide::operation::plan::{Action, Plan, Range, Refusal, Step};
use crate::decide::operation::{memo::Memo, plan::Decision};
use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::left::{self, Left};
use super::{Number, Scale, Volumes, around, not_now, outwards};

/// Says which operation has made a claim.
pub const MADE_BY: &str = "kubectl-mariadb/made-by";

/// Of new replicas: whom they are to follow, and what was made for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seeding {
    pub formation: Formation,
    /// The lowest ordinal that is new.
    pub first: u32,
    /// What [`MADE_BY`] says on claims of this operation.
    pub mark: String,
    /// Claims that it has made, and their uids.
    #[serde(default)]
    pub made: BTreeMap<String, String>,
    /// Ordinals on whose volumes a whole copy lies.
    #[serde(default)]
    pub seeded: BTreeSet<Ordinal>,
}

/// Whether new replicas can be seeded, and how.
pub fn begin(seen: &Snapshot, number: Number, now: Range) -> Result<Result<Seeding, Refusal>, Why> {
    let formation = match Formation::of(seen, "scale-out", &BTreeSet::new())? {
        // Its replicas are gone, and come back.
        Ok(Formation::Single) => {
            let primary = Ordinal(now.start);
            let server = server(seen, primary).ok_or_else(|| Why::Failed("the only server does not answer".to_owned()))?;
            Formation::Replication { primary, writable: !server.read_only }
        }
        Ok(formation) => formation,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(why) = formation.within(seen, &BTreeSet::new(), u64::MAX) {
        return Ok(Err(not_now(seen, [why])));
    }
    let copies = number.volumes != Volumes::Reuse || !left::there(seen, now, number.replicas)?;
    if copies && let Err(reasons) = donor(seen, formation, now.end()) {
        let summary = format!("no replica of {} can give a copy of its data to a new one", seen.target.name);
        return Ok(Err(Refusal::new(&rules::NO_SEED, summary).because(reasons).plugin(&format!("status {}", seen.target.name))));
    }
    if let Some(refusal) = unbound(seen, number.replicas, now)? {
        return Ok(Err(refusal));
    }
    let mark = seen.taken.to_string();
    Ok(Ok(Seeding { formation, first: now.end(), mark, made: BTreeMap::new(), seeded: BTreeSet::new() }))
}

/// Whether all replicate, and whoever is new has caught up as far as the others. How far those are behind
/// is no concern of a copy: under load they may always be.
///
/// # Errors
/// What is missing, in words that follow "waiting: ".
pub fn in_step(seen: &Snapshot, seeding: &Seeding) -> Result<(), String> {
    seeding.formation.within(seen, &BTreeSet::new(), u64::MAX)?;
    let (old, new): (Vec<Ordinal>, Vec<Ordinal>) =
        seen.objects.stateful_set.wanted().partition(|ordinal| ordinal.0 < seeding.first);
    let usual = old.into_iter().filter_map(|ordinal| lag(seen, ordinal)).max().unwrap_or(0).max(LAG);
    new.into_iter().try_for_each(|ordinal| keeps_up(seen, ordinal, usual))
}

/// Claims where new replicas are to come that have no volume, so that nothing can be read.
fn unbound(seen: &Snapshot, replicas: u32, now: Range) -> Result<Option<Refusal>, Why> {
    let (set, name) = (&seen.objects.stateful_set, &seen.target.name);
    let new = now.end()..now.with(replicas).end();
    let claims = seen.objects.claims.known().map_err(Clone::clone)?;
    let there = claims.iter().filter(|claim| claim.volume.is_none());
    let there = there.filter(|claim| set.ordinal_of_claim(&claim.name).is_some_and(|ordinal| new.contains(&ordinal.0)));
    let because: Vec<String> = there.map(|claim| format!("volume claim {}: {}", claim.name, claim.phase)).collect();
    Ok((!because.is_empty()).then(|| {
        let summary = format!("volume claims without a volume lie where new replicas of {name} are to come: remove them first");
        let refusal = Refusal::new(&rules::STALE_VOLUME, summary).because(because);
        refusal.plugin(&format!("pvc list {name}")).plugin(&format!("pvc prune {name}"))
    }))
}

/// Who gives the copy: a replica that follows the primary itself, so that the primary has no work by it; the highest of those
/// that are not new.
///
/// # Errors
/// Why none can.
fn donor(seen: &Snapshot, formation: Formation, first: u32) -> Result<(Ordinal, &str), Vec<String>> {
    let mut reasons = Vec::new();
    let ordinals: Vec<Ordinal> = seen.objects.stateful_set.wanted().filter(|ordinal| ordinal.0 < first).collect();
    for ordinal in ordinals.into_iter().rev().filter(|ordinal| formation.primary() != Some(*ordinal)) {
        match gives(seen, ordinal) {
            Ok(datadir) => return Ok((ordinal, datadir)),
            Err(why) => reasons.push(format!("{}: {why}", seen.pod_name(ordinal))),
        }
    }
    Err(reasons)
}

/// The data directory of one that can give.
fn gives(seen: &Snapshot, ordinal: Ordinal) -> Result<&str, String> {
    let server = server(seen, ordinal).ok_or("it does not answer")?;
    let [channel] = &server.channels[..] else {
        return Err(format!("it has {} replication channels, and only one can be handed on", server.channels.len()));
    };
    if !channel.uses_gtid {
        return Err("it replicates by file and position of the binary log, not by GTID".to_owned());
    }
    if channel.delay_seconds > 0 {
        return Err(format!("it is kept {} s behind the primary", channel.delay_seconds));
    }
    if !server.binlog.logs_replicated && server.binlog.enabled {
        return Err("log_slave_updates is OFF, and whoever is copied from it would not log what it replicates either".to_owned());
    }
    let member = &seen.members[&ordinal];
    member.pod.as_ref().and_then(|pod| pod.ip.as_ref()).ok_or("its pod has no address")?;
    member.files.known().map(|disk| disk.datadir.as_str()).map_err(|why| format!("where its data lies is not known: {why}"))
}

/// The next steps towards more replicas.
pub fn next(seen: &Snapshot, memo: &Memo, scale: &Scale, seeding: &Seeding, now: Range) -> Result<Decision, Why> {
    if let Err(why) = in_step(seen, seeding) {
        return Ok(outwards::waits(seen, memo, now, why));
    }
    let Left { mut steps, kept, losses, mut notes } = match left::next(seen, memo, scale, now)? {
        Ok(left) => left,
        Err(decision) => return Ok(decision),
    };
    let mut giver = None;
    for replicas in now.replicas..scale.replicas {
        let range = now.with(replicas);
        if kept.contains(&Ordinal(range.end())) {
            steps.push(start(seen, seeding, range, " on the volume that it left"));
            continue;
        }
        let donor = donor(seen, seeding.formation, seeding.first).map_err(|reasons| Why::Failed(reasons.join("; ")))?;
        giver = Some(donor.0);
        steps.extend(self::steps(seen, seeding, donor, range)?);
    }
    notes.extend(self::notes(seen, memo, seeding, giver));
    Ok(Decision::Go(Plan { steps: around(seen, memo, steps), losses, notes }))
}

/// Of one ordinal.
fn steps(seen: &Snapshot, seeding: &Seeding, (donor, datadir): (Ordinal, &str), now: Range) -> Result<Vec<Step>, Why> {
    let ordinal = Ordinal(now.end());
    let (pod, source) = (seen.pod_name(ordinal), seen.pod_name(donor));
    let there = seen.objects.claims.known().map_err(Clone::clone)?;
    let is_made = |name: &String| {
        let claim = there.iter().find(|claim| claim.name == *name);
        claim.is_some_and(|claim| seeding.made.get(name) == Some(&claim.uid) && claim.deletion.is_none())
    };
    let made = seen.objects.stateful_set.claims_of(ordinal).all(|name| is_made(&name));
    let mut steps = Vec::new();
    if !made {
        let say = format!("make the volume claims of {pod}, as large as those of {source}");
        steps.push(Step::new(
            format!("make the volume of {pod}"),
            say,
            Action::Claim { ordinal, like: donor, mark: seeding.mark.clone() },
        ));
    }
    if !made || !seeding.seeded.contains(&ordinal) {
        let say =
            format!("copy the data of {source} to it with mariadb-backup, from pod to pod, and what {source} replicates from");
        let act = Action::Seed { ordinal, donor, datadir: datadir.to_owned() };
        steps.push(Step::new(format!("seed {pod}"), say, act));
    }
    steps.push(start(seen, seeding, now, ""));
    Ok(steps)
}

fn start(seen: &Snapshot, seeding: &Seeding, now: Range, how: &str) -> Step {
    let pod = seen.pod_name(Ordinal(now.end()));
    let primary = seeding.formation.primary().map_or_else(String::new, |primary| seen.pod_name(primary));
    let say = format!("start {pod}{how}, and wait until it follows {primary} and has caught up");
    Step::range(format!("start {pod}"), say, now, now.with(now.replicas + 1))
}

/// What is to be done about the one that was added last, before anything else.
pub fn newest(seen: &Snapshot, memo: &Memo, seeding: &Seeding, now: Range) -> Option<Decision> {
    let newest = outwards::newest(memo, now)?;
    let name = seen.pod_name(newest);
    let replica = server(seen, newest)?;
    let twin = seen.expected().map(|(ordinal, _)| ordinal).filter(|other| *other != newest);
    let twin =
        twin.filter_map(|other| Some((other, server(seen, other)?))).find(|(_, other)| other.server_id == replica.server_id);
    if let Some((twin, other)) = twin {
        let summary = format!("{name} has the server_id of {}: the primary sends to one of the two only", seen.pod_name(twin));
        return Some(Decision::Refuse(lost(seen, summary, format!("server_id of both: {}", other.server_id))));
    }
    // What no waiting heals.
    let error = replica
        .channels
        .iter()
        .find_map(|channel| channel.sql_error.as_ref().or_else(|| channel.io_error.as_ref().filter(|error| error.code == 1236)));
    if let Some(error) = error {
        let summary = format!("{name} cannot follow the others");
        return Some(Decision::Refuse(lost(seen, summary, format!("replication of {name}: {} {}", error.code, error.text))));
    }
    let open = !replica.read_only && !replica.channels.is_empty() && seeding.formation.primary() != Some(newest);
    open.then(|| {
        let say = format!("make {name} read-only: it is a replica, and its configuration does not say so");
        let step = Step { unasked: true, ..Step::new(format!("close {name}"), say, Action::Close { ordinal: newest }) };
        Decision::Go(Plan { steps: vec![step], ..Plan::default() })
    })
}

fn lost(seen: &Snapshot, summary: String, because: String) -> Refusal {
    let refusal = Refusal::new(&rules::NO_SEED, summary).because([because]);
    refusal.plugin(&format!("operation abort {}", seen.target.name))
}

/// `giver`: whoever is copied.
fn notes(seen: &Snapshot, memo: &Memo, seeding: &Seeding, giver: Option<Ordinal>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(donor) = giver {
        let used = seen.members.get(&donor).and_then(|member| member.files.known().ok()).map(|disk| disk.space.used >> 20);
        let size = used.map_or_else(String::new, |used| format!(", up to {used} MiB"));
        notes.push(format!(
            "{} gives the copy{size}, and serves and replicates meanwhile. It goes from pod to pod unencrypted, as a state transfer \
             does; the password of the replication account goes by the API server.",
            seen.pod_name(donor)
        ));
    }
    if seeding.formation.primary().and_then(|primary| server(seen, primary)).is_some_and(|primary| primary.read_only) {
        notes.push("The primary is read-only, and stays so.".to_owned());
    }
    if memo.deleted_claims {
        notes.push(
            "whenScaled is Delete: as long as this lasts it is Retain, so that no volume is deleted when it is taken back."
                .to_owned(),
        );
    }
    notes
}

/// The volumes that were made for replicas whose pods never were: what lies on them is a copy, or a part of one.
pub fn unused(seen: &Snapshot, scale: &Scale) -> Vec<Step> {
    let Some(seeding) = &scale.seeding else { return Vec::new() };
    let set = &seen.objects.stateful_set;
    let never = |name: &str| set.ordinal_of_claim(name).is_some_and(|ordinal| ordinal.0 >= scale.reached && !set.wants(ordinal));
    let there = seen.objects.claims.known().into_iter().flatten().filter(|claim| claim.deletion.is_none());
    there
        .filter(|claim| seeding.made.get(&claim.name) == Some(&claim.uid) && never(&claim.name))
        .map(|claim| {
            let say = format!("delete the volume claim {}, which was made for a replica that never started", claim.name);
            let act = Action::DeleteClaim { name: claim.name.clone(), uid: claim.uid.clone() };
            Step::new(format!("delete {}", claim.name), say, act)
        })
        .collect()
}

/// The claim of an ordinal as the StatefulSet controller would make it, but with room for what `like` has. `set`: as the API
/// server wrote it.
///
/// # Errors
/// Why it cannot be made, as one sentence.
pub fn claim(set: &Value, template: &str, pod: &str, like: &Value, mark: &str) -> Result<Value, String> {
    let templates = set["spec"]["volumeClaimTemplates"].as_array();
    let from = templates.into_iter().flatten().find(|one| one["metadata"]["name"] == template);
    let from = from.ok_or_else(|| format!("the set has no volume claim template {template}"))?;
    let size = &like["spec"]["resources"]["requests"]["storage"];
    if size.is_null() {
        return Err(format!("how large the volume claim {template} of the one that gives is was not told"));
    }
    let mut metadata = json!({"name": format!("{template}-{pod}"), "labels": from["metadata"]["labels"]});
    metadata["annotations"] = from["metadata"]["annotations"].clone();
    metadata["annotations"][MADE_BY] = json!(mark);
    // As the controller does it: the set's own pods find them by these.
    for (key, value) in set["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten() {
        metadata["labels"][key] = value.clone();
    }
    let mut spec = from["spec"].clone();
    spec["resources"]["requests"]["storage"] = size.clone();
    Ok(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}))
}
