use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{begun, claims, ids, operation_of, plan, to, with, with_stale};
use crate::decide::operation::journal::Operation;
use crate::decide::operation::plan::{Action, Decision, Loss, Step};
use crate::decide::operation::scale::Scale;
use crate::decide::operation::scale::stale::{Group, Holds, delete, judge};
use crate::decide::operation::{Goal, Volumes, decide, forward};
use crate::decide::recover::elect_at_rest;
use crate::model::disk::{Disk, StateFile};
use crate::model::fact::Fact;
use crate::model::grastate::Grastate;
use crate::model::gvwstate::Gvwstate;
use crate::model::names::Ordinal;
use crate::model::position::Position;
use crate::model::recovered::{Recovered, RecoveredBy};
use crate::model::snapshot::Snapshot;
use crate::model::testing::{disk, galera_of, healthy_galera, noon};

#[test]
fn volumes_that_lie_there_are_read_before_anything_starts_on_them() {
    let seen = with_stale(healthy_galera());
    assert!(begun(&to(5), &seen).unwrap_err().starts_with("MDB751"));
    assert!(begun(&to(2), &seen).is_ok(), "they are in nobody's way");
    let mut some = with_stale(healthy_galera());
    some.objects.stateful_set.claim_templates.push("binlog".to_owned());
    assert!(begun(&with(Volumes::Reuse), &some).unwrap_err().starts_with("MDB751"), "they cannot be mounted");
    let mut unbound = with_stale(healthy_galera());
    claims(&mut unbound).iter_mut().skip(3).for_each(|claim| claim.volume = None);
    assert!(begun(&to(5), &unbound).is_ok(), "there is no volume yet");

    let mut memo = begun(&with(Volumes::Reuse), &seen).unwrap();
    assert_eq!(ids(&plan(&seen, &memo).unwrap()), ["read the state files", "recover positions", "start db-3", "start db-4"]);
    let history = galera_of(&mut seen.clone(), 0).status.cluster_state_uuid;
    for ordinal in [3, 4] {
        memo.recovery.files.insert(Ordinal(ordinal), stopped_at(history, Some(1)));
    }
    assert_eq!(ids(&plan(&seen, &memo).unwrap()), ["start db-3", "start db-4"]);
    // Nobody has looked at the one that is there now.
    let mut other = seen.clone();
    claims(&mut other)[3].uid = "another".to_owned();
    assert!(plan(&other, &memo).unwrap_err().starts_with("MDB751"));
    // A server that was killed has a position that only recovery tells.
    memo.recovery.files.insert(Ordinal(4), stopped_at(history, None));
    assert_eq!(ids(&plan(&seen, &memo).unwrap()), ["recover positions", "start db-3", "start db-4"]);
}

#[test]
fn volumes_are_deleted_only_when_they_hold_nothing_more() {
    let seen = with_stale(healthy_galera());
    let history = galera_of(&mut seen.clone(), 0).status.cluster_state_uuid;
    let mut memo = begun(&with(Volumes::Prune), &seen).unwrap();
    memo.recovery.files =
        [3, 4].map(|ordinal| (Ordinal(ordinal), stopped_at(history, Some(1)))).into_iter().collect::<BTreeMap<_, _>>();
    let first = plan(&seen, &memo).unwrap();
    assert_eq!(ids(&first), ["delete data-db-3", "delete data-db-4", "start db-3", "start db-4"]);
    assert!(first.steps[0].no_return && matches!(&first.steps[0].act, Action::DeleteClaim { uid, .. } if uid == "uid-3"));
    let mut going = seen.clone();
    claims(&mut going)[3].deletion = Some(noon());
    assert_eq!(plan(&going, &memo), Err("the volume claim data-db-3 is being deleted".to_owned()));

    let foreign = Uuid::from_u128(9);
    memo.recovery.files.insert(Ordinal(4), stopped_at(foreign, Some(7)));
    let words = format!("db-4:{foreign}:7");
    assert!(plan(&seen, &memo).unwrap_err().starts_with("MDB752"));
    memo.scale.as_mut().unwrap().accepted = Some(Loss("db-4:of-another-time".to_owned()));
    assert!(plan(&seen, &memo).unwrap_err().starts_with("MDB752"));
    memo.scale.as_mut().unwrap().accepted = Some(Loss(words.clone()));
    assert_eq!(plan(&seen, &memo).unwrap().losses, [Loss(words)]);
    memo.scale.as_mut().unwrap().volumes = Volumes::Reuse;
    assert!(plan(&seen, &memo).unwrap_err().starts_with("MDB752"), "a copy would erase it");

    // The history is the same, and the rows may not be: on what it brings in, a server would start as if they were.
    let mut last = stopped_at(history, Some(1));
    last.grastate = StateFile::Parsed(Grastate { version: None, uuid: history, seqno: Some(1), safe_to_bootstrap: Some(true) });
    memo.recovery.files.insert(Ordinal(4), last);
    let refused = plan(&seen, &memo).unwrap_err();
    assert!(
        refused.starts_with("MDB752") && refused.contains("on the volume of db-4 was alone in a primary component"),
        "{refused}"
    );
    assert!(refused.contains("that of db-3, at") && refused.contains("may have been with it"), "{refused}");
    memo.scale.as_mut().unwrap().volumes = Volumes::Prune;
    assert!(plan(&seen, &memo).unwrap_err().starts_with("MDB752"), "another loss was accepted");
    memo.scale.as_mut().unwrap().accepted = Some(Loss(format!("db-4:{history}:1")));
    assert!(plan(&seen, &memo).unwrap_err().starts_with("MDB752"), "that of its companion was not");
    let words = format!("db-3:{history}:1,db-4:{history}:1");
    memo.scale.as_mut().unwrap().accepted = Some(Loss(words.clone()));
    let losses = words.split(',').map(|words| Loss(words.to_owned())).collect::<Vec<_>>();
    assert_eq!(plan(&seen, &memo).unwrap().losses, losses);

    memo.recovery.files.insert(Ordinal(4), stopped_at(history, Some(u64::MAX - 1)));
    for volumes in [Volumes::Reuse, Volumes::Prune] {
        memo.scale.as_mut().unwrap().volumes = volumes;
        let refused = plan(&seen, &memo).unwrap_err();
        assert!(refused.starts_with("MDB753") && refused.contains("only on the volume of db-4"), "{refused}");
    }
}

/// Somebody has scaled the set up and down again while nobody carried this out.
#[test]
fn whoever_goes_on_reads_what_others_have_left_there_meanwhile() {
    let seen = with_stale(healthy_galera());
    for volumes in [Volumes::Reuse, Volumes::Prune] {
        let mut memo = begun(&with(volumes), &seen).unwrap();
        let mut other = seen.clone();
        claims(&mut other)[4].uid = "another".to_owned();
        assert!(plan(&other, &memo).unwrap_err().starts_with("MDB751"));
        let scale = memo.scale.as_mut().unwrap();
        assert!(!scale.adopt(&other, &[Ordinal(4)].into()), "this operation has made it");
        let mut reached = Scale { reached: 5, ..scale.clone() };
        assert!(!reached.adopt(&other, &BTreeSet::new()), "its servers have run there");
        assert!(scale.adopt(&other, &BTreeSet::new()) && !scale.adopt(&other, &BTreeSet::new()));
        assert_eq!(ids(&plan(&other, &memo).unwrap())[..2], ["read the state files", "recover positions"]);
    }
    // Nobody has said what is to become of them.
    let mut memo = begun(&to(5), &healthy_galera()).unwrap();
    assert!(!memo.scale.as_mut().unwrap().adopt(&seen, &BTreeSet::new()));
    assert!(plan(&seen, &memo).unwrap_err().starts_with("MDB751"));
}

/// A way back that would be refused is not named, nor what could only be begun after it.
#[test]
fn past_the_point_of_no_return_only_the_way_forward_is_named() {
    let mut seen = with_stale(healthy_galera());
    let mut memo = begun(&with(Volumes::Prune), &seen).unwrap();
    for ordinal in [3, 4] {
        memo.recovery.files.insert(Ordinal(ordinal), stopped_at(Uuid::from_u128(9), Some(7)));
    }
    let keep = Step::new("keep the volumes", "", Action::WhenScaled { delete: false });
    let mut operation = Operation { aborting: false, ..operation_of(memo, &keep) };
    let named = |seen: &Snapshot, operation: &Operation| match decide(Goal::Scale, seen, &operation.memo) {
        Ok(Decision::Refuse(refusal)) => format!("{:?}", forward(seen, operation, refusal).by_hand),
        other => panic!("{other:?}"),
    };
    let before = named(&seen, &operation);
    assert!(before.contains("\"abort\"") && before.contains("--accept-data-loss"), "{before}");
    operation.begin(&delete(&claims(&mut seen)[3].clone()), noon());
    let after = named(&seen, &operation);
    assert!(after.contains("\"resume\"") && !after.contains("\"abort\"") && !after.contains("--accept"), "{after}");
    claims(&mut seen)[4].uid = "another".to_owned();
    let another = named(&seen, &operation);
    assert!(another.contains("\"resume\"") && !another.contains("\"abort\""), "{another}");
}

fn stopped_at(uuid: Uuid, seqno: Option<u64>) -> Disk {
    let state = Grastate { version: None, uuid, seqno, safe_to_bootstrap: Some(false) };
    Disk { grastate: StateFile::Parsed(state), ..disk(None) }
}

#[test]
fn a_data_directory_is_judged_by_history_and_position() {
    let seen = healthy_galera();
    let history = Uuid::from_u128(1);
    let mut donor = galera_of(&mut seen.clone(), 0).status.clone();
    (donor.local_state_uuid, donor.last_committed, donor.cached_downto) = (history, Some(90), Some(50));
    let group = Group { history, at: 90, donors: vec![&donor] };
    let recovered =
        |uuid, seqno| Recovered { by: RecoveredBy::Helper, position: Fact::Known(Position { uuid, seqno, gtid: None }) };
    let foreign = Uuid::from_u128(2);
    let half = || Disk { transfer_markers: vec!["sst_in_progress".to_owned()], ..stopped_at(foreign, Some(3)) };
    let empty = || Disk { initialised: false, grastate: StateFile::Absent, ..disk(None) };
    let nobody = || Disk { grastate: StateFile::Absent, ..disk(None) };
    let known = |seqno, missing_only| Holds::Known { seqno, missing_only };
    let last = |seqno, safe| {
        let state = Grastate { version: None, uuid: history, seqno, safe_to_bootstrap: Some(safe) };
        Disk { grastate: StateFile::Parsed(state), ..disk(None) }
    };
    let view = |members: u8| Gvwstate {
        my_uuid: Uuid::from_u128(7),
        view_uuid: Uuid::from_u128(7),
        view_number: 3,
        bootstrap: true,
        members: (0..members).map(|member| (Uuid::from_u128(7 + u128::from(member)), 0)).collect(),
    };
    let killed = |members| Disk { gvwstate: StateFile::Parsed(view(members)), ..last(None, false) };
    let apart = |seqno| Holds::Apart { uuid: history, seqno, from: Ordinal(3) };
    for (name, disk, position, holds) in [
        ("empty", empty(), None, Holds::Nothing("no database")),
        ("half a copy", half(), None, Holds::Nothing("half of a copy")),
        ("first copy cut", Disk { grastate: StateFile::Empty, ..disk(None) }, None, Holds::Nothing("half of a copy")),
        ("in reach", stopped_at(history, Some(49)), None, known(49, true)),
        ("out of reach", stopped_at(history, Some(48)), None, known(48, false)),
        ("as far as the group", stopped_at(history, Some(90)), None, known(90, true)),
        ("ahead", stopped_at(history, Some(91)), None, Holds::Ahead { seqno: 91, group: 90 }),
        ("another history", stopped_at(foreign, Some(3)), None, Holds::Foreign { uuid: foreign, seqno: Some(3) }),
        ("another one, killed", stopped_at(foreign, None), None, Holds::Foreign { uuid: foreign, seqno: None }),
        ("killed and recovered", stopped_at(history, None), Some(recovered(history, Some(60))), known(60, true)),
        (
            "ahead by recovery",
            stopped_at(history, None),
            Some(recovered(history, Some(99))),
            Holds::Ahead { seqno: 99, group: 90 },
        ),
        ("the last of a component, and behind", last(Some(60), true), None, apart(60)),
        ("the last of a component, as far as the group", last(Some(90), true), None, apart(90)),
        ("the last of a component, and ahead", last(Some(91), true), None, Holds::Ahead { seqno: 91, group: 90 }),
        ("founded and killed alone", killed(1), Some(recovered(history, Some(60))), apart(60)),
        ("killed among others", killed(2), Some(recovered(history, Some(60))), known(60, true)),
        ("its file given up", stopped_at(Uuid::nil(), None), Some(recovered(history, Some(60))), known(60, false)),
        (
            "its file given up, of others",
            stopped_at(Uuid::nil(), None),
            Some(recovered(foreign, Some(60))),
            Holds::Foreign { uuid: foreign, seqno: Some(60) },
        ),
        (
            "a server without Galera",
            nobody(),
            Some(recovered(Uuid::nil(), None)),
            Holds::Untold("its database never was in a Galera cluster".to_owned()),
        ),
    ] {
        let positions = position.map(|position| (Ordinal(3), position)).into_iter().collect();
        let alone = disk.was_alone().then_some(Ordinal(3));
        let election = elect_at_rest(&seen, &BTreeMap::from([(Ordinal(3), disk)]), &positions);
        assert_eq!(judge(&election.candidates[&Ordinal(3)], alone, &group), holds, "{name}");
    }
    let elsewhere = Disk { datadir: "/tmp/data".to_owned(), ..stopped_at(history, Some(1)) };
    let election = elect_at_rest(&seen, &BTreeMap::from([(Ordinal(3), elsewhere)]), &BTreeMap::new());
    assert!(matches!(judge(&election.candidates[&Ordinal(3)], None, &group), Holds::Untold(_)), "the look was at another place");
}
