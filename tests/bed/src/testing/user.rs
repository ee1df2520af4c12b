//! Users with chosen rights.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::run::output;

/// Verbs on resources of one API group (`""` is the core group).
#[derive(Clone, Copy, Debug)]
pub struct Right<'a> {
    pub group: &'a str,
    pub resources: &'a [&'a str],
    pub verbs: &'a [&'a str],
}

/// All that `status` wants to read in a namespace, but for exec.
pub const READER: [Right<'static>; 4] = [
    Right {
        group: "",
        resources: &["pods", "pods/log", "services", "persistentvolumeclaims", "events", "configmaps", "endpoints"],
        verbs: &["get", "list", "watch"],
    },
    Right { group: "apps", resources: &["statefulsets", "controllerrevisions"], verbs: &["get", "list", "watch"] },
    Right { group: "policy", resources: &["poddisruptionbudgets"], verbs: &["get", "list", "watch"] },
    Right { group: "discovery.k8s.io", resources: &["endpointslices"], verbs: &["get", "list", "watch"] },
];

/// What a command in a pod needs.
pub const EXEC: Right<'static> = Right { group: "", resources: &["pods/exec"], verbs: &["create", "get"] };

/// Makes a user `name` with these rights in the cluster's namespace, and a kubeconfig for it in `folder`.
///
/// # Errors
/// The API server refuses, or the file cannot be written.
pub fn with_rights(cluster: &Cluster, name: &str, rights: &[Right<'_>], folder: &Path) -> Result<PathBuf> {
    let rules: Vec<Value> = rights
        .iter()
        .map(|right| json!({"apiGroups": [right.group], "resources": right.resources, "verbs": right.verbs}))
        .collect();
    let metadata = json!({"name": name});
    cluster.apply(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": cluster.namespace}],
        }),
    ])?;
    let token = cluster.kubectl(&["create", "token", name, "--duration=1h"])?;
    let admin = cluster.bed.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&output(admin, "", Duration::from_secs(10))?)?;
    config["users"] = json!([{"name": name, "user": {"token": token.trim()}}]);
    config["contexts"][0]["context"]["user"] = json!(name);
    let path = folder.join(format!("{name}.kubeconfig"));
    std::fs::write(&path, config.to_string()).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}
