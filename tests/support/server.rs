//! The server: one function of the test answers every request.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kubectl_mariadb::api::Api;
use kubectl_mariadb::api::connect::connect;
use kubectl_mariadb::api::flags::ConnectionFlags;

use futures::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::log::Log;
use super::streams::{ExecHandler, Protocol, upgrade};
use super::tls::Certificates;

pub const TOKEN: &str = "the-token-of-the-test";

/// A request as the test sees it.
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: http::HeaderMap,
    /// Of a change.
    pub body: Vec<u8>,
}

impl Request {
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// What an exec is to run.
    pub fn argv(&self) -> Vec<&str> {
        self.query.iter().filter(|(name, _)| name == "command").map(|(_, value)| value.as_str()).collect()
    }

    /// The pod an exec is for.
    pub fn exec_pod(&self) -> Option<&str> {
        self.path.strip_suffix("/exec")?.rsplit('/').next()
    }
}

/// What to do with a request.
pub enum Answer {
    Json(Value),
    /// An error with a `Status` body.
    Error(u16, String),
    /// An error of something in between that is no API server.
    Page(u16, &'static str),
    /// Silence.
    Hang,
    /// The start of an answer, then the connection ends.
    Cut(&'static str),
    /// A websocket, and what is behind it.
    Exec(ExecHandler),
    /// An answer without an end of its own; an error cuts it.
    Stream(tokio::sync::mpsc::Receiver<std::io::Result<Bytes>>),
}

impl Answer {
    pub fn error(code: u16, message: impl Into<String>) -> Self {
        Self::Error(code, message.into())
    }
}

pub type Handler = dyn Fn(&Request) -> Answer + Send + Sync;

/// Settings of a server; `start` runs it.
pub struct Builder {
    delay: Duration,
    protocol: Protocol,
    certificates: Option<Certificates>,
}

impl Builder {
    /// Before every answer, upgrades included.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The newest exec protocol the server speaks.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    pub fn tls(mut self, certificates: Certificates) -> Self {
        self.certificates = Some(certificates);
        self
    }

    pub async fn start(self, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            answer: Box::new(answer),
            delay: self.delay,
            protocol: self.protocol,
            log: Log::default(),
            connections: AtomicUsize::new(0),
        });
        let acceptor = self.certificates.as_ref().map(Certificates::acceptor);
        let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&inner)));
        let certificate_authority = self.certificates.map(|certificates| certificates.authority_pem);
        Server { address, inner, certificate_authority, dir: tempfile::tempdir().unwrap(), accepting }
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub certificate_authority: Option<String>,
    inner: Arc<Inner>,
    dir: TempDir,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Inner {
    answer: Box<Handler>,
    delay: Duration,
    protocol: Protocol,
    log: Log,
    connections: AtomicUsize,
}

impl Server {
    pub const fn builder() -> Builder {
        Builder { delay: Duration::ZERO, protocol: Protocol::V5, certificates: None }
    }

    pub async fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::builder().start(answer).await
    }

    pub fn url(&self) -> String {
        let scheme = if self.certificate_authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    pub fn log(&self) -> &Log {
        &self.inner.log
    }

    /// A connection to it, as the kubeconfig and these settings say.
    pub async fn api_with(&self, flags: impl FnOnce(&mut ConnectionFlags)) -> Api {
        let mut settings = ConnectionFlags { kubeconfig: Some(self.kubeconfig()), ..ConnectionFlags::default() };
        flags(&mut settings);
        connect(&settings, &BTreeMap::new(), None).await.unwrap()
    }

    pub async fn api(&self) -> Api {
        self.api_with(|_| {}).await
    }

    /// TCP connections so far.
    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::SeqCst)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The path of a kubeconfig for this server, with a token; written new at each call.
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_with(json!({ "token": TOKEN }))
    }

    /// The same with these credentials.
    pub fn kubeconfig_with(&self, user: Value) -> PathBuf {
        let mut cluster = json!({ "server": self.url() });
        if let Some(pem) = &self.certificate_authority {
            cluster["certificate-authority-data"] = base64_of(pem).into();
        }
        let value = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{ "name": "fake", "cluster": cluster }],
            "users": [{ "name": "someone", "user": user }],
            "contexts": [{ "name": "test", "context": { "cluster": "fake", "user": "someone", "namespace": "shop" } }],
        });
        let path = self.dir.path().join("kubeconfig");
        std::fs::write(&path, value.to_string()).unwrap();
        path
    }
}

pub fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, inner: Arc<Inner>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        stream.set_nodelay(true).unwrap();
        inner.connections.fetch_add(1, Ordering::SeqCst);
        let (inner, acceptor) = (Arc::clone(&inner), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                // A client that does not trust us hangs up; that is its test.
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, inner).await;
                    }
                }
                None => serve(stream, inner).await,
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, inner: Arc<Inner>) {
    let service = service_fn(move |request| {
        let inner = Arc::clone(&inner);
        async move { Ok::<_, Infallible>(inner.respond(request).await) }
    });
    // Ends with an error when an answer is cut; that is what was asked for.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

type Body = BoxBody<Bytes, std::io::Error>;

impl Inner {
    async fn respond(&self, mut request: hyper::Request<Incoming>) -> hyper::Response<Body> {
        // The request itself is kept whole: an exec upgrades it.
        let body = request.body_mut().collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
        let seen = Request {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect(),
            headers: request.headers().clone(),
            body,
        };
        let place = self.log.asked(&seen);
        tokio::time::sleep(self.delay).await;
        let answer = (self.answer)(&seen);
        if matches!(answer, Answer::Hang) {
            std::future::pending::<()>().await;
        }
        self.log.answered(place);
        match answer {
            Answer::Json(value) => response(200, "application/json", value.to_string()),
            Answer::Error(code, message) => response(code, "application/json", status(code, &message).to_string()),
            Answer::Page(code, text) => response(code, "text/html", text.to_owned()),
            Answer::Cut(start) => cut(start),
            Answer::Stream(pieces) => streamed(pieces),
            Answer::Exec(handler) => upgrade(request, &seen, self.protocol, handler),
            Answer::Hang => unreachable!("it hangs above"),
        }
    }
}

pub fn response(code: u16, kind: &str, text: String) -> hyper::Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    hyper::Response::builder().status(code).header("content-type", kind).body(body).unwrap()
}

fn streamed(pieces: tokio::sync::mpsc::Receiver<std::io::Result<Bytes>>) -> hyper::Response<Body> {
    let pieces = stream::unfold(pieces, |mut pieces| async { Some((pieces.recv().await?, pieces)) });
    let frames = futures::StreamExt::map(pieces, |piece| piece.map(Frame::data));
    hyper::Response::builder().header("content-type", "application/json").body(StreamBody::new(frames).boxed()).unwrap()
}

fn cut(start: &'static str) -> hyper::Response<Body> {
    let frames = [Ok(Frame::data(Bytes::from_static(start.as_bytes()))), Err(std::io::Error::other("cut"))];
    let body = StreamBody::new(stream::iter(frames)).boxed();
    hyper::Response::builder().header("content-length", start.len() + 1000).body(body).unwrap()
}

fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code })
}
