//! The images of the bed, as docker archives that `ctr images import` takes. They are made from
//! this machine's own programs, the Go module proxy and the Debian archive; no registry of images
//! is needed. Their names are `bed.local/<name>:<tag>`, so pods must not pull them.

mod archive;
pub mod layer;
mod small;

use std::path::PathBuf;

use anyhow::Result;

use crate::cache::Cache;
use crate::progress::Progress;

/// The Debian packages that this module's builds need.
pub const PACKAGES: &[&str] = &["busybox-static", "gcc", "libc6-dev"];

/// The archives of all images, built where they are not in the cache.
///
/// # Errors
/// If a program is missing or a build fails.
pub fn all(cache: &Cache, progress: &Progress) -> Result<Vec<PathBuf>> {
    Ok(vec![small::pause(cache)?, small::busybox(cache)?, small::coredns(cache, progress)?])
}
