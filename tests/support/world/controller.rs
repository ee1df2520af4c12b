//! The StatefulSet controller and the kubelets, as far as starting and stopping pods goes: one thing per look at the set, so
//! that every state in between is seen.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::server::{Answer, Request};
use super::{Asked, Cluster, Engine, ExecState, Pod, Shared, World};

/// What of a set only matters when it changes.
#[derive(Default)]
pub struct Controller {
    /// Without it the pods stay as a test has set them.
    pub acts: bool,
    pub ordered: bool,
    pub start: u32,
    pub deletes_claims: bool,
    pub generation: u64,
    observed: u64,
    leaving: BTreeSet<u32>,
    founder: Option<Founder>,
    /// A founder's server ends at once.
    pub founder_fails: bool,
    /// The first start of this ordinal as a joiner comes to nothing: its server lives on and has left the group for good.
    pub stuck: Option<u32>,
    /// The founder ends once, when so many have joined it: evicted, which is a clean leave, or killed.
    pub founder_ends: Option<FounderEnds>,
    /// No node has room for the pod of this ordinal.
    pub no_room: Option<u32>,
    /// The test lets claims be deleted.
    pub prunes: bool,
    /// A pod of this ordinal founds a cluster of its own instead of joining.
    pub stray: Option<u32>,
    /// Volumes that outlive the node they were made for.
    pub network_volumes: bool,
    /// The controller does nothing, as if it were down.
    pub idle: bool,
    pub labels: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FounderEnds {
    pub joined: usize,
    pub cleanly: bool,
}

struct Founder {
    ordinal: u32,
    object: Value,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Starting,
    Running,
    Leaving,
    Ended,
}

const CREATING: Pod = Pod::Waiting { reason: "ContainerCreating", message: "" };

impl Cluster {
    /// A set whose controller acts.
    pub fn controlled(mut self, ordered: bool) -> Self {
        self.controller.acts = true;
        self.controller.ordered = ordered;
        (self.controller.generation, self.controller.observed) = (1, 1);
        self
    }

    fn wants(&self, ordinal: u32) -> bool {
        (self.controller.start..self.controller.start + self.replicas).contains(&ordinal)
    }

    /// One step of whoever acts on the set.
    pub fn tick(&mut self) {
        if !self.controller.acts || self.controller.idle {
            return;
        }
        self.controller.observed = self.controller.generation;
        self.tick_operator();
        self.tick_founder();
        self.tick_kubelets();
        self.tick_controller();
        for (ordinal, member) in &mut self.members {
            if let Pod::Running { ready } = &mut member.pod {
                *ready = match &self.engine {
                    Engine::Galera(galera) => galera.serves(*ordinal),
                    Engine::Gtid(_) => true,
                };
            }
        }
    }

    fn end_founder(&mut self) {
        let Some(founder) = self.controller.founder.as_ref().filter(|founder| founder.state == State::Running) else { return };
        let (ordinal, Some(ends)) = (founder.ordinal, self.controller.founder_ends) else { return };
        if !self.as_galera().primaries().iter().any(|members| members.contains(&ordinal) && members.len() > ends.joined) {
            return;
        }
        if ends.cleanly {
            self.as_galera().stop(ordinal);
        } else {
            self.as_galera().kill(&[ordinal]);
        }
        self.controller.founder_ends = None;
        self.controller.founder.as_mut().unwrap().state = State::Ended;
    }

    fn tick_founder(&mut self) {
        self.end_founder();
        let fails = self.controller.founder_fails;
        let Some(founder) = &mut self.controller.founder else { return };
        let ordinal = founder.ordinal;
        match founder.state {
            State::Starting => {
                founder.state = if fails { State::Ended } else { State::Running };
                self.as_galera().found(ordinal, !fails);
            }
            State::Leaving => {
                self.controller.founder = None;
                if self.engine.runs(ordinal) {
                    self.as_galera().stop(ordinal);
                }
            }
            State::Running | State::Ended => {}
        }
    }

    fn tick_kubelets(&mut self) {
        for ordinal in std::mem::take(&mut self.controller.leaving) {
            if self.lingers(ordinal) {
                self.controller.leaving.insert(ordinal);
                continue;
            }
            // A server that crashed leaves what it left then.
            if self.engine.runs(ordinal) {
                self.engine.stop(ordinal);
            }
            let member = self.member(ordinal);
            member.pod = Pod::Absent;
            member.remade += 1;
            // Kubernetes keeps a claim as long as its pod is there.
            if std::mem::take(&mut member.claim_deleted) {
                member.has_claim = false;
            }
        }
        let creating: Vec<u32> =
            self.members.iter().filter(|(_, member)| member.pod == CREATING).map(|(ordinal, _)| *ordinal).collect();
        for ordinal in creating {
            assert!(!self.engine.runs(ordinal), "two servers on the volume of {}", self.pod(ordinal));
            if let Some(pod) = self.comes_up(ordinal) {
                self.member(ordinal).pod = pod;
                continue;
            }
            if self.controller.stray == Some(ordinal) {
                self.as_galera().cut(&[&[], &[ordinal]]);
                self.as_galera().mark_safe(ordinal);
                self.as_galera().found(ordinal, true);
            } else {
                self.start_server(ordinal);
            }
            if self.controller.stuck == Some(ordinal) {
                self.controller.stuck = None;
                self.as_galera().disconnect(ordinal);
            }
            self.member(ordinal).pod = Pod::Running { ready: false };
        }
    }

    fn tick_controller(&mut self) {
        let present: Vec<u32> = self.members.iter().filter(|(_, member)| member.pod != Pod::Absent).map(|(o, _)| *o).collect();
        let ready = |cluster: &Self, ordinal: u32| cluster.members[&ordinal].pod == Pod::Running { ready: true };
        let ordered = self.controller.ordered;
        for ordinal in present.iter().rev().copied().filter(|ordinal| !self.wants(*ordinal)).collect::<Vec<_>>() {
            // The controller waits for an unready pod below before it goes on from the top (safety B1).
            if ordered && present.iter().any(|other| *other != ordinal && !ready(self, *other)) {
                return;
            }
            self.controller.leaving.insert(ordinal);
            if self.controller.deletes_claims {
                self.member(ordinal).has_claim = false;
            }
            if ordered {
                return;
            }
        }
        let wanted: Vec<u32> = (self.controller.start..self.controller.start + self.replicas).collect();
        for ordinal in wanted {
            if !self.members.contains_key(&ordinal) {
                self.grow(ordinal);
            }
            let room = self.controller.no_room != Some(ordinal);
            if self.members[&ordinal].pod == Pod::Absent {
                self.make(ordinal);
                let member = self.member(ordinal);
                member.pod = if room { CREATING } else { Pod::Pending("0/3 nodes are available: 3 Insufficient memory.") };
                if !member.has_claim {
                    if member.claim_node.take().is_some() {
                        member.node = "n1".to_owned();
                    }
                    member.has_claim = true;
                    member.claims_remade += 1;
                    self.as_galera().wipe(ordinal);
                }
                if ordered {
                    return;
                }
            } else if ordered && !ready(self, ordinal) {
                return;
            }
        }
        self.roll();
    }

    pub(super) fn leave(&mut self, ordinal: u32) {
        self.controller.leaving.insert(ordinal);
    }

    pub fn is_leaving(&self, ordinal: u32) -> bool {
        self.controller.leaving.contains(&ordinal)
    }

    pub fn generation(&self) -> u64 {
        self.controller.generation.max(1)
    }

    pub fn observed_generation(&self) -> u64 {
        self.controller.observed.max(1)
    }

    /// The bootstrap pod, as the API server has it.
    pub fn founder(&self) -> Option<Value> {
        let founder = self.controller.founder.as_ref()?;
        let running = founder.state == State::Running || founder.state == State::Leaving;
        let state = match founder.state {
            State::Starting => json!({ "waiting": { "reason": "ContainerCreating" } }),
            State::Running | State::Leaving => json!({ "running": {} }),
            State::Ended => json!({ "terminated": { "exitCode": 1, "reason": "Error" } }),
        };
        let mut object = founder.object.clone();
        if founder.state == State::Leaving {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-02T04:00:00Z");
        }
        object["spec"]["nodeName"] = json!("n1");
        // Nobody meets a gate here.
        let ready = running && object["spec"]["readinessGates"].is_null();
        object["status"] = json!({
            "phase": if founder.state == State::Ended { "Failed" } else { "Running" }, "podIP": self.ip(founder.ordinal),
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
            "containerStatuses": [{ "name": "mariadb", "image": self.image, "imageID": "i@sha256:1", "ready": running,
                "restartCount": 0, "state": state, "lastState": {} }],
        });
        Some(object)
    }

    /// Applies JSON-patch operations; `None`: a test does not hold.
    fn patch(&mut self, operations: &Value) -> Option<()> {
        let before = self.stateful_set();
        for operation in operations.as_array().unwrap() {
            let (path, value) = (operation["path"].as_str().unwrap(), &operation["value"]);
            match (operation["op"].as_str().unwrap(), path) {
                ("test", path) => {
                    if before.pointer(path) != Some(value) {
                        return None;
                    }
                }
                ("replace", "/spec/replicas") => self.replicas = u32::try_from(value.as_u64().unwrap()).unwrap(),
                ("add", "/spec/ordinals") => self.controller.start = u32::try_from(value["start"].as_u64().unwrap()).unwrap(),
                ("remove", "/spec/ordinals") => self.controller.start = 0,
                ("replace", "/spec/persistentVolumeClaimRetentionPolicy/whenScaled") => {
                    self.controller.deletes_claims = value == "Delete";
                }
                (operation, path) if self.patch_rollout(operation, path, value) => {}
                other => panic!("no operation of this world: {other:?}"),
            }
        }
        let tests = operations.as_array().unwrap().iter().filter(|operation| operation["op"] == "test").count();
        assert!(tests >= 2, "a change must test what it was made for: {operations}");
        self.controller.generation += 1;
        Some(())
    }

    /// Somebody else scales the set.
    pub fn scale_from_outside(&mut self, replicas: u32) {
        self.replicas = replicas;
        self.controller.generation += 1;
    }
}

impl Shared {
    /// What operations write, and read of it.
    pub(super) fn operations(&self, world: &mut World, asked: &Asked, request: &Request) -> Option<Answer> {
        let namespace = asked.namespace.clone().unwrap_or_default();
        let body = || serde_json::from_slice::<Value>(&request.body).unwrap();
        match (asked.verb, asked.resource.as_str(), asked.name.as_deref()) {
            ("get", "statefulsets", Some(name)) => {
                world.clusters.iter_mut().filter(|cluster| cluster.name == name).for_each(Cluster::tick);
                None
            }
            ("create", "configmaps", None) => Some(world.config_maps.create(&namespace, body())),
            ("patch", "configmaps", Some(name)) => Some(world.config_maps.merge(name, &body())),
            ("patch", "mariadbs", Some(name)) => {
                let dry_run = request.query("dryRun").is_some();
                let answer = world.cluster(name).patch_operator(&body(), dry_run);
                let refused = || Answer::error(422, "the server rejected our request due to an error in our request");
                Some(answer.map_or_else(refused, Answer::Json))
            }
            ("patch", "services", Some(name)) => {
                let leads = |cluster: &&mut Cluster| cluster.services().iter().any(|service| service["metadata"]["name"] == name);
                let cluster = world.clusters.iter_mut().find(leads)?;
                let answer = cluster.patch_service(name, &body(), request.query("dryRun").is_some());
                let refused = || Answer::error(422, "the server rejected our request due to an error in our request");
                Some(answer.map_or_else(refused, Answer::Json))
            }
            ("patch", "statefulsets", Some(name)) => {
                let cluster = world.cluster(name);
                let old = (
                    cluster.replicas,
                    cluster.controller.start,
                    cluster.controller.deletes_claims,
                    cluster.controller.generation,
                );
                let template = (cluster.image.clone(), cluster.partition, cluster.rolling.clone());
                if cluster.patch(&body()).is_none() {
                    return Some(Answer::error(422, "the server rejected our request due to an error in our request"));
                }
                let object = cluster.stateful_set();
                if request.query("dryRun").is_some() {
                    let controller = &mut cluster.controller;
                    (cluster.replicas, controller.start, controller.deletes_claims, controller.generation) = old;
                    (cluster.image, cluster.partition, cluster.rolling) = template;
                }
                Some(Answer::Json(object))
            }
            ("create", "persistentvolumeclaims", None) => {
                let object = body();
                let set = object["metadata"]["labels"]["app"].as_str().unwrap().to_owned();
                Some(world.cluster(&set).make_claim(&object, request))
            }
            ("create", "pods", None) if request.query("dryRun").is_none() => Some(create(world, &namespace, body())),
            ("delete", "persistentvolumeclaims", Some(name)) => {
                let claim = world.clusters.iter().flat_map(Cluster::claims).find(|claim| claim["metadata"]["name"] == name)?;
                assert_eq!(body()["preconditions"]["uid"], claim["metadata"]["uid"], "a claim is deleted by its uid");
                if is_dry(request) {
                    return Some(Answer::Json(claim));
                }
                for cluster in &mut world.clusters {
                    cluster.volumes.others.retain(|other| other["metadata"]["name"] != name);
                }
                let Some((set, ordinal)) = name.strip_prefix("data-").and_then(|name| name.rsplit_once('-')) else {
                    return Some(Answer::Json(claim));
                };
                super::volumes::delete(world.cluster(set), name, ordinal.parse().unwrap());
                Some(Answer::Json(claim))
            }
            ("create", "pods/eviction", Some(name)) => {
                let allowed =
                    world.clusters.iter().any(|cluster| name.starts_with(&cluster.name) && cluster.disruptions_allowed > 0);
                if !allowed {
                    world.held_back += u32::from(request.query("dryRun").is_none());
                    return Some(Answer::error(429, "Cannot evict pod as it would violate the pod's disruption budget."));
                }
                let options = body()["deleteOptions"].clone();
                Some(delete(world, name, &options, request.query("dryRun") == Some("All")))
            }
            ("delete", "pods", Some(name)) => Some(delete(world, name, &body(), is_dry(request))),
            ("get", "pods", Some(name)) => world
                .clusters
                .iter()
                .filter_map(Cluster::founder)
                .find_map(|pod| (pod["metadata"]["name"] == name).then_some(Answer::Json(pod))),
            ("get", "pods/exec", Some(name)) => {
                let (set, ordinal) = world.clusters.iter().find_map(|cluster| {
                    let founder = cluster.controller.founder.as_ref()?;
                    (founder.object["metadata"]["name"] == name).then(|| (cluster.name.clone(), founder.ordinal))
                })?;
                let shared = self.clone();
                Some(Answer::exec(move |exec| shared.run(exec, set, ordinal, ExecState::Answers)))
            }
            _ => None,
        }
    }
}

fn create(world: &mut World, namespace: &str, mut object: Value) -> Answer {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let set =
        object["metadata"]["labels"]["kubectl-mariadb/bootstrap"].as_str().expect("no other bare pod is created").to_owned();
    let cluster = world.cluster(&set);
    if cluster.founder().is_some() {
        return Answer::error(409, format!("pods \"{name}\" already exists"));
    }
    let ordinal: u32 = object["spec"]["hostname"].as_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
    assert!(!cluster.wants(ordinal), "the set would start a second server on that volume");
    object["metadata"]["namespace"] = json!(namespace);
    object["metadata"]["creationTimestamp"] = json!("2026-01-02T04:00:00Z");
    object["metadata"]["uid"] = json!(format!("uid-{name}"));
    cluster.controller.founder = Some(Founder { ordinal, object: object.clone(), state: State::Starting });
    Answer::Json(object)
}

/// Whether nothing is to happen; said twice, for something in between may drop the body of a DELETE.
fn is_dry(request: &Request) -> bool {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let (said, dry) = (body["dryRun"] == json!(["All"]), request.query("dryRun") == Some("All"));
    assert_eq!(said, dry, "the body and the address of a DELETE say the same");
    dry
}

fn delete(world: &mut World, name: &str, options: &Value, dry_run: bool) -> Answer {
    let member = world.clusters.iter_mut().find_map(|cluster| {
        let ordinal = cluster.members.keys().copied().find(|ordinal| cluster.pod(*ordinal) == name)?;
        Some((cluster, ordinal))
    });
    if let Some((cluster, ordinal)) = member {
        let Some(pod) = cluster.pod_object(ordinal) else {
            return Answer::error(404, format!("pods \"{name}\" not found"));
        };
        assert_eq!(options["preconditions"]["uid"], pod["metadata"]["uid"], "a pod is deleted by its uid");
        if !dry_run {
            cluster.controller.leaving.insert(ordinal);
        }
        return Answer::Json(pod);
    }
    let mut founders = world.clusters.iter_mut().filter_map(|cluster| cluster.controller.founder.as_mut());
    let Some(founder) = founders.find(|founder| founder.object["metadata"]["name"] == name) else {
        return Answer::error(404, format!("pods \"{name}\" not found"));
    };
    assert_eq!(options["preconditions"]["uid"], founder.object["metadata"]["uid"], "a pod is deleted by its uid");
    founder.state = State::Leaving;
    Answer::Json(founder.object.clone())
}
