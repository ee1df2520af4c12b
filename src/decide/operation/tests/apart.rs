//! One that ended alone in a primary component, and the ones that may have been with it there: only the files of the first say so,
//! and the writes before the founder starts take that out of them.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::decide::operation::memo::{Founder, Memo, Recovery};
use crate::decide::operation::plan::{Action, Decision, Plan, Range};
use crate::decide::operation::{Goal, decide};
use crate::model::disk::{Disk, Process, StateFile};
use crate::model::fact::Fact;
use crate::model::grastate::Grastate;
use crate::model::names::Ordinal;
use crate::model::position::Position;
use crate::model::recovered::{Recovered, RecoveredBy};
use crate::model::snapshot::Snapshot;
use crate::model::testing::{disk, healthy_galera};

const HISTORY: Uuid = uuid::uuid!("2ec812f1-e4f6-11f1-ad8a-7a5c33de3170");
const FOUNDER: Founder = Founder { ordinal: Ordinal(2), state_uuid: HISTORY };

/// All were stopped cleanly, db-2 further than the others. `alone`: whose flag says so.
fn outage(seqnos: [u64; 3], alone: usize) -> (Snapshot, Memo) {
    let mut seen = healthy_galera();
    let mut memo = Memo::new(&seen);
    let files = (0..3).zip(seqnos).map(|(ordinal, seqno)| {
        let safe_to_bootstrap = Some(ordinal as usize == alone);
        let state = Grastate { version: None, uuid: HISTORY, seqno: Some(seqno), safe_to_bootstrap };
        let files =
            Disk { grastate: StateFile::Parsed(state), gvwstate: StateFile::Absent, process: Process::None, ..disk(None) };
        (Ordinal(ordinal), files)
    });
    memo.recovery.files = files.collect::<BTreeMap<_, _>>();
    seen.objects.stateful_set.replicas = 0;
    memo.ranges = vec![Range::of(&seen.objects.stateful_set)];
    memo.founder = Some(FOUNDER);
    seen.members.clear();
    (seen, memo)
}

fn plan(seen: &Snapshot, memo: &Memo) -> Plan {
    match decide(Goal::Recover, seen, memo) {
        Ok(Decision::Go(plan)) => plan,
        other => panic!("{other:?}"),
    }
}

/// What somebody knows who begins with the files as they are by now.
fn read_anew(seen: &Snapshot, memo: &mut Memo, seqnos: [u64; 3]) {
    memo.founder = None;
    memo.recovery = Recovery { files: memo.recovery.files.clone(), ..Recovery::default() };
    if let Action::Recover { datadirs } = &plan(seen, memo).steps[0].act {
        let told = datadirs.keys().map(|ordinal| {
            let position = Position { uuid: HISTORY, seqno: Some(seqnos[ordinal.0 as usize]), gtid: None };
            (*ordinal, Recovered { by: RecoveredBy::Helper, position: Fact::Known(position) })
        });
        memo.recovery.positions = told.collect();
    }
}

#[test]
fn whoever_may_have_been_with_it_is_not_forgotten_between_two_writes() {
    for (seqnos, alone) in [([150, 149, 200], 0), ([149, 150, 200], 1)] {
        for dies in [false, true] {
            let (seen, mut memo) = outage(seqnos, alone);
            let mut written = Vec::new();
            for _ in 0..4 {
                if dies {
                    read_anew(&seen, &mut memo, seqnos);
                }
                let next = plan(&seen, &memo).steps.into_iter().find_map(|step| match step.act {
                    Action::Write { ordinal, change, .. } => Some((ordinal, change.after.unwrap())),
                    _ => None,
                });
                let Some((ordinal, after)) = next else { break };
                written.push((ordinal.0, after.uuid));
                memo.recovery.files.get_mut(&ordinal).unwrap().grastate = StateFile::Parsed(after);
            }
            let last = u32::try_from(alone).unwrap();
            assert_eq!(written.last(), Some(&(last, Uuid::nil())), "{written:?}");
            written.sort_unstable();
            assert_eq!(written, [(0, Uuid::nil()), (1, Uuid::nil()), (2, HISTORY)], "died: {dies}");
        }
    }
}
