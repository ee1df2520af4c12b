//! What a test cluster looks like, and its Kubernetes objects as a careful user would write them by hand.

use std::fmt;

use serde_json::{Value, json};

/// Name of the StatefulSet, of its headless service and of the `PodDisruptionBudget`.
pub const NAME: &str = "db";
/// The container that runs the server.
pub const CONTAINER: &str = "mariadb";
/// Service of the clients; for replication it follows the pod that is primary at first.
pub const CLIENT_SERVICE: &str = "db-client";
/// Account of the writers, known on every kind of cluster.
pub const WRITER: &str = "writer";
/// Database of the writers.
pub const DATABASE: &str = "trial";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Galera,
    /// GTID replication: ordinal 0 is the primary at first.
    Replication,
    /// One server.
    Single,
    /// Servers in one set that nobody joined to a cluster.
    Independent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V10_11,
    V11_8,
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::V10_11 => "10.11",
            Self::V11_8 => "11.8",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodManagement {
    OrderedReady,
    Parallel,
}

/// What a Galera pod does before its server starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Recovers the position of an unclean stop and hands it to the server.
    Recovers,
    /// Starts the server as the official image does. After a crash of all members this re-forms the cluster with the zero UUID.
    Plain,
}

/// What "Ready" means in this set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Galera: `wsrep_ready` is ON. Others: as `Answers`.
    Serves,
    /// The server answers `SELECT 1`, which a member cut off from its cluster does too.
    Answers,
}

#[derive(Clone, Debug)]
pub struct Shape {
    pub kind: Kind,
    pub version: Version,
    pub members: u32,
    pub pod_management: PodManagement,
    /// `bed-dir`: a directory; `bed-ext4`: a file system of exactly `size`.
    pub storage_class: &'static str,
    pub size: &'static str,
    pub start: Start,
    pub readiness: Readiness,
}

impl Shape {
    #[must_use]
    pub fn new(kind: Kind, version: Version) -> Self {
        Self {
            kind,
            version,
            members: if kind == Kind::Single { 1 } else { 3 },
            pod_management: PodManagement::OrderedReady,
            storage_class: "bed-dir",
            size: "1Gi",
            start: Start::Recovers,
            readiness: Readiness::Serves,
        }
    }

    /// The whole cluster, in the order of creation; `secrets` end in one `Secret` and nowhere else.
    #[must_use]
    pub fn objects(&self, secrets: &Secrets) -> Vec<Value> {
        let selector = json!({"app": NAME});
        let mut primary = selector.clone();
        if self.kind == Kind::Replication {
            primary["statefulset.kubernetes.io/pod-name"] = json!(format!("{NAME}-0"));
        }
        vec![
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db-passwords"},
                "stringData": {"root": secrets.root, "writer": secrets.writer, "replication": secrets.replication},
            }),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME},
                "data": {"db.cnf": self.server_config(), "start.sh": self.start_script()},
            }),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME},
                "spec": {
                    "clusterIP": "None", "publishNotReadyAddresses": true, "selector": selector,
                    "ports": [{"name": "sql", "port": 3306}],
                },
            }),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": CLIENT_SERVICE},
                "spec": {"selector": primary, "ports": [{"name": "sql", "port": 3306}]},
            }),
            json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": NAME},
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
            }),
            self.stateful_set(),
        ]
    }

    fn stateful_set(&self) -> Value {
        let labels = json!({"app": NAME});
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": NAME},
            "spec": {
                "serviceName": NAME,
                "replicas": self.members,
                "podManagementPolicy": format!("{:?}", self.pod_management),
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "terminationGracePeriodSeconds": 30,
                        "securityContext": {"fsGroup": 999},
                        "topologySpreadConstraints": [{
                            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
                            "labelSelector": {"matchLabels": labels},
                        }],
                        "containers": [self.container()],
                        "volumes": [{"name": "config", "configMap": {"name": NAME}}],
                    },
                },
                "volumeClaimTemplates": [{
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"], "storageClassName": self.storage_class,
                        "resources": {"requests": {"storage": self.size}},
                    },
                }],
            },
        })
    }

    fn container(&self) -> Value {
        let from_secret =
            |name: &str, key: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "db-passwords", "key": key}}});
        let answers = probe("exec timeout 3 mariadb -uroot -Ne 'SELECT 1'");
        let serves = match (self.kind, self.readiness) {
            (Kind::Galera, Readiness::Serves) => probe(
                "[ \"$(timeout 3 mariadb -uroot -Ne \"SELECT variable_value FROM information_schema.global_status \
                 WHERE variable_name='wsrep_ready'\")\" = ON ]",
            ),
            _ => answers.clone(),
        };
        let every = |probe: &Value, period: u32, failures: u32| {
            let mut probe = probe.clone();
            probe["periodSeconds"] = json!(period);
            probe["timeoutSeconds"] = json!(5);
            probe["failureThreshold"] = json!(failures);
            probe
        };
        json!({
            "name": CONTAINER,
            "image": format!("bed.local/mariadb:{}", self.version),
            "imagePullPolicy": "IfNotPresent",
            "command": ["bash", "/config/start.sh"],
            "env": [
                from_secret("MARIADB_ROOT_PASSWORD", "root"),
                from_secret("WRITER_PASSWORD", "writer"),
                from_secret("REPLICATION_PASSWORD", "replication"),
                {"name": "MARIADB_INITDB_SKIP_TZINFO", "value": "1"},
            ],
            "ports": [{"name": "sql", "containerPort": 3306}],
            "startupProbe": every(&answers, 1, 240),
            "readinessProbe": every(&serves, 2, 2),
            "livenessProbe": every(&answers, 10, 6),
            "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "768Mi"}},
            "volumeMounts": [
                {"name": "data", "mountPath": "/var/lib/mysql"},
                {"name": "config", "mountPath": "/config"},
                {"name": "config", "mountPath": "/etc/mysql/conf.d/db.cnf", "subPath": "db.cnf"},
            ],
        })
    }

    fn server_config(&self) -> String {
        let common = "[mariadb]\nbind_address=0.0.0.0\nskip_name_resolve=ON\nbinlog_format=ROW\ndefault_storage_engine=InnoDB\n\
            innodb_buffer_pool_size=64M\ninnodb_log_file_size=32M\ninnodb_flush_log_at_trx_commit=1\nmax_connections=60\n";
        let own = match self.kind {
            Kind::Galera => format!(
                "innodb_autoinc_lock_mode=2\nwsrep_on=ON\nwsrep_provider=/usr/lib/galera/libgalera_smm.so\nwsrep_cluster_name={NAME}\n\
                 wsrep_cluster_address=gcomm://{}\nwsrep_sst_method=rsync\nwsrep_provider_options=\"gcache.size=32M\"\n",
                self.pods().map(|pod| format!("{pod}.{NAME}")).collect::<Vec<_>>().join(",")
            ),
            // Opened by hand on the primary: a server that restarts never opens itself.
            Kind::Replication => {
                "log_bin=binlog\nlog_slave_updates=ON\ngtid_strict_mode=ON\nread_only=ON\nrelay_log=relay\nslave_net_timeout=10\n"
                    .to_owned()
            }
            Kind::Single | Kind::Independent => "log_bin=binlog\nserver_id=1\n".to_owned(),
        };
        format!("{common}{own}")
    }

    fn start_script(&self) -> String {
        let accounts = "set -eu\nname=$(hostname); ordinal=${name##*-}; data=/var/lib/mysql; args=\n\
            first_run=/docker-entrypoint-initdb.d/accounts.sql; mkdir -p \"${first_run%/*}\"\n\
            # Read by the very first start. A here document: no password in any argument list.\n\
            cat >\"$first_run\" <<SQL\n"
            .to_owned();
        let writer = format!(
            "CREATE DATABASE {DATABASE};\nCREATE USER {WRITER}@'%' IDENTIFIED BY '$WRITER_PASSWORD';\nGRANT ALL ON {DATABASE}.* TO {WRITER}@'%';\n"
        );
        match self.kind {
            Kind::Galera => format!("{accounts}{writer}SQL\n{}", galera_start(self)),
            Kind::Single | Kind::Independent => format!("{accounts}{writer}SQL\nexec docker-entrypoint.sh mariadbd\n"),
            Kind::Replication => format!(
                "{accounts}CREATE USER replication@'%' IDENTIFIED BY '$REPLICATION_PASSWORD';\n\
                 GRANT REPLICATION SLAVE ON *.* TO replication@'%';\n{writer}SQL\n\
                 # A replica starts empty and takes everything, accounts too, from the first binlog of the primary.\n\
                 [ \"$ordinal\" = 0 ] || cat >\"$first_run\" <<SQL\n\
                 RESET MASTER; SET GLOBAL gtid_slave_pos='';\n\
                 CHANGE MASTER TO MASTER_HOST='{NAME}-0.{NAME}', MASTER_USER='replication', MASTER_PASSWORD='$REPLICATION_PASSWORD',\n\
                 \x20 MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=2, MASTER_SSL_VERIFY_SERVER_CERT=0;\nSQL\n\
                 exec docker-entrypoint.sh mariadbd --server-id=$((100 + ordinal)) --report-host=\"$name.{NAME}\"\n"
            ),
        }
    }

    /// Pod names by ordinal.
    pub fn pods(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.members).map(|ordinal| format!("{NAME}-{ordinal}"))
    }
}

fn galera_start(shape: &Shape) -> String {
    let peers = shape.pods().collect::<Vec<_>>().join(" ");
    let recovers = match shape.start {
        Start::Plain => "",
        Start::Recovers => {
            "# After an unclean stop only InnoDB knows the position.\n\
             if [ -f $data/ibdata1 ] && grep -q '^seqno: *-1' $data/grastate.dat 2>/dev/null; then\n\
             \x20 mariadbd --user=mysql --wsrep-recover --log-error=/tmp/recover.log >/dev/null 2>&1 || true\n\
             \x20 position=$(sed -n 's/.*Recovered position: *//p' /tmp/recover.log | tail -1)\n\
             \x20 [ -z \"$position\" ] || args=\"$args --wsrep-start-position=$position\"\n\
             fi\n"
        }
    };
    format!(
        "args=\"--wsrep-node-name=$name --wsrep-node-address=$name.{NAME}\"\n\
         # A new cluster: only ordinal 0, only on an empty volume, only when no member answers; or what a clean stop marked.\n\
         lonely=yes\n\
         for peer in {peers}; do\n\
         \x20 [ $peer = $name ] || ! timeout 2 bash -c \"exec 3<>/dev/tcp/$peer.{NAME}/4567\" 2>/dev/null || lonely=no\n\
         done\n\
         if [ $lonely = yes ]; then\n\
         \x20 if [ $ordinal = 0 ] && [ ! -f $data/grastate.dat ]; then args=\"$args --wsrep-new-cluster\"\n\
         \x20 elif grep -q '^safe_to_bootstrap: 1' $data/grastate.dat 2>/dev/null; then args=\"$args --wsrep-new-cluster\"; fi\n\
         fi\n\
         {recovers}\
         # The state transfer brings a joiner's data directory: nothing to initialise.\n\
         [ $ordinal = 0 ] || mkdir -p $data/mysql\n\
         exec docker-entrypoint.sh mariadbd $args\n"
    )
}

/// A command in the container with the root password in the environment only.
fn probe(command: &str) -> Value {
    json!({"exec": {"command": ["sh", "-c", format!("export MYSQL_PWD=\"$MARIADB_ROOT_PASSWORD\"; {command}")]}})
}

/// Passwords nobody else has: a test can look for them everywhere.
#[derive(Clone)]
pub struct Secrets {
    pub root: String,
    pub writer: String,
    pub replication: String,
}

impl Secrets {
    #[must_use]
    pub fn all(&self) -> [&str; 3] {
        [&self.root, &self.writer, &self.replication]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        Secrets { root: "hush-root".into(), writer: "hush-writer".into(), replication: "hush-replication".into() }
    }

    #[test]
    fn passwords_are_in_the_secret_only() {
        for kind in [Kind::Galera, Kind::Replication, Kind::Single, Kind::Independent] {
            let objects = Shape::new(kind, Version::V11_8).objects(&secrets());
            let telling: Vec<_> =
                objects.iter().filter(|object| object.to_string().contains("hush-")).map(|object| &object["kind"]).collect();
            assert_eq!(telling, ["Secret"], "{kind:?}");
        }
    }

    #[test]
    fn start_scripts_are_bash() {
        for kind in [Kind::Galera, Kind::Replication, Kind::Single, Kind::Independent] {
            for start in [Start::Recovers, Start::Plain] {
                let shape = Shape { start, ..Shape::new(kind, Version::V10_11) };
                let ended = std::process::Command::new("bash").args(["-n", "-c", &shape.start_script()]).output().unwrap();
                assert!(ended.status.success(), "{}\n{}", String::from_utf8_lossy(&ended.stderr), shape.start_script());
            }
        }
    }

    #[test]
    fn only_the_recovering_start_knows_a_position() {
        let script = |start| Shape { start, ..Shape::new(Kind::Galera, Version::V11_8) }.start_script();
        assert!(script(Start::Recovers).contains("--wsrep-start-position"));
        assert!(!script(Start::Plain).contains("--wsrep-start-position"));
    }
}
