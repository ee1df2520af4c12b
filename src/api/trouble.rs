//! Why a request brought no answer, in one clear sentence with the server's own words.

use std::io;
use std::time::Duration;

use hyper_util::client::legacy;

use crate::failure::{Failure, Kind};
use crate::model::fact::Why;

use super::Ask;
use super::credential::PluginError;

/// A request that brought no answer. Becomes a [`Failure`] if the answer was needed, a [`Why`] if it was an extra.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub kind: Kind,
    /// HTTP status, if the server gave one.
    pub code: Option<u16>,
    /// The server's own words, if it gave any.
    pub words: Option<String>,
    /// One sentence; for an answer of the server, its own words.
    pub message: String,
    pub hint: Option<String>,
    /// The right the request needs.
    pub right: String,
    pub limit: Option<Duration>,
    /// The request cannot have reached the server.
    pub unsent: bool,
}

impl Trouble {
    fn new(ask: &Ask<'_>, kind: Kind, message: String, hint: Option<&str>) -> Self {
        let hint = hint.map(str::to_owned);
        Self { kind, code: None, words: None, message, hint, right: ask.right(), limit: None, unsent: false }
    }

    pub(super) fn timed_out(ask: &Ask<'_>, server: &str, limit: Duration) -> Self {
        let message = format!("the API server {server} did not answer within {}s ({})", limit.as_secs_f64(), ask.right());
        let hint = "see whether it is reachable from here, or allow more with --request-timeout";
        Self { limit: Some(limit), ..Self::new(ask, Kind::Unreachable, message, Some(hint)) }
    }

    pub(super) fn bad_name(ask: &Ask<'_>, name: &str) -> Self {
        let message = format!("{name:?} cannot be the name of an object in Kubernetes");
        let hint = "names have lower-case letters, digits, '-' and '.'";
        Self { unsent: true, ..Self::new(ask, Kind::Usage, message, Some(hint)) }
    }

    pub(super) fn unreadable(ask: &Ask<'_>, server: &str, problem: &serde_json::Error) -> Self {
        let message = format!("the answer of {server} is not understood ({}): {problem}", ask.right());
        Self::new(ask, Kind::Other, message, Some("see whether the address is that of a Kubernetes API server"))
    }

    pub(super) fn from_kube(ask: &Ask<'_>, server: &str, problem: kube::Error) -> Self {
        match problem {
            kube::Error::Api(status) => Self::answered(ask, server, status.code, &status.message),
            kube::Error::Service(cause) => match cause.downcast_ref::<PluginError>() {
                Some(plugin) => Self { unsent: true, ..Self::new(ask, Kind::Unauthorized, plugin.to_string(), plugin.hint()) },
                None => Self::broken(ask, server, cause.as_ref()),
            },
            kube::Error::HyperError(cause) => Self::broken(ask, server, &cause),
            other => {
                let message = format!("the request to {server} failed: {}", root_cause(&other));
                Self::new(ask, Kind::Other, message, None)
            }
        }
    }

    /// An answer ended before its end.
    pub(super) fn broke(ask: &Ask<'_>, server: &str, problem: &io::Error) -> Self {
        Self::broken(ask, server, problem)
    }

    /// The server answered with an error status.
    pub(super) fn answered(ask: &Ask<'_>, server: &str, code: u16, words: &str) -> Self {
        let words = if words.is_empty() { "no reason given" } else { words };
        let (kind, message, hint) = match code {
            401 => (
                Kind::Unauthorized,
                format!("the API server {server} does not accept your credentials: {words}"),
                Some("log in again, or see `kubectl config view --minify` for the user of this context"),
            ),
            403 => (Kind::Forbidden, words.to_owned(), None),
            404 => (Kind::NotFound, words.to_owned(), None),
            429 | 500.. => (
                Kind::Unreachable,
                format!("the API server {server} answered {code} ({}): {words}", ask.right()),
                Some("try again; if it stays, see the health of the API server with `kubectl get --raw /readyz`"),
            ),
            _ => (Kind::Other, format!("the API server {server} answered {code} ({}): {words}", ask.right()), None),
        };
        let mut trouble = Self::new(ask, kind, message, hint);
        trouble.code = Some(code);
        trouble.words = Some(words.to_owned());
        if kind == Kind::Forbidden {
            trouble.hint = Some(format!("you need the right to {}", ask.right()));
        }
        trouble
    }

    /// The connection could not be made, or it broke.
    fn broken(ask: &Ask<'_>, server: &str, cause: &(dyn std::error::Error + Send + Sync + 'static)) -> Self {
        let text = root_cause(cause);
        let unsent = chain(cause).any(|error| error.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect));
        let io = chain(cause).filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind).last();
        let (what, hint) = if text.contains("invalid peer certificate") {
            (
                format!("the certificate of the API server {server} is not trusted: {text}"),
                "see --certificate-authority and --tls-server-name (an https proxy is checked with the same)",
            )
        } else if io == Some(io::ErrorKind::TimedOut) {
            (format!("no connection to the API server {server} in time"), "see whether it is reachable from here (network, VPN)")
        } else if unsent {
            (format!("no connection to the API server {server}: {text}"), "see that it runs, and the address and proxy you use")
        } else {
            (format!("the connection to the API server {server} broke: {text}"), "try again")
        };
        Self { unsent, ..Self::new(ask, Kind::Unreachable, what, Some(hint)) }
    }
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

fn chain<'a>(error: Cause<'a>) -> impl Iterator<Item = Cause<'a>> {
    std::iter::successors(Some(error), |error: &Cause<'a>| error.source())
}

/// The words of the last error in the chain: the ones before it only say where it happened.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self { kind: trouble.kind, message: trouble.message, hint: trouble.hint }
    }
}

impl From<Trouble> for Why {
    fn from(trouble: Trouble) -> Self {
        match (trouble.kind, trouble.limit) {
            (Kind::Forbidden, _) => Self::Forbidden(trouble.right),
            (_, Some(limit)) => Self::TimedOut(limit),
            _ => Self::Failed(trouble.message),
        }
    }
}
