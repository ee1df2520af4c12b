//! What is different between two looks at one cluster, for people and logs. Positions and times change all the time and are
//! no change here.

use super::{FindingStatus, PodStatus, Status};

/// A sentence for each thing that is different; empty: nothing that matters.
#[must_use]
pub fn changes(before: &Status, after: &Status) -> Vec<String> {
    let mut told = Vec::new();
    match (&before.lost, &after.lost) {
        (None, Some(lost)) => return vec![format!("the API server is lost: {}", lost.message)],
        (Some(_), Some(_)) => return Vec::new(),
        (Some(lost), None) => {
            told.push(format!("the API server is back (it was lost at {})", lost.since.strftime("%H:%M:%S UTC")));
        }
        (None, None) => {}
    }
    if before.state != after.state {
        told.push(format!("{} → {}", before.state.name(), after.state.name()));
    }
    if before.replicas != after.replicas {
        told.push(format!("spec.replicas {} → {}", before.replicas, after.replicas));
    }
    let pod = |pods: &[PodStatus], name: &str| pods.iter().position(|pod| pod.name == name);
    for new in &after.pods {
        match pod(&before.pods, &new.name) {
            Some(old) => told.extend(pod_changes(&before.pods[old], new)),
            None => told.push(format!("{} is new: {}", new.name, new.state)),
        }
    }
    for old in before.pods.iter().filter(|old| pod(&after.pods, &old.name).is_none()) {
        told.push(format!("{} is gone", old.name));
    }
    let has = |findings: &[FindingStatus], one: &FindingStatus| {
        findings.iter().any(|other| other.code == one.code && other.pods == one.pods)
    };
    for new in after.findings.iter().filter(|new| !has(&before.findings, new)) {
        told.push(format!("+{} {}", new.code, new.summary));
    }
    for old in before.findings.iter().filter(|old| !has(&after.findings, old)) {
        let still = after.findings.iter().any(|new| new.code == old.code);
        told.extend((!still).then(|| format!("-{}", old.code)));
    }
    told
}

fn pod_changes(old: &PodStatus, new: &PodStatus) -> Vec<String> {
    let mut told = Vec::new();
    let name = &new.name;
    if old.state != new.state {
        told.push(format!("{name} {} → {}", old.state, new.state));
    }
    if old.role != new.role {
        let role = |pod: &PodStatus| pod.role.map_or("no role", |role| role.name());
        told.push(format!("{name} {} → {}", role(old), role(new)));
    }
    if old.ready != new.ready {
        told.push(format!("{name} is {}", if new.ready { "Ready" } else { "not Ready" }));
    }
    if let (Some(before), Some(after)) = (old.restarts, new.restarts)
        && after > before
    {
        told.push(format!("{name} was restarted ({after})"));
    }
    if let (Some(before), Some(after)) = (&old.node, &new.node)
        && before != after
    {
        told.push(format!("{name} moved from {before} to {after}"));
    }
    told
}
