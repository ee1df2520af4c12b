//! `upgrade` and `restart` under writers: by partition, to the next series, back again, with an image that does not work.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bed::testing::audit::AuditLog;
use bed::testing::oracle;
use bed::testing::reliability::Record;
use bed::testing::run::wait_until;
use bed::testing::shape::{CLIENT_SERVICE, Kind, Source};
use bed::testing::writers::{Target, Writers, Written};
use serde_json::Value;

use crate::operations::{done, kill_when, says, set, timed, told};
use crate::rights::by_the_page;
use crate::stage::{Expected, SOON, Stage};

/// Of the series of the cluster, one patch level behind what it runs.
pub const OLDER: &str = "bed.local/mariadb:10.11.18";
pub const SAME: &str = "bed.local/mariadb:10.11";
const NEXT: &str = "bed.local/mariadb:11.8";
/// By this label a Service leads to one pod.
const POD_LABEL: &str = "statefulset.kubernetes.io/pod-name";
/// Pods get their time on a busy machine.
pub const PATIENT: &str = "--pod-timeout=15s";

/// Writers write while `work` goes on.
pub fn under_load(stage: &Stage, work: impl FnOnce() -> Result<()>) -> Result<Written> {
    let target = match stage.cluster.shape.kind {
        // Whoever reaches the new primary while the operator still connects the replicas to it loses rows (25.10.4, seen): it sets
        // their positions to one that the primary has by then, not to the one it began with.
        Kind::Replication if is_operated(stage) => Target::Service("db-primary".to_owned()),
        Kind::Replication => Target::Pod(0),
        _ => Target::Any,
    };
    written_to(stage, &target, Duration::ZERO, work)
}

/// The same with another target, and a rest after each row.
fn written_to(stage: &Stage, target: &Target, rest: Duration, work: impl FnOnce() -> Result<()>) -> Result<Written> {
    let writers = Writers::resting(&stage.cluster, target, 3, rest, &stage.folder.join("acknowledged"))?;
    std::thread::sleep(Duration::from_secs(2));
    work()?;
    std::thread::sleep(Duration::from_secs(2));
    let written = writers.stop()?;
    ensure!(written.acknowledged.rows() > 100, "hardly a row was written: {written:?}");
    Ok(written)
}

fn is_operated(stage: &Stage) -> bool {
    stage.cluster.shape.source == Source::Operator
}

/// The version of each server, as it says itself.
fn versions(stage: &Stage) -> Result<Vec<String>> {
    (0..3)
        .map(|ordinal| Ok(stage.cluster.sql(ordinal, "SELECT @@version")?.split('-').next().unwrap_or_default().to_owned()))
        .collect()
}

pub fn are(stage: &Stage, expected: [&str; 3]) -> Result<()> {
    let versions = versions(stage)?;
    ensure!(
        versions.iter().zip(expected).all(|(own, wanted)| own.starts_with(wanted)),
        "{expected:?} were expected: {versions:?}"
    );
    Ok(())
}

/// Healthy, every row there, nothing of ours left, and the partition as it is to be.
pub fn whole(stage: &Stage, written: &Written, partition: u64) -> Result<()> {
    stage.cluster.wait_healthy(SOON)?;
    oracle::check(&stage.cluster, &written.acknowledged)?;
    let set = set(stage)?;
    let now = &set["spec"]["updateStrategy"]["rollingUpdate"]["partition"];
    ensure!(now.as_u64().unwrap_or(0) == partition, "partition {now}");
    let jobs = stage.cluster.kubectl(&["get", "jobs", "-l", "kubectl-mariadb/helper", "-o", "name"])?;
    ensure!(jobs.trim().is_empty(), "left: {jobs}");
    let journal: Value =
        serde_json::from_str(&stage.cluster.kubectl(&["get", "configmap", "kubectl-mariadb.db", "-o", "json"])?)?;
    ensure!(journal["data"]["current"].is_null(), "the journal is not closed: {journal:#}");
    Ok(())
}

fn upgrade<'a>(image: &'a str, partition: &'a str) -> Vec<&'a str> {
    vec!["upgrade", "db", "--image", image, "--partition", partition, "--yes", PATIENT]
}

/// Down to one partition after the other, and back to what it was: nothing is lost, and each stop is where it should be.
pub fn by_partition(stage: &Stage) -> Result<()> {
    are(stage, ["10.11.19"; 3])?;
    let mut took = 0.0;
    let written = under_load(stage, || {
        for (partition, versions) in [
            ("2", ["10.11.19", "10.11.19", "10.11.18"]),
            ("1", ["10.11.19", "10.11.18", "10.11.18"]),
            ("0", ["10.11.18", "10.11.18", "10.11.18"]),
        ] {
            let (seconds, ended) = timed(|| done(stage, &upgrade(OLDER, partition), 0))?;
            took += seconds;
            eprintln!("         partition {partition}: {seconds:.1} s");
            ensure!(says(&ended, "10.11.18"), "{}", told(&ended));
            are(stage, versions)?;
            if partition == "2" && !is_operated(stage) {
                stage.status(&Expected { says: &["held by partition 2"], ..Expected::default() })?;
            }
        }
        Ok(())
    })?;
    whole(stage, &written, 0)?;
    tell(&written);
    let back = under_load(stage, || done(stage, &["upgrade", "db", "--image", SAME, "--yes", PATIENT], 0).map(drop))?;
    are(stage, ["10.11.19"; 3])?;
    whole(stage, &back, 0)?;
    tell(&back);
    stage.record(Record {
        rows: "24".to_owned(),
        fault: "none: an upgrade by partition 2, 1, 0, and back, while writers write".to_owned(),
        did: format!("replaced one pod after the other, each gated by the servers; longest gap between writes {}", gap(&written)),
        took: Some(Duration::from_secs_f32(took)),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// The primary is not the pod that is replaced last: its role is handed over before the first one is, and its clients with it.
pub fn primary_elsewhere(stage: &Stage) -> Result<()> {
    done(stage, &["upgrade", "db", "--image", OLDER, "--yes", PATIENT], 0)?;
    are(stage, ["10.11.18"; 3])?;
    lead_from_db_1(stage)?;
    let planned = done(stage, &["upgrade", "db", "--image", SAME, "--dry-run", PATIENT], 0)?;
    let note = format!("Clients are led from db-1 to db-0 by Service {CLIENT_SERVICE}.");
    ensure!(says(&planned, &note) && says(&planned, "Nothing was changed"), "{}", told(&planned));
    led_by(stage, 1)?;
    let audit = AuditLog::from_now(stage.cluster.bed.layout())?;
    let mut took = 0.0;
    // Nobody can write until the replicas have applied what was written before: they are not to be far behind.
    let (clients, rest) = (Target::Service(CLIENT_SERVICE.to_owned()), Duration::from_millis(4));
    let written = written_to(stage, &clients, rest, || {
        let (seconds, ended) = timed(|| by_the_page(stage, &["upgrade", "db", "--image", SAME, "--yes"]))?;
        took = seconds;
        eprintln!("         upgraded in {took:.1} s");
        let journal = stage.cluster.kubectl(&["get", "configmap", "kubectl-mariadb.db", "-o", "json"])?;
        let seen = [ended.stdout, ended.stderr, journal, audit.since()?];
        let secrets = stage.cluster.secrets.all();
        ensure!(!seen.iter().any(|text| secrets.iter().any(|secret| text.contains(secret))), "a password is seen");
        Ok(())
    })?;
    are(stage, ["10.11.19"; 3])?;
    whole(stage, &written, 0)?;
    led_by(stage, 0)?;
    // Also no transaction of its own on the one that was the primary.
    stage.status(&Expected::default())?;
    tell(&written);
    stage.record(Record {
        rows: "24".to_owned(),
        fault: "none: an upgrade while the primary is db-1, while writers write".to_owned(),
        did: format!(
            "handed the role and the clients of db-1 over to db-0, then replaced one pod after the other; longest gap between writes {}",
            gap(&written)
        ),
        took: Some(Duration::from_secs_f32(took)),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// Whoever hands the primary over is killed while nobody can write: it is taken back, and gone on with.
pub fn handover_killed(stage: &Stage) -> Result<()> {
    done(stage, &["upgrade", "db", "--image", OLDER, "--yes", PATIENT], 0)?;
    lead_from_db_1(stage)?;
    let upgrade = ["upgrade", "db", "--image", SAME, "--yes", PATIENT];
    let is_closed = |_: &Value, _: &[String]| stage.cluster.sql(1, "SELECT @@read_only").is_ok_and(|value| value == "1");
    let began = Instant::now();
    let mut went_back = false;
    let (clients, rest) = (Target::Service(CLIENT_SERVICE.to_owned()), Duration::from_millis(4));
    let written = written_to(stage, &clients, rest, || {
        kill_when(stage, &upgrade, is_closed)?;
        done(stage, &["operation", "abort", "db", "--yes", PATIENT], 0)?;
        are(stage, ["10.11.18"; 3])?;
        // It does not go back once the other one may have been opened.
        went_back = stage.cluster.sql(0, "SELECT @@read_only")? == "1";
        led_by(stage, u32::from(went_back))?;
        if went_back {
            kill_when(stage, &upgrade, is_closed)?;
            done(stage, &["operation", "resume", "db", "--yes", PATIENT], 0)?;
            are(stage, ["10.11.19"; 3])?;
        }
        Ok(())
    })?;
    whole(stage, &written, 0)?;
    led_by(stage, 0)?;
    tell(&written);
    let taken_back = if went_back {
        "`operation abort` gave the role back to db-1; killed again, `operation resume` finished it"
    } else {
        "too late: the role stayed with db-0"
    };
    stage.record(Record {
        rows: "24".to_owned(),
        fault: "the plugin is killed while it hands the primary over from db-1 to db-0, and nobody can write".to_owned(),
        did: format!("{taken_back}; longest gap between writes {}", gap(&written)),
        took: Some(began.elapsed()),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// db-1 as the primary in the place of db-0, as an administrator makes it by hand while nobody writes.
fn lead_from_db_1(stage: &Stage) -> Result<()> {
    let cluster = &stage.cluster;
    cluster.sql(0, "SET GLOBAL read_only=1")?;
    let position = cluster.sql(0, "SELECT @@gtid_binlog_pos")?;
    for replica in [1, 2] {
        let waited = cluster.sql(replica, &format!("SELECT MASTER_GTID_WAIT('{position}', 10)"))?;
        ensure!(waited == "0", "db-{replica} has not applied {position}");
    }
    cluster.sql(1, "STOP SLAVE; RESET SLAVE ALL")?;
    let password = &cluster.secrets.replication;
    let follow = format!(
        "CHANGE MASTER TO MASTER_HOST='db-1.db', MASTER_USER='replication', MASTER_PASSWORD='{password}', \
         MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=2, MASTER_SSL_VERIFY_SERVER_CERT=0; START SLAVE"
    );
    // What it has written itself it must not ask for.
    cluster.sql(0, &format!("SET GLOBAL gtid_slave_pos='{position}'; {follow}"))?;
    cluster.sql(2, &format!("STOP SLAVE; {follow}"))?;
    let selector = serde_json::json!({"spec": {"selector": {POD_LABEL: "db-1"}}}).to_string();
    cluster.kubectl(&["patch", "service", CLIENT_SERVICE, "--type=merge", "-p", &selector])?;
    cluster.open(1)?;
    cluster.wait_healthy(SOON)?;
    led_by(stage, 1)
}

/// One server alone takes writes, the others copy from it with both threads, and the Service of the clients leads to it.
fn led_by(stage: &Stage, primary: u32) -> Result<()> {
    let cluster = &stage.cluster;
    cluster.wait_healthy(SOON)?;
    for ordinal in 0..3 {
        let is_open = cluster.sql(ordinal, "SELECT @@read_only")? == "0";
        ensure!(is_open == (ordinal == primary), "db-{ordinal} takes writes: {is_open}");
        let source = cluster.source_of(ordinal)?;
        let pod = source.as_ref().and_then(|host| host.split('.').next());
        let expected = (ordinal != primary).then(|| format!("db-{primary}"));
        ensure!(pod == expected.as_deref(), "db-{ordinal} copies from {source:?} instead of {expected:?}");
    }
    let selected = cluster.get(&format!("service/{CLIENT_SERVICE}"))?["spec"]["selector"][POD_LABEL].clone();
    ensure!(selected == format!("db-{primary}"), "clients are led to {selected}");
    Ok(())
}

fn gap(written: &Written) -> String {
    format!("{:.1} s", written.longest_gap.as_secs_f32())
}

pub fn tell(written: &Written) {
    let (rows, errors) = (written.acknowledged.rows(), written.errors);
    eprintln!("         {rows} rows acknowledged, {errors} errors, longest gap {}", gap(written));
}

/// Whatever order the operator has of its own: it comes back in the end.
pub fn strategies(stage: &Stage) -> Result<()> {
    let began = Instant::now();
    let written = under_load(stage, || {
        for (strategy, image, version) in [("RollingUpdate", OLDER, "10.11.18"), ("OnDelete", SAME, "10.11.19")] {
            let patch = serde_json::json!({"spec": {"updateStrategy": {"type": strategy}}}).to_string();
            stage.cluster.kubectl(&["patch", "mariadb", "db", "--type=merge", "-p", &patch])?;
            let passed_on = if strategy == "OnDelete" { "OnDelete" } else { "RollingUpdate" };
            wait_until("the operator has passed it on", SOON, || {
                let now = set(stage)?["spec"]["updateStrategy"]["type"].clone();
                ensure!(now == passed_on, "it is {now}");
                Ok(())
            })?;
            let (seconds, _) = timed(|| done(stage, &["upgrade", "db", "--image", image, "--yes", PATIENT], 0))?;
            eprintln!("         {strategy}: {seconds:.1} s");
            are(stage, [version; 3])?;
            let told = stage.cluster.get("mariadb/db")?["spec"]["updateStrategy"]["type"].clone();
            ensure!(told == strategy, "the operator's strategy is {told}");
        }
        Ok(())
    })?;
    whole(stage, &written, 0)?;
    tell(&written);
    stage.record(Record {
        rows: "24, 34".to_owned(),
        fault: "none: upgrades while the operator's own update strategy is RollingUpdate, and OnDelete".to_owned(),
        did: format!(
            "steered by the MariaDB object alone, and gave its strategy back; longest gap between writes {}",
            gap(&written)
        ),
        took: Some(began.elapsed()),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// Over a long-term series, as the user insists: tables of every server are converted, and there is no way back.
pub fn next_series(stage: &Stage) -> Result<()> {
    let refused = done(stage, &upgrade(NEXT, "2"), 5)?;
    ensure!(says(&refused, "MDB735") && says(&refused, "Nothing was changed"), "{}", told(&refused));
    let mut took = 0.0;
    let written = under_load(stage, || {
        for (partition, versions) in [("2", ["10.11", "10.11", "11.8"]), ("1", ["10.11", "11.8", "11.8"]), ("0", ["11.8"; 3])] {
            let args = [upgrade(NEXT, partition), vec!["--allow-lts-skip"]].concat();
            let (seconds, ended) = timed(|| done(stage, &args, 0))?;
            took += seconds;
            eprintln!("         partition {partition}: {seconds:.1} s");
            are(stage, versions)?;
            let planned = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
            ensure!(planned.contains("While versions are mixed, leave tables as they are"), "{}", told(&ended));
            if partition == "2" {
                let back = done(stage, &["upgrade", "db", "--image", SAME, "--yes", PATIENT], 5)?;
                ensure!(says(&back, "MDB741") && says(&back, "db-2"), "{}", told(&back));
            }
        }
        Ok(())
    })?;
    for ordinal in 0..3 {
        let info = stage.cluster.exec(
            ordinal,
            "cat /var/lib/mysql/mariadb_upgrade_info /var/lib/mysql/mysql_upgrade_info 2>/dev/null",
            "",
        )?;
        ensure!(info.stdout.contains("11.8"), "the tables of db-{ordinal} are of {:?}", info.stdout);
    }
    whole(stage, &written, 0)?;
    tell(&written);
    stage.record(Record {
        rows: "24, 25, 26".to_owned(),
        fault: "none: an upgrade from 10.11 to 11.8 by partition 2, 1, 0, while writers write".to_owned(),
        did: format!(
            "refused without --allow-lts-skip; warned of tables changed meanwhile; converted the tables of each server; refused the way back; longest gap between writes {}",
            gap(&written)
        ),
        took: Some(Duration::from_secs_f32(took)),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// Images that cannot be had, or are no server, change nothing; a server that does not come up holds the others.
pub fn does_not_come_up(stage: &Stage) -> Result<()> {
    for image in ["bed.local/mariadb:nope", "bed.local/coredns:1"] {
        let ended = done(stage, &["upgrade", "db", "--image", image, "--yes", PATIENT], 5)?;
        ensure!(says(&ended, "MDB738") && says(&ended, "Nothing was changed"), "{}", told(&ended));
    }
    let config = stage.cluster.get("configmap/db")?["data"]["db.cnf"].as_str().unwrap_or_default().to_owned();
    let configure = |text: &str| {
        let patch = serde_json::json!({"data": {"db.cnf": text}}).to_string();
        stage.cluster.kubectl(&["patch", "configmap", "db", "--type=merge", "-p", &patch]).map(drop)
    };
    let written = under_load(stage, || {
        configure(&format!("{config}no_such_option=1\n"))?;
        let ended = done(stage, &["upgrade", "db", "--image", OLDER, "--yes", PATIENT], 5)?;
        ensure!(says(&ended, "MDB737") && says(&ended, "db-2"), "{}", told(&ended));
        let mut versions = (0..2).map(|ordinal| stage.cluster.sql(ordinal, "SELECT @@version"));
        ensure!(versions.all(|version| version.is_ok_and(|version| version.starts_with("10.11.19"))), "others were replaced");
        configure(&config)?;
        done(stage, &["operation", "abort", "db", "--yes", PATIENT], 0).map(drop)
    })?;
    are(stage, ["10.11.19"; 3])?;
    whole(stage, &written, 0)?;
    tell(&written);
    stage.record(Record {
        rows: "24".to_owned(),
        fault: "an image that is no server; a server that does not start with its configuration, under an upgrade".to_owned(),
        did: "changed nothing for the first; stopped at the first pod with the partition closed, and `operation abort` brought the old image back"
            .to_owned(),
        took: None,
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// The plugin dies in the middle; one goes on, one takes back.
pub fn killed(stage: &Stage) -> Result<()> {
    let began = Instant::now();
    let written = under_load(stage, || {
        let args = ["upgrade", "db", "--image", OLDER, "--yes", PATIENT];
        kill_when(stage, &args, |set, _| partition(set) == 2)?;
        done(stage, &["operation", "resume", "db", "--yes", PATIENT], 0)?;
        are(stage, ["10.11.18"; 3])?;
        kill_when(stage, &["upgrade", "db", "--image", SAME, "--yes", PATIENT], |set, _| partition(set) == 1)?;
        done(stage, &["operation", "abort", "db", "--yes", PATIENT], 0)?;
        are(stage, ["10.11.18"; 3])
    })?;
    whole(stage, &written, 0)?;
    tell(&written);
    stage.record(Record {
        rows: "24".to_owned(),
        fault: "the plugin is killed in the middle of two upgrades".to_owned(),
        did: "`operation resume` finished the one, `operation abort` took the other back".to_owned(),
        took: Some(began.elapsed()),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

pub fn partition(set: &Value) -> u64 {
    set["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_u64().unwrap_or(0)
}

/// One after the other, and no change of the template.
pub fn restart(stage: &Stage) -> Result<()> {
    let before = set(stage)?["status"]["updateRevision"].clone();
    let old: Vec<String> = stage.cluster.pods()?.into_iter().map(|pod| pod.uid).collect();
    let mut took = 0.0;
    let written = under_load(stage, || {
        took = timed(|| done(stage, &["restart", "db", "--yes", PATIENT], 0))?.0;
        eprintln!("         restarted in {took:.1} s");
        Ok(())
    })?;
    let new: Vec<String> = stage.cluster.pods()?.into_iter().map(|pod| pod.uid).collect();
    ensure!(old.iter().all(|uid| !new.contains(uid)), "a pod is the one it was");
    ensure!(set(stage)?["status"]["updateRevision"] == before, "the template was changed");
    whole(stage, &written, 0)?;
    tell(&written);
    stage.record(Record {
        rows: "none".to_owned(),
        fault: "none: `restart` of every pod, while writers write".to_owned(),
        did: format!("evicted one after the other, each gated by the servers; longest gap between writes {}", gap(&written)),
        took: Some(Duration::from_secs_f32(took)),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// The plain way, next to it: `kubectl set image`, and Kubernetes waits for Ready alone.
pub fn plain_way(stage: &Stage) -> Result<()> {
    let mut took = Duration::ZERO;
    let written = under_load(stage, || {
        let container = stage.cluster.shape.layout().container;
        stage.cluster.kubectl(&["set", "image", "statefulset/db", &format!("{container}={OLDER}")])?;
        took = wait_until("every server runs the image", Duration::from_secs(400), || are(stage, ["10.11.18"; 3]))?;
        Ok(())
    })?;
    let mut gap = format!("longest gap between writes {}", gap(&written));
    if stage.cluster.shape.kind == Kind::Replication && stage.cluster.sql(0, "SELECT @@read_only")?.trim() == "1" {
        // The gap has no end, so it is none of those between two writes.
        gap = "the primary came back read-only, and no write succeeded until somebody opened it".to_owned();
        stage.cluster.sql(0, "SET GLOBAL read_only=0")?;
    }
    stage.cluster.wait_healthy(SOON)?;
    oracle::check(&stage.cluster, &written.acknowledged)?;
    tell(&written);
    stage.record(Record {
        rows: "none".to_owned(),
        fault: "`kubectl set image` while writers write: the plain way, for comparison".to_owned(),
        did: format!("nothing: {} failed statements, {gap}", written.errors),
        took: Some(took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}
