//! Takes `safe_to_bootstrap: 1` out of the `grastate.dat` of a running member.

use std::time::Duration;

use crate::api::exec::{ExecEnd, exec_until};
use crate::api::script::{LOADER, assignments};
use crate::api::writes::Denied;
use crate::api::{Api, PodRef};

const LIMIT: Duration = Duration::from_secs(20);
const MAX_OUTPUT: usize = 4096;
const DONE: &str = "kubectl-mariadb: written";
/// In place, and without emptying it first: the server goes on writing into this very file.
const SCRIPT: &str = r#"file=$datadir/grastate.dat
state=$(sed 's/^\(safe_to_bootstrap:[[:space:]]*\)1/\10/' "$file") && printf '%s' "$state" 1<>"$file" && echo "$done"
--go
"#;

/// Does so in the database container of `pod`.
///
/// # Errors
/// [`Denied`].
pub(super) async fn unflag(api: &Api, pod: &PodRef, datadir: &str) -> Result<(), Denied> {
    let script = format!("{}{SCRIPT}", assignments(&[("datadir", datadir), ("done", DONE)]));
    match exec_until(api, pod, &LOADER, script.as_bytes(), DONE, LIMIT, MAX_OUTPUT).await {
        ExecEnd::Complete { .. } | ExecEnd::Exited { code: 0, .. } => Ok(()),
        ExecEnd::Exited { code, stderr, .. } => {
            let said = String::from_utf8_lossy(&stderr);
            Err(Denied::Refused(format!("grastate.dat cannot be written (exit code {code}): {}", said.trim())))
        }
        ExecEnd::Refused(why) => Err(Denied::Lost(format!("it did not run: {why}"))),
        ExecEnd::Lost(why) => Err(Denied::Lost(why.to_string())),
    }
}
