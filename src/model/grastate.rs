//! `grastate.dat`: the position Galera saved at its last clean close.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grastate {
    pub version: Option<String>,
    /// History id; nil = this data must not be trusted.
    pub uuid: Uuid,
    /// `None` = -1 = unknown.
    pub seqno: Option<u64>,
    /// Absent in files older than Galera 3.19.
    pub safe_to_bootstrap: Option<bool>,
}
