//! Screens and documents of reports that the model makes.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::cli::global::Format;
use crate::decide::election::elect;
use crate::decide::helper::{Kind, Template};
use crate::model::disk::{Process, StateFile};
use crate::model::fact::Fact;
use crate::model::manager::{Manager, Operator};
use crate::model::names::Ordinal;
use crate::model::operator::ApiGroup;
use crate::model::recovered::from_helper;
use crate::model::snapshot::Snapshot;
use crate::model::testing::{files_of, healthy_galera};
use crate::output::{schema, structured};

/// Three members without servers, killed at once.
fn down() -> Snapshot {
    let mut seen = healthy_galera();
    for ordinal in 0..3 {
        let disk = files_of(&mut seen, ordinal);
        disk.process = Process::None;
        let member = seen.members.get_mut(&Ordinal(ordinal)).unwrap();
        member.server = Fact::Unknown(Why::NotRunning("it waits".to_owned()));
        member.pod.as_mut().unwrap().containers.clear();
    }
    seen
}

fn report(seen: Snapshot, positions: &[(u32, u64)]) -> Report {
    let history = "2ec812f1-e4f6-11f1-ad8a-7a5c33de3170";
    let log = |seqno: &u64| from_helper(&format!("WSREP: Recovered position: {history}:{seqno}\n"));
    let recovered: BTreeMap<Ordinal, _> = positions.iter().map(|(ordinal, seqno)| (Ordinal(*ordinal), log(seqno))).collect();
    Report {
        election: elect(&seen, &recovered),
        seen,
        recovered,
        by_helper: BTreeSet::from([Ordinal(0)]),
        helpers: Vec::new(),
        stopped: None,
        not_recovered: None,
    }
}

fn text(report: &Report, width: u16, wide: bool) -> String {
    let mut out = Styled::new(true, Some(width), wide);
    Grastate::new(report, &[], &OwnFlags::default()).screen(wide, &mut out);
    out.paint(false)
}

/// All documents fit the schema.
fn checked(report: &Report) -> Grastate {
    let answer = Grastate::new(report, &["db-0-inspect".to_owned()], &OwnFlags::default());
    schema::check(&structured::text(Format::Json, Grastate::KIND, &answer).unwrap());
    answer
}

#[test]
fn every_outcome_is_a_screen_of_80_columns_and_a_document() {
    let furthest = report(down(), &[(0, 2386), (1, 2392), (2, 2386)]);
    let tie = report(down(), &[(0, 7459), (1, 7459), (2, 7459)]);
    let to_recover = report(down(), &[]);
    let mut half = down();
    files_of(&mut half, 2).grastate = StateFile::Empty;
    let mut unread = down();
    unread.members.get_mut(&Ordinal(1)).unwrap().files = Fact::Unknown(Why::NotRunning("its node n2 is silent".to_owned()));
    let half = report(half, &[(0, 18), (1, 17)]);
    let unread = report(unread, &[(0, 18), (2, 18)]);
    let not_needed = report(healthy_galera(), &[]);
    for (name, report) in [
        ("furthest", furthest),
        ("tie", tie),
        ("to_recover", to_recover),
        ("half", half),
        ("unread", unread),
        ("not_needed", not_needed),
    ] {
        checked(&report);
        let screen = text(&report, 80, false);
        assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
        insta::assert_snapshot!(name, screen);
    }
}

#[test]
fn the_operators_choice_is_told_where_it_differs() {
    let mut seen = down();
    if let StateFile::Parsed(state) = &mut files_of(&mut seen, 2).grastate {
        state.safe_to_bootstrap = Some(true);
    }
    let mut report = report(seen, &[(0, 2386), (1, 2392), (2, 2386)]);
    assert_eq!(checked(&report).operator, None);
    let operator = Operator {
        group: ApiGroup::MariaDb,
        name: "db".to_owned(),
        owns: true,
        view: Fact::Unknown(Why::Forbidden("get mariadbs.k8s.mariadb.com".to_owned())),
        backups: Fact::Unknown(Why::NotAsked),
        deployments: Fact::Unknown(Why::NotAsked),
    };
    report.seen.objects.manager = Manager::Operator(Box::new(operator));
    let operator = checked(&report).operator.unwrap();
    assert_eq!((operator.pod.as_deref(), operator.differs), (Some("db-2"), true));
    assert!(text(&report, 80, false).contains("that is another choice than the one"), "{}", text(&report, 80, false));
}

#[test]
fn planned_helpers_are_in_the_document_and_their_question_says_what_they_may_do() {
    let mut report = report(down(), &[]);
    let template = serde_json::json!({"spec": {"containers": [{"name": "mariadb", "image": "mariadb:10.11",
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/mysql"}]}]}});
    let mut questions = String::new();
    for kind in [Kind::Inspect, Kind::Recover] {
        let set = &report.seen.objects.stateful_set;
        let pod = report.seen.members[&Ordinal(1)].pod.as_ref();
        let helper = Template { set, template: &template }.helper(Ordinal(1), kind, pod, Some("/var/lib/mysql")).unwrap();
        let mut out = Styled::new(true, Some(80), false);
        question(&report.seen.target, std::slice::from_ref(&helper), &mut out);
        questions.push_str(&out.paint(false));
        let denied = HelperState::Denied(Why::Failed("exceeded quota".to_owned()));
        report.helpers.push(Planned { helper, state: denied });
    }
    insta::assert_snapshot!("questions", questions);
    report.stopped = Some(Stopped::Denied);
    let answer = checked(&report);
    assert_eq!(answer.helpers[0].claims, [ClaimStatus { name: "data-db-1".to_owned(), writable: false }]);
    assert!(answer.helpers[1].claims[0].writable);
    assert_eq!(answer.exit(), Exit::Unobserved);
}

#[test]
fn a_wide_screen_has_whole_uuids() {
    let screen = text(&report(down(), &[(0, 1), (1, 1), (2, 1)]), 200, true);
    assert!(screen.contains("2ec812f1-e4f6-11f1-ad8a-7a5c33de3170") && screen.contains("DATADIR"), "{screen}");
}
