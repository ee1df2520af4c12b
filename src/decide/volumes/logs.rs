//! What the servers of a replicating cluster have, to compare the log with that a stopped replica left beside its data.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::fact::Why;
use crate::model::gtid::{Errant, Gtid, GtidList, GtidState};
use crate::model::names::Ordinal;
use crate::model::server::Server;
use crate::model::snapshot::Snapshot;
use crate::model::topology::{Primary, Topology};

/// Stands for the name of the pod in the name of a log.
const POD: &str = "{pod}";

/// All of them log what they replicate, so a volume that was made of the same pod template holds nothing that its own log does not
/// tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// What the primary has logged, by domain and server. Its log goes back to the beginning.
    pub primary: GtidState,
    /// How far each replica is. None of them has anything that the primary has not.
    pub replicas: BTreeMap<String, GtidList>,
    /// The name of the binary log, as in `binlog`; with `{pod}` in it where it holds the pod's name.
    pub name: String,
}

impl Logs {
    /// `Ok(Err)`: they cannot be compared with a log, and why.
    ///
    /// # Errors
    /// A server did not answer.
    pub fn of(seen: &Snapshot) -> Result<Result<Self, String>, Why> {
        let mut servers: BTreeMap<Ordinal, &Server> = BTreeMap::new();
        for (ordinal, member) in seen.expected() {
            servers.insert(ordinal, member.server.known().map_err(Clone::clone)?);
        }
        Ok(Self::of_servers(seen, &servers))
    }

    fn of_servers(seen: &Snapshot, servers: &BTreeMap<Ordinal, &Server>) -> Result<Self, String> {
        let first = match Topology::of(seen) {
            Topology::Replication { primary: Primary::Pod(ordinal) } => Some(ordinal),
            Topology::Single => servers.keys().next().copied(),
            _ => None,
        };
        let (ordinal, primary) = first
            .and_then(|ordinal| Some((ordinal, *servers.get(&ordinal)?)))
            .ok_or("who the primary is cannot be told, so there is no log to compare with")?;
        let silent = |server: &&&Server| !server.binlog.enabled || !server.binlog.logs_replicated;
        if servers.values().any(|server| silent(&server)) {
            return Err("the servers do not log what they replicate, so no log can be compared".to_owned());
        }
        let logged = &primary.gtid.binlog_state;
        let is_logged = |gtid: &Gtid| logged.sequence(gtid.domain, gtid.server) >= gtid.sequence;
        if logged.is_empty() || !primary.gtid.slave_pos.0.values().all(is_logged) {
            return Err(format!("the binary log of {} does not go back far enough to compare with", seen.pod_name(ordinal)));
        }
        let mut replicas = BTreeMap::new();
        for (other, server) in servers.iter().filter(|(other, _)| **other != ordinal) {
            let pod = seen.pod_name(*other);
            // What the primary has written since it was asked is on its way.
            let errant = server.gtid.binlog_state.errant_against(logged);
            if errant.iter().any(|errant| errant.server != primary.server_id) {
                return Err(format!("{pod} has transactions that {} has not", seen.pod_name(ordinal)));
            }
            replicas.insert(pod, server.gtid.slave_pos.furthest(&server.gtid.binlog_pos));
        }
        let names: Vec<String> =
            servers.iter().map(|(ordinal, server)| name(seen, *ordinal, server)).collect::<Result<_, _>>()?;
        match names.split_first() {
            Some((name, others)) if others.iter().all(|other| other == name) => {
                Ok(Self { primary: logged.clone(), replicas, name: name.clone() })
            }
            _ => Err(format!("the servers name their binary logs differently ({})", names.join(", "))),
        }
    }

    /// What the log of the servers' own name ended with on the volume of `pod`. Another log there may be one of long ago: a server
    /// forgets a log that is given another name or place.
    ///
    /// # Errors
    /// There is none, in words that go after "it holds is not known: ".
    pub fn ended<'a>(&self, pod: &str, found: &'a BTreeMap<String, GtidState>) -> Result<&'a GtidState, String> {
        let name = self.name.replace(POD, pod);
        let others = || found.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        match found.get(&name) {
            Some(state) if state.is_empty() => Err(format!("its binary log {name} was empty")),
            Some(state) => Ok(state),
            None => Err(format!("the servers log to {name}, and the log that was closed there is {}", others())),
        }
    }

    /// The transactions in a log that ended with `state` that the primary has not logged, or that a replica has not reached; in words
    /// that a shell takes as they are.
    #[must_use]
    pub fn lacking(&self, state: &GtidState) -> BTreeSet<String> {
        let words = |Errant { domain, server, from, to }: Errant| format!("{domain}-{server}-{from}..{to}");
        let unknown: BTreeSet<String> = state.errant_against(&self.primary).into_iter().map(words).collect();
        if unknown.is_empty() {
            self.replicas.values().flat_map(|position| state.errant_after(position)).map(words).collect()
        } else {
            unknown
        }
    }

    /// Whether two moments are about the same data, whichever was first: logs only grow.
    #[must_use]
    pub fn is_of_one_history(&self, other: &Self) -> bool {
        let grew = |before: &Self, now: &Self| before.primary.errant_against(&now.primary).is_empty();
        self.replicas.len() == other.replicas.len() && self.name == other.name && (grew(self, other) || grew(other, self))
    }
}

/// The name of a server's binary log in its data directory.
fn name(seen: &Snapshot, ordinal: Ordinal, server: &Server) -> Result<String, String> {
    let pod = seen.pod_name(ordinal);
    let unknown = || format!("where {pod} has its binary log is not known");
    let basename = server.binlog.basename.as_deref().ok_or_else(unknown)?;
    let datadir = seen.members[&ordinal].files.known().map_err(|_| unknown())?.datadir.trim_end_matches('/');
    let (folder, stem) = basename.rsplit_once('/').ok_or_else(unknown)?;
    if folder.trim_end_matches('/') != datadir {
        return Err(format!("{pod} has its binary log outside of its data directory, in {folder}"));
    }
    Ok(stem.replacen(&pod, POD, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::server::Gtids;
    use crate::model::testing::{gtids, healthy_replication, server_of, silence, single};

    fn of(seen: &Snapshot) -> Logs {
        Logs::of(seen).unwrap().unwrap()
    }

    fn state(text: &str) -> GtidState {
        text.parse().unwrap()
    }

    #[test]
    fn every_server_has_what_the_primary_has_logged_and_the_replicas_have_reached() {
        let mut seen = healthy_replication();
        server_of(&mut seen, 0).gtid = Gtids { binlog_state: state("0-10-3514,0-11-3500"), ..gtids("0-10-3514", "0-11-3500") };
        // Seeded a moment ago: its own log knows of one server alone.
        server_of(&mut seen, 2).gtid = gtids("0-10-3512", "0-10-3512");
        let logs = of(&seen);
        assert!(logs.lacking(&state("0-11-3500,0-10-3501")).is_empty());
        assert_eq!(logs.lacking(&state("0-10-3514")), BTreeSet::from(["0-10-3513..3514".to_owned()]), "db-2 is not there yet");
        assert_eq!(logs.lacking(&state("0-10-3510,0-12-3511")), BTreeSet::from(["0-12-1..3511".to_owned()]));
    }

    #[test]
    fn a_primary_whose_log_begins_late_is_nothing_to_compare_with() {
        let mut seen = healthy_replication();
        server_of(&mut seen, 0).gtid = gtids("0-10-4000", "0-12-3599");
        assert!(Logs::of(&seen).unwrap().unwrap_err().contains("does not go back far enough"));
        server_of(&mut seen, 0).gtid = gtids("0-10-4000", "");
        server_of(&mut seen, 1).gtid = Gtids { binlog_state: state("0-10-4000,0-11-4001"), ..gtids("0-11-4001", "0-10-4000") };
        assert!(Logs::of(&seen).unwrap().unwrap_err().contains("db-1 has transactions"));
        let id = server_of(&mut seen, 0).server_id;
        server_of(&mut seen, 0).gtid = gtids(&format!("0-{id}-4000"), "");
        server_of(&mut seen, 1).gtid = gtids(&format!("0-{id}-4003"), &format!("0-{id}-4003"));
        server_of(&mut seen, 2).gtid = gtids(&format!("0-{id}-4001"), &format!("0-{id}-4001"));
        assert!(Logs::of(&seen).unwrap().is_ok(), "the primary was asked first");
        silence(&mut seen, 1);
        assert!(Logs::of(&seen).is_err());
    }

    #[test]
    fn only_the_log_that_the_servers_write_now_tells() {
        let mut seen = healthy_replication();
        let found = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), state("0-10-7"))).collect::<BTreeMap<_, _>>();
        let logs = of(&seen);
        assert!(logs.ended("db-3", &found(&["binlog"])).is_ok() && logs.ended("db-3", &found(&["binlog", "old"])).is_ok());
        assert!(
            logs.ended("db-3", &found(&["old"])).unwrap_err().contains("log to binlog, and the log that was closed there is old")
        );
        for ordinal in 0..3 {
            server_of(&mut seen, ordinal).binlog.basename = Some(format!("/var/lib/mysql/db-{ordinal}-bin"));
        }
        let logs = of(&seen);
        assert!(logs.ended("db-3", &found(&["db-3-bin"])).is_ok() && logs.ended("db-3", &found(&["db-2-bin"])).is_err());
        server_of(&mut seen, 1).binlog.basename = Some("/logs/db-1-bin".to_owned());
        assert!(Logs::of(&seen).unwrap().unwrap_err().contains("outside of its data directory, in /logs"));
        server_of(&mut seen, 1).binlog.basename = None;
        assert!(Logs::of(&seen).unwrap().is_err());
    }

    #[test]
    fn one_server_alone_may_have_had_replicas() {
        assert!(Logs::of(&single()).unwrap().is_ok());
    }
}
