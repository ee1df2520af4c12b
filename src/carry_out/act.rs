//! One step. Every write tests that the object is still the one that was seen (safety E4).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::writes::{Denied, Resource, create, delete, evict, patch, read};
use crate::api::{Api, PodRef};
use crate::decide::helper::{Helper, Kind as HelperKind, StateChange, Template};
use crate::decide::operation::memo::Closed;
use crate::decide::operation::plan::{Action, Range};
use crate::decide::operation::upgrade::{Rollout, Tried};
use crate::decide::operation::{bootstrap, bootstrap_name};
use crate::model::disk::{Disk, StateFile};
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::{Pod, StatefulSet};
use crate::model::names::Ordinal;
use crate::model::operator::{OperatorSpec, Steering};
use crate::model::recovered::Recovered;
use crate::model::snapshot::Snapshot;
use crate::process::Clock;

use super::helper::Helpers;
use super::server::{close, convert, open, promote};
use super::unflag::unflag;

/// What carrying steps out needs.
pub struct Hands<'a> {
    pub api: &'a Api,
    pub clock: Clock,
    /// The StatefulSet as the API server wrote it: pods are made after its template.
    pub set: &'a Value,
}

/// What a step has found out.
#[derive(Default)]
pub struct Learned {
    pub closed: BTreeMap<Ordinal, Closed>,
    pub files: BTreeMap<Ordinal, Disk>,
    /// Files that were to be read and could not be: of which pod, and why.
    pub unread: BTreeMap<Ordinal, (String, Why)>,
    pub positions: BTreeMap<Ordinal, Recovered>,
    pub tried: Option<Tried>,
    /// Claims that were made, and their uids.
    pub claims: BTreeMap<String, String>,
}

/// Files that were read, and those that could not be, as in [`Learned`].
type Files = (BTreeMap<Ordinal, Disk>, BTreeMap<Ordinal, (String, Why)>);

impl Hands<'_> {
    /// Carries `action` out on what was seen. Changes of the journal are not among them.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn act(&self, action: &Action, seen: &Snapshot, dry_run: bool) -> Result<Learned, Denied> {
        let set = &seen.objects.stateful_set;
        match action {
            Action::Range { to, .. } => self.range(set, *to, dry_run).await?,
            Action::WhenScaled { delete } => {
                let value = if *delete { "Delete" } else { "Retain" };
                let path = "/spec/persistentVolumeClaimRetentionPolicy/whenScaled";
                self.set(set, vec![json!({"op": "replace", "path": path, "value": value})], dry_run).await?;
            }
            Action::Inspect { ordinals } => {
                let (files, unread) = self.read_files(seen, ordinals, dry_run).await?;
                if let Some((pod, why)) = unread.into_values().next() {
                    return Err(Denied::Refused(format!("the files of {pod} could not be read: {why}")));
                }
                return Ok(Learned { closed: closed(set, &files)?, ..Learned::default() });
            }
            Action::Read { ordinals } => {
                let (files, unread) = self.read_files(seen, ordinals, dry_run).await?;
                return Ok(Learned { files, unread, ..Learned::default() });
            }
            Action::Recover { datadirs } => {
                let positions = self.recover(set, datadirs, dry_run).await?;
                return Ok(Learned { positions, ..Learned::default() });
            }
            Action::DeletePods { ordinals } => self.delete_pods(seen, ordinals, dry_run).await?,
            Action::Write { ordinal, datadir, change } => self.write(set, *ordinal, datadir, change, dry_run).await?,
            Action::Reset { ordinal, datadir, .. } => self.reset(seen, *ordinal, datadir, dry_run).await?,
            Action::DeleteClaim { name, uid } => {
                match delete(self.api, Resource::Claims, &set.namespace, name, uid, dry_run).await {
                    Ok(()) | Err(Denied::Gone) => {}
                    Err(denied) => return Err(denied),
                }
            }
            Action::Claim { ordinal, like, mark } => {
                let claims = self.make_claims(set, *ordinal, *like, mark, dry_run).await?;
                return Ok(Learned { claims, ..Learned::default() });
            }
            Action::Seed { ordinal, donor, datadir } => {
                Box::pin(self.seed(seen, *ordinal, *donor, datadir, dry_run)).await?;
            }
            Action::Steer { to, .. } => self.steer(seen, to, dry_run).await?,
            Action::Unflag { ordinal, datadir } if !dry_run => {
                unflag(self.api, &self.pod(set, *ordinal), datadir).await?;
            }
            Action::Try { image } => {
                let tried = self.try_image(set, image, dry_run).await?;
                return Ok(Learned { tried, ..Learned::default() });
            }
            Action::Rollout { from, to, .. } if to.strategy.is_some() => self.tell(seen, told(from, to), dry_run).await?,
            Action::Rollout { from, to, .. } => {
                let changes = rollout(self.set, set, from, to).map_err(Denied::Refused)?;
                self.set(set, changes, dry_run).await?;
            }
            Action::MovePrimary { to } => {
                let change = json!({"op": "add", "path": "/spec/replication/primary/podIndex", "value": to.0});
                self.tell(seen, vec![change], dry_run).await?;
            }
            // Never the scale subresource: it skips the operator's webhook (safety F4a).
            Action::Replicas { to, .. } => {
                self.tell(seen, vec![json!({"op": "add", "path": "/spec/replicas", "value": to})], dry_run).await?;
            }
            Action::Evict { ordinal } => self.evict(seen, *ordinal, dry_run).await?,
            Action::Convert { ordinal } if !dry_run => self.convert(seen, *ordinal).await?,
            Action::Open { ordinal } if !dry_run => Box::pin(open(self.api, &self.pod(set, *ordinal))).await?,
            Action::Close { ordinal } if !dry_run => Box::pin(close(self.api, &self.pod(set, *ordinal))).await?,
            Action::HandOver { handover } if !dry_run => Box::pin(self.can_hand_on(seen, handover.to)).await?,
            Action::Follow { ordinals, source, instead } if !dry_run => {
                Box::pin(self.follow(seen, ordinals, *source, *instead)).await?;
            }
            Action::Promote { ordinal } if !dry_run => Box::pin(promote(self.api, &self.pod(set, *ordinal))).await?,
            Action::Lead { services, from, to } => self.lead(seen, services, *from, *to, dry_run).await?,
            Action::Bootstrap { ordinal, holds } => self.found(set, *ordinal, *holds, dry_run).await?,
            Action::EndBootstrap { ordinal } if !dry_run => self.end_founder(seen, *ordinal).await?,
            Action::BeginAgain { ended: Some(ordinal) } if !dry_run => self.end_founder(seen, *ordinal).await?,
            // Of a dry run: the founder's pod is not made yet.
            Action::EndBootstrap { .. }
            | Action::Hold { .. }
            | Action::Unflag { .. }
            | Action::Record { .. }
            | Action::Forget
            | Action::Elect { .. }
            | Action::Convert { .. }
            | Action::Open { .. }
            | Action::Close { .. }
            | Action::HandOver { .. }
            | Action::HandedOver { .. }
            | Action::Follow { .. }
            | Action::Promote { .. }
            | Action::BeginAgain { .. } => {}
        }
        Ok(Learned::default())
    }

    async fn range(&self, set: &StatefulSet, to: Range, dry_run: bool) -> Result<(), Denied> {
        let mut changes = vec![json!({"op": "replace", "path": "/spec/replicas", "value": to.replicas})];
        if to.start != set.start {
            changes.push(match to.start {
                0 => json!({"op": "remove", "path": "/spec/ordinals"}),
                start => json!({"op": "add", "path": "/spec/ordinals", "value": {"start": start}}),
            });
        }
        let stored = self.set(set, changes, dry_run).await?;
        // API servers before 1.27 drop it silently (safety B6). No pod is there yet when the start moves.
        let start = stored["spec"]["ordinals"]["start"].as_u64().unwrap_or(0);
        if start == u64::from(to.start) {
            Ok(())
        } else {
            Err(Denied::Refused("this API server knows no ordinals.start; Kubernetes 1.27 or newer is needed".to_owned()))
        }
    }

    /// A change of the set, if its spec is still what was seen: every change of a spec counts its generation up.
    async fn set(&self, set: &StatefulSet, changes: Vec<Value>, dry_run: bool) -> Result<Value, Denied> {
        let mut operations = vec![
            json!({"op": "test", "path": "/metadata/uid", "value": set.uid}),
            json!({"op": "test", "path": "/metadata/generation", "value": set.generation}),
        ];
        operations.extend(changes);
        patch(self.api, Resource::StatefulSets, &set.namespace, &set.name, &Value::Array(operations), dry_run).await
    }

    async fn steer(&self, seen: &Snapshot, to: &Steering, dry_run: bool) -> Result<(), Denied> {
        let view = seen.objects.manager.view().ok_or(Denied::Gone)?;
        let changes = steering(&view.spec, to);
        if changes.is_empty() { Ok(()) } else { self.tell(seen, changes, dry_run).await }
    }

    /// What mariadb-operator is told, if its object's spec is still what was seen.
    async fn tell(&self, seen: &Snapshot, changes: Vec<Value>, dry_run: bool) -> Result<(), Denied> {
        let view = seen.objects.manager.view().ok_or(Denied::Gone)?;
        let mut operations = vec![
            json!({"op": "test", "path": "/metadata/uid", "value": view.uid}),
            json!({"op": "test", "path": "/metadata/generation", "value": view.generation}),
        ];
        operations.extend(changes);
        let (what, operations) = (Resource::MariaDbs(view.group), Value::Array(operations));
        patch(self.api, what, &view.namespace, &view.name, &operations, dry_run).await.map(drop)
    }

    /// Pods that are still the ones that were seen; one that is going or gone already is left alone.
    async fn delete_pods(&self, seen: &Snapshot, ordinals: &[Ordinal], dry_run: bool) -> Result<(), Denied> {
        for ordinal in ordinals {
            let Some(pod) = seen.members.get(ordinal).and_then(|member| member.pod.as_ref()) else { continue };
            match delete(self.api, Resource::Pods, &seen.target.namespace, &pod.name, &pod.uid, dry_run).await {
                Ok(()) | Err(Denied::Gone) => {}
                Err(denied) => return Err(denied),
            }
        }
        Ok(())
    }

    async fn evict(&self, seen: &Snapshot, ordinal: Ordinal, dry_run: bool) -> Result<(), Denied> {
        let pod = seen.members.get(&ordinal).and_then(|member| member.pod.as_ref()).ok_or(Denied::Gone)?;
        match evict(self.api, &seen.target.namespace, &pod.name, &pod.uid, dry_run).await {
            // Of a dry run: what a budget says now it need not say when it is this pod's turn.
            Err(Denied::Gone) => Ok(()),
            Err(Denied::Busy(_)) if dry_run => Ok(()),
            evicted => evicted,
        }
    }

    async fn convert(&self, seen: &Snapshot, ordinal: Ordinal) -> Result<(), Denied> {
        let set = &seen.objects.stateful_set;
        let files = seen.members.get(&ordinal).and_then(|member| member.files.known().ok());
        let datadir = files.map(|disk| disk.datadir.as_str());
        let datadir =
            datadir.ok_or_else(|| Denied::Lost(format!("the data directory of {} is not known now", ordinal.pod(&set.name))))?;
        convert(self.api, &self.pod(set, ordinal), datadir).await
    }

    /// `None`: only asked whether the API server would have the pod.
    async fn try_image(&self, set: &StatefulSet, image: &str, dry_run: bool) -> Result<Option<Tried>, Denied> {
        let helper = self.template(set).trier(image).map_err(Denied::Refused)?;
        let Some(pods) = self.helpers(set, std::slice::from_ref(&helper), dry_run).await? else { return Ok(None) };
        pods.try_image(&helper).await.map(Some)
    }

    pub(super) fn pod(&self, set: &StatefulSet, ordinal: Ordinal) -> PodRef {
        let (namespace, container) = (set.namespace.clone(), set.layout.container.clone());
        PodRef { namespace, name: ordinal.pod(&set.name), container }
    }

    async fn end_founder(&self, seen: &Snapshot, ordinal: Ordinal) -> Result<(), Denied> {
        let name = bootstrap_name(&seen.target.name, ordinal);
        let pod = seen.members.get(&ordinal).and_then(|member| member.pod.as_ref()).filter(|pod| pod.name == name);
        let uid = pod.map(|pod| pod.uid.as_str()).ok_or(Denied::Gone)?;
        delete(self.api, Resource::Pods, &seen.target.namespace, &name, uid, false).await
    }

    async fn read_files(&self, seen: &Snapshot, ordinals: &[Ordinal], dry_run: bool) -> Result<Files, Denied> {
        let set = &seen.objects.stateful_set;
        let template = self.template(set);
        let helpers: Result<Vec<Helper>, String> =
            ordinals.iter().map(|ordinal| template.helper(*ordinal, HelperKind::Inspect, placed(seen, *ordinal), None)).collect();
        let helpers = helpers.map_err(Denied::Refused)?;
        let Some(pods) = self.helpers(set, &helpers, dry_run).await? else { return Ok(Files::default()) };
        let (mut files, mut unread) = Files::default();
        for (ordinal, found) in pods.inspect(&helpers).await {
            match found {
                Fact::Known(disk) => drop(files.insert(ordinal, disk)),
                // Nothing is wrong with the volume.
                Fact::Unknown(Why::Forbidden(right)) => return Err(Denied::Right(right)),
                Fact::Unknown(why) => drop(unread.insert(ordinal, (ordinal.pod(&set.name), why))),
            }
        }
        Ok((files, unread))
    }

    async fn recover(
        &self,
        set: &StatefulSet,
        datadirs: &BTreeMap<Ordinal, String>,
        dry_run: bool,
    ) -> Result<BTreeMap<Ordinal, Recovered>, Denied> {
        let template = self.template(set);
        let helper =
            |(ordinal, datadir): (&Ordinal, &String)| template.helper(*ordinal, HelperKind::Recover, None, Some(datadir));
        let helpers = datadirs.iter().map(helper).collect::<Result<Vec<Helper>, String>>().map_err(Denied::Refused)?;
        match self.helpers(set, &helpers, dry_run).await? {
            Some(pods) => Ok(pods.recover(&helpers).await),
            None => Ok(BTreeMap::new()),
        }
    }

    async fn write(
        &self,
        set: &StatefulSet,
        ordinal: Ordinal,
        datadir: &str,
        change: &StateChange,
        dry_run: bool,
    ) -> Result<(), Denied> {
        let helper = self.template(set).writer(ordinal, None, datadir, change).map_err(Denied::Refused)?;
        let Some(pods) = self.helpers(set, std::slice::from_ref(&helper), dry_run).await? else { return Ok(()) };
        let written = pods.write(&helper, change).await;
        written.map_err(|why| Denied::Refused(format!("grastate.dat of {}: {why}", ordinal.pod(&set.name))))
    }

    async fn reset(&self, seen: &Snapshot, ordinal: Ordinal, datadir: &str, dry_run: bool) -> Result<(), Denied> {
        let set = &seen.objects.stateful_set;
        let helper = self.template(set).resetter(ordinal, placed(seen, ordinal), datadir).map_err(Denied::Refused)?;
        let Some(pods) = self.helpers(set, std::slice::from_ref(&helper), dry_run).await? else { return Ok(()) };
        let written = pods.write(&helper, &StateChange::reset()).await;
        written.map_err(|why| Denied::Refused(format!("grastate.dat of {}: {why}", ordinal.pod(&set.name))))
    }

    pub(super) fn template<'a>(&'a self, set: &'a StatefulSet) -> Template<'a> {
        Template { set, template: &self.set["spec"]["template"] }
    }

    /// Helpers that may be used now; `None`: they were only proven.
    pub(super) async fn helpers<'a>(
        &'a self,
        set: &'a StatefulSet,
        helpers: &[Helper],
        dry_run: bool,
    ) -> Result<Option<Helpers<'a>>, Denied> {
        let pods = Helpers::new(self.api, &set.namespace, self.clock);
        if dry_run {
            return pods.prove(helpers).await.into_values().next().map_or(Ok(None), Err);
        }
        pods.outlast(helpers).await?;
        Ok(Some(pods))
    }

    async fn found(&self, set: &StatefulSet, ordinal: Ordinal, holds: bool, dry_run: bool) -> Result<(), Denied> {
        let pod = bootstrap::pod(set, &self.set["spec"]["template"], ordinal, holds).map_err(Denied::Refused)?;
        match create(self.api, Resource::Pods, &set.namespace, &pod, dry_run).await {
            Err(Denied::Exists) => {
                let name = bootstrap_name(&set.name, ordinal);
                let found = read(self.api, Resource::Pods, &set.namespace, &name).await?;
                let ours = found["metadata"]["labels"][bootstrap::LABEL] == set.name.as_str();
                if ours { Ok(()) } else { Err(Denied::Refused(format!("there is a pod {name} that this plugin did not make"))) }
            }
            Err(denied) => Err(denied),
            Ok(stored) => intact(&pod, &stored).map_err(Denied::Refused),
        }
    }
}

/// The changes that make `spec` say `to`.
fn steering(spec: &OperatorSpec, to: &Steering) -> Vec<Value> {
    const RECOVERY: &str = "/spec/galera/recovery";
    let mut changes = Vec::new();
    if spec.suspended != to.suspended {
        changes.push(json!({"op": "add", "path": "/spec/suspend", "value": to.suspended}));
    }
    if let Some(recovers) = to.recovers.filter(|_| spec.recovery_enabled != to.recovers) {
        changes.push(json!({"op": "add", "path": format!("{RECOVERY}/enabled"), "value": recovers}));
    }
    let force = format!("{RECOVERY}/forceClusterBootstrapInPod");
    match (&spec.force_bootstrap_in, &to.force) {
        (is, wanted) if is == wanted => {}
        (_, Some(pod)) => changes.push(json!({"op": "add", "path": force, "value": pod})),
        (_, None) => changes.push(json!({"op": "remove", "path": force})),
    }
    changes
}

/// The changes that make the object of mariadb-operator say `to`. Other fields of its update strategy stay.
fn told(from: &Rollout, to: &Rollout) -> Vec<Value> {
    let add = |path: &str, value: Value| json!({"op": "add", "path": format!("/spec{path}"), "value": value});
    let mut changes = Vec::new();
    if from.image != to.image {
        changes.push(add("/image", json!(to.image)));
    }
    if from.strategy != to.strategy {
        changes.push(add("/updateStrategy/type", json!(to.strategy)));
    }
    if from.partition != to.partition || from.strategy != to.strategy {
        changes.push(add("/updateStrategy/rollingUpdate", json!({"partition": to.partition})));
    }
    changes
}

/// The changes that make `set` say `to`. `whole`: as the API server wrote it, for the place of the container.
fn rollout(whole: &Value, set: &StatefulSet, from: &Rollout, to: &Rollout) -> Result<Vec<Value>, String> {
    let name = set.layout.container.as_str();
    let containers = whole["spec"]["template"]["spec"]["containers"].as_array();
    let index = containers.into_iter().flatten().position(|container| container["name"] == name);
    let index = index.ok_or_else(|| format!("the pod template has no container {name}"))?;
    let path = format!("/spec/template/spec/containers/{index}");
    let mut changes = Vec::new();
    if from.image != to.image {
        changes.push(json!({"op": "test", "path": format!("{path}/name"), "value": name}));
        changes.push(json!({"op": "replace", "path": format!("{path}/image"), "value": to.image}));
    }
    if from.partition != to.partition {
        changes.push(json!({"op": "add", "path": "/spec/updateStrategy/rollingUpdate/partition", "value": to.partition}));
    }
    Ok(changes)
}

/// The pod of an ordinal that is on a node: its volume can be mounted there and perhaps nowhere else.
fn placed(seen: &Snapshot, ordinal: Ordinal) -> Option<&Pod> {
    seen.members.get(&ordinal)?.pod.as_ref().filter(|pod| pod.node.is_some())
}

/// What the state files say of how each server was stopped.
fn closed(set: &StatefulSet, files: &BTreeMap<Ordinal, Disk>) -> Result<BTreeMap<Ordinal, Closed>, Denied> {
    let read = |(ordinal, disk): (&Ordinal, &Disk)| match &disk.grastate {
        StateFile::Parsed(grastate) => Ok((*ordinal, Closed::new(grastate, disk.gvwstate != StateFile::Absent))),
        _ => Err(Denied::Refused(format!("{} has no readable grastate.dat in {}", ordinal.pod(&set.name), disk.datadir))),
    };
    files.iter().map(read).collect()
}

/// Whether admission left the pod one that ends: an injected container would keep it (safety C3).
fn intact(asked: &Value, stored: &Value) -> Result<(), String> {
    let names = |pod: &Value| -> Vec<String> {
        let containers = pod["spec"]["containers"].as_array();
        containers.into_iter().flatten().filter_map(|one| one["name"].as_str()).map(str::to_owned).collect()
    };
    let own = names(asked);
    match names(stored).into_iter().find(|name| !own.contains(name)) {
        Some(name) => Err(format!("something in the cluster adds the container {name} to the bootstrap pod")),
        None => Ok(()),
    }
}
