//! One state transfer: how far it is, in the document and on the screen.

use serde::Serialize;

use super::unknown::{Unknown, split};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::transfer::{Bytes, Transfer};
use crate::output::age::duration;

/// A full copy (SST) under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TransferStatus {
    /// `null`: nobody of this set is seen to receive.
    pub joiner: Option<String>,
    /// `null`: not known who gives.
    pub donor: Option<String>,
    /// `rsync`, `mariabackup`, `mysqldump`; `null`: no script of a transfer is seen.
    pub method: Option<String>,
    /// Since the donor began; since the joiner waits, where the donor does not tell.
    pub running_seconds: Option<u64>,
    /// In files written on the joiner since then. With rsync over older data rather too much: a file counts from its first byte.
    pub received_bytes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_bytes_unknown: Option<Unknown>,
    /// What the donor has of what is copied: about the size to reach.
    pub total_bytes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes_unknown: Option<Unknown>,
    /// Since it began; `null`: it has not run long enough to say.
    pub bytes_per_second: Option<String>,
    /// At least, at this pace, and without the time to apply what was copied. `null`: not known, or nothing arrives.
    pub seconds_left: Option<u64>,
}

impl TransferStatus {
    pub(super) fn new(seen: &Snapshot, transfer: &Transfer) -> Self {
        let name = |ordinal: Option<Ordinal>| ordinal.map(|ordinal| seen.pod_name(ordinal));
        let (received_bytes, received_bytes_unknown) = split(&transfer.received, ToString::to_string);
        let (total_bytes, total_bytes_unknown) = split(&transfer.total, ToString::to_string);
        Self {
            joiner: name(transfer.joiner),
            donor: name(transfer.donor),
            method: transfer.method.clone(),
            running_seconds: transfer.running,
            received_bytes,
            received_bytes_unknown,
            total_bytes,
            total_bytes_unknown,
            bytes_per_second: transfer.pace().map(|pace| pace.to_string()),
            seconds_left: transfer.left(),
        }
    }

    /// `db-0 → db-2 by rsync: 45 MiB of about 1.9 GiB in 20s, 2.2 MiB/s, at least 14m left`.
    pub(super) fn words(&self) -> String {
        let pod = |name: &Option<String>| name.clone().unwrap_or_else(|| "?".to_owned());
        let bytes = |text: &String| Bytes(text.parse().unwrap_or_default()).to_string();
        let mut words = format!("{} → {}", pod(&self.donor), pod(&self.joiner));
        let Some(method) = &self.method else { return words };
        words.push_str(&format!(" by {method}: {}", self.received_bytes.as_ref().map_or_else(|| "?".to_owned(), bytes)));
        words.extend(self.total_bytes.as_ref().map(|total| format!(" of about {}", bytes(total))));
        words.extend(self.running_seconds.map(|running| format!(" in {}", duration(running))));
        words.extend(self.bytes_per_second.as_ref().map(|pace| format!(", {}/s", bytes(pace))));
        words.extend(self.seconds_left.map(|left| format!(", at least {} left", duration(left))));
        words
    }
}
