//! Takes `safe_to_bootstrap: 1` out of the `grastate.dat` of a running member.

use std::time::Duration;

use crate::api::writes::Denied;
use crate::api::{Api, PodRef};

use super::in_pod::{run, settings};

const LIMIT: Duration = Duration::from_secs(20);
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
    let script = format!("{}{SCRIPT}", settings(&[("datadir", datadir)]));
    let written = run(api, pod, script.as_bytes(), LIMIT).await;
    written.map(drop).map_err(|broken| broken.denied(&format!("writing grastate.dat of {}", pod.name)))
}
