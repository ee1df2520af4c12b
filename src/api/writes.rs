//! Changes: objects created and deleted, and how each attempt ended.

use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use kube::core::Request;
use kube::core::params::PostParams;
use serde_json::{Value, json};

use crate::failure::Kind;
use crate::model::fact::Why;
use crate::model::operator::ApiGroup;

use super::objects::served;
use super::trouble::Trouble;
use super::{Api, Ask};

/// Who the API server is told has written a field.
const FIELD_MANAGER: &str = "kubectl-mariadb";

/// Kinds of objects that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Pods,
    Jobs,
    ConfigMaps,
    StatefulSets,
    Claims,
    Services,
    /// `MariaDB` objects of mariadb-operator.
    MariaDbs(ApiGroup),
}

impl Resource {
    const fn ask<'a>(self, verb: &'static str, namespace: &'a str, name: Option<&'a str>) -> Ask<'a> {
        let (group, resource) = match self {
            Self::Pods => ("/api/v1", "pods"),
            Self::Jobs => ("/apis/batch/v1", "jobs"),
            Self::ConfigMaps => ("/api/v1", "configmaps"),
            Self::StatefulSets => ("/apis/apps/v1", "statefulsets"),
            Self::Claims => ("/api/v1", "persistentvolumeclaims"),
            Self::Services => ("/api/v1", "services"),
            Self::MariaDbs(group) => (served(group), "mariadbs"),
        };
        Ask { verb, group, resource, namespace: Some(namespace), name }
    }
}

/// Why a change was not made, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The user lacks this right.
    Right(String),
    /// There is an object of that name already.
    Exists,
    /// There is no such object, or it is another one than was meant.
    Gone,
    /// Admission, a quota or a policy refuses it: the API server's words.
    Refused(String),
    /// Not now: a disruption budget refuses an eviction. The API server's words.
    Busy(String),
    /// The answer was lost: it may have been done.
    Lost(String),
}

impl Denied {
    fn from(trouble: Trouble) -> Self {
        let words = trouble.words.clone().unwrap_or_else(|| trouble.message.clone());
        match trouble.code {
            // Quotas and policies answer 403, too; only authorization says it so.
            Some(403) if words.contains(" cannot ") => Self::Right(trouble.right),
            Some(409) if words.contains("already exists") => Self::Exists,
            Some(404 | 409) => Self::Gone,
            Some(429) => Self::Busy(words),
            Some(400..=499) => Self::Refused(words),
            _ if trouble.unsent || trouble.kind == Kind::Usage => Self::Refused(trouble.message),
            _ => Self::Lost(trouble.message),
        }
    }
}

impl From<Denied> for Why {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Right(right) => Self::Forbidden(right),
            Denied::Exists => Self::Failed("there is an object of that name already".to_owned()),
            Denied::Gone => Self::Failed("it is gone".to_owned()),
            Denied::Refused(words) | Denied::Busy(words) => Self::Failed(words),
            Denied::Lost(words) => Self::Failed(format!("it is not known whether it was done: {words}")),
        }
    }
}

/// Creates an object, or with `dry_run` asks the API server whether it would: admission included, nothing stored. Gives the
/// object as the API server would keep it.
///
/// # Errors
/// [`Denied`].
pub async fn create(api: &Api, what: Resource, namespace: &str, object: &Value, dry_run: bool) -> Result<Value, Denied> {
    let ask = what.ask("create", namespace, None);
    let params = PostParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()) };
    let path = ask.path().map_err(Denied::from)?;
    let request = Request::new(path).create(&params, object.to_string().into_bytes());
    api.shows("POST", &request, object);
    api.ask(&ask, request).await.map_err(Denied::from)
}

/// One object as it is now.
///
/// # Errors
/// [`Denied::Gone`]: there is none.
pub async fn read(api: &Api, what: Resource, namespace: &str, name: &str) -> Result<Value, Denied> {
    api.get(&what.ask("get", namespace, Some(name))).await.map_err(Denied::from)
}

/// Deletes exactly this object, with normal grace, and what it owns after it; or with `dry_run` asks the API server whether it
/// would.
///
/// # Errors
/// [`Denied::Gone`]: it is not there any more, or another one has its name.
pub async fn delete(api: &Api, what: Resource, namespace: &str, name: &str, uid: &str, dry_run: bool) -> Result<(), Denied> {
    let ask = what.ask("delete", namespace, Some(name));
    let params = DeleteParams {
        dry_run,
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::default()
    };
    let path = ask.path().map_err(Denied::from)?;
    let mut request = Request::new(path).delete(name, &params);
    if let (true, Ok(request)) = (dry_run, &mut request) {
        // Also beside the body: where something in between drops that of a DELETE, it must not become a real one.
        let uri = format!("{}?dryRun=All", request.uri().path());
        *request.uri_mut() = uri.parse().map_err(|_| Denied::Refused(format!("no address: {uri}")))?;
    }
    api.shows("DELETE", &request, &json!({"preconditions": {"uid": uid}}));
    api.ask::<Value>(&ask, request).await.map(drop).map_err(Denied::from)
}

/// Evicts exactly this pod: as a deletion with normal grace, if the disruption budgets allow it.
///
/// # Errors
/// [`Denied::Busy`]: a budget allows it not now. [`Denied::Gone`]: it is not there any more, or another one has its name.
pub async fn evict(api: &Api, namespace: &str, name: &str, uid: &str, dry_run: bool) -> Result<(), Denied> {
    let ask = Ask { verb: "create", group: "/api/v1", resource: "pods/eviction", namespace: Some(namespace), name: Some(name) };
    let mut options = json!({ "preconditions": { "uid": uid } });
    if dry_run {
        options["dryRun"] = json!(["All"]);
    }
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name, "namespace": namespace }, "deleteOptions": options,
    });
    let dry_run = if dry_run { "&dryRun=All" } else { "" };
    let pods = Resource::Pods.ask("create", namespace, None).path().map_err(Denied::from)?;
    let request = http::Request::post(format!("{pods}/{name}/eviction?fieldManager={FIELD_MANAGER}{dry_run}"));
    let request = request.header(http::header::CONTENT_TYPE, "application/json").body(eviction.to_string().into_bytes());
    let request = request.map_err(|problem| Denied::Refused(problem.to_string()))?;
    api.log.change("POST", &request.uri().to_string(), &eviction);
    api.ask::<Value>(&ask, Ok(request)).await.map(drop).map_err(Denied::from)
}

/// Changes an object as a JSON merge patch says. With `metadata.resourceVersion` in it the object is changed only if nobody
/// else has changed it since.
///
/// # Errors
/// [`Denied::Gone`]: it is not there, or somebody changed it.
pub async fn merge(api: &Api, what: Resource, namespace: &str, name: &str, patch: &Value) -> Result<Value, Denied> {
    send(api, what.ask("patch", namespace, Some(name)), "application/merge-patch+json", patch, false).await
}

/// Changes an object by JSON-patch operations, all of them or none. Each `test` among them has to hold (safety E4).
///
/// # Errors
/// [`Denied::Gone`]: it is not there, or a test did not hold: somebody changed it.
pub async fn patch(
    api: &Api,
    what: Resource,
    namespace: &str,
    name: &str,
    operations: &Value,
    dry_run: bool,
) -> Result<Value, Denied> {
    send(api, what.ask("patch", namespace, Some(name)), "application/json-patch+json", operations, dry_run).await
}

impl Api {
    fn shows<E>(&self, method: &str, request: &Result<http::Request<Vec<u8>>, E>, body: &Value) {
        if let Ok(request) = request {
            self.log.change(method, &request.uri().to_string(), body);
        }
    }
}

async fn send(api: &Api, ask: Ask<'_>, kind: &'static str, patch: &Value, dry_run: bool) -> Result<Value, Denied> {
    let dry_run = if dry_run { "&dryRun=All" } else { "" };
    let path = ask.path().map_err(Denied::from)?;
    let uri = format!("{path}/{}?fieldManager={FIELD_MANAGER}{dry_run}", ask.name.unwrap_or_default());
    let request = http::Request::patch(uri).header(http::header::CONTENT_TYPE, kind);
    let request = request.body(patch.to_string().into_bytes()).map_err(|problem| Denied::Refused(problem.to_string()))?;
    api.log.change("PATCH", &request.uri().to_string(), patch);
    api.ask(&ask, Ok(request)).await.map_err(|trouble| match (trouble.code, &trouble.words) {
        // A test that did not hold answers 422 without naming a field; a value that is not allowed names one.
        (Some(422), Some(words)) if !words.contains("is invalid") => Denied::Gone,
        _ => Denied::from(trouble),
    })
}
