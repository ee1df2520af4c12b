//! The platforms there are archives for, in krew's words and in Rust's.

use std::fmt;

use crate::{PROGRAM, VERSION};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Os {
    Linux,
    Darwin,
    Windows,
}

/// A platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    pub os: Os,
    /// As krew and Go name it.
    pub arch: &'static str,
    /// As Rust names it.
    pub target: &'static str,
}

/// Linux without a C library of its own: one program for every distribution.
pub const ALL: [Platform; 6] = [
    Platform { os: Os::Linux, arch: "amd64", target: "x86_64-unknown-linux-musl" },
    Platform { os: Os::Linux, arch: "arm64", target: "aarch64-unknown-linux-musl" },
    Platform { os: Os::Darwin, arch: "amd64", target: "x86_64-apple-darwin" },
    Platform { os: Os::Darwin, arch: "arm64", target: "aarch64-apple-darwin" },
    Platform { os: Os::Windows, arch: "amd64", target: "x86_64-pc-windows-gnu" },
    Platform { os: Os::Windows, arch: "arm64", target: "aarch64-pc-windows-gnullvm" },
];

impl Platform {
    /// The program's file.
    #[must_use]
    pub fn program(&self) -> String {
        if self.os == Os::Windows { format!("{PROGRAM}.exe") } else { PROGRAM.to_owned() }
    }

    /// The archive's file.
    #[must_use]
    pub fn archive(&self) -> String {
        let ending = if self.os == Os::Windows { "zip" } else { "tar.gz" };
        format!("{PROGRAM}_v{VERSION}_{}_{}.{ending}", self.os, self.arch)
    }

    /// That of the machine this runs on.
    #[must_use]
    pub fn here() -> Option<Self> {
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            _ => return None,
        };
        ALL.into_iter().find(|platform| platform.os == Os::Linux && platform.arch == arch)
    }
}

/// krew's `os`.
impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linux => "linux",
            Self::Darwin => "darwin",
            Self::Windows => "windows",
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)
    }
}
