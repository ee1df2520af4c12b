use super::*;
use crate::decide::operation::custody::Custody;
use crate::decide::operation::journal::Operation;
use crate::decide::operation::{Goal, Number, Volumes, Wish, begin, confirmed, decide, settled, undo};
use crate::model::fact::Fact;
use crate::model::kubernetes::{Claim, Owner};
use crate::model::manager::{Manager, Operator};
use crate::model::operator::{Backup, BackupKind, Condition, Mode};
use crate::model::testing::{claim, healthy_replication, noon, operator_view, replica, server_of};

fn condition(name: &str, holds: bool, reason: &str) -> Condition {
    let (name, reason, message) = (name.to_owned(), reason.to_owned(), reason.to_owned());
    Condition { name, holds: Some(holds), reason, message, since: Some(noon()) }
}

/// Three servers of an operator that can copy the data for more.
fn operated() -> Snapshot {
    let mut seen = healthy_replication();
    let mut view = operator_view();
    view.spec.seeds_from = Some("db-model".to_owned());
    view.status.conditions.push(condition("ReplicationConfigured", true, "ReplicationConfigured"));
    let (group, name) = (view.group, view.name.clone());
    seen.objects.stateful_set.owner = Some(Owner {
        api_version: "k8s.mariadb.com/v1alpha1".to_owned(),
        kind: "MariaDB".to_owned(),
        name: name.clone(),
        uid: view.uid.clone(),
    });
    let (backups, deployments) = (Fact::Known(Vec::new()), Fact::Unknown(Why::NotAsked));
    let operator = Operator { group, name, owns: true, view: Fact::Known(view), backups, deployments };
    seen.objects.manager = Manager::Operator(Box::new(operator));
    seen
}

fn operator_of(seen: &mut Snapshot) -> &mut Operator {
    match &mut seen.objects.manager {
        Manager::Operator(operator) => operator,
        Manager::StatefulSet => panic!("nobody owns it"),
    }
}

fn view_of(seen: &mut Snapshot) -> &mut OperatorView {
    match &mut operator_of(seen).view {
        Fact::Known(view) => view,
        Fact::Unknown(why) => panic!("{why}"),
    }
}

fn says(seen: &mut Snapshot, name: &str, holds: bool, reason: &str) {
    let conditions = &mut view_of(seen).status.conditions;
    conditions.retain(|condition| condition.name != name);
    conditions.push(condition(name, holds, reason));
}

fn claims(seen: &mut Snapshot) -> &mut Vec<Claim> {
    match &mut seen.objects.claims {
        Fact::Known(claims) => claims,
        Fact::Unknown(why) => panic!("{why}"),
    }
}

fn backups(seen: &mut Snapshot) -> &mut Vec<Backup> {
    match &mut operator_of(seen).backups {
        Fact::Known(backups) => backups,
        Fact::Unknown(why) => panic!("{why}"),
    }
}

fn backup(reason: &str) -> Backup {
    Backup {
        kind: BackupKind::Physical,
        name: "db-pb-scaleout".to_owned(),
        uid: "b".to_owned(),
        created: Some(noon()),
        schedule: None,
        suspended: false,
        complete: Some(condition("Complete", reason != "JobRunning", reason)),
        last_scheduled: None,
        runs: Fact::Known(Vec::new()),
    }
}

fn named(name: &str) -> Claim {
    Claim { name: name.to_owned(), ..claim(9) }
}

/// What the operator is told; how many pods the set runs.
fn at(seen: &mut Snapshot, told: u32, replicas: u32) {
    view_of(seen).spec.replicas = told;
    seen.objects.stateful_set.replicas = replicas;
    for ordinal in 3..replicas {
        seen.members.insert(Ordinal(ordinal), replica(ordinal));
    }
    seen.members.retain(|ordinal, _| ordinal.0 < replicas);
}

fn begun(seen: &Snapshot, replicas: u32) -> Result<Memo, String> {
    let wish = Wish { number: Some(Number { replicas, current: None, volumes: Volumes::Refuse }), ..Goal::Scale.into() };
    let custody =
        Custody { gitops: None, helm: None, horizontal: Fact::Known(Vec::new()), vertical: Fact::Unknown(Why::NotAsked) };
    match begin(&wish, seen, &custody, None) {
        Ok(Beginning::Begin(memo)) => Ok(*memo),
        Ok(Beginning::Refuse(refusal)) => Err(refused(&refusal)),
        Ok(Beginning::Nothing(why) | Beginning::Wait { why, .. }) => Err(why),
        Err(why) => Err(why.to_string()),
    }
}

fn refused(refusal: &Refusal) -> String {
    let ways: Vec<String> = refusal.by_hand.iter().map(|command| format!("{command:?}")).collect();
    format!("{} {}; {}; {}", refusal.rule.code, refusal.summary, refusal.because.join("; "), ways.join("; "))
}

fn told_of(decision: Decision) -> Result<Vec<Step>, String> {
    match decision {
        Decision::Go(plan) => Ok(plan.steps),
        Decision::Refuse(refusal) => Err(refused(&refusal)),
        Decision::Wait { why, .. } => Err(why),
        Decision::Done => Err("done".to_owned()),
    }
}

fn next(seen: &Snapshot, operation: &Operation) -> Result<Vec<Step>, String> {
    if operation.aborting {
        return told_of(undo(seen, operation));
    }
    told_of(decide(Goal::Scale, seen, &operation.memo).map_err(|why| why.to_string())?)
}

fn ids(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| step.id.as_str()).collect()
}

fn operation(memo: Memo) -> Operation {
    Operation {
        goal: Goal::Scale,
        aborting: false,
        holder: None,
        beat: 0,
        stop_asked: false,
        started: noon(),
        renewed: noon(),
        plan: Plan::default(),
        memo,
        begun: Vec::new(),
    }
}

/// Begins `replicas`, with the first step begun.
fn on_the_way(seen: &mut Snapshot, replicas: u32) -> Operation {
    let mut operation = operation(begun(seen, replicas).unwrap());
    let step = next(seen, &operation).unwrap().remove(0);
    operation.begin(&step, noon());
    let Action::Replicas { to, .. } = step.act else { panic!("{step:?}") };
    view_of(seen).spec.replicas = to;
    operation
}

#[test]
fn replicas_come_one_at_a_time_and_what_the_backup_leaves_goes() {
    let mut seen = operated();
    let memo = begun(&seen, 5).unwrap();
    assert_eq!(ids(&next(&seen, &operation(memo)).unwrap()), ["add db-3", "add db-4"]);
    let mut operation = on_the_way(&mut seen, 5);
    assert!(next(&seen, &operation).unwrap_err().contains("has not begun with db-3 yet"));
    says(&mut seen, "ScaledOut", false, "ScalingOut");
    view_of(&mut seen).status.scale_out_from = Some(Ordinal(3));
    backups(&mut seen).push(backup("JobRunning"));
    let waits = next(&seen, &operation).unwrap_err();
    assert!(waits.contains("PhysicalBackup db-pb-scaleout: Complete is") && waits.contains("ScalingOut"), "{waits}");
    at(&mut seen, 4, 4);
    assert!(next(&seen, &operation).unwrap_err().contains("ScaledOut"), "the operator is not done");
    says(&mut seen, "ScaledOut", true, "ScaledOut");
    assert!(next(&seen, &operation).unwrap_err().contains("scaleOutInitialIndex"));
    view_of(&mut seen).status.scale_out_from = None;
    assert!(next(&seen, &operation).unwrap_err().contains("has not removed PhysicalBackup"));
    backups(&mut seen).clear();
    claims(&mut seen).push(named("db-pb-scaleout"));
    let tidies = next(&seen, &operation).unwrap();
    assert!(ids(&tidies) == ["delete db-pb-scaleout", "add db-4"] && tidies[0].unasked);
    operation.begin(&tidies[0], noon());
    claims(&mut seen).pop();
    assert_eq!(ids(&next(&seen, &operation).unwrap()), ["add db-4"]);
    operation.memo.operated.as_mut().unwrap().replicas = 4;
    assert_eq!(next(&seen, &operation).unwrap_err(), "done");
}

#[test]
fn a_new_replica_has_to_follow_be_ready_and_take_no_writes() {
    let mut seen = operated();
    let operation = on_the_way(&mut seen, 4);
    at(&mut seen, 4, 4);
    assert_eq!(next(&seen, &operation).unwrap_err(), "done");
    let mut open = seen.clone();
    server_of(&mut open, 3).read_only = false;
    let closes = next(&open, &operation).unwrap();
    assert!(ids(&closes) == ["close db-3"] && closes[0].unasked);
    let mut behind = seen.clone();
    server_of(&mut behind, 3).channels[0].lag_seconds = Some(7);
    assert!(next(&behind, &operation).unwrap_err().contains("db-3 is 7 s behind"));
    let mut stopped = seen.clone();
    server_of(&mut stopped, 3).channels[0].sql_running = false;
    assert!(next(&stopped, &operation).unwrap_err().contains("does not run on db-3"));
    let mut unready = seen.clone();
    unready.members.get_mut(&Ordinal(3)).unwrap().pod.as_mut().unwrap().ready = false;
    assert!(next(&unready, &operation).unwrap_err().contains("db-3 is not Ready"));
    let mut elsewhere = seen.clone();
    server_of(&mut elsewhere, 3).channels.clear();
    assert!(next(&elsewhere, &operation).is_err());
    assert!(confirmed(&operation, &seen, &seen).is_ok());
}

#[test]
fn what_closes_the_safe_way_is_a_refusal_that_names_it() {
    type Change = fn(&mut Snapshot);
    let outwards: [(&str, &str, Change); 13] = [
        ("MDB776", "bootstrapFrom", |seen| view_of(seen).spec.seeds_from = None),
        ("MDB777", "pvc\", \"prune", |seen| claims(seen).push(named("data-db-4"))),
        ("MDB777", "\"delete\", \"pvc\", \"db-pb-scaleout\"", |seen| claims(seen).push(named("db-pb-scaleout"))),
        ("MDB777", "physicalbackups.k8s.mariadb.com", |seen| backups(seen).push(backup("JobComplete"))),
        ("MDB774", "\"unsuspend\"", |seen| view_of(seen).spec.suspended = true),
        ("MDB774", "Updated", |seen| says(seen, "Updated", false, "Updating")),
        ("MDB774", "ScaleOutError", |seen| says(seen, "ScaledOut", false, "ScaleOutError")),
        ("MDB774", "ResizingStorage", |seen| says(seen, "StorageResized", false, "ResizingStorage")),
        ("MDB774", "ReplicaRecovering", |seen| says(seen, "ReplicaRecovered", false, "ReplicaRecovering")),
        ("MDB774", "move from db-0 to db-1", |seen| view_of(seen).spec.primary_index = Some(Ordinal(1))),
        ("MDB774", "ReplicationConfigured of MariaDB db: not there", |seen| {
            view_of(seen).status.conditions.retain(|condition| condition.name != "ReplicationConfigured");
        }),
        ("MDB774", "db-2 is not Ready", |seen| seen.members.get_mut(&Ordinal(2)).unwrap().pod.as_mut().unwrap().ready = false),
        ("MDB774", "{\\\"spec\\\":{\\\"replicas\\\":3}}", |seen| view_of(seen).spec.replicas = 4),
    ];
    for (code, words, change) in outwards {
        let mut seen = operated();
        change(&mut seen);
        let refusal = begun(&seen, 5).unwrap_err();
        assert!(refusal.starts_with(code) && refusal.contains(words), "{words}: {refusal}");
    }
    let mut unknown = operated();
    operator_of(&mut unknown).backups = Fact::Unknown(Why::Forbidden("list physicalbackups".to_owned()));
    assert!(begun(&unknown, 4).unwrap_err().contains("list physicalbackups"));
    assert!(begun(&unknown, 2).is_ok(), "nobody asks for backups when one leaves");
    assert!(begun(&operated(), 3).unwrap_err().contains("nothing to do"));
    assert!(begun(&operated(), 1).unwrap_err().starts_with("MDB745"));
    let mut galera = operated();
    view_of(&mut galera).spec.mode = Mode::Galera;
    assert!(begun(&galera, 5).unwrap_err().starts_with("MDB745"));
}

#[test]
fn what_fails_is_called_off_at_once_and_said() {
    type Change = fn(&mut Snapshot);
    let fails: [(&str, Change); 4] = [
        ("ScaleOutError", |seen| says(seen, "ScaledOut", false, "ScaleOutError")),
        ("JobFailed", |seen| backups(seen).push(backup("JobFailed"))),
        ("Updating", |seen| says(seen, "Updated", false, "Updating")),
        ("move from db-0 to db-1", |seen| view_of(seen).spec.primary_index = Some(Ordinal(1))),
    ];
    for (words, change) in fails {
        let mut seen = operated();
        let mut operation = on_the_way(&mut seen, 5);
        change(&mut seen);
        let step = next(&seen, &operation).unwrap().remove(0);
        assert!(step.emergency && step.act == Action::Replicas { from: 4, to: 3, failed: Some(failed(&step)) }, "{step:?}");
        operation.begin(&step, noon());
        view_of(&mut seen).spec.replicas = 3;
        let refusal = next(&seen, &operation).unwrap_err();
        assert!(refusal.starts_with("MDB775") && refusal.contains(words), "{refusal}");
        operation.memo.operated.as_mut().unwrap().adopt(&seen);
        let again = next(&seen, &operation);
        assert!(again.is_ok() || !again.unwrap_err().starts_with("MDB775"), "whoever goes on has seen to it");
    }
}

fn failed(step: &Step) -> String {
    let Action::Replicas { failed: Some(failed), .. } = &step.act else { panic!("{step:?}") };
    failed.clone()
}

#[test]
fn the_safe_way_is_looked_at_again_before_each_replica() {
    let mut seen = operated();
    let operation = on_the_way(&mut seen, 5);
    at(&mut seen, 4, 4);
    assert_eq!(ids(&next(&seen, &operation).unwrap()), ["add db-4"]);
    let mut updating = seen.clone();
    says(&mut updating, "Updated", false, "Updating");
    assert!(next(&updating, &operation).unwrap_err().contains("Updating"));
    let mut stale = seen.clone();
    claims(&mut stale).push(named("data-db-4"));
    let refusal = next(&stale, &operation).unwrap_err();
    assert!(refusal.starts_with("MDB777") && refusal.contains("\"abort\""), "{refusal}");
    let mut suspended = seen.clone();
    view_of(&mut suspended).spec.suspended = true;
    assert!(next(&suspended, &operation).unwrap_err().starts_with("MDB774"));
    let mut other = seen.clone();
    view_of(&mut other).spec.replicas = 7;
    assert!(next(&other, &operation).unwrap_err().starts_with("MDB712"));
    let mut blind = seen;
    operator_of(&mut blind).view = Fact::Unknown(Why::TimedOut(Duration::from_secs(3)));
    assert!(next(&blind, &operation).unwrap_err().contains("cannot be read"));
}

#[test]
fn replicas_leave_from_the_top_and_never_the_primary() {
    let mut seen = operated();
    at(&mut seen, 5, 5);
    let memo = begun(&seen, 2).unwrap();
    assert_eq!(ids(&next(&seen, &operation(memo)).unwrap()), ["remove db-4", "remove db-3", "remove db-2"]);
    let operation = on_the_way(&mut seen, 3);
    assert!(next(&seen, &operation).unwrap_err().contains("has not made the set smaller yet"));
    at(&mut seen, 4, 4);
    assert_eq!(ids(&next(&seen, &operation).unwrap()), ["remove db-3"]);
    let mut wanted = operated();
    (view_of(&mut wanted).spec.primary_index, view_of(&mut wanted).status.current_primary_index) =
        (Some(Ordinal(2)), Some(Ordinal(2)));
    let refusal = begun(&wanted, 2).unwrap_err();
    assert!(refusal.starts_with("MDB754") && refusal.contains("podIndex"), "{refusal}");
    let mut frozen = operated();
    view_of(&mut frozen).spec.update_strategy = Some("Never".to_owned());
    assert!(begun(&frozen, 2).unwrap_err().contains("Never"));
    assert!(begun(&frozen, 4).is_ok(), "the operator scales out all the same");
}

#[test]
fn a_scale_out_is_taken_back_until_it_is_as_before() {
    let mut seen = operated();
    let mut operation = on_the_way(&mut seen, 5);
    operation.aborting = true;
    says(&mut seen, "ScaledOut", false, "ScalingOut");
    let off = next(&seen, &operation).unwrap();
    assert_eq!((ids(&off), &off[0].act), (vec!["settle at 3 replicas"], &Action::Replicas { from: 4, to: 3, failed: None }));
    operation.begin(&off[0], noon());
    view_of(&mut seen).spec.replicas = 3;
    assert!(next(&seen, &operation).unwrap_err().contains("has not given up yet"));
    says(&mut seen, "ScaledOut", true, "ScaledOut");
    claims(&mut seen).push(named("db-pb-scaleout"));
    assert_eq!(ids(&next(&seen, &operation).unwrap()), ["delete db-pb-scaleout"]);
    claims(&mut seen).pop();
    assert_eq!(next(&seen, &operation).unwrap_err(), "done");

    let mut seen = operated();
    let mut operation = on_the_way(&mut seen, 5);
    at(&mut seen, 4, 4);
    operation.aborting = true;
    // Whether it ever came to be a replica or not.
    crate::model::testing::silence(&mut seen, 3);
    let back = next(&seen, &operation).unwrap();
    assert_eq!(ids(&back), ["remove db-3 again"]);
    operation.begin(&back[0], noon());
    view_of(&mut seen).spec.replicas = 3;
    assert!(next(&seen, &operation).unwrap_err().contains("has not made the set smaller yet"), "it is not told otherwise");
    at(&mut seen, 3, 3);
    assert_eq!(next(&seen, &operation).unwrap_err(), "done");
    view_of(&mut seen).spec.replicas = 6;
    assert_eq!(next(&seen, &operation).unwrap_err(), "done", "somebody else's");
}

#[test]
fn a_scale_in_ends_where_it_is() {
    let mut seen = operated();
    at(&mut seen, 5, 5);
    let mut operation = on_the_way(&mut seen, 3);
    operation.aborting = true;
    assert_eq!(ids(&next(&seen, &operation).unwrap()), ["settle at 5 replicas"], "nothing was done of it");
    at(&mut seen, 4, 4);
    assert_eq!(next(&seen, &operation).unwrap_err(), "done");
}

#[test]
fn what_is_not_waited_for_any_more_is_not_left_to_happen() {
    let mut seen = operated();
    let operation = on_the_way(&mut seen, 4);
    let step = settled(&seen, &operation).unwrap();
    assert_eq!(step.act, Action::Replicas { from: 4, to: 3, failed: None });
    at(&mut seen, 4, 4);
    assert_eq!(settled(&seen, &operation), None);
    seen.members.get_mut(&Ordinal(3)).unwrap().pod.as_mut().unwrap().unscheduled = Some("no room".to_owned());
    let step = settled(&seen, &operation).unwrap();
    assert_eq!(step.act, Action::Replicas { from: 4, to: 3, failed: None }, "it may find a node hours later");
    at(&mut seen, 7, 3);
    assert_eq!(settled(&seen, &operation), None, "somebody else's");
}
