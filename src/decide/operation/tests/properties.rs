//! From every cut point: what was begun reaches its end, or is taken back exactly.

use proptest::prelude::*;

use crate::decide::operation::journal::{Operation, Stopped};
use crate::decide::operation::plan::{Action, Decision, Plan, Range, Refusal};
use crate::decide::operation::{Beginning, Goal, begin, decide, undo};
use crate::model::names::Ordinal;
use crate::model::testing::noon;

use super::nobody;
use super::small::{Small, history};

/// Before what whoever carries it out dies, in the step of this number.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    Begin,
    Act,
    Answer,
}

#[derive(Debug)]
enum End {
    Done,
    Refused(Refusal),
    Dead,
}

/// As `carry_out` does it, on the small world; `ticks`: how much happens between two looks.
fn carry_out(small: &mut Small, operation: &mut Operation, ticks: &[usize], cut: Option<(usize, Cut)>) -> End {
    let mut steps = 0;
    for turn in 0..400 {
        (0..ticks[turn % ticks.len()]).for_each(|_| small.tick());
        let before = small.members();
        let seen = small.snapshot();
        let decision =
            if operation.aborting { undo(&seen, operation) } else { decide(operation.goal, &seen, &operation.memo).unwrap() };
        let plan = match decision {
            Decision::Done => return End::Done,
            Decision::Wait { .. } => continue,
            Decision::Refuse(refusal) => return End::Refused(refusal),
            Decision::Go(plan) => plan,
        };
        assert!(operation.aborting || plan.is_within(&operation.plan), "{plan:?}");
        let dies = |at| cut == Some((steps, at));
        if dies(Cut::Begin) {
            return End::Dead;
        }
        let step = &plan.steps[0];
        assert!(small.leaves() == 0 || step.act.range().is_none(), "another one is still leaving: {plan:?}");
        operation.begin(step, noon());
        if dies(Cut::Act) {
            return End::Dead;
        }
        let learned = small.act(&step.act);
        // Whoever stays is a majority of those who were there: they go one at a time, and say so (safety D1).
        assert!(small.leaves() <= 1, "two leave at once: {step:?}");
        if dies(Cut::Answer) {
            return End::Dead;
        }
        if let Some((_, to)) = step.act.range() {
            operation.memo.ranges = vec![to];
        }
        operation.memo.closed.extend(learned);
        operation.memo.recorded |= matches!(step.act, Action::Record { .. } | Action::Forget);
        assert!(before.len() > 1 || !matches!(step.act, Action::EndBootstrap { .. }), "the only member is stopped");
        steps += 1;
    }
    panic!("it does not end: {operation:?}");
}

fn begun(goal: Goal, small: &Small, stopped: Option<&Stopped>) -> Operation {
    let seen = small.snapshot();
    let memo = match begin(&goal.into(), &seen, &nobody(), stopped) {
        Ok(Beginning::Begin(memo)) => *memo,
        Ok(Beginning::Refuse(refusal)) => panic!("{refusal:?}"),
        Ok(Beginning::Nothing(why) | Beginning::Wait { why, .. }) => panic!("{why}"),
        Err(why) => panic!("{why}"),
    };
    let plan: Plan = match decide(goal, &seen, &memo) {
        Ok(Decision::Go(plan)) => plan,
        other => panic!("{other:?}"),
    };
    Operation {
        goal,
        aborting: false,
        holder: None,
        beat: 0,
        stop_asked: false,
        started: noon(),
        renewed: noon(),
        plan,
        memo,
        begun: Vec::new(),
    }
}

/// As the journal keeps it.
fn written(operation: &Operation) -> Operation {
    serde_json::from_str(&serde_json::to_string(operation).unwrap()).unwrap()
}

fn record(full: Range, small: &Small, last: Ordinal) -> Stopped {
    let image = small.snapshot().objects.stateful_set.layout.image;
    Stopped {
        at: noon(),
        by: "someone".to_owned(),
        range: full,
        deleted_claims: false,
        last,
        state_uuid: history(),
        positions: small.kept.disks.clone(),
        images: std::collections::BTreeMap::new(),
        image,
        steering: None,
    }
}

fn cut() -> impl Strategy<Value = Option<(usize, Cut)>> {
    let at = prop_oneof![Just(Cut::Begin), Just(Cut::Act), Just(Cut::Answer)];
    prop_oneof![1 => Just(None), 8 => (0..12usize, at).prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_cut_leads_to_the_end_or_back(
        (replicas, start) in (2..6u32, 0..3u32),
        last in 0..6u32,
        (stops, deletes, back, twice) in (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        first in cut(),
        second in cut(),
        ticks in prop::collection::vec(0..4usize, 1..5).prop_filter("time goes on", |ticks| ticks.iter().any(|tick| *tick > 0)),
    ) {
        let full = Range { start, replicas };
        let last = Ordinal(start + last % replicas);
        let mut small = if stops { Small::new(full, deletes) } else { Small::stopped(full, last) };
        let (goal, stopped) = if stops { (Goal::Stop, None) } else { (Goal::Start, Some(record(full, &small, last))) };
        let before = small.kept.clone();
        let mut operation = begun(goal, &small, stopped.as_ref());
        let mut end = carry_out(&mut small, &mut operation, &ticks, first);
        if matches!(end, End::Dead) && twice {
            operation = written(&operation);
            end = carry_out(&mut small, &mut operation, &ticks, second);
        }
        if matches!(end, End::Dead) {
            operation = written(&operation);
            operation.aborting = back;
            end = carry_out(&mut small, &mut operation, &ticks, None);
        }
        let no_return = operation.begun.iter().any(|step| step.no_return);
        match end {
            End::Done if operation.aborting => {
                prop_assert!(!no_return);
                prop_assert_eq!((small.kept.range, small.kept.deletes), (before.range, before.deletes));
                prop_assert_eq!(&small.kept.running, &before.running);
                if goal == Goal::Start {
                    prop_assert_eq!(&small.kept.disks, &before.disks, "the files are touched");
                }
                return Ok(());
            }
            End::Refused(refusal) => {
                prop_assert!(operation.aborting && no_return && refusal.rule.code == "MDB718", "{refusal:?}");
                operation.aborting = false;
                let end = carry_out(&mut small, &mut operation, &ticks, None);
                prop_assert!(matches!(end, End::Done), "{end:?}");
            }
            End::Done => {}
            End::Dead => prop_assert!(false, "it died without a cut"),
        }
        prop_assert!(!small.has_founder(), "the bootstrap pod is left");
        let whole = full.ordinals().collect();
        if goal == Goal::Stop {
            prop_assert_eq!((small.kept.range, small.members().len()), (full.with(0), 0));
        } else {
            prop_assert_eq!((small.kept.range, small.members()), (full, whole));
        }
    }
}
