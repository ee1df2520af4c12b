//! The command line: types that say what was typed, and nothing else. No kube, no I/O.

pub mod can_stop;
pub mod complete;
mod completion;
pub mod duration;
pub mod galera;
pub mod global;
pub mod operation;
pub mod pod_name;
pub mod pvc;
pub mod sql;
pub mod status;
#[cfg(test)]
mod tests;
pub mod wait;
pub mod write;

use std::ffi::OsString;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use self::can_stop::CanStop;
pub use self::completion::{Completion, Shell};
pub use self::galera::Galera;
use self::global::{Connection, Output};
pub use self::sql::Sql;
pub use self::status::Status;
pub use self::wait::Wait;
use crate::model::secret_key::SecretKey;

/// MariaDB on Kubernetes, for the person on call: what is true, and what to do about it
#[derive(Parser, Clone, Debug)]
#[command(name = "kubectl-mariadb", bin_name = "kubectl mariadb", version, disable_help_subcommand = true)]
#[command(after_help = "Exit codes and findings: kubectl mariadb explain")]
pub struct Request {
    #[command(flatten)]
    pub connection: Connection,
    #[command(flatten)]
    pub output: Output,
    /// Limit of each pod's answer
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        value_parser = duration::parse,
        default_value = "3s",
        help_heading = "Connection"
    )]
    pub pod_timeout: Duration,
    /// Password of the server's root account, from secret/NAME:KEY, where the container knows none
    #[arg(long, global = true, value_name = "SECRET", help_heading = "Connection")]
    pub password_from: Option<SecretKey>,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Subcommand, Clone, Debug)]
pub enum Verb {
    Status(Status),
    Wait(Wait),
    CanStop(CanStop),
    Sql(Sql),
    Galera(Galera),
    /// Stop every member of a cluster in order, and record the last one
    ///
    /// The members stop one at a time, the highest ordinal first, each only when all others are Synced. Nothing is lost; the database is down until `start`.
    Stop(operation::Whole),
    /// Let mariadb-operator do nothing for a cluster
    ///
    /// No failover, no recovery, no rollout and no physical backup until `unsuspend`; what its object says grows old. Done means that the operator itself says so, after it has finished what it was doing. The servers run on: this stops nobody.
    Suspend(operation::Whole),
    /// Let mariadb-operator work on a cluster again
    ///
    /// Refused while it would do harm at once: a stopped cluster, no primary component, another number of pods than it was told, a forced bootstrap or its file left behind. Done means that the operator says all is well.
    Unsuspend(operation::Whole),
    /// Start a cluster that `stop` stopped: exactly the last one first
    ///
    /// The member that stopped last founds the cluster in a pod of its own, the others join it one by one, then the StatefulSet takes over.
    Start(operation::Whole),
    Upgrade(operation::Upgrade),
    Restart(operation::Restart),
    Scale(operation::Scale),
    Rebuild(operation::Rebuild),
    Pvc(pvc::Pvc),
    Operation(operation::Operation),
    Explain(Explain),
    Completion(Completion),
    Version(Version),
}

/// What a finding or an exit code means
#[derive(Args, Clone, Debug)]
pub struct Explain {
    /// Code of a finding (MDB201), or an exit code (3); none: the list of all
    pub code: Option<String>,
}

/// The versions of this plugin, of Kubernetes, of the operator and of the servers
///
/// What may not be asked or does not answer is `?`; the exit code stays 0.
#[derive(Args, Clone, Copy, Debug)]
pub struct Version {
    /// Only this plugin's version; asks nobody
    #[arg(long)]
    pub client: bool,
    /// The servers of every namespace
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

/// A command line that ends here: help, the version, or a mistake.
#[derive(Debug)]
pub struct Stop(clap::Error);

impl Stop {
    /// Help and version were asked for: they go to stdout and are no mistake.
    #[must_use]
    pub fn is_mistake(&self) -> bool {
        self.0.use_stderr()
    }

    /// The text, with or without colours.
    #[must_use]
    pub fn text(&self, colour: bool) -> String {
        if let Some(verb) = self.unknown_verb() {
            return unknown_verb(verb, self.suggestion());
        }
        let text = self.0.render();
        if colour { text.ansi().to_string() } else { text.to_string() }
    }

    fn unknown_verb(&self) -> Option<&str> {
        match self.0.get(ContextKind::InvalidSubcommand) {
            Some(ContextValue::String(verb)) if self.0.kind() == ErrorKind::InvalidSubcommand => Some(verb),
            _ => None,
        }
    }

    fn suggestion(&self) -> Option<&str> {
        match self.0.get(ContextKind::SuggestedSubcommand) {
            Some(ContextValue::Strings(verbs)) => verbs.first().map(String::as_str),
            _ => None,
        }
    }
}

fn unknown_verb(verb: &str, meant: Option<&str>) -> String {
    let hint = match meant {
        Some(meant) => format!("did you mean 'kubectl mariadb {meant}'?"),
        None => format!("if '{verb}' is a cluster: kubectl mariadb status {verb}"),
    };
    format!("error: '{verb}' is no command of kubectl mariadb\n\nhint: {hint}\nall commands: kubectl mariadb --help\n")
}

/// Reads a command line; `width` wraps the help text.
///
/// # Errors
/// [`Stop`]: there is a text to print and nothing to run.
pub fn parse(args: impl IntoIterator<Item = OsString>, width: Option<u16>) -> Result<Request, Stop> {
    let command = Request::command().term_width(width.map_or(80, usize::from).clamp(60, 100));
    command.try_get_matches_from(args).and_then(|matches| Request::from_arg_matches(&matches)).map_err(Stop)
}
