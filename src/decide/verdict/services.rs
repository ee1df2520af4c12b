//! Where Services lead clients: to servers that serve them, or not.

use std::collections::BTreeMap;

use crate::decide::finding::Finding;
use crate::decide::rules::kubernetes as rule;
use crate::model::galera::Component;
use crate::model::names::Ordinal;
use crate::model::replica::IoThread;
use crate::model::wsrep::{ClusterStatus, LocalState};

use super::{Scene, list, verb};

/// Services that clients use, and their ready endpoints that are no good to them. Headless ones are for the members.
pub(super) fn findings(scene: &Scene) -> Vec<Finding> {
    let (Ok(services), Ok(slices)) = (scene.seen.objects.services.known(), scene.seen.objects.endpoint_slices.known()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for service in services.iter().filter(|service| !service.headless) {
        let ready: BTreeMap<Ordinal, &String> = slices
            .iter()
            .filter(|slice| slice.service == service.name)
            .flat_map(|slice| &slice.endpoints)
            .filter(|(_, ready)| **ready)
            .filter_map(|(pod, _)| Some((Ordinal::of_pod(&scene.seen.target.name, pod)?, pod)))
            .collect();
        let bad: Vec<(&String, String)> =
            ready.iter().filter_map(|(ordinal, pod)| Some((*pod, what_is_wrong(scene, *ordinal)?))).collect();
        let halves = in_halves(scene, &ready);
        if bad.is_empty() && halves.is_empty() {
            continue;
        }
        let names: Vec<&String> = bad.iter().map(|(pod, _)| *pod).collect();
        let summary = match bad.as_slice() {
            [] => format!("Service {} leads clients to both sides of a split brain", service.name),
            [(pod, wrong)] => format!("Service {} leads clients to {pod}, which {wrong}", service.name),
            _ => {
                let verb = verb(&names, "does", "do");
                format!("Service {} leads clients to {}, which {verb} not serve them as they should", service.name, list(&names))
            }
        };
        let pods: Vec<&String> = ready.values().copied().collect();
        let mut finding = Finding::new(&rule::SERVICE_TO_BAD_POD, summary)
            .seen(format!("ready endpoints of service/{}", service.name), list(&pods));
        for (pod, wrong) in &bad {
            finding = finding.seen(format!("server of {pod}"), wrong);
        }
        for half in halves {
            finding = finding.seen("primary component", half);
        }
        let slices = format!("get endpointslices -l kubernetes.io/service-name={}", service.name);
        found.push(finding.kubectl(&slices).about(names));
    }
    found
}

/// What a client of this server gets to feel. A donor serves, and a server that may be on its way is no fault.
fn what_is_wrong(scene: &Scene, ordinal: Ordinal) -> Option<String> {
    let Ok(server) = &scene.member(ordinal)?.server.known() else {
        return (scene.serves(ordinal) == Some(false)).then(|| "answers nothing".to_owned());
    };
    if let Some(galera) = &server.galera {
        let status = &galera.status;
        return match (&status.cluster_status, &status.local_state) {
            (ClusterStatus::NonPrimary, _) => Some("is non-Primary".to_owned()),
            (ClusterStatus::Disconnected | ClusterStatus::Other(_), _) => Some("has left the cluster".to_owned()),
            (ClusterStatus::Primary, LocalState::Synced | LocalState::DonorDesynced) if status.ready => None,
            (ClusterStatus::Primary, LocalState::Synced) => Some("accepts no statements".to_owned()),
            (ClusterStatus::Primary, _) => Some(format!("is {} and not Synced", status.state_comment)),
        };
    }
    let stopped = server.channels.iter().any(|channel| !channel.sql_running || channel.io == IoThread::No);
    stopped.then(|| "has stopped replicating".to_owned())
}

/// The members of each half of a split brain that this Service leads to; empty, if that is not both.
fn in_halves(scene: &Scene, ready: &BTreeMap<Ordinal, &String>) -> Vec<String> {
    let split = scene.groups.split_brain();
    let of = |component: &&Component| {
        let inside: Vec<&String> = component.ordinals.iter().filter_map(|ordinal| ready.get(ordinal).copied()).collect();
        (!inside.is_empty()).then(|| list(&inside))
    };
    let halves: Vec<String> = split.iter().filter_map(of).collect();
    if halves.len() > 1 { halves } else { Vec::new() }
}
