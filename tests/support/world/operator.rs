//! Objects of mariadb-operator, with the fields that 25.10.4 writes.

use serde_json::{Value, json};

use super::{Cluster, Engine};

const SINCE: &str = "2026-01-02T03:05:00Z";
const UID: &str = "uid-mariadb";

/// What the operator was told and believes of a cluster, as the API server has it; a test writes into it what it wants.
pub struct Operator {
    /// `k8s.mariadb.com` …
    pub group: &'static str,
    /// `spec` and `status` of the `MariaDB` object.
    pub spec: Value,
    pub status: Value,
    /// Whole `Backup` objects.
    pub backups: Vec<Value>,
    pub physical_backups: Vec<Value>,
    pub jobs: Vec<Value>,
    /// The StatefulSet has not been made.
    pub without_set: bool,
}

impl Operator {
    /// Ready, with the primary that the servers have.
    pub(super) fn content(cluster: &Cluster) -> Self {
        let image = "ghcr.io/mariadb-operator/mariadb-operator:26.10.1";
        let mode = json!({ "enabled": true, "primary": { "podIndex": 0, "autoFailover": true }, "agent": { "image": image } });
        let mut spec = json!({
            "image": cluster.image, "replicas": cluster.replicas, "suspend": false,
            "updateStrategy": { "type": "ReplicasFirstPrimaryLast" },
        });
        let mut status = json!({
            "conditions": [condition("Ready", "True", "StatefulSetReady", "Running"), condition("Updated", "True", "Updated", "Updated")],
            "currentPrimary": cluster.pod(0), "currentPrimaryPodIndex": 0, "replicas": cluster.replicas,
        });
        match &cluster.engine {
            Engine::Galera(_) => {
                spec["galera"] = mode;
                spec["galera"]["recovery"] = json!({ "enabled": true, "minClusterSize": 1 });
                let ready = condition("GaleraReady", "True", "GaleraReady", "Galera ready");
                status["conditions"].as_array_mut().unwrap().push(ready);
            }
            Engine::Gtid(_) if cluster.replicas > 1 => {
                spec["replication"] = mode;
                let role = |ordinal| if ordinal == 0 { "Primary" } else { "Replica" };
                status["replication"]["roles"] =
                    cluster.members.keys().map(|ordinal| (cluster.pod(*ordinal), json!(role(*ordinal)))).collect();
            }
            Engine::Gtid(_) => {}
        }
        Self {
            group: "k8s.mariadb.com",
            spec,
            status,
            backups: Vec::new(),
            physical_backups: Vec::new(),
            jobs: Vec::new(),
            without_set: false,
        }
    }

    /// Replaces a condition, or adds it.
    pub fn condition(&mut self, name: &str, holds: &str, reason: &str, message: &str) {
        let conditions = self.status["conditions"].as_array_mut().unwrap();
        conditions.retain(|condition| condition["type"] != name);
        conditions.push(condition(name, holds, reason, message));
    }

    /// The owner reference of what it makes.
    pub(super) fn owner(&self, name: &str) -> Value {
        json!({ "apiVersion": format!("{}/v1alpha1", self.group), "kind": "MariaDB", "name": name, "uid": UID, "controller": true })
    }
}

fn condition(name: &str, holds: &str, reason: &str, message: &str) -> Value {
    json!({ "type": name, "status": holds, "reason": reason, "message": message, "lastTransitionTime": SINCE })
}

impl Cluster {
    pub(super) fn operator_objects(&self, resource: &str) -> Vec<Value> {
        let Some(operator) = &self.operator else { return Vec::new() };
        match resource {
            "mariadbs" => vec![json!({
                "apiVersion": format!("{}/v1alpha1", operator.group), "kind": "MariaDB",
                "metadata": { "name": self.name, "namespace": self.namespace, "uid": UID, "generation": 1, "creationTimestamp": SINCE },
                "spec": operator.spec, "status": operator.status,
            })],
            "backups" => operator.backups.clone(),
            "physicalbackups" => operator.physical_backups.clone(),
            _ => Vec::new(),
        }
    }
}
