//! Volumes that lie where new members are to come: read first, judged, and then reused or deleted, or left alone (safety D5).
//!
//! A server that joins on one takes what it misses or a full copy, and a full copy erases what was there without a word (G 5,
//! V20, V21). So nothing is joined on a volume, and none is deleted, that may hold what the group has not.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::decide::election::{Bar, Candidate, Told, Trust};
use crate::decide::operation::gates::{AGREE, galera, wait};
use crate::decide::operation::memo::Memo;
use crate::decide::operation::plan::{Action, Decision, Loss, Range, Refusal, Step};
use crate::decide::operation::{Number, Wish};
use crate::decide::recover::elect_at_rest;
use crate::decide::rules::operations as rules;
use crate::model::disk::Disk;
use crate::model::fact::Why;
use crate::model::galera::ist_possible;
use crate::model::kubernetes::Claim;
use crate::model::names::Ordinal;
use crate::model::position::Position;
use crate::model::snapshot::Snapshot;
use crate::model::wsrep::Status;

use super::{Scale, Volumes, names};

/// What is done about them before the first new member starts.
#[derive(Debug, Default)]
pub struct Lying {
    pub steps: Vec<Step>,
    pub losses: Vec<Loss>,
    pub notes: Vec<String>,
}

/// What one of them holds, measured by the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Nothing that was ever acknowledged there alone, and why.
    Nothing(&'static str),
    /// The history of the group, up to here; whether its server gets what it misses without a full copy.
    Known { seqno: u64, missing_only: bool },
    /// The number is the group's, and the rows may not be: the server of this ordinal, it or another one, was alone in a primary
    /// component when it ended, and who was with it there before no file tells.
    Apart { uuid: Uuid, seqno: u64, from: Ordinal },
    /// Write sets that the group has not.
    Ahead { seqno: u64, group: u64 },
    /// Another history.
    Foreign { uuid: Uuid, seqno: Option<u64> },
    /// Nobody can tell, and why.
    Untold(String),
}

/// What it is measured by.
pub struct Group<'a> {
    pub history: Uuid,
    /// As far as its members have committed.
    pub at: u64,
    pub donors: Vec<&'a Status>,
}

impl<'a> Group<'a> {
    fn of(seen: &'a Snapshot, history: Uuid, now: Range) -> Result<Self, Why> {
        let donors: Vec<&Status> =
            now.ordinals().filter_map(|ordinal| galera(seen, ordinal)).map(|galera| &galera.status).collect();
        let at = donors.iter().filter_map(|donor| donor.last_committed).max();
        let at = at.ok_or_else(|| Why::Failed("no member tells how far it has committed".to_owned()))?;
        Ok(Self { history, at, donors })
    }
}

/// Judges one data directory. `apart`: whose server [was alone](Disk::was_alone), it or another one with that history.
pub fn judge(candidate: &Candidate, apart: Option<Ordinal>, group: &Group<'_>) -> Holds {
    let bars: &[Bar] = if let Trust::Never(bars) = &candidate.trust { bars } else { &[] };
    if let Trust::Unread(why) = &candidate.trust {
        return Holds::Untold(why.to_string());
    }
    if !candidate.counts() {
        let half = bars.iter().any(|bar| matches!(bar, Bar::HalfCopy(_) | Bar::EmptyGrastate));
        return Holds::Nothing(if half { "half of a copy" } else { "no database" });
    }
    let at = candidate.at();
    if let Some(uuid) = candidate.histories.iter().find(|uuid| **uuid != group.history) {
        return Holds::Foreign { uuid: *uuid, seqno: at.filter(|at| at.uuid == *uuid).map(|at| at.seqno) };
    }
    match (&candidate.position, at, apart) {
        (_, Some(at), _) if at.seqno > group.at => Holds::Ahead { seqno: at.seqno, group: group.at },
        (_, Some(at), Some(from)) => Holds::Apart { uuid: at.uuid, seqno: at.seqno, from },
        (_, Some(at), None) => {
            let position = Position { uuid: at.uuid, seqno: Some(at.seqno), gtid: None };
            let reached = group.donors.iter().any(|donor| ist_possible(&position, donor) == Some(true));
            Holds::Known { seqno: at.seqno, missing_only: reached && bars.is_empty() }
        }
        (Told::Unknown(why), None, _) => Holds::Untold(why.clone()),
        (_, None, _) => Holds::Untold("its database never was in a Galera cluster".to_owned()),
    }
}

/// Claims with a volume where new members are to come, that this operation has not brought about.
fn lying<'a>(seen: &'a Snapshot, scale: &Scale, now: Range) -> Result<BTreeMap<Ordinal, Vec<&'a Claim>>, Why> {
    let set = &seen.objects.stateful_set;
    let new = now.end().max(scale.reached)..now.with(scale.replicas).end();
    let mut lying: BTreeMap<Ordinal, Vec<&Claim>> = BTreeMap::new();
    for claim in seen.objects.claims.known().map_err(Clone::clone)? {
        if let Some(ordinal) = set.ordinal_of_claim(&claim.name).filter(|ordinal| new.contains(&ordinal.0))
            && claim.volume.is_some()
        {
            lying.entry(ordinal).or_default().push(claim);
        }
    }
    Ok(lying)
}

/// What lies there when it begins, and whether that is in the way.
pub fn begin(seen: &Snapshot, wish: &Wish, scale: &mut Scale, now: Range) -> Result<Option<Refusal>, Why> {
    let lying = lying(seen, scale, now)?;
    if lying.is_empty() {
        return Ok(None);
    }
    if scale.volumes == Volumes::Refuse {
        return Ok(Some(in_the_way(seen, wish, &lying)));
    }
    let templates = seen.objects.stateful_set.claim_templates.len();
    if let Some((ordinal, some)) = lying.iter().find(|(_, claims)| claims.len() < templates) {
        // A pod that reads them would wait for the others.
        let pod = seen.pod_name(*ordinal);
        let summary = format!("{pod} has only some of its volumes, so they cannot be read as its server would find them");
        let because = some.iter().map(|claim| format!("volume claim of {pod}: {}", claim.name));
        return Ok(Some(Refusal::new(&rules::STALE_VOLUME, summary).because(because).kubectl("get pvc")));
    }
    scale.stale = lying.values().flatten().map(|claim| (claim.name.clone(), claim.uid.clone())).collect();
    Ok(None)
}

impl Scale {
    /// Whoever goes on takes what lies there by now for what is to be read: others may have let servers run there meanwhile. Not
    /// the volumes of `seeded`, which this operation makes itself. Whether there is any that was not known.
    pub fn adopt(&mut self, seen: &Snapshot, seeded: &BTreeSet<Ordinal>) -> bool {
        // Where no flag was given, they are in the way.
        if self.volumes == Volumes::Refuse {
            return false;
        }
        let Ok(lying) = lying(seen, self, Range::of(&seen.objects.stateful_set)) else { return false };
        let others = lying.iter().filter(|(ordinal, _)| !seeded.contains(ordinal)).flat_map(|(_, claims)| claims);
        let unknown = others.filter(|claim| self.stale.get(&claim.name) != Some(&claim.uid));
        let unknown: BTreeMap<String, String> = unknown.map(|claim| (claim.name.clone(), claim.uid.clone())).collect();
        let adopted = !unknown.is_empty();
        self.stale.extend(unknown);
        adopted
    }
}

fn in_the_way(seen: &Snapshot, wish: &Wish, lying: &BTreeMap<Ordinal, Vec<&Claim>>) -> Refusal {
    let (name, pods) = (&seen.target.name, names(seen, lying.keys().copied()));
    let summary = format!("the volumes of earlier members {pods} are still there, and new members would start on what they hold");
    let because = lying.values().flatten().map(|claim| {
        let size = claim.capacity.as_ref().map_or_else(String::new, |capacity| format!(", {capacity}"));
        format!("volume claim {}: {}{size}", claim.name, claim.phase)
    });
    let refusal = Refusal::new(&rules::STALE_VOLUME, summary).because(because);
    let line = |volumes| {
        let number = wish.number.map(|number| Number { volumes, ..number });
        Wish { number, ..wish.clone() }.words(name)
    };
    refusal.plugin(&line(Volumes::Reuse)).plugin(&line(Volumes::Prune))
}

/// What is to be done about them before the next member starts. `Err`: nothing now.
pub fn next(seen: &Snapshot, memo: &Memo, scale: &Scale, now: Range) -> Result<Result<Lying, Decision>, Why> {
    let (claims, Some(history)) = (lying(seen, scale, now)?, scale.history) else { return Ok(Ok(Lying::default())) };
    let another = claims.values().flatten().find(|claim| scale.stale.get(&claim.name) != Some(&claim.uid));
    if let Some(claim) = another {
        let summary = format!("there is a volume claim {} that was not there when this began", claim.name);
        let name = &seen.target.name;
        let refusal = Refusal::new(&rules::STALE_VOLUME, summary).because([format!("metadata.uid: {}", claim.uid)]);
        let resume = scale.volumes != Volumes::Refuse;
        // Whoever goes on reads it.
        let refusal = if resume { refusal.plugin(&format!("operation resume {name}")) } else { refusal };
        return Ok(Err(Decision::Refuse(refusal.plugin(&format!("operation abort {name}")))));
    }
    if let Some(claim) = claims.values().flatten().find(|claim| claim.deletion.is_some()) {
        return Ok(Err(wait(format!("the volume claim {} is being deleted", claim.name), AGREE)));
    }
    if claims.is_empty() {
        return Ok(Ok(Lying::default()));
    }
    let deleted = || claims.values().flatten().filter(|_| scale.volumes == Volumes::Prune).map(|claim| delete(claim));
    let steps: Vec<Step> = reading(seen, memo, &claims).into_iter().chain(deleted()).collect();
    if steps.len() > deleted().count() {
        let losses = scale.accepts().map(|words| Loss(words.to_owned())).collect();
        return Ok(Ok(Lying { steps, losses, notes: vec![unread(seen, scale, &claims)] }));
    }
    let group = Group::of(seen, history, now)?;
    let files = of_claims(memo, &claims);
    let election = elect_at_rest(seen, &files, &memo.recovery.positions);
    let alone = |ordinal: &Ordinal| {
        let candidate = &election.candidates[ordinal];
        files[ordinal].was_alone() && candidate.counts() && candidate.histories.contains(&history)
    };
    let another = files.keys().copied().find(alone);
    let judged = |(ordinal, candidate): (&Ordinal, &Candidate)| {
        let apart = if alone(ordinal) { Some(*ordinal) } else { another };
        (*ordinal, judge(candidate, apart, &group))
    };
    let held: BTreeMap<Ordinal, Holds> = election.candidates.iter().map(judged).collect();
    let losses: Vec<Loss> = held.iter().filter_map(|(ordinal, holds)| loss(seen, *ordinal, holds)).collect();
    if let Some(refusal) = ahead(seen, &held, history).or_else(|| foreign(seen, scale, &held, &losses)) {
        return Ok(Err(Decision::Refuse(refusal)));
    }
    let notes = held.iter().map(|(ordinal, holds)| told(&seen.pod_name(*ordinal), holds, scale.volumes)).collect();
    Ok(Ok(Lying { steps, losses, notes }))
}

fn of_claims(memo: &Memo, claims: &BTreeMap<Ordinal, Vec<&Claim>>) -> BTreeMap<Ordinal, Disk> {
    let files = memo.recovery.files.iter().filter(|(ordinal, _)| claims.contains_key(ordinal));
    files.map(|(ordinal, disk)| (*ordinal, disk.clone())).collect()
}

/// Reading what was not read yet, and recovering positions that the files do not tell (safety A4: all are read before).
fn reading(seen: &Snapshot, memo: &Memo, claims: &BTreeMap<Ordinal, Vec<&Claim>>) -> Vec<Step> {
    let recover = "recover positions that the files do not tell, with `mariadbd --wsrep-recover` in short-lived pods";
    let recovery = |datadirs| Step::new("recover positions", recover, Action::Recover { datadirs });
    let unread: Vec<Ordinal> = claims.keys().copied().filter(|ordinal| !memo.recovery.files.contains_key(ordinal)).collect();
    if !unread.is_empty() {
        let pods = names(seen, unread.iter().copied());
        let say = format!("read the state files on the volumes of {pods} with short-lived pods that mount them read-only");
        let read = Step::new("read the state files", say, Action::Read { ordinals: unread });
        return vec![read, recovery(BTreeMap::new())];
    }
    let election = elect_at_rest(seen, &of_claims(memo, claims), &memo.recovery.positions);
    let hidden = election
        .candidates
        .iter()
        .filter(|(_, candidate)| candidate.hides() && !candidate.recovery_tried && !matches!(candidate.trust, Trust::Unread(_)));
    let datadirs: BTreeMap<Ordinal, String> =
        hidden.filter_map(|(ordinal, _)| Some((*ordinal, memo.recovery.files.get(ordinal)?.datadir.clone()))).collect();
    if datadirs.is_empty() { Vec::new() } else { vec![recovery(datadirs)] }
}

pub(super) fn delete(claim: &Claim) -> Step {
    let say = format!("delete the volume claim {}: what it holds is gone, unless its volume is retained", claim.name);
    let act = Action::DeleteClaim { name: claim.name.clone(), uid: claim.uid.clone() };
    Step::new(format!("delete {}", claim.name), say, act).without_return()
}

/// What the others have not, in the words that accept it.
fn loss(seen: &Snapshot, ordinal: Ordinal, holds: &Holds) -> Option<Loss> {
    let name = seen.pod_name(ordinal);
    match holds {
        Holds::Foreign { uuid, seqno } => {
            let seqno = seqno.map_or_else(|| "unknown".to_owned(), |seqno| seqno.to_string());
            Some(Loss(format!("{name}:{uuid}:{seqno}")))
        }
        Holds::Apart { uuid, seqno, .. } => Some(Loss(format!("{name}:{uuid}:{seqno}"))),
        Holds::Untold(_) => Some(Loss(format!("{name}:unknown:unknown"))),
        Holds::Nothing(_) | Holds::Known { .. } | Holds::Ahead { .. } => None,
    }
}

/// Rows that nobody else has, in the history that the group goes on with: no flag lets them go.
fn ahead(seen: &Snapshot, held: &BTreeMap<Ordinal, Holds>, history: Uuid) -> Option<Refusal> {
    let because: Vec<String> = held
        .iter()
        .filter_map(|(ordinal, holds)| match holds {
            Holds::Ahead { seqno, group } => Some(format!(
                "write sets {} to {seqno} of {history}: only on the volume of {}",
                group + 1,
                seen.pod_name(*ordinal)
            )),
            _ => None,
        })
        .collect();
    let pods = names(seen, held.iter().filter(|(_, holds)| matches!(holds, Holds::Ahead { .. })).map(|(ordinal, _)| *ordinal));
    (!because.is_empty()).then(|| {
        let name = &seen.target.name;
        let summary = format!("the volume of {pods} is ahead of {name}: it holds rows that nobody else has");
        Refusal::new(&rules::VOLUME_AHEAD, summary).because(because).plugin(&format!("operation abort {name}"))
    })
}

/// What a full copy, or the deletion, would erase for good, or who starts on it would keep beside the others (IST).
fn foreign(seen: &Snapshot, scale: &Scale, held: &BTreeMap<Ordinal, Holds>, losses: &[Loss]) -> Option<Refusal> {
    let known: BTreeSet<&str> = scale.accepts().collect();
    if losses.is_empty() || scale.volumes == Volumes::Prune && losses.iter().all(|loss| known.contains(loss.0.as_str())) {
        return None;
    }
    let is_loss = |holds: &&Holds| matches!(holds, Holds::Foreign { .. } | Holds::Apart { .. } | Holds::Untold(_));
    let because = held.iter().filter(|(_, holds)| is_loss(holds)).map(|(ordinal, holds)| {
        let pod = seen.pod_name(*ordinal);
        match holds {
            Holds::Untold(why) => format!("what the volume of {pod} holds is not known: {why}"),
            Holds::Apart { uuid, seqno, from } if from != ordinal => format!(
                "the server on the volume of {} was alone in a primary component when it ended, and that of {pod}, at {uuid}:{seqno}, may \
                 have been with it before: the same numbers may be other rows",
                seen.pod_name(*from)
            ),
            Holds::Apart { uuid, seqno, .. } => format!(
                "the server on the volume of {pod} was alone in a primary component when it ended, at {uuid}:{seqno}, and the others go on \
                 without it: the same numbers may be other rows"
            ),
            _ => format!(
                "another history on the volume of {pod}: {}",
                loss(seen, *ordinal, holds).unwrap_or(Loss(String::new())).0
            ),
        }
    });
    let pods = names(seen, held.iter().filter(|(_, holds)| is_loss(holds)).map(|(ordinal, _)| *ordinal));
    let name = &seen.target.name;
    let end = match scale.volumes {
        Volumes::Prune => "it would be deleted",
        Volumes::Reuse | Volumes::Refuse => "a new member would erase it, or bring it in beside what the others have",
    };
    let summary = format!("the volume of {pods} may hold what {name} never had, and {end}");
    Some(
        Refusal::new(&rules::VOLUME_FOREIGN, summary)
            .because(because)
            .plugin(&format!("operation abort {name}"))
            .plugin(&accepting(name, scale, losses)),
    )
}

/// The arguments that accept them.
pub(super) fn accepting(name: &str, scale: &Scale, losses: &[Loss]) -> String {
    let words: Vec<&str> = losses.iter().map(|loss| loss.0.as_str()).collect();
    format!("scale {name} --replicas {} --prune-pvcs --accept-data-loss={}", scale.replicas, words.join(","))
}

fn unread(seen: &Snapshot, scale: &Scale, claims: &BTreeMap<Ordinal, Vec<&Claim>>) -> String {
    let pods = names(seen, claims.keys().copied());
    let then = match scale.volumes {
        Volumes::Prune => "deleted",
        Volumes::Reuse | Volumes::Refuse => "reused",
    };
    format!("The volumes of {pods} are {then} only if they hold nothing that {} has not: that is read first.", seen.target.name)
}

fn told(pod: &str, holds: &Holds, volumes: Volumes) -> String {
    let what = match holds {
        Holds::Nothing(what) => (*what).to_owned(),
        Holds::Known { seqno, .. } => format!("the same history up to {seqno}, and nothing beyond the others"),
        Holds::Ahead { .. } | Holds::Apart { .. } | Holds::Foreign { .. } | Holds::Untold(_) => {
            "what was accepted to be lost".to_owned()
        }
    };
    match (volumes, holds) {
        (Volumes::Prune, _) => format!("The volume of {pod} holds {what}."),
        (_, Holds::Known { missing_only: true, .. }) => {
            format!("The volume of {pod} holds {what}: {pod} takes only what it misses (IST) while the others keep that.")
        }
        _ => format!("The volume of {pod} holds {what}: {pod} takes a full copy (SST) over it."),
    }
}
