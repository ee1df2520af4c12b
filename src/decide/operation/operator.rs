//! A cluster of mariadb-operator: it is suspended while members are stopped and started around it, and works again when the
//! cluster is whole (safety F4). Where it brings the cluster back by itself and rightly it is left to it: [`judged`].
//!
//! Its own forced bootstrap is not what founds the cluster: a server that has tried to start before has lost its position, and
//! the operator writes none, so all get a new history and a full copy (25.10.4, seen on 10.11 and 11.8).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decide::election::{Election, OperatorChoice, Outcome, Reason, Trust, elect};
use crate::decide::recover::{Route, route};
use crate::decide::rules::kubernetes::SCALED_TO_ZERO;
use crate::decide::rules::operations as rules;
use crate::model::names::Ordinal;
use crate::model::operator::{GaleraRecovery, Mode, OperatorView, Steering};
use crate::model::position::Position;
use crate::model::snapshot::Snapshot;

use super::Beginning;
use super::gates::{AGREE, JOIN, wait};
use super::journal::Stopped;
use super::memo::{Memo, Recovery};
use super::plan::{Action, Decision, Plan, Range, Refusal, Step};

/// How long a pass of the operator may take that was under way when it was suspended: it waits for pods to stop and for jobs.
pub(super) const PASS: Duration = Duration::from_secs(600);
/// How long the operator may take for a recovery of its own: it begins anew after 10 minutes (`clusterBootstrapTimeout`).
const RECOVERY: Duration = Duration::from_secs(900);
/// Where the agent writes the switch that founds a cluster; it removes it when all are Ready.
const SWITCH: &str = "1-bootstrap.cnf";

/// What the operator that owns the set was told and believes; `None`: nobody owns it, or that could not be read.
pub(super) fn view(seen: &Snapshot) -> Option<&OperatorView> {
    let operator = seen.objects.manager.operator().filter(|operator| operator.owns)?;
    operator.view.known().ok()
}

/// The memo of an operation during which the operator stands still.
pub(super) fn steered(seen: &Snapshot, mut memo: Memo) -> Memo {
    let Some(view) = view(seen) else { return memo };
    let now = Steering::of(view);
    memo.steering.get_or_insert_with(|| now.clone());
    memo.steerings = vec![now];
    if memo.range.replicas == 0 {
        // In the middle of a recovery of its own.
        memo.range.replicas = view.spec.replicas;
    }
    memo
}

/// An operator owns the set, and what its object says cannot be read now.
pub(super) fn is_unread(seen: &Snapshot) -> bool {
    seen.objects.stateful_set.owner.as_ref().is_some_and(|owner| owner.operator().is_some()) && view(seen).is_none()
}

/// What the operator is told is not known: nothing is done and nothing is called done before it is.
pub(super) fn unread() -> Decision {
    wait("the MariaDB object of the cluster cannot be read", AGREE)
}

/// Somebody else told the operator something, or what it is told cannot be seen.
pub(super) fn changed_outside(seen: &Snapshot, memo: &Memo) -> Option<Decision> {
    memo.steering.as_ref()?;
    let Some(view) = view(seen) else {
        return Some(unread());
    };
    let now = Steering::of(view);
    (!memo.steerings.contains(&now)).then(|| {
        let summary = format!("somebody else changed MariaDB {} meanwhile; nothing was overwritten", view.name);
        let wrote = memo.steerings.last().map_or_else(String::new, Steering::told);
        Decision::Refuse(
            Refusal::new(&rules::CHANGED_OUTSIDE, summary)
                .because([format!("this operation left: {wrote}"), format!("the object says now: {}", now.told())]),
        )
    })
}

/// The decision, with the operator suspended before anything else; until it stands still nothing is done.
pub(super) fn out_of_the_way(seen: &Snapshot, memo: &Memo, decision: Decision) -> Decision {
    let Decision::Go(mut plan) = decision else { return decision };
    let steers = plan.steps.first().is_some_and(|step| step.act.steering().is_some());
    if memo.steering.is_none() || steers {
        return Decision::Go(plan);
    }
    let Some(view) = view(seen) else { return unread() };
    if !view.spec.suspended {
        plan.notes.extend(judged(seen).err());
        plan.steps.insert(0, suspend(view));
    } else if let Err(why) = stands_still(view) {
        return wait(why, PASS);
    }
    Decision::Go(plan)
}

/// Tells the operator to do nothing.
pub(super) fn suspend(view: &OperatorView) -> Step {
    let from = Steering::of(view);
    let to = Steering { suspended: true, ..from.clone() };
    let undo = Some(Action::Steer { from: to.clone(), to: from.clone() });
    let say = "suspend mariadb-operator for this cluster, and wait until it stands still";
    Step { undo, ..Step::new("suspend mariadb-operator", say, Action::Steer { from, to }) }
}

/// Whether it has finished what it was doing when it was suspended.
///
/// # Errors
/// It has not, in words that follow "waiting: ".
pub(super) fn stands_still(view: &OperatorView) -> Result<(), String> {
    if view.status.is_suspended() {
        return Ok(());
    }
    let says = view.status.condition("Ready").map_or_else(|| "nothing".to_owned(), ToString::to_string);
    Err(format!("mariadb-operator has not stopped yet: its condition Ready is {says}"))
}

/// What a recovery begins with on a cluster of the operator; `None`: as on any other.
pub(super) fn recovery(seen: &Snapshot, stopped: Option<&Stopped>) -> Option<Beginning> {
    let view = view(seen)?;
    let replicas = seen.objects.stateful_set.replicas;
    let name = &seen.target.name;
    if stopped.is_some() && replicas == 0 {
        let summary = format!("{name} was stopped with `kubectl mariadb stop`: nothing is to be recovered");
        return Some(Beginning::Refuse(Refusal::new(&SCALED_TO_ZERO, summary).plugin(&format!("start {name}"))));
    }
    let works = !view.spec.suspended && view.spec.recovery_enabled == Some(true) && view.spec.mode == Mode::Galera;
    let left_to_it = || {
        let why = format!("mariadb-operator recovers {name} itself, and would not choose wrong: {}", doing(view));
        Some(Beginning::Wait { why, limit: RECOVERY, then: None })
    };
    // It finds an outage within 40 s; once it is at it, its own steps look like all kinds of trouble.
    let is_at_it = replicas == 0 || view.status.denies("GaleraReady");
    match route(seen) {
        Route::Nothing => None,
        Route::Bootstrap { .. } | Route::Wait { then: Some(_), .. } if works && judged(seen).is_ok() => left_to_it(),
        Route::Refused(_) if works && is_at_it && judged(seen).is_ok() => left_to_it(),
        // In the middle of a recovery of the operator.
        Route::Refused(finding) if finding.rule == &SCALED_TO_ZERO && view.spec.replicas > 0 => {
            let recovery = Recovery { began: Some(seen.taken), ..Recovery::default() };
            Some(Beginning::Begin(Box::new(Memo { recovery, ..Memo::new(seen) })))
        }
        _ => None,
    }
}

/// Whether the operator would start a member that loses nothing, as far as it can be foretold. What cannot be read by us it
/// cannot read either, and waits.
///
/// # Errors
/// Why its choice would be wrong.
fn judged(seen: &Snapshot) -> Result<(), String> {
    let election = elect(seen, &BTreeMap::new());
    let recovery = view(seen).filter(|view| view.status.denies("GaleraReady")).and_then(|view| view.status.recovery.as_ref());
    let chosen = recovery.and_then(|recovery| Ordinal::of_pod(&seen.target.name, recovery.bootstrap_pod.as_deref()?));
    match (&election.operator, chosen) {
        (OperatorChoice::Forced(ordinal), _) => loses_nothing(seen, &election, *ordinal, "forceClusterBootstrapInPod names it"),
        // Servers that start have given up the positions in their files by now: what it has read before tells.
        (_, Some(ordinal)) if recovery.is_some_and(|recovery| holds_most(seen, recovery, ordinal)) => Ok(()),
        (_, Some(ordinal)) => loses_nothing(seen, &election, ordinal, "it has chosen it already"),
        (OperatorChoice::BySafe(ordinal), _) => loses_nothing(seen, &election, *ordinal, "its file says safe_to_bootstrap: 1"),
        (OperatorChoice::BySeqno { ordinal, .. }, _) => loses_nothing(seen, &election, *ordinal, "it has the highest seqno"),
        (OperatorChoice::RecoversFirst(_), _) => one_history(&election),
    }
}

/// Whether the operator has read the position of every pod, this one is the furthest, and all are of one history.
fn holds_most(seen: &Snapshot, recovery: &GaleraRecovery, ordinal: Ordinal) -> bool {
    let at = |ordinal: &Ordinal| {
        let pod = seen.pod_name(*ordinal);
        let of_file = recovery.states.get(&pod).map(|state| &state.position).filter(|at| at.seqno.is_some());
        recovery.recovered.get(&pod).or(of_file)
    };
    let Some(own) = at(&ordinal).filter(|own| own.seqno.is_some()) else { return false };
    // A database without any position holds nothing.
    let fits = |at: &Position| {
        (at.uuid.is_nil() && at.seqno.is_none()) || (at.uuid == own.uuid && at.seqno.is_some() && at.seqno <= own.seqno)
    };
    seen.members.keys().all(|ordinal| at(ordinal).is_some_and(fits))
}

fn one_history(election: &Election) -> Result<(), String> {
    let Outcome::Refused(reasons) = &election.outcome else { return Ok(()) };
    if reasons.iter().any(|reason| matches!(reason, Reason::Histories(_))) {
        return Err("mariadb-operator would take the highest seqno of any history: it does not look at the UUID".to_owned());
    }
    Ok(())
}

fn loses_nothing(seen: &Snapshot, election: &Election, ordinal: Ordinal, because: &str) -> Result<(), String> {
    let wrong = |why: &str| {
        let pod = seen.pod_name(ordinal);
        Err(format!("mariadb-operator would start from {pod} ({because}): {why}"))
    };
    if election.candidates.get(&ordinal).is_some_and(|candidate| matches!(candidate.trust, Trust::Never(_))) {
        return wrong("its data must not be trusted");
    }
    one_history(election)?;
    match &election.outcome {
        Outcome::NotNeeded { .. } => Ok(()),
        Outcome::Elected { ordinal: best, tied } if *best == ordinal || tied.contains(&ordinal) => Ok(()),
        Outcome::Elected { ordinal: best, .. } => wrong(&format!("{} holds more", seen.pod_name(*best))),
        // What is forced it does whatever it sees.
        Outcome::Refused(reasons)
            if matches!(election.operator, OperatorChoice::Forced(_))
                || reasons.iter().any(|reason| matches!(reason, Reason::PositionUnknown(_))) =>
        {
            wrong("what the others hold is not known")
        }
        Outcome::Refused(_) => Ok(()),
    }
}

/// How far its own recovery is, in its words.
fn doing(view: &OperatorView) -> String {
    let recovery = view.status.recovery.as_ref().filter(|_| view.status.denies("GaleraReady"));
    match recovery.map(|recovery| (&recovery.bootstrap_pod, recovery.pods_restarted)) {
        None => view.says(),
        Some((None, _)) => "it reads positions".to_owned(),
        Some((Some(pod), false)) => format!("it bootstraps {pod} and restarts the others"),
        Some((Some(pod), true)) => format!("it has bootstrapped {pod} and waits until all are Ready"),
    }
}

/// Whether the operator thinks that the cluster is lost. Then it scales it to 0 as soon as it works again, whole or not, unless
/// a forced bootstrap keeps it from reading positions: it finds every pod Synced and restarts none (25.10.4, seen).
pub(super) fn is_lost_to(view: &OperatorView) -> bool {
    view.spec.mode == Mode::Galera && view.status.denies("GaleraReady")
}

/// What it is told when the cluster is whole: as before, but never a forced bootstrap, which loses rows at the next outage.
fn last(before: &Steering) -> Steering {
    Steering { force: None, ..before.clone() }
}

/// The decision, and when nothing else is left to do the operator works again as before.
pub(super) fn given_back(seen: &Snapshot, memo: &Memo, decision: Decision) -> Decision {
    let Some(before) = &memo.steering else { return decision };
    let Some(view) = view(seen) else { return unread() };
    match decision {
        Decision::Go(mut plan) => {
            plan.steps.extend(giving_back(seen, view, last(before), memo.range));
            plan.notes.extend(before.suspended.then(|| stays_suspended(&seen.target.name)));
            Decision::Go(plan)
        }
        Decision::Done => match left(seen, view, &last(before)) {
            Some(why) => wait(why, JOIN),
            None => match next(seen, view, last(before), memo.range) {
                steps if steps.is_empty() => Decision::Done,
                steps => Decision::Go(Plan { steps, ..Plan::default() }),
            },
        },
        other => other,
    }
}

/// Every step from a suspended operator to one that works as `last` says; as a forecast both ways are in it.
pub(super) fn giving_back(seen: &Snapshot, view: &OperatorView, last: Steering, range: Range) -> Vec<Step> {
    if last.suspended {
        return Vec::new();
    }
    let mut steps = vec![hand_over(seen, view, &last, range)];
    if view.spec.mode == Mode::Galera {
        steps.push(unforce(view, last));
    }
    steps.extend(is_lost_to(view).then(|| unflag(seen, Ordinal(range.start), String::new())));
    steps
}

/// What is left of them on a whole cluster.
pub(super) fn next(seen: &Snapshot, view: &OperatorView, last: Steering, range: Range) -> Vec<Step> {
    let now = Steering::of(view);
    if now == last {
        flagged(seen, range).filter(|_| !last.suspended).into_iter().collect()
    } else if now.suspended && !last.suspended {
        giving_back(seen, view, last, range)
    } else {
        vec![unforce(view, last)]
    }
}

/// What the operator has not finished yet, in words that follow "waiting: ".
pub(super) fn left(seen: &Snapshot, view: &OperatorView, last: &Steering) -> Option<String> {
    if view.spec.suspended {
        return None;
    }
    if is_lost_to(view) {
        return Some(format!("mariadb-operator sees the cluster whole: {}", doing(view)));
    }
    let switch = switch_left(seen).filter(|_| Steering::of(view) == *last)?;
    Some(format!("{switch} still has the file {SWITCH}"))
}

fn stays_suspended(name: &str) -> String {
    format!(
        "mariadb-operator stays suspended, as it was before. `kubectl mariadb unsuspend {name}` lets it work again in a way that keeps it \
         from scaling a whole cluster to 0."
    )
}

fn hand_over(seen: &Snapshot, view: &OperatorView, last: &Steering, range: Range) -> Step {
    let pod = seen.pod_name(Ordinal(range.start));
    let force = is_lost_to(view).then_some(pod);
    let say = match &force {
        Some(pod) => format!(
            "let mariadb-operator work again, with forceClusterBootstrapInPod: {pod}: it finds every pod Synced and restarts none; \
             without it would scale the cluster to 0 to read positions"
        ),
        None => "let mariadb-operator work again".to_owned(),
    };
    let to = Steering { force, ..last.clone() };
    Step::new("hand back to mariadb-operator", say, Action::Steer { from: Steering::of(view), to })
}

fn unforce(view: &OperatorView, last: Steering) -> Step {
    let say = "remove forceClusterBootstrapInPod: left there, it loses rows at the next outage";
    Step::new("remove the forced bootstrap", say, Action::Steer { from: Steering::of(view), to: last })
}

/// The member that a forced bootstrap named: its agent has marked it as the one to start first.
fn flagged(seen: &Snapshot, range: Range) -> Option<Step> {
    let ordinal = Ordinal(range.start);
    let disk = seen.members.get(&ordinal)?.files.known().ok()?;
    // Alone it may be so.
    let is = range.replicas > 1 && disk.grastate.parsed()?.safe_to_bootstrap == Some(true);
    is.then(|| unflag(seen, ordinal, disk.datadir.clone()))
}

fn unflag(seen: &Snapshot, ordinal: Ordinal, datadir: String) -> Step {
    let pod = seen.pod_name(ordinal);
    let say = format!(
        "write safe_to_bootstrap: 0 into grastate.dat of {pod} again: with the 1 of the operator it would be started first after the \
         next outage, whatever it holds by then"
    );
    Step { unasked: true, ..Step::new(format!("unflag {pod}"), say, Action::Unflag { ordinal, datadir }) }
}

/// A pod whose configuration would found a cluster at its next start.
pub(super) fn switch_left(seen: &Snapshot) -> Option<String> {
    let has = |ordinal: &Ordinal| {
        let files = seen.members.get(ordinal).and_then(|member| member.files.known().ok());
        files.is_some_and(|disk| disk.bootstrap_switches.iter().any(|switch| switch.ends_with(SWITCH)))
    };
    seen.members.keys().find(|ordinal| has(ordinal)).map(|ordinal| seen.pod_name(*ordinal))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::testing::healthy_galera;

    #[test]
    fn a_choice_of_the_operator_is_right_where_it_has_read_nothing_further() {
        let seen = healthy_galera();
        let at = |history: u128, seqno| Position { uuid: Uuid::from_u128(history), seqno, gtid: None };
        let holds = |positions: &[Position]| {
            let pods = (0..).map(|ordinal| seen.pod_name(Ordinal(ordinal)));
            let recovered = pods.zip(positions.iter().cloned()).collect();
            holds_most(&seen, &GaleraRecovery { recovered, ..GaleraRecovery::default() }, Ordinal(1))
        };
        let five = || at(1, Some(5));
        assert!(holds(&[five(), five(), five()]));
        assert!(holds(&[at(0, None), five(), five()]), "it holds nothing");
        assert!(!holds(&[at(1, Some(6)), five(), five()]));
        assert!(!holds(&[at(2, Some(5)), five(), five()]));
        assert!(!holds(&[at(1, None), five(), five()]));
        assert!(!holds(&[five(), five()]), "what db-2 holds was not read");
        assert!(!holds(&[]));
    }
}
