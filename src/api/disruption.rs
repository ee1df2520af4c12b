//! What stands between a pod and its stop: disruption budgets, local volumes, the nodes of a zone.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{join, join_all};
use kube::core::params::ListParams;
use serde::Deserialize;

use crate::failure::{Failure, Kind};
use crate::model::disruption::{Budget, LocalVolume};
use crate::model::fact::Fact;

use super::objects::{Pods, Scope, list, listing};
use super::raw::Named;
use super::trouble::Trouble;
use super::{Api, Ask};

const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

#[derive(Deserialize)]
struct RawBudget {
    metadata: Meta,
    #[serde(default)]
    spec: BudgetSpec,
    #[serde(default)]
    status: BudgetStatus,
}

/// Of an object, what says whose it is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    name: String,
    namespace: String,
    generation: i64,
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Labelled {
    metadata: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BudgetSpec {
    selector: Option<Selector>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BudgetStatus {
    disruptions_allowed: u32,
    observed_generation: i64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Selector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Expression>,
}

#[derive(Deserialize)]
struct Expression {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

impl Selector {
    /// The rules of `metav1.LabelSelector`; an empty one finds everything.
    fn finds(&self, labels: &BTreeMap<String, String>) -> bool {
        let equal = self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        let holds = |expression: &Expression| {
            let value = labels.get(&expression.key);
            let among = value.is_some_and(|value| expression.values.contains(value));
            match expression.operator.as_str() {
                "In" => among,
                "NotIn" => !among,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        };
        equal && self.match_expressions.iter().all(holds)
    }
}

/// Every budget, with the pods of StatefulSets that it is about.
pub async fn list_budgets(api: &Api, scope: Scope<'_>) -> Fact<Vec<Budget>> {
    let (budgets, pods) = (listing("/apis/policy/v1", "poddisruptionbudgets", scope), listing("/api/v1", "pods", scope));
    let of_sets = ListParams::default().labels(&Pods::OfAnySet.selector());
    let (budgets, pods) =
        join(list::<RawBudget>(api, &budgets, ListParams::default()), list::<Labelled>(api, &pods, of_sets)).await;
    let both = budgets.and_then(|budgets| Ok((budgets, pods?)));
    Fact::from(
        both.map(|(budgets, pods)| budgets.into_iter().map(|budget| into_model(budget, &pods)).collect()).map_err(Into::into),
    )
}

fn into_model(budget: RawBudget, pods: &[Labelled]) -> Budget {
    let RawBudget { metadata, spec, status } = budget;
    let own = |pod: &&Labelled| {
        // No selector at all finds nothing.
        pod.metadata.namespace == metadata.namespace
            && spec.selector.as_ref().is_some_and(|selector| selector.finds(&pod.metadata.labels))
    };
    let pods: BTreeSet<String> = pods.iter().filter(own).map(|pod| pod.metadata.name.clone()).collect();
    Budget {
        allowed: status.disruptions_allowed,
        current: status.observed_generation >= metadata.generation,
        pods,
        name: metadata.name,
        namespace: metadata.namespace,
    }
}

#[derive(Deserialize)]
struct RawVolume {
    metadata: Meta,
    #[serde(default)]
    spec: VolumeSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VolumeSpec {
    local: Option<serde::de::IgnoredAny>,
    host_path: Option<serde::de::IgnoredAny>,
    node_affinity: NodeAffinity,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeAffinity {
    required: Terms,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Terms {
    node_selector_terms: Vec<Term>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Term {
    #[serde(default)]
    match_expressions: Vec<Expression>,
}

impl RawVolume {
    fn into_model(self) -> Option<LocalVolume> {
        let by_host = |expression: &&Expression| expression.key == "kubernetes.io/hostname" && expression.operator == "In";
        let terms = self.spec.node_affinity.required.node_selector_terms;
        let hosts = terms.iter().flat_map(|term| &term.match_expressions).filter(by_host);
        let nodes: Vec<String> = hosts.flat_map(|expression| &expression.values).cloned().collect();
        let kind = if self.spec.local.is_some() {
            "local"
        } else if self.spec.host_path.is_some() {
            "hostPath"
        } else if !nodes.is_empty() {
            "bound to its node"
        } else {
            return None;
        };
        Some(LocalVolume { name: self.metadata.name, kind: kind.to_owned(), nodes })
    }
}

/// Those of these volumes that lie on a node.
pub async fn get_local_volumes(api: &Api, names: impl IntoIterator<Item = &str>) -> Fact<Vec<LocalVolume>> {
    let gets = names.into_iter().map(|name| async move {
        let ask = Ask { verb: "get", group: "/api/v1", resource: "persistentvolumes", namespace: None, name: Some(name) };
        api.get::<RawVolume>(&ask).await
    });
    let mut local = Vec::new();
    for found in join_all(gets).await {
        match found {
            Ok(volume) => local.extend(volume.into_model()),
            Err(trouble) if trouble.kind == Kind::NotFound => {}
            Err(trouble) => return Fact::Unknown(trouble.into()),
        }
    }
    Fact::Known(local)
}

/// The names of the nodes of a zone.
///
/// # Errors
/// [`Kind::NotFound`]: there is none. No answer; a missing right.
pub async fn list_nodes_of_zone(api: &Api, zone: &str) -> Result<BTreeSet<String>, Failure> {
    let params = ListParams::default().labels(&format!("{ZONE_LABEL}={zone}"));
    let found: Result<Vec<Named>, Trouble> = list(api, &listing("/api/v1", "nodes", Scope::AllNamespaces), params).await;
    let nodes: BTreeSet<String> = found?.iter().map(|node| node.name().to_owned()).collect();
    if nodes.is_empty() {
        return Err(Failure::new(Kind::NotFound, format!("no node has the label {ZONE_LABEL}={zone}"))
            .hint(format!("see the zones with: kubectl get nodes -L {ZONE_LABEL}")));
    }
    Ok(nodes)
}

/// Fails if there is no node of this name. Whoever may not read nodes is believed.
///
/// # Errors
/// [`Kind::NotFound`].
pub async fn check_node(api: &Api, name: &str) -> Result<(), Failure> {
    let ask = Ask { verb: "get", group: "/api/v1", resource: "nodes", namespace: None, name: Some(name) };
    match api.get::<Named>(&ask).await {
        Err(trouble) if matches!(trouble.kind, Kind::NotFound | Kind::Usage) => {
            Err(Failure::new(Kind::NotFound, format!("there is no node {name}")).hint("see them with: kubectl get nodes"))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_find_what_the_api_server_would() {
        let labels: BTreeMap<String, String> = [("app", "db"), ("tier", "a")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        for (selector, finds) in [
            (json!({}), true),
            (json!({ "matchLabels": { "app": "db" } }), true),
            (json!({ "matchLabels": { "app": "web" } }), false),
            (json!({ "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["a", "b"] }] }), true),
            (json!({ "matchExpressions": [{ "key": "tier", "operator": "NotIn", "values": ["a"] }] }), false),
            (json!({ "matchExpressions": [{ "key": "other", "operator": "NotIn", "values": ["a"] }] }), true),
            (json!({ "matchExpressions": [{ "key": "tier", "operator": "Exists" }] }), true),
            (json!({ "matchExpressions": [{ "key": "tier", "operator": "DoesNotExist" }] }), false),
        ] {
            let read: Selector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(read.finds(&labels), finds, "{selector}");
        }
    }

    #[test]
    fn volumes_on_a_node_are_told_from_those_anywhere() {
        let kind = |spec: serde_json::Value| {
            let volume: RawVolume = serde_json::from_value(json!({ "metadata": { "name": "pv-1" }, "spec": spec })).unwrap();
            volume.into_model().map(|volume| volume.kind)
        };
        assert_eq!(kind(json!({ "local": { "path": "/disk" } })).as_deref(), Some("local"));
        assert_eq!(kind(json!({ "hostPath": { "path": "/disk" } })).as_deref(), Some("hostPath"));
        let term = |key: &str| {
            json!({ "csi": {}, "nodeAffinity": { "required": { "nodeSelectorTerms": [
            { "matchExpressions": [{ "key": key, "operator": "In", "values": ["n1"] }] }] } } })
        };
        assert_eq!(kind(term("kubernetes.io/hostname")).as_deref(), Some("bound to its node"));
        assert_eq!(kind(term("topology.kubernetes.io/zone")), None);
    }
}
