//! `rebuild` with writers: one member gets a full copy while the others go on, and every acknowledged row is there.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bed::testing::oracle;
use bed::testing::reliability::Record;
use bed::testing::run::{Ended, wait_until};
use bed::testing::writers::{Target, Writers, Written};
use mysql::prelude::Queryable;

use crate::grastate::nothing_left;
use crate::stage::{Expected, SOON, Stage};

/// A full copy of a small member, on a busy machine.
const LIMIT: Duration = Duration::from_secs(400);

fn plugin(stage: &Stage, args: &[&str], exit: i32) -> Result<(Ended, Duration)> {
    let began = Instant::now();
    let args = [args, &["-n", &stage.cluster.namespace, "--pod-timeout=15s"]].concat();
    let ended = stage.plugin.run_within(&args, LIMIT)?;
    ensure!(ended.code == Some(exit), "{args:?}: exit {:?}\n{}{}", ended.code, ended.stdout, ended.stderr);
    Ok((ended, began.elapsed()))
}

/// What one rebuild came to.
struct Rebuilt {
    took: Duration,
    written: Written,
}

/// A row that db-2 alone has: only a full copy takes it away.
fn diverge(stage: &Stage) -> Result<()> {
    let mut other = stage.cluster.connect_writer(&stage.cluster.pod(0)?)?;
    other.query_drop("CREATE OR REPLACE TABLE trial.diverged (id INT PRIMARY KEY)")?;
    stage.cluster.sql(2, "SET SESSION wsrep_on=OFF; INSERT INTO trial.diverged VALUES (1)").map(drop)
}

/// Breaks db-2 with `fault` while writers write, and rebuilds it.
fn rebuilt(stage: &Stage, fault: impl FnOnce() -> Result<()>) -> Result<Rebuilt> {
    let before: Vec<String> = uids(stage)?;
    let writers = Writers::start(&stage.cluster, &Target::Any, 3, &stage.folder.join("acknowledged"))?;
    thread::sleep(Duration::from_secs(2));
    fault()?;
    let (_, took) = plugin(stage, &["rebuild", "db-2", "-y"], 0)?;
    thread::sleep(Duration::from_secs(2));
    let written = writers.stop()?;
    let after = uids(stage)?;
    ensure!(before[..2] == after[..2] && before[2] != after[2], "only db-2 was to restart: {before:?} {after:?}");
    whole(stage, &written)?;
    Ok(Rebuilt { took, written })
}

/// Healthy, every acknowledged row on every member, what only db-2 had is gone, and nothing of ours is left.
fn whole(stage: &Stage, written: &Written) -> Result<()> {
    stage.cluster.wait_healthy(SOON)?;
    nothing_left(stage)?;
    oracle::check(&stage.cluster, &written.acknowledged)?;
    stage.status(&Expected::default()).map(drop)
}

fn uids(stage: &Stage) -> Result<Vec<String>> {
    let uid = |ordinal: u32| {
        let pod = stage.cluster.get(&format!("pod/db-{ordinal}"))?;
        pod["metadata"]["uid"].as_str().map(str::to_owned).context("a pod has a uid")
    };
    (0..3).map(uid).collect()
}

fn record(stage: &Stage, rows: &str, fault: &str, rebuilt: &Rebuilt) -> Result<()> {
    eprintln!(
        "         rebuilt in {:.1} s; {} rows acknowledged, longest gap {:.1} s",
        rebuilt.took.as_secs_f32(),
        rebuilt.written.acknowledged.rows(),
        rebuilt.written.longest_gap.as_secs_f32()
    );
    stage.record(Record {
        rows: rows.to_owned(),
        fault: fault.to_owned(),
        did: "marked its data, restarted it, and waited until a full copy had come".to_owned(),
        took: rebuilt.took,
        acknowledged: Some(rebuilt.written.acknowledged.rows()),
    })
}

/// A Synced member with a row that nobody else has.
pub fn live_member(stage: &Stage) -> Result<()> {
    let rebuilt = rebuilt(stage, || diverge(stage))?;
    record(stage, "15", "a Synced member holds a row of its own", &rebuilt)
}

/// Row 16: voted out, its server running and its probes green.
pub fn zombie(stage: &Stage) -> Result<()> {
    let rebuilt = rebuilt(stage, || {
        diverge(stage)?;
        stage.cluster.sql(0, "INSERT INTO trial.diverged VALUES (1)")?;
        stage.wait_wsrep("the member is out", &[2], |wsrep| wsrep.status == "Disconnected").map(drop)
    })?;
    record(stage, "16", "a member was voted out, and its server runs on", &rebuilt)
}

/// Row 9: the node with the volume is gone for good. The member comes back on another one.
pub fn lost_volume(stage: &Stage) -> Result<()> {
    let node = stage.cluster.pod(2)?.node()?.to_owned();
    let claim = format!("pvc/{}-db-2", stage.cluster.shape.layout().claim);
    let before = stage.cluster.get(&claim)?["metadata"]["uid"].clone();
    let writers = Writers::start(&stage.cluster, &Target::Any, 3, &stage.folder.join("acknowledged"))?;
    thread::sleep(Duration::from_secs(2));
    let off = stage.faults.power_off(&node)?;
    stage.wait_wsrep("the others go on", &[0, 1], |wsrep| wsrep.status == "Primary" && wsrep.size == 2)?;
    wait_until("Kubernetes knows", Duration::from_secs(90), || {
        let path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        let ready = stage.cluster.kubectl(&["get", "node", &node, "-o", path])?;
        ensure!(ready == "Unknown", "Ready is {ready}");
        Ok(())
    })?;
    for args in [&["rebuild", "db-2", "--new-volume", "-y"][..], &["rebuild", "db-2", "-y"]] {
        let (ended, _) = plugin(stage, args, 5)?;
        ensure!(ended.stdout.contains("MDB730"), "silent is not dead: {}", ended.stdout);
    }
    stage.cluster.kubectl(&["delete", "node", &node])?;
    let (ended, took) = plugin(stage, &["rebuild", "db-2", "--new-volume", "-y"], 0)?;
    let written = writers.stop()?;
    ensure!(stage.cluster.get(&claim)?["metadata"]["uid"] != before, "the claim is the old one: {}", ended.stderr);
    ensure!(stage.cluster.pod(2)?.node()? != node, "it is on the node that is off");
    whole(stage, &written)?;
    record(stage, "9", "a node is lost, and with it the volume of a member", &Rebuilt { took, written })?;
    off.heal()
}
