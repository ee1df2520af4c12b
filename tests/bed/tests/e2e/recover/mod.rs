//! `galera recover` with writers: from a total outage to every member Synced, and every acknowledged row there.

pub mod disturbed;
pub mod held;
pub mod lost;
pub mod rows;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bed::testing::faults::Lasting;
use bed::testing::oracle;
use bed::testing::reliability::Record;
use bed::testing::run::Ended;
use bed::testing::writers::{Target, Writers};
use serde_json::Value;

use crate::grastate::{nothing_left, outage};
use crate::stage::{Expected, SOON, Stage};

/// A recovery of three small members on a busy machine.
const LIMIT: Duration = Duration::from_secs(480);

struct Recover {
    ended: Ended,
    document: Value,
    took: Duration,
}

fn run(stage: &Stage, args: &[&str]) -> Result<Recover> {
    let began = Instant::now();
    let target: &[&str] = if args.contains(&"bootstrap") { &[] } else { &["db"] };
    let args = [args, target, &["-n", &stage.cluster.namespace, "--pod-timeout=15s", "-o", "json"]].concat();
    let ended = stage.plugin.run_within(&args, LIMIT)?;
    let document = serde_json::from_str(&ended.stdout)
        .with_context(|| format!("exit {:?} and no document: {}{}", ended.code, ended.stdout, ended.stderr))?;
    Ok(Recover { document, took: began.elapsed(), ended })
}

impl Recover {
    fn told(&self) -> String {
        format!("exit {:?} after {:?}\n{:#}\n{}", self.ended.code, self.took, self.document, self.ended.stderr)
    }

    fn said(&self) -> String {
        format!("exit {}: {}", self.ended.code.unwrap_or(-1), self.document["message"].as_str().unwrap_or_default())
    }

    fn ended_with(&self, exit: i32) -> Result<()> {
        ensure!(self.ended.code == Some(exit), "exit {exit} was expected:\n{}", self.told());
        Ok(())
    }

    fn refused(&self, code: &str) -> Result<()> {
        let right = self.ended.code == Some(5) && self.document["code"] == code;
        ensure!(right, "exit 5 and {code} were expected:\n{}", self.told());
        Ok(())
    }

    /// Whose election the plan named: the document of an operation that is done lists no steps.
    fn founded_by(&self, may: &[&str]) -> Result<()> {
        let told = self.ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let founds = |pod: &&str| told.contains(&format!("let {pod} found the cluster"));
        let right = may.iter().any(founds) && !["db-0", "db-1", "db-2"].iter().any(|pod| founds(pod) && !may.contains(pod));
        ensure!(right, "one of {may:?} was to found it:\n{}", self.told());
        Ok(())
    }

    fn ended(&self, exit: i32, outcome: &str) -> Result<()> {
        let right = self.ended.code == Some(exit) && self.document["outcome"] == outcome;
        ensure!(right, "exit {exit} and {outcome} were expected:\n{}", self.told());
        Ok(())
    }
}

/// Every member has the rows that db-2 did not have when all died.
fn holds_what_the_majority_wrote(stage: &Stage, recovered: &Recover) -> Result<()> {
    for ordinal in 0..3 {
        let rows = stage.cluster.sql(ordinal, "SELECT COUNT(*) FROM trial.ahead")?;
        ensure!(rows.trim() == "20", "db-{ordinal} holds {rows} of 20 rows\n{}", recovered.told());
    }
    Ok(())
}

/// Whole again, with the history it had, and nothing of ours is left.
fn is_whole(stage: &Stage, history: &str) -> Result<()> {
    stage.cluster.wait_healthy(SOON)?;
    nothing_left(stage)?;
    let bare = stage.cluster.kubectl(&["get", "pods", "-l", "kubectl-mariadb/bootstrap", "-o", "name"])?;
    ensure!(bare.trim().is_empty(), "left: {bare}");
    let set = stage.cluster.get("statefulset/db")?;
    ensure!(set["spec"]["replicas"] == 3 && set["spec"]["ordinals"].is_null(), "{:#}", set["spec"]);
    let now = stage.wsrep(0)?.state_uuid;
    ensure!(now == history, "the history was {history} and is {now}");
    stage.status(&Expected::default()).map(drop)
}

/// Row 2: all servers are killed under load, and no saved view is left: each start ends for want of a primary component.
pub fn all_killed(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    let whole = run(stage, &["galera", "recover", "-y"])?;
    whole.ended(0, "nothingToDo")?;
    let writers = Writers::start(&stage.cluster, &Target::Any, 3, &stage.folder.join("acknowledged"))?;
    std::thread::sleep(Duration::from_secs(3));
    let datadir = stage.cluster.shape.layout().datadir;
    for ordinal in 0..3 {
        stage.cluster.exec(ordinal, &format!("rm {datadir}/gvwstate.dat"), "")?;
    }
    stage.faults.kill_servers(&stage.cluster.pods()?)?;
    std::thread::sleep(Duration::from_secs(5));
    let recovered = run(stage, &["galera", "recover", "-y"])?;
    recovered.ended(0, "done")?;
    let written = writers.stop()?;
    is_whole(stage, &history)?;
    eprintln!(
        "all_killed: whole after {:.1} s; {} rows acknowledged, longest gap {:.1} s",
        recovered.took.as_secs_f32(),
        written.acknowledged.rows(),
        written.longest_gap.as_secs_f32()
    );
    oracle::check(&stage.cluster, &written.acknowledged)?;
    stage.record(Record {
        rows: "2".to_owned(),
        fault: "all servers killed while writers write, no saved view left".to_owned(),
        did: format!("stopped what crashed, read and recovered all positions, elected; {}", recovered.document["message"]),
        took: Some(recovered.took),
        acknowledged: Some(written.acknowledged.rows()),
    })
}

/// Rows 2 and 6: one member was behind when all died. It is not the one that founds the cluster; what was begun can be taken back.
pub fn one_behind(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    let seqnos = outage::die(stage)?;
    ensure!(seqnos[2] < seqnos[0], "{seqnos:?}");
    let recovered = run(stage, &["galera", "recover", "-y"])?;
    recovered.ended(0, "done")?;
    recovered.founded_by(&["db-0", "db-1"])?;
    is_whole(stage, &history)?;
    holds_what_the_majority_wrote(stage, &recovered)?;
    stage.record(Record {
        rows: "2, 6".to_owned(),
        fault: "one member cut off and behind, then all killed".to_owned(),
        did: format!("did not elect the one behind; {}", recovered.document["message"]),
        took: Some(recovered.took),
        acknowledged: None,
    })
}

/// Row 12, and then the majority dies: the one that still answers knows less than the dead.
pub fn who_lives_knows_less(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    let (seqnos, cut) = outage::leave_behind(stage)?;
    outage::kill(stage, &[0, 1])?;
    cut.into_iter().try_for_each(Lasting::heal)?;
    ensure!(seqnos[2] < seqnos[0], "{seqnos:?}");
    let recovered = run(stage, &["galera", "recover", "-y"])?;
    recovered.ended(0, "done")?;
    is_whole(stage, &history)?;
    holds_what_the_majority_wrote(stage, &recovered)?;
    stage.record(Record {
        rows: "12".to_owned(),
        fault: "one member cut off; the majority writes on, then dies; the cut heals".to_owned(),
        did: format!("did not run pc.bootstrap on the one that lived; {}", recovered.document["message"]),
        took: Some(recovered.took),
        acknowledged: Some(20),
    })
}

/// Row 6 by the user's own choice: the one behind founds the cluster, after its price was named and accepted in its own words.
pub fn chosen_behind(stage: &Stage) -> Result<()> {
    let history = stage.wsrep(0)?.state_uuid;
    let seqnos = outage::die(stage)?;
    let refused = run(stage, &["galera", "bootstrap", "db-2", "-y"])?;
    let what = format!("db-0,db-1:{}-{}", seqnos[2] + 1, seqnos[0]);
    let right = refused.ended.code == Some(5) && refused.document["code"] == "MDB732" && refused.told().contains(&what);
    ensure!(right, "a refusal that names {what} was expected:\n{}", refused.told());
    run(stage, &["operation", "abort", "-y"])?.ended(0, "aborted")?;
    let accepted = run(stage, &["galera", "bootstrap", "db-2", "-y", &format!("--accept-data-loss={what}")])?;
    accepted.ended(0, "done")?;
    is_whole(stage, &history)?;
    for ordinal in 0..3 {
        let tables = stage.cluster.sql(ordinal, "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'ahead'")?;
        ensure!(tables.trim() == "0", "db-{ordinal} still holds what was erased\n{}", accepted.told());
    }
    stage.record(Record {
        rows: "6".to_owned(),
        fault: "one member cut off and behind, then all killed; the user chooses that one".to_owned(),
        did: "named what the others hold more and refused; done with exactly these words; all hold the same afterwards"
            .to_owned(),
        took: Some(accepted.took),
        acknowledged: None,
    })
}
