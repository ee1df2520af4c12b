//! `sql`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::pod_name::PodName;
use crate::decide::sql::On;
use crate::model::target_name::TargetName;

/// A SQL shell, or single statements, on the right server
///
/// Without --write only SELECT, SHOW, EXPLAIN, DESCRIBE, WITH, USE and SET @x run, in read-only transactions. Statements come from -e, from -f, from stdin, or from a prompt if stdin is a terminal.
#[derive(Args, Clone, Debug)]
pub struct Sql {
    /// NAME, sts/NAME or mariadb/NAME; none: the only cluster of the namespace
    pub target: Option<TargetName>,
    /// `-`: statements from stdin
    #[arg(hide = true, conflicts_with_all = ["execute", "file"])]
    pub stdin: Option<Dash>,
    /// Statements to run; may be repeated
    #[arg(short = 'e', long, value_name = "STATEMENTS", conflicts_with = "file")]
    pub execute: Vec<String>,
    /// File of statements; -: stdin
    #[arg(short = 'f', long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Server to ask: primary (of Galera any Synced member), replica, all (side by side), or a pod
    #[arg(long, value_name = "primary|replica|all|POD", default_value = "primary", value_parser = on)]
    pub on: On,
    /// Allow statements that change something; on the primary only
    #[arg(long)]
    pub write: bool,
    /// Account of the server instead of the container's own; asks for its password, or takes that of --password-from
    #[arg(long, value_name = "NAME")]
    pub db_user: Option<String>,
    /// Database to use
    #[arg(short = 'D', long, value_name = "NAME")]
    pub database: Option<String>,
}

/// The word `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dash;

impl FromStr for Dash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "-" { Ok(Self) } else { Err("only - may follow the cluster; statements are given with -e") }
    }
}

fn on(text: &str) -> Result<On, String> {
    Ok(match text {
        "primary" => On::Primary,
        "replica" => On::Replica,
        "all" => On::All,
        pod => On::Pod(pod.parse::<PodName>()?.0),
    })
}
