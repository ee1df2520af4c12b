//! Helper pods: proven, created, used, removed. Whatever happens to this program, the Job controller ends and removes them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::api::exec::{ExecEnd, exec_until};
use crate::api::objects::{Pods, Scope, latest_log, list_pods};
use crate::api::script::LOADER;
use crate::api::writes::{Denied, Resource, create, delete, read};
use crate::api::{Api, PodRef};
use crate::decide::helper::{CONTAINER, HELPER_LABEL, Helper, Kind, SET_LABEL, StateChange, accepted, version, written};
use crate::decide::operation::upgrade::Tried;
use crate::model::disk::Disk;
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::{ContainerState, Pod};
use crate::model::names::Ordinal;
use crate::model::recovered::{Recovered, RecoveredBy, from_helper};
use crate::observe::probe;
use crate::process::Clock;

/// A pod starts within seconds; attaching a volume may take longer.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The same where no node can have its volume: only that node brings it back, and not within a minute.
const NODELESS_LIMIT: Duration = Duration::from_secs(15);
/// The same with a volume that is made, and an image that is pulled.
const MAKING_LIMIT: Duration = Duration::from_secs(300);
/// Reading a few small files.
const READ_LIMIT: Duration = Duration::from_secs(15);
/// Until a deleted Job and its pod are seen to be gone.
const GONE_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at a pod that starts or ends.
const PAUSE: Duration = Duration::from_millis(400);
/// Position recovery prints some tens of lines.
const LOG_LINES: i64 = 2000;
const MAX_OUTPUT: usize = 1 << 20;

/// The helper pods of one run.
pub struct Helpers<'a> {
    api: &'a Api,
    namespace: &'a str,
    clock: Clock,
    /// Every Job that was asked for and not yet removed, by name: its uid, or `None` for want of an answer.
    alive: RefCell<BTreeMap<String, Option<String>>>,
    created: Cell<bool>,
}

/// One pod of a Job, and the Job's uid.
struct Made {
    job: String,
    uid: String,
}

impl<'a> Helpers<'a> {
    #[must_use]
    pub fn new(api: &'a Api, namespace: &'a str, clock: Clock) -> Self {
        Self { api, namespace, clock, alive: RefCell::default(), created: Cell::new(false) }
    }

    /// Whether any was created at all, or may have been.
    #[must_use]
    pub const fn created_any(&self) -> bool {
        self.created.get()
    }

    /// Asks the API server whether it would take each of them, before the first is created (safety C3).
    pub async fn prove(&self, helpers: &[Helper]) -> BTreeMap<Ordinal, Denied> {
        let proofs = helpers.iter().map(|helper| async {
            let proof = async {
                let pod = create(self.api, Resource::Pods, self.namespace, &helper.pod(), true).await?;
                accepted(helper, &pod).map_err(Denied::Refused)?;
                match create(self.api, Resource::Jobs, self.namespace, &helper.job, true).await {
                    // Of an earlier run, or of one at work: that is for the creation to find out.
                    Ok(_) | Err(Denied::Exists) => Ok(()),
                    Err(denied) => Err(denied),
                }
            };
            Some((helper.ordinal, proof.await.err()?))
        });
        join_all(proofs).await.into_iter().flatten().collect()
    }

    /// Waits until no Job of an earlier run is at work under one of these names: nobody watches it any more, and its own
    /// deadline ends it.
    ///
    /// # Errors
    /// It does not end, or is not there to be read.
    pub async fn outlast(&self, helpers: &[Helper]) -> Result<(), Denied> {
        let began = Instant::now();
        for helper in helpers {
            let limit = helper.kind.lifetime() + GONE_LIMIT;
            loop {
                match read(self.api, Resource::Jobs, self.namespace, &helper.name).await {
                    Err(Denied::Gone) => break,
                    Ok(job) if has_ended(&job) => break,
                    Ok(_) if began.elapsed() > limit => {
                        return Err(Denied::Refused(format!("the Job {} of an earlier run does not end", helper.name)));
                    }
                    Err(denied @ Denied::Lost(_)) if began.elapsed() > limit => return Err(denied),
                    Ok(_) | Err(Denied::Lost(_)) => sleep(PAUSE).await,
                    Err(denied) => return Err(denied),
                }
            }
        }
        Ok(())
    }

    /// Reads the files of every ordinal of `helpers`.
    pub async fn inspect(&self, helpers: &[Helper]) -> BTreeMap<Ordinal, Fact<Disk>> {
        let looks = helpers.iter().map(|helper| async move {
            let found = self.with_pod(helper, |pod| self.look(helper, pod)).await;
            (helper.ordinal, found.unwrap_or_else(Fact::Unknown))
        });
        join_all(looks).await.into_iter().collect()
    }

    /// Recovers the position of every ordinal of `helpers`.
    pub async fn recover(&self, helpers: &[Helper]) -> BTreeMap<Ordinal, Recovered> {
        let recoveries = helpers.iter().map(|helper| async move {
            let log = self.with_pod(helper, |pod| self.log(pod)).await;
            let recovered = match log {
                Ok(Fact::Known(log)) => from_helper(&log),
                Ok(Fact::Unknown(why)) | Err(why) => Recovered { by: RecoveredBy::Helper, position: Fact::Unknown(why) },
            };
            (helper.ordinal, recovered)
        });
        join_all(recoveries).await.into_iter().collect()
    }

    /// Has a change of `grastate.dat` made, as it is read back.
    ///
    /// # Errors
    /// It was refused, or it is not known whether it was made.
    pub async fn write(&self, helper: &Helper, change: &StateChange) -> Result<(), Why> {
        let log = self.with_pod(helper, |pod| self.log(pod)).await?;
        match log {
            Fact::Known(log) => written(&log, change).map_err(Why::Failed),
            Fact::Unknown(why) => Err(why),
        }
    }

    /// Starts an image once, and asks its server for its version.
    ///
    /// # Errors
    /// It is not known what came of it.
    pub async fn try_image(&self, helper: &Helper) -> Result<Tried, Denied> {
        match self.with_pod(helper, |pod| self.log(pod)).await {
            Ok(Fact::Known(log)) => Ok(version(&log).map_or_else(Tried::Unusable, Tried::Version)),
            Err(Why::Failed(why)) => Ok(Tried::Unusable(why)),
            Ok(Fact::Unknown(why)) | Err(why) => Err(Denied::Lost(why.to_string())),
        }
    }

    /// Has `work` done beside a pod that runs, and waits for its end. What its log says then; also of one that had nothing to do.
    ///
    /// # Errors
    /// The pod did not run, or the work failed.
    pub async fn beside<F: Future<Output = Result<(), Why>>>(
        &self,
        helper: &Helper,
        work: impl FnOnce(Pod) -> F,
    ) -> Result<String, Why> {
        let made = self.make(helper).await?;
        let worked = async {
            let pod = self.wait(helper, &made).await?;
            if matches!(progress(&pod), Progress::Runs) {
                work(pod).await?;
            }
            let ended = self.ended(helper, &made).await?;
            self.log(ended).await.known().cloned().map_err(Clone::clone)
        };
        let log = Box::pin(worked).await;
        self.remove(&made).await;
        log
    }

    /// Waits for the end of a pod that runs.
    async fn ended(&self, helper: &Helper, made: &Made) -> Result<Pod, Why> {
        let began = Instant::now();
        while began.elapsed() < helper.kind.lifetime() {
            match self.pod_of(made).await? {
                Some(pod) if matches!(progress(&pod), Progress::Ended) => return Ok(pod),
                Some(_) => {}
                // Evicted, or its node was drained: a Job makes no second one.
                None => return Err(Why::Failed("its helper pod was taken away".to_owned())),
            }
            sleep(PAUSE).await;
        }
        Err(Why::Failed(format!("its helper pod was not done within {} s", helper.kind.lifetime().as_secs())))
    }

    /// Removes all that are left, and names those that could not be seen to go: they end by their own deadline.
    pub async fn remove_all(&self) -> Vec<String> {
        let alive = self.alive.borrow().clone();
        let removed = join_all(alive.iter().map(|(job, uid)| async move {
            match uid {
                Some(uid) => self.remove(&Made { job: job.clone(), uid: uid.clone() }).await,
                None => self.was_not_made(job).await,
            }
        }));
        removed.await.into_iter().zip(alive).filter(|(gone, _)| !gone).map(|(_, (job, _))| job).collect()
    }

    /// Whether a creation that was cut off has left nothing. What is there is not deleted: it may be another run's.
    async fn was_not_made(&self, job: &str) -> bool {
        sleep(PAUSE).await;
        matches!(read(self.api, Resource::Jobs, self.namespace, job).await, Err(Denied::Gone))
    }

    async fn with_pod<T, F: Future<Output = T>>(&self, helper: &Helper, work: impl FnOnce(Pod) -> F) -> Result<T, Why> {
        let made = self.make(helper).await?;
        let result = match self.wait(helper, &made).await {
            Ok(pod) => Ok(work(pod).await),
            Err(why) => Err(why),
        };
        // What is not gone stays on the list, for the end of the command.
        self.remove(&made).await;
        result
    }

    async fn make(&self, helper: &Helper) -> Result<Made, Why> {
        let created = match self.ask_for(helper).await {
            Err(Denied::Exists) => {
                self.clear(helper).await?;
                self.ask_for(helper).await
            }
            created => created,
        };
        let unsure = |words: &str| {
            Why::Failed(format!(
                "it is not known whether its helper pod {} was created ({words}); it ends by itself within {} s",
                helper.name,
                helper.kind.lifetime().as_secs()
            ))
        };
        let job = created.map_err(|denied| match denied {
            Denied::Lost(words) => unsure(&words),
            other => other.into(),
        })?;
        // Nothing is watched or deleted by its name alone.
        let uid = uid(&job).ok_or_else(|| unsure("the answer of the API server names no uid"))?.to_owned();
        self.alive.borrow_mut().insert(helper.name.clone(), Some(uid.clone()));
        Ok(Made { job: helper.name.clone(), uid })
    }

    /// Creates the Job. It is on the list before the request leaves: whoever is interrupted in between would forget it.
    async fn ask_for(&self, helper: &Helper) -> Result<Value, Denied> {
        self.alive.borrow_mut().insert(helper.name.clone(), None);
        self.created.set(true);
        let created = create(self.api, Resource::Jobs, self.namespace, &helper.job, false).await;
        if !matches!(created, Ok(_) | Err(Denied::Lost(_))) {
            self.alive.borrow_mut().remove(&helper.name);
        }
        created
    }

    /// Takes away what an earlier run left, if it is ours and has ended.
    async fn clear(&self, helper: &Helper) -> Result<(), Why> {
        let job = match read(self.api, Resource::Jobs, self.namespace, &helper.name).await {
            Ok(job) => job,
            Err(Denied::Gone) => return Ok(()),
            Err(denied) => return Err(denied.into()),
        };
        let labels = &job["metadata"]["labels"];
        let ours = labels[HELPER_LABEL] == helper.kind.name()
            && labels[SET_LABEL] == helper.job["metadata"]["labels"][SET_LABEL]
            && job["metadata"]["ownerReferences"][0]["uid"] == helper.job["metadata"]["ownerReferences"][0]["uid"];
        if !ours {
            return Err(Why::Failed(format!("there is a Job {} that is not a helper of this set", helper.name)));
        }
        if !has_ended(&job) {
            let since = job["metadata"]["creationTimestamp"].as_str().unwrap_or("an unknown time");
            let seconds = helper.kind.lifetime().as_secs();
            return Err(Why::Failed(format!(
                "the helper pod of another run is at work (Job {}, since {since}); it ends by itself within {seconds} s",
                helper.name
            )));
        }
        let uid =
            uid(&job).ok_or_else(|| Why::Failed(format!("the API server names no uid of the ended Job {}", helper.name)))?;
        let made = Made { job: helper.name.clone(), uid: uid.to_owned() };
        if self.remove(&made).await { Ok(()) } else { Err(Why::Failed(format!("the ended Job {} does not go", helper.name))) }
    }

    /// Waits until the pod can be used: an inspector runs, a recoverer has ended, a seeder does either.
    async fn wait(&self, helper: &Helper, made: &Made) -> Result<Pod, Why> {
        let began = Instant::now();
        let (running, ended) = match helper.kind {
            Kind::Inspect => (true, false),
            Kind::Seed => (true, true),
            Kind::Recover | Kind::Write | Kind::Reset | Kind::Try => (false, true),
        };
        let limit = if running { START_LIMIT } else { helper.kind.lifetime() };
        loop {
            let pod = self.pod_of(made).await?;
            let state = pod.as_ref().map_or(Progress::Waits("its pod has not been made yet".to_owned()), progress);
            let waits = match (state, pod) {
                (Progress::Runs, Some(pod)) if running => return Ok(pod),
                (Progress::Ended, Some(pod)) if ended => return Ok(pod),
                (Progress::Ended, _) => return Err(Why::Failed("its helper pod ended before it could be asked".to_owned())),
                (Progress::Fails(why), _) => return Err(Why::Failed(format!("its helper pod does not start: {why}"))),
                (Progress::Waits(why), _) => why,
                (Progress::Runs, _) => String::new(),
            };
            let started = waits.is_empty();
            let limit = match helper.kind {
                Kind::Try => limit,
                // A new volume has to be made first.
                Kind::Seed => MAKING_LIMIT,
                _ if started => limit,
                Kind::Inspect if is_nodeless(&waits) => NODELESS_LIMIT,
                _ => START_LIMIT,
            };
            if began.elapsed() >= limit {
                let seconds = limit.as_secs();
                return Err(Why::Failed(if started {
                    format!("its helper pod was not done within {seconds} s")
                } else {
                    format!("its helper pod did not start within {seconds} s: {waits}")
                }));
            }
            sleep(PAUSE).await;
        }
    }

    /// The pod of a Job of ours.
    async fn pod_of(&self, made: &Made) -> Result<Option<Pod>, Why> {
        let selector = format!("batch.kubernetes.io/job-name={}", made.job);
        let found = list_pods(self.api, Scope::Namespace(self.namespace), &Pods::Selected(&selector)).await;
        let found = found.map_err(|failure| Why::Failed(failure.message))?;
        let ours = found.into_values().flatten().find(|pod| pod.controller.as_ref() == Some(&made.uid));
        Ok(ours.map(|pod| pod.pod))
    }

    async fn look(&self, helper: &Helper, pod: Pod) -> Fact<Disk> {
        let mounts: Vec<&str> = helper.mounts.iter().map(String::as_str).collect();
        let script = probe::script_at_rest(&mounts);
        let asked: Timestamp = self.clock.now();
        let pod = PodRef { namespace: self.namespace.to_owned(), name: pod.name, container: CONTAINER.to_owned() };
        match exec_until(self.api, &pod, &LOADER, script.as_bytes(), probe::END, READ_LIMIT, MAX_OUTPUT).await {
            ExecEnd::Complete { stdout } | ExecEnd::Exited { code: 0, stdout, .. } => probe::read(&stdout, asked).files,
            ExecEnd::Exited { code, stderr, .. } => {
                let said = String::from_utf8_lossy(&stderr);
                Fact::Unknown(Why::Failed(format!("the look ended with exit code {code}: {}", said.trim())))
            }
            ExecEnd::Refused(why) | ExecEnd::Lost(why) => Fact::Unknown(why),
        }
    }

    async fn log(&self, pod: Pod) -> Fact<String> {
        let pod = PodRef { namespace: self.namespace.to_owned(), name: pod.name, container: CONTAINER.to_owned() };
        latest_log(self.api, &pod, LOG_LINES).await
    }

    /// Deletes the Job of this uid and waits until it and its pod are gone. `false`: not seen to be gone.
    async fn remove(&self, made: &Made) -> bool {
        let work = async {
            let mut deleted = false;
            loop {
                if !deleted {
                    match delete(self.api, Resource::Jobs, self.namespace, &made.job, &made.uid, false).await {
                        Ok(()) | Err(Denied::Gone) => deleted = true,
                        // Then only its own deadline ends it.
                        Err(Denied::Right(_) | Denied::Refused(_)) => return false,
                        Err(_) => {}
                    }
                }
                if deleted && matches!(self.pod_of(made).await, Ok(None)) {
                    return true;
                }
                sleep(PAUSE).await;
            }
        };
        let gone = timeout(GONE_LIMIT, work).await.unwrap_or(false);
        if gone {
            self.alive.borrow_mut().remove(&made.job);
        }
        gone
    }
}

/// How far a helper pod is.
enum Progress {
    Waits(String),
    Runs,
    Ended,
    /// It will not start by waiting.
    Fails(String),
}

fn progress(pod: &Pod) -> Progress {
    if let Some(end) = pod.init_containers.iter().find_map(|container| match &container.state {
        ContainerState::Terminated(end) if end.exit_code != 0 => Some((container, end)),
        _ => None,
    }) {
        let (container, end) = end;
        return Progress::Fails(format!("init container {} ended with exit code {}", container.name, end.exit_code));
    }
    let state = pod.containers.iter().find(|container| container.name == CONTAINER).map(|container| &container.state);
    match state {
        Some(ContainerState::Running { .. }) => Progress::Runs,
        Some(ContainerState::Terminated(end)) if ["StartError", "ContainerCannotRun"].contains(&end.reason.as_str()) => {
            Progress::Fails(format!("its command cannot be run in this image ({})", end.reason))
        }
        Some(ContainerState::Terminated(_)) => Progress::Ended,
        _ if matches!(pod.phase.as_str(), "Failed" | "Succeeded") => Progress::Ended,
        Some(ContainerState::Waiting { reason, message })
            if ["ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "ErrImageNeverPull"]
                .contains(&reason.as_str()) =>
        {
            Progress::Fails(format!("{reason} ({message})"))
        }
        Some(ContainerState::Waiting { reason, message }) if message.is_empty() => Progress::Waits(reason.clone()),
        Some(ContainerState::Waiting { reason, message }) => Progress::Waits(format!("{reason} ({message})")),
        _ => Progress::Waits(pod.unscheduled.clone().unwrap_or_else(|| "its node has not reported it yet".to_owned())),
    }
}

/// Whether the scheduler says that the volume lies on a node that is not there (its words up to 1.34, and before), and no other
/// reason: a node that is full, tainted or cordoned comes back.
fn is_nodeless(unscheduled: &str) -> bool {
    let says = |reason: &str| {
        ["volume node affinity conflict", "PersistentVolume's node affinity"].iter().any(|words| reason.contains(words))
    };
    // `0/3 nodes are available: 1 Insufficient memory, 2 node(s) didn't match ….`, and what preemption would do after that.
    let reasons = unscheduled.split_once(" nodes are available: ").map_or(unscheduled, |(_, reasons)| reasons);
    let reasons = reasons.split(". ").next().unwrap_or_default();
    reasons.split(", ").all(says)
}

fn uid(object: &Value) -> Option<&str> {
    object["metadata"]["uid"].as_str()
}

fn has_ended(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["status"] == "True" && (condition["type"] == "Complete" || condition["type"] == "Failed"))
}
