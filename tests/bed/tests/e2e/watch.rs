//! `status --watch`, `wait` and `can-stop` on real servers: what happens is seen, and what was allowed does no harm.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bed::process::Process;
use bed::testing::oracle;
use bed::testing::run::{Ended, run};
use bed::testing::writers::{Target, Writers};
use rustix::process::Signal;
use serde_json::Value;

use crate::stage::{SOON, Stage};

/// A `status --watch -o jsonl` that runs, and its documents as they come.
struct Following {
    child: Child,
    documents: Receiver<Value>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Following {
    fn start(stage: &Stage) -> Result<Self> {
        let args = ["status", "sts/db", "-n", &stage.cluster.namespace, "--watch", "-o", "jsonl", "--pod-timeout=5s"];
        let mut command = stage.plugin.command(&args);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("the plugin cannot be started")?;
        let lines = BufReader::new(child.stdout.take().context("it has no stdout")?);
        let (sender, documents) = channel();
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let document = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(document).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, documents })
    }

    /// The next document of this kind.
    fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let (began, mut last) = (Instant::now(), Value::Null);
        // A server that was killed often waits for its next start.
        while began.elapsed() < SOON * 3 {
            match self.documents.recv_timeout(Duration::from_secs(1)) {
                Ok(document) if is(&document) => return Ok(document),
                Ok(document) => last = document,
                Err(_) => {}
            }
        }
        bail!("never {what}; last: {} {}", last["headline"], last["lost"])
    }

    /// Ctrl-C; gives the exit code.
    fn interrupt(mut self) -> Result<Option<i32>> {
        Process::of(self.child.id()).context("it has ended")?.signal(Signal::INT)?;
        Ok(self.child.wait()?.code())
    }
}

fn is_healthy(document: &Value) -> bool {
    document["state"] == "healthy" && document["lost"].is_null()
}

fn ask(stage: &Stage, args: &[&str]) -> Result<Ended> {
    let command = stage.plugin.command(&[args, &["-n", &stage.cluster.namespace, "--pod-timeout=10s"]].concat());
    run(command, "", Duration::from_secs(150))
}

fn ends(stage: &Stage, args: &[&str], code: i32) -> Result<Ended> {
    let ended = ask(stage, args)?;
    ensure!(ended.code == Some(code), "{args:?} ended with {:?}: {}{}", ended.code, ended.stdout, ended.stderr);
    Ok(ended)
}

/// A member is killed and comes back while somebody watches; Ctrl-C ends it with 130.
pub fn member_killed(stage: &Stage) -> Result<()> {
    let following = Following::start(stage)?;
    following.until("healthy at first", is_healthy)?;
    let killed = Instant::now();
    stage.faults.kill_server(&stage.cluster.pod(1)?)?;
    following.until("anything else", |document| !is_healthy(document))?;
    eprintln!("         seen {:.1} s after the kill", killed.elapsed().as_secs_f32());
    following.until("healthy again", is_healthy)?;
    let code = following.interrupt()?;
    ensure!(code == Some(130), "Ctrl-C ended it with {code:?}");
    stage.cluster.wait_healthy(SOON).map(drop)
}

/// The API server dies under the watch: it is said, and when it is back, the watch goes on by itself.
pub fn api_server_restart(stage: &Stage) -> Result<()> {
    let following = Following::start(stage)?;
    following.until("healthy at first", is_healthy)?;
    let down = stage.faults.kill_api_server()?;
    let lost = following.until("lost", |document| !document["lost"].is_null())?;
    let message = lost["lost"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("10.77.0.1:6443"), "it does not name the API server: {message}");
    ensure!(lost["state"] == "healthy", "what was seen last is not shown: {}", lost["headline"]);
    down.heal()?;
    following.until("back", is_healthy)?;
    let code = following.interrupt()?;
    ensure!(code == Some(130), "Ctrl-C ended it with {code:?}");
    Ok(())
}

/// What `can-stop` allows is stopped while clients write; meanwhile it allows no other; `wait` notices the return.
pub fn allowed_stop_loses_nothing(stage: &Stage) -> Result<()> {
    ends(stage, &["wait", "db", "--for=healthy", "--for=primary=db-1", "--timeout=2m"], 0)?;
    let writers = Writers::start(&stage.cluster, &Target::Pod(0), 1, &stage.folder.join("acknowledged"))?;
    let allowed = (0..3).find_map(|_| ask(stage, &["can-stop", "pod/db-1"]).ok().filter(|ended| ended.code == Some(0)));
    let allowed = allowed.context("one of three healthy members may not stop")?;
    ensure!(allowed.stdout.contains("without a full copy (IST)"), "it does not say how db-1 returns: {}", allowed.stdout);
    stage.faults.delete_pods(&stage.cluster.namespace, &["db-1"])?;
    let refused = ends(stage, &["can-stop", "db-2"], 5)?;
    eprintln!("         {}", refused.stdout.lines().nth(1).unwrap_or_default());
    let late = ends(stage, &["wait", "db", "--for=synced", "--timeout=3s"], 6)?;
    ensure!(late.stdout.starts_with("timed out: not synced"), "{}", late.stdout);
    ends(stage, &["wait", "db", "--for=synced", "--timeout=2m"], 0)?;
    let written = writers.stop()?;
    ensure!(written.errors == 0, "clients of db-0 saw errors: {written:?}");
    stage.cluster.wait_healthy(SOON)?;
    oracle::check(&stage.cluster, &written.acknowledged)
}

/// The primary may not stop, a replica may; two servers of one node may not at once.
pub fn replication_keeps_its_primary(stage: &Stage) -> Result<()> {
    ends(stage, &["wait", "db", "--for=synced", "--for=primary=db-0", "--timeout=2m"], 0)?;
    let primary = ends(stage, &["can-stop", "db-0"], 5)?;
    ensure!(primary.stdout.contains("it is the primary"), "{}", primary.stdout);
    ends(stage, &["can-stop", "db-1"], 0)?;
    let node = stage.cluster.pod(0)?.node()?.to_owned();
    ends(stage, &["can-stop", "--node", &node], 5)?;
    ends(stage, &["wait", "db", "--for=primary=db-2", "--timeout=2s"], 6).map(drop)
}
