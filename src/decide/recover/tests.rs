//! Rows of the fault matrix, and the route out of each.

use uuid::Uuid;

use crate::decide::election::Outcome;
use crate::decide::operation::memo::{Choice, Memo};
use crate::decide::operation::plan::Decision;
use crate::decide::operation::{Goal, decide};
use crate::decide::rules::{galera as rule, kubernetes};
use crate::decide::verdict::tests::galera::{
    all_crash, inconsistent, limbo, no_sql_after_crash, nobody_primary, non_primary, out_of_view, transfer, two_left, zombie,
};
use crate::model::disk::{Disk, Process, StateFile};
use crate::model::fact::{Fact, Why};
use crate::model::grastate::Grastate;
use crate::model::gvwstate::Gvwstate;
use crate::model::kubernetes::{ContainerEnd, ContainerState, NodeReady};
use crate::model::position::Position;
use crate::model::recovered::{Recovered, RecoveredBy};
use crate::model::testing::{
    cut_off, healthy_galera, healthy_replication, moment, noon, server_of, silence, split_brain, zero_uuid,
};

use super::*;

const HISTORY: Uuid = uuid::uuid!("2ec812f1-e4f6-11f1-ad8a-7a5c33de3170");

/// A data directory after a kill (`None`), or after a clean stop there.
fn directory(seqno: Option<u64>) -> Disk {
    let seen = healthy_galera();
    let Fact::Known(mut disk) = seen.members[&Ordinal(0)].files.clone() else { panic!("files") };
    let state = Grastate { version: Some("2.1".to_owned()), uuid: HISTORY, seqno, safe_to_bootstrap: Some(false) };
    disk.grastate = StateFile::Parsed(state);
    disk.process = Process::None;
    if seqno.is_some() {
        disk.gvwstate = StateFile::Absent;
    }
    disk
}

fn recovered(seqno: u64) -> Recovered {
    let position = Position { uuid: HISTORY, seqno: Some(seqno), gtid: None };
    Recovered { by: RecoveredBy::Helper, position: Fact::Known(position) }
}

#[test]
fn who_founds_keeps_its_history_and_the_others_their_way_to_it() {
    let seen = healthy_galera();
    let files: BTreeMap<Ordinal, Disk> = (0..3).map(|ordinal| (Ordinal(ordinal), directory(None))).collect();
    let none = elect_at_rest(&seen, &files, &BTreeMap::new());
    assert_eq!(none.to_recover(&at_rest(&seen, &files)).len(), 3);
    assert_eq!(writes(Ordinal(1), &none, &files), BTreeMap::new(), "no position, nothing to write");
    let told: BTreeMap<Ordinal, Recovered> = [(0, 57), (1, 60), (2, 58)].map(|(n, at)| (Ordinal(n), recovered(at))).into();
    let election = elect_at_rest(&seen, &files, &told);
    assert!(matches!(election.outcome, Outcome::Elected { ordinal: Ordinal(1), .. }), "{:?}", election.outcome);
    let written: Vec<(u32, Option<u64>, Option<bool>)> = writes(Ordinal(1), &election, &files)
        .into_iter()
        .map(|(ordinal, change)| {
            let after = change.after.unwrap();
            assert_eq!((after.uuid, change.before), (HISTORY, files[&ordinal].grastate.parsed().cloned()));
            (ordinal.0, after.seqno, after.safe_to_bootstrap)
        })
        .collect();
    assert_eq!(written, [(0, Some(57), Some(false)), (1, Some(60), Some(true)), (2, Some(58), Some(false))]);
}

#[test]
fn files_of_a_clean_stop_change_only_where_the_founder_is_not_called_safe() {
    let seen = healthy_galera();
    let mut files: BTreeMap<Ordinal, Disk> =
        [(0, 58), (1, 57), (2, 56)].map(|(ordinal, seqno)| (Ordinal(ordinal), directory(Some(seqno)))).into();
    let election = elect_at_rest(&seen, &files, &BTreeMap::new());
    assert_eq!(writes(Ordinal(0), &election, &files).into_keys().collect::<Vec<_>>(), [Ordinal(0)]);
    let StateFile::Parsed(state) = &mut files.get_mut(&Ordinal(0)).unwrap().grastate else { panic!("parsed") };
    state.safe_to_bootstrap = Some(true);
    let election = elect_at_rest(&seen, &files, &BTreeMap::new());
    assert_eq!(writes(Ordinal(0), &election, &files), BTreeMap::new());
}

/// A joiner ahead of its group would abort, or go on with rows that nobody else has.
#[test]
fn who_is_ahead_of_a_chosen_founder_takes_a_full_copy() {
    let seen = healthy_galera();
    let files: BTreeMap<Ordinal, Disk> =
        [(0, 58), (1, 57), (2, 57)].map(|(ordinal, seqno)| (Ordinal(ordinal), directory(Some(seqno)))).into();
    let election = elect_at_rest(&seen, &files, &BTreeMap::new());
    let written: Vec<(u32, Uuid, Option<u64>)> = writes(Ordinal(1), &election, &files)
        .into_iter()
        .map(|(ordinal, change)| (ordinal.0, change.after.unwrap()))
        .map(|(ordinal, after)| (ordinal, after.uuid, after.seqno))
        .collect();
    assert_eq!(written, [(0, Uuid::nil(), None), (1, HISTORY, Some(57))]);
}

/// Somebody ran `pc.bootstrap` on the one that was behind: its write sets and the group's have the same numbers (safety A9).
#[test]
fn who_was_primary_apart_from_the_founder_takes_a_full_copy() {
    let seen = healthy_galera();
    let mut files: BTreeMap<Ordinal, Disk> =
        [(0, 58), (1, 58), (2, 56)].map(|(ordinal, seqno)| (Ordinal(ordinal), directory(Some(seqno)))).into();
    let StateFile::Parsed(state) = &mut files.get_mut(&Ordinal(2)).unwrap().grastate else { panic!("parsed") };
    state.safe_to_bootstrap = Some(true);
    let election = elect_at_rest(&seen, &files, &BTreeMap::new());
    assert!(matches!(election.outcome, Outcome::Elected { ordinal: Ordinal(0), .. }), "{:?}", election.outcome);
    let written = writes(Ordinal(0), &election, &files);
    let apart = written[&Ordinal(2)].after.as_ref().unwrap();
    assert_eq!((apart.uuid, apart.seqno, apart.safe_to_bootstrap), (Uuid::nil(), None, Some(false)));
    assert!(!written.contains_key(&Ordinal(1)));
    // Another one that is behind may have been with it.
    files.insert(Ordinal(1), directory(Some(57)));
    let election = elect_at_rest(&seen, &files, &BTreeMap::new());
    assert_eq!(writes(Ordinal(0), &election, &files)[&Ordinal(1)].after.as_ref().unwrap().seqno, None);
    let at = |ordinal: u32| election.candidates[&Ordinal(ordinal)].at().unwrap();
    assert_eq!(were_apart(at(0), &election, &files), [Ordinal(2)].into());
    // Nobody is behind it: it was the last of the same component.
    assert_eq!(were_apart(at(2), &election, &files), [].into());
    // Killed, its flag tells nothing, and its view does.
    let view = |members: u8| Gvwstate {
        my_uuid: Uuid::from_u128(7),
        view_uuid: Uuid::from_u128(7),
        view_number: 3,
        bootstrap: true,
        members: (0..members).map(|member| (Uuid::from_u128(7 + u128::from(member)), 0)).collect(),
    };
    files.get_mut(&Ordinal(2)).unwrap().gvwstate = StateFile::Parsed(view(3));
    assert_eq!(were_apart(at(0), &election, &files), [].into());
    files.get_mut(&Ordinal(2)).unwrap().gvwstate = StateFile::Parsed(view(1));
    assert_eq!(were_apart(at(0), &election, &files), [Ordinal(2)].into());
}

#[test]
fn nothing_is_written_into_what_must_not_be_trusted() {
    let seen = healthy_galera();
    let mut files: BTreeMap<Ordinal, Disk> =
        [(0, 58), (1, 57), (2, 56)].map(|(ordinal, seqno)| (Ordinal(ordinal), directory(Some(seqno)))).into();
    files.get_mut(&Ordinal(2)).unwrap().transfer_markers = vec!["sst_in_progress".to_owned()];
    files.get_mut(&Ordinal(1)).unwrap().grastate = StateFile::Empty;
    let told: BTreeMap<Ordinal, Recovered> = [(1, 58), (2, 58)].map(|(n, at)| (Ordinal(n), recovered(at))).into();
    let election = elect_at_rest(&seen, &files, &told);
    assert!(matches!(election.outcome, Outcome::Elected { ordinal: Ordinal(0), .. }), "A3: {:?}", election.outcome);
    assert_eq!(writes(Ordinal(0), &election, &files).into_keys().collect::<Vec<_>>(), [Ordinal(0)]);
}

fn founds(alive: &[u32]) -> Route {
    Route::Bootstrap { alive: alive.iter().copied().map(Ordinal).collect() }
}

fn refusal(seen: &Snapshot) -> &'static str {
    match route(seen) {
        Route::Refused(finding) => finding.rule.code,
        other => panic!("{other:?}"),
    }
}

fn waits(seen: &Snapshot) -> String {
    match route(seen) {
        Route::Wait { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

/// The container of this ordinal has ended, and its kubelet says so.
fn ended(seen: &mut Snapshot, ordinal: u32) {
    let member = seen.members.get_mut(&Ordinal(ordinal)).unwrap();
    let end = ContainerEnd { exit_code: 137, signal: None, reason: "Error".to_owned(), started: None, at: Some(noon()) };
    member.pod.as_mut().unwrap().containers[0].state = ContainerState::Terminated(end);
    member.server = Fact::Unknown(Why::NotRunning("the container has ended".to_owned()));
    member.files = Fact::Unknown(Why::NotRunning("the container has ended".to_owned()));
}

#[test]
fn a_whole_cluster_needs_nothing() {
    assert_eq!(route(&healthy_galera()), Route::Nothing);
}

#[test]
fn who_comes_back_by_itself_is_waited_for() {
    let mut killed = healthy_galera();
    no_sql_after_crash(&mut killed, 1);
    assert!(waits(&killed).contains("db-1"), "{}", waits(&killed));
    let mut copied = healthy_galera();
    transfer(&mut copied, 2);
    assert_eq!(waits(&copied), "db-2 is joining and receives data");
    assert!(waits(&cut_off()).contains("db-2 cannot reach the primary component"));
    let mut moving = healthy_galera();
    crate::model::testing::galera_of(&mut moving, 1).status.evs_state = Some("GATHER".to_owned());
    assert!(waits(&moving).contains("renegotiated"));
}

#[test]
fn a_member_that_has_left_for_good_needs_a_fresh_copy() {
    let mut seen = healthy_galera();
    zombie(&mut seen, 2);
    let Route::Rebuild(members) = route(&seen) else { panic!("{:?}", route(&seen)) };
    assert_eq!(members.keys().copied().collect::<Vec<_>>(), [Ordinal(2)]);
    let mut seen = healthy_galera();
    inconsistent(&mut seen, 1);
    assert!(matches!(route(&seen), Route::Rebuild(members) if members[&Ordinal(1)].contains("voted out")));
}

#[test]
fn a_crash_that_the_data_does_not_explain_is_nothing_to_copy_over() {
    let mut seen = healthy_galera();
    two_left(&mut seen);
    assert_eq!(refusal(&seen), kubernetes::CRASH_LOOP.code);
}

#[test]
fn all_down_is_founded_again_from_the_files() {
    let mut seen = healthy_galera();
    all_crash(&mut seen);
    assert_eq!(route(&seen), founds(&[]));
    // With saved views they may come back together by themselves, with a zero UUID and rows that nobody compared.
    let mut seen = healthy_galera();
    (0..3).for_each(|ordinal| no_sql_after_crash(&mut seen, ordinal));
    assert_eq!(route(&seen), founds(&[]));
    let mut seen = healthy_galera();
    limbo(&mut seen);
    assert_eq!(route(&seen), founds(&[]));
}

#[test]
fn nothing_is_founded_beside_a_server_that_may_be_primary() {
    let mut seen = healthy_galera();
    all_crash(&mut seen);
    silence(&mut seen, 1);
    seen.members.get_mut(&Ordinal(1)).unwrap().pod.as_mut().unwrap().containers[0].last_end = None;
    assert_eq!(refusal(&seen), rule::NO_PRIMARY_SEEN.code, "A1");
    let mut seen = healthy_galera();
    nobody_primary(&mut seen);
    silence(&mut seen, 2);
    assert_eq!(refusal(&seen), rule::NO_PRIMARY_SEEN.code);
}

#[test]
fn a_component_without_quorum_is_founded_again_only_if_the_others_are_proven_dead() {
    let alone = || {
        let mut seen = healthy_galera();
        (0..2).for_each(|ordinal| ended(&mut seen, ordinal));
        non_primary(&mut seen, 2);
        out_of_view(&mut seen, 0);
        out_of_view(&mut seen, 1);
        crate::model::testing::galera_of(&mut seen, 2).status.incoming_addresses.truncate(1);
        seen
    };
    let seen = alone();
    assert_eq!(route(&seen), founds(&[2]), "who died may have gone on without it");

    let mut silent = alone();
    let Fact::Known(nodes) = &mut silent.objects.nodes else { panic!("nodes") };
    nodes[1].ready = NodeReady::Silent { since: None };
    assert!(waits(&silent).contains("when db-1 is back"), "a silent node is not dead (F1): {}", waits(&silent));
    let mut gone = alone();
    let Fact::Known(nodes) = &mut gone.objects.nodes else { panic!("nodes") };
    nodes.remove(1);
    assert_eq!((route(&gone), proof(&gone, Ordinal(1))), (founds(&[2]), Some(Proof::NodeGone("node-1".to_owned()))));
    let mut marked = alone();
    let Fact::Known(nodes) = &mut marked.objects.nodes else { panic!("nodes") };
    nodes[1].ready = NodeReady::Silent { since: None };
    nodes[1].taints.push("node.kubernetes.io/out-of-service=nodeshutdown:NoExecute".to_owned());
    assert_eq!((route(&marked), proof(&marked, Ordinal(1))), (founds(&[2]), Some(Proof::OutOfService("node-1".to_owned()))));
    let mut forced = alone();
    forced.members.get_mut(&Ordinal(0)).unwrap().pod = None;
    assert!(waits(&forced).contains("db-0"), "a pod deleted by force may run on: {}", waits(&forced));
    let mut hidden = alone();
    hidden.objects.nodes = Fact::Unknown(Why::Forbidden("list nodes".to_owned()));
    assert!(waits(&hidden).contains("db-0, db-1"), "{}", waits(&hidden));
}

/// Experiments V3 and V16: who restarts without its saved view waits for the others for ever, and they for it.
#[test]
fn who_is_seen_waiting_for_the_others_is_given_a_while_and_no_more() {
    let mut seen = healthy_galera();
    limbo(&mut seen);
    let healthy = healthy_galera();
    seen.members.insert(Ordinal(2), healthy.members[&Ordinal(2)].clone());
    non_primary(&mut seen, 2);
    out_of_view(&mut seen, 0);
    out_of_view(&mut seen, 1);
    crate::model::testing::galera_of(&mut seen, 2).status.incoming_addresses.truncate(1);
    let Route::Wait { then, .. } = route(&seen) else { panic!("{:?}", route(&seen)) };
    assert_eq!(then, Some(BTreeSet::from([Ordinal(2)])));
    // Also of an operation that began while their containers happened to have ended.
    let begun = |seconds| {
        let mut memo = Memo::new(&seen);
        memo.recovery.began = seen.taken.checked_sub(jiff::SignedDuration::from_secs(seconds)).ok();
        decide(Goal::Recover, &seen, &memo)
    };
    assert!(matches!(begun(100), Ok(Decision::Wait { .. })), "{:?}", begun(100));
    let Ok(Decision::Go(plan)) = begun(130) else { panic!("{:?}", begun(130)) };
    assert_eq!(plan.steps[0].id, "stop every pod");
}

#[test]
fn two_components_without_quorum_wait_for_each_other() {
    let mut seen = moment(["cut-10s-n1", "cut-10s-n2", "cut-10s-n3"]);
    (0..3).for_each(|ordinal| non_primary(&mut seen, ordinal));
    assert!(matches!(route(&seen), Route::Wait { .. }), "{:?}", route(&seen));
}

#[test]
fn nobody_chooses_between_two_clusters_or_among_rows_never_compared() {
    assert_eq!(refusal(&split_brain()), rule::SPLIT_BRAIN.code);
    assert_eq!(refusal(&zero_uuid()), rule::ZERO_UUID.code);
    assert_eq!(refusal(&healthy_replication()), rule::WITHOUT_GALERA.code);
    let mut seen = healthy_galera();
    server_of(&mut seen, 1).galera = None;
    assert_eq!(refusal(&seen), rule::WITHOUT_GALERA.code);
}

/// Each member as it was, killed, in a transfer, cut off, ended, silent or gone with its pod: every mixture of three.
#[test]
fn a_bootstrap_is_never_the_route_beside_a_server_that_is_or_may_be_primary() {
    for mixture in 0..7_u32.pow(3) {
        let what = [mixture % 7, mixture / 7 % 7, mixture / 49];
        let mut seen = healthy_galera();
        for (ordinal, what) in (0..).zip(what) {
            match what {
                1 => no_sql_after_crash(&mut seen, ordinal),
                2 => transfer(&mut seen, ordinal),
                3 => non_primary(&mut seen, ordinal),
                4 => ended(&mut seen, ordinal),
                5 => silence(&mut seen, ordinal),
                6 => {
                    ended(&mut seen, ordinal);
                    seen.members.get_mut(&Ordinal(ordinal)).unwrap().pod = None;
                }
                _ => {}
            }
        }
        match route(&seen) {
            Route::Bootstrap { alive } => {
                assert!(!what.iter().any(|what| matches!(what, 0 | 5)), "{what:?}");
                assert_eq!(alive.len(), what.iter().filter(|what| **what == 3).count(), "{what:?}");
            }
            Route::Nothing => assert_eq!(what, [0; 3]),
            Route::Wait { why, .. } => assert!(!why.is_empty(), "{what:?}"),
            Route::Rebuild(members) => assert!(!members.is_empty()),
            Route::Refused(finding) => assert!(!finding.summary.is_empty()),
        }
    }
}

/// The members found each other after the stop had begun: they are let go on, and what was changed for the stop is put back.
#[test]
fn who_comes_back_while_it_is_stopped_is_let_go_on() {
    let next = |seen: &Snapshot, memo: &Memo| match decide(Goal::Recover, seen, memo).unwrap() {
        Decision::Go(plan) => plan.steps.into_iter().map(|step| (step.id, step.unasked)).collect(),
        Decision::Wait { why, .. } => vec![(why, false)],
        Decision::Done => Vec::new(),
        Decision::Refuse(refusal) => panic!("{refusal:?}"),
    };
    let mut seen = healthy_galera();
    let mut memo = Memo::new(&seen);
    assert_eq!(next(&seen, &memo), []);
    memo.ranges.push(memo.range.with(0));
    let mut stopped = seen.clone();
    stopped.objects.stateful_set.replicas = 0;
    assert_eq!(next(&stopped, &memo), [("let every pod run".to_owned(), true)]);
    memo.deleted_claims = true;
    assert_eq!(next(&seen, &memo), [("restore whenScaled".to_owned(), true)]);
    let mut chosen = memo.clone();
    chosen.recovery.choice = Some(Choice { ordinal: Ordinal(2), accepted: None });
    let Decision::Refuse(refusal) = decide(Goal::Bootstrap, &seen, &chosen).unwrap() else { panic!("not db-2 has founded it") };
    assert_eq!(refusal.rule.code, "MDB712");
    transfer(&mut seen, 2);
    assert_eq!(next(&seen, &memo), [("db-2 is joining and receives data".to_owned(), false)]);
}
