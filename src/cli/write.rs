//! Flags of every command that changes something.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::duration;

#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Changes")]
pub struct Write {
    /// Do not ask before changing anything
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// Only show what would be changed; server: ask the API server whether it would accept it
    #[arg(
        long,
        value_name = "WHERE",
        value_enum,
        default_value_t,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "client"
    )]
    pub dry_run: DryRun,
    /// Show each request that changes something before it is sent, without secrets; -v=6 shows all requests
    #[arg(long)]
    pub show_requests: bool,
    /// Limit of the whole command; 0: none
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "15m")]
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    #[default]
    None,
    Client,
    Server,
}
