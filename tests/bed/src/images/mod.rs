//! The images of the bed, as docker archives that `ctr images import` takes. They are made from
//! this machine's own programs, the Go module proxy and the Debian archive; no registry of images
//! is needed. Their names are `bed.local/<name>:<tag>`, so pods must not pull them.

mod apt;
mod archive;
mod debian;
mod layer;
mod mariadb;
mod small;

use std::path::PathBuf;

use anyhow::Result;

use crate::cache::Cache;
use crate::progress::Progress;

/// The Debian packages that this module's builds need.
pub const PACKAGES: &[&str] = &["busybox-static", "debian-archive-keyring", "gcc", "libc6-dev", "mmdebstrap"];

/// The archives of all images, built where they are not in the cache.
///
/// # Errors
/// If a program is missing or a build fails.
pub fn all(cache: &Cache, progress: &Progress) -> Result<Vec<PathBuf>> {
    let mut archives = vec![small::pause(cache)?, small::busybox(cache)?, small::coredns(cache, progress)?];
    // Half of a release's time is waiting for one processor.
    let made = std::thread::scope(|scope| {
        let begin = |release| scope.spawn(move || mariadb::archive(release, cache, progress));
        mariadb::RELEASES.map(begin).map(|thread| thread.join().expect("it has panicked"))
    });
    for archive in made {
        archives.push(archive?);
    }
    Ok(archives)
}

/// The archive with the image of mariadb-operator, built where it is not in the cache.
///
/// # Errors
/// As [`all`].
pub fn operator(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    small::operator(cache, progress)
}

/// The archive with the images of a MariaDB series ("11.8") if it has been built.
#[must_use]
pub fn mariadb(series: &str, cache: &Cache) -> Option<PathBuf> {
    mariadb::built(series, cache)
}
