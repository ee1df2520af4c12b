//! `stop`, `start`, `operation …`.

use clap::{Args, Subcommand};

use super::pod_name::PodName;
use super::write::Write;
use crate::model::target_name::TargetName;

/// A command on a whole cluster.
#[derive(Args, Clone, Debug)]
pub struct Whole {
    /// NAME or sts/NAME; none: the only cluster of the namespace
    pub target: Option<TargetName>,
    /// Argo CD or Flux writes this StatefulSet, and I have paused it
    #[arg(long, help_heading = "Changes")]
    pub gitops_paused: bool,
    #[command(flatten)]
    pub write: Write,
}

/// Give one member of a Galera cluster a fresh copy of the data
///
/// The others go on: exactly one primary component without the member, somebody Synced in it who can give, and a majority while it is away. Then the data of the member is marked as not to be trusted and its pod is deleted; the next server takes a full copy. Done means that the copy has come and the member is Synced among those that were there before.
///
/// Rows that only this member holds are named and need --accept-data-loss.
#[derive(Args, Clone, Debug)]
pub struct Rebuild {
    /// The volume is lost with its node: delete the claim, so that a new volume is made
    #[arg(long, help_heading = "Changes")]
    pub new_volume: bool,
    #[command(flatten)]
    pub one: OfPod,
}

/// What commands about one pod have in common.
#[derive(Args, Clone, Debug)]
pub struct OfPod {
    /// POD or pod/NAME
    pub pod: PodName,
    /// Rows that may be lost, in the words of the refusal that names them
    #[arg(long, value_name = "WHAT", help_heading = "Changes")]
    pub accept_data_loss: Option<String>,
    /// Argo CD or Flux writes this StatefulSet, and I have paused it
    #[arg(long, help_heading = "Changes")]
    pub gitops_paused: bool,
    #[command(flatten)]
    pub write: Write,
}

/// Operations that were begun: who, which step, how to go on
#[derive(Args, Clone, Debug)]
#[command(disable_help_subcommand = true)]
pub struct Operation {
    #[command(subcommand)]
    pub verb: OperationVerb,
}

#[derive(Subcommand, Clone, Debug)]
pub enum OperationVerb {
    /// Every cluster of the namespace that has a journal
    List,
    /// What was begun, by whom, how far it is, and what was done before
    Show(Which),
    /// Ask whoever carries it out to stop after the current step
    Stop(Which),
    /// Go on with an unfinished operation
    ///
    /// An operation that somebody still works on cannot be taken over: its heartbeat must have been seen standing still for 60 seconds.
    Resume(Going),
    /// Take an unfinished operation back, step by step
    ///
    /// Only what still holds the value that was written is put back. Past its point of no return an operation can only be finished.
    Abort(Going),
}

#[derive(Args, Clone, Debug)]
pub struct Which {
    /// NAME or sts/NAME; none: the only cluster of the namespace
    pub target: Option<TargetName>,
}

#[derive(Args, Clone, Debug)]
pub struct Going {
    /// NAME or sts/NAME; none: the only cluster of the namespace
    pub target: Option<TargetName>,
    #[command(flatten)]
    pub write: Write,
}
