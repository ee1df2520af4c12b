//! What users install: an archive for each platform, with licence and bill of materials, and krew's manifest of them.

pub mod archive;
pub mod build;
pub mod manifest;
pub mod materials;
pub mod platform;

use std::path::{Path, PathBuf};

/// The version that is released, as in Cargo.toml: without a `v`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The program, without `.exe`.
pub const PROGRAM: &str = "kubectl-mariadb";

/// The folder of the workspace this was built from.
#[must_use]
pub fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}
