//! A fake API server: real HTTP and websockets on the loopback interface, answers made by the test.

pub mod log;
pub mod program;
pub mod proxy;
pub mod right;
pub mod server;
pub mod streams;
pub mod terminal;
pub mod tls;
pub mod world;

pub use server::{Answer, Request, Server};
pub use streams::{Exec, Protocol};
