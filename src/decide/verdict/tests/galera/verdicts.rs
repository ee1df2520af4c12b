//! What is said of whole clusters in trouble.

use super::*;

#[test]
fn a_cut_off_member_is_told_once_and_the_margin_too() {
    let mut seen = cut_off();
    pod_of(&mut seen, 2).ready = false;
    assert_eq!(alarms(&seen), ["MDB211", "MDB223"]);
    assert_eq!(verdict(&seen).state, State::Degraded);
    assert!(verdict(&seen).headline.starts_with("Degraded: 2 of 3 members Synced in one primary component; db-2 "));
    pod_of(&mut seen, 2).ready = true;
    assert_eq!(alarms(&seen), ["MDB211", "MDB118", "MDB223"], "its probe asks too little");
}

#[test]
fn two_components_are_a_split_brain_whatever_their_numbers_say() {
    let seen = split_brain();
    let answer = verdict(&seen);
    assert_eq!(alarms(&seen), ["MDB203"]);
    assert_eq!(answer.state, State::Critical);
    assert!(answer.headline.starts_with("Critical: split brain: [db-0 and db-1] and [db-2]"), "{}", answer.headline);
}

#[test]
fn a_zero_uuid_is_critical_even_if_all_say_synced() {
    assert_eq!(alarms(&zero_uuid()), ["MDB207"]);
    let rejoined = moment(["zero-rejoined-n1", "zero-rejoined-n2", "zero-rejoined-n3"]);
    assert!(alarms(&rejoined).contains(&"MDB207"), "{:?}", alarms(&rejoined));
}

#[test]
fn a_killed_member_costs_an_error_and_the_margin() {
    for recorded in [["killed-1s-n1", "-", "-"], ["killed-10s-n1", "killed-10s-n2", "-"]] {
        let mut seen = moment(recorded);
        for (ordinal, _) in recorded.iter().enumerate().filter(|(_, recorded)| **recorded == "-") {
            stop(&mut seen, u32::try_from(ordinal).unwrap(), ContainerState::Terminated(end("Error", 137, 1)));
        }
        assert_eq!(verdict(&seen).state, State::Degraded, "{:#?}", verdict(&seen));
        assert!(alarms(&seen).contains(&"MDB112"), "{:?}", alarms(&seen));
        assert!(!alarms(&seen).contains(&"MDB201"), "{:?}", alarms(&seen));
    }
}

/// Row 11: the wrong member founded the cluster, and those that crash hold more. Their next start gives up, and the one after
/// that erases it: the log is all that tells meanwhile.
#[test]
fn a_crashing_member_that_holds_more_than_the_cluster_is_told_from_its_log() {
    let committed = 3;
    let history = galera_of(&mut healthy_galera(), 0).status.cluster_state_uuid;
    let rested = |uuid: uuid::Uuid, seqno: u64| LastStart::Rested(Position { uuid, seqno: Some(seqno), gtid: None });
    let told = |start: LastStart| {
        let mut seen = healthy_galera();
        stop(&mut seen, 2, ContainerState::Waiting { reason: "CrashLoopBackOff".to_owned(), message: String::new() });
        out_of_view(&mut seen, 2);
        seen.last_starts.insert(Ordinal(2), Fact::Known(Some(start)));
        verdict(&seen).findings.into_iter().find(|finding| finding.rule == &rule::AHEAD)
    };
    let finding = told(rested(history, committed + 20)).unwrap();
    assert_eq!(finding.summary, "db-2 has transactions that the cluster lacks");
    assert!(finding.evidence.iter().any(|evidence| evidence.value.contains(&format!("{history}:23"))), "{finding:?}");
    // Its volume is kept, whatever the set would do.
    let next = |seen: &mut Snapshot| {
        stop(seen, 2, ContainerState::Waiting { reason: "CrashLoopBackOff".to_owned(), message: String::new() });
        out_of_view(seen, 2);
        seen.last_starts.insert(Ordinal(2), Fact::Known(Some(rested(history, committed + 20))));
        let finding = verdict(seen).findings.into_iter().find(|finding| finding.rule == &rule::AHEAD).unwrap();
        finding.next.iter().map(|command| format!("{command:?}").replace("\", \"", " ")).collect::<Vec<_>>().join("\n")
    };
    let mut seen = healthy_galera();
    seen.objects.stateful_set.pod_management = PodManagement::Parallel;
    assert!(!next(&mut seen).contains("Retain") && !next(&mut seen).contains("delete pod"), "{}", next(&mut seen));
    seen.objects.stateful_set.deletes_claims_when_scaled = true;
    seen.objects.stateful_set.pod_management = PodManagement::OrderedReady;
    let all = next(&mut seen);
    let at = |words: &str| all.find(words).unwrap_or_else(|| panic!("no {words}: {all}"));
    assert!(at("Retain") < at("scale statefulset/db --replicas=0") && at("--replicas=0") < at("delete pod db-2"), "{all}");
    assert!(told(LastStart::TurnedAway { own: committed + 20, group: committed }).is_some());
    // Nothing more, nothing that is not on its way, and nothing of another history.
    assert!(told(rested(history, committed)).is_none() && told(rested(history, committed + 1)).is_none());
    assert!(told(LastStart::TurnedAway { own: committed, group: 1 }).is_none(), "of an earlier start");
    assert!(told(rested(uuid::Uuid::from_u128(7), 99)).is_none());
}

#[test]
fn a_member_in_sst_is_a_warning_and_no_more() {
    let mut seen = moment(["joiner-n1", "joiner-n2", "-"]);
    pod_of(&mut seen, 2).ready = false;
    let files = files_of(&mut seen, 2);
    files.grastate = StateFile::Empty;
    files.transfer_markers = vec!["sst_in_progress".to_owned()];
    files.process = Process::Running { pid: 1, state: 'S', listening: vec![4444, 4567] };
    assert_eq!(alarms(&seen), ["MDB216"], "{:#?}", verdict(&seen));
    assert_eq!(verdict(&seen).state, State::Degraded);
}

#[test]
fn a_copy_that_its_probe_cuts_off_is_told_before_it_is() {
    let told = |seen: &Snapshot| verdict(seen).findings.into_iter().find(|finding| finding.rule == &rule::PROBE_WILL_KILL);
    let mut seen = healthy_galera();
    copying(&mut seen, 10);
    let finding = told(&seen).unwrap();
    assert_eq!(
        finding.summary,
        "the startup probe of db-2 will end its state transfer before it is done: it needs at least 3 min, and has 40 s"
    );
    let evidence: Vec<String> =
        finding.evidence.iter().map(|evidence| format!("{}: {}", evidence.source, evidence.value)).collect();
    assert_eq!(
        evidence,
        [
            "state transfer into db-2: 200 MiB of about 1.9 GiB in 20 s, 10 MiB/s, at least 3 min left",
            "startup probe of db-2: fails since its start, 20 s ago; period 1 s, failureThreshold 60: ends it after 60 s",
            "failureThreshold that would do: 400",
        ]
    );
    copying(&mut seen, 0);
    assert!(told(&seen).unwrap().summary.ends_with("nothing arrives, and has 40 s"));
    // A probe that has succeeded does not mind the transfer, and one that is not known to have failed proves nothing.
    for started in [Some(true), None] {
        container_of(&mut seen, 2).started = started;
        assert_eq!(told(&seen), None);
    }
}

#[test]
fn without_a_startup_probe_a_liveness_probe_counts_that_is_seen_to_fail() {
    let told = |seen: &Snapshot| verdict(seen).findings.iter().any(|finding| finding.rule == &rule::PROBE_WILL_KILL);
    let mut seen = healthy_galera();
    copying(&mut seen, 10);
    let layout = &mut seen.objects.stateful_set.layout;
    layout.liveness_probe = layout.startup_probe.take();
    container_of(&mut seen, 2).started = Some(true);
    assert!(!told(&seen));
    for (ago, expected) in [(5, true), (25, false)] {
        seen.objects.events = Fact::Known(vec![Event {
            object: "Pod/db-2".to_owned(),
            reason: "Unhealthy".to_owned(),
            message: "Liveness probe failed: ERROR 2002".to_owned(),
            count: 3,
            last: Some(at(-ago)),
        }]);
        assert_eq!(told(&seen), expected, "{ago} s ago: of this run, or of the one before");
    }
}

#[test]
fn a_restarted_server_does_not_wait_for_its_former_self() {
    let mut seen = healthy_galera();
    limbo(&mut seen);
    let names =
        |seen: &Snapshot| verdict(seen).findings.into_iter().find(|finding| finding.rule == &rule::LIMBO).unwrap().summary;
    let before = names(&seen);
    for ordinal in 0..2 {
        // It counts its own id up and keeps the saved view.
        let StateFile::Parsed(saved) = &mut files_of(&mut seen, ordinal).gvwstate else { panic!("a saved view") };
        let mut id = saved.my_uuid.into_bytes();
        id[9] = id[9].wrapping_add(1);
        saved.my_uuid = uuid::Uuid::from_bytes(id);
    }
    assert_eq!(names(&seen), before);
}

#[test]
fn a_cluster_that_starts_for_the_first_time_is_not_beyond_hope() {
    let mut seen = healthy_galera();
    all_crash(&mut seen);
    assert!(alarms(&seen).contains(&"MDB202") && alarms(&seen).contains(&"MDB215"));
    // The first one has never run before, and may be about to found the cluster that the others wait for.
    container_of(&mut seen, 0).restarts = 0;
    container_of(&mut seen, 0).last_end = None;
    files_of(&mut seen, 0).grastate = StateFile::Absent;
    files_of(&mut seen, 0).initialised = false;
    assert!(!alarms(&seen).contains(&"MDB202") && !alarms(&seen).contains(&"MDB215"), "{:?}", alarms(&seen));
}

#[test]
fn limbo_names_the_members_that_are_awaited() {
    let mut seen = healthy_galera();
    limbo(&mut seen);
    let answer = verdict(&seen);
    assert_eq!(answer.state, State::Critical);
    let waiting: Vec<&str> =
        answer.findings.iter().filter(|finding| finding.rule.code == "MDB214").map(|finding| finding.summary.as_str()).collect();
    assert_eq!(waiting, ["db-0 waits for db-2 and takes no statements; likewise db-1"]);
}

#[test]
fn members_that_have_just_come_back_together_are_starting() {
    let mut seen = healthy_galera();
    (0..3).for_each(|ordinal| no_sql_after_crash(&mut seen, ordinal));
    assert!(!alarms(&seen).contains(&"MDB214"), "they find each other within seconds: {:?}", alarms(&seen));
}

#[test]
fn a_hidden_majority_is_never_declared_dead() {
    let mut seen = cut_off();
    hide(&mut seen, 0, timed_out());
    hide(&mut seen, 1, timed_out());
    assert!(alarms(&seen).contains(&"MDB206") && !alarms(&seen).contains(&"MDB201"), "{:?}", alarms(&seen));
    assert_eq!(verdict(&seen).state, State::Degraded);
}

#[test]
fn a_member_that_cannot_be_asked_but_is_in_the_view_leaves_the_verdict_open() {
    let mut seen = healthy_galera();
    hide(&mut seen, 1, Why::NoSql { obstacle: Obstacle::WrongPassword, message: "ERROR 1045".to_owned() });
    assert_eq!(alarms(&seen), ["MDB903"]);
    assert_eq!(verdict(&seen).state, State::Unknown);
}

#[test]
fn galera_rules_say_nothing_of_other_clusters() {
    for mut seen in [healthy_replication(), single()] {
        server_of(&mut seen, 0).uptime = std::time::Duration::ZERO;
        assert!(codes(&seen).iter().all(|code| !code.starts_with("MDB2")));
    }
    let _ = server(0);
}
