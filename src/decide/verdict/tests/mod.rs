//! Tables: for each rule a snapshot that has it and a near miss that has not.

pub(in crate::decide) mod galera;
mod kubernetes;
mod managers;
mod properties;
mod replication;
mod services;
mod storage;
mod whole;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::decide::finding::{Rule, Severity};
use crate::decide::{catalog, verdict};
use crate::model::fact::{Fact, Obstacle, Why};
use crate::model::kubernetes::{Container, ContainerEnd, ContainerState, Pod};
use crate::model::names::Ordinal;
use crate::model::snapshot::{Member, Snapshot};
use crate::model::testing::noon;

/// A healthy cluster, what makes it have a finding, and what nearly does.
struct Case {
    rule: &'static Rule,
    base: fn() -> Snapshot,
    hit: fn(&mut Snapshot),
    miss: fn(&mut Snapshot),
}

fn codes(seen: &Snapshot) -> BTreeSet<&'static str> {
    verdict(seen).findings.iter().map(|finding| finding.rule.code).collect()
}

/// The codes of findings that are at least warnings.
fn alarms(seen: &Snapshot) -> Vec<&'static str> {
    let alarming = |finding: &crate::decide::finding::Finding| finding.rule.severity >= Severity::Warning;
    verdict(seen).findings.iter().filter(|finding| alarming(finding)).map(|finding| finding.rule.code).collect()
}

fn all_cases() -> Vec<Case> {
    [kubernetes::cases(), galera::cases(), replication::cases(), services::cases(), storage::cases(), managers::cases()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn every_rule_is_found_where_it_holds_and_not_beside_it() {
    for Case { rule, base, hit, miss } in all_cases() {
        let (mut bad, mut good) = (base(), base());
        hit(&mut bad);
        miss(&mut good);
        assert!(codes(&bad).contains(rule.code), "{} {} is not in {:#?}", rule.code, rule.title, verdict(&bad));
        assert!(!codes(&good).contains(rule.code), "{} {} is in {:#?}", rule.code, rule.title, verdict(&good));
    }
}

#[test]
fn no_rule_is_dead() {
    let covered: BTreeSet<&str> = all_cases().iter().map(|case| case.rule.code).collect();
    // What commands refuse is no part of a verdict: its cases are beside the deciders and in tests/operations.rs.
    // An object without a set makes no snapshot: see `unmade`.
    let of_verdict = |code: &&str| !code.starts_with("MDB7") && *code != crate::decide::rules::managers::NO_SET.code;
    let dead: Vec<&str> =
        catalog().iter().map(|rule| rule.code).filter(of_verdict).filter(|code| !covered.contains(code)).collect();
    assert_eq!(dead, Vec::<&str>::new(), "rules without a case");
}

#[test]
fn findings_say_what_they_rest_on_and_what_to_do_next() {
    for Case { rule, base, hit, .. } in all_cases() {
        let mut seen = base();
        hit(&mut seen);
        for finding in verdict(&seen).findings {
            let code = finding.rule.code;
            assert!(!finding.summary.is_empty() && !finding.summary.contains("  "), "{code} in {}: {finding:?}", rule.code);
            assert!(!finding.evidence.is_empty(), "{code} has no evidence: {finding:?}");
            assert!(finding.evidence.iter().all(|evidence| !evidence.value.is_empty()), "{code}: {finding:?}");
            assert!(finding.rule.severity == Severity::Info || !finding.next.is_empty(), "{code} leads nowhere: {finding:?}");
        }
    }
}

fn member_of(seen: &mut Snapshot, ordinal: u32) -> &mut Member {
    seen.members.get_mut(&Ordinal(ordinal)).unwrap()
}

fn pod_of(seen: &mut Snapshot, ordinal: u32) -> &mut Pod {
    member_of(seen, ordinal).pod.as_mut().unwrap()
}

fn container_of(seen: &mut Snapshot, ordinal: u32) -> &mut Container {
    &mut pod_of(seen, ordinal).containers[0]
}

/// The server and files of one ordinal are unknown for this reason.
fn hide(seen: &mut Snapshot, ordinal: u32, why: Why) {
    let member = member_of(seen, ordinal);
    member.server = Fact::Unknown(why.clone());
    member.files = Fact::Unknown(why);
}

/// The container of one ordinal does not run: it is in this state.
fn stop(seen: &mut Snapshot, ordinal: u32, state: ContainerState) {
    hide(seen, ordinal, Why::NotRunning("the container does not run".to_owned()));
    pod_of(seen, ordinal).ready = false;
    container_of(seen, ordinal).ready = false;
    container_of(seen, ordinal).state = state;
}

fn waiting(reason: &str) -> ContainerState {
    ContainerState::Waiting { reason: reason.to_owned(), message: "as the kubelet says".to_owned() }
}

/// The container of one ordinal crashes again and again.
fn crash(seen: &mut Snapshot, ordinal: u32, reason: &str, exit_code: i32) {
    stop(seen, ordinal, waiting("CrashLoopBackOff"));
    let container = container_of(seen, ordinal);
    container.restarts = 5;
    container.last_end = Some(end(reason, exit_code, 30));
}

/// An end so many seconds before the look.
fn end(reason: &str, exit_code: i32, ago: i64) -> ContainerEnd {
    ContainerEnd { exit_code, signal: None, reason: reason.to_owned(), started: Some(at(-ago - 20)), at: Some(at(-ago)) }
}

/// A moment so many seconds after the look.
fn at(seconds: i64) -> jiff::Timestamp {
    noon() + jiff::SignedDuration::from_secs(seconds)
}

/// The container of one ordinal answers, and its server opens no socket.
fn quiet(seen: &mut Snapshot, ordinal: u32) {
    obstruct(seen, ordinal, Obstacle::NoSocket);
    pod_of(seen, ordinal).ready = false;
    container_of(seen, ordinal).state = ContainerState::Running { since: Some(at(-20)) };
}

/// The server of one ordinal cannot be asked; its files can be read.
fn obstruct(seen: &mut Snapshot, ordinal: u32, obstacle: Obstacle) {
    let message = "ERROR 2002 (HY000): Can't connect to local server".to_owned();
    member_of(seen, ordinal).server = Fact::Unknown(Why::NoSql { obstacle, message });
}

fn timed_out() -> Why {
    Why::TimedOut(Duration::from_secs(3))
}

/// There is no pod of this ordinal.
fn remove(seen: &mut Snapshot, ordinal: u32) {
    hide(seen, ordinal, Why::NotRunning("there is no pod".to_owned()));
    member_of(seen, ordinal).pod = None;
}

fn nothing(_: &mut Snapshot) {}
