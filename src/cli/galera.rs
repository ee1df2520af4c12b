//! `galera …`.

use clap::{Args, Subcommand};

use super::operation::{OfPod, Whole};
use super::write::Write;
use crate::model::target_name::TargetName;

/// Galera clusters that are down
#[derive(Args, Clone, Debug)]
#[command(disable_help_subcommand = true)]
pub struct Galera {
    #[command(subcommand)]
    pub verb: GaleraVerb,
}

#[derive(Subcommand, Clone, Debug)]
pub enum GaleraVerb {
    Grastate(Grastate),
    /// Bring a cluster back of which no server runs on, without losing a row
    ///
    /// Looks first: a whole cluster needs nothing, one that heals by itself is waited for. Otherwise every pod is stopped, every data directory is read, positions that no file tells are recovered, and one member is elected; then it asks once more, and lets that one found the cluster and the others join it one by one. It refuses beside any server that is or may be Primary, between two histories, and where somebody may hold rows that nobody else has.
    ///
    /// With -y both questions are answered with yes; a choice that would lose anything is never made.
    Recover(Recover),
    /// Let the pod that you choose found a cluster of which no server runs on
    ///
    /// As `galera recover`, but whom you name is the one, if its data directory is whole. What the others hold more is named and needs --accept-data-loss: they take its data. Never beside a server that is or may be Primary, and never from half a copy.
    Bootstrap(Bootstrap),
}

#[derive(Args, Clone, Debug)]
pub struct Recover {
    #[command(flatten)]
    pub founding: Founding,
    #[command(flatten)]
    pub whole: Whole,
}

#[derive(Args, Clone, Debug)]
pub struct Bootstrap {
    #[command(flatten)]
    pub founding: Founding,
    #[command(flatten)]
    pub one: OfPod,
}

#[derive(Args, Clone, Copy, Debug)]
pub struct Founding {
    /// Stop when one member has founded the cluster, with no client led to it, so that you can look at its data; `operation resume` goes on
    #[arg(long, help_heading = "Changes")]
    pub hold_traffic: bool,
    /// How many members there are, of a set that is scaled to 0: it does not say so itself any more
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Changes")]
    pub replicas: Option<u32>,
}

/// What the files of every member say, and which member may be started first
///
/// Reads grastate.dat, gvwstate.dat and the marks of state transfers in every data directory of the set. Where nothing runs that could read them, a helper pod does it, after a question; it mounts the volume read-only.
///
/// The exit code is the election: 0 a member is elected, or a primary component lives and none is needed; 4 something that decides could not be read; 5 everything is read and none may be chosen; 7 the question was answered with no; 8 a right is missing.
#[derive(Args, Clone, Debug)]
pub struct Grastate {
    /// NAME or sts/NAME; none: the only cluster of the namespace
    pub target: Option<TargetName>,
    /// Recover unknown positions with `mariadbd --wsrep-recover` in helper pods. This writes: InnoDB does its crash recovery
    #[arg(long)]
    pub recover_positions: bool,
    #[command(flatten)]
    pub write: Write,
}
