//! Who was killed at the end of the grace period, who was not, and what cannot be told.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan as _};

use super::{Departure, acknowledge, heeded, notice, told};
use crate::decide::operation::memo::Memo;
use crate::decide::operation::plan::{Action, Decision, Plan, Step};
use crate::model::fact::Fact;
use crate::model::kubernetes::{ContainerEnd, ContainerState, NodeReady, Pod};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::testing::{healthy_galera, noon};

/// Seconds after the pod was asked to go.
fn at(seconds: i64) -> Timestamp {
    noon() + seconds.seconds()
}

fn pod(seen: &mut Snapshot) -> &mut Pod {
    seen.members.get_mut(&Ordinal(2)).unwrap().pod.as_mut().unwrap()
}

/// A look at `db-2` on its way out: it has 30 s.
fn going(seconds: i64) -> Snapshot {
    let mut seen = healthy_galera();
    seen.taken = at(seconds);
    let pod = pod(&mut seen);
    (pod.deletion, pod.deletion_grace) = (Some(at(30)), Some(30));
    seen
}

fn ended(seconds: i64, exit_code: i32, reason: &str) -> Snapshot {
    let mut seen = going(seconds);
    let end = ContainerEnd { exit_code, signal: None, reason: reason.to_owned(), started: None, at: None };
    pod(&mut seen).containers[0].state = ContainerState::Terminated(end);
    seen
}

fn replaced(created: i64) -> Snapshot {
    let mut seen = healthy_galera();
    seen.taken = at(created + 5);
    let pod = pod(&mut seen);
    (pod.uid, pod.created) = ("another".to_owned(), at(created));
    seen
}

fn absent(seconds: i64) -> Snapshot {
    let mut seen = going(seconds);
    seen.members.get_mut(&Ordinal(2)).unwrap().pod = None;
    seen
}

fn with(mut seen: Snapshot, change: fn(&mut Snapshot)) -> Snapshot {
    change(&mut seen);
    seen
}

fn after(looks: &[Snapshot]) -> BTreeMap<Ordinal, Departure> {
    let mut departures = BTreeMap::new();
    for look in looks {
        notice(&mut departures, look);
        assert!(!notice(&mut departures, look), "the same look once more is no news");
    }
    departures
}

#[test]
fn only_who_was_there_at_the_end_and_did_not_end_by_itself_was_killed() {
    let silent = |seen: &mut Snapshot| {
        let node = pod(seen).node.clone().unwrap();
        let Fact::Known(nodes) = &mut seen.objects.nodes else { panic!("no nodes") };
        nodes.iter_mut().find(|own| own.name == node).unwrap().ready = NodeReady::Silent { since: None };
    };
    let removed = |seen: &mut Snapshot| (pod(seen).deletion, pod(seen).deletion_grace) = (Some(noon()), Some(0));
    for (what, looks, took, killed) in [
        ("it stops in time", vec![going(1), replaced(4)], Some(4), false),
        ("a second before the end", vec![going(1), replaced(29)], Some(29), false),
        ("it was killed, and nobody saw how it ended", vec![going(1), replaced(30)], Some(30), true),
        ("it was killed", vec![going(1), ended(30, 137, "Error"), replaced(31)], Some(31), true),
        ("it had stopped, its volume took long", vec![going(1), ended(3, 0, "Completed"), replaced(40)], Some(40), false),
        ("its memory ran out", vec![going(1), ended(30, 137, "OOMKilled"), replaced(31)], Some(31), false),
        ("killed by somebody before", vec![going(1), ended(3, 137, "Error"), replaced(4)], Some(4), false),
        ("nobody in its place for long", vec![going(1), absent(5), replaced(90)], Some(4), false),
        ("seen for as long as it had", vec![going(1), going(30), absent(31), replaced(90)], Some(30), true),
        ("the kubelet removes it", vec![going(1), with(ended(3, 0, "Completed"), removed), replaced(4)], Some(4), false),
        ("its node was silent", vec![going(1), with(going(20), silent), replaced(600)], Some(600), false),
        ("still there", vec![going(1), going(40)], None, false),
    ] {
        let departures = after(&looks);
        let departure = &departures[&Ordinal(2)];
        assert_eq!(departure.gone.map(|gone| gone.after_seconds), took, "{what}");
        assert_eq!(departure.outstayed(), killed, "{what}");
    }
    let hurried = |seen: &mut Snapshot| (pod(seen).deletion, pod(seen).deletion_grace) = (Some(at(2)), Some(2));
    let departures = after(&[with(going(1), hurried), replaced(3)]);
    assert!(!departures[&Ordinal(2)].outstayed(), "somebody gave it less than it has");
    let waits = |seen: &mut Snapshot| {
        let state = ContainerState::Waiting { reason: "CrashLoopBackOff".into(), message: String::new() };
        pod(seen).containers[0].state = state;
    };
    assert!(after(&[with(going(1), waits), replaced(60)]).is_empty(), "no server ran in it");
}

fn memo(looks: &[Snapshot]) -> Memo {
    Memo { departures: after(looks), ..Memo::new(&healthy_galera()) }
}

fn go(act: Action) -> Decision {
    Decision::Go(Plan { steps: vec![Step::new("next", "next", act)], ..Plan::default() })
}

#[test]
fn nobody_else_is_taken_before_somebody_was_told() {
    let seen = healthy_galera();
    let (open, evict) = ([Ordinal(1), Ordinal(0)], || go(Action::Evict { ordinal: Ordinal(1) }));
    let mut killed = memo(&[going(1), ended(30, 137, "Error"), replaced(31)]);
    let Decision::Refuse(refusal) = heeded(&seen, &killed, evict(), &open) else { panic!("db-1 is taken") };
    assert_eq!(refusal.rule.code, "MDB743");
    assert_eq!(refusal.summary, "db-2 was still there when its grace period of 30 s was over, so db-1 is not taken yet");
    assert!(refusal.because.iter().any(|line| line == "exit code of the server of db-2: 137 (SIGKILL)"), "{refusal:?}");
    // What completes the pod that was replaced is done.
    let Decision::Go(_) = heeded(&seen, &killed, go(Action::Convert { ordinal: Ordinal(2) }), &open) else { panic!("not done") };
    let Decision::Go(_) = heeded(&seen, &killed, evict(), &[]) else { panic!("nobody else would go") };
    assert!(told(&killed).is_some_and(|text| text.contains("MDB743")));

    acknowledge(&mut killed);
    let Decision::Go(plan) = heeded(&seen, &killed, evict(), &open) else { panic!("whoever goes on was told") };
    let told = "db-2 was still there when its grace period of 30 s was over: a server of those that follow that takes as long to \
                stop is killed, too.";
    assert_eq!(plan.notes, [told]);

    // Being told of one is not being told of the next one.
    let mut next = after(&[going(1), replaced(31)]);
    let Some(next) = next.remove(&Ordinal(2)) else { panic!("it went") };
    killed.departures.insert(Ordinal(1), Departure { pod: "db-1".into(), ..next });
    let Decision::Refuse(refusal) = heeded(&seen, &killed, evict(), &[Ordinal(0)]) else { panic!("db-0 is taken") };
    assert!(refusal.because.iter().any(|line| line.contains("not seen")), "{refusal:?}");
}

#[test]
fn being_told_before_it_has_gone_is_no_consent() {
    let mut memo = memo(&[going(1)]);
    acknowledge(&mut memo);
    notice(&mut memo.departures, &replaced(31));
    let decision = heeded(&healthy_galera(), &memo, go(Action::Evict { ordinal: Ordinal(1) }), &[Ordinal(1)]);
    assert!(matches!(decision, Decision::Refuse(_)), "{decision:?}");
}

#[test]
fn a_plan_says_how_long_a_server_may_take() {
    let (open, act) = ([Ordinal(1), Ordinal(0)], || go(Action::Evict { ordinal: Ordinal(1) }));
    let notes = |seen: &Snapshot, memo: &Memo| match heeded(seen, memo, act(), &open) {
        Decision::Go(plan) => plan.notes,
        other => panic!("{other:?}"),
    };
    let mut seen = healthy_galera();
    let unmeasured = "A server may take 30 s to stop (terminationGracePeriodSeconds), then it is killed; how long it takes is \
                      measured at the first pod.";
    assert_eq!(notes(&seen, &memo(&[])), [unmeasured]);
    let measured = memo(&[going(1), replaced(4)]);
    let text = notes(&seen, &measured).concat();
    assert!(text.ends_with("then it is killed; the longest took 4 s so far (db-2)."), "{text}");
    assert_eq!(told(&measured).unwrap(), "The longest that a pod took to go was 4 s, of the 30 s it had (db-2).");
    seen.members.get_mut(&Ordinal(0)).unwrap().pod.as_mut().unwrap().grace = Some(300);
    assert!(notes(&seen, &measured).concat().contains("30 to 300 s"));
    for member in seen.members.values_mut() {
        member.pod.as_mut().unwrap().grace = None;
    }
    assert!(notes(&seen, &measured).is_empty(), "what is not known is not said");
}
