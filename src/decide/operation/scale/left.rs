//! Volumes of earlier replicas where new ones are to come: read first, measured by what every server has logged, and then reused or
//! deleted, or left alone (safety D5). A replica that is stopped cleanly leaves the last positions of its binary log beside it.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::operation::gates::{AGREE, wait};
use crate::decide::operation::memo::Memo;
use crate::decide::operation::plan::{Action, Decision, Loss, Range, Refusal, Step};
use crate::decide::rules::operations as rules;
use crate::decide::volumes::logs::Logs;
use crate::model::disk::Disk;
use crate::model::fact::Why;
use crate::model::kubernetes::Claim;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::volumes::Holds;

use super::{Scale, Volumes, names, stale};

/// What is to be done about them before the next replica starts.
#[derive(Debug, Default)]
pub struct Left {
    pub steps: Vec<Step>,
    /// Those that go on with what lies there.
    pub kept: BTreeSet<Ordinal>,
    pub losses: Vec<Loss>,
    pub notes: Vec<String>,
}

/// What speaks against reusing or deleting a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Objection {
    why: String,
    /// What would be lost with it, in the words that accept it. `None`: it is not to be deleted.
    loss: Option<Loss>,
}

/// Whether every new ordinal has its volumes already.
///
/// # Errors
/// The claims are not known.
pub fn there(seen: &Snapshot, now: Range, replicas: u32) -> Result<bool, Why> {
    let claims = seen.objects.claims.known().map_err(Clone::clone)?;
    let set = &seen.objects.stateful_set;
    let lies = |name: String| claims.iter().any(|claim| claim.name == name && claim.volume.is_some());
    Ok((now.end()..now.with(replicas).end()).all(|ordinal| set.claims_of(Ordinal(ordinal)).all(lies)))
}

/// What is to be done about them now. `Err`: nothing, and why.
pub fn next(seen: &Snapshot, memo: &Memo, scale: &Scale, now: Range) -> Result<Result<Left, Decision>, Why> {
    let claims = lying(seen, scale, now)?;
    if let Some(claim) = claims.values().flatten().find(|claim| claim.deletion.is_some()) {
        return Ok(Err(wait(format!("the volume claim {} is being deleted", claim.name), AGREE)));
    }
    // A server of this operation has run on those that it has reached.
    let (kept, new): (BTreeSet<Ordinal>, BTreeSet<Ordinal>) = claims.keys().partition(|ordinal| ordinal.0 < scale.reached);
    let mut left = Left { kept, ..Left::default() };
    if new.is_empty() {
        return Ok(Ok(left));
    }
    let pods = names(seen, new.iter().copied());
    let unread: Vec<Ordinal> = new.iter().copied().filter(|ordinal| !memo.recovery.files.contains_key(ordinal)).collect();
    if unread.is_empty() {
        let logs = Logs::of(seen)?;
        let judged = new.iter().map(|ordinal| {
            let files = &memo.recovery.files[ordinal];
            (*ordinal, judge(&seen.pod_name(*ordinal), uid(seen, scale, *ordinal), files, &logs, scale.volumes))
        });
        let bad: Vec<(Ordinal, Objection)> = judged.filter_map(|(ordinal, judged)| Some((ordinal, judged.err()?))).collect();
        let losses: Vec<Loss> = bad.iter().filter_map(|(_, objection)| objection.loss.clone()).collect();
        let accepted = |loss: &Loss| scale.accepts().any(|words| words == loss.0);
        if losses.len() < bad.len() || !losses.iter().all(accepted) {
            return Ok(Err(Decision::Refuse(left_alone(seen, scale, &bad, &losses))));
        }
        left.losses = losses;
    } else {
        let say = format!("read what the volumes of {pods} hold, with short-lived pods that mount them read-only");
        left.steps.push(Step::new("read the state files", say, Action::Read { ordinals: unread }));
        left.losses = scale.accepts().map(|words| Loss(words.to_owned())).collect();
        left.notes.push(format!("If the volumes of {pods} hold more than every server has, or nobody can tell, it ends there."));
    }
    if scale.volumes == Volumes::Prune {
        left.steps.extend(new.iter().flat_map(|ordinal| &claims[ordinal]).map(|claim| delete(claim)));
    } else {
        left.notes.push(format!(
            "On its old volume a replica takes what was written since it left, if the primary still has that; if not (error 1236), it \
             is said, and `operation abort` takes the replica away again: {pods}."
        ));
        left.kept.extend(new);
    }
    Ok(Ok(left))
}

/// The number of replicas can be taken back after it; the volume cannot.
fn delete(claim: &Claim) -> Step {
    let step = stale::delete(claim);
    Step { no_return: false, ..step }
}

/// Those that lay there when it began, by ordinal.
fn lying<'a>(seen: &'a Snapshot, scale: &Scale, now: Range) -> Result<BTreeMap<Ordinal, Vec<&'a Claim>>, Why> {
    let set = &seen.objects.stateful_set;
    let new = now.end()..now.with(scale.replicas).end();
    let mut lying: BTreeMap<Ordinal, Vec<&Claim>> = BTreeMap::new();
    for claim in seen.objects.claims.known().map_err(Clone::clone)? {
        if let Some(ordinal) = set.ordinal_of_claim(&claim.name).filter(|ordinal| new.contains(&ordinal.0))
            && scale.stale.get(&claim.name) == Some(&claim.uid)
        {
            lying.entry(ordinal).or_default().push(claim);
        }
    }
    Ok(lying)
}

/// Of the first of its volume claims, as it was when this began: also when some of them are deleted already.
fn uid<'a>(seen: &Snapshot, scale: &'a Scale, ordinal: Ordinal) -> &'a str {
    let set = &seen.objects.stateful_set;
    let first = scale.stale.iter().find(|(name, _)| set.ordinal_of_claim(name) == Some(ordinal));
    first.map_or("", |(_, uid)| uid.as_str())
}

/// Whether nothing is lost if its server takes what it misses, or if it is deleted.
///
/// # Errors
/// What speaks against it.
fn judge(pod: &str, uid: &str, files: &Disk, logs: &Result<Logs, String>, volumes: Volumes) -> Result<(), Objection> {
    let reuse = volumes == Volumes::Reuse;
    // Who reuses a volume has no loss to accept: whatever it holds beyond the others would come back with it.
    let objection = |why: String, what: &str| Objection { why, loss: (!reuse).then(|| Loss(format!("{pod}:{what}"))) };
    let unknown = |why: &str| objection(format!("what it holds is not known: {why}"), &format!("unknown:{uid}"));
    match Holds::at_rest(files) {
        Holds::Nothing if reuse => Err(objection("it is empty: a server would start from nothing there".to_owned(), "")),
        Holds::Nothing => Ok(()),
        Holds::Unknown(why) => Err(unknown(&why)),
        Holds::At { uuid, seqno, .. } => {
            Err(objection(format!("it is that of a Galera member, at {uuid}:{seqno}"), &format!("{uuid}:{seqno}")))
        }
        Holds::Logged(_) if reuse && !files.follows => {
            let why = "its server was not told whom to replicate from (no master.info of a default connection): it may have been a primary";
            Err(objection(why.to_owned(), ""))
        }
        Holds::Logged(found) => {
            let logs = logs.as_ref().map_err(|why| unknown(why))?;
            let state = logs.ended(pod, &found).map_err(|why| unknown(&why))?;
            let lacking: Vec<String> = logs.lacking(state).into_iter().collect();
            if lacking.is_empty() {
                return Ok(());
            }
            let why = "its log has transactions that the primary has not logged or a replica has not reached";
            Err(objection(format!("{why}: {}", lacking.join(", ")), &lacking.join("+")))
        }
    }
}

fn left_alone(seen: &Snapshot, scale: &Scale, bad: &[(Ordinal, Objection)], losses: &[Loss]) -> Refusal {
    let name = &seen.target.name;
    let pods = names(seen, bad.iter().map(|(ordinal, _)| *ordinal));
    let summary = format!("the volumes of {pods} are left alone, so that no replica of {name} starts there");
    let because = bad.iter().map(|(ordinal, objection)| format!("volume of {}: {}", seen.pod_name(*ordinal), objection.why));
    // An unfinished operation forbids the other.
    let refusal = Refusal::new(&rules::STALE_VOLUME, summary).because(because).plugin(&format!("operation abort {name}"));
    if losses.is_empty() {
        refusal.plugin(&format!("pvc prune {name}"))
    } else {
        refusal.plugin(&stale::accepting(name, scale, losses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::disk::{Process, StateFile};
    use crate::model::testing::disk;

    #[test]
    fn only_what_every_server_has_is_reused_or_deleted_and_only_a_replica_goes_on() {
        let at_rest = |logged: Option<&str>, follows: bool| {
            let mut files = disk(None);
            (files.process, files.grastate, files.follows) = (Process::None, StateFile::Absent, follows);
            files.logged = logged.map(|state| ("binlog".to_owned(), state.parse().unwrap())).into_iter().collect();
            files
        };
        let empty = Disk { empty: true, ..at_rest(None, false) };
        let replicas = [("db-1".to_owned(), "0-1-110".parse().unwrap())].into();
        let logs = Ok(Logs { primary: "0-1-120".parse().unwrap(), replicas, name: "binlog".to_owned() });
        let cases = [
            (at_rest(Some("0-1-110"), true), "", ""),
            (at_rest(Some("0-1-110"), false), "no master.info", ""),
            (at_rest(Some("0-1-115"), true), "0-1-111..115", "0-1-111..115"),
            (at_rest(None, true), "not known", "not known"),
            (empty, "is empty", ""),
            (disk(None), "a server runs", "a server runs"),
        ];
        for (files, reused, pruned) in cases {
            for (volumes, expected) in [(Volumes::Reuse, reused), (Volumes::Prune, pruned)] {
                let judged = judge("db-3", "uid-3", &files, &logs, volumes);
                let right = judged.as_ref().map_or_else(|objection| objection.why.contains(expected), |()| expected.is_empty());
                assert!(right && (expected.is_empty() == judged.is_ok()), "{volumes:?}, {expected:?} was expected: {judged:?}");
                let named = judged.err().and_then(|objection| objection.loss);
                assert_eq!(named.is_some(), volumes == Volumes::Prune && !expected.is_empty(), "{expected}: {named:?}");
            }
        }
        let none = Err("the servers do not log what they replicate".to_owned());
        let told = judge("db-3", "uid-3", &at_rest(Some("0-1-1"), true), &none, Volumes::Prune).unwrap_err();
        assert!(told.why.contains("do not log what they replicate"), "{told:?}");
        assert_eq!(told.loss, Some(Loss("db-3:unknown:uid-3".to_owned())), "of what nobody knows the volume is named");
        let told = judge("db-3", "uid-3", &at_rest(Some("0-1-115"), true), &logs, Volumes::Prune).unwrap_err();
        assert_eq!(told.loss, Some(Loss("db-3:0-1-111..115".to_owned())));
        // Of a log that had another name once: nothing is known of what came after it.
        let mut old = at_rest(None, true);
        old.logged = [("old".to_owned(), "0-1-1".parse().unwrap())].into();
        assert!(judge("db-3", "uid-3", &old, &logs, Volumes::Prune).unwrap_err().why.contains("what it holds is not known"));
    }
}
