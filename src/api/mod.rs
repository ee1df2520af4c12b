//! The edge: the only place that talks to the API server.

pub mod sql;
