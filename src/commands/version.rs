//! `version`.

use crate::output::version::Version;

#[must_use]
pub fn version() -> Version {
    Version { client_version: concat!("v", env!("CARGO_PKG_VERSION")).to_owned() }
}
