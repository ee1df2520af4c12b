//! `pvc …` on volumes that real servers left, and on file systems that really grow.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bed::testing::run::{Ended, wait_until};
use mysql::prelude::Queryable;
use serde_json::Value;

use crate::grastate::{nothing_left, on_volume};
use crate::rebuild::kill_when;
use crate::stage::{SOON, Stage};

/// Two looks, helper pods one after the other, a heartbeat that must be seen standing still: on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// A UUID that is no history of this cluster.
const FOREIGN: &str = "650ade90-e4f7-11f1-9ccc-d3c02d18f50e";

fn plugin(stage: &Stage, args: &[&str], exit: i32) -> Result<Ended> {
    let args = [args, &["-n", &stage.cluster.namespace, "--pod-timeout=15s"]].concat();
    let ended = stage.plugin.run_within(&args, LIMIT)?;
    ensure!(ended.code == Some(exit), "{args:?}: exit {:?}\n{}{}", ended.code, ended.stdout, ended.stderr);
    Ok(ended)
}

fn refused(stage: &Stage, args: &[&str], code: &str) -> Result<Ended> {
    let before = claims(stage)?;
    let ended = plugin(stage, args, 5)?;
    ensure!(ended.stdout.contains(code), "no {code}: {}", ended.stdout);
    ensure!(claims(stage)? == before, "a claim was changed although it was refused");
    nothing_left(stage)?;
    Ok(ended)
}

/// uid and what is asked for of each claim.
fn claims(stage: &Stage) -> Result<BTreeMap<String, (String, String)>> {
    let list: Value = serde_json::from_str(&stage.cluster.kubectl(&["get", "pvc", "-o", "json"])?)?;
    let claim = |claim: &Value| {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("a claim has it");
        let size = text(&claim["spec"]["resources"]["requests"]["storage"])?;
        Ok((text(&claim["metadata"]["name"])?, (text(&claim["metadata"]["uid"])?, size)))
    };
    list["items"].as_array().into_iter().flatten().map(claim).collect()
}

/// The verdict of `pvc list` on the volume of an ordinal.
fn verdict(stage: &Stage, ordinal: u32, more: &[&str]) -> Result<Value> {
    let seen = plugin(stage, &[&["pvc", "list", "db", "-o", "json"], more].concat(), 0)?;
    let seen: Value = serde_json::from_str(&seen.stdout)?;
    let mut items = seen["items"].as_array().into_iter().flatten();
    let item = items.find(|item| item["ordinal"] == ordinal && item["position"] != "noData");
    item.cloned().with_context(|| format!("no volume of db-{ordinal}: {seen:#}"))
}

/// Scales to 2 by kubectl, and waits until the others know.
fn scale_in(stage: &Stage) -> Result<()> {
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=2"])?;
    wait_until("db-2 is gone", SOON * 2, || {
        let pods = stage.cluster.pods()?.len();
        ensure!(pods == 2, "{pods} pods");
        Ok(())
    })?;
    two_are_well(stage)
}

fn two_are_well(stage: &Stage) -> Result<()> {
    stage.wait_wsrep("both are Synced alone", &[0, 1], |wsrep| wsrep.status == "Primary" && wsrep.size == 2 && wsrep.ready)?;
    wait_until("both are Ready", SOON, || {
        ensure!(stage.cluster.pods()?.iter().all(|pod| pod.ready), "one is not");
        Ok(())
    })
    .map(drop)
}

const PRUNE: &[&str] = &["pvc", "prune", "db", "-y"];

/// A scale-in leaves a volume: it is listed, refused in every state in which it may be the best copy, and deleted alone.
pub fn pruned(stage: &Stage) -> Result<()> {
    let all = stage.plugin.run_within(&["pvc", "list", "-A", "-o", "json", "--pod-timeout=15s"], LIMIT)?;
    let all: Value = serde_json::from_str(&all.stdout).with_context(|| format!("{}{}", all.stdout, all.stderr))?;
    let here = |item: &&Value| item["namespace"] == stage.cluster.namespace.as_str();
    let mine = all["items"].as_array().into_iter().flatten().filter(here).count();
    ensure!(mine == 3, "{mine} volumes of this namespace: {all:#}");
    let before = claims(stage)?;
    let claim = format!("{}-db-2", stage.cluster.shape.layout().claim);
    ensure!(verdict(stage, 2, &[])?["verdict"] == "inUse", "it is in use");
    plugin(stage, PRUNE, 0)?;
    scale_in(stage)?;
    let unread = verdict(stage, 2, &[])?;
    ensure!(unread["verdict"] == "keep" && unread["position"].is_null(), "{unread:#}");
    let read = verdict(stage, 2, &["--inspect", "-y"])?;
    let history = stage.wsrep(0)?.state_uuid;
    let position = read["position"].as_str().unwrap_or_default();
    ensure!(read["verdict"] == "mayGo" && position.starts_with(&format!("{history}:")), "{read:#}");
    nothing_left(stage)?;
    // A member that does not answer.
    let paused = stage.faults.pause(&stage.cluster.pod(1)?, "mariadbd")?;
    refused(stage, PRUNE, "MDB756")?;
    paused.heal()?;
    two_are_well(stage)?;
    // Another history on it, and the words that accept its loss, which fit no other one.
    let saved = position.rsplit(':').next().unwrap_or_default().to_owned();
    write_state(stage, FOREIGN, "900000")?;
    let kept = refused(stage, PRUNE, "MDB757")?;
    ensure!(kept.stdout.contains(&format!("--accept-data-loss={claim}:{FOREIGN}:900000")), "{}", kept.stdout);
    // Ahead of the others; and killed.
    write_state(stage, &history, "900000")?;
    let kept = refused(stage, PRUNE, "MDB757")?;
    ensure!(kept.stdout.contains("ahead"), "{}", kept.stdout);
    refused(stage, &[PRUNE, &[&format!("--accept-data-loss={claim}:{FOREIGN}:900000")]].concat(), "MDB757")?;
    write_state(stage, &history, "-1")?;
    refused(stage, PRUNE, "MDB757")?;
    write_state(stage, &history, &saved)?;
    // Somebody else's pod mounts nothing by now; the dry run deletes nothing.
    let shown = plugin(stage, &["pvc", "prune", "db", "--dry-run=server"], 0)?;
    ensure!(shown.stdout.contains("API server: accepted") && claims(stage)? == before, "{}", shown.stdout);
    let done = plugin(stage, PRUNE, 0)?;
    ensure!(done.stdout.contains("1 volume of db was deleted"), "{}", done.stdout);
    nothing_left(stage)?;
    let after = claims(stage)?;
    let expected: BTreeMap<_, _> = before.into_iter().filter(|(name, _)| !name.ends_with("-db-2")).collect();
    ensure!(after == expected, "another claim is gone, or one is left: {after:?}");
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=3"])?;
    stage.cluster.wait_healthy(SOON * 3).map(drop)
}

/// What `grastate.dat` on the volume of db-2 says.
fn write_state(stage: &Stage, uuid: &str, seqno: &str) -> Result<()> {
    on_volume(stage, 2, &format!("sed -i -e 's/^uuid:.*/uuid:    {uuid}/' -e 's/^seqno:.*/seqno:   {seqno}/' grastate.dat"))
        .map(drop)
}

/// Whoever stops the cluster was killed in the middle: nothing is left over until that is finished or taken back.
pub fn unfinished(stage: &Stage) -> Result<()> {
    scale_in(stage)?;
    kill_when(stage, &["stop", "db", "-y"], "it has begun", || {
        let journal = stage.cluster.get("configmap/kubectl-mariadb.db")?;
        ensure!(journal["data"]["current"].is_string(), "not yet");
        Ok(())
    })?;
    refused(stage, PRUNE, "MDB701")?;
    refused(stage, &["pvc", "expand", "db", "--size", "9Gi", "-y"], "MDB701")?;
    plugin(stage, &["operation", "abort", "db", "-y"], 0)?;
    two_are_well(stage)?;
    plugin(stage, PRUNE, 0)?;
    ensure!(claims(stage)?.keys().all(|name| !name.ends_with("-db-2")), "it may go now");
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=3"])?;
    stage.cluster.wait_healthy(SOON * 3).map(drop)
}

/// The class of this cluster's volumes does not expand.
pub fn not_expanded(stage: &Stage) -> Result<()> {
    refused(stage, &["pvc", "expand", "db", "--size", "2Gi", "-y"], "MDB758")?;
    refused(stage, &["pvc", "expand", "db", "--size", "2Gi", "--dry-run=server"], "MDB758").map(drop)
}

/// File systems that really grow, while the servers run on them.
pub fn expanded(stage: &Stage) -> Result<()> {
    let mut client = stage.cluster.connect_writer(&stage.cluster.pod(0)?)?;
    client.query_drop("CREATE OR REPLACE TABLE trial.large (id INT PRIMARY KEY)")?;
    client.query_drop("INSERT INTO trial.large SELECT seq FROM trial.seq_1_to_1000")?;
    let before = (0..3).map(|ordinal| file_system(stage, ordinal)).collect::<Result<Vec<_>>>()?;
    let shown = plugin(stage, &["pvc", "expand", "db", "--size", "1Gi", "--dry-run=server"], 0)?;
    ensure!(shown.stdout.matches("API server: accepted").count() == 3, "{}", shown.stdout);
    let done = plugin(stage, &["pvc", "expand", "db", "--size", "1Gi", "-y"], 0)?;
    ensure!(done.stdout.contains("3 volumes of db have 1Gi now") && done.stdout.contains("claim template"), "{}", done.stdout);
    for (ordinal, before) in (0..).zip(before) {
        let after = file_system(stage, ordinal)?;
        ensure!(after > before + (200 << 10), "db-{ordinal}: {before} KiB, then {after} KiB");
        let rows = stage.cluster.sql(ordinal, "SELECT COUNT(*) FROM trial.large")?;
        ensure!(rows == "1000", "db-{ordinal} has {rows} rows");
    }
    let again = plugin(stage, &["pvc", "expand", "db", "--size", "1024Mi", "-y"], 0)?;
    ensure!(again.stdout.starts_with("Every volume of db"), "{}", again.stdout);
    refused(stage, &["pvc", "expand", "db", "--size", "800Mi", "-y"], "MDB759")?;
    stage.cluster.wait_healthy(SOON).map(drop)
}

/// KiB of the file system of the data directory, as the pod sees it.
fn file_system(stage: &Stage, ordinal: u32) -> Result<u64> {
    let ended = stage.cluster.exec(ordinal, &format!("df -kP {}", stage.cluster.shape.layout().datadir), "")?;
    let size = ended.stdout.lines().last().and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    size.with_context(|| format!("df says {:?}", ended.stdout))
}
