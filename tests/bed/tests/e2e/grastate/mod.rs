//! `galera grastate` on data directories that real servers left: the election, or the refusal, is right, and nothing of ours
//! stays in the cluster.

pub mod helpers;
pub mod operator;
pub mod outage;
pub mod volumes;

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bed::testing::run::{Ended, wait_until};
use bed::testing::shape::Source;
use serde_json::{Value, json};

use crate::stage::{SOON, Stage};
use crate::status::operator::{RECOVERY, resume, suspend};

/// Helper pods start and recover one after the other on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);

/// One run, as a document.
pub struct Grastate {
    pub exit: i32,
    pub document: Value,
    ended: Ended,
}

/// Runs `galera grastate … -o json`.
pub fn run(stage: &Stage, more: &[&str]) -> Result<Grastate> {
    let args = [&["galera", "grastate", "db", "-n", &stage.cluster.namespace, "--pod-timeout=15s", "-o", "json"], more].concat();
    let ended = stage.plugin.run_within(&args, LIMIT)?;
    let exit = ended.code.context("ended by a signal")?;
    let document = serde_json::from_str(&ended.stdout)
        .with_context(|| format!("exit {exit} and no document: {}{}", ended.stdout, ended.stderr))?;
    Ok(Grastate { exit, document, ended })
}

impl Grastate {
    /// The elected pod, which loses nothing.
    pub fn elected(&self) -> Result<&str> {
        let pod = self.document["election"]["pod"].as_str();
        match pod.filter(|_| self.exit == 0) {
            Some(pod) => Ok(pod),
            None => bail!("nobody is elected:\n{}", self.told()),
        }
    }

    pub fn member(&self, ordinal: u32) -> Result<&Value> {
        let name = format!("db-{ordinal}");
        let mut members = self.document["members"].as_array().into_iter().flatten();
        members.find(|member| member["name"] == name.as_str()).with_context(|| format!("no {name}:\n{}", self.told()))
    }

    /// Whom the operator would start, as far as it needs no recovery for that, and whether that is another choice.
    pub fn of_operator(&self) -> Result<(Option<&str>, bool)> {
        let choice = &self.document["operator"];
        let differs = choice["differs"].as_bool();
        Ok((choice["pod"].as_str(), differs.with_context(|| format!("nothing of the operator:\n{}", self.told()))?))
    }

    /// The seqno of a member, and how it is known.
    pub fn position(&self, ordinal: u32) -> Result<(u64, &str)> {
        let position = &self.member(ordinal)?["position"];
        let seqno = position["seqno"].as_str().and_then(|seqno| seqno.parse().ok());
        let known = seqno.zip(position["from"].as_str());
        known.with_context(|| format!("db-{ordinal} has no position:\n{}", self.told()))
    }

    pub fn refused(&self, exit: i32, reason: &str) -> Result<()> {
        let mut reasons = self.document["election"]["reasons"].as_array().into_iter().flatten();
        let named = reasons.any(|one| one["reason"] == reason);
        ensure!(self.exit == exit && named, "exit {exit} for {reason} was expected:\n{}", self.told());
        Ok(())
    }

    /// What it says of the election.
    pub fn said(&self) -> String {
        format!("`galera grastate`: {}", self.document["election"]["message"].as_str().unwrap_or_default())
    }

    pub fn told(&self) -> String {
        format!("exit {}\n{:#}\n{}", self.exit, self.document, self.ended.stderr)
    }
}

/// No Job and no helper pod is left.
pub fn nothing_left(stage: &Stage) -> Result<()> {
    let left = stage.cluster.kubectl(&["get", "jobs,pods", "-l", "kubectl-mariadb/helper", "-o", "name"])?;
    ensure!(left.trim().is_empty(), "left: {left}");
    Ok(())
}

/// Nobody may bring members back, or start one first, while their files are looked at.
pub fn hands_off(stage: &Stage) -> Result<()> {
    if stage.cluster.shape.source == Source::Operator { suspend(stage) } else { Ok(()) }
}

/// Stops one member after the other, also in a set that would stop all of them at once; db-0 is the last.
pub fn stop_in_order(stage: &Stage) -> Result<()> {
    hands_off(stage)?;
    for count in (0..3).rev() {
        stage.cluster.kubectl(&["scale", "statefulset/db", &format!("--replicas={count}")])?;
        wait_until("the next member has stopped", SOON, || {
            let pods = stage.cluster.pods()?;
            ensure!(pods.len() == count, "{} pods are there", pods.len());
            Ok(())
        })?;
    }
    Ok(())
}

/// Scales the set to 0 and deletes what the controller leaves there: under OrderedReady it stops at the first unready pod.
pub fn scale_to_zero(stage: &Stage) -> Result<()> {
    hands_off(stage)?;
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=0"])?;
    let mut rounds = 0;
    wait_until("all pods are gone", SOON * 3, || {
        let pods = stage.cluster.pods()?;
        rounds += 1;
        // An ordered stop gets its time, if the pods can stop by themselves.
        if rounds % 40 == 0 || pods.iter().all(|pod| !pod.ready) {
            let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
            if !names.is_empty() {
                stage.faults.delete_pods(&stage.cluster.namespace, &names).ok();
            }
        }
        ensure!(pods.is_empty(), "{} pods are there", pods.len());
        Ok(())
    })
    .map(drop)
}

/// Brings the set back: by its own start script, where whoever is marked as safe founds the cluster again, or by the operator.
pub fn scale_back(stage: &Stage) -> Result<()> {
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=3"])?;
    if stage.cluster.shape.source == Source::Operator {
        resume(stage)?;
    }
    stage.cluster.wait_healthy(RECOVERY).map(drop)
}

/// Runs a script at the data directory of an ordinal whose pod is gone; gives what it printed.
pub fn on_volume(stage: &Stage, ordinal: u32, script: &str) -> Result<String> {
    let name = format!("trial-{ordinal}");
    let layout = stage.cluster.shape.layout();
    let mount = if layout.datadir.starts_with("/bitnami/") { "/bitnami/mariadb" } else { layout.datadir };
    let script = format!("cd {}; {script}", layout.datadir);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "trial", "image": format!("bed.local/mariadb:{}", stage.cluster.shape.version), "imagePullPolicy": "IfNotPresent",
                "command": ["bash", "-ec", script], "volumeMounts": [{"name": "data", "mountPath": mount}],
            }],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": format!("{}-db-{ordinal}", layout.claim)}}],
        },
    });
    stage.cluster.apply(&[pod])?;
    wait_until("the script is done", SOON, || {
        let phase = stage.cluster.get(&format!("pod/{name}"))?["status"]["phase"].clone();
        ensure!(phase == "Succeeded", "it is {phase}");
        Ok(())
    })?;
    let said = stage.cluster.kubectl(&["logs", &name])?;
    stage.cluster.kubectl(&["delete", "pod", &name, "--wait=true"])?;
    Ok(said)
}
