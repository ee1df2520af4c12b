//! Screens of `version`.

use serde::Serialize;

use super::Screen;
use super::status::{Unknown, split};
use super::style::Label;
use super::styled::{Column, Span, Styled};
use crate::decide::versions::{self, Note, Servers};
use crate::failure::Exit;
use crate::model::fact::Fact;
use crate::model::names::Target;
use crate::model::operator_version::OperatorDeployment;

/// The version of the plugin alone.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientVersion {
    pub client_version: String,
}

/// The versions of the plugin, of Kubernetes, of operators and of database servers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Versions {
    /// With a leading `v`, as kubectl and krew write it.
    pub client_version: String,
    /// Of the API server. Absent with `--client`, as everything that follows.
    #[cfg_attr(test, schemars(default))]
    pub kubernetes_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes_version_unknown: Option<Unknown>,
    #[cfg_attr(test, schemars(default))]
    pub operators: Option<Vec<OperatorVersion>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operators_unknown: Option<Unknown>,
    #[cfg_attr(test, schemars(default))]
    pub clusters: Option<Vec<ClusterVersions>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters_unknown: Option<Unknown>,
    /// What these versions are known for.
    #[cfg_attr(test, schemars(default))]
    pub notes: Vec<VersionNote>,
}

/// A mariadb-operator.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OperatorVersion {
    pub namespace: String,
    pub name: String,
    /// `null`: its image has no version in its tag.
    pub version: Option<String>,
    pub image: String,
}

/// The servers of a cluster.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ClusterVersions {
    pub namespace: String,
    pub name: String,
    pub servers: Vec<ServerVersions>,
    /// Pods whose server did not tell its version.
    pub unknown: Vec<PodUnknown>,
    #[serde(skip)]
    notes: Vec<Note>,
}

/// Servers of one version.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServerVersions {
    pub version: String,
    pub pods: Vec<String>,
}

/// A pod whose server could not be asked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PodUnknown {
    pub pod: String,
    pub reason: String,
    pub message: String,
}

/// Something to know about a version.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VersionNote {
    /// `NAMESPACE/NAME` of a cluster or an operator.
    pub about: String,
    pub message: String,
}

impl ClusterVersions {
    #[must_use]
    pub fn new(target: &Target, servers: Vec<Servers>, unknown: Vec<(String, Unknown)>) -> Self {
        Self {
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            notes: versions::of_servers(&target.to_string(), &servers),
            servers: servers
                .into_iter()
                .map(|same| ServerVersions { version: same.version.to_string(), pods: same.pods })
                .collect(),
            unknown: unknown.into_iter().map(|(pod, Unknown { reason, message })| PodUnknown { pod, reason, message }).collect(),
        }
    }
}

impl Versions {
    #[must_use]
    pub fn new(
        client: &str,
        kubernetes: &Fact<String>,
        operators: &Fact<Vec<OperatorDeployment>>,
        clusters: Fact<Vec<ClusterVersions>>,
    ) -> Self {
        let mut notes: Vec<Note> = operators.known().into_iter().flatten().flat_map(versions::of_operator).collect();
        notes.extend(clusters.known().into_iter().flatten().flat_map(|cluster| cluster.notes.clone()));
        let (kubernetes_version, kubernetes_version_unknown) = split(kubernetes, Clone::clone);
        let (operators, operators_unknown) = split(operators, |found| found.iter().map(OperatorVersion::from).collect());
        let (clusters, clusters_unknown) = match clusters {
            Fact::Known(clusters) => (Some(clusters), None),
            Fact::Unknown(why) => (None, Some(Unknown::from(&why))),
        };
        Self {
            client_version: client.to_owned(),
            kubernetes_version,
            kubernetes_version_unknown,
            operators,
            operators_unknown,
            clusters,
            clusters_unknown,
            notes: notes.into_iter().map(|Note { about, message }| VersionNote { about, message }).collect(),
        }
    }

    /// What could not be asked, each reason once.
    fn unknown(&self) -> Vec<(&'static str, &Unknown)> {
        let all = [
            ("Kubernetes", &self.kubernetes_version_unknown),
            ("Operator", &self.operators_unknown),
            ("Servers", &self.clusters_unknown),
        ];
        let known: Vec<_> = all.into_iter().filter_map(|(what, unknown)| Some((what, unknown.as_ref()?))).collect();
        match known.as_slice() {
            [(_, first), rest @ ..] if rest.len() == 2 && rest.iter().all(|(_, why)| why == first) => {
                vec![("Kubernetes, operator and servers", *first)]
            }
            _ => known,
        }
    }

    fn servers(clusters: &[ClusterVersions], out: &mut Styled) {
        let columns =
            [Column { head: "CLUSTER", yields: 0 }, Column { head: "SERVER", yields: 0 }, Column { head: "PODS", yields: 0 }];
        let row = |cluster: &ClusterVersions, version: &str, pods: String| {
            vec![Span::plain(format!("{}/{}", cluster.namespace, cluster.name)), Span::plain(version), Span::plain(pods)]
        };
        let mut rows = Vec::new();
        for cluster in clusters {
            rows.extend(cluster.servers.iter().map(|same| row(cluster, &same.version, same.pods.join(", "))));
            if !cluster.unknown.is_empty() {
                let pods: Vec<&str> = cluster.unknown.iter().map(|unknown| unknown.pod.as_str()).collect();
                rows.push(row(cluster, "?", pods.join(", ")));
            }
        }
        if rows.is_empty() {
            out.line(Label::Plain, "Servers: none found here; see other namespaces with -n or -A");
        } else {
            out.end_line();
            out.table(&columns, &rows);
        }
        for PodUnknown { pod, message, .. } in clusters.iter().flat_map(|cluster| &cluster.unknown) {
            out.hanging(vec![Span::new(Label::Warning, format!("? {pod}: "))], Label::Plain, message);
        }
    }
}

impl From<&OperatorDeployment> for OperatorVersion {
    fn from(operator: &OperatorDeployment) -> Self {
        Self {
            namespace: operator.namespace.clone(),
            name: operator.name.clone(),
            version: operator.version().map(|version| version.to_string()),
            image: operator.image.clone(),
        }
    }
}

fn client_line(version: &str, out: &mut Styled) {
    out.line(Label::Plain, format!("Client Version: {version}"));
}

impl Screen for ClientVersion {
    const KIND: &'static str = Versions::KIND;

    fn screen(&self, _wide: bool, out: &mut Styled) {
        client_line(&self.client_version, out);
    }

    fn names(&self) -> Vec<String> {
        vec![self.client_version.clone()]
    }

    fn exit(&self) -> Exit {
        Exit::Ok
    }
}

impl Screen for Versions {
    const KIND: &'static str = "Version";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        client_line(&self.client_version, out);
        if let Some(version) = &self.kubernetes_version {
            out.line(Label::Plain, format!("Kubernetes Version: {version}"));
        }
        if self.operators.as_ref().is_some_and(Vec::is_empty) {
            out.line(Label::Plain, "Operator Version: none found");
        }
        for operator in self.operators.iter().flatten() {
            let version =
                operator.version.as_ref().map_or_else(|| format!("? ({})", operator.image), |version| format!("v{version}"));
            out.line(Label::Plain, format!("Operator Version: {version} ({}/{})", operator.namespace, operator.name));
        }
        for (what, unknown) in self.unknown() {
            out.hanging(vec![Span::new(Label::Warning, format!("? {what}: "))], Label::Plain, &unknown.message);
        }
        if let Some(clusters) = &self.clusters {
            Self::servers(clusters, out);
        }
        if !self.notes.is_empty() {
            out.end_line();
        }
        for VersionNote { about, message } in &self.notes {
            out.hanging(vec![Span::new(Label::Warning, format!("note {about}: "))], Label::Plain, message);
        }
    }

    fn names(&self) -> Vec<String> {
        vec![self.client_version.clone()]
    }

    /// Only the client's version was needed.
    fn exit(&self) -> Exit {
        Exit::Ok
    }
}
