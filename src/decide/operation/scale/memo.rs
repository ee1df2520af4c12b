//! What is to be kept in mind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::decide::operation::plan::Loss;

use super::seeding::Seeding;

/// Another number of members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    /// How many there are to be.
    pub replicas: u32,
    /// The state UUID of the cluster; none: its servers replicate.
    pub history: Option<Uuid>,
    pub volumes: Volumes,
    /// Claims that lay where new members are to come when it began, and their uids.
    #[serde(default)]
    pub stale: BTreeMap<String, String>,
    /// Of new replicas.
    #[serde(default)]
    pub seeding: Option<Seeding>,
    /// The end of the range as far as it ever reached: claims below it this operation itself may have brought about.
    pub reached: u32,
    /// What may be lost.
    #[serde(default)]
    pub accepted: Option<Loss>,
}

impl Scale {
    /// What may be lost, one by one.
    pub(super) fn accepts(&self) -> impl Iterator<Item = &str> {
        self.accepted.iter().flat_map(|loss| loss.0.split(','))
    }
}

/// What becomes of volumes that lie where new members are to come (safety D5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Volumes {
    /// They are in the way.
    #[default]
    Refuse,
    Reuse,
    /// They are deleted.
    Prune,
}
