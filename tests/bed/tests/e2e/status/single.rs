//! Servers without a cluster.

use anyhow::{Result, ensure};

use crate::stage::{Expected, Stage};

pub fn volume_full(stage: &Stage) -> Result<()> {
    let volume = stage.cluster.volume(0)?;
    let full = stage.faults.fill(stage.cluster.pod(0)?.node()?, &volume, 0.96)?;
    let used = stage.cluster.exec(0, "df --output=pcent /var/lib/mysql | tail -1", "")?.stdout;
    let percent: u32 = used.trim().trim_end_matches('%').parse()?;
    ensure!((95..100).contains(&percent), "the volume is {percent} % full");
    stage.status(&Expected { exit: 3, codes: &["MDB402"], without: &["MDB401"], says: &["db-0"] })?;
    full.heal()
}

/// Somebody scaled a single server to three.
pub fn independent_servers(stage: &Stage) -> Result<()> {
    stage.status(&Expected { exit: 3, codes: &["MDB304"], without: &["MDB303", "MDB301"], says: &["db-0", "db-1", "db-2"] })?;
    Ok(())
}
