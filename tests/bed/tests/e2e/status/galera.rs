//! Galera with at least one member that serves.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bed::testing::faults::Lasting;
use bed::testing::run::wait_until;
use bed::testing::shape::Version;
use mysql::prelude::Queryable;
use serde_json::json;

use crate::stage::{Expected, SOON, Stage};

/// The killed member restarts by itself; until it is back, it is missing and nothing worse.
pub fn member_killed(stage: &Stage) -> Result<()> {
    // Again and again: the second restart waits ten seconds, which is time to look.
    wait_until("the container waits for its next start", SOON, || {
        let now = stage.cluster.pod(2)?;
        if now.container == "running" {
            stage.faults.kill_server(&now).ok();
        }
        ensure!(now.container.contains("CrashLoopBackOff"), "it is {}", now.container);
        Ok(())
    })?;
    stage.wait_wsrep("the others go on", &[0, 1], |wsrep| wsrep.status == "Primary" && wsrep.size == 2)?;
    let seen = stage.status(&Expected { exit: 3, codes: &["MDB111"], without: &["MDB201", "MDB203"], says: &["db-2"] })?;
    stage.saw("1", "the server of db-2 is killed, again and again", &seen)
}

/// The copy is held up in the middle, at the donor, for as long as the look takes.
pub fn member_in_sst(stage: &Stage) -> Result<()> {
    // Without its state file a member takes a full copy. What the copy before may have left names a process number, which another
    // process has in the next container: the server would wait for that one, and crash (10.11, seen).
    let datadir = stage.cluster.shape.layout().datadir;
    stage.cluster.exec(2, &format!("rm {datadir}/grastate.dat; rm -f {datadir}/rsync_sst.pid"), "")?;
    stage.faults.delete_pods(&stage.cluster.namespace, &["db-2"])?;
    let copy = hold_copy(stage)?;
    let seen = stage.status(&Expected {
        exit: 0,
        codes: &["MDB216", "MDB217"],
        without: &["MDB218", "MDB251", "MDB214", "MDB120"],
        says: &["db-2"],
    })?;
    let transfer = &seen.document["galera"]["transfers"][0];
    ensure!(transfer["joiner"] == "db-2" && transfer["donor"].is_string(), "{transfer}");
    copy.heal()
}

/// Stops a copy to the third member in its middle, and waits until its donor says so.
fn hold_copy(stage: &Stage) -> Result<Lasting> {
    let copy = stage.hold_copy()?;
    wait_until("a member is donor", SOON, || {
        let donors = [0, 1].map(|ordinal| stage.wsrep(ordinal).is_ok_and(|wsrep| wsrep.state.starts_with("Donor")));
        ensure!(donors.contains(&true), "none");
        Ok(())
    })?;
    Ok(copy)
}

/// Both halves of a network partition between pods; probes, exec and the API server work on both sides.
pub fn network_partition(stage: &Stage) -> Result<()> {
    let pods = stage.cluster.pods()?;
    let [a, b, c] = pods.as_slice() else { anyhow::bail!("three pods") };
    let cut = stage.faults.partition(&[a, b], &[c])?;
    stage.wait_wsrep("the majority goes on", &[0, 1], |wsrep| wsrep.status == "Primary" && wsrep.size == 2)?;
    stage.wait_wsrep("the minority stops", &[2], |wsrep| wsrep.status == "non-Primary" && !wsrep.ready)?;
    let seen = stage.status(&Expected {
        exit: 3,
        codes: &["MDB211", "MDB223"],
        without: &["MDB201", "MDB203", "MDB212"],
        says: &["db-2", "non-Primary"],
    })?;
    cut.into_iter().try_for_each(Lasting::heal)?;
    stage.saw("12", "a network partition between pods, 2 and 1", &seen)
}

/// `pc.bootstrap` on the smaller side of a cut, while the larger one is alive: two primary components with one UUID.
pub fn split_brain(stage: &Stage) -> Result<()> {
    let pods = stage.cluster.pods()?;
    let [a, b, c] = pods.as_slice() else { anyhow::bail!("three pods") };
    let cut = stage.faults.partition(&[a], &[b, c])?;
    stage.wait_wsrep("the minority stops", &[0], |wsrep| wsrep.status == "non-Primary")?;
    pc_bootstrap(stage, 0)?;
    stage.wait_wsrep("the minority is Primary too", &[0], |wsrep| wsrep.status == "Primary" && wsrep.size == 1 && wsrep.ready)?;
    stage.wait_wsrep("the majority stays Primary", &[1, 2], |wsrep| wsrep.status == "Primary" && wsrep.size == 2)?;
    let uuids = [stage.wsrep(0)?.state_uuid, stage.wsrep(1)?.state_uuid];
    ensure!(uuids[0] == uuids[1], "the state UUIDs should not tell: {uuids:?}");
    let expected = Expected { exit: 3, codes: &["MDB203"], without: &["MDB205", "MDB211"], says: &["db-0"] };
    stage.status(&expected)?;
    // With the network whole again nothing changes: the halves never reconnect.
    cut.into_iter().try_for_each(Lasting::heal)?;
    thread::sleep(Duration::from_secs(8));
    let seen = stage.status(&expected).context("after the network was healed")?;
    stage.saw("14", "`pc.bootstrap` on the smaller side of a cut; the network is whole again", &seen)
}

/// Makes the component of one member primary.
pub fn pc_bootstrap(stage: &Stage, ordinal: u32) -> Result<()> {
    // 11.8 has a variable for each option, and `wsrep_provider_options` is read-only there.
    let sql = match stage.cluster.shape.version {
        Version::V10_11 => "SET GLOBAL wsrep_provider_options='pc.bootstrap=YES'",
        Version::V11_8 => "SET GLOBAL wsrep_provider_pc_bootstrap=ON",
    };
    stage.cluster.sql(ordinal, sql).map(drop)
}

/// A member that alone has a row is voted out; its server lives on, and the probes of this set stay green.
pub fn zombie(stage: &Stage) -> Result<()> {
    let mut other = stage.cluster.connect_writer(&stage.cluster.pod(0)?)?;
    other.query_drop("CREATE OR REPLACE TABLE trial.voted (id INT PRIMARY KEY)")?;
    stage.cluster.sql(2, "SET SESSION wsrep_on=OFF; INSERT INTO trial.voted VALUES (1)")?;
    other.query_drop("INSERT INTO trial.voted VALUES (1)")?;
    stage.wait_wsrep("the member is out", &[2], |wsrep| wsrep.status == "Disconnected")?;
    stage.wait_wsrep("the others go on", &[0, 1], |wsrep| wsrep.status == "Primary" && wsrep.size == 2)?;
    ensure!(stage.cluster.pod(2)?.ready, "the probes were to stay green");
    let seen = stage.status(&Expected {
        exit: 3,
        codes: &["MDB118"],
        without: &["MDB211", "MDB203"],
        says: &["db-2", "Disconnected"],
    })?;
    stage.faults.delete_pods(&stage.cluster.namespace, &["db-2"])?;
    stage.saw("16", "db-2 is voted out; its server lives on, and its probes are green", &seen)
}

/// Somebody deletes the claim of a pod that runs: it lives exactly as long as the pod.
pub fn claim_deleted(stage: &Stage) -> Result<()> {
    stage.cluster.kubectl(&["delete", "pvc", "data-db-2", "--wait=false"])?;
    wait_until("the claim is marked", SOON, || {
        let claim = stage.cluster.get("pvc/data-db-2")?;
        claim["metadata"]["deletionTimestamp"].as_str().map(drop).context("no deletion timestamp")
    })?;
    stage.cluster.look()?;
    let seen = stage.status(&Expected { exit: 3, codes: &["MDB411"], without: &["MDB412"], says: &["data-db-2"] })?;
    stage.saw("9", "somebody deletes the volume claim of a running pod", &seen)
}

/// A set that throws volumes away when it shrinks; today all is well.
pub fn scaling_in_deletes(stage: &Stage) -> Result<()> {
    let policy = |when: &str| {
        let patch = json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": when}}}).to_string();
        stage.cluster.kubectl(&["patch", "sts", "db", "--type=merge", "-p", &patch]).map(drop)
    };
    policy("Delete")?;
    let set = stage.cluster.get("sts/db")?["spec"]["persistentVolumeClaimRetentionPolicy"].clone();
    ensure!(set == json!({"whenDeleted": "Retain", "whenScaled": "Delete"}), "{set}");
    stage.status(&Expected { exit: 0, codes: &["MDB136"], without: &["MDB411"], says: &["whenScaled"] })?;
    policy("Retain")
}

/// A slow network makes a copy that takes longer than the startup probe of the joiner lasts: this is told before the kubelet ends
/// the joiner, and after it.
pub fn joiner_that_its_probe_kills(stage: &Stage) -> Result<()> {
    let probe = json!([
        {"op": "replace", "path": "/spec/updateStrategy", "value": {"type": "OnDelete"}},
        {"op": "replace", "path": "/spec/template/spec/containers/0/startupProbe/failureThreshold", "value": 45},
    ]);
    stage.cluster.kubectl(&["patch", "sts", "db", "--type=json", "-p", &probe.to_string()])?;
    stage.cluster.exec(2, "rm /var/lib/mysql/grastate.dat", "")?;
    let slow = stage.faults.slow(stage.cluster.pod(2)?.node()?, "4mbit")?;
    stage.faults.delete_pods(&stage.cluster.namespace, &["db-2"])?;
    let forecast = Expected { exit: 0, codes: &["MDB216", "MDB220"], without: &["MDB128"], says: &["db-2", "by rsync"] };
    wait_until("the end is foretold", SOON, || {
        let seen = stage.status(&forecast)?;
        let transfer = &seen.document["galera"]["transfers"][0];
        ensure!(transfer["joiner"] == "db-2" && transfer["donor"].is_string(), "{transfer}");
        ensure!(transfer["secondsLeft"].as_u64().is_some_and(|left| left > 45), "{transfer}");
        Ok(())
    })?;
    ensure!(stage.cluster.pod(2)?.restarts == 0, "the kubelet was faster than the forecast");
    wait_until("the kubelet has ended it", Duration::from_secs(120), || {
        let pod = stage.cluster.pod(2)?;
        ensure!(pod.restarts > 0, "{pod:?}");
        Ok(())
    })?;
    let events = stage.cluster.kubectl(&["get", "events", "--field-selector=involvedObject.name=db-2"])?;
    ensure!(events.contains("failed startup probe"), "{events}");
    let seen = stage.status(&Expected { exit: 3, codes: &["MDB128"], without: &["MDB201"], says: &["db-2"] })?;
    slow.heal()?;
    stage.saw("8", "a full copy takes longer than the startup probe of its joiner lasts (foretold as MDB220)", &seen)
}
