//! mariadb-operator: what stops it, what it has left behind, what its version does wrong.

use crate::decide::finding::Finding;
use crate::decide::rules::managers as rule;
use crate::decide::verdict::{Scene, list, verb};
use crate::model::fact::Fact;
use crate::model::kubernetes::{Claim, UpdateStrategy};
use crate::model::names::Ordinal;
use crate::model::operator::{Condition, Mode, OperatorVersion};

use super::{Eye, certificates};

/// Seconds after which a step that fails is no flicker.
const FLICKER: i64 = 60;
/// Seconds after which a rollout should have replaced a pod.
const ROLLOUT: i64 = 600;
/// Seconds after which a scale-out of a small set should be over.
const SCALE_OUT: i64 = 300;
/// The first version whose recovery compares positions, and whose switchover is repaired.
const REPAIRED: OperatorVersion = OperatorVersion::new(26, 10, 0);

pub(super) fn findings(eye: &Eye) -> Vec<Finding> {
    let found = [
        suspended(eye),
        failing(eye),
        blocked(eye),
        scaling_out(eye),
        force(eye),
        recovering(eye),
        updating(eye),
        replicas(eye),
        deleted(eye),
        not_owned(eye),
        starts_writable(eye),
        old_version(eye),
        certificates::of_operator(eye),
    ];
    found.into_iter().flatten().collect()
}

fn suspended(eye: &Eye) -> Option<Finding> {
    eye.view.spec.suspended.then(|| {
        let finding = Finding::new(&rule::SUSPENDED, "the operator is suspended: no failover, no recovery, no changes");
        let finding = finding.seen(format!("spec.suspend of {}", eye.object()), true);
        eye.with(finding, "Ready").kubectl(&eye.describe())
    })
}

/// Ready is False because a step failed.
fn failing(eye: &Eye) -> Option<Finding> {
    let ready = eye.view.status.condition("Ready").filter(|ready| ready.holds == Some(false) && ready.reason == "Failed")?;
    let finding = if ready.message.contains("Error reconciling Spec") {
        Finding::new(&rule::STOPPED, "the operator has stopped: it cannot reconcile its own object")
    } else if eye.age(ready).is_some_and(|age| age >= FLICKER) {
        Finding::new(&rule::STEP_FAILS, format!("the operator fails at a step: {}", ready.message))
    } else {
        return None;
    };
    let finding = eye.with(finding, "Ready").seen(format!("spec.replicas of {}", eye.object()), eye.view.spec.replicas);
    Some(finding.kubectl(&eye.describe()))
}

fn blocked(eye: &Eye) -> Option<Finding> {
    let is_error = |condition: &&Condition| condition.holds == Some(false) && condition.reason.ends_with("Error");
    // Ready repeats what another condition says.
    let condition = eye.view.status.conditions.iter().filter(is_error).max_by_key(|condition| condition.name != "Ready")?;
    let finding = Finding::new(&rule::BLOCKED, format!("the operator is blocked: {}", condition.message));
    Some(eye.with(finding, &condition.name).kubectl(&eye.describe()))
}

/// New replicas that do not come.
fn scaling_out(eye: &Eye) -> Option<Finding> {
    let scaled =
        eye.view.status.condition("ScaledOut").filter(|scaled| scaled.holds == Some(false) && scaled.reason == "ScalingOut")?;
    if eye.age(scaled).is_none_or(|age| age < SCALE_OUT) {
        return None;
    }
    let finding = Finding::new(&rule::SCALE_OUT_HANGS, "the operator's scale-out does not go on");
    let mut finding = eye.with(finding, "ScaledOut").seen(format!("spec.replicas of {}", eye.object()), eye.view.spec.replicas);
    let claims = eye.scene.seen.objects.claims.known().map_or(&[][..], Vec::as_slice);
    if let Some(claim) = claims.iter().find(|claim| claim.name.ends_with("-pb-scaleout")) {
        finding = finding.seen(format!("status.phase of pvc/{}", claim.name), &claim.phase);
    }
    Some(finding.kubectl(&eye.describe()))
}

fn force(eye: &Eye) -> Option<Finding> {
    let pod = eye.view.spec.force_bootstrap_in.as_ref()?;
    let finding = if eye.view.status.denies("GaleraReady") {
        Finding::new(&rule::FORCE_WAITS, format!("the operator bootstraps from {pod}, whatever the other pods hold"))
    } else {
        Finding::new(
            &rule::FORCE_LEFT,
            format!("a forced bootstrap from {pod} is left: after the next crash it loses newer rows"),
        )
    };
    let finding = finding.seen(format!("spec.galera.recovery.forceClusterBootstrapInPod of {}", eye.object()), pod);
    let remove = r#"{"spec":{"galera":{"recovery":{"forceClusterBootstrapInPod":null}}}}"#;
    let patch = format!("patch mariadbs.{} {} --type=merge -p {remove}", eye.operator.group.name(), eye.operator.name);
    Some(eye.with(finding, "GaleraReady").kubectl(&patch).about([pod]))
}

fn recovering(eye: &Eye) -> Option<Finding> {
    if !eye.view.status.denies("GaleraReady") {
        return None;
    }
    let recovery = eye.view.status.recovery.as_ref();
    let phase = match recovery {
        None => "it has read no state file yet".to_owned(),
        Some(recovery) => match (&recovery.bootstrap_pod, recovery.pods_restarted) {
            (Some(pod), true) => format!("{pod} was bootstrapped and the others restarted: it waits until all are Ready"),
            (Some(pod), false) => format!("it bootstraps {pod} and restarts the others"),
            (None, _) => format!(
                "it has read {} state files and recovered {} positions, of {} pods",
                recovery.states.len(),
                recovery.recovered.len(),
                eye.view.spec.replicas
            ),
        },
    };
    let finding = Finding::new(&rule::RECOVERING, format!("the operator is recovering the cluster: {phase}"));
    let mut finding = eye.with(finding, "GaleraReady");
    for (pod, state) in recovery.into_iter().flat_map(|recovery| &recovery.states) {
        let safe = u8::from(state.safe_to_bootstrap);
        finding = finding
            .seen(format!("state of {pod} as the operator read it"), format!("{}, safe_to_bootstrap {safe}", state.position));
    }
    for (pod, position) in recovery.into_iter().flat_map(|recovery| &recovery.recovered) {
        finding = finding.seen(format!("position of {pod} as the operator recovered it"), position);
    }
    Some(finding.kubectl(&eye.describe()))
}

/// A rollout that the operator has not finished, or is not to finish.
fn updating(eye: &Eye) -> Option<Finding> {
    let updated = eye.view.status.condition("Updated").filter(|updated| updated.holds == Some(false))?;
    let set = &eye.scene.seen.objects.stateful_set;
    let strategy = eye.view.spec.update_strategy.as_deref().unwrap_or("ReplicasFirstPrimaryLast");
    let held = match strategy {
        "OnDelete" => true,
        "RollingUpdate" => matches!(set.update_strategy, UpdateStrategy::RollingUpdate { partition: 1.. }),
        _ => false,
    };
    let finding = if held {
        Finding::new(
            &rule::UPDATE_PAUSED,
            "a rollout is held half way: meanwhile the operator makes no backups and rebuilds no replica",
        )
    } else if strategy == "ReplicasFirstPrimaryLast" && eye.age(updated).is_some_and(|age| age > ROLLOUT) {
        Finding::new(&rule::ROLLOUT_STUCK, "the operator's rollout does not go on")
    } else {
        return None;
    };
    let finding = finding.seen(format!("spec.updateStrategy.type of {}", eye.object()), strategy);
    let mut finding = eye.with(eye.with(finding, "Updated"), "Ready");
    if let UpdateStrategy::RollingUpdate { partition } = set.update_strategy {
        finding = finding.seen(format!("partition of statefulset/{}", set.name), partition);
    }
    Some(finding.kubectl(&eye.describe()))
}

fn replicas(eye: &Eye) -> Option<Finding> {
    let (told, set) = (eye.view.spec.replicas, &eye.scene.seen.objects.stateful_set);
    if told == set.replicas || eye.view.status.denies("ScaledOut") {
        return None;
    }
    let summary = format!("the operator was told {told} replicas, and the set has {}", set.replicas);
    let finding = Finding::new(&rule::REPLICAS_DIFFER, summary)
        .seen(format!("spec.replicas of {}", eye.object()), told)
        .seen(format!("spec.replicas of statefulset/{}", set.name), set.replicas);
    let finding = match eye.view.spec.update_strategy.as_deref() {
        Some("Never") => finding.seen(format!("spec.updateStrategy.type of {}", eye.object()), "Never"),
        _ => finding,
    };
    Some(eye.with(finding, "Ready").kubectl(&eye.describe()))
}

fn deleted(eye: &Eye) -> Option<Finding> {
    let at = eye.view.deletion?;
    let finding = Finding::new(&rule::DELETED, format!("MariaDB {} is being deleted", eye.view.name));
    Some(finding.seen(format!("metadata.deletionTimestamp of {}", eye.object()), at).kubectl(&eye.describe()))
}

fn not_owned(eye: &Eye) -> Option<Finding> {
    let set = &eye.scene.seen.objects.stateful_set;
    if eye.operator.owns {
        return None;
    }
    let owner =
        set.owner.as_ref().map_or_else(|| "nobody".to_owned(), |owner| format!("{}/{} {}", owner.kind, owner.name, owner.uid));
    let summary = format!("MariaDB {} exists and does not own the StatefulSet of its name", eye.view.name);
    let finding = Finding::new(&rule::NOT_OWNED, summary)
        .seen(format!("owner of statefulset/{}", set.name), owner)
        .seen(format!("uid of {}", eye.object()), &eye.view.uid);
    Some(finding.kubectl(&eye.describe()))
}

/// What MDB343 and MDB345 would say of every replica of an operator at work.
fn starts_writable(eye: &Eye) -> Option<Finding> {
    let replicas = eye.scene.up().filter(|(_, server)| !server.channels.is_empty());
    let starts = |ordinal: Ordinal| eye.scene.files(ordinal).and_then(|disk| disk.starts_read_only);
    let names = eye.scene.names(replicas.filter(|(ordinal, _)| starts(*ordinal) == Some(false)).map(|(ordinal, _)| ordinal));
    if names.is_empty() || !eye.scene.is_kept_by_operator() {
        return None;
    }
    let summary = format!(
        "{} {} writable at {} start until the operator has been there",
        list(&names),
        verb(&names, "is", "are"),
        verb(&names, "its", "their")
    );
    Some(Finding::new(&rule::STARTS_WRITABLE, summary).seen("read_only by the start options", "OFF").about(names))
}

fn old_version(eye: &Eye) -> Option<Finding> {
    let (version, source, image) = at_work(eye)?;
    if version >= REPAIRED {
        return None;
    }
    let (rule, summary) = match eye.view.spec.mode {
        Mode::Galera => (&rule::RECOVERY_CHOICE, format!("the Galera recovery of operator {version} may choose the wrong pod")),
        Mode::Replication => (&rule::SWITCHOVER_BUGS, format!("the switchover of operator {version} has known bugs")),
        Mode::Standalone => return None,
    };
    Some(Finding::new(rule, summary).seen(source, image))
}

/// The version of the operator, where it was seen, and the image that tells it. Recovery and switchover are work of the operator
/// itself, which may be newer than its agents in the pods.
fn at_work<'a>(eye: &Eye<'a>) -> Option<(OperatorVersion, String, &'a str)> {
    if let (Fact::Known(version), Ok([first, ..])) = (eye.operator.version(), eye.operator.deployments.known().map(Vec::as_slice))
    {
        return Some((version, format!("image of deployment/{} in {}", first.name, first.namespace), &first.image));
    }
    let image = eye.view.spec.data_plane_image.as_deref()?;
    Some((eye.view.data_plane()?, "image of the operator's agent in the pods".to_owned(), image))
}

/// Claims that scale-ins and scale-outs have left.
pub(super) fn claims(scene: &Scene) -> Vec<Finding> {
    let (Ok(claims), set) = (scene.seen.objects.claims.known(), &scene.seen.objects.stateful_set) else { return Vec::new() };
    let busy = scene
        .seen
        .objects
        .manager
        .view()
        .is_some_and(|view| view.status.denies("ScaledOut") || view.status.denies("ReplicaRecovered"));
    let temporary = |claim: &&Claim| ["pb-scaleout", "pb-recovery"].iter().any(|end| claim.name == format!("{}-{end}", set.name));
    let mut found = Vec::new();
    for claim in claims.iter().filter(temporary).filter(|_| !busy) {
        found.push(
            Finding::new(&rule::LEFT_CLAIM, format!("claim {} is left of an earlier scale-out or rebuild", claim.name))
                .seen(format!("status.phase of pvc/{}", claim.name), &claim.phase)
                .kubectl(&format!("describe pvc {}", claim.name)),
        );
    }
    let beyond: Vec<&Claim> = claims
        .iter()
        .filter(|claim| set.ordinal_of_claim(&claim.name).is_some_and(|ordinal| ordinal.0 >= set.start + set.replicas))
        .collect();
    if let Some(first) = beyond.first().filter(|_| set.replicas > 0 && !busy) {
        let names: Vec<&String> = beyond.iter().map(|claim| &claim.name).collect();
        let summary =
            format!("{} {} left of {}", list(&names), verb(&names, "is", "are"), verb(&names, "a removed pod", "removed pods"));
        let finding = Finding::new(&rule::OLD_CLAIMS, summary).seen("spec.replicas", set.replicas);
        found.push(finding.seen(format!("status.phase of pvc/{}", first.name), &first.phase));
    }
    found
}
