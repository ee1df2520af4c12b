//! Operations: a cluster that is stopped and started, by a plugin that dies, sleeps, or is not alone.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bed::testing::oracle;
use bed::testing::reliability::Record;
use bed::testing::run::{Ended, wait_until};
use bed::testing::writers::{Acknowledged, Target, Writers};
use serde_json::Value;

use crate::stage::{SOON, Stage};

/// Long enough for a whole stop or start on a busy machine, a dead holder's heartbeat watched before it.
const LONG: Duration = Duration::from_secs(400);

const WRITERS: usize = 3;

/// Stopped under load and started again: every acknowledged row is there.
pub fn stop_and_start(stage: &Stage) -> Result<()> {
    let began = Instant::now();
    let acknowledged = write(stage, || {
        let (took, stopped) = timed(|| done(stage, &["stop", "db", "--yes"], 0))?;
        ensure!(says(&stopped, "db-0 was the last one"), "{}", told(&stopped));
        eprintln!("         stopped in {took:.1} s");
        ensure!(pods(stage)?.is_empty(), "pods are left");
        let (took, started) = timed(|| done(stage, &["start", "db", "--yes"], 0))?;
        ensure!(says(&started, "with the history it had"), "{}", told(&started));
        eprintln!("         started in {took:.1} s");
        Ok(())
    })?;
    let took = began.elapsed();
    whole(stage, &acknowledged)?;
    stage.record(Record {
        rows: "4".to_owned(),
        fault: "none: `stop`, then `start`, while writers write".to_owned(),
        did: "stopped all in order, recorded the last one and verified its files; let exactly that one found the cluster again"
            .to_owned(),
        took: Some(took),
        acknowledged: Some(acknowledged.rows()),
    })
}

/// The plugin is killed in the middle of both; whoever comes next goes on.
pub fn killed_and_resumed(stage: &Stage) -> Result<()> {
    let began = Instant::now();
    let acknowledged = write(stage, || {
        kill_when(stage, &["stop", "db", "--yes"], |set, _| set["spec"]["replicas"] == 1)?;
        let busy = done(stage, &["stop", "db", "--yes"], 5)?;
        ensure!(says(&busy, "MDB701"), "{}", told(&busy));
        done(stage, &["operation", "resume", "db", "--yes"], 0)?;
        let founded = |_: &Value, pods: &[String]| pods.iter().any(|pod| pod == "db-0-bootstrap");
        kill_when(stage, &["start", "db", "--yes"], founded)?;
        let back = done(stage, &["operation", "abort", "db", "--yes"], 5)?;
        ensure!(says(&back, "MDB718"), "{}", told(&back));
        done(stage, &["operation", "resume", "db", "--yes"], 0).map(drop)
    })?;
    whole(stage, &acknowledged)?;
    let fault = "the plugin is killed in the middle of `stop`, and of `start`";
    record(stage, fault, "`operation resume` finished both; `stop` meanwhile was refused", began.elapsed(), &acknowledged)
}

/// The plugin is killed in the middle of a stop, and what it did is taken back: the members that were stopped run again.
pub fn killed_and_taken_back(stage: &Stage) -> Result<()> {
    let began = Instant::now();
    let acknowledged = write(stage, || {
        kill_when(stage, &["stop", "db", "--yes"], |set, _| set["spec"]["replicas"] == 1)?;
        let back = done(stage, &["operation", "abort", "db", "--yes"], 0)?;
        ensure!(says(&back, "was taken back"), "{}", told(&back));
        Ok(())
    })?;
    whole(stage, &acknowledged)?;
    let fault = "the plugin is killed in the middle of `stop`";
    record(stage, fault, "`operation abort` started the stopped members again", began.elapsed(), &acknowledged)
}

/// The plugin sleeps until somebody else has taken over and finished; when it wakes up it changes nothing more.
pub fn asleep_and_taken_over(stage: &Stage) -> Result<()> {
    let began = Instant::now();
    let mut sleeper = begin(stage, &["stop", "db", "--yes"])?;
    until(stage, |set, _| set["spec"]["replicas"] == 1)?;
    signal(&sleeper, "STOP")?;
    done(stage, &["operation", "resume", "db", "--yes"], 0)?;
    let before = generation(stage)?;
    signal(&sleeper, "CONT")?;
    let exit = sleeper.wait()?;
    ensure!(exit.code() == Some(5), "the one that slept ended with {exit}");
    ensure!(generation(stage)? == before, "it has changed the set");
    done(stage, &["start", "db", "--yes"], 0)?;
    whole(stage, &Acknowledged::default())?;
    let fault = "the plugin sleeps (SIGSTOP) until another one has taken over, and wakes up";
    record(stage, fault, "the other finished; the one that slept changed nothing more", began.elapsed(), &Acknowledged::default())
}

/// Two begin at once: one does it, the other is told who.
pub fn two_at_once(stage: &Stage) -> Result<()> {
    let began = Instant::now();
    let mut one = begin(stage, &["stop", "db", "--yes"])?;
    let mut other = begin(stage, &["stop", "db", "--yes"])?;
    let exits = [one.wait()?.code(), other.wait()?.code()];
    ensure!(exits == [Some(0), Some(5)] || exits == [Some(5), Some(0)], "{exits:?}");
    done(stage, &["start", "db", "--yes"], 0)?;
    whole(stage, &Acknowledged::default())?;
    let did = "one stopped the cluster, the other was told who";
    record(stage, "none: two begin `stop` at once", did, began.elapsed(), &Acknowledged::default())
}

fn record(stage: &Stage, fault: &str, did: &str, took: Duration, acknowledged: &Acknowledged) -> Result<()> {
    let rows = acknowledged.rows();
    stage.record(Record {
        rows: "4".to_owned(),
        fault: fault.to_owned(),
        did: did.to_owned(),
        took: Some(took),
        acknowledged: (rows > 0).then_some(rows),
    })
}

/// Writers write while `work` goes on; gives what was acknowledged to them.
fn write(stage: &Stage, work: impl FnOnce() -> Result<()>) -> Result<Acknowledged> {
    let writers = Writers::start(&stage.cluster, &Target::Any, WRITERS, &stage.folder.join("acknowledged"))?;
    thread::sleep(Duration::from_secs(2));
    work()?;
    thread::sleep(Duration::from_secs(2));
    let written = writers.stop()?;
    eprintln!("         {} rows acknowledged, {} errors", written.acknowledged.rows(), written.errors);
    ensure!(written.acknowledged.rows() > 100, "hardly a row was written: {written:?}");
    Ok(written.acknowledged)
}

/// Healthy, every row there, and nothing of ours left but the history.
fn whole(stage: &Stage, acknowledged: &Acknowledged) -> Result<()> {
    stage.cluster.wait_healthy(SOON)?;
    oracle::check(&stage.cluster, acknowledged)?;
    let journal: Value =
        serde_json::from_str(&stage.cluster.kubectl(&["get", "configmap", "kubectl-mariadb.db", "-o", "json"])?)?;
    let data = &journal["data"];
    ensure!(data["current"].is_null() && data["stopped"].is_null(), "the journal is not closed: {data:#}");
    let pods = pods(stage)?;
    ensure!(pods.len() == 3 && pods.iter().all(|pod| !pod.contains("bootstrap")), "{pods:?}");
    let set = set(stage)?;
    ensure!(set["spec"]["replicas"] == 3 && set["spec"]["ordinals"].is_null(), "{:#}", set["spec"]);
    Ok(())
}

/// Whether it says so, however the lines are broken.
pub fn says(ended: &Ended, words: &str) -> bool {
    ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ").contains(words)
}

pub fn done(stage: &Stage, args: &[&str], exit: i32) -> Result<Ended> {
    let args = [args, &["-n", &stage.cluster.namespace]].concat();
    let ended = stage.plugin.run_within(&args, LONG)?;
    ensure!(ended.code == Some(exit), "{args:?}: {}", told(&ended));
    Ok(ended)
}

pub fn told(ended: &Ended) -> String {
    format!("exit {:?}\n{}{}", ended.code, ended.stdout, ended.stderr)
}

pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(f32, T)> {
    let began = Instant::now();
    let done = work()?;
    Ok((began.elapsed().as_secs_f32(), done))
}

fn begin(stage: &Stage, args: &[&str]) -> Result<Child> {
    let mut command = stage.plugin.command(&[args, &["-n", &stage.cluster.namespace]].concat());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("the plugin does not start")
}

/// Begins, and kills it as soon as it is so.
pub fn kill_when(stage: &Stage, args: &[&str], is_so: impl Fn(&Value, &[String]) -> bool) -> Result<()> {
    let mut plugin = begin(stage, args)?;
    until(stage, is_so)?;
    plugin.kill()?;
    plugin.wait()?;
    Ok(())
}

/// Waits until the set and its pods are so.
pub fn until(stage: &Stage, is_so: impl Fn(&Value, &[String]) -> bool) -> Result<()> {
    wait_until("it is in the middle", LONG, || {
        let (set, pods) = (set(stage)?, pods(stage)?);
        ensure!(is_so(&set, &pods), "replicas {}, pods {pods:?}", set["spec"]["replicas"]);
        Ok(())
    })
    .map(drop)
}

fn signal(child: &Child, name: &str) -> Result<()> {
    // nsenter has become the plugin itself.
    let status = std::process::Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status()?;
    ensure!(status.success(), "kill -{name} ended with {status}");
    Ok(())
}

pub fn set(stage: &Stage) -> Result<Value> {
    Ok(serde_json::from_str(&stage.cluster.kubectl(&["get", "statefulset", "db", "-o", "json"])?)?)
}

fn generation(stage: &Stage) -> Result<Value> {
    Ok(set(stage)?["metadata"]["generation"].clone())
}

/// The pods of the members, and of one that founds the cluster.
pub fn pods(stage: &Stage) -> Result<Vec<String>> {
    let names = stage.cluster.kubectl(&["get", "pods", "-o", "name"])?;
    let members = names.lines().filter_map(|line| line.strip_prefix("pod/"));
    Ok(members.filter(|name| name.starts_with("db-") && !name.contains("helper")).map(str::to_owned).collect())
}
