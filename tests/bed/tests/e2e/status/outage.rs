//! Galera after the loss of all members at once.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use bed::testing::run::wait_until;

use crate::stage::{Expected, SOON, Stage};

/// All members die at once and one of them has no pod any more. The others wait for it, and since none of them is Ready,
/// an ordered set never makes that pod: nothing here moves by itself.
pub fn limbo(stage: &Stage) -> Result<()> {
    // Held back, the pod is not gone before the controller knows that the other two are not Ready.
    let hold = |finalizers: &str| {
        let patch = format!(r#"{{"metadata":{{"finalizers":{finalizers}}}}}"#);
        stage.cluster.kubectl(&["patch", "pod", "db-2", "--type=merge", "--patch", &patch])
    };
    hold(r#"["bed.local/hold"]"#)?;
    // Frozen, it does not hear that it is to stop, so that no clean leave tells the others; and of a pod that is being deleted no
    // container starts again, as soon as the kubelet knows. The others miss it only after 5 s.
    let frozen = stage.faults.pause(&stage.cluster.pod(2)?, "mariadbd")?;
    stage.cluster.kubectl(&["delete", "pod", "db-2", "--wait=false"])?;
    thread::sleep(Duration::from_secs(1));
    stage.faults.kill_servers(&stage.cluster.pods()?)?;
    frozen.heal()?;
    let unready = wait_until("the other two are not Ready", SOON, || {
        ensure!(stage.cluster.pods()?.iter().all(|pod| pod.name == "db-2" || !pod.ready), "they are");
        Ok(())
    });
    hold("null")?;
    unready?;
    wait_until("the third pod is gone", SOON, || {
        ensure!(stage.cluster.pods()?.len() == 2, "it is still there");
        Ok(())
    })?;
    // A start without the wait would end after 34 s.
    wait_until("two servers listen on the group port only", SOON, || {
        for ordinal in [0, 1] {
            let listening = stage.cluster.exec(ordinal, "cat /proc/net/tcp /proc/net/tcp6", "")?.stdout;
            ensure!(listens(&listening, 4567) && !listens(&listening, 3306), "db-{ordinal}: {listening}");
            let view = stage.cluster.exec(ordinal, "grep -c ^member: /var/lib/mysql/gvwstate.dat", "")?.stdout;
            ensure!(view.trim() == "3", "db-{ordinal} remembers {} members", view.trim());
        }
        Ok(())
    })?;
    let seen =
        stage.status(&Expected { exit: 3, codes: &["MDB103", "MDB214", "MDB202"], without: &["MDB215"], says: &["db-2"] })?;
    stage.saw("17", "all die at once, and db-2 has no pod any more: the others wait for it for ever", &seen)
}

/// All members die at once and have forgotten their last view: each start ends for want of a primary component.
pub fn crash_loop(stage: &Stage) -> Result<()> {
    let view = format!("rm {}/gvwstate.dat", stage.cluster.shape.layout().datadir);
    for ordinal in 0..3 {
        ensure!(stage.cluster.exec(ordinal, &view, "")?.is_success(), "db-{ordinal} has no gvwstate.dat");
    }
    stage.faults.kill_servers(&stage.cluster.pods()?)?;
    wait_until("a container waits for its next start", SOON * 2, || {
        let pods = stage.cluster.pods()?;
        ensure!(pods.iter().any(|pod| pod.container.contains("CrashLoopBackOff")), "{pods:?}");
        Ok(())
    })?;
    // From now on containers wait and try in turns. Nothing can be run in those that wait: together they could be any servers.
    for codes in [&["MDB111", "MDB138"][..], &["MDB202"]] {
        let expected = Expected { exit: 3, codes, without: &["MDB214"], says: &["db-0", "db-1", "db-2"] };
        wait_until("that is what is said", SOON * 3, || stage.status(&expected).map(drop))?;
    }
    let pods = stage.cluster.pods()?;
    ensure!(pods.iter().all(|pod| !pod.ready && pod.restarts > 0), "they came back: {pods:?}");
    let seen = stage.plugin.status(&stage.cluster, &["--pod-timeout=15s"])?;
    stage.saw("2", "all die at once and have forgotten their last view: they crash-loop", &seen)
}

/// All members die at once and come back by the plain start of the official image: one cluster again, histories never compared.
pub fn zero_uuid(stage: &Stage) -> Result<()> {
    stage.faults.kill_servers(&stage.cluster.pods()?)?;
    let zero = "00000000-0000-0000-0000-000000000000";
    stage.wait_wsrep("the members are Primary and Synced again", &[0, 1, 2], |wsrep| {
        wsrep.status == "Primary" && wsrep.state == "Synced" && wsrep.ready && wsrep.state_uuid == zero
    })?;
    wait_until("Kubernetes shows green", SOON, || {
        ensure!(stage.cluster.pods()?.iter().all(|pod| pod.ready), "not yet");
        Ok(())
    })?;
    let seen = stage.status(&Expected { exit: 3, codes: &["MDB207"], without: &["MDB203", "MDB205"], says: &["db-0"] })?;
    stage.saw("3", "all die at once and form a cluster again by themselves, with a state UUID of zeros", &seen)
}

/// Whether a table of the kernel has a listener on `port`.
fn listens(table: &str, port: u16) -> bool {
    let local = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next().is_some_and(|address| address.ends_with(&local)) && fields.nth(1) == Some("0A")
    })
}
