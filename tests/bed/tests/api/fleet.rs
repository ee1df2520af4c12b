//! Many clusters at once. Their pods never run: what counts is what the plugin asks the API server.

use std::fs;
use std::ops::Range;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use bed::Bed;
use bed::command::{output, output_of_input};
use serde_json::{Value, json};

const NAMESPACE: &str = "fleet";
const MEMBERS: u32 = 3;
const FEW: u32 = 4;
const MANY: u32 = 200;
/// Objects that the plugin asks for at once.
const PAGE: u32 = 500;

/// `status -A` asks for lists, whose number does not grow with the number of clusters; long ones come in pages.
pub fn costs_no_more_requests_than_a_few(bed: &Bed) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    create(bed, &[namespace])?;
    make(bed, 0..FEW)?;
    let few = requests(bed, FEW)?;
    make(bed, FEW..MANY)?;
    let many = requests(bed, MANY)?;
    // 600 pods are two pages; of everything else there is one.
    let pages = ((MANY * MEMBERS).div_ceil(PAGE) - 1) as usize;
    ensure!(few.more_pages == 0 && few.lists > 0, "{FEW} clusters took {few:?}");
    ensure!(many == Requests { more_pages: pages, ..few }, "{FEW} clusters took {few:?}, {MANY} took {many:?}");
    output(&mut bed.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"])).map(drop)
}

/// What the plugin asked for one screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Requests {
    lists: usize,
    /// Beside the first of each list.
    more_pages: usize,
}

/// The requests that show `clusters`.
fn requests(bed: &Bed, clusters: u32) -> Result<Requests> {
    let plugin = std::env::var("KUBECTL_MARIADB").context("KUBECTL_MARIADB names no plugin; use `cargo bed test`")?;
    // Nobody else asks in this name.
    let user = format!("reader-of-{clusters}");
    let mut status: Command = bed.run(&[plugin.as_str(), "status", "--all-namespaces", "--output=json"]);
    status.args(["--as", &user, "--as-group=system:masters", "--kubeconfig"]).arg(bed.kubeconfig());
    let ended = status.output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    let document: Value =
        serde_json::from_slice(&ended.stdout).with_context(|| format!("status ended with {}: {said}", ended.status))?;
    // Other tests make sets at the same time, in namespaces of their own.
    let ours = |item: &&Value| item["namespace"] == NAMESPACE;
    let shown = document["items"].as_array().map_or(0, |items| items.iter().filter(ours).count());
    ensure!(shown == clusters as usize, "{shown} of {clusters} clusters are shown: {said}");
    let log = fs::read_to_string(bed.layout().log().join("audit.log"))?;
    let asked_by = format!("\"impersonatedUser\":{{\"username\":\"{user}\"");
    let (more, first): (Vec<&str>, Vec<&str>) =
        log.lines().filter(|line| line.contains(&asked_by)).partition(|line| line.contains("continue="));
    Ok(Requests { lists: first.len(), more_pages: more.len() })
}

/// Creates StatefulSets and, as no controller does, their pods.
fn make(bed: &Bed, numbers: Range<u32>) -> Result<()> {
    let sets: Vec<Value> = numbers.map(|number| set(NAMESPACE, &format!("db{number}"))).collect();
    let made = create(bed, &sets)?;
    // kubectl prints one document after the other.
    let owners = serde_json::Deserializer::from_str(&made).into_iter::<Value>().collect::<Result<Vec<_>, _>>()?;
    let pods: Vec<Value> = owners.iter().flat_map(|owner| (0..MEMBERS).map(|ordinal| pod(owner, ordinal))).collect();
    create(bed, &pods).map(drop)
}

pub fn create(bed: &Bed, items: &[Value]) -> Result<String> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let args = ["create", "--filename=-", "--output=json"];
    output_of_input(&mut bed.kubectl(&args), &list.to_string())
}

pub fn set(namespace: &str, name: &str) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "serviceName": name, "replicas": MEMBERS, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container()]}},
        },
    })
}

fn pod(owner: &Value, ordinal: u32) -> Value {
    let set = owner["metadata"]["name"].as_str().unwrap_or_default();
    let name = format!("{set}-{ordinal}");
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": NAMESPACE,
            "labels": {"app": set, "statefulset.kubernetes.io/pod-name": name},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": set, "uid": owner["metadata"]["uid"], "controller": true,
            }],
        },
        "spec": {"containers": [container()]},
    })
}

fn container() -> Value {
    json!({"name": "mariadb", "image": "bed.local/mariadb:11.8", "ports": [{"containerPort": 3306}]})
}
