//! The Go compiler: the machine's own if it is new enough, else one from the module proxy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::tool;
use crate::cache::{Cache, digest};
use crate::progress::{Progress, Step};

/// Old enough for the `go` line in the go.mod files of everything that is built (Go 1.x).
const OLDEST_MINOR: u32 = 26;

/// The compiler that is fetched where the machine's is older; the bed is built with it.
const FETCHED: &str = "go1.26.8";

const USUAL_FETCH: Duration = Duration::from_secs(10);

/// A Go compiler that can build the components.
#[derive(Debug)]
pub struct Go {
    program: PathBuf,
    /// As `go env GOVERSION` says, "go1.26.8".
    pub version: String,
}

/// A Go program: where its package `main` is, and a module of ours that names all it needs.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    pub main: Main,
    pub module: &'static str,
    pub sums: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub enum Main {
    /// The text of `main.go`.
    Own(&'static str),
    /// The path of a package in one of the modules.
    Package(&'static str),
}

impl Source {
    /// Writes the module to `folder`.
    fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir(folder)?;
        if let Main::Own(text) = self.main {
            fs::write(folder.join("main.go"), text)?;
        }
        fs::write(folder.join("go.mod"), self.module)?;
        Ok(fs::write(folder.join("go.sum"), self.sums)?)
    }

    const fn package(&self) -> &'static str {
        match self.main {
            Main::Own(_) => ".",
            Main::Package(path) => path,
        }
    }
}

impl Go {
    /// Finds a compiler, fetching one if need be.
    ///
    /// # Errors
    /// If there is no Go at all, or an old one that cannot fetch a newer one.
    pub fn find(cache: &Cache, progress: &Progress) -> Result<Self> {
        let version = version_of(Path::new("go"))?;
        if minor(&version).is_some_and(|minor| minor >= OLDEST_MINOR) {
            return Ok(Self { program: "go".into(), version });
        }
        let module = format!("golang.org/toolchain@v0.0.1-{FETCHED}.{}", platform()?);
        let fetched = cache.get("go", &digest([module.as_bytes()]), |place| {
            let doing = format!("fetching {FETCHED} (this machine's is {version})");
            progress.during(doing, Some(USUAL_FETCH), |step| fetch(&module, place, step))
        });
        let fetched = fetched.with_context(|| {
            format!(
                "Go {version} is too old to build the components and a newer one could not be fetched; \
                 install Go 1.{OLDEST_MINOR} or newer and put its `go` on PATH."
            )
        })?;
        let program = fetched.join("go/bin/go");
        let version = version_of(&program)?;
        Ok(Self { program, version })
    }

    /// Builds a static program from `source` in the folder `place`, which is left with the program only.
    ///
    /// # Errors
    /// Go's own.
    pub fn build(&self, source: &Source, linker: &str, name: &str, place: &Path, step: &Step) -> Result<()> {
        let folder = place.join("source");
        source.write(&folder)?;
        let mut command = go(&self.program);
        // A changed flag or CGO_ENABLED would make every package build anew.
        command
            .current_dir(&folder)
            .env("CGO_ENABLED", "0")
            .args(["build", "-mod=mod", "-buildvcs=false", "-ldflags", linker])
            .arg("-o")
            .arg(place.join(name))
            .arg(source.package());
        tool::run(&mut command, "golang-go", |line| step.note(line))?;
        Ok(fs::remove_dir_all(folder)?)
    }

    /// Copies files of `module`, one that `source` requires, to the folder `place`.
    ///
    /// # Errors
    /// If the module is out of reach or has no such file.
    pub fn copy(&self, source: &Source, module: &str, files: &[&str], place: &Path) -> Result<()> {
        let folder = place.join("source");
        source.write(&folder)?;
        let mut command = go(&self.program);
        command.current_dir(&folder).args(["list", "-mod=mod", "-m", "-f", "{{.Dir}}", module]);
        let found = tool::run(&mut command, "golang-go", |_| {})?;
        for file in files {
            let from = Path::new(found.trim()).join(file);
            let name = from.file_name().context("a file has a name")?;
            // Not `copy`: module files may not be written to.
            let text = fs::read(&from).with_context(|| format!("The module {module} has no file {file}"))?;
            fs::write(place.join(name), text)?;
        }
        Ok(fs::remove_dir_all(folder)?)
    }

    /// A digest of all that a program built by [`Go::build`] depends on.
    #[must_use]
    pub fn digest(&self, source: &Source, linker: &str) -> String {
        let (Main::Own(main) | Main::Package(main)) = source.main;
        digest([&self.version, main, source.module, source.sums, linker])
    }
}

/// A `go` that is what it says it is: no other toolchain, no settings of the folder it runs in.
fn go(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("GOTOOLCHAIN", "local").env("GOWORK", "off").env("GO111MODULE", "on");
    for foreign in ["GOROOT", "GOFLAGS", "GOOS", "GOARCH"] {
        command.env_remove(foreign);
    }
    command
}

fn version_of(program: &Path) -> Result<String> {
    let mut command = go(program);
    let said = tool::run(command.args(["env", "GOVERSION"]), "golang-go", |_| {})?;
    Ok(said.trim().to_owned())
}

/// 26 of "go1.26.8".
fn minor(version: &str) -> Option<u32> {
    let (_, rest) = version.split_once("go1.")?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// Go's name of this machine's platform.
fn platform() -> Result<String> {
    Ok(format!("linux-{}", architecture()?))
}

/// Go's and the image formats' name of this machine's processor.
pub fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("The bed cannot be built on the processor {other}; it knows x86_64 and aarch64 only."),
    }
}

/// Compilers are ordinary modules of the proxy, checked against the public checksums, so even a
/// Go that knows nothing of toolchains can fetch one. What it cannot do is make it ready to run:
/// module files are never executable, and a go.mod inside a module is called `_go.mod`.
fn fetch(module: &str, place: &Path, step: &Step) -> Result<()> {
    let modules = place.join("modules");
    let mut command = go(Path::new("go"));
    command.current_dir(place).env("GOMODCACHE", &modules).env("GOFLAGS", "-modcacherw").args(["mod", "download", module]);
    tool::run(&mut command, "golang-go", |line| step.note(line))?;
    let root = place.join("go");
    fs::rename(modules.join(module), &root)?;
    for folder in ["src", "src/cmd"] {
        fs::rename(root.join(folder).join("_go.mod"), root.join(folder).join("go.mod"))?;
    }
    let tools = format!("pkg/tool/{}", platform()?.replace('-', "_"));
    for folder in ["bin", &tools] {
        for entry in fs::read_dir(root.join(folder))? {
            fs::set_permissions(entry?.path(), fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(fs::remove_dir_all(modules)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        assert_eq!(minor("go1.26.8"), Some(26));
        assert_eq!(minor("go1.19"), Some(19));
        assert_eq!(minor("go1.25rc1"), Some(25));
        assert_eq!(minor("devel go1.27-3ab81ac"), Some(27));
        assert_eq!(minor("weekly.2012-03-27"), None);
    }

    #[test]
    fn the_digest_follows_every_input() {
        let go = |version: &str| Go { program: "go".into(), version: version.into() };
        let source = Source { main: Main::Own("package main"), module: "module m", sums: "" };
        let changed = Source { sums: "x", ..source };
        let first = go("go1.26.8").digest(&source, "-s");
        assert_eq!(first, go("go1.26.8").digest(&source, "-s"));
        assert_ne!(first, go("go1.26.9").digest(&source, "-s"));
        assert_ne!(first, go("go1.26.8").digest(&source, "-w"));
        assert_ne!(first, go("go1.26.8").digest(&changed, "-s"));
    }
}
