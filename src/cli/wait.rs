//! `wait`.

use std::time::Duration;

use clap::Args;

use super::duration;
use super::pod_name::PodName;
use crate::decide::wish::Wish;
use crate::model::target_name::TargetName;

/// Wait until a cluster is as it should be
///
/// What is waited for must be so in two looks at least eight seconds apart, in which nothing moved: for about six seconds after a network is cut, each side still shows the old members. Progress goes to stderr, the last state to stdout.
///
/// Exit codes: 0 it is so, 6 not within --timeout, 130 interrupted; 1 if it can never be so.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example: kubectl mariadb wait db --for=synced --timeout=10m")]
pub struct Wait {
    /// NAME, sts/NAME or mariadb/NAME; none: the only cluster of the namespace
    pub target: Option<TargetName>,
    /// healthy, synced or primary=POD; may be given again: then all of it at once
    #[arg(long = "for", value_name = "WHAT", required = true, value_parser = wish)]
    pub wishes: Vec<Wish>,
    /// How long to wait; 0: for ever
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "5m")]
    pub timeout: Duration,
}

/// Reads `healthy`, `synced`, `primary=POD`.
fn wish(text: &str) -> Result<Wish, String> {
    match text.split_once('=') {
        None if text == "healthy" => Ok(Wish::Healthy),
        None if text == "synced" => Ok(Wish::Synced),
        Some(("primary", pod)) => Ok(Wish::Primary(pod.parse::<PodName>()?.0)),
        _ => Err("wait for healthy, synced or primary=POD".to_owned()),
    }
}
