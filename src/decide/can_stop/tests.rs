use std::collections::BTreeSet;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::model::fact::Why;
use crate::model::kubernetes::VolumeSource;
use crate::model::testing::{
    channel, files_of, galera_of, healthy_galera, healthy_replication, noon, server_of, silence, single, split_brain, zero_uuid,
};
use crate::model::wsrep::LocalState;

fn pods(ordinals: &[u32]) -> Stop {
    Stop { ordinals: ordinals.iter().copied().map(Ordinal).collect(), nodes: false, load: Load::Quiet, leave: Leave::EitherWay }
}

fn nothing() -> Beside {
    Beside { budgets: Fact::Known(Vec::new()), volumes: Fact::Known(Vec::new()) }
}

fn budget(allowed: u32) -> Beside {
    let pods = (0..3).map(|ordinal| format!("db-{ordinal}")).collect();
    let budget = Budget { name: "db".into(), namespace: "shop".into(), allowed, current: true, pods };
    Beside { budgets: Fact::Known(vec![budget]), ..nothing() }
}

/// What weighs as much as the answer, in one line.
fn decided(seen: &Snapshot, stop: &Stop, beside: &Beside) -> (Answer, String) {
    let decision = can_stop(seen, stop, beside);
    let weight = match decision.answer() {
        Answer::Yes => Weight::Note,
        Answer::Unknown => Weight::Unknown,
        Answer::No => Weight::Against,
    };
    let all = decision.whole.iter().chain(decision.pods.values().flatten());
    let texts: Vec<&str> = all.filter(|reason| reason.weight == weight).map(|reason| reason.text.as_str()).collect();
    (decision.answer(), texts.join("; "))
}

fn refused(seen: &Snapshot, stop: &Stop) -> String {
    let (answer, text) = decided(seen, stop, &nothing());
    assert_eq!(answer, Answer::No, "{text}");
    text
}

fn state(seen: &mut Snapshot, ordinal: u32, state: LocalState, comment: &str) {
    let galera = galera_of(seen, ordinal);
    galera.status.local_state = state;
    galera.status.state_comment = comment.to_owned();
}

/// The pod runs no container.
fn down(seen: &mut Snapshot, ordinal: u32) {
    let member = seen.members.get_mut(&Ordinal(ordinal)).unwrap();
    member.pod = None;
    let why = Why::NotRunning(format!("there is no pod db-{ordinal}"));
    member.server = Fact::Unknown(why.clone());
    member.files = Fact::Unknown(why);
}

/// The others have seen it go.
fn left(seen: &mut Snapshot, ordinal: u32) {
    let gone = galera_of(seen, ordinal).status.gcomm_uuid;
    down(seen, ordinal);
    for other in (0..3).filter(|other| *other != ordinal) {
        let galera = galera_of(seen, other);
        galera.view.retain(|member| Some(member.uuid) != gone);
        galera.status.cluster_weight = Some(2);
        galera.status.cluster_size = 2;
        galera.status.incoming_addresses.truncate(2);
    }
}

#[test]
fn one_member_of_three_may_stop() {
    let (answer, text) = decided(&healthy_galera(), &pods(&[1]), &budget(1));
    assert_eq!((answer, text.as_str()), (Answer::Yes, ""));
    assert_eq!(decided(&healthy_replication(), &pods(&[2]), &budget(1)).0, Answer::Yes);
}

#[test]
fn galera_is_refused_for_each_reason() {
    type Change = fn(&mut Snapshot);
    let cases: [(Change, &[u32], &str); 11] = [
        (|seen| left(seen, 0), &[1], "without it the others are no majority of the 2 votes"),
        (|seen| left(seen, 0), &[1], "db-0 is down already"),
        (|_| (), &[0, 1], "db-0 and db-1 would stop at once"),
        (|seen| state(seen, 1, LocalState::DonorDesynced, "Donor/Desynced"), &[1], "it is a donor"),
        (|seen| state(seen, 1, LocalState::Joining, "Joining"), &[1], "it is a joiner"),
        (|seen| state(seen, 0, LocalState::DonorDesynced, "Donor/Desynced"), &[1], "db-0 is not Synced (Donor/Desynced)"),
        (|seen| galera_of(seen, 0).status.evs_state = Some("GATHER".into()), &[1], "membership is being negotiated"),
        (|seen| galera_of(seen, 2).status.recv_queue = 9, &[1], "db-2 is behind in applying (9 write sets wait"),
        (|seen| galera_of(seen, 2).status.flow_control.active = true, &[1], "writes are paused by flow control (db-2)"),
        (|seen| files_of(seen, 1).bootstrap_switches.push("file x".into()), &[1], "would found a cluster of its own (file x)"),
        (
            |seen| seen.members.get_mut(&Ordinal(2)).unwrap().pod.as_mut().unwrap().deletion = Some(noon()),
            &[1],
            "db-2 is being stopped already",
        ),
    ];
    for (change, stop, says) in cases {
        let mut seen = healthy_galera();
        change(&mut seen);
        let text = refused(&seen, &pods(stop));
        assert!(text.contains(says), "{says}: {text}");
    }
    assert!(refused(&split_brain(), &pods(&[1])).contains("different primary components"));
    assert!(refused(&zero_uuid(), &pods(&[1])).contains("zero UUID"));
}

#[test]
fn what_belongs_to_the_pod_or_the_set_is_refused_too() {
    type Change = fn(&mut Snapshot);
    let cases: [(Change, &str); 4] = [
        (|seen| seen.objects.stateful_set.layout.mounts[0].source = VolumeSource::EmptyDir, "dies with the pod"),
        (|seen| seen.objects.stateful_set.layout.mounts.clear(), "on no volume"),
        (
            |seen| {
                let Fact::Known(claims) = &mut seen.objects.claims else { panic!("claims") };
                claims[1].deletion = Some(noon());
            },
            "its claim data-db-1 is being deleted",
        ),
        (|seen| seen.objects.stateful_set.update_revision = "db-new".into(), "a rollout is under way"),
    ];
    for (change, says) in cases {
        let mut seen = healthy_galera();
        change(&mut seen);
        let text = refused(&seen, &pods(&[1]));
        assert!(text.contains(says), "{says}: {text}");
    }
    let (answer, text) = decided(&healthy_galera(), &pods(&[1]), &budget(0));
    assert_eq!((answer, text.as_str()), (Answer::No, "PodDisruptionBudget db allows no disruption now"));
}

#[test]
fn what_is_not_known_is_no_yes_unless_it_is_an_extra() {
    let mut seen = healthy_galera();
    silence(&mut seen, 2);
    let (answer, text) = decided(&seen, &pods(&[1]), &nothing());
    assert_eq!(answer, Answer::Unknown);
    assert!(text.starts_with("db-2 could not be asked: no answer within 3s; without it the majority depends on db-2"), "{text}");
    let why = || Why::Forbidden("list poddisruptionbudgets.policy in namespace shop".into());
    let beside = Beside { budgets: Fact::Unknown(why()), volumes: Fact::Unknown(why()) };
    let (answer, text) = decided(&healthy_galera(), &pods(&[1]), &beside);
    assert_eq!(answer, Answer::Yes);
    assert!(text.contains("? whether a PodDisruptionBudget allows it: you may not list"), "{text}");
}

#[test]
fn who_is_down_already_changes_nothing() {
    let mut seen = healthy_galera();
    left(&mut seen, 2);
    let (answer, text) = decided(&seen, &pods(&[2]), &nothing());
    assert_eq!((answer, text.as_str()), (Answer::Yes, "it is down already: its stop changes nothing"));
}

#[test]
fn a_member_somebody_desynced_may_stop_while_the_others_are_synced() {
    let mut seen = healthy_galera();
    state(&mut seen, 1, LocalState::DonorDesynced, "Donor/Desynced");
    galera_of(&mut seen, 1).desync = true;
    assert_eq!(decided(&seen, &pods(&[1]), &nothing()).0, Answer::Yes);
}

#[test]
fn replication_keeps_its_primary_and_its_sources() {
    let seen = healthy_replication();
    assert!(refused(&seen, &pods(&[0])).starts_with("it is the primary"));
    let mut chain = healthy_replication();
    server_of(&mut chain, 2).channels = vec![channel(1, "0-10-3514")];
    assert_eq!(refused(&chain, &pods(&[1])), "db-2 copies from it");
    let mut last = healthy_replication();
    server_of(&mut last, 2).channels[0].sql_running = false;
    assert!(refused(&last, &pods(&[1])).contains("the last good copy beside it"));
    assert_eq!(decided(&last, &pods(&[2]), &nothing()).0, Answer::Yes);
    assert!(refused(&single(), &pods(&[0])).contains("the only server"));
}

#[test]
fn a_local_volume_is_told_and_weighs_more_when_the_node_goes() {
    let volumes = Fact::Known(vec![LocalVolume { name: "pv-1".into(), kind: "local".into(), nodes: Vec::new() }]);
    let beside = Beside { volumes, ..budget(1) };
    let (_, pod) = decided(&healthy_galera(), &pods(&[1]), &beside);
    let (_, node) = decided(&healthy_galera(), &Stop { nodes: true, ..pods(&[1]) }, &beside);
    assert_eq!(pod, "its volume pv-1 (local) lies on node-1: the pod can run nowhere else");
    assert_eq!(node, "its volume pv-1 (local) lies on node-1: if the node does not come back, this copy is lost");
}

#[test]
fn a_yes_needs_two_looks_in_which_nothing_moved() {
    let first = healthy_galera();
    let mut second = first.clone();
    second.taken = noon() + SignedDuration::from_secs(10);
    for ordinal in 0..3 {
        server_of(&mut second, ordinal).asked = second.taken;
        galera_of(&mut second, ordinal).status.last_committed = Some(13);
    }
    let decision = confirmed(&first, &second, &pods(&[1]), &budget(1));
    assert_eq!(decision.answer(), Answer::Yes);
    let notes: Vec<&str> = decision.whole.iter().map(|reason| reason.text.as_str()).collect();
    assert_eq!(
        notes,
        ["db-1 comes back without a full copy (IST) while the donors keep what it misses: they hold the last 13 write sets, \
          and 60 are written a minute now"]
    );
    // Asked last while clients write, it tells a later position than the donors did.
    galera_of(&mut second, 1).status.last_committed = Some(15);
    let late = confirmed(&first, &second, &pods(&[1]), &budget(1));
    assert!(late.whole.iter().any(|reason| reason.text.contains("without a full copy (IST)")), "{late:?}");
    assert_eq!(confirmed(&first, &first, &pods(&[1]), &budget(1)).answer(), Answer::Unknown);
    galera_of(&mut second, 0).status.conf_id = Some(9);
    assert_eq!(confirmed(&first, &second, &pods(&[1]), &budget(1)).answer(), Answer::No);
    let mut busy = first;
    galera_of(&mut busy, 0).status.recv_queue = 100;
    galera_of(&mut second, 0).status.conf_id = Some(3);
    assert_eq!(confirmed(&busy, &second, &pods(&[1]), &budget(1)).answer(), Answer::No);
}

/// Every member in one of some states; weights from 0 to 3.
fn worlds() -> impl Strategy<Value = (Snapshot, BTreeSet<u32>)> {
    let member = (0..6_u8, 0..4_u32);
    (proptest::collection::vec(member, 3), proptest::collection::btree_set(0..3_u32, 1..3)).prop_map(|(members, stop)| {
        let mut seen = healthy_galera();
        let weight: u32 = members.iter().map(|(_, weight)| weight).sum();
        for (ordinal, (_, own)) in (0..).zip(&members) {
            let galera = galera_of(&mut seen, ordinal);
            galera.options.insert("pc.weight".into(), own.to_string());
            galera.status.cluster_weight = Some(weight);
        }
        for (ordinal, (kind, _)) in (0..).zip(&members) {
            match kind {
                0 | 1 => {}
                2 => state(&mut seen, ordinal, LocalState::DonorDesynced, "Donor/Desynced"),
                3 => state(&mut seen, ordinal, LocalState::Joined, "Joined"),
                4 => silence(&mut seen, ordinal),
                _ => down(&mut seen, ordinal),
            }
        }
        (seen, stop)
    })
}

#[test]
fn how_the_server_was_once_founded_is_no_reason() {
    let mut seen = healthy_galera();
    files_of(&mut seen, 0).bootstrap_switches.push("flag --wsrep-new-cluster of the running server".into());
    assert_eq!(can_stop(&seen, &pods(&[0]), &nothing()).answer(), Answer::Yes);
}

proptest! {
    #[test]
    fn after_a_yes_the_rest_is_a_majority_and_has_a_synced_donor((seen, stop) in worlds(), nodes: bool) {
        let stop = Stop { ordinals: stop.into_iter().map(Ordinal).collect(), nodes, load: Load::Quiet, leave: Leave::EitherWay };
        if can_stop(&seen, &stop, &nothing()).answer() == Answer::Yes {
            let groups = Groups::of(&seen);
            let primaries: Vec<_> = groups.primaries().collect();
            let running: Vec<Ordinal> =
                stop.ordinals.iter().copied().filter(|ordinal| standing(&seen, *ordinal) != Standing::Down).collect();
            if running.is_empty() {
                return Ok(());
            }
            prop_assert_eq!(primaries.len(), 1);
            prop_assert!(running.len() == 1);
            let quorum = primaries[0].quorum(&seen).unwrap();
            let known: Vec<u32> = (0..3)
                .filter(|ordinal| !stop.ordinals.contains(&Ordinal(*ordinal)))
                .filter_map(|ordinal| seen.members[&Ordinal(ordinal)].server.known().ok()?.galera.as_ref())
                .map(|galera| galera.options["pc.weight"].parse().unwrap())
                .collect();
            // Strictly more than half of all votes answer and stay.
            prop_assert!(2 * known.iter().sum::<u32>() > quorum.total(), "{:?} of {}", known, quorum.total());
            let synced = (0..3).filter(|ordinal| !stop.ordinals.contains(&Ordinal(*ordinal))).any(|ordinal| {
                let server = seen.members[&Ordinal(ordinal)].server.known().ok();
                server.and_then(|server| server.galera.as_ref()).is_some_and(|galera| galera.status.local_state == LocalState::Synced)
            });
            prop_assert!(synced);
        }
    }
}
