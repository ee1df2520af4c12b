//! Everything that tells why a test failed, copied into one folder.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result};

use crate::bed::Bed;
use crate::command::output;

/// Of a larger log the end is kept.
const LIMIT: u64 = 20 << 20;

/// What is asked of the API server: file and arguments.
const QUESTIONS: [(&str, &[&str]); 3] = [
    ("objects.txt", &["get", "node,pv,pvc,statefulset,service,pod", "-A", "-o", "wide"]),
    ("objects.yaml", &["get", "node,pv,pvc,statefulset,configmap,service,pod", "-A", "-o", "yaml"]),
    ("events.txt", &["get", "events", "-A", "--sort-by=.metadata.creationTimestamp"]),
];

pub(crate) fn copy(bed: &Bed, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("The logs have no place because {} cannot be made", folder.display()))?;
    copy_tree(&bed.layout().log(), &folder.join("control-plane"))?;
    for node in bed.nodes() {
        let place = folder.join(node.name());
        copy_tree(&node.layout().log(), &place)?;
        copy_tree(&node.layout().root().join("var/log/pods"), &place.join("pods"))?;
    }
    for (file, args) in QUESTIONS {
        // A dead API server is what may have to be explained.
        let answer = output(bed.kubectl(args).arg("--request-timeout=10s"));
        let text = answer.unwrap_or_else(|cause| format!("{cause:#}\n"));
        fs::write(folder.join(file), text)?;
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    // Pods come and go while their logs are copied.
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::create_dir_all(to)?;
            copy_end(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn copy_end(from: &Path, to: &Path) -> Result<()> {
    let Ok(mut file) = File::open(from) else {
        return Ok(());
    };
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LIMIT)))?;
    let mut content = Vec::new();
    file.take(LIMIT).read_to_end(&mut content)?;
    File::create(to)?.write_all(&content).with_context(|| format!("{} cannot be written", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_copied_and_long_logs_lose_their_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::write(from.join("a/b/short"), "short").unwrap();
        let long = File::create(from.join("long")).unwrap();
        long.set_len(LIMIT + 10).unwrap();
        copy_tree(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("a/b/short")).unwrap(), b"short");
        assert_eq!(fs::metadata(to.join("long")).unwrap().len(), LIMIT);
    }
}
