//! Kubernetes, CoreDNS, mariadb-operator and krew, built from the Go module proxy: one static program each.

mod go;
pub(crate) mod tool;

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::cache::Cache;
use crate::progress::Progress;
pub(crate) use go::architecture;
use go::{Go, Main, Source};

/// The Debian packages that this module's builds need.
pub const PACKAGES: &[&str] = &["golang-go", "ca-certificates"];

/// The version of Kubernetes that is built.
pub const KUBERNETES: &str = "1.34.4";

/// The version of mariadb-operator that is built.
pub const OPERATOR: &str = "25.10.4";

/// The programs in the folder that [`kubernetes`] returns.
pub const PROGRAMS: &[&str] =
    &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"];

const USUAL_KUBERNETES: Duration = Duration::from_secs(300);
const USUAL_COREDNS: Duration = Duration::from_secs(75);
const USUAL_KREW: Duration = Duration::from_secs(30);
const USUAL_OPERATOR: Duration = Duration::from_secs(165);

const KUBERNETES_SOURCE: Source = Source {
    main: Main::Own(include_str!("../../go/kubernetes/main.go")),
    module: include_str!("../../go/kubernetes/go.mod"),
    sums: include_str!("../../go/kubernetes/go.sum"),
};

const COREDNS_SOURCE: Source = Source {
    main: Main::Own(include_str!("../../go/coredns/main.go")),
    module: include_str!("../../go/coredns/go.mod"),
    sums: include_str!("../../go/coredns/go.sum"),
};

const OPERATOR_SOURCE: Source = Source {
    main: Main::Package("github.com/mariadb-operator/mariadb-operator/v25/cmd/controller"),
    module: include_str!("../../go/operator/go.mod"),
    sums: include_str!("../../go/operator/go.sum"),
};

const KREW_SOURCE: Source = Source {
    main: Main::Package("sigs.k8s.io/krew/cmd/krew"),
    module: include_str!("../../go/krew/go.mod"),
    sums: include_str!("../../go/krew/go.sum"),
};

const OPERATOR_MODULE: &str = "github.com/mariadb-operator/mariadb-operator/v25";

/// What the operator's own build generates for those who install it; the chart has the same in templates.
const OPERATOR_MANIFESTS: [&str; 3] = ["deploy/crds/crds.yaml", "config/rbac/role.yaml", "config/webhook/manifests.yaml"];

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

/// The static program `krew`.
///
/// # Errors
/// As [`kubernetes`].
pub fn krew(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let go = Go::find(cache, progress)?;
    let linker = "-s -w";
    let digest = go.digest(&KREW_SOURCE, linker);
    let place = cache.get("krew", &digest, |place| {
        progress.during("building krew", Some(USUAL_KREW), |step| go.build(&KREW_SOURCE, linker, "krew", place, step))
    })?;
    Ok(place.join("krew"))
}

/// A folder with the static program `mariadb-operator` and the manifests of its module: `crds.yaml`, `role.yaml` (what it
/// may do) and `manifests.yaml` (its webhook).
///
/// # Errors
/// As [`kubernetes`].
pub fn operator(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let go = Go::find(cache, progress)?;
    let linker = "-s -w";
    let digest = go.digest(&OPERATOR_SOURCE, linker);
    cache.get("mariadb-operator", &digest, |place| {
        let doing = format!("building mariadb-operator {OPERATOR}");
        progress.during(doing, Some(USUAL_OPERATOR), |step| {
            go.build(&OPERATOR_SOURCE, linker, "mariadb-operator", place, step)?;
            go.copy(&OPERATOR_SOURCE, OPERATOR_MODULE, &OPERATOR_MANIFESTS, place)
        })
    })
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
        let Main::Own(main) = KUBERNETES_SOURCE.main else { panic!("it is ours") };
        for program in PROGRAMS {
            assert!(main.contains(&format!("\"{program}\":")));
        }
        assert!(OPERATOR_SOURCE.module.contains(&format!("{OPERATOR_MODULE} v{OPERATOR} ")));
        assert_eq!(
            kubernetes_linker(),
            "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4 \
             -X k8s.io/component-base/version.gitMajor=1 \
             -X k8s.io/component-base/version.gitMinor=34"
        );
    }
}
