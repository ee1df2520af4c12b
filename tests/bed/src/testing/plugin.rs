//! The plugin as its users run it: the real binary, a kubeconfig, a deadline.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::cluster::Cluster;
use super::run::{Ended, run};
use crate::Bed;

/// Names the binary under test.
pub const BINARY: &str = "KUBECTL_MARIADB";

/// Longer than any status may take with dead pods and a dead API server.
const LIMIT: Duration = Duration::from_secs(40);

#[derive(Clone, Debug)]
pub struct Plugin {
    binary: PathBuf,
    kubeconfig: PathBuf,
    network: PathBuf,
}

/// One `status`, as JSON and as the screen a human sees.
#[derive(Clone, Debug)]
pub struct Seen {
    pub document: Value,
    pub structured: Ended,
    pub table: Ended,
}

impl Plugin {
    /// # Errors
    /// There is no binary: neither `KUBECTL_MARIADB` nor the build folder of this test has one.
    pub fn of(bed: &Bed) -> Result<Self> {
        let built = || -> Option<PathBuf> {
            let own = std::env::current_exe().ok()?;
            // target/debug/deps/e2e-… and target/debug/bed both end in target/debug.
            own.ancestors().skip(1).take(2).map(|folder| folder.join("kubectl-mariadb")).find(|file| file.exists())
        };
        let binary = std::env::var_os(BINARY).map(PathBuf::from).or_else(built);
        let binary = binary.with_context(|| format!("there is no kubectl-mariadb to test; build it or name it in {BINARY}"))?;
        ensure!(binary.exists(), "{BINARY} names {}, which is not there", binary.display());
        Ok(Self { binary, kubeconfig: bed.kubeconfig(), network: bed.layout().network() })
    }

    /// The same binary for another user.
    #[must_use]
    pub fn with_kubeconfig(&self, kubeconfig: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), ..self.clone() }
    }

    /// `kubectl mariadb ARGS` in the bed's network, with nothing of our own environment.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.network.display())).arg("--").arg(&self.binary).args(args);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").env("COLUMNS", "80");
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// # Errors
    /// It is not done after 40 s.
    pub fn run(&self, args: &[&str]) -> Result<Ended> {
        run(self.command(args), "", LIMIT)
    }

    /// The same with a deadline of its own, for commands that wait for pods.
    ///
    /// # Errors
    /// It is not done within `limit`.
    pub fn run_within(&self, args: &[&str], limit: Duration) -> Result<Ended> {
        run(self.command(args), "", limit)
    }

    /// `status` of the cluster, twice, with more arguments.
    ///
    /// # Errors
    /// It does not end, or `-o json` prints something else than one document.
    pub fn status(&self, cluster: &Cluster, more: &[&str]) -> Result<Seen> {
        let target = cluster.shape.target();
        let mut args = vec!["status", &target, "-n", &cluster.namespace];
        args.extend(more);
        let table = self.run(&args)?;
        args.extend(["-o", "json"]);
        let structured = self.run(&args)?;
        let document = serde_json::from_str(&structured.stdout).with_context(|| {
            format!(
                "`status -o json` ended with {:?} and no document: {}{}",
                structured.code, structured.stdout, structured.stderr
            )
        })?;
        Ok(Seen { document, structured, table })
    }
}

impl Seen {
    /// Codes of all findings.
    #[must_use]
    pub fn codes(&self) -> BTreeSet<&str> {
        self.findings().filter_map(|finding| finding["code"].as_str()).collect()
    }

    pub fn findings(&self) -> impl Iterator<Item = &Value> {
        self.document["findings"].as_array().into_iter().flatten()
    }

    /// Everything a human could look at, for the report of a failed test.
    #[must_use]
    pub fn told(&self) -> String {
        format!(
            "exit {:?} and {:?}\n{}{}\n{}",
            self.table.code, self.structured.code, self.table.stdout, self.table.stderr, self.structured.stdout
        )
    }
}
