//! Dynamic volumes: the provisioner `bed.local/dir`, which runs beside the control plane.
//!
//! A claim gets a folder on the node that its pod was scheduled to; with the parameter `kind: ext4` or `kind: xfs` the folder is a
//! file system of the requested size, so that it can really be full. One of xfs can grow, where its class allows it.
//! `kubectl` watches and writes; an event that fails comes again with the next list, every minute.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bed::Bed;
use crate::command::{command, output, output_of_input};
use crate::node::init::VOLUMES;
use crate::process::remove_file;

const NAME: &str = "bed.local/dir";
const NODE: &str = "bed.local/node";
const KIND: &str = "bed.local/kind";

#[derive(Deserialize)]
struct Event<T> {
    #[serde(rename = "type")]
    kind: String,
    object: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    uid: String,
    resource_version: String,
    deletion_timestamp: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Claim {
    metadata: Metadata,
    spec: ClaimSpec,
    #[serde(default)]
    status: ClaimStatus,
}

#[derive(Default, Deserialize)]
struct ClaimStatus {
    #[serde(default)]
    capacity: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSpec {
    #[serde(default)]
    volume_name: String,
    #[serde(default)]
    storage_class_name: String,
    #[serde(default)]
    access_modes: Vec<String>,
    resources: Resources,
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    requests: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Class {
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    reclaim_policy: String,
}

#[derive(Deserialize)]
struct Volume {
    metadata: Metadata,
    spec: VolumeSpec,
    #[serde(default)]
    status: VolumeStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeSpec {
    persistent_volume_reclaim_policy: String,
}

#[derive(Default, Deserialize)]
struct VolumeStatus {
    #[serde(default)]
    phase: String,
}

/// Serves claims and released volumes of `bed` until it is killed.
pub fn run(bed: &Bed) {
    std::thread::scope(|scope| {
        scope.spawn(|| watch(bed, "persistentvolumes", released));
        watch(bed, "persistentvolumeclaims", claimed);
    });
}

/// Follows a resource for ever and hands each object to `serve`; what goes wrong is logged.
fn watch<T: DeserializeOwned>(bed: &Bed, resource: &str, serve: fn(&Bed, &T) -> Result<()>) {
    loop {
        if let Err(cause) = watch_once(bed, resource, serve) {
            eprintln!("{resource}: {cause:#}");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn watch_once<T: DeserializeOwned>(bed: &Bed, resource: &str, serve: fn(&Bed, &T) -> Result<()>) -> Result<()> {
    let mut child = bed
        .kubectl(&["get", resource, "--all-namespaces", "--watch", "--output-watch-events"])
        .args(["--output=json", "--request-timeout=60s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take().context("kubectl has no output")?;
    let events = serde_json::Deserializer::from_reader(stdout).into_iter::<Event<T>>();
    for event in events {
        let Ok(event) = event else { break };
        if event.kind == "DELETED" {
            continue;
        }
        if let Err(cause) = serve(bed, &event.object) {
            eprintln!("{resource}: {cause:#}");
        }
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}

fn claimed(bed: &Bed, claim: &Claim) -> Result<()> {
    let Metadata { name, namespace, uid, resource_version, deletion_timestamp, annotations } = &claim.metadata;
    let ours = annotations.get("volume.kubernetes.io/storage-provisioner");
    let node = annotations.get("volume.kubernetes.io/selected-node");
    let (Some(node), true) = (node, ours.is_some_and(|by| by == NAME)) else {
        return Ok(());
    };
    if deletion_timestamp.is_some() {
        return Ok(());
    }
    if !claim.spec.volume_name.is_empty() {
        return grown(bed, claim, node);
    }
    let class_name = &claim.spec.storage_class_name;
    let class = output(&mut bed.kubectl(&["get", "storageclass", class_name, "--output=json"]))?;
    let class: Class = serde_json::from_str(&class)?;
    let kind = class.parameters.get("kind").map_or("dir", String::as_str);
    let size = claim.spec.resources.requests.get("storage");
    let size = size.context("The claim asks for no size.")?;
    let volume = format!("pvc-{uid}");
    make(bed, node, &volume, kind, size).with_context(|| format!("The volume of {namespace}/{name} cannot be made on {node}"))?;
    let object = serde_json::json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume,
            "annotations": {"pv.kubernetes.io/provisioned-by": NAME, NODE: node, KIND: kind},
        },
        "spec": {
            "capacity": {"storage": size},
            "accessModes": claim.spec.access_modes,
            "persistentVolumeReclaimPolicy": class.reclaim_policy,
            "storageClassName": class_name,
            "volumeMode": "Filesystem",
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": namespace, "name": name, "uid": uid, "resourceVersion": resource_version,
            },
            "local": {"path": format!("/var/lib/{VOLUMES}/{volume}")},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]},
            ]}]}},
        },
    });
    match output_of_input(&mut bed.kubectl(&["create", "--filename=-"]), &object.to_string()) {
        Err(cause) if !cause.to_string().contains("AlreadyExists") => Err(cause),
        _ => {
            eprintln!("{namespace}/{name}: {size} of {kind} on {node}");
            Ok(())
        }
    }
}

/// Does what a resizer does for a claim that asks for more than it has: the file system first, which grows while it is mounted, then
/// the capacity of the volume and of the claim. Kubernetes takes a larger request only where the class allows it.
fn grown(bed: &Bed, claim: &Claim, node: &str) -> Result<()> {
    let (size, has) = (claim.spec.resources.requests.get("storage"), claim.status.capacity.get("storage"));
    let (Some(size), Some(has)) = (size, has) else { return Ok(()) };
    if bytes(size)? <= bytes(has)? {
        return Ok(());
    }
    let (volume, Metadata { name, namespace, .. }) = (&claim.spec.volume_name, &claim.metadata);
    let image = folder(bed, node, volume)?.with_extension("img");
    fs::OpenOptions::new().write(true).open(&image)?.set_len(bytes(size)?)?;
    let place = format!("/var/lib/{VOLUMES}/{volume}");
    let script = format!(
        "device=$(awk -v place={place} '$2 == place {{ print $1 }}' /proc/mounts); losetup -c $device && xfs_growfs {place}"
    );
    output(&mut bed.node_named(node)?.run(&["sh", "-c", &script])?)
        .with_context(|| format!("The volume of {namespace}/{name} does not grow on {node}"))?;
    let of_volume = serde_json::json!({"spec": {"capacity": {"storage": size}}}).to_string();
    output(&mut bed.kubectl(&["patch", "persistentvolume", volume, "--type=merge", "--patch", &of_volume]))?;
    let of_claim = serde_json::json!({"status": {"capacity": {"storage": size}}}).to_string();
    let claims = ["patch", "persistentvolumeclaim", name, "--namespace", namespace, "--subresource=status"];
    output(bed.kubectl(&claims).args(["--type=merge", "--patch", &of_claim]))?;
    eprintln!("{namespace}/{name}: grown from {has} to {size}");
    Ok(())
}

fn released(bed: &Bed, volume: &Volume) -> Result<()> {
    let annotations = &volume.metadata.annotations;
    let ours = annotations.get("pv.kubernetes.io/provisioned-by");
    let done_with = volume.status.phase == "Released"
        && volume.spec.persistent_volume_reclaim_policy == "Delete"
        && volume.metadata.deletion_timestamp.is_none();
    let (Some(node), true, true) = (annotations.get(NODE), done_with, ours.is_some_and(|by| by == NAME)) else {
        return Ok(());
    };
    let name = &volume.metadata.name;
    remove(bed, node, name).with_context(|| format!("The volume {name} cannot be removed from {node}"))?;
    output(&mut bed.kubectl(&["delete", "persistentvolume", name, "--wait=false"]))?;
    eprintln!("{name}: removed from {node}");
    Ok(())
}

/// The folder of a volume as the host sees it.
fn folder(bed: &Bed, node: &str, volume: &str) -> Result<PathBuf> {
    let node = bed.node_named(node)?;
    Ok(node.layout().var_lib().join(VOLUMES).join(volume))
}

fn make(bed: &Bed, node: &str, volume: &str, kind: &str, size: &str) -> Result<()> {
    let folder = folder(bed, node, volume)?;
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
    match kind {
        "dir" => Ok(()),
        "ext4" | "xfs" => {
            let image = folder.with_extension("img");
            if !image.exists() {
                let new = folder.with_extension("new");
                fs::File::create(&new)?.set_len(bytes(size)?)?;
                // A mounted ext4 grows only for CAP_SYS_RESOURCE, which containers of continuous integration often lack.
                let format: &[&str] = match kind {
                    "xfs" => &["mkfs.xfs", "-q"],
                    _ => &["mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,nodiscard"],
                };
                output(command(format).arg(&new))?;
                fs::rename(&new, &image)?;
            }
            let place = format!("/var/lib/{VOLUMES}/{volume}");
            let script = format!(
                "mountpoint -q {place} || mount -o loop {place}.img {place}; chmod 777 {place}; rmdir {place}/lost+found 2>/dev/null; mountpoint -q {place}"
            );
            output(&mut bed.node_named(node)?.run(&["sh", "-c", &script])?)?;
            Ok(())
        }
        other => bail!("There is no kind {other:?} of volume; use dir, ext4 or xfs."),
    }
}

fn remove(bed: &Bed, node: &str, volume: &str) -> Result<()> {
    let folder = folder(bed, node, volume)?;
    let node = bed.node_named(node)?;
    if node.pid().is_some() {
        let place = format!("/var/lib/{VOLUMES}/{volume}");
        let script = format!("! mountpoint -q {place} || umount {place}");
        output(&mut node.run(&["sh", "-c", &script])?)?;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    remove_file(&folder.with_extension("img"))
}

/// A Kubernetes quantity of bytes: `768Mi`, `1.5G`, `1000`.
fn bytes(quantity: &str) -> Result<u64> {
    let digits = quantity.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match &quantity[digits.len()..] {
        "" => 1,
        "k" => 1000,
        "M" => 1000_u64.pow(2),
        "G" => 1000_u64.pow(3),
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        other => bail!("The size {quantity} has the unknown unit {other:?}; use Ki, Mi, Gi, k, M or G."),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = 10_u64.pow(u32::try_from(part.len())?);
    let number: u64 = format!("{whole}{part}").parse().with_context(|| format!("{quantity:?} is no size."))?;
    Ok(number * factor / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        for (quantity, wanted) in [("768Mi", 768 << 20), ("1.5G", 1_500_000_000), ("1000", 1000), ("64Ki", 65536)] {
            assert_eq!(bytes(quantity).unwrap(), wanted, "{quantity}");
        }
        for bad in ["", "Mi", "1X", "-1", "1Ei"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_claim_is_read_from_what_kubectl_prints() {
        let event = r#"{"type": "ADDED", "object": {"kind": "PersistentVolumeClaim", "metadata": {"name": "data-g-0", "namespace": "demo", "uid": "u", "resourceVersion": "7", "annotations": {"volume.kubernetes.io/selected-node": "n1"}}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "bed-ext4"}, "status": {"phase": "Pending"}}}"#;
        let event: Event<Claim> = serde_json::from_str(event).unwrap();
        assert_eq!(event.object.spec.storage_class_name, "bed-ext4");
        assert_eq!(event.object.spec.volume_name, "");
    }
}
