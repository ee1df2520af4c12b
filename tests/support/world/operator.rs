//! Objects of mariadb-operator, with the fields that 25.10.4 writes.

use serde_json::{Value, json};

use super::scaling::Scaling;
use super::{Cluster, Engine, Pod};

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
    /// Without it the object stays as a test has written it.
    pub acts: bool,
    /// Whom it bootstraps when nobody forces it.
    pub chooses: u32,
    /// Pods it has bootstrapped so far.
    pub bootstrapped: Vec<u32>,
    /// How far it is with a replica more.
    pub scaling: Scaling,
    /// The backup that it takes for a new replica fails.
    pub backup_fails: bool,
    generation: u64,
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
            acts: false,
            chooses: 0,
            bootstrapped: Vec::new(),
            scaling: Scaling::Rests,
            backup_fails: false,
            generation: 1,
        }
    }

    /// Replaces a condition, or adds it.
    pub fn condition(&mut self, name: &str, holds: &str, reason: &str, message: &str) {
        let conditions = self.status["conditions"].as_array_mut().unwrap();
        conditions.retain(|condition| condition["type"] != name);
        conditions.push(condition(name, holds, reason, message));
    }

    fn suspended(&self) -> bool {
        self.spec["suspend"] == true
    }

    pub(super) fn denies(&self, name: &str) -> bool {
        let mut conditions = self.status["conditions"].as_array().unwrap().iter();
        conditions.any(|condition| condition["type"] == name && condition["status"] == "False")
    }

    fn finds_galera_lost(&mut self) {
        self.status["galeraRecovery"] = Value::Null;
        self.condition("GaleraReady", "False", "GaleraNotReady", "Galera not ready");
    }

    /// Applies JSON-patch operations to the spec; `None`: a test does not hold.
    fn patch(&mut self, operations: &Value) -> Option<()> {
        let operations = operations.as_array().unwrap();
        let now = json!({ "metadata": { "uid": UID, "generation": self.generation }, "spec": self.spec });
        let tests: Vec<&Value> = operations.iter().filter(|operation| operation["op"] == "test").collect();
        assert!(tests.len() >= 2, "a change must test what it was made for: {operations:?}");
        let holds = |test: &&Value| now.pointer(test["path"].as_str().unwrap()) == Some(&test["value"]);
        if !tests.iter().all(holds) {
            return None;
        }
        for operation in operations.iter().filter(|operation| operation["op"] != "test") {
            let (parent, field) = operation["path"].as_str().unwrap().strip_prefix("/spec").unwrap().rsplit_once('/').unwrap();
            let parent = self.spec.pointer_mut(parent).expect("the parent is there").as_object_mut().unwrap();
            match operation["op"].as_str() {
                Some("add") => drop(parent.insert(field.to_owned(), operation["value"].clone())),
                Some("remove") => assert!(parent.remove(field).is_some(), "there is no {field}"),
                other => panic!("no operation of this world: {other:?}"),
            }
        }
        self.generation += 1;
        Some(())
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
    /// The same, managed by an operator that reconciles.
    pub fn operated(self) -> Self {
        let mut cluster = self.managed();
        cluster.operator().acts = true;
        cluster.rolling.on_delete = true;
        cluster
    }

    /// Somebody changes the object.
    pub fn tell_operator(&mut self, change: impl FnOnce(&mut Value)) {
        let operator = self.operator();
        change(&mut operator.spec);
        operator.generation += 1;
    }

    /// `None`: a test of the patch does not hold.
    pub(super) fn patch_operator(&mut self, operations: &Value, dry_run: bool) -> Option<Value> {
        let operator = self.operator();
        let before = (operator.spec.clone(), operator.generation);
        operator.patch(operations)?;
        let object = self.operator_objects("mariadbs").remove(0);
        if dry_run {
            let operator = self.operator();
            (operator.spec, operator.generation) = before;
        }
        Some(object)
    }

    /// One thing that the operator does: the number of pods, then a recovery where no server is Primary.
    pub(super) fn tick_operator(&mut self) {
        if !self.operator.as_ref().is_some_and(|operator| operator.acts) {
            return;
        }
        if matches!(self.engine, Engine::Gtid(_)) {
            self.tick_replicas();
            return;
        }
        let lost = self.as_galera().primaries().is_empty();
        let operator = self.operator();
        if operator.suspended() {
            operator.condition("Ready", "False", "Suspended", "Suspended");
            // The health of Galera is watched by another part of it, which knows no suspension.
            if lost {
                operator.finds_galera_lost();
            }
            return;
        }
        let spec = operator.spec.clone();
        if self.pass_on(&spec) {
            return;
        }
        let operator = self.operator();
        let replicas = u32::try_from(operator.spec["replicas"].as_u64().unwrap()).unwrap();
        let force = operator.spec["galera"]["recovery"]["forceClusterBootstrapInPod"].as_str();
        let force = force.map(|pod| pod.rsplit('-').next().unwrap().parse().unwrap());
        let (chosen, recovers) = (force.unwrap_or(operator.chooses), operator.spec["galera"]["recovery"]["enabled"] == true);
        let (denies, all) = (operator.denies("GaleraReady"), 0..replicas);
        if self.replicas != replicas {
            self.scale_from_outside(replicas);
            return;
        }
        let serving = all.clone().filter(|ordinal| self.as_galera().serves(*ordinal)).count();
        let running = all.clone().all(|ordinal| matches!(self.members[&ordinal].pod, Pod::Running { .. }));
        let is_whole = serving == replicas as usize;
        let pod = self.pod(chosen);
        let operator = self.operator();
        if lost && recovers && !denies {
            operator.finds_galera_lost();
            operator.condition("Ready", "False", "GaleraNotReady", "Galera not ready");
        } else if denies && !lost && force.is_none() && operator.status["galeraRecovery"]["bootstrap"].is_null() {
            // It reads positions, whole or not.
            self.scale_from_outside(0);
        } else if lost && recovers && running {
            operator.bootstrapped.push(chosen);
            operator.status["galeraRecovery"] = json!({ "bootstrap": { "pod": pod, "time": SINCE } });
            self.as_galera().kill(&[chosen]);
            self.as_galera().mark_safe(chosen);
            self.as_galera().found(chosen, true);
        } else if let Some(other) =
            all.clone().find(|ordinal| !self.as_galera().serves(*ordinal)).filter(|_| denies && !lost && running)
        {
            self.as_galera().kill(&[other]);
            self.as_galera().start(other);
        } else if is_whole {
            if force.is_some() && denies {
                self.as_galera().mark_safe(chosen);
            }
            let operator = self.operator();
            operator.condition("GaleraReady", "True", "GaleraReady", "Galera ready");
            operator.condition("Ready", "True", "StatefulSetReady", "Running");
        }
    }

    pub(super) fn operator_objects(&self, resource: &str) -> Vec<Value> {
        let Some(operator) = &self.operator else { return Vec::new() };
        match resource {
            "mariadbs" => vec![json!({
                "apiVersion": format!("{}/v1alpha1", operator.group), "kind": "MariaDB",
                "metadata": { "name": self.name, "namespace": self.namespace, "uid": UID, "generation": operator.generation, "creationTimestamp": SINCE },
                "spec": operator.spec, "status": operator.status,
            })],
            "backups" => operator.backups.clone(),
            "physicalbackups" => operator.physical_backups.clone(),
            _ => Vec::new(),
        }
    }
}
