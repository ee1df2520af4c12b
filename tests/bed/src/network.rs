//! The bed's network: one namespace with a bridge, one namespace per node behind a cable.
//!
//! ```text
//! bed     br0 10.77.0.1        API server, clients; nothing leads out of here
//!  ├ vn1 ═ eth0 10.77.0.11     bed-n1, its pods behind cni0 10.88.1.0/24
//!  └ vn2 ═ eth0 10.77.0.12     bed-n2, its pods behind cni0 10.88.2.0/24
//! ```

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::{command, output, output_of_input};
use crate::layout::{API_ADDRESS, Layout, MAX_NODES, NodeLayout};
use crate::process::{Process, all_pids, own_line, remove_file};

/// `statfs` type of a mounted namespace.
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// Makes the bed's namespace with its bridge and the routes to the pods of every node it may get.
///
/// # Errors
/// If the kernel or the rights do not allow it.
pub(crate) fn bed_up(bed: &Layout) -> Result<()> {
    if exists(&bed.network()) {
        return Ok(());
    }
    add(bed.name(), &bed.network())?;
    let mut lines = vec![
        String::from("link set lo up"),
        String::from("link add br0 type bridge"),
        format!("addr add {API_ADDRESS}/24 dev br0"),
        String::from("link set br0 up"),
        // A service that kube-proxy does not translate yet is refused here at once: whoever asks
        // too early asks again, instead of waiting half a minute for an answer.
        String::from("route add unreachable default"),
    ];
    for number in 1..=MAX_NODES {
        lines.push(route_to_pods(&bed.node(number)?));
    }
    let made = batch(bed.name(), &lines).and_then(|()| set(&bed.network(), &["net.ipv4.ip_forward=1"]));
    made.inspect_err(|_| delete(bed.name(), &bed.network())).context("The bed's network cannot be made")
}

/// Makes a node's namespace and its cable to the bridge.
///
/// # Errors
/// If the bed's namespace is not there.
pub(crate) fn node_up(node: &NodeLayout) -> Result<()> {
    let (bed, inside) = (node.bed.name(), node.network_name());
    add(&inside, &node.network())?;
    let cable = node.cable();
    batch(
        bed,
        &[format!("link add {cable} type veth peer name eth0 netns {inside}"), format!("link set {cable} master br0 up")],
    )?;
    let mut lines = vec![
        String::from("link set lo up"),
        format!("addr add {}/24 dev eth0", node.address()),
        String::from("link set eth0 up"),
        // A dead end: it only makes the services' addresses routable before they are translated.
        format!("route add default via {API_ADDRESS}"),
    ];
    for number in (1..=MAX_NODES).filter(|number| *number != node.number()) {
        lines.push(route_to_pods(&node.bed.node(number)?));
    }
    batch(&inside, &lines)?;
    let settings = ["net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.bridge.bridge-nf-call-iptables=1"];
    set(&node.network(), &settings)
}

/// Changes kernel settings of one network.
fn set(network: &Path, settings: &[&str]) -> Result<()> {
    let enter = format!("--net={}", network.display());
    output(command(&["nsenter", &enter, "sysctl", "-qw"]).args(settings))?;
    Ok(())
}

/// Removes a node's namespace and cable, whatever of them is there.
pub(crate) fn node_down(node: &NodeLayout) {
    let delete_cable = format!("link del {}", node.cable());
    // It is usually gone with the namespace of its other end.
    let _ = batch(node.bed.name(), &[delete_cable]);
    delete(&node.network_name(), &node.network());
}

/// Removes the bed's namespace and kills what still runs in it, except whoever asks.
///
/// # Errors
/// If a process does not end.
pub(crate) fn bed_down(bed: &Layout) -> Result<()> {
    for process in inhabitants(&bed.network()) {
        process.kill()?;
    }
    delete(bed.name(), &bed.network());
    Ok(())
}

/// Pulls or plugs a node's cable.
///
/// # Errors
/// If the node has no power.
pub(crate) fn set_cable(node: &NodeLayout, plugged: bool) -> Result<()> {
    let state = if plugged { "up" } else { "down" };
    let cable = node.cable();
    batch(node.bed.name(), &[format!("link set {cable} {state}")])
        .with_context(|| format!("The cable of node {} cannot be moved", node.name()))
}

/// Whether a namespace is there; after a reboot its name may be left without it.
pub(crate) fn exists(network: &Path) -> bool {
    rustix::fs::statfs(network).is_ok_and(|found| found.f_type == NSFS_MAGIC)
}

/// Moves the calling thread, and every thread and process it starts afterwards, into `network`.
///
/// # Errors
/// If the namespace is not there or the rights are missing.
pub(crate) fn enter(network: &Path) -> Result<()> {
    let file = fs::File::open(network).ok().with_context(|| {
        format!("The network {} cannot be entered because it is not there; start the bed with `cargo bed up`.", network.display())
    })?;
    use std::os::fd::AsFd;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("The network {} cannot be entered", network.display()))
}

/// The processes that live in `network`, without this one and those that started it.
pub(crate) fn inhabitants(network: &Path) -> Vec<Process> {
    if !exists(network) {
        return Vec::new();
    }
    let Ok(home) = fs::metadata(network) else {
        return Vec::new();
    };
    let own = own_line();
    let lives_there = |pid: &u32| {
        let net = fs::metadata(format!("/proc/{pid}/ns/net"));
        !own.contains(pid) && net.is_ok_and(|net| (net.dev(), net.ino()) == (home.dev(), home.ino()))
    };
    let pids = all_pids().into_iter().filter(lives_there);
    pids.filter_map(Process::of).collect()
}

fn route_to_pods(node: &NodeLayout) -> String {
    format!("route add {} via {}", node.pod_cidr(), node.address())
}

fn batch(network: &str, lines: &[String]) -> Result<()> {
    let script = lines.join("\n") + "\n";
    output_of_input(&mut command(&["ip", "-n", network, "-batch", "-"]), &script)?;
    Ok(())
}

fn add(name: &str, path: &Path) -> Result<()> {
    if path.exists() {
        delete(name, path);
    }
    output(&mut command(&["ip", "netns", "add", name]))?;
    Ok(())
}

fn delete(name: &str, path: &Path) {
    if !path.exists() {
        return;
    }
    if exists(path) {
        // What keeps it from going is said by the next `ip netns add`.
        let _ = output(&mut command(&["ip", "netns", "del", name]));
    } else {
        let _ = remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_file_is_no_namespace() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("bed");
        assert!(!exists(&left));
        fs::write(&left, "").unwrap();
        assert!(!exists(&left));
        assert!(exists(Path::new("/proc/self/ns/net")));
        delete("bed", &left);
        assert!(!left.exists());
    }
}
