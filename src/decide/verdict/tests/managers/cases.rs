use crate::decide::rules::{backup, managers as rule};

use super::*;

pub fn cases() -> Vec<Case> {
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
            miss: |seen| scale_out(seen, 30),
        },
        Case {
            rule: &rule::FORCE_LEFT,
            base: galera,
            hit: force,
            miss: |seen| {
                force(seen);
                galera_waits(seen);
            },
        },
        Case {
            rule: &rule::FORCE_WAITS,
            base: galera,
            hit: |seen| {
                force(seen);
                galera_waits(seen);
            },
            miss: force,
        },
        Case {
            rule: &rule::RECOVERING,
            base: galera,
            hit: galera_waits,
            // Kept after the recovery has ended.
            miss: |seen| view_of(seen).status.recovery = Some(crate::model::operator::GaleraRecovery::default()),
        },
        Case {
            rule: &rule::READY_LIES,
            base: galera,
            hit: leave,
            miss: |seen| {
                leave(seen);
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
            hit: |seen| start_writable(seen, 1),
            miss: |seen| {
                start_writable(seen, 1);
                view_of(seen).spec.suspended = true;
            },
        },
        Case {
            rule: &rule::RECOVERY_CHOICE,
            base: galera,
            hit: |seen| age_images(seen, "26.6.0"),
            miss: |seen| age_images(seen, "26.10.0"),
        },
        // What does the work is the operator, not its agents.
        Case {
            rule: &rule::RECOVERY_CHOICE,
            base: galera,
            hit: |seen| deployed(seen, "26.6.0"),
            miss: |seen| {
                age_images(seen, "26.6.0");
                deployed(seen, "26.10.1");
            },
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
            hit: |seen| certificate_ends(seen, 3 * 86_400),
            miss: |seen| certificate_ends(seen, 30 * 86_400),
        },
        Case {
            rule: &rule::CERTIFICATE_ENDED,
            base: replication,
            hit: |seen| certificate_ends(seen, -1),
            miss: |seen| certificate_ends(seen, 3 * 86_400),
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
            hit: |seen| switch_primary(seen, 5),
            miss: |seen| believe(seen, "PrimarySwitched", true, "SwitchPrimary", "Switchover complete", 5),
        },
        Case {
            rule: &rule::SWITCHOVER_HANGS,
            base: replication,
            hit: |seen| switch_primary(seen, 90),
            miss: |seen| switch_primary(seen, 5),
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
            hit: leave_copy,
            miss: |seen| {
                leave_copy(seen);
                scale_out(seen, 5);
            },
        },
        Case {
            rule: &rule::SCALE_OUT_HANGS,
            base: replication,
            hit: |seen| {
                leave_copy(seen);
                scale_out(seen, 400);
            },
            miss: |seen| scale_out(seen, 30),
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
