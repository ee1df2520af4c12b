//! A member of which nothing can be read: nobody is elected over it, and it is given up only by the words that name its volume.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::decide::operation::memo::{Choice, Founder, Memo, Recovery};
use crate::decide::operation::plan::{Action, Decision, Loss, Plan, Range, Refusal};
use crate::decide::operation::{Goal, decide};
use crate::model::disk::{Disk, Process, StateFile};
use crate::model::fact::{Fact, Why};
use crate::model::grastate::Grastate;
use crate::model::names::Ordinal;
use crate::model::position::Position;
use crate::model::recovered::{Recovered, RecoveredBy};
use crate::model::snapshot::Snapshot;
use crate::model::testing::healthy_galera;

const HISTORY: Uuid = uuid::uuid!("2ec812f1-e4f6-11f1-ad8a-7a5c33de3170");
const WORDS: &str = "db-2:unread:pv-2";

/// Nothing runs; db-0 and db-1 were killed, and the files of db-2 could not be read.
fn outage(choice: Option<(u32, Option<&str>)>) -> (Snapshot, Memo) {
    let mut seen = healthy_galera();
    let mut memo = Memo::new(&seen);
    let disk = || -> Disk {
        let Fact::Known(mut disk) = healthy_galera().members[&Ordinal(0)].files.clone() else { panic!("files") };
        let state = Grastate { version: None, uuid: HISTORY, seqno: None, safe_to_bootstrap: Some(false) };
        (disk.grastate, disk.process) = (StateFile::Parsed(state), Process::None);
        disk
    };
    let choice = choice
        .map(|(ordinal, accepted)| Choice { ordinal: Ordinal(ordinal), accepted: accepted.map(|words| Loss(words.to_owned())) });
    let files = BTreeMap::from([(Ordinal(0), disk()), (Ordinal(1), disk())]);
    let unread = BTreeMap::from([(Ordinal(2), Why::Failed("its helper pod did not start".to_owned()))]);
    memo.recovery = Recovery { choice, files, unread, ..Recovery::default() };
    seen.objects.stateful_set.replicas = 0;
    memo.ranges = vec![Range::of(&seen.objects.stateful_set)];
    seen.members.clear();
    (seen, memo)
}

fn recovered(memo: &mut Memo, seqnos: [u64; 2]) {
    memo.recovery.positions = (0..2)
        .map(|ordinal| {
            let position = Position { uuid: HISTORY, seqno: Some(seqnos[ordinal as usize]), gtid: None };
            (Ordinal(ordinal), Recovered { by: RecoveredBy::Helper, position: Fact::Known(position) })
        })
        .collect();
}

fn plan(seen: &Snapshot, memo: &Memo) -> Plan {
    match decide(Goal::Bootstrap, seen, memo) {
        Ok(Decision::Go(plan)) => plan,
        other => panic!("{other:?}"),
    }
}

fn refusal(seen: &Snapshot, memo: &Memo) -> Refusal {
    match decide(if memo.recovery.choice.is_some() { Goal::Bootstrap } else { Goal::Recover }, seen, memo) {
        Ok(Decision::Refuse(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.id.as_str()).collect()
}

fn commands(refusal: &Refusal) -> String {
    format!("{:?}", refusal.by_hand)
}

#[test]
fn nobody_is_elected_over_what_could_not_be_read_and_the_way_out_is_named() {
    let (seen, mut memo) = outage(None);
    let refused = refusal(&seen, &memo);
    assert_eq!(refused.rule.code, "MDB723");
    assert!(refused.because.iter().any(|why| why.contains("db-2 (its helper pod did not start)")), "{refused:?}");
    assert!(commands(&refused).contains(&format!("db-0\", \"--accept-data-loss={WORDS}")), "{refused:?}");
    // Who is known to be further is the better one to name.
    recovered(&mut memo, [57, 60]);
    let refused = refusal(&seen, &memo);
    assert!(commands(&refused).contains(&format!("db-1\", \"--accept-data-loss={WORDS}")), "{refused:?}");
}

#[test]
fn it_is_given_up_by_its_own_words_only() {
    // Before positions are recovered: that writes (safety A4).
    for accepted in
        [None, Some("db-2:unread:pv-other"), Some("db-1:unread:pv-2"), Some("db-2:unknown"), Some("db-2:unread:pv-2,pv-1")]
    {
        let (seen, memo) = outage(Some((0, accepted)));
        let refused = refusal(&seen, &memo);
        assert_eq!(refused.rule.code, "MDB732", "{accepted:?}");
        assert!(refused.because[0].contains("whatever only db-2 holds"), "{refused:?}");
        assert!(commands(&refused).contains(&format!("--accept-data-loss={WORDS}\"")), "{refused:?}");
    }
    let (seen, mut memo) = outage(Some((0, Some(WORDS))));
    assert_eq!(ids(&plan(&seen, &memo)), ["recover positions"]);
    recovered(&mut memo, [60, 60]);
    let found = plan(&seen, &memo);
    assert_eq!((found.steps[0].id.as_str(), &found.losses), ("elect db-0", &vec![Loss(WORDS.to_owned())]));
    assert!(ids(&found).contains(&"mark db-2"), "it is confirmed with everything else: {:?}", ids(&found));
    let writes = |plan: &Plan| plan.steps.iter().any(|step| matches!(step.act, Action::Write { ordinal: Ordinal(2), .. }));
    assert!(!writes(&found), "nothing is written to what could not be read");
}

#[test]
fn what_another_one_has_more_is_named_beside_it() {
    let both = format!("db-1:58-60+{WORDS}");
    let (seen, mut memo) = outage(Some((0, Some(WORDS))));
    recovered(&mut memo, [57, 60]);
    let refused = refusal(&seen, &memo);
    assert!(refused.rule.code == "MDB732" && commands(&refused).contains(&both), "{refused:?}");
    let (seen, mut memo) = outage(Some((0, Some(&both))));
    assert_eq!(ids(&plan(&seen, &memo)), ["recover positions"]);
    recovered(&mut memo, [57, 60]);
    assert_eq!(plan(&seen, &memo).losses, [Loss(both)]);
    // Words for more than is lost fit another case.
    recovered(&mut memo, [60, 60]);
    assert_eq!(refusal(&seen, &memo).rule.code, "MDB732");
}

#[test]
fn it_never_founds_itself() {
    let (seen, memo) = outage(Some((2, Some(WORDS))));
    assert_eq!(refusal(&seen, &memo).rule.code, "MDB731");
}

/// With a position of its own it might take an incremental transfer, and keep rows that no other member has.
#[test]
fn it_is_marked_before_it_starts_so_that_it_takes_a_full_copy() {
    for (founder, marked_before) in [(0, "start db-2"), (1, "start db-2")] {
        let (mut seen, mut memo) = outage(Some((founder, Some(WORDS))));
        recovered(&mut memo, [60, 60]);
        memo.founder = Some(Founder { ordinal: Ordinal(founder), state_uuid: HISTORY });
        let steps = plan(&seen, &memo);
        let steps = ids(&steps);
        let mark = steps.iter().position(|id| *id == "mark db-2").unwrap_or_else(|| panic!("{steps:?}"));
        assert_eq!(steps[mark + 1], marked_before, "{steps:?}");
        assert_eq!(steps.iter().filter(|id| id.starts_with("mark ")).count(), 1, "{steps:?}");
        // A claim that is gone comes back empty.
        let Fact::Known(claims) = &mut seen.objects.claims else { panic!("known") };
        claims.retain(|claim| claim.name != "data-db-2");
        assert!(!ids(&plan(&seen, &memo)).contains(&"mark db-2"));
        // Not known is not gone.
        seen.objects.claims = Fact::Unknown(Why::NotAsked);
        assert!(ids(&plan(&seen, &memo)).contains(&"mark db-2"));
    }
}
