//! The bed's own promises: what a server acknowledged is there in the end, and what a killed test broke is mended.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use bed::testing::faults::Way;
use bed::testing::oracle;
use bed::testing::run::wait_until;
use bed::testing::writers::{Target, Writers};

use crate::stage::{SOON, Stage};

/// Writers write to all members while one hangs, one is killed and one is deleted, each healed before the next.
pub fn galera_loses_nothing(stage: &Stage) -> Result<()> {
    let writers = Writers::start(&stage.cluster, &Target::Any, 3, &stage.folder.join("acknowledged"))?;
    thread::sleep(Duration::from_secs(2));
    let hung = stage.faults.pause(&stage.cluster.pod(1)?, "mariadbd")?;
    thread::sleep(Duration::from_secs(2));
    hung.heal()?;
    stage.cluster.wait_healthy(SOON)?;
    stage.faults.kill_server(&stage.cluster.pod(2)?)?;
    thread::sleep(Duration::from_secs(2));
    stage.cluster.wait_healthy(SOON)?;
    stage.faults.delete_pods(&stage.cluster.namespace, &["db-0"])?;
    thread::sleep(Duration::from_secs(3));
    stage.cluster.wait_healthy(SOON)?;
    all_is_there(stage, writers)
}

/// Writers write to the primary while a replica is cut off from it and another one is killed.
pub fn replication_loses_nothing(stage: &Stage) -> Result<()> {
    let writers = Writers::start(&stage.cluster, &Target::Pod(0), 2, &stage.folder.join("acknowledged"))?;
    let pods = stage.cluster.pods()?;
    let cut = stage.faults.partition(&[&pods[0]], &[&pods[1]])?;
    stage.faults.kill_server(&pods[2])?;
    // Until the replica has noticed that its source is silent.
    wait_until("the replica is cut off", SOON, || {
        let status = stage.cluster.sql(1, "SHOW ALL SLAVES STATUS")?;
        ensure!(status.contains("Connecting"), "it still receives");
        Ok(())
    })?;
    cut.into_iter().try_for_each(bed::testing::faults::Lasting::heal)?;
    thread::sleep(Duration::from_secs(1));
    all_is_there(stage, writers)
}

fn all_is_there(stage: &Stage, writers: Writers) -> Result<()> {
    let written = writers.stop()?;
    stage.cluster.wait_healthy(SOON)?;
    ensure!(written.acknowledged.rows() > 100, "hardly a row was written: {written:?}");
    eprintln!(
        "         {} rows acknowledged, {} errors, longest gap {:.1} s",
        written.acknowledged.rows(),
        written.errors,
        written.longest_gap.as_secs_f32()
    );
    oracle::check(&stage.cluster, &written.acknowledged)
}

/// Every lasting fault, forgotten as a killed test forgets it, and undone from the ledger.
pub fn forgotten_faults_are_undone(stage: &Stage) -> Result<()> {
    let pods = stage.cluster.pods()?;
    let nodes = pods.iter().map(|pod| pod.node()).collect::<Result<Vec<_>>>()?;
    let [a, b, c] = pods.as_slice() else { anyhow::bail!("three pods") };
    // What a failed trial left is not of this count.
    stage.faults.undo_all()?;
    let mut faults = stage.faults.partition(&[a], &[b, c])?;
    faults.push(stage.faults.fill(nodes[0], &stage.cluster.volume(0)?, 0.7)?);
    faults.push(stage.faults.slow(nodes[0], "2mbit")?);
    faults.push(stage.faults.cut_one_way(nodes[1], Way::In)?);
    faults.push(stage.faults.unplug(nodes[1])?);
    faults.push(stage.faults.pause(a, "mariadbd")?);
    faults.push(stage.faults.power_off(nodes[2])?);
    faults.push(stage.faults.kill_api_server()?);
    let count = faults.len();
    faults.into_iter().for_each(std::mem::forget);
    let undone = stage.faults.undo_all()?;
    ensure!(undone == count, "{undone} of {count} faults were undone");
    ensure!(stage.faults.undo_all()? == 0, "the ledger is not empty");
    let left = ballast(stage)?;
    ensure!(!left, "the ballast is still there");
    // A partition of all members, longer than their patience: the largest part goes on, or all wait for each other.
    stage.cluster.wait_healthy(Duration::from_secs(120)).map(drop)
}

fn ballast(stage: &Stage) -> Result<bool> {
    let look = || stage.cluster.exec(0, "ls /var/lib/mysql/ballast", "");
    wait_until("the pod answers", SOON, || look().map(drop))?;
    Ok(look()?.is_success())
}
