//! Objects of the API server as `model` types. Each call is one request (more only for lists beyond a page).
//!
//! What is needed fails with a [`Failure`]; extras are a [`Fact`].

use std::collections::BTreeMap;

use futures::future::join_all;
use kube::api::LogParams;
use kube::core::Request;
use kube::core::params::ListParams;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Kind};
use crate::model::fact::Fact;
use crate::model::kubernetes::{Claim, EndpointSlice, Event, Node, Pod, Service, StatefulSet};
use crate::model::names::Ordinal;
use crate::model::operator::{ApiGroup, Backup, BackupKind, BackupRun, OperatorView};

use super::trouble::Trouble;
use super::{Api, Ask, PodRef, raw};

/// Objects per request, as kubectl asks.
pub(super) const PAGE: u32 = 500;
/// Bytes of a log that are read at most.
const MAX_LOG: i64 = 4 << 20;
/// The label every pod of a StatefulSet carries; label selectors of the set also find pods of jobs.
const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    Namespace(&'a str),
    AllNamespaces,
}

impl<'a> Scope<'a> {
    #[must_use]
    pub const fn namespace(self) -> Option<&'a str> {
        match self {
            Self::Namespace(namespace) => Some(namespace),
            Self::AllNamespaces => None,
        }
    }
}

/// A [`Scope`] that a task of its own can keep.
#[derive(Clone, Debug)]
pub struct OwnScope(Option<String>);

impl OwnScope {
    #[must_use]
    pub fn get(&self) -> Scope<'_> {
        self.0.as_deref().map_or(Scope::AllNamespaces, Scope::Namespace)
    }
}

impl From<Scope<'_>> for OwnScope {
    fn from(scope: Scope<'_>) -> Self {
        Self(scope.namespace().map(str::to_owned))
    }
}

/// What was found in each namespace.
pub type ByNamespace<T> = BTreeMap<String, Vec<T>>;

/// A pod and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedPod {
    /// uid of the controller in its `ownerReferences`.
    pub controller: Option<String>,
    pub pod: Pod,
}

impl OwnedPod {
    /// The pod and its ordinal if it is one of `set` by uid: a pod of that name may be of an older set, or of nobody.
    #[must_use]
    pub fn of(self, set: &StatefulSet) -> Option<(Ordinal, Pod)> {
        let ordinal = Ordinal::of_pod(&set.name, &self.pod.name)?;
        (self.controller.as_ref() == Some(&set.uid)).then_some((ordinal, self.pod))
    }
}

/// Whose job a backup's job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupOwner {
    /// uid of the backup object.
    Uid(String),
    /// Name of a CronJob: that of the `Backup`.
    CronJob(String),
}

impl BackupOwner {
    /// Whether the job is one of this backup.
    #[must_use]
    pub fn is(&self, backup: &Backup) -> bool {
        match self {
            Self::Uid(uid) => *uid == backup.uid,
            Self::CronJob(name) => backup.kind == BackupKind::Logical && *name == backup.name,
        }
    }
}

/// Which pods to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pods<'a> {
    /// Pods `SET-N` of these ordinals: can be asked before the set itself is known.
    Ordinals { set: &'a str, ordinals: std::ops::Range<u32> },
    /// Every pod that belongs to some StatefulSet.
    OfAnySet,
    /// A label selector.
    Selected(&'a str),
}

impl Pods<'_> {
    pub(super) fn selector(&self) -> String {
        match self {
            Self::Ordinals { set, ordinals } => {
                let names: Vec<String> = ordinals.clone().map(|ordinal| Ordinal(ordinal).pod(set)).collect();
                format!("{POD_NAME_LABEL} in ({})", names.join(","))
            }
            Self::OfAnySet => POD_NAME_LABEL.to_owned(),
            Self::Selected(selector) => (*selector).to_owned(),
        }
    }
}

/// The StatefulSet of this name.
///
/// # Errors
/// [`Kind::NotFound`]; also if the set of this name does not run MariaDB; no answer.
pub async fn get_stateful_set(api: &Api, namespace: &str, name: &str) -> Result<StatefulSet, Failure> {
    let ask = Ask { name: Some(name), ..stateful_sets("get", Scope::Namespace(namespace)) };
    let found: raw::StatefulSet = api.get(&ask).await.map_err(|trouble| match trouble.kind {
        Kind::NotFound => Failure::new(Kind::NotFound, format!("there is no StatefulSet {name} in namespace {namespace}"))
            .hint("`kubectl mariadb status -A` shows every cluster you may see"),
        _ => trouble.into(),
    })?;
    found.into_model().ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("the StatefulSet {name} in namespace {namespace} does not run MariaDB"))
            .hint("no container of its pod template has a MariaDB image, starts mariadbd, or serves port 3306 from a data volume")
    })
}

/// A StatefulSet as it is written, for what is made after it.
///
/// # Errors
/// No answer; the set is gone.
pub async fn get_whole_stateful_set(api: &Api, namespace: &str, name: &str) -> Result<serde_json::Value, Failure> {
    let ask = Ask { name: Some(name), ..stateful_sets("get", Scope::Namespace(namespace)) };
    Ok(api.get(&ask).await?)
}

/// The end of the log of a container's latest run: `lines` at most.
pub async fn latest_log(api: &Api, pod: &PodRef, lines: i64) -> Fact<String> {
    let ask = Ask { verb: "get", group: "/api/v1", resource: "pods/log", namespace: Some(&pod.namespace), name: Some(&pod.name) };
    let params = LogParams {
        container: Some(pod.container.clone()),
        tail_lines: Some(lines),
        limit_bytes: Some(MAX_LOG),
        ..LogParams::default()
    };
    let log = async {
        let request = Request::new(ask.path()?).logs(&pod.name, &params);
        api.text(&ask, request).await
    };
    Fact::from(log.await.map_err(Into::into))
}

/// Every StatefulSet that runs MariaDB, by namespace and name.
///
/// # Errors
/// No answer; a missing right to list.
pub async fn list_stateful_sets(api: &Api, scope: Scope<'_>, selector: Option<&str>) -> Result<Vec<StatefulSet>, Failure> {
    let params = ListParams { label_selector: selector.map(str::to_owned), ..ListParams::default() };
    let found: Vec<raw::StatefulSet> = list(api, &stateful_sets("list", scope), params).await?;
    let mut sets: Vec<StatefulSet> = found.into_iter().filter_map(raw::StatefulSet::into_model).collect();
    sets.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(sets)
}

const fn stateful_sets<'a>(verb: &'static str, scope: Scope<'a>) -> Ask<'a> {
    Ask { verb, group: "/apis/apps/v1", resource: "statefulsets", namespace: scope.namespace(), name: None }
}

pub(super) const fn listing<'a>(group: &'static str, resource: &'static str, scope: Scope<'a>) -> Ask<'a> {
    Ask { verb: "list", group, resource, namespace: scope.namespace(), name: None }
}

/// Pods, by namespace.
///
/// # Errors
/// No answer; a missing right to list.
pub async fn list_pods(api: &Api, scope: Scope<'_>, which: &Pods<'_>) -> Result<ByNamespace<OwnedPod>, Failure> {
    let params = ListParams::default().labels(&which.selector());
    let found: Vec<raw::Pod> = list(api, &listing("/api/v1", "pods", scope), params).await?;
    Ok(by_namespace(found.into_iter().filter_map(raw::Pod::into_model)))
}

/// Claims, by namespace.
pub async fn list_claims(api: &Api, scope: Scope<'_>) -> Fact<ByNamespace<Claim>> {
    let ask = listing("/api/v1", "persistentvolumeclaims", scope);
    extras(list(api, &ask, ListParams::default()).await, raw::Claim::into_model)
}

/// Services, by namespace.
pub async fn list_services(api: &Api, scope: Scope<'_>) -> Fact<ByNamespace<Service>> {
    let ask = listing("/api/v1", "services", scope);
    extras(list(api, &ask, ListParams::default()).await, raw::Service::into_model)
}

/// Endpoint slices that belong to a Service, by namespace.
pub async fn list_endpoint_slices(api: &Api, scope: Scope<'_>) -> Fact<ByNamespace<EndpointSlice>> {
    let ask = listing("/apis/discovery.k8s.io/v1", "endpointslices", scope);
    extras(list(api, &ask, ListParams::default()).await, raw::EndpointSlice::into_model)
}

/// Reasons of events that are written wherever nothing is wrong. A kubelet's `Killing` is of the type Normal as well, and tells
/// which probe has ended a container: so the type is no measure, and a field selector knows no "or".
const EVERYDAY: [&str; 16] = [
    "Completed",
    "Created",
    "ExternalProvisioning",
    "LeaderElection",
    "Provisioning",
    "ProvisioningSucceeded",
    "Pulled",
    "Pulling",
    "SawCompletedJob",
    "ScalingReplicaSet",
    "Scheduled",
    "Started",
    "SuccessfulAttachVolume",
    "SuccessfulCreate",
    "SuccessfulDelete",
    "WaitForFirstConsumer",
];

/// The field selector of events that may tell of trouble.
pub(super) fn telling() -> String {
    EVERYDAY.map(|reason| format!("reason!={reason}")).join(",")
}

/// Events that may tell of trouble, by namespace, oldest first. Of a set's own objects: see [`is_about`].
pub async fn list_events(api: &Api, scope: Scope<'_>) -> Fact<ByNamespace<Event>> {
    let ask = listing("/api/v1", "events", scope);
    let found = list(api, &ask, ListParams::default().fields(&telling())).await;
    extras(found, raw::Event::into_model).map(|mut events| {
        events.values_mut().for_each(|events| events.sort_by_key(|event| event.last));
        events
    })
}

/// Whether an event is about the set, one of its pods or one of its claims.
#[must_use]
pub fn is_about(event: &Event, set: &StatefulSet) -> bool {
    let name = event.object.rsplit('/').next().unwrap_or_default();
    name == set.name || Ordinal::of_pod(&set.name, name).is_some() || set.ordinal_of_claim(name).is_some()
}

/// Every node.
pub async fn list_nodes(api: &Api) -> Fact<Vec<Node>> {
    let found = list::<raw::Node>(api, &listing("/api/v1", "nodes", Scope::AllNamespaces), ListParams::default()).await;
    Fact::from(found.map(|nodes| nodes.into_iter().map(raw::Node::into_model).collect()).map_err(Into::into))
}

/// These nodes; one that is missing in the answer does not exist any more.
pub async fn get_nodes(api: &Api, names: impl IntoIterator<Item = &str>) -> Fact<Vec<Node>> {
    let gets = names.into_iter().map(|name| async move {
        let ask = Ask { verb: "get", group: "/api/v1", resource: "nodes", namespace: None, name: Some(name) };
        api.get::<raw::Node>(&ask).await
    });
    let mut nodes = Vec::new();
    for found in join_all(gets).await {
        match found {
            Ok(node) => nodes.push(node.into_model()),
            Err(trouble) if trouble.kind == Kind::NotFound => {}
            Err(trouble) => return Fact::Unknown(trouble.into()),
        }
    }
    Fact::Known(nodes)
}

/// The `MariaDB` object of this name in a group of mariadb-operator; `None`: there is none, or the group is not served.
pub async fn get_operator_view(api: &Api, group: ApiGroup, namespace: &str, name: &str) -> Fact<Option<OperatorView>> {
    let ask = Ask { verb: "get", group: served(group), resource: "mariadbs", namespace: Some(namespace), name: Some(name) };
    match api.get::<raw::MariaDb>(&ask).await {
        Ok(found) => Fact::Known(Some(found.into_model(group))),
        Err(trouble) if trouble.kind == Kind::NotFound => Fact::Known(None),
        Err(trouble) => Fact::Unknown(trouble.into()),
    }
}

/// The `MariaDB` objects of one group, by namespace; none, if the group is not served.
pub async fn list_operator_views(api: &Api, group: ApiGroup, scope: Scope<'_>) -> Fact<ByNamespace<OperatorView>> {
    let found = list(api, &listing(served(group), "mariadbs", scope), ListParams::default()).await;
    extras(if_served(found), |object: raw::MariaDb| {
        let view = object.into_model(group);
        Some((view.namespace.clone(), view))
    })
}

/// The backups of one kind with the names of the clusters they are of, by namespace; none, if the kind is not served.
pub async fn list_backups(api: &Api, group: ApiGroup, kind: BackupKind, scope: Scope<'_>) -> Fact<ByNamespace<(String, Backup)>> {
    let found = list(api, &listing(served(group), kind.resource(), scope), ListParams::default()).await;
    extras(if_served(found), |object: raw::Backup| object.into_model(kind))
}

/// The jobs of backups, by namespace.
pub async fn list_backup_runs(api: &Api, scope: Scope<'_>) -> Fact<ByNamespace<(BackupOwner, BackupRun)>> {
    let ask = listing("/apis/batch/v1", "jobs", scope);
    extras(list(api, &ask, ListParams::default()).await, raw::Job::into_model)
}

/// The path of a group of mariadb-operator. None has ever served another version.
pub(super) const fn served(group: ApiGroup) -> &'static str {
    match group {
        ApiGroup::MariaDb => "/apis/k8s.mariadb.com/v1alpha1",
        ApiGroup::Enterprise => "/apis/enterprise.mariadb.com/v1alpha1",
        ApiGroup::Mmontes => "/apis/mariadb.mmontes.io/v1alpha1",
        ApiGroup::FirstMmontes => "/apis/database.mmontes.io/v1alpha1",
    }
}

/// A kind that the API server does not know has no objects.
fn if_served<T>(found: Result<Vec<T>, Trouble>) -> Result<Vec<T>, Trouble> {
    match found {
        Err(trouble) if trouble.kind == Kind::NotFound => Ok(Vec::new()),
        found => found,
    }
}

/// Objects with a label, in all pages, in our own terms.
pub(super) async fn extra_list<R: DeserializeOwned, T>(
    api: &Api,
    ask: &Ask<'_>,
    label: &str,
    convert: impl Fn(R) -> T,
) -> Fact<Vec<T>> {
    let found = list::<R>(api, ask, ListParams::default().labels(label)).await;
    Fact::from(found.map(|found| found.into_iter().map(convert).collect()).map_err(Into::into))
}

pub(super) fn by_namespace<T>(found: impl Iterator<Item = (String, T)>) -> ByNamespace<T> {
    let mut result = ByNamespace::new();
    for (namespace, object) in found {
        result.entry(namespace).or_default().push(object);
    }
    result
}

fn extras<R, T>(found: Result<Vec<R>, Trouble>, convert: impl Fn(R) -> Option<(String, T)>) -> Fact<ByNamespace<T>> {
    Fact::from(found.map(|found| by_namespace(found.into_iter().filter_map(convert))).map_err(Into::into))
}

#[derive(Deserialize)]
pub(super) struct Page<T> {
    #[serde(default)]
    pub metadata: PageMetadata,
    // The API server writes null for an empty list of some kinds.
    pub items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PageMetadata {
    #[serde(rename = "continue")]
    pub next: Option<String>,
    /// What the list is of, and where a watch goes on.
    pub resource_version: String,
}

/// All pages of a list. If the continuation expires on the way (410), once again from the start.
pub(super) async fn list<T: DeserializeOwned>(api: &Api, ask: &Ask<'_>, params: ListParams) -> Result<Vec<T>, Trouble> {
    match pages(api, ask, params.clone()).await {
        Err(trouble) if trouble.code == Some(410) => pages(api, ask, params).await,
        result => result,
    }
}

async fn pages<T: DeserializeOwned>(api: &Api, ask: &Ask<'_>, params: ListParams) -> Result<Vec<T>, Trouble> {
    let mut params = params.limit(PAGE);
    let mut items = Vec::new();
    loop {
        let page: Page<T> = api.page(ask, &params).await?;
        items.extend(page.items.unwrap_or_default());
        match page.metadata.next.filter(|next| !next.is_empty()) {
            Some(next) => params.continue_token = Some(next),
            None => return Ok(items),
        }
    }
}

/// One pod by its name. `None`: there is none.
///
/// # Errors
/// No answer; a missing right.
pub async fn get_pod(api: &Api, namespace: &str, name: &str) -> Result<Option<Pod>, Failure> {
    let ask = Ask { verb: "get", group: "/api/v1", resource: "pods", namespace: Some(namespace), name: Some(name) };
    match api.get::<raw::Pod>(&ask).await {
        Ok(pod) => Ok(pod.into_model().map(|(_, owned)| owned.pod)),
        Err(trouble) if trouble.kind == Kind::NotFound => Ok(None),
        Err(trouble) => Err(trouble.into()),
    }
}

/// `ConfigMaps` with these labels, as they are written.
///
/// # Errors
/// No answer; a missing right to list.
pub async fn list_config_maps(api: &Api, namespace: &str, selector: &str) -> Result<Vec<serde_json::Value>, Failure> {
    let ask = listing("/api/v1", "configmaps", Scope::Namespace(namespace));
    Ok(list(api, &ask, ListParams::default().labels(selector)).await?)
}
