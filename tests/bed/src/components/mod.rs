//! Kubernetes and CoreDNS, built from the Go module proxy: one static program each.

mod go;
pub(crate) mod tool;

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::cache::Cache;
use crate::progress::Progress;
pub(crate) use go::architecture;
use go::{Go, Source};

/// The Debian packages that this module's builds need.
pub const PACKAGES: &[&str] = &["golang-go", "ca-certificates"];

/// The version of Kubernetes that is built.
pub const KUBERNETES: &str = "1.34.4";

/// The programs in the folder that [`kubernetes`] returns.
pub const PROGRAMS: &[&str] =
    &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"];

const USUAL_KUBERNETES: Duration = Duration::from_secs(300);
const USUAL_COREDNS: Duration = Duration::from_secs(75);

const KUBERNETES_SOURCE: Source = Source {
    main: include_str!("../../go/kubernetes/main.go"),
    module: include_str!("../../go/kubernetes/go.mod"),
    sums: include_str!("../../go/kubernetes/go.sum"),
};

const COREDNS_SOURCE: Source = Source {
    main: include_str!("../../go/coredns/main.go"),
    module: include_str!("../../go/coredns/go.mod"),
    sums: include_str!("../../go/coredns/go.sum"),
};

/// A folder with the [`PROGRAMS`], each a link to the one static program `kubernetes`, which also
/// takes the name as its first argument. Fit for PATH.
///
/// # Errors
/// If there is no usable Go, or the build fails (no disk space, no module proxy).
pub fn kubernetes(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let go = Go::find(cache, progress)?;
    let linker = kubernetes_linker();
    let digest = go.digest(&KUBERNETES_SOURCE, &linker);
    cache.get("kubernetes", &digest, |place| {
        let doing = format!("building Kubernetes {KUBERNETES}");
        progress
            .during(doing, Some(USUAL_KUBERNETES), |step| go.build(&KUBERNETES_SOURCE, &linker, "kubernetes", place, step))?;
        for program in PROGRAMS {
            symlink("kubernetes", place.join(program))?;
        }
        Ok(())
    })
}

/// The static program `coredns`.
///
/// # Errors
/// As [`kubernetes`].
pub fn coredns(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let go = Go::find(cache, progress)?;
    let linker = "-s -w";
    let digest = go.digest(&COREDNS_SOURCE, linker);
    let place = cache.get("coredns", &digest, |place| {
        progress.during("building CoreDNS", Some(USUAL_COREDNS), |step| go.build(&COREDNS_SOURCE, linker, "coredns", place, step))
    })?;
    Ok(place.join("coredns"))
}

/// The components ask each other for their version and refuse too great a distance; without these
/// flags every one of them is v0.0.0.
fn kubernetes_linker() -> String {
    let mut parts = KUBERNETES.split('.');
    let mut part = || parts.next().unwrap_or_default();
    let set = |name: &str, value: &str| format!(" -X k8s.io/component-base/version.{name}={value}");
    ["-s -w".to_owned()]
        .into_iter()
        .chain([set("gitVersion", &format!("v{KUBERNETES}")), set("gitMajor", part()), set("gitMinor", part())])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_name_the_version_that_is_promised() {
        let module = KUBERNETES_SOURCE.module;
        assert!(module.contains(&format!("k8s.io/kubernetes v{KUBERNETES}\n")));
        for program in PROGRAMS {
            assert!(KUBERNETES_SOURCE.main.contains(&format!("\"{program}\":")));
        }
        assert_eq!(
            kubernetes_linker(),
            "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4 \
             -X k8s.io/component-base/version.gitMajor=1 \
             -X k8s.io/component-base/version.gitMinor=34"
        );
    }
}
