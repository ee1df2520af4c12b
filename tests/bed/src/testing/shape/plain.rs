//! A set as a careful user writes it by hand, for the official image.

use serde_json::{Value, json};

use super::{CLIENT_SERVICE, DATABASE, Kind, NAME, PASSWORDS, SMALL_SERVER, Shape, WRITER, every, resources, spread};

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain {
    pub start: Start,
    pub readiness: Readiness,
}

impl Default for Plain {
    fn default() -> Self {
        Self { start: Start::Recovers, readiness: Readiness::Serves }
    }
}

impl Plain {
    pub(super) fn objects(self, shape: &Shape) -> Vec<Value> {
        let selector = json!({"app": NAME});
        let mut primary = selector.clone();
        if shape.kind == Kind::Replication {
            primary["statefulset.kubernetes.io/pod-name"] = json!(format!("{NAME}-0"));
        }
        let port = shape.layout().port;
        vec![
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME},
                "data": {"db.cnf": server_config(shape), "start.sh": self.start_script(shape)},
            }),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME},
                "spec": {
                    "clusterIP": "None", "publishNotReadyAddresses": true, "selector": selector,
                    "ports": [{"name": "sql", "port": port}],
                },
            }),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": CLIENT_SERVICE},
                "spec": {"selector": primary, "ports": [{"name": "sql", "port": port}]},
            }),
            json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": NAME},
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
            }),
            self.stateful_set(shape),
        ]
    }

    fn stateful_set(self, shape: &Shape) -> Value {
        let labels = json!({"app": NAME});
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": NAME},
            "spec": {
                "serviceName": NAME,
                "replicas": shape.members,
                "podManagementPolicy": "OrderedReady",
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "terminationGracePeriodSeconds": 30,
                        "securityContext": {"fsGroup": 999},
                        "topologySpreadConstraints": spread(&labels),
                        "containers": [self.container(shape)],
                        "volumes": [{"name": "config", "configMap": {"name": NAME}}],
                    },
                },
                "volumeClaimTemplates": [shape.claim_template()],
            },
        })
    }

    fn container(self, shape: &Shape) -> Value {
        let from_secret =
            |name: &str, key: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": PASSWORDS, "key": key}}});
        let answers = probe("exec timeout 3 mariadb -uroot -Ne 'SELECT 1'");
        let serves = match (shape.kind, self.readiness) {
            (Kind::Galera, Readiness::Serves) => probe(
                "[ \"$(timeout 3 mariadb -uroot -Ne \"SELECT variable_value FROM information_schema.global_status \
                 WHERE variable_name='wsrep_ready'\")\" = ON ]",
            ),
            _ => answers.clone(),
        };
        let layout = shape.layout();
        json!({
            "name": layout.container,
            "image": format!("bed.local/mariadb:{}", shape.version),
            "imagePullPolicy": "IfNotPresent",
            "command": ["bash", "/config/start.sh"],
            "env": [
                from_secret("MARIADB_ROOT_PASSWORD", "root"),
                from_secret("WRITER_PASSWORD", "writer"),
                from_secret("REPLICATION_PASSWORD", "replication"),
                {"name": "MARIADB_INITDB_SKIP_TZINFO", "value": "1"},
            ],
            "ports": [{"name": "sql", "containerPort": layout.port}],
            "startupProbe": every(&answers, 1, 240),
            "readinessProbe": every(&serves, 2, 2),
            "livenessProbe": every(&answers, 10, 6),
            "resources": resources(),
            "volumeMounts": [
                {"name": layout.claim, "mountPath": layout.datadir},
                {"name": "config", "mountPath": "/config"},
                {"name": "config", "mountPath": "/etc/mysql/conf.d/db.cnf", "subPath": "db.cnf"},
            ],
        })
    }

    fn start_script(self, shape: &Shape) -> String {
        let datadir = shape.layout().datadir;
        let accounts = format!(
            "set -eu\nname=$(hostname); ordinal=${{name##*-}}; data={datadir}; args=\n\
            first_run=/docker-entrypoint-initdb.d/accounts.sql; mkdir -p \"${{first_run%/*}}\"\n\
            # Read by the very first start. A here document: no password in any argument list.\n\
            cat >\"$first_run\" <<SQL\n"
        );
        let writer = format!(
            "CREATE DATABASE {DATABASE};\nCREATE USER {WRITER}@'%' IDENTIFIED BY '$WRITER_PASSWORD';\nGRANT ALL ON {DATABASE}.* TO {WRITER}@'%';\n"
        );
        match shape.kind {
            Kind::Galera => format!("{accounts}{writer}SQL\n{}", galera_start(self.start, shape)),
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
}

fn server_config(shape: &Shape) -> String {
    let common = format!(
        "[mariadb]\nbind_address=0.0.0.0\nskip_name_resolve=ON\nbinlog_format=ROW\ndefault_storage_engine=InnoDB\n\
         innodb_flush_log_at_trx_commit=1\n{SMALL_SERVER}"
    );
    let own = match shape.kind {
        Kind::Galera => format!(
            "innodb_autoinc_lock_mode=2\nwsrep_on=ON\nwsrep_provider=/usr/lib/galera/libgalera_smm.so\nwsrep_cluster_name={NAME}\n\
             wsrep_cluster_address=gcomm://{}\nwsrep_sst_method=rsync\nwsrep_provider_options=\"gcache.size=32M\"\n",
            shape.pods().map(|pod| format!("{pod}.{NAME}")).collect::<Vec<_>>().join(",")
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

fn galera_start(start: Start, shape: &Shape) -> String {
    let (peers, first) = (shape.pods().collect::<Vec<_>>().join(" "), shape.layout().first);
    let recovers = match start {
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
         # A new cluster: only the first ordinal, only on an empty volume, only when no member answers; or what a clean stop marked.\n\
         lonely=yes\n\
         for peer in {peers}; do\n\
         \x20 [ $peer = $name ] || ! timeout 2 bash -c \"exec 3<>/dev/tcp/$peer.{NAME}/4567\" 2>/dev/null || lonely=no\n\
         done\n\
         if [ $lonely = yes ]; then\n\
         \x20 if [ $ordinal = {first} ] && [ ! -f $data/grastate.dat ]; then args=\"$args --wsrep-new-cluster\"\n\
         \x20 elif grep -q '^safe_to_bootstrap: 1' $data/grastate.dat 2>/dev/null; then args=\"$args --wsrep-new-cluster\"; fi\n\
         fi\n\
         {recovers}\
         # The state transfer brings a joiner's data directory: nothing to initialise.\n\
         [ $ordinal = {first} ] || mkdir -p $data/mysql\n\
         exec docker-entrypoint.sh mariadbd $args\n"
    )
}

/// A command in the container with the root password in the environment only.
fn probe(command: &str) -> Value {
    json!({"exec": {"command": ["sh", "-c", format!("export MYSQL_PWD=\"$MARIADB_ROOT_PASSWORD\"; {command}")]}})
}

#[cfg(test)]
mod tests {
    use super::super::Version;
    use super::*;

    #[test]
    fn start_scripts_are_bash() {
        for kind in [Kind::Galera, Kind::Replication, Kind::Single, Kind::Independent] {
            for start in [Start::Recovers, Start::Plain] {
                let plain = Plain { start, ..Plain::default() };
                let script = plain.start_script(&Shape::plain(plain, kind, Version::V10_11));
                let ended = std::process::Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
                assert!(ended.status.success(), "{}\n{script}", String::from_utf8_lossy(&ended.stderr));
            }
        }
    }

    #[test]
    fn only_the_recovering_start_knows_a_position() {
        let script = |start| galera_start(start, &Shape::new(Kind::Galera, Version::V11_8));
        assert!(script(Start::Recovers).contains("--wsrep-start-position"));
        assert!(!script(Start::Plain).contains("--wsrep-start-position"));
    }
}
