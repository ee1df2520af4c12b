//! What is slow to build is built once and kept by content.
//!
//! `<root>/<kind>/<digest>` is a complete directory or it does not exist: it is built beside its
//! place, under a lock, and renamed when it is whole. A killed build leaves a `.partial` directory
//! that the next build of the same content removes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// Directories addressed by what they were built from.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache of this user: `${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-mariadb-bed`.
    ///
    /// # Errors
    /// If neither variable is set.
    pub fn open() -> Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let base = set("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))
            .context("The cache has no place because neither HOME nor XDG_CACHE_HOME is set; set one of them.")?;
        Ok(Self::at(base.join("kubectl-mariadb-bed")))
    }

    /// A cache in `root`, which is made when the first entry is.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The entry's directory if it is complete.
    #[must_use]
    pub fn find(&self, kind: &str, inputs_digest: &str) -> Option<PathBuf> {
        let place = self.root.join(kind).join(inputs_digest);
        place.is_dir().then_some(place)
    }

    /// The directory `<root>/<kind>/<inputs_digest>`, built by `build` if it is not there yet.
    ///
    /// `build` gets an empty directory and fills it; callers that want the same entry at the same
    /// time wait for the first one. `inputs_digest` must name everything the result depends on
    /// (see [`digest`]).
    ///
    /// # Errors
    /// Whatever `build` returned (nothing is kept then), or a file system error.
    pub fn get(&self, kind: &str, inputs_digest: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        for part in [kind, inputs_digest] {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            ensure!(
                !part.is_empty() && !part.starts_with('.') && part.chars().all(plain),
                "The cache cannot keep {part:?} because it is no plain file name; use letters, digits, '-', '_' and '.'."
            );
        }
        if let Some(place) = self.find(kind, inputs_digest) {
            return Ok(place);
        }
        let folder = self.root.join(kind);
        fs::create_dir_all(&folder).with_context(|| format!("The cache folder {} cannot be made", folder.display()))?;
        let lock = File::create(folder.join(format!(".{inputs_digest}.lock")))?;
        lock.lock()?;
        // Another process may have built it while this one waited for the lock.
        if let Some(place) = self.find(kind, inputs_digest) {
            return Ok(place);
        }
        let partial = folder.join(format!(".{inputs_digest}.partial"));
        remove_tree(&partial)?;
        fs::create_dir(&partial)?;
        if let Err(cause) = build(&partial) {
            remove_tree(&partial)?;
            return Err(cause);
        }
        let place = folder.join(inputs_digest);
        fs::rename(&partial, &place)?;
        Ok(place)
    }

    /// Removes every complete entry of `kind` but this one.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn keep_only(&self, kind: &str, inputs_digest: &str) -> Result<()> {
        for entry in fs::read_dir(self.root.join(kind))? {
            let entry = entry?;
            let name = entry.file_name();
            let complete = !name.to_string_lossy().starts_with('.');
            if complete && name != inputs_digest {
                remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// A digest of build inputs, fit for [`Cache::get`]: 32 hex digits of SHA-256 over the inputs, each
/// preceded by its length, so that `["ab", "c"]` and `["a", "bc"]` differ.
pub fn digest<I>(inputs: I) -> String
where
    I: IntoIterator,
    I::Item: AsRef<[u8]>,
{
    let mut hash = Sha256::new();
    for input in inputs {
        let input = input.as_ref();
        hash.update((input.len() as u64).to_be_bytes());
        hash.update(input);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e).with_context(|| format!("{} cannot be removed", path.display())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use anyhow::bail;

    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("c"));
        (folder, cache)
    }

    fn write(dir: &Path) -> Result<()> {
        Ok(fs::write(dir.join("file"), "content")?)
    }

    #[test]
    fn builds_once_and_returns_the_same_place() {
        let (_folder, cache) = cache();
        assert_eq!(cache.find("kind", "abc"), None);
        let first = cache.get("kind", "abc", write).unwrap();
        assert_eq!(fs::read(first.join("file")).unwrap(), b"content");
        let again = cache.get("kind", "abc", |_| bail!("must not be built again")).unwrap();
        assert_eq!(first, again);
        assert_eq!(cache.find("kind", "abc"), Some(first));
    }

    #[test]
    fn a_failed_build_leaves_nothing() {
        let (_folder, cache) = cache();
        let failed = cache.get("kind", "abc", |dir| {
            write(dir)?;
            bail!("no compiler")
        });
        assert_eq!(failed.unwrap_err().to_string(), "no compiler");
        assert_eq!(cache.find("kind", "abc"), None);
        cache.get("kind", "abc", write).unwrap();
    }

    #[test]
    fn what_a_killed_build_left_is_not_seen() {
        let (_folder, cache) = cache();
        let partial = cache.root().join("kind/.abc.partial");
        fs::create_dir_all(&partial).unwrap();
        fs::write(partial.join("half"), "").unwrap();
        let place = cache.get("kind", "abc", write).unwrap();
        assert!(!place.join("half").exists());
        assert!(!partial.exists());
    }

    #[test]
    fn others_of_a_kind_are_removed_on_demand() {
        let (_folder, cache) = cache();
        for digest in ["abc", "def"] {
            cache.get("kind", digest, write).unwrap();
        }
        cache.get("other", "abc", write).unwrap();
        cache.keep_only("kind", "def").unwrap();
        assert_eq!(cache.find("kind", "abc"), None);
        assert!(cache.find("kind", "def").is_some() && cache.find("other", "abc").is_some());
    }

    #[test]
    fn two_at_once_build_once() {
        let (_folder, cache) = cache();
        let builds = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let build = |dir: &Path| {
                        builds.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(50));
                        write(dir)
                    };
                    cache.get("kind", "abc", build).unwrap();
                });
            }
        });
        assert_eq!(builds.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn names_stay_inside_the_cache() {
        let (_folder, cache) = cache();
        for bad in ["", "..", "a/b", ".hidden"] {
            assert!(cache.get("kind", bad, write).is_err(), "{bad}");
            assert!(cache.get(bad, "abc", write).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_digest_keeps_inputs_apart() {
        assert_eq!(digest(["a"]).len(), 32);
        assert_eq!(digest(["a", "b"]), digest(["a", "b"]));
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
        assert_ne!(digest(["a"]), digest(["a", ""]));
    }
}
