//! Before the first step: who else is there, two looks, the plan, and whether the API server would accept it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::Api;
use crate::api::custody::custody;
use crate::api::disruption::list_budgets;
use crate::api::objects::{Scope, get_whole_stateful_set};
use crate::api::writes::Denied;
use crate::decide::operation::custody::{Autoscaler, Custody};
use crate::decide::operation::departure::acknowledge;
use crate::decide::operation::journal::{Holder, Journal, Operation, Outcome};
use crate::decide::operation::memo::{Memo, Recovery};
use crate::decide::operation::plan::{Action, Decision, Plan, Range, Refusal};
use crate::decide::operation::{Beginning, Goal, Wish, begin, decide, left_closed, notice};
use crate::decide::rules::operations as rules;
use crate::failure::{Failure, Kind};
use crate::model::disruption::Budget;
use crate::model::fact::{Fact, Why};
use crate::model::names::{Ordinal, Target};
use crate::model::operator::Steering;
use crate::model::snapshot::Snapshot;
use crate::observe::{Depth, within};
use crate::process::{Clock, Pace};

use super::act::Hands;
use super::journal::{Held, Unwritten};
use super::operation::{look, next};

/// What was found out before anything is asked or changed.
pub enum Prepared {
    /// There is nothing to do, and why.
    Nothing(String),
    /// It comes by itself: what is waited for, and how long that may take.
    Wait {
        why: String,
        limit: Duration,
        /// If it has not come by then, something is to be done.
        then: bool,
    },
    Refused(Refusal),
    Ready(Box<Ready>),
}

/// A plan that can be confirmed.
pub struct Ready {
    pub seen: Snapshot,
    pub memo: Memo,
    pub plan: Plan,
}

pub struct Preparation<'a> {
    pub api: &'a Api,
    pub target: &'a Target,
    pub wish: &'a Wish,
    pub depth: Depth,
    pub pace: Pace,
    /// The user says that GitOps is paused.
    pub gitops_paused: bool,
    /// What comes by itself was waited for as long as it may take.
    pub waited: bool,
}

/// The set as the API server wrote it.
///
/// # Errors
/// There is none; no answer.
pub async fn whole_set(api: &Api, target: &Target) -> Result<Value, Failure> {
    // The narrow way first: it says what is missing in better words.
    crate::api::objects::get_stateful_set(api, &target.namespace, &target.name).await?;
    get_whole_stateful_set(api, &target.namespace, &target.name).await
}

impl Preparation<'_> {
    /// Looks twice (safety G1), and plans.
    ///
    /// # Errors
    /// Something that is needed could not be seen.
    pub async fn prepare(&self, set: &Value, journal: &Journal) -> Result<Prepared, Failure> {
        let uid = set["metadata"]["uid"].as_str().unwrap_or_default();
        if let Some(operation) = journal.current.as_ref().filter(|_| journal.set_uid == uid)
            && !gives_way(operation, self.wish)
        {
            return Ok(Prepared::Refused(unfinished(self.target, operation)));
        }
        let mut custody = custody(self.api, &self.target.namespace, set).await;
        if self.gitops_paused {
            custody.gitops = None;
        }
        let stopped = journal.stopped.as_ref().filter(|_| journal.set_uid == uid);
        let judge = |seen: &Snapshot| begin(self.wish, seen, &custody, stopped).map_err(unseen);
        let first = look(self.api, self.target, self.depth, None).await?;
        match judge(&first)? {
            Beginning::Nothing(why) => return Ok(Prepared::Nothing(why)),
            Beginning::Refuse(refusal) => return Ok(Prepared::Refused(refusal)),
            Beginning::Wait { then: Some(_), .. } if self.waited => {}
            Beginning::Wait { why, limit, then } => return Ok(Prepared::Wait { why, limit, then: then.is_some() }),
            Beginning::Begin(_) => {}
        }
        if self.wish.goal.settles() {
            tokio::time::sleep(self.pace.settle).await;
        }
        let seen = look(self.api, self.target, self.depth, None).await?;
        let memo = match judge(&seen)? {
            Beginning::Nothing(why) => return Ok(Prepared::Nothing(why)),
            Beginning::Refuse(refusal) => return Ok(Prepared::Refused(refusal)),
            Beginning::Wait { then: Some(memo), .. } if self.waited => *memo,
            Beginning::Wait { why, limit, then } => return Ok(Prepared::Wait { why, limit, then: then.is_some() }),
            Beginning::Begin(memo) => *memo,
        };
        let memo = journal.reminds(memo);
        Ok(match decide(self.wish.goal, &seen, &memo).map_err(unseen)? {
            Decision::Done => Prepared::Nothing(format!("there is nothing to do for {}", self.target.name)),
            Decision::Refuse(refusal) => Prepared::Refused(refusal),
            Decision::Wait { why, .. } => Prepared::Refused(busy(self.target, &why)),
            Decision::Go(mut plan) => {
                plan.notes.extend(notes(&custody));
                if matches!(self.wish.goal, Goal::Upgrade | Goal::Restart) {
                    let budgets = list_budgets(self.api, Scope::Namespace(&self.target.namespace));
                    plan.notes.extend(budget_note(&Box::pin(within(self.depth.pod_timeout, budgets)).await, &seen));
                }
                Prepared::Ready(Box::new(Ready { seen, memo, plan }))
            }
        })
    }

    /// Asks the API server about every step that it can be asked about, and, of a stop, about the pod that a start needs
    /// (safety C3). One answer per step: `accepted`, or why not.
    pub async fn prove(&self, set: &Value, ready: &Ready) -> Vec<Option<Result<(), Denied>>> {
        let hands = Hands { api: self.api, clock: self.depth.clock, set };
        let mut answers = Vec::new();
        for step in &ready.plan.steps {
            let asks = !matches!(
                step.act,
                Action::Record { .. }
                    | Action::Forget
                    | Action::EndBootstrap { .. }
                    | Action::Hold { .. }
                    | Action::Unflag { .. }
                    | Action::Elect { .. }
                    | Action::BeginAgain { .. }
                    | Action::Convert { .. }
                    | Action::HandOver { .. }
                    | Action::HandedOver { .. }
                    | Action::Follow { .. }
                    | Action::Promote { .. }
                    | Action::Open { .. }
                    | Action::Close { .. }
            );
            answers.push(if asks { Some(Box::pin(hands.act(&step.act, &ready.seen, true)).await.map(drop)) } else { None });
        }
        if matches!(self.wish.goal, Goal::Stop | Goal::Recover | Goal::Bootstrap) {
            // Before an election any ordinal is as good.
            let ordinal = ready.memo.founder.map_or(Ordinal(ready.memo.range.start), |founder| founder.ordinal);
            let found = Action::Bootstrap { ordinal, holds: self.wish.holds };
            answers.push(Some(Box::pin(hands.act(&found, &ready.seen, true)).await.map(drop)));
        }
        answers
    }
}

/// The operation as it is first written.
#[must_use]
pub fn operation(goal: Goal, ready: &Ready, holder: Holder, now: Timestamp) -> Operation {
    Operation {
        goal,
        aborting: false,
        holder: Some(holder),
        beat: 0,
        stop_asked: false,
        started: now,
        renewed: now,
        plan: ready.plan.clone(),
        memo: ready.memo.clone(),
        begun: Vec::new(),
    }
}

/// Writes that the operation begins.
///
/// # Errors
/// Somebody else began one at the same moment; the journal cannot be written.
pub async fn take(held: &mut Held<'_>, set: &Value, operation: &Operation, clock: Clock) -> Result<(), Unwritten> {
    let uid = set["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    held.write(|journal| {
        let who = operation.holder.as_ref().map_or_else(String::new, |holder| holder.who.clone());
        if journal.set_uid == uid {
            journal.end(Outcome::Replaced, &who, clock.now());
        } else {
            // Of a set of this name that is gone.
            journal.end(Outcome::Orphaned, &who, clock.now());
            journal.stopped = None;
            journal.set_uid.clone_from(&uid);
        }
        journal.current = Some(operation.clone());
    })
    .await
}

/// An unfinished operation, before somebody goes on with it.
pub struct Left {
    pub seen: Snapshot,
    pub operation: Operation,
    /// What is left, and whether it is what was confirmed.
    pub plan: Plan,
    pub confirmed: bool,
}

/// What is left of the operation in the journal, for resume or abort.
///
/// # Errors
/// The cluster could not be looked at.
pub async fn left(
    api: &Api,
    target: &Target,
    depth: Depth,
    journal: &Journal,
    abort: bool,
) -> Result<Result<Left, Refusal>, Failure> {
    let Some(mut operation) = journal.current.clone() else {
        return Err(Failure::new(Kind::NotFound, format!("no operation on {} is unfinished", target.name)));
    };
    operation.aborting |= abort;
    operation.stop_asked = false;
    let seen = look(api, target, depth, operation.memo.founder.map(|founder| founder.ordinal)).await?;
    // Whoever goes on has seen to what stood in the way.
    (operation.memo.stray, operation.memo.begun_again) = (None, false);
    notice(&mut operation.memo, &seen);
    acknowledge(&mut operation.memo);
    if !operation.aborting {
        read_again(&mut operation, &seen);
    }
    if let Some(now) = seen.objects.manager.view().map(Steering::of).filter(|_| !operation.aborting)
        && !operation.memo.steerings.contains(&now)
    {
        operation.memo.steerings = vec![now];
    }
    if let Some(upgrade) = operation.memo.upgrade.as_mut().filter(|_| !operation.aborting) {
        upgrade.adopt(&seen);
    }
    if let Some(operated) = operation.memo.operated.as_mut().filter(|_| !operation.aborting) {
        operated.adopt(&seen);
    }
    let now = Range::of(&seen.objects.stateful_set);
    let revision = &seen.objects.stateful_set.update_revision;
    if !operation.aborting && (!operation.memo.ranges.contains(&now) || operation.memo.revision != *revision) {
        operation.memo.revision.clone_from(revision);
        // Whoever goes on has been told, and confirms what is done from here. What was read before may have changed.
        operation.memo.ranges = vec![now];
        operation.memo.closed.clear();
        operation.memo.recorded = false;
        if operation.goal == Goal::Scale {
            operation.memo.recovery = Recovery::default();
        }
    }
    Ok(match next(&operation, &seen).map_err(unseen)? {
        Decision::Refuse(refusal) => Err(match left_closed(&seen, &operation) {
            Some(closed) => refusal.because([closed]).plugin(&format!("operation abort {}", target.name)),
            None => refusal,
        }),
        Decision::Go(plan) => {
            let confirmed = operation.aborting || plan.is_within(&operation.plan);
            Ok(Left { seen, operation, plan, confirmed })
        }
        Decision::Done => Ok(Left { seen, operation, plan: Plan::default(), confirmed: true }),
        Decision::Wait { .. } => {
            let begun = |id: &str| operation.begun.iter().any(|step| step.id == id && step.done);
            let steps = operation.plan.steps.iter().filter(|step| !begun(&step.id)).cloned().collect();
            let plan = Plan { steps: if operation.aborting { Vec::new() } else { steps }, ..operation.plan.clone() };
            Ok(Left { seen, operation, plan, confirmed: true })
        }
    })
}

/// What whoever goes on must not take over from what was found out before: servers may have been started since, and have died again,
/// even if the set now says what it said then. And what failed is tried again.
fn read_again(operation: &mut Operation, seen: &Snapshot) {
    let seeded = operation.begun.iter().filter_map(|step| match step.act {
        Action::Claim { ordinal, .. } => Some(ordinal),
        _ => None,
    });
    let seeded: BTreeSet<Ordinal> = seeded.collect();
    let memo = &mut operation.memo;
    let set = &seen.objects.stateful_set;
    let adopted = memo.scale.as_mut().is_some_and(|scale| scale.adopt(seen, &seeded));
    let changed = memo.recovery.generation.is_some_and(|generation| generation != set.generation);
    if memo.recovery.elects() && !memo.founded && (changed || !memo.ranges.contains(&Range::of(set))) {
        (memo.founder, memo.recovery) = (None, memo.recovery.anew(seen.taken));
        memo.closed.clear();
        operation.goal = if memo.recovery.choice.is_some() { Goal::Bootstrap } else { Goal::Recover };
    } else if memo.scale.is_some() && (changed || adopted) {
        memo.recovery = Recovery::default();
    } else if memo.founder.is_none() {
        memo.recovery.unread.clear();
        memo.recovery.positions.retain(|_, found| found.position.known().is_ok());
    }
}

/// Waits until the heartbeat was seen standing still for long enough (safety E1).
///
/// # Errors
/// [`Failure`] of reading; otherwise whether it stood still.
pub async fn stands_still(held: &mut Held<'_>, pace: Pace) -> Result<bool, Failure> {
    let Some(beat) = held.journal.current.as_ref().map(|operation| (operation.holder.clone(), operation.beat)) else {
        return Ok(true);
    };
    if beat.0.is_none() {
        return Ok(true);
    }
    let began = std::time::Instant::now();
    while began.elapsed() < pace.silence {
        tokio::time::sleep(pace.silence / 20).await;
        held.refresh().await?;
        match &held.journal.current {
            None => return Ok(true),
            Some(operation) if operation.holder.is_none() => return Ok(true),
            Some(operation) if (operation.holder.clone(), operation.beat) != beat => return Ok(false),
            Some(_) => {}
        }
    }
    Ok(true)
}

/// Whether an unfinished operation ends where this one begins: an upgrade that nobody carries out, for one to another image.
fn gives_way(operation: &Operation, wish: &Wish) -> bool {
    let upgrades = operation.goal == Goal::Upgrade && wish.goal == Goal::Upgrade;
    upgrades && operation.holder.is_none() && !operation.aborting && wish.image.is_some()
}

#[must_use]
pub fn unfinished(target: &Target, operation: &Operation) -> Refusal {
    let name = &target.name;
    let who =
        operation.holder.as_ref().map_or_else(|| "nobody carries it out now".to_owned(), |holder| format!("by {}", holder.who));
    let summary = format!("a {} of {name}, begun {}, is unfinished ({who})", operation.goal.verb(), operation.started);
    let refusal = Refusal::new(&rules::UNFINISHED, summary).plugin(&format!("operation show {name}"));
    refusal.plugin(&format!("operation resume {name}"))
}

/// Somebody else works on it.
#[must_use]
pub fn held_by(target: &Target, holder: Option<&Holder>) -> Refusal {
    let name = &target.name;
    let who = holder.map_or("somebody else", |holder| holder.who.as_str());
    Refusal::new(&rules::HELD, format!("the operation on {name} is being carried out by {who}"))
        .plugin(&format!("operation show {name}"))
        .plugin(&format!("operation stop {name}"))
}

fn busy(target: &Target, why: &str) -> Refusal {
    let summary = format!("{} is changing at this moment", target.name);
    Refusal::new(&rules::NOT_WHOLE, summary).because([why.to_owned()]).plugin(&format!("status {}", target.name))
}

fn notes(custody: &Custody) -> Vec<String> {
    let helm = custody.helm.as_ref().map(|release| {
        format!("Helm made it (release {release}): a `helm upgrade` before the cluster runs again would set replicas back.")
    });
    let unknown = |kind: &str, found: &Fact<Vec<Autoscaler>>| {
        found.known().err().map(|why| format!("Whether a {kind} has it as its target is not known: {why}."))
    };
    let horizontal = unknown("HorizontalPodAutoscaler", &custody.horizontal);
    let vertical = unknown("VerticalPodAutoscaler", &custody.vertical);
    helm.into_iter().chain(horizontal).chain(vertical).collect()
}

/// Who else may take a member away meanwhile (safety D6).
fn budget_note(budgets: &Fact<Vec<Budget>>, seen: &Snapshot) -> Option<String> {
    let (name, first) = (&seen.target.name, Ordinal(seen.objects.stateful_set.start).pod(&seen.target.name));
    let budgets = match budgets {
        Fact::Known(budgets) => budgets,
        Fact::Unknown(why) => {
            return Some(format!("Whether a PodDisruptionBudget keeps others from evicting a second pod is not known: {why}."));
        }
    };
    let own: Vec<&Budget> =
        budgets.iter().filter(|budget| budget.namespace == seen.target.namespace && budget.pods.contains(&first)).collect();
    let least = own.iter().map(|budget| budget.allowed).min();
    match least {
        None => Some(format!("No PodDisruptionBudget is about {name}: a drain may take another pod away meanwhile.")),
        Some(0 | 1) => None,
        Some(several) => Some(format!(
            "The PodDisruptionBudget of {name} allows {several} pods away at once: a drain may take another one meanwhile."
        )),
    }
}

#[must_use]
pub fn unseen(why: Why) -> Failure {
    let kind = if matches!(why, Why::Forbidden(_)) { Kind::Forbidden } else { Kind::Unreachable };
    Failure::new(kind, format!("what this needs to know could not be seen: {why}; nothing was changed"))
}
