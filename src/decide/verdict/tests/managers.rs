use crate::decide::rules::{backup, managers as rule};
use crate::model::kubernetes::{Claim, RoleLabel, Service, UpdateStrategy};
use crate::model::manager::Manager;
use crate::model::operator::{Backup, BackupKind, BackupRun, Condition, Mode, OperatorView, RunEnd};
use crate::model::testing::{galera_of, healthy_galera, healthy_replication, operator_view};

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

fn label(seen: &mut Snapshot, ordinal: u32, value: &str) {
    pod_of(seen, ordinal).role = RoleLabel::read("k8s.mariadb.com/role", value);
}

pub(super) fn cases() -> Vec<Case> {
    [operator(), primaries(), leftovers(), backups()].into_iter().flatten().collect()
}

fn operator() -> Vec<Case> {
    vec![
        Case { rule: &rule::SUSPENDED, base: replication, hit: |seen| view_of(seen).spec.suspended = true, miss: nothing },
        Case {
            rule: &rule::STOPPED,
            base: replication,
            hit: |seen| {
                let message = "Error reconciling Spec: admission webhook \"v\" denied the request: replicas must be > 1";
                believe(seen, "Ready", false, "Failed", message, 1);
            },
            miss: |seen| believe(seen, "Ready", false, "Failed", "Error reconciling SQL: Grant not found", 1),
        },
        Case {
            rule: &rule::STEP_FAILS,
            base: replication,
            hit: |seen| believe(seen, "Ready", false, "Failed", "Error reconciling Replication: timeout", 300),
            miss: |seen| believe(seen, "Ready", false, "Failed", "Error reconciling SQL: Grant not found", 1),
        },
        Case {
            rule: &rule::BLOCKED,
            base: replication,
            hit: |seen| {
                believe(seen, "ScaledOut", false, "ScaleOutError", "Scale out error: storage PVCs already exist", 30);
                believe(seen, "Ready", false, "ScaleOutError", "Scale out error: storage PVCs already exist", 30);
            },
            miss: |seen| believe(seen, "ScaledOut", false, "ScalingOut", "Scaling out", 30),
        },
        Case {
            rule: &rule::FORCE_LEFT,
            base: galera,
            hit: |seen| view_of(seen).spec.force_bootstrap_in = Some("db-0".into()),
            miss: |seen| {
                view_of(seen).spec.force_bootstrap_in = Some("db-0".into());
                believe(seen, "GaleraReady", false, "GaleraNotReady", "Galera not ready", 30);
            },
        },
        Case {
            rule: &rule::FORCE_WAITS,
            base: galera,
            hit: |seen| {
                view_of(seen).spec.force_bootstrap_in = Some("db-0".into());
                believe(seen, "GaleraReady", false, "GaleraNotReady", "Galera not ready", 30);
            },
            miss: |seen| view_of(seen).spec.force_bootstrap_in = Some("db-0".into()),
        },
        Case {
            rule: &rule::RECOVERING,
            base: galera,
            hit: |seen| believe(seen, "GaleraReady", false, "GaleraNotReady", "Galera not ready", 30),
            // Kept after the recovery has ended.
            miss: |seen| view_of(seen).status.recovery = Some(crate::model::operator::GaleraRecovery::default()),
        },
        Case {
            rule: &rule::READY_LIES,
            base: galera,
            hit: |seen| galera_of(seen, 2).status.cluster_status = crate::model::wsrep::ClusterStatus::Disconnected,
            miss: |seen| {
                galera_of(seen, 2).status.cluster_status = crate::model::wsrep::ClusterStatus::Disconnected;
                believe(seen, "Ready", false, "GaleraNotReady", "Galera not ready", 30);
            },
        },
        Case {
            rule: &rule::UPDATE_PAUSED,
            base: replication,
            hit: |seen| hold_rollout(seen, "RollingUpdate", 60),
            miss: |seen| hold_rollout(seen, "ReplicasFirstPrimaryLast", 60),
        },
        Case {
            rule: &rule::ROLLOUT_STUCK,
            base: replication,
            hit: |seen| hold_rollout(seen, "ReplicasFirstPrimaryLast", 1200),
            miss: |seen| hold_rollout(seen, "ReplicasFirstPrimaryLast", 60),
        },
        Case { rule: &rule::REPLICAS_DIFFER, base: replication, hit: |seen| view_of(seen).spec.replicas = 2, miss: nothing },
        Case { rule: &rule::DELETED, base: replication, hit: |seen| view_of(seen).deletion = Some(at(-5)), miss: nothing },
        Case { rule: &rule::NOT_OWNED, base: replication, hit: |seen| operator_of(seen).owns = false, miss: nothing },
        Case {
            rule: &rule::STARTS_WRITABLE,
            base: replication,
            hit: |seen| crate::model::testing::files_of(seen, 1).starts_read_only = Some(false),
            miss: |seen| {
                crate::model::testing::files_of(seen, 1).starts_read_only = Some(false);
                view_of(seen).spec.suspended = true;
            },
        },
        Case {
            rule: &rule::RECOVERY_CHOICE,
            base: galera,
            hit: |seen| age_images(seen, "26.6.0"),
            miss: |seen| age_images(seen, "26.10.0"),
        },
        Case {
            rule: &rule::SWITCHOVER_BUGS,
            base: replication,
            hit: |seen| age_images(seen, "25.10.4"),
            miss: |seen| age_images(seen, "main"),
        },
        Case {
            rule: &rule::CERTIFICATE_ENDS,
            base: replication,
            hit: |seen| view_of(seen).status.server_certificate_ends = Some(at(3 * 86_400)),
            miss: |seen| view_of(seen).status.server_certificate_ends = Some(at(30 * 86_400)),
        },
        Case {
            rule: &rule::CERTIFICATE_ENDED,
            base: replication,
            hit: |seen| view_of(seen).status.server_certificate_ends = Some(at(-1)),
            miss: |seen| view_of(seen).status.server_certificate_ends = Some(at(3 * 86_400)),
        },
    ]
}

fn primaries() -> Vec<Case> {
    vec![
        Case {
            rule: &rule::PRIMARY_DIFFERS,
            base: replication,
            hit: |seen| view_of(seen).status.current_primary = Some("db-1".into()),
            miss: |seen| {
                view_of(seen).status.current_primary = Some("db-1".into());
                believe(seen, "PrimarySwitched", false, "SwitchPrimary", "Switching primary to 'db-0'", 5);
            },
        },
        Case {
            rule: &rule::PRIMARY_NOT_SERVING,
            base: galera,
            hit: |seen| crash(seen, 0, "Error", 1),
            miss: |seen| crash(seen, 1, "Error", 1),
        },
        Case {
            rule: &rule::SWITCHING,
            base: replication,
            hit: |seen| believe(seen, "PrimarySwitched", false, "SwitchPrimary", "Switching primary to 'db-1'", 5),
            miss: |seen| believe(seen, "PrimarySwitched", true, "SwitchPrimary", "Switchover complete", 5),
        },
        Case {
            rule: &rule::SWITCHOVER_HANGS,
            base: replication,
            hit: |seen| believe(seen, "PrimarySwitched", false, "SwitchPrimary", "Switching primary to 'db-1'", 90),
            miss: |seen| believe(seen, "PrimarySwitched", false, "SwitchPrimary", "Switching primary to 'db-1'", 5),
        },
        Case {
            rule: &rule::PRIMARY_WANTED,
            base: replication,
            hit: |seen| view_of(seen).spec.primary_index = Some(Ordinal(2)),
            miss: nothing,
        },
        Case {
            rule: &rule::ROLE_LABEL,
            base: healthy_replication,
            hit: |seen| label(seen, 1, "primary"),
            miss: |seen| {
                label(seen, 0, "master");
                label(seen, 1, "Replica");
            },
        },
        Case {
            rule: &rule::PRIMARY_SERVICE,
            base: galera,
            hit: |seen| primary_service(seen, "db-2"),
            miss: |seen| primary_service(seen, "db-0"),
        },
    ]
}

fn leftovers() -> Vec<Case> {
    vec![
        Case {
            rule: &rule::LEFT_CLAIM,
            base: replication,
            hit: |seen| add_claim(seen, "db-pb-scaleout"),
            miss: |seen| {
                add_claim(seen, "db-pb-scaleout");
                believe(seen, "ScaledOut", false, "ScalingOut", "Scaling out", 5);
            },
        },
        Case {
            rule: &rule::SCALE_OUT_HANGS,
            base: replication,
            hit: |seen| {
                add_claim(seen, "db-pb-scaleout");
                believe(seen, "ScaledOut", false, "ScalingOut", "Scaling out", 400);
            },
            miss: |seen| believe(seen, "ScaledOut", false, "ScalingOut", "Scaling out", 30),
        },
        Case {
            rule: &rule::OLD_CLAIMS,
            base: replication,
            hit: |seen| add_claim(seen, "data-db-3"),
            miss: |seen| add_claim(seen, "data-db-3x"),
        },
    ]
}

fn backups() -> Vec<Case> {
    vec![
        Case { rule: &backup::NONE, base: galera, hit: |seen| operator_of(seen).backups = Fact::Known(vec![]), miss: nothing },
        Case {
            rule: &backup::FAILED,
            base: galera,
            hit: fail_backup,
            miss: |seen| {
                fail_backup(seen);
                backup_of(seen).suspended = true;
            },
        },
        Case {
            rule: &backup::SHOWN_COMPLETE,
            base: galera,
            hit: fail_backup,
            miss: |seen| {
                fail_backup(seen);
                backup_of(seen).complete = Some(condition("Complete", false, "JobFailed", "Failed", 3600));
            },
        },
        Case {
            rule: &backup::LATE,
            base: galera,
            hit: |seen| {
                let done = at(-50 * 3600);
                let end = RunEnd::Succeeded { at: Some(done) };
                backup_of(seen).runs = Fact::Known(vec![BackupRun { job: "nightly-1".into(), started: Some(done), end }]);
            },
            // The same cluster with a schedule that nobody understands.
            miss: |seen| {
                backup_of(seen).runs = Fact::Known(vec![]);
                backup_of(seen).schedule = Some("@every 1h".into());
            },
        },
        Case {
            rule: &backup::WAITS,
            base: galera,
            hit: |seen| backup_of(seen).complete = Some(condition("Complete", false, "Failed", "MariaDB not ready", 60)),
            miss: nothing,
        },
    ]
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
        crate::model::testing::files_of(&mut seen, ordinal).starts_read_only = Some(false);
        crate::model::testing::server_of(&mut seen, ordinal).binlog.logs_replicated = false;
    }
    assert_eq!(alarms(&seen), Vec::<&str>::new(), "{:#?}", verdict(&seen));
    view_of(&mut seen).spec.suspended = true;
    assert!(codes(&seen).contains("MDB343") && codes(&seen).contains("MDB345"));
}

#[test]
fn the_bootstrap_file_is_the_operators_own_while_it_recovers() {
    let mut seen = galera();
    crate::model::testing::files_of(&mut seen, 0).bootstrap_switches =
        vec!["file /etc/mysql/mariadb.conf.d/1-bootstrap.cnf".into()];
    assert!(codes(&seen).contains("MDB243"));
    believe(&mut seen, "GaleraReady", false, "GaleraNotReady", "Galera not ready", 30);
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
