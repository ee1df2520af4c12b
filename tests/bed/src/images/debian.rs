//! A Debian tree in a folder: made by mmdebstrap, filled by this machine's apt from outside, so that
//! nothing in the tree needs the network, its certificates or its proxy.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::apt::{Sources, Version, versions};
use crate::components::tool;

/// What is never unpacked: the images hold what runs, nothing to read and nothing to compile with.
pub const LEFT_OUT: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
    "/usr/share/lintian/*",
    "/usr/lib/*/perl/*/CORE/*",
    "/usr/bin/aria_*",
    "/usr/bin/myisam*",
    "/usr/bin/*slap",
    "/usr/bin/innochecksum",
    "/usr/bin/mariadb-conv",
    "/usr/bin/mariadb-import",
    "/usr/bin/mariadb-plugin",
    "/usr/bin/mariadb-show",
    "/usr/bin/mariadb-waitpid",
    "/usr/bin/mariadbd-safe-helper",
    "/usr/bin/perror",
    "/usr/bin/replace",
    "/usr/bin/resolve_stack_dump",
    "/usr/lib/systemd/*",
    "/usr/share/mysql/*/errmsg.sys",
    "/usr/share/mariadb/*/errmsg.sys",
];

/// What is unpacked all the same.
pub const KEPT: &[&str] = &["/usr/share/mysql/english/errmsg.sys", "/usr/share/mariadb/english/errmsg.sys"];

/// What a running container mounts or makes anew, what only apt needs, and what the image's own layer brings.
pub const NOT_PACKED: &[&str] = &[
    "dev",
    "proc",
    "sys",
    "tmp",
    "run",
    "etc/apt",
    "etc/mysql",
    "etc/hostname",
    "etc/resolv.conf",
    "usr/sbin/policy-rc.d",
    "var/cache",
    "var/lib/apt",
    "var/lib/mysql",
    "var/lib/mariadb",
    "var/log",
];

/// A tree that apt and dpkg can work on.
pub struct Tree(PathBuf);

impl Tree {
    /// A minimal Debian of this `suite` with `packages`.
    ///
    /// # Errors
    /// If mmdebstrap is missing or fails; it needs root and the archive.
    pub fn bootstrap(place: &Path, suite: &str, packages: &[&str], sources: &Sources) -> Result<Self> {
        let list = place.with_extension("list");
        fs::write(&list, sources.list(suite))?;
        let mut command = private("mmdebstrap", None)?;
        // The lists stay for `versions` and `install`.
        command.args(["--mode=root", "--variant=minbase", "--skip=cleanup/apt/lists"]);
        command.arg(format!("--include={}", packages.join(",")));
        for option in sources.options().iter().map(String::as_str) {
            command.arg(format!("--aptopt={option}"));
        }
        for option in ["APT::Install-Recommends \"false\"", "Acquire::Languages \"none\""] {
            command.arg(format!("--aptopt={option}"));
        }
        for (rule, paths) in [("path-exclude", LEFT_OUT), ("path-include", KEPT)] {
            for path in paths {
                command.arg(format!("--dpkgopt={rule}={path}"));
            }
        }
        command.arg("--dpkgopt=force-unsafe-io").arg(suite).args([place, &list]);
        tool::run(&mut command, "util-linux", |_| {})?;
        fs::remove_file(list)?;
        let tree = Self(place.to_owned());
        // Packages must not start servers here.
        let policy = tree.0.join("usr/sbin/policy-rc.d");
        fs::write(&policy, "#!/bin/sh\nexit 101\n")?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
        Ok(tree)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A second tree equal to this one.
    ///
    /// # Errors
    /// Those of `cp`.
    pub fn copy(&self, place: &Path) -> Result<Self> {
        let mut command = Command::new("cp");
        command.args(["-a", "--reflink=auto"]).args([&self.0, place]);
        tool::run(&mut command, "coreutils", |_| {})?;
        Ok(Self(place.to_owned()))
    }

    /// Adds a system user with a group of its own; `id` is both numbers.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn add_user(&self, name: &str, id: u32, home: &str) -> Result<()> {
        let lines = [
            ("passwd", format!("{name}:x:{id}:{id}::{home}:/usr/sbin/nologin\n")),
            ("group", format!("{name}:x:{id}:\n")),
            ("shadow", format!("{name}:!:20000::::::\n")),
        ];
        for (file, line) in lines {
            let path = self.0.join("etc").join(file);
            let mut file = fs::OpenOptions::new().append(true).open(&path)?;
            file.write_all(line.as_bytes()).with_context(|| format!("{} cannot be written.", path.display()))?;
        }
        Ok(())
    }

    /// The versions of `package` that the archive has, newest first.
    ///
    /// # Errors
    /// If it has none.
    pub fn versions(&self, package: &str) -> Result<Vec<Version>> {
        let mut command = self.apt("apt-cache")?;
        let found = versions(&tool::run(command.args(["madison", package]), "util-linux", |_| {})?);
        ensure!(!found.is_empty(), "The Debian archive has no package {package}; run `apt-get update` and try again.");
        Ok(found)
    }

    /// Installs `packages`, all of them in this one version.
    ///
    /// # Errors
    /// apt's own.
    pub fn install(&self, packages: &[&str], version: &Version) -> Result<()> {
        let mut command = self.apt("apt-get")?;
        command.args(["install", "--yes", "--quiet"]);
        command.args(packages.iter().map(|package| format!("{package}={}", version.0)));
        tool::run(&mut command, "util-linux", |_| {})?;
        Ok(())
    }

    /// A program of apt that works on this tree. The settings that mmdebstrap left in it hold.
    fn apt(&self, program: &str) -> Result<Command> {
        let tree = self.0.to_str().context("The cache folder's name is not UTF-8; set XDG_CACHE_HOME to another one.")?;
        let config = self.0.join("tmp/apt.conf");
        let text = format!(
            "Dir \"{tree}\";\nDPkg::Chroot-Directory \"{tree}\";\nDir::Etc::parts \"{tree}/etc/apt/apt.conf.d\";\n\
             APT::Sandbox::User \"root\";\nAPT::Keep-Downloaded-Packages \"false\";\n"
        );
        fs::write(&config, text)?;
        let mut command = private(program, Some(&self.0.join("proc")))?;
        command.env("APT_CONFIG", config).env("DEBIAN_FRONTEND", "noninteractive");
        Ok(command)
    }
}

/// `program` in a mount namespace of its own: what it mounts in a tree goes with it, even if it is
/// killed, so that removing the tree never reaches into this machine's /dev. Packages' scripts want
/// a `proc`.
fn private(program: &str, proc: Option<&Path>) -> Result<Command> {
    let packages = "apt mmdebstrap debian-archive-keyring";
    tool::run(Command::new(program).arg("--version"), packages, |_| {})?;
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if let Some(proc) = proc {
        let mut option = std::ffi::OsString::from("--mount-proc=");
        option.push(proc);
        command.arg(option);
    }
    command.arg("--").arg(program);
    command.env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env_remove("TMPDIR");
    Ok(command)
}
