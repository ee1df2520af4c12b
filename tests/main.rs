//! Everything that needs an API server, against one inside the test process. One binary, for one link.

mod support;

mod complete;
mod connect;
mod contract;
mod exec;
mod grastate;
mod look;
mod manager;
mod objects;
mod operations;
mod operator;
mod pvc;
mod requests;
mod rights;
mod screens;
mod session;
mod sql;
mod status;
mod stop;
mod version;
mod wait;
mod watch;
