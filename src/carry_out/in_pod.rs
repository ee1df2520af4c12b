//! Scripts in the containers of servers, run until they have said that they are done.

use std::time::Duration;

use crate::api::exec::{ExecEnd, exec_until};
use crate::api::script::{LOADER, assignments};
use crate::api::writes::Denied;
use crate::api::{Api, PodRef};
use crate::model::fact::Why;

/// The last line of every script here; it is `$done` to it.
pub(super) const DONE: &str = "kubectl-mariadb: done";
const MAX_OUTPUT: usize = 1 << 20;
/// Of what a script says before it fails, the last lines.
const LINES: usize = 3;

/// Why a script was not seen to come to its end.
pub(super) enum Broken {
    Failed {
        code: i32,
        said: String,
    },
    NeverRan(Why),
    /// Nobody knows how far it came, and it may be going on.
    Lost(Why),
}

impl Broken {
    /// `what` failed, where failing has changed nothing that a second time would not change as well.
    pub(super) fn denied(self, what: &str) -> Denied {
        match self {
            Self::Failed { code, said } => Denied::Refused(format!("{what} ended with exit code {code}: {said}")),
            Self::NeverRan(why) => Denied::Lost(format!("it did not run: {why}")),
            Self::Lost(why) => Denied::Lost(why.to_string()),
        }
    }

    pub(super) fn why(self, pod: &str) -> Why {
        Why::Failed(match self {
            Self::Failed { code, said } => format!("{pod}: {said} (exit code {code})"),
            Self::NeverRan(why) | Self::Lost(why) => format!("{pod}: {why}"),
        })
    }
}

/// The variables of a script, which come before it.
pub(super) fn settings(own: &[(&str, &str)]) -> String {
    assignments(&[own, &[("done", DONE)]].concat())
}

/// Runs a script with its variables; gives what it printed.
///
/// # Errors
/// [`Broken`].
pub(super) async fn run(api: &Api, pod: &PodRef, script: &[u8], limit: Duration) -> Result<Vec<u8>, Broken> {
    match exec_until(api, pod, &LOADER, script, DONE, limit, MAX_OUTPUT).await {
        ExecEnd::Complete { stdout } | ExecEnd::Exited { code: 0, stdout, .. } => Ok(stdout),
        ExecEnd::Exited { code, stderr, .. } => {
            let said = String::from_utf8_lossy(&stderr);
            // The copy of another server prints lines of a single point for its progress.
            let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !matches!(*line, "" | ".")).collect();
            Err(Broken::Failed { code, said: lines[lines.len().saturating_sub(LINES)..].join("; ") })
        }
        ExecEnd::Refused(why) => Err(Broken::NeverRan(why)),
        ExecEnd::Lost(why) => Err(Broken::Lost(why)),
    }
}
