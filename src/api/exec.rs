//! One command in one container.

use std::time::Duration;

use tokio::time::timeout;

use crate::model::fact::Why;

use super::channel::{Arrival, Channel, End, why_from_words};
use super::{Api, PodRef};

/// How long output may still arrive after the exit code: the API server copies each stream on its own.
const GRACE: Duration = Duration::from_secs(1);

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEnd {
    Exited {
        code: i32,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    },
    /// It did not run.
    Refused(Why),
    /// It may or may not have run: look again, never just repeat.
    Lost(Why),
}

/// Runs `argv` in the container with `stdin`, and collects what it writes.
///
/// On servers that speak only `v4.channel.k8s.io` the command never sees the end of stdin, so it must not wait for it.
/// `limit` covers everything from the connection to the last byte. More than `max_output` bytes (both streams together)
/// end as [`ExecEnd::Lost`]. argv is written to audit logs: no secrets, no SQL.
pub async fn exec(api: &Api, pod: &PodRef, argv: &[&str], stdin: &[u8], limit: Duration, max_output: usize) -> ExecEnd {
    api.fresh_credential().await;
    match timeout(limit, run(api, pod, argv, stdin, max_output)).await {
        Ok(end) => end,
        Err(_) => ExecEnd::Lost(Why::TimedOut(limit)),
    }
}

async fn run(api: &Api, pod: &PodRef, argv: &[&str], stdin: &[u8], max_output: usize) -> ExecEnd {
    let channel = match Channel::open(api, pod, argv).await {
        Ok(channel) => channel,
        Err(refused) if refused.never_ran => return ExecEnd::Refused(refused.why),
        Err(lost) => return ExecEnd::Lost(lost.why),
    };
    let (mut stdout, mut stderr, mut ended) = (Vec::new(), Vec::new(), None);
    let status = tokio::sync::Notify::new();
    let collecting = channel.exchange(stdin, |arrival| {
        match arrival {
            Ok(Arrival::Stdout(bytes)) => stdout.extend_from_slice(&bytes),
            Ok(Arrival::Stderr(bytes)) => stderr.extend_from_slice(&bytes),
            Ok(Arrival::Ended(end)) => {
                ended = Some(end);
                status.notify_one();
            }
            Err(how) => return Some(how),
        }
        let too_much = stdout.len() + stderr.len() > max_output;
        too_much.then(|| format!("it wrote more than {max_output} bytes and was cut off"))
    });
    let grace = async {
        status.notified().await;
        tokio::time::sleep(GRACE).await;
    };
    let how = tokio::select! {
        how = collecting => how,
        () = grace => String::new(),
    };
    if stdout.len() + stderr.len() > max_output {
        return ExecEnd::Lost(Why::Failed(how));
    }
    match ended {
        Some(End::Exited(code)) => ExecEnd::Exited { code, stdout, stderr },
        Some(End::Error { words, never_ran: true }) => ExecEnd::Refused(why_from_words(words)),
        Some(End::Error { words, .. }) => ExecEnd::Lost(why_from_words(words)),
        None => ExecEnd::Lost(Why::Failed(format!("no exit code arrived: {how}"))),
    }
}
