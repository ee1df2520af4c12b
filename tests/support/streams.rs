//! The server's side of an exec: `v4.channel.k8s.io` and `v5.channel.k8s.io`.

use std::future::Future;
use std::pin::Pin;

use futures::{SinkExt as _, StreamExt as _};
use http_body_util::combinators::BoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::server::{Answer, Request, response};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    V4,
    V5,
}

impl Protocol {
    const fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4.channel.k8s.io",
            Self::V5 => "v5.channel.k8s.io",
        }
    }
}

pub type ExecHandler = Box<dyn FnOnce(Exec) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl Answer {
    pub fn exec<F: Future<Output = ()> + Send + 'static>(handler: impl FnOnce(Exec) -> F + Send + 'static) -> Self {
        Self::Exec(Box::new(move |exec| Box::pin(handler(exec))))
    }
}

/// A command that "runs" in a "container".
pub struct Exec {
    pub argv: Vec<String>,
    pub protocol: Protocol,
    socket: WebSocketStream<TokioIo<Upgraded>>,
    stdin: Vec<u8>,
}

impl Exec {
    /// The next bytes of stdin; `None`: its end (v5), or the client is gone.
    pub async fn stdin(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.socket.next().await? {
                Ok(Message::Binary(frame)) if frame.first() == Some(&0) => return Some(frame[1..].to_vec()),
                Ok(Message::Binary(frame)) if frame[..] == [255, 0] => {
                    assert_eq!(self.protocol, Protocol::V5, "v4 cannot end stdin");
                    return None;
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// All of stdin (v5 only).
    pub async fn whole_stdin(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(bytes) = self.stdin().await {
            all.extend(bytes);
        }
        all
    }

    /// One line of stdin without its end; `None`: stdin ended before.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.stdin.iter().position(|byte| *byte == b'\n') {
                let rest = self.stdin.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.stdin, rest);
                line.truncate(end);
                return Some(String::from_utf8(line).unwrap());
            }
            let bytes = self.stdin().await?;
            self.stdin.extend(bytes);
        }
    }

    pub async fn stdout(&mut self, bytes: impl AsRef<[u8]>) {
        self.write(1, bytes.as_ref()).await;
    }

    pub async fn stderr(&mut self, bytes: impl AsRef<[u8]>) {
        self.write(2, bytes.as_ref()).await;
    }

    async fn write(&mut self, stream: u8, bytes: &[u8]) {
        for chunk in bytes.chunks(32 * 1024) {
            self.frame(stream, chunk).await;
        }
    }

    async fn frame(&mut self, stream: u8, bytes: &[u8]) {
        let mut frame = vec![stream];
        frame.extend_from_slice(bytes);
        // The client may be gone; that is its right.
        let _ = self.socket.send(Message::binary(frame)).await;
    }

    /// The status frame and the close of a command that ended.
    pub async fn exit(mut self, code: i32) {
        self.status(code).await;
        self.close().await;
    }

    /// Only the status frame.
    pub async fn status(&mut self, code: i32) {
        let status = if code == 0 {
            json!({ "metadata": {}, "status": "Success" })
        } else {
            json!({
                "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
                "message": format!("command terminated with non-zero exit code: error executing command, exit code {code}"),
                "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
            })
        };
        self.send_status(&status).await;
    }

    /// The API server's way to say after the upgrade that the command could not be run.
    pub async fn fail(mut self, message: &str) {
        self.send_status(&json!({ "status": "Failure", "reason": "InternalError", "message": message, "code": 500 })).await;
        self.close().await;
    }

    async fn send_status(&mut self, status: &Value) {
        self.frame(3, status.to_string().as_bytes()).await;
    }

    /// A close frame, whatever was sent before.
    pub async fn close(mut self) {
        let _ = self.socket.close(None).await;
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// The connection is reset.
    pub fn reset(self) {
        let upgraded = self.socket.into_inner().into_inner();
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().expect("a reset is for plain HTTP");
        parts.io.into_inner().set_zero_linger().unwrap();
    }

    /// A text frame, which no API server sends.
    pub async fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text.to_owned())).await.unwrap();
    }

    pub async fn ping(&mut self) {
        self.socket.send(Message::Ping(Bytes::from_static(b"there?"))).await.unwrap();
    }

    /// Nothing happens until the client goes.
    pub async fn silence(mut self) {
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

/// Answers 101 and hands the socket to `handler`.
pub fn upgrade(
    mut request: hyper::Request<Incoming>,
    seen: &Request,
    newest: Protocol,
    handler: ExecHandler,
) -> hyper::Response<BoxBody<Bytes, std::io::Error>> {
    let offered = seen.header("sec-websocket-protocol").join(",");
    let offers = |protocol: Protocol| offered.split(',').any(|name| name.trim() == protocol.name());
    let protocol = if newest == Protocol::V5 && offers(Protocol::V5) { Protocol::V5 } else { Protocol::V4 };
    if !offers(protocol) {
        return response(400, "text/plain", "no common protocol".to_owned());
    }
    let argv = seen.argv().into_iter().map(str::to_owned).collect();
    let key = seen.header("sec-websocket-key")[0].to_owned();
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(&mut request).await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        let mut exec = Exec { argv, protocol, socket, stdin: Vec::new() };
        for stream in [0, 1, 2, 3] {
            // As the API server does.
            exec.frame(stream, b"").await;
        }
        handler(exec).await;
    });
    let mut response = response(101, "text/plain", String::new());
    let headers = response.headers_mut();
    headers.remove("content-type");
    headers.insert("connection", "Upgrade".parse().unwrap());
    headers.insert("upgrade", "websocket".parse().unwrap());
    headers.insert("sec-websocket-accept", derive_accept_key(key.as_bytes()).parse().unwrap());
    headers.insert("sec-websocket-protocol", protocol.name().parse().unwrap());
    response
}
