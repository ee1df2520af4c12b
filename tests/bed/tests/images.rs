//! The entry point of the MariaDB images, run from an unpacked image in namespaces of its own: a
//! second per start instead of a pod. Needs root and the images; without them the tests say so and pass.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bed::cache::Cache;
use bed::images;
use tempfile::TempDir;

/// Every character that a shell, SQL or an option file would trip over.
const SECRET: &str = r#"s'e"c\r#e`t $x"#;

/// An unpacked image: a container's file system without the container.
struct Machine {
    root: TempDir,
}

impl Machine {
    /// The newest image of a series; `None` if it cannot be had here.
    fn of(series: &str) -> Option<Self> {
        let archive = Cache::open().ok().and_then(|cache| images::mariadb(series, &cache));
        let why = match &archive {
            None => "it has not been built (`cargo bed up` builds it)",
            Some(_) if !is_root() => "only root can enter it",
            Some(archive) => return Some(Self::unpack(archive)),
        };
        // Not by a macro: the test harness would keep it for itself.
        let _ = writeln!(std::io::stderr(), "skipped, the image of MariaDB {series} is not there: {why}");
        None
    }

    fn unpack(archive: &Path) -> Self {
        let root = tempfile::tempdir().unwrap();
        let manifest: serde_json::Value =
            inside(archive, |name| name == Path::new("manifest.json"), |file| serde_json::from_reader(file).unwrap());
        for layer in manifest[0]["Layers"].as_array().unwrap() {
            let layer = Path::new(layer.as_str().unwrap());
            inside(
                archive,
                |name| name == layer,
                |file| {
                    let mut layer = tar::Archive::new(file);
                    layer.set_preserve_ownerships(true);
                    layer.set_preserve_permissions(true);
                    layer.unpack(root.path()).unwrap();
                },
            );
        }
        let machine = Self { root };
        for device in ["null", "zero", "random", "urandom"] {
            let device = Path::new("/dev").join(device);
            let copied = Command::new("cp").arg("-a").arg(device).arg(machine.path("dev")).status();
            assert!(copied.unwrap().success());
        }
        machine
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join(inside)
    }

    fn write(&self, inside: &str, text: &str) {
        fs::write(self.path(inside), text).unwrap();
    }

    /// The entry point with `args` as process 1 of namespaces of its own: no network, nothing survives it.
    fn entry_point(&self, environment: &[(&str, &str)], args: &[&str]) -> Command {
        let mut proc = std::ffi::OsString::from("--mount-proc=");
        proc.push(self.path("proc"));
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child"]).arg(proc);
        command.arg("chroot").arg(self.root.path()).arg("docker-entrypoint.sh").args(args);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs(environment.iter().copied()).stdin(Stdio::null());
        command
    }

    /// Runs the entry point to its end.
    fn run(&self, environment: &[(&str, &str)], args: &[&str]) -> (bool, String) {
        said(&self.entry_point(environment, args).output().unwrap())
    }

    /// Starts a server and waits until root can ask it.
    fn start(&self, environment: &[(&str, &str)], args: &[&str]) -> Server<'_> {
        let log = self.path("tmp/log");
        let file = File::create(&log).unwrap();
        let mut command = self.entry_point(environment, args);
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let mut server = Server { machine: self, child: command.spawn().unwrap() };
        let began = Instant::now();
        while server.sql("root", SECRET, "DO 1").is_err() {
            assert!(!visible(SECRET), "the secret is in the arguments of a process");
            let ended = server.child.try_wait().unwrap();
            let log = || fs::read_to_string(&log).unwrap();
            assert!(ended.is_none() && began.elapsed() < Duration::from_secs(60), "no server: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

/// A running server.
struct Server<'a> {
    machine: &'a Machine,
    child: Child,
}

impl Server<'_> {
    fn inside(&self, args: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(self.machine.root.path()).args(args).env_clear().env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/bin");
        command
    }

    fn sql(&self, user: &str, password: &str, text: &str) -> Result<String, String> {
        let mut client = self.inside(&["mariadb", "--user", user, "-N", "-B", "-e", text]);
        match said(&client.env("MYSQL_PWD", password).output().unwrap()) {
            (true, said) => Ok(said.trim().to_owned()),
            (false, said) => Err(said),
        }
    }

    fn healthy(&self, tests: &[&str]) -> bool {
        let probe = [&["healthcheck.sh"], tests].concat();
        self.inside(&probe).output().unwrap().status.success()
    }

    fn stop(mut self) {
        self.sql("root", SECRET, "SHUTDOWN").unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

fn said(output: &Output) -> (bool, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Whether some process of this machine shows `text` in its arguments.
fn visible(text: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut arguments = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    arguments.any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
}

/// What `read` makes of the file in `archive` that is `wanted`.
fn inside<T>(archive: &Path, wanted: impl Fn(&Path) -> bool, read: impl FnOnce(&mut dyn std::io::Read) -> T) -> T {
    let mut archive = tar::Archive::new(File::open(archive).unwrap());
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    read(&mut entries.find(|entry| wanted(&entry.path().unwrap())).unwrap())
}

/// First start, restart, probes: what manifests for the official image rely on.
fn plays_the_official_image(series: &str) {
    let Some(machine) = Machine::of(series) else { return };
    machine.write("run/secret", SECRET);
    machine.write("docker-entrypoint-initdb.d/1.sql", "CREATE TABLE t (i INT); INSERT INTO t VALUES (1);");
    machine.write("docker-entrypoint-initdb.d/2.sh", "docker_process_sql app_one <<<'INSERT INTO t VALUES (2)'");
    let environment = [
        ("MARIADB_ROOT_PASSWORD_FILE", "/run/secret"),
        ("MARIADB_DATABASE", "app_one"),
        ("MYSQL_USER", "app"),
        ("MYSQL_PASSWORD", "x'y"),
        ("MARIADB_REPLICATION_USER", "replica"),
        ("MARIADB_REPLICATION_PASSWORD", "r'r"),
        ("MARIADB_INITDB_SKIP_TZINFO", "1"),
    ];
    let server = machine.start(&environment, &["--log-bin", "--server-id=7"]);
    let version = server.sql("root", SECRET, "SELECT VERSION()").unwrap();
    assert!(version.starts_with(series), "{version}");
    assert_eq!(
        server.sql("root", SECRET, "SELECT @@server_id, @@log_bin_basename, @@pid_file").unwrap(),
        "7\t/var/lib/mysql/mysqld-bin\t/run/mysqld/mysqld.pid"
    );
    assert_eq!(server.sql("app", "x'y", "SELECT SUM(i) FROM app_one.t").unwrap(), "3");
    assert!(server.sql("app", "x'y", "SELECT * FROM mysql.global_priv").is_err());
    assert!(server.sql("root", "", "DO 1").unwrap_err().contains("Access denied"));
    let accounts = server.sql("root", SECRET, "SELECT CONCAT(user, '@', host) FROM mysql.user ORDER BY 1").unwrap();
    let expected = [
        "app@%",
        "healthcheck@127.0.0.1",
        "healthcheck@::1",
        "healthcheck@localhost",
        "mariadb.sys@localhost",
        "replica@%",
        "root@%",
        "root@localhost",
    ];
    assert_eq!(accounts.lines().collect::<Vec<_>>(), expected);
    // Accounts of the server itself never reach a replica, and nothing hints at their passwords.
    let log = server.inside(&["mariadb-binlog", "/var/lib/mysql/mysqld-bin.000001"]).output().unwrap();
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(log.contains("app_one") && !log.contains("healthcheck"), "{log}");

    assert!(server.healthy(&["--connect", "--innodb_initialized"]));
    assert!(!server.healthy(&["--connect", "--galera_online"]));
    assert!(!server.healthy(&["--replication"]));
    assert!(!server.healthy(&["--no-such-test"]));
    server.stop();

    let server = machine.start(&environment, &["mariadbd", "--skip-log-bin"]);
    assert_eq!(server.sql("app", "x'y", "SELECT COUNT(*) FROM app_one.t").unwrap(), "2");
    // A state transfer may have removed the file of the data directory.
    fs::remove_file(machine.path("var/lib/mysql/.my-healthcheck.cnf")).unwrap();
    assert!(server.healthy(&["--su-mysql", "--connect", "--innodb_initialized"]));
    server.stop();
}

#[test]
fn sets_up_a_replica() {
    let Some(machine) = Machine::of("11.8") else { return };
    let environment = [
        ("MARIADB_ROOT_PASSWORD", SECRET),
        ("MARIADB_REPLICATION_USER", "replica"),
        ("MARIADB_REPLICATION_PASSWORD", "r'r"),
        ("MARIADB_MASTER_HOST", "db-0.db"),
        ("MARIADB_HEALTHCHECK_GRANTS", "REPLICA MONITOR"),
        ("MARIADB_INITDB_SKIP_TZINFO", "1"),
    ];
    let server = machine.start(&environment, &["--server-id=2"]);
    let mut client = server.inside(&["mariadb", "--user=root", "-e", "SHOW REPLICA STATUS\\G"]);
    let (_, status) = said(&client.env("MYSQL_PWD", SECRET).output().unwrap());
    for expected in ["Master_Host: db-0.db", "Master_User: replica", "Using_Gtid: Slave_Pos", "Slave_SQL_Running: Yes"] {
        assert!(status.contains(expected), "{status}");
    }
    assert!(server.healthy(&["--replication_sql"]));
    assert!(!server.healthy(&["--replication_io"]));
    server.stop();
}

#[test]
fn plays_the_official_image_of_10_11() {
    plays_the_official_image("10.11");
}

#[test]
fn plays_the_official_image_of_11_8() {
    plays_the_official_image("11.8");
}

#[test]
fn says_what_is_wrong_and_leaves_other_commands_alone() {
    let Some(machine) = Machine::of("11.8") else { return };
    let (ok, log) = machine.run(&[], &[]);
    assert!(!ok && log.contains("You need to specify one of MARIADB_ROOT_PASSWORD"), "{log}");
    let both = [("MARIADB_ROOT_PASSWORD", "a"), ("MARIADB_ROOT_PASSWORD_FILE", "/run/secret")];
    let (ok, log) = machine.run(&both, &[]);
    assert!(!ok && log.contains("Both MARIADB_ROOT_PASSWORD and MARIADB_ROOT_PASSWORD_FILE are set"), "{log}");
    let (ok, log) = machine.run(&[("MARIADB_ROOT_PASSWORD_FILE", "/run/secret")], &[]);
    assert!(!ok && log.contains("MARIADB_ROOT_PASSWORD_FILE names /run/secret, which cannot be read"), "{log}");
    let (ok, log) = machine.run(&[("MARIADB_ROOT_PASSWORD", "a")], &["--no-such-option"]);
    assert!(!ok && log.contains("no-such-option"), "{log}");

    assert_eq!(machine.run(&[], &["echo", "hello"]), (true, "hello\n".into()));
    let (ok, log) = machine.run(&[], &["--version"]);
    assert!(ok && log.starts_with("mariadbd") && log.contains("11.8"), "{log}");
    let (ok, log) = machine.run(&[], &["gosu", "mysql", "id", "-u"]);
    assert!(ok && log == "999\n", "{log}");
    let tools = ["mariadb-backup", "mariadb-upgrade", "mariadb-dump", "mbstream", "socat", "pv", "rsync", "lsof", "ss"];
    for tool in tools {
        let (there, _) = machine.run(&[], &["bash", "-c", &format!("command -v {tool}")]);
        assert!(there, "{tool} is missing");
    }
    assert!(machine.path("usr/lib/galera/libgalera_smm.so").exists());
}

#[test]
fn upgrades_the_data_of_an_older_series() {
    let (Some(old), Some(new)) = (Machine::of("10.11"), Machine::of("11.8")) else { return };
    let environment = [("MYSQL_ROOT_PASSWORD", SECRET), ("MARIADB_INITDB_SKIP_TZINFO", "1"), ("MARIADB_AUTO_UPGRADE", "1")];
    let server = old.start(&environment, &[]);
    server.sql("root", SECRET, "CREATE DATABASE d; CREATE TABLE d.t AS SELECT 1 i").unwrap();
    server.stop();
    let moved = Command::new("cp").arg("-aT").args([old.path("var/lib/mysql"), new.path("var/lib/mysql")]).status();
    assert!(moved.unwrap().success());

    let server = new.start(&environment, &[]);
    assert_eq!(server.sql("root", SECRET, "SELECT SUM(i) FROM d.t").unwrap(), "1");
    let log = fs::read_to_string(new.path("tmp/log")).unwrap();
    assert!(log.contains("Finished mariadb-upgrade"), "{log}");
    server.stop();
    let server = new.start(&environment, &[]);
    let log = fs::read_to_string(new.path("tmp/log")).unwrap();
    assert!(log.contains("MariaDB upgrade not required"), "{log}");
    server.stop();
}
