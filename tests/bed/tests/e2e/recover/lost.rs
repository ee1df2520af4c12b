//! Where something is lost whatever anybody does: of servers that did not write their log at each commit, and with a node. It is
//! what was announced, and nothing else.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bed::testing::oracle;
use bed::testing::reliability::Record;
use bed::testing::run::wait_until;
use bed::testing::shape::DATABASE;
use bed::testing::writers::{Acknowledged, Target, Writers};
use mysql::prelude::Queryable;

use crate::grastate::outage;
use crate::stage::{SOON, Stage};

use super::rows::RECOVER;
use super::{is_whole, run};

/// Safety G2: `innodb_flush_log_at_trx_commit` 2 leaves a commit with the kernel, which a dead server does not take with it; 0 leaves
/// it in the server for up to a second. What is lost then is the end of what each writer wrote, the same on all members.
pub fn not_flushed(stage: &Stage) -> Result<()> {
    let mut did = Vec::new();
    let (mut rows, mut took) = (0, Vec::new());
    for flush in [2, 0, 2, 0] {
        let history = stage.wsrep(0)?.state_uuid;
        for ordinal in 0..3 {
            stage.cluster.sql(ordinal, &format!("SET GLOBAL innodb_flush_log_at_trx_commit={flush}"))?;
        }
        let writers = Writers::start(&stage.cluster, &Target::Any, 3, &stage.folder.join("acknowledged"))?;
        thread::sleep(Duration::from_secs(4));
        outage::kill(stage, &[0, 1, 2])?;
        let written = writers.stop()?;
        let recovered = run(stage, &RECOVER)?;
        recovered.ended(0, "done")?;
        let told = recovered.ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let announced = "other than 1 may itself lack up to a second of what it acknowledged";
        ensure!(told.contains(announced), "it does not say what may be lost:\n{}", recovered.told());
        is_whole(stage, &history)?;
        let (held, lost) = held_and_lost(stage, &written.acknowledged)?;
        eprintln!(
            "         flush {flush}: {lost} of {} rows lost, {:.1} s",
            written.acknowledged.rows(),
            recovered.took.as_secs_f32()
        );
        ensure!(flush == 0 || lost == 0, "the server alone died, and {lost} rows that the kernel had are lost");
        // A second of the four, and the time it took to kill them.
        ensure!(lost * 2 <= written.acknowledged.rows(), "{lost} of {} rows are lost", written.acknowledged.rows());
        oracle::check(&stage.cluster, &held)?;
        did.push(format!("flush {flush}: {lost} of {} lost", written.acknowledged.rows()));
        rows += held.rows();
        took.push(recovered.took);
    }
    stage.record(Record {
        rows: "2".to_owned(),
        fault: "all killed while writers write with innodb_flush_log_at_trx_commit 2 and 0, no saved view left".to_owned(),
        did: format!("announced up to a second, and lost no more: {}", did.join(", ")),
        took: took.into_iter().max(),
        acknowledged: Some(rows),
    })
}

/// What is still there of what was acknowledged, and how many rows are not; what is lost is the end.
fn held_and_lost(stage: &Stage, acknowledged: &Acknowledged) -> Result<(Acknowledged, usize)> {
    let mut server = stage.cluster.connect(&stage.cluster.pod(0)?)?;
    let (mut held, mut lost) = (Vec::new(), 0);
    for (writer, promised) in acknowledged.0.iter().enumerate() {
        let present: BTreeSet<u64> = server.query(format!("SELECT id FROM {DATABASE}.w{writer}"))?.into_iter().collect();
        let kept: BTreeSet<u64> = promised.intersection(&present).copied().collect();
        let first_lost = promised.difference(&present).min().copied();
        let in_the_middle = first_lost.is_some_and(|first| kept.iter().any(|id| *id > first));
        ensure!(!in_the_middle, "writer {writer} lost row {first_lost:?}, and later ones are there");
        lost += promised.len() - kept.len();
        held.push(kept);
    }
    Ok((Acknowledged(held), lost))
}

/// Row 9: all die, and the node of one of them with its volume. The user names it and gives it up; it comes back with a new volume.
pub fn with_its_node(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    let node = stage.cluster.pod(2)?.node()?.to_owned();
    let claim = format!("pvc/{}-db-2", stage.cluster.shape.layout().claim);
    let volume = stage.cluster.get(&claim)?["spec"]["volumeName"].as_str().context("a bound claim")?.to_owned();
    let writers = Writers::start(&stage.cluster, &Target::Any, 3, &stage.folder.join("acknowledged"))?;
    thread::sleep(Duration::from_secs(3));
    let off = stage.faults.power_off(&node)?;
    stage.wait_wsrep("the others go on", &[0, 1], |wsrep| wsrep.status == "Primary" && wsrep.size == 2)?;
    outage::kill(stage, &[0, 1])?;
    let written = writers.stop()?;
    // Silent is not dead: it may be the one that goes on.
    let silent = run(stage, &RECOVER)?;
    ensure!([Some(4), Some(5)].contains(&silent.ended.code), "silent is not dead:\n{}", silent.told());
    eprintln!("         while it is silent: {}", silent.said());
    stage.cluster.kubectl(&["delete", "node", &node])?;
    wait_until("its pod is gone with it", SOON * 3, || {
        let there = stage.cluster.pods()?.iter().any(|pod| pod.name == "db-2" && pod.node().is_ok_and(|own| own == node));
        ensure!(!there, "it is there");
        Ok(())
    })?;
    let refused = run(stage, &RECOVER)?;
    let words = format!("db-2:unread:{volume}");
    ensure!(refused.ended.code == Some(5) && refused.told().contains(&words), "{words} was to be named:\n{}", refused.told());
    eprintln!("         {} after {:.0} s", refused.said(), refused.took.as_secs_f32());
    run(stage, &["operation", "abort", "-y"])?.ended(0, "aborted")?;
    let given_up = run(stage, &["galera", "bootstrap", "db-0", "-y", &format!("--accept-data-loss={words}")])?;
    eprintln!("         {} after {:.0} s", given_up.said(), given_up.took.as_secs_f32());
    if given_up.ended.code != Some(0) {
        // The others run by now; the claim on the lost node keeps db-2 from being marked, and it is said what to do.
        let told = given_up.told().split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(told.contains("mark db-2") && told.contains(claim.trim_start_matches("pvc/")), "{}", given_up.told());
        stage.cluster.kubectl(&["delete", &claim, "--wait=false"])?;
        run(stage, &["operation", "resume", "-y"])?.ended(0, "done")?;
    }
    stage.cluster.wait_healthy(SOON * 3)?;
    ensure!(stage.cluster.pod(2)?.node()? != node, "it is on the node that is off");
    is_whole(stage, &history)?;
    // Two of three acknowledged each row, and db-0 was one of them.
    oracle::check(&stage.cluster, &written.acknowledged)?;
    off.heal()?;
    stage.record(Record {
        rows: "9".to_owned(),
        fault: "all die, one of them with its node and its volume".to_owned(),
        did: format!(
            "refused while it was silent, and until it was given up as {}; then whole, on a new volume",
            words.replace(&volume, "PV")
        ),
        took: Some(given_up.took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}
