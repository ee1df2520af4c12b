//! The edge: the only place that talks to the API server.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::core::Request;
use kube::core::params::{GetParams, ListParams};
use serde::de::DeserializeOwned;

use credential::Credential;
use log::Log;
use trouble::Trouble;

pub mod backoff;
pub mod connect;
pub mod custody;
pub mod disruption;
pub mod exec;
pub mod flags;
pub mod groups;
pub mod log;
pub mod names;
pub mod objects;
pub mod reach;
pub mod script;
pub mod secret;
pub mod session;
pub mod sql;
pub mod volumes;
pub mod watch;
pub mod writes;

mod access;
mod channel;
mod credential;
mod layout;
mod proxy;
mod raw;
mod trouble;
pub mod versions;

/// A connection to one API server as one user. Clones share connections and credentials.
#[derive(Clone)]
pub struct Api {
    client: Client,
    server: Arc<str>,
    namespace: Arc<str>,
    request_timeout: Option<Duration>,
    credential: Option<Credential>,
    log: Log,
    /// Of the database servers' root account, if the user has named one.
    password: Option<Arc<Password>>,
}

/// A password. It goes into the stdin of an exec and nowhere else: not into argv, not into any text (safety G5).
pub struct Password(String);

impl Password {
    /// What somebody typed; `None`: nothing.
    #[must_use]
    pub fn typed(text: String) -> Option<Self> {
        (!text.is_empty()).then_some(Self(text))
    }

    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// A container that can be asked to run something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodRef {
    pub namespace: String,
    pub name: String,
    pub container: String,
}

/// What is asked of the API server; its words are those of a role's rules.
#[derive(Clone, Copy, Debug)]
struct Ask<'a> {
    verb: &'static str,
    /// `/api/v1`, `/apis/apps/v1` …
    group: &'static str,
    /// Plural name, with the sub-resource: `pods/exec`.
    resource: &'static str,
    /// `None`: cluster-wide.
    namespace: Option<&'a str>,
    name: Option<&'a str>,
}

impl Ask<'_> {
    /// The right it needs, as in `kubectl auth can-i VERB RESOURCE`.
    fn right(&self) -> String {
        let api_group = self.group.strip_prefix("/apis/").and_then(|group| group.split('/').next());
        let resource = api_group.map_or_else(|| self.resource.to_owned(), |group| format!("{}.{group}", self.resource));
        let place = match self.namespace {
            Some(namespace) => format!(" in namespace {namespace}"),
            None if matches!(self.resource, "nodes" | "persistentvolumes" | "storageclasses" | "/apis") => String::new(),
            None => " in all namespaces".to_owned(),
        };
        format!("{} {resource}{place}", self.verb)
    }

    /// The collection's path.
    fn path(&self) -> Result<String, Trouble> {
        // Names reach the path as they are; a name with a slash would ask for something else.
        for name in [self.namespace, self.name].into_iter().flatten() {
            let proper = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b':');
            if name.is_empty() || !name.bytes().all(proper) {
                return Err(Trouble::bad_name(self, name));
            }
        }
        let resource = self.resource.split('/').next().unwrap_or(self.resource);
        Ok(match self.namespace {
            Some(namespace) => format!("{}/namespaces/{namespace}/{resource}", self.group),
            None => format!("{}/{resource}", self.group),
        })
    }
}

impl Api {
    /// The namespace of the flags, of the context, or `default`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The same connection, with a password for the database servers that it reaches.
    #[must_use]
    pub fn with_password(self, password: Password) -> Self {
        Self { password: Some(Arc::new(password)), ..self }
    }

    /// The password that the user has named.
    #[must_use]
    pub fn password(&self) -> Option<&Password> {
        self.password.as_deref()
    }

    /// The address of the API server, for messages.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The same connection, which shows every request that changes something.
    #[must_use]
    pub fn showing_changes(self, changes: bool) -> Self {
        Self { log: self.log.clone().with_changes(changes), ..self }
    }

    /// Renews what is about to expire before a deadline starts: a login may take longer than a request. A failure shows in
    /// the request that follows, which tries once more.
    async fn fresh_credential(&self) {
        if let Some(credential) = &self.credential {
            credential.renew().await;
        }
    }

    /// One GET of one object.
    async fn get<T: DeserializeOwned>(&self, ask: &Ask<'_>) -> Result<T, Trouble> {
        let request = Request::new(ask.path()?).get(ask.name.unwrap_or_default(), &GetParams::default());
        self.ask(ask, request).await
    }

    /// One GET of one page of a list.
    async fn page<T: DeserializeOwned>(&self, ask: &Ask<'_>, params: &ListParams) -> Result<T, Trouble> {
        let request = Request::new(ask.path()?).list(params);
        self.ask(ask, request).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        ask: &Ask<'_>,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, Trouble> {
        let text = self.text(ask, request).await?;
        self.log.body(&text);
        serde_json::from_str(&text).map_err(|problem| Trouble::unreadable(ask, &self.server, &problem))
    }

    /// The body of the answer, which is not noted: the log of a server may hold anything.
    async fn text(
        &self,
        ask: &Ask<'_>,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<String, Trouble> {
        let request = request.map_err(|problem| Trouble::from_kube(ask, &self.server, kube::Error::BuildRequest(problem)))?;
        self.fresh_credential().await;
        let answer = self.client.request_text(request);
        let answer = match self.request_timeout {
            Some(limit) => tokio::time::timeout(limit, answer).await.map_err(|_| Trouble::timed_out(ask, &self.server, limit))?,
            None => answer.await,
        };
        answer.map_err(|problem| Trouble::from_kube(ask, &self.server, problem))
    }
}
