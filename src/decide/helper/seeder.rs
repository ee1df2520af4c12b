//! The helper that takes a copy of a server's data into the volume of a new replica.

use serde_json::json;

use crate::model::names::Ordinal;

use super::{Helper, Kind, Template};

/// Takes the copy, prepares it, and moves it into its place when it is whole.
const SEED: &str = include_str!("seed.sh");

/// As state transfers of Galera use it: rules of a network that let members copy from each other know it.
const PORT: u16 = 4444;

/// How long it listens for somebody who gives.
const LISTENS: u32 = 120;

impl Template<'_> {
    /// A helper that takes into the data directory of a new ordinal what the pod at the address `from` gives, and from nobody else.
    ///
    /// # Errors
    /// Why it cannot be made, as one sentence.
    pub fn seeder(&self, ordinal: Ordinal, datadir: &str, from: &str) -> Result<Helper, String> {
        let (version, range) = if from.contains(':') { (6, format!("[{from}]/128")) } else { (4, format!("{from}/32")) };
        let listen = format!("TCP{version}-LISTEN:{PORT},reuseaddr,range={range},accept-timeout={LISTENS}");
        let command = json!(["sh", "-c", SEED, "seed", datadir, listen]);
        let mut helper = self.changer(ordinal, Kind::Seed, None, datadir, &command)?;
        let database = self.database()?;
        let spec = &mut helper.job["spec"]["template"]["spec"];
        // Preparing a copy is the crash recovery of the server.
        spec["containers"][0]["resources"] =
            if database["resources"].is_null() { json!({}) } else { database["resources"].clone() };
        // A new volume is made where this pod runs, and the member must be able to run there, too: away from the others, as its own
        // rules most often say.
        let members = json!({"matchLabels": self.template["metadata"]["labels"]});
        let apart = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": members});
        spec["affinity"]["podAntiAffinity"] =
            json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": apart}]});
        Ok(helper)
    }
}

/// Where whoever gives the copy sends it, as `socat` names it. `ip`: of the helper pod.
#[must_use]
pub fn way_to(ip: &str) -> String {
    if ip.contains(':') { format!("TCP6:[{ip}]:{PORT}") } else { format!("TCP4:{ip}:{PORT}") }
}

/// Whether the log of a seeder says that the copy is whole and in its place.
///
/// # Errors
/// It is not, or nobody can tell; as one sentence.
pub fn seeded(log: &str) -> Result<(), String> {
    if let Some((_, why)) = log.lines().rev().find_map(|line| line.split_once("kubectl-mariadb: refused: ")) {
        return Err(why.trim_end().to_owned());
    }
    if log.lines().any(|line| line.trim_end() == "kubectl-mariadb: seeded") {
        return Ok(());
    }
    let said = log.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("nothing");
    Err(format!("its helper pod did not finish; it said last: {said}"))
}
