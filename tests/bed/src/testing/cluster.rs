//! A database cluster in a namespace of its own.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use serde_json::{Value, json};

use super::run::{Ended, output, run, wait_until};
use super::shape::{Kind, NAME, Secrets, Shape, Source, WRITER};
use crate::Bed;

/// Namespaces of tests carry it: leftovers are found by it.
pub const LABEL: &str = "bed.local/test";

const SOON: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Cluster {
    pub bed: Bed,
    pub namespace: String,
    pub shape: Shape,
    pub secrets: Secrets,
}

/// One pod, as the API server knew it at one moment.
#[derive(Clone, Debug)]
pub struct Pod {
    pub name: String,
    pub uid: String,
    pub phase: String,
    pub ready: bool,
    pub restarts: u64,
    node: Option<String>,
    ip: Option<String>,
    /// `waiting: CrashLoopBackOff`, `running`, `terminated: Error`.
    pub container: String,
}

impl Pod {
    /// # Errors
    /// It is on no node yet.
    pub fn node(&self) -> Result<&str> {
        self.node.as_deref().with_context(|| format!("pod {} is on no node", self.name))
    }

    /// # Errors
    /// It has no address yet.
    pub fn address(&self) -> Result<&str> {
        self.ip.as_deref().with_context(|| format!("pod {} has no address", self.name))
    }

    /// `container`: the one that runs the server.
    fn from(object: &Value, container: &str) -> Self {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let mut containers = object["status"]["containerStatuses"].as_array().into_iter().flatten();
        let status = containers.find(|status| status["name"] == container).unwrap_or(&Value::Null);
        let state = status["state"].as_object().and_then(|state| state.iter().next());
        Self {
            name: text("/metadata/name").unwrap_or_default(),
            uid: text("/metadata/uid").unwrap_or_default(),
            phase: text("/status/phase").unwrap_or_default(),
            ready: status["ready"] == json!(true),
            restarts: status["restartCount"].as_u64().unwrap_or_default(),
            node: text("/spec/nodeName"),
            ip: text("/status/podIP"),
            container: match state {
                Some((kind, more)) => match more["reason"].as_str() {
                    Some(reason) => format!("{kind}: {reason}"),
                    None => kind.clone(),
                },
                None => "none".to_owned(),
            },
        }
    }
}

impl Cluster {
    /// Makes a namespace with a cluster of this shape, and does not wait for it.
    ///
    /// # Errors
    /// The API server refuses an object.
    pub fn create(bed: &Bed, shape: Shape) -> Result<Self> {
        let secrets =
            Secrets { root: random("root", 16)?, writer: random("writer", 16)?, replication: random("replication", 16)? };
        let namespace = random(&shape.name().replace('_', "-"), 6)?;
        let cluster = Self { bed: bed.clone(), namespace, shape, secrets };
        let label = json!({LABEL: "yes"});
        let mut items =
            vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace, "labels": label}})];
        items.extend(cluster.shape.objects(&cluster.secrets));
        cluster.apply(&items)?;
        Ok(cluster)
    }

    /// Waits until a new cluster is healthy; opens the primary of a replication set, as its administrator would.
    ///
    /// # Errors
    /// It is not healthy within `limit`.
    pub fn settle(&self, limit: Duration) -> Result<Duration> {
        if self.shape.kind == Kind::Replication && self.shape.source != Source::Operator {
            wait_until("the primary is open", limit, || self.open(0))?;
        }
        self.wait_healthy(limit)
    }

    /// Applies objects in the cluster's namespace, in this order.
    ///
    /// # Errors
    /// The API server refuses one.
    pub fn apply(&self, objects: &[Value]) -> Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let apply = self.bed.kubectl(&["-n", &self.namespace, "apply", "-f", "-"]);
        output(apply, &list.to_string(), SOON).map(drop)
    }

    /// `kubectl` in the cluster's namespace.
    ///
    /// # Errors
    /// It ends with another code than 0.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        output(self.bed.kubectl(&[&["-n", &self.namespace], args].concat()), "", SOON)
    }

    /// An object as JSON.
    ///
    /// # Errors
    /// It is not there.
    pub fn get(&self, what: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&["get", what, "-o", "json"])?)?)
    }

    /// All pods of the set, by ordinal.
    ///
    /// # Errors
    /// The API server does not say.
    pub fn pods(&self) -> Result<Vec<Pod>> {
        let list: Value = serde_json::from_str(&self.kubectl(&["get", "pods", "-o", "json"])?)?;
        // Labels also find the pods of Jobs.
        let of_set = |pod: &&Value| pod["metadata"]["ownerReferences"][0]["kind"] == "StatefulSet";
        let container = self.shape.layout().container;
        let all = list["items"].as_array().into_iter().flatten();
        let mut pods: Vec<_> = all.filter(of_set).map(|pod| Pod::from(pod, container)).collect();
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pods)
    }

    /// # Errors
    /// There is no such pod.
    pub fn pod(&self, ordinal: u32) -> Result<Pod> {
        self.pod_named(&format!("{NAME}-{ordinal}"))
    }

    /// A pod with the containers of the set that need not belong to it.
    ///
    /// # Errors
    /// There is no such pod.
    pub fn pod_named(&self, name: &str) -> Result<Pod> {
        Ok(Pod::from(&self.get(&format!("pod/{name}"))?, self.shape.layout().container))
    }

    /// Runs SQL in the pod as root through its socket, as `kubectl exec` does it; answers tab-separated rows.
    ///
    /// # Errors
    /// The server or the exec fails.
    pub fn sql(&self, ordinal: u32, sql: &str) -> Result<String> {
        // The password goes ahead of the SQL: some shapes have none in the environment.
        let client = "IFS= read -r MYSQL_PWD; export MYSQL_PWD; exec mariadb -uroot -N -B --raw --connect-timeout=3";
        let ended = self.exec(ordinal, client, &format!("{}\n{sql}", self.secrets.root))?;
        ensure!(ended.is_success(), "{NAME}-{ordinal} refuses `{sql}`: {}", ended.stderr.trim());
        Ok(ended.stdout.trim_end().to_owned())
    }

    /// Runs a shell script in the database container.
    ///
    /// # Errors
    /// It is not done within 20 s.
    pub fn exec(&self, ordinal: u32, script: &str, stdin: &str) -> Result<Ended> {
        let pod = format!("{NAME}-{ordinal}");
        let args = ["-n", &self.namespace, "exec", "-i", &pod, "-c", self.shape.layout().container, "--", "sh", "-c", script];
        run(self.bed.kubectl(&args), stdin, Duration::from_secs(20))
    }

    /// A connection over TCP straight to the pod, as root: cheap, and no way through the API server.
    ///
    /// # Errors
    /// The server does not answer within 2 s.
    pub fn connect(&self, pod: &Pod) -> Result<Conn> {
        self.connect_as(pod, "root", &self.secrets.root)
    }

    /// As [`Self::connect`], as the account of the writers.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_writer(&self, pod: &Pod) -> Result<Conn> {
        self.connect_as(pod, WRITER, &self.secrets.writer)
    }

    fn connect_as(&self, pod: &Pod, user: &str, password: &str) -> Result<Conn> {
        let limit = Some(Duration::from_secs(2));
        let address = pod.address()?;
        let options = OptsBuilder::new()
            .ip_or_hostname(Some(address))
            .tcp_port(self.shape.layout().port)
            .user(Some(user))
            .pass(Some(password))
            .prefer_socket(false)
            .tcp_connect_timeout(limit)
            .read_timeout(Some(Duration::from_secs(10)))
            .write_timeout(limit);
        Conn::new(options).with_context(|| format!("the server at {address} cannot be asked"))
    }

    /// Waits until SQL of every member, and Kubernetes, say twice that all is well.
    ///
    /// # Errors
    /// It is not so within `limit`; the error holds what is wrong.
    pub fn wait_healthy(&self, limit: Duration) -> Result<Duration> {
        wait_until(&format!("{} is healthy", self.namespace), limit, || {
            self.look()?;
            std::thread::sleep(Duration::from_millis(700));
            self.look()
        })
    }

    /// One look at everything.
    ///
    /// # Errors
    /// What is wrong.
    pub fn look(&self) -> Result<()> {
        let pods = self.pods()?;
        ensure!(pods.len() == self.shape.members as usize, "{} of {} pods", pods.len(), self.shape.members);
        if let Some(pod) = pods.iter().find(|pod| !pod.ready) {
            bail!("pod {} is not ready ({}, {})", pod.name, pod.phase, pod.container);
        }
        match self.shape.kind {
            Kind::Galera => self.look_galera(&pods),
            Kind::Replication => self.look_replication(&pods),
            // By the socket: one of them wants TLS otherwise.
            Kind::Single | Kind::Independent => self.shape.ordinals().try_for_each(|ordinal| self.sql(ordinal, "DO 1").map(drop)),
        }?;
        if self.shape.source == Source::Operator { self.look_operator() } else { Ok(()) }
    }

    /// The operator sees what we see, and is done with what it was told.
    fn look_operator(&self) -> Result<()> {
        let object = self.get(&self.shape.target())?;
        let conditions = || object["status"]["conditions"].as_array().into_iter().flatten();
        ensure!(conditions().any(|one| one["type"] == "Ready"), "the operator has not said anything yet");
        let doubts: Vec<_> = conditions().filter(|one| one["status"] != "True").map(|one| &one["message"]).collect();
        ensure!(doubts.is_empty(), "the operator says {doubts:?}");
        Ok(())
    }

    fn look_galera(&self, pods: &[Pod]) -> Result<()> {
        let mut views = Vec::new();
        for pod in pods {
            let view = Wsrep::of(&mut self.connect(pod)?)?;
            ensure!(view.is_well(self.shape.members), "{}: {view:?}", pod.name);
            views.push((view.state_uuid, view.members));
        }
        views.dedup();
        ensure!(views.len() == 1, "members see different clusters: {views:?}");
        Ok(())
    }

    fn look_replication(&self, pods: &[Pod]) -> Result<()> {
        let mut writable = Vec::new();
        for pod in pods {
            let mut server = self.connect(pod)?;
            if server.query_first::<u8, _>("SELECT @@read_only+0")? == Some(0) {
                writable.push(&pod.name);
            }
            let replica: Option<mysql::Row> = server.query_first("SHOW ALL SLAVES STATUS")?;
            let Some(row) = replica else { continue };
            let text = |column: &str| row.get_opt::<String, _>(column).and_then(Result::ok).unwrap_or_default();
            let (io, sql) = (text("Slave_IO_Running"), text("Slave_SQL_Running"));
            ensure!(
                (io.as_str(), sql.as_str()) == ("Yes", "Yes"),
                "{}: io {io}, sql {sql}, {}{}",
                pod.name,
                text("Last_IO_Error"),
                text("Last_SQL_Error")
            );
            ensure!(text("Seconds_Behind_Master") == "0", "{} lags", pod.name);
        }
        ensure!(writable.len() == 1, "writable: {writable:?}");
        Ok(())
    }

    /// The host that a server copies from; none: it copies from nobody. Whether its threads run [`Self::look`] says.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn source_of(&self, ordinal: u32) -> Result<Option<String>> {
        let row: Option<mysql::Row> = self.connect(&self.pod(ordinal)?)?.query_first("SHOW ALL SLAVES STATUS")?;
        let host = row.and_then(|row| row.get_opt::<String, _>("Master_Host")).and_then(Result::ok);
        Ok(host.filter(|host| !host.is_empty()))
    }

    /// Makes a server writable; on a replication set nobody else does it.
    ///
    /// # Errors
    /// The server refuses.
    pub fn open(&self, ordinal: u32) -> Result<()> {
        Ok(self.connect(&self.pod(ordinal)?)?.query_drop("SET GLOBAL read_only=0")?)
    }

    /// The folder of a pod's data volume on its node.
    ///
    /// # Errors
    /// It has no volume yet.
    pub fn volume(&self, ordinal: u32) -> Result<PathBuf> {
        let claim = self.get(&format!("pvc/{}-{NAME}-{ordinal}", self.shape.layout().claim))?;
        let volume = claim["spec"]["volumeName"].as_str().context("the claim is not bound")?;
        let volume = self.get(&format!("pv/{volume}"))?;
        Ok(PathBuf::from(volume["spec"]["local"]["path"].as_str().context("no local volume")?))
    }

    /// Deletes the namespace without waiting for its end.
    ///
    /// # Errors
    /// The API server refuses.
    pub fn delete(&self) -> Result<()> {
        self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]).map(drop)
    }
}

/// Deletes every namespace that a test left, and waits until they are gone.
///
/// # Errors
/// They are not gone within two minutes.
pub fn delete_leftovers(bed: &Bed) -> Result<()> {
    let delete = bed.kubectl(&["delete", "namespace", "-l", &format!("{LABEL}=yes"), "--timeout=120s"]);
    output(delete, "", Duration::from_secs(130)).map(drop)
}

/// What one Galera server says of its cluster.
#[derive(Clone, Debug)]
pub struct Wsrep {
    /// `Primary`, `non-Primary` or `Disconnected`.
    pub status: String,
    /// `Synced`, `Joining: receiving State Transfer`, …
    pub state: String,
    pub ready: bool,
    pub size: u32,
    pub state_uuid: String,
    pub last_committed: i64,
    /// Names of the last primary component's members, sorted. Not `wsrep_incoming_addresses`: on a member that joined while
    /// another one did, that list may lack an address for good.
    pub members: Vec<String>,
}

impl Wsrep {
    /// # Errors
    /// The server does not answer.
    pub fn of(server: &mut Conn) -> Result<Self> {
        let rows: Vec<(String, String)> = server.query("SHOW GLOBAL STATUS LIKE 'wsrep%'")?;
        let members = server.query("SELECT node_name FROM mysql.wsrep_cluster_members ORDER BY 1")?;
        Ok(Self::from_rows(&rows, members))
    }

    fn from_rows(rows: &[(String, String)], members: Vec<String>) -> Self {
        let value = |name: &str| rows.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        Self {
            status: value("wsrep_cluster_status").to_owned(),
            state: value("wsrep_local_state_comment").to_owned(),
            ready: value("wsrep_ready") == "ON",
            size: value("wsrep_cluster_size").parse().unwrap_or_default(),
            state_uuid: value("wsrep_cluster_state_uuid").to_owned(),
            last_committed: value("wsrep_last_committed").parse().unwrap_or(-1),
            members,
        }
    }

    fn is_well(&self, members: u32) -> bool {
        self.status == "Primary"
            && self.state == "Synced"
            && self.ready
            && self.size == members
            && self.members.len() == members as usize
            && !self.state_uuid.starts_with("00000000-")
    }
}

/// `prefix-` and hexadecimal digits that nobody else has.
fn random(prefix: &str, digits: usize) -> Result<String> {
    let mut bytes = [0_u8; 8];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).context("no random numbers")?;
    let word = format!("{:016x}", u64::from_le_bytes(bytes));
    Ok(format!("{prefix}-{}", &word[..digits.min(16)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_says_why_it_does_not_run() {
        let object = json!({
            "metadata": {"name": "db-1", "uid": "u"}, "spec": {"nodeName": "n2"},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "agent", "ready": true},
                {"name": "mariadb", "ready": false, "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
            ]},
        });
        let pod = Pod::from(&object, "mariadb");
        assert_eq!((pod.container.as_str(), pod.restarts, pod.node().unwrap()), ("waiting: CrashLoopBackOff", 4, "n2"));
        assert_eq!(pod.address().unwrap_err().to_string(), "pod db-1 has no address");
    }

    #[test]
    fn a_zero_uuid_is_not_well() {
        let rows = |uuid: &str| {
            [
                ("wsrep_cluster_status", "Primary"),
                ("wsrep_local_state_comment", "Synced"),
                ("wsrep_ready", "ON"),
                ("wsrep_cluster_size", "2"),
                ("wsrep_cluster_state_uuid", uuid),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
        };
        let well = |uuid: &str| Wsrep::from_rows(&rows(uuid), vec!["db-0".into(), "db-1".into()]).is_well(2);
        assert!(well("6b1f0000-0000-11f1-0000-000000000000"));
        assert!(!well("00000000-0000-0000-0000-000000000000"));
    }
}
