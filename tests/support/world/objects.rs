//! The objects of the model world, as the API server writes them.

use serde_json::{Value, json};

use super::{Cluster, Engine, Node, Pod};

pub(super) const CREATED: &str = "2026-01-02T03:04:05Z";

impl Cluster {
    pub fn stateful_set(&self) -> Value {
        let mut container = json!({
            "name": "mariadb", "image": self.image, "args": self.args,
            "ports": [{ "containerPort": 3306 }],
            "volumeMounts": [{ "name": "data", "mountPath": "/var/lib/mysql" }],
        });
        if matches!(self.engine, Engine::Galera(_)) {
            container["ports"] = json!([{ "containerPort": 3306 }, { "containerPort": 4567 }]);
        }
        let ordinals = json!({ "start": self.controller.start });
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {
                "name": self.name, "namespace": self.namespace, "uid": self.uid(), "resourceVersion": "100",
                "generation": self.generation(), "creationTimestamp": CREATED, "labels": self.controller.labels.as_object().cloned().unwrap_or_default(),
                "ownerReferences": self.operator.iter().map(|operator| operator.owner(&self.name)).collect::<Vec<_>>(),
            },
            "spec": {
                "replicas": self.replicas, "serviceName": self.name, "ordinals": ordinals,
                "podManagementPolicy": if self.controller.ordered { "OrderedReady" } else { "Parallel" },
                "persistentVolumeClaimRetentionPolicy": {
                    "whenScaled": if self.controller.deletes_claims { "Delete" } else { "Retain" }, "whenDeleted": "Retain",
                },
                "selector": { "matchLabels": { "app": self.name } },
                "updateStrategy": self.update_strategy(),
                "template": { "metadata": { "labels": { "app": self.name } }, "spec": { "containers": [container] } },
                "volumeClaimTemplates": [{
                    "metadata": { "name": "data" }, "spec": { "resources": { "requests": { "storage": "1Gi" } } },
                }],
            },
            "status": {
                "observedGeneration": self.observed_generation(), "replicas": self.replicas,
                "currentRevision": self.current_revision(), "updateRevision": self.update_revision(),
            },
        })
    }

    fn uid(&self) -> String {
        format!("uid-{}-{}", self.namespace, self.name)
    }

    pub fn pods(&self) -> Vec<Value> {
        let own = self.members.keys().filter_map(|ordinal| self.pod_object(*ordinal)).chain(self.founder());
        own.chain(self.volumes.guests(&self.namespace)).collect()
    }

    pub(super) fn pod_object(&self, ordinal: u32) -> Option<Value> {
        let member = &self.members[&ordinal];
        let (phase, state, ready, node) = match &member.pod {
            Pod::Absent => return None,
            Pod::Pending(_) => ("Pending", Value::Null, false, false),
            Pod::Waiting { reason, message } => {
                ("Running", json!({ "waiting": { "reason": reason, "message": message } }), false, true)
            }
            Pod::Running { .. } if self.is_killed(ordinal) => {
                ("Running", json!({ "terminated": { "exitCode": 137, "reason": "Error" } }), false, true)
            }
            Pod::Running { ready } => ("Running", json!({ "running": { "startedAt": CREATED } }), *ready, true),
        };
        let (name, image) = (self.pod(ordinal), self.image_of(ordinal));
        let uid = uid(&name, member.remade);
        let mut conditions = vec![json!({ "type": "Ready", "status": if ready { "True" } else { "False" } })];
        if let Pod::Pending(message) = &member.pod {
            conditions.push(json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message }));
        }
        let last = match &member.pod {
            // As the kubelet tells it of a container that waits for its next start.
            Pod::Waiting { reason: "CrashLoopBackOff", .. } => json!({ "terminated": { "exitCode": 1, "reason": "Error" } }),
            _ => json!({}),
        };
        let statuses = if node {
            json!([{ "name": "mariadb", "image": image, "imageID": format!("{image}@sha256:1"), "ready": ready,
                "restartCount": member.restarts, "state": state, "lastState": last }])
        } else {
            json!([])
        };
        Some(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": self.namespace, "uid": uid,
                "creationTimestamp": self.pod_created(ordinal),
                "deletionTimestamp": self.is_leaving(ordinal).then_some("2026-01-02T04:00:00Z"),
                "deletionGracePeriodSeconds": self.is_leaving(ordinal).then_some(30),
                "labels": {
                    "app": self.name, "controller-revision-hash": self.revision_of(ordinal), "statefulset.kubernetes.io/pod-name": name,
                },
                "ownerReferences": [{ "kind": "StatefulSet", "name": self.name, "uid": self.uid(), "controller": true }],
            },
            "spec": {
                "nodeName": node.then(|| member.node.clone()), "terminationGracePeriodSeconds": 30,
                "containers": [{ "name": "mariadb", "image": image }],
                "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": self.claim(ordinal) } }],
            },
            "status": {
                "phase": phase, "podIP": node.then(|| self.ip(ordinal)), "conditions": conditions, "containerStatuses": statuses,
            },
        }))
    }

    fn claim(&self, ordinal: u32) -> String {
        format!("data-{}", self.pod(ordinal))
    }

    pub fn claims(&self) -> Vec<Value> {
        let claim = |(ordinal, member): (&u32, &super::Member)| {
            let name = self.claim(*ordinal);
            let deletion = member.claim_deleted.then_some("2026-01-03T00:00:00Z");
            let annotations = member.claim_node.map(|node| {
                json!({ "volume.kubernetes.io/selected-node": node, "volume.kubernetes.io/storage-provisioner": "local.example" })
            });
            let mut claim = json!({
                "metadata": {
                    "name": name, "namespace": self.namespace, "uid": uid(&name, member.claims_remade), "creationTimestamp": CREATED,
                    "deletionTimestamp": deletion, "annotations": annotations.unwrap_or_else(|| json!({})),
                },
                "spec": { "storageClassName": "standard", "volumeName": format!("pv-{name}") },
                "status": { "phase": "Bound" },
            });
            for (key, value) in self.seeding.made.get(ordinal).and_then(Value::as_object).into_iter().flatten() {
                claim["metadata"]["annotations"][key] = value.clone();
            }
            self.volumes.tell(*ordinal, &mut claim);
            claim
        };
        let own = self.members.iter().filter(|(_, member)| member.has_claim).map(claim);
        own.chain(self.volumes.others.iter().cloned()).collect()
    }

    /// Volumes on the disks of the nodes.
    pub fn volumes(&self) -> Vec<Value> {
        let mut lies =
            if self.controller.network_volumes { json!({ "csi": {} }) } else { json!({ "local": { "path": "/disk" } }) };
        lies["persistentVolumeReclaimPolicy"] = json!(self.volumes.reclaim);
        let volume = |ordinal: &u32| json!({ "metadata": { "name": format!("pv-{}", self.claim(*ordinal)) }, "spec": lies });
        self.members.keys().map(volume).collect()
    }

    pub fn budgets(&self) -> Vec<Value> {
        vec![json!({
            "metadata": { "name": self.name, "namespace": self.namespace, "generation": 1 },
            "spec": { "maxUnavailable": 1, "selector": { "matchLabels": { "app": self.name } } },
            "status": { "disruptionsAllowed": self.disruptions_allowed, "observedGeneration": 1 },
        })]
    }

    /// The pod that the Service for clients leads to. `None`: all of them.
    fn clients_pod(&self) -> Option<String> {
        self.clients.map(|ordinal| self.pod(ordinal))
    }

    /// Leads clients to another pod, by JSON-patch operations. `None`: a test does not hold.
    pub(super) fn patch_service(&mut self, name: &str, operations: &Value, dry_run: bool) -> Option<Value> {
        const SELECTED: &str = "/spec/selector/statefulset.kubernetes.io~1pod-name";
        let service = |cluster: &Self| cluster.services().into_iter().find(|service| service["metadata"]["name"] == name);
        let before = (service(self)?, self.clients);
        let mut tested = false;
        for operation in operations.as_array().unwrap() {
            let (path, value) = (operation["path"].as_str().unwrap(), &operation["value"]);
            match (operation["op"].as_str().unwrap(), path) {
                ("test", path) if before.0.pointer(path) != Some(value) => return None,
                ("test", path) => tested |= path == SELECTED,
                ("replace", SELECTED) => {
                    let selected = self.members.keys().copied().find(|ordinal| *value == self.pod(*ordinal));
                    self.clients = Some(selected.expect("a pod of this set"));
                }
                other => panic!("no operation of this world: {other:?}"),
            }
        }
        assert!(tested, "a change must test what it was made for: {operations}");
        let after = service(self);
        if dry_run {
            self.clients = before.1;
        }
        after
    }

    /// The headless Service of the set, and one for clients.
    pub fn services(&self) -> Vec<Value> {
        let service = |name: String, headless: bool| {
            let mut selector = json!({ "app": self.name });
            if let Some(pod) = self.clients_pod().filter(|_| !headless) {
                selector["statefulset.kubernetes.io/pod-name"] = json!(pod);
            }
            json!({
                "metadata": { "name": name, "namespace": self.namespace, "uid": format!("uid-{name}"), "creationTimestamp": CREATED },
                "spec": {
                    "clusterIP": if headless { "None" } else { "10.96.0.10" }, "selector": selector,
                    "publishNotReadyAddresses": headless,
                },
            })
        };
        vec![service(self.name.clone(), true), service(format!("{}-sql", self.name), false)]
    }

    pub fn endpoint_slices(&self) -> Vec<Value> {
        let endpoints: Vec<Value> = self
            .members
            .iter()
            .filter(|(_, member)| !matches!(member.pod, Pod::Absent | Pod::Pending(_)))
            .filter(|(ordinal, _)| self.clients_pod().is_none_or(|pod| pod == self.pod(**ordinal)))
            .map(|(ordinal, member)| {
                json!({
                    "addresses": [self.ip(*ordinal)], "conditions": { "ready": member.pod == Pod::Running { ready: true } },
                    "targetRef": { "kind": "Pod", "name": self.pod(*ordinal), "namespace": self.namespace },
                })
            })
            .collect();
        let service = format!("{}-sql", self.name);
        vec![json!({
            "metadata": {
                "name": format!("{service}-abc"), "namespace": self.namespace, "uid": format!("uid-{service}-abc"),
                "labels": { "kubernetes.io/service-name": service },
            },
            "addressType": "IPv4", "endpoints": endpoints,
        })]
    }

    pub fn events(&self) -> Vec<Value> {
        let event = |(object, reason, message): &(String, &str, &str)| {
            let (kind, name) = object.split_once('/').expect("KIND/NAME");
            json!({
                "metadata": { "name": format!("{name}.1"), "namespace": self.namespace }, "type": "Warning", "reason": reason,
                "message": message, "count": 1, "lastTimestamp": CREATED, "involvedObject": { "kind": kind, "name": name },
            })
        };
        self.warnings.iter().map(event).collect()
    }
}

fn uid(name: &str, remade: u32) -> String {
    if remade == 0 { format!("uid-{name}") } else { format!("uid-{name}-{remade}") }
}

impl Node {
    pub fn object(&self, name: &str) -> Value {
        let (status, reason) = match self {
            Self::Ready => ("True", "KubeletReady"),
            Self::NotReady => ("False", "KubeletNotReady"),
            Self::Silent => ("Unknown", "NodeStatusUnknown"),
        };
        json!({
            "metadata": {
                "name": name, "uid": format!("uid-{name}"), "creationTimestamp": CREATED,
                "labels": { "topology.kubernetes.io/zone": format!("zone-{name}") },
            },
            "spec": {},
            "status": { "conditions": [{ "type": "Ready", "status": status, "reason": reason, "message": "as the test says",
                "lastTransitionTime": CREATED }] },
        })
    }
}

/// The Deployment of a mariadb-operator, as its chart makes it.
pub fn operator(image: &str) -> Value {
    json!({
        "metadata": {
            "namespace": "ops", "name": "mariadb-operator", "labels": { "app.kubernetes.io/name": "mariadb-operator" },
        },
        "spec": { "template": { "spec": { "containers": [{ "name": "controller", "image": image }] } } },
    })
}
