//! The figures of `docs/performance.md`, measured in one run. Nothing here fails for being slow.
//!
//! `cargo bench` measures what needs no cluster; `cargo bed bench` measures everything. Words choose sections.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use place::{Place, Program, SEEN};
use report::{Bar, Report};
use support::Server;
use support::tls::Certificates;
use support::world::{Cluster, World};

mod bare;
mod dead;
mod delay;
mod fleet;
mod measure;
mod network;
mod place;
mod report;
mod shell_loop;
#[allow(dead_code, unused_imports)]
#[path = "../../tests/support/mod.rs"]
mod support;
mod weight;

/// Makes this program the bare client.
const BARE: &str = "--bare";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match &args[..] {
        [bare, ask] if bare == BARE => bare_client(Path::new(ask)),
        words => all(words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("speed: {cause:#}");
            ExitCode::FAILURE
        }
    }
}

fn bare_client(ask: &Path) -> Result<()> {
    // As the plugin's own.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(bare::run(ask))
}

fn all(words: &[String]) -> Result<()> {
    // Cargo adds `--bench`.
    let words: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let wanted = |section: &str| words.is_empty() || words.iter().any(|word| section.contains(word.as_str()));
    let runtime = Runtime::new()?;
    let program = Program::find();
    let place = bed(&runtime)?;
    let mut report = Report::default();
    println!("{}", machine()?);

    if wanted("network") {
        report.section("A server in this process, TLS, behind a delaying relay");
        let world = World::with([Cluster::galera("shop", "db", 3)]);
        let server = runtime.block_on(world.serve_as(Server::builder().tls(Certificates::for_name("127.0.0.1"))));
        let place = runtime.block_on(Place::find(&server.kubeconfig(), "shop", "db"))?;
        network::measure(&mut report, &runtime, &program, &place)?;
        rounds(&mut report, &runtime, &program)?;
        drop(server);
    }
    if let Some(place) = place.as_ref().filter(|_| wanted("network")) {
        report.section("The bed's API server behind a delaying relay");
        network::measure(&mut report, &runtime, &program, place)?;
    }
    if let Some(place) = place.as_ref().filter(|_| wanted("loop")) {
        report.section("Against the shell loop, on the bed");
        shell_loop::measure(&mut report, &runtime, &program, place)?;
    }
    if wanted("dead") {
        report.section("Dead pods");
        dead::measure(&mut report, &runtime, &program)?;
    }
    if wanted("fleet") {
        report.section("`status --all-namespaces`");
        fleet::measure(&mut report, &runtime, &program)?;
    }
    if wanted("weight") {
        report.section("Size, memory, start-up");
        weight::measure(&mut report, &runtime, &program, place.as_ref())?;
    }
    if place.is_none() {
        report.note("Without a real cluster: `cargo bed bench` measures the rest.");
    }
    report.end();
    println!("{}", machine()?);
    Ok(())
}

/// `SPEED_CLUSTER=NAMESPACE/NAME` is a cluster of the API server in `KUBECONFIG`.
fn bed(runtime: &Runtime) -> Result<Option<Place>> {
    let Ok(cluster) = std::env::var("SPEED_CLUSTER") else { return Ok(None) };
    let (namespace, name) = cluster.split_once('/').context("SPEED_CLUSTER is not NAMESPACE/NAME")?;
    let kubeconfig = PathBuf::from(std::env::var_os("KUBECONFIG").context("SPEED_CLUSTER is set, KUBECONFIG is not")?);
    runtime.block_on(Place::find(&kubeconfig, namespace, name)).map(Some)
}

/// What is asked, as a slow server sees it.
fn rounds(report: &mut Report, runtime: &Runtime, program: &Program) -> Result<()> {
    let world = World::with([Cluster::galera("shop", "db", 3)]);
    let server = runtime.block_on(world.serve_as(Server::builder().delay(Duration::from_millis(300))));
    measure::time(&mut program.status(&server.kubeconfig(), &["db"]), SEEN)?;
    let sizes: Vec<String> = server.log().rounds().iter().map(|round| round.len().to_string()).collect();
    let what = format!("rounds of requests, 3 pods ({} requests)", sizes.join(" + "));
    report.line(what, sizes.len() as f64, 0, "", Bar::AtMost(2.0));
    Ok(())
}

/// The machine, and how busy it is.
fn machine() -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    Ok(format!("\n{cores} cores, {}, load {load}, {}", std::env::consts::OS, jiff::Timestamp::now().strftime("%F %H:%M UTC")))
}
