//! The nodes on which volumes lie that no pod mounts now: whether they are still there, and whether the volumes lie on them.

use std::collections::BTreeSet;

use crate::api::Api;
use crate::api::disruption::get_local_volumes;
use crate::model::fact::Fact;
use crate::model::kubernetes::{Claim, NodeReady};
use crate::model::snapshot::Snapshot;

use super::{Depth, extras, nodes_of};

/// Adds them to the nodes that were looked at. Without any nothing is asked.
pub async fn nodes_of_claims(api: &Api, seen: &mut Snapshot, depth: Depth) {
    missing_nodes(api, seen, depth).await;
    local_only(api, seen).await;
}

/// A claim remembers the node its first pod was placed on, also where the volume lies on none: a network volume outlives it.
/// Nobody may take such a volume for lost, so a node that is not well counts only with a volume that is proven to lie there.
async fn local_only(api: &Api, seen: &mut Snapshot) {
    let Fact::Known(nodes) = &seen.objects.nodes else { return };
    let well: BTreeSet<&str> = nodes
        .iter()
        .filter(|node| node.ready == NodeReady::Yes && !node.is_out_of_service())
        .map(|node| node.name.as_str())
        .collect();
    let is_doubtful = |claim: &Claim| claim.node.as_deref().is_some_and(|node| !well.contains(node));
    let Fact::Known(claims) = &seen.objects.claims else { return };
    let doubtful: BTreeSet<String> = claims.iter().filter(|claim| is_doubtful(claim)).map(|claim| claim.name.clone()).collect();
    if doubtful.is_empty() {
        return;
    }
    let volumes = claims.iter().filter(|claim| doubtful.contains(&claim.name)).filter_map(|claim| claim.volume.as_deref());
    let local = get_local_volumes(api, volumes).await;
    let lies = |claim: &Claim| local.known().is_ok_and(|local| local.iter().any(|one| Some(&one.name) == claim.volume.as_ref()));
    if let Fact::Known(claims) = &mut seen.objects.claims {
        for claim in claims.iter_mut().filter(|claim| doubtful.contains(&claim.name)) {
            if !lies(claim) {
                claim.node = None;
            }
        }
    }
}

async fn missing_nodes(api: &Api, seen: &mut Snapshot, depth: Depth) {
    let of_pods: BTreeSet<String> = nodes_of(seen).into_iter().collect();
    let claims = seen.objects.claims.known().into_iter().flatten();
    let names: BTreeSet<String> = claims.filter_map(|claim| claim.node.clone()).filter(|node| !of_pods.contains(node)).collect();
    if names.is_empty() {
        return;
    }
    match extras::nodes(api, names.into_iter().collect(), depth.pod_timeout).await {
        Fact::Known(found) => {
            if let Fact::Known(nodes) = &mut seen.objects.nodes {
                nodes.extend(found);
            }
        }
        // Whoever is not in the list would be taken for gone.
        Fact::Unknown(why) => seen.objects.nodes = Fact::Unknown(why),
    }
}
