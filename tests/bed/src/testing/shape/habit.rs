//! Sets as other people write them by hand: each has one habit of its own.

use serde_json::{Value, json};

use super::{DATADIR, Kind, Layout, PASSWORDS, Plain, Shape};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// The container has a name of its own.
    Container,
    /// The server has another port.
    Port,
    /// The data directory is elsewhere, by an argument in the start script.
    DatadirArgument,
    /// The data directory is elsewhere, by the configuration file.
    DatadirConfig,
    /// The first ordinal is not 0.
    Ordinals,
    /// The server is a child of a shell, which stays PID 1.
    Wrapper,
    /// Another container stands before the server's.
    Sidecar,
    /// The environment names a file with the password.
    PasswordFile,
    /// Nothing in the environment leads to a password, and no account does without one.
    NoPassword,
    /// Accounts over TCP need TLS.
    TlsRequired,
    /// The data live in the pod and die with it.
    EmptyDir,
}

/// Where the data are for those who do not keep them in the usual place: the volume is mounted one level above.
const ELSEWHERE: &str = "/srv/mariadb/data";
const FILES: &str = "/run/passwords";

impl Habit {
    pub const ALL: [Self; 11] = [
        Self::Container,
        Self::Port,
        Self::DatadirArgument,
        Self::DatadirConfig,
        Self::Ordinals,
        Self::Wrapper,
        Self::Sidecar,
        Self::PasswordFile,
        Self::NoPassword,
        Self::TlsRequired,
        Self::EmptyDir,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Port => "port",
            Self::DatadirArgument => "datadir_argument",
            Self::DatadirConfig => "datadir_config",
            Self::Ordinals => "ordinals",
            Self::Wrapper => "wrapper",
            Self::Sidecar => "sidecar",
            Self::PasswordFile => "password_file",
            Self::NoPassword => "no_password",
            Self::TlsRequired => "tls_required",
            Self::EmptyDir => "empty_dir",
        }
    }

    /// One server shows most of them.
    pub(super) fn kind(self) -> Kind {
        if self == Self::Ordinals { Kind::Galera } else { Kind::Single }
    }

    pub(super) fn layout(self) -> Layout {
        let usual = Layout::default();
        match self {
            Self::Container => Layout { container: "database", ..usual },
            Self::Port => Layout { port: 3307, ..usual },
            Self::DatadirArgument | Self::DatadirConfig => Layout { datadir: ELSEWHERE, ..usual },
            Self::Ordinals => Layout { first: 3, ..usual },
            _ => usual,
        }
    }

    pub(super) fn objects(self, shape: &Shape) -> Vec<Value> {
        let mut objects = Plain::default().objects(shape);
        for object in &mut objects {
            match object["kind"].as_str() {
                Some("ConfigMap") => self.change_config(&mut object["data"]),
                Some("StatefulSet") => self.change_set(&mut object["spec"]),
                _ => {}
            }
        }
        objects
    }

    fn change_config(self, files: &mut Value) {
        let line = match self {
            Self::Port => "port=3307\n".to_owned(),
            Self::DatadirConfig => format!("datadir={ELSEWHERE}\n"),
            Self::TlsRequired => "require_secure_transport=ON\n".to_owned(),
            _ => String::new(),
        };
        files["db.cnf"] = json!(format!("{}{line}", files["db.cnf"].as_str().unwrap_or_default()));
        let script = files["start.sh"].as_str().unwrap_or_default();
        let (server, file) = ("exec docker-entrypoint.sh mariadbd", format!("MARIADB_ROOT_PASSWORD_FILE={FILES}/root"));
        files["start.sh"] = json!(match self {
            Self::DatadirArgument => script.replace(server, &format!("{server} --datadir={ELSEWHERE}")),
            Self::NoPassword => script.replace(server, &format!("{file} {server}")),
            Self::Wrapper => script.replace(
                &format!("{server}\n"),
                "docker-entrypoint.sh mariadbd &\nserver=$!\ntrap 'kill $server' TERM INT\nwait $server || wait $server\n",
            ),
            _ => script.to_owned(),
        });
    }

    fn change_set(self, set: &mut Value) {
        if self == Self::Ordinals {
            set["ordinals"] = json!({"start": self.layout().first});
        }
        if self == Self::EmptyDir {
            set["volumeClaimTemplates"] = json!([]);
        }
        let pod = &mut set["template"]["spec"];
        let server = &mut pod["containers"][0];
        if self.layout().datadir != DATADIR {
            server["volumeMounts"][0]["mountPath"] = json!("/srv/mariadb");
        }
        match self {
            Self::PasswordFile | Self::NoPassword => {
                without_password(&mut pod["containers"][0]);
                push(
                    &mut pod["volumes"],
                    json!({"name": "passwords", "secret": {"secretName": PASSWORDS, "defaultMode": 0o444}}),
                );
            }
            Self::EmptyDir => push(&mut pod["volumes"], json!({"name": self.layout().claim, "emptyDir": {}})),
            Self::Sidecar => {
                let beside = json!({
                    "name": "beside", "image": "bed.local/busybox:1", "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"],
                });
                pod["containers"] = json!([beside, server.clone()]);
            }
            _ => {}
        }
        if self == Self::PasswordFile {
            let named = json!({"name": "MARIADB_ROOT_PASSWORD_FILE", "value": format!("{FILES}/root")});
            push(&mut pod["containers"][0]["env"], named);
        }
    }
}

/// The password comes from a file; the image's own health check needs none.
fn without_password(server: &mut Value) {
    if let Some(env) = server["env"].as_array_mut() {
        env.retain(|variable| variable["name"] != "MARIADB_ROOT_PASSWORD");
    }
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        server[probe]["exec"]["command"] = json!(["healthcheck.sh", "--connect", "--innodb_initialized"]);
    }
    push(&mut server["volumeMounts"], json!({"name": "passwords", "mountPath": FILES}));
}

/// Adds to a list of the set's; a set without that list is a mistake that the tests of the shapes find.
fn push(list: &mut Value, item: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}
