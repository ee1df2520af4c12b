//! Flags that every command takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::duration;
use crate::api::flags::ConnectionFlags;
use crate::api::log::Log;

/// kubectl's connection flags; pod exec obeys them too.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Kubeconfig file to use instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Cluster entry of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// User entry of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// Namespace; default: the context's, else `default`
    #[arg(short, long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,
    /// Group to impersonate; may be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub impersonate_groups: Vec<String>,
    /// Uid to impersonate
    #[arg(long = "as-uid", global = true, value_name = "UID")]
    pub impersonate_uid: Option<String>,
    /// Bearer token for the API server
    #[arg(long, global = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Address of the API server
    #[arg(short, long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Name to expect in the API server's certificate
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Do not check the API server's certificate
    #[arg(
        long,
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    pub insecure_skip_tls_verify: Option<bool>,
    /// Certificate authority of the API server, a PEM file
    #[arg(long, global = true, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// Client certificate, a PEM file
    #[arg(long, global = true, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,
    /// Key of the client certificate, a PEM file
    #[arg(long, global = true, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// Limit of each request to the API server; 0: none
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::parse, default_value = "10s")]
    pub request_timeout: Duration,
    /// Requests on stderr: 6 with how long they took, 7 headers, 8 answers, 9 whole answers
    #[arg(
        short,
        long = "v",
        global = true,
        value_name = "LEVEL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "6",
        default_value = "0",
        hide_default_value = true
    )]
    pub verbosity: u8,
    /// Where what `verbosity` asks for goes.
    #[arg(skip)]
    pub log: Log,
}

impl From<&Connection> for ConnectionFlags {
    fn from(typed: &Connection) -> Self {
        let typed = typed.clone();
        Self {
            kubeconfig: typed.kubeconfig,
            context: typed.context,
            cluster: typed.cluster,
            user: typed.user,
            namespace: typed.namespace,
            as_user: typed.impersonate,
            as_groups: typed.impersonate_groups,
            as_uid: typed.impersonate_uid,
            token: typed.token,
            server: typed.server,
            tls_server_name: typed.tls_server_name,
            insecure_skip_tls_verify: typed.insecure_skip_tls_verify,
            certificate_authority: typed.certificate_authority,
            client_certificate: typed.client_certificate,
            client_key: typed.client_key,
            request_timeout: Some(typed.request_timeout).filter(|limit| !limit.is_zero()),
            unattended: false,
            log: typed.log,
        }
    }
}

/// How the answer is written.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Form of the output
    #[arg(short = 'o', long = "output", global = true, value_name = "FORM", value_enum, default_value_t)]
    pub format: Format,
    /// Tables without their header lines
    #[arg(long, global = true)]
    pub no_headers: bool,
    /// Colours; NO_COLOR and CLICOLOR_FORCE are obeyed
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub color: Colour,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Wide,
    Json,
    Yaml,
    Jsonl,
    Name,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    #[default]
    Auto,
    Always,
    Never,
}
