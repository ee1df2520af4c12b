//! `suspend` and `unsuspend`: whether mariadb-operator acts on a cluster.

use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::galera::Groups;
use crate::model::names::Ordinal;
use crate::model::operator::{Mode, OperatorView, Steering};
use crate::model::snapshot::Snapshot;

use super::gates::{JOIN, galera, together, wait};
use super::journal::Stopped;
use super::memo::Memo;
use super::operator::{PASS, giving_back, is_lost_to, left, next, stands_still, suspend, switch_left, view};
use super::plan::{Decision, Plan, Range, Refusal};
use super::{Beginning, Goal};

pub(super) fn begin(goal: Goal, seen: &Snapshot, stopped: Option<&Stopped>) -> Result<Beginning, Why> {
    let name = &seen.target.name;
    let Some(view) = view(seen) else {
        let summary = format!("no mariadb-operator manages {name}: there is nothing to {}", goal.verb());
        return Ok(Beginning::Refuse(Refusal::new(&rules::NOT_THIS_KIND, summary)));
    };
    match goal {
        Goal::Suspend if view.spec.suspended && view.status.is_suspended() => {
            Ok(Beginning::Nothing(format!("mariadb-operator is suspended for {name} already")))
        }
        Goal::Unsuspend if !view.spec.suspended => {
            Ok(Beginning::Nothing(format!("mariadb-operator is not suspended for {name}")))
        }
        Goal::Unsuspend => Ok(match gate(seen, view, stopped) {
            Some(refusal) => Beginning::Refuse(refusal),
            None => Beginning::Begin(Box::new(Memo::new(seen))),
        }),
        _ => Ok(Beginning::Begin(Box::new(Memo::new(seen)))),
    }
}

pub(super) fn decide(goal: Goal, seen: &Snapshot, memo: &Memo) -> Result<Decision, Why> {
    let Some(view) = view(seen) else { return Err(Why::Failed("the MariaDB object cannot be read".to_owned())) };
    Ok(if goal == Goal::Suspend { suspending(seen, view) } else { unsuspending(seen, view, memo) })
}

fn suspending(seen: &Snapshot, view: &OperatorView) -> Decision {
    if !view.spec.suspended {
        return Decision::Go(Plan { steps: vec![suspend(view)], notes: not_a_stop(seen), ..Plan::default() });
    }
    stands_still(view).map_or_else(|why| wait(why, PASS), |()| Decision::Done)
}

fn unsuspending(seen: &Snapshot, view: &OperatorView, memo: &Memo) -> Decision {
    let last = Steering { suspended: false, force: None, ..Steering::of(view) };
    if view.spec.suspended {
        if let Some(refusal) = gate(seen, view, None) {
            return Decision::Refuse(refusal);
        }
        let steps = giving_back(seen, view, last, memo.range);
        return Decision::Go(Plan { steps, notes: fires(seen, view), ..Plan::default() });
    }
    if let Some(why) = left(seen, view, &last) {
        return wait(why, JOIN);
    }
    let steps = next(seen, view, last, memo.range);
    if !steps.is_empty() {
        return Decision::Go(Plan { steps, ..Plan::default() });
    }
    match view.status.condition("Ready") {
        Some(ready) if ready.holds == Some(true) => Decision::Done,
        Some(ready) => wait(format!("the condition Ready of MariaDB {} is {ready}", view.name), JOIN),
        None => wait(format!("mariadb-operator has said nothing of {} yet", view.name), JOIN),
    }
}

fn not_a_stop(seen: &Snapshot) -> Vec<String> {
    let name = &seen.target.name;
    vec![format!(
        "Suspended, mariadb-operator does no failover, no recovery and no physical backup for {name}, and what its object says grows \
         old. `kubectl mariadb unsuspend {name}` ends that."
    )]
}

/// What was asked for meanwhile and happens at once.
fn fires(seen: &Snapshot, view: &OperatorView) -> Vec<String> {
    let mut notes = Vec::new();
    let (wanted, current) = (view.spec.primary_index, view.status.current_primary_index);
    if let (Some(wanted), Some(current)) = (wanted, current)
        && wanted != current
    {
        notes.push(format!("It then moves the primary from {} to {}.", seen.pod_name(current), seen.pod_name(wanted)));
    }
    notes
}

/// Whether every member of the set is Synced in one primary component.
fn whole(seen: &Snapshot) -> Result<(), String> {
    let range = Range::of(&seen.objects.stateful_set);
    let first = Ordinal(range.start);
    let history = galera(seen, first).map(|galera| galera.status.cluster_state_uuid);
    let history = history.ok_or_else(|| format!("{} tells no state UUID", seen.pod_name(first)))?;
    together(seen, &range.ordinals().collect(), history)
}

/// What the operator must not act upon (safety F4).
fn gate(seen: &Snapshot, view: &OperatorView, stopped: Option<&Stopped>) -> Option<Refusal> {
    let (name, set) = (&seen.target.name, &seen.objects.stateful_set);
    let refuse = |summary: String| Refusal::new(&rules::NOT_TO_ACT, summary);
    if stopped.is_some() && set.replicas == 0 {
        let summary =
            format!("{name} was stopped with `kubectl mariadb stop`: mariadb-operator would start members in any order");
        return Some(refuse(summary).plugin(&format!("start {name}")));
    }
    let is_galera = view.spec.mode == Mode::Galera;
    if is_galera && Groups::of(seen).primaries().next().is_none() {
        let summary = format!("no member of {name} is Primary: mariadb-operator would bootstrap one at once");
        return Some(refuse(summary).plugin(&format!("galera recover {name}")));
    }
    // A forced bootstrap keeps it from scaling the cluster to 0, and founds a second one in a pod that is not Synced (safety A1).
    if is_lost_to(view)
        && let Err(why) = whole(seen)
    {
        let summary =
            format!("mariadb-operator takes {name} for lost, and would restart or bootstrap pods at once: not all are Synced");
        return Some(refuse(summary).because([why]).plugin(&format!("galera recover {name}")).plugin(&format!("status {name}")));
    }
    if view.spec.replicas != set.replicas {
        let summary = format!("mariadb-operator would change the number of pods of {name} at once");
        return Some(refuse(summary).because([
            format!("spec.replicas of MariaDB {}: {}", view.name, view.spec.replicas),
            format!("spec.replicas of the StatefulSet: {}", set.replicas),
        ]));
    }
    if let Some(pod) = &view.spec.force_bootstrap_in {
        let (group, remove) = (view.group.name(), r#"{"spec":{"galera":{"recovery":{"forceClusterBootstrapInPod":null}}}}"#);
        let summary = format!("a forced bootstrap from {pod} is set: mariadb-operator would use it at the next outage");
        return Some(refuse(summary).kubectl(&format!("patch mariadbs.{group} {name} --type=merge -p {remove}")));
    }
    let pod = switch_left(seen)?;
    Some(refuse(format!("{pod} founds a cluster of its own at its next start")).plugin(&format!("status {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fact::Fact;
    use crate::model::manager::{Manager, Operator};
    use crate::model::operator::Condition;
    use crate::model::testing::{galera_of, healthy_galera, noon, operator_view, silence};

    /// Suspended, and what it last said of Galera.
    fn suspended(galera_ready: Option<bool>) -> Snapshot {
        let mut seen = healthy_galera();
        let mut view = operator_view();
        (view.spec.mode, view.spec.suspended) = (Mode::Galera, true);
        if galera_ready.is_some() {
            let (reason, message) = ("GaleraNotReady".to_owned(), "Galera not ready".to_owned());
            let name = "GaleraReady".to_owned();
            view.status.conditions.push(Condition { name, holds: galera_ready, reason, message, since: Some(noon()) });
        }
        let (group, name, unasked) = (view.group, view.name.clone(), || Fact::Unknown(Why::NotAsked));
        let backups = Fact::Unknown(Why::NotAsked);
        let operator = Operator { group, name, owns: true, view: Fact::Known(view), backups, deployments: unasked() };
        seen.objects.manager = Manager::Operator(Box::new(operator));
        seen
    }

    fn refused(seen: &Snapshot) -> Option<Refusal> {
        match begin(Goal::Unsuspend, seen, None).unwrap() {
            Beginning::Refuse(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// It would scale the cluster to 0, or bootstrap a second one, although a primary component serves.
    #[test]
    fn an_operator_that_takes_a_living_cluster_for_lost_does_not_act_before_all_are_synced() {
        let mut apart = suspended(Some(false));
        silence(&mut apart, 2);
        let refusal = refused(&apart).expect("a refusal");
        assert_eq!(refusal.rule.code, "MDB733");
        assert!(refusal.summary.contains("takes db for lost") && refusal.summary.ends_with("not all are Synced"), "{refusal:?}");
        assert!(refusal.because.iter().any(|why| why.contains("db-2")), "{refusal:?}");
        let mut joining = suspended(Some(false));
        let status = &mut galera_of(&mut joining, 1).status;
        (status.local_state, status.state_comment) = (crate::model::wsrep::LocalState::Joined, "Joined".to_owned());
        let refusal = refused(&joining).expect("a refusal");
        assert!(refusal.summary.contains("takes db for lost") && refusal.because == ["db-1 is Joined"], "{refusal:?}");
    }

    #[test]
    fn a_whole_cluster_or_one_that_the_operator_believes_in_is_no_reason_to_wait() {
        assert_eq!(refused(&suspended(Some(false))), None, "whole: it finds every pod Synced");
        for believes in [None, Some(true)] {
            let mut apart = suspended(believes);
            silence(&mut apart, 2);
            let refusal = refused(&apart);
            assert!(refusal.as_ref().is_none_or(|refusal| !refusal.summary.contains("for lost")), "{refusal:?}");
        }
    }

    /// The same gate holds between the confirmation and the first step.
    #[test]
    fn what_happens_after_the_confirmation_is_refused_too() {
        let whole = suspended(Some(false));
        let memo = Memo::new(&whole);
        assert!(matches!(decide(Goal::Unsuspend, &whole, &memo), Ok(Decision::Go(_))));
        let mut apart = whole;
        silence(&mut apart, 0);
        let Ok(Decision::Refuse(refusal)) = decide(Goal::Unsuspend, &apart, &memo) else { panic!("it goes on") };
        assert!(refusal.rule.code == "MDB733" && refusal.summary.contains("for lost"), "{refusal:?}");
    }
}
