//! MariaDB images, laid out like the official ones: Debian's packages under an entry point of our own.
//!
//! Two cache entries per Debian release: the layers with the packages, which take a minute, and the
//! archive of the images, which takes seconds to pack anew when the entry point changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::apt::Sources;
use super::archive::{self, Image};
use super::debian::{KEPT, LEFT_OUT, NOT_PACKED, Tree};
use super::layer::{Layer, LayerWriter, changes, whole};
use crate::cache::{Cache, digest};
use crate::progress::{Progress, Step};

/// A Debian release with a MariaDB series of its own.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    suite: &'static str,
    /// "10.11"
    series: &'static str,
}

/// The releases whose MariaDB the bed runs.
pub const RELEASES: [Release; 2] = [Release { suite: "bookworm", series: "10.11" }, Release { suite: "trixie", series: "11.8" }];

impl Release {
    /// Of all that the layers with MariaDB's packages depend on.
    fn layers_digest(self) -> String {
        let lists = [BASE, MARIADB, LEFT_OUT, KEPT, NOT_PACKED].concat();
        digest([RECIPE, self.suite, self.series].into_iter().chain(lists))
    }

    fn archive_digest(self) -> String {
        let layers = self.layers_digest();
        let top = TOP.iter().chain(&BITNAMI_TOP).flat_map(|(name, _, content)| [*name, *content]);
        digest([RECIPE, &layers].into_iter().chain(top))
    }

    fn archive_name(self) -> String {
        format!("mariadb-{}.tar", self.series)
    }
}

/// How many versions of a series become images, if the archive has them: an upgrade needs two.
const VERSIONS: usize = 2;

/// Changed when the code makes other layers or archives from the same inputs.
const RECIPE: &str = "1";

const USUAL_LAYERS: Duration = Duration::from_secs(40);

/// The user of the official images.
const MYSQL: (&str, u32, &str) = ("mysql", 999, "/var/lib/mysql");

/// All that the server, its state transfers and its backups depend on: common to all versions, so
/// that their layers share it. What a release calls otherwise comes with MariaDB itself.
const BASE: &[&str] = &[
    "adduser",
    "ca-certificates",
    "galera-4",
    "gawk",
    "iproute2",
    "libdbi-perl",
    "libncurses6",
    "libnuma1",
    "libsnappy1v5",
    "libxml2",
    "lsof",
    "passwd",
    "perl",
    "procps",
    "psmisc",
    "pv",
    "rsync",
    "socat",
    "tzdata",
];

const MARIADB: &[&str] =
    &["mariadb-backup", "mariadb-client", "mariadb-client-core", "mariadb-common", "mariadb-server", "mariadb-server-core"];

/// The top layer's files: name, mode, content.
const TOP: [(&str, u32, &str); 5] = [
    ("etc/mysql/mariadb.cnf", 0o644, include_str!("../../images/mariadb/mariadb.cnf")),
    ("etc/mysql/mariadb.conf.d/05-bed.cnf", 0o644, include_str!("../../images/mariadb/05-bed.cnf")),
    ("usr/local/bin/docker-entrypoint.sh", 0o755, include_str!("../../images/mariadb/docker-entrypoint.sh")),
    ("usr/local/bin/gosu", 0o755, include_str!("../../images/mariadb/gosu")),
    ("usr/local/bin/healthcheck.sh", 0o755, include_str!("../../images/mariadb/healthcheck.sh")),
];

/// The user of Bitnami's image, which has no name there.
const BITNAMI: u32 = 1001;

/// Files of the layer that makes an image one like Bitnami's: name, mode, content.
const BITNAMI_TOP: [(&str, u32, &str); 3] = [
    ("etc/mysql/mariadb.cnf", 0o644, include_str!("../../images/mariadb-galera/my.cnf")),
    ("opt/bitnami/scripts/mariadb-galera/entrypoint.sh", 0o755, include_str!("../../images/mariadb-galera/entrypoint.sh")),
    ("opt/bitnami/scripts/mariadb-galera/run.sh", 0o755, include_str!("../../images/mariadb-galera/run.sh")),
];

/// What the layers of a release are, in their folder.
#[derive(Debug, Serialize, Deserialize)]
struct Layers {
    base: Layer,
    /// Newest first: the version as the images call it, and its layer on top of `base`.
    versions: Vec<(String, Layer)>,
}

impl Layers {
    const FILE: &str = "layers.json";

    /// Reads what [`build`] wrote.
    fn read(folder: &Path) -> Result<Self> {
        let text = fs::read(folder.join(Self::FILE))?;
        let mut layers: Self = serde_json::from_slice(&text)?;
        let all = layers.versions.iter_mut().map(|(_, layer)| layer);
        for layer in all.chain([&mut layers.base]) {
            layer.path = folder.join(&layer.path);
        }
        Ok(layers)
    }
}

/// The archive with the images of a release: `bed.local/mariadb:<version>` each, the newest also
/// as `:<series>` and, laid out like Bitnami's image, as `bed.local/mariadb-galera:<series>`.
///
/// # Errors
/// If a program is missing, the archive of Debian is out of reach, or a package does not install.
pub fn archive(release: Release, cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let Release { suite, series } = release;
    let layers = cache.get("mariadb-layers", &release.layers_digest(), |place| {
        let doing = format!("installing MariaDB {series} of Debian {suite} for the images");
        progress.during(doing, Some(USUAL_LAYERS), |step| build(release, place, step))
    })?;
    let name = release.archive_name();
    let place = cache.get("image", &release.archive_digest(), |place| {
        progress.during(format!("packing the images of MariaDB {series}"), None, |_| {
            pack(series, Layers::read(&layers)?, place, &name)
        })
    })?;
    Ok(place.join(name))
}

/// The archive of a series if it has been built.
pub fn built(series: &str, cache: &Cache) -> Option<PathBuf> {
    let release = RELEASES.into_iter().find(|release| release.series == series)?;
    Some(cache.find("image", &release.archive_digest())?.join(release.archive_name()))
}

/// Makes the layers in `place`.
fn build(release: Release, place: &Path, step: &Step) -> Result<()> {
    let Release { suite, series } = release;
    step.note("Debian");
    let sources = Sources::of_this_machine()?;
    let tree = Tree::bootstrap(&place.join("tree"), suite, BASE, &sources)?;
    let (user, id, home) = MYSQL;
    tree.add_user(user, id, home)?;
    let mut found = tree.versions("mariadb-server")?;
    found.retain(|version| version.series() == series);
    found.truncate(VERSIONS);
    found.first().with_context(|| format!("The Debian archive has no MariaDB {series} for {suite}."))?;

    step.note("base layer");
    let mut writer = LayerWriter::create(place.join("base.tar"))?;
    for (name, mode) in [("dev", 0o755), ("proc", 0o555), ("sys", 0o555), ("run", 0o755), ("tmp", 0o1777)] {
        writer.folder(name, mode, 0)?;
    }
    let base = whole(tree.path(), NOT_PACKED, &mut writer)?;
    let mut layers = Layers { base: named(writer.finish()?)?, versions: Vec::new() };
    for version in found {
        let name = version.upstream().to_owned();
        step.note(&name);
        let installed = tree.copy(&place.join(format!("tree-{name}")))?;
        installed.install(MARIADB, &version)?;
        let mut writer = LayerWriter::create(place.join(format!("{name}.tar")))?;
        changes(&base, installed.path(), NOT_PACKED, &mut writer)?;
        fs::remove_dir_all(installed.path())?;
        layers.versions.push((name, named(writer.finish()?)?));
    }
    fs::remove_dir_all(tree.path())?;
    Ok(fs::write(place.join(Layers::FILE), serde_json::to_vec_pretty(&layers)?)?)
}

/// The layer by its file's name alone: the folder it was made in gets another name when it is complete.
fn named(layer: Layer) -> Result<Layer> {
    let name = layer.path.file_name().context("a layer is a file")?;
    Ok(Layer { path: name.into(), ..layer })
}

/// Writes the archive `name` in `place`.
fn pack(series: &str, layers: Layers, place: &Path, name: &str) -> Result<()> {
    let top = top(&place.join("top.tar"))?;
    let unpacked = top.path.clone();
    let image = |(i, (version, layer)): (usize, (String, Layer))| {
        let newest = (i == 0).then_some(series);
        let tags = [version.as_str()].into_iter().chain(newest);
        Image {
            names: tags.map(|tag| format!("bed.local/mariadb:{tag}")).collect(),
            layers: vec![layers.base.clone(), layer, top.clone()],
            entrypoint: vec!["docker-entrypoint.sh".into()],
            command: vec!["mariadbd".into()],
            environment: vec!["LANG=C.UTF-8".into(), format!("MARIADB_VERSION=1:{version}+bed")],
            user: None,
        }
    };
    let mut images: Vec<_> = layers.versions.into_iter().enumerate().map(image).collect();
    let above = bitnami_top(&place.join("bitnami.tar"))?;
    let unpacked = [unpacked, above.path.clone()];
    let newest = images.first().context("a release has a version")?;
    images.push(Image {
        names: vec![format!("bed.local/mariadb-galera:{series}")],
        layers: newest.layers.iter().cloned().chain([above]).collect(),
        entrypoint: vec!["/opt/bitnami/scripts/mariadb-galera/entrypoint.sh".into()],
        command: vec!["/opt/bitnami/scripts/mariadb-galera/run.sh".into()],
        environment: vec!["PATH=/opt/bitnami/common/bin:/opt/bitnami/mariadb/bin:/opt/bitnami/mariadb/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()],
        user: Some(BITNAMI),
    });
    archive::write(&images, &place.join(name))?;
    unpacked.iter().try_for_each(|layer| Ok(fs::remove_file(layer)?))
}

/// The layer above an image like the official one that moves what users see below /opt/bitnami and /bitnami.
fn bitnami_top(path: &Path) -> Result<Layer> {
    let mut writer = LayerWriter::create(path)?;
    for folder in ["etc/mysql", "opt", "opt/bitnami", "opt/bitnami/mariadb", "opt/bitnami/mariadb/bin", "opt/bitnami/scripts"] {
        writer.folder(folder, 0o755, 0)?;
    }
    writer.folder("opt/bitnami/scripts/mariadb-galera", 0o755, 0)?;
    for folder in [".bootstrap", "conf", "conf/bitnami", "logs", "secrets", "tmp"] {
        writer.folder(&format!("opt/bitnami/mariadb/{folder}"), 0o755, BITNAMI)?;
    }
    for folder in ["bitnami", "bitnami/mariadb", "docker-entrypoint-initdb.d"] {
        writer.folder(folder, 0o755, BITNAMI)?;
    }
    for (name, mode, content) in BITNAMI_TOP {
        writer.file(name, mode, content.as_bytes())?;
    }
    for (name, program) in
        [("mariadb", "mariadb"), ("mariadb-admin", "mariadb-admin"), ("mysql", "mariadb"), ("mysqladmin", "mariadb-admin")]
    {
        writer.symlink(&format!("opt/bitnami/mariadb/bin/{name}"), &format!("/usr/bin/{program}"))?;
    }
    writer.finish()
}

/// The layer that makes MariaDB's packages an image: entry point, configuration, folders to mount on.
fn top(path: &Path) -> Result<Layer> {
    let (_, mysql, home) = MYSQL;
    let mut writer = LayerWriter::create(path)?;
    for folder in ["docker-entrypoint-initdb.d", "etc/mysql", "etc/mysql/conf.d", "etc/mysql/mariadb.conf.d"] {
        writer.folder(folder, 0o755, 0)?;
    }
    writer.symlink("etc/mysql/my.cnf", "mariadb.cnf")?;
    for (name, mode, content) in TOP {
        writer.file(name, mode, content.as_bytes())?;
    }
    writer.folder("run/mysqld", 0o1777, mysql)?;
    for folder in ["var/cache", "var/log"] {
        writer.folder(folder, 0o755, 0)?;
    }
    writer.folder("var/log/mysql", 0o755, mysql)?;
    writer.folder(home.trim_start_matches('/'), 0o755, mysql)?;
    writer.finish()
}
