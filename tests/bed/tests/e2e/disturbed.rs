//! Upgrades that somebody, or a dead node, disturbs in the middle: no acknowledged row is lost, what others changed stays, and
//! no further pod is replaced on a plan that was made for another state.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bed::testing::cluster::Cluster;
use bed::testing::faults::Lasting;
use bed::testing::reliability::Record;
use bed::testing::run::{Ended, wait_until};
use bed::testing::shape::Shape;
use serde_json::Value;

use crate::operations::{done, says, set, told, until};
use crate::stage::{SOON, Stage};
use crate::upgrade::{OLDER, PATIENT, SAME, are, partition, tell, under_load, whole};

/// Begins an upgrade, and disturbs it as soon as its partition has been opened for a pod.
fn disturbed(stage: &Stage, opened: u64, more: &[&str], exit: i32, disturb: impl FnOnce() -> Result<()>) -> Result<Ended> {
    let args = [&["upgrade", "db", "--image", OLDER, "--yes", PATIENT], more].concat();
    thread::scope(|scope| {
        let upgrade = scope.spawn(|| done(stage, &args, exit));
        let in_the_middle = |set: &Value, _: &[String]| upgrade.is_finished() || partition(set) == opened;
        let disturbance = until(stage, in_the_middle).and_then(|()| disturb());
        let ended = upgrade.join().map_err(|_| anyhow!("the upgrade panicked"))??;
        disturbance.map(|()| ended)
    })
}

/// Somebody deletes a pod that is not due, as a drain would that no budget holds back; and later one that was replaced.
pub fn pods_deleted(stage: &Stage) -> Result<()> {
    let began = Instant::now();
    let delete = |pod: &str| stage.cluster.kubectl(&["delete", "pod", pod, "--wait=false"]).map(drop);
    let written = under_load(stage, || {
        disturbed(stage, 2, &[], 0, || {
            delete("db-0")?;
            until(stage, |set, _| partition(set) == 1)?;
            delete("db-2")
        })
        .map(drop)
    })?;
    let took = began.elapsed();
    are(stage, ["10.11.18"; 3])?;
    whole(stage, &written, 0)?;
    tell(&written);
    done(stage, &["upgrade", "db", "--image", SAME, "--yes", PATIENT], 0)?;
    stage.record(Record {
        rows: "24".to_owned(),
        fault: "somebody deletes db-0 while db-2 is being replaced, and db-2 while db-1 is".to_owned(),
        did: "waited until all were together again each time, and went on".to_owned(),
        took: Some(took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// The server of the new pod hangs before it has joined: nobody waits for it for ever, and nobody else is replaced meanwhile.
pub fn never_synced(stage: &Stage) -> Result<()> {
    let old = stage.cluster.pod(2)?.uid;
    let began = Instant::now();
    let mut took = Duration::ZERO;
    let mut hangs: Option<Lasting> = None;
    let written = under_load(stage, || {
        let ended = disturbed(stage, 2, &["--timeout=90s"], 6, || {
            wait_until("the server of the new pod hangs", SOON, || {
                let pod = stage.cluster.pod(2)?;
                ensure!(pod.uid != old, "db-2 is the old pod");
                hangs = Some(stage.faults.pause(&pod, "mariadbd")?);
                Ok(())
            })
            .map(drop)
        })?;
        took = began.elapsed();
        ensure!(says(&ended, "db-2"), "{}", told(&ended));
        let now = partition(&set(stage)?);
        ensure!(now >= 2, "the partition is {now}: others would be replaced");
        for ordinal in [0, 1] {
            let version = stage.cluster.sql(ordinal, "SELECT @@version")?;
            ensure!(version.starts_with("10.11.19"), "db-{ordinal} was replaced");
        }
        hangs.take().context("it hangs")?.heal()?;
        done(stage, &["operation", "resume", "db", "--yes", PATIENT], 0).map(drop)
    })?;
    are(stage, ["10.11.18"; 3])?;
    whole(stage, &written, 0)?;
    tell(&written);
    done(stage, &["upgrade", "db", "--image", SAME, "--yes", PATIENT], 0)?;
    stage.record(Record {
        rows: "24".to_owned(),
        fault: "the server of the new db-2 hangs (SIGSTOP) before it is Synced".to_owned(),
        did: "gave up after --timeout with the partition closed and the others untouched; when it went on, `operation resume` finished"
            .to_owned(),
        took: Some(took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// A node is drained while another pod is being replaced, and no budget holds the drain back: its member is gone until the node may
/// be used again, and nobody else is replaced meanwhile.
pub fn drained(stage: &Stage) -> Result<()> {
    let node = stage.cluster.pod(0)?.node()?.to_owned();
    let lax = serde_json::json!({"spec": {"maxUnavailable": 3}}).to_string();
    stage.cluster.kubectl(&["patch", "poddisruptionbudget", "db", "--type=merge", "-p", &lax])?;
    let began = Instant::now();
    let written = under_load(stage, || {
        disturbed(stage, 2, &[], 0, || {
            stage.cluster.kubectl(&["drain", &node, "--pod-selector=app=db", "--ignore-daemonsets", "--delete-emptydir-data"])?;
            std::thread::sleep(Duration::from_secs(20));
            let now = partition(&set(stage)?);
            ensure!(now == 2, "the partition is {now}: another one is replaced while db-0 has no node");
            stage.cluster.kubectl(&["uncordon", &node]).map(drop)
        })
        .map(drop)
    })?;
    let took = began.elapsed();
    are(stage, ["10.11.18"; 3])?;
    whole(stage, &written, 0)?;
    tell(&written);
    let strict = serde_json::json!({"spec": {"maxUnavailable": 1}}).to_string();
    stage.cluster.kubectl(&["patch", "poddisruptionbudget", "db", "--type=merge", "-p", &strict])?;
    done(stage, &["upgrade", "db", "--image", SAME, "--yes", PATIENT], 0)?;
    stage.record(Record {
        rows: "24".to_owned(),
        fault: "`kubectl drain` of the node of db-0, which no budget holds back, while db-2 is being replaced".to_owned(),
        did: "waited with the partition where it was until the node could be used again, and went on".to_owned(),
        took: Some(took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// Servers that do not stop within the grace period of their pods: each is told, and the next one is left alone until somebody has
/// seen it.
pub fn outstayed(stage: &Stage) -> Result<()> {
    let grace = |seconds: u32| {
        let patch = serde_json::json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": seconds}}}}).to_string();
        stage.cluster.kubectl(&["patch", "statefulset", "db", "-p", &patch])?;
        stage.cluster.kubectl(&["rollout", "status", "statefulset/db", "--timeout=300s"])?;
        stage.cluster.wait_healthy(SOON * 2).map(drop)
    };
    grace(1)?;
    let began = Instant::now();
    let mut stops = 0;
    let written = under_load(stage, || {
        let mut args = vec!["restart", "db", "--yes", PATIENT];
        loop {
            let args_now = [&args[..], &["-n", &stage.cluster.namespace]].concat();
            let ended = stage.plugin.run_within(&args_now, Duration::from_secs(400))?;
            if ended.code == Some(0) {
                return Ok(());
            }
            ensure!(ended.code == Some(5) && says(&ended, "MDB743") && stops < 3, "{}", told(&ended));
            stops += 1;
            stage.cluster.look()?;
            args = vec!["operation", "resume", "db", "--yes", PATIENT];
        }
    })?;
    let took = began.elapsed();
    ensure!(stops > 0, "every server stopped within a second");
    whole(stage, &written, 0)?;
    grace(30)?;
    stage.record(Record {
        rows: "none".to_owned(),
        fault: "`restart` of every pod, while writers write; the grace period is 1 s, too short for a server to stop".to_owned(),
        did: format!("said so of {stops} of the 3 pods (MDB743), with all together again, and went on at `operation resume`"),
        took: Some(took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// A pipeline sets the image back that is in its repository.
pub fn image_set_back(stage: &Stage) -> Result<()> {
    let container = stage.cluster.shape.layout().container;
    let began = Instant::now();
    let mut took = Duration::ZERO;
    let written = under_load(stage, || {
        let ended = disturbed(stage, 2, &[], 5, || {
            stage.cluster.kubectl(&["set", "image", "statefulset/db", &format!("{container}={SAME}")]).map(drop)
        })?;
        took = began.elapsed();
        ensure!(says(&ended, "MDB712") && says(&ended, "nothing was overwritten"), "{}", told(&ended));
        let now = partition(&set(stage)?);
        ensure!(now >= 1, "the partition is {now}: others would be replaced");
        done(stage, &["operation", "abort", "db", "--yes", PATIENT], 0)?;
        // Kubernetes brings db-2 back to the image that the set names again: nobody holds that one back.
        stage.cluster.wait_healthy(SOON * 2)?;
        done(stage, &["upgrade", "db", "--image", SAME, "--yes", PATIENT], 0).map(drop)
    })?;
    are(stage, ["10.11.19"; 3])?;
    whole(stage, &written, partition(&set(stage)?))?;
    tell(&written);
    stage.record(Record {
        rows: "24, 34".to_owned(),
        fault: "a pipeline sets the old image again while db-2 is being replaced".to_owned(),
        did: "stopped there with the partition closed, and overwrote nothing".to_owned(),
        took: Some(took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// An autoscaler sets another number of replicas.
pub fn scaled(stage: &Stage) -> Result<()> {
    let began = Instant::now();
    let mut took = Duration::ZERO;
    let to = |replicas: &str| stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas", replicas]).map(drop);
    let written = under_load(stage, || {
        let ended = disturbed(stage, 2, &[], 5, || to("4"))?;
        took = began.elapsed();
        ensure!(says(&ended, "MDB712") && says(&ended, "somebody else scaled db"), "{}", told(&ended));
        let four = Cluster { shape: Shape { members: 4, ..stage.cluster.shape.clone() }, ..stage.cluster.clone() };
        four.wait_healthy(SOON * 3)?;
        to("3")?;
        stage.cluster.wait_healthy(SOON * 2)?;
        done(stage, &["operation", "abort", "db", "--yes", PATIENT], 0).map(drop)
    })?;
    are(stage, ["10.11.19"; 3])?;
    whole(stage, &written, 0)?;
    tell(&written);
    let claim = format!("pvc/{}-db-3", stage.cluster.shape.layout().claim);
    stage.cluster.kubectl(&["delete", &claim])?;
    stage.record(Record {
        rows: "24".to_owned(),
        fault: "an autoscaler adds a member while db-2 is being replaced".to_owned(),
        did: "stopped there with the partition closed; `operation abort` brought the old image back".to_owned(),
        took: Some(took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// Row 32: the volume of one member is nearly full. A restart of it might not come back.
pub fn no_room(stage: &Stage) -> Result<()> {
    let node = stage.cluster.pod(2)?.node()?.to_owned();
    let filled = stage.faults.fill(&node, &stage.cluster.volume(2)?, 0.96)?;
    let before = set(stage)?["metadata"]["generation"].clone();
    let refused = done(stage, &["upgrade", "db", "--image", OLDER, "--yes", PATIENT], 5)?;
    ensure!(says(&refused, "MDB734") && says(&refused, "Nothing was changed"), "{}", told(&refused));
    ensure!(set(stage)?["metadata"]["generation"] == before, "the set was changed");
    filled.heal()?;
    stage.cluster.wait_healthy(SOON)?;
    are(stage, ["10.11.19"; 3])?;
    let said = refused.stdout.lines().next().unwrap_or_default().to_owned();
    stage.said("32", "the volume of db-2 is nearly full, and an upgrade is to begin", &said)
}

/// The node of the pod that is being replaced dies; the pod cannot run elsewhere, its volume is there.
pub fn node_lost(stage: &Stage) -> Result<()> {
    let node = stage.cluster.pod(2)?.node()?.to_owned();
    let mut off = None;
    let began = Instant::now();
    let mut took = Duration::ZERO;
    let written = under_load(stage, || {
        let ended = disturbed(stage, 2, &["--timeout=100s"], 6, || {
            off = Some(stage.faults.power_off(&node)?);
            Ok(())
        })?;
        took = began.elapsed();
        ensure!(says(&ended, "db-2"), "{}", told(&ended));
        let now = partition(&set(stage)?);
        ensure!(now >= 2, "the partition is {now}: others would be replaced");
        for ordinal in [0, 1] {
            let version = stage.cluster.sql(ordinal, "SELECT @@version")?;
            ensure!(version.starts_with("10.11.19"), "db-{ordinal} was replaced");
        }
        off.take().context("the node was powered off")?.heal()?;
        done(stage, &["operation", "resume", "db", "--yes", PATIENT], 0).map(drop)
    })?;
    are(stage, ["10.11.18"; 3])?;
    whole(stage, &written, 0)?;
    tell(&written);
    stage.record(Record {
        rows: "24".to_owned(),
        fault: "the node of db-2 dies while db-2 is being replaced".to_owned(),
        did: "gave up after --timeout with the partition closed and the others untouched; when the node was back, `operation resume` finished"
            .to_owned(),
        took: Some(took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}
