//! What the API server was asked since a moment, from its audit log.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::layout::Layout;

/// A moment in the audit log of a bed.
///
/// The API server renames a full log and begins another, which a trial of some minutes on a busy bed sees happen: the file
/// that was current at the moment is known by its inode, and every later one counts whole.
#[derive(Debug)]
pub struct AuditLog {
    folder: PathBuf,
    inode: u64,
    at: u64,
}

impl AuditLog {
    /// What is asked from now on.
    ///
    /// # Errors
    /// The API server writes no audit log.
    pub fn from_now(bed: &Layout) -> Result<Self> {
        Self::of(bed.log())
    }

    fn of(folder: PathBuf) -> Result<Self> {
        let current = fs::metadata(folder.join("audit.log")).context("the API server writes no audit log")?;
        Ok(Self { folder, inode: current.ino(), at: current.len() })
    }

    /// The lines that were written since.
    ///
    /// # Errors
    /// The log cannot be read, or so much was written that its beginning is gone.
    pub fn since(&self) -> Result<String> {
        let files = files(&self.folder)?;
        let first = files.iter().position(|(_, inode)| *inode == self.inode).context("the audit log from then is gone")?;
        let mut written = Vec::new();
        for (number, (path, _)) in files.iter().skip(first).enumerate() {
            let whole = fs::read(path).with_context(|| path.display().to_string())?;
            let from = if number == 0 { usize::try_from(self.at)? } else { 0 };
            written.extend_from_slice(whole.get(from..).context("the audit log was cut")?);
        }
        Ok(String::from_utf8_lossy(&written).into_owned())
    }
}

/// The logs and their inodes, oldest first: `audit-TIME.log` of each that was full, then the current one.
fn files(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut full = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("audit-") && name.ends_with(".log") {
            full.push(entry.path());
        }
    }
    full.sort();
    full.push(folder.join("audit.log"));
    full.into_iter().map(|path| fs::metadata(&path).map(|file| (path, file.ino())).map_err(Into::into)).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn write(folder: &Path, line: &str) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(folder.join("audit.log")).unwrap();
        writeln!(file, "{line}").unwrap();
    }

    fn renamed(folder: &Path, time: &str) {
        fs::rename(folder.join("audit.log"), folder.join(format!("audit-{time}.log"))).unwrap();
    }

    #[test]
    fn a_log_that_is_renamed_meanwhile_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "before");
        renamed(folder, "2026-11-22T02-00-00.000");
        write(folder, "earlier");
        let log = AuditLog::of(folder.to_owned()).unwrap();
        assert_eq!(log.since().unwrap(), "");
        write(folder, "one");
        renamed(folder, "2026-11-22T02-10-00.000");
        write(folder, "two");
        renamed(folder, "2026-11-22T02-20-00.000");
        write(folder, "three");
        assert_eq!(log.since().unwrap(), "one\ntwo\nthree\n");
        fs::remove_file(folder.join("audit-2026-11-22T02-10-00.000.log")).unwrap();
        assert!(log.since().is_err());
    }
}
