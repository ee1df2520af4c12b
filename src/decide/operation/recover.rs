//! The way back of a Galera cluster of which no server runs on: stop what crashes, read every data directory, recover the
//! positions that the files do not tell, elect, and let the elected one found the cluster again.
//!
//! Up to the election nothing is certain but the way to it. So the plan is confirmed twice: once to look, once to found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::decide::election::{Candidate, Election, Outcome, Reason, Told, Trust, elect};
use crate::decide::recover::{Route, at_rest, route, were_apart, writes};
use crate::decide::rules::galera::NO_PRIMARY_SEEN;
use crate::decide::rules::operations as rules;
use crate::model::fact::{Fact, Why};
use crate::model::galera::Groups;
use crate::model::names::Ordinal;
use crate::model::snapshot::{Member, Snapshot};

use super::choice::{founder, gives_up, unfit, way_out};
use super::founding::{afterwards, begin_again, founding, onward, second_cluster};
use super::gates::{LEAVE, changed_outside, wait};
use super::journal::Stopped;
use super::memo::{Founder, Memo, Recovery};
use super::plan::{Action, Decision, Plan, Range, Refusal, Step};
use super::preflight::claim_going;
use super::{Beginning, Wish, zero};

pub(super) fn begin(wish: &Wish, seen: &Snapshot, stopped: Option<&Stopped>) -> Result<Beginning, Why> {
    if let Some(beginning) = zero::begin(wish, seen, stopped)? {
        return Ok(beginning);
    }
    let choice = wish.choice();
    Ok(match route(seen) {
        Route::Nothing => Beginning::Nothing(format!("{} is whole: there is nothing to recover", seen.target.name)),
        Route::Wait { why, limit, then } => {
            let recovery = Recovery { waited: true, choice, ..Recovery::default() };
            let then = then.map(|_| Box::new(Memo { recovery, ..Memo::new(seen) }));
            Beginning::Wait { why, limit, then }
        }
        Route::Bootstrap { .. } => {
            let unfit = choice.as_ref().and_then(|choice| unfit(seen, choice));
            if let Some(refusal) = unfit.or_else(|| alone(seen, seen.objects.stateful_set.replicas)) {
                return Ok(Beginning::Refuse(refusal));
            }
            let recovery = Recovery { choice, began: Some(seen.taken), ..Recovery::default() };
            Beginning::Begin(Box::new(Memo { recovery, ..Memo::new(seen) }))
        }
        other => Beginning::Refuse(no_way(seen, &other)),
    })
}

/// With one member nobody carries the cluster while the founder hands its volume back to the set.
pub(super) fn alone(seen: &Snapshot, members: u32) -> Option<Refusal> {
    (members < 2).then(|| {
        let name = &seen.target.name;
        Refusal::new(
            &rules::NOT_THIS_KIND,
            format!("{name} has one member: nobody would carry the cluster but the pod that founds it"),
        )
        .because([format!("replicas: {members}")])
        .plugin(&format!("galera grastate {name}"))
    })
}

pub(super) fn decide(seen: &Snapshot, memo: &Memo) -> Result<Decision, Why> {
    if let Some(stray) = &memo.stray {
        return Ok(Decision::Refuse(second_cluster(seen, stray)));
    }
    if let Some(decision) = changed_outside(seen, memo) {
        return Ok(decision);
    }
    let now = Range::of(&seen.objects.stateful_set);
    let Some(founder) = memo.founder else { return before(seen, memo, now) };
    Ok(match onward(seen, memo, founder, now) {
        Some(decision) => decision,
        None if memo.founded => Decision::Go(Plan { steps: begin_again(memo, None), ..Plan::default() }),
        None => {
            let election = election(seen, memo);
            Decision::Go(Plan { steps: found(seen, memo, founder, now, &election), ..Plan::default() })
        }
    })
}

/// The cluster with no pod at all: what was read of its volumes, and what could not be.
fn rests(seen: &Snapshot, memo: &Memo) -> Snapshot {
    let mut resting = at_rest(seen, &memo.recovery.files);
    resting.members.extend(memo.recovery.unread.iter().map(|(ordinal, why)| {
        let server = Fact::Unknown(Why::NotRunning("its pod was stopped".to_owned()));
        (*ordinal, Member { pod: None, server, files: Fact::Unknown(why.clone()) })
    }));
    resting
}

fn election(seen: &Snapshot, memo: &Memo) -> Election {
    elect(&rests(seen, memo), &memo.recovery.positions)
}

/// Nobody is elected yet.
fn before(seen: &Snapshot, memo: &Memo, now: Range) -> Result<Decision, Why> {
    if Groups::of(seen).primaries().next().is_some() {
        return Ok(lives(seen, memo, now));
    }
    if let Some(refusal) = claim_going(seen)? {
        return Ok(Decision::Refuse(refusal));
    }
    let mut notes = Vec::new();
    if now.replicas > 0 {
        match route(seen) {
            Route::Bootstrap { alive } => notes.extend(stopped_too(seen, &alive)),
            Route::Wait { then: Some(alive), limit, .. } if has_waited(seen, memo, limit) => {
                notes.extend(stopped_too(seen, &alive));
            }
            // Longer than they get to find each other: then it goes on, and does not end.
            Route::Wait { why, limit, then } => return Ok(wait(why, if then.is_some() { 2 * limit } else { limit })),
            // A container that has just started cannot be asked for a moment.
            Route::Refused(finding) if finding.rule == &NO_PRIMARY_SEEN => return Err(Why::Failed(finding.summary)),
            other => return Ok(Decision::Refuse(no_way(seen, &other))),
        }
    }
    if now.replicas == 0
        && let Some((_, member)) = seen.members.iter().find(|(_, member)| member.pod.is_some())
        && let Some(pod) = member.pod.as_ref().filter(|pod| pod.deletion.is_some())
    {
        return Ok(wait(format!("{} is stopping", pod.name), LEAVE));
    }
    let mut steps = looking(seen, memo, now);
    if !steps.is_empty() {
        let name = &seen.target.name;
        notes.push(match &memo.recovery.choice {
            None => format!(
                "Then it says which member of {name} founds the cluster again, and asks once more before it starts it. Until then \
                 `kubectl mariadb operation abort {name}` puts everything back."
            ),
            Some(choice) => format!(
                "Then it says what is lost if {} founds the cluster, and asks once more before it starts it. Until then \
                 `kubectl mariadb operation abort {name}` puts everything back.",
                seen.pod_name(choice.ordinal)
            ),
        });
        return Ok(Decision::Go(Plan { steps, losses: Vec::new(), notes }));
    }
    let election = election(seen, memo);
    if let Some(choice) = &memo.recovery.choice {
        return Ok(match founder(seen, choice, memo.recovery.members, &election) {
            Err(refusal) => Decision::Refuse(refusal),
            Ok((founder, loss)) => {
                let say = format!(
                    "let {} found the cluster, as it was chosen: {}",
                    seen.pod_name(founder.ordinal),
                    stands(seen, founder.ordinal, &election)
                );
                let elect = Step::new(format!("elect {}", seen.pod_name(founder.ordinal)), say, Action::Elect { founder });
                let steps = std::iter::once(elect).chain(found(seen, memo, founder, now, &election)).collect();
                Decision::Go(Plan { steps, losses: loss.into_iter().collect(), notes: Vec::new() })
            }
        });
    }
    match &election.outcome {
        Outcome::Elected { ordinal, .. } => {
            let Some(at) = election.candidates[ordinal].electable() else {
                return Err(Why::Failed("the elected member has no position".to_owned()));
            };
            let founder = Founder { ordinal: *ordinal, state_uuid: at.uuid };
            let act = Action::Elect { founder };
            steps.push(Step::new(format!("elect {}", seen.pod_name(*ordinal)), told(seen, *ordinal, &election), act));
            steps.extend(found(seen, memo, founder, now, &election));
            let notes = vec![
                "A server that was killed with innodb_flush_log_at_trx_commit other than 1 may itself lack up to a second of \
                 what it acknowledged; no file tells."
                    .to_owned(),
            ];
            Ok(Decision::Go(Plan { steps, losses: Vec::new(), notes }))
        }
        Outcome::Refused(reasons) => Ok(Decision::Refuse(nobody(seen, memo, &election, reasons))),
        Outcome::NotNeeded { .. } => Err(Why::Failed("a stopped cluster has a primary component".to_owned())),
    }
}

/// Somebody came up meanwhile: joining it is right, and a bootstrap would make a second cluster (safety A1). A stop that has begun
/// is taken back.
fn lives(seen: &Snapshot, memo: &Memo, now: Range) -> Decision {
    if now.replicas == 0 && memo.recovery.members.is_some() {
        // Not by what this operation did: it found nobody, and whoever is up may be the wrong one.
        return Decision::Refuse(no_way(seen, &Route::Nothing));
    }
    if now != memo.range {
        let say = format!("set replicas back to {}: the members have found each other again", memo.range.replicas);
        let step = Step { unasked: true, ..Step::range("let every pod run", say, now, memo.range) };
        return Decision::Go(Plan { steps: vec![step], ..Plan::default() });
    }
    match route(seen) {
        // Not the founder that was chosen, and not its rows: nobody may call that done.
        Route::Nothing | Route::Wait { .. } if memo.recovery.choice.is_some() => Decision::Refuse(no_way(seen, &Route::Nothing)),
        Route::Nothing => match afterwards(seen, memo) {
            steps if steps.is_empty() => Decision::Done,
            steps => {
                let steps = steps.into_iter().map(|step| Step { unasked: true, ..step }).collect();
                Decision::Go(Plan { steps, ..Plan::default() })
            }
        },
        Route::Wait { why, limit, .. } => wait(why, limit),
        other => Decision::Refuse(no_way(seen, &other)),
    }
}

/// Whether the members had their time to find each other again.
fn has_waited(seen: &Snapshot, memo: &Memo, limit: Duration) -> bool {
    let since = memo.recovery.began.and_then(|began| Duration::try_from(seen.taken.duration_since(began)).ok());
    memo.recovery.waited || since.is_some_and(|since| since >= limit)
}

/// Servers that still run, without a quorum.
fn stopped_too(seen: &Snapshot, alive: &BTreeSet<Ordinal>) -> Option<String> {
    let pods: Vec<String> = alive.iter().map(|ordinal| seen.pod_name(*ordinal)).collect();
    (!pods.is_empty()).then(|| {
        format!(
            "{} runs without a quorum and serves nobody; it is stopped, too. `pc.bootstrap` on it would be faster, and would throw \
             away what the others may have written after they lost it: their files tell.",
            pods.join(", ")
        )
    })
}

/// Every step up to the election: empty once all is known.
fn looking(seen: &Snapshot, memo: &Memo, now: Range) -> Vec<Step> {
    let set = &seen.objects.stateful_set;
    let mut steps = Vec::new();
    if set.deletes_claims_when_scaled {
        let undo = Some(Action::WhenScaled { delete: true });
        let say = "set whenScaled to Retain: as it is, Kubernetes deletes the volumes of stopped pods";
        steps.push(Step { undo, ..Step::new("keep the volumes", say, Action::WhenScaled { delete: false }) });
    }
    if now.replicas > 0 {
        let say = "set replicas to 0: nobody serves, and no server may start beside what follows";
        steps.push(Step::range("stop every pod", say, now, now.with(0)));
    }
    let left: Vec<Ordinal> =
        seen.members.iter().filter(|(_, member)| member.pod.is_some()).map(|(ordinal, _)| *ordinal).collect();
    if !left.is_empty() {
        // Under OrderedReady the controller stops at the first pod that is not Ready (safety B1).
        let say = "delete the pods that are left, each with its own grace period";
        steps.push(Step::new("delete the pods", say, Action::DeletePods { ordinals: left }));
    }
    let Recovery { files, unread: failed, choice, .. } = &memo.recovery;
    let tried = |ordinal: &Ordinal| files.contains_key(ordinal) || failed.contains_key(ordinal);
    let unread: Vec<Ordinal> = memo.range.ordinals().filter(|ordinal| !tried(ordinal)).collect();
    if !unread.is_empty() {
        steps.extend(reading(unread));
        return steps;
    }
    let election = election(seen, memo);
    let datadirs: BTreeMap<Ordinal, String> =
        election.to_recover(&rests(seen, memo)).into_iter().map(|ordinal| (ordinal, files[&ordinal].datadir.clone())).collect();
    // Recovery writes: only after every member was read, or given up by the words that name it (safety A4).
    let all_read = election.all_read() || choice.as_ref().is_some_and(|choice| gives_up(seen, choice, &election));
    if !datadirs.is_empty() && all_read {
        let names: Vec<String> = datadirs.keys().map(|ordinal| seen.pod_name(*ordinal)).collect();
        let say = format!("recover the position of {} with `mariadbd --wsrep-recover` in short-lived pods", names.join(", "));
        steps.push(Step::new("recover positions", say, Action::Recover { datadirs }));
    }
    steps
}

/// Reading the data directories of these, and what may follow from it.
pub(super) fn reading(ordinals: Vec<Ordinal>) -> [Step; 2] {
    let read = "read the state files of every member with short-lived pods that mount the volumes read-only";
    let recover = "recover positions that the files do not tell, with `mariadbd --wsrep-recover` in short-lived pods: InnoDB's crash \
                   recovery, as every start would do it";
    [
        Step::new("read the state files", read, Action::Read { ordinals }),
        Step::new("recover positions", recover, Action::Recover { datadirs: BTreeMap::new() }),
    ]
}

/// Every step from the election to the whole cluster.
fn found(seen: &Snapshot, memo: &Memo, founder: Founder, now: Range, election: &Election) -> Vec<Step> {
    let mut steps = Vec::new();
    let at = election.candidates[&founder.ordinal].at();
    let behind = |ordinal: Ordinal| election.candidates[&ordinal].at().map(|at| at.seqno) < at.map(|at| at.seqno);
    let apart = at.map(|at| were_apart(at, election, &memo.recovery.files)).unwrap_or_default();
    let mut writes: Vec<_> = writes(founder.ordinal, election, &memo.recovery.files).into_iter().collect();
    // Only their own files tell of them: whoever may have been with them is written before that is taken out.
    writes.sort_by_key(|(ordinal, _)| apart.contains(ordinal));
    for (ordinal, change) in writes {
        let pod = seen.pod_name(ordinal);
        let seqno = change.after.as_ref().and_then(|state| state.seqno).map_or_else(String::new, |seqno| seqno.to_string());
        let say = if ordinal == founder.ordinal {
            format!("write seqno {seqno} and safe_to_bootstrap 1 into grastate.dat of {pod}: the cluster keeps its state UUID")
        } else if seqno.is_empty() && behind(ordinal) && !apart.contains(&ordinal) {
            format!(
                "take the position out of grastate.dat of {pod}: another one was primary apart from the founder, and this one may have \
                 been with it: it takes a full copy"
            )
        } else if apart.contains(&ordinal) {
            format!(
                "take the position out of grastate.dat of {pod}: it ended alone in a primary component that is behind the founder, so it \
                 may hold rows of its own, which are erased: it takes a full copy"
            )
        } else if seqno.is_empty() {
            format!("take the position out of grastate.dat of {pod}: it is ahead of the founder, and takes a full copy")
        } else {
            format!("write seqno {seqno} into grastate.dat of {pod}: it needs no full copy then")
        };
        let datadir = memo.recovery.files[&ordinal].datadir.clone();
        let undo = Some(Action::Write { ordinal, datadir: datadir.clone(), change: change.reversed() });
        let step = Step::new(format!("write grastate.dat of {pod}"), say, Action::Write { ordinal, datadir, change });
        steps.push(Step { undo, ..step });
    }
    steps.extend(founding(seen, memo, founder, now));
    steps.extend(afterwards(seen, memo));
    steps
}

/// The choice and what it rests on, before anything is started (safety A10).
fn told(seen: &Snapshot, elected: Ordinal, election: &Election) -> String {
    let pod = seen.pod_name(elected);
    format!("let {pod} found the cluster: {}. Nothing that is known is lost", stands(seen, elected, election))
}

/// Where the founder and the others stand.
fn stands(seen: &Snapshot, founder: Ordinal, election: &Election) -> String {
    let at = |candidate: &Candidate| match candidate.at() {
        Some(at) if candidate.electable().is_some() => format!("at {}", at.seqno),
        Some(at) => format!("at {}, and not to be trusted", at.seqno),
        None if matches!(candidate.trust, Trust::Unread(_)) => "given up: its files could not be read".to_owned(),
        None => "without a position, and not to be trusted".to_owned(),
    };
    let own = &election.candidates[&founder];
    let history = own.electable().map(|at| at.uuid.to_string()).unwrap_or_default();
    let others: Vec<String> = election
        .candidates
        .iter()
        .filter(|(ordinal, _)| **ordinal != founder)
        .map(|(ordinal, candidate)| format!("{} is {}", seen.pod_name(*ordinal), at(candidate)))
        .collect();
    format!("it is {} of {history}; {}", at(own), others.join(", "))
}

/// Why nobody may be chosen.
fn nobody(seen: &Snapshot, memo: &Memo, election: &Election, reasons: &[Reason]) -> Refusal {
    let name = &seen.target.name;
    let pods = |ordinals: &mut dyn Iterator<Item = &Ordinal>| -> String {
        ordinals.map(|ordinal| seen.pod_name(*ordinal)).collect::<Vec<_>>().join(", ")
    };
    let because = reasons.iter().map(|reason| match reason {
        Reason::VolumesUnseen(why) => format!("volume claims: {why}"),
        Reason::MayBePrimary(hidden) => format!("servers that may run: {}", pods(&mut hidden.keys())),
        Reason::Unread(unread) => {
            let told = unread.iter().map(|(ordinal, why)| format!("{} ({why})", seen.pod_name(*ordinal)));
            format!("files that could not be read: {}", told.collect::<Vec<_>>().join("; "))
        }
        Reason::Histories(histories) => {
            let told = histories.iter().map(|(uuid, of)| format!("{uuid} on {}", pods(&mut of.iter())));
            format!("histories: {}", told.collect::<Vec<_>>().join("; "))
        }
        Reason::PositionUnknown(of) => {
            let told = of.iter().map(|ordinal| match &election.candidates[ordinal] {
                // Why the recovery failed; of the others it was not tried.
                Candidate { position: Told::Unknown(why), recovery_tried: true, .. } => {
                    format!("{} ({why})", seen.pod_name(*ordinal))
                }
                _ => seen.pod_name(*ordinal),
            });
            format!("positions that nothing tells: {}", told.collect::<Vec<_>>().join(", "))
        }
        Reason::DistrustedAhead { ordinals, from, to, .. } => {
            format!("write sets {from} to {to}: only on {}, which must not be trusted", pods(&mut ordinals.iter()))
        }
        Reason::NobodyWhole => "whole data directories: none".to_owned(),
    });
    let summary = format!("no member of {name} may found the cluster without losing what may count");
    let refusal = Refusal::new(&rules::NOBODY_ELECTED, summary)
        .because(because.collect::<Vec<_>>())
        .plugin(&format!("galera grastate {name}"))
        .plugin(&format!("operation resume {name}"))
        .plugin(&format!("operation abort {name}"));
    // Where nothing was begun there is nothing to resume.
    let members = memo.recovery.members;
    let again = members.map(|members| format!("galera recover {name} --replicas {members}"));
    // After the abort: whatever could not be read is lost by it.
    again.into_iter().chain(way_out(seen, members, election)).fold(refusal, |refusal, way| refusal.plugin(&way))
}

/// What stands in the way, and what to do about it by hand.
fn no_way(seen: &Snapshot, route: &Route) -> Refusal {
    let name = &seen.target.name;
    match route {
        Route::Refused(finding) => Refusal::of(finding),
        Route::Rebuild(members) => {
            let pods: Vec<String> = members.keys().map(|ordinal| seen.pod_name(*ordinal)).collect();
            let summary = format!("the cluster lives, and {} does not come back into it by itself", pods.join(", "));
            let refusal = Refusal::new(&rules::NEEDS_COPY, summary).because(members.values().cloned());
            pods.iter().fold(refusal, |refusal, pod| refusal.plugin(&format!("rebuild {pod}")))
        }
        Route::Nothing | Route::Wait { .. } | Route::Bootstrap { .. } => {
            let summary = format!("{name} has changed meanwhile: a server is Primary again");
            Refusal::new(&rules::CHANGED_OUTSIDE, summary).plugin(&format!("status {name}"))
        }
    }
}
