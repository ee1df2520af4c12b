//! One file per verb. No decisions, no formatting.

pub mod explain;
pub mod version;
