//! The loop of every operation: look, decide, begin (compare and swap), act, look.

mod progress;
mod steps;

use std::cell::Cell;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use crate::api::Api;
use crate::decide::operation::handover::AWAITED;
use crate::decide::operation::journal::{Operation, Outcome};
use crate::decide::operation::plan::{Action, Decision, Plan, Refusal, Step};
use crate::decide::operation::{
    bootstrap_name, called_off, confirmed, decide, forward, left_closed, moving, notice, settled, undo,
};
use crate::failure::{Failure, Kind};
use crate::model::fact::Why;
use crate::model::names::{Ordinal, Target};
use crate::model::snapshot::Snapshot;
use crate::observe::{self, Depth};
use crate::process::Pace;

use super::act::Hands;
use super::journal::Held;
use super::server::CLOSES;
use progress::{Asked, Progress, apart};
use steps::{ATTEMPTS, begin, leave, unwritten};

/// What happens on the way.
pub enum Event<'a> {
    /// A step begins; with its number and how many there are in all.
    Begins {
        number: usize,
        total: usize,
        step: &'a Step,
    },
    Waits {
        why: &'a str,
    },
    /// A write was not made, and why it is tried again.
    Again {
        why: &'a str,
    },
    /// Asked to stop, and will after this step.
    WillStop,
}

/// How it ended.
pub enum End {
    Done {
        seen: Box<Snapshot>,
        /// What there is to say of the pods that went.
        departed: Option<String>,
    },
    /// Between two steps, because somebody asked for it.
    Stopped {
        after: Option<String>,
    },
    /// One member has founded the cluster, and nobody is led to it until whoever looks at it goes on.
    OnHold {
        founder: Ordinal,
        /// The one that runs its server.
        container: String,
    },
    Refused(Refusal),
    /// What is left is not what was confirmed.
    Changed(Plan),
    TimedOut {
        waiting_for: String,
    },
    TakenOver,
    Failed(Failure),
}

pub struct Run<'a> {
    pub api: &'a Api,
    pub target: &'a Target,
    pub depth: Depth,
    pub pace: Pace,
    pub set: &'a Value,
    /// Times that Ctrl-C or SIGTERM came.
    pub interrupts: &'a Cell<u32>,
    /// Of the whole command; `None`: none.
    pub deadline: Option<Instant>,
}

/// One look, with the bootstrap pod in the place of its ordinal.
///
/// # Errors
/// The set, its pods or the bootstrap pod could not be read.
pub async fn look(api: &Api, target: &Target, depth: Depth, founder: Option<Ordinal>) -> Result<Snapshot, Failure> {
    let mut seen = observe::cluster(api, target, depth).await?;
    observe::nodes_of_claims(api, &mut seen, depth).await;
    if let Some(ordinal) = founder {
        observe::founder(api, &mut seen, ordinal, &bootstrap_name(&target.name, ordinal), depth).await?;
    }
    Ok(seen)
}

/// What the operation in the journal asks for next.
///
/// # Errors
/// A fact that is needed is not known.
pub fn next(operation: &Operation, seen: &Snapshot) -> Result<Decision, Why> {
    if operation.aborting {
        return Ok(undo(seen, operation));
    }
    Ok(match decide(operation.goal, seen, &operation.memo)? {
        Decision::Refuse(refusal) => Decision::Refuse(forward(seen, operation, refusal)),
        decision => decision,
    })
}

impl Run<'_> {
    /// Carries the operation that `held` holds out, as far as it goes.
    pub async fn carry_out(&self, held: &mut Held<'_>, tell: &mut dyn FnMut(&Event<'_>)) -> End {
        let mut progress = Progress::new();
        loop {
            match Box::pin(self.once(held, &mut progress, tell)).await {
                Ok(()) => {}
                Err(end) => return end,
            }
            tokio::time::sleep(self.pace.look).await;
        }
    }

    /// One round.
    async fn once(&self, held: &mut Held<'_>, progress: &mut Progress, tell: &mut dyn FnMut(&Event<'_>)) -> Result<(), End> {
        if held.age() >= self.pace.beat {
            held.write(|_| {}).await.map_err(unwritten)?;
        }
        let Some(operation) = held.journal.current.clone() else { return Err(End::TakenOver) };
        let seen = self.look(held, &operation, progress).await?;
        let Some(seen) = seen else { return Ok(()) };
        let operation = Box::pin(self.notice(held, operation, &seen)).await?;
        let stop = self.interrupts.get() > 0 || operation.stop_asked;
        if stop && !progress.told {
            progress.told = true;
            tell(&Event::WillStop);
        }
        let apart = apart(&seen, self.pace.settle);
        match next(&operation, &seen) {
            Err(why) => self.unknown(held, progress, &seen, &why, tell).await,
            Ok(Decision::Wait { why, limit }) => {
                progress.blind = None;
                self.wait(held, progress, &seen, &why, progress.since.elapsed() >= limit, tell).await
            }
            Ok(Decision::Done) if progress.agrees(Asked::Done, apart) => Err(self.done(held, operation.aborting, seen).await),
            Ok(Decision::Refuse(refusal)) if progress.agrees(Asked::Refuse(refusal.rule), Duration::ZERO) => {
                let refusal = refusal.because(self.give_back(held).await?);
                Err(self.refused(held, &operation, refusal, seen.taken).await)
            }
            Ok(Decision::Done | Decision::Refuse(_)) => Ok(()),
            Ok(Decision::Go(plan)) => Box::pin(self.go(held, progress, &operation, &seen, &plan, tell)).await,
        }
    }

    /// The first step of the plan, if it may be taken now.
    async fn go(
        &self,
        held: &mut Held<'_>,
        progress: &mut Progress,
        operation: &Operation,
        seen: &Snapshot,
        plan: &Plan,
        tell: &mut dyn FnMut(&Event<'_>),
    ) -> Result<(), End> {
        let Some(step) = plan.steps.first() else { return Ok(()) };
        if !operation.aborting && !plan.is_within(&operation.plan) {
            if progress.agrees(Asked::Changed(step.id.clone()), Duration::ZERO) {
                self.give_back(held).await?;
                return Err(leave(held, End::Changed(plan.clone())).await);
            }
            return Ok(());
        }
        let last = operation.begun.last().map(|begun| begun.id.clone());
        let stop = self.interrupts.get() > 0 || operation.stop_asked;
        let at_once = step.emergency || step.act.is_awaited();
        if stop && !at_once && last.as_ref() != Some(&step.id) {
            self.give_back(held).await?;
            return Err(leave(held, End::Stopped { after: last }).await);
        }
        if self.is_late() && !at_once {
            let why = format!("the step `{}` was not begun", step.id);
            return Err(self.timed_out(held, &why).await);
        }
        let settle = if step.act.is_awaited() { Duration::ZERO } else { apart(seen, self.pace.settle) };
        if !step.emergency && !progress.agrees(Asked::Step(step.id.clone()), settle) {
            progress.first.get_or_insert_with(|| Box::new(seen.clone()));
            return Ok(());
        }
        if let Some(Err(why)) = progress.first.as_ref().map(|first| confirmed(operation, first, seen)) {
            let too_long = moving(operation).is_some() && progress.since.elapsed() >= AWAITED;
            return self.wait(held, progress, seen, &why, too_long, tell).await;
        }
        Box::pin(self.step(held, progress, seen, plan, step, tell)).await
    }

    /// Writes down at once what no later look will show.
    async fn notice(&self, held: &mut Held<'_>, operation: Operation, seen: &Snapshot) -> Result<Operation, End> {
        let mut memo = operation.memo.clone();
        if !notice(&mut memo, seen) {
            return Ok(operation);
        }
        let kept = held.write(|journal| {
            if let Some(current) = &mut journal.current {
                current.memo.departures.clone_from(&memo.departures);
            }
        });
        kept.await.map_err(unwritten)?;
        held.journal.current.clone().ok_or(End::TakenOver)
    }

    /// `None`: the API server does not answer for now.
    async fn look(&self, held: &mut Held<'_>, operation: &Operation, progress: &mut Progress) -> Result<Option<Snapshot>, End> {
        match look(self.api, self.target, self.depth, operation.memo.founder.map(|founder| founder.ordinal)).await {
            Ok(seen) => Ok(Some(seen)),
            Err(failure) if failure.kind == Kind::Unreachable => {
                progress.waiting_for.clone_from(&failure.message);
                let blind = *progress.blind.get_or_insert_with(Instant::now);
                // Nothing can be written now, either: whoever goes on finds the heartbeat standing still.
                if blind.elapsed() > self.pace.patience || self.is_late() { Err(End::Failed(failure)) } else { Ok(None) }
            }
            Err(failure) => Err(leave(held, End::Failed(failure)).await),
        }
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Something that is needed is not known for now.
    async fn unknown(
        &self,
        held: &mut Held<'_>,
        progress: &mut Progress,
        seen: &Snapshot,
        why: &Why,
        tell: &mut dyn FnMut(&Event<'_>),
    ) -> Result<(), End> {
        let blind = *progress.blind.get_or_insert_with(Instant::now);
        self.wait(held, progress, seen, &why.to_string(), blind.elapsed() >= self.pace.patience, tell).await
    }

    async fn wait(
        &self,
        held: &mut Held<'_>,
        progress: &mut Progress,
        seen: &Snapshot,
        why: &str,
        too_long: bool,
        tell: &mut dyn FnMut(&Event<'_>),
    ) -> Result<(), End> {
        progress.disagrees();
        if progress.waiting_for != why {
            why.clone_into(&mut progress.waiting_for);
            tell(&Event::Waits { why });
        }
        // A step that is under way is waited for, also by whoever wants to stop: the state after it is a stated one.
        if !too_long && !self.is_late() {
            return Ok(());
        }
        self.settle(held, seen).await?;
        Err(self.timed_out(held, why).await)
    }

    async fn timed_out(&self, held: &mut Held<'_>, why: &str) -> End {
        match self.give_back(held).await {
            Ok(None) => leave(held, End::TimedOut { waiting_for: why.to_owned() }).await,
            Ok(Some(closed)) => leave(held, End::TimedOut { waiting_for: format!("{why}; {closed}") }).await,
            Err(end) => end,
        }
    }

    /// Takes back a change that the controller has not acted on: it would fire later (safety B7).
    async fn settle(&self, held: &mut Held<'_>, seen: &Snapshot) -> Result<(), End> {
        let step = held.journal.current.as_ref().and_then(|operation| settled(seen, operation));
        self.last(held, seen, step.as_slice()).await
    }

    /// Clients get their primary back before anybody leaves a handover. What to say if it was not seen to take writes again.
    pub(super) async fn give_back(&self, held: &mut Held<'_>) -> Result<Option<String>, End> {
        let (began, mut attempts, mut closed) = (Instant::now(), 0, None);
        while let Some(operation) = held.journal.current.clone().filter(|operation| moving(operation).is_some()) {
            // The last change may have come about only now.
            let Ok(seen) = look(self.api, self.target, self.depth, None).await else { break };
            let steps = called_off(&seen, &operation);
            closed = left_closed(&seen, &operation);
            // A statement whose answer was lost may still wait for a table that somebody has locked.
            let closing = matches!(operation.begun.last(), Some(last) if !last.done && matches!(last.act, Action::Close { .. }));
            let awaited = closing && began.elapsed() < CLOSES.min(self.pace.patience);
            if (steps.is_empty() && !awaited) || attempts == ATTEMPTS {
                break;
            }
            attempts += u32::from(!steps.is_empty());
            self.last(held, &seen, &steps).await?;
            tokio::time::sleep(self.pace.look).await;
        }
        Ok(closed)
    }

    /// What is done before leaving. If it fails, the next look of whoever goes on finds what the journal names.
    async fn last(&self, held: &mut Held<'_>, seen: &Snapshot, steps: &[Step]) -> Result<(), End> {
        for step in steps {
            let at = seen.taken;
            held.write(|journal| begin(journal, step, at)).await.map_err(unwritten)?;
            // Stopped for long between the write and now: somebody may have taken over (safety E1).
            if held.age() > self.pace.silence / 2 {
                return Ok(());
            }
            let hands = Hands { api: self.api, clock: self.depth.clock, set: self.set };
            let _ = self.beating(held, Box::pin(hands.act(&step.act, seen, false))).await?;
        }
        Ok(())
    }

    /// Where nothing was changed there is nothing to go on with, and nothing to take back.
    async fn refused(&self, held: &mut Held<'_>, operation: &Operation, refusal: Refusal, at: Timestamp) -> End {
        if !operation.has_changed_nothing() {
            return leave(held, End::Refused(refusal)).await;
        }
        let who = held.holder().who.clone();
        match held.write(|journal| journal.end(Outcome::Refused, &who, at)).await {
            Ok(()) => End::Refused(refusal),
            Err(why) => unwritten(why),
        }
    }
}
