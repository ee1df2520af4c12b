//! What a server is asked, and the reading of its answers.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::sql::Row;
use crate::model::replica::Channel;
use crate::model::server::{Binlog, Connections, Galera, Gtids, Server};
use crate::model::wsrep;

/// Global variables that are read. None of them holds a secret.
const VARIABLES: &[&str] = &[
    "gtid_binlog_pos",
    "gtid_binlog_state",
    "gtid_current_pos",
    "gtid_domain_id",
    "gtid_slave_pos",
    "gtid_strict_mode",
    "hostname",
    "innodb_flush_log_at_trx_commit",
    "log_bin",
    "log_bin_basename",
    "log_slave_updates",
    "max_connections",
    "read_only",
    "server_id",
    "version",
    "wsrep_cluster_name",
    "wsrep_desync",
    "wsrep_node_name",
    "wsrep_on",
    "wsrep_provider",
    "wsrep_provider_options",
    "wsrep_sst_method",
];

const STATUS: &[&str] = &["slaves_connected", "threads_connected", "uptime"];

/// The statements of one look. Result sets are named by a row before each; values come as one JSON object, so that no
/// version or order of columns matters. They work in non-Primary and disconnected servers too (verified on 10.11 and 11.8).
#[must_use]
pub fn questions(mark: &str) -> String {
    let names = |list: &[&str]| list.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(",");
    format!(
        "SET SESSION max_statement_time=2, lock_wait_timeout=1;\n\
         SELECT 'variables' AS `{mark}`;\n\
         SELECT JSON_OBJECTAGG(LOWER(variable_name), variable_value) AS json FROM information_schema.global_variables \
         WHERE variable_name IN ({});\n\
         SELECT 'status' AS `{mark}`;\n\
         SELECT JSON_OBJECTAGG(LOWER(variable_name), variable_value) AS json FROM information_schema.global_status \
         WHERE variable_name LIKE 'wsrep%' OR variable_name IN ({});\n\
         SELECT 'replicas' AS `{mark}`;\n\
         SHOW ALL SLAVES STATUS;",
        names(VARIABLES),
        names(STATUS),
    )
}

/// Asked only where the table exists; readable in non-Primary, where it shows the last Primary view.
#[must_use]
pub fn view_question(mark: &str) -> String {
    format!(
        "SELECT 'view' AS `{mark}`;\n\
         SELECT node_uuid, cluster_uuid, node_name, node_incoming_address FROM mysql.wsrep_cluster_members;"
    )
}

/// The sentinel: without it the answers before are not trusted, since the client stops at the first error.
#[must_use]
pub fn last_question(mark: &str) -> String {
    format!("SELECT 'end' AS `{mark}`;\nSELECT 'end' AS sentinel;")
}

/// Reads the answers.
///
/// # Errors
/// A sentence naming the answer that is missing or unreadable.
pub fn read(sets: &BTreeMap<String, Vec<Row>>, asked: Timestamp) -> Result<Server, String> {
    let variables = Answers::of(sets, "variables")?;
    let status = Answers::of(sets, "status")?;
    let channels = sets.get("replicas").ok_or("the server did not answer SHOW ALL SLAVES STATUS")?;
    Ok(Server {
        asked,
        version: variables.parse("version")?,
        uptime: Duration::from_secs(status.number("uptime")?),
        server_id: variables.number("server_id")?,
        hostname: variables.text("hostname")?.to_owned(),
        read_only: variables.switch("read_only")?,
        binlog: Binlog {
            enabled: variables.switch("log_bin")?,
            logs_replicated: variables.switch("log_slave_updates")?,
            basename: variables.text("log_bin_basename").ok().filter(|name| !name.is_empty()).map(str::to_owned),
        },
        gtid: Gtids {
            domain: variables.number("gtid_domain_id")?,
            strict: variables.switch("gtid_strict_mode")?,
            binlog_pos: variables.parse("gtid_binlog_pos")?,
            slave_pos: variables.parse("gtid_slave_pos")?,
            current_pos: variables.parse("gtid_current_pos")?,
            binlog_state: variables.parse("gtid_binlog_state")?,
        },
        galera: galera(&variables, &status, sets)?,
        channels: channels.iter().map(Channel::from_row).collect::<Result<_, _>>()?,
        replicas_connected: status.number("slaves_connected")?,
        flush_log_at_commit: variables.number("innodb_flush_log_at_trx_commit")?,
        connections: Connections { now: status.number("threads_connected")?, limit: variables.number("max_connections")? },
    })
}

fn galera(variables: &Answers, status: &Answers, sets: &BTreeMap<String, Vec<Row>>) -> Result<Option<Galera>, String> {
    // Builds without Galera have no wsrep variables at all.
    let provider = variables.optional("wsrep_provider").unwrap_or("none");
    if provider.is_empty() || provider == "none" || !variables.switch("wsrep_on")? {
        return Ok(None);
    }
    Ok(Some(Galera {
        status: wsrep::Status::from_variables(&status.0)?,
        view: sets.get("view").map_or(Ok(Vec::new()), |rows| rows.iter().map(view_member).collect())?,
        cluster_name: variables.text("wsrep_cluster_name")?.to_owned(),
        node_name: variables.text("wsrep_node_name")?.to_owned(),
        options: wsrep::parse_options(variables.text("wsrep_provider_options")?),
        desync: variables.switch("wsrep_desync")?,
        sst_method: variables.text("wsrep_sst_method")?.to_owned(),
    }))
}

fn view_member(row: &Row) -> Result<wsrep::ViewMember, String> {
    let field = |name: &str| {
        row.get(name).and_then(Option::as_deref).ok_or_else(|| format!("a row of mysql.wsrep_cluster_members has no {name}"))
    };
    let uuid = |name: &str| field(name)?.parse().map_err(|_| format!("{name} in mysql.wsrep_cluster_members is no UUID"));
    Ok(wsrep::ViewMember {
        uuid: uuid("node_uuid")?,
        cluster_uuid: uuid("cluster_uuid")?,
        name: field("node_name")?.to_owned(),
        address: field("node_incoming_address")?.to_owned(),
    })
}

/// Variables or status values by lower-case name.
struct Answers(BTreeMap<String, String>);

impl Answers {
    fn of(sets: &BTreeMap<String, Vec<Row>>, name: &str) -> Result<Self, String> {
        let json = sets
            .get(name)
            .and_then(|rows| rows.first()?.get("json")?.as_deref())
            .ok_or_else(|| format!("the server did not tell its {name}"))?;
        let values: BTreeMap<String, Value> =
            serde_json::from_str(json).map_err(|error| format!("the server's {name} are no JSON: {error}"))?;
        let text = |(name, value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        };
        Ok(Self(values.into_iter().map(text).collect()))
    }

    fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        self.optional(name).ok_or_else(|| format!("the server did not tell {name}"))
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, String> {
        let text = self.text(name)?;
        text.parse().map_err(|_| format!("{name} is no number: {text}"))
    }

    fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<T, String> {
        let text = self.text(name)?;
        text.parse().map_err(|error| format!("{name} is unreadable ({error}): {text}"))
    }

    fn switch(&self, name: &str) -> Result<bool, String> {
        match self.text(name)? {
            "ON" | "1" => Ok(true),
            "OFF" | "0" => Ok(false),
            other => Err(format!("{name} is neither ON nor OFF: {other}")),
        }
    }
}
