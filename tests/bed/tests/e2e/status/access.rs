//! Who asks, what for, and what must not leak.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bed::testing::audit::AuditLog;
use bed::testing::cluster::Pod;
use bed::testing::user::{READER, with_rights};
use mysql::prelude::Queryable;

use crate::stage::{Expected, Stage, compare};

/// Everything but exec: what the API server knows is shown, and which right is missing.
pub fn no_right_to_exec(stage: &Stage) -> Result<()> {
    let kubeconfig = with_rights(&stage.cluster, "reader", &READER, &stage.folder)?;
    let reader = stage.plugin.with_kubeconfig(&kubeconfig);
    let seen = reader.status(&stage.cluster, &[])?;
    compare(
        &seen,
        &Expected { exit: 8, codes: &["MDB902"], without: &["MDB201", "MDB202"], says: &["pods/exec", "db-0", "db-1", "db-2"] },
    )
}

/// The password was changed by SQL, and the container still has the old one.
pub fn wrong_root_password(stage: &Stage) -> Result<()> {
    // By another account name: it stays usable while the probes and the plugin are locked out.
    let mut server = stage.cluster.connect(&stage.cluster.pod(0)?)?;
    server.query_drop("ALTER USER root@localhost IDENTIFIED BY 'changed by sql'")?;
    let refused = stage.cluster.sql(1, "SELECT 1");
    let seen = stage.plugin.status(&stage.cluster, &[]);
    // First of all the way back: the probes fail meanwhile.
    server
        .exec_drop("ALTER USER root@localhost IDENTIFIED BY ?", (&stage.cluster.secrets.root,))
        .or_else(|_| server.query_drop(format!("ALTER USER root@localhost IDENTIFIED BY '{}'", stage.cluster.secrets.root)))?;
    let why = refused.err().context("the old password still works")?;
    ensure!(format!("{why:#}").contains("1045"), "refused for another reason: {why:#}");
    let seen = seen?;
    compare(&seen, &Expected { exit: 4, codes: &["MDB903"], without: &["MDB201", "MDB202"], says: &["db-0", "db-1", "db-2"] })?;
    stage.saw("35", "the password of root is another one than the Secret says", &seen)
}

/// Wrong name, wrong namespace, an empty namespace: one sentence each, and no verdict.
pub fn nothing_there(stage: &Stage) -> Result<()> {
    let namespace = stage.cluster.namespace.as_str();
    for (args, exit, says) in [
        (vec!["status", "sts/dbx", "-n", namespace], 1, "dbx"),
        (vec!["status", "db", "-n", "no-such-namespace"], 1, "no-such-namespace"),
        (vec!["status", "-n", "kube-public"], 1, "kube-public"),
    ] {
        let ended = stage.plugin.run(&args)?;
        ensure!(ended.code == Some(exit), "`{}` ended with {:?}: {}{}", args.join(" "), ended.code, ended.stdout, ended.stderr);
        ensure!(ended.stderr.contains(says), "`{}` does not name {says}: {}", args.join(" "), ended.stderr);
    }
    Ok(())
}

/// No password in any argument list, in the audit log of the API server, or in what is printed.
pub fn secrets_stay_secret(stage: &Stage) -> Result<()> {
    let audit = AuditLog::from_now(stage.cluster.bed.layout())?;
    let pods = stage.cluster.pods()?;
    let done = AtomicBool::new(false);
    let (printed, lines) = thread::scope(|scope| {
        let watcher = scope.spawn(|| command_lines(stage, &pods, &done));
        let printed = run_often(stage);
        done.store(true, Ordering::Relaxed);
        (printed, watcher.join())
    });
    let printed = printed?;
    let lines = lines.map_err(|_| anyhow::anyhow!("the watcher died"))?;
    ensure!(lines.iter().any(|line| line.contains("mariadb\0")), "no client of the plugin was ever seen: {lines:?}");
    let audited = audit.since()?;
    ensure!(audited.contains(&format!("/namespaces/{}/pods/db-0/exec", stage.cluster.namespace)), "the audit log holds no exec");
    for secret in stage.cluster.secrets.all() {
        ensure!(!printed.contains(secret), "a password was printed");
        ensure!(!audited.contains(secret), "a password is in the audit log");
        let leak = lines.iter().find(|line| line.contains(secret));
        ensure!(leak.is_none(), "a password is in an argument list: {leak:?}");
    }
    Ok(())
}

fn run_often(stage: &Stage) -> Result<String> {
    let began = Instant::now();
    let mut printed = String::new();
    while began.elapsed() < Duration::from_secs(4) {
        for form in ["table", "wide", "json"] {
            let ended =
                stage.plugin.run(&["status", "sts/db", "-n", &stage.cluster.namespace, "-o", form, "--pod-timeout=15s"])?;
            ensure!(ended.code == Some(0), "status ended with {:?}: {}", ended.code, ended.stderr);
            printed.push_str(&ended.stdout);
            printed.push_str(&ended.stderr);
        }
    }
    Ok(printed)
}

/// Every argument list ever seen in the pods until `done`.
pub fn command_lines(stage: &Stage, pods: &[Pod], done: &AtomicBool) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    while !done.load(Ordering::Relaxed) {
        for pid in pods.iter().flat_map(|pod| stage.faults.all_processes(pod).unwrap_or_default()) {
            if let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) {
                lines.insert(String::from_utf8_lossy(&line).into_owned());
            }
        }
    }
    lines
}
