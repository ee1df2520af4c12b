//! One containerd root that holds every image; each node gets it by hard links.
//!
//! Importing costs about 13 s per GB; three nodes that did it themselves would pay three times.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cache::{Cache, digest};
use crate::command::{command, output};
use crate::progress::{Progress, Step};

const KIND: &str = "containerd";

/// Starts containerd in namespaces of its own and hands it one archive after the other.
/// Arguments: folder, archives.
const IMPORT: &str = r#"
set -e
place=$1; shift
mount -t tmpfs tmpfs /run; mkdir -p /run/containerd
containerd --config "$place/containerd.toml" --log-level warn >"$place/containerd.log" 2>&1 &
for try in $(seq 200); do [ -S /run/containerd/containerd.sock ] && break; sleep 0.05; done
for archive; do
    ctr -n k8s.io images import --snapshotter overlayfs --digests=false "$archive" >&2
done
kill %1; wait %1 || true
"#;

/// A folder whose `root` is a containerd root with the images of all `archives` (docker-archive or
/// OCI tars).
///
/// # Errors
/// If containerd refuses one of them.
pub(crate) fn template(cache: &Cache, progress: &Progress, archives: &[PathBuf]) -> Result<PathBuf> {
    let mut inputs = vec![output(&mut command(&["containerd", "--version"]))?];
    for archive in archives {
        let found = fs::metadata(archive).with_context(|| format!("The image {} is not there", archive.display()))?;
        inputs.push(archive.display().to_string());
        inputs.push(format!("{} {}", found.size(), found.mtime()));
    }
    let inputs = digest(&inputs);
    let place = cache.get(KIND, &inputs, |place| {
        let doing = format!("unpacking {} images for the nodes", archives.len());
        let usual = Duration::from_secs(30);
        progress.during(doing, Some(usual), |step| import(place, archives, step))
    })?;
    // It is large, and the nodes that were made from another one have links of their own to it.
    cache.keep_only(KIND, &inputs)?;
    Ok(place)
}

fn import(place: &Path, archives: &[PathBuf], step: &Step) -> Result<()> {
    step.note("with containerd");
    fs::write(place.join("containerd.toml"), configuration(&place.join("root")))?;
    let alone = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
    let mut unshare = Command::new("unshare");
    unshare.args(alone).args(["bash", "-c", IMPORT, "import"]);
    output(unshare.arg(place).args(archives)).with_context(|| "The images cannot be unpacked")?;
    Ok(())
}

fn configuration(root: &Path) -> String {
    let root = root.display();
    format!(
        r#"version = 2
root = "{root}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt", "io.containerd.grpc.v1.cri"]
[grpc]
  address = "/run/containerd/containerd.sock"
"#
    )
}
