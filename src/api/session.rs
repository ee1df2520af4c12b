//! One exec kept open: a newline in, a sample out. For looking at the same pod again and again without a new exec.

use std::time::Duration;

use tokio::time::timeout;

use crate::model::fact::Why;

use super::channel::{Arrival, Channel, End, why_from_words};
use super::{Api, PodRef};

/// No sample is near this; a command that writes more has gone wrong.
const MAX_SAMPLE: usize = 8 << 20;

/// An open session. Dropping it ends the connection, and with it the stdin of the command.
pub struct Session {
    channel: Channel,
    /// A line that ends each sample.
    sentinel: String,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// An answer is on its way that nobody waits for any more: what comes next would be of the wrong sample.
    out_of_step: bool,
}

/// How far the search for the sentinel has come.
#[derive(Default)]
struct Seen {
    /// Where the line under examination begins.
    line_start: usize,
    /// No line ends between there and here.
    upto: usize,
}

impl Session {
    /// Starts `argv` in the container and writes `preamble` to its stdin. Each sample ends with the line `sentinel`.
    ///
    /// # Errors
    /// The exec is refused, or nothing is heard within `limit`.
    pub async fn open(
        api: &Api,
        pod: &PodRef,
        argv: &[&str],
        preamble: &[u8],
        sentinel: &str,
        limit: Duration,
    ) -> Result<Self, Why> {
        api.fresh_credential().await;
        let opening = async {
            let mut channel = Channel::open(api, pod, argv).await.map_err(|refused| refused.why)?;
            channel.send(preamble).await.map_err(|problem| Why::Failed(format!("the connection broke: {problem}")))?;
            Ok::<_, Why>(channel)
        };
        let channel = timeout(limit, opening).await.map_err(|_| Why::TimedOut(limit))??;
        Ok(Self { channel, sentinel: sentinel.to_owned(), stdout: Vec::new(), stderr: Vec::new(), out_of_step: false })
    }

    /// Asks for one sample: what the command writes up to its sentinel.
    ///
    /// # Errors
    /// No sample within `limit`, or the command or the connection ended. After any error the session is of no use.
    pub async fn sample(&mut self, limit: Duration) -> Result<Vec<u8>, Why> {
        if self.out_of_step {
            return Err(Why::Failed("the session has ended".to_owned()));
        }
        // Also when this future is dropped half way.
        self.out_of_step = true;
        let sample = timeout(limit, self.exchange()).await.map_err(|_| Why::TimedOut(limit))??;
        self.out_of_step = false;
        Ok(sample)
    }

    /// What the command has written to stderr since the last call.
    pub fn take_stderr(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.stderr)
    }

    async fn exchange(&mut self) -> Result<Vec<u8>, Why> {
        self.channel.send(b"\n").await.map_err(|problem| self.ended(&format!("the connection broke: {problem}")))?;
        let mut seen = Seen::default();
        loop {
            if let Some(sample) = self.take_sample(&mut seen) {
                return Ok(sample);
            }
            match self.channel.next().await {
                Ok(Arrival::Stdout(bytes)) => self.stdout.extend_from_slice(&bytes),
                Ok(Arrival::Stderr(bytes)) => self.stderr.extend_from_slice(&bytes),
                Ok(Arrival::Ended(End::Exited(code))) => {
                    return Err(self.ended(&format!("the command ended with exit code {code}")));
                }
                Ok(Arrival::Ended(End::Error { words, .. })) => return Err(why_from_words(words)),
                Err(how) => return Err(self.ended(&how)),
            }
            if self.stdout.len() + self.stderr.len() > MAX_SAMPLE {
                return Err(Why::Failed(format!("it wrote more than {MAX_SAMPLE} bytes and was cut off")));
            }
        }
    }

    /// Everything before the next sentinel line, if that line is complete. `seen` remembers where to go on looking.
    fn take_sample(&mut self, seen: &mut Seen) -> Option<Vec<u8>> {
        while let Some(length) = self.stdout[seen.upto..].iter().position(|byte| *byte == b'\n') {
            let line_end = seen.upto + length;
            let is_sentinel = &self.stdout[seen.line_start..line_end] == self.sentinel.as_bytes();
            if is_sentinel {
                let rest = self.stdout.split_off(line_end + 1);
                let mut sample = std::mem::replace(&mut self.stdout, rest);
                sample.truncate(seen.line_start);
                return Some(sample);
            }
            *seen = Seen { line_start: line_end + 1, upto: line_end + 1 };
        }
        seen.upto = self.stdout.len();
        None
    }

    fn ended(&self, how: &str) -> Why {
        let said = String::from_utf8_lossy(&self.stderr);
        match said.lines().rev().find(|line| !line.trim().is_empty()) {
            Some(line) => Why::Failed(format!("{how}: {line}")),
            None => Why::Failed(how.to_owned()),
        }
    }
}
