//! Looks at a cluster: API server and pod exec, in parallel, into one snapshot.

pub mod probe;

mod server;
