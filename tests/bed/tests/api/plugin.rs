//! The plugin as its users get it: from an archive, by krew, through kubectl.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use bed::Bed;
use bed::cache::Cache;
use bed::command::output;
use bed::components;
use bed::progress::Progress;
use flate2::Compression;
use release::platform::Platform;
use release::{VERSION, archive, manifest, materials};
use serde_json::json;

use super::fleet::{create, set};

const NAMESPACE: &str = "installed";

/// krew installs the archive by its manifest, kubectl runs what it installed, and with the second name that the manifest's
/// caveats speak of kubectl completes names of clusters.
pub fn is_installed_by_krew_and_completed_by_kubectl(bed: &Bed) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("krew");
    install(folder.path(), &root)?;
    let bin = root.join("bin");
    let said = output(&mut on_path(bed, &bin, &["mariadb", "version", "--client"])?)?;
    ensure!(said == format!("Client Version: v{VERSION}"), "kubectl mariadb version said {said:?}");

    symlink("kubectl-mariadb", bin.join("kubectl_complete-mariadb"))?;
    create(bed, &[json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})])?;
    create(bed, &[set(NAMESPACE, "orders"), set(NAMESPACE, "users")])?;
    let offered = |words: &[&str]| output(&mut on_path(bed, &bin, &[&["__complete", "mariadb"], words].concat())?);
    let clusters = offered(&["status", "-n", NAMESPACE, ""])?;
    ensure!(
        clusters == "orders\tStatefulSet, 3 replicas\nusers\tStatefulSet, 3 replicas\n:4",
        "kubectl offers these clusters: {clusters:?}"
    );
    let namespaces = offered(&["status", "--namespace", "inst"])?;
    ensure!(namespaces == format!("{NAMESPACE}\n:4"), "kubectl offers these namespaces: {namespaces:?}");
    output(&mut bed.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"])).map(drop)
}

/// An archive of the plugin that is tested, its manifest, and a krew with a root of its own. No index, no network.
fn install(folder: &Path, root: &Path) -> Result<()> {
    let plugin = env::var_os("KUBECTL_MARIADB").context("KUBECTL_MARIADB names no plugin; use `cargo bed test`")?;
    let platform = Platform::here().context("there are archives for Linux on amd64 and arm64 only")?;
    let packed = archive::pack(platform, Path::new(&plugin), &materials::of(platform)?, folder, Compression::fast())?;
    let file = folder.join("mariadb.yaml");
    fs::write(&file, manifest::of(manifest::NOWHERE, std::slice::from_ref(&packed)))?;
    let krew = components::krew(&Cache::open()?, &Progress::new())?;
    let mut install = Command::new(krew);
    install.arg("install").arg("--manifest").arg(&file).arg("--archive").arg(&packed.path);
    output(install.env("KREW_ROOT", root).env("HOME", folder)).map(drop)
}

/// kubectl, with what krew installed on its PATH.
fn on_path(bed: &Bed, bin: &Path, args: &[&str]) -> Result<Command> {
    let mut kubectl = bed.run(&[&["kubectl"], args].concat());
    let inherited = env::var_os("PATH").unwrap_or_default();
    let folders = [bed.layout().bin(), bin.to_owned()].into_iter().chain(env::split_paths(&inherited));
    kubectl.env("PATH", env::join_paths(folders)?).env("KUBECONFIG", bed.kubeconfig());
    // What is offered is the question here, not how fast.
    kubectl.env("KUBECTL_MARIADB_COMPLETION_TIMEOUT", "1m");
    Ok(kubectl)
}
