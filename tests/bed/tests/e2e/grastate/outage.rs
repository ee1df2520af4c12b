//! Rows 2, 4, 5, 6, 7, 8 and 19 of the fault matrix.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bed::testing::cluster::Pod;
use bed::testing::faults::Lasting;
use bed::testing::run::wait_until;
use mysql::prelude::Queryable;

use crate::stage::{SOON, Stage};

use super::{Grastate, hands_off, nothing_left, run, scale_back, scale_to_zero, stop_in_order};

/// Row 4: stopped in order, so the last one is known and nothing has to be recovered.
pub fn clean_stop(stage: &Stage) -> Result<()> {
    let live = run(stage, &["--yes"])?;
    ensure!(live.exit == 0 && live.document["election"]["result"] == "notNeeded", "{}", live.told());
    stop_in_order(stage)?;
    let said = stopped_cleanly(stage)?.said();
    // The very same directories start again: nothing was harmed.
    scale_back(stage)?;
    stage.said("4", "a clean stop in order", &said)
}

/// What is said of a set that was stopped in order.
pub fn stopped_cleanly(stage: &Stage) -> Result<Grastate> {
    let seen = run(stage, &["--yes", "--recover-positions"])?;
    ensure!(seen.elected()? == "db-0", "{}", seen.told());
    for ordinal in 0..3 {
        ensure!(seen.position(ordinal)?.1 == "grastate", "{}", seen.told());
        ensure!(seen.member(ordinal)?["files"]["readBy"] == "helper", "{}", seen.told());
    }
    let recovers = seen.document["helpers"].as_array().into_iter().flatten().filter(|helper| helper["kind"] == "recover");
    ensure!(recovers.count() == 0, "{}", seen.told());
    nothing_left(stage)?;
    Ok(seen)
}

/// Row 5: all stopped at one moment: nobody was the last, and whoever is elected loses nothing.
pub fn simultaneous_stop(stage: &Stage) -> Result<()> {
    hands_off(stage)?;
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=0"])?;
    stage.faults.delete_pods(&stage.cluster.namespace, &["db-0", "db-1", "db-2"])?;
    scale_to_zero(stage)?;
    let seen = run(stage, &["--yes", "--recover-positions"])?;
    let elected = seen.elected()?.to_owned();
    let seqnos = [seen.position(0)?.0, seen.position(1)?.0, seen.position(2)?.0];
    let highest = seqnos.iter().max().copied().unwrap_or_default();
    let of_elected = seqnos[elected.trim_start_matches("db-").parse::<usize>()?];
    ensure!(of_elected == highest, "{}", seen.told());
    let tied = seen.document["election"]["tied"].as_array().map_or(0, Vec::len);
    ensure!(tied + 1 == seqnos.iter().filter(|seqno| **seqno == highest).count(), "{}", seen.told());
    nothing_left(stage)?;
    stage.said("5", "a clean stop of all at one moment", &seen.said())
}

/// Rows 2 and 6: all killed, one of them behind the others, and no saved position is left.
pub fn crash(stage: &Stage) -> Result<()> {
    let said = crashed(stage)?.said();
    stage.said("2, 6", "all killed, db-2 behind the others, and no saved position", &said)
}

/// The same, and what was said in the end.
pub fn crashed(stage: &Stage) -> Result<Grastate> {
    let seqnos = die(stage)?;
    scale_to_zero(stage)?;
    let inspected = run(stage, &["--yes"])?;
    inspected.refused(4, "PositionUnknown")?;
    let seen = run(stage, &["--yes", "--recover-positions"])?;
    ensure!(["db-0", "db-1"].contains(&seen.elected()?), "db-2 was behind:\n{}", seen.told());
    for (ordinal, seqno) in (0..).zip(seqnos) {
        let (found, from) = seen.position(ordinal)?;
        ensure!(from == "recovery" && found == seqno, "db-{ordinal} was at {seqno}:\n{}", seen.told());
    }
    let lost = seen.member(2)?["losses"][0].as_str().unwrap_or_default().to_owned();
    ensure!(lost.contains(&format!("write sets {} to {}", seqnos[2] + 1, seqnos[0])), "{lost}:\n{}", seen.told());
    nothing_left(stage)?;
    Ok(seen)
}

/// Kills all servers while db-2 is cut off and twenty rows behind; gives their last positions.
pub fn die(stage: &Stage) -> Result<[u64; 3]> {
    let (seqnos, cut) = leave_behind(stage)?;
    kill(stage, &[0, 1, 2])?;
    cut.into_iter().try_for_each(Lasting::heal)?;
    Ok(seqnos)
}

/// Kills these servers so that they do not form a group again by themselves.
pub fn kill(stage: &Stage, ordinals: &[u32]) -> Result<()> {
    let datadir = stage.cluster.shape.layout().datadir;
    let mut pods = Vec::new();
    for ordinal in ordinals {
        stage.cluster.exec(*ordinal, &format!("rm {datadir}/gvwstate.dat"), "")?;
        pods.push(stage.cluster.pod(*ordinal)?);
    }
    stage.faults.kill_servers(&pods)
}

/// Cuts db-2 off while the others write twenty rows; gives the positions, and the cut.
pub fn leave_behind(stage: &Stage) -> Result<([u64; 3], Vec<Lasting>)> {
    hands_off(stage)?;
    let pods = stage.cluster.pods()?;
    let [a, b, c] = pods.as_slice() else { anyhow::bail!("three pods") };
    // The rows of an earlier trial are everywhere.
    stage.cluster.connect(a)?.query_drop("DROP TABLE IF EXISTS trial.ahead")?;
    let cut = stage.faults.partition(&[a, b], &[c])?;
    stage.wait_wsrep("the majority goes on", &[0, 1], |wsrep| wsrep.status == "Primary" && wsrep.size == 2)?;
    write_rows(stage, a)?;
    let mut seqnos = [0; 3];
    wait_until("both have all rows", SOON, || {
        for (ordinal, seqno) in (0..3).zip(&mut seqnos) {
            *seqno = u64::try_from(stage.wsrep(ordinal)?.last_committed)?;
        }
        ensure!(seqnos[0] == seqnos[1] && seqnos[0] > seqnos[2], "{seqnos:?}");
        Ok(())
    })?;
    Ok((seqnos, cut))
}

/// Twenty rows that can be counted afterwards.
pub fn write_rows(stage: &Stage, pod: &Pod) -> Result<()> {
    // The operator may have been held back before it made the account and the database of the writers.
    let mut writer = stage.cluster.connect(pod)?;
    writer.query_drop("CREATE DATABASE IF NOT EXISTS trial")?;
    writer.query_drop("CREATE TABLE IF NOT EXISTS trial.ahead (id INT PRIMARY KEY)")?;
    for id in 0..20 {
        writer.query_drop(format!("REPLACE INTO trial.ahead VALUES ({id})"))?;
    }
    Ok(())
}

/// Rows 6 and 19: the set goes on trying. Files are read in the seconds a container lives; recovery never disturbs a start and
/// never waits for ever, and no helper stays.
pub fn crash_loop(stage: &Stage) -> Result<()> {
    die(stage)?;
    wait_until("a container waits for its next start", SOON * 2, || {
        let pods = stage.cluster.pods()?;
        ensure!(pods.iter().any(|pod| pod.container.contains("CrashLoopBackOff")), "{pods:?}");
        Ok(())
    })?;
    let began = Instant::now();
    let seen = run(stage, &["--yes", "--recover-positions"])?;
    ensure!(began.elapsed() < Duration::from_secs(180), "it took {:?}", began.elapsed());
    ensure!([0, 4].contains(&seen.exit), "{}", seen.told());
    if seen.exit == 0 {
        ensure!(["db-0", "db-1"].contains(&seen.elected()?), "{}", seen.told());
    }
    nothing_left(stage)?;
    // What was elected, or not, is what rest and quiet say as well.
    scale_to_zero(stage)?;
    let quiet = run(stage, &["--yes", "--recover-positions"])?;
    ensure!(["db-0", "db-1"].contains(&quiet.elected()?), "{}", quiet.told());
    nothing_left(stage)?;
    stage.said("6, 19", "all crash-loop while positions are recovered, db-2 behind the others", &seen.said())
}

/// Rows 7 and 8: joiner and donor die in the middle of a state transfer. The half copy is never chosen, whatever it reports.
pub fn half_copy(stage: &Stage) -> Result<()> {
    die_in_copy(stage)?;
    scale_to_zero(stage)?;
    let seen = run(stage, &["--yes", "--recover-positions"])?;
    ensure!(["db-0", "db-1"].contains(&seen.elected()?), "{}", seen.told());
    ensure!(seen.member(2)?["trust"] == "never", "db-2 is half a copy:\n{}", seen.told());
    let recovered: Vec<&str> = seen.document["helpers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|helper| helper["kind"] == "recover")
        .filter_map(|helper| helper["pod"].as_str())
        .collect();
    ensure!(!recovered.contains(&"db-2"), "no recovery in a half copy: {recovered:?}");
    nothing_left(stage)?;
    stage.said("7, 8", "joiner and donor die in the middle of a state transfer, and the third with them", &seen.said())
}

/// A copy to db-2 is under way when all three are killed, and nobody is started again.
pub fn die_in_copy(stage: &Stage) -> Result<()> {
    let datadir = stage.cluster.shape.layout().datadir;
    hands_off(stage)?;
    stage.cluster.exec(2, &format!("rm {datadir}/grastate.dat"), "")?;
    stage.faults.delete_pods(&stage.cluster.namespace, &["db-2"])?;
    let copy = stage.hold_copy()?;
    for ordinal in [0, 1] {
        stage.cluster.exec(ordinal, &format!("rm -f {datadir}/gvwstate.dat"), "").ok();
    }
    // Killed before they are told to stop: a parallel set would stop all of them at once, and cleanly.
    stage.faults.kill_servers(&stage.cluster.pods()?)?;
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=0"])?;
    copy.heal()
}
