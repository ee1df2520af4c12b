//! `scale` with writers: members come and go one at a time, volumes stay, and every acknowledged row is there.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bed::testing::cluster::Cluster;
use bed::testing::oracle;
use bed::testing::reliability::Record;
use bed::testing::run::{Ended, wait_until};
use bed::testing::shape::{Kind, Shape};
use bed::testing::writers::{Acknowledged, Target, Writers};
use serde_json::{Value, json};

use crate::grastate::{nothing_left, on_volume};
use crate::stage::{SOON, Stage};

/// Two full copies one after the other on a busy machine, a dead holder's heartbeat watched before.
const LIMIT: Duration = Duration::from_secs(550);

pub fn plugin(stage: &Stage, args: &[&str], exit: i32) -> Result<Ended> {
    let args = [args, &["-n", &stage.cluster.namespace, "--pod-timeout=15s"]].concat();
    let began = Instant::now();
    let ended = stage.plugin.run_within(&args, LIMIT)?;
    ensure!(ended.code == Some(exit), "{args:?}: exit {:?}\n{}{}", ended.code, ended.stdout, ended.stderr);
    eprintln!("         {} in {:.1} s", args[..4.min(args.len())].join(" "), began.elapsed().as_secs_f32());
    Ok(ended)
}

pub fn scale(stage: &Stage, replicas: u32, more: &[&str], exit: i32) -> Result<Ended> {
    let ended = plugin(stage, &[&["scale", "db", "--replicas", &replicas.to_string(), "-y"], more].concat(), exit)?;
    if exit == 0 {
        whole(stage, replicas)?;
    }
    Ok(ended)
}

/// However the lines are broken.
pub fn says(ended: &Ended, words: &str) -> Result<()> {
    let told = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(told.contains(words), "it does not say {words:?}: {told}");
    Ok(())
}

/// The same cluster with another number of members.
fn with(stage: &Stage, members: u32) -> Cluster {
    Cluster { shape: Shape { members, ..stage.cluster.shape.clone() }, ..stage.cluster.clone() }
}

/// Healthy with so many members, and nothing of ours left.
fn whole(stage: &Stage, members: u32) -> Result<()> {
    with(stage, members).wait_healthy(SOON)?;
    let journal = stage.cluster.get("configmap/kubectl-mariadb.db")?;
    ensure!(journal["data"]["current"].is_null(), "the journal is not closed: {journal:#}");
    nothing_left(stage)
}

fn claim(stage: &Stage, ordinal: u32) -> String {
    format!("pvc/{}-db-{ordinal}", stage.cluster.shape.layout().claim)
}

/// The uid of the claim of an ordinal, and whether nothing is about to delete it.
pub fn kept(stage: &Stage, ordinal: u32) -> Result<String> {
    let claim = stage.cluster.get(&claim(stage, ordinal))?;
    let metadata = &claim["metadata"];
    ensure!(metadata["deletionTimestamp"].is_null() && metadata["ownerReferences"].is_null(), "it goes: {metadata:#}");
    metadata["uid"].as_str().map(str::to_owned).context("a claim has a uid")
}

/// Volumes of members that are no more: the next trial begins without them.
pub fn forget(stage: &Stage, ordinals: &[u32]) -> Result<()> {
    ordinals.iter().try_for_each(|ordinal| stage.cluster.kubectl(&["delete", &claim(stage, *ordinal), "--wait=true"]).map(drop))
}

/// Writers write while `work` goes on; then every acknowledged row is on every one of `members`.
pub fn written(
    stage: &Stage,
    target: &Target,
    members: u32,
    work: impl FnOnce() -> Result<()>,
) -> Result<(Acknowledged, Duration)> {
    // One thread of a new replica applies what others write on the same two cores: it would never catch up.
    let (writers, rest) = if stage.cluster.shape.kind == Kind::Replication { (1, 4) } else { (3, 0) };
    let rest = Duration::from_millis(rest);
    let writers = Writers::resting(&stage.cluster, target, writers, rest, &stage.folder.join("acknowledged"))?;
    thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    work()?;
    let took = began.elapsed();
    thread::sleep(Duration::from_secs(2));
    let written = writers.stop()?;
    eprintln!(
        "         {} rows acknowledged, longest gap {:.1} s, {} errors",
        written.acknowledged.rows(),
        written.longest_gap.as_secs_f32(),
        written.errors
    );
    ensure!(written.acknowledged.rows() > 100, "hardly a row was written: {written:?}");
    oracle::check(&with(stage, members), &written.acknowledged)?;
    Ok((written.acknowledged, took))
}

pub fn record(stage: &Stage, rows: &str, fault: &str, did: &str, (acknowledged, took): &(Acknowledged, Duration)) -> Result<()> {
    stage.record(Record {
        rows: rows.to_owned(),
        fault: fault.to_owned(),
        did: did.to_owned(),
        took: Some(*took),
        acknowledged: Some(acknowledged.rows()),
    })
}

/// Row 22: 3→5→3→1→3→5→3. Volumes stay, are reused, and then deleted and made anew.
pub fn out_and_in(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    let uid = stage.cluster.pod(0)?.uid;
    let done = written(stage, &Target::Any, 3, || {
        scale(stage, 5, &[], 0)?;
        let before = [kept(stage, 3)?, kept(stage, 4)?];
        says(&scale(stage, 3, &["--current-replicas", "5"], 0)?, "the volumes of db-3, db-4 are kept")?;
        says(&scale(stage, 1, &[], 0)?, "the volumes of db-1, db-2, db-3, db-4 are kept")?;
        says(&scale(stage, 3, &[], 5)?, "MDB751")?;
        scale(stage, 3, &["--reuse-pvcs"], 0)?;
        ensure!(before == [kept(stage, 3)?, kept(stage, 4)?], "other volumes");
        scale(stage, 5, &["--prune-pvcs"], 0)?;
        let after = [kept(stage, 3)?, kept(stage, 4)?];
        ensure!(before[0] != after[0] && before[1] != after[1], "the volumes are the old ones");
        scale(stage, 3, &[], 0).map(drop)
    })?;
    ensure!(stage.cluster.pod(0)?.uid == uid && stage.wsrep(0)?.state_uuid == history, "db-0 was touched");
    forget(stage, &[3, 4])?;
    record(stage, "22", "none: 3 to 5 to 3 to 1 to 3 to 5 to 3 members, while writers write", "one member at a time", &done)
}

/// Row 23: what a volume holds more is named, and not erased.
pub fn stale_volumes(stage: &Stage) -> Result<()> {
    scale(stage, 4, &[], 0)?;
    scale(stage, 3, &[], 0)?;
    let before = kept(stage, 3)?;
    let abort = || plugin(stage, &["operation", "abort", "db", "-y"], 0).map(drop);
    on_volume(stage, 3, "cp grastate.dat grastate.kept; sed -i 's/^seqno:.*/seqno:   900000000/' grastate.dat")?;
    for flag in ["--reuse-pvcs", "--prune-pvcs"] {
        says(&scale(stage, 4, &[flag], 5)?, "MDB753")?;
        abort()?;
    }
    on_volume(stage, 3, "sed -i 's/^uuid:.*/uuid:    650ade90-e4f7-11f1-9ccc-d3c02d18f50e/' grastate.dat")?;
    says(&scale(stage, 4, &["--reuse-pvcs"], 5)?, "MDB752")?;
    abort()?;
    let refused = scale(stage, 4, &["--prune-pvcs"], 5)?;
    let words = refused.stdout.split_whitespace().find(|word| word.starts_with("--accept-data-loss="));
    let words = words.with_context(|| format!("no words: {}", refused.stdout))?.to_owned();
    abort()?;
    ensure!(words.contains("650ade90-e4f7-11f1-9ccc-d3c02d18f50e:900000000"), "{words}");
    ensure!(kept(stage, 3)? == before && stage.cluster.pods()?.len() == 3, "the volume was touched");
    let done = written(stage, &Target::Any, 4, || scale(stage, 4, &["--prune-pvcs", &words], 0).map(drop))?;
    ensure!(kept(stage, 3)? != before, "the volume is the old one");
    scale(stage, 3, &[], 0)?;
    forget(stage, &[3])?;
    record(
        stage,
        "23",
        "the volume of an earlier member is ahead, or of another history",
        "read it first, left it alone, and deleted it only when its loss was accepted by name",
        &done,
    )
}

/// A set that deletes the volumes of pods that leave: it deletes none, and is the same afterwards.
pub fn when_scaled_delete(stage: &Stage) -> Result<()> {
    let policy = |value: &str| {
        let patch = json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": value, "whenDeleted": "Retain"}}});
        stage.cluster.kubectl(&["patch", "statefulset", "db", "--type=merge", "-p", &patch.to_string()])
    };
    policy("Delete")?;
    let before = kept_of_member(stage, 2)?;
    let done = written(stage, &Target::Any, 3, || {
        scale(stage, 2, &[], 0)?;
        ensure!(set(stage)?["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Delete", "the set is another one");
        // The controller has had time to act on the policy.
        thread::sleep(Duration::from_secs(15));
        ensure!(kept(stage, 2)? == before, "another volume");
        scale(stage, 3, &["--reuse-pvcs"], 0).map(drop)
    })?;
    policy("Retain")?;
    record(stage, "22", "none: whenScaled is Delete", "kept the volume of the member that left, and the policy", &done)
}

/// As [`kept`], of a claim that the set may own.
fn kept_of_member(stage: &Stage, ordinal: u32) -> Result<String> {
    let claim = stage.cluster.get(&claim(stage, ordinal))?;
    claim["metadata"]["uid"].as_str().map(str::to_owned).context("a claim has a uid")
}

/// A new replica starts from a copy of another one, under writers, and leaves again.
pub fn new_replica(stage: &Stage) -> Result<()> {
    let done = written(stage, &Target::Pod(0), 4, || says(&scale(stage, 4, &[], 0)?, "db has 4 members"))?;
    says(&scale(stage, 3, &[], 0)?, "db has 3 members; the volume of db-3 is kept")?;
    forget(stage, &[3])?;
    record(stage, "22", "none: a new replica, while writers write", "copied another one before it started", &done)
}

/// Row 22 of replication: new replicas start from a copy of another one, or go on where they stopped, and the last one leaves under
/// writers.
pub fn replicas_come_and_go(stage: &Stage) -> Result<()> {
    let prune = || says(&plugin(stage, &["pvc", "prune", "db", "-y"], 0)?, "every member holds what its log ended with");
    let out = written(stage, &Target::Pod(0), 5, || says(&scale(stage, 5, &[], 0)?, "db has 5 members"))?;
    let done = written(stage, &Target::Pod(0), 3, || {
        says(&scale(stage, 3, &["--current-replicas", "5"], 0)?, "the volumes of db-3, db-4 are kept")?;
        says(&scale(stage, 5, &[], 5)?, "MDB751")?;
        let before = [kept(stage, 3)?, kept(stage, 4)?];
        scale(stage, 5, &["--reuse-pvcs"], 0)?;
        ensure!(before == [kept(stage, 3)?, kept(stage, 4)?], "other volumes");
        scale(stage, 3, &[], 0)?;
        prune()?;
        says(&scale(stage, 1, &[], 0)?, "db has 1 member; the volumes of db-1, db-2 are kept")?;
        says(&scale(stage, 3, &[], 5)?, "--replicas 3 --reuse-pvcs")?;
        scale(stage, 3, &["--reuse-pvcs"], 0)?;
        scale(stage, 2, &[], 0)?;
        let before = kept(stage, 2)?;
        scale(stage, 3, &["--prune-pvcs"], 0)?;
        ensure!(before != kept(stage, 2)?, "the volume is the old one");
        Ok(())
    })?;
    let rows = out.0.rows() + done.0.rows();
    stage.record(Record {
        rows: "22".to_owned(),
        fault: "none: 3 to 5 to 3 to 5 to 3 to 1 to 3 to 2 to 3 servers, while writers write".to_owned(),
        did: "gave each new replica a copy of another one before it started; kept the volumes of those that left, and had them go on \
              there, or deleted them when every server had logged what they held"
            .to_owned(),
        took: Some(out.1 + done.1),
        acknowledged: Some(rows),
    })
}

/// Row 23 of replication: the volume of a server that was a primary for a moment, and wrote what nobody else has.
pub fn former_primary(stage: &Stage) -> Result<()> {
    stage.cluster.sql(2, "STOP SLAVE; SET GLOBAL read_only=0; CREATE DATABASE written_alone; SET GLOBAL read_only=1")?;
    stage.cluster.kubectl(&["scale", "statefulset", "db", "--replicas=2"])?;
    wait_until("db-2 is gone", SOON, || {
        let pods = stage.cluster.pods()?;
        ensure!(pods.len() == 2, "{pods:?}");
        Ok(())
    })?;
    let before = kept(stage, 2)?;
    let refused = |volumes| {
        let refused = scale(stage, 3, &[volumes], 5)?;
        says(&refused, "0-102-")?;
        plugin(stage, &["operation", "abort", "db", "-y"], 0)?;
        Ok::<_, anyhow::Error>(refused)
    };
    says(&plugin(stage, &["pvc", "prune", "db", "-y"], 5)?, "0-102-")?;
    refused("--reuse-pvcs")?;
    let refused = refused("--prune-pvcs")?;
    ensure!(kept(stage, 2)? == before && stage.cluster.pods()?.len() == 2, "the volume was touched");
    let words = refused.stdout.split_whitespace().find(|word| word.starts_with("--accept-data-loss="));
    let words = words.with_context(|| format!("no words: {}", refused.stdout))?.to_owned();
    let done = written(stage, &Target::Pod(0), 3, || scale(stage, 3, &["--prune-pvcs", &words], 0).map(drop))?;
    ensure!(kept(stage, 2)? != before, "the volume is the old one");
    let alone = stage.cluster.sql(2, "SHOW DATABASES LIKE 'written_alone'")?;
    ensure!(alone.is_empty(), "it came back: {alone}");
    record(
        stage,
        "23",
        "the volume of a former primary holds a transaction that nobody else has",
        "read it first, named the transaction, and deleted the volume only when its loss was accepted by name",
        &done,
    )
}

/// Whoever seeds a replica is killed: somebody goes on, and another time it is taken back.
pub fn seeding_killed(stage: &Stage) -> Result<()> {
    let done = written(stage, &Target::Pod(0), 4, || {
        kill_in_seeding(stage)?;
        says(&scale(stage, 3, &[], 5)?, "MDB701")?;
        plugin(stage, &["operation", "abort", "db", "-y"], 0)?;
        whole(stage, 3)?;
        let left = stage.cluster.kubectl(&["get", &claim(stage, 3), "--ignore-not-found", "-o", "name"])?;
        ensure!(left.is_empty(), "a volume that nobody used is left: {left}");
        kill_in_seeding(stage)?;
        plugin(stage, &["operation", "resume", "db", "-y"], 0)?;
        whole(stage, 4)
    })?;
    scale(stage, 3, &[], 0)?;
    forget(stage, &[3])?;
    record(stage, "22", "whoever seeds a new replica is killed, twice", "took it back once, and finished it once", &done)
}

/// Begins, and kills it a while after the copy has begun.
fn kill_in_seeding(stage: &Stage) -> Result<()> {
    let args = ["scale", "db", "--replicas", "4", "-y", "-n", &stage.cluster.namespace, "--pod-timeout=15s"];
    let mut plugin = stage.plugin.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let reached = wait_until("a copy is taken", LIMIT, || {
        let pods = stage.cluster.kubectl(&[
            "get",
            "pods",
            "-l",
            "kubectl-mariadb/helper=seed",
            "-o",
            "jsonpath={.items[*].status.phase}",
        ])?;
        ensure!(pods.contains("Running"), "{pods:?}");
        Ok(())
    });
    thread::sleep(Duration::from_millis(800));
    plugin.kill()?;
    plugin.wait()?;
    reached.map(drop)
}

/// Row 22 of mariadb-operator: it copies the data for a replica more, under writers, and stops it again. The second time is the one
/// that what the operator leaves of its first backup would keep from every node but one.
pub fn operated(stage: &Stage) -> Result<()> {
    says(&scale(stage, 4, &[], 5)?, "MDB776")?;
    model_of_backups(stage)?;
    let clients = Target::Service("db-primary".to_owned());
    let uids = || (0..3).map(|ordinal| Ok(stage.cluster.pod(ordinal)?.uid)).collect::<Result<Vec<String>>>();
    let before = uids()?;
    let out = written(stage, &clients, 4, || scale(stage, 4, &[], 0).map(drop))?;
    ensure!(stage.cluster.get("pvc/db-pb-scaleout").is_err(), "the claim of the backup is left");
    written(stage, &clients, 3, || says(&scale(stage, 3, &[], 0)?, "db has 3 members; the volume of db-3 is kept"))?;
    kept(stage, 3)?;
    says(&scale(stage, 4, &[], 5)?, "MDB777")?;
    forget(stage, &[3])?;
    written(stage, &clients, 4, || scale(stage, 4, &[], 0).map(drop))?;
    ensure!(uids()? == before, "a pod that was to stay is another one");
    record(
        stage,
        "22",
        "none: mariadb-operator runs a replica more, one fewer, and one more",
        "one at a time by its object",
        &out,
    )
}

/// What mariadb-operator makes the backups after that it copies new replicas from.
fn model_of_backups(stage: &Stage) -> Result<()> {
    stage.cluster.apply(&[json!({
        "apiVersion": "k8s.mariadb.com/v1alpha1", "kind": "PhysicalBackup", "metadata": {"name": "db-model"},
        "spec": {
            "mariaDbRef": {"name": "db"},
            // Never by itself.
            "schedule": {"cron": "0 3 1 1 *", "suspend": true},
            "storage": {"persistentVolumeClaim": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": stage.cluster.shape.size}},
            }},
        },
    })])?;
    // The disks of this bed are those of its nodes: the new replica has to run where the backup lies, beside another one. Whether it
    // may is said when the object is made, and never again.
    let mut object = stage.cluster.get("mariadb.k8s.mariadb.com/db")?;
    object["spec"]["affinity"] = json!({"antiAffinityEnabled": false});
    object["spec"]["replication"]["replica"]["bootstrapFrom"] = json!({"physicalBackupTemplateRef": {"name": "db-model"}});
    stage.cluster.kubectl(&["delete", "mariadb.k8s.mariadb.com", "db", "--wait=true"])?;
    wait_until("its pods are gone", SOON * 2, || {
        let pods = stage.cluster.pods()?;
        ensure!(pods.is_empty(), "{pods:?}");
        Ok(())
    })?;
    stage.cluster.kubectl(&["delete", "pvc", "--all", "--wait=true"])?;
    let again = json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": {"name": "db"}, "spec": object["spec"],
    });
    stage.cluster.apply(&[again])?;
    stage.cluster.wait_healthy(SOON * 4).map(drop)
}

/// Whoever scales is killed on the way out, and somebody goes on; killed on the way in, and it is taken back.
pub fn killed(stage: &Stage) -> Result<()> {
    let done = written(stage, &Target::Any, 3, || {
        kill_when(stage, 5, |replicas| replicas == 4)?;
        says(&scale(stage, 3, &[], 5)?, "MDB701")?;
        plugin(stage, &["operation", "resume", "db", "-y"], 0)?;
        whole(stage, 5)?;
        kill_when(stage, 3, |replicas| replicas <= 4)?;
        plugin(stage, &["operation", "abort", "db", "-y"], 0)?;
        whole(stage, 5)?;
        scale(stage, 3, &[], 0)?;
        forget(stage, &[3, 4])?;
        kill_when(stage, 5, |replicas| replicas == 4)?;
        says(&plugin(stage, &["operation", "abort", "db", "-y"], 0)?, "is kept")?;
        whole(stage, 3)
    })?;
    forget(stage, &[3])?;
    record(stage, "22", "whoever scales is killed, three times", "went on once, and was taken back twice", &done)
}

/// Begins, and kills it a while after it is so, up to four seconds: the name of the trial chooses the moment.
fn kill_when(stage: &Stage, to: u32, is_so: impl Fn(u64) -> bool) -> Result<()> {
    let args = ["scale", "db", "--replicas", &to.to_string(), "-y", "-n", &stage.cluster.namespace, "--pod-timeout=15s"];
    let mut plugin = stage.plugin.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let reached = wait_until("it is in the middle", LIMIT, || {
        let replicas = set(stage)?["spec"]["replicas"].as_u64().unwrap_or_default();
        ensure!(is_so(replicas), "replicas {replicas}");
        Ok(())
    });
    let mut seed = DefaultHasher::new();
    (&stage.trial, to).hash(&mut seed);
    let after = Duration::from_millis(seed.finish() % 4000);
    eprintln!("         killed {} ms later", after.as_millis());
    thread::sleep(after);
    plugin.kill()?;
    plugin.wait()?;
    reached.map(drop)
}

fn set(stage: &Stage) -> Result<Value> {
    stage.cluster.get("statefulset/db")
}
