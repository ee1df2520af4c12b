//! What must be true in the end: no promised row is lost, all members hold the same, one cluster takes writes.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use mysql::prelude::Queryable;

use super::cluster::Cluster;
use super::shape::{DATABASE, Kind};
use super::writers::Acknowledged;

/// A table and its checksum; none if the table cannot be read.
type Checksum = (String, Option<u64>);

/// Asks every member; the cluster must be healthy.
///
/// # Errors
/// The first promise that was broken, naming the member and rows.
pub fn check(cluster: &Cluster, acknowledged: &Acknowledged) -> Result<()> {
    cluster.look()?;
    let mut held: Vec<(String, Vec<Checksum>)> = Vec::new();
    for pod in cluster.pods()? {
        let mut server = cluster.connect(&pod)?;
        for (writer, promised) in acknowledged.0.iter().enumerate() {
            let present: BTreeSet<u64> = server.query(format!("SELECT id FROM {DATABASE}.w{writer}"))?.into_iter().collect();
            if let Some(lost) = missing(promised, &present) {
                bail!("{} lost acknowledged rows of writer {writer}: {lost}", pod.name);
            }
        }
        let tables: Vec<String> = server.query(format!("SHOW TABLES FROM {DATABASE}"))?;
        let mut sums = Vec::new();
        for table in tables {
            sums.extend(server.query::<Checksum, _>(format!("CHECKSUM TABLE {DATABASE}.`{table}` EXTENDED"))?);
        }
        held.push((pod.name, sums));
    }
    if cluster.shape.kind != Kind::Independent
        && let Some(pair) = held.windows(2).find(|pair| pair[0].1 != pair[1].1)
    {
        bail!("members hold different data: {pair:?}");
    }
    ensure!(!held.is_empty(), "no member to ask");
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
