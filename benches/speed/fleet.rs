//! Many clusters at once.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::measure::{Cost, best, cost, median};
use crate::place::{Program, SEEN};
use crate::report::{Bar, Report};
use crate::support::world::{Cluster, World};
use crate::support::{Answer, Request, Server};

const SIZES: [u32; 3] = [50, 100, 200];
const RUNS: usize = 5;
const MIB: f64 = 1024.0 * 1024.0;

/// What one size came to.
struct Figures {
    pods: u32,
    lists: usize,
    seconds: f64,
    busy: f64,
    first_row: f64,
    memory: f64,
}

pub fn measure(report: &mut Report, runtime: &Runtime, program: &Program) -> Result<()> {
    let all: Result<Vec<Figures>> = SIZES.iter().map(|clusters| one_size(runtime, program, *clusters)).collect();
    let all = all?;
    let (least, most) = (&all[0], &all[all.len() - 1]);
    for Figures { pods, lists, seconds, busy, first_row, memory } in &all {
        let what = format!("{pods} pods of {} clusters", pods / 3);
        report.line(format!("{what}: time"), *seconds, 2, " s", Bar::None);
        report.line(format!("{what}: first row (`-o jsonl`)"), *first_row, 2, " s", Bar::None);
        report.line(format!("{what}: CPU time of `status`"), *busy, 3, " s", Bar::None);
        report.line(format!("{what}: requests beside the execs"), *lists as f64, 0, "", Bar::AtMost(least.lists as f64));
        report.line(format!("{what}: peak memory"), *memory, 1, " MiB", Bar::AtMost(64.0));
    }
    // Not the time: the API server of this process shares the CPUs, and its work grows, too.
    let a_pod = |figures: &Figures| figures.busy / f64::from(figures.pods);
    let what = format!("CPU time a pod, with {} pods / with {}", most.pods, least.pods);
    report.line(what, a_pod(most) / a_pod(least), 2, " ×", Bar::AtMost(1.2));
    Ok(())
}

fn one_size(runtime: &Runtime, program: &Program, clusters: u32) -> Result<Figures> {
    let fleet = (0..clusters).map(|number| Cluster::galera(&format!("shop-{}", number % 20), &format!("db{number}"), 3));
    let world = World::with(fleet);
    let server = runtime.block_on(Server::start(move |request| as_big_as_real(world.answer(request), request)));
    let kubeconfig = server.kubeconfig();
    let mut lists = 0;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let before = server.log().text().lines().filter(|line| is_list(line)).count();
        let Cost { taken, busy, memory } = cost(&mut program.status(&kubeconfig, &["--all-namespaces"]), SEEN)?;
        lists = server.log().text().lines().filter(|line| is_list(line)).count() - before;
        runs.push((taken.as_secs_f64(), busy.as_secs_f64(), memory as f64 / MIB));
    }
    let first_row: Result<Vec<f64>> = (0..RUNS).map(|_| first_row(program, &kubeconfig)).collect();
    Ok(Figures {
        pods: 3 * clusters,
        lists,
        seconds: best(runs.iter().map(|run| run.0)),
        first_row: best(first_row?),
        busy: best(runs.iter().map(|run| run.1)),
        memory: median(runs.iter().map(|run| run.2)),
    })
}

fn is_list(line: &str) -> bool {
    line.starts_with("  GET ") && !line.contains("/exec?")
}

fn first_row(program: &Program, kubeconfig: &Path) -> Result<f64> {
    let mut command = program.status(kubeconfig, &["--all-namespaces", "--output=jsonl"]);
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
    output.read_line(&mut String::new())?;
    let taken = start.elapsed();
    std::io::copy(&mut output, &mut std::io::sink())?;
    child.wait()?;
    Ok(taken.as_secs_f64())
}

/// Objects of the model world hold only what is read. Real ones are larger; these are sizes of those in the bed.
fn as_big_as_real(answer: Answer, request: &Request) -> Answer {
    let bytes = match request.path.rsplit('/').next() {
        Some("pods" | "statefulsets") => 9000,
        Some("nodes" | "endpointslices") => 4000,
        Some("persistentvolumeclaims" | "services" | "events") => 1500,
        _ => return answer,
    };
    let Answer::Json(mut list) = answer else { return answer };
    for object in list["items"].as_array_mut().into_iter().flatten() {
        pad(object, bytes);
    }
    Answer::Json(list)
}

fn pad(object: &mut Value, bytes: usize) {
    let missing = bytes.saturating_sub(object.to_string().len());
    object["metadata"]["managedFields"] = json!([{ "fieldsV1": { "f:metadata": "x".repeat(missing) } }]);
}
