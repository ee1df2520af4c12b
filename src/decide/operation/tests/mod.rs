mod apart;
mod properties;
mod small;
mod unread;

use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::testing::{healthy_galera, healthy_replication};

use super::plan::{Action, Decision, Loss, Plan, Range, Step};
use super::{Beginning, Goal, begin, custody::Custody, decide, true_range};
use crate::decide::finding::NextCommand;
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::UpdateStrategy;

fn nobody() -> Custody {
    Custody { gitops: None, helm: None, horizontal: Fact::Known(Vec::new()), vertical: Fact::Unknown(Why::NotAsked) }
}

fn plan(ids: &[&str]) -> Plan {
    let steps = ids.iter().map(|id| Step::new(*id, *id, Action::Forget)).collect();
    Plan { steps, ..Plan::default() }
}

#[test]
fn a_plan_is_within_another_if_it_does_the_same_in_the_same_order_or_less() {
    let confirmed = plan(&["a", "b", "c"]);
    for ids in [&["a", "b", "c"][..], &["b", "c"], &["a", "c"], &[]] {
        assert!(plan(ids).is_within(&confirmed), "{ids:?}");
    }
    for ids in [&["c", "a"][..], &["d"], &["a", "b", "c", "c"]] {
        assert!(!plan(ids).is_within(&confirmed), "{ids:?}");
    }
    let loss = Plan { losses: vec![Loss("seqno 5..7 on db-1".to_owned())], ..plan(&["a"]) };
    assert!(!loss.is_within(&confirmed), "a new loss was not agreed to");
    assert!(plan(&["a"]).is_within(&Plan { losses: loss.losses, ..confirmed }));
}

fn memo_of(seen: &Snapshot) -> super::memo::Memo {
    match begin(&Goal::Stop.into(), seen, &nobody(), None) {
        Ok(Beginning::Begin(memo)) => *memo,
        Ok(Beginning::Refuse(refusal)) => panic!("refused: {refusal:?}"),
        Ok(Beginning::Nothing(why) | Beginning::Wait { why, .. }) => panic!("{why}"),
        Err(why) => panic!("{why}"),
    }
}

#[test]
fn a_healthy_cluster_stops_from_the_top_and_the_lowest_is_the_last() {
    let seen = healthy_galera();
    let memo = memo_of(&seen);
    assert_eq!(memo.founder.map(|founder| founder.ordinal), Some(Ordinal(0)));
    let Ok(Decision::Go(plan)) = decide(Goal::Stop, &seen, &memo) else { panic!("no plan") };
    let ids: Vec<&str> = plan.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["stop db-2", "stop db-1", "stop db-0", "read the state files", "write it down"]);
    let without_return: Vec<bool> = plan.steps.iter().map(|step| step.no_return).collect();
    assert_eq!(without_return, [false, false, true, false, false]);
}

#[test]
fn a_range_that_somebody_else_wrote_ends_the_operation() {
    let mut seen = healthy_galera();
    let memo = memo_of(&seen);
    seen.objects.stateful_set.replicas = 5;
    let Ok(Decision::Refuse(refusal)) = decide(Goal::Stop, &seen, &memo) else { panic!("it goes on") };
    assert_eq!(refusal.rule.code, "MDB712");
}

#[test]
fn replication_is_refused_before_anything_is_touched() {
    let Ok(Beginning::Refuse(refusal)) = begin(&Goal::Stop.into(), &healthy_replication(), &nobody(), None) else {
        panic!("it begins")
    };
    assert_eq!(refusal.rule.code, "MDB710");
}

#[test]
fn the_true_range_is_that_of_the_highest_pod_that_stays() {
    let mut seen = healthy_galera();
    assert_eq!(true_range(&seen), None);
    seen.objects.stateful_set.replicas = 2;
    assert_eq!(true_range(&seen), Some(Range { start: 0, replicas: 3 }), "nobody has stopped db-2 yet");
    seen.members.remove(&Ordinal(2));
    assert_eq!(true_range(&seen), None);
    // The lowest is missing while the others run: they must not be stopped.
    seen.objects.stateful_set.replicas = 3;
    seen.members.remove(&Ordinal(0));
    assert_eq!(true_range(&seen), Some(Range { start: 0, replicas: 2 }));
}

/// A set at 0 forgets its older revision, so a recovery waits until somebody has said that all are to have the newest.
#[test]
fn a_paused_rollout_is_in_the_way_of_a_recovery_until_it_is_said_what_all_come_back_with() {
    let mut seen = healthy_galera();
    seen.objects.stateful_set.current_revision = "db-old".to_owned();
    seen.objects.stateful_set.update_revision = "db-new".to_owned();
    for (ordinal, revision) in [(0, "db-old"), (1, "db-old"), (2, "db-new")] {
        seen.members.get_mut(&Ordinal(ordinal)).unwrap().pod.as_mut().unwrap().revision = Some(revision.to_owned());
    }
    let refused = |seen: &Snapshot, goal: Goal| match begin(&goal.into(), seen, &nobody(), None) {
        Ok(Beginning::Refuse(refusal)) => Some(refusal),
        _ => None,
    };
    for (strategy, way) in [
        (UpdateStrategy::RollingUpdate { partition: 2 }, "patch statefulset db --type=json"),
        (UpdateStrategy::OnDelete, "delete pod db-0 db-1"),
    ] {
        seen.objects.stateful_set.update_strategy = strategy;
        let refusal = refused(&seen, Goal::Recover).unwrap();
        assert_eq!(refusal.rule.code, "MDB707");
        let NextCommand::Kubectl(words) = &refusal.by_hand[0] else { panic!("{refusal:?}") };
        assert!(words.join(" ").starts_with(way), "{words:?}");
        assert!(refusal.because.contains(&"revision of db-2: db-new".to_owned()), "{refusal:?}");
    }
    seen.objects.stateful_set.update_strategy = UpdateStrategy::RollingUpdate { partition: 0 };
    assert!(refused(&seen, Goal::Recover).is_none(), "everybody gets the newest one, and that was said");
    assert_eq!(refused(&seen, Goal::Stop).map(|refusal| refusal.rule.code), Some("MDB707"), "it can finish by itself");
}
