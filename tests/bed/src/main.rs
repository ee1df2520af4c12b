//! `cargo bed`: the bed's commands.

mod cli {
    pub mod shell;
}

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
    },
    /// Take the bed down; nothing stays but its state, for the next start
    Down {
        /// Throw its state away too
        #[arg(long)]
        purge: bool,
    },
    /// What runs
    Status,
    /// A shell inside the bed's network with kubectl and the plugin, or one command there
    Shell {
        /// The command and its arguments
        #[arg(last = true)]
        command: Vec<String>,
    },
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
    match &args.command {
        Command::Up { nodes, api_only } => bed.up(&Options { nodes: *nodes, api_only: *api_only, ..Options::default() })?,
        Command::Down { purge } => bed.down(*purge)?,
        Command::Status => {
            let status = bed.status();
            println!("{status}");
            if !status.complete() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Shell { command } => cli::shell::run(&bed, command)?,
        Command::NodeInit { node, root } => bed::init::run(node, root)?,
        Command::Provisioner => bed::provisioner::run(&bed),
        Command::Resolve { host } => bed::dns::resolve(host)?,
    }
    Ok(ExitCode::SUCCESS)
}
