//! Nodes under the cluster.

use std::collections::BTreeMap;

use crate::decide::finding::Finding;
use crate::decide::rules::kubernetes as rule;
use crate::decide::verdict::{Scene, Standing, list};
use crate::model::kubernetes::{Node, NodeReady};
use crate::model::names::Ordinal;

use super::before;

/// Nodes that are silent, gone or not ready: one finding per node, and the ordinals that it explains.
pub(super) fn nodes(scene: &Scene) -> (Vec<Finding>, Vec<Ordinal>) {
    let Ok(nodes) = scene.seen.objects.nodes.known() else { return (Vec::new(), Vec::new()) };
    let mut hosts: BTreeMap<&str, Vec<Ordinal>> = BTreeMap::new();
    for (ordinal, pod) in scene.pods() {
        if let Some(node) = &pod.node {
            hosts.entry(node).or_default().push(ordinal);
        }
    }
    let (mut found, mut explained) = (Vec::new(), Vec::new());
    for (name, ordinals) in hosts {
        let node = nodes.iter().find(|node| node.name == name);
        let pods: Vec<String> = ordinals.iter().map(|ordinal| scene.pod_name(*ordinal)).collect();
        let Some(finding) = node_finding(scene, name, node, &pods) else { continue };
        let is_bad = finding.rule != &rule::NODE_CORDONED;
        let mut finding = finding.kubectl(&format!("describe node {name}")).about(pods);
        for ordinal in ordinals.into_iter().filter(|_| is_bad) {
            let answer = match scene.standing(ordinal) {
                Standing::Up => "answers".to_owned(),
                Standing::Unseen(why) => why.to_string(),
                Standing::Quiet | Standing::Hung | Standing::Down => "takes no statements".to_owned(),
            };
            finding = finding.seen(format!("server of {}", scene.pod_name(ordinal)), answer);
            explained.push(ordinal);
        }
        found.push(finding);
    }
    (found, explained)
}

fn node_finding(scene: &Scene, name: &str, node: Option<&Node>, pods: &[String]) -> Option<Finding> {
    let pods = list(pods);
    let Some(node) = node else {
        return Some(
            Finding::new(&rule::NODE_GONE, format!("node {name}, on which {pods} ran, no longer exists"))
                .seen(format!("node/{name}"), "not found"),
        );
    };
    match &node.ready {
        NodeReady::Silent { since } => {
            let since = since.map_or_else(|| "a time unknown".to_owned(), |since| before(scene.seen.taken, since));
            Some(
                Finding::new(&rule::NODE_SILENT, format!("node {name} with {pods} has been silent for {since}"))
                    .seen(format!("condition Ready of node/{name}"), "Unknown"),
            )
        }
        NodeReady::No(message) => Some(
            Finding::new(&rule::NODE_NOT_READY, format!("node {name} with {pods} says that it is not ready"))
                .seen(format!("condition Ready of node/{name}"), format!("False: {message}")),
        ),
        NodeReady::Yes if node.cordoned => Some(
            Finding::new(&rule::NODE_CORDONED, format!("node {name} with {pods} is cordoned"))
                .seen(format!("spec.unschedulable of node/{name}"), true),
        ),
        NodeReady::Yes => None,
    }
}
