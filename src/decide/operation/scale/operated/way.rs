//! Whether the operator's own safe way is open. Where it is not, the operator does not wait: it lets the set grow at once, and the
//! new replica starts on an empty data directory, or on whatever lies there (O 4.5).

use crate::decide::can_stop::{Leave, Load, Stop};
use crate::decide::operation::formation::Formation;
use crate::decide::operation::gates::against;
use crate::decide::operation::plan::{Range, Refusal};
use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::kubernetes::Claim;
use crate::model::names::Ordinal;
use crate::model::operator::{Backup, BackupKind, Condition, OperatorView};
use crate::model::snapshot::Snapshot;
use crate::model::topology::{Primary, Topology};

use super::{Operated, names};

/// What must not be False: something is under way, or has failed. Without the condition it never was.
const QUIET: [&str; 6] =
    ["Initialized", "BackupRestored", "BinlogsReplayed", "StorageResized", "PrimarySwitched", "ReplicaRecovered"];

/// The formation of a replicating set, as the servers tell it now: the operator may have moved the primary meanwhile.
///
/// # Errors
/// There is no primary that all others follow.
pub fn formation(seen: &Snapshot) -> Result<Formation, String> {
    match Topology::of(seen) {
        Topology::Replication { primary: Primary::Pod(primary) } => Ok(Formation::Replication { primary, writable: true }),
        _ => Err("the replicas do not all follow one primary of this set now".to_owned()),
    }
}

/// What closes it while a new replica is being made, in words that follow "waiting: ". Whether the pods are Ready counts only at its
/// beginning.
pub fn closes(seen: &Snapshot, view: &OperatorView) -> Vec<String> {
    let mut closes = Vec::new();
    let status = &view.status;
    match (view.spec.primary_index, status.current_primary_index) {
        (Some(wanted), Some(current)) if wanted != current => {
            closes.push(format!("the primary is to move from {} to {}", seen.pod_name(current), seen.pod_name(wanted)));
        }
        (_, None) => closes.push(format!("MariaDB {} does not say which pod is the primary", view.name)),
        _ => {}
    }
    closes.extend(denied(view, &QUIET));
    closes.extend(["Updated", "ReplicationConfigured"].into_iter().filter_map(|name| unsaid(view, name)));
    closes
}

/// The same, before it begins.
pub fn busy(seen: &Snapshot, view: &OperatorView) -> Vec<String> {
    let mut busy = closes(seen, view);
    busy.extend(denied(view, &["ScaledOut"]));
    busy.extend(unsaid(view, "Ready"));
    if let Some(from) = view.status.scale_out_from {
        busy.push(format!("status.scaleOutInitialIndex of MariaDB {}: {}", view.name, from.0));
    }
    busy
}

fn denied(view: &OperatorView, names: &[&str]) -> impl Iterator<Item = String> {
    let found = names.iter().filter_map(|name| view.status.condition(name)).filter(|condition| condition.holds != Some(true));
    found.map(|condition| told(view, condition))
}

fn told(view: &OperatorView, condition: &Condition) -> String {
    format!("condition {} of MariaDB {}: {condition}", condition.name, view.name)
}

fn unsaid(view: &OperatorView, name: &str) -> Option<String> {
    match view.status.condition(name) {
        Some(condition) if condition.holds == Some(true) => None,
        Some(condition) => Some(told(view, condition)),
        None => Some(format!("condition {name} of MariaDB {}: not there", view.name)),
    }
}

/// The name of the backup that the operator makes for new replicas, and of the claim it leaves.
pub fn temporary(view: &OperatorView) -> String {
    format!("{}-pb-scaleout", view.name)
}

/// That backup, as long as it is there.
///
/// # Errors
/// The backups are not known.
pub fn backup<'a>(seen: &'a Snapshot, view: &OperatorView) -> Result<Option<&'a Backup>, Why> {
    let Some(operator) = seen.objects.manager.operator() else { return Ok(None) };
    let name = temporary(view);
    let own = |backup: &&Backup| backup.kind == BackupKind::Physical && backup.name == name;
    Ok(operator.backups.known().map_err(Clone::clone)?.iter().find(own))
}

/// The claim of that backup: on a disk of a node it keeps the next one from every other node, for ever (operator-run 3.4).
///
/// # Errors
/// The claims are not known.
pub fn leaked<'a>(seen: &'a Snapshot, view: &OperatorView) -> Result<Option<&'a Claim>, Why> {
    let name = temporary(view);
    Ok(seen.objects.claims.known().map_err(Clone::clone)?.iter().find(|claim| claim.name == name))
}

/// What has to be so before the operator is told of one replica more; looked at again before each.
///
/// # Errors
/// The claims are not known.
pub fn out(seen: &Snapshot, view: &OperatorView, now: Range, replicas: u32) -> Result<Option<Refusal>, Why> {
    let name = &seen.target.name;
    if view.spec.seeds_from.is_none() {
        let summary = format!("mariadb-operator has nothing to copy a new replica of {name} from");
        let because = format!("spec.replication.replica.bootstrapFrom of MariaDB {}: not set", view.name);
        return Ok(Some(Refusal::new(&rules::NO_TEMPLATE, summary).because([because]).plugin("explain MDB776")));
    }
    stale(seen, now, replicas)
}

/// What is left of the backup of an earlier scale-out.
///
/// # Errors
/// The claims or the backups are not known.
pub fn left(seen: &Snapshot, view: &OperatorView) -> Result<Option<Refusal>, Why> {
    let name = &seen.target.name;
    let (temporary, backup, claim) = (temporary(view), backup(seen, view)?.is_some(), leaked(seen, view)?.is_some());
    if !backup && !claim {
        return Ok(None);
    }
    let summary = format!("what is left of an earlier scale-out of {name} is in the way of the next backup");
    let mut refusal = Refusal::new(&rules::LEFT_OF_OPERATOR, summary);
    if backup {
        refusal = refusal.because([format!("PhysicalBackup {temporary}: there, and its data would be taken for the new one's")]);
        refusal = refusal.kubectl(&format!("delete physicalbackups.{} {temporary}", view.group.name()));
    }
    if claim {
        refusal = refusal.because([format!("volume claim {temporary}: there, and may be out of reach of the next backup")]);
        refusal = refusal.kubectl(&format!("delete pvc {temporary}"));
    }
    Ok(Some(refusal))
}

fn stale(seen: &Snapshot, now: Range, replicas: u32) -> Result<Option<Refusal>, Why> {
    let (set, new) = (&seen.objects.stateful_set, now.end()..now.with(replicas).end());
    let claims = seen.objects.claims.known().map_err(Clone::clone)?.iter();
    let stale = claims.filter(|claim| set.ordinal_of_claim(&claim.name).is_some_and(|ordinal| new.contains(&ordinal.0)));
    let stale: Vec<String> = stale.map(|claim| format!("volume claim {}: {}", claim.name, claim.phase)).collect();
    if stale.is_empty() {
        return Ok(None);
    }
    let name = &seen.target.name;
    let summary = format!("volumes lie where new replicas of {name} are to come, and mariadb-operator starts none on them");
    Ok(Some(Refusal::new(&rules::LEFT_OF_OPERATOR, summary).because(stale).plugin(&format!("pvc prune {name}"))))
}

/// Whether those that leave may leave at all.
pub fn inwards(seen: &Snapshot, view: &OperatorView, now: Range, replicas: u32) -> Option<Refusal> {
    let name = &seen.target.name;
    let leaves = |ordinal: &Ordinal| now.ordinals().skip(replicas as usize).any(|leaves| leaves == *ordinal);
    let primary = match Topology::of(seen) {
        Topology::Replication { primary: Primary::Pod(primary) } => Some(primary),
        _ => None,
    };
    let told = [view.spec.primary_index, view.status.current_primary_index];
    if let Some(primary) = [primary].into_iter().chain(told).flatten().find(leaves) {
        let pod = seen.pod_name(primary);
        let summary = format!("{pod} is the primary of {name}, and would be removed: make another server the primary first");
        let to = format!(r#"{{"spec":{{"replication":{{"primary":{{"podIndex":{}}}}}}}}}"#, now.start);
        let refusal = Refusal::new(&rules::SERVER_NEEDED, summary)
            .because([format!("spec.replication.primary.podIndex of MariaDB {} has to name another one", view.name)]);
        return Some(refusal.kubectl(&format!("patch mariadbs.{} {} --type=merge -p {to}", view.group.name(), view.name)));
    }
    (view.spec.update_strategy.as_deref() == Some("Never")).then(|| {
        let summary = format!("mariadb-operator is told never to change the set of {name}, so no replica of it leaves");
        Refusal::new(&rules::SAFE_WAY_CLOSED, summary)
            .because([format!("spec.updateStrategy.type of MariaDB {}: Never", view.name)])
            .plugin(&format!("status {name}"))
    })
}

/// What `can-stop` says against it that all of those leave, whether one after the other or not: whoever stays has to be enough.
///
/// # Errors
/// Something that it would take is not known.
pub fn spared(seen: &Snapshot, now: Range, replicas: u32) -> Result<Vec<String>, Why> {
    let ordinals = now.ordinals().skip(replicas as usize).collect();
    against(seen, &Stop { ordinals, nodes: false, load: Load::Any, leave: Leave::EitherWay })
}

/// Why the operator's scale-out has come to nothing, in its own words; the backup may have failed although it says Complete.
pub fn failure(seen: &Snapshot, view: &OperatorView) -> Option<String> {
    if let Some(condition) = view.status.condition("ScaledOut").filter(|condition| condition.reason.ends_with("Error")) {
        return Some(told(view, condition));
    }
    let backup = backup(seen, view).ok().flatten()?;
    let (_, why) = backup.last_failure()?;
    Some(format!("PhysicalBackup {}: {why}", backup.name))
}

/// What the operator does for the next replica, in its own words.
pub fn doing(seen: &Snapshot, view: &OperatorView, operated: &Operated, now: Range) -> String {
    let next = names(seen, now.with(now.replicas + 1).ordinals().skip(now.replicas as usize));
    let scaled = view.status.condition("ScaledOut").filter(|condition| condition.holds == Some(false));
    let Some(scaled) = scaled else {
        return format!("mariadb-operator has not begun with {next} yet: {}", view.says());
    };
    let backup = backup(seen, view).ok().flatten().map(|backup| match &backup.complete {
        Some(complete) => format!("; PhysicalBackup {}: Complete is {complete}", backup.name),
        None => format!("; PhysicalBackup {}: it says nothing yet", backup.name),
    });
    let of = if operated.replicas > now.replicas + 1 { format!(" (of {} in all)", operated.replicas) } else { String::new() };
    format!("mariadb-operator copies the data for {next}{of}: ScaledOut is {scaled}{}", backup.unwrap_or_default())
}
