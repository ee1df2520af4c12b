//! `galera recover` with somebody in its way: who scales, who kills what it has just started, who refuses its helpers. There is
//! never a second primary component, and no acknowledged row is lost.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bed::testing::cluster::{Pod, Wsrep};
use bed::testing::oracle;
use bed::testing::reliability::Record;
use bed::testing::run::wait_until;
use bed::testing::writers::{Target, Writers, Written};
use serde_json::{Value, json};

use crate::grastate::outage;
use crate::operations::{done, set, until};
use crate::stage::{SOON, Stage};
use crate::upgrade::{OLDER, PATIENT, SAME, are};

use super::rows::{RECOVER, standing};
use super::{Recover, is_whole, run};

/// The writers write until all servers are killed under them, and go on when one takes writes again; no saved view is left.
pub(super) fn outage_under_load(stage: &Stage, work: impl FnOnce() -> Result<Recover>) -> Result<(Recover, Written)> {
    let history = stage.wsrep(0)?.state_uuid;
    let writers = Writers::start(&stage.cluster, &Target::Any, 3, &stage.folder.join("acknowledged"))?;
    thread::sleep(Duration::from_secs(3));
    outage::kill(stage, &[0, 1, 2])?;
    thread::sleep(Duration::from_secs(5));
    let recovered = work()?;
    stage.cluster.wait_healthy(SOON * 3)?;
    let written = writers.stop()?;
    is_whole(stage, &history)?;
    oracle::check(&stage.cluster, &written.acknowledged)?;
    eprintln!("         {} rows, {:.1} s, {}", written.acknowledged.rows(), recovered.took.as_secs_f32(), recovered.said());
    Ok((recovered, written))
}

pub(super) fn record(stage: &Stage, rows: &str, fault: &str, did: &str, (recovered, written): &(Recover, Written)) -> Result<()> {
    stage.record(Record {
        rows: rows.to_owned(),
        fault: fault.to_owned(),
        did: did.to_owned(),
        took: Some(recovered.took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// Runs the plugin, and disturbs it as soon as it is so.
fn meanwhile(
    stage: &Stage,
    args: &[&str],
    is_so: impl Fn(&Value, &[String]) -> bool,
    disturb: impl FnOnce() -> Result<()>,
) -> Result<Recover> {
    thread::scope(|scope| {
        let recovery = scope.spawn(|| run(stage, args));
        let in_the_middle = |set: &Value, pods: &[String]| recovery.is_finished() || is_so(set, pods);
        let disturbance = until(stage, in_the_middle).and_then(|()| disturb());
        let ended = recovery.join().map_err(|_| anyhow!("the recovery panicked"))??;
        disturbance.with_context(|| ended.told())?;
        Ok(ended)
    })
}

pub(super) fn founder(pods: &[String]) -> Option<String> {
    pods.iter().find(|pod| pod.ends_with("-bootstrap")).cloned()
}

pub(super) fn scaled(stage: &Stage, replicas: u32) -> Result<()> {
    stage.cluster.kubectl(&["scale", "statefulset/db", &format!("--replicas={replicas}")]).map(drop)
}

/// Nobody is Primary without the one that founds the cluster; `None`: it cannot be asked yet.
pub(super) fn one_cluster(stage: &Stage, founder: &str) -> Result<Option<()>> {
    let ask = |pod: &Pod| stage.cluster.connect(pod).and_then(|mut server| Wsrep::of(&mut server)).ok();
    let Some(first) = ask(&stage.cluster.pod_named(founder)?) else { return Ok(None) };
    for pod in stage.cluster.pods()?.into_iter().filter(|pod| pod.name != founder) {
        let Some(wsrep) = ask(&pod).filter(|wsrep| wsrep.status == "Primary") else { continue };
        let together = wsrep.state_uuid == first.state_uuid && wsrep.size > 1;
        ensure!(together, "{}: {wsrep:?}, {founder}: {first:?}", pod.name);
    }
    Ok(Some(()))
}

/// Somebody sets `replicas: 3`, once while nobody runs and once while one member founds the cluster.
pub fn scaled_from_outside(stage: &Stage) -> Result<()> {
    let seen = outage_under_load(stage, || {
        let stopped = |set: &Value, _: &[String]| set["spec"]["replicas"] == 0;
        let refused = meanwhile(stage, &RECOVER, stopped, || scaled(stage, 3))?;
        refused.refused("MDB712")?;
        ensure!(founder(&crate::operations::pods(stage)?).is_none(), "a second cluster may come up\n{}", refused.told());
        run(stage, &["operation", "abort", "-y"])?.ended(0, "aborted")?;
        let founds = |_: &Value, pods: &[String]| founder(pods).is_some();
        let refused = meanwhile(stage, &RECOVER, founds, || scaled(stage, 3))?;
        refused.refused("MDB712")?;
        let first = founder(&crate::operations::pods(stage)?).context("nobody founds the cluster any more")?;
        wait_until("the founder answers", SOON, || one_cluster(stage, &first)?.context("it does not"))?;
        for _ in 0..20 {
            one_cluster(stage, &first)?;
            thread::sleep(Duration::from_secs(1));
        }
        let told = refused.told();
        ensure!(told.contains("--replicas=0") && told.contains("operation resume"), "it does not say the way on: {told}");
        scaled(stage, 0)?;
        wait_until("the joiners have left again", SOON * 2, || {
            let pods = stage.cluster.pods()?;
            ensure!(pods.iter().all(|pod| pod.name == first), "{pods:?}");
            Ok(())
        })?;
        let resumed = run(stage, &["operation", "resume", "-y"])?;
        resumed.ended(0, "done")?;
        Ok(resumed)
    })?;
    let claim = format!("pvc/{}-db-3", stage.cluster.shape.layout().claim);
    stage.cluster.kubectl(&["delete", &claim, "--ignore-not-found"])?;
    let did = "stopped there both times and overwrote nothing; never a second primary component; whole after `operation resume`";
    record(stage, "2", "all killed; somebody sets replicas to 3 before the election, and beside the founder", did, &seen)
}

/// The pod that founds the cluster is killed before anybody has joined it, and everything is looked at again.
pub fn founder_killed(stage: &Stage) -> Result<()> {
    let seen = outage_under_load(stage, || {
        let founds = |_: &Value, pods: &[String]| founder(pods).is_some();
        let recovered = meanwhile(stage, &RECOVER, founds, || {
            let first = founder(&crate::operations::pods(stage)?).context("nobody founds")?;
            wait_until("its server runs", SOON, || stage.faults.kill_server(&stage.cluster.pod_named(&first)?)).map(drop)
        })?;
        recovered.ended(0, "done")?;
        Ok(recovered)
    })?;
    let did = "read and elected anew, and founded it again";
    record(stage, "2", "all killed; the server that founds the cluster is killed before anybody has joined", did, &seen)
}

/// It is evicted after the first one has joined: that one carries the cluster alone.
pub fn founder_evicted(stage: &Stage) -> Result<()> {
    let seen = outage_under_load(stage, || {
        let joined = |set: &Value, pods: &[String]| {
            founder(pods).is_some() && set["spec"]["replicas"] != 0 && set["status"]["readyReplicas"].as_u64() > Some(0)
        };
        let recovered = meanwhile(stage, &RECOVER, joined, || {
            let first = founder(&crate::operations::pods(stage)?).context("nobody founds")?;
            evict(stage, &first)
        })?;
        recovered.ended(0, "done")?;
        Ok(recovered)
    })?;
    let did = "who had joined carried the cluster; the others joined it";
    record(stage, "2", "all killed; the pod that founds the cluster is evicted when one has joined", did, &seen)
}

fn evict(stage: &Stage, pod: &str) -> Result<()> {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": stage.cluster.namespace},
    });
    let file = stage.folder.join("eviction.json");
    std::fs::write(&file, eviction.to_string())?;
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", stage.cluster.namespace);
    // The budget allows one pod to be away, and the two others have none.
    let budget = stage.cluster.get("pdb/db")?;
    stage.cluster.kubectl(&["delete", "pdb", "db"])?;
    let evicted = stage.cluster.kubectl(&["create", "--raw", &path, "-f", &file.display().to_string()]);
    let again = json!({
        "apiVersion": budget["apiVersion"], "kind": budget["kind"], "metadata": {"name": "db"}, "spec": budget["spec"],
    });
    stage.cluster.apply(&[again])?;
    evicted.map(drop)
}

/// A quota, and a policy of the cluster, refuse helper pods: that is known before anything is stopped.
pub fn helpers_refused(stage: &Stage) -> Result<()> {
    let seen = outage_under_load(stage, || {
        let before = standing(stage)?;
        let refused_as = |words: &str| -> Result<()> {
            let refused = run(stage, &RECOVER)?;
            let right = refused.ended.code != Some(0) && refused.told().contains(words);
            ensure!(right, "a refusal that says {words} was expected:\n{}", refused.told());
            ensure!(standing(stage)? == before, "it has changed something:\n{}", refused.told());
            let journal = stage.cluster.get("configmap/kubectl-mariadb.db").unwrap_or_default();
            ensure!(journal["data"]["current"].is_null(), "something is begun: {journal:#}");
            eprintln!("         {}", refused.said());
            Ok(())
        };
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"}, "spec": {"hard": {"pods": "3"}},
        });
        stage.cluster.apply(&[quota])?;
        wait_until("the quota counts", SOON, || {
            let used = stage.cluster.get("resourcequota/tight")?["status"]["used"]["pods"].clone();
            ensure!(used == "3", "used: {used}");
            Ok(())
        })?;
        let by_quota = refused_as("exceeded quota: tight");
        stage.cluster.kubectl(&["delete", "resourcequota", "tight"])?;
        by_quota?;
        let policy = policy(stage);
        stage.cluster.apply(&policy)?;
        let by_policy = wait_until("the policy is in force", SOON * 3, || refused_as("no helpers here"));
        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            stage.cluster.kubectl(&["delete", kind, &format!("{}-helpers", stage.cluster.namespace)])?;
        }
        by_policy?;
        let recovered = run(stage, &RECOVER)?;
        recovered.ended(0, "done")?;
        Ok(recovered)
    })?;
    let did = "said so before anything was stopped, both times; whole when neither was in the way";
    record(stage, "none", "all killed; a quota, and then an admission policy, refuse helper pods", did, &seen)
}

fn policy(stage: &Stage) -> [Value; 2] {
    let name = format!("{}-helpers", stage.cluster.namespace);
    [
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]},
                ]},
                "validations": [{
                    "expression": "!('kubectl-mariadb/helper' in object.metadata.?labels.orValue({}))", "message": "no helpers here",
                }],
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {
                "policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stage.cluster.namespace}}},
            },
        }),
    ]
}

/// A set that deletes the claims of pods it stops: they stay, and so does its policy.
pub fn when_scaled_delete(stage: &Stage) -> Result<()> {
    let policy = |when: &str| {
        let patch = json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": when}}}).to_string();
        stage.cluster.kubectl(&["patch", "statefulset", "db", "-p", &patch]).map(drop)
    };
    let claims = || stage.cluster.kubectl(&["get", "pvc", "-o", "jsonpath={.items[*].metadata.uid}"]);
    policy("Delete")?;
    let before = claims()?;
    let seen = outage_under_load(stage, || {
        let recovered = run(stage, &RECOVER)?;
        recovered.ended(0, "done")?;
        Ok(recovered)
    })?;
    ensure!(claims()? == before, "other claims: {before} and {}", claims()?);
    let now = set(stage)?["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"].clone();
    ensure!(now == "Delete", "whenScaled is {now}");
    policy("Retain")?;
    let did = "kept every volume, and the policy";
    record(stage, "2", "all killed; whenScaled of the set is Delete", did, &seen)
}

/// All die while an upgrade is paused at a partition. A set that is scaled to 0 forgets its older revision, so the user decides first.
pub fn paused_partition(stage: &Stage) -> Result<()> {
    done(stage, &["upgrade", "db", "--image", OLDER, "--partition", "2", "--yes", PATIENT], 0)?;
    let versions = ["10.11.19", "10.11.19", "10.11.18"];
    are(stage, versions)?;
    let seen = outage_under_load(stage, || {
        let before = standing(stage)?;
        let refused = run(stage, &RECOVER)?;
        refused.refused("MDB707")?;
        ensure!(standing(stage)? == before, "it has changed something:\n{}", refused.told());
        let open = r#"[{"op":"add","path":"/spec/updateStrategy/rollingUpdate/partition","value":0}]"#;
        let says = refused.document["next"].as_array().into_iter().flatten().any(|next| {
            let next = next.as_str().unwrap_or_default();
            next.contains("patch statefulset db --type=json") && next.contains(open)
        });
        ensure!(says, "it does not say how to go on:\n{}", refused.told());
        stage.cluster.kubectl(&["patch", "statefulset", "db", "--type=json", "-p", open])?;
        let recovered = run(stage, &RECOVER)?;
        recovered.ended(0, "done")?;
        Ok(recovered)
    })?;
    are(stage, ["10.11.18"; 3])?;
    done(stage, &["upgrade", "db", "--image", SAME, "--yes", PATIENT], 0)?;
    let did = "refused, for all would come back with the newer image (MDB707); whole with it, once the partition was opened";
    record(stage, "2, 24", "all killed while an upgrade is paused at partition 2", did, &seen)
}

/// Row 21: a switch that founds a cluster was left in the pod template. Whoever starts next would found a second one.
pub fn switch_left(stage: &Stage) -> Result<()> {
    let held = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 3}}}}).to_string();
    stage.cluster.kubectl(&["patch", "statefulset", "db", "-p", &held])?;
    let change = |operation: Value| {
        let patch = json!([operation]).to_string();
        stage.cluster.kubectl(&["patch", "statefulset", "db", "--type=json", "-p", &patch]).map(drop)
    };
    let path = "/spec/template/spec/containers/0/args";
    change(json!({"op": "add", "path": path, "value": ["--wsrep-new-cluster"]}))?;
    let began = Instant::now();
    let mut refused = String::new();
    let seen = outage_under_load(stage, || {
        let before = standing(stage)?;
        let stopped = run(stage, &RECOVER)?;
        ensure!(stopped.ended.code == Some(5) && stopped.told().contains("--wsrep-new-cluster"), "{}", stopped.told());
        ensure!(standing(stage)? == before, "it has changed something:\n{}", stopped.told());
        refused = format!("{} after {:.0} s", stopped.said(), began.elapsed().as_secs_f32());
        change(json!({"op": "remove", "path": path}))?;
        let recovered = run(stage, &RECOVER)?;
        recovered.ended(0, "done")?;
        Ok(recovered)
    })?;
    let open = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}).to_string();
    stage.cluster.kubectl(&["patch", "statefulset", "db", "-p", &open])?;
    let did = format!("{refused}; whole when the switch was gone");
    record(stage, "21", "all killed, and the pod template has --wsrep-new-cluster", &did, &seen)
}

/// Row 36: one member has the weight of the majority, and lives. Nobody is forced; the others join it.
pub fn heavy_member(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    let uid = stage.cluster.pod(0)?.uid;
    weigh(stage, 3)?;
    let writers = Writers::start(&stage.cluster, &Target::Pod(0), 3, &stage.folder.join("acknowledged"))?;
    thread::sleep(Duration::from_secs(3));
    outage::kill(stage, &[1, 2])?;
    let recovered = run(stage, &RECOVER)?;
    recovered.ended_with(0)?;
    stage.cluster.wait_healthy(SOON * 3)?;
    let written = writers.stop()?;
    ensure!(stage.cluster.pod(0)?.uid == uid, "the one that lived was restarted");
    weigh(stage, 1)?;
    is_whole(stage, &history)?;
    oracle::check(&stage.cluster, &written.acknowledged)?;
    let did = format!("forced nothing; {}", recovered.said());
    record(stage, "36", "two of three members die, and the third has pc.weight 3", &did, &(recovered, written))
}

/// Of db-0; 11.8 has a variable for each option of the provider.
fn weigh(stage: &Stage, weight: u8) -> Result<()> {
    let options = stage.cluster.sql(0, &format!("SET GLOBAL wsrep_provider_options='pc.weight={weight}'"));
    options.or_else(|_| stage.cluster.sql(0, &format!("SET GLOBAL wsrep_provider_pc_weight={weight}"))).map(drop)
}
