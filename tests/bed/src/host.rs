//! What the bed needs of the machine: rights, programs, kernel features, room; and the one setting
//! it changes while a bed is up.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::command::{command, output, output_of_input};
use crate::layout::{Layout, STATE};
use crate::process::{boot_id, read_record, remove_file, write_record};
use crate::progress::Progress;

/// A program (or file) and the Debian package that brings it.
pub type Need = (&'static str, &'static str);

/// What a running bed needs.
const NEEDS: [Need; 17] = [
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/lib/cni/portmap", "containernetworking-plugins"),
    ("etcd", "etcd-server"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("conntrack", "conntrack"),
    ("ethtool", "ethtool"),
    ("socat", "socat"),
    ("sysctl", "procps"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("setsid", "util-linux"),
    ("losetup", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
];

/// Checks rights, installs missing programs, checks kernel features and room: everything a bed asks
/// of its machine.
///
/// # Errors
/// One sentence about the first thing that is missing.
pub fn prepare(progress: &Progress) -> Result<()> {
    require_root()?;
    install(&NEEDS, progress)?;
    require_kernel()?;
    require_room(Path::new(STATE))?;
    if let Some(warning) = busy() {
        progress.say(&warning);
    }
    Ok(())
}

/// # Errors
/// If this is not root.
pub fn require_root() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "The bed needs root because it makes network namespaces and mounts; run it again with sudo, or on a virtual machine of your own."
    );
    Ok(())
}

/// Installs the packages of those `needs` that are not there, saying so.
///
/// # Errors
/// If apt-get is not there or fails.
pub fn install(needs: &[Need], progress: &Progress) -> Result<()> {
    let mut packages: Vec<&str> =
        needs.iter().filter(|(program, _)| find_program(program).is_none()).map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    install_packages(&packages, progress)
}

/// Installs those `packages` that are not there, saying so. A Go from elsewhere will do.
///
/// # Errors
/// If apt-get is not there or fails.
pub fn install_packages(packages: &[&str], progress: &Progress) -> Result<()> {
    let mut packages = packages.to_vec();
    packages.retain(|package| {
        let other = *package == "golang-go" && find_program("go").is_some();
        !other && !installed(package)
    });
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    ensure!(
        find_program("apt-get").is_some(),
        "The packages {list} are missing and cannot be installed because there is no apt-get; install them with this system's package manager."
    );
    let doing = format!("installing {list}");
    progress.during(doing, Some(Duration::from_secs(60)), |step| {
        let quiet = ServicesStayOff::new()?;
        let apt_get = |words: &[&str]| {
            let mut apt_get = command(&[&["apt-get", "-qq"], words].concat());
            output(apt_get.env("DEBIAN_FRONTEND", "noninteractive"))
        };
        let install = [&["install", "-y", "--no-install-recommends"], &packages[..]].concat();
        if apt_get(&install).is_err() {
            step.note("package lists are out of date");
            apt_get(&["update"])?;
            apt_get(&install)?;
        }
        drop(quiet);
        Ok(())
    })
}

fn installed(package: &str) -> bool {
    let query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package];
    output(&mut command(&query)).is_ok_and(|status| status == "installed")
}

/// Where a program is: on PATH or where Debian keeps those of root.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    if name.starts_with('/') {
        return Some(PathBuf::from(name)).filter(|path| path.exists());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    std::env::split_paths(&path).chain(usual.map(PathBuf::from)).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Packages start their services when they are installed, unless this file says no; the bed runs
/// its own containerd and etcd.
struct ServicesStayOff(Option<&'static Path>);

impl ServicesStayOff {
    fn new() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() {
            return Ok(Self(None));
        }
        fs::write(policy, "#!/bin/sh\nexit 101\n")?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
        Ok(Self(Some(policy)))
    }
}

impl Drop for ServicesStayOff {
    fn drop(&mut self) {
        if let Some(policy) = self.0 {
            // Nothing to be done in a destructor; the file only keeps services from starting.
            let _ = remove_file(policy);
        }
    }
}

/// Tries each kernel feature in namespaces that vanish with the try; prints what is missing.
const PROBE: &str = "
mount --make-rprivate / 2>/dev/null || { echo 'mount namespaces'; exit; }
mount -t proc proc /proc 2>/dev/null || echo 'PID namespaces'
ip link add br9 type bridge 2>/dev/null || echo 'network bridges (module bridge)'
ip link add v9 type veth peer name w9 2>/dev/null || echo 'virtual cables (module veth)'
iptables -w -t nat -A PREROUTING -p tcp -m comment --comment x -j DNAT --to-destination 10.0.0.1:1 2>/dev/null || echo 'iptables with NAT (modules ip_tables or nf_tables, nf_nat)'
iptables -w -A FORWARD -m conntrack --ctstate INVALID -m statistic --mode random --probability 0.5 -j DROP 2>/dev/null || echo 'iptables with conntrack and statistic'
sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || echo 'iptables on bridges (module br_netfilter)'
mount -t tmpfs tmpfs /mnt 2>/dev/null && mkdir /mnt/l /mnt/u /mnt/w /mnt/m && mount -t overlay overlay -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w /mnt/m 2>/dev/null || echo 'overlay file systems (module overlay)'
losetup -f >/dev/null 2>&1 || echo 'loop devices (module loop)'
";

/// # Errors
/// If the kernel lacks a feature; all of them are named.
fn require_kernel() -> Result<()> {
    if find_program("modprobe").is_some() {
        let modules = ["overlay", "br_netfilter", "veth", "loop", "ip_tables", "nf_nat", "xt_conntrack", "xt_statistic"];
        // What is built in is no module, and what is missing is found by the probe.
        let _ = output(command(&["modprobe", "-a"]).args(modules));
    }
    let alone = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh"];
    let missing = output_of_input(&mut command(&alone), PROBE).map_err(|cause| {
        anyhow!("The bed cannot run here because nobody may make namespaces in this kernel or container; use a virtual machine ({cause}).")
    })?;
    if !missing.is_empty() {
        let missing = missing.replace('\n', ", ");
        bail!(
            "The bed cannot run here because the kernel does not offer {missing}; load the modules or use a virtual machine with a distribution's kernel."
        );
    }
    Ok(())
}

const GIB: u64 = 1 << 30;

/// # Errors
/// If memory or disk are too small for a bed.
fn require_room(state: &Path) -> Result<()> {
    fs::create_dir_all(state)?;
    let available = memory("MemAvailable")?;
    ensure!(
        available >= 3 * GIB,
        "The machine is too busy for a bed because only {} MiB of memory are available; end something, 3 GiB are needed.",
        available >> 20
    );
    let disk = rustix::fs::statvfs(state)?;
    let free = disk.f_bavail * disk.f_frsize;
    ensure!(
        free >= 10 * GIB,
        "The disk is too full for a bed because only {} MiB are free in {}; free some, 10 GiB are needed.",
        free >> 20,
        state.display()
    );
    Ok(())
}

/// A field of /proc/meminfo in bytes.
///
/// # Errors
/// If the kernel does not tell it.
pub(crate) fn memory(field: &str) -> Result<u64> {
    let table = fs::read_to_string("/proc/meminfo")?;
    let line = table.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib: u64 = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("The size of a node is unknown because /proc/meminfo has no {field}."))?;
    Ok(kib << 10)
}

fn busy() -> Option<String> {
    let load: f64 = fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()?;
    let cores = std::thread::available_parallelism().ok()?.get();
    let cores_f64 = f64::from(u32::try_from(cores).ok()?);
    (load > 4.0 * cores_f64).then(|| {
        format!("The machine is busy ({load:.0} processes want its {cores} cores): everything takes longer than it says.")
    })
}

/// Three kubelets watch more files than the kernel's default of 128 instances allows.
const WATCHERS: &str = "/proc/sys/fs/inotify/max_user_instances";
const WATCHERS_NEEDED: u32 = 8192;

/// What a setting was before the first bed of this boot came up.
#[derive(Serialize, Deserialize)]
struct Before {
    boot: String,
    watchers: u32,
}

/// Raises the limit of file watchers for `bed`, until the last bed gives it back.
///
/// # Errors
/// If the setting cannot be changed or recorded.
pub(crate) fn raise_limits(bed: &Layout) -> Result<()> {
    let (record, users) = shared_places();
    fs::create_dir_all(&users)?;
    let watchers: u32 = fs::read_to_string(WATCHERS)?.trim().parse()?;
    let boot = boot_id();
    let known = read_record::<Before>(&record).is_some_and(|before| before.boot == boot);
    if !known {
        // Beds of an earlier boot hold nothing any more.
        fs::remove_dir_all(&users)?;
        fs::create_dir_all(&users)?;
        write_record(&record, &Before { boot, watchers })?;
    }
    fs::write(users.join(bed.name()), "")?;
    if watchers < WATCHERS_NEEDED {
        fs::write(WATCHERS, WATCHERS_NEEDED.to_string())
            .with_context(|| format!("{WATCHERS} cannot be raised to {WATCHERS_NEEDED}; the kubelets need it."))?;
    }
    Ok(())
}

/// Gives the limit back if `bed` was the last that needed it.
///
/// # Errors
/// If the setting cannot be changed.
pub(crate) fn restore_limits(bed: &Layout) -> Result<()> {
    let (record, users) = shared_places();
    remove_file(&users.join(bed.name()))?;
    if fs::read_dir(&users).is_ok_and(|mut left| left.next().is_some()) {
        return Ok(());
    }
    if let Some(before) = read_record::<Before>(&record)
        && before.boot == boot_id()
    {
        fs::write(WATCHERS, before.watchers.to_string())?;
    }
    remove_file(&record)?;
    for folder in [users.as_path(), &Path::new(STATE).join(".host")] {
        // It is not there if no bed was up.
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

fn shared_places() -> (PathBuf, PathBuf) {
    let shared = Path::new(STATE).join(".host");
    (shared.join("before.json"), shared.join("beds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_path_and_by_place() {
        assert!(find_program("sh").is_some());
        assert!(find_program("/bin/sh").is_some());
        assert!(find_program("no-such-program").is_none());
        assert!(find_program("/no/such/file").is_none());
    }

    #[test]
    fn the_machine_tells_its_memory() {
        let (total, available) = (memory("MemTotal").unwrap(), memory("MemAvailable").unwrap());
        assert!(available <= total && total > GIB / 4);
        assert!(memory("NoSuchField").is_err());
    }
}
