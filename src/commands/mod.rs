//! One file per verb. No decisions, no formatting.

pub mod complete;
pub mod explain;
pub mod status;
pub mod version;
