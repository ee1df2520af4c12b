//! A recovery that stops with one member, and no client led to it (safety A10); and sets that somebody has scaled to 0, with what
//! made him do it.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bed::testing::cluster::Wsrep;
use bed::testing::faults::Lasting;
use bed::testing::reliability::Record;
use bed::testing::run::wait_until;
use bed::testing::shape::Source;
use serde_json::Value;

use crate::grastate::{outage, scale_to_zero};
use crate::operations::pods;
use crate::stage::{Expected, SOON, Stage};
use crate::status::galera::pc_bootstrap;
use crate::steering;

use super::disturbed::{founder, one_cluster, outage_under_load, record, scaled};
use super::rows::RECOVER;
use super::{holds_what_the_majority_wrote, is_whole, run};

/// How many pods the Services of the clients lead to, the one that leads to most.
fn led_to(stage: &Stage) -> Result<usize> {
    let services: Value = serde_json::from_str(&stage.cluster.kubectl(&["get", "services", "-o", "json"])?)?;
    let mut most = 0;
    for service in services["items"].as_array().into_iter().flatten().filter(|service| service["spec"]["clusterIP"] != "None") {
        let name = service["metadata"]["name"].as_str().context("a Service has a name")?;
        // A Service that selects nothing may have no Endpoints.
        let text = stage.cluster.kubectl(&["get", "endpoints", name, "-o", "json", "--ignore-not-found"])?;
        let endpoints: Value = if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text)? };
        most = most.max(endpoints["subsets"][0]["addresses"].as_array().map_or(0, Vec::len));
    }
    Ok(most)
}

/// One member founds the cluster, and no Service of the clients leads to it until somebody goes on.
pub fn on_hold(stage: &Stage) -> Result<()> {
    if stage.cluster.shape.source == Source::Operator {
        steering::account(stage)?;
    }
    let mut held = String::new();
    let seen = outage_under_load(stage, || {
        let stopped = run(stage, &[&RECOVER[..], &["--hold-traffic"]].concat())?;
        stopped.ended(0, "onHold")?;
        held = format!("{:.0} s", stopped.took.as_secs_f32());
        let first = founder(&pods(stage)?).context("nobody founds")?;
        for _ in 0..10 {
            ensure!(led_to(stage)? == 0, "clients are led to {first}");
            one_cluster(stage, &first)?.context("the founder does not answer")?;
            thread::sleep(Duration::from_secs(1));
        }
        let resumed = run(stage, &["operation", "resume", "-y"])?;
        resumed.ended(0, "done")?;
        Ok(resumed)
    })?;
    wait_until("clients are led to all", SOON, || {
        let led = led_to(stage)?;
        ensure!(led == 3, "to {led}");
        Ok(())
    })?;
    let did = format!("stopped after {held} with one member and no client led to it; whole after `operation resume`");
    record(stage, "2", "all killed; `galera recover --hold-traffic`", &did, &seen)
}

/// Row 11: the majority dies, and somebody makes the one primary that knows less. The others crash meanwhile; their next start is
/// turned away, and the one after that would throw away what only they hold.
pub fn wrong_one_founded(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    wrong_one(stage)?;
    let seen = stage.status(&Expected {
        exit: 3,
        codes: &["MDB256"],
        says: &["scale statefulset/db --replicas=0"],
        ..Expected::default()
    })?;
    let refused = run(stage, &RECOVER)?;
    refused.refused("MDB256")?;
    ensure!(refused.told().contains("--replicas=0"), "it does not say to stop them:\n{}", refused.told());
    scale_to_zero(stage)?;
    let took = without_the_wrong_one(stage, &history)?;
    let said = seen.findings().find(|finding| finding["code"] == "MDB256").map(|finding| finding["summary"].to_string());
    stage.record(Record {
        rows: "11".to_owned(),
        fault: "one member cut off; the majority writes on, then dies, and somebody runs `pc.bootstrap` on that one".to_owned(),
        did: format!(
            "`status`: MDB256 {}, before their second start, with the command that stops them; `galera recover` refused; from the stopped \
             set `galera recover --replicas 3` elected one of the majority, and the other side took a full copy",
            said.unwrap_or_default().trim_matches('"')
        ),
        took: Some(took),
        acknowledged: Some(20),
    })
}

/// The same, and the wrong one does not end cleanly: only the view that it leaves tells that it was alone.
pub fn wrong_one_killed(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    wrong_one(stage)?;
    stage.cluster.sql(2, "INSERT INTO trial.of_the_wrong_one VALUES (1)")?;
    // Frozen, it does not hear that it is to stop: it is killed when its grace is over.
    let frozen = stage.faults.pause(&stage.cluster.pod(2)?, "mariadbd")?;
    scale_to_zero(stage)?;
    frozen.heal()?;
    let took = without_the_wrong_one(stage, &history)?;
    for ordinal in 0..3 {
        let rows = stage.cluster.sql(ordinal, "SELECT COUNT(*) FROM trial.of_the_wrong_one")?;
        ensure!(rows.trim() == "0", "db-{ordinal} holds a row of the component that was given up");
    }
    stage.record(Record {
        rows: "11".to_owned(),
        fault: "one member cut off; the majority dies, somebody runs `pc.bootstrap` on that one, clients write there, and it is killed".to_owned(),
        did: "`galera recover --replicas 3` told from the view it left that it was alone, elected one of the majority, and said that its rows \
              are erased by a full copy"
            .to_owned(),
        took: Some(took),
        acknowledged: Some(20),
    })
}

/// The majority writes on without db-2, and crashes; db-2 is primary alone.
fn wrong_one(stage: &Stage) -> Result<()> {
    stage.cluster.sql(0, "CREATE OR REPLACE TABLE trial.of_the_wrong_one (id INT PRIMARY KEY)")?;
    let (seqnos, cut) = outage::leave_behind(stage)?;
    outage::kill(stage, &[0, 1])?;
    cut.into_iter().try_for_each(Lasting::heal)?;
    ensure!(seqnos[2] < seqnos[0], "{seqnos:?}");
    // Whoever joins it before it is primary would share its component, and nothing would be lost. So it is done when both wait for
    // their next start, and have just begun to.
    let mut since: Option<Instant> = None;
    wait_until("the wrong one is Primary, alone", SOON * 7, || {
        let waits =
            |ordinal| stage.cluster.pod(ordinal).map(|pod| pod.restarts > 2 && pod.container.contains("CrashLoopBackOff"));
        since = if waits(0)? && waits(1)? { since.or_else(|| Some(Instant::now())) } else { None };
        let for_now = since.is_some_and(|since| since.elapsed() < Duration::from_secs(20));
        ensure!(for_now, "one of them tries, or has waited for long");
        let alone = |wsrep: &Wsrep| wsrep.status == "Primary" && wsrep.size == 1;
        if !alone(&stage.wsrep(2)?) {
            pc_bootstrap(stage, 2)?;
            thread::sleep(Duration::from_secs(1));
        }
        let wsrep = stage.wsrep(2)?;
        ensure!(alone(&wsrep), "{wsrep:?}");
        Ok(())
    })
    .map(drop)
}

/// From the stopped set: one of the majority founds it, and the plan says what becomes of the other side.
fn without_the_wrong_one(stage: &Stage, history: &str) -> Result<Duration> {
    let recovered = from_zero(stage)?;
    is_whole(stage, history)?;
    let told = recovered.told().split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(told.contains("ended alone in a primary component that is behind"), "{}", recovered.told());
    holds_what_the_majority_wrote(stage, &recovered)?;
    Ok(recovered.took)
}

/// All killed, and somebody has scaled the set to 0: it does not say any more how many members there are.
pub fn scaled_to_zero(stage: &Stage) -> Result<()> {
    let seen = outage_under_load(stage, || {
        scale_to_zero(stage)?;
        from_zero(stage)
    })?;
    let did = "named the number to give; with `--replicas 3` read, elected, founded and joined as ever";
    record(stage, "2", "all killed, and the set is scaled to 0", did, &seen)
}

fn from_zero(stage: &Stage) -> Result<super::Recover> {
    let refused = run(stage, &RECOVER)?;
    refused.refused("MDB101")?;
    ensure!(refused.told().contains("galera recover db --replicas 3"), "it does not say the way on:\n{}", refused.told());
    let recovered = run(stage, &[&RECOVER[..], &["--replicas", "3"]].concat())?;
    recovered.ended(0, "done")?;
    Ok(recovered)
}

/// The plugin dies when it has written down who founds the cluster. Somebody scales the set up, its servers start and find nobody, and
/// it is scaled down again: it says what it said before, and what was read of its files is no longer so.
pub fn scaled_and_back(stage: &Stage) -> Result<()> {
    let seen = outage_under_load(stage, || {
        // The founder's position is written first, and takes some seconds.
        let since = std::cell::Cell::new(None);
        let elected = |_: &Value, _: &[String]| {
            if since.get().is_some_and(|since: Instant| since.elapsed() > Duration::from_secs(7)) {
                return true;
            }
            let journal = stage.cluster.get("configmap/kubectl-mariadb.db").map(|journal| journal["data"]["current"].to_string());
            if since.get().is_none()
                && journal.is_ok_and(|journal| journal.replace('\\', "").contains("\"safeToBootstrap\":true"))
            {
                since.set(Some(Instant::now()));
            }
            false
        };
        let args = [&RECOVER[..], &["db", "--pod-timeout=15s"]].concat();
        crate::operations::kill_when(stage, &args, elected)?;
        ensure!(founder(&pods(stage)?).is_none(), "it was not killed in time");
        scaled(stage, 3)?;
        wait_until("each of them has tried to start", SOON * 3, || {
            let tried = stage.cluster.pods()?;
            ensure!(
                tried.len() == 3 && tried.iter().all(|pod| pod.restarts > 0 || pod.container.contains("running")),
                "{tried:?}"
            );
            Ok(())
        })?;
        thread::sleep(Duration::from_secs(20));
        scale_to_zero(stage)?;
        let resumed = run(stage, &["operation", "resume", "-y"])?;
        resumed.ended(0, "done")?;
        Ok(resumed)
    })?;
    let did = "read and elected anew; whole, with the history it had";
    record(stage, "2", "all killed; the plugin dies after the election, the set is scaled up, and down again", did, &seen)
}
