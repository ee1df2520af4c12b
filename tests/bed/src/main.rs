//! `cargo bed`: the bed's commands.

mod cli;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use bed::{Bed, Options};
use clap::{Parser, Subcommand};

/// A real Kubernetes on this machine, for the tests of kubectl-mariadb.
#[derive(Parser)]
#[command(bin_name = "cargo bed")]
struct Args {
    /// Which bed; each has its own network, nodes and state
    #[arg(long, global = true, default_value = "bed")]
    name: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the bed, or what is missing of it
    Up {
        /// How many nodes
        #[arg(long, default_value_t = 3)]
        nodes: u32,
        /// Only etcd and the API server
        #[arg(long)]
        api_only: bool,
        /// mariadb-operator, too
        #[arg(long, conflicts_with = "api_only")]
        operator: bool,
    },
    /// Take the bed down; nothing stays but its state, for the next start
    Down {
        /// Throw its state away too
        #[arg(long)]
        purge: bool,
    },
    /// What runs
    Status,
    /// Copy the logs of every component and pod, and all objects, into a folder
    Logs { folder: PathBuf },
    /// A shell inside the bed's network with kubectl and the plugin, or one command there
    Shell {
        /// The command and its arguments
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Start here: a Galera cluster in the bed and `kubectl mariadb status` on it
    Demo(cli::demo::Args),
    /// Format, lint and test everything
    Test(cli::test::Args),
    /// Measure speed, memory and size; prints the tables of docs/performance.md
    Bench {
        /// Only these parts: network, loop, dead, fleet, weight
        parts: Vec<String>,
    },
    /// Break a node, and mend it
    Node {
        /// n1, n2 …
        node: String,
        action: NodeAction,
    },
    /// Kill the API server, and start it
    ApiServer { action: ServerAction },
    /// PID 1 of a node
    #[command(hide = true)]
    NodeInit { node: String, root: PathBuf },
    /// The provisioner of volumes
    #[command(hide = true)]
    Provisioner,
    /// Ask the cluster's DNS for a name
    #[command(hide = true)]
    Resolve { host: String },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum NodeAction {
    /// Cut its power: its processes are gone at once, its disk stays
    Off,
    /// Give it power again
    On,
    /// Pull its network cable
    Cut,
    /// Plug its network cable in again
    Heal,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ServerAction {
    Kill,
    Start,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(cause) => {
            eprintln!("bed: {cause:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<ExitCode> {
    let bed = Bed::open(&args.name)?;
    if !matches!(&args.command, Command::Demo(demo) if demo.on_own_cluster()) {
        bed::host::require_root()?;
    }
    match &args.command {
        Command::Up { nodes, api_only, operator } => {
            bed.up(&Options { nodes: *nodes, api_only: *api_only, operator: *operator, ..Options::default() })?;
        }
        Command::Down { purge } => bed.down(*purge)?,
        Command::Status => {
            let status = bed.status();
            // A reader that has seen enough (`| head`) is no failure.
            let _ = writeln!(std::io::stdout(), "{status}");
            if !status.complete() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Logs { folder } => bed.logs_to(folder)?,
        Command::Shell { command } => cli::shell::run(&bed, command)?,
        Command::Demo(demo) => return cli::demo::run(&bed, demo),
        Command::Test(test) => return cli::test::run(&bed, test),
        Command::Bench { parts } => return cli::bench::run(&bed, parts),
        Command::Node { node, action } => {
            let node = bed.node_named(node)?;
            match action {
                NodeAction::Off => node.power_off()?,
                NodeAction::On => node.power_on()?,
                NodeAction::Cut => node.cut()?,
                NodeAction::Heal => node.heal()?,
            }
        }
        Command::ApiServer { action } => match action {
            ServerAction::Kill => bed.api_server().kill()?,
            ServerAction::Start => bed.api_server().start()?,
        },
        Command::NodeInit { node, root } => bed::init::run(node, root)?,
        Command::Provisioner => bed::provisioner::run(&bed),
        Command::Resolve { host } => bed::dns::resolve(host)?,
    }
    Ok(ExitCode::SUCCESS)
}
