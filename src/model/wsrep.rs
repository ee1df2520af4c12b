//! Galera as one server sees it: `SHOW GLOBAL STATUS LIKE 'wsrep%'` and the members table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::position::{parse_seqno, parse_uuid};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClusterStatus {
    Primary,
    NonPrimary,
    /// With a living process: this server will never come back by itself.
    Disconnected,
    Other(String),
}

/// `wsrep_local_state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LocalState {
    Initialized,
    Joining,
    /// Donor, or desynced by hand or by `FLUSH TABLES WITH READ LOCK`.
    DonorDesynced,
    Joined,
    Synced,
    Inconsistent,
    Other(String),
}

/// One server's view. Counters are since the server's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub cluster_status: ClusterStatus,
    pub local_state: LocalState,
    /// The server's own word for the state (`wsrep_local_state_comment`), for display.
    pub state_comment: String,
    pub ready: bool,
    pub connected: bool,
    /// Members of the view, arbitrators and joiners included; a cached value, see the facts on zero-UUID clusters.
    pub cluster_size: u32,
    pub cluster_weight: Option<u32>,
    /// Live list of client addresses; an empty element is an arbitrator (garbd).
    pub incoming_addresses: Vec<String>,
    /// `None` outside a Primary view.
    pub conf_id: Option<u64>,
    /// Empty in the server's answer reads as nil.
    pub cluster_state_uuid: Uuid,
    pub local_state_uuid: Uuid,
    /// `None`: -1, no position.
    pub last_committed: Option<u64>,
    /// This incarnation of the server in the group; another one after every restart. Absent without a group.
    pub gcomm_uuid: Option<Uuid>,
    /// `OPERATIONAL`, or what is being negotiated now. Absent without a group.
    pub evs_state: Option<String>,
    pub recv_queue: u64,
    /// Threads that apply write sets: each may have one in hand that is neither in the queue nor committed.
    #[serde(default)]
    pub appliers: Option<u64>,
    pub recv_queue_avg: f64,
    pub send_queue: u64,
    pub flow_control: FlowControl,
    /// The lowest write set this server can still send by IST.
    pub cached_downto: Option<u64>,
    pub desync_count: Option<u32>,
    pub provider_version: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowControl {
    /// Nanoseconds paused since start; a rate needs two samples.
    pub paused_ns: u64,
    /// Fraction paused since the last `FLUSH STATUS`.
    pub paused_fraction: f64,
    pub sent: u64,
    pub received: u64,
    pub active: bool,
}

/// One row of `mysql.wsrep_cluster_members`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewMember {
    pub uuid: Uuid,
    pub cluster_uuid: Uuid,
    pub name: String,
    pub address: String,
}

impl Status {
    /// Reads `SHOW GLOBAL STATUS LIKE 'wsrep%'` as names in lower case and values. What 26.4 leaves out on a server without a
    /// group may be missing, nothing else.
    ///
    /// # Errors
    /// The variable that is missing or unreadable, as one sentence.
    pub fn from_variables(variables: &BTreeMap<String, String>) -> Result<Self, String> {
        let read = Variables(variables);
        Ok(Self {
            cluster_status: match read.text("wsrep_cluster_status")? {
                "Primary" => ClusterStatus::Primary,
                "non-Primary" => ClusterStatus::NonPrimary,
                "Disconnected" => ClusterStatus::Disconnected,
                other => ClusterStatus::Other(other.to_owned()),
            },
            local_state: match read.text("wsrep_local_state")? {
                "0" => LocalState::Initialized,
                "1" => LocalState::Joining,
                "2" => LocalState::DonorDesynced,
                "3" => LocalState::Joined,
                "4" => LocalState::Synced,
                "5" => LocalState::Inconsistent,
                other => LocalState::Other(other.to_owned()),
            },
            state_comment: read.text("wsrep_local_state_comment")?.to_owned(),
            ready: read.switch("wsrep_ready")?,
            connected: read.switch("wsrep_connected")?,
            cluster_size: read.number("wsrep_cluster_size")?,
            cluster_weight: read.optional("wsrep_cluster_weight")?,
            incoming_addresses: addresses(read.text("wsrep_incoming_addresses")?),
            conf_id: read.seqno("wsrep_cluster_conf_id")?,
            cluster_state_uuid: read.uuid("wsrep_cluster_state_uuid")?,
            local_state_uuid: read.uuid("wsrep_local_state_uuid")?,
            last_committed: read.seqno("wsrep_last_committed")?,
            gcomm_uuid: match variables.get("wsrep_gcomm_uuid").map(String::as_str) {
                None | Some("") => None,
                Some(_) => Some(read.uuid("wsrep_gcomm_uuid")?),
            },
            evs_state: variables.get("wsrep_evs_state").filter(|state| !state.is_empty()).cloned(),
            recv_queue: read.number("wsrep_local_recv_queue")?,
            appliers: read.optional("wsrep_applier_thread_count")?,
            recv_queue_avg: read.number("wsrep_local_recv_queue_avg")?,
            send_queue: read.number("wsrep_local_send_queue")?,
            flow_control: FlowControl {
                paused_ns: read.number("wsrep_flow_control_paused_ns")?,
                paused_fraction: read.number("wsrep_flow_control_paused")?,
                sent: read.number("wsrep_flow_control_sent")?,
                received: read.number("wsrep_flow_control_recv")?,
                active: read.switch("wsrep_flow_control_active")?,
            },
            cached_downto: read.seqno("wsrep_local_cached_downto")?,
            desync_count: read.optional("wsrep_desync_count")?,
            provider_version: read.text("wsrep_provider_version")?.to_owned(),
        })
    }
}

/// Reads `wsrep_provider_options`: `a = b; c = d; `.
#[must_use]
pub fn parse_options(text: &str) -> BTreeMap<String, String> {
    let pair = |option: &str| option.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    text.split(';').filter_map(pair).collect()
}

/// `a:3306,b:3306,` has three elements, the last that of an arbitrator; nothing at all has none.
fn addresses(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split(',').map(|address| address.trim().to_owned()).collect() }
}

struct Variables<'a>(&'a BTreeMap<String, String>);

impl Variables<'_> {
    fn text(&self, name: &str) -> Result<&str, String> {
        self.0.get(name).map(String::as_str).ok_or_else(|| format!("the server's status has no {name}"))
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, String> {
        let text = self.text(name)?;
        text.parse().map_err(|_| format!("{name} is `{text}`, not a number"))
    }

    fn optional<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        if self.0.contains_key(name) { self.number(name).map(Some) } else { Ok(None) }
    }

    fn switch(&self, name: &str) -> Result<bool, String> {
        match self.text(name)? {
            "ON" | "true" | "1" => Ok(true),
            "OFF" | "false" | "0" => Ok(false),
            other => Err(format!("{name} is `{other}`, neither on nor off")),
        }
    }

    fn seqno(&self, name: &str) -> Result<Option<u64>, String> {
        parse_seqno(self.text(name)?).map_err(|problem| format!("{name}: {problem}"))
    }

    fn uuid(&self, name: &str) -> Result<Uuid, String> {
        match self.text(name)? {
            "" => Ok(Uuid::nil()),
            text => parse_uuid(text).map_err(|problem| format!("{name}: {problem}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::uuid;

    use super::*;
    use crate::model::testing::{fixture, fixtures, variables};

    fn status(fixture: &str) -> Status {
        Status::from_variables(&variables(fixture)).unwrap()
    }

    #[test]
    fn a_healthy_member_reads_completely() {
        assert_eq!(
            status(fixture!("galera-10.11/healthy-n1-status.tsv")),
            Status {
                cluster_status: ClusterStatus::Primary,
                local_state: LocalState::Synced,
                state_comment: "Synced".to_owned(),
                ready: true,
                connected: true,
                cluster_size: 3,
                cluster_weight: Some(3),
                incoming_addresses: ["127.0.0.11:3306", "127.0.0.12:3306", "127.0.0.13:3306"].map(str::to_owned).to_vec(),
                conf_id: Some(3),
                cluster_state_uuid: uuid!("2ec812f1-e4f6-11f1-ad8a-7a5c33de3170"),
                local_state_uuid: uuid!("2ec812f1-e4f6-11f1-ad8a-7a5c33de3170"),
                last_committed: Some(3),
                gcomm_uuid: Some(uuid!("2ec756a1-e4f6-11f1-b132-2eafade3384b")),
                evs_state: Some("OPERATIONAL".to_owned()),
                recv_queue: 0,
                appliers: Some(1),
                recv_queue_avg: 0.2,
                send_queue: 0,
                flow_control: FlowControl { paused_ns: 0, paused_fraction: 0.0, sent: 0, received: 0, active: false },
                cached_downto: Some(1),
                desync_count: Some(0),
                provider_version: "4.23(rXXXX)".to_owned(),
            }
        );
    }

    #[test]
    fn every_recorded_state_is_read() {
        use ClusterStatus::{Disconnected, NonPrimary, Primary};
        use LocalState::{DonorDesynced, Initialized, Synced};
        for (fixture, cluster_status, local_state, conf_id, last_committed) in [
            (fixture!("galera-11.8/healthy-n1-status.tsv"), Primary, Synced, Some(6), Some(20553)),
            (fixture!("galera-10.11/desynced-n3-status.tsv"), Primary, DonorDesynced, Some(7), Some(15)),
            (fixture!("galera-10.11/e4-pc-recovery-zero-uuid-n1-status.tsv"), Primary, Synced, Some(0), Some(0)),
            (fixture!("galera-10.11/nonprimary-1of3-n2-status.tsv"), NonPrimary, Initialized, None, Some(33)),
            (fixture!("galera-10.11/zombie-disconnected-n1-status.tsv"), Disconnected, Initialized, None, Some(6)),
            (fixture!("galera-10.11/inconsistency-voted-out-n3-status.tsv"), Disconnected, LocalState::Inconsistent, None, None),
        ] {
            let read = status(fixture);
            assert_eq!((read.cluster_status, read.local_state), (cluster_status, local_state));
            assert_eq!((read.conf_id, read.last_committed), (conf_id, last_committed));
        }
    }

    #[test]
    fn every_recorded_status_is_readable() {
        for (path, bytes) in fixtures("status.tsv") {
            let read = Status::from_variables(&variables(&String::from_utf8(bytes).unwrap()));
            assert!(read.is_ok(), "{path}: {read:?}");
        }
    }

    #[test]
    fn an_empty_uuid_is_nil_and_a_server_without_a_group_has_no_gcomm_uuid() {
        let reformed = status(fixture!("galera-10.11/e4-pc-recovery-zero-uuid-n1-status.tsv"));
        assert!(reformed.cluster_state_uuid.is_nil() && reformed.local_state_uuid.is_nil());
        let zombie = status(fixture!("galera-10.11/zombie-disconnected-n1-status.tsv"));
        assert_eq!((zombie.gcomm_uuid, zombie.evs_state, zombie.cluster_weight), (None, None, None));
        assert!(zombie.incoming_addresses.is_empty());
        let with_arbitrator = status(fixture!("galera-10.11/two-nodes-plus-garbd-n1-status.tsv"));
        assert_eq!(with_arbitrator.incoming_addresses, ["127.0.0.11:3306", "127.0.0.12:3306", ""]);
    }

    #[test]
    fn what_is_missing_or_odd_is_named() {
        let mut all = variables(fixture!("galera-10.11/healthy-n1-status.tsv"));
        all.insert("wsrep_cluster_conf_id".to_owned(), "-1".to_owned());
        all.insert("wsrep_incoming_addresses".to_owned(), "AUTO,AUTO".to_owned());
        all.insert("wsrep_local_state".to_owned(), "7".to_owned());
        let read = Status::from_variables(&all).unwrap();
        assert_eq!((read.conf_id, read.local_state), (None, LocalState::Other("7".to_owned())));
        assert_eq!(read.incoming_addresses, ["AUTO", "AUTO"]);
        for (name, value, problem) in [
            ("wsrep_ready", Some("MAYBE"), "wsrep_ready is `MAYBE`, neither on nor off"),
            ("wsrep_cluster_size", Some("three"), "wsrep_cluster_size is `three`, not a number"),
            ("wsrep_cluster_state_uuid", Some("2ec8"), "wsrep_cluster_state_uuid: `2ec8` is no UUID"),
            ("wsrep_last_committed", Some("x"), "wsrep_last_committed: `x` is no seqno"),
            ("wsrep_cluster_status", None, "the server's status has no wsrep_cluster_status"),
        ] {
            let mut damaged = all.clone();
            match value {
                Some(value) => damaged.insert(name.to_owned(), value.to_owned()),
                None => damaged.remove(name),
            };
            assert_eq!(Status::from_variables(&damaged), Err(problem.to_owned()));
        }
    }

    #[test]
    fn provider_options_are_read_with_empty_values() {
        let options = parse_options(&variables(fixture!("galera-10.11/healthy-n1-variables.tsv"))["wsrep_provider_options"]);
        assert_eq!(options["pc.weight"], "1");
        assert_eq!(options["gcache.size"], "32M");
        assert_eq!(options["gmcast.mcast_addr"], "");
        assert_eq!(options["socket.send_buf_size"], "auto");
        assert_eq!(options.len(), 72);
        assert!(parse_options("").is_empty());
    }
}
