//! The steps of the contracts on real servers: what `status` shows after each is what the model world has to show too.
//! With `UPDATE_CONTRACT=1` the states are written down instead of compared.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bed::testing::faults::Lasting;
use bed::testing::run::wait_until;
use serde_json::{Value, json};

use crate::stage::Stage;
use crate::status::galera::pc_bootstrap;

#[path = "../../../contract/reduce.rs"]
mod reduce;

/// For one step: a cut takes Galera 6 s, two members that join one after the other half a minute.
const SETTLES: Duration = Duration::from_secs(90);

pub fn galera(stage: &Stage) -> Result<()> {
    keeps(stage, "galera.txt")
}

pub fn replication(stage: &Stage) -> Result<()> {
    keeps(stage, "replication.txt")
}

fn keeps(stage: &Stage, name: &str) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contract").join(name);
    let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let update = std::env::var_os("UPDATE_CONTRACT").is_some();
    let mut steps = reduce::parse(&text);
    let mut cuts = Vec::new();
    for step in &mut steps {
        act(stage, &mut cuts, &step.action).with_context(|| format!("the step `{}` of {name}", step.action))?;
        if update {
            step.state = settled(stage)?;
        } else {
            reaches(stage, step)?;
        }
    }
    if update {
        fs::write(&file, reduce::render(&steps)).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}

fn act(stage: &Stage, cuts: &mut Vec<Lasting>, action: &str) -> Result<()> {
    let cluster = &stage.cluster;
    match action.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["start"] => cluster.sql(0, "CREATE TABLE trial.contract (id INT AUTO_INCREMENT PRIMARY KEY)").map(drop),
        ["write", pod] => cluster.sql(ordinal(pod)?, "INSERT INTO trial.contract VALUES ()").map(drop),
        ["cut", alone @ ..] => {
            let pods = cluster.pods()?;
            for (at, one) in pods.iter().enumerate() {
                for other in &pods[at + 1..] {
                    if [one, other].iter().any(|pod| alone.contains(&pod.name.as_str())) {
                        cuts.extend(stage.faults.partition(&[one], &[other])?);
                    }
                }
            }
            Ok(())
        }
        ["heal"] => cuts.drain(..).try_for_each(Lasting::heal),
        ["bootstrap", pod] => pc_bootstrap(stage, ordinal(pod)?),
        ["scale", replicas] => cluster.kubectl(&["scale", "sts/db", &format!("--replicas={replicas}")]).map(drop),
        ["stop", "applying", pod] => cluster.sql(ordinal(pod)?, "STOP SLAVE SQL_THREAD").map(drop),
        ["start", "applying", pod] => cluster.sql(ordinal(pod)?, "START SLAVE SQL_THREAD").map(drop),
        _ => bail!("nobody knows this step"),
    }
}

fn ordinal(pod: &str) -> Result<u32> {
    pod.rsplit('-').next().and_then(|ordinal| ordinal.parse().ok()).with_context(|| format!("`{pod}` is no pod of a set"))
}

/// The state of now. A busy machine that does not let every pod answer shows none.
fn look(stage: &Stage) -> Result<Vec<String>> {
    let seen = stage.plugin.run(&["status", "sts/db", "-n", &stage.cluster.namespace, "-o", "json", "--pod-timeout", "20s"])?;
    let document: Value =
        serde_json::from_str(&seen.stdout).with_context(|| format!("no document: {}{}", seen.stdout, seen.stderr))?;
    ensure!(document["unseen"] == json!([]), "not everything was seen: {}", document["unseen"]);
    Ok(reduce::reduce(&document))
}

/// Waits until two looks in a row show the state of the step.
fn reaches(stage: &Stage, step: &reduce::Step) -> Result<()> {
    let agrees = || {
        let state = look(stage)?;
        ensure!(state == step.state, "the servers show\n{}\nand the contract says\n{}", state.join("\n"), step.state.join("\n"));
        Ok(())
    };
    wait_until(&format!("the state after `{}`", step.action), SETTLES, || {
        agrees()?;
        thread::sleep(Duration::from_secs(2));
        agrees()
    })
    .map(drop)
}

/// Waits until the state stays the same for 8 s: longer than Galera suspects a silent member, twice the period of a probe.
fn settled(stage: &Stage) -> Result<Vec<String>> {
    let mut last = Vec::new();
    wait_until("the state stays", SETTLES, || {
        thread::sleep(Duration::from_secs(8));
        let state = look(stage)?;
        let stays = state == last;
        last = state;
        ensure!(stays, "the last one is\n{}", last.join("\n"));
        Ok(())
    })?;
    Ok(last)
}
