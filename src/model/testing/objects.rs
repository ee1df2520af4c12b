//! The Kubernetes objects of test snapshots.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{SET, noon};
use crate::model::kubernetes::{
    Claim, Container, ContainerState, Layout, Mount, Node, NodeReady, Pod, PodManagement, StatefulSet, UpdateStrategy,
    VolumeSource,
};
use crate::model::names::Ordinal;
use crate::model::operator::{ApiGroup, Condition, Mode, OperatorSpec, OperatorStatus, OperatorView};

pub(crate) fn pod(ordinal: u32) -> Pod {
    Pod {
        name: Ordinal(ordinal).pod(SET),
        uid: Uuid::from_u128(u128::from(ordinal) + 1).to_string(),
        created: noon(),
        deletion: None,
        deletion_grace: None,
        grace: Some(30),
        node: Some(format!("node-{ordinal}")),
        ip: Some(address(ordinal)),
        phase: "Running".to_owned(),
        ready: true,
        unscheduled: None,
        reason: None,
        revision: Some("db-6b7f".to_owned()),
        role: None,
        containers: vec![Container {
            name: "mariadb".to_owned(),
            image: "mariadb:10.11".to_owned(),
            image_id: "docker.io/library/mariadb@sha256:0123".to_owned(),
            ready: true,
            started: Some(true),
            restarts: 0,
            state: ContainerState::Running { since: Some(noon()) },
            last_end: None,
        }],
        init_containers: Vec::new(),
        claims: vec![format!("data-{SET}-{ordinal}")],
    }
}

pub(crate) fn stateful_set(replicas: u32) -> StatefulSet {
    StatefulSet {
        name: SET.to_owned(),
        namespace: "shop".to_owned(),
        uid: Uuid::from_u128(1000).to_string(),
        resource_version: "4711".to_owned(),
        created: Some(noon()),
        deletion: None,
        generation: 1,
        observed_generation: 1,
        replicas,
        start: 0,
        current_revision: "db-6b7f".to_owned(),
        update_revision: "db-6b7f".to_owned(),
        update_strategy: UpdateStrategy::RollingUpdate { partition: 0 },
        max_unavailable: None,
        pod_management: PodManagement::OrderedReady,
        deletes_claims_when_scaled: false,
        service_name: SET.to_owned(),
        selector: labels(),
        claim_templates: vec!["data".to_owned()],
        owner: None,
        layout: Layout {
            container: "mariadb".to_owned(),
            image: "mariadb:10.11".to_owned(),
            mounts: vec![Mount { path: "/var/lib/mysql".to_owned(), volume: "data".to_owned(), source: VolumeSource::Claim }],
            bootstrap_switches: Vec::new(),
            chart: None,
            galera_signs: Vec::new(),
            startup_probe: None,
            liveness_probe: None,
        },
    }
}

/// The view of the operator on a healthy cluster of [`SET`], without a mode of its own.
pub(crate) fn operator_view() -> OperatorView {
    let condition = |name: &str, reason: &str, message: &str| Condition {
        name: name.to_owned(),
        holds: Some(true),
        reason: reason.to_owned(),
        message: message.to_owned(),
        since: Some(noon()),
    };
    OperatorView {
        group: ApiGroup::MariaDb,
        name: SET.to_owned(),
        namespace: "shop".to_owned(),
        uid: Uuid::from_u128(2000).to_string(),
        generation: 1,
        deletion: None,
        spec: OperatorSpec {
            image: Some("mariadb:10.11".to_owned()),
            replicas: 3,
            suspended: false,
            update_strategy: Some("ReplicasFirstPrimaryLast".to_owned()),
            partition: None,
            mode: Mode::Replication,
            primary_index: Some(Ordinal(0)),
            auto_failover: Some(true),
            recovery_enabled: None,
            force_bootstrap_in: None,
            min_cluster_size: None,
            max_scale: None,
            data_plane_image: Some("ghcr.io/mariadb-operator/mariadb-operator:26.10.1".to_owned()),
            seeds_from: None,
        },
        status: OperatorStatus {
            conditions: vec![condition("Ready", "StatefulSetReady", "Running"), condition("Updated", "Updated", "Updated")],
            current_primary: Some(Ordinal(0).pod(SET)),
            current_primary_index: Some(Ordinal(0)),
            roles: (0..3)
                .map(|ordinal| (Ordinal(ordinal).pod(SET), if ordinal == 0 { "Primary" } else { "Replica" }.to_owned()))
                .collect(),
            ..OperatorStatus::default()
        },
    }
}

pub(crate) fn claim(ordinal: u32) -> Claim {
    Claim {
        name: format!("data-{SET}-{ordinal}"),
        uid: Uuid::from_u128(u128::from(ordinal) + 100).to_string(),
        phase: "Bound".to_owned(),
        deletion: None,
        deleted_with: None,
        capacity: Some("10Gi".to_owned()),
        storage_class: Some("standard".to_owned()),
        access_modes: vec!["ReadWriteOnce".to_owned()],
        volume: Some(format!("pv-{ordinal}")),
        node: None,
        provisioner: None,
    }
}

pub(crate) fn node(ordinal: u32) -> Node {
    Node { name: format!("node-{ordinal}"), ready: NodeReady::Yes, cordoned: false, taints: Vec::new() }
}

pub(crate) fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("app".to_owned(), SET.to_owned())])
}

/// The addresses of the recorded nodes n1, n2, n3.
pub(crate) fn address(ordinal: u32) -> String {
    format!("127.0.0.{}", 11 + ordinal)
}
