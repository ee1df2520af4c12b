//! Volumes and claims.

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::storage as rule;
use crate::model::kubernetes::{Claim, ContainerState, Mount, Pod, VolumeSource};
use crate::model::names::Ordinal;

use super::kubernetes::events;
use super::{Scene, list};

/// Used percent from which a volume is filling up, and from which it is as good as full.
const FILLING: u64 = 85;
const FULL: u64 = 95;

pub(super) fn findings(scene: &Scene) -> Vec<Finding> {
    let mut found: Vec<Finding> = scene.pods().filter_map(|(_, pod)| claim_problem(scene, pod)).collect();
    found.extend(scene.pods().filter_map(|(_, pod)| claim_deleted(scene, pod)));
    found.extend(space(scene, &rule::VOLUME_FULL, FULL..=u64::MAX));
    found.extend(space(scene, &rule::VOLUME_FILLING, FILLING..=FULL - 1));
    found.extend(empty_dir(scene));
    found.extend(flush(scene));
    found
}

/// Whether a claim is the reason why this pod does not run.
pub(super) fn blames_claim(scene: &Scene, pod: &Pod) -> bool {
    claim_problem(scene, pod).is_some()
}

/// A claim of this pod that is missing, lost, or without a volume although nothing else keeps the pod.
fn claim_problem(scene: &Scene, pod: &Pod) -> Option<Finding> {
    let claims = scene.seen.objects.claims.known().ok()?;
    pod.claims.iter().find_map(|name| {
        let claim = claims.iter().find(|claim| claim.name == *name);
        let (rule, summary): (&'static Rule, _) = match claim.map(|claim| claim.phase.as_str()) {
            None => (&rule::CLAIM_MISSING, format!("claim {name} of {} does not exist", pod.name)),
            Some("Lost") => (&rule::CLAIM_LOST, format!("claim {name} of {} has lost its volume", pod.name)),
            Some("Pending") if waits_for_claim(pod) => {
                (&rule::CLAIM_PENDING, format!("claim {name} gets no volume, and {} waits for it", pod.name))
            }
            Some(_) => return None,
        };
        let phase = claim.map_or("not found", |claim| claim.phase.as_str());
        let mut finding = Finding::new(rule, summary).seen(format!("status.phase of pvc/{name}"), phase);
        if let Some(class) = claim.and_then(|claim| claim.storage_class.as_ref()) {
            finding = finding.seen(format!("storage class of pvc/{name}"), class);
        }
        if let Some(reason) = &pod.unscheduled {
            finding = finding.seen(format!("condition PodScheduled of pod/{}", pod.name), reason);
        }
        let finding =
            events::tell(scene, finding, &format!("PersistentVolumeClaim/{name}"), &["ProvisioningFailed", "FailedBinding"]);
        Some(finding.kubectl(&format!("describe pvc {name}")).about([&pod.name]))
    })
}

/// Whether the pod's own words name its claims as what it waits for. A claim that waits for its first consumer is Pending
/// because the pod is not placed, not the other way round.
fn waits_for_claim(pod: &Pod) -> bool {
    pod.unscheduled.as_ref().is_some_and(|reason| {
        let reason = reason.to_lowercase();
        reason.contains("persistentvolumeclaim") || reason.contains("persistent volume")
    })
}

/// A claim that vanishes with its pod (safety B11).
fn claim_deleted(scene: &Scene, pod: &Pod) -> Option<Finding> {
    let claims = scene.seen.objects.claims.known().ok()?;
    let doomed: Vec<&Claim> =
        claims.iter().filter(|claim| pod.claims.contains(&claim.name) && claim.deletion.is_some()).collect();
    let (first, runs) = (doomed.first()?, pod.containers.iter().any(|c| matches!(c.state, ContainerState::Running { .. })));
    let under = if runs { "under the running" } else { "of" };
    let summary = format!("claim {} {under} {} is being deleted: its data goes with the pod", first.name, pod.name);
    let mut finding = Finding::new(&rule::CLAIM_DELETED, summary);
    for claim in &doomed {
        if let Some(at) = claim.deletion {
            finding = finding.seen(format!("metadata.deletionTimestamp of pvc/{}", claim.name), at);
        }
        if let Some(volume) = &claim.volume {
            finding = finding
                .seen(format!("volume of pvc/{}", claim.name), volume)
                .kubectl(&format!("patch pv {volume} -p {{\"spec\":{{\"persistentVolumeReclaimPolicy\":\"Retain\"}}}}"));
        }
    }
    Some(finding.about([&pod.name]))
}

/// Data volumes used to a percentage in this range.
fn space(scene: &Scene, rule: &'static Rule, range: std::ops::RangeInclusive<u64>) -> Option<Finding> {
    let full: Vec<(String, u64, String)> = scene
        .pods()
        .filter_map(|(ordinal, pod)| {
            let disk = scene.files(ordinal)?;
            let percent = disk.space.used_percent();
            let detail = format!("{percent} % used, {} MiB available", disk.space.available >> 20);
            range.contains(&percent).then(|| (pod.name.clone(), percent, detail))
        })
        .collect();
    let worst = full.iter().map(|(_, percent, _)| *percent).max()?;
    let names: Vec<&String> = full.iter().map(|(name, _, _)| name).collect();
    let summary = match names.as_slice() {
        [name] => format!("the data volume of {name} is {worst} % full"),
        _ => format!("the data volumes of {} are up to {worst} % full", list(&names)),
    };
    let mut finding = Finding::new(rule, summary);
    for (name, _, detail) in &full {
        finding = finding.seen(format!("data volume of {name}"), detail);
    }
    Some(finding.kubectl("get pvc").about(names))
}

/// A data directory on a volume that dies with the pod, or on no volume at all.
fn empty_dir(scene: &Scene) -> Option<Finding> {
    let layout = &scene.seen.objects.stateful_set.layout;
    let (ordinal, datadir) = scene.seen.members.keys().find_map(|ordinal| Some((*ordinal, &scene.files(*ordinal)?.datadir)))?;
    let holds = |mount: &&Mount| {
        datadir.strip_prefix(mount.path.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mount = layout.mounts.iter().filter(holds).max_by_key(|mount| mount.path.len());
    let place = match mount {
        Some(Mount { source: VolumeSource::EmptyDir, volume, .. }) => format!("volume {volume} (emptyDir)"),
        Some(_) => return None,
        None => "the container's own file system, which dies even with the container".to_owned(),
    };
    let all: Vec<String> = scene.pods().map(|(_, pod)| pod.name.clone()).collect();
    Some(
        Finding::new(&rule::ON_EMPTY_DIR, format!("the data directory {datadir} dies with its pod"))
            .seen(format!("mount of {datadir} in {}", scene.pod_name(ordinal)), place)
            .about(all),
    )
}

fn flush(scene: &Scene) -> Option<Finding> {
    let loose: Vec<(Ordinal, u32)> = scene
        .up()
        .filter(|(_, server)| server.flush_log_at_commit != 1)
        .map(|(ordinal, server)| (ordinal, server.flush_log_at_commit))
        .collect();
    let names: Vec<String> = loose.iter().map(|(ordinal, _)| scene.pod_name(*ordinal)).collect();
    let mut finding = Finding::new(&rule::FLUSH_NOT_ONE, format!("{} can lose acknowledged rows in a power cut", list(&names)));
    for (ordinal, value) in &loose {
        finding = finding.seen(format!("innodb_flush_log_at_trx_commit on {}", scene.pod_name(*ordinal)), value);
    }
    (!loose.is_empty()).then(|| finding.about(names))
}
