//! The volume of a member that was primary apart from the others: it has their history and a lower number, and other rows.

use anyhow::{Context, Result, ensure};
use bed::testing::faults::Lasting;
use bed::testing::run::wait_until;
use bed::testing::writers::Target;

use crate::grastate::on_volume;
use crate::scale::{kept, plugin, record, says, scale, written};
use crate::stage::{SOON, Stage};
use crate::status::galera::pc_bootstrap;

/// Row 23, of a split brain: db-2 is cut off and made primary, both sides write, and the smaller one is scaled away. Its volume is
/// behind, and a server that starts on it would take only what it misses (IST), beside rows that nobody else has.
pub fn half_left_over(stage: &Stage) -> Result<()> {
    stage.cluster.sql(0, "CREATE OR REPLACE TABLE trial.halves (id INT PRIMARY KEY)")?;
    let pods = stage.cluster.pods()?;
    let [a, b, c] = pods.as_slice() else { anyhow::bail!("three pods") };
    let cut = stage.faults.partition(&[a, b], &[c])?;
    stage.wait_wsrep("the majority goes on", &[0, 1], |wsrep| wsrep.status == "Primary" && wsrep.size == 2)?;
    stage.wait_wsrep("the other one does not", &[2], |wsrep| wsrep.status != "Primary")?;
    pc_bootstrap(stage, 2)?;
    stage.wait_wsrep("both are Primary", &[2], |wsrep| wsrep.status == "Primary" && wsrep.size == 1 && wsrep.ready)?;
    stage.cluster.sql(2, "INSERT INTO trial.halves VALUES (2)")?;
    for id in 100..150 {
        stage.cluster.sql(0, &format!("INSERT INTO trial.halves VALUES ({id})"))?;
    }
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=2"])?;
    wait_until("the smaller half is gone", SOON, || {
        ensure!(stage.cluster.pods()?.len() == 2, "it is there");
        Ok(())
    })?;
    cut.into_iter().try_for_each(Lasting::heal)?;
    let before = kept(stage, 2)?;

    let refused = |volumes: &str| {
        let refused = scale(stage, 3, &[volumes], 5)?;
        says(&refused, "MDB752")?;
        says(&refused, "db-2 was alone in a primary component when it ended")?;
        plugin(stage, &["operation", "abort", "db", "-y"], 0)?;
        Ok::<_, anyhow::Error>(refused)
    };
    refused("--reuse-pvcs")?;
    let words = refused("--prune-pvcs")?;
    let words = words.stdout.split_whitespace().find(|word| word.starts_with("--accept-data-loss=")).map(str::to_owned);
    let words = words.context("it does not say how the loss is accepted")?;
    let stays = plugin(stage, &["pvc", "prune", "db", "-y"], 5)?;
    says(&stays, "its server was alone in a primary component when it ended")?;
    ensure!(kept(stage, 2)? == before && stage.cluster.pods()?.len() == 2, "the volume was touched");
    on_volume(stage, 2, "grep -q '^safe_to_bootstrap: 1' grastate.dat")?;
    let done = written(stage, &Target::Any, 3, || scale(stage, 3, &["--prune-pvcs", &words], 0).map(drop))?;
    ensure!(kept(stage, 2)? != before, "the volume is the old one");
    for ordinal in 0..3 {
        let rows = stage.cluster.sql(ordinal, "SELECT COUNT(*), MIN(id) FROM trial.halves")?;
        ensure!(rows.split_whitespace().eq(["50", "100"]), "db-{ordinal}: {rows}");
    }
    record(
        stage,
        "23",
        "the left-over volume of a split-brain half, behind the group, with a row of its own",
        "refused to reuse or delete it, `scale` and `pvc prune`; deleted it only when its loss was accepted by name",
        &done,
    )
}
