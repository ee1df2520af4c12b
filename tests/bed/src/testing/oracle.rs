//! What must be true in the end: no promised row is lost, all members hold the same, one cluster takes writes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mysql::prelude::Queryable;

use super::cluster::Cluster;
use super::shape::{DATABASE, Kind};
use super::writers::Acknowledged;

/// How long a replica may take to apply what the primary has logged.
const CATCH_UP: Duration = Duration::from_secs(60);

/// How long a server that has applied everything may still show the lag of a moment ago.
const SETTLED: Duration = Duration::from_secs(5);

/// A table and its checksum; none if the table cannot be read.
type Checksum = (String, Option<u64>);

/// Asks every member; the cluster must be healthy.
///
/// # Errors
/// The first promise that was broken, naming the member and rows.
pub fn check(cluster: &Cluster, acknowledged: &Acknowledged) -> Result<()> {
    wait_caught_up(cluster)?;
    // Only now: a replica that writers kept busy a moment ago is behind, and breaks no promise.
    cluster.wait_healthy(SETTLED)?;
    let mut held: Vec<(String, Vec<Checksum>)> = Vec::new();
    // Of all members: rows that one of them lacks were lost on the way to it, rows that all lack were lost with whoever had them.
    let mut losses = Vec::new();
    for pod in cluster.pods()? {
        let mut server = cluster.connect(&pod)?;
        if cluster.shape.kind == Kind::Galera {
            server.query_drop("SET SESSION wsrep_sync_wait=1")?;
        }
        for (writer, promised) in acknowledged.0.iter().enumerate() {
            let present: BTreeSet<u64> = server.query(format!("SELECT id FROM {DATABASE}.w{writer}"))?.into_iter().collect();
            if let Some(lost) = missing(promised, &present) {
                losses.push(format!("{} lost acknowledged rows of writer {writer}: {lost}", pod.name));
            }
        }
        let tables: Vec<String> = server.query(format!("SHOW TABLES FROM {DATABASE}"))?;
        let mut sums = Vec::new();
        for table in tables {
            sums.extend(server.query::<Checksum, _>(format!("CHECKSUM TABLE {DATABASE}.`{table}` EXTENDED"))?);
        }
        held.push((pod.name, sums));
    }
    ensure!(losses.is_empty(), "{}", losses.join("; "));
    if cluster.shape.kind != Kind::Independent
        && let Some(pair) = held.windows(2).find(|pair| pair[0].1 != pair[1].1)
    {
        bail!("members hold different data: {pair:?}");
    }
    ensure!(!held.is_empty(), "no member to ask");
    Ok(())
}

/// Waits until each replica has applied what the primary has logged: threads that run and a lag of 0 do not prove it.
/// Members of Galera wait by themselves, before they read.
fn wait_caught_up(cluster: &Cluster) -> Result<()> {
    if cluster.shape.kind != Kind::Replication {
        return Ok(());
    }
    let mut servers = Vec::new();
    for pod in cluster.pods()? {
        servers.push((cluster.connect(&pod)?, pod.name));
    }
    let mut logged = None;
    for (server, _) in &mut servers {
        let primary: Option<String> = server.query_first("SELECT @@gtid_binlog_pos FROM DUAL WHERE NOT @@read_only")?;
        logged = logged.or(primary);
    }
    let logged = logged.context("no server is writable")?;
    for (server, name) in &mut servers {
        // A replica that was cut off reconnects first, and then has to catch up beside everything else on this machine.
        let deadline = Instant::now() + CATCH_UP;
        // Zero where it is applied; the primary itself has nobody to wait for.
        while server.exec_first::<i64, _, _>("SELECT IF(@@read_only, MASTER_GTID_WAIT(?, 5), 0)", (&logged,))? != Some(0) {
            ensure!(Instant::now() < deadline, "{name} has not applied {logged} within {} s", CATCH_UP.as_secs());
        }
    }
    Ok(())
}

/// `None`: nothing is missing.
fn missing(promised: &BTreeSet<u64>, present: &BTreeSet<u64>) -> Option<String> {
    let lost: Vec<_> = promised.difference(present).collect();
    let (first, last) = (lost.first()?, lost.last()?);
    Some(format!("{} of {}, ids {first} to {last}", lost.len(), promised.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_nobody_was_promised_are_welcome_and_lost_ones_are_named() {
        let set = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(missing(&set(&[1, 2]), &set(&[1, 2, 3])), None);
        assert_eq!(missing(&set(&[1, 2, 5, 9]), &set(&[1, 9])).unwrap(), "2 of 4, ids 2 to 5");
    }
}
