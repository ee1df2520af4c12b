//! `stop`, `start`, `scale`, `rebuild`, `operation …`.

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

/// Roll out another image, one pod after the other, down to a partition
///
/// The image is tried first in a pod without any volume. Then the partition is closed in the same change as the image is set, and opened for one ordinal at a time, from the highest down to --partition. The next pod is replaced only when the servers say, in two looks, that all are together again: every Galera member Synced in one component, every replica caught up and read-only. Where a newer series has come, the system tables of each server are converted.
///
/// It ends at --partition; the same command with a lower one goes on, then without --image if you like. `operation abort`, or --image with the old image, goes back as long as the series is the same.
#[derive(Args, Clone, Debug)]
pub struct Upgrade {
    /// The image for the database container; none: go on with the one in the pod template
    #[arg(long, help_heading = "Changes")]
    pub image: Option<String>,
    /// The lowest ordinal that gets the image; the pods below stay as they are  [default: all get it]
    #[arg(long, value_name = "ORDINAL", help_heading = "Changes")]
    pub partition: Option<u32>,
    /// The image comes from a repository (Argo CD, Flux): only walk the partition
    #[arg(long, conflicts_with_all = ["image", "gitops_paused"], help_heading = "Changes")]
    pub follow: bool,
    /// Allow a step over a long-term series, which the vendor does not describe
    #[arg(long, help_heading = "Changes")]
    pub allow_lts_skip: bool,
    #[command(flatten)]
    pub whole: Whole,
}

/// Restart the pods of a cluster, one after the other
///
/// Each pod is evicted, so that a PodDisruptionBudget is respected, and the next one only follows when the servers say, in two looks, that all are together again. Nothing of the StatefulSet is changed. A pod whose server does not serve is restarted when it is named with --pod.
#[derive(Args, Clone, Debug)]
pub struct Restart {
    /// Only this pod
    #[arg(long, value_name = "POD", help_heading = "Changes")]
    pub pod: Option<PodName>,
    #[command(flatten)]
    pub whole: Whole,
}

/// Another number of members, one at a time
///
/// In: the highest ordinal leaves first, and nobody leaves whom the others need; volumes stay. Out: one member more each time; the next when it is Synced with exactly the others, or follows and has caught up. Not to 0: that is `stop`.
#[derive(Args, Clone, Debug)]
pub struct Scale {
    /// How many members there are to be
    #[arg(long, value_name = "N", help_heading = "Changes")]
    pub replicas: u32,
    /// Refuse if the set has another number of replicas now
    #[arg(long, value_name = "M", help_heading = "Changes")]
    pub current_replicas: Option<u32>,
    /// Delete volumes that lie where new members are to come, if they hold nothing that the cluster has not
    #[arg(long, help_heading = "Changes", conflicts_with = "reuse_pvcs")]
    pub prune_pvcs: bool,
    /// Start new members on volumes that lie there, if they hold nothing that the cluster has not
    #[arg(long, help_heading = "Changes")]
    pub reuse_pvcs: bool,
    /// What may be lost with --prune-pvcs, in the words of the refusal that names it
    #[arg(long, value_name = "WHAT", help_heading = "Changes", requires = "prune_pvcs")]
    pub accept_data_loss: Option<String>,
    #[command(flatten)]
    pub whole: Whole,
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
