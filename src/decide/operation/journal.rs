//! The journal of one cluster: what is being done, by whom, how far it is, and what was done before.
//!
//! It is the lock too: whoever begins a step first writes so, and that write fails if anybody else wrote meanwhile
//! (safety E1).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::names::Ordinal;
use crate::model::operator::Steering;

use super::Goal;
use super::memo::{Closed, Memo};
use super::plan::{Action, Plan, Range, Step, StepId};

/// Finished operations that are kept, in short form.
pub const KEPT: usize = 10;

/// Everything that is kept about one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Journal {
    /// uid of the StatefulSet it is about: a set of the same name that was made anew is another one.
    pub set_uid: String,
    pub current: Option<Operation>,
    /// The cluster was stopped on purpose, and so.
    pub stopped: Option<Stopped>,
    /// The latest first.
    #[serde(default)]
    pub history: Vec<Past>,
}

/// An operation that is not finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    pub goal: Goal,
    /// It is being taken back.
    #[serde(default)]
    pub aborting: bool,
    /// Whoever carries it out. `None`: it was left in a stated state, and anybody may go on.
    pub holder: Option<Holder>,
    /// Grows with every write of the holder: a heartbeat that needs no clock.
    pub beat: u64,
    /// Somebody asks the holder to stop after its step.
    #[serde(default)]
    pub stop_asked: bool,
    pub started: Timestamp,
    pub renewed: Timestamp,
    /// What was confirmed.
    pub plan: Plan,
    pub memo: Memo,
    #[serde(default)]
    pub begun: Vec<Begun>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// `user@host`, for people.
    pub who: String,
    /// One run of the program.
    pub session: String,
}

/// A step that was begun, whatever became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Begun {
    pub id: StepId,
    pub act: Action,
    pub undo: Option<Action>,
    #[serde(default)]
    pub no_return: bool,
    pub at: Timestamp,
    /// Seen to be done.
    #[serde(default)]
    pub done: bool,
    /// It took something back: no part of the way that leads back.
    #[serde(default)]
    pub back: bool,
}

impl Begun {
    #[must_use]
    pub fn new(step: &Step, at: Timestamp) -> Self {
        Self {
            id: step.id.clone(),
            act: step.act.clone(),
            undo: step.undo.clone(),
            no_return: step.no_return,
            at,
            done: false,
            back: false,
        }
    }
}

impl Operation {
    /// The one pod it is about, of a command about one.
    #[must_use]
    pub fn ordinal(&self) -> Option<Ordinal> {
        let chosen = self.memo.recovery.choice.as_ref().map(|choice| choice.ordinal);
        let restarted = self.memo.restart.as_ref().and_then(|restart| restart.only);
        self.memo.rebuild.as_ref().map(|rebuild| rebuild.ordinal).or(chosen).or(restarted)
    }

    /// Whether nothing was begun that could be taken back, or would have to be finished.
    #[must_use]
    pub fn has_changed_nothing(&self) -> bool {
        self.begun.iter().all(|step| step.act.finds_out())
    }

    /// Whether it can still be taken back.
    #[must_use]
    pub fn can_abort(&self) -> bool {
        !self.begun.iter().any(|step| step.no_return)
    }

    /// Notes that `step` begins now, and that those before it are done.
    pub fn begin(&mut self, step: &Step, at: Timestamp) {
        self.steps_are_done(&step.id);
        if self.begun.last().is_none_or(|last| last.id != step.id) {
            // What an emergency ends is no way to go back over, either.
            let back = self.aborting || step.emergency || step.id.starts_with("settle ");
            self.begun.push(Begun { back, ..Begun::new(step, at) });
        }
        if let Some((from, to)) = step.act.range() {
            self.memo.ranges = vec![from, to];
            if let Some(scale) = &mut self.memo.scale {
                scale.reached = scale.reached.max(to.end());
            }
        }
        if let Some((from, to)) = step.act.steering() {
            self.memo.steerings = vec![from.clone(), to.clone()];
        }
        if let (Action::Replicas { from, to, failed }, Some(operated)) = (&step.act, &mut self.memo.operated) {
            operated.told = vec![*from, *to];
            operated.reached = operated.reached.max(*to);
            operated.failed.clone_from(failed);
        }
        let handover = self.memo.upgrade.as_mut().and_then(|upgrade| upgrade.handover.as_mut());
        if let (Action::Promote { ordinal }, Some(handover)) = (&step.act, handover) {
            handover.promoting |= *ordinal == handover.to;
        }
        if let (Action::Rollout { from, to, revision }, Some(upgrade)) = (&step.act, &mut self.memo.upgrade) {
            upgrade.rollouts = vec![from.clone(), to.clone()];
            upgrade.revision.clone_from(revision);
        }
        if let (true, Action::DeletePods { ordinals }) = (step.unasked, &step.act) {
            self.memo.restarted.extend(ordinals);
        }
        if step.emergency {
            self.memo.stray = Some(step.id.clone());
        }
        // From here on the server in that pod writes: what was read of its files is no longer so.
        if let Action::Bootstrap { ordinal, .. } = &step.act {
            self.memo.closed.remove(ordinal);
            self.memo.founded = true;
        }
    }

    /// Every step but `id` is done.
    pub fn steps_are_done(&mut self, but: &str) {
        for step in self.begun.iter_mut().filter(|step| step.id != but) {
            step.done = true;
        }
    }
}

/// How a cluster was stopped: what a start needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    pub at: Timestamp,
    pub by: String,
    /// The range to go back to.
    pub range: Range,
    /// `whenScaled` was `Delete` and is to be so again.
    pub deleted_claims: bool,
    pub last: Ordinal,
    pub state_uuid: Uuid,
    /// Where each member stopped.
    pub positions: BTreeMap<Ordinal, Closed>,
    /// What each pod really ran.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    /// The image in the pod template.
    pub image: String,
    /// What mariadb-operator was told before.
    #[serde(default)]
    pub steering: Option<Steering>,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Outcome {
    Done,
    Aborted,
    /// Its StatefulSet was deleted while it was unfinished.
    Orphaned,
    /// It ended before anything was changed.
    Refused,
    /// Another one was begun in its place.
    Replaced,
}

/// A finished operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Past {
    pub goal: Goal,
    pub by: String,
    pub started: Timestamp,
    pub ended: Timestamp,
    pub outcome: Outcome,
    pub steps: u32,
    /// Of an upgrade that was left at a partition: what mariadb-operator's update strategy is to be again in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
}

impl Journal {
    /// The memo of a new operation, with what an earlier one has left to be done.
    #[must_use]
    pub fn reminds(&self, mut memo: Memo) -> Memo {
        let last = self.history.iter().find(|past| past.goal == Goal::Upgrade).and_then(|past| past.strategy.clone());
        // One that gives way to this one has not put it back.
        let replaced = self.current.as_ref().and_then(|operation| operation.memo.upgrade.as_ref()?.strategy.clone());
        if let (Some(upgrade), Some(strategy)) = (&mut memo.upgrade, replaced.or(last)) {
            if upgrade.to.partition == 0 {
                upgrade.to.strategy = Some(strategy.clone());
            }
            upgrade.strategy = Some(strategy);
        }
        memo
    }

    /// Ends the current operation and puts it into the history.
    pub fn end(&mut self, outcome: Outcome, by: &str, at: Timestamp) {
        let Some(operation) = self.current.take() else { return };
        let steps = u32::try_from(operation.begun.len()).unwrap_or(u32::MAX);
        let strategy = operation.memo.upgrade.as_ref().filter(|upgrade| upgrade.to.partition > 0);
        let strategy = strategy.and_then(|upgrade| upgrade.strategy.clone());
        let (goal, by, started) = (operation.goal, by.to_owned(), operation.started);
        self.history.insert(0, Past { goal, by, started, ended: at, outcome, steps, strategy });
        self.history.truncate(KEPT);
    }
}
