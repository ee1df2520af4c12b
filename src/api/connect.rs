//! From flags, environment and files to an [`Api`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use kube::client::ClientBuilder;
use kube::config::{AuthInfo, Cluster, Config, ExecAuthCluster};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tower::buffer::BufferLayer;
use tower::filter::AsyncFilterLayer;

use crate::failure::{Failure, Kind};

use super::access::{self, Access};
use super::credential::{Credential, Plugin};
use super::flags::ConnectionFlags;
use super::log::LogLayer;
use super::{Api, proxy};

/// Where the service account of a pod is mounted.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// kube's 30 s would let one dead address use up a whole command.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepares a connection. Runs the credential plugin, if the user has one; sends nothing to the API server yet.
///
/// `env` stands for the process environment and `home` for the home directory; nothing else is read from the process.
///
/// # Errors
/// [`Kind::Usage`] if flags or kubeconfig name nothing usable, [`Kind::Unauthorized`] if the credential plugin fails.
pub async fn connect(flags: &ConnectionFlags, env: &BTreeMap<String, String>, home: Option<&Path>) -> Result<Api, Failure> {
    let access = access::resolve(flags, env, home, Path::new(SERVICE_ACCOUNT))?;
    let Access { cluster, mut user, namespace } = access;
    let server = cluster.server.clone().unwrap_or_default();
    let url = parse_server(&server)?;

    let credential = match user.exec.take().filter(|_| !has_better_than_exec(&user)) {
        Some(exec) => {
            let about = if exec.provide_cluster_info { Some(auth_cluster(&cluster)?) } else { None };
            let credential = Credential::first(Plugin::new(exec, about, env, flags.unattended)).await.map_err(|problem| {
                let failure = Failure::new(Kind::Unauthorized, problem.to_string());
                if let Some(hint) = problem.hint() { failure.hint(hint) } else { failure }
            })?;
            if let Some((certificate, key)) = credential.certificate().await {
                user.client_certificate_data = Some(STANDARD.encode(certificate));
                user.client_key_data = Some(STANDARD.encode(key).into());
            }
            Some(credential)
        }
        None => None,
    };
    let config = config(url, &cluster, user, &namespace, env)?;
    let server: Arc<str> = server.into();
    let log = LogLayer { log: flags.log.clone(), server: Arc::clone(&server) };
    let client = build(config, credential.clone(), log).await?;
    let (namespace, log) = (namespace.into(), flags.log.clone());
    Ok(Api { client, server, namespace, request_timeout: flags.request_timeout, credential, log, password: None })
}

/// Credentials that kubectl and kube prefer to the plugin's.
fn has_better_than_exec(user: &AuthInfo) -> bool {
    let basic = user.username.is_some() && user.password.is_some();
    basic || user.auth_provider.is_some() || user.token.is_some() || user.token_file.is_some()
}

fn parse_server(server: &str) -> Result<Uri, Failure> {
    let with_scheme = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
    let uri: Result<Uri, _> = with_scheme.parse();
    match uri {
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() => Ok(uri),
        _ => Err(Failure::new(Kind::Usage, format!("the address of the API server {server:?} is no http or https URL"))
            .hint("see --server, or the cluster in the kubeconfig")),
    }
}

fn auth_cluster(cluster: &Cluster) -> Result<ExecAuthCluster, Failure> {
    ExecAuthCluster::try_from(cluster).map_err(|problem| Failure::new(Kind::Usage, problem.to_string()))
}

fn config(
    url: Uri,
    cluster: &Cluster,
    user: AuthInfo,
    namespace: &str,
    env: &BTreeMap<String, String>,
) -> Result<Config, Failure> {
    let proxy_url = proxy::choose(&url, cluster.proxy_url.as_deref(), env)?;
    let mut config = Config::new(url);
    config.proxy_url = proxy_url;
    namespace.clone_into(&mut config.default_namespace);
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    if let Some(pem) = auth_cluster(cluster)?.certificate_authority_data {
        config.root_cert = Some(certificates(&pem)?);
    }
    config.auth_info = user;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Each request has its own deadline, and nothing is repeated behind our back: kube would send a refused eviction again
    // and again for minutes.
    config.write_timeout = None;
    config.default_retry = false;
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
    let unusable = |problem: &str| Failure::new(Kind::Usage, format!("the certificate authority is not usable: {problem}"));
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).map(|found| found.map(|certificate| certificate.to_vec())).collect();
    let found = found.map_err(|problem| unusable(&problem.to_string()))?;
    if found.is_empty() { Err(unusable("there is no certificate in it")) } else { Ok(found) }
}

/// The client itself. Legacy `auth-provider` entries may run a command here, hence the own thread.
async fn build(config: Config, credential: Option<Credential>, log: LogLayer) -> Result<kube::Client, Failure> {
    let built = tokio::task::spawn_blocking(move || -> kube::Result<kube::Client> {
        let builder = ClientBuilder::try_from(config)?.with_layer(&log);
        Ok(match credential {
            // The layer needs a service that can be cloned, and kube's is not.
            Some(credential) => builder.with_layer(&BufferLayer::new(64)).with_layer(&AsyncFilterLayer::new(credential)).build(),
            None => builder.build(),
        })
    });
    let built = built.await.map_err(|problem| Failure::new(Kind::Other, format!("the client could not be built: {problem}")))?;
    built.map_err(|problem| {
        let kind = if matches!(problem, kube::Error::Auth(_)) { Kind::Unauthorized } else { Kind::Usage };
        Failure::new(kind, format!("the credentials of this context are not usable: {problem}"))
            .hint("see `kubectl config view --minify`")
    })
}
