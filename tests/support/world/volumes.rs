//! Storage of the model world: classes, reclaim policies, claims that grow, and claims of nobody.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::server::{Answer, Request};
use super::{Asked, Cluster, Pod, World};

/// What becomes of volumes.
pub struct Volumes {
    /// `allowVolumeExpansion` of the class `standard`.
    pub expands: bool,
    /// Every claim is `ReadWriteOncePod`.
    pub one_pod: bool,
    /// Reclaim policy of every volume.
    pub reclaim: &'static str,
    /// Instead of 1Gi, in Gi: what is asked for, and what there is.
    pub sizes: BTreeMap<u32, (u64, u64)>,
    /// The storage cannot do it for this ordinal.
    pub infeasible: Option<u32>,
    /// It does nothing for this ordinal.
    pub stuck: Option<u32>,
    /// Ordinals whose file systems are still to grow: at the next look at the claim.
    pub growing: BTreeSet<u32>,
    /// Volumes without a single file.
    pub empty: BTreeSet<u32>,
    /// Whole claims that no set of this world makes.
    pub others: Vec<Value>,
    /// Pods that are no members: name and claim.
    pub guests: Vec<(String, String)>,
    /// Names of claims that were deleted, in order.
    pub deleted: Vec<String>,
}

impl Default for Volumes {
    fn default() -> Self {
        Self {
            expands: true,
            one_pod: false,
            reclaim: "Delete",
            sizes: BTreeMap::new(),
            infeasible: None,
            stuck: None,
            growing: BTreeSet::new(),
            empty: BTreeSet::new(),
            others: Vec::new(),
            guests: Vec::new(),
            deleted: Vec::new(),
        }
    }
}

impl Volumes {
    /// Gi of this ordinal: what is asked for, and what there is.
    pub fn size(&self, ordinal: u32) -> (u64, u64) {
        self.sizes.get(&ordinal).copied().unwrap_or((1, 1))
    }

    /// Puts the sizes into a claim.
    pub fn tell(&self, ordinal: u32, claim: &mut Value) {
        let (asked, has) = self.size(ordinal);
        claim["spec"]["resources"] = json!({ "requests": { "storage": format!("{asked}Gi") } });
        claim["spec"]["accessModes"] = json!([if self.one_pod { "ReadWriteOncePod" } else { "ReadWriteOnce" }]);
        claim["status"]["capacity"] = json!({ "storage": format!("{has}Gi") });
        if self.infeasible == Some(ordinal) && asked > has {
            claim["status"]["allocatedResourceStatuses"] = json!({ "storage": "ControllerResizeInfeasible" });
        } else if self.growing.contains(&ordinal) {
            claim["status"]["conditions"] = json!([{ "type": "FileSystemResizePending", "status": "True" }]);
        }
    }

    pub fn class(&self) -> Value {
        json!({ "metadata": { "name": "standard" }, "provisioner": "disk.example", "allowVolumeExpansion": self.expands })
    }

    pub fn guests(&self, namespace: &str) -> Vec<Value> {
        let pod = |(name, claim): &(String, String)| {
            json!({
                "metadata": { "name": name, "namespace": namespace, "uid": format!("uid-{name}"), "creationTimestamp": "2026-01-02T03:04:05Z" },
                "spec": { "nodeName": "n1", "containers": [], "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": claim } }] },
                "status": { "phase": "Running" },
            })
        };
        self.guests.iter().map(pod).collect()
    }
}

/// A claim that no set of this world makes.
pub fn claim(name: &str, labels: &Value) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "labels": labels },
        "spec": {
            "storageClassName": "standard", "volumeName": format!("pv-{name}"), "resources": { "requests": { "storage": "1Gi" } },
        },
        "status": { "phase": "Bound", "capacity": { "storage": "1Gi" } },
    })
}

/// Reads and changes of claims; `None`: something else is asked.
pub(super) fn answer(world: &mut World, asked: &Asked, request: &Request) -> Option<Answer> {
    let ("persistentvolumeclaims", Some(name)) = (asked.resource.as_str(), asked.name.as_deref()) else { return None };
    let (set, ordinal) = name.strip_prefix("data-")?.rsplit_once('-')?;
    let ordinal: u32 = ordinal.parse().ok()?;
    let cluster = world.clusters.iter_mut().find(|cluster| cluster.name == set)?;
    match asked.verb {
        "get" => {
            grow(&mut cluster.volumes, ordinal);
            None
        }
        "patch" => {
            let operations: Value = serde_json::from_slice(&request.body).unwrap();
            Some(patch(cluster, name, ordinal, &operations, request.query("dryRun").is_some()))
        }
        _ => None,
    }
}

/// What the driver and the kubelet do, one thing per look.
fn grow(volumes: &mut Volumes, ordinal: u32) {
    if volumes.growing.remove(&ordinal) || volumes.stuck == Some(ordinal) || volumes.infeasible == Some(ordinal) {
        return;
    }
    let (asked, has) = volumes.size(ordinal);
    if asked > has {
        volumes.sizes.insert(ordinal, (asked, asked));
        volumes.growing.insert(ordinal);
    }
}

fn patch(cluster: &mut Cluster, name: &str, ordinal: u32, operations: &Value, dry_run: bool) -> Answer {
    let claims = cluster.claims();
    let Some(before) = claims.iter().find(|claim| claim["metadata"]["name"] == name) else {
        return Answer::error(404, format!("persistentvolumeclaims \"{name}\" not found"));
    };
    let mut tests = 0;
    for operation in operations.as_array().unwrap() {
        let path = operation["path"].as_str().unwrap();
        match operation["op"].as_str().unwrap() {
            "test" if before.pointer(path) != Some(&operation["value"]) => {
                return Answer::error(422, "the server rejected our request due to an error in our request");
            }
            "test" => tests += 1,
            "replace" => {
                assert_eq!((path, tests), ("/spec/resources/requests/storage", 2), "a size is changed only as it was seen");
                if !cluster.volumes.expands {
                    let words = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
                    return Answer::error(403, format!("persistentvolumeclaims \"{name}\" is forbidden: {words}"));
                }
                let size: u64 = operation["value"].as_str().unwrap().strip_suffix("Gi").unwrap().parse().unwrap();
                let has = cluster.volumes.size(ordinal).1;
                if !dry_run {
                    cluster.volumes.sizes.insert(ordinal, (size, has));
                }
            }
            other => panic!("no operation of this world: {other}"),
        }
    }
    Answer::Json(before.clone())
}

/// A claim is deleted: at once if no pod of the set is there that keeps it.
pub(super) fn delete(cluster: &mut Cluster, name: &str, ordinal: u32) {
    cluster.volumes.deleted.push(name.to_owned());
    let member = cluster.member(ordinal);
    if member.pod == Pod::Absent {
        member.has_claim = false;
    } else {
        member.claim_deleted = true;
    }
}
