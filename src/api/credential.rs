//! Credential plugins (`users[].user.exec` of a kubeconfig).
//!
//! kube 5.0.0 runs a plugin three times for one client, without a deadline, and drops its words. This one runs it once,
//! and again only before its token expires.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal as _;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderValue};
use jiff::Timestamp;
use kube::client::Body;
use kube::config::{ExecAuthCluster, ExecConfig, ExecInteractiveMode};
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::sync::Mutex;
use tower::BoxError;
use tower::filter::AsyncPredicate;

/// A plugin that nobody can answer: its own requests to a login service.
const QUIET_LIMIT: Duration = Duration::from_secs(60);
/// A plugin that may open a browser and wait for a person.
const INTERACTIVE_LIMIT: Duration = Duration::from_secs(300);
/// How long before its end a token is replaced.
const MARGIN: Duration = Duration::from_secs(10);

/// How to run the plugin.
#[derive(Clone)]
pub(super) struct Plugin {
    exec: Arc<ExecConfig>,
    cluster: Option<ExecAuthCluster>,
    env: BTreeMap<String, String>,
    unattended: bool,
}

/// The current credential, renewed when it is needed and about to expire. Adds itself to every request.
#[derive(Clone)]
pub(super) struct Credential {
    plugin: Plugin,
    current: Arc<Mutex<Status>>,
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Status>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<Timestamp>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Why a plugin gave no credential.
#[derive(Debug)]
pub(super) struct PluginError {
    message: String,
    hint: Option<String>,
}

impl PluginError {
    fn new(message: String) -> Self {
        Self { message, hint: None }
    }

    pub(super) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PluginError {}

impl Credential {
    /// Runs the plugin for the first time.
    ///
    /// # Errors
    /// It cannot be run, fails, takes too long or answers nonsense.
    pub(super) async fn first(plugin: Plugin) -> Result<Self, PluginError> {
        let current = Arc::new(Mutex::new(plugin.run().await?));
        Ok(Self { plugin, current })
    }

    /// A client certificate and its key in PEM, if that is what the plugin gives.
    pub(super) async fn certificate(&self) -> Option<(String, String)> {
        let current = self.current.lock().await;
        current.client_certificate_data.clone().zip(current.client_key_data.clone())
    }

    /// Runs the plugin again if its token is about to expire.
    pub(super) async fn renew(&self) {
        // The request that follows comes by here again and has a place to report the failure.
        let _ = self.header().await;
    }

    async fn header(&self) -> Result<Option<HeaderValue>, PluginError> {
        let mut current = self.current.lock().await;
        let expiring = current.expiration_timestamp.is_some_and(|end| Timestamp::now() + MARGIN > end);
        // A certificate is part of the connection and cannot be exchanged under it.
        if expiring && current.client_certificate_data.is_none() {
            *current = self.plugin.run().await?;
        }
        let Some(token) = &current.token else { return Ok(None) };
        let mut value =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| self.plugin.nonsense("its token has line breaks"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl AsyncPredicate<http::Request<Body>> for Credential {
    type Future = BoxFuture<'static, Result<Self::Request, BoxError>>;
    type Request = http::Request<Body>;

    fn check(&mut self, mut request: Self::Request) -> Self::Future {
        let credential = self.clone();
        Box::pin(async move {
            if let Some(value) = credential.header().await? {
                request.headers_mut().insert(AUTHORIZATION, value);
            }
            Ok(request)
        })
    }
}

impl Plugin {
    /// `unattended`: it may not talk to the person at the terminal.
    pub(super) fn new(
        exec: ExecConfig,
        cluster: Option<ExecAuthCluster>,
        env: &BTreeMap<String, String>,
        unattended: bool,
    ) -> Self {
        Self { exec: Arc::new(exec), cluster, env: env.clone(), unattended }
    }

    fn command(&self) -> &str {
        self.exec.command.as_deref().unwrap_or_default()
    }

    async fn run(&self) -> Result<Status, PluginError> {
        let interactive = self.interactive()?;
        let limit = if interactive { INTERACTIVE_LIMIT } else { QUIET_LIMIT };
        let output = tokio::time::timeout(limit, self.prepared(interactive)?.output()).await.map_err(|_| {
            PluginError::new(format!("the credential plugin {} did not end within {}s", self.command(), limit.as_secs()))
        })?;
        let output = output.map_err(|problem| PluginError {
            message: format!("the credential plugin {} cannot be run: {problem}", self.command()),
            hint: self.exec.install_hint.clone(),
        })?;
        self.read(&output)
    }

    /// Whether the plugin may talk to the person at the terminal.
    fn interactive(&self) -> Result<bool, PluginError> {
        let terminal = !self.unattended && std::io::stdin().is_terminal();
        match self.exec.interactive_mode {
            Some(ExecInteractiveMode::Never) => Ok(false),
            Some(ExecInteractiveMode::Always) if !terminal => Err(PluginError::new(format!(
                "the credential plugin {} needs a terminal, and there is none to use",
                self.command()
            ))),
            _ => Ok(terminal),
        }
    }

    fn prepared(&self, interactive: bool) -> Result<Command, PluginError> {
        if self.command().is_empty() {
            return Err(PluginError::new("the user entry has an exec credential plugin without a command".into()));
        }
        let info = ExecInfo {
            api_version: self.exec.api_version.as_deref(),
            kind: "ExecCredential",
            spec: ExecSpec { interactive, cluster: self.cluster.as_ref() },
        };
        let info = serde_json::to_string(&info).map_err(|problem| PluginError::new(problem.to_string()))?;
        let extra = self.exec.env.iter().flatten().filter_map(|pair| pair.get("name").zip(pair.get("value")));
        let mut command = Command::new(self.command());
        command.args(self.exec.args.iter().flatten());
        command.env_clear().envs(&self.env).envs(extra).env("KUBERNETES_EXEC_INFO", info);
        command.stdout(Stdio::piped()).kill_on_drop(true);
        if interactive {
            command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
        } else {
            command.stdin(Stdio::null()).stderr(Stdio::piped());
        }
        Ok(command)
    }

    fn read(&self, output: &Output) -> Result<Status, PluginError> {
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let words = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
            return Err(PluginError::new(format!(
                "the credential plugin {} failed ({}): {words}",
                self.command(),
                output.status
            )));
        }
        // client-go takes YAML too, and some plugins write it.
        let answer: ExecCredential =
            serde_saphyr::from_slice(&output.stdout).map_err(|_| self.nonsense("it is no ExecCredential"))?;
        let status = answer.status.ok_or_else(|| self.nonsense("it has no status"))?;
        if status.token.is_none() && (status.client_certificate_data.is_none() || status.client_key_data.is_none()) {
            return Err(self.nonsense("it has neither a token nor a certificate with its key"));
        }
        Ok(status)
    }

    fn nonsense(&self, what: &str) -> PluginError {
        PluginError::new(format!("the answer of the credential plugin {} is not usable: {what}", self.command()))
    }
}

/// What the plugin is told, in `KUBERNETES_EXEC_INFO`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecInfo<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'a str>,
    kind: &'static str,
    spec: ExecSpec<'a>,
}

#[derive(Serialize)]
struct ExecSpec<'a> {
    interactive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a ExecAuthCluster>,
}
