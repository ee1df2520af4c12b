//! Names to offer while a command line is typed: of objects, and of the entries of the kubeconfig.

use std::collections::BTreeMap;
use std::path::Path;

use http::header::{ACCEPT, HeaderValue};
use kube::core::Request;
use kube::core::params::ListParams;
use serde::Deserialize;

use crate::failure::Failure;

use super::flags::ConnectionFlags;
use super::objects::Scope;
use super::raw::Named;
use super::trouble::Trouble;
use super::{Api, Ask, access};

/// More names than anybody reads; one page, so one request.
const MOST: u32 = 500;
/// Asks for the metadata of the objects and nothing else.
const NAMES_ONLY: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json");

/// The names in the kubeconfig files in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeconfigNames {
    pub contexts: Vec<String>,
    pub clusters: Vec<String>,
    pub users: Vec<String>,
}

/// Reads the kubeconfig; asks nobody.
///
/// # Errors
/// It cannot be read.
pub fn kubeconfig(
    flags: &ConnectionFlags,
    env: &BTreeMap<String, String>,
    home: Option<&Path>,
) -> Result<KubeconfigNames, Failure> {
    let read = access::load(flags, env, home)?;
    Ok(KubeconfigNames {
        contexts: read.contexts.into_iter().map(|entry| entry.name).collect(),
        clusters: read.clusters.into_iter().map(|entry| entry.name).collect(),
        users: read.auth_infos.into_iter().map(|entry| entry.name).collect(),
    })
}

/// Namespaces.
///
/// # Errors
/// No answer; a missing right.
pub async fn namespaces(api: &Api) -> Result<Vec<String>, Failure> {
    Ok(names(api, "/api/v1", "namespaces", Scope::AllNamespaces).await?)
}

/// Nodes.
///
/// # Errors
/// No answer; a missing right.
pub async fn nodes(api: &Api) -> Result<Vec<String>, Failure> {
    Ok(names(api, "/api/v1", "nodes", Scope::AllNamespaces).await?)
}

/// The operator's MariaDB objects of a namespace.
///
/// # Errors
/// No answer; a missing right; the operator's kinds are not installed.
pub async fn mariadbs(api: &Api, namespace: &str) -> Result<Vec<String>, Failure> {
    Ok(names(api, "/apis/k8s.mariadb.com/v1alpha1", "mariadbs", Scope::Namespace(namespace)).await?)
}

#[derive(Deserialize)]
struct List {
    items: Option<Vec<Named>>,
}

async fn names(api: &Api, group: &'static str, resource: &'static str, scope: Scope<'_>) -> Result<Vec<String>, Trouble> {
    let ask = Ask { verb: "list", group, resource, namespace: scope.namespace(), name: None };
    let mut request = Request::new(ask.path()?).list(&ListParams::default().limit(MOST));
    if let Ok(request) = &mut request {
        request.headers_mut().insert(ACCEPT, NAMES_ONLY);
    }
    let list: List = api.ask(&ask, request).await?;
    Ok(list.items.unwrap_or_default().iter().map(|object| object.name().to_owned()).collect())
}
