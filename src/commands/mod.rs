//! One file per verb. No decisions, no formatting.

pub mod can_stop;
pub mod complete;
pub mod explain;
pub mod galera;
pub mod missing_password;
pub mod operation;
pub mod pvc;
pub mod settled;
pub mod sql;
pub mod status;
pub mod version;
pub mod wait;
pub mod watch;
