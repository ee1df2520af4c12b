//! PID 1 of a node: makes the node's view of the file system, then only collects exit statuses.
//!
//! It runs in PID, mount, UTS, IPC and network namespaces of its own. Killing it is a power cut:
//! the kernel ends every process and drops every mount of the node.

use std::ffi::CStr;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::process::{WaitOptions, wait};

use crate::command::{command, output};

/// Tells the host that the node's file systems are in place; inside the node's /var/lib.
pub(super) const READY: &str = "bed/ready";
/// Where dynamic volumes are kept; inside the node's /var/lib.
pub(crate) const VOLUMES: &str = "bed-pv";

const NONE: Option<&CStr> = None;

/// What a kubelet insists on. It would write these to the host's kernel; it finds them already set.
const WANTED_BY_KUBELET: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Runs as PID 1 of the node `name` with its state in `root`; never returns unless it fails.
///
/// # Errors
/// If a mount is refused.
pub fn run(name: &str, root: &Path) -> Result<()> {
    let whole = MountPropagationFlags::REC;
    mount_change("/", MountPropagationFlags::PRIVATE | whole).context("/ cannot be made private")?;
    mount("proc", "/proc", "proc", MountFlags::empty(), NONE).context("/proc cannot be mounted")?;
    rustix::system::sethostname(name.as_bytes())?;
    // The state of containers, of pod addresses and of pod networks: gone after a reboot, as it should be.
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), Some(c"mode=755")).context("/run cannot be mounted")?;
    for folder in ["/run/lock", "/run/containerd", "/run/bed"] {
        fs::create_dir_all(folder)?;
    }
    pretend_settings()?;
    // /var/lib last: it hides the node's own folder.
    for folder in ["var/log", "var/lib"] {
        mount_bind(root.join(folder), Path::new("/").join(folder)).with_context(|| format!("/{folder} cannot be mounted"))?;
    }
    // Pods' mounts must reach the kubelet and the other way round.
    mount_change("/", MountPropagationFlags::SHARED | whole)?;
    mount_volumes(&Path::new("/var/lib").join(VOLUMES))?;
    fs::write(Path::new("/var/lib").join(READY), "")?;
    loop {
        // ECHILD: nobody was orphaned yet.
        if wait(WaitOptions::empty()).is_err() {
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn pretend_settings() -> Result<()> {
    for (setting, value) in WANTED_BY_KUBELET {
        let real = Path::new("/proc/sys").join(setting);
        if !real.exists() {
            continue;
        }
        let pretended = Path::new("/run/bed").join(setting.replace('/', "."));
        fs::write(&pretended, format!("{value}\n"))?;
        mount_bind(&pretended, &real).with_context(|| format!("{} cannot be covered", real.display()))?;
    }
    Ok(())
}

/// Volumes with a size of their own must be there before the kubelet: else a pod would silently get
/// the empty folder below.
fn mount_volumes(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let image = entry?.path();
        if image.extension().is_some_and(|extension| extension == "img") {
            output(command(&["mount", "-o", "loop"]).args([&image, &image.with_extension("")]))?;
        }
    }
    Ok(())
}
