//! An object of mariadb-operator 25.10, as its documents show it; everything else is made by the operator.

use serde_json::{Value, json};

use super::{DATABASE, DATADIR, Kind, Layout, NAME, PASSWORDS, SMALL_SERVER, Shape, WRITER, resources};

pub(super) const LAYOUT: Layout = Layout { container: "mariadb", claim: "storage", datadir: DATADIR, port: 3306, first: 0 };

pub(super) fn objects(shape: &Shape) -> Vec<Value> {
    let password = |key: &str| json!({"name": PASSWORDS, "key": key, "generate": false});
    let mut object = json!({
        "apiVersion": "k8s.mariadb.com/v1alpha1", "kind": "MariaDB", "metadata": {"name": NAME},
        "spec": {
            "image": format!("bed.local/mariadb:{}", shape.version),
            "imagePullPolicy": "IfNotPresent",
            "replicas": shape.members,
            "rootPasswordSecretKeyRef": password("root"),
            "database": DATABASE,
            "username": WRITER,
            "passwordSecretKeyRef": password("writer"),
            "storage": {"size": shape.size, "storageClassName": shape.storage_class},
            "affinity": {"antiAffinityEnabled": true},
            "resources": resources(),
            "myCnf": format!("[mariadb]\n{SMALL_SERVER}"),
            // The operator keeps its own delay of 20 s unless it is given a longer one than 0.
            "startupProbe": {"initialDelaySeconds": 1, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 240},
            "readinessProbe": {"initialDelaySeconds": 1, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 2},
            "livenessProbe": {"initialDelaySeconds": 1, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        },
    });
    let agent = json!({"resources": {"requests": {"cpu": "5m", "memory": "16Mi"}}});
    if shape.kind == Kind::Galera {
        object["spec"]["galera"] = json!({"enabled": true, "agent": agent, "providerOptions": {"gcache.size": "32M"}});
    } else {
        object["spec"]["replication"] = json!({
            "enabled": true,
            "agent": agent,
            "replica": {"replPasswordSecretKeyRef": password("replication"), "connectionRetrySeconds": 2},
            // A switchover waits this long for a replica that it has not attached yet.
            "semiSyncAckTimeout": "500ms",
        });
    }
    vec![object]
}
