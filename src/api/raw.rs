//! The part of each Kubernetes object that is read, as the API server writes it, and its way into `model`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::model::kubernetes as model;

use super::layout::{self, PodTemplate};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
    generation: i64,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<Timestamp>,
    deletion_grace_period_seconds: Option<i64>,
    labels: BTreeMap<String, String>,
    annotations: Annotations,
    owner_references: Vec<OwnerReference>,
}

/// The few annotations that are read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "volume.kubernetes.io/selected-node")]
    volume_node: Option<String>,
    #[serde(rename = "volume.kubernetes.io/storage-provisioner")]
    provisioner: Option<String>,
}

impl Metadata {
    /// Namespace and name.
    pub(super) fn place(self) -> (String, String) {
        (self.namespace, self.name)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnerReference {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
    uid: String,
    #[serde(default)]
    controller: bool,
}

impl Metadata {
    fn take_controller(&mut self) -> Option<model::Owner> {
        let owner = std::mem::take(&mut self.owner_references).into_iter().find(|owner| owner.controller)?;
        Some(model::Owner { api_version: owner.api_version, kind: owner.kind, name: owner.name, uid: owner.uid })
    }
}

#[derive(Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    pub metadata: Metadata,
}

impl Named {
    pub(super) fn name(&self) -> &str {
        &self.metadata.name
    }
}

#[derive(Deserialize)]
pub(super) struct StatefulSet {
    metadata: Metadata,
    spec: StatefulSetSpec,
    #[serde(default)]
    status: StatefulSetStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StatefulSetSpec {
    replicas: Option<u32>,
    ordinals: Ordinals,
    service_name: String,
    selector: Selector,
    pod_management_policy: String,
    update_strategy: UpdateStrategy,
    persistent_volume_claim_retention_policy: Retention,
    volume_claim_templates: Vec<Named>,
    template: PodTemplate,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ordinals {
    start: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Selector {
    match_labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UpdateStrategy {
    r#type: String,
    rolling_update: Option<RollingUpdate>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RollingUpdate {
    partition: u32,
    /// A number or a text.
    max_unavailable: Option<serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Retention {
    when_scaled: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StatefulSetStatus {
    observed_generation: i64,
    current_revision: String,
    update_revision: String,
}

impl StatefulSet {
    /// `None`: it does not run MariaDB.
    pub(super) fn into_model(self) -> Option<model::StatefulSet> {
        let Self { mut metadata, spec, status } = self;
        let claim_templates: Vec<String> = spec.volume_claim_templates.iter().map(|claim| claim.name().to_owned()).collect();
        let layout = layout::resolve(&spec.template, &claim_templates, &metadata.labels)?;
        let rolling = spec.update_strategy.rolling_update.unwrap_or_default();
        let max_unavailable = rolling.max_unavailable.map(|most| most.as_str().map_or_else(|| most.to_string(), str::to_owned));
        let update_strategy = if spec.update_strategy.r#type == "OnDelete" {
            model::UpdateStrategy::OnDelete
        } else {
            model::UpdateStrategy::RollingUpdate { partition: rolling.partition }
        };
        let parallel = spec.pod_management_policy == "Parallel";
        Some(model::StatefulSet {
            owner: metadata.take_controller(),
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            created: metadata.creation_timestamp,
            deletion: metadata.deletion_timestamp,
            generation: metadata.generation,
            observed_generation: status.observed_generation,
            // The API server writes the default, 1, into every object.
            replicas: spec.replicas.unwrap_or(1),
            start: spec.ordinals.start,
            current_revision: status.current_revision,
            update_revision: status.update_revision,
            update_strategy,
            max_unavailable,
            pod_management: if parallel { model::PodManagement::Parallel } else { model::PodManagement::OrderedReady },
            deletes_claims_when_scaled: spec.persistent_volume_claim_retention_policy.when_scaled == "Delete",
            service_name: spec.service_name,
            selector: spec.selector.match_labels,
            claim_templates,
            layout,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Claim {
    metadata: Metadata,
    #[serde(default)]
    spec: ClaimSpec,
    #[serde(default)]
    status: ClaimStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimSpec {
    access_modes: Vec<String>,
    storage_class_name: Option<String>,
    volume_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClaimStatus {
    phase: String,
    capacity: BTreeMap<String, String>,
}

impl Claim {
    pub(super) fn into_model(self) -> Option<(String, model::Claim)> {
        let Self { metadata, spec, mut status } = self;
        let pod = metadata.owner_references.iter().find(|owner| owner.kind == "Pod");
        let claim = model::Claim {
            name: metadata.name,
            uid: metadata.uid,
            phase: status.phase,
            deletion: metadata.deletion_timestamp,
            deleted_with: pod.map(|pod| pod.name.clone()),
            capacity: status.capacity.remove("storage"),
            storage_class: spec.storage_class_name,
            access_modes: spec.access_modes,
            volume: spec.volume_name.filter(|name| !name.is_empty()),
            node: metadata.annotations.volume_node,
            provisioner: metadata.annotations.provisioner,
        };
        Some((metadata.namespace, claim))
    }
}

#[derive(Deserialize)]
pub(super) struct Node {
    metadata: Metadata,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    unschedulable: bool,
    taints: Vec<Taint>,
}

#[derive(Deserialize)]
struct Taint {
    key: String,
    #[serde(default)]
    value: String,
    effect: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Condition {
    pub r#type: String,
    pub status: String,
    pub reason: String,
    pub message: String,
    pub last_transition_time: Option<Timestamp>,
}

impl Condition {
    /// `reason: message`, or what of it there is.
    pub(super) fn words(&self) -> String {
        let said = [self.reason.as_str(), self.message.as_str()].into_iter().filter(|text| !text.is_empty());
        said.collect::<Vec<_>>().join(": ")
    }
}

impl Node {
    pub(super) fn into_model(self) -> model::Node {
        let ready = self.status.conditions.iter().find(|condition| condition.r#type == "Ready");
        let ready = match ready.map(|condition| (condition.status.as_str(), condition)) {
            Some(("True", _)) => model::NodeReady::Yes,
            Some(("False", condition)) => model::NodeReady::No(condition.words()),
            Some((_, condition)) => model::NodeReady::Silent { since: condition.last_transition_time },
            None => model::NodeReady::Silent { since: None },
        };
        let taints = self.spec.taints.iter().map(|taint| match taint.value.as_str() {
            "" => format!("{}:{}", taint.key, taint.effect),
            value => format!("{}={value}:{}", taint.key, taint.effect),
        });
        model::Node { ready, cordoned: self.spec.unschedulable, taints: taints.collect(), name: self.metadata.name }
    }
}

#[derive(Deserialize)]
pub(super) struct Service {
    metadata: Metadata,
    #[serde(default)]
    spec: ServiceSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    selector: BTreeMap<String, String>,
    publish_not_ready_addresses: bool,
}

impl Service {
    pub(super) fn into_model(self) -> Option<(String, model::Service)> {
        let service = model::Service {
            name: self.metadata.name,
            headless: self.spec.cluster_ip == "None",
            selector: self.spec.selector,
            publishes_not_ready: self.spec.publish_not_ready_addresses,
        };
        Some((self.metadata.namespace, service))
    }
}

#[derive(Deserialize)]
pub(super) struct EndpointSlice {
    metadata: Metadata,
    // Written as null when there is none.
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(default)]
    conditions: EndpointConditions,
    target_ref: Option<Reference>,
}

#[derive(Default, Deserialize)]
struct EndpointConditions {
    ready: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    kind: String,
    name: String,
}

impl EndpointSlice {
    /// `None`: it belongs to no Service.
    pub(super) fn into_model(mut self) -> Option<(String, model::EndpointSlice)> {
        let service = self.metadata.labels.remove("kubernetes.io/service-name")?;
        let endpoints = self.endpoints.unwrap_or_default().into_iter().filter_map(|endpoint| {
            let target = endpoint.target_ref.filter(|target| target.kind == "Pod")?;
            // The API says to read an absent `ready` as true.
            Some((target.name, endpoint.conditions.ready.unwrap_or(true)))
        });
        Some((self.metadata.namespace, model::EndpointSlice { service, endpoints: endpoints.collect() }))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    metadata: Metadata,
    #[serde(default)]
    involved_object: Reference,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    count: Option<u32>,
    last_timestamp: Option<Timestamp>,
    event_time: Option<Timestamp>,
    series: Option<Series>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    count: Option<u32>,
    last_observed_time: Option<Timestamp>,
}

impl Event {
    pub(super) fn into_model(self) -> Option<(String, model::Event)> {
        let series = self.series.as_ref();
        let event = model::Event {
            object: format!("{}/{}", self.involved_object.kind, self.involved_object.name),
            reason: self.reason,
            message: self.message,
            count: series.and_then(|series| series.count).or(self.count).unwrap_or(1),
            last: series.and_then(|series| series.last_observed_time).or(self.last_timestamp).or(self.event_time),
        };
        Some((self.metadata.namespace, event))
    }
}

mod operator;
mod pod;
pub(super) use operator::{Backup, Job, MariaDb};
pub(super) use pod::Pod;
