//! Clusters to look at, and the program that looks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use kube::config::Kubeconfig;
use kubectl_mariadb::api::connect::connect;
use kubectl_mariadb::api::flags::ConnectionFlags;
use kubectl_mariadb::model::names::Target;
use kubectl_mariadb::observe::probe::{Looks, script};
use kubectl_mariadb::observe::{self, Depth};
use kubectl_mariadb::process::Clock;
use tempfile::TempDir;

use crate::bare::Ask;
use crate::delay::Relay;

/// Exit codes of a `status` that has seen everything: how the cluster is does not matter here.
pub const SEEN: &[i32] = &[0, 3];

/// The plugin.
pub struct Program(pub PathBuf);

impl Program {
    /// `KUBECTL_MARIADB`, or the one cargo built for this benchmark: its dependencies have the features that tests need, too.
    pub fn find() -> Self {
        Self(std::env::var_os("KUBECTL_MARIADB").map_or_else(|| env!("CARGO_BIN_EXE_kubectl-mariadb").into(), PathBuf::from))
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.args(args);
        command
    }

    pub fn status(&self, kubeconfig: &Path, args: &[&str]) -> Command {
        let mut command = self.command(&["status"]);
        command.args(args).env("KUBECONFIG", kubeconfig);
        command
    }
}

/// One cluster with what a bare client has to know of it.
pub struct Place {
    pub ask: Ask,
    /// `HOST:PORT` of its API server.
    upstream: String,
}

impl Place {
    /// Looks the cluster up.
    pub async fn find(kubeconfig: &Path, namespace: &str, set: &str) -> Result<Self> {
        let flags = ConnectionFlags { kubeconfig: Some(kubeconfig.to_owned()), ..ConnectionFlags::default() };
        let failed = |failure: kubectl_mariadb::failure::Failure| anyhow!("{failure}");
        let api = connect(&flags, &BTreeMap::new(), None).await.map_err(failed)?;
        let uri: http::Uri = api.server().parse()?;
        let host = uri.host().context("the address of the API server has no host")?;
        let upstream = format!("{host}:{}", uri.port_u16().unwrap_or(443));
        let target = Target { namespace: namespace.to_owned(), name: set.to_owned() };
        let depth = Depth { exec: false, pod_timeout: Duration::from_secs(10), clock: Clock::System };
        let seen = observe::cluster(&api, &target, depth).await.map_err(failed)?;
        let layout = &seen.objects.stateful_set.layout;
        let mut nodes: Vec<String> = seen.members.values().filter_map(|member| member.pod.as_ref()?.node.clone()).collect();
        nodes.sort();
        nodes.dedup();
        let ask = Ask {
            kubeconfig: kubeconfig.to_owned(),
            namespace: namespace.to_owned(),
            set: set.to_owned(),
            container: layout.container.clone(),
            script: script(layout, Looks::Once),
            pods: seen.members.keys().map(|ordinal| seen.pod_name(*ordinal)).collect(),
            nodes,
        };
        Ok(Self { ask, upstream })
    }

    /// The same cluster, its pods asked to run something else by the bare client.
    pub fn with_script(&self, script: &str) -> Self {
        Self { ask: Ask { script: script.to_owned(), ..self.ask.clone() }, upstream: self.upstream.clone() }
    }
}

/// The same cluster, seen from far away.
pub struct Far {
    pub relay: Relay,
    pub kubeconfig: PathBuf,
    ask: PathBuf,
    namespace: String,
    set: String,
    _dir: TempDir,
}

impl Far {
    pub async fn from(place: &Place, round_trip: Duration) -> Result<Self> {
        let relay = Relay::start(place.upstream.clone(), round_trip).await?;
        let dir = tempfile::tempdir()?;
        let mut config = Kubeconfig::read_from(&place.ask.kubeconfig)?;
        for cluster in config.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
            let uri: http::Uri = cluster.server.as_deref().unwrap_or_default().parse()?;
            let scheme = uri.scheme_str().unwrap_or("https");
            cluster.server = Some(format!("{scheme}://{}", relay.address));
            // The certificate is that of the server behind the relay.
            cluster.tls_server_name = uri.host().map(str::to_owned).filter(|_| scheme == "https");
        }
        let kubeconfig = dir.path().join("kubeconfig");
        std::fs::write(&kubeconfig, serde_json::to_vec(&config)?)?;
        let ask = dir.path().join("ask");
        let (namespace, set) = (place.ask.namespace.clone(), place.ask.set.clone());
        Ask { kubeconfig: kubeconfig.clone(), ..place.ask.clone() }.save(&ask)?;
        Ok(Self { relay, kubeconfig, ask, namespace, set, _dir: dir })
    }

    pub fn status(&self, program: &Program) -> Command {
        program.status(&self.kubeconfig, &[&self.set, "--namespace", &self.namespace])
    }

    /// The bare client, as a process of its own like the plugin.
    pub fn bare(&self) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(crate::BARE).arg(&self.ask);
        Ok(command)
    }
}
