//! What mariadb-operator believes and was told, against what is so.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bed::testing::run::wait_until;
use serde_json::{Value, json};

use crate::stage::{Expected, SOON, Stage};

/// The operator's own recovery takes 190 s on a machine that does nothing else.
pub const RECOVERY: Duration = Duration::from_secs(420);

fn patch(stage: &Stage, spec: &Value) -> Result<()> {
    let patch = json!({"spec": spec}).to_string();
    stage.cluster.kubectl(&["patch", "mariadb.k8s.mariadb.com", "db", "--type=merge", "-p", &patch]).map(drop)
}

/// `status`, `reason` and `message` of a condition of an object.
fn condition(stage: &Stage, object: &str, kind: &str) -> Result<[String; 3]> {
    let object = stage.cluster.get(object)?;
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let found = conditions.find(|one| one["type"] == kind).with_context(|| format!("no condition {kind}"))?;
    Ok(["status", "reason", "message"].map(|field| found[field].as_str().unwrap_or_default().to_owned()))
}

/// Tells the operator to keep its hands off, and waits until it says so.
pub fn suspend(stage: &Stage) -> Result<()> {
    patch(stage, &json!({"suspend": true}))?;
    wait_until("the operator keeps its hands off", SOON, || {
        let ready = condition(stage, "mariadb/db", "Ready")?;
        ensure!(ready[1] == "Suspended", "{ready:?}");
        Ok(())
    })
    .map(drop)
}

pub fn resume(stage: &Stage) -> Result<()> {
    patch(stage, &json!({"suspend": false}))
}

/// Somebody told the operator to keep its hands off, and forgot it.
pub fn suspended(stage: &Stage) -> Result<()> {
    suspend(stage)?;
    stage.status(&Expected { exit: 0, codes: &["MDB501"], without: &["MDB201", "MDB508"], says: &["suspend"] })?;
    resume(stage)
}

/// The operator waits for a password that nobody has made, and so makes no set.
pub fn object_without_a_set(stage: &Stage) -> Result<()> {
    let namespace = &stage.cluster.namespace;
    stage.cluster.apply(&[json!({
        "apiVersion": "k8s.mariadb.com/v1alpha1", "kind": "MariaDB", "metadata": {"name": "ghost"},
        "spec": {
            "rootPasswordSecretKeyRef": {"name": "nosuch", "key": "password", "generate": false},
            "storage": {"size": "1Gi"},
        },
    })])?;
    let shown = |args: &[&str], first: &str| {
        let ended = stage.plugin.run(&[&["status", "-n", namespace], args].concat())?;
        let told = format!("{args:?} ended with {:?}: {}{}", ended.code, ended.stdout, ended.stderr);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let begins = ended.stdout.lines().any(|line| words(line).starts_with(first));
        ensure!(ended.code == Some(3) && begins && ended.stdout.contains("MDB525"), "{told}");
        Ok(told)
    };
    let own = shown(&["ghost"], "Critical: MariaDB ghost has no StatefulSet")?;
    let rows = shown(&["--pod-timeout=15s"], &format!("{namespace} ghost"))?;
    eprintln!("{own}\n{rows}");
    let without = stage.cluster.kubectl(&["get", "statefulset", "ghost"]);
    ensure!(without.is_err(), "the operator has made the set after all");
    stage.cluster.kubectl(&["delete", "mariadb.k8s.mariadb.com", "ghost"]).map(drop)
}

/// Of an outage long ago; the operator never clears the field, and says nothing.
pub fn forced_bootstrap_left(stage: &Stage) -> Result<()> {
    patch(stage, &json!({"galera": {"recovery": {"enabled": true, "forceClusterBootstrapInPod": "db-0"}}}))?;
    stage.cluster.wait_healthy(SOON)?;
    let force = stage.cluster.get("mariadb/db")?["spec"]["galera"]["recovery"]["forceClusterBootstrapInPod"].clone();
    ensure!(force == "db-0", "the operator took it back: {force}");
    let seen = stage.status(&Expected { exit: 3, codes: &["MDB505"], without: &["MDB507", "MDB202"], says: &["db-0"] })?;
    patch(stage, &json!({"galera": {"recovery": {"forceClusterBootstrapInPod": null}}}))?;
    stage.saw("21", "`forceClusterBootstrapInPod` was forgotten in the MariaDB object", &seen)
}

/// The file of a recovery whose end did not go well; the operator's volume for configuration keeps it.
pub fn bootstrap_file_left(stage: &Stage) -> Result<()> {
    let file = "/etc/mysql/mariadb.conf.d/1-bootstrap.cnf";
    let written = stage.cluster.exec(
        1,
        &format!("printf '[galera]\\nwsrep_new_cluster=\"ON\"\\n' >{file}; mariadbd --print-defaults"),
        "",
    )?;
    ensure!(written.stdout.contains("--wsrep_new_cluster=ON"), "a start would not read it: {written:?}");
    stage.cluster.look()?;
    let seen = stage.status(&Expected { exit: 3, codes: &["MDB243"], without: &["MDB203"], says: &["db-1"] })?;
    stage.cluster.exec(1, &format!("rm {file}"), "")?;
    stage.saw("21", "the bootstrap file of an earlier recovery was left", &seen)
}

/// A dump that failed at once: the operator shows it as complete.
pub fn failed_backup_shown_complete(stage: &Stage) -> Result<()> {
    stage.cluster.apply(&[json!({
        "apiVersion": "k8s.mariadb.com/v1alpha1", "kind": "Backup", "metadata": {"name": "nightly"},
        "spec": {
            "mariaDbRef": {"name": "db"},
            "args": ["--no-such-option"],
            "backoffLimit": 1,
            "restartPolicy": "Never",
            "storage": {"persistentVolumeClaim": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}},
            }},
        },
    })])?;
    wait_until("its job has failed", SOON * 2, || {
        let failed = condition(stage, "job/nightly", "Failed")?;
        ensure!(failed[0] == "True", "{failed:?}");
        Ok(())
    })?;
    wait_until("the operator calls it complete", SOON, || {
        let complete = condition(stage, "backup/nightly", "Complete")?;
        ensure!(complete[0] == "True" && complete[1] == "JobFailed", "{complete:?}");
        Ok(())
    })?;
    stage.status(&Expected { exit: 0, codes: &["MDB603"], without: &["MDB601"], says: &["nightly"] })?;
    stage.cluster.kubectl(&["delete", "backup.k8s.mariadb.com", "nightly"]).map(drop)
}

/// A rollout that a partition stopped half way: Ready False, and no backup begins any more.
pub fn rollout_paused(stage: &Stage) -> Result<()> {
    let spec = stage.cluster.get("mariadb/db")?["spec"].clone();
    let config = spec["myCnf"].as_str().context("the object has no myCnf")?;
    patch(
        stage,
        &json!({
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}},
            "myCnf": format!("{config}max_connections=61\n"),
        }),
    )?;
    wait_until("the last pod alone is new", SOON * 2, || {
        let limit = |ordinal| stage.cluster.sql(ordinal, "SELECT @@max_connections");
        let limits = [limit(0)?, limit(1)?, limit(2)?];
        ensure!(limits == ["60", "60", "61"], "{limits:?}");
        let (pods, updated) = (stage.cluster.pods()?, condition(stage, "mariadb/db", "Updated")?);
        ensure!(pods.iter().all(|pod| pod.ready) && updated[0] == "False", "{pods:?} {updated:?}");
        Ok(())
    })?;
    stage.status(&Expected { exit: 0, codes: &["MDB133", "MDB516"], without: &["MDB201", "MDB223"], says: &["db-2"] })?;
    Ok(())
}

/// Label, Service and SQL each name a primary; what counts is SQL.
pub fn three_opinions_of_the_primary(stage: &Stage) -> Result<()> {
    // Otherwise the operator puts both right within a second.
    suspend(stage)?;
    stage.cluster.kubectl(&["label", "pod", "db-1", "k8s.mariadb.com/role=primary", "--overwrite"])?;
    let selector = json!({"spec": {"selector": {"statefulset.kubernetes.io/pod-name": "db-2"}}}).to_string();
    stage.cluster.kubectl(&["patch", "service", "db-primary", "--type=merge", "-p", &selector])?;
    let read_only = [0, 1, 2].map(|ordinal| stage.cluster.sql(ordinal, "SELECT @@read_only").unwrap_or_default());
    ensure!(read_only == ["0", "1", "1"], "by SQL the primary is not db-0: {read_only:?}");
    let two = stage.cluster.pod(2)?;
    wait_until("the Service leads to the replica", SOON, || {
        let slices =
            stage.cluster.kubectl(&["get", "endpointslices", "-l", "kubernetes.io/service-name=db-primary", "-o", "yaml"])?;
        ensure!(slices.contains(two.address()?), "{slices}");
        Ok(())
    })?;
    stage.status(&Expected {
        exit: 3,
        codes: &["MDB351", "MDB514", "MDB501"],
        without: &["MDB302", "MDB303"],
        says: &["db-0", "db-1", "db-2", "db-primary"],
    })?;
    resume(stage)?;
    wait_until("the operator puts it right", SOON, || {
        let label = stage.cluster.get("pod/db-1")?["metadata"]["labels"]["k8s.mariadb.com/role"].clone();
        let service = stage.cluster.get("service/db-primary")?["spec"]["selector"]["statefulset.kubernetes.io/pod-name"].clone();
        ensure!(label == "replica" && service == "db-0", "label {label}, Service {service}");
        Ok(())
    })
    .map(drop)
}

/// A replica follows another replica, which logs nothing of what it applies: both threads run, the lag is 0, the operator and
/// Kubernetes call it well, and no new row ever arrives.
pub fn replica_of_a_replica(stage: &Stage) -> Result<()> {
    let source = format!("db-2.db-internal.{}.svc.cluster.local", stage.cluster.namespace);
    stage.cluster.sql(1, &format!("STOP SLAVE; CHANGE MASTER TO MASTER_HOST='{source}'; START SLAVE"))?;
    wait_until("both threads run", SOON, || {
        let status = stage.cluster.sql(1, "SHOW ALL SLAVES STATUS")?;
        ensure!(status.contains(&source) && status.matches("\tYes\t").count() >= 2, "{status}");
        Ok(())
    })?;
    stage.cluster.sql(0, "CREATE TABLE trial.unheard (id INT PRIMARY KEY)")?;
    wait_until("the other replica has it", SOON, || stage.cluster.sql(2, "SELECT COUNT(*) FROM trial.unheard").map(drop))?;
    let missing = stage.cluster.sql(1, "SELECT COUNT(*) FROM trial.unheard");
    ensure!(missing.is_err(), "the replica has heard of it");
    ensure!(stage.cluster.pod(1)?.ready, "the probes were to stay green");
    stage.status(&Expected { exit: 3, codes: &["MDB335"], without: &["MDB303", "MDB341"], says: &["db-1", "db-2"] })?;
    Ok(())
}

/// All servers die at once and have forgotten their last view. The operator finds out, reads positions, bootstraps, and each
/// look on the way shows the outage and that it is being worked on.
pub fn recovers_by_itself(stage: &Stage) -> Result<()> {
    for ordinal in 0..3 {
        stage.cluster.exec(ordinal, "rm /var/lib/mysql/gvwstate.dat", "")?;
    }
    stage.faults.kill_servers(&stage.cluster.pods()?)?;
    wait_until("the operator begins", SOON * 2, || {
        let galera = condition(stage, "mariadb/db", "GaleraReady")?;
        ensure!(galera[0] == "False", "{galera:?}");
        Ok(())
    })?;
    stage.status(&Expected { exit: 3, codes: &["MDB507"], without: &["MDB203", "MDB508"], says: &["db"] })?;
    stage.cluster.wait_healthy(RECOVERY)?;
    let recovery = stage.cluster.get("mariadb/db")?["status"]["galeraRecovery"].clone();
    ensure!(recovery.is_object(), "the operator has not recovered it: {recovery}");
    // What it did stays in its status and means nothing any more.
    stage.status(&Expected { exit: 0, without: &["MDB507", "MDB505"], ..Expected::default() })?;
    Ok(())
}
