//! The nodes' control groups, in every hierarchy of cgroup v1 or in the one of v2.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::wait_until;

const ROOT: &str = "/sys/fs/cgroup";

/// Makes `group` (relative to the root) in every hierarchy, with every controller handed down.
///
/// # Errors
/// If there are no hierarchies or the rights are missing.
pub(crate) fn make(group: &Path) -> Result<()> {
    let hierarchies = hierarchies(Path::new(ROOT));
    if hierarchies.is_empty() {
        bail!(
            "The nodes cannot be confined because {ROOT} holds no cgroup hierarchy; mount cgroup2 (or the v1 controllers) there."
        );
    }
    for hierarchy in hierarchies {
        make_in(&hierarchy, group).with_context(|| format!("The cgroup {} cannot be made", hierarchy.join(group).display()))?;
    }
    Ok(())
}

/// Removes `group` and everything below it; its processes must have ended.
///
/// # Errors
/// If something is left after five seconds: an ended process leaves its group a little later.
pub(crate) fn remove(group: &Path) -> Result<()> {
    let places: Vec<PathBuf> = hierarchies(Path::new(ROOT)).iter().map(|hierarchy| hierarchy.join(group)).collect();
    let gone = wait_until(Duration::from_secs(5), || {
        places.iter().for_each(|place| remove_below(place));
        !places.iter().any(|place| place.exists())
    });
    if !gone {
        bail!(
            "The cgroup {} cannot be removed because something still runs in it; look into its cgroup.procs files.",
            group.display()
        );
    }
    Ok(())
}

/// Removes `group` where nothing is below it.
pub(crate) fn remove_if_empty(group: Option<&Path>) {
    for hierarchy in hierarchies(Path::new(ROOT)) {
        if let Some(group) = group {
            // It stays while it holds the group of another bed.
            let _ = fs::remove_dir(hierarchy.join(group));
        }
    }
}

/// The processes in every control group below `group` whose path contains `part`.
pub(crate) fn processes(group: &Path, part: &str) -> Vec<u32> {
    let hierarchies = hierarchies(Path::new(ROOT));
    // Any hierarchy that the container runtime uses knows them all; pids is one of v1's.
    let hierarchy = hierarchies.iter().find(|h| h.ends_with("pids"));
    let mut found = Vec::new();
    if let Some(hierarchy) = hierarchy.or(hierarchies.first()) {
        collect(&hierarchy.join(group), part, &mut found);
    }
    found
}

fn collect(folder: &Path, part: &str, found: &mut Vec<u32>) {
    if folder.to_string_lossy().contains(part) {
        let procs = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        found.extend(procs.lines().filter_map(|line| line.parse::<u32>().ok()));
    }
    subfolders(folder).iter().for_each(|below| collect(below, part, found));
}

/// One folder for v2; one per mounted controller for v1.
fn hierarchies(root: &Path) -> Vec<PathBuf> {
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    let mut all = subfolders(root);
    all.retain(|folder| folder.join("cgroup.procs").exists());
    all
}

fn make_in(hierarchy: &Path, group: &Path) -> Result<()> {
    let unified = hierarchy.join("cgroup.controllers").exists();
    let mut place = hierarchy.to_owned();
    for part in group {
        if unified {
            hand_down(&place)?;
        }
        let parent = place.clone();
        place.push(part);
        fs::create_dir_all(&place)?;
        // A v1 cpuset begins empty and then takes no process.
        for list in ["cpuset.cpus", "cpuset.mems"] {
            if !unified && place.join(list).exists() {
                fs::write(place.join(list), fs::read(parent.join(list))?)?;
            }
        }
    }
    if unified {
        hand_down(&place)?;
    }
    Ok(())
}

/// Lets the groups below `place` use its controllers (cgroup v2).
fn hand_down(place: &Path) -> Result<()> {
    let controllers = fs::read_to_string(place.join("cgroup.controllers"))?;
    let wanted = ["cpu", "cpuset", "memory", "pids", "io", "hugetlb"];
    for controller in controllers.split_whitespace().filter(|c| wanted.contains(c)) {
        fs::write(place.join("cgroup.subtree_control"), format!("+{controller}"))?;
    }
    Ok(())
}

fn remove_below(place: &Path) {
    subfolders(place).iter().for_each(|below| remove_below(below));
    // A group that still holds an ending process is tried again by `remove`.
    let _ = fs::remove_dir(place);
}

fn subfolders(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_has_a_hierarchy_per_controller_and_v2_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for controller in ["pids", "memory"] {
            fs::create_dir(root.join(controller)).unwrap();
            fs::write(root.join(controller).join("cgroup.procs"), "").unwrap();
        }
        fs::create_dir(root.join("not-mounted")).unwrap();
        assert_eq!(hierarchies(root).len(), 2);
        fs::write(root.join("cgroup.controllers"), "cpu").unwrap();
        assert_eq!(hierarchies(root), [root.to_owned()]);
    }

    #[test]
    fn a_cpuset_inherits_what_its_parent_has() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("cpuset.cpus"), "0-1\n").unwrap();
        let child = root.join("a");
        fs::create_dir(&child).unwrap();
        fs::write(child.join("cpuset.cpus"), "").unwrap();
        make_in(root, Path::new("a/b")).unwrap();
        assert_eq!(fs::read(child.join("cpuset.cpus")).unwrap(), b"0-1\n");
        assert!(child.join("b").is_dir());
    }

    #[test]
    fn processes_are_found_by_a_part_of_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let pod = folder.path().join("kubepods/burstable/pod-1/container");
        fs::create_dir_all(&pod).unwrap();
        fs::write(pod.join("cgroup.procs"), "12\n34\n").unwrap();
        let mut found = Vec::new();
        collect(folder.path(), "pod-1", &mut found);
        assert_eq!(found, [12, 34]);
        found.clear();
        collect(folder.path(), "pod-2", &mut found);
        assert!(found.is_empty());
    }
}
