//! A Galera position: `uuid:seqno`, with a GTID behind it when `wsrep_gtid_mode` is ON.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::gtid::Gtid;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    pub uuid: Uuid,
    /// `None` = -1 = unknown.
    pub seqno: Option<u64>,
    pub gtid: Option<Gtid>,
}
