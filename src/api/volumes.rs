//! Claims with their sizes and labels, the volumes behind them, their classes, and who mounts them.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use jiff::Timestamp;
use kube::core::params::ListParams;
use serde::Deserialize;

use crate::failure::Kind;
use crate::model::fact::Fact;
use crate::model::volumes::{StorageClass, Volume};

use super::objects::{ByNamespace, Scope, by_namespace, list, listing};
use super::raw::{self, Named};
use super::trouble::Trouble;
use super::{Api, Ask};

/// The pods that mount each claim.
type Mounts = BTreeMap<String, BTreeSet<String>>;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    name: String,
    namespace: String,
    uid: String,
    deletion_timestamp: Option<Timestamp>,
    labels: BTreeMap<String, String>,
    owner_references: Vec<Reference>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    kind: String,
    name: String,
}

#[derive(Deserialize)]
struct RawClaim {
    metadata: Meta,
    #[serde(default)]
    spec: ClaimSpec,
    #[serde(default)]
    status: ClaimStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimSpec {
    resources: Resources,
    storage_class_name: Option<String>,
    volume_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimStatus {
    phase: String,
    capacity: BTreeMap<String, String>,
    conditions: Vec<Condition>,
    allocated_resource_statuses: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

impl RawClaim {
    /// Its namespace, and the claim.
    fn placed(mut self) -> (String, Volume) {
        (std::mem::take(&mut self.metadata.namespace), self.into_model())
    }

    fn into_model(self) -> Volume {
        let Self { metadata, mut spec, mut status } = self;
        let pod = metadata.owner_references.into_iter().find(|owner| owner.kind == "Pod");
        let holds = status.conditions.into_iter().filter(|condition| condition.status == "True");
        Volume {
            name: metadata.name,
            uid: metadata.uid,
            labels: metadata.labels,
            deletion: metadata.deletion_timestamp,
            deleted_with: pod.map(|pod| pod.name),
            phase: status.phase,
            requested: spec.resources.requests.remove("storage"),
            capacity: status.capacity.remove("storage"),
            class: spec.storage_class_name.filter(|name| !name.is_empty()),
            volume: spec.volume_name.filter(|name| !name.is_empty()),
            conditions: holds.map(|condition| condition.r#type).collect(),
            resize: status.allocated_resource_statuses.remove("storage"),
        }
    }
}

/// The claims of each namespace, by name.
pub async fn volumes(api: &Api, scope: Scope<'_>) -> Fact<ByNamespace<Volume>> {
    let found = list::<RawClaim>(api, &listing("/api/v1", "persistentvolumeclaims", scope), ListParams::default()).await;
    let read = |claims: Vec<RawClaim>| {
        let mut claims = by_namespace(claims.into_iter().map(RawClaim::placed));
        claims.values_mut().for_each(|claims| claims.sort_by(|a, b| a.name.cmp(&b.name)));
        claims
    };
    Fact::from(found.map(read).map_err(Into::into))
}

/// The claims of a namespace, by name.
pub async fn list_volumes(api: &Api, namespace: &str) -> Fact<Vec<Volume>> {
    volumes(api, Scope::Namespace(namespace)).await.map(|mut found| found.remove(namespace).unwrap_or_default())
}

/// One claim; `None`: there is none of this name.
pub async fn get_volume(api: &Api, namespace: &str, name: &str) -> Fact<Option<Volume>> {
    let ask =
        Ask { verb: "get", group: "/api/v1", resource: "persistentvolumeclaims", namespace: Some(namespace), name: Some(name) };
    Fact::from(if_there(api.get::<RawClaim>(&ask).await).map(|claim| claim.map(RawClaim::into_model)).map_err(Into::into))
}

/// The names of all pods that mount each claim, by namespace. A pod that has ended holds nothing.
pub async fn mounts(api: &Api, scope: Scope<'_>) -> Fact<BTreeMap<String, Mounts>> {
    let found = list::<raw::Pod>(api, &listing("/api/v1", "pods", scope), ListParams::default()).await;
    let by_claim = |pods: Vec<raw::Pod>| {
        let mut mounts = BTreeMap::<String, Mounts>::new();
        for (namespace, pod) in pods.into_iter().filter_map(raw::Pod::into_model).map(|(namespace, owned)| (namespace, owned.pod))
        {
            if matches!(pod.phase.as_str(), "Succeeded" | "Failed") {
                continue;
            }
            let here = mounts.entry(namespace).or_default();
            for claim in pod.claims {
                here.entry(claim).or_default().insert(pod.name.clone());
            }
        }
        mounts
    };
    Fact::from(found.map(by_claim).map_err(Into::into))
}

/// Those of one namespace.
pub async fn list_mounts(api: &Api, namespace: &str) -> Fact<Mounts> {
    mounts(api, Scope::Namespace(namespace)).await.map(|mut found| found.remove(namespace).unwrap_or_default())
}

/// The names of all StatefulSets, whatever they run, by namespace.
pub async fn set_names(api: &Api, scope: Scope<'_>) -> Fact<BTreeMap<String, BTreeSet<String>>> {
    let found = list::<Named>(api, &listing("/apis/apps/v1", "statefulsets", scope), ListParams::default()).await;
    let by_namespace = |sets: Vec<Named>| {
        let mut names = BTreeMap::<String, BTreeSet<String>>::new();
        for (namespace, name) in sets.into_iter().map(|set| set.metadata.place()) {
            names.entry(namespace).or_default().insert(name);
        }
        names
    };
    Fact::from(found.map(by_namespace).map_err(Into::into))
}

#[derive(Deserialize)]
struct RawClass {
    metadata: Meta,
    #[serde(rename = "allowVolumeExpansion", default)]
    expands: Option<bool>,
}

/// The class of this name; `None`: there is none.
pub async fn get_storage_class(api: &Api, name: &str) -> Fact<Option<StorageClass>> {
    let ask =
        Ask { verb: "get", group: "/apis/storage.k8s.io/v1", resource: "storageclasses", namespace: None, name: Some(name) };
    let found = if_there(api.get::<RawClass>(&ask).await);
    let read = |class: RawClass| StorageClass { name: class.metadata.name, expands: class.expands == Some(true) };
    Fact::from(found.map(|class| class.map(read)).map_err(Into::into))
}

#[derive(Deserialize)]
struct RawVolume {
    metadata: Meta,
    #[serde(default)]
    spec: VolumeSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VolumeSpec {
    persistent_volume_reclaim_policy: String,
}

/// What becomes of each of these `PersistentVolume`s when its claim is deleted, by name; one that is not there is left out.
pub async fn get_reclaim_policies(api: &Api, names: BTreeSet<&str>) -> Fact<BTreeMap<String, String>> {
    let gets = names.into_iter().map(|name| async move {
        let ask = Ask { verb: "get", group: "/api/v1", resource: "persistentvolumes", namespace: None, name: Some(name) };
        let found = if_there(api.get::<RawVolume>(&ask).await)?;
        Ok(found.map(|volume| (name.to_owned(), volume.spec.persistent_volume_reclaim_policy)))
    });
    let found: Result<Vec<_>, Trouble> = join_all(gets).await.into_iter().collect();
    Fact::from(found.map(|found| found.into_iter().flatten().collect()).map_err(Into::into))
}

/// The same of every `PersistentVolume` there is, in one request.
pub async fn list_reclaim_policies(api: &Api) -> Fact<BTreeMap<String, String>> {
    let ask = listing("/api/v1", "persistentvolumes", Scope::AllNamespaces);
    let found = list::<RawVolume>(api, &ask, ListParams::default()).await;
    let policy = |volume: RawVolume| (volume.metadata.name, volume.spec.persistent_volume_reclaim_policy);
    Fact::from(found.map(|volumes| volumes.into_iter().map(policy).collect()).map_err(Into::into))
}

fn if_there<T>(found: Result<T, Trouble>) -> Result<Option<T>, Trouble> {
    match found {
        Ok(object) => Ok(Some(object)),
        Err(trouble) if trouble.kind == Kind::NotFound => Ok(None),
        Err(trouble) => Err(trouble),
    }
}
