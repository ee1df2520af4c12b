//! One cluster of the model world: its set, its pods and what becomes of an exec into them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::controller::Controller;
use super::galera::Galera;
use super::operator::Operator;
use super::replication::Replication;
use super::rolling::Rolling;
use super::seeding::Seeding;
use super::volumes::Volumes;

pub struct Cluster {
    pub namespace: String,
    pub name: String,
    pub replicas: u32,
    pub controller: Controller,
    pub rolling: Rolling,
    pub seeding: Seeding,
    pub partition: u32,
    pub image: String,
    pub version: String,
    /// Arguments of the database container.
    pub args: Vec<String>,
    pub members: BTreeMap<u32, Member>,
    pub engine: Engine,
    /// `status.disruptionsAllowed` of its budget.
    pub disruptions_allowed: u32,
    /// Warning events: `KIND/NAME`, reason, message.
    pub warnings: Vec<(String, &'static str, &'static str)>,
    /// mariadb-operator manages it.
    pub operator: Option<Operator>,
    pub volumes: Volumes,
    /// The ordinal whose pod the Service for clients selects by its name. `None`: all pods of the set.
    pub clients: Option<u32>,
}

pub enum Engine {
    Galera(Galera),
    /// Replication, or a single server.
    Gtid(Replication),
}

impl Engine {
    pub fn runs(&self, ordinal: u32) -> bool {
        match self {
            Self::Galera(galera) => galera.runs(ordinal),
            Self::Gtid(replication) => replication.runs(ordinal),
        }
    }

    /// A clean stop.
    pub fn stop(&mut self, ordinal: u32) {
        match self {
            Self::Galera(galera) => galera.stop(ordinal),
            Self::Gtid(replication) => replication.server(ordinal).running = false,
        }
    }

    pub fn kill(&mut self, ordinal: u32) {
        match self {
            Self::Galera(galera) => galera.kill(&[ordinal]),
            Self::Gtid(replication) => replication.server(ordinal).running = false,
        }
    }

    pub fn start(&mut self, ordinal: u32) {
        match self {
            Self::Galera(galera) => galera.start(ordinal),
            Self::Gtid(replication) => replication.server(ordinal).running = true,
        }
    }
}

/// One ordinal: its pod, and the container in it.
pub struct Member {
    pub pod: Pod,
    pub node: String,
    pub restarts: u32,
    pub exec: ExecState,
    pub sql: Sql,
    pub uptime: u64,
    pub used_percent: u64,
    pub claim_deleted: bool,
    /// As the look at the pod prints them.
    pub switches: Vec<String>,
    pub markers: Vec<String>,
    /// Instead of what its Galera would write.
    pub grastate: Option<&'static str>,
    /// Of the latest run of its container.
    pub log: &'static str,
    pub has_claim: bool,
    /// Its server was killed: what a clean stop writes is missing.
    pub killed: bool,
    /// What its configuration makes of `read_only`; `None`: that is not seen, and it starts read-only.
    pub starts_read_only: Option<bool>,
    /// The node on whose disk its volume lies, as the scheduler wrote it.
    pub claim_node: Option<&'static str>,
    /// How often its pod, and its claim, were made anew.
    pub remade: u32,
    pub claims_remade: u32,
}

impl Member {
    /// Running, on a volume of its own.
    pub(super) fn new(ordinal: u32) -> Self {
        Self {
            pod: Pod::Running { ready: true },
            node: format!("n{}", ordinal % 3 + 1),
            restarts: 0,
            exec: ExecState::Answers,
            sql: Sql::Answers,
            uptime: 3600,
            used_percent: 40,
            claim_deleted: false,
            switches: Vec::new(),
            markers: Vec::new(),
            grastate: None,
            log: "",
            has_claim: true,
            killed: false,
            starts_read_only: None,
            claim_node: None,
            remade: 0,
            claims_remade: 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pod {
    Absent,
    /// Not scheduled, with the scheduler's words.
    Pending(&'static str),
    Waiting {
        reason: &'static str,
        message: &'static str,
    },
    Running {
        ready: bool,
    },
}

/// What becomes of an exec into the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecState {
    Answers,
    /// A dead node: nothing comes, for ever.
    Hangs,
    /// It comes late.
    Late(Duration),
    /// Half of the output, then a reset.
    Breaks,
    /// Half of the output, then the end without a status.
    EndsWithoutStatus,
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sql {
    Answers,
    /// It answers whoever brings this password; the container knows none.
    Wants(&'static str),
    /// The client's error line.
    Refuses(&'static str),
    Silent,
    NoClient,
}

impl Cluster {
    fn new(namespace: &str, name: &str, replicas: u32, engine: Engine) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            replicas,
            controller: Controller::default(),
            rolling: Rolling::default(),
            seeding: Seeding::default(),
            partition: 0,
            image: "mariadb:11.8".to_owned(),
            version: "11.8.6".to_owned(),
            args: Vec::new(),
            members: (0..replicas).map(|ordinal| (ordinal, Member::new(ordinal))).collect(),
            engine,
            disruptions_allowed: 1,
            warnings: Vec::new(),
            operator: None,
            volumes: Volumes::default(),
            clients: None,
        }
    }

    /// The same, managed by a mariadb-operator that is content.
    pub fn managed(mut self) -> Self {
        self.operator = Some(Operator::content(&self));
        self
    }

    /// Its operator; the test knows that it has one.
    pub fn operator(&mut self) -> &mut Operator {
        self.operator.as_mut().expect("a cluster that is managed")
    }

    pub fn galera(namespace: &str, name: &str, replicas: u32) -> Self {
        Self::new(namespace, name, replicas, Engine::Galera(Galera::healthy(name, 0..replicas)))
    }

    /// Ordinal 0 is the primary; with one replica count, a single server.
    pub fn replication(namespace: &str, name: &str, replicas: u32) -> Self {
        // As on the bed: whoever writes a replicating set by hand selects the first pod by its name.
        let clients = Some(0);
        Self { clients, ..Self::new(namespace, name, replicas, Engine::Gtid(Replication::healthy(0..replicas))) }
    }

    /// The same replicating servers with another primary, to which clients are led.
    pub fn led_by(mut self, primary: u32) -> Self {
        let ordinals = self.members.keys().copied().collect();
        self.engine = Engine::Gtid(Replication::led_by(Some(primary), ordinals));
        self.clients = Some(primary);
        self.members.values_mut().for_each(|member| member.starts_read_only = Some(true));
        self
    }

    pub fn member(&mut self, ordinal: u32) -> &mut Member {
        self.members.get_mut(&ordinal).expect("a member of this cluster")
    }

    /// A member that was never there, without a pod, on a new and empty volume.
    pub fn grow(&mut self, ordinal: u32) {
        self.as_galera().add(ordinal);
        self.add_member(ordinal);
    }

    pub(super) fn add_member(&mut self, ordinal: u32) {
        self.members.insert(ordinal, Member { pod: Pod::Absent, ..Member::new(ordinal) });
    }

    /// Its Galera; the test knows that it has one.
    pub fn as_galera(&mut self) -> &mut Galera {
        match &mut self.engine {
            Engine::Galera(galera) => galera,
            Engine::Gtid(_) => panic!("{} is no Galera cluster", self.name),
        }
    }

    pub fn as_replication(&mut self) -> &mut Replication {
        match &mut self.engine {
            Engine::Gtid(replication) => replication,
            Engine::Galera(_) => panic!("{} is a Galera cluster", self.name),
        }
    }

    /// Scales the set: servers that are too many stop cleanly, the highest first; their volumes stay.
    pub fn scale(&mut self, replicas: u32) {
        self.replicas = replicas;
        let (running, down): (Vec<u32>, Vec<u32>) = self.members.keys().partition(|ordinal| self.engine.runs(**ordinal));
        for ordinal in running.into_iter().rev().filter(|ordinal| *ordinal >= replicas) {
            self.engine.stop(ordinal);
            self.member(ordinal).pod = Pod::Absent;
        }
        for ordinal in down.into_iter().filter(|ordinal| *ordinal < replicas) {
            self.engine.start(ordinal);
            self.member(ordinal).pod = Pod::Running { ready: true };
        }
    }

    /// The server dies again and again; Kubernetes waits before it starts the container again.
    pub fn crash_loop(&mut self, ordinal: u32) {
        self.engine.kill(ordinal);
        let member = self.member(ordinal);
        member.restarts += 5;
        member.pod = Pod::Waiting { reason: "CrashLoopBackOff", message: "back-off 2m40s restarting failed container" };
    }

    pub fn pod(&self, ordinal: u32) -> String {
        format!("{}-{ordinal}", self.name)
    }

    pub fn ip(&self, ordinal: u32) -> String {
        format!("10.0.0.{}", 10 + ordinal)
    }

    /// How others name the pod.
    pub fn host(&self, ordinal: u32) -> String {
        format!("{0}.{1}.{2}.svc.cluster.local", self.pod(ordinal), self.name, self.namespace)
    }
}
