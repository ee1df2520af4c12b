//! The websocket under exec: binary messages whose first byte names a stream (`v4.channel.k8s.io`, `v5.channel.k8s.io`).
//!
//! Own loop instead of kube's `AttachedProcess`: that one hangs on unread output, on a reset and on a dropped stdin.

use futures::{SinkExt as _, StreamExt as _};
use kube::api::AttachParams;
use kube::core::Request;
use serde::Deserialize;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Error as SocketError, Message};

use crate::model::fact::Why;

use super::trouble::Trouble;
use super::{Api, Ask, PodRef};

pub(super) mod duplex;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
/// v5 only: the stream named in the next byte ends here.
const CLOSE: u8 = 255;
/// What API server and kubelet use themselves.
const CHUNK: usize = 32 * 1024;

type Socket = WebSocketStream<hyper_util::rt::TokioIo<hyper::upgrade::Upgraded>>;

/// An exec that was accepted by the API server.
pub(super) struct Channel {
    socket: Socket,
    /// v5: stdin can be ended without closing everything.
    can_end_stdin: bool,
}

/// What arrives.
pub(super) enum Arrival {
    Stdout(Bytes),
    Stderr(Bytes),
    Ended(End),
}

/// The status frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Exited(i32),
    /// The runtime's or the API server's words; `never_ran` if they say that the command was not started.
    Error {
        words: String,
        never_ran: bool,
    },
}

/// Why an exec was not accepted.
pub(super) struct NotOpened {
    pub why: Why,
    /// It is certain that nothing was run.
    pub never_ran: bool,
}

impl Channel {
    /// Asks for the exec and waits for the upgrade. The caller sets the deadline.
    pub(super) async fn open(api: &Api, pod: &PodRef, argv: &[&str]) -> Result<Self, NotOpened> {
        let ask =
            Ask { verb: "get", group: "/api/v1", resource: "pods/exec", namespace: Some(&pod.namespace), name: Some(&pod.name) };
        let refused = |trouble: Trouble| NotOpened { never_ran: never_ran(&trouble), why: why(trouble, pod) };
        let params = AttachParams { container: Some(pod.container.clone()), stdin: true, ..AttachParams::default() };
        let request = Request::new(ask.path().map_err(refused)?).exec(&pod.name, argv.iter().copied(), &params);
        let request =
            request.map_err(|problem| refused(Trouble::from_kube(&ask, &api.server, kube::Error::BuildRequest(problem))))?;
        let connection =
            api.client.connect(request).await.map_err(|problem| refused(Trouble::from_kube(&ask, &api.server, problem)))?;
        Ok(Self { can_end_stdin: connection.supports_stream_close(), socket: connection.into_stream() })
    }

    /// Sends all of `bytes` as stdin, without ending it. For what is small against the buffers on the way.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), SocketError> {
        for message in stdin(bytes) {
            self.socket.feed(message).await?;
        }
        self.socket.flush().await
    }

    /// The next thing that arrives; `Err`: the connection ended, and how.
    pub(super) async fn next(&mut self) -> Result<Arrival, String> {
        loop {
            if let Some(arrival) = understood(self.socket.next().await)? {
                return Ok(arrival);
            }
        }
    }

    /// Sends `bytes` and, if the protocol can, the end of stdin, while handing everything that arrives to `on_arrival`
    /// until it breaks off.
    pub(super) async fn exchange<T>(self, bytes: &[u8], mut on_arrival: impl FnMut(Result<Arrival, String>) -> Option<T>) -> T {
        let (mut sink, mut stream) = self.socket.split();
        let end = self.can_end_stdin.then(|| Message::binary(vec![CLOSE, STDIN]));
        let mut sending = std::pin::pin!(async move {
            for message in stdin(bytes).chain(end) {
                sink.feed(message).await?;
            }
            sink.flush().await?;
            // Kept: on v4 a dropped half could close the connection under the command.
            Ok::<_, SocketError>(sink)
        });
        let mut sent = None;
        loop {
            tokio::select! {
                // A failed send shows on the reading side, which may still hold the reason.
                result = &mut sending, if sent.is_none() => sent = Some(result),
                message = stream.next() => match understood(message) {
                    Ok(None) => {}
                    Ok(Some(arrival)) => if let Some(done) = on_arrival(Ok(arrival)) { return done },
                    Err(how) => if let Some(done) = on_arrival(Err(how)) { return done },
                },
            }
        }
    }
}

fn stdin(bytes: &[u8]) -> impl Iterator<Item = Message> + '_ {
    bytes.chunks(CHUNK).map(|chunk| {
        let mut frame = Vec::with_capacity(chunk.len() + 1);
        frame.push(STDIN);
        frame.extend_from_slice(chunk);
        Message::binary(frame)
    })
}

/// `None`: a message that carries nothing.
fn understood(message: Option<Result<Message, SocketError>>) -> Result<Option<Arrival>, String> {
    let frame = match message {
        None => return Err("the connection ended".to_owned()),
        Some(Err(problem)) => return Err(format!("the connection broke: {problem}")),
        Some(Ok(Message::Close(Some(close)))) if !close.reason.is_empty() => {
            return Err(format!("the connection was closed: {}", close.reason));
        }
        Some(Ok(Message::Close(_))) => return Err("the connection was closed".to_owned()),
        Some(Ok(Message::Binary(frame))) => frame,
        Some(Ok(Message::Text(_))) => return Err("a text message came where only binary ones are allowed".to_owned()),
        // Pings are answered by the websocket itself.
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(None),
    };
    // The API server opens each stream with an empty message.
    if frame.len() < 2 {
        return Ok(None);
    }
    let payload = frame.slice(1..);
    match frame[0] {
        STDOUT => Ok(Some(Arrival::Stdout(payload))),
        STDERR => Ok(Some(Arrival::Stderr(payload))),
        STATUS => Ok(Some(Arrival::Ended(parse_status(&payload)))),
        CLOSE => Ok(None),
        other => Err(format!("a message came for the unknown stream {other}")),
    }
}

#[derive(Deserialize)]
struct StatusFrame {
    status: Option<String>,
    #[serde(default)]
    message: String,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    causes: Vec<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

fn parse_status(payload: &[u8]) -> End {
    let Ok(frame) = serde_json::from_slice::<StatusFrame>(payload) else {
        let words = format!("the end status is not understood: {}", String::from_utf8_lossy(payload));
        return End::Error { words, never_ran: false };
    };
    if frame.status.as_deref() == Some("Success") {
        return End::Exited(0);
    }
    let causes = frame.details.map(|details| details.causes).unwrap_or_default();
    let code = causes.iter().find(|cause| cause.reason == "ExitCode").and_then(|cause| cause.message.trim().parse().ok());
    match code {
        Some(code) => End::Exited(code),
        None => End::Error { never_ran: is_missing(&frame.message) || is_unstarted(&frame.message), words: frame.message },
    }
}

/// The words of kubelet and containerd for a container that is not there or does not run.
fn is_missing(words: &str) -> bool {
    [
        "container not found",
        "is not running",
        "not in running state",
        "is not created or running",
        "CONTAINER_EXITED",
        "does not have a host assigned",
        "in a completed pod",
    ]
    .iter()
    .any(|phrase| words.contains(phrase))
}

/// Words for a command that was not started for another reason.
fn is_unstarted(words: &str) -> bool {
    ["error dialing backend", "failed to start exec", "unable to start container process", "unable to upgrade connection"]
        .iter()
        .any(|phrase| words.contains(phrase))
}

/// Why an exec ended with the server's words instead of an exit code.
pub(super) fn why_from_words(words: String) -> Why {
    if is_missing(&words) {
        return Why::NotRunning(words);
    }
    match unreached(&words) {
        Some(how) => Why::Unreachable(how.to_owned()),
        None => Why::Failed(words),
    }
}

/// What the API server says of its own connection to the kubelet, when that failed; what stands before it is the URL, with the
/// whole command in it.
fn unreached(words: &str) -> Option<&str> {
    words.find("dial tcp ").map(|at| &words[at..]).or_else(|| words.split_once("error dialing backend: ").map(|(_, how)| how))
}

fn why(trouble: Trouble, pod: &PodRef) -> Why {
    let words = trouble.words.as_deref().unwrap_or_default();
    let no_such_container = trouble.code == Some(400) && words.contains(&format!("container {}", pod.container));
    if trouble.code == Some(404) || no_such_container || is_missing(words) {
        return Why::NotRunning(words.to_owned());
    }
    match unreached(words) {
        Some(how) if trouble.code.is_some() => Why::Unreachable(how.to_owned()),
        _ => trouble.into(),
    }
}

/// A gateway that gave up on the answer may have passed the request on; every other status means that nothing was started.
fn never_ran(trouble: &Trouble) -> bool {
    trouble.unsent || trouble.code.is_some_and(|code| !matches!(code, 502 | 504))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelet_out_of_reach_is_told_without_the_url_of_the_exec() {
        let words = "Internal error occurred: error sending request: Post \"https://10.0.0.3:10250/exec/shop/db-2/mariadb?command=sh\": \
                     dial tcp 10.0.0.3:10250: connect: no route to host";
        let why = why_from_words(words.to_owned());
        assert_eq!(why, Why::Unreachable("dial tcp 10.0.0.3:10250: connect: no route to host".to_owned()));
        assert_eq!(
            why.to_string(),
            "the API server cannot reach the kubelet of its node: dial tcp 10.0.0.3:10250: connect: no route to host"
        );
        let proxied = why_from_words("error dialing backend: No agent available".to_owned());
        assert_eq!(proxied, Why::Unreachable("No agent available".to_owned()));
    }

    #[test]
    fn a_container_that_is_gone_is_not_running() {
        assert!(matches!(why_from_words("container not found (\"mariadb\")".to_owned()), Why::NotRunning(_)));
        assert!(matches!(why_from_words("something else".to_owned()), Why::Failed(_)));
    }
}
