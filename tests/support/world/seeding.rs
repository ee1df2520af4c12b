//! Volumes that are made for new replicas, and copies that servers give to helper pods.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::server::{Answer, Request};
use super::super::streams::Exec;
use super::{Cluster, Engine, Member, Pod, Shared};

/// How far a new replica's volume is, and what goes wrong.
#[derive(Clone, Default)]
pub struct Seeding {
    /// Annotations of claims that were created, by ordinal.
    pub made: BTreeMap<u32, Value>,
    /// The ordinals that were handed what to follow, and by whom each was given a copy.
    pub follows: Vec<u32>,
    pub given: BTreeMap<u32, u32>,
    /// The donor has no such program.
    pub no_backup: bool,
    /// New servers have the server_id of another one.
    pub twins: bool,
    /// New servers stop with this error.
    pub error: Option<(u32, &'static str)>,
    /// The configuration does not start them read-only.
    pub open: bool,
}

/// What the donor replicates from. The password must never be seen anywhere.
pub const SECRET: &str = "never-to-be-seen";

impl Cluster {
    /// Somebody creates a claim.
    pub(super) fn make_claim(&mut self, object: &Value, request: &Request) -> Answer {
        let name = object["metadata"]["name"].as_str().unwrap();
        let ordinal: u32 = name.rsplit('-').next().unwrap().parse().unwrap();
        if self.members.get(&ordinal).is_some_and(|member| member.has_claim) {
            return Answer::error(409, format!("persistentvolumeclaims \"{name}\" already exists"));
        }
        assert_eq!(object["metadata"]["labels"]["app"], self.name.as_str(), "the set would not know it");
        assert_eq!(object["spec"]["resources"]["requests"]["storage"], "2Gi", "as large as the donor's");
        if request.query("dryRun").is_some() {
            return Answer::Json(object.clone());
        }
        self.volumes.sizes.insert(ordinal, (2, 2));
        self.seeding.made.insert(ordinal, object["metadata"]["annotations"].clone());
        let remade = self.members.get(&ordinal).map_or(0, |member| member.claims_remade + 1);
        self.members.insert(ordinal, Member { pod: Pod::Absent, claims_remade: remade, ..Member::new(ordinal) });
        self.seeding.given.remove(&ordinal);
        let stored = self.claims().into_iter().find(|claim| claim["metadata"]["name"] == name);
        Answer::Json(stored.unwrap())
    }

    /// A server starts on what it was given, and catches up.
    pub(super) fn start_replica(&mut self, ordinal: u32) {
        let donor = *self.seeding.given.get(&ordinal).expect("a replica starts from nothing");
        self.as_replication().clone_to(donor, ordinal);
        if self.seeding.twins {
            self.as_replication().server(ordinal).server_id = super::replication::server_id(donor);
        }
        self.as_replication().server(ordinal).running = true;
        self.as_replication().start_thread(ordinal);
        let (open, error) = (self.seeding.open, self.seeding.error);
        let server = self.as_replication().server(ordinal);
        server.read_only = !open;
        if let (Some((code, text)), Some(channel)) = (error, server.channel.as_mut()) {
            channel.stop_applying(code, text);
        }
    }
}

/// `master.info` of a replica, as 10.11 writes it.
fn master_info(cluster: &Cluster, ordinal: u32) -> Option<String> {
    let Engine::Gtid(replication) = &cluster.engine else { return None };
    let row = replication.channel_row(ordinal, |source| cluster.host(source))?;
    let host = row.into_iter().find(|(column, _)| *column == "Master_Host")?.1;
    let told = ["33", "binlog.000002", "344", host.as_str(), "repl", SECRET, "3306", "2"];
    let encrypted = ["0", "", "", "", "", "", "0"];
    let rest = ["30.000", "", "0", "", "0", "", ""];
    let end = ["using_gtid=2", "do_domain_ids=0", "ignore_domain_ids=0", "END_MARKER"];
    let lines = [&told[..], &encrypted, &rest, &[""; 11], &end].concat();
    Some(lines.iter().flat_map(|line| [*line, "\n"]).collect())
}

impl Shared {
    /// In a helper pod: the file that says whom to follow.
    pub(super) async fn take_over(self, mut exec: Exec, set: String, ordinal: u32) {
        let mut script = Vec::new();
        while let Some(line) = exec.line().await {
            if line == "--go" {
                break;
            }
            script.push(line);
        }
        assert!(script.iter().any(|line| line.contains("master.info")), "{script:?}");
        let size = script.iter().find_map(|line| line.strip_prefix("size='")?.strip_suffix('\'')).expect("how much comes");
        let (size, mut file) = (size.parse::<usize>().unwrap(), Vec::new());
        while file.iter().map(|line: &String| line.len() + 1).sum::<usize>() < size {
            file.push(exec.line().await.unwrap());
        }
        assert!(file[3].starts_with(&set) && file[5] == SECRET && file.last().unwrap() == "END_MARKER", "{file:?}");
        self.lock().cluster(&set).seeding.follows.push(ordinal);
        exec.stdout("kubectl-mariadb: done\n").await;
        exec.exit(0).await;
    }

    /// In a server's own container: the file that says whom it follows.
    pub(super) async fn tell_source(self, mut exec: Exec, set: String, ordinal: u32, script: &[String]) {
        let has = |words: &str| script.iter().any(|line| line.contains(words));
        assert!(has("master.info") && has("find_server"), "{script:?}");
        let (file, no_backup) = {
            let mut world = self.peek();
            let cluster = world.cluster(&set);
            let file = master_info(cluster, ordinal).filter(|_| cluster.engine.runs(ordinal));
            (file, cluster.seeding.no_backup && has("mariadb-backup"))
        };
        if no_backup {
            exec.stderr("the container has no mariadb-backup\n").await;
            return exec.exit(1).await;
        }
        let Some(file) = file else {
            exec.stderr("it has no master.info in /var/lib/mysql, so what it replicates from cannot be handed on\n").await;
            return exec.exit(1).await;
        };
        exec.stdout(format!("{file}\nkubectl-mariadb: done\n")).await;
        exec.exit(0).await;
    }

    /// In the donor.
    pub(super) async fn donate(self, mut exec: Exec, set: String, donor: u32, script: Vec<String>) {
        if self.peek().cluster(&set).seeding.no_backup {
            exec.stderr("the container has no mariadb-backup\n").await;
            return exec.exit(1).await;
        }
        let to = script.iter().find_map(|line| line.strip_prefix("to='TCP4:10.0.9.")).expect("somewhere to send it");
        let ordinal: u32 = to.split(':').next().unwrap().parse().unwrap();
        {
            let mut world = self.lock();
            let seeding = &mut world.cluster(&set).seeding;
            assert!(seeding.follows.contains(&ordinal), "it would not know whom to follow");
            seeding.given.insert(ordinal, donor);
        }
        exec.stdout("kubectl-mariadb: done\n").await;
        exec.exit(0).await;
    }
}

/// The address of the helper pod that takes the copy for this ordinal.
pub fn address(ordinal: u32) -> Value {
    json!(format!("10.0.9.{ordinal}"))
}
