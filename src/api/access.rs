//! Where the API server is and who we are: kubeconfig files, the pod we run in, and the flags over both.
//!
//! kube's own loader fails on a missing file of a `KUBECONFIG` list and reads the process environment, so the entries are
//! chosen here and handed to kube as values. The rules are those of client-go's `clientcmd`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, KubeconfigError};

use crate::failure::{Failure, Kind};

use super::flags::ConnectionFlags;

/// The entries in use, flags applied.
#[derive(Debug, Default)]
pub(super) struct Access {
    pub cluster: Cluster,
    pub user: AuthInfo,
    pub namespace: String,
}

/// Chooses and merges; touches files only.
///
/// # Errors
/// No usable entry, an unreadable file, or flags that contradict each other.
pub(super) fn resolve(
    flags: &ConnectionFlags,
    env: &BTreeMap<String, String>,
    home: Option<&Path>,
    service_account: &Path,
) -> Result<Access, Failure> {
    let kubeconfig = load(flags, env, home)?;
    let mut access = match from_kubeconfig(&kubeconfig, flags)? {
        Some(access) => access,
        None if flags.server.is_some() => Access::default(),
        None => in_cluster(env, service_account).ok_or_else(nowhere)?,
    };
    apply_to_cluster(&mut access.cluster, flags)?;
    apply_to_user(&mut access.user, flags)?;
    if let Some(namespace) = &flags.namespace {
        access.namespace.clone_from(namespace);
    }
    if access.namespace.is_empty() {
        "default".clone_into(&mut access.namespace);
    }
    Ok(access)
}

fn nowhere() -> Failure {
    Failure::new(Kind::Usage, "no API server is named: there is no kubeconfig, and this is not a pod of a cluster")
        .hint("give --kubeconfig or set KUBECONFIG; `kubectl config current-context` shows what kubectl uses")
}

/// The kubeconfig value: one file named by the flag, or all that exist of `KUBECONFIG`, or `~/.kube/config`.
pub(super) fn load(flags: &ConnectionFlags, env: &BTreeMap<String, String>, home: Option<&Path>) -> Result<Kubeconfig, Failure> {
    if let Some(path) = &flags.kubeconfig {
        return read(path)?.ok_or_else(|| {
            Failure::new(Kind::Usage, format!("the kubeconfig {} does not exist", path.display())).hint("see --kubeconfig")
        });
    }
    let listed = env.get("KUBECONFIG").map_or("", String::as_str);
    let mut paths: Vec<PathBuf> = std::env::split_paths(listed).filter(|path| !path.as_os_str().is_empty()).collect();
    if paths.is_empty() {
        paths.extend(home.map(|home| home.join(".kube").join("config")));
    }
    let mut merged = Kubeconfig::default();
    for path in &paths {
        // A file that does not exist is skipped, as kubectl does.
        let Some(next) = read(path)? else { continue };
        merged = merged.merge(next).map_err(|problem| {
            Failure::new(Kind::Usage, format!("the kubeconfig {} does not fit the ones before it: {problem}", path.display()))
        })?;
    }
    Ok(merged)
}

fn read(path: &Path) -> Result<Option<Kubeconfig>, Failure> {
    match Kubeconfig::read_from(path) {
        Ok(mut kubeconfig) => {
            // An empty name is no choice; the next file of a list may have one.
            kubeconfig.current_context = kubeconfig.current_context.filter(|name| !name.is_empty());
            Ok(Some(kubeconfig))
        }
        Err(KubeconfigError::ReadConfig(problem, _)) if problem.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(KubeconfigError::ReadConfig(problem, _)) => {
            Err(Failure::new(Kind::Usage, format!("the kubeconfig {} cannot be read: {problem}", path.display())))
        }
        Err(problem) => {
            Err(Failure::new(Kind::Usage, format!("the kubeconfig {} is not valid: {}", path.display(), one_line(&problem))))
        }
    }
}

/// A YAML error shows the place over several lines, which may hold credentials: only its first line is ours to repeat.
fn one_line(problem: &KubeconfigError) -> String {
    problem.to_string().lines().next().unwrap_or_default().to_owned()
}

/// The entries the flags or the current context name; `None`: there is nothing to choose from.
fn from_kubeconfig(kubeconfig: &Kubeconfig, flags: &ConnectionFlags) -> Result<Option<Access>, Failure> {
    let context = match flags.context.as_ref().or(kubeconfig.current_context.as_ref()) {
        Some(name) => find("context", name, kubeconfig.contexts.iter().map(|entry| (&entry.name, &entry.context)))?,
        None if flags.cluster.is_none() && flags.user.is_none() => return no_context(kubeconfig, flags),
        None => Context::default(),
    };
    let cluster = match flags.cluster.as_ref().unwrap_or(&context.cluster) {
        // With an address on the command line the entry is not needed.
        name if name.is_empty() && flags.server.is_some() => Cluster::default(),
        name => find("cluster", name, kubeconfig.clusters.iter().map(|entry| (&entry.name, &entry.cluster)))?,
    };
    let user = match flags.user.as_ref().or(context.user.as_ref()).filter(|name| !name.is_empty()) {
        Some(name) => find("user", name, kubeconfig.auth_infos.iter().map(|entry| (&entry.name, &entry.auth_info)))?,
        None => AuthInfo::default(),
    };
    Ok(Some(Access { cluster, user, namespace: context.namespace.unwrap_or_default() }))
}

fn no_context(kubeconfig: &Kubeconfig, flags: &ConnectionFlags) -> Result<Option<Access>, Failure> {
    if kubeconfig.contexts.is_empty() || flags.server.is_some() {
        return Ok(None);
    }
    let names = kubeconfig.contexts.iter().map(|entry| entry.name.as_str());
    Err(Failure::new(Kind::Usage, "the kubeconfig has no current context").hint(format!("give --context: {}", listing(names))))
}

fn find<'a, T: Clone + Default + 'a>(
    kind: &str,
    name: &str,
    entries: impl Iterator<Item = (&'a String, &'a Option<T>)> + Clone,
) -> Result<T, Failure> {
    match entries.clone().find(|(entry, _)| *entry == name) {
        Some((_, value)) => Ok(value.clone().unwrap_or_default()),
        None => Err(Failure::new(Kind::Usage, format!("the kubeconfig has no {kind} {name:?}"))
            .hint(format!("it has: {}", listing(entries.map(|(entry, _)| entry.as_str()))))),
    }
}

fn listing<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The service account of the pod we run in, if we do.
fn in_cluster(env: &BTreeMap<String, String>, service_account: &Path) -> Option<Access> {
    let variable = |name: &str| env.get(name).filter(|value| !value.is_empty());
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let file = |name: &str| service_account.join(name);
    if !file("token").exists() {
        return None;
    }
    let namespace = variable("POD_NAMESPACE").cloned().or_else(|| std::fs::read_to_string(file("namespace")).ok());
    Some(Access {
        cluster: Cluster {
            server: Some(format!("https://{host}:{port}")),
            certificate_authority: Some(file("ca.crt").to_string_lossy().into_owned()),
            ..Cluster::default()
        },
        user: AuthInfo { token_file: Some(file("token").to_string_lossy().into_owned()), ..AuthInfo::default() },
        namespace: namespace.unwrap_or_default().trim().to_owned(),
    })
}

fn apply_to_cluster(cluster: &mut Cluster, flags: &ConnectionFlags) -> Result<(), Failure> {
    let insecure = flags.insecure_skip_tls_verify.unwrap_or(false);
    if insecure && flags.certificate_authority.is_some() {
        return Err(Failure::new(Kind::Usage, "--certificate-authority and --insecure-skip-tls-verify exclude each other"));
    }
    if let Some(server) = &flags.server {
        cluster.server = Some(server.clone());
        // The name belongs to the address it stood beside.
        cluster.tls_server_name = None;
    }
    if let Some(name) = &flags.tls_server_name {
        cluster.tls_server_name = Some(name.clone());
    }
    if insecure || flags.certificate_authority.is_some() {
        cluster.certificate_authority_data = None;
        cluster.certificate_authority = flags.certificate_authority.as_deref().map(text);
        cluster.insecure_skip_tls_verify = Some(insecure);
    } else if flags.insecure_skip_tls_verify.is_some() {
        cluster.insecure_skip_tls_verify = flags.insecure_skip_tls_verify;
    }
    match &cluster.server {
        Some(server) if !server.is_empty() => Ok(()),
        _ => Err(nowhere()),
    }
}

fn apply_to_user(user: &mut AuthInfo, flags: &ConnectionFlags) -> Result<(), Failure> {
    if flags.token.is_some() || flags.client_certificate.is_some() || flags.client_key.is_some() {
        // Credentials on the command line replace the entry's: kube would let a password or provider win over a token,
        // the API server a certificate.
        *user = AuthInfo {
            impersonate: user.impersonate.take(),
            impersonate_uid: user.impersonate_uid.take(),
            impersonate_groups: user.impersonate_groups.take(),
            impersonate_user_extra: user.impersonate_user_extra.take(),
            token: flags.token.clone().map(Into::into),
            client_certificate: flags.client_certificate.as_deref().map(text),
            client_key: flags.client_key.as_deref().map(text),
            ..AuthInfo::default()
        };
    }
    if flags.client_certificate.is_some() != flags.client_key.is_some() {
        return Err(Failure::new(Kind::Usage, "--client-certificate and --client-key are only of use together"));
    }
    if flags.as_user.is_some() {
        user.impersonate.clone_from(&flags.as_user);
    }
    if flags.as_uid.is_some() {
        user.impersonate_uid.clone_from(&flags.as_uid);
    }
    if !flags.as_groups.is_empty() {
        user.impersonate_groups = Some(flags.as_groups.clone());
    }
    let has_user = user.impersonate.as_ref().is_some_and(|name| !name.is_empty());
    let has_groups = user.impersonate_groups.as_ref().is_some_and(|groups| !groups.is_empty());
    if !has_user && (user.impersonate_uid.is_some() || has_groups || user.impersonate_user_extra.is_some()) {
        return Err(Failure::new(Kind::Usage, "a group, uid or extra to act as is given, but no user").hint("add --as USER"));
    }
    Ok(())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
