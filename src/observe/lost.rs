//! The nodes on which volumes lie that no pod mounts now: whether they are still there.

use std::collections::BTreeSet;

use crate::api::Api;
use crate::model::fact::Fact;
use crate::model::snapshot::Snapshot;

use super::{Depth, extras, nodes_of};

/// Adds them to the nodes that were looked at. Without any nothing is asked.
pub async fn nodes_of_claims(api: &Api, seen: &mut Snapshot, depth: Depth) {
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
