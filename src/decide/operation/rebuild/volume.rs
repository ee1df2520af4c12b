//! The volume of the member: whether it can be reached, and its replacement where it is lost with its node.

use std::collections::BTreeMap;

use crate::decide::operation::memo::Rebuild;
use crate::decide::operation::plan::{Action, Refusal, Step};
use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::kubernetes::{Claim, NodeReady, OUT_OF_SERVICE};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::pod;

/// Claims by name, with the uid that is meant.
type Claims = BTreeMap<String, String>;

/// How a node stands.
enum Stand {
    /// Proven to be off for good (safety F1), and how.
    Lost(String),
    /// Its kubelet does not answer: it may be back in a minute, and its servers may run.
    Away,
    Here,
}

fn stand(seen: &Snapshot, name: &str) -> Result<Stand, Why> {
    let nodes = seen.objects.nodes.known().map_err(Clone::clone)?;
    let Some(node) = nodes.iter().find(|node| node.name == name) else {
        return Ok(Stand::Lost(format!("node {name}: it no longer exists")));
    };
    if node.is_out_of_service() {
        return Ok(Stand::Lost(format!("taint of node {name}: {OUT_OF_SERVICE}")));
    }
    Ok(if node.ready == NodeReady::Yes { Stand::Here } else { Stand::Away })
}

fn claims(seen: &Snapshot, ordinal: Ordinal) -> Result<Vec<&Claim>, Why> {
    let all = seen.objects.claims.known().map_err(Clone::clone)?;
    let names: Vec<String> = seen.objects.stateful_set.claims_of(ordinal).collect();
    Ok(all.iter().filter(|claim| names.contains(&claim.name)).collect())
}

/// The nodes on which the member lives: that of its pod, and those of its volumes.
fn nodes(seen: &Snapshot, ordinal: Ordinal) -> Result<Vec<String>, Why> {
    let own = pod(seen, ordinal).and_then(|pod| pod.node.clone());
    Ok(own.into_iter().chain(claims(seen, ordinal)?.into_iter().filter_map(|claim| claim.node.clone())).collect())
}

/// Without a new volume: whether the old one can be reached. There is nothing to replace then.
pub fn in_reach(seen: &Snapshot, ordinal: Ordinal) -> Result<Result<Claims, Refusal>, Why> {
    let name = seen.pod_name(ordinal);
    // Whoever may not read nodes learns it from the helper pod that finds no place.
    let nodes = if seen.objects.nodes.known().is_ok() { nodes(seen, ordinal)? } else { Vec::new() };
    for node in nodes {
        match stand(seen, &node)? {
            Stand::Here => {}
            Stand::Lost(proof) if !claims(seen, ordinal)?.iter().any(|claim| claim.node.as_ref() == Some(&node)) => {
                let summary = format!(
                    "the pod {name} is still bound to its node {node}, which is gone; its volume is not known to lie there"
                );
                let refusal = Refusal::new(&rules::NODE_AWAY, summary).because([proof]);
                return Ok(Err(refusal.kubectl(&format!("describe pod {name}"))));
            }
            Stand::Lost(proof) => {
                let summary = format!("the volume of {name} is lost with its node {node}: only a new one can take a copy");
                let refusal = Refusal::new(&rules::NODE_AWAY, summary).because([proof]);
                return Ok(Err(refusal.plugin(&format!("rebuild {name} --new-volume"))));
            }
            Stand::Away => return Ok(Err(away(&name, &node))),
        }
    }
    Ok(Ok(Claims::new()))
}

/// With a new volume: the claims that are lost with their node, by uid.
pub fn lost(seen: &Snapshot, ordinal: Ordinal) -> Result<Result<Claims, Refusal>, Why> {
    let name = seen.pod_name(ordinal);
    let mut lost = Claims::new();
    for claim in claims(seen, ordinal)? {
        let Some(node) = &claim.node else { continue };
        match stand(seen, node)? {
            Stand::Here => {}
            Stand::Away => return Ok(Err(away(&name, node))),
            Stand::Lost(_) if claim.provisioner.is_none() => {
                let class = claim.storage_class.as_deref().unwrap_or("its class");
                let summary = format!("nothing makes a new volume for {}: {class} has no provisioner", claim.name);
                return Ok(Err(Refusal::new(&rules::VOLUME_STAYS, summary)
                    .because([format!("annotation volume.kubernetes.io/storage-provisioner of claim {}: none", claim.name)])
                    .kubectl(&format!("get pvc {} -o yaml", claim.name))));
            }
            Stand::Lost(_) => {
                lost.insert(claim.name.clone(), claim.uid.clone());
            }
        }
    }
    if let Some(node) = pod(seen, ordinal).and_then(|pod| pod.node.as_deref())
        && let Stand::Here = stand(seen, node)?
    {
        lost.clear();
    }
    if lost.is_empty() {
        let summary = format!("no volume of {name} is lost with its node; in its own volume it takes a copy as well");
        let told = claims(seen, ordinal)?.into_iter().map(|claim| {
            let node = claim.node.as_deref().unwrap_or("none that its volume is known to lie on");
            format!("node of claim {}: {node}", claim.name)
        });
        let told: Vec<String> = told.collect();
        let refusal = Refusal::new(&rules::VOLUME_STAYS, summary).because(told);
        return Ok(Err(refusal.plugin(&format!("rebuild {name}"))));
    }
    Ok(Ok(lost))
}

fn away(name: &str, node: &str) -> Refusal {
    let summary = format!("the node {node}, where the data of {name} lies, does not answer; that does not prove that it is lost");
    Refusal::new(&rules::NODE_AWAY, summary)
        .because([format!("node {node}: not ready")])
        .kubectl(&format!("describe node {node}"))
        .kubectl(&format!("taint node {node} {OUT_OF_SERVICE}=nodeshutdown:NoExecute"))
}

/// The steps that put new claims into the place of the lost ones. Kubernetes keeps a claim as long as a pod on a node uses it;
/// the set makes a new one together with the next pod.
pub fn replace(seen: &Snapshot, rebuild: &Rebuild) -> Result<Vec<Step>, Why> {
    let claims = claims(seen, rebuild.ordinal)?;
    let open = claims.iter().filter(|claim| rebuild.claims.get(&claim.name) == Some(&claim.uid) && claim.deletion.is_none());
    Ok(open
        .map(|claim| {
            let say = format!("delete the claim {} of the lost volume: the set makes a new one with the next pod", claim.name);
            let act = Action::DeleteClaim { name: claim.name.clone(), uid: claim.uid.clone() };
            Step::new(format!("replace {}", claim.name), say, act).without_return()
        })
        .collect())
}

/// The node of a claim that is about to be deleted lives again: its data is not lost.
pub fn came_back(seen: &Snapshot, rebuild: &Rebuild) -> Result<Option<Refusal>, Why> {
    for claim in claims(seen, rebuild.ordinal)?.into_iter().filter(|claim| claim.deletion.is_none()) {
        if rebuild.claims.get(&claim.name) == Some(&claim.uid)
            && let Some(node) = &claim.node
            && !matches!(stand(seen, node)?, Stand::Lost(_))
        {
            let name = seen.pod_name(rebuild.ordinal);
            let summary = format!("the node {node} is there again, and with it the volume of {name}");
            return Ok(Some(Refusal::new(&rules::VOLUME_STAYS, summary).plugin(&format!("rebuild {name}"))));
        }
    }
    Ok(None)
}

/// Whether every lost claim has another one in its place.
pub fn is_new(seen: &Snapshot, rebuild: &Rebuild) -> Result<(), String> {
    if rebuild.claims.is_empty() {
        return Ok(());
    }
    let now = claims(seen, rebuild.ordinal).map_err(|why| why.to_string())?;
    match rebuild.claims.iter().find(|(name, uid)| !now.iter().any(|claim| claim.name == **name && claim.uid != **uid)) {
        Some((name, _)) => Err(format!("there is no new claim {name} yet")),
        None => Ok(()),
    }
}

pub fn notes(seen: &Snapshot, rebuild: &Rebuild) -> Option<String> {
    let claims = seen.objects.claims.known().ok()?;
    let old: Vec<&str> = claims
        .iter()
        .filter(|claim| rebuild.claims.get(&claim.name) == Some(&claim.uid))
        .filter_map(|claim| claim.volume.as_deref())
        .collect();
    (!old.is_empty()).then(|| {
        format!(
            "What becomes of the old volume {} its reclaim policy says: with Retain it stays, and can be read if the node comes back.",
            old.join(", ")
        )
    })
}
