//! The cases of the fault matrix, as tables.

use std::time::Duration;

use super::*;
use crate::model::disk::{Process, StateFile};
use crate::model::fact::Fact;
use crate::model::position::Position;
use crate::model::recovered::RecoveredBy;
use crate::model::testing::{cut_off, files_of, fixture, healthy_galera, silence, split_brain, stateful_set, zero_uuid};

const HISTORY: &str = "2ec812f1-e4f6-11f1-ad8a-7a5c33de3170";
const OTHER: &str = "650ade90-e4f7-11f1-9ccc-d3c02d18f50e";

/// Three members without pods; grastate.dat of each as given, stopped cleanly.
fn stopped(grastates: [&str; 3]) -> Snapshot {
    let mut seen = healthy_galera();
    for (ordinal, text) in (0..).zip(grastates) {
        let disk = files_of(&mut seen, ordinal);
        disk.process = Process::None;
        disk.gvwstate = StateFile::Absent;
        disk.grastate = StateFile::read(Some(text.as_bytes()), crate::model::grastate::Grastate::parse);
        let member = seen.members.get_mut(&Ordinal(ordinal)).unwrap();
        member.pod = None;
        member.server = Fact::Unknown(Why::NotRunning(format!("there is no pod db-{ordinal}")));
    }
    seen
}

fn grastate(uuid: &str, seqno: i64, safe: u8) -> String {
    format!("# GALERA saved state\nversion: 2.1\nuuid:    {uuid}\nseqno:   {seqno}\nsafe_to_bootstrap: {safe}\n")
}

fn killed() -> Snapshot {
    let text = grastate(HISTORY, -1, 0);
    stopped([&text, &text, &text])
}

fn recovered(positions: [Option<&str>; 3]) -> BTreeMap<Ordinal, Recovered> {
    let told = |text: &str| Recovered { by: RecoveredBy::Helper, position: Fact::Known(Position::parse(text).unwrap()) };
    (0..).zip(positions).filter_map(|(ordinal, text)| Some((Ordinal(ordinal), told(text?)))).collect()
}

fn none() -> BTreeMap<Ordinal, Recovered> {
    BTreeMap::new()
}

fn ordinals(numbers: &[u32]) -> BTreeSet<Ordinal> {
    numbers.iter().copied().map(Ordinal).collect()
}

fn elected(ordinal: u32, tied: &[u32]) -> Outcome {
    Outcome::Elected { ordinal: Ordinal(ordinal), tied: ordinals(tied) }
}

fn unread(seen: &mut Snapshot, ordinal: u32) -> Why {
    let why = Why::NotRunning("container mariadb waits: CrashLoopBackOff".to_owned());
    seen.members.get_mut(&Ordinal(ordinal)).unwrap().files = Fact::Unknown(why.clone());
    why
}

#[test]
fn a_clean_stop_in_order_elects_the_last_to_leave() {
    let seen = stopped([
        fixture!("galera-10.11/e1-clean-stop-order-3-2-1-n1-grastate.dat"),
        fixture!("galera-10.11/e1-clean-stop-order-3-2-1-n2-grastate.dat"),
        fixture!("galera-10.11/e1-clean-stop-order-3-2-1-n3-grastate.dat"),
    ]);
    let election = elect(&seen, &none());
    assert_eq!(election.outcome, elected(0, &[]));
    assert_eq!(election.operator, OperatorChoice::BySafe(Ordinal(0)));
    let losses = &election.candidates[&Ordinal(2)].losses;
    assert_eq!(*losses, [Loss::WriteSets { of: ordinals(&[0, 1]), from: 57, to: 58 }]);
}

#[test]
fn a_clean_stop_at_the_same_moment_is_a_tie() {
    let seen = stopped([
        fixture!("galera-10.11/e20-simultaneous-sigterm-all3-n1-grastate.dat"),
        fixture!("galera-10.11/e20-simultaneous-sigterm-all3-n2-grastate.dat"),
        fixture!("galera-10.11/e20-simultaneous-sigterm-all3-n3-grastate.dat"),
    ]);
    let election = elect(&seen, &none());
    assert_eq!(election.outcome, elected(0, &[1, 2]));
    // The operator takes the other end.
    assert!(matches!(election.operator, OperatorChoice::BySeqno { ordinal: Ordinal(2), .. }), "{:?}", election.operator);
}

#[test]
fn after_a_crash_positions_must_be_recovered_and_then_the_furthest_is_elected() {
    let seen = killed();
    let election = elect(&seen, &none());
    assert_eq!(election.outcome, Outcome::Refused(vec![Reason::PositionUnknown(ordinals(&[0, 1, 2]))]));
    assert_eq!(election.to_recover(&seen), ordinals(&[0, 1, 2]));
    let at = |seqno: u64| format!("{HISTORY}:{seqno}");
    let (low, high) = (at(2386), at(2392));
    let some = recovered([Some(&low), None, Some(&low)]);
    assert_eq!(elect(&seen, &some).to_recover(&seen), ordinals(&[1]));
    let all = elect(&seen, &recovered([Some(&low), Some(&high), Some(&low)]));
    assert_eq!(all.outcome, elected(1, &[]));
    assert_eq!(all.candidates[&Ordinal(0)].losses, [Loss::WriteSets { of: ordinals(&[1]), from: 2387, to: 2392 }]);
    assert!(all.to_recover(&seen).is_empty());
}

#[test]
fn a_seqno_beside_a_view_file_is_a_trap() {
    // V8: the provider of one was paused when all were killed.
    let mut seen = stopped([&grastate(HISTORY, -1, 0), &grastate(HISTORY, 9, 0), &grastate(HISTORY, -1, 0)]);
    for ordinal in 0..3 {
        files_of(&mut seen, ordinal).gvwstate = StateFile::Empty;
    }
    assert_eq!(elect(&seen, &none()).outcome, Outcome::Refused(vec![Reason::PositionUnknown(ordinals(&[0, 1, 2]))]));
    let (low, high) = (format!("{HISTORY}:9"), format!("{HISTORY}:13"));
    assert_eq!(elect(&seen, &recovered([Some(&high), Some(&low), Some(&high)])).outcome, elected(0, &[2]));
}

#[test]
fn a_half_copy_is_never_elected_and_never_in_the_way() {
    let full = format!("{HISTORY}:18");
    for mark in 0..3 {
        let mut seen = killed();
        match mark {
            0 => files_of(&mut seen, 2).transfer_markers = vec!["sst_in_progress".to_owned()],
            1 => files_of(&mut seen, 2).grastate = StateFile::Empty,
            _ => files_of(&mut seen, 2).initialised = false,
        }
        let election = elect(&seen, &recovered([Some(&full), Some(&full), None]));
        assert_eq!(election.outcome, elected(0, &[1]), "{mark}");
        assert_eq!(election.candidates[&Ordinal(2)].losses, []);
        assert!(!elect(&seen, &none()).to_recover(&seen).contains(&Ordinal(2)));
    }
}

/// An older journal may still call it a mark.
#[test]
fn a_killed_donor_is_no_half_copy() {
    let full = format!("{HISTORY}:18");
    let mut seen = killed();
    files_of(&mut seen, 0).transfer_markers = vec!["wsrep_sst.pid".to_owned()];
    assert_eq!(elect(&seen, &recovered([Some(&full), None, None])).candidates[&Ordinal(0)].trust, Trust::Whole);
}

#[test]
fn when_all_others_are_lost_the_half_copy_is_refused_with_the_best_position() {
    let mut seen = killed();
    files_of(&mut seen, 2).transfer_markers = vec![".sst".to_owned()];
    let whys = [0, 1].map(|ordinal| (Ordinal(ordinal), unread(&mut seen, ordinal)));
    let position = format!("{HISTORY}:18");
    let election = elect(&seen, &recovered([None, None, Some(&position)]));
    assert_eq!(election.outcome, Outcome::Refused(vec![Reason::Unread(BTreeMap::from(whys))]));
    assert!(!election.all_read());
}

#[test]
fn two_histories_are_never_chosen_between() {
    let seen = stopped([&grastate(HISTORY, 58, 1), &grastate(HISTORY, 57, 0), &grastate(OTHER, 90_000, 0)]);
    let election = elect(&seen, &none());
    let held = [(HISTORY, ordinals(&[0, 1])), (OTHER, ordinals(&[2]))];
    let held = held.into_iter().map(|(uuid, of)| (uuid.parse().unwrap(), of)).collect();
    assert_eq!(election.outcome, Outcome::Refused(vec![Reason::Histories(held)]));
    let other = OTHER.parse().unwrap();
    assert_eq!(election.candidates[&Ordinal(0)].losses, [Loss::History { uuid: other, of: ordinals(&[2]) }]);
    // Without the hint of a last one, the operator would let the foreign directory win.
    let seen = stopped([&grastate(HISTORY, 58, 0), &grastate(HISTORY, 57, 0), &grastate(OTHER, 90_000, 0)]);
    assert_eq!(elect(&seen, &none()).operator, OperatorChoice::BySeqno { ordinal: Ordinal(2), seqno: 90_000 });
}

#[test]
fn an_unread_member_and_unseen_volumes_forbid_a_choice() {
    let mut seen = stopped([&grastate(HISTORY, 58, 1), &grastate(HISTORY, 57, 0), &grastate(HISTORY, 56, 0)]);
    let why = unread(&mut seen, 1);
    assert_eq!(elect(&seen, &none()).outcome, Outcome::Refused(vec![Reason::Unread(BTreeMap::from([(Ordinal(1), why)]))]));
    let mut seen = stopped([&grastate(HISTORY, 58, 1), &grastate(HISTORY, 57, 0), &grastate(HISTORY, 56, 0)]);
    let forbidden = Why::Forbidden("list persistentvolumeclaims".to_owned());
    seen.objects.claims = Fact::Unknown(forbidden.clone());
    assert_eq!(elect(&seen, &none()).outcome, Outcome::Refused(vec![Reason::VolumesUnseen(forbidden)]));
}

#[test]
fn a_member_that_was_put_out_and_is_ahead_forbids_a_choice() {
    let zero = "00000000-0000-0000-0000-000000000000";
    let seen = stopped([&grastate(HISTORY, 58, 1), &grastate(HISTORY, 57, 0), &grastate(zero, -1, 0)]);
    assert_eq!(elect(&seen, &none()).outcome, Outcome::Refused(vec![Reason::PositionUnknown(ordinals(&[2]))]));
    for (seqno, outcome) in [
        (58, elected(0, &[])),
        (61, Outcome::Refused(vec![Reason::DistrustedAhead { ordinals: ordinals(&[2]), best: Ordinal(0), from: 59, to: 61 }])),
    ] {
        let position = format!("{HISTORY}:{seqno}");
        assert_eq!(elect(&seen, &recovered([None, None, Some(&position)])).outcome, outcome, "{seqno}");
    }
    // It never had any position: nothing is lost with it.
    let nothing = format!("{zero}:-1");
    assert_eq!(elect(&seen, &recovered([None, None, Some(&nothing)])).outcome, elected(0, &[]));
    let all = stopped([&grastate(zero, -1, 1), &grastate(zero, -1, 0), &grastate(zero, -1, 0)]);
    assert_eq!(elect(&all, &none()).outcome, Outcome::Refused(vec![Reason::NobodyWhole]));
    // That flag makes the operator found an empty history.
    assert_eq!(elect(&all, &none()).operator, OperatorChoice::BySafe(Ordinal(0)));
}

#[test]
fn a_hint_is_checked_and_not_believed() {
    let mut seen = stopped([&grastate(HISTORY, 50, 1), &grastate(HISTORY, 58, 0), &grastate(HISTORY, 58, 1)]);
    assert_eq!(elect(&seen, &none()).outcome, elected(2, &[1]));
    // A missing file counts as safe for Galera, and as nothing here.
    files_of(&mut seen, 0).grastate = StateFile::Absent;
    let election = elect(&seen, &none());
    assert!(election.candidates[&Ordinal(0)].safe_to_bootstrap);
    assert_eq!(election.outcome, Outcome::Refused(vec![Reason::PositionUnknown(ordinals(&[0]))]));
}

#[test]
fn a_primary_component_needs_no_election() {
    for (name, seen, primary) in [
        ("healthy", healthy_galera(), vec![0, 1, 2]),
        ("cut", cut_off(), vec![0, 1]),
        ("split brain", split_brain(), vec![0, 1, 2]),
        ("zero UUID", zero_uuid(), vec![0, 1, 2]),
    ] {
        assert_eq!(elect(&seen, &none()).outcome, Outcome::NotNeeded { primary: ordinals(&primary) }, "{name}");
    }
    // Two that answer are not Primary; the third does not answer and may be.
    let mut seen = cut_off();
    for ordinal in [0, 1] {
        silence(&mut seen, ordinal);
    }
    let Outcome::Refused(reasons) = elect(&seen, &none()).outcome else { panic!("a choice") };
    let timed_out = Why::TimedOut(Duration::from_secs(3));
    let may_be = BTreeMap::from([(Ordinal(0), timed_out.clone()), (Ordinal(1), timed_out)]);
    assert!(reasons.contains(&Reason::MayBePrimary(may_be)), "{reasons:?}");
}

#[test]
fn a_live_server_tells_its_own_position() {
    let mut seen = cut_off();
    for ordinal in [0, 1] {
        seen.members.remove(&Ordinal(ordinal));
    }
    let election = elect(&seen, &none());
    assert_eq!(election.candidates[&Ordinal(2)].at().map(|at| at.from), Some(Source::Sql));
    assert_eq!(election.outcome, elected(2, &[]));
}

#[test]
fn a_directory_of_the_image_is_no_empty_volume() {
    let mut seen = stopped([&grastate(HISTORY, 58, 1), &grastate(HISTORY, 57, 0), &grastate(HISTORY, 56, 0)]);
    let disk = files_of(&mut seen, 2);
    (disk.initialised, disk.grastate) = (false, StateFile::Absent);
    assert_eq!(elect(&seen, &none()).outcome, elected(0, &[]));
    files_of(&mut seen, 2).datadir = "/var/lib/mysql-files".to_owned();
    let Outcome::Refused(reasons) = elect(&seen, &none()).outcome else { panic!("a choice") };
    assert!(matches!(&reasons[..], [Reason::Unread(whys)] if whys.contains_key(&Ordinal(2))), "{reasons:?}");
}

#[test]
fn nobody_at_all_is_nobody_whole() {
    let mut seen = killed();
    seen.members.clear();
    seen.objects.stateful_set = stateful_set(0);
    assert_eq!(elect(&seen, &none()).outcome, Outcome::Refused(vec![Reason::NobodyWhole]));
    assert!(!elect(&seen, &none()).all_read());
}
