//! Pods and their containers.

use jiff::Timestamp;
use serde::Deserialize;

use crate::api::objects::OwnedPod;
use crate::model::kubernetes as model;

use super::{Condition, Metadata};

#[derive(Deserialize)]
pub(in crate::api) struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: Option<String>,
    termination_grace_period_seconds: Option<i64>,
    containers: Vec<ContainerSpec>,
    init_containers: Vec<ContainerSpec>,
    volumes: Vec<PodVolume>,
}

#[derive(Deserialize)]
struct ContainerSpec {
    name: String,
    #[serde(default)]
    image: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodVolume {
    persistent_volume_claim: Option<ClaimReference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimReference {
    claim_name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    reason: String,
    message: String,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    conditions: Vec<Condition>,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    #[serde(default, rename = "imageID")]
    image_id: String,
    #[serde(default)]
    ready: bool,
    started: Option<bool>,
    #[serde(default)]
    restart_count: u32,
    #[serde(default)]
    state: State,
    #[serde(default)]
    last_state: State,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    waiting: Option<Waiting>,
    running: Option<Running>,
    terminated: Option<Terminated>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: String,
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Running {
    started_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminated {
    #[serde(default)]
    exit_code: i32,
    signal: Option<i32>,
    #[serde(default)]
    reason: String,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl Terminated {
    fn into_model(self) -> model::ContainerEnd {
        let Self { exit_code, signal, reason, started_at, finished_at } = self;
        let signal = signal.filter(|signal| *signal != 0);
        model::ContainerEnd { exit_code, signal, reason, started: started_at, at: finished_at }
    }
}

impl State {
    fn into_model(self) -> model::ContainerState {
        match self {
            Self { running: Some(running), .. } => model::ContainerState::Running { since: running.started_at },
            Self { terminated: Some(end), .. } => model::ContainerState::Terminated(end.into_model()),
            Self { waiting: Some(Waiting { reason, message }), .. } => model::ContainerState::Waiting { reason, message },
            Self { .. } => model::ContainerState::Unreported,
        }
    }
}

/// The API server takes a negative period for 1.
fn seconds(given: i64) -> Option<u32> {
    if given < 0 { Some(1) } else { u32::try_from(given).ok() }
}

impl Pod {
    /// `None`: it has no creation time, which the API server gives to every object.
    pub(in crate::api) fn into_model(self) -> Option<(String, OwnedPod)> {
        let Self { mut metadata, spec, status } = self;
        let condition = |kind: &str| status.conditions.iter().find(|condition| condition.r#type == kind);
        let ready = condition("Ready").is_some_and(|ready| ready.status == "True");
        let unscheduled = condition("PodScheduled").filter(|scheduled| scheduled.status == "False").map(Condition::words);
        let claims = spec.volumes.into_iter().filter_map(|volume| volume.persistent_volume_claim).map(|claim| claim.claim_name);
        let controller = metadata.take_controller().map(|owner| owner.uid);
        let words = [status.reason.as_str(), status.message.as_str()];
        let reason = words.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
        let pod = model::Pod {
            name: metadata.name,
            uid: metadata.uid,
            created: metadata.creation_timestamp?,
            deletion: metadata.deletion_timestamp,
            deletion_grace: metadata.deletion_grace_period_seconds.and_then(seconds),
            grace: spec.termination_grace_period_seconds.and_then(seconds),
            node: spec.node_name.filter(|name| !name.is_empty()),
            ip: status.pod_ip.filter(|ip| !ip.is_empty()),
            phase: status.phase,
            ready,
            unscheduled,
            reason: Some(reason).filter(|reason| !reason.is_empty()),
            role: metadata.labels.iter().find_map(|(key, value)| model::RoleLabel::read(key, value)),
            revision: metadata.labels.get("controller-revision-hash").cloned(),
            containers: containers(spec.containers, status.container_statuses),
            init_containers: containers(spec.init_containers, status.init_container_statuses),
            claims: claims.collect(),
        };
        Some((metadata.namespace, OwnedPod { controller, pod }))
    }
}

/// In the order of the spec; a container without a status has not been reported by its node.
fn containers(specs: Vec<ContainerSpec>, mut statuses: Vec<ContainerStatus>) -> Vec<model::Container> {
    let join = |spec: ContainerSpec| {
        let status = statuses.iter().position(|status| status.name == spec.name).map(|at| statuses.swap_remove(at));
        let ContainerSpec { name, image } = spec;
        match status {
            Some(status) => model::Container {
                name,
                image,
                image_id: status.image_id,
                ready: status.ready,
                started: status.started,
                restarts: status.restart_count,
                state: status.state.into_model(),
                last_end: status.last_state.terminated.map(Terminated::into_model),
            },
            None => model::Container {
                name,
                image,
                image_id: String::new(),
                ready: false,
                started: None,
                restarts: 0,
                state: model::ContainerState::Unreported,
                last_end: None,
            },
        }
    };
    specs.into_iter().map(join).collect()
}
