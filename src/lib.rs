//! `kubectl mariadb`: what is true of a MariaDB cluster on Kubernetes, what to do, and doing it safely.
//!
//! Data flows one way, see `docs/architecture.md`:
//! arguments → request → `observe` → snapshot → `decide` → `output`.

pub mod api;
pub mod decide;
pub mod failure;
pub mod model;
