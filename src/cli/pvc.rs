//! `pvc …`.

use clap::{Args, Subcommand};

use super::write::Write;
use crate::model::quantity::Quantity;
use crate::model::target_name::TargetName;

/// Volume claims: what they hold, which are left over, how large they are
#[derive(Args, Clone, Debug)]
#[command(disable_help_subcommand = true)]
pub struct Pvc {
    #[command(subcommand)]
    pub verb: PvcVerb,
}

#[derive(Subcommand, Clone, Debug)]
pub enum PvcVerb {
    List(List),
    Prune(Prune),
    Expand(Expand),
}

/// Every volume claim that is or was one of MariaDB's, with what it holds and whether it is still wanted
///
/// Claims of clusters that are gone are found by labels of mariadb-operator and of the Bitnami charts, or by nothing but a name in the manner of claim templates, and the verdict says so.
///
/// What a volume holds that no server uses is shown with --inspect: short-lived pods mount it read-only, after a question.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// NAME or sts/NAME; none: every cluster of the namespace
    pub target: Option<TargetName>,
    /// The claims of every namespace
    #[arg(short = 'A', long, conflicts_with_all = ["target", "inspect"])]
    pub all_namespaces: bool,
    /// Read what volumes hold that no pod mounts, in helper pods
    #[arg(long)]
    pub inspect: bool,
    #[command(flatten)]
    pub write: Write,
}

/// Delete volume claims that a scale-in has left, and that hold nothing which the members do not hold
///
/// Two looks eight seconds apart must find every wanted member well. Then short-lived pods read the left-over volumes, read-only, and each claim goes only if it is empty or its position is known, of the members' history and not ahead of them. What is kept is listed with its reason.
///
/// The files of a Galera member that was killed tell no seqno, and those of a replica that was killed no GTIDs: such a volume is kept until its loss is accepted in the words of the refusal. -y never implies that.
#[derive(Args, Clone, Debug)]
pub struct Prune {
    /// NAME or sts/NAME; none: the only cluster of the namespace
    pub target: Option<TargetName>,
    /// A volume that may be lost, in the words that name it; may be given several times
    #[arg(long, value_name = "WHAT", help_heading = "Changes")]
    pub accept_data_loss: Vec<String>,
    #[command(flatten)]
    pub write: Write,
}

/// Make the data volumes of a cluster larger, one after the other
///
/// Refused before anything changes if a claim cannot grow: its class does not allow it, it is being deleted, the size is less than it has. Done means that the file system in the pod shows the new size; one that does not grow stops the rest. The StatefulSet's own template keeps its size, for Kubernetes lets nobody change it.
#[derive(Args, Clone, Debug)]
pub struct Expand {
    /// NAME or sts/NAME; none: the only cluster of the namespace
    pub target: Option<TargetName>,
    /// The new size of each data volume: 20Gi, 1.5T
    #[arg(long, value_name = "SIZE")]
    pub size: Quantity,
    #[command(flatten)]
    pub write: Write,
}
