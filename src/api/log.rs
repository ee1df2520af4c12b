//! What is asked of the API server and what it answers, for `-v` and `--show-requests`. Without secrets: people paste it into
//! tickets.
//!
//! Levels are kubectl's: 6 requests and how long they took, 7 their headers too, 8 answers' headers and bodies, cut;
//! 9 whole bodies.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, header};
use kube::client::Body;
use serde_json::Value;
use tower::{Layer, Service};

const REQUESTS: u8 = 6;
const HEADERS: u8 = 7;
const BODIES: u8 = 8;
const WHOLE_BODIES: u8 = 9;
/// As kubectl at level 8.
const CUT: usize = 1024;
const HIDDEN: &str = "(not shown)";

/// Takes a whole line.
type Say = dyn Fn(&str) + Send + Sync;

/// Where the lines go, and which there are.
#[derive(Clone, Default)]
pub struct Log {
    level: u8,
    /// Whatever the level: requests that change something, with their bodies (`--show-requests`).
    changes: bool,
    say: Option<Arc<Say>>,
}

impl Log {
    /// `say` gets whole lines.
    pub fn new(level: u8, say: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { level, changes: false, say: Some(Arc::new(say)) }
    }

    /// The same, and every request that changes something.
    #[must_use]
    pub fn with_changes(self, changes: bool) -> Self {
        Self { changes, ..self }
    }

    /// A change that is about to be asked for.
    pub(super) fn change(&self, method: &str, address: &str, body: &Value) {
        if let Some(say) = self.say.as_ref().filter(|_| self.changes) {
            say(&format!("{method} {address}"));
            say(&format!("  {}", shown(&body.to_string())));
        }
    }

    fn say(&self, level: u8, line: impl FnOnce() -> String) {
        if let Some(say) = self.say.as_ref().filter(|_| self.level >= level) {
            say(&line());
        }
    }

    fn headers(&self, level: u8, what: &str, headers: &HeaderMap) {
        for (name, value) in headers {
            let secret = value.is_sensitive() || [header::AUTHORIZATION, header::COOKIE, header::SET_COOKIE].contains(name);
            let value = if secret { HIDDEN.into() } else { String::from_utf8_lossy(value.as_bytes()) };
            self.say(level, || format!("  {what} {name}: {value}"));
        }
    }

    /// The body of an answer.
    pub(super) fn body(&self, text: &str) {
        self.say(BODIES, || {
            let shown = shown(text);
            let most = if self.level >= WHOLE_BODIES { shown.len() } else { shown.len().min(CUT) };
            let end = (0..=most).rev().find(|end| shown.is_char_boundary(*end)).unwrap_or(0);
            let cut = if end < shown.len() { format!(" [cut: {} bytes in all, see -v=9]", shown.len()) } else { String::new() };
            format!("  body: {}{cut}", &shown[..end])
        });
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({})", self.level)
    }
}

/// Where the lines go makes no difference between two connections.
impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        self.level == other.level
    }
}

impl Eq for Log {}

/// A body without what may be secret; what is no JSON is not shown at all.
fn shown(text: &str) -> String {
    let Ok(mut body) = serde_json::from_str::<Value>(text) else {
        return format!("({} bytes that are no JSON, not shown)", text.len());
    };
    hide(&mut body);
    body.to_string()
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default();
            let of_secrets = ["Secret", "SecretList", "TokenRequest", "TokenReview"].contains(&kind);
            // An environment variable: its name says nothing for sure, so no value is shown.
            let variable = fields.get("name").is_some_and(Value::is_string) && fields.get("value").is_some_and(Value::is_string);
            for (name, field) in fields {
                let secret = match name.as_str() {
                    "data" | "stringData" | "items" | "status" | "spec" => of_secrets,
                    "value" => variable,
                    // The whole object once more, as a text.
                    "kubectl.kubernetes.io/last-applied-configuration" => true,
                    _ => false,
                };
                if secret {
                    *field = HIDDEN.into();
                } else {
                    hide(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

/// Logs every request of a client to `server`, execs included.
#[derive(Clone)]
pub(super) struct LogLayer {
    pub log: Log,
    pub server: Arc<str>,
}

impl<S> Layer<S> for LogLayer {
    type Service = Logged<S>;

    fn layer(&self, inner: S) -> Logged<S> {
        Logged { inner, layer: self.clone() }
    }
}

pub(super) struct Logged<S> {
    inner: S,
    layer: LogLayer,
}

impl<S, B> Service<Request<Body>> for Logged<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: fmt::Display,
{
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;
    type Response = Response<B>;

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let LogLayer { log, server } = self.layer.clone();
        let what = format!("{} {}{}", request.method(), server.trim_end_matches('/'), request.uri());
        log.headers(HEADERS, "request", request.headers());
        let asked = Instant::now();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let took = asked.elapsed().as_millis();
            match &answer {
                Ok(answer) => {
                    log.say(REQUESTS, || format!("{what} {} in {took} ms", answer.status()));
                    log.headers(BODIES, "answer", answer.headers());
                }
                Err(why) => log.say(REQUESTS, || format!("{what} failed after {took} ms: {why}")),
            }
            answer
        })
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn lines(level: u8, write: impl FnOnce(&Log)) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        write(&Log::new(level, move |line| kept.lock().unwrap().push(line.to_owned())));
        lines.lock().unwrap().clone()
    }

    #[test]
    fn secrets_are_in_no_body() {
        let pod = r#"{"kind":"Pod","metadata":{"name":"db-0","annotations":
            {"kubectl.kubernetes.io/last-applied-configuration":"hunter2"}},
            "spec":{"containers":[{"name":"mariadb","env":[{"name":"MARIADB_ROOT_PASSWORD","value":"hunter2"}]}]}}"#;
        let secret = r#"{"kind":"Secret","metadata":{"name":"root"},"data":{"password":"hunter2"}}"#;
        let list = format!(r#"{{"kind":"SecretList","items":[{secret}]}}"#);
        let inside = format!(r#"{{"kind":"List","items":[{secret}]}}"#);
        for body in [pod, secret, &list, &inside, "password=hunter2"] {
            let shown = shown(body);
            assert!(shown.contains("not shown") && !shown.contains("hunter2"), "{shown}");
        }
        assert!(shown(pod).contains(r#""name":"db-0""#));
    }

    #[test]
    fn changes_are_told_at_any_level_and_only_if_asked_for() {
        let pod =
            serde_json::json!({"kind": "Pod", "spec": {"containers": [{"env": [{"name": "PASSWORD", "value": "hunter2"}]}]}});
        let told = |changes: bool| {
            lines(0, |log| log.clone().with_changes(changes).change("POST", "/api/v1/namespaces/shop/pods?", &pod))
        };
        assert!(told(false).is_empty());
        let told = told(true);
        assert_eq!(told[0], "POST /api/v1/namespaces/shop/pods?");
        assert!(told[1].contains("PASSWORD") && !told[1].contains("hunter2"), "{told:?}");
    }

    #[test]
    fn secrets_are_in_no_header() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Bearer hunter2".parse().unwrap());
        headers.insert(header::ACCEPT, "application/json".parse().unwrap());
        let told = lines(HEADERS, |log| log.headers(HEADERS, "request", &headers));
        assert_eq!(told, ["  request authorization: (not shown)", "  request accept: application/json"]);
    }

    #[test]
    fn bodies_are_cut_at_8_and_whole_at_9() {
        let body = format!(r#"{{"kind":"{}"}}"#, "é".repeat(CUT));
        assert!(lines(7, |log| log.body(&body)).is_empty());
        let cut = lines(8, |log| log.body(&body)).concat();
        assert!(cut.len() < 1200 && cut.ends_with(" [cut: 2059 bytes in all, see -v=9]"), "{cut}");
        assert_eq!(lines(9, |log| log.body(&body)), [format!("  body: {body}")]);
        assert!(lines(0, |log| log.body(&body)).is_empty());
    }
}
