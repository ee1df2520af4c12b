//! One archive: the program, the licence, the bill of materials. The same files give the same bytes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;

use crate::platform::{Os, Platform};
use crate::workspace;

/// The bill of materials in the archive: CycloneDX.
pub const MATERIALS: &str = "kubectl-mariadb.cdx.json";
pub const LICENSE: &str = "LICENSE";

/// An archive that was made.
#[derive(Clone, Debug)]
pub struct Archive {
    pub platform: Platform,
    pub path: PathBuf,
    /// SHA-256 in hex.
    pub sha256: String,
    pub bytes: u64,
}

struct Entry {
    name: String,
    bytes: Vec<u8>,
    mode: u32,
}

/// Packs `program` for `platform` into the folder `into`.
///
/// # Errors
/// A file cannot be read or written.
pub fn pack(platform: Platform, program: &Path, materials: &str, into: &Path, level: Compression) -> Result<Archive> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    let entries = [
        Entry { name: platform.program(), bytes: read(program)?, mode: 0o755 },
        Entry { name: LICENSE.to_owned(), bytes: read(&workspace().join(LICENSE))?, mode: 0o644 },
        Entry { name: MATERIALS.to_owned(), bytes: materials.as_bytes().to_vec(), mode: 0o644 },
    ];
    fs::create_dir_all(into)?;
    let path = into.join(platform.archive());
    let file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    if platform.os == Os::Windows { zip(file, &entries, level) } else { tar_gz(file, &entries, level) }
        .with_context(|| format!("{} cannot be written", path.display()))?;
    let packed = read(&path)?;
    Ok(Archive { platform, path, sha256: sha256(&packed), bytes: packed.len() as u64 })
}

fn tar_gz(file: File, entries: &[Entry], level: Compression) -> Result<()> {
    let mut tar = tar::Builder::new(GzEncoder::new(file, level));
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(entry.bytes.len() as u64);
        header.set_mode(entry.mode);
        header.set_mtime(0);
        tar.append_data(&mut header, &entry.name, entry.bytes.as_slice())?;
    }
    tar.into_inner()?.finish()?;
    Ok(())
}

fn zip(file: File, entries: &[Entry], level: Compression) -> Result<()> {
    let mut zip = zip::ZipWriter::new(file);
    for entry in entries {
        let options = SimpleFileOptions::default().unix_permissions(entry.mode).compression_level(Some(level.level().into()));
        zip.start_file(&entry.name, options)?;
        zip.write_all(&entry.bytes)?;
    }
    zip.finish()?;
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lines of `checksums.txt`, as `sha256sum --check` reads them.
#[must_use]
pub fn checksums(archives: &[Archive]) -> String {
    archives.iter().map(|archive| format!("{}  {}\n", archive.sha256, archive.platform.archive())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::ALL;

    #[test]
    fn an_archive_holds_what_it_should_and_is_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "the program").unwrap();
        for platform in ALL {
            let pack = |into: &str| pack(platform, &program, "{}", &folder.path().join(into), Compression::fast()).unwrap();
            let (first, again) = (pack("first"), pack("again"));
            assert_eq!(first.sha256, again.sha256, "{platform}");
            let mut names = Vec::new();
            if platform.os == Os::Windows {
                let zip = zip::ZipArchive::new(File::open(&first.path).unwrap()).unwrap();
                names.extend(zip.file_names().map(|name| name.unwrap().into_owned()));
            } else {
                let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(File::open(&first.path).unwrap()));
                for entry in tar.entries().unwrap() {
                    let entry = entry.unwrap();
                    let name = entry.path().unwrap().display().to_string();
                    assert_eq!(entry.header().mode().unwrap() == 0o755, name == platform.program(), "{name}");
                    names.push(name);
                }
            }
            assert_eq!(names, [platform.program(), LICENSE.to_owned(), MATERIALS.to_owned()], "{platform}");
        }
    }
}
