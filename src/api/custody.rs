//! Who else writes to a StatefulSet: owners, GitOps tools, charts, autoscalers.

use kube::core::params::ListParams;
use serde::Deserialize;
use serde_json::Value;

use crate::decide::operation::custody::{Autoscaler, Custody, GitOps};
use crate::failure::Kind;
use crate::model::fact::Fact;
use crate::model::operator::ApiGroup;

use super::writes::{Resource, read};
use super::{Api, Ask, objects};

const HORIZONTAL: (&str, &str) = ("/apis/autoscaling/v2", "horizontalpodautoscalers");
const VERTICAL: (&str, &str) = ("/apis/autoscaling.k8s.io/v1", "verticalpodautoscalers");

#[derive(Deserialize)]
struct Scaler {
    metadata: ScalerMetadata,
    spec: ScalerSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScalerMetadata {
    name: String,
    #[serde(default)]
    owner_references: Vec<Reference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScalerSpec {
    /// Of a horizontal one.
    scale_target_ref: Option<Reference>,
    /// Of a vertical one.
    target_ref: Option<Reference>,
    update_policy: Option<UpdatePolicy>,
}

#[derive(Deserialize)]
struct Reference {
    kind: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdatePolicy {
    update_mode: Option<String>,
}

/// Reads it off the set as the API server wrote it, and lists the autoscalers of its namespace.
pub async fn custody(api: &Api, namespace: &str, set: &Value) -> Custody {
    let metadata = &set["metadata"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let helm = text(&metadata["annotations"]["meta.helm.sh/release-name"]);
    let name = metadata["name"].as_str().unwrap_or_default();
    let horizontal = autoscalers(api, namespace, HORIZONTAL, |scaler| scaler.horizontal(name));
    let vertical = autoscalers(api, namespace, VERTICAL, |scaler| scaler.vertical(name));
    let (horizontal, vertical, owner) = futures::future::join3(horizontal, vertical, owner(api, namespace, metadata)).await;
    let gitops = gitops(metadata).or_else(|| gitops(&owner?["metadata"]));
    Custody { gitops, helm, horizontal, vertical }
}

/// The object of mariadb-operator that owns the set: what writes that, writes the set.
async fn owner(api: &Api, namespace: &str, metadata: &Value) -> Option<Value> {
    let owners = metadata["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["kind"] == "MariaDB" && owner["controller"] == true)?;
    let group = ApiGroup::of_api_version(owner["apiVersion"].as_str()?)?;
    read(api, Resource::MariaDbs(group), namespace, owner["name"].as_str()?).await.ok()
}

/// What Argo CD and Flux write on everything they apply.
fn gitops(metadata: &Value) -> Option<GitOps> {
    let (labels, annotations) = (&metadata["labels"], &metadata["annotations"]);
    let argo = annotations["argocd.argoproj.io/tracking-id"].as_str().map(|id| id.split(':').next().unwrap_or(id));
    if let Some(application) = argo.or_else(|| labels["argocd.argoproj.io/instance"].as_str()) {
        return Some(GitOps::Argo(application.to_owned()));
    }
    [("kustomization", "kustomize.toolkit.fluxcd.io"), ("helmrelease", "helm.toolkit.fluxcd.io")].into_iter().find_map(
        |(kind, prefix)| {
            let label = |part: &str| labels[format!("{prefix}/{part}")].as_str().map(str::to_owned);
            Some(GitOps::Flux { kind, name: label("name")?, namespace: label("namespace")? })
        },
    )
}

async fn autoscalers(
    api: &Api,
    namespace: &str,
    kind: (&'static str, &'static str),
    of: impl Fn(Scaler) -> Option<Autoscaler>,
) -> Fact<Vec<Autoscaler>> {
    let ask = Ask { verb: "list", group: kind.0, resource: kind.1, namespace: Some(namespace), name: None };
    match objects::list::<Scaler>(api, &ask, ListParams::default()).await {
        Ok(scalers) => Fact::Known(scalers.into_iter().filter_map(of).collect()),
        // Not installed.
        Err(trouble) if trouble.kind == Kind::NotFound => Fact::Known(Vec::new()),
        Err(trouble) => Fact::Unknown(trouble.into()),
    }
}

impl Reference {
    fn is(&self, set: &str) -> bool {
        matches!(self.kind.as_str(), "StatefulSet" | "MariaDB") && self.name == set
    }
}

impl Scaler {
    fn horizontal(self, set: &str) -> Option<Autoscaler> {
        self.spec.scale_target_ref.filter(|target| target.is(set))?;
        let keda = self.metadata.owner_references.into_iter().find(|owner| owner.kind == "ScaledObject");
        Some(keda.map_or(Autoscaler::Horizontal(self.metadata.name), |owner| Autoscaler::Keda(owner.name)))
    }

    /// One that only recommends, or sets resources at creation, replaces no pod.
    fn vertical(self, set: &str) -> Option<Autoscaler> {
        self.spec.target_ref.filter(|target| target.is(set))?;
        let mode = self.spec.update_policy.and_then(|policy| policy.update_mode);
        let evicts = !matches!(mode.as_deref(), Some("Off" | "Initial"));
        evicts.then_some(Autoscaler::Vertical(self.metadata.name))
    }
}
