//! What holds for every look, however little of it is known.

use proptest::prelude::*;

use crate::decide::verdict::State;
use crate::decide::{exit, unobserved};
use crate::failure::Exit;
use crate::model::fact::{Fact, Obstacle, Why};
use crate::model::kubernetes::ContainerState;
use crate::model::snapshot::Snapshot;
use crate::model::testing::{cut_off, healthy_galera, healthy_replication, moment, silence, single, split_brain, zero_uuid};

use super::*;

fn bases() -> Vec<Snapshot> {
    vec![
        healthy_galera(),
        healthy_replication(),
        single(),
        split_brain(),
        cut_off(),
        zero_uuid(),
        moment(["joiner-n1", "joiner-n2", "-"]),
        moment(["killed-10s-n1", "killed-10s-n2", "-"]),
    ]
}

fn reasons() -> Vec<Why> {
    let obstacles = [
        Obstacle::WrongPassword,
        Obstacle::NoPassword,
        Obstacle::NoClient,
        Obstacle::NoSocket,
        Obstacle::Starting,
        Obstacle::TooManyConnections,
        Obstacle::Silent,
        Obstacle::Tls,
    ];
    let sql = obstacles.map(|obstacle| Why::NoSql { obstacle, message: "no".to_owned() });
    let others = [
        Why::NotAsked,
        Why::NotRunning("nothing runs".to_owned()),
        Why::Forbidden("create pods/exec".to_owned()),
        timed_out(),
        Why::Failed("the stream was cut".to_owned()),
    ];
    others.into_iter().chain(sql).collect()
}

/// One way to take knowledge away from a look, or to break a pod in it; the number picks it.
fn damage(seen: &mut Snapshot, what: u32, ordinal: u32, why: &Why) {
    let several = seen.members.len() > 1;
    let Some(member) = seen.members.get_mut(&crate::model::names::Ordinal(ordinal)) else { return };
    match what {
        0 => member.server = Fact::Unknown(why.clone()),
        1 => member.files = Fact::Unknown(why.clone()),
        2 => hide(seen, ordinal, why.clone()),
        3 => remove(seen, ordinal),
        4 if member.pod.is_some() => member.pod.as_mut().unwrap().containers.clear(),
        5 if member.pod.is_some() => member.pod.as_mut().unwrap().deletion = Some(at(-100)),
        6 => seen.objects.nodes = Fact::Unknown(why.clone()),
        7 => seen.objects.claims = Fact::Unknown(why.clone()),
        8 => seen.objects.services = Fact::Unknown(why.clone()),
        9 if several => {
            seen.members.remove(&crate::model::names::Ordinal(ordinal));
        }
        10 if member.pod.as_ref().is_some_and(|pod| !pod.containers.is_empty()) => {
            stop(seen, ordinal, ContainerState::Terminated(end("Error", 1, 3)));
        }
        11 if member.pod.as_ref().is_some_and(|pod| !pod.containers.is_empty()) => crash(seen, ordinal, "OOMKilled", 137),
        12 => seen.objects.stateful_set.replicas += 1,
        13 => seen.objects.stateful_set.start += 1,
        14 => silence(seen, ordinal),
        15 if member.pod.is_some() => member.pod.as_mut().unwrap().ready = false,
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(600), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_look_gets_a_verdict_and_none_is_healthy_with_a_pod_unknown(
        base in 0..8usize,
        steps in proptest::collection::vec((0..16u32, 0..4u32, 0..13usize), 0..7),
    ) {
        let mut seen = bases().swap_remove(base);
        for (what, ordinal, why) in steps {
            damage(&mut seen, what, ordinal, &reasons()[why]);
        }
        let answer = verdict(&seen);
        let unknown: Vec<String> = seen
            .objects
            .stateful_set
            .wanted()
            .filter(|ordinal| seen.members.get(ordinal).is_none_or(|member| member.server.known().is_err()))
            .map(|ordinal| seen.pod_name(ordinal))
            .collect();
        if !unknown.is_empty() {
            prop_assert!(answer.state != State::Healthy, "{unknown:?} unknown: {answer:#?}");
        }
        for pod in &unknown {
            let told = answer.findings.iter().any(|finding| finding.pods.contains(pod));
            prop_assert!(told, "nothing is said of {pod}: {answer:#?}");
        }
        prop_assert!(answer.headline.starts_with(answer.state.name()));
        prop_assert!(!answer.headline.contains('\n'));
        let needed = unobserved(&seen).needed;
        let code = exit(&answer.findings, &unobserved(&seen), None);
        prop_assert_eq!(needed.is_empty(), code == Exit::Ok);
    }
}
