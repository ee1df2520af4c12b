//! A bare client: the connections, requests and bytes of `status`, and nothing done with the answers.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use futures::future::{join, try_join_all};
use futures::{SinkExt as _, StreamExt as _};
use kube::api::AttachParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use kube::core::params::{GetParams, ListParams};
use kube::{Client, Config};
use kubectl_mariadb::api::script::LOADER;
use kubectl_mariadb::observe::probe::END;
use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite::Message;

/// What to ask for; `status` finds it out itself.
#[derive(Clone, Serialize, Deserialize)]
pub struct Ask {
    pub kubeconfig: PathBuf,
    pub namespace: String,
    pub set: String,
    pub container: String,
    /// What each pod is to run.
    pub script: String,
    pub pods: Vec<String>,
    pub nodes: Vec<String>,
}

impl Ask {
    /// Written down for [`run`].
    pub fn save(&self, to: &Path) -> Result<()> {
        Ok(std::fs::write(to, serde_json::to_vec(self)?)?)
    }
}

/// One run: the objects in parallel, then the pods and their nodes in parallel.
pub async fn run(ask: &Path) -> Result<()> {
    let ask: Ask = serde_json::from_slice(&std::fs::read(ask)?)?;
    let kubeconfig = Kubeconfig::read_from(&ask.kubeconfig)?;
    let client = Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?;
    let get = async |request: http::Request<Vec<u8>>| client.request_text(request).await;
    try_join_all(round_one(&ask)?.into_iter().map(get)).await?;
    let nodes: Result<Vec<_>, _> =
        ask.nodes.iter().map(|node| Request::new("/api/v1/nodes").get(node, &GetParams::default())).collect();
    let looks = try_join_all(ask.pods.iter().map(|pod| look(&client, &ask, pod)));
    let (looks, nodes) = join(looks, try_join_all(nodes?.into_iter().map(get))).await;
    looks?;
    nodes?;
    Ok(())
}

fn round_one(ask: &Ask) -> Result<Vec<http::Request<Vec<u8>>>> {
    let namespace = &ask.namespace;
    let likely = (0..9).map(|ordinal| format!("{}-{ordinal}", ask.set)).collect::<Vec<_>>().join(",");
    let pods = ListParams::default().labels(&format!("statefulset.kubernetes.io/pod-name in ({likely})"));
    let core = format!("/api/v1/namespaces/{namespace}");
    let list = |path: String, params: ListParams| Request::new(path).list(&params.limit(500));
    Ok(vec![
        Request::new(format!("/apis/apps/v1/namespaces/{namespace}/statefulsets")).get(&ask.set, &GetParams::default())?,
        list(format!("{core}/pods"), pods)?,
        list(format!("{core}/persistentvolumeclaims"), ListParams::default())?,
        list(format!("{core}/services"), ListParams::default())?,
        list(format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"), ListParams::default())?,
        list(format!("{core}/events"), ListParams::default().fields("type=Warning"))?,
    ])
}

async fn look(client: &Client, ask: &Ask, pod: &str) -> Result<()> {
    let params = AttachParams::default().container(&ask.container).stdin(true);
    let request = Request::new(format!("/api/v1/namespaces/{}/pods", ask.namespace)).exec(pod, LOADER, &params)?;
    let mut stream = client.connect(request).await?.into_stream();
    let input = [&[0], ask.script.as_bytes()].concat();
    stream.send(Message::binary(input)).await?;
    let end = format!("{END}\n");
    let mut output = Vec::new();
    while let Some(message) = stream.next().await {
        if let Message::Binary(bytes) = message?
            && let [1, bytes @ ..] = &bytes[..]
        {
            output.extend_from_slice(bytes);
        }
        if output.trim_ascii_end().ends_with(end.trim_ascii_end().as_bytes()) {
            return Ok(());
        }
    }
    None.context("the exec ended before the look did")
}
