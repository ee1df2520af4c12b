mod cases;

pub(super) use cases::cases;

use crate::model::kubernetes::{Claim, RoleLabel, Service, UpdateStrategy};
use crate::model::manager::Manager;
use crate::model::operator::{Backup, BackupKind, BackupRun, Condition, Mode, OperatorView, RunEnd};
use crate::model::operator_version::OperatorDeployment;
use crate::model::testing::{files_of, galera_of, healthy_galera, healthy_replication, operator_view, server_of};
use crate::model::wsrep::ClusterStatus;

use super::*;

/// A cluster of the operator's, who is content with it.
fn managed(mut seen: Snapshot, mode: Mode) -> Snapshot {
    let mut view = operator_view();
    view.spec.mode = mode;
    seen.objects.manager = Manager::of(&seen.objects.stateful_set, Fact::Known(Some(view)));
    let operator = operator_of(&mut seen);
    operator.owns = true;
    operator.backups = Fact::Known(vec![nightly()]);
    if mode == Mode::Galera {
        believe(&mut seen, "GaleraReady", true, "GaleraReady", "Galera ready", 3600);
        believe(&mut seen, "GaleraConfigured", true, "GaleraConfigured", "Galera configured", 3600);
    }
    seen
}

fn replication() -> Snapshot {
    managed(healthy_replication(), Mode::Replication)
}

fn galera() -> Snapshot {
    managed(healthy_galera(), Mode::Galera)
}

fn operator_of(seen: &mut Snapshot) -> &mut crate::model::manager::Operator {
    match &mut seen.objects.manager {
        Manager::Operator(operator) => operator,
        Manager::StatefulSet => panic!("nobody manages this set"),
    }
}

fn view_of(seen: &mut Snapshot) -> &mut OperatorView {
    match &mut operator_of(seen).view {
        Fact::Known(view) => view,
        Fact::Unknown(why) => panic!("the view is unknown: {why}"),
    }
}

/// Replaces a condition, `age` seconds old.
fn believe(seen: &mut Snapshot, name: &str, holds: bool, reason: &str, message: &str, age: i64) {
    let conditions = &mut view_of(seen).status.conditions;
    conditions.retain(|condition| condition.name != name);
    conditions.push(condition(name, holds, reason, message, age));
}

fn condition(name: &str, holds: bool, reason: &str, message: &str, age: i64) -> Condition {
    Condition { name: name.into(), holds: Some(holds), reason: reason.into(), message: message.into(), since: Some(at(-age)) }
}

/// Succeeded nine hours before the look.
fn nightly() -> Backup {
    let done = at(-9 * 3600);
    Backup {
        kind: BackupKind::Physical,
        name: "nightly".into(),
        uid: "1".into(),
        created: Some(at(-30 * 86_400)),
        schedule: Some("0 3 * * *".into()),
        suspended: false,
        complete: Some(condition("Complete", true, "JobComplete", "Success", 9 * 3600)),
        last_scheduled: Some(done),
        runs: Fact::Known(vec![BackupRun {
            job: "nightly-1".into(),
            started: Some(done),
            end: RunEnd::Succeeded { at: Some(done) },
        }]),
    }
}

fn backup_of(seen: &mut Snapshot) -> &mut Backup {
    match &mut operator_of(seen).backups {
        Fact::Known(backups) => &mut backups[0],
        Fact::Unknown(why) => panic!("the backups are unknown: {why}"),
    }
}

fn fail_backup(seen: &mut Snapshot) {
    let end = RunEnd::Failed { at: Some(at(-3600)), why: "BackoffLimitExceeded".into() };
    let run = BackupRun { job: "nightly-2".into(), started: Some(at(-3700)), end };
    let backup = backup_of(seen);
    if let Fact::Known(runs) = &mut backup.runs {
        runs.push(run);
    }
    backup.complete = Some(condition("Complete", true, "JobFailed", "Failed", 3600));
}

fn add_claim(seen: &mut Snapshot, name: &str) {
    let Fact::Known(claims) = &mut seen.objects.claims else { panic!("no claims") };
    let claim = Claim { name: name.into(), ..claims[0].clone() };
    claims.push(claim);
}

fn age_images(seen: &mut Snapshot, version: &str) {
    view_of(seen).spec.data_plane_image = Some(format!("mariadb-operator:{version}"));
}

fn deployed(seen: &mut Snapshot, version: &str) {
    let (namespace, name, image) = ("ops".to_owned(), "mariadb-operator".to_owned(), format!("mariadb-operator:{version}"));
    operator_of(seen).deployments = Fact::Known(vec![OperatorDeployment { namespace, name, image }]);
}

fn primary_service(seen: &mut Snapshot, pod: &str) {
    let selector = [("statefulset.kubernetes.io/pod-name".to_owned(), pod.to_owned())].into();
    let Fact::Known(services) = &mut seen.objects.services else { panic!("no services") };
    services.push(Service { name: "db-primary".into(), headless: false, selector, publishes_not_ready: false });
}

fn hold_rollout(seen: &mut Snapshot, strategy: &str, age: i64) {
    view_of(seen).spec.update_strategy = Some(strategy.into());
    believe(seen, "Updated", false, "Updating", "Updating", age);
    believe(seen, "Ready", false, "Updating", "Updating", age);
    seen.objects.stateful_set.update_revision = "db-new".into();
    seen.objects.stateful_set.update_strategy = match strategy {
        "RollingUpdate" => UpdateStrategy::RollingUpdate { partition: 2 },
        _ => UpdateStrategy::OnDelete,
    };
}

/// The field that makes the operator bootstrap db-0.
fn force(seen: &mut Snapshot) {
    view_of(seen).spec.force_bootstrap_in = Some("db-0".into());
}

fn galera_waits(seen: &mut Snapshot) {
    believe(seen, "GaleraReady", false, "GaleraNotReady", "Galera not ready", 30);
}

/// db-2 has left; the operator has not noticed.
fn leave(seen: &mut Snapshot) {
    galera_of(seen, 2).status.cluster_status = ClusterStatus::Disconnected;
}

fn start_writable(seen: &mut Snapshot, ordinal: u32) {
    files_of(seen, ordinal).starts_read_only = Some(false);
}

/// So many seconds after the look.
fn certificate_ends(seen: &mut Snapshot, seconds: i64) {
    view_of(seen).status.server_certificate_ends = Some(at(seconds));
}

/// To db-1, for so many seconds.
fn switch_primary(seen: &mut Snapshot, age: i64) {
    believe(seen, "PrimarySwitched", false, "SwitchPrimary", "Switching primary to 'db-1'", age);
}

fn scale_out(seen: &mut Snapshot, age: i64) {
    believe(seen, "ScaledOut", false, "ScalingOut", "Scaling out", age);
}

/// Where a scale-out copies from, left behind.
fn leave_copy(seen: &mut Snapshot) {
    add_claim(seen, "db-pb-scaleout");
}

fn label(seen: &mut Snapshot, ordinal: u32, value: &str) {
    pod_of(seen, ordinal).role = RoleLabel::read("k8s.mariadb.com/role", value);
}

#[test]
fn a_content_operator_adds_no_alarm() {
    for seen in [replication(), galera()] {
        assert_eq!(alarms(&seen), Vec::<&str>::new(), "{:#?}", verdict(&seen));
    }
}

#[test]
fn what_the_operator_does_after_each_start_is_no_error() {
    let mut seen = replication();
    for ordinal in 1..3 {
        start_writable(&mut seen, ordinal);
        server_of(&mut seen, ordinal).binlog.logs_replicated = false;
    }
    assert_eq!(alarms(&seen), Vec::<&str>::new(), "{:#?}", verdict(&seen));
    view_of(&mut seen).spec.suspended = true;
    assert!(codes(&seen).contains("MDB343") && codes(&seen).contains("MDB345"));
}

#[test]
fn the_bootstrap_file_is_the_operators_own_while_it_recovers() {
    let mut seen = galera();
    files_of(&mut seen, 0).bootstrap_switches = vec!["file /etc/mysql/mariadb.conf.d/1-bootstrap.cnf".into()];
    assert!(codes(&seen).contains("MDB243"));
    galera_waits(&mut seen);
    assert!(!codes(&seen).contains("MDB243"));
}

#[test]
fn an_unreadable_object_is_an_extra() {
    let mut seen = replication();
    operator_of(&mut seen).view = Fact::Unknown(Why::Forbidden("get mariadbs.k8s.mariadb.com in namespace shop".into()));
    assert_eq!(alarms(&seen), Vec::<&str>::new());
    assert!(codes(&seen).contains("MDB921"));
}

#[test]
fn a_set_that_speaks_of_galera_is_galera_when_nobody_can_be_asked() {
    let mut seen = healthy_galera();
    (0..3).for_each(|ordinal| crash(&mut seen, ordinal, "Error", 1));
    assert!(!codes(&seen).contains("MDB202"));
    seen.objects.stateful_set.layout.galera_signs = vec!["port: 4567".into()];
    assert!(codes(&seen).contains("MDB202"), "{:#?}", verdict(&seen));
}

#[test]
fn labels_of_a_galera_cluster_are_held_to_whom_the_operator_names() {
    let rule = &crate::decide::rules::managers::ROLE_LABEL;
    let told = |seen: &Snapshot| verdict(seen).findings.into_iter().find(|finding| finding.rule == rule);
    let mut seen = galera();
    label(&mut seen, 0, "primary");
    label(&mut seen, 1, "replica");
    assert_eq!(told(&seen), None);
    label(&mut seen, 1, "primary");
    let finding = told(&seen).unwrap();
    assert_eq!(finding.summary, "db-1 is labelled primary, and the operator says that db-0 is the primary");
    assert_eq!(finding.pods, ["db-1"]);
}

#[test]
fn a_certificate_in_a_container_is_judged_by_its_own_life() {
    let told = |starts: i64, ends: i64| {
        let mut seen = healthy_galera();
        let path = "/etc/mysql/tls/server.pem".to_owned();
        files_of(&mut seen, 1).certificate = Some(crate::model::disk::Certificate { path, starts: at(starts), ends: at(ends) });
        alarms(&seen)
    };
    const DAY: i64 = 86_400;
    assert_eq!(told(-300 * DAY, 20 * DAY), Vec::<&str>::new());
    assert_eq!(told(-300 * DAY, 10 * DAY), ["MDB541"]);
    assert_eq!(told(-300 * DAY, -DAY), ["MDB542"]);
    // Made for a day, and as good as new.
    assert_eq!(told(-3600, 20 * 3600), Vec::<&str>::new());
    assert_eq!(told(-20 * 3600, 4 * 3600), ["MDB541"]);
}
