//! Operations on clusters of mariadb-operator: let it work where it is right, stop it where it would choose wrong, and leave
//! nothing set that it uses later (rows 6 and 14 of the fault matrix; safety F4).

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bed::testing::faults::Lasting;
use bed::testing::oracle;
use bed::testing::reliability::Record;
use bed::testing::run::{Ended, wait_until};
use bed::testing::writers::{Target, Writers};
use mysql::prelude::Queryable;
use serde_json::{Value, json};

use crate::grastate::{nothing_left, outage};
use crate::stage::{Expected, SOON, Stage};

/// The operator restarts one pod after the other, each with its own probes, on a busy machine.
const LIMIT: Duration = Duration::from_secs(900);

/// A forced bootstrap was forgotten, and it names the member that is behind. All die: by itself the operator would throw the
/// rows of the others away.
pub fn would_lose(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    patch(stage, &json!({"galera": {"recovery": {"forceClusterBootstrapInPod": "db-2"}}}))?;
    let cut = fall_behind(stage)?;
    outage::kill(stage, &[0, 1, 2])?;
    cut.into_iter().try_for_each(Lasting::heal)?;
    let (took, recovered) = timed(|| run(stage, &["galera", "recover", "db", "-y"], 0))?;
    let said = recovered["said"].as_str().unwrap_or_default();
    ensure!(said.contains("suspend mariadb-operator") && !said.contains("let db-2 found"), "{recovered:#}");
    whole(stage, &history)?;
    for ordinal in 0..3 {
        let rows = stage.cluster.sql(ordinal, "SELECT COUNT(*) FROM trial.ahead")?;
        ensure!(rows.trim() == "20", "db-{ordinal} holds {rows} of 20 rows\n{recovered:#}");
    }
    stage.record(Record {
        rows: "6, 14".to_owned(),
        fault: "forceClusterBootstrapInPod was left and names the member behind; all killed".to_owned(),
        did: format!("suspended the operator, elected from all files, named that pod to it; {}", recovered["message"]),
        took: Some(took),
        acknowledged: Some(20),
    })
}

/// The user chooses who founds the cluster: the operator is suspended for it, and works again afterwards.
pub fn chosen(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    let cut = fall_behind(stage)?;
    outage::kill(stage, &[0, 1, 2])?;
    cut.into_iter().try_for_each(Lasting::heal)?;
    let (took, founded) = timed(|| run(stage, &["galera", "bootstrap", "db-1", "-y"], 0))?;
    let said = founded["said"].as_str().unwrap_or_default();
    ensure!(said.contains("suspend mariadb-operator") && said.contains("let db-1 found"), "{founded:#}");
    whole(stage, &history)?;
    for ordinal in 0..3 {
        let rows = stage.cluster.sql(ordinal, "SELECT COUNT(*) FROM trial.ahead")?;
        ensure!(rows.trim() == "20", "db-{ordinal} holds {rows} of 20 rows\n{founded:#}");
    }
    stage.record(Record {
        rows: "6".to_owned(),
        fault: "one member cut off and behind, then all killed; the user chooses db-1 (`galera bootstrap`)".to_owned(),
        did: format!("suspended the operator, founded from db-1, gave it back; {}", founded["message"]),
        took: Some(took),
        acknowledged: Some(20),
    })
}

/// All are killed under load: the operator would choose right, and is left to it.
pub fn left_alone(stage: &Stage) -> Result<()> {
    let writers = write(stage)?;
    thread::sleep(Duration::from_secs(3));
    outage::kill(stage, &[0, 1, 2])?;
    let (took, recovered) = timed(|| run(stage, &["galera", "recover", "db", "-y"], 0))?;
    ensure!(recovered["outcome"] == "nothingToDo", "{recovered:#}");
    let written = writers.stop()?;
    stage.cluster.wait_healthy(SOON * 3)?;
    oracle::check(&stage.cluster, &written.acknowledged)?;
    ensure!(!said(stage)?["suspend"].as_bool().unwrap_or(false), "it was suspended");
    stage.record(Record {
        rows: "2".to_owned(),
        fault: "all servers killed while writers write, no saved view left".to_owned(),
        did: "saw that the operator would choose right, and waited for it".to_owned(),
        took: Some(took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// The operator is told to keep its hands off; what it must not act upon keeps it so.
pub fn suspend_and_unsuspend(stage: &Stage) -> Result<()> {
    run(stage, &["suspend", "db", "-y"], 0)?;
    stage.status(&Expected { exit: 0, codes: &["MDB501"], ..Expected::default() })?;
    ensure!(run(stage, &["suspend", "db", "-y"], 0)?["outcome"] == "nothingToDo", "it is suspended already");
    patch(stage, &json!({"galera": {"recovery": {"forceClusterBootstrapInPod": "db-1"}}}))?;
    let refused = run(stage, &["unsuspend", "db", "-y"], 5)?;
    ensure!(refused["code"] == "MDB733" && refused.to_string().contains("db-1"), "{refused:#}");
    ensure!(said(stage)?["suspend"] == true, "it was unsuspended");
    patch(stage, &json!({"galera": {"recovery": {"forceClusterBootstrapInPod": null}}}))?;
    run(stage, &["unsuspend", "db", "-y"], 0)?;
    stage.status(&Expected { exit: 0, without: &["MDB501"], ..Expected::default() }).map(drop)
}

/// Stopped under load and started again, the operator standing still meanwhile.
pub fn stop_and_start(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    let writers = write(stage)?;
    thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    run(stage, &["stop", "db", "-y"], 0)?;
    ensure!(stage.cluster.kubectl(&["get", "pods", "-o", "name"])?.trim().is_empty(), "pods are left");
    let refused = run(stage, &["unsuspend", "db", "-y"], 5)?;
    ensure!(refused["code"] == "MDB733", "{refused:#}");
    run(stage, &["start", "db", "-y"], 0)?;
    let took = began.elapsed();
    let written = writers.stop()?;
    whole(stage, &history)?;
    oracle::check(&stage.cluster, &written.acknowledged)?;
    stage.record(Record {
        rows: "4".to_owned(),
        fault: "none: `stop`, then `start`, while writers write".to_owned(),
        did: "suspended the operator, stopped all in order; named the last one to it and let it work again".to_owned(),
        took: Some(took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// Every member Synced with the history it had; the operator works, and nothing is left that it would use later.
fn whole(stage: &Stage, history: &str) -> Result<()> {
    stage.cluster.wait_healthy(SOON)?;
    nothing_left(stage)?;
    let spec = said(stage)?;
    ensure!(!spec["suspend"].as_bool().unwrap_or(false), "it is still suspended: {spec:#}");
    let force = &spec["galera"]["recovery"]["forceClusterBootstrapInPod"];
    ensure!(force.is_null(), "a forced bootstrap is left: {force}");
    for ordinal in 0..3 {
        let ended = stage.cluster.exec(ordinal, "ls /etc/mysql/mariadb.conf.d", "")?;
        ensure!(!ended.stdout.contains("1-bootstrap.cnf"), "db-{ordinal}: {}", ended.stdout);
        let ended = stage.cluster.exec(ordinal, "cat /var/lib/mysql/grastate.dat", "")?;
        ensure!(ended.stdout.contains("safe_to_bootstrap: 0"), "db-{ordinal}: {}", ended.stdout);
    }
    let now = stage.wsrep(0)?.state_uuid;
    ensure!(now == history, "the history was {history} and is {now}");
    stage.status(&Expected { without: &["MDB501", "MDB505", "MDB507"], ..Expected::default() }).map(drop)
}

/// Two writers.
fn write(stage: &Stage) -> Result<Writers> {
    account(stage)?;
    Writers::start(&stage.cluster, &Target::Any, 2, &stage.folder.join("acknowledged"))
}

/// The operator makes the account of the writers some time after the cluster is whole.
pub fn account(stage: &Stage) -> Result<()> {
    let made = wait_until("the writers have an account", SOON * 2, || {
        stage
            .cluster
            .connect_writer(&stage.cluster.pod(0)?)?
            .query_drop("CREATE TABLE IF NOT EXISTS trial.made (id INT PRIMARY KEY)")?;
        Ok(())
    });
    made.map(drop)
}

/// db-2 is cut off while the others write twenty rows.
fn fall_behind(stage: &Stage) -> Result<Vec<Lasting>> {
    let pods = stage.cluster.pods()?;
    let [a, b, c] = pods.as_slice() else { anyhow::bail!("three pods") };
    let cut = stage.faults.partition(&[a, b], &[c])?;
    stage.wait_wsrep("the majority goes on", &[0, 1], |wsrep| wsrep.status == "Primary" && wsrep.size == 2)?;
    let mut writer = stage.cluster.connect(a)?;
    writer.query_drop("CREATE DATABASE IF NOT EXISTS trial")?;
    writer.query_drop("CREATE TABLE IF NOT EXISTS trial.ahead (id INT PRIMARY KEY)")?;
    for id in 0..20 {
        writer.query_drop(format!("REPLACE INTO trial.ahead VALUES ({id})"))?;
    }
    wait_until("both have all rows", SOON, || {
        let [a, b] = [stage.wsrep(0)?.last_committed, stage.wsrep(1)?.last_committed];
        ensure!(a == b, "{a} and {b}");
        Ok(())
    })?;
    Ok(cut)
}

/// The document of a command, with what it said on the way as `said`.
fn run(stage: &Stage, args: &[&str], exit: i32) -> Result<Value> {
    let args = [args, &["-n", &stage.cluster.namespace, "--pod-timeout=15s", "-o", "json"]].concat();
    let ended: Ended = stage.plugin.run_within(&args, LIMIT)?;
    let told = || format!("{args:?}: exit {:?}\n{}{}", ended.code, ended.stdout, ended.stderr);
    ensure!(ended.code == Some(exit), "exit {exit} was expected: {}", told());
    let mut document: Value = serde_json::from_str(&ended.stdout).with_context(told)?;
    document["said"] = json!(ended.stderr);
    Ok(document)
}

fn patch(stage: &Stage, spec: &Value) -> Result<()> {
    let patch = json!({"spec": spec}).to_string();
    stage.cluster.kubectl(&["patch", "mariadb.k8s.mariadb.com", "db", "--type=merge", "-p", &patch]).map(drop)
}

/// `spec` of the cluster's `MariaDB` object.
fn said(stage: &Stage) -> Result<Value> {
    Ok(stage.cluster.get("mariadb.k8s.mariadb.com/db")?["spec"].clone())
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let began = Instant::now();
    let done = work()?;
    Ok((began.elapsed(), done))
}
