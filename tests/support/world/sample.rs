//! What the look at a pod prints in a container of the model world.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kubectl_mariadb::observe::probe::MARK;
use serde_json::json;

use super::replication::server_id;
use super::{Cluster, Engine, Sql};

/// One sample of the pod with this ordinal; `given` is the password that the script was given, if any.
pub fn of(cluster: &Cluster, ordinal: u32, given: &str) -> String {
    sample(cluster, ordinal, Some(given))
}

/// The files alone, as a helper pod finds them.
pub fn at_rest(cluster: &Cluster, ordinal: u32) -> String {
    sample(cluster, ordinal, None)
}

fn sample(cluster: &Cluster, ordinal: u32, given: Option<&str>) -> String {
    let mut text = String::new();
    let mut section = |name: &str, body: &str| writeln!(text, "\n{MARK} {name}\n{body}").unwrap();
    let member = &cluster.members[&ordinal];
    let process = match (cluster.engine.runs(ordinal), &cluster.engine) {
        _ if given.is_none() => String::new(),
        (false, _) => String::new(),
        (true, Engine::Galera(_)) => "17 S\nlisten 0CEA\nlisten 11D7\n".to_owned(),
        (true, Engine::Gtid(_)) => "17 S\nlisten 0CEA\n".to_owned(),
    };
    section("process", &process);
    let empty = cluster.volumes.empty.contains(&ordinal);
    section("datadir", if empty { "/var/lib/mysql\nempty" } else { "/var/lib/mysql\ninitialised" });
    section("markers", &member.markers.join("\n"));
    let mut file = |name: &str, content: Option<String>| match content {
        Some(content) => section(&format!("{name} present"), &content),
        None => section(&format!("{name} absent"), ""),
    };
    match &cluster.engine {
        _ if empty => ["grastate.dat", "gvwstate.dat"].into_iter().for_each(|name| file(name, None)),
        Engine::Galera(galera) => {
            file("grastate.dat", Some(member.grastate.map_or_else(|| galera.grastate(ordinal), str::to_owned)));
            file("gvwstate.dat", galera.gvwstate(ordinal));
        }
        Engine::Gtid(_) => {
            file("grastate.dat", None);
            file("gvwstate.dat", None);
        }
    }
    file("mariadb_upgrade_info", Some(format!("{}-MariaDB", cluster.tables_of(ordinal))));
    if let (Engine::Gtid(replication), None, false) = (&cluster.engine, given, empty || member.killed) {
        section("follows", if replication.follows(ordinal) { "yes" } else { "" });
        section("logged", &format!("file binlog\n{}", replication.variables(ordinal)["gtid_binlog_state"].replace(',', "\n")));
    }
    // Of a volume that grew the file system grows with it.
    let total = 1_000_000 * if cluster.volumes.growing.contains(&ordinal) { 1 } else { cluster.volumes.size(ordinal).1 };
    let used = member.used_percent * total / 100;
    section("space", &format!("/dev/vdb {total} {used} {} {}% /var/lib/mysql", total - used, member.used_percent));
    section("switches", &member.switches.join("\n"));
    if let (Some(read_only), Some(_)) = (member.starts_read_only, given) {
        section("read-only", if read_only { "on" } else { "off" });
    }
    let (sql, end) = match given {
        Some(given) => asked(cluster, ordinal, given),
        None => (None, ("sql-end none".to_owned(), String::new())),
    };
    if let Some(sql) = sql {
        section("sql", &sql);
    }
    section(&end.0, &end.1);
    section("end", "");
    text
}

/// The client's output, and the section behind it.
fn asked(cluster: &Cluster, ordinal: u32, given: &str) -> (Option<String>, (String, String)) {
    let how = if given.is_empty() { "" } else { "given" };
    let refused = |words: &str| (Some(String::new()), (format!("sql-end {how}"), format!("{words}\nexit 1")));
    if !cluster.engine.runs(ordinal) {
        return refused("ERROR 2002 (HY000): Can't connect to local server through socket '/run/mysqld/mysqld.sock' (2)");
    }
    match &cluster.members[&ordinal].sql {
        Sql::Wants(password) if *password != given => {
            let using = if given.is_empty() { "NO" } else { "YES" };
            refused(&format!("ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: {using})"))
        }
        Sql::Answers | Sql::Wants(_) => (Some(answers(cluster, ordinal)), ("sql-end client".to_owned(), "exit 0".to_owned())),
        Sql::Refuses(words) => refused(words),
        Sql::Silent => (Some(String::new()), ("sql-end client".to_owned(), "exit 124".to_owned())),
        Sql::NoClient => (None, ("sql-end noclient".to_owned(), String::new())),
    }
}

fn answers(cluster: &Cluster, ordinal: u32) -> String {
    let member = &cluster.members[&ordinal];
    let pod = cluster.pod(ordinal);
    let id = match &cluster.engine {
        Engine::Gtid(replication) => replication.server_id_of(ordinal),
        Engine::Galera(_) => server_id(ordinal),
    };
    let id = id.to_string();
    let version = format!("{}-MariaDB-log", cluster.version_of(ordinal));
    let mut variables = named([
        ("gtid_domain_id", "0"),
        ("gtid_strict_mode", "ON"),
        ("hostname", &pod),
        ("innodb_flush_log_at_trx_commit", "1"),
        ("log_bin", "ON"),
        ("log_bin_basename", "/var/lib/mysql/binlog"),
        ("log_slave_updates", "ON"),
        ("max_connections", "151"),
        ("server_id", &id),
        ("version", &version),
        ("wsrep_on", "OFF"),
        ("wsrep_provider", "none"),
    ]);
    let mut status = named([("threads_connected", "3"), ("slaves_connected", "0")]);
    status.insert("uptime".to_owned(), member.uptime.to_string());
    let host = |ordinal: u32| cluster.host(ordinal);
    let mut tail = String::new();
    match &cluster.engine {
        Engine::Galera(galera) => {
            variables.extend(named([
                ("read_only", "OFF"),
                ("gtid_binlog_pos", ""),
                ("gtid_binlog_state", ""),
                ("gtid_slave_pos", ""),
                ("gtid_current_pos", ""),
                ("wsrep_on", "ON"),
                ("wsrep_provider", "/usr/lib/galera/libgalera_smm.so"),
                ("wsrep_cluster_name", &galera.cluster_name),
                ("wsrep_node_name", &pod),
                ("wsrep_desync", "OFF"),
                ("wsrep_sst_method", "mariabackup"),
                ("wsrep_provider_options", "gcache.size = 128M; pc.recovery = true; pc.weight = 1; "),
            ]));
            status.extend(galera.status(ordinal, |ordinal| format!("{}:3306", cluster.ip(ordinal))));
            let rows = galera.table(ordinal).into_iter().map(|(other, gcomm, history)| {
                vec![
                    ("node_uuid", gcomm.to_string()),
                    ("cluster_uuid", history.to_string()),
                    ("node_name", cluster.pod(other)),
                    ("node_incoming_address", format!("{}:3306", cluster.ip(other))),
                ]
            });
            tail = result_set("view", rows.collect());
        }
        Engine::Gtid(replication) => {
            variables.extend(replication.variables(ordinal));
            status.insert("slaves_connected".to_owned(), replication.connected(ordinal).to_string());
        }
    }
    let channels = match &cluster.engine {
        Engine::Gtid(replication) => replication.channel_row(ordinal, host).into_iter().collect(),
        Engine::Galera(_) => Vec::new(),
    };
    let object = |values: &BTreeMap<String, String>| vec![vec![("json", json!(values).to_string())]];
    [
        result_set("variables", object(&variables)),
        result_set("status", object(&status)),
        result_set("replicas", channels),
        tail,
        result_set("end", vec![vec![("sentinel", "end".to_owned())]]),
    ]
    .concat()
}

fn named<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// As `mariadb --batch` prints it, with its name before it; nothing for no rows.
fn result_set(name: &str, rows: Vec<Vec<(&str, String)>>) -> String {
    let mut text = format!("{MARK}\n{name}\n");
    if let Some(first) = rows.first() {
        let header: Vec<&str> = first.iter().map(|(column, _)| *column).collect();
        writeln!(text, "{}", header.join("\t")).unwrap();
    }
    for row in rows {
        let values: Vec<String> = row.iter().map(|(_, value)| escaped(value)).collect();
        writeln!(text, "{}", values.join("\t")).unwrap();
    }
    text
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
}
