//! For tests: database clusters, writers, an oracle, and faults that whoever comes next can undo.

pub mod audit;
pub mod cluster;
pub mod faults;
pub mod keep;
pub mod ledger;
pub mod oracle;
pub mod plugin;
pub mod reliability;
pub mod run;
pub mod shape;
pub mod user;
pub mod writers;
