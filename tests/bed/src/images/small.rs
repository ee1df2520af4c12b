//! The images of a single static program: pause, busybox, CoreDNS, mariadb-operator.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::archive::{self, Image};
use super::layer::LayerWriter;
use crate::cache::{Cache, digest};
use crate::components::{self, tool};
use crate::progress::Progress;

const PAUSE: &str = include_str!("../../images/pause.c");

const BUSYBOX: &str = "/bin/busybox";

/// Changed when the code of this file makes another image from the same inputs.
const RECIPE: &str = "1";

/// `bed.local/pause:1`: the sandbox of every pod.
pub fn pause(cache: &Cache) -> Result<PathBuf> {
    one(cache, "pause", &[PAUSE.as_bytes()], |layer, place| {
        let (source, program) = (place.join("pause.c"), place.join("pause"));
        fs::write(&source, PAUSE)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-static", "-Os", "-s", "-o"]).args([&program, &source]);
        tool::run(&mut compiler, "gcc libc6-dev", |_| {})?;
        layer.file("pause", 0o755, &fs::read(&program)?)?;
        fs::remove_file(source)?;
        fs::remove_file(program)?;
        Ok(Image { entrypoint: vec!["/pause".into()], user: Some(65535), ..Image::default() })
    })
}

/// `bed.local/busybox:1`: a shell and the usual small programs.
pub fn busybox(cache: &Cache) -> Result<PathBuf> {
    let missing = "The busybox image needs a static /bin/busybox; install it with `apt-get install busybox-static`.";
    let program = fs::read(BUSYBOX).context(missing)?;
    ensure!(is_static(&program), missing);
    one(cache, "busybox", &[&program], |layer, _| {
        for (folder, mode) in [("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)] {
            layer.folder(folder, mode, 0)?;
        }
        layer.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n")?;
        layer.file("etc/group", 0o644, b"root:x:0:\n")?;
        layer.file("bin/busybox", 0o755, &program)?;
        let applets = tool::run(Command::new(BUSYBOX).arg("--list"), "busybox-static", |_| {})?;
        for applet in applets.lines().filter(|&applet| applet != "busybox") {
            layer.symlink(&format!("bin/{applet}"), "busybox")?;
        }
        Ok(Image { command: vec!["sh".into()], ..Image::default() })
    })
}

/// `bed.local/coredns:1`: the DNS of the cluster. It runs as root because it binds port 53.
pub fn coredns(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let program = components::coredns(cache, progress)?;
    // The cache's name for the program tells its content.
    let content = program.parent().and_then(Path::file_name).unwrap_or(program.as_os_str());
    one(cache, "coredns", &[content.as_encoded_bytes()], |layer, _| {
        layer.file("coredns", 0o755, &fs::read(&program)?)?;
        Ok(Image { entrypoint: vec!["/coredns".into()], ..Image::default() })
    })
}

/// `bed.local/mariadb-operator:<version>`: the operator, its agent and its init container.
pub fn operator(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let built = components::operator(cache, progress)?;
    let content = built.file_name().unwrap_or(built.as_os_str());
    one(cache, "mariadb-operator", &[content.as_encoded_bytes()], |layer, _| {
        layer.folder("bin", 0o755, 0)?;
        layer.folder("tmp", 0o1777, 0)?;
        layer.file("bin/mariadb-operator", 0o755, &fs::read(built.join("mariadb-operator"))?)?;
        // It reads versions from tags, also its own.
        let names = vec![format!("bed.local/mariadb-operator:{}", components::OPERATOR)];
        Ok(Image { names, entrypoint: vec!["/bin/mariadb-operator".into()], user: Some(65532), ..Image::default() })
    })
}

/// The archive of `bed.local/<name>:1`, or of the names that `fill` gives it, with one layer, which `fill` writes; it may use the folder it gets.
fn one(
    cache: &Cache,
    name: &str,
    inputs: &[&[u8]],
    fill: impl FnOnce(&mut LayerWriter, &Path) -> Result<Image>,
) -> Result<PathBuf> {
    let inputs = [RECIPE.as_bytes(), name.as_bytes()].into_iter().chain(inputs.iter().copied());
    let file = format!("{name}.tar");
    let place = cache.get("image", &digest(inputs), |place| {
        let mut layer = LayerWriter::create(place.join("layer.tar"))?;
        let image = fill(&mut layer, place)?;
        let layer = layer.finish()?;
        let unpacked = layer.path.clone();
        let mut image = Image { layers: vec![layer], ..image };
        if image.names.is_empty() {
            image.names.push(format!("bed.local/{name}:1"));
        }
        archive::write(&[image], &place.join(&file))?;
        Ok(fs::remove_file(unpacked)?)
    })?;
    Ok(place.join(file))
}

/// Whether a 64-bit little-endian ELF program starts without a loader: none of its program headers
/// is PT_INTERP.
fn is_static(program: &[u8]) -> bool {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, size: usize| {
        let bytes = program.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    };
    let headers = || Some((number(32, 8)?, number(54, 2)?, number(56, 2)?));
    let Some((first, size, count)) = headers() else { return false };
    program.starts_with(b"\x7fELF")
        && (0..count).all(|i| {
            let at = usize::try_from(first + i * size).unwrap_or(usize::MAX - 8);
            number(at, 4).is_some_and(|kind| kind != PT_INTERP)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_built_once_and_leaves_only_the_archive() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        let build = |layer: &mut LayerWriter, _: &Path| {
            layer.file("x", 0o755, b"x")?;
            Ok(Image::default())
        };
        let first = one(&cache, "x", &[b"x"], build).unwrap();
        assert!(first.ends_with("x.tar"));
        assert_eq!(fs::read_dir(first.parent().unwrap()).unwrap().count(), 1);
        let again = one(&cache, "x", &[b"x"], |_, _| panic!("it is there already")).unwrap();
        assert_eq!(first, again);
    }

    #[test]
    fn tells_static_from_dynamic() {
        // Cargo links test programs dynamically (glibc) or not at all (musl).
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(is_static(&own), cfg!(target_feature = "crt-static"));
        assert!(!is_static(b"#!/bin/sh"));
        let mut program = [0; 64 + 56];
        program[..4].copy_from_slice(b"\x7fELF");
        (program[32], program[54], program[56]) = (64, 56, 1);
        assert!(is_static(&program));
        program[64] = 3;
        assert!(!is_static(&program));
    }
}
