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
    /// All of its output is here; its exit code was not waited for (see [`exec_until`]).
    Complete {
        stdout: Vec<u8>,
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
    limited(api, pod, argv, stdin, None, limit, max_output).await
}

/// The same for a command whose output ends with the line `last`: then it is over, as [`ExecEnd::Complete`]. The node takes
/// tens of milliseconds more to report an exit code.
pub async fn exec_until(
    api: &Api,
    pod: &PodRef,
    argv: &[&str],
    stdin: &[u8],
    last: &str,
    limit: Duration,
    max_output: usize,
) -> ExecEnd {
    limited(api, pod, argv, stdin, Some(last), limit, max_output).await
}

async fn limited(
    api: &Api,
    pod: &PodRef,
    argv: &[&str],
    stdin: &[u8],
    last: Option<&str>,
    limit: Duration,
    max_output: usize,
) -> ExecEnd {
    api.fresh_credential().await;
    match timeout(limit, run(api, pod, argv, stdin, last, max_output)).await {
        Ok(end) => end,
        Err(_) => ExecEnd::Lost(Why::TimedOut(limit)),
    }
}

/// Why no more output is waited for.
enum Stop {
    Complete,
    TooMuch,
    /// The connection ended, and how.
    Ended(String),
}

async fn run(api: &Api, pod: &PodRef, argv: &[&str], stdin: &[u8], last: Option<&str>, max_output: usize) -> ExecEnd {
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
            Err(how) => return Some(Stop::Ended(how)),
        }
        if stdout.len() + stderr.len() > max_output {
            return Some(Stop::TooMuch);
        }
        last.is_some_and(|last| ends_with_line(&stdout, last)).then_some(Stop::Complete)
    });
    let grace = async {
        status.notified().await;
        tokio::time::sleep(GRACE).await;
    };
    let stop = tokio::select! {
        stop = collecting => stop,
        () = grace => Stop::Ended(String::new()),
    };
    match (stop, ended) {
        (Stop::TooMuch, _) => ExecEnd::Lost(Why::Failed(format!("it wrote more than {max_output} bytes and was cut off"))),
        (Stop::Complete, _) => ExecEnd::Complete { stdout },
        (_, Some(End::Exited(code))) => ExecEnd::Exited { code, stdout, stderr },
        (_, Some(End::Error { words, never_ran: true })) => ExecEnd::Refused(why_from_words(words)),
        (_, Some(End::Error { words, .. })) => ExecEnd::Lost(why_from_words(words)),
        (Stop::Ended(how), None) => ExecEnd::Lost(Why::Failed(format!("no exit code arrived: {how}"))),
    }
}

/// Whether the last line that is not empty is `last`, and complete.
fn ends_with_line(output: &[u8], last: &str) -> bool {
    let Some(before) = output.trim_ascii_end().strip_suffix(last.as_bytes()) else { return false };
    output.ends_with(b"\n") && (before.is_empty() || before.ends_with(b"\n"))
}
