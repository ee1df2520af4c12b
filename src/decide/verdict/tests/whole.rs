//! Whole clusters: what is healthy, and the exit codes.

use crate::decide::verdict::State;
use crate::decide::{exit, unobserved};
use crate::failure::Exit;
use crate::model::fact::{Fact, Obstacle, Why};
use crate::model::snapshot::Snapshot;
use crate::model::testing::{fixture, galera, healthy_galera, healthy_replication, moment, server_of, single};

use super::*;

fn code(seen: &Snapshot, fail_on: Option<Severity>) -> Exit {
    exit(&verdict(seen).findings, &unobserved(seen), fail_on)
}

fn galera_118() -> Snapshot {
    galera(&[
        fixture!("galera-11.8/healthy-n1-status.tsv"),
        fixture!("galera-11.8/healthy-n2-status.tsv"),
        fixture!("galera-11.8/healthy-n3-status.tsv"),
    ])
}

#[test]
fn healthy_clusters_have_no_warning() {
    for (seen, headline) in [
        (healthy_galera(), "Healthy: 3 of 3 members Synced in one primary component"),
        (galera_118(), "Healthy: 3 of 3 members Synced in one primary component"),
        (moment(["three-n1", "three-n2", "three-n3"]), "Healthy: 3 of 3 members Synced in one primary component"),
        (healthy_replication(), "Healthy: primary db-0, 2 of 2 replicas running"),
        (single(), "Healthy: db-0 is the only server and takes writes"),
    ] {
        let answer = verdict(&seen);
        assert_eq!(alarms(&seen), Vec::<&str>::new(), "{answer:#?}");
        assert_eq!((answer.state, answer.headline.as_str()), (State::Healthy, headline));
        assert_eq!(code(&seen, Some(Severity::Warning)), Exit::Ok);
    }
}

#[test]
fn the_worst_comes_first_and_the_headline_says_it() {
    let mut seen = healthy_galera();
    crash(&mut seen, 2, "Error", 1);
    server_of(&mut seen, 0).flush_log_at_commit = 2;
    let answer = verdict(&seen);
    let severities: Vec<Severity> = answer.findings.iter().map(|finding| finding.rule.severity).collect();
    assert!(severities.windows(2).all(|pair| pair[0] >= pair[1]), "{severities:?}");
    assert!(
        answer.headline.starts_with("Degraded: 2 of 3 members Synced in one primary component; the server of db-2 crashes again"),
        "{}",
        answer.headline
    );
}

#[test]
fn exit_codes_are_worst_first() {
    let forbidden = || Why::Forbidden("create pods/exec".to_owned());
    let of = |change: &dyn Fn(&mut Snapshot), fail_on| {
        let mut seen = healthy_galera();
        change(&mut seen);
        code(&seen, fail_on)
    };
    let error = Some(Severity::Error);
    assert_eq!(of(&|seen| crash(seen, 2, "Error", 1), error), Exit::Unhealthy);
    assert_eq!(of(&|seen| crash(seen, 2, "Error", 1), None), Exit::Ok, "a pod that is down is observed");
    assert_eq!(of(&|seen| hide(seen, 2, timed_out()), error), Exit::Unobserved);
    assert_eq!(of(&|seen| obstruct(seen, 2, Obstacle::WrongPassword), error), Exit::Unobserved);
    assert_eq!(of(&|seen| hide(seen, 2, timed_out()), Some(Severity::Info)), Exit::Unobserved, "9xx never lead to 3");
    let both = |seen: &mut Snapshot| {
        hide(seen, 1, timed_out());
        hide(seen, 2, forbidden());
    };
    assert_eq!(of(&both, error), Exit::Forbidden);
    let all = |seen: &mut Snapshot| {
        both(seen);
        crash(seen, 0, "Error", 1);
    };
    assert_eq!(of(&all, error), Exit::Unhealthy);
    assert_eq!(of(&|seen| seen.objects.stateful_set.generation = 2, error), Exit::Ok, "a warning");
    assert_eq!(of(&|seen| seen.objects.stateful_set.generation = 2, Some(Severity::Warning)), Exit::Unhealthy);
}

#[test]
fn extras_never_change_the_code() {
    let mut seen = healthy_galera();
    let why = || Why::Forbidden("list it".to_owned());
    seen.objects.nodes = Fact::Unknown(why());
    seen.objects.claims = Fact::Unknown(why());
    seen.objects.services = Fact::Unknown(why());
    seen.objects.endpoint_slices = Fact::Unknown(why());
    seen.objects.events = Fact::Unknown(timed_out());
    assert_eq!(code(&seen, Some(Severity::Warning)), Exit::Ok);
    assert_eq!(verdict(&seen).state, State::Healthy);
    assert_eq!(unobserved(&seen).extra.len(), 5);
}

#[test]
fn what_was_not_asked_is_not_missed_but_not_healthy_either() {
    let mut seen = healthy_galera();
    (0..3).for_each(|ordinal| hide(&mut seen, ordinal, Why::NotAsked));
    assert_eq!(code(&seen, Some(Severity::Error)), Exit::Ok);
    assert_eq!(verdict(&seen).state, State::Unknown);
}

#[test]
fn a_node_that_is_silent_is_an_error_before_it_is_a_gap() {
    let mut seen = healthy_galera();
    kubernetes::dead_node(&mut seen);
    assert_eq!(code(&seen, Some(Severity::Error)), Exit::Unhealthy);
    assert_eq!(unobserved(&seen).needed.len(), 2, "server and files");
}

#[test]
fn a_cluster_of_which_nothing_runs_is_critical() {
    let mut seen = single();
    crash(&mut seen, 0, "Error", 1);
    assert_eq!(verdict(&seen).state, State::Critical);
    assert_eq!(verdict(&seen).headline, "Critical: the server of db-0 crashes again and again (exit code 1, 5 restarts)");
}
