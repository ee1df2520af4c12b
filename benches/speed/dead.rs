//! Pods that never answer.

use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use crate::measure::{median, time};
use crate::place::Program;
use crate::report::{Bar, Report};
use crate::support::world::{Cluster, ExecState, World};

const RUNS: usize = 5;

pub fn measure(report: &mut Report, runtime: &Runtime, program: &Program) -> Result<()> {
    for (dead, seconds) in [(1, 1), (3, 1), (1, 3), (3, 3)] {
        let mut cluster = Cluster::galera("shop", "db", 3);
        (0..dead).for_each(|ordinal| cluster.member(ordinal).exec = ExecState::Hangs);
        let server = runtime.block_on(World::with([cluster]).serve());
        let kubeconfig = server.kubeconfig();
        let timeout = format!("--pod-timeout={seconds}s");
        let run = || time(&mut program.status(&kubeconfig, &["db", &timeout]), &[3, 4]);
        let beyond: Result<Vec<f64>> =
            (0..RUNS).map(|_| Ok((run()?.saturating_sub(Duration::from_secs(seconds))).as_secs_f64())).collect();
        let what = format!("{dead} of 3 pods hang: time beyond `{timeout}`");
        report.line(what, median(beyond?), 3, " s", Bar::AtMost(0.2));
    }
    Ok(())
}
