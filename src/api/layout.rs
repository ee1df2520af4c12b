//! How a pod template runs MariaDB: which container, on which volumes, and whether it would found a new cluster.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::kubernetes::{Chart, ChartKind, Handler, Layout, Mount, Probe, VolumeSource};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct PodTemplate {
    spec: TemplateSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TemplateSpec {
    containers: Vec<Container>,
    volumes: Vec<Volume>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    image: String,
    command: Vec<String>,
    args: Vec<String>,
    env: Vec<Variable>,
    ports: Vec<Port>,
    volume_mounts: Vec<VolumeMount>,
    startup_probe: Option<ProbeSpec>,
    liveness_probe: Option<ProbeSpec>,
}

/// The API server writes the defaults of all numbers but the delay, which it leaves out when it is 0.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProbeSpec {
    #[serde(default)]
    initial_delay_seconds: u32,
    period_seconds: u32,
    failure_threshold: u32,
    exec: Option<Command>,
    http_get: Option<HttpGet>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Command {
    command: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HttpGet {
    path: String,
}

impl ProbeSpec {
    fn to_model(&self) -> Probe {
        let handler = match (&self.exec, &self.http_get) {
            (Some(exec), _) => Handler::Exec(exec.command.join(" ")),
            (None, Some(http)) => Handler::Network(http.path.clone()),
            (None, None) => Handler::Network(String::new()),
        };
        Probe {
            initial_delay: self.initial_delay_seconds,
            period: self.period_seconds,
            failures: self.failure_threshold,
            handler,
        }
    }
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    // Absent if it comes from a secret, a config map or a field.
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    container_port: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeMount {
    name: String,
    mount_path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    name: String,
    persistent_volume_claim: Option<serde::de::IgnoredAny>,
    empty_dir: Option<serde::de::IgnoredAny>,
    /// A claim that lives and dies with its pod.
    ephemeral: Option<serde::de::IgnoredAny>,
}

/// `labels` are those of the set. `None`: no container of the template runs MariaDB.
pub(super) fn resolve(template: &PodTemplate, claim_templates: &[String], labels: &BTreeMap<String, String>) -> Option<Layout> {
    let spec = &template.spec;
    let scored = spec.containers.iter().map(|container| (score(container), container)).filter(|(score, _)| *score >= ENOUGH);
    // `min_by_key`, because it keeps the first of equals.
    let (_, container) = scored.min_by_key(|(score, _)| Reverse(*score))?;
    let mut mounts: Vec<Mount> = container
        .volume_mounts
        .iter()
        .map(|mount| Mount {
            path: mount.mount_path.clone(),
            volume: mount.name.clone(),
            source: source(&mount.name, &spec.volumes, claim_templates),
        })
        .collect();
    mounts.sort_by_key(|mount| (!is_datadir(&mount.path), mount.source != VolumeSource::Claim));
    Some(Layout {
        container: container.name.clone(),
        image: container.image.clone(),
        mounts,
        bootstrap_switches: bootstrap_switches(container),
        chart: chart(container, labels),
        galera_signs: galera_signs(container),
        startup_probe: container.startup_probe.as_ref().map(ProbeSpec::to_model),
        liveness_probe: container.liveness_probe.as_ref().map(ProbeSpec::to_model),
    })
}

/// A chart by Bitnami has its paths and variables; the label alone may be anybody's.
fn chart(container: &Container, labels: &BTreeMap<String, String>) -> Option<Chart> {
    let has_path = container
        .volume_mounts
        .iter()
        .any(|mount| mount.mount_path.starts_with("/bitnami/mariadb") || mount.mount_path.starts_with("/opt/bitnami/"));
    if !has_path && !container.env.iter().any(|variable| variable.name == "BITNAMI_DEBUG") {
        return None;
    }
    let label = labels.get("helm.sh/chart").map_or("", String::as_str);
    // `mariadb-galera-14.0.10`: the version begins at the first part that is a number.
    let version =
        label.match_indices('-').map(|(at, _)| &label[at + 1..]).find(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let is_galera =
        label.starts_with("mariadb-galera-") || container.env.iter().any(|variable| variable.name.starts_with("MARIADB_GALERA_"));
    let kind = if is_galera { ChartKind::BitnamiGalera } else { ChartKind::Bitnami };
    Some(Chart { kind, version: version.map(str::to_owned) })
}

/// The port of the group communication.
const GROUP_PORT: u16 = 4567;

/// What speaks of Galera, as `where: what`.
fn galera_signs(container: &Container) -> Vec<String> {
    let port = container.ports.iter().any(|port| port.container_port == GROUP_PORT).then(|| format!("port: {GROUP_PORT}"));
    let speaks = |text: &str| ["wsrep", "galera"].iter().find(|word| text.to_ascii_lowercase().contains(*word)).copied();
    let words = container.command.iter().map(|word| ("command", word)).chain(container.args.iter().map(|word| ("args", word)));
    let in_words = words.filter_map(|(place, word)| Some(format!("{place}: {}", speaks(word)?)));
    let in_env = container.env.iter().filter(|variable| speaks(&variable.name).is_some());
    port.into_iter().chain(in_words).chain(in_env.map(|variable| format!("env: {}", variable.name))).collect()
}

/// A MariaDB image or command is enough; so are the port and a data directory together.
const ENOUGH: u32 = 3;

/// How much speaks for a container being the server.
fn score(container: &Container) -> u32 {
    let image = image_name(&container.image);
    if BESIDE.iter().any(|word| image.contains(word)) {
        return 0;
    }
    let words = || container.command.iter().chain(&container.args);
    let mariadb_env = container.env.iter().any(|variable| variable.name.starts_with("MARIADB_"));
    let says_mariadb = image.contains("mariadb") || mariadb_env || words().any(|word| word.contains("mariadb"));
    if !says_mariadb && ["mysql", "percona"].iter().any(|other| image.starts_with(other)) {
        return 0;
    }
    let evidence = [
        (image.contains("mariadb"), 3),
        (words().any(|word| starts_server(word)), 3),
        (container.volume_mounts.iter().any(|mount| is_datadir(&mount.mount_path)), 2),
        (container.ports.iter().any(|port| port.container_port == 3306), 2),
        (mariadb_env, 1),
        (["mariadb", "mysql", "galera", "db", "database"].contains(&container.name.as_str()), 1),
    ];
    evidence.into_iter().filter(|(holds, _)| *holds).map(|(_, weight)| weight).sum()
}

/// Images that stand beside a MariaDB server and carry its name.
const BESIDE: [&str; 9] = ["operator", "exporter", "agent", "backup", "maxscale", "proxysql", "haproxy", "phpmyadmin", "adminer"];

/// `bed.local:5000/team/mariadb:10.11@sha256:…` → `mariadb`
fn image_name(image: &str) -> &str {
    let path = image.split('@').next().unwrap_or(image);
    let last = path.rsplit('/').next().unwrap_or(path);
    last.split(':').next().unwrap_or(last)
}

fn starts_server(word: &str) -> bool {
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    word.split(|c| !is_name_char(c)).any(|name| matches!(name, "mariadbd" | "mysqld" | "mariadbd-safe" | "mysqld_safe"))
}

fn is_datadir(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    matches!(path, "/var/lib/mysql" | "/var/lib/mysql/data" | "/bitnami/mariadb" | "/bitnami/mariadb/data" | "/var/lib/mariadb")
}

fn source(name: &str, volumes: &[Volume], claim_templates: &[String]) -> VolumeSource {
    if claim_templates.iter().any(|template| template == name) {
        return VolumeSource::Claim;
    }
    match volumes.iter().find(|volume| volume.name == name) {
        Some(volume) if volume.persistent_volume_claim.is_some() => VolumeSource::Claim,
        Some(volume) if volume.empty_dir.is_some() || volume.ephemeral.is_some() => VolumeSource::EmptyDir,
        _ => VolumeSource::Other,
    }
}

/// Ways this container would found a new cluster at every start, as `where: what`.
fn bootstrap_switches(container: &Container) -> Vec<String> {
    let words = container.command.iter().map(|word| ("command", word)).chain(container.args.iter().map(|word| ("args", word)));
    let in_words = words.filter_map(|(place, word)| switch_in(word).map(|switch| format!("{place}: {switch}")));
    let in_env = container.env.iter().filter_map(|variable| {
        let value = variable.value.as_deref()?.trim();
        let founds = FOUNDING_VARIABLES.contains(&variable.name.as_str())
            && ["yes", "true", "1"].contains(&value.to_ascii_lowercase().as_str());
        let switch = if founds { Some(value) } else { switch_in(value) };
        Some(format!("env: {}={}", variable.name, switch?))
    });
    in_words.chain(in_env).collect()
}

const FOUNDING_VARIABLES: [&str; 2] = ["MARIADB_GALERA_CLUSTER_BOOTSTRAP", "WSREP_NEW_CLUSTER"];

/// The switch in an argument or in a script. A script that decides for itself when to use it is no switch.
fn switch_in(text: &str) -> Option<&'static str> {
    let decides = text.split_whitespace().any(|token| matches!(token, "if" | "case" | "&&" | "||" | "[" | "[["));
    if decides {
        return None;
    }
    let mut tokens = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';'));
    tokens.find_map(|token| match token.replace('_', "-").as_str() {
        "--wsrep-new-cluster" | "--wsrep-new-cluster=ON" | "--wsrep-new-cluster=1" => Some("--wsrep-new-cluster"),
        // An address without members founds a cluster, too.
        "gcomm://" | "--wsrep-cluster-address=gcomm://" => Some("gcomm://"),
        _ => None,
    })
}
