//! Versions of what is beside the database servers. All of it is extra: what may not be read is unknown.

use serde::Deserialize;

use crate::model::fact::Fact;
use crate::model::operator_version::OperatorDeployment;

use super::objects::{Scope, extra_list, listing};
use super::raw::Metadata;
use super::{Api, Ask};

/// The label of the operator's own Deployment; its webhook and certificate controller carry other names.
const OPERATOR: &str = "app.kubernetes.io/name=mariadb-operator";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerVersion {
    git_version: String,
}

/// The version of the API server, `v1.34.4`.
pub async fn kubernetes(api: &Api) -> Fact<String> {
    let ask = Ask { verb: "get", group: "", resource: "version", namespace: None, name: None };
    let request = http::Request::get("/version").body(Vec::new()).map_err(kube::core::request::Error::BuildRequest);
    let said = api.ask::<ServerVersion>(&ask, request).await;
    Fact::from(said.map(|version| version.git_version).map_err(Into::into))
}

#[derive(Deserialize)]
struct Deployment {
    metadata: Metadata,
    spec: DeploymentSpec,
}

#[derive(Deserialize)]
struct DeploymentSpec {
    template: Template,
}

#[derive(Deserialize)]
struct Template {
    spec: PodSpec,
}

#[derive(Deserialize)]
struct PodSpec {
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    image: String,
}

/// Every mariadb-operator that runs beside this API server; not the Enterprise Operator, which has another label.
pub async fn operators(api: &Api) -> Fact<Vec<OperatorDeployment>> {
    let ask = listing("/apis/apps/v1", "deployments", Scope::AllNamespaces);
    extra_list(api, &ask, OPERATOR, |deployment: Deployment| {
        let image = deployment.spec.template.spec.containers.into_iter().next().map(|container| container.image);
        let (namespace, name) = deployment.metadata.place();
        OperatorDeployment { namespace, name, image: image.unwrap_or_default() }
    })
    .await
}
