//! Keeps changes of volumes apart from operations (safety E1).
//!
//! Such a change is no operation: each deletion and each patch stands for itself, one that is left out harms nothing, and to go
//! on after a death means to run the same command again. So it holds no lock over its steps, and leaves none behind. Instead
//! every step begins with a compare-and-swap on the journal: it fails if an operation was begun, or came to its end, since the
//! journal was read. An operation that begins after it looks once more, and writes the journal again, before its first change;
//! until then the one request that follows the compare-and-swap has long arrived or failed.

use std::time::{Duration, Instant};

use crate::api::Api;
use crate::carry_out::journal::{Held, Unwritten};
use crate::carry_out::prepare::{held_by, unfinished};
use crate::decide::operation::journal::{Holder, Outcome, Stopped};
use crate::decide::operation::plan::Refusal;
use crate::decide::rules::operations as rules;
use crate::failure::Failure;
use crate::model::names::Target;
use crate::process::Clock;

/// What follows the compare-and-swap follows at once. A machine that slept in between begins anew.
const FRESH: Duration = Duration::from_secs(5);

pub struct Guard<'a> {
    held: Held<'a>,
    target: &'a Target,
    set_uid: String,
    clock: Clock,
}

/// Proof that nobody has begun anything, for one request.
pub struct Pass {
    at: Instant,
    wall: jiff::Timestamp,
    clock: Clock,
}

impl Pass {
    /// Whether it still counts.
    pub fn is_fresh(&self) -> bool {
        let wall = self.clock.now().duration_since(self.wall);
        self.at.elapsed().max(Duration::try_from(wall).unwrap_or_default()) < FRESH
    }
}

/// Why there is no pass.
pub enum Blocked {
    Refused(Refusal),
    Failed(Failure),
}

impl<'a> Guard<'a> {
    /// # Errors
    /// The journal cannot be read, or is not understood.
    pub async fn read(
        api: &'a Api,
        target: &'a Target,
        set_uid: &str,
        holder: Holder,
        clock: Clock,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let held = Held::read(api, target, holder, clock, patience).await?;
        Ok(Self { held, target, set_uid: set_uid.to_owned(), clock })
    }

    /// An operation that is not finished.
    pub fn refusal(&self) -> Option<Refusal> {
        let journal = &self.held.journal;
        let operation = journal.current.as_ref().filter(|_| journal.set_uid == self.set_uid)?;
        Some(unfinished(self.target, operation))
    }

    /// How the set was stopped, if it was.
    pub fn stopped(&self) -> Option<&Stopped> {
        let journal = &self.held.journal;
        journal.stopped.as_ref().filter(|_| journal.set_uid == self.set_uid)
    }

    /// One compare-and-swap.
    ///
    /// # Errors
    /// Somebody has begun an operation since, or the journal cannot be written.
    pub async fn pass(&mut self) -> Result<Pass, Blocked> {
        let (set_uid, now, who) = (self.set_uid.clone(), self.clock.now(), self.held.holder().who.clone());
        let written = self.held.write(|journal| {
            if journal.set_uid != set_uid {
                // Of a set of this name that is gone.
                journal.end(Outcome::Orphaned, &who, now);
                journal.stopped = None;
                journal.set_uid.clone_from(&set_uid);
            }
        });
        match written.await {
            Ok(()) => Ok(Pass { at: Instant::now(), wall: self.clock.now(), clock: self.clock }),
            Err(Unwritten::Failed(failure)) => Err(Blocked::Failed(failure)),
            Err(Unwritten::TakenOver(Some(holder))) => Err(Blocked::Refused(held_by(self.target, Some(&holder)))),
            Err(Unwritten::TakenOver(None)) => {
                let name = &self.target.name;
                let summary = format!("somebody has worked on {name} since this command began to look at it");
                let refusal = Refusal::new(&rules::CHANGED_MEANWHILE, summary);
                Err(Blocked::Refused(refusal.plugin(&format!("operation show {name}"))))
            }
        }
    }
}
