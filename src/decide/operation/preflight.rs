//! What keeps every operation on a plain StatefulSet from beginning.

use crate::decide::rules::operations as rules;
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::{Claim, Pod, UpdateStrategy, VolumeSource};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::custody::{Autoscaler, Custody, GitOps};
use super::plan::Refusal;
use super::{Goal, Wish};

/// A look lists the pods of the ordinals below this, in the range of the set or not: a pod above it that is on its way out
/// would not be seen.
pub const MOST_ORDINALS: u32 = 9;

/// Refusals that do not depend on what the servers say.
pub fn anyone(wish: &Wish, seen: &Snapshot, custody: &Custody) -> Option<Refusal> {
    managed(wish, seen, custody).or_else(|| if wish.goal.moves_pods() { shape(wish, seen) } else { None })
}

/// Somebody else writes the same fields (safety F3, D6).
fn managed(wish: &Wish, seen: &Snapshot, custody: &Custody) -> Option<Refusal> {
    let (name, verb) = (&seen.target.name, wish.goal.verb());
    if let Some(refusal) = owned(wish.goal, seen) {
        return Some(refusal);
    }
    match &custody.gitops {
        Some(GitOps::Argo(application)) => {
            return Some(
                Refusal::new(
                    &rules::GITOPS,
                    format!("Argo CD makes {name} again what the repository says (application {application}), in the middle of a {verb}, too"),
                )
                .because([format!("tracking of the StatefulSet: {application}")])
                .kubectl(&format!("patch application {application} -n argocd --type merge -p {{\"spec\":{{\"syncPolicy\":null}}}}"))
                .plugin(&format!("{} --gitops-paused", wish.words(name))),
            );
        }
        Some(GitOps::Flux { kind, name: by, namespace }) => {
            return Some(
                Refusal::new(
                    &rules::GITOPS,
                    format!("Flux makes {name} again what the repository says ({kind} {by}), in the middle of a {verb}, too"),
                )
                .because([format!("labels of the StatefulSet: {kind} {by} in namespace {namespace}")])
                .kubectl(&format!("patch {kind} {by} -n {namespace} --type merge -p {{\"spec\":{{\"suspend\":true}}}}"))
                .plugin(&format!("{} --gitops-paused", wish.words(name))),
            );
        }
        None => {}
    }
    // What may not be listed is said in the plan.
    let known = [&custody.horizontal, &custody.vertical].into_iter().filter_map(|found| found.known().ok());
    let autoscalers: Vec<&Autoscaler> = known.flatten().collect();
    if autoscalers.is_empty() {
        return None;
    }
    let all: Vec<String> = autoscalers.iter().map(|scaler| scaler.told()).collect();
    let summary = format!("{} changes the pods of {name} by itself, in the middle of a {verb}, too", all.join(", "));
    let refusal = Refusal::new(&rules::AUTOSCALED, summary)
        .because(all.iter().map(|scaler| format!("target of {scaler}: StatefulSet {name}")));
    Some(autoscalers.iter().fold(refusal, |refusal, scaler| refusal.kubectl(&scaler.pause())))
}

/// The set belongs to what cannot be told to stand still.
fn owned(goal: Goal, seen: &Snapshot) -> Option<Refusal> {
    let (name, verb) = (&seen.target.name, goal.verb());
    let owner = seen.objects.stateful_set.owner.as_ref()?;
    let (kind, owner) = (&owner.kind, &owner.name);
    let because = format!("ownerReferences of the StatefulSet: {kind} {owner}");
    match seen.objects.manager.operator().map(|operator| (&operator.view, operator.owns)) {
        Some((Fact::Known(view), true)) => view.deletion.map(|at| {
            let summary = format!("MariaDB {owner} is being deleted, and {name} with it");
            Refusal::new(&rules::GOING, summary).because([format!("metadata.deletionTimestamp of MariaDB {owner}: {at}")])
        }),
        Some((Fact::Unknown(why), _)) => {
            let summary = format!("{name} belongs to {kind} {owner}, and what mariadb-operator is told there cannot be read");
            Some(Refusal::new(&rules::OWNED, summary).because([because, format!("{kind} {owner}: {why}")]))
        }
        _ => {
            let summary = format!(
                "{name} belongs to {kind} {owner}, and whatever manages that would undo each step; {verb} works on plain StatefulSets \
                 and on clusters of mariadb-operator"
            );
            Some(Refusal::new(&rules::OWNED, summary).because([because]))
        }
    }
}

/// Whether pods come back as something else. Where pods are replaced by hand or by an operator the set keeps its old revision in
/// `status.currentRevision`: then only the pods themselves tell.
fn rolling_out(seen: &Snapshot) -> bool {
    let set = &seen.objects.stateful_set;
    if set.update_strategy == UpdateStrategy::OnDelete {
        let pods = seen.members.values().filter_map(|member| member.pod.as_ref());
        return pods.filter_map(|pod| pod.revision.as_ref()).any(|revision| *revision != set.update_revision);
    }
    set.current_revision != set.update_revision
}

/// Every pod that is made from now on is one of the newest revision, and whoever set it wants that.
const ALL_GET_IT: UpdateStrategy = UpdateStrategy::RollingUpdate { partition: 0 };

fn unfinished(wish: &Wish, seen: &Snapshot) -> Refusal {
    let set = &seen.objects.stateful_set;
    let (name, verb) = (&set.name, wish.goal.verb());
    let summary = format!("a rollout of {name} is unfinished: pods come back as something else after {verb}");
    let refusal = Refusal::new(&rules::ROLLOUT, summary).because([
        format!("status.currentRevision: {}", set.current_revision),
        format!("status.updateRevision: {}", set.update_revision),
    ]);
    if !wish.goal.elects() {
        return refusal.kubectl(&format!("rollout status sts {name}"));
    }
    // Nothing finishes it while no server runs: the way on is to let all members have the newest revision.
    let pods: Vec<&Pod> = seen.members.values().filter_map(|member| member.pod.as_ref()).collect();
    let of = |pod: &&Pod| pod.revision.clone().unwrap_or_else(|| "not known".to_owned());
    let refusal = refusal.because(pods.iter().map(|pod| format!("revision of {}: {}", pod.name, of(pod))));
    let refusal = match set.update_strategy {
        UpdateStrategy::RollingUpdate { .. } => {
            let path = "/spec/updateStrategy/rollingUpdate/partition";
            refusal
                .kubectl(&format!("patch statefulset {name} --type=json -p [{{\"op\":\"add\",\"path\":\"{path}\",\"value\":0}}]"))
        }
        UpdateStrategy::OnDelete => {
            let old = pods.iter().filter(|pod| pod.revision.as_ref() != Some(&set.update_revision));
            let old: Vec<&str> = old.map(|pod| pod.name.as_str()).collect();
            refusal.kubectl(&format!("delete pod {}", old.join(" ")))
        }
    };
    refusal.plugin(&wish.words(name))
}

/// What the set is made of.
fn shape(wish: &Wish, seen: &Snapshot) -> Option<Refusal> {
    let goal = wish.goal;
    let set = &seen.objects.stateful_set;
    let (name, verb) = (&set.name, goal.verb());
    if set.deletion.is_some() {
        return Some(Refusal::new(&rules::GOING, format!("the StatefulSet {name} is being deleted")));
    }
    if !set.layout.bootstrap_switches.is_empty() {
        return Some(
            Refusal::new(&rules::FOUNDS, format!("the pod template of {name} founds a new cluster at every start"))
                .because(set.layout.bootstrap_switches.iter().map(|switch| format!("pod template: {switch}"))),
        );
    }
    let members = wish.members.unwrap_or(set.replicas);
    if set.start.saturating_add(members) > MOST_ORDINALS {
        let summary = format!("{name} runs more members than {verb} handles: the highest ordinal is above {}", MOST_ORDINALS - 1);
        return Some(Refusal::new(&rules::NOT_THIS_KIND, summary).because([format!("replicas: {members}")]));
    }
    if goal != Goal::Upgrade && rolling_out(seen) && !(goal.elects() && set.update_strategy == ALL_GET_IT) {
        return Some(unfinished(wish, seen));
    }
    let datadir = set.layout.mounts.first();
    if datadir.is_none_or(|mount| mount.source != VolumeSource::Claim) {
        let where_ = datadir.map_or_else(|| "no volume".to_owned(), |mount| format!("volume {} ({})", mount.volume, mount.path));
        return Some(
            Refusal::new(&rules::NO_CLAIM, format!("the data of {name} is on no volume claim: it dies with its pods"))
                .because([format!("the data directory is on: {where_}")]),
        );
    }
    None
}

/// A claim that is deleted as soon as its pod stops (safety B2, B11).
///
/// # Errors
/// The claims are not known.
pub fn claim_going(seen: &Snapshot) -> Result<Option<Refusal>, Why> {
    going(seen, |_| true)
}

/// The same, of these ordinals.
///
/// # Errors
/// The claims are not known.
pub fn going(seen: &Snapshot, of: impl Fn(Ordinal) -> bool) -> Result<Option<Refusal>, Why> {
    let claims = seen.objects.claims.known().map_err(Clone::clone)?;
    let of_set = claims.iter().filter(|claim| seen.objects.stateful_set.ordinal_of_claim(&claim.name).is_some_and(&of));
    let going: Vec<&Claim> = of_set.filter(|claim| claim.deletion.is_some() || claim.deleted_with.is_some()).collect();
    if going.is_empty() {
        return Ok(None);
    }
    let names: Vec<&str> = going.iter().map(|claim| claim.name.as_str()).collect();
    let because = going.iter().map(|claim| match &claim.deleted_with {
        Some(pod) => format!("metadata.ownerReferences of claim {}: Pod {pod}", claim.name),
        None => format!("metadata.deletionTimestamp of claim {}: set", claim.name),
    });
    let summary = format!("{} goes with its pod: its data vanishes when that stops", names.join(", "));
    Ok(Some(Refusal::new(&rules::CLAIM_GOING, summary).because(because)))
}
