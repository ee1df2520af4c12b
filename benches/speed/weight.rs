//! Size, memory and start-up.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;

use crate::measure::{Turns, cost, median, time};
use crate::place::{Place, Program, SEEN};
use crate::report::{Bar, Report};
use crate::support::Server;
use crate::support::tls::Certificates;
use crate::support::world::{Cluster, World};

const STARTS: usize = 50;
const MB: f64 = 1e6;
const MIB: f64 = 1024.0 * 1024.0;

pub fn measure(report: &mut Report, runtime: &Runtime, program: &Program, place: Option<&Place>) -> Result<()> {
    let turns = Turns::take(
        STARTS,
        &mut [&mut || time(&mut program.command(&["--help"]), &[0]), &mut || time(&mut Command::new("true"), &[0])],
    )?;
    report.line(format!("`--help`, median of {STARTS}"), 1e3 * turns.median(0), 1, " ms", Bar::AtMost(3.0));
    report.line("`--help`, best", 1e3 * turns.best(0), 1, " ms", Bar::None);
    report.line("`true`, median: what any process costs", 1e3 * turns.median(1), 1, " ms", Bar::None);

    let world = World::with([Cluster::galera("shop", "db", 3)]);
    let server = runtime.block_on(world.serve_as(Server::builder().tls(Certificates::for_name("127.0.0.1"))));
    let fake = memory(|| program.status(&server.kubeconfig(), &["db"]))?;
    report.line("peak memory of `status`, 3 pods, fake API server", fake, 1, " MiB", Bar::AtMost(25.0));
    if let Some(Place { ask, .. }) = place {
        let real = memory(|| program.status(&ask.kubeconfig, &[&ask.set, "--namespace", &ask.namespace]))?;
        report.line("peak memory of `status`, 3 pods, the bed", real, 1, " MiB", Bar::AtMost(25.0));
    }
    let size = std::fs::metadata(&program.0)?.len();
    report.line("binary, stripped", size as f64 / MB, 2, " MB", Bar::AtMost(9.0));
    report.line("the same as .tar.gz", compressed(program)? as f64 / MB, 2, " MB", Bar::AtMost(4.0));
    Ok(())
}

fn memory(command: impl Fn() -> Command) -> Result<f64> {
    let runs: Result<Vec<f64>> = (0..5).map(|_| Ok(cost(&mut command(), SEEN)?.memory as f64 / MIB)).collect();
    Ok(median(runs?))
}

fn compressed(program: &Program) -> Result<usize> {
    let folder = program.0.parent().context("the program is in no folder")?;
    let name = program.0.file_name().context("the program has no name")?;
    let packed = Command::new("tar").args(["--create", "--gzip", "--directory"]).arg(folder).arg(name).output()?;
    ensure!(packed.status.success(), "tar failed: {}", String::from_utf8_lossy(&packed.stderr));
    Ok(packed.stdout.len())
}
