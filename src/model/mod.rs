//! What is true. Values only: no clock, no network, no terminal, nothing of the other folders.

pub mod disk;
pub mod disruption;
pub mod fact;
pub mod galera;
pub mod grastate;
pub mod gtid;
pub mod gvwstate;
pub mod kubernetes;
pub mod manager;
pub mod names;
pub mod operator;
pub mod operator_version;
pub mod position;
pub mod quantity;
pub mod quorum;
pub mod recovered;
pub mod replica;
pub mod secret_key;
pub mod server;
pub mod snapshot;
pub mod sql;
pub mod target_name;
#[cfg(test)]
pub(crate) mod testing;
pub mod topology;
pub mod transfer;
pub mod unmade;
pub mod version;
pub mod volumes;
pub mod wsrep;
