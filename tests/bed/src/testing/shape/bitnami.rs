//! A StatefulSet like the one that Bitnami's mariadb-galera chart renders: its names, paths and policies.

use serde_json::{Value, json};

use super::{DATABASE, Layout, NAME, PASSWORDS, SMALL_SERVER, Shape, WRITER, every, resources, spread};

const VOLUME: &str = "/bitnami/mariadb";

pub(super) const LAYOUT: Layout =
    Layout { container: "mariadb-galera", claim: "data", datadir: "/bitnami/mariadb/data", port: 3306, first: 0 };

const HOME: &str = "/opt/bitnami/mariadb";

/// As the chart writes it, whatever the values say: here neither bootstrap value is set.
const COMMAND: &str = "exec /opt/bitnami/scripts/mariadb-galera/entrypoint.sh /opt/bitnami/scripts/mariadb-galera/run.sh";

pub(super) fn objects(shape: &Shape) -> Vec<Value> {
    let selector = json!({"app.kubernetes.io/instance": NAME, "app.kubernetes.io/name": "mariadb-galera"});
    let mut labels = selector.clone();
    labels["app.kubernetes.io/managed-by"] = json!("Helm");
    labels["app.kubernetes.io/version"] = json!(shape.version.to_string());
    labels["helm.sh/chart"] = json!("mariadb-galera-16.0.2");
    let named = |kind: &str, version: &str, name: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}});
    let with = |mut object: Value, key: &str, value: Value| {
        object[key] = value;
        object
    };
    let port = |name: &str, number: u16| json!({"name": name, "port": number, "targetPort": name});
    let headless = format!("{NAME}-headless");
    let configuration = format!("{NAME}-configuration");
    vec![
        with(named("ServiceAccount", "v1", NAME), "automountServiceAccountToken", json!(false)),
        with(named("ConfigMap", "v1", &configuration), "data", json!({"my.cnf": my_cnf()})),
        with(
            named("Service", "v1", &headless),
            "spec",
            json!({
                "clusterIP": "None", "publishNotReadyAddresses": true, "selector": selector,
                "ports": [port("galera", 4567), port("ist", 4568), port("sst", 4444)],
            }),
        ),
        with(named("Service", "v1", NAME), "spec", json!({"selector": selector, "ports": [port("mysql", 3306)]})),
        with(
            named("PodDisruptionBudget", "policy/v1", NAME),
            "spec",
            json!({"maxUnavailable": 1, "selector": {"matchLabels": selector}}),
        ),
        with(
            named("StatefulSet", "apps/v1", NAME),
            "spec",
            json!({
                "podManagementPolicy": "Parallel",
                "replicas": shape.members,
                "serviceName": headless,
                "selector": {"matchLabels": selector},
                "updateStrategy": {"type": "RollingUpdate"},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "automountServiceAccountToken": false,
                        "serviceAccountName": NAME,
                        "terminationGracePeriodSeconds": 30,
                        "securityContext": {"fsGroup": 1001, "fsGroupChangePolicy": "Always"},
                        "topologySpreadConstraints": spread(&selector),
                        "containers": [container(shape)],
                        "volumes": [
                            {"name": "previous-boot", "emptyDir": {}},
                            {"name": "mariadb-galera-config", "configMap": {"name": configuration}},
                            {"name": "mariadb-credentials", "secret": {"secretName": PASSWORDS, "items": [
                                {"key": "root", "path": "mariadb-root-password"},
                                {"key": "writer", "path": "mariadb-password"},
                                {"key": "replication", "path": "mariadb-galera-mariabackup-password"},
                            ]}},
                            {"name": "empty-dir", "emptyDir": {}},
                        ],
                    },
                },
                "volumeClaimTemplates": [shape.claim_template()],
            }),
        ),
    ]
}

fn container(shape: &Shape) -> Value {
    let variable = |name: &str, value: String| json!({"name": name, "value": value});
    let file = |name: &str, file: &str| variable(name, format!("{HOME}/secrets/{file}"));
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let port = |name: &str, number: u16| json!({"name": name, "containerPort": number});
    // Answers also without a primary component, like the chart's.
    let alive = json!({"exec": {"command": ["bash", "-ec", "\
        MYSQL_PWD=\"${MARIADB_ROOT_PASSWORD:-$(<\"$MARIADB_ROOT_PASSWORD_FILE\")}\" exec timeout 4 mysqladmin status -u\"$MARIADB_ROOT_USER\""]}});
    json!({
        "name": LAYOUT.container,
        "image": format!("bed.local/mariadb-galera:{}", shape.version),
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            "runAsUser": 1001, "runAsGroup": 1001, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
        },
        "command": ["bash", "-ec", COMMAND],
        "env": [
            field("MY_POD_NAME", "metadata.name"),
            field("MY_POD_IP", "status.podIP"),
            variable("BITNAMI_DEBUG", "false".to_owned()),
            variable("MARIADB_GALERA_CLUSTER_NAME", "galera".to_owned()),
            variable("MARIADB_GALERA_CLUSTER_ADDRESS", format!("gcomm://{NAME}-headless")),
            variable("MARIADB_ROOT_USER", "root".to_owned()),
            file("MARIADB_ROOT_PASSWORD_FILE", "mariadb-root-password"),
            variable("MARIADB_USER", WRITER.to_owned()),
            file("MARIADB_PASSWORD_FILE", "mariadb-password"),
            variable("MARIADB_DATABASE", DATABASE.to_owned()),
            variable("MARIADB_GALERA_MARIABACKUP_USER", "mariabackup".to_owned()),
            file("MARIADB_GALERA_MARIABACKUP_PASSWORD_FILE", "mariadb-galera-mariabackup-password"),
        ],
        "ports": [port("mysql", LAYOUT.port), port("galera", 4567), port("ist", 4568), port("sst", 4444)],
        "startupProbe": every(&alive, 1, 240),
        "readinessProbe": every(&alive, 2, 2),
        "livenessProbe": every(&alive, 10, 6),
        "resources": resources(),
        "volumeMounts": [
            {"name": "previous-boot", "mountPath": format!("{HOME}/.bootstrap")},
            {"name": LAYOUT.claim, "mountPath": VOLUME},
            {"name": "mariadb-galera-config", "mountPath": format!("{HOME}/conf/my.cnf"), "subPath": "my.cnf"},
            {"name": "mariadb-credentials", "mountPath": format!("{HOME}/secrets")},
            {"name": "empty-dir", "mountPath": "/tmp", "subPath": "tmp-dir"},
            {"name": "empty-dir", "mountPath": format!("{HOME}/tmp"), "subPath": "app-tmp-dir"},
            {"name": "empty-dir", "mountPath": format!("{HOME}/logs"), "subPath": "app-logs-dir"},
        ],
    })
}

fn my_cnf() -> String {
    format!(
        "[client]\nport=3306\nsocket={HOME}/tmp/mysql.sock\n\n\
         [mysqld]\nport=3306\nsocket={HOME}/tmp/mysql.sock\npid-file={HOME}/tmp/mysqld.pid\ndatadir={VOLUME}/data\ntmpdir={HOME}/tmp\n\
         bind-address=0.0.0.0\nskip-name-resolve\nbinlog_format=ROW\ndefault_storage_engine=InnoDB\n\
         innodb_autoinc_lock_mode=2\ninnodb_flush_log_at_trx_commit=2\n{SMALL_SERVER}\n\
         [galera]\nwsrep_on=ON\nwsrep_provider=/usr/lib/galera/libgalera_smm.so\nwsrep_sst_method=mariabackup\n\
         wsrep_provider_options=\"gcache.size=32M\"\n"
    )
}
