//! One step: begun by compare and swap, carried out, and what became of it.

use std::time::Instant;

use jiff::Timestamp;

use crate::api::writes::Denied;
use crate::carry_out::act::{Hands, Learned};
use crate::carry_out::journal::{Held, Unwritten};
use crate::decide::operation::formation::Formation;
use crate::decide::operation::journal::{Journal, Outcome, Stopped};
use crate::decide::operation::plan::{Action, Plan, Step};
use crate::decide::operation::{Goal, departure};
use crate::failure::{Failure, Kind};
use crate::model::disk::StateFile;
use crate::model::fact::Why;
use crate::model::snapshot::Snapshot;

use super::progress::Progress;
use super::{End, Event, Run};

/// How often a step is tried that was not carried out, the cluster looked at before each time.
pub(super) const ATTEMPTS: u32 = 5;
/// Somebody holds a table for longer than it was waited for (`ER_LOCK_WAIT_TIMEOUT`).
const LOCKED: &str = "1205 ";
/// How often a data directory is read that cannot be, before that is what is known of it. Each time may take a minute.
const READ_ATTEMPTS: u32 = 3;

impl Run<'_> {
    pub(super) async fn step(
        &self,
        held: &mut Held<'_>,
        progress: &mut Progress,
        seen: &Snapshot,
        plan: &Plan,
        step: &Step,
        tell: &mut dyn FnMut(&Event<'_>),
    ) -> Result<(), End> {
        if progress.tries(&step.id) {
            let total = held.journal.current.as_ref().map_or(0, |operation| operation.plan.steps.len()).max(plan.steps.len());
            tell(&Event::Begins { number: total + 1 - plan.steps.len(), total, step });
        }
        let at = seen.taken;
        held.write(|journal| begin(journal, step, at)).await.map_err(unwritten)?;
        progress.disagrees();
        progress.waiting_for.clear();
        // Stopped for long between the write and now: somebody may have taken over (safety E1).
        if held.age() > self.pace.silence / 2 {
            return Ok(());
        }
        let hands = Hands { api: self.api, clock: self.depth.clock, set: self.set };
        let acted = self.beating(held, Box::pin(hands.act(&step.act, seen, false))).await?;
        progress.since = Instant::now();
        let elects = held.journal.current.as_ref().is_some_and(|operation| operation.goal.elects());
        let acted = match acted {
            Ok(learned) if !elects || progress.attempts.1 < READ_ATTEMPTS => all_read(learned),
            other => other,
        };
        match acted {
            Ok(learned) => self.acted(held, seen, step, &learned).await,
            Err(denied) => self.denied(held, progress, step, denied, tell).await,
        }
    }

    /// Works with the heart beating beside; the work ends where somebody has taken over (safety E1).
    pub(super) async fn beating<T>(&self, held: &mut Held<'_>, work: impl Future<Output = T>) -> Result<T, End> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                // A process that slept asks first whether it still holds the operation.
                biased;
                () = tokio::time::sleep(self.pace.beat) => held.write(|_| {}).await.map_err(unwritten)?,
                done = &mut work => return Ok(done),
            }
        }
    }

    /// A step that was carried out, and what is kept of it.
    async fn acted(&self, held: &mut Held<'_>, seen: &Snapshot, step: &Step, learned: &Learned) -> Result<(), End> {
        if let (Some((_, to)), Some(operation)) = (step.act.range(), &mut held.journal.current) {
            // Written with the next change. From here on the value before is somebody else's, too.
            operation.memo.ranges = vec![to];
        }
        if let (Action::Replicas { to, .. }, Some(operation)) = (&step.act, &mut held.journal.current)
            && let Some(operated) = &mut operation.memo.operated
        {
            operated.told = vec![*to];
        }
        if let (Some((_, to)), Some(operation)) = (step.act.rollout(), &mut held.journal.current)
            && let Some(upgrade) = &mut operation.memo.upgrade
        {
            upgrade.rollouts = vec![to.clone()];
        }
        if let (Some((_, to)), Some(operation)) = (step.act.steering(), &mut held.journal.current) {
            operation.memo.steerings = vec![to.clone()];
        }
        if !keeps(&step.act) {
            return Ok(());
        }
        let who = held.holder().who.clone();
        let kept = held.write(|journal| keep(journal, &who, step, learned, seen));
        kept.await.map_err(unwritten)?;
        match step.act {
            Action::Hold { ordinal } => {
                let container = seen.objects.stateful_set.layout.container.clone();
                Err(leave(held, End::OnHold { founder: ordinal, container }).await)
            }
            _ => Ok(()),
        }
    }

    /// A write that was not made, or may have been: look, never just repeat.
    async fn denied(
        &self,
        held: &mut Held<'_>,
        progress: &mut Progress,
        step: &Step,
        denied: Denied,
        tell: &mut dyn FnMut(&Event<'_>),
    ) -> Result<(), End> {
        let why = Why::from(denied.clone()).to_string();
        // Reading once more does no harm, whatever went wrong, and neither does writing the same again.
        let again = match &denied {
            Denied::Right(_) => false,
            // Each time it is tried, clients wait with it for the table that somebody has locked.
            Denied::Refused(words) if matches!(step.act, Action::Close { .. }) && words.starts_with(LOCKED) => false,
            Denied::Refused(_) => {
                matches!(step.act, Action::Inspect { .. } | Action::Read { .. } | Action::Try { .. })
                    || matches!(
                        step.act,
                        Action::Reset { .. }
                            | Action::Unflag { .. }
                            | Action::Convert { .. }
                            | Action::Open { .. }
                            | Action::Close { .. }
                            | Action::Follow { .. }
                            | Action::Promote { .. }
                    )
            }
            Denied::Gone | Denied::Exists | Denied::Lost(_) | Denied::Busy(_) => true,
        };
        // A budget that allows nobody to go now may allow it later: the limit of the whole command counts.
        if matches!(denied, Denied::Busy(_)) && !self.is_late() {
            progress.attempts.1 = 0;
        }
        if again && progress.attempts.1 < ATTEMPTS {
            tell(&Event::Again { why: &why });
            return Ok(());
        }
        let closed = self.give_back(held).await?.map_or_else(String::new, |closed| format!("; {closed}"));
        let kind = if matches!(denied, Denied::Right(_)) { Kind::Forbidden } else { Kind::Other };
        let failure = Failure::new(kind, format!("the step `{}` failed: {why}{closed}", step.id));
        Err(leave(held, End::Failed(failure)).await)
    }

    pub(super) async fn done(&self, held: &mut Held<'_>, aborted: bool, seen: Snapshot) -> End {
        let (who, at) = (held.holder().who.clone(), seen.taken);
        let outcome = if aborted { Outcome::Aborted } else { Outcome::Done };
        let departed = held.journal.current.as_ref().and_then(|operation| departure::told(&operation.memo));
        match held.write(|journal| journal.end(outcome, &who, at)).await {
            Ok(()) => End::Done { seen: Box::new(seen), departed },
            Err(why) => unwritten(why),
        }
    }
}

/// Whether something of a step is kept that the cluster itself does not show afterwards.
const fn keeps(act: &Action) -> bool {
    !matches!(
        act,
        Action::Range { .. }
            | Action::WhenScaled { .. }
            | Action::DeletePods { .. }
            | Action::Bootstrap { .. }
            | Action::EndBootstrap { .. }
            | Action::DeleteClaim { .. }
            | Action::Steer { .. }
            | Action::Unflag { .. }
            | Action::Rollout { .. }
            | Action::Evict { .. }
            | Action::Open { .. }
            | Action::Close { .. }
            | Action::Follow { .. }
            | Action::Lead { .. }
            | Action::Promote { .. }
            | Action::Replicas { .. }
    )
}

/// What was read, if nothing is missing from it.
fn all_read(learned: Learned) -> Result<Learned, Denied> {
    match learned.unread.iter().next() {
        None => Ok(learned),
        Some((_, (pod, why))) => Err(Denied::Refused(format!("the files of {pod} could not be read: {why}"))),
    }
}

fn keep(journal: &mut Journal, who: &str, step: &Step, learned: &Learned, seen: &Snapshot) {
    let Some(operation) = &mut journal.current else { return };
    let memo = &mut operation.memo;
    memo.closed.extend(learned.closed.clone());
    memo.recovery.files.extend(learned.files.clone());
    memo.recovery.unread.extend(learned.unread.iter().map(|(ordinal, (_, why))| (*ordinal, why.clone())));
    memo.recovery.positions.extend(learned.positions.clone());
    if !learned.files.is_empty() {
        memo.recovery.generation = Some(seen.objects.stateful_set.generation);
    }
    match &step.act {
        Action::Record { stopped } => {
            memo.recorded = true;
            let positions = memo.closed.clone();
            journal.stopped = Some(Stopped { by: who.to_owned(), positions, ..(**stopped).clone() });
        }
        Action::Forget => {
            memo.recorded = true;
            journal.stopped = None;
        }
        Action::Elect { founder } => memo.founder = Some(*founder),
        Action::Hold { .. } => memo.recovery.held = true,
        Action::BeginAgain { .. } => {
            memo.closed.clear();
            (memo.founder, memo.founded, memo.begun_again) = (None, false, true);
            memo.recovery = memo.recovery.anew(seen.taken);
            operation.goal = if memo.recovery.choice.is_some() { Goal::Bootstrap } else { Goal::Recover };
        }
        Action::Write { ordinal, change, .. } => {
            if operation.aborting {
                memo.recovery.restored.insert(*ordinal);
            }
            if let (Some(disk), Some(after)) = (memo.recovery.files.get_mut(ordinal), &change.after) {
                disk.grastate = StateFile::Parsed(after.clone());
            }
        }
        Action::Try { .. } => {
            if let Some(upgrade) = &mut memo.upgrade {
                upgrade.tried.clone_from(&learned.tried);
            }
        }
        Action::MovePrimary { to } => {
            let formation = Formation::Replication { primary: *to, writable: true };
            if let Some(upgrade) = &mut memo.upgrade {
                upgrade.formation = formation;
            }
            if let Some(restart) = &mut memo.restart {
                restart.formation = formation;
            }
        }
        Action::HandOver { handover } => {
            if let Some(upgrade) = &mut memo.upgrade {
                upgrade.handover = Some(handover.clone());
            }
        }
        Action::HandedOver { ordinal } => {
            if let Some(upgrade) = &mut memo.upgrade {
                upgrade.handover = None;
                upgrade.formation = Formation::Replication { primary: *ordinal, writable: true };
            }
        }
        Action::Convert { ordinal } => {
            if let Some(upgrade) = &mut memo.upgrade {
                upgrade.converted.insert(*ordinal);
            }
        }
        Action::Claim { ordinal, .. } => {
            if let Some(seeding) = memo.scale.as_mut().and_then(|scale| scale.seeding.as_mut()) {
                seeding.made.extend(learned.claims.clone());
                seeding.seeded.remove(ordinal);
            }
        }
        Action::Seed { ordinal, .. } => {
            if let Some(seeding) = memo.scale.as_mut().and_then(|scale| scale.seeding.as_mut()) {
                seeding.seeded.insert(*ordinal);
            }
        }
        Action::Reset { ordinal, pod, .. } => {
            memo.recovery.unread.remove(ordinal);
            if let Some(rebuild) = &mut memo.rebuild {
                (rebuild.reset, rebuild.pod) = (true, pod.clone());
            }
        }
        _ => {}
    }
}

pub(super) fn begin(journal: &mut Journal, step: &Step, at: Timestamp) {
    if let Some(operation) = &mut journal.current {
        operation.begin(step, at);
    }
}

/// Leaves the operation in a stated state: anybody may go on at once.
pub(super) async fn leave(held: &mut Held<'_>, end: End) -> End {
    let left = held.write(|journal| {
        if let Some(operation) = &mut journal.current {
            operation.holder = None;
            operation.stop_asked = false;
        }
    });
    match left.await {
        Ok(()) => end,
        Err(Unwritten::TakenOver(_)) => End::TakenOver,
        // The end that led here says more. Whoever resumes has to wait for the heartbeat.
        Err(Unwritten::Failed(_)) => end,
    }
}

pub(super) fn unwritten(why: Unwritten) -> End {
    match why {
        Unwritten::TakenOver(_) => End::TakenOver,
        Unwritten::Failed(failure) => End::Failed(failure),
    }
}
