mod seeding;
mod stale;

use std::collections::BTreeSet;

use uuid::Uuid;

use super::back::set_back;
use crate::decide::can_stop::{Leave, Load, Stop};
use crate::decide::operation::custody::Custody;
use crate::decide::operation::gates::against;
use crate::decide::operation::journal::{Begun, Operation};
use crate::decide::operation::memo::Memo;
use crate::decide::operation::plan::{Decision, Plan, Range, Step};
use crate::decide::operation::{Beginning, Goal, Number, Volumes, Wish, begin, decide, undo};
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::Claim;
use crate::model::manager::{Manager, Operator};
use crate::model::names::Ordinal;
use crate::model::operator::Mode;
use crate::model::quorum::Quorum;
use crate::model::snapshot::Snapshot;
use crate::model::testing::{
    cut_off, galera_of, healthy_galera, healthy_replication, noon, operator_view, pod, server_of, single, zero_uuid,
};
use crate::model::wsrep::LocalState;

fn to(replicas: u32) -> Wish {
    Wish { number: Some(Number { replicas, current: None, volumes: Volumes::Refuse }), ..Goal::Scale.into() }
}

fn with(volumes: Volumes) -> Wish {
    Wish { number: Some(Number { replicas: 5, current: None, volumes }), ..Goal::Scale.into() }
}

fn begun(wish: &Wish, seen: &Snapshot) -> Result<Memo, String> {
    let nobody =
        Custody { gitops: None, helm: None, horizontal: Fact::Known(Vec::new()), vertical: Fact::Unknown(Why::NotAsked) };
    match begin(wish, seen, &nobody, None) {
        Ok(Beginning::Begin(memo)) => Ok(*memo),
        Ok(Beginning::Refuse(refusal)) => Err(format!("{} {}", refusal.rule.code, refusal.summary)),
        Ok(Beginning::Nothing(why) | Beginning::Wait { why, .. }) => Err(why),
        Err(why) => Err(why.to_string()),
    }
}

fn plan(seen: &Snapshot, memo: &Memo) -> Result<Plan, String> {
    match decide(Goal::Scale, seen, memo) {
        Ok(Decision::Go(plan)) => Ok(plan),
        Ok(Decision::Refuse(refusal)) => Err(format!("{} {}", refusal.rule.code, refusal.because.join("; "))),
        Ok(Decision::Wait { why, .. }) => Err(why),
        Ok(Decision::Done) => Err("done".to_owned()),
        Err(why) => Err(why.to_string()),
    }
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.id.as_str()).collect()
}

fn claims(seen: &mut Snapshot) -> &mut Vec<Claim> {
    match &mut seen.objects.claims {
        Fact::Known(claims) => claims,
        Fact::Unknown(why) => panic!("{why}"),
    }
}

/// Volumes of earlier members db-3 and db-4.
fn with_stale(mut seen: Snapshot) -> Snapshot {
    let claim = claims(&mut seen)[2].clone();
    let named = |ordinal: u32| Claim { name: format!("data-db-{ordinal}"), uid: format!("uid-{ordinal}"), ..claim.clone() };
    claims(&mut seen).extend([named(3), named(4)]);
    seen
}

#[test]
fn members_leave_from_the_top_and_their_volumes_stay() {
    let seen = healthy_galera();
    let memo = begun(&to(1), &seen).unwrap();
    let first = plan(&seen, &memo).unwrap();
    assert_eq!(ids(&first), ["stop db-2", "stop db-1"]);
    assert!(first.steps.iter().all(|step| !step.no_return && step.undo.is_some()), "{first:?}");
    let notes = first.notes.join("\n");
    for told in ["One member is no cluster", "db-1 has to say goodbye", "The volumes of db-1, db-2 stay", "pvc prune db"] {
        assert!(notes.contains(told), "{told}: {notes}");
    }
    let two = plan(&seen, &begun(&to(2), &seen).unwrap()).unwrap();
    assert!(two.notes[0].contains("With 2 members none may fail"), "{:?}", two.notes);
}

#[test]
fn votes_are_counted_with_those_that_weigh_and_those_without_data() {
    let quorum = |weights: &[u32], unasked: u32| {
        let votes = (0..).map(Ordinal).zip(weights.iter().copied()).collect();
        Quorum::new(weights.iter().sum::<u32>() + unasked, votes)
    };
    for (replicas, quorum, told) in [
        (2, quorum(&[1, 1], 0), "With 2 members none may fail"),
        (2, quorum(&[1, 1], 1), "With 2 members 1 may fail at once without"),
        (3, quorum(&[1; 3], 0), "With 3 members 1 may fail at once without"),
        (4, quorum(&[1; 4], 0), "With 4 members 1 may fail at once, as with 3: an even number gains no safety"),
        (5, quorum(&[3, 1, 1, 1, 1], 0), "With 5 members 1 may fail"),
    ] {
        let said = super::arithmetic(replicas, Some(&quorum)).unwrap();
        assert!(said.starts_with(told), "{said}");
    }
    assert_eq!(super::arithmetic(3, None), None, "nobody tells the weights");
    let three = quorum(&[1, 1], 0).with(Ordinal(2));
    assert_eq!((three.total(), three.spare()), (3, 1));
}

/// Of two members nobody could go without a goodbye.
#[test]
fn the_last_but_one_leaves_only_with_a_goodbye() {
    let seen = two_members();
    let stop = |leave| Stop { ordinals: BTreeSet::from([Ordinal(1)]), nodes: false, load: Load::Any, leave };
    let mut weighs = seen.clone();
    for ordinal in 0..2 {
        galera_of(&mut weighs, ordinal).status.cluster_weight = Some(2);
    }
    assert!(!against(&weighs, &stop(Leave::EitherWay)).unwrap().is_empty());
    assert_eq!(against(&weighs, &stop(Leave::Cleanly)), Ok(Vec::new()));
}

#[test]
fn a_set_that_deletes_volumes_keeps_them_meanwhile() {
    let mut seen = healthy_galera();
    seen.objects.stateful_set.deletes_claims_when_scaled = true;
    let memo = begun(&to(2), &seen).unwrap();
    assert_eq!(ids(&plan(&seen, &memo).unwrap()), ["keep the volumes", "stop db-2", "restore whenScaled"]);
    seen.objects.stateful_set.deletes_claims_when_scaled = false;
    assert_eq!(ids(&plan(&seen, &memo).unwrap()), ["stop db-2", "restore whenScaled"]);
    // It has left, and its pod has not ended yet: with Delete its volume would go with it.
    let mut memo = Memo { ranges: vec![Range { start: 0, replicas: 2 }], ..memo };
    seen.objects.stateful_set.replicas = 2;
    seen.members.get_mut(&Ordinal(2)).unwrap().pod.as_mut().unwrap().deletion = Some(noon());
    assert_eq!(plan(&seen, &memo), Err("db-2 is stopping".to_owned()));
    let mut left = two_members();
    assert_eq!(ids(&plan(&left, &memo).unwrap()), ["restore whenScaled"]);
    left.objects.stateful_set.deletes_claims_when_scaled = true;
    assert_eq!(plan(&left, &memo), Err("done".to_owned()));
    // Somebody else makes it Delete again in the middle.
    memo.scale.as_mut().unwrap().replicas = 1;
    assert!(plan(&left, &memo).unwrap_err().starts_with("MDB712"));
}

/// db-2 has left, and its volume is there.
fn two_members() -> Snapshot {
    let mut seen = healthy_galera();
    let gone = galera_of(&mut seen, 2).status.gcomm_uuid;
    seen.members.remove(&Ordinal(2));
    seen.objects.stateful_set.replicas = 2;
    for ordinal in 0..2 {
        galera_of(&mut seen, ordinal).view.retain(|row| Some(row.uuid) != gone);
    }
    seen
}

#[test]
fn what_is_not_scaled_says_why() {
    let donor = || {
        let mut seen = healthy_galera();
        galera_of(&mut seen, 2).status.local_state = LocalState::DonorDesynced;
        seen
    };
    let busy = || {
        let mut seen = healthy_galera();
        galera_of(&mut seen, 0).status.recv_queue = 400;
        seen
    };
    let by_position = || {
        let mut seen = healthy_replication();
        for ordinal in 1..3 {
            server_of(&mut seen, ordinal).channels[0].uses_gtid = false;
        }
        seen
    };
    let stopped = || {
        let mut seen = healthy_replication();
        server_of(&mut seen, 1).channels[0].sql_running = false;
        seen
    };
    let independent = || {
        let mut seen = healthy_replication();
        for ordinal in 1..3 {
            server_of(&mut seen, ordinal).channels.clear();
        }
        seen
    };
    for (name, seen, wish, code) in [
        ("to 0", healthy_galera(), to(0), "MDB746"),
        ("another number", healthy_galera(), number(5, 4), "MDB747"),
        ("the number that it has", healthy_galera(), number(3, 3), "db has 3 members already"),
        ("too many", healthy_galera(), to(10), "MDB748"),
        ("one server", single(), to(3), "MDB748"),
        ("independent servers", independent(), to(2), "MDB748"),
        ("a new replica of none that can be copied", by_position(), to(4), "MDB749"),
        ("a new replica beside one that does not run", stopped(), to(4), "MDB750"),
        ("a donor", donor(), to(2), "MDB750"),
        ("a donor, and more", donor(), to(5), "MDB750"),
        ("cut off", cut_off(), to(2), "MDB750"),
        ("no history", zero_uuid(), to(2), "MDB750"),
        ("busy", busy(), to(2), "MDB750"),
    ] {
        let told = begun(&wish, &seen).unwrap_err();
        assert!(told.starts_with(code), "{name}: {told}");
    }
    assert!(begun(&to(5), &busy()).is_ok(), "nobody stops");
}

fn number(replicas: u32, current: u32) -> Wish {
    Wish { number: Some(Number { replicas, current: Some(current), volumes: Volumes::Refuse }), ..Goal::Scale.into() }
}

#[test]
fn of_a_replicating_set_nobody_leaves_who_is_needed() {
    let seen = healthy_replication();
    assert_eq!(ids(&plan(&seen, &begun(&to(1), &seen).unwrap()).unwrap()), ["stop db-2", "stop db-1"]);
    let mut moved = healthy_replication();
    let channel = server_of(&mut moved, 1).channels.clone();
    for ordinal in 0..3 {
        server_of(&mut moved, ordinal).channels = if ordinal == 2 { Vec::new() } else { channel.clone() };
        server_of(&mut moved, ordinal).read_only = ordinal != 2;
        for channel in &mut server_of(&mut moved, ordinal).channels {
            channel.source_host = "db-2.db".to_owned();
        }
    }
    let refused = begun(&to(2), &moved).unwrap_err();
    assert!(refused.starts_with("MDB754 db-2 is the primary of db"), "{refused}");
    let mut chain = healthy_replication();
    server_of(&mut chain, 1).channels[0].source_host = "db-2.db".to_owned();
    assert!(begun(&to(2), &chain).unwrap_err().starts_with("MDB754"), "db-1 copies from it");
    let mut broken = healthy_replication();
    server_of(&mut broken, 1).channels[0].sql_running = false;
    assert!(begun(&to(2), &broken).unwrap_err().starts_with("MDB754"), "nobody else follows");
}

#[test]
fn the_operator_is_asked_by_its_own_object() {
    let owned = |mode| {
        let mut seen = healthy_galera();
        let mut view = operator_view();
        view.spec.mode = mode;
        let (group, name) = (view.group, view.name.clone());
        seen.objects.stateful_set.owner = Some(crate::model::kubernetes::Owner {
            api_version: "k8s.mariadb.com/v1alpha1".to_owned(),
            kind: "MariaDB".to_owned(),
            name: name.clone(),
            uid: view.uid.clone(),
        });
        let unasked = || Fact::Unknown(Why::NotAsked);
        let (backups, deployments) = (unasked(), Fact::Unknown(Why::NotAsked));
        let operator = Operator { group, name, owns: true, view: Fact::Known(view), backups, deployments };
        seen.objects.manager = Manager::Operator(Box::new(operator));
        seen
    };
    for (mode, replicas, patch) in [
        (Mode::Galera, 5, Some("{\"spec\":{\"replicas\":5}}")),
        (Mode::Galera, 4, Some("{\"spec\":{\"replicas\":4,\"replicasAllowEvenNumber\":true}}")),
        (Mode::Replication, 1, None),
        (Mode::Galera, 1, None),
        (Mode::Standalone, 3, None),
    ] {
        let refusal =
            crate::decide::operation::scale::kind::operated(&owned(mode), Range { start: 0, replicas: 3 }, replicas).unwrap();
        let told = format!("{:?}", refusal.by_hand);
        let words = patch.map(|patch| format!("{patch:?}"));
        assert_eq!(refusal.rule.code, "MDB745");
        assert_eq!(told.contains("mariadbs.k8s.mariadb.com"), patch.is_some(), "{mode:?} {replicas}: {told}");
        assert!(words.is_none_or(|words| told.contains(&words)), "{mode:?} {replicas}: {told}");
    }
    assert!(begun(&to(5), &owned(Mode::Galera)).unwrap_err().starts_with("MDB745"));
}

#[test]
fn members_come_one_by_one() {
    let mut seen = healthy_galera();
    let mut memo = begun(&to(5), &seen).unwrap();
    let first = plan(&seen, &memo).unwrap();
    assert_eq!(ids(&first), ["start db-3", "start db-4"]);
    let notes = first.notes.join("\n");
    assert!(notes.contains("db-3, db-4 take a full copy") && notes.contains("With 5 members 2 may fail"), "{notes}");
    // The range is longer, and nobody is there yet.
    let longer = Range { start: 0, replicas: 4 };
    memo.ranges = vec![longer];
    seen.objects.stateful_set.replicas = 4;
    let server = Fact::Unknown(Why::NotRunning("no pod".to_owned()));
    let files = Fact::Unknown(Why::NotRunning("no pod".to_owned()));
    seen.members.insert(Ordinal(3), crate::model::snapshot::Member { pod: None, server, files });
    assert_eq!(plan(&seen, &memo), Err("db-3 has no pod yet".to_owned()));
    seen.members.get_mut(&Ordinal(1)).unwrap().pod.as_mut().unwrap().ready = false;
    assert!(plan(&seen, &memo).unwrap_err().contains("db-1 is not Ready"));
    seen.members.get_mut(&Ordinal(1)).unwrap().pod.as_mut().unwrap().ready = true;
    let mut waits = pod(3);
    (waits.ready, waits.node, waits.unscheduled) = (false, None, Some("Unschedulable: 0/3 nodes are available".to_owned()));
    waits.containers.clear();
    seen.members.get_mut(&Ordinal(3)).unwrap().pod = Some(waits);
    assert_eq!(plan(&seen, &memo), Err("db-3 finds no node: Unschedulable: 0/3 nodes are available".to_owned()));
    // When that is given up, it may find one hours later.
    assert_eq!(set_back(&seen, &memo), Some(Range { start: 0, replicas: 3 }));
    assert_eq!(set_back(&seen, &Memo { scale: None, ..memo.clone() }), None);
}

#[test]
fn a_newcomer_that_never_joined_may_go_and_one_that_takes_a_copy_stays() {
    let mut seen = healthy_galera();
    let memo = begun(&to(4), &seen).unwrap();
    let step = plan(&seen, &memo).unwrap().steps.remove(0);
    let mut operation = operation_of(memo, &step);
    seen.objects.stateful_set.replicas = 4;
    let mut crashes = crate::model::testing::member(3, server_of(&mut healthy_galera(), 2).clone());
    crashes.server = Fact::Unknown(Why::NotRunning("CrashLoopBackOff".to_owned()));
    crashes.pod.as_mut().unwrap().containers.clear();
    seen.members.insert(Ordinal(3), crashes);
    let Decision::Go(back) = undo(&seen, &operation) else { panic!("{:?}", undo(&seen, &operation)) };
    assert_eq!(ids(&back), ["back to replicas 3, ordinals.start 0"]);
    // The others count it: a transfer is under way.
    let mut row = galera_of(&mut seen, 0).view[2].clone();
    (row.uuid, row.name) = (Uuid::from_u128(77), "db-3".to_owned());
    for ordinal in 0..3 {
        galera_of(&mut seen, ordinal).view.push(row.clone());
    }
    assert!(matches!(undo(&seen, &operation), Decision::Wait { .. }));
    // Deleted volumes do not come back.
    operation.begun[0].no_return = true;
    let Decision::Refuse(refusal) = undo(&seen, &operation) else { panic!("it goes back") };
    assert_eq!(refusal.rule.code, "MDB718");
}

fn operation_of(memo: Memo, step: &Step) -> Operation {
    let mut operation = Operation {
        goal: Goal::Scale,
        aborting: false,
        holder: None,
        beat: 0,
        stop_asked: false,
        started: noon(),
        renewed: noon(),
        plan: Plan::default(),
        memo,
        begun: vec![Begun::new(step, noon())],
    };
    operation.aborting = true;
    operation
}
