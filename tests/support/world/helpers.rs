//! Helper pods: Jobs that are created here, the one pod of each, and what the API server would say to them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::server::{Answer, Request};
use super::super::streams::Exec;
use super::{Asked, Shared, World, sample, seeding};

/// The Jobs of this world, and how it treats them.
#[derive(Default)]
pub struct Helpers {
    jobs: BTreeMap<String, Value>,
    /// Every Job ever created, and every one deleted.
    pub created: Vec<Value>,
    pub deleted: Vec<String>,
    /// A quota refuses every pod, in these words.
    pub quota: Option<&'static str>,
    /// Admission adds a container of this name.
    pub injects: Option<&'static str>,
    /// Pods stay where they are, for this reason.
    pub unscheduled: Option<&'static str>,
    /// What `--wsrep-recover` prints instead of the position.
    pub recovery_log: Option<&'static str>,
    /// Volumes of these ordinals give read errors, and take no file.
    pub unreadable: BTreeSet<u32>,
    pub unwritable: BTreeSet<u32>,
    /// What is created is answered without its uid, as by something in between.
    pub nameless: bool,
    /// What is created is there, and the answer never comes.
    pub silent: bool,
    /// Images that no node can get.
    pub unpullable: BTreeSet<String>,
    /// How often each Job was asked for.
    asked: BTreeMap<String, u32>,
    /// Deletions are accepted and nothing goes.
    pub undeletable: bool,
}

impl Helpers {
    pub fn alive(&self) -> Vec<&str> {
        self.jobs.keys().map(String::as_str).collect()
    }

    /// Leaves the Job of an earlier run: one of ours that has ended, or is at work.
    pub fn leave(&mut self, mut job: Value, ended: bool) {
        job["metadata"]["uid"] = json!("uid-of-an-earlier-run");
        job["metadata"]["creationTimestamp"] = json!("2026-01-02T03:00:00Z");
        let status = if ended { "True" } else { "False" };
        job["status"] = json!({"conditions": [{"type": "Failed", "status": status, "reason": "DeadlineExceeded"}]});
        self.jobs.insert(job["metadata"]["name"].as_str().unwrap().to_owned(), job);
    }

    /// The Job ends by its own deadline, and nobody has removed it yet.
    pub fn end(&mut self, name: &str) {
        let job = self.jobs.get_mut(name).expect("a Job of that name");
        job["status"] = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]});
    }

    /// The pods of all Jobs. `given`: the ordinals that have got a copy.
    pub fn pods(&self, namespace: Option<&str>, given: &BTreeSet<u32>) -> Vec<Value> {
        // The Job controller deletes the pod of a Job whose deadline has passed.
        let lives = |job: &Value| job["status"]["conditions"][0]["status"] != "True";
        let here = |job: &&Value| lives(job) && namespace.is_none_or(|namespace| job["metadata"]["namespace"] == namespace);
        self.jobs.values().filter(here).map(|job| self.pod(job, given)).collect()
    }

    fn pod(&self, job: &Value, given: &BTreeSet<u32>) -> Value {
        let (name, template) = (job["metadata"]["name"].as_str().unwrap(), &job["spec"]["template"]);
        let mut metadata = template["metadata"].clone();
        metadata["name"] = json!(format!("{name}-x7k2p"));
        metadata["namespace"] = job["metadata"]["namespace"].clone();
        metadata["uid"] = json!(format!("pod-of-{}", job["metadata"]["uid"].as_str().unwrap()));
        metadata["creationTimestamp"] = json!("2026-01-02T04:00:00Z");
        metadata["labels"]["batch.kubernetes.io/job-name"] = json!(name);
        metadata["ownerReferences"] = json!([{"kind": "Job", "name": name, "uid": job["metadata"]["uid"], "controller": true}]);
        let ended = match job["metadata"]["labels"]["kubectl-mariadb/helper"].as_str() {
            Some("inspect") => false,
            Some("seed") => given.contains(&ordinal(job)),
            _ => true,
        };
        let state = if ended { json!({"terminated": {"exitCode": 0}}) } else { json!({"running": {}}) };
        let mut status = json!({"phase": if ended { "Succeeded" } else { "Running" },
            "containerStatuses": [{"name": "helper", "image": "i", "imageID": "i@sha256:1", "state": state}]});
        if job["metadata"]["labels"]["kubectl-mariadb/helper"] == "seed" {
            status["podIP"] = seeding::address(ordinal(job));
        }
        let image = job["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
        if self.unpullable.contains(image) {
            let state = json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}});
            status = json!({"phase": "Pending", "containerStatuses": [{"name": "helper", "image": image, "imageID": "", "state": state}]});
        }
        if let Some(why) = self.unscheduled {
            status = json!({"phase": "Pending", "conditions":
                [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}]});
        }
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"], "status": status})
    }

    /// Time passes with each look: a Job that nobody removes ends by its own deadline.
    fn look(&mut self, name: &str) -> Option<Value> {
        let asked = self.asked.entry(name.to_owned()).or_default();
        *asked += 1;
        let job = self.jobs.get_mut(name)?;
        if *asked > 3 && job["status"].is_null() {
            job["status"] = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]});
        }
        Some(job.clone())
    }

    fn of_pod(&self, pod: &str) -> Option<&Value> {
        self.jobs.get(pod.strip_suffix("-x7k2p")?)
    }
}

/// The ordinal at whose volume a Job looks.
fn ordinal(job: &Value) -> u32 {
    let claim = job["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"].as_str().unwrap();
    claim.rsplit('-').next().unwrap().parse().unwrap()
}

impl Shared {
    /// Writes, and reads of what was written; `None`: something else is asked.
    pub(super) fn helpers(&self, world: &mut World, asked: &Asked, request: &Request) -> Option<Answer> {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match (asked.verb, asked.resource.as_str(), &asked.name) {
            ("create", "pods" | "jobs", None) => Some(created(world, asked, request, body)),
            ("get", "jobs", Some(name)) => Some(match world.helpers.look(name) {
                Some(job) => Answer::Json(job),
                None => Answer::error(404, format!("jobs.batch \"{name}\" not found")),
            }),
            ("delete", "jobs", Some(name)) => {
                let uid = world.helpers.jobs.get(name).map(|job| job["metadata"]["uid"].clone());
                let Some(uid) = uid else {
                    return Some(Answer::error(404, format!("jobs.batch \"{name}\" not found")));
                };
                assert_eq!(body["preconditions"]["uid"], uid, "a Job is deleted by its uid");
                if !world.helpers.undeletable {
                    world.helpers.jobs.remove(name);
                    world.helpers.deleted.push(name.clone());
                }
                Some(Answer::Json(json!({"kind": "Status", "status": "Success"})))
            }
            ("get", "pods/log", Some(pod)) => Some(log(world, pod)),
            ("get", "pods/exec", Some(pod)) => {
                let job = world.helpers.of_pod(pod)?;
                let (shared, ordinal) = (self.clone(), ordinal(job));
                let set = job["metadata"]["labels"]["kubectl-mariadb/set"].as_str().unwrap().to_owned();
                if job["metadata"]["labels"]["kubectl-mariadb/helper"] == "seed" {
                    return Some(Answer::exec(move |exec| shared.take_over(exec, set, ordinal)));
                }
                Some(Answer::exec(move |exec| shared.look_at_rest(exec, set, ordinal)))
            }
            _ => None,
        }
    }

    async fn look_at_rest(self, mut exec: Exec, set: String, ordinal: u32) {
        let mut last = String::new();
        while let Some(line) = exec.line().await {
            if line == "--go" {
                break;
            }
            last = line;
        }
        assert_eq!(last, "sample_at_rest", "a helper pod has no server to ask");
        if self.lock().helpers.unreadable.contains(&ordinal) {
            exec.stderr("cat: read error: Input/output error").await;
            exec.exit(1).await;
            return;
        }
        let text = sample::at_rest(self.lock().cluster(&set), ordinal);
        exec.stdout(text).await;
        exec.exit(0).await;
    }
}

fn created(world: &mut World, asked: &Asked, request: &Request, mut object: Value) -> Answer {
    if let Some(words) = world.helpers.quota.filter(|_| asked.resource == "pods") {
        return Answer::error(403, words);
    }
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    object["metadata"]["namespace"] = json!(asked.namespace);
    if asked.resource == "pods" {
        assert_eq!(request.query("dryRun"), Some("All"), "no bare pod is created");
        if let Some(name) = world.helpers.injects {
            object["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": name}));
        }
        return Answer::Json(object);
    }
    if world.helpers.jobs.contains_key(&name) {
        return Answer::error(409, format!("jobs.batch \"{name}\" already exists"));
    }
    if request.query("dryRun").is_some() {
        return Answer::Json(object);
    }
    object["metadata"]["uid"] = json!(format!("uid-{name}-{}", world.helpers.created.len()));
    let claimed = object["metadata"]["labels"]["kubectl-mariadb/helper"] != "try";
    if let Some(cluster) = world.clusters.iter().find(|cluster| claimed && cluster.volumes.one_pod) {
        let pod = &cluster.members[&ordinal(&object)].pod;
        assert!(matches!(pod, super::Pod::Absent | super::Pod::Pending(_)), "it would wait for the pod of the member: {pod:?}");
    }
    match object["metadata"]["labels"]["kubectl-mariadb/helper"].as_str() {
        Some("reset") if world.helpers.unwritable.contains(&ordinal(&object)) => {}
        Some("write") => write(world, &object),
        Some("reset") => {
            let set = object["metadata"]["labels"]["kubectl-mariadb/set"].as_str().unwrap().to_owned();
            world.cluster(&set).as_galera().mark(ordinal(&object));
        }
        _ => {}
    }
    world.helpers.created.push(object.clone());
    world.helpers.jobs.insert(name, object.clone());
    if world.helpers.silent {
        return Answer::Hang;
    }
    if world.helpers.nameless {
        object["metadata"]["uid"] = Value::Null;
    }
    Answer::Json(object)
}

/// What the script of a writer does, where nothing else has written meanwhile.
fn write(world: &mut World, job: &Value) {
    let words = job["spec"]["template"]["spec"]["containers"][0]["command"].as_array().unwrap();
    let said = |number: usize| words[number].as_str().unwrap().to_owned();
    let ordinal = ordinal(job);
    assert!(!world.helpers.unreadable.contains(&ordinal), "nothing is written to what could not be read");
    let galera = world.cluster(job["metadata"]["labels"]["kubectl-mariadb/set"].as_str().unwrap()).as_galera();
    let now = galera.grastate(ordinal);
    assert!(now == said(5) || now == said(6), "it is written over what was seen, or again: {now}");
    galera.put_grastate(ordinal, &said(6));
}

fn log(world: &World, pod: &str) -> Answer {
    if let Some(job) = world.helpers.of_pod(pod) {
        let set = job["metadata"]["labels"]["kubectl-mariadb/set"].as_str().unwrap();
        let cluster = world.clusters.iter().find(|cluster| cluster.name == set).unwrap();
        if job["metadata"]["labels"]["kubectl-mariadb/helper"] == "try" {
            let image = job["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
            let text = format!("mariadbd  Ver {}-MariaDB-log for Linux on x86_64 (Source)\n", cluster.version_in(image));
            return Answer::Page(200, Box::leak(text.into_boxed_str()));
        }
        if job["metadata"]["labels"]["kubectl-mariadb/helper"] == "seed" {
            return Answer::Page(200, "[00] 2026-01-02 04:00:00 completed OK!\nkubectl-mariadb: seeded\n");
        }
        let super::Engine::Galera(galera) = &cluster.engine else { panic!("only Galera has positions") };
        let helper = job["metadata"]["labels"]["kubectl-mariadb/helper"].as_str();
        if helper == Some("reset") && world.helpers.unwritable.contains(&ordinal(job)) {
            return Answer::Page(200, "kubectl-mariadb: refused: grastate.dat cannot be written\n");
        }
        if matches!(helper, Some("write" | "reset")) {
            let text = galera.grastate(ordinal(job));
            let lines = text.lines().filter(|line| ["uuid:", "seqno:", "safe"].iter().any(|key| line.starts_with(key)));
            let said: Vec<String> =
                lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").replacen(':', "", 1)).collect();
            let text = format!("kubectl-mariadb: grastate.dat: {} \n", said.join(" "));
            return Answer::Page(200, Box::leak(text.into_boxed_str()));
        }
        let position = galera.position(ordinal(job));
        let found = format!("2026-01-02  4:00:00 0 [Note] WSREP: Recovered position: {position}\nkubectl-mariadb: exit 0\n");
        return Answer::Page(200, world.helpers.recovery_log.unwrap_or(Box::leak(found.into_boxed_str())));
    }
    let member = world
        .clusters
        .iter()
        .find_map(|cluster| cluster.members.iter().find(|(ordinal, _)| cluster.pod(**ordinal) == pod).map(|(_, member)| member));
    match member {
        Some(member) => Answer::Page(200, member.log),
        None => Answer::error(404, format!("pods \"{pod}\" not found")),
    }
}
