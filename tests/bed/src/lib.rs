//! A real Kubernetes on one Linux machine, for the tests of `kubectl mariadb`.

pub mod cache;
pub mod components;
pub mod images;
pub mod progress;
