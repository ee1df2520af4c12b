//! A real Kubernetes on one Linux machine, for the tests of `kubectl mariadb`.

mod bed;
pub mod cache;
mod cgroup;
pub mod command;
pub mod components;
mod control_plane;
pub mod dns;
pub mod host;
pub mod images;
pub mod layout;
mod logs;
mod network;
mod node;
pub mod operator;
mod pki;
pub mod process;
pub mod progress;
pub mod provisioner;
mod service;
mod status;
mod template;
pub mod testing;

pub use bed::{Bed, Options};
pub use control_plane::{ControlPlane, Part};
pub use node::{Node, NodeService, init};
pub use status::Status;
