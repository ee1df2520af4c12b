//! Faults of machines: nobody else uses the bed meanwhile.

use std::time::Duration;

use anyhow::{Result, ensure};
use bed::testing::run::wait_until;

use crate::stage::{Expected, Stage};

/// What `--pod-timeout` costs by default, and what a dead pod may cost beyond that.
const DEAD_POD: Duration = Duration::from_millis(3_000 + 200);

/// Asked while Kubernetes still believes the node alive: only the exec hangs.
pub fn dead_node(stage: &Stage) -> Result<()> {
    let healthy = stage.status_in_time(&Expected::default())?.table.took;
    let node = stage.cluster.pod(2)?.node()?.to_owned();
    let off = stage.faults.power_off(&node)?;
    stage.wait_wsrep("the others go on", &[0, 1], |wsrep| wsrep.status == "Primary" && wsrep.size == 2)?;
    one_member_is_silent(stage, healthy)?;
    wait_until("Kubernetes knows", Duration::from_secs(60), || {
        let ready =
            stage.cluster.kubectl(&["get", "node", &node, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}"])?;
        ensure!(ready == "Unknown", "Ready is {ready}");
        Ok(())
    })?;
    let seen =
        stage.status_in_time(&Expected { exit: 3, codes: &["MDB121"], without: &["MDB201"], says: &["db-0", "db-1", "db-2"] })?;
    off.heal()?;
    stage.saw("none", "the node of db-2 is dead", &seen)
}

/// The node of one member loses its network: the API server cannot ask that side.
pub fn network_partition(stage: &Stage) -> Result<()> {
    let healthy = stage.status_in_time(&Expected::default())?.table.took;
    let node = stage.cluster.pod(1)?.node()?.to_owned();
    let cut = stage.faults.unplug(&node)?;
    stage.wait_wsrep("the majority goes on", &[0, 2], |wsrep| wsrep.status == "Primary" && wsrep.size == 2)?;
    one_member_is_silent(stage, healthy)?;
    cut.heal()
}

/// The silent member costs its deadline and no more, and the others are shown. Twice, for the sake of a busy machine;
/// a third look would come after Kubernetes has noticed.
fn one_member_is_silent(stage: &Stage, healthy: Duration) -> Result<()> {
    let look = || {
        let seen = stage.status_in_time(&Expected {
            exit: 3,
            codes: &["MDB901", "MDB221"],
            without: &["MDB201", "MDB203"],
            says: &["db-0", "db-1", "db-2", "Synced"],
        })?;
        let took = seen.table.took;
        ensure!(took < DEAD_POD + healthy, "{took:?}, and {healthy:?} with all pods alive");
        Ok(())
    };
    look().or_else(|_: anyhow::Error| look())
}

pub fn api_server_down(stage: &Stage) -> Result<()> {
    let down = stage.faults.kill_api_server()?;
    let seen = stage.status_in_time(&Expected { exit: 4, ..Expected::default() })?;
    ensure!(seen.table.stderr.contains("10.77.0.1:6443"), "it does not name the API server: {}", seen.told());
    ensure!(seen.table.took < Duration::from_secs(2), "a refused connection cost {:?}", seen.table.took);
    down.heal()
}
