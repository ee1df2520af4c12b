//! The Debian archive as this machine's own apt reaches it, and the versions in it.

use std::cmp::Ordering;
use std::process::Command;

use anyhow::{Context, Result};

use crate::components::tool;

/// Where Debian is fetched from: never a host of our choice, always the one this machine is set up for.
#[derive(Debug, PartialEq, Eq)]
pub struct Sources {
    main: String,
    security: Option<String>,
    /// apt options ("Name=value" without quotes): proxies, certificates, checks of dates.
    options: Vec<String>,
}

impl Sources {
    /// Asks apt.
    ///
    /// # Errors
    /// If apt knows no Debian archive.
    pub fn of_this_machine() -> Result<Self> {
        let found = match Self::ask()? {
            // The mirrors are known by the lists they gave, and a fresh machine may have none.
            None => {
                tool::run(Command::new("apt-get").args(["update", "--quiet"]), "apt", |_| {})?;
                Self::ask()?
            }
            some => some,
        };
        found.context(
            "The MariaDB images are made from the Debian archive, and apt on this machine knows none; \
             add a Debian mirror to /etc/apt.",
        )
    }

    fn ask() -> Result<Option<Self>> {
        let format = "$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(REPO_URI)";
        let targets = tool::run(Command::new("apt-get").args(["indextargets", "--format", format]), "apt", |_| {})?;
        let options = tool::run(Command::new("apt-config").args(["dump", "Acquire"]), "apt", |_| {})?;
        Ok(Self::read(&targets, &options))
    }

    fn read(targets: &str, options: &str) -> Option<Self> {
        let of = |label: &str| {
            let mut targets = targets.lines().filter_map(|line| line.strip_prefix("Packages|Debian|"));
            targets.find_map(|line| Some(line.strip_prefix(label)?.strip_prefix('|')?.trim_end_matches('/').to_owned()))
        };
        Some(Self { main: of("Debian")?, security: of("Debian-Security"), options: options.lines().filter_map(option).collect() })
    }

    /// The `sources.list` of another Debian release on the same mirror.
    pub fn list(&self, suite: &str) -> String {
        let main = &self.main;
        let mut list = format!("deb {main} {suite} main\ndeb {main} {suite}-updates main\n");
        if let Some(security) = &self.security {
            list += &format!("deb {security} {suite}-security main\n");
        }
        list
    }

    /// What apt must be told to reach these sources as this machine's own apt does: `Name "value"`.
    pub fn options(&self) -> &[String] {
        &self.options
    }
}

/// A line of `apt-config dump` (`Acquire::http::Proxy "http://proxy:3128";`) if it says how to reach
/// an archive or what to believe of it.
fn option(line: &str) -> Option<String> {
    const CARRIED: [&str; 5] =
        ["Acquire::http::", "Acquire::https::", "Acquire::Check-Valid-Until ", "Acquire::Check-Date ", "Acquire::Retries "];
    let line = line.trim_end_matches(';');
    let empty = line.ends_with("\"\"");
    (!empty && CARRIED.iter().any(|name| line.starts_with(name))).then(|| line.to_owned())
}

/// A package's version as Debian has it, "1:10.11.18-0+deb12u1".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

impl Version {
    /// The program's own version, "10.11.18".
    pub fn upstream(&self) -> &str {
        let upstream = self.0.split_once(':').map_or(self.0.as_str(), |(_, rest)| rest);
        upstream.split(['-', '+', '~']).next().unwrap_or(upstream)
    }

    /// "10.11".
    pub fn series(&self) -> &str {
        let upstream = self.upstream();
        upstream.rsplit_once('.').map_or(upstream, |(series, _)| series)
    }

    fn numbers(&self) -> Vec<u32> {
        self.upstream().split('.').map_while(|part| part.parse().ok()).collect()
    }

    fn newest_first(&self, other: &Self) -> Ordering {
        other.numbers().cmp(&self.numbers())
    }
}

/// The different versions that `apt-cache madison` tells of, newest first, one for each upstream version.
pub fn versions(madison: &str) -> Vec<Version> {
    let version = |line: &str| Some(Version(line.split('|').nth(1)?.trim().to_owned()));
    let mut versions: Vec<_> = madison.lines().filter_map(version).collect();
    versions.sort_by(Version::newest_first);
    versions.dedup_by(|a, b| a.upstream() == b.upstream());
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "\
Translations|Debian|Debian|http://mirror.example/debian/
Packages|Elsewhere|Debian|http://elsewhere.example/
Packages|Debian|Debian Backports|http://mirror.example/backports/
Packages|Debian|Debian|http://mirror.example/debian/
Packages|Debian|Debian|http://mirror.example/debian/
Packages|Debian|Debian-Security|http://mirror.example/debian-security/
";

    const OPTIONS: &str = r#"Acquire "";
Acquire::cdrom "";
Acquire::Languages:: "none";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::CaInfo "/etc/ssl/own.pem";
Acquire::https::Verify-Peer "";
Acquire::Check-Valid-Until "false";
"#;

    #[test]
    fn takes_the_mirrors_of_this_machine() {
        let sources = Sources::read(TARGETS, OPTIONS).unwrap();
        assert_eq!(
            sources.list("trixie"),
            "deb http://mirror.example/debian trixie main\n\
             deb http://mirror.example/debian trixie-updates main\n\
             deb http://mirror.example/debian-security trixie-security main\n"
        );
        assert_eq!(
            sources.options(),
            [
                r#"Acquire::http::Proxy "http://proxy.example:3128""#,
                r#"Acquire::https::CaInfo "/etc/ssl/own.pem""#,
                r#"Acquire::Check-Valid-Until "false""#,
            ]
        );
    }

    #[test]
    fn a_mirror_without_security_will_do_but_no_debian_will_not() {
        let sources = Sources::read("Packages|Debian|Debian|http://m.example/\n", "").unwrap();
        assert_eq!(sources.list("bookworm").lines().count(), 2);
        assert_eq!(Sources::read("Packages|Ubuntu|Ubuntu|http://u.example/\n", ""), None);
        assert_eq!(Sources::read("", ""), None);
    }

    #[test]
    fn finds_the_versions_newest_first() {
        let madison = "\
mariadb-server | 1:10.11.9-0+deb12u1 | http://mirror.example/debian bookworm/main amd64 Packages
mariadb-server | 1:10.11.19-0+deb12u1 | http://mirror.example/debian-security bookworm-security/main amd64 Packages
mariadb-server | 1:10.11.19-0+deb12u1 | http://mirror.example/debian bookworm-updates/main amd64 Packages
";
        let found = versions(madison);
        let upstream: Vec<_> = found.iter().map(Version::upstream).collect();
        assert_eq!(upstream, ["10.11.19", "10.11.9"]);
        assert_eq!(found[0].0, "1:10.11.19-0+deb12u1");
        assert_eq!(found[0].series(), "10.11");
        assert!(versions("N: Unable to locate package mariadb-server\n").is_empty());
    }

    #[test]
    fn reads_versions_of_every_shape() {
        assert_eq!(Version("1:11.8.6-0+deb13u1".into()).upstream(), "11.8.6");
        assert_eq!(Version("11.8.9~rc1-1".into()).upstream(), "11.8.9");
        assert_eq!(Version("11.8.6".into()).series(), "11.8");
    }
}
