//! What the user said about the connection.

use std::path::PathBuf;
use std::time::Duration;

use super::log::Log;

/// The connection flags of kubectl, as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionFlags {
    /// `--kubeconfig`: this file and no other.
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    pub cluster: Option<String>,
    pub user: Option<String>,
    pub namespace: Option<String>,
    /// `--as`
    pub as_user: Option<String>,
    pub as_groups: Vec<String>,
    pub as_uid: Option<String>,
    pub token: Option<String>,
    /// `-s`, `--server`
    pub server: Option<String>,
    pub tls_server_name: Option<String>,
    /// `None`: as the kubeconfig says.
    pub insecure_skip_tls_verify: Option<bool>,
    pub certificate_authority: Option<PathBuf>,
    pub client_certificate: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    /// Limit of each single request; `None` (0 on the command line) = none.
    pub request_timeout: Option<Duration>,
    /// A credential plugin may not talk to the person at the terminal.
    pub unattended: bool,
    pub log: Log,
}

impl Default for ConnectionFlags {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            cluster: None,
            user: None,
            namespace: None,
            as_user: None,
            as_groups: Vec::new(),
            as_uid: None,
            token: None,
            server: None,
            tls_server_name: None,
            insecure_skip_tls_verify: None,
            certificate_authority: None,
            client_certificate: None,
            client_key: None,
            request_timeout: Some(Duration::from_secs(10)),
            unattended: false,
            log: Log::default(),
        }
    }
}
