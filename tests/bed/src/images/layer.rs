//! Image layers: uncompressed tars with what a layer adds to, changes in and removes from those below.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// Hex digits of a SHA-256.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A finished layer on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    pub path: PathBuf,
    /// SHA-256 of the tar, in hex: the layer's name in an image.
    pub digest: String,
}

/// A layer that is being written.
pub struct LayerWriter {
    path: PathBuf,
    tar: Builder<Hashing<BufWriter<File>>>,
}

impl LayerWriter {
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let file = File::create(&path).with_context(|| format!("{} cannot be written.", path.display()))?;
        let mut tar = Builder::new(Hashing { inner: BufWriter::with_capacity(1 << 20, file), hash: Sha256::new() });
        tar.follow_symlinks(false);
        tar.sparse(false);
        Ok(Self { path, tar })
    }

    /// A folder owned by user and group `owner`.
    pub fn folder(&mut self, name: &str, mode: u32, owner: u32) -> Result<()> {
        let mut header = header(EntryType::Directory, mode, 0);
        header.set_uid(u64::from(owner));
        header.set_gid(u64::from(owner));
        Ok(self.tar.append_data(&mut header, format!("{name}/"), std::io::empty())?)
    }

    /// A file owned by root.
    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        let mut header = header(EntryType::Regular, mode, content.len());
        Ok(self.tar.append_data(&mut header, name, content)?)
    }

    pub fn symlink(&mut self, name: &str, target: &str) -> Result<()> {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        Ok(self.tar.append_link(&mut header, name, target)?)
    }

    /// Hides `name` of the layers below, a folder with all that is in it.
    pub fn whiteout(&mut self, name: &Path) -> Result<()> {
        let hidden = name.file_name().context("the root itself cannot be hidden")?;
        let mut mark = std::ffi::OsString::from(".wh.");
        mark.push(hidden);
        let mut header = header(EntryType::Regular, 0o644, 0);
        Ok(self.tar.append_data(&mut header, name.with_file_name(mark), std::io::empty())?)
    }

    /// The file, folder or link at `path` with its owner, mode and time; a folder without what is in it.
    pub fn copy(&mut self, path: &Path, name: &Path) -> Result<()> {
        self.tar.append_path_with_name(path, name).with_context(|| format!("{} cannot be packed.", path.display()))
    }

    pub fn finish(self) -> Result<Layer> {
        let mut hashing = self.tar.into_inner()?;
        hashing.flush()?;
        Ok(Layer { path: self.path, digest: hex(&hashing.hash.finalize()) })
    }
}

/// A header without owner and time, so that equal content makes equal layers.
pub fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size as u64);
    header
}

/// What passes through is hashed.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// What a tree holds: enough to see later what has changed in it.
#[derive(Debug, Default)]
pub struct Index(BTreeMap<PathBuf, Trait>);

/// What tells two states of a file apart. Content is told by size and time: a package manager never
/// changes a file within the second it was made in.
#[derive(Debug, PartialEq, Eq)]
struct Trait {
    mode: u32,
    owner: (u32, u32),
    /// Size and time in seconds; of plain files only.
    content: Option<(u64, i64)>,
    target: Option<PathBuf>,
}

impl Trait {
    fn of(path: &Path, meta: &Metadata) -> Result<Self> {
        let kind = meta.file_type();
        Ok(Self {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            content: kind.is_file().then(|| (meta.size(), meta.mtime())),
            target: kind.is_symlink().then(|| fs::read_link(path)).transpose()?,
        })
    }
}

/// Writes the whole `tree` without the `excluded` folders (paths relative to it) and says what it held.
pub fn whole(tree: &Path, excluded: &[&str], into: &mut LayerWriter) -> Result<Index> {
    changes(&Index::default(), tree, excluded, into)
}

/// Writes how `tree` differs from the state that `before` describes.
pub fn changes(before: &Index, tree: &Path, excluded: &[&str], into: &mut LayerWriter) -> Result<Index> {
    let mut now = Index::default();
    walk(tree, Path::new(""), excluded, &mut |name, meta| {
        let path = tree.join(name);
        let found = Trait::of(&path, meta)?;
        if before.0.get(name) != Some(&found) {
            into.copy(&path, name)?;
        }
        now.0.insert(name.to_owned(), found);
        Ok(())
    })?;
    let gone = |name: &Path| before.0.contains_key(name) && !now.0.contains_key(name);
    for name in before.0.keys().filter(|name| gone(name)) {
        // What was in a folder that is gone is hidden with it.
        if !name.parent().is_some_and(&gone) {
            into.whiteout(name)?;
        }
    }
    Ok(now)
}

/// Calls `visit` for everything below `tree/at`, folders before what is in them, in the order of names.
fn walk(tree: &Path, at: &Path, excluded: &[&str], visit: &mut dyn FnMut(&Path, &Metadata) -> Result<()>) -> Result<()> {
    let folder = tree.join(at);
    let entries = fs::read_dir(&folder).with_context(|| format!("{} cannot be read.", folder.display()))?;
    let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    for name in names {
        let name = at.join(name);
        if excluded.iter().any(|folder| name == Path::new(folder)) {
            continue;
        }
        let meta = fs::symlink_metadata(tree.join(&name))?;
        let kind = meta.file_type();
        if kind.is_socket() || kind.is_fifo() {
            continue;
        }
        visit(&name, &meta)?;
        if kind.is_dir() {
            walk(tree, &name, excluded, visit)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(layer: &Layer) -> Vec<String> {
        let mut archive = tar::Archive::new(File::open(&layer.path).unwrap());
        let name = |entry: std::io::Result<tar::Entry<File>>| entry.unwrap().path().unwrap().display().to_string();
        archive.entries().unwrap().map(name).collect()
    }

    fn tree(root: &Path) {
        for folder in ["etc/old", "usr/bin", "tmp/x", "var"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in ["etc/passwd", "etc/old/a", "etc/old/b", "usr/bin/tool", "tmp/x/y", "var/stays"] {
            fs::write(root.join(file), file).unwrap();
        }
        symlink("tool", root.join("usr/bin/alias")).unwrap();
    }

    #[test]
    fn a_whole_tree_is_packed_in_order_without_what_is_excluded() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        tree(&root);
        let mut writer = LayerWriter::create(dir.path().join("layer.tar")).unwrap();
        whole(&root, &["tmp"], &mut writer).unwrap();
        let layer = writer.finish().unwrap();
        let expected = [
            "etc",
            "etc/old",
            "etc/old/a",
            "etc/old/b",
            "etc/passwd",
            "usr",
            "usr/bin",
            "usr/bin/alias",
            "usr/bin/tool",
            "var",
            "var/stays",
        ];
        assert_eq!(names(&layer), expected);
        let content = fs::read(&layer.path).unwrap();
        assert_eq!(layer.digest, hex(&Sha256::digest(content)));
    }

    #[test]
    fn a_difference_holds_what_is_new_changed_and_gone() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        tree(&root);
        let mut base = LayerWriter::create(dir.path().join("base.tar")).unwrap();
        let before = whole(&root, &["tmp"], &mut base).unwrap();
        base.finish().unwrap();

        fs::remove_dir_all(root.join("etc/old")).unwrap();
        fs::write(root.join("etc/passwd"), "longer than before").unwrap();
        fs::set_permissions(root.join("var/stays"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(root.join("usr/bin/alias")).unwrap();
        symlink("new", root.join("usr/bin/alias")).unwrap();
        fs::write(root.join("usr/bin/new"), "").unwrap();
        fs::remove_file(root.join("usr/bin/tool")).unwrap();
        fs::write(root.join("tmp/ignored"), "").unwrap();
        let mut writer = LayerWriter::create(dir.path().join("layer.tar")).unwrap();
        changes(&before, &root, &["tmp"], &mut writer).unwrap();
        let layer = writer.finish().unwrap();
        let expected = ["etc/passwd", "usr/bin/alias", "usr/bin/new", "var/stays", "etc/.wh.old", "usr/bin/.wh.tool"];
        assert_eq!(names(&layer), expected);
    }

    #[test]
    fn nothing_changed_is_an_empty_layer() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        tree(&root);
        let mut base = LayerWriter::create(dir.path().join("base.tar")).unwrap();
        let before = whole(&root, &[], &mut base).unwrap();
        let mut writer = LayerWriter::create(dir.path().join("layer.tar")).unwrap();
        changes(&before, &root, &[], &mut writer).unwrap();
        assert!(names(&writer.finish().unwrap()).is_empty());
    }

    #[test]
    fn made_entries_do_not_depend_on_time_or_user() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let mut writer = LayerWriter::create(dir.path().join(name)).unwrap();
            writer.folder("bin", 0o755, 0).unwrap();
            writer.file("bin/sh", 0o755, b"#!").unwrap();
            writer.symlink("bin/bash", "sh").unwrap();
            writer.finish().unwrap()
        };
        let layer = write("a");
        assert_eq!(layer.digest, write("b").digest);
        assert_eq!(names(&layer), ["bin/", "bin/sh", "bin/bash"]);
    }
}
