//! krew's manifest. `krew-manifest.yaml` of the repository is the same with addresses and checksums of no release.

use std::fmt::Write as _;

use crate::VERSION;
use crate::archive::{Archive, LICENSE};
use crate::platform::{ALL, Platform};

/// Where the manifest of the repository says that archives are: nowhere.
pub const NOWHERE: &str = "https://releases.example";

/// The first lines of `krew-manifest.yaml`.
const TEMPLATE: &str = "\
# A template, made by the code in release/: nothing is at these addresses, and the checksums are zeros. krew cannot install it.
# `cargo archive --url https://…` writes mariadb.yaml, with the addresses and checksums of a release, beside its archives.
";

const HEAD: &str = r"apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  # krew wants the file to be called like this: mariadb.yaml.
  name: mariadb
spec:
  version: vVERSION
  homepage: https://releases.example
  shortDescription: Tell what is true of MariaDB clusters
  description: |
    For the person on call for MariaDB: tells what is true of a cluster by
    asking its servers, not what is believed of it, and what to do next.
    Works with Galera and GTID replication, run by mariadb-operator, by a
    chart or by a StatefulSet of your own. Not a product of MariaDB plc or of
    the MariaDB Foundation.
  caveats: |
    So that kubectl also completes names of clusters, give the plugin its
    second name beside the first (on Windows: copy it):

      ln -s kubectl-mariadb ${KREW_ROOT:-$HOME/.krew}/bin/kubectl_complete-mariadb
  platforms:
";

/// The manifest of these archives, all below `url`.
#[must_use]
pub fn of(url: &str, archives: &[Archive]) -> String {
    let platforms = archives.iter().map(|archive| (archive.platform, archive.sha256.as_str()));
    head(url) + &platforms.map(|(platform, sha256)| entry(platform, url, sha256)).collect::<String>()
}

/// `krew-manifest.yaml`.
#[must_use]
pub fn of_repository() -> String {
    let no_sum = "0".repeat(64);
    TEMPLATE.to_owned() + &head(NOWHERE) + &ALL.into_iter().map(|platform| entry(platform, NOWHERE, &no_sum)).collect::<String>()
}

fn head(url: &str) -> String {
    HEAD.replace("VERSION", VERSION).replace(NOWHERE, url)
}

fn entry(platform: Platform, url: &str, sha256: &str) -> String {
    let Platform { os, arch, .. } = platform;
    let (program, archive) = (platform.program(), platform.archive());
    let mut text = String::new();
    let url = url.trim_end_matches('/');
    let _ = write!(
        text,
        "    - selector:
        matchLabels:
          os: {os}
          arch: {arch}
      uri: {url}/v{VERSION}/{archive}
      sha256: \"{sha256}\"
      bin: {program}
      files:
        - from: {program}
          to: .
        - from: {LICENSE}
          to: .
"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PROGRAM;
    use crate::platform::Os;

    #[derive(serde::Deserialize)]
    struct Manifest {
        metadata: Metadata,
        spec: Spec,
    }

    #[derive(serde::Deserialize)]
    struct Metadata {
        name: String,
    }

    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        version: String,
        short_description: String,
        description: String,
        platforms: Vec<Entry>,
    }

    #[derive(serde::Deserialize)]
    struct Entry {
        selector: Selector,
        uri: String,
        sha256: String,
        bin: String,
        files: Vec<File>,
    }

    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Selector {
        match_labels: Labels,
    }

    #[derive(serde::Deserialize)]
    struct Labels {
        os: String,
        arch: String,
    }

    #[derive(serde::Deserialize)]
    struct File {
        from: String,
    }

    #[test]
    fn the_manifest_of_the_repository_is_that_of_the_code() {
        let path = crate::workspace().join("krew-manifest.yaml");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, of_repository()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == of_repository(), "krew-manifest.yaml differs; run: UPDATE_DOCS=1 cargo test -p release");
    }

    /// What krew and its index demand.
    #[test]
    fn six_platforms_each_with_its_archive() {
        let manifest: Manifest = serde_saphyr::from_str(&of_repository()).unwrap();
        assert_eq!((manifest.metadata.name.as_str(), manifest.spec.version), ("mariadb", format!("v{VERSION}")));
        assert!(manifest.spec.short_description.len() <= 50, "{}", manifest.spec.short_description);
        assert!(manifest.spec.description.lines().all(|line| line.len() <= 80));
        let mut pairs = Vec::new();
        for entry in &manifest.spec.platforms {
            let Labels { os, arch } = &entry.selector.match_labels;
            let windows = os == "windows";
            assert_eq!(entry.bin.ends_with(".exe"), windows);
            assert!(
                entry.uri.ends_with(&format!(
                    "/v{VERSION}/{PROGRAM}_v{VERSION}_{os}_{arch}.{}",
                    if windows { "zip" } else { "tar.gz" }
                ))
            );
            assert!(
                entry.sha256.len() == 64
                    && entry.sha256.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
            );
            let files: Vec<&str> = entry.files.iter().map(|file| file.from.as_str()).collect();
            assert_eq!(files, [entry.bin.as_str(), LICENSE]);
            pairs.push(format!("{os}/{arch}"));
        }
        assert_eq!(pairs, ["linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"]);
        assert_eq!(ALL.iter().filter(|platform| platform.os == Os::Windows).count(), 2);
    }
}
