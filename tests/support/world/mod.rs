//! The model world: StatefulSets, pods and the servers in them, behind the fake API server.
//!
//! A test changes the world between looks; what the program sees follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Answer, Builder, Request, Server};
use super::streams::Exec;

pub mod client;
pub mod galera;
pub mod helpers;
mod objects;
mod operator;
pub mod replication;
mod sample;
mod watches;

use galera::Galera;
use helpers::Helpers;
use replication::Replication;

#[derive(Default)]
pub struct World {
    pub nodes: BTreeMap<String, Node>,
    pub clusters: Vec<Cluster>,
    /// Rights the user lacks: `list nodes`, `get pods/exec` …
    pub denied: BTreeSet<&'static str>,
    /// Images of the operators that run beside.
    pub operators: Vec<&'static str>,
    /// Whole `Secret` objects.
    pub secrets: Vec<Value>,
    pub helpers: Helpers,
    /// Every request fails so: `(503, "…")`.
    pub down: Option<(u16, &'static str)>,
    /// One more cuts every watch and every exec there is.
    pub cuts: u32,
    /// One more ends every watch with 410.
    pub expiries: u32,
    pub told: watches::Told,
    /// What a pod answers to a statement; without a pod's name, what all answer.
    pub replies: BTreeMap<(String, String), client::Reply>,
    /// Every statement that a server got, and which.
    pub statements: Vec<(String, String)>,
    /// The accounts that clients named, empty for the container's own.
    pub accounts: Vec<String>,
    pub connections: u64,
    /// Connections whose statement was killed.
    pub killed: BTreeSet<u64>,
    pub sql_mode: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    Ready,
    NotReady,
    /// Its kubelet says nothing any more.
    Silent,
}

pub struct Cluster {
    pub namespace: String,
    pub name: String,
    pub replicas: u32,
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
}

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
        let member = |ordinal: u32| Member {
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
        };
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            replicas,
            partition: 0,
            image: "mariadb:11.8".to_owned(),
            version: "11.8.6".to_owned(),
            args: Vec::new(),
            members: (0..replicas).map(|ordinal| (ordinal, member(ordinal))).collect(),
            engine,
            disruptions_allowed: 1,
            warnings: Vec::new(),
            operator: None,
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
        Self::new(namespace, name, replicas, Engine::Gtid(Replication::healthy(0..replicas)))
    }

    pub fn member(&mut self, ordinal: u32) -> &mut Member {
        self.members.get_mut(&ordinal).expect("a member of this cluster")
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
            match &mut self.engine {
                Engine::Galera(galera) => galera.stop(ordinal),
                Engine::Gtid(replication) => replication.server(ordinal).running = false,
            }
            self.member(ordinal).pod = Pod::Absent;
        }
        for ordinal in down.into_iter().filter(|ordinal| *ordinal < replicas) {
            match &mut self.engine {
                Engine::Galera(galera) => galera.start(ordinal),
                Engine::Gtid(replication) => replication.server(ordinal).running = true,
            }
            self.member(ordinal).pod = Pod::Running { ready: true };
        }
    }

    /// The server dies again and again; Kubernetes waits before it starts the container again.
    pub fn crash_loop(&mut self, ordinal: u32) {
        match &mut self.engine {
            Engine::Galera(galera) => galera.kill(&[ordinal]),
            Engine::Gtid(replication) => replication.server(ordinal).running = false,
        }
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

/// A world that a server and a test share.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    world: Mutex<World>,
    /// Counts changes; versions of objects are made of it.
    changes: tokio::sync::watch::Sender<u64>,
    /// Looks of all sessions and execs.
    samples: AtomicUsize,
}

/// The world, to be changed: whoever watches it looks again afterwards.
pub struct Guard<'a> {
    world: Option<MutexGuard<'a, World>>,
    inner: &'a Inner,
}

impl Deref for Guard<'_> {
    type Target = World;

    fn deref(&self) -> &World {
        self.world.as_ref().expect("it is there until the end")
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut World {
        self.world.as_mut().expect("it is there until the end")
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.inner.changes.send_modify(|changes| *changes += 1);
        self.world = None;
    }
}

impl World {
    /// Three ready nodes and these clusters.
    pub fn with(clusters: impl IntoIterator<Item = Cluster>) -> Shared {
        let nodes = ["n1", "n2", "n3"].map(|name| (name.to_owned(), Node::Ready)).into();
        let world = Mutex::new(Self { nodes, clusters: clusters.into_iter().collect(), ..Self::default() });
        Shared(Arc::new(Inner { world, changes: tokio::sync::watch::Sender::new(100), samples: AtomicUsize::new(0) }))
    }

    /// What all servers answer to a statement.
    pub fn reply(&mut self, statement: &str, reply: client::Reply) {
        self.replies.insert((String::new(), statement.to_owned()), reply);
    }

    /// What one pod answers to it.
    pub fn reply_of(&mut self, pod: &str, statement: &str, reply: client::Reply) {
        self.replies.insert((pod.to_owned(), statement.to_owned()), reply);
    }

    /// The cluster of this name.
    pub fn cluster(&mut self, name: &str) -> &mut Cluster {
        self.clusters.iter_mut().find(|cluster| cluster.name == name).expect("a cluster of this world")
    }

    fn collect(&self, scope: Option<&str>, objects: impl Fn(&Cluster) -> Vec<Value>) -> Vec<Value> {
        self.clusters
            .iter()
            .filter(|cluster| scope.is_none_or(|namespace| cluster.namespace == namespace))
            .flat_map(objects)
            .collect()
    }

    fn objects(&self, group: &str, resource: &str, scope: Option<&str>) -> Option<Vec<Value>> {
        let operated = |cluster: &Cluster| cluster.operator.as_ref().is_some_and(|operator| operator.group == group);
        if group != "batch" && self.clusters.iter().any(operated) {
            let own = |cluster: &Cluster| if operated(cluster) { cluster.operator_objects(resource) } else { Vec::new() };
            return Some(self.collect(scope, own));
        }
        Some(match resource {
            "jobs" => self.collect(scope, |cluster| cluster.operator.as_ref().map_or_else(Vec::new, |it| it.jobs.clone())),
            "statefulsets" => self.collect(scope, |cluster| {
                let is_made = cluster.operator.as_ref().is_none_or(|operator| !operator.without_set);
                if is_made { vec![cluster.stateful_set()] } else { Vec::new() }
            }),
            "pods" => [self.collect(scope, Cluster::pods), self.helpers.pods(scope)].concat(),
            "persistentvolumeclaims" => self.collect(scope, Cluster::claims),
            "services" => self.collect(scope, Cluster::services),
            "endpointslices" => self.collect(scope, Cluster::endpoint_slices),
            "events" => self.collect(scope, Cluster::events),
            "deployments" => self.operators.iter().map(|image| objects::operator(image)).collect(),
            "namespaces" => {
                let names: BTreeSet<&String> = self.clusters.iter().map(|cluster| &cluster.namespace).collect();
                names.into_iter().map(|name| json!({ "metadata": { "name": name } })).collect()
            }
            "poddisruptionbudgets" => self.collect(scope, Cluster::budgets),
            "persistentvolumes" => self.collect(None, Cluster::volumes),
            "secrets" => {
                let here = |secret: &&Value| scope.is_none_or(|namespace| secret["metadata"]["namespace"] == namespace);
                self.secrets.iter().filter(here).cloned().collect()
            }
            "nodes" => self.nodes.iter().map(|(name, node)| node.object(name)).collect(),
            _ => return None,
        })
    }
}

impl Shared {
    pub fn lock(&self) -> Guard<'_> {
        Guard { world: Some(self.0.world.lock().unwrap()), inner: &self.0 }
    }

    /// To look, not to change anything that can be watched.
    fn peek(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap()
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn version(&self) -> u64 {
        *self.0.changes.borrow()
    }

    /// How often pods were looked at.
    pub fn samples(&self) -> usize {
        self.0.samples.load(Ordering::SeqCst)
    }

    pub async fn serve(&self) -> Server {
        self.serve_as(Server::builder()).await
    }

    pub async fn serve_as(&self, builder: Builder) -> Server {
        let world = self.clone();
        builder.start(move |request| world.answer(request)).await
    }

    /// What the API server of this world says.
    pub fn answer(&self, request: &Request) -> Answer {
        let mut world = self.peek();
        if let Some((code, words)) = world.down {
            return Answer::error(code, words);
        }
        if request.path == "/version" {
            return Answer::Json(json!({ "major": "1", "minor": "34", "gitVersion": "v1.34.4" }));
        }
        let Some(asked) = Asked::of(request) else {
            return Answer::error(404, "the server could not find the requested resource");
        };
        if let Some(refusal) = asked.refusal(&world) {
            return refusal;
        }
        if let Some(answer) = self.helpers(&mut world, &asked, request) {
            return answer;
        }
        if asked.resource == "pods/exec" {
            return self.exec(&world, &asked);
        }
        if asked.verb == "watch" {
            return watches::answer(self, &world, &asked, request);
        }
        let Some(objects) = world.objects(&asked.group, &asked.resource, asked.namespace.as_deref()) else {
            return Answer::error(404, "the server could not find the requested resource");
        };
        match &asked.name {
            None => {
                let (version, items) = (self.version(), selected(objects, request));
                world.told.note(request, version, &items);
                Answer::Json(json!({ "metadata": { "resourceVersion": version.to_string() }, "items": items }))
            }
            Some(name) => match objects.into_iter().find(|object| object["metadata"]["name"] == name.as_str()) {
                Some(object) => Answer::Json(object),
                None => Answer::error(404, format!("{} \"{name}\" not found", asked.resource)),
            },
        }
    }

    fn exec(&self, world: &World, asked: &Asked) -> Answer {
        let pod = asked.name.clone().unwrap_or_default();
        let place =
            world.clusters.iter().filter(|cluster| Some(&cluster.namespace) == asked.namespace.as_ref()).find_map(|cluster| {
                let ordinal = cluster.members.keys().find(|ordinal| cluster.pod(**ordinal) == pod)?;
                Some((cluster.name.clone(), *ordinal, &cluster.members[ordinal]))
            });
        match place {
            Some((_, _, Member { pod: Pod::Absent, .. })) | None => Answer::error(404, format!("pods \"{pod}\" not found")),
            Some((_, _, member)) if !matches!(member.pod, Pod::Running { .. }) || member.exec == ExecState::Missing => {
                Answer::exec(|exec| exec.fail("unable to upgrade connection: container not found (\"mariadb\")"))
            }
            Some((cluster, ordinal, member)) => {
                let (world, state) = (self.clone(), member.exec);
                Answer::exec(move |exec| world.run(exec, cluster, ordinal, state))
            }
        }
    }

    /// Behaves as the loader and the script it was given.
    async fn run(self, mut exec: Exec, cluster: String, ordinal: u32, state: ExecState) {
        let mut script = Vec::new();
        while let Some(line) = exec.line().await {
            if line == "--go" {
                break;
            }
            script.push(line);
        }
        let given = script.iter().find_map(|line| line.strip_prefix("given='")?.strip_suffix('\'')).unwrap_or_default();
        let sample = || {
            self.0.samples.fetch_add(1, Ordering::SeqCst);
            sample::of(self.peek().cluster(&cluster), ordinal, given)
        };
        match state {
            ExecState::Answers | ExecState::Missing => {}
            ExecState::Hangs => return exec.silence().await,
            ExecState::Late(delay) => tokio::time::sleep(delay).await,
            ExecState::Breaks | ExecState::EndsWithoutStatus => {
                let whole = sample();
                exec.stdout(&whole[..whole.len() / 2]).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                return if state == ExecState::Breaks { exec.reset() } else { exec.close().await };
            }
        }
        if client::is_started_by(&script) {
            return client::run(self, exec, cluster, ordinal, script).await;
        }
        if script.last().is_some_and(|line| line == "sample") {
            let text = sample();
            exec.stdout(text).await;
            return exec.exit(0).await;
        }
        let (mut changed, cuts) = (self.changes(), self.peek().cuts);
        loop {
            tokio::select! {
                line = exec.line() => {
                    let state = self.peek().clusters.iter().find(|one| one.name == cluster).map(|one| one.members[&ordinal].exec);
                    match state.filter(|_| line.is_some()) {
                        None => return exec.exit(0).await,
                        Some(ExecState::Hangs) => return exec.silence().await,
                        Some(_) => {}
                    }
                    let text = sample();
                    exec.stdout(text).await;
                }
                _ = changed.changed() => {
                    if self.peek().cuts != cuts {
                        return exec.reset();
                    }
                }
            }
        }
    }
}

/// A request taken apart.
struct Asked {
    /// Empty for the core group.
    group: String,
    verb: &'static str,
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl Asked {
    fn of(request: &Request) -> Option<Self> {
        let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, parts) = match parts.as_slice() {
            ["api", _, parts @ ..] => ("", parts),
            ["apis", group, _, parts @ ..] => (*group, parts),
            _ => return None,
        };
        let (namespace, parts) = match parts {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let (resource, name) = match parts {
            [resource] => ((*resource).to_owned(), None),
            [resource, name] => ((*resource).to_owned(), Some((*name).to_owned())),
            [resource, name, part] => (format!("{resource}/{part}"), Some((*name).to_owned())),
            _ => return None,
        };
        let watches = request.query("watch").is_some_and(|value| value == "true");
        let verb = match request.method.as_str() {
            "POST" => "create",
            "DELETE" => "delete",
            _ if watches => "watch",
            _ if name.is_some() => "get",
            _ => "list",
        };
        Some(Self { group: group.to_owned(), verb, resource, namespace, name })
    }

    /// 403 in the words of the API server, if the right is denied.
    fn refusal(&self, world: &World) -> Option<Answer> {
        let Self { verb, resource, .. } = self;
        world.denied.contains(format!("{verb} {resource}").as_str()).then(|| {
            let name = self.name.as_ref().map_or_else(String::new, |name| format!(" \"{name}\""));
            let scope = match &self.namespace {
                Some(namespace) => format!("in the namespace \"{namespace}\""),
                None => "at the cluster scope".to_owned(),
            };
            let words = format!(
                "{resource}{name} is forbidden: User \"someone\" cannot {verb} resource \"{resource}\" in API group \"{}\" {scope}",
                self.group
            );
            Answer::error(403, words)
        })
    }
}

/// The label selectors the program uses: `key`, `key=value`, `key in (a,b)`.
fn selected(mut objects: Vec<Value>, request: &Request) -> Vec<Value> {
    if let Some(name) = request.query("fieldSelector").and_then(|fields| fields.strip_prefix("metadata.name=")) {
        objects.retain(|object| object["metadata"]["name"] == name);
    }
    let Some(selector) = request.query("labelSelector") else { return objects };
    let matches = |object: &Value| {
        let label = |key: &str| object["metadata"]["labels"][key.trim()].as_str();
        if let Some((key, values)) = selector.split_once(" in (") {
            return label(key).is_some_and(|own| values.trim_end_matches(')').split(',').any(|value| value == own));
        }
        match selector.split_once('=') {
            Some((key, value)) => label(key) == Some(value),
            None => label(selector).is_some(),
        }
    };
    objects.into_iter().filter(matches).collect()
}
