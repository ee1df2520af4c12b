//! What one server said about itself over SQL, in one sample.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::gtid::{Errant, Gtid, GtidList, GtidState};
use super::replica::Channel;
use super::version::Version;
use super::wsrep;

/// One answer of one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    pub asked: Timestamp,
    pub version: Version,
    pub uptime: Duration,
    pub server_id: u32,
    pub hostname: String,
    /// `@@read_only`; on MariaDB it does not stop accounts with READ_ONLY ADMIN.
    pub read_only: bool,
    pub binlog: Binlog,
    pub gtid: Gtids,
    /// `None`: no Galera provider is loaded, or `wsrep_on` is OFF.
    pub galera: Option<Galera>,
    /// One per `SHOW ALL REPLICAS STATUS` row; empty on a server that replicates from nobody.
    pub channels: Vec<Channel>,
    /// Replicas with a binlog dump running from this server (`Slaves_connected`).
    pub replicas_connected: u32,
    /// `@@innodb_flush_log_at_trx_commit`: only 1 keeps every acknowledged row through a power cut.
    pub flush_log_at_commit: u32,
    pub connections: Connections,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binlog {
    pub enabled: bool,
    /// `@@log_slave_updates`.
    pub logs_replicated: bool,
    /// `@@log_bin_basename`: where it is, without the number of the file.
    #[serde(default)]
    pub basename: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gtids {
    pub domain: u32,
    pub strict: bool,
    pub binlog_pos: GtidList,
    pub slave_pos: GtidList,
    pub current_pos: GtidList,
    /// The only one of these that allows divergence checks (per domain and server).
    pub binlog_state: GtidState,
}

impl Gtids {
    /// The transactions of this server that `source` has not. Exact while the source's binary log goes back far enough; of a
    /// source that was rebuilt or reset, or that does not log what it replicates, only those beyond its position are found.
    #[must_use]
    pub fn errant_against(&self, source: &Self) -> Vec<Errant> {
        let logged = |gtid: &Gtid| source.binlog_state.sequence(gtid.domain, gtid.server) >= gtid.sequence;
        if !source.binlog_state.is_empty() && source.slave_pos.0.values().all(logged) {
            self.binlog_state.errant_against(&source.binlog_state)
        } else {
            self.binlog_state.errant_after(&source.slave_pos.furthest(&source.binlog_pos))
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Galera {
    pub status: wsrep::Status,
    /// `mysql.wsrep_cluster_members`: the last *Primary* view this server was in.
    pub view: Vec<wsrep::ViewMember>,
    pub cluster_name: String,
    pub node_name: String,
    /// `wsrep_provider_options`, parsed.
    pub options: BTreeMap<String, String>,
    /// `@@wsrep_desync`.
    pub desync: bool,
    /// `@@wsrep_sst_method`.
    pub sst_method: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connections {
    pub now: u32,
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gtids(binlog_state: &str, slave_pos: &str, binlog_pos: &str) -> Gtids {
        let position = |text: &str| text.parse::<GtidList>().unwrap();
        Gtids {
            domain: 0,
            strict: true,
            binlog_pos: position(binlog_pos),
            slave_pos: position(slave_pos),
            current_pos: position(binlog_pos),
            binlog_state: binlog_state.parse().unwrap(),
        }
    }

    #[test]
    fn errant_transactions_are_found_by_what_the_source_can_show() {
        let old_primary = gtids("0-12-3513", "", "0-12-3513");
        for (source, expected) in [
            // Promoted replica with its whole log.
            (gtids("0-12-3511,0-11-3514", "0-12-3511", "0-11-3514"), "0-12-3512..3513"),
            // Rebuilt: an empty binary log.
            (gtids("", "0-12-3511", ""), "0-12-3512..3513"),
            (gtids("", "0-12-3600", ""), ""),
            // Rebuilt and promoted: what server 12 wrote is not in its log, its position is beyond it.
            (gtids("0-11-3600", "0-12-3599", "0-11-3600"), ""),
        ] {
            let errant: Vec<String> = old_primary.errant_against(&source).iter().map(ToString::to_string).collect();
            assert_eq!(errant.join(","), expected, "{source:?}");
        }
    }
}
