//! `rebuild` with writers: one member gets a full copy while the others go on, and every acknowledged row is there.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bed::testing::cluster::Pod;
use bed::testing::faults::Lasting;
use bed::testing::oracle;
use bed::testing::reliability::Record;
use bed::testing::run::{Ended, wait_until};
use bed::testing::writers::{Target, Writers, Written};
use mysql::prelude::Queryable;
use serde_json::Value;

use crate::grastate::nothing_left;
use crate::stage::{Expected, SOON, Stage};
use crate::status::galera;

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
    diverge_of(stage, 2)
}

fn diverge_of(stage: &Stage, ordinal: u32) -> Result<()> {
    let mut other = stage.cluster.connect_writer(&stage.cluster.pod(0)?)?;
    other.query_drop("CREATE OR REPLACE TABLE trial.diverged (id INT PRIMARY KEY)")?;
    stage.cluster.sql(ordinal, "SET SESSION wsrep_on=OFF; INSERT INTO trial.diverged VALUES (1)").map(drop)
}

/// Breaks db-2 with `fault` while writers write, and rebuilds it.
fn rebuilt(stage: &Stage, fault: impl FnOnce() -> Result<()>) -> Result<Rebuilt> {
    mended(stage, &Target::Any, fault, || Ok(plugin(stage, &["rebuild", "db-2", "-y"], 0)?.1))
}

/// The same with a way of its own, which says how long it took.
fn mended(
    stage: &Stage,
    target: &Target,
    fault: impl FnOnce() -> Result<()>,
    mend: impl FnOnce() -> Result<Duration>,
) -> Result<Rebuilt> {
    let before: Vec<String> = uids(stage)?;
    let writers = Writers::start(&stage.cluster, target, 3, &stage.folder.join("acknowledged"))?;
    thread::sleep(Duration::from_secs(2));
    fault()?;
    let took = mend()?;
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
        took: Some(rebuilt.took),
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

/// Servers that crash at each start of their pods, as long as `work` goes on. Killed from outside: without its privilege tables a
/// member failed one start, and took a full copy by itself with the next (tried once, on 11.8).
fn crashing<T>(stage: &Stage, ordinals: &[u32], work: impl FnOnce() -> Result<T>) -> Result<T> {
    let pods = ordinals.iter().map(|ordinal| stage.cluster.pod(*ordinal)).collect::<Result<Vec<_>>>()?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // By the uid of the old pod: the one that comes after it is left alone.
                pods.iter().for_each(|pod| drop(stage.faults.kill_server(pod)));
                thread::sleep(Duration::from_millis(200));
            }
        });
        let crash = |pod: &Pod| {
            wait_until("it crashes again and again", SOON * 2, || {
                let object = stage.cluster.kubectl(&["get", "pod", &pod.name])?;
                ensure!(object.contains("CrashLoopBackOff"), "{object}");
                Ok(())
            })
        };
        let done = pods.iter().try_for_each(|pod| crash(pod).map(drop)).and_then(|()| work());
        over.store(true, Ordering::Relaxed);
        done
    })
}

/// Row 19: each start of the member ends at once, and it holds a row that nobody else has.
pub fn crash_loop(stage: &Stage) -> Result<()> {
    let mend = || crashing(stage, &[2], || Ok(plugin(stage, &["rebuild", "db-2", "-y"], 0)?.1));
    let rebuilt = mended(stage, &Target::Any, || diverge(stage), mend)?;
    record(stage, "19", "the server of a member crashes at each start, and holds a row of its own", &rebuilt)
}

/// Row 14: the loser of a split brain. What its clients wrote there is named, and lost only in these words.
pub fn split_brain_loser(stage: &Stage) -> Result<()> {
    let split = || {
        let pods = stage.cluster.pods()?;
        let [a, b, c] = pods.as_slice() else { bail!("three pods") };
        let cut = stage.faults.partition(&[c], &[a, b])?;
        stage.wait_wsrep("the minority stops", &[2], |wsrep| wsrep.status == "non-Primary")?;
        galera::pc_bootstrap(stage, 2)?;
        stage.wait_wsrep("it is Primary alone", &[2], |wsrep| wsrep.status == "Primary" && wsrep.size == 1 && wsrep.ready)?;
        stage.cluster.sql(2, "CREATE TABLE trial.apart (id INT PRIMARY KEY)")?;
        stage.wait_wsrep("the majority goes on", &[0, 1], |wsrep| wsrep.status == "Primary" && wsrep.size == 2)?;
        cut.into_iter().try_for_each(Lasting::heal)
    };
    let accepted = || {
        let (refused, _) = plugin(stage, &["rebuild", "db-2", "-y"], 5)?;
        ensure!(refused.stdout.contains("MDB728"), "{}", refused.stdout);
        let words = refused.stdout.split_whitespace().find(|word| word.starts_with("--accept-data-loss="));
        let words = words.with_context(|| format!("no words: {}", refused.stdout))?;
        ensure!(words.ends_with(":since-the-split"), "{words}");
        Ok(plugin(stage, &["rebuild", "db-2", "-y", words], 0)?.1)
    };
    // Whoever writes to the loser loses it: that was accepted.
    let rebuilt = mended(stage, &Target::Pod(0), split, accepted)?;
    let left = stage.cluster.sql(2, "SELECT COUNT(*) FROM information_schema.tables WHERE table_name='apart'")?;
    ensure!(left == "0", "what was written apart is still there");
    record(stage, "14", "a member was made primary apart from the others, and took writes", &rebuilt)
}

/// Row 16 below another one: a member is out, so that an ordered set makes no pod for the one above it. That one is not to be rebuilt.
pub fn limbo(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    let writers = Writers::start(&stage.cluster, &Target::Pod(0), 3, &stage.folder.join("acknowledged"))?;
    thread::sleep(Duration::from_secs(2));
    diverge_of(stage, 1)?;
    stage.cluster.sql(0, "INSERT INTO trial.diverged VALUES (1)")?;
    stage.wait_wsrep("the member is out", &[1], |wsrep| wsrep.status == "Disconnected")?;
    wait_until("Kubernetes knows", SOON, || {
        ensure!(!stage.cluster.pod(1)?.ready, "db-1 is Ready");
        Ok(())
    })?;
    stage.faults.delete_pods(&stage.cluster.namespace, &["db-2"])?;
    wait_until("db-2 has no pod", SOON, || {
        ensure!(stage.cluster.pods()?.len() == 2, "it has one");
        Ok(())
    })?;
    let (refused, _) = plugin(stage, &["rebuild", "db-2", "-y"], 5)?;
    let says = refused.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(says.contains("MDB727") && says.contains("db-1 is not Ready"), "{says}");
    let (_, took) = plugin(stage, &["rebuild", "db-1", "-y"], 0)?;
    stage.cluster.wait_healthy(SOON * 2)?;
    let written = writers.stop()?;
    ensure!(stage.wsrep(1)?.state_uuid == history, "another history");
    whole(stage, &written)?;
    record(stage, "16", "a member was voted out, and the set makes no pod for the one above it", &Rebuilt { took, written })
}

/// The last good copies are left alone: one that is needed, and one that nobody could give a copy to.
pub fn last_copy(stage: &Stage) -> Result<()> {
    let state = || stage.cluster.exec(0, &format!("cat {}/grastate.dat", stage.cluster.shape.layout().datadir), "");
    let (uid, before) = (stage.cluster.pod(0)?.uid, state()?.stdout);
    crashing(stage, &[2], || refused(stage, "db-0", "MDB727"))?;
    crashing(stage, &[1, 2], || ["db-0", "db-1", "db-2"].iter().try_for_each(|pod| refused(stage, pod, "MDB726")))?;
    ensure!(stage.cluster.pod(0)?.uid == uid && state()?.stdout == before, "the last copy was touched");
    let journal = stage.cluster.get("configmap/kubectl-mariadb.db").unwrap_or_default();
    ensure!(journal["data"]["current"].is_null(), "something is begun: {journal:#}");
    nothing_left(stage)
}

/// A server that crashes cannot be asked while it starts: that is exit 4, and passes.
fn refused(stage: &Stage, pod: &str, code: &str) -> Result<()> {
    wait_until(&format!("the rebuild of {pod} is refused"), SOON * 2, || {
        let (ended, _) = plugin(stage, &["rebuild", pod, "-y"], 5)?;
        ensure!(ended.stdout.contains(code), "{code} was expected: {}", ended.stdout);
        Ok(())
    })
    .map(drop)
}

/// Whoever rebuilds is killed when the data is marked, and the next one when the pod has been deleted.
pub fn killed_and_resumed(stage: &Stage) -> Result<()> {
    let uid = stage.cluster.pod(2)?.uid;
    let mend = || {
        let (shown, _) = plugin(stage, &["rebuild", "db-2", "--dry-run=server"], 0)?;
        ensure!(shown.stdout.matches("API server: accepted").count() == 2, "{}", shown.stdout);
        ensure!(stage.cluster.get("pod/db-2")?["metadata"]["deletionTimestamp"].is_null(), "a dry run deleted the pod");
        let began = Instant::now();
        kill_when(stage, &["rebuild", "db-2", "-y"], "the data is marked", || {
            let journal = stage.cluster.get("configmap/kubectl-mariadb.db")?;
            let current: Value = serde_json::from_str(journal["data"]["current"].as_str().context("nothing is begun")?)?;
            ensure!(current["memo"]["rebuild"]["reset"] == true, "not yet");
            Ok(())
        })?;
        ensure!(stage.cluster.pod(2)?.uid == uid, "it was killed too late");
        let (back, _) = plugin(stage, &["operation", "abort", "db", "-y"], 5)?;
        ensure!(back.stdout.contains("MDB718"), "{}", back.stdout);
        kill_when(stage, &["operation", "resume", "db", "-y"], "the pod is deleted", || {
            let deleted = stage.cluster.get("pod/db-2").is_ok_and(|pod| !pod["metadata"]["deletionTimestamp"].is_null());
            ensure!(deleted || stage.cluster.pod(2).is_ok_and(|pod| pod.uid != uid), "not yet");
            Ok(())
        })?;
        plugin(stage, &["operation", "resume", "db", "-y"], 0)?;
        Ok(began.elapsed())
    };
    let rebuilt = mended(stage, &Target::Any, || diverge(stage), mend)?;
    record(stage, "15", "a member holds a row of its own, and whoever rebuilds it is killed twice", &rebuilt)
}

/// Begins, and kills it as soon as it is so.
pub fn kill_when(stage: &Stage, args: &[&str], what: &str, mut is_so: impl FnMut() -> Result<()>) -> Result<()> {
    let args = [args, &["-n", &stage.cluster.namespace, "--pod-timeout=15s"]].concat();
    let mut plugin = stage.plugin.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let reached = wait_until(what, LIMIT, &mut is_so);
    plugin.kill()?;
    plugin.wait()?;
    reached.map(drop)
}

/// Row 9: the node with the volume is gone for good. The member comes back on another one.
pub fn lost_volume(stage: &Stage) -> Result<()> {
    lost(stage, "a node is lost, and with it the volume of a member", |stage, node| {
        stage.cluster.kubectl(&["delete", "node", node])?;
        Ok(plugin(stage, REPLACE, 0)?.1)
    })
}

/// Row 9, the node marked as off and not deleted. A set that spreads its pods strictly then finds no other node until it is.
pub fn node_out_of_service(stage: &Stage) -> Result<()> {
    let claim = claim(stage);
    lost(stage, "a node is marked out of service, and with it the volume of a member is lost", |stage, node| {
        let before = stage.cluster.get(&claim)?["metadata"]["uid"].clone();
        stage.cluster.kubectl(&["taint", "node", node, "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"])?;
        let removed = || {
            wait_until("the new claim is there", LIMIT, || {
                ensure!(stage.cluster.get(&claim)?["metadata"]["uid"] != before, "it is the old one");
                Ok(())
            })?;
            stage.cluster.kubectl(&["delete", "node", node])
        };
        thread::scope(|scope| {
            let removed = scope.spawn(removed);
            let rebuilt = plugin(stage, REPLACE, 0);
            removed.join().map_err(|_| anyhow!("the node was to be deleted"))??;
            Ok(rebuilt?.1)
        })
    })
}

const REPLACE: &[&str] = &["rebuild", "db-2", "--new-volume", "-y"];

fn claim(stage: &Stage) -> String {
    format!("pvc/{}-db-2", stage.cluster.shape.layout().claim)
}

/// The node of db-2 is switched off. `mend` has Kubernetes know that it is, and rebuilds.
fn lost(stage: &Stage, fault: &str, mend: impl FnOnce(&Stage, &str) -> Result<Duration>) -> Result<()> {
    let (node, claim) = (stage.cluster.pod(2)?.node()?.to_owned(), claim(stage));
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
    for args in [REPLACE, &["rebuild", "db-2", "-y"]] {
        let (ended, _) = plugin(stage, args, 5)?;
        ensure!(ended.stdout.contains("MDB730"), "silent is not dead: {}", ended.stdout);
    }
    let took = mend(stage, &node)?;
    let written = writers.stop()?;
    ensure!(stage.cluster.get(&claim)?["metadata"]["uid"] != before, "the claim is the old one");
    ensure!(stage.cluster.pod(2)?.node()? != node, "it is on the node that is off");
    whole(stage, &written)?;
    off.heal()?;
    record(stage, "9", fault, &Rebuilt { took, written })
}
