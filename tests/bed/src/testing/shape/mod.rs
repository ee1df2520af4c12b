//! What a test cluster looks like: what runs it, and its Kubernetes objects as the users of that kind would have them.

mod bitnami;
pub mod habit;
mod operator;
pub mod plain;

use std::fmt;

use serde_json::{Value, json};

pub use habit::Habit;
pub use plain::{Plain, Readiness, Start};

/// Name of the StatefulSet and of whatever it belongs to: the operator's object, the chart's release.
pub const NAME: &str = "db";
/// Service of the clients of a plain cluster; for replication it follows the pod that is primary at first.
pub const CLIENT_SERVICE: &str = "db-client";
/// Account of the writers, known on every kind of cluster.
pub const WRITER: &str = "writer";
/// Database of the writers.
pub const DATABASE: &str = "trial";
/// The secret of every cluster.
const PASSWORDS: &str = "db-passwords";

/// The folder that hand-written sets and the operator give the server.
const DATADIR: &str = "/var/lib/mysql";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Galera,
    /// GTID replication: ordinal 0 is the primary at first.
    Replication,
    /// One server.
    Single,
    /// Servers in one set that nobody joined to a cluster.
    Independent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V10_11,
    V11_8,
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::V10_11 => "10.11",
            Self::V11_8 => "11.8",
        })
    }
}

/// Who wrote the StatefulSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A careful user, by hand.
    Plain(Plain),
    /// A user with a habit of their own.
    Habit(Habit),
    /// mariadb-operator, from an object of its own.
    Operator,
    /// A chart like Bitnami's mariadb-galera.
    Bitnami,
}

#[derive(Clone, Debug)]
pub struct Shape {
    pub source: Source,
    pub kind: Kind,
    pub version: Version,
    pub members: u32,
    /// `bed-dir`: a directory; `bed-ext4`: a file system of exactly `size`.
    pub storage_class: &'static str,
    pub size: &'static str,
}

/// Where a shape has what a test needs to find in its pods.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The container that runs the server.
    pub container: &'static str,
    /// The template of the data volumes' claims.
    pub claim: &'static str,
    pub datadir: &'static str,
    pub port: u16,
    /// The first ordinal.
    pub first: u32,
}

impl Default for Layout {
    fn default() -> Self {
        Self { container: "mariadb", claim: "data", datadir: DATADIR, port: 3306, first: 0 }
    }
}

impl Shape {
    fn of(source: Source, kind: Kind, version: Version) -> Self {
        let members = if kind == Kind::Single { 1 } else { 3 };
        Self { source, kind, version, members, storage_class: "bed-dir", size: "1Gi" }
    }

    /// A careful user's set.
    #[must_use]
    pub fn new(kind: Kind, version: Version) -> Self {
        Self::plain(Plain::default(), kind, version)
    }

    #[must_use]
    pub fn plain(plain: Plain, kind: Kind, version: Version) -> Self {
        Self::of(Source::Plain(plain), kind, version)
    }

    #[must_use]
    pub fn habit(habit: Habit, version: Version) -> Self {
        Self::of(Source::Habit(habit), habit.kind(), version)
    }

    /// Galera or replication.
    #[must_use]
    pub fn operator(kind: Kind, version: Version) -> Self {
        Self::of(Source::Operator, kind, version)
    }

    /// The chart knows Galera only.
    #[must_use]
    pub fn bitnami(version: Version) -> Self {
        Self::of(Source::Bitnami, Kind::Galera, version)
    }

    /// `operator_galera`; a plain one is called by its kind.
    #[must_use]
    pub fn name(&self) -> String {
        let kind = format!("{:?}", self.kind).to_lowercase();
        match self.source {
            Source::Plain(_) => kind,
            Source::Habit(habit) => format!("habit_{}", habit.name()),
            Source::Operator => format!("operator_{kind}"),
            Source::Bitnami => "bitnami".to_owned(),
        }
    }

    #[must_use]
    pub fn layout(&self) -> Layout {
        match self.source {
            Source::Plain(_) => Layout::default(),
            Source::Habit(habit) => habit.layout(),
            Source::Operator => operator::LAYOUT,
            Source::Bitnami => bitnami::LAYOUT,
        }
    }

    /// What a user of the plugin calls it.
    #[must_use]
    pub fn target(&self) -> String {
        let kind = if self.source == Source::Operator { "mariadb" } else { "sts" };
        format!("{kind}/{NAME}")
    }

    /// The whole cluster, in the order of creation; `secrets` end in one `Secret` and nowhere else.
    #[must_use]
    pub fn objects(&self, secrets: &Secrets) -> Vec<Value> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": PASSWORDS},
            "stringData": {"root": secrets.root, "writer": secrets.writer, "replication": secrets.replication},
        });
        let mut objects = vec![secret];
        objects.extend(match self.source {
            Source::Plain(plain) => plain.objects(self),
            Source::Habit(habit) => habit.objects(self),
            Source::Operator => operator::objects(self),
            Source::Bitnami => bitnami::objects(self),
        });
        objects
    }

    /// Pod names by ordinal.
    pub fn pods(&self) -> impl Iterator<Item = String> + use<> {
        self.ordinals().map(|ordinal| format!("{NAME}-{ordinal}"))
    }

    pub fn ordinals(&self) -> impl Iterator<Item = u32> + use<> {
        let first = self.layout().first;
        first..first + self.members
    }

    fn claim_template(&self) -> Value {
        json!({
            "metadata": {"name": self.layout().claim},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": self.storage_class,
                "resources": {"requests": {"storage": self.size}},
            },
        })
    }
}

/// Small servers: a machine of the tests carries a dozen.
const SMALL_SERVER: &str = "innodb_buffer_pool_size=64M\ninnodb_log_file_size=32M\nmax_connections=60\n";

fn resources() -> Value {
    json!({"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "768Mi"}})
}

/// One member per node.
fn spread(labels: &Value) -> Value {
    json!([{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
    }])
}

/// A probe every `period` seconds that fails after `failures`.
fn every(probe: &Value, period: u32, failures: u32) -> Value {
    let mut probe = probe.clone();
    probe["periodSeconds"] = json!(period);
    probe["timeoutSeconds"] = json!(5);
    probe["failureThreshold"] = json!(failures);
    probe
}

/// Passwords nobody else has: a test can look for them everywhere.
#[derive(Clone)]
pub struct Secrets {
    pub root: String,
    pub writer: String,
    pub replication: String,
}

impl Secrets {
    #[must_use]
    pub fn all(&self) -> [&str; 3] {
        [&self.root, &self.writer, &self.replication]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        Secrets { root: "hush-root".into(), writer: "hush-writer".into(), replication: "hush-replication".into() }
    }

    fn all() -> Vec<Shape> {
        let version = Version::V11_8;
        let kinds = [Kind::Galera, Kind::Replication, Kind::Single, Kind::Independent];
        let plain = kinds.into_iter().map(|kind| Shape::new(kind, version));
        let operator = [Kind::Galera, Kind::Replication].into_iter().map(|kind| Shape::operator(kind, version));
        let habits = Habit::ALL.into_iter().map(|habit| Shape::habit(habit, version));
        plain.chain(operator).chain(habits).chain([Shape::bitnami(version)]).collect()
    }

    #[test]
    fn passwords_are_in_the_secret_only() {
        for shape in all() {
            let objects = shape.objects(&secrets());
            let telling: Vec<_> =
                objects.iter().filter(|object| object.to_string().contains("hush-")).map(|object| &object["kind"]).collect();
            assert_eq!(telling, ["Secret"], "{}", shape.name());
        }
    }

    #[test]
    fn names_and_the_set_s_container_are_as_the_layout_says() {
        let mut names = std::collections::BTreeSet::new();
        for shape in all() {
            assert!(names.insert(shape.name()), "{} twice", shape.name());
            let objects = shape.objects(&secrets());
            let Some(set) = objects.iter().find(|object| object["kind"] == "StatefulSet") else {
                assert_eq!(shape.source, Source::Operator);
                continue;
            };
            let layout = shape.layout();
            let spec = &set["spec"]["template"]["spec"];
            let mut containers = spec["containers"].as_array().unwrap().iter();
            let server = containers.find(|container| container["name"] == layout.container).unwrap();
            assert_eq!(server["ports"][0]["containerPort"], layout.port, "{}", shape.name());
            let mounts = server["volumeMounts"].as_array().unwrap();
            let data = mounts.iter().find(|mount| mount["name"] == layout.claim).unwrap();
            assert!(layout.datadir.starts_with(data["mountPath"].as_str().unwrap()), "{}", shape.name());
            assert_eq!(set["spec"]["ordinals"]["start"].as_u64().unwrap_or(0), u64::from(layout.first), "{}", shape.name());
        }
    }
}
