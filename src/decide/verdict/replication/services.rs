//! Replication: whether the Services meant for writers lead to the primary. Roles come from SQL; Services only say what
//! somebody meant them to be.

use std::collections::BTreeSet;

use crate::decide::finding::Finding;
use crate::decide::rules::replication as rule;
use crate::decide::verdict::{Scene, list};
use crate::model::kubernetes::Service;

use super::Roles;

/// Label of a pod with its own name, by which a Service can select one pod.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Words in a name or selector that mean the server that takes writes.
const WRITER_WORDS: [&str; 7] = ["primary", "master", "leader", "writer", "write", "writes", "rw"];

pub(super) fn findings(scene: &Scene, roles: &Roles) -> Vec<Finding> {
    let Some((primary, _)) = roles.primary_server(scene) else { return Vec::new() };
    let primary = scene.pod_name(primary);
    let (Ok(services), Ok(slices)) = (scene.seen.objects.services.known(), scene.seen.objects.endpoint_slices.known()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for service in services.iter().filter(|service| is_for_writers(scene, services, service)) {
        let ready: BTreeSet<&String> = slices
            .iter()
            .filter(|slice| slice.service == service.name)
            .flat_map(|slice| &slice.endpoints)
            .filter(|(_, ready)| **ready)
            .map(|(pod, _)| pod)
            .collect();
        let leads_elsewhere = ready.iter().any(|pod| **pod != primary);
        if leads_elsewhere {
            let pods: Vec<&String> = ready.into_iter().collect();
            let summary = format!("Service {} leads writers to {}; the primary is {primary}", service.name, list(&pods));
            let selector: Vec<String> = service.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
            found.push(
                Finding::new(&rule::SERVICE_ELSEWHERE, summary)
                    .seen(format!("selector of service/{}", service.name), selector.join(","))
                    .seen(format!("ready endpoints of service/{}", service.name), list(&pods))
                    .kubectl(&format!("get endpointslices -l kubernetes.io/service-name={}", service.name)),
            );
        }
    }
    found
}

/// By a word in its name or selector, or because it is the only Service that selects a single pod.
fn is_for_writers(scene: &Scene, services: &[Service], service: &Service) -> bool {
    let routes = |service: &&Service| !service.headless && service.selector.contains_key(POD_NAME);
    let is_only_route = routes(&service) && services.iter().filter(routes).count() == 1;
    // A word of the set's own name tells nothing.
    let own: BTreeSet<&str> = scene.seen.target.name.split(['-', '.', '_']).collect();
    let texts = std::iter::once(&service.name).chain(service.selector.values());
    let mut words = texts.flat_map(|text| text.split(['-', '.', '_'])).filter(|word| !own.contains(word));
    !service.headless && (is_only_route || words.any(|word| WRITER_WORDS.contains(&word.to_lowercase().as_str())))
}
