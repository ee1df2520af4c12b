//! Who is the primary, by the operator, by labels and Services, and by SQL.

use crate::decide::finding::Finding;
use crate::decide::rules::managers as rule;
use crate::decide::verdict::{Scene, list, verb};
use crate::model::kubernetes::{LabelledRole, RoleLabel};
use crate::model::names::Ordinal;
use crate::model::operator::Mode;
use crate::model::topology::{Primary, Topology};

use super::Eye;

/// Seconds after which a switchover should be over: with default settings it takes 10 s.
const SWITCHOVER: i64 = 60;

pub(super) fn findings(eye: &Eye) -> Vec<Finding> {
    let found = [switching(eye), wanted(eye), differs(eye), not_serving(eye), service(eye), galera_labels(eye)];
    found.into_iter().flatten().collect()
}

/// The primary of the replicas by SQL.
fn by_sql(scene: &Scene) -> Option<Ordinal> {
    match &scene.topology {
        Topology::Replication { primary: Primary::Pod(primary) } => Some(*primary),
        _ => None,
    }
}

/// Labels of pods that answered, against what they are by SQL. In Galera every member takes writes, and a label only says
/// whom somebody prefers.
pub(super) fn labels(scene: &Scene) -> Option<Finding> {
    let primary = by_sql(scene)?;
    let wrong: Vec<(Ordinal, &RoleLabel)> = scene
        .up()
        .filter_map(|(ordinal, _)| Some((ordinal, scene.pod(ordinal)?.role.as_ref()?)))
        .filter(|(ordinal, label)| (label.role == LabelledRole::Primary) != (*ordinal == primary))
        .collect();
    let (first, label) = wrong.first()?;
    let names = scene.names(wrong.iter().map(|(ordinal, _)| *ordinal));
    let is = if *first == primary { "the primary" } else { "a replica" };
    let summary = match names.as_slice() {
        [name] => format!("{name} is labelled {}, and is {is}", label.value),
        _ => format!("the role labels of {} are wrong: the primary is {}", list(&names), scene.pod_name(primary)),
    };
    let mut finding = Finding::new(&rule::ROLE_LABEL, summary);
    for (ordinal, label) in &wrong {
        finding = finding.seen(format!("label {} of pod/{}", label.key, scene.pod_name(*ordinal)), &label.value);
    }
    let key = label.key.clone();
    Some(finding.seen("primary by SQL", scene.pod_name(primary)).kubectl(&format!("get pods -L {key}")).about(names))
}

fn switching(eye: &Eye) -> Option<Finding> {
    let switched = eye.view.status.condition("PrimarySwitched").filter(|switched| switched.holds == Some(false))?;
    let finding = if eye.age(switched).is_some_and(|age| age > SWITCHOVER) {
        Finding::new(&rule::SWITCHOVER_HANGS, format!("the operator's switchover hangs: {}", switched.message))
    } else {
        Finding::new(&rule::SWITCHING, format!("a switchover is under way: {}", switched.message))
    };
    let finding = eye.with(eye.with(finding, "PrimarySwitched"), "Ready");
    let told = eye.view.status.current_primary.as_deref().unwrap_or("none");
    Some(finding.seen(format!("status.currentPrimary of {}", eye.object()), told).kubectl(&eye.describe()))
}

fn wanted(eye: &Eye) -> Option<Finding> {
    let (wanted, current) = (eye.view.spec.primary_index?, eye.view.status.current_primary_index?);
    if wanted == current || eye.view.status.denies("PrimarySwitched") {
        return None;
    }
    let summary = format!("{} is to become the primary; {} still is", eye.scene.pod_name(wanted), eye.scene.pod_name(current));
    let finding = Finding::new(&rule::PRIMARY_WANTED, summary)
        .seen(format!("primary.podIndex of {}", eye.object()), wanted)
        .seen(format!("status.currentPrimaryPodIndex of {}", eye.object()), current);
    Some(finding.kubectl(&eye.describe()))
}

fn differs(eye: &Eye) -> Option<Finding> {
    let told = eye.view.status.current_primary.as_ref()?;
    let primary = eye.scene.pod_name(by_sql(eye.scene)?);
    if eye.view.spec.mode != Mode::Replication || *told == primary || eye.view.status.denies("PrimarySwitched") {
        return None;
    }
    let finding =
        Finding::new(&rule::PRIMARY_DIFFERS, format!("the operator takes {told} for the primary; by SQL it is {primary}"))
            .seen(format!("status.currentPrimary of {}", eye.object()), told)
            .seen("primary by SQL", &primary);
    Some(finding.kubectl(&eye.describe()).about([told.clone(), primary]))
}

/// The pod that writers are sent to serves nobody, and another one could.
fn not_serving(eye: &Eye) -> Option<Finding> {
    let told = eye.view.status.current_primary.as_ref().filter(|_| eye.view.spec.mode == Mode::Galera)?;
    let ordinal = Ordinal::of_pod(&eye.scene.seen.target.name, told)?;
    let others: Vec<String> =
        eye.scene.names(eye.scene.wanted().filter(|other| *other != ordinal && eye.scene.serves(*other) == Some(true)));
    let fails = eye.scene.serves(ordinal) == Some(false) || eye.scene.is_down(ordinal);
    if others.is_empty() || !fails {
        return None;
    }
    let summary =
        format!("the operator sends writers to {told}, which does not serve; {} {}", list(&others), verb(&others, "does", "do"));
    let finding = Finding::new(&rule::PRIMARY_NOT_SERVING, summary);
    let finding = finding.seen(format!("status.currentPrimary of {}", eye.object()), told);
    Some(eye.with(finding, "GaleraReady").kubectl(&eye.describe()).about([told]))
}

/// Role labels of a Galera cluster, against whom the operator calls the primary: by SQL every member is one.
fn galera_labels(eye: &Eye) -> Option<Finding> {
    let told = eye.view.status.current_primary.as_ref().filter(|_| eye.view.spec.mode == Mode::Galera)?;
    if eye.view.status.denies("PrimarySwitched") {
        return None;
    }
    let labelled = eye.scene.pods().filter_map(|(_, pod)| Some((&pod.name, pod.role.as_ref()?)));
    let wrong: Vec<(&String, &RoleLabel)> =
        labelled.filter(|(pod, label)| (label.role == LabelledRole::Primary) != (*pod == told)).collect();
    let (first, label) = wrong.first()?;
    let names: Vec<&String> = wrong.iter().map(|(pod, _)| *pod).collect();
    let summary = match names.as_slice() {
        [_] => format!("{first} is labelled {}, and the operator says that {told} is the primary", label.value),
        _ => format!("the role labels of {} are wrong: the operator says that {told} is the primary", list(&names)),
    };
    let mut finding = Finding::new(&rule::ROLE_LABEL, summary);
    for (pod, label) in &wrong {
        finding = finding.seen(format!("label {} of pod/{pod}", label.key), &label.value);
    }
    let key = label.key.clone();
    let finding = finding.seen(format!("status.currentPrimary of {}", eye.object()), told);
    Some(finding.kubectl(&format!("get pods -L {key}")).about(names))
}

/// The `-primary` Service of a Galera cluster; of replication MDB351 tells, by SQL.
fn service(eye: &Eye) -> Option<Finding> {
    let told = eye.view.status.current_primary.as_ref().filter(|_| eye.view.spec.mode == Mode::Galera)?;
    let name = format!("{}-primary", eye.view.name);
    let service = eye.scene.seen.objects.services.known().ok()?.iter().find(|service| service.name == name)?;
    let selected = service.selector.get("statefulset.kubernetes.io/pod-name")?;
    (selected != told).then(|| {
        Finding::new(&rule::PRIMARY_SERVICE, format!("Service {name} leads to {selected}, and the operator says {told}"))
            .seen(format!("selector of service/{name}"), selected)
            .seen(format!("status.currentPrimary of {}", eye.object()), told)
            .kubectl(&format!("describe service {name}"))
    })
}
