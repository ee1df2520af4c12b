//! `cargo bed demo`: from nothing to `kubectl mariadb status` on a real Galera cluster.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bed::progress::Progress;
use bed::testing::shape::{Kind, NAME, Secrets, Shape, Version};
use bed::{Bed, Options};
use serde_json::json;

use super::cargo::build;
use super::shell::equip;

/// Of the cluster from a plain StatefulSet.
pub const NAMESPACE: &str = "demo";

/// Where to show it.
#[derive(clap::Args)]
pub struct Args {
    /// Show it on your own cluster: the kubeconfig to use. Nothing but the plugin is built
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Show it on your own cluster: the context to use
    #[arg(long)]
    context: Option<String>,
    /// Who runs the cluster that is shown
    #[arg(long, value_enum, default_value_t = Source::Plain, conflicts_with_all = ["kubeconfig", "context"])]
    source: Source,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// A StatefulSet written by hand
    Plain,
    /// mariadb-operator
    Operator,
    /// A chart like Bitnami's mariadb-galera
    Bitnami,
}

impl Source {
    fn shape(self) -> Shape {
        match self {
            Self::Plain => Shape::new(Kind::Galera, Version::V11_8),
            Self::Operator => Shape::operator(Kind::Galera, Version::V11_8),
            Self::Bitnami => Shape::bitnami(Version::V11_8),
        }
    }

    const fn namespace(self) -> &'static str {
        match self {
            Self::Plain => NAMESPACE,
            Self::Operator => "demo-operator",
            Self::Bitnami => "demo-bitnami",
        }
    }

    const fn spoken(self) -> &'static str {
        match self {
            Self::Plain => "a plain StatefulSet",
            Self::Operator => "mariadb-operator",
            Self::Bitnami => "a chart like Bitnami's",
        }
    }
}

impl Args {
    pub const fn on_own_cluster(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }
}

/// Shows the plugin on a new cluster in `bed`, or on the user's own clusters.
///
/// # Errors
/// One sentence about what does not work.
pub fn run(bed: &Bed, args: &Args) -> Result<ExitCode> {
    let progress = Progress::new();
    if args.on_own_cluster() {
        return own_cluster(&plugin(&progress)?, args);
    }
    let plugin = ready(bed, args.source, &progress)?;
    let namespace = args.source.namespace();
    println!("\n$ kubectl mariadb status -n {namespace} {NAME}");
    let mut status = bed.run(&["kubectl", "mariadb", "status", "-n", namespace, NAME]);
    equip(&mut status, bed, plugin.parent())?;
    let ended = status.status().context("kubectl cannot be started")?;
    go_on(bed, namespace);
    Ok(code_of(ended))
}

/// Brings up the bed, the plugin and the cluster `NAME` of `source`; returns where the plugin is.
///
/// # Errors
/// One sentence about what does not work.
pub fn ready(bed: &Bed, source: Source, progress: &Progress) -> Result<PathBuf> {
    bed.up(&Options { operator: source == Source::Operator, progress: progress.clone(), ..Options::default() })?;
    let plugin = plugin(progress)?;
    create(bed, source)?;
    let (namespace, from) = (source.namespace(), source.spoken());
    let waiting = format!("starting a Galera cluster of three members from {from}");
    progress.during(waiting, Some(Duration::from_secs(40)), |_| {
        let set = format!("statefulset/{NAME}");
        let ready: &[&str] = match source {
            Source::Operator => &["wait", "--for=condition=Ready", "mariadb.k8s.mariadb.com", NAME],
            Source::Plain | Source::Bitnami => &["rollout", "status", &set],
        };
        let ended = bed.kubectl(ready).args(["--timeout=300s", "--namespace", namespace]).output()?;
        ensure!(
            ended.status.success(),
            "The Galera cluster does not start; look at it with `cargo bed shell -- kubectl -n {namespace} describe pods`."
        );
        Ok(())
    })?;
    Ok(plugin)
}

fn plugin(progress: &Progress) -> Result<PathBuf> {
    progress.during("building the plugin", Some(Duration::from_secs(120)), |_| {
        build("kubectl-mariadb", &["build", "--release", "--package=kubectl-mariadb"])
    })
}

fn own_cluster(plugin: &Path, args: &Args) -> Result<ExitCode> {
    let mut status = Command::new(plugin);
    status.args(["status", "--all-namespaces"]);
    if let Some(kubeconfig) = &args.kubeconfig {
        status.arg("--kubeconfig").arg(kubeconfig);
    }
    if let Some(context) = &args.context {
        status.arg("--context").arg(context);
    }
    let ended = status.status().context("The plugin cannot be started")?;
    println!("\nThe plugin is {}; copy it to a folder of your PATH and say `kubectl mariadb --help`.", plugin.display());
    Ok(code_of(ended))
}

/// Applies the cluster; what is there already stays as it is.
fn create(bed: &Bed, source: Source) -> Result<()> {
    let namespace = source.namespace();
    let secrets = Secrets { root: password()?, writer: password()?, replication: password()? };
    let mut objects = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})];
    objects.extend(source.shape().objects(&secrets));
    // The passwords of a running cluster must not change under it.
    let (new, rest): (Vec<_>, Vec<_>) = objects.into_iter().partition(|object| object["kind"] == "Secret");
    for (verb, items, may_exist) in [("apply", &rest[..1], false), ("create", &new[..], true), ("apply", &rest[1..], false)] {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
        let args = [verb, "--namespace", namespace, "--filename=-"];
        match bed::command::output_of_input(&mut bed.kubectl(&args), &list) {
            Err(cause) if may_exist && cause.to_string().contains("AlreadyExists") => {}
            result => drop(result.context("The Galera cluster cannot be created")?),
        }
    }
    Ok(())
}

/// 128 bits of the kernel's randomness.
fn password() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn code_of(status: std::process::ExitStatus) -> ExitCode {
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn go_on(bed: &Bed, namespace: &str) {
    let name = bed.layout().name();
    let cargo_bed = if name == "bed" { String::from("cargo bed") } else { format!("cargo bed --name {name}") };
    println!(
        "
How to go on:
  {cargo_bed} shell                      a shell with kubectl and kubectl mariadb; the cluster is in namespace {namespace}
  {cargo_bed} shell -- kubectl mariadb status -n {namespace} {NAME}
Break something and look again:
  {cargo_bed} node n2 off                cut a node's power (`on` gives it back)
  {cargo_bed} node n3 cut                pull a node's network cable (`heal` plugs it in)
  {cargo_bed} api-server kill            (`start` brings it back)
  {cargo_bed} shell -- kubectl -n {namespace} delete pod {NAME}-1
Take it down:
  {cargo_bed} down                       keeps its state for the next `up`; --purge throws it away"
    );
}
