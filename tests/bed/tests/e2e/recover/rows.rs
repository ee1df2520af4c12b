//! `galera recover` on more rows of the fault matrix: where it has to leave things alone, and where it has to refuse.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bed::testing::cluster::Cluster;
use bed::testing::faults::Lasting;
use bed::testing::oracle;
use bed::testing::reliability::Record;
use bed::testing::run::wait_until;
use bed::testing::shape::Shape;
use bed::testing::writers::{Target, Writers};
use serde_json::Value;

use crate::grastate::{self, on_volume, outage, scale_to_zero};
use crate::stage::{SOON, Stage};

use super::{holds_what_the_majority_wrote, is_whole, run};

pub const RECOVER: [&str; 3] = ["galera", "recover", "-y"];

/// What any change of the set would count up, and the pods.
pub fn standing(stage: &Stage) -> Result<(Value, Vec<String>)> {
    let generation = stage.cluster.get("statefulset/db")?["metadata"]["generation"].clone();
    Ok((generation, stage.cluster.pods()?.into_iter().map(|pod| pod.uid).collect()))
}

/// Row 5: the pods of all are deleted at one moment. Nobody was the last to leave, and no write is lost whoever is elected.
pub fn simultaneous_stop(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    let writers = Writers::start(&stage.cluster, &Target::Any, 3, &stage.folder.join("acknowledged"))?;
    thread::sleep(Duration::from_secs(3));
    stage.faults.delete_pods(&stage.cluster.namespace, &["db-0", "db-1", "db-2"])?;
    wait_until("the first one starts again, or not", SOON * 2, || {
        let pods = stage.cluster.pods()?;
        ensure!(pods.iter().any(|pod| pod.restarts > 0), "{pods:?}");
        Ok(())
    })?;
    let recovered = run(stage, &RECOVER)?;
    recovered.ended(0, "done")?;
    let written = writers.stop()?;
    is_whole(stage, &history)?;
    oracle::check(&stage.cluster, &written.acknowledged)?;
    stage.record(Record {
        rows: "5".to_owned(),
        fault: "the pods of all are deleted at one moment while writers write".to_owned(),
        did: recovered.said(),
        took: Some(recovered.took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// Rows 7 and 8: all die while db-2 takes a full copy. Half a copy founds nothing.
pub fn half_copy(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    outage::die_in_copy(stage)?;
    scale_to_zero(stage)?;
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=3"])?;
    let recovered = run(stage, &RECOVER)?;
    recovered.ended(0, "done")?;
    recovered.founded_by(&["db-0", "db-1"])?;
    is_whole(stage, &history)?;
    stage.record(Record {
        rows: "7, 8".to_owned(),
        fault: "joiner and donor die in the middle of a state transfer, and the third with them".to_owned(),
        did: recovered.said(),
        took: Some(recovered.took),
        acknowledged: None,
    })
}

/// Row 8: the donor dies while it gives. What its script leaves in its data directory is no mark of a copy into it: it is whole.
pub fn donor_killed(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    outage::write_rows(stage, &stage.cluster.pod(0)?)?;
    outage::die_in_copy(stage)?;
    scale_to_zero(stage)?;
    let gave = |ordinal| Ok(on_volume(stage, ordinal, "if [ -e wsrep_sst.pid ]; then echo gave; fi")?.trim() == "gave");
    let gave: Result<Vec<bool>> = [0, 1].into_iter().map(gave).collect();
    ensure!(gave?.contains(&true), "the script of the donor has left nothing");
    let seen = grastate::run(stage, &["--yes", "--recover-positions"])?;
    for ordinal in [0, 1] {
        let member = seen.member(ordinal)?;
        ensure!(member["trust"] == "whole", "db-{ordinal} is whole:\n{}", seen.told());
    }
    ensure!(seen.member(2)?["trust"] == "never", "db-2 is half a copy:\n{}", seen.told());
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=3"])?;
    let recovered = run(stage, &RECOVER)?;
    recovered.ended(0, "done")?;
    is_whole(stage, &history)?;
    holds_what_the_majority_wrote(stage, &recovered)?;
    stage.record(Record {
        rows: "8".to_owned(),
        fault: "the donor dies in the middle of a state transfer, and the others with it".to_owned(),
        did: format!("took the donor's directory for whole; {}", recovered.said()),
        took: Some(recovered.took),
        acknowledged: None,
    })
}

/// Row 10: one volume is of another history. It is named, and nobody is started over it until the user has decided.
pub fn foreign_history(stage: &Stage) -> Result<()> {
    const FOREIGN: &str = "650ade90-e4f7-11f1-9ccc-d3c02d18f50e";
    let history = stage.wsrep(0)?.state_uuid;
    outage::die(stage)?;
    scale_to_zero(stage)?;
    on_volume(stage, 2, &format!("sed -i -e 's/^uuid:.*/uuid:    {FOREIGN}/' -e 's/^seqno:.*/seqno:   900000/' grastate.dat"))?;
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=3"])?;
    let refused = run(stage, &RECOVER)?;
    ensure!(refused.ended.code == Some(5) && refused.told().contains("650ade90"), "{}", refused.told());
    run(stage, &["operation", "abort", "-y"])?.ended(0, "aborted")?;
    scale_to_zero(stage)?;
    on_volume(stage, 2, "rm -rf ./* ./.[!.]*")?;
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=3"])?;
    let recovered = run(stage, &RECOVER)?;
    recovered.ended(0, "done")?;
    is_whole(stage, &history)?;
    stage.record(Record {
        rows: "10".to_owned(),
        fault: "all killed, and the volume of db-2 is of another history, with the highest seqno".to_owned(),
        did: format!("{}; whole once that volume was empty", refused.said()),
        took: Some(refused.took),
        acknowledged: None,
    })
}

/// Row 13: two members that do not see each other. Neither may go on alone; the network heals it.
pub fn two_halves(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=2"])?;
    let two = Cluster { shape: Shape { members: 2, ..stage.cluster.shape.clone() }, ..stage.cluster.clone() };
    two.wait_healthy(SOON * 2)?;
    let pods = stage.cluster.pods()?;
    let [a, b] = pods.as_slice() else { anyhow::bail!("two pods") };
    let before = standing(stage)?;
    let cut = stage.faults.partition(&[a], &[b])?;
    stage.wait_wsrep("neither has the majority", &[0, 1], |wsrep| wsrep.status == "non-Primary")?;
    let began = Instant::now();
    let left_alone = thread::scope(|scope| {
        let recovery = scope.spawn(|| run(stage, &RECOVER));
        thread::sleep(Duration::from_secs(15));
        let healed = cut.into_iter().try_for_each(Lasting::heal);
        let ended = recovery.join().map_err(|_| anyhow!("the recovery panicked"))?;
        healed.and(ended)
    })?;
    two.wait_healthy(SOON * 2)?;
    ensure!(standing(stage)? == before, "it has changed something:\n{}", left_alone.told());
    let took = began.elapsed();
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=3"])?;
    stage.cluster.wait_healthy(SOON * 3)?;
    is_whole(stage, &history)?;
    stage.record(Record {
        rows: "13".to_owned(),
        fault: "a cut between the two members of a cluster; it heals after 15 s".to_owned(),
        did: format!("forced nothing; {}", left_alone.said()),
        took: Some(took),
        acknowledged: None,
    })
}

/// Row 18: one server sleeps for as long as we look, and longer than the others wait for it.
pub fn frozen(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    let before = standing(stage)?;
    let asleep = stage.faults.pause(&stage.cluster.pod(2)?, "mariadbd")?;
    let began = Instant::now();
    let seen = thread::scope(|scope| {
        let recovery = scope.spawn(|| run(stage, &RECOVER));
        thread::sleep(Duration::from_secs(20));
        let healed = asleep.heal();
        let ended = recovery.join().map_err(|_| anyhow!("the recovery panicked"))?;
        healed.and(ended)
    })?;
    let took = began.elapsed();
    stage.cluster.wait_healthy(SOON * 3)?;
    ensure!(standing(stage)? == before, "it has changed something:\n{}", seen.told());
    is_whole(stage, &history)?;
    stage.record(Record {
        rows: "18".to_owned(),
        fault: "the server of db-2 sleeps (SIGSTOP) for 20 s".to_owned(),
        did: format!("changed nothing; {}", seen.said()),
        took: Some(took),
        acknowledged: None,
    })
}

/// How often all are killed in one trial.
const ROUNDS: usize = 20;

/// Row 2, again and again: all servers are killed while writers write. Every second time no saved view is left, and they cannot
/// come back by themselves.
pub fn rounds(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    let datadir = stage.cluster.shape.layout().datadir;
    let flush = stage.cluster.sql(0, "SELECT @@innodb_flush_log_at_trx_commit")?;
    ensure!(flush.trim() == "1", "innodb_flush_log_at_trx_commit is {flush}");
    let (mut rows, mut took) = (0, Vec::new());
    for round in 0..ROUNDS {
        let writers = Writers::start(&stage.cluster, &Target::Any, 3, &stage.folder.join("acknowledged"))?;
        thread::sleep(Duration::from_secs(3));
        let forgotten = round % 2 == 0;
        for ordinal in (0..3).filter(|_| forgotten) {
            stage.cluster.exec(ordinal, &format!("rm {datadir}/gvwstate.dat"), "")?;
        }
        stage.faults.kill_servers(&stage.cluster.pods()?)?;
        let recovered = run(stage, &RECOVER)?;
        ensure!(recovered.ended.code == Some(0), "round {round}: {}", recovered.told());
        stage.cluster.wait_healthy(SOON * 2)?;
        let written = writers.stop()?;
        oracle::check(&stage.cluster, &written.acknowledged).with_context(|| format!("round {round}"))?;
        let how = if forgotten { "views gone" } else { "views saved" };
        let count = written.acknowledged.rows();
        eprintln!("         round {round}, {how}: {count} rows, {:.1} s, {}", recovered.took.as_secs_f32(), recovered.said());
        rows += count;
        if forgotten {
            took.push(recovered.took);
        }
    }
    is_whole(stage, &history)?;
    took.sort_unstable();
    stage.record(Record {
        rows: "2".to_owned(),
        fault: format!("{ROUNDS} times: all servers killed while writers write, every second time without saved views"),
        did: format!("whole each time; the time is the median of those {} that it had to recover", took.len()),
        took: took.get(took.len() / 2).copied(),
        acknowledged: Some(rows),
    })
}

/// Row 2 without the plugin, for comparison: what the vendor's page tells a person to do, typed without a pause.
pub fn by_hand(stage: &Stage) -> Result<()> {
    const RECOVER: &str = "mariadbd --user=mysql --datadir=$PWD --socket=/tmp/socket --pid-file=/tmp/pid --skip-networking \
        --binlog-format=ROW --innodb-autoinc-lock-mode=2 --wsrep-on=ON --wsrep-cluster-address=gcomm:// \
        --wsrep-provider=/usr/lib/galera/libgalera_smm.so --wsrep-recover >/tmp/log 2>&1 || true; chown -R mysql:mysql .; \
        grep -o 'Recovered position.*' /tmp/log | grep -oE ':[0-9]+' | tail -1 | tr -d : || cat /tmp/log";
    let history = stage.wsrep(0)?.state_uuid;
    let writers = Writers::start(&stage.cluster, &Target::Any, 3, &stage.folder.join("acknowledged"))?;
    thread::sleep(Duration::from_secs(3));
    outage::kill(stage, &[0, 1, 2])?;
    thread::sleep(Duration::from_secs(5));
    let began = Instant::now();
    scale_to_zero(stage)?;
    let mut positions = Vec::new();
    for ordinal in 0..3 {
        let position = on_volume(stage, ordinal, RECOVER)?;
        positions.push(position.trim().parse::<u64>().with_context(|| format!("db-{ordinal}: {position:?}"))?);
    }
    ensure!(positions[0] >= positions[1] && positions[0] >= positions[2], "another one would have to found it: {positions:?}");
    on_volume(stage, 0, "sed -i 's/^safe_to_bootstrap:.*/safe_to_bootstrap: 1/' grastate.dat")?;
    stage.cluster.kubectl(&["scale", "statefulset/db", "--replicas=3"])?;
    stage.cluster.wait_healthy(SOON * 3)?;
    let took = began.elapsed();
    let written = writers.stop()?;
    oracle::check(&stage.cluster, &written.acknowledged)?;
    is_whole(stage, &history)?;
    eprintln!("         by hand {:.1} s", took.as_secs_f32());
    stage.record(Record {
        rows: "2".to_owned(),
        fault: "all servers killed while writers write, no saved view left: by hand, for comparison".to_owned(),
        did: "nothing: scale to 0, a pod for each volume that recovers its position, one marked as safe, scale to 3".to_owned(),
        took: Some(took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}
