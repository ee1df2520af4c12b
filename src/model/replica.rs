//! One row of `SHOW ALL REPLICAS STATUS`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gtid::GtidList;

/// `Slave_IO_Running`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IoThread {
    Yes,
    No,
    Connecting,
    Preparing,
}

/// One replication channel of a replica. Column names keep Master/Slave in 10.11 and 11.8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    pub name: String,
    pub source_host: String,
    pub source_port: u16,
    /// 0 until the IO thread has connected once.
    pub source_server_id: u32,
    pub io: IoThread,
    pub sql_running: bool,
    pub io_error: Option<ServerError>,
    pub sql_error: Option<ServerError>,
    /// `Seconds_Behind_Master`: NULL (not 0) when broken; 0 does not prove that all is applied.
    pub lag_seconds: Option<u64>,
    /// `Using_Gtid` is `Slave_Pos` or `Current_Pos`.
    pub uses_gtid: bool,
    pub gtid_io_pos: GtidList,
    /// Intended delay in seconds (`SQL_Delay`).
    pub delay_seconds: u64,
    /// What it leaves out or renames, in the words of the server: `Replicate_Do_DB: shop`. Its position passes over that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
}

/// `Replicate_Rewrite_DB` only some versions have (10.11 has it).
const FILTERS: [&str; 10] = [
    "Replicate_Do_DB",
    "Replicate_Ignore_DB",
    "Replicate_Do_Table",
    "Replicate_Ignore_Table",
    "Replicate_Wild_Do_Table",
    "Replicate_Wild_Ignore_Table",
    "Replicate_Do_Domain_Ids",
    "Replicate_Ignore_Domain_Ids",
    "Replicate_Ignore_Server_Ids",
    "Replicate_Rewrite_DB",
];

/// An error number and text as the server wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerError {
    pub code: u32,
    pub text: String,
}

impl Channel {
    /// Reads one row, as column names and values (`None` for NULL). Columns that only some versions or only
    /// `SHOW ALL REPLICAS STATUS` have are not needed.
    ///
    /// # Errors
    /// The column that is missing or unreadable, as one sentence.
    pub fn from_row(row: &BTreeMap<String, Option<String>>) -> Result<Self, String> {
        let read = Row(row);
        Ok(Self {
            name: row.get("Connection_name").cloned().flatten().unwrap_or_default(),
            source_host: read.text("Master_Host")?.to_owned(),
            source_port: read.number("Master_Port")?,
            source_server_id: read.number("Master_Server_Id")?,
            io: match read.text("Slave_IO_Running")? {
                "Yes" => IoThread::Yes,
                "No" => IoThread::No,
                "Connecting" => IoThread::Connecting,
                "Preparing" => IoThread::Preparing,
                other => return Err(format!("Slave_IO_Running is `{other}`, which is no state of that thread")),
            },
            sql_running: match read.text("Slave_SQL_Running")? {
                "Yes" => true,
                "No" => false,
                other => return Err(format!("Slave_SQL_Running is `{other}`, neither Yes nor No")),
            },
            io_error: read.error("Last_IO_Errno", "Last_IO_Error")?,
            sql_error: read.error("Last_SQL_Errno", "Last_SQL_Error")?,
            lag_seconds: match read.value("Seconds_Behind_Master")? {
                Some(_) => Some(read.number("Seconds_Behind_Master")?),
                None => None,
            },
            uses_gtid: matches!(read.text("Using_Gtid")?, "Slave_Pos" | "Current_Pos"),
            gtid_io_pos: read.text("Gtid_IO_Pos")?.parse().map_err(|problem| format!("Gtid_IO_Pos: {problem}"))?,
            delay_seconds: read.number("SQL_Delay")?,
            filters: FILTERS
                .iter()
                .filter_map(|name| {
                    row.get(*name)?.as_ref().filter(|value| !value.is_empty()).map(|value| format!("{name}: {value}"))
                })
                .collect(),
        })
    }
}

struct Row<'a>(&'a BTreeMap<String, Option<String>>);

impl Row<'_> {
    fn value(&self, column: &str) -> Result<Option<&str>, String> {
        let missing = || format!("the replica status has no column {column}");
        self.0.get(column).map(Option::as_deref).ok_or_else(missing)
    }

    /// A column whose NULL means the same as nothing.
    fn text(&self, column: &str) -> Result<&str, String> {
        self.value(column).map(Option::unwrap_or_default)
    }

    fn number<T: std::str::FromStr>(&self, column: &str) -> Result<T, String> {
        let text = self.text(column)?;
        text.parse().map_err(|_| format!("{column} is `{text}`, not a number"))
    }

    fn error(&self, code: &str, text: &str) -> Result<Option<ServerError>, String> {
        let error = ServerError { code: self.number(code)?, text: self.text(text)?.to_owned() };
        Ok(Some(error).filter(|error| error.code != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::fixture;

    /// The rows of a `\G` output. It prints NULL as the word.
    fn rows(vertical: &str) -> Vec<BTreeMap<String, Option<String>>> {
        let mut rows: Vec<BTreeMap<_, _>> = Vec::new();
        for line in vertical.lines() {
            if line.starts_with("***") {
                rows.push(BTreeMap::new());
            } else if let (Some(row), Some((column, value))) = (rows.last_mut(), line.split_once(':')) {
                let value = value.strip_prefix(' ').unwrap_or(value);
                row.insert(column.trim().to_owned(), (value != "NULL").then(|| value.to_owned()));
            }
        }
        rows
    }

    fn channel(vertical: &str) -> Channel {
        let rows = rows(vertical);
        assert_eq!(rows.len(), 1);
        Channel::from_row(&rows[0]).unwrap()
    }

    fn running(host: &str, server_id: u32, position: &str) -> Channel {
        Channel {
            name: String::new(),
            source_host: host.to_owned(),
            source_port: 3306,
            source_server_id: server_id,
            io: IoThread::Yes,
            sql_running: true,
            io_error: None,
            sql_error: None,
            lag_seconds: Some(0),
            uses_gtid: true,
            gtid_io_pos: position.parse().unwrap(),
            delay_seconds: 0,
            filters: Vec::new(),
        }
    }

    #[test]
    fn a_running_replica_reads_the_same_from_both_statements_and_both_versions() {
        for (vertical, host, server_id, position) in [
            (fixture!("replication/10.11-show-all-replicas-status-vertical.txt"), "127.0.0.21", 11, "0-11-4"),
            (fixture!("replication/10.11-show-replica-status-vertical.txt"), "127.0.0.21", 11, "0-11-4"),
            (fixture!("replication/11.8-show-all-replicas-status-vertical.txt"), "127.0.0.24", 14, "0-14-4"),
            (fixture!("replication/11.8-show-replica-status-vertical.txt"), "127.0.0.24", 14, "0-14-4"),
            (fixture!("replication/10.11-demoted-old-primary-status.txt"), "127.0.0.22", 12, "0-12-3511"),
        ] {
            assert_eq!(channel(vertical), running(host, server_id, position));
        }
    }

    #[test]
    fn a_broken_replica_has_no_lag_but_an_error() {
        let diverged = channel(fixture!("replication/10.11-errant-old-primary-rejoin-status.txt"));
        assert_eq!((diverged.io, diverged.sql_running, diverged.lag_seconds), (IoThread::No, true, None));
        let error = diverged.io_error.unwrap();
        assert_eq!(error.code, 1236);
        assert!(error.text.contains("the slave has diverged"));
        let stopped = channel(fixture!("replication/10.11-replica-with-local-errant-trx-status.txt"));
        assert_eq!((stopped.io, stopped.sql_running, stopped.lag_seconds), (IoThread::Yes, false, None));
        assert_eq!(stopped.sql_error.unwrap().code, 1950);
        assert_eq!(stopped.gtid_io_pos.to_string(), "0-12-3519");
    }

    #[test]
    fn what_is_missing_or_odd_is_named() {
        let row = rows(fixture!("replication/10.11-show-all-replicas-status-vertical.txt")).remove(0);
        for (column, value, problem) in [
            ("Slave_IO_Running", Some("Perhaps"), "Slave_IO_Running is `Perhaps`, which is no state of that thread"),
            ("Slave_SQL_Running", Some(""), "Slave_SQL_Running is ``, neither Yes nor No"),
            ("Master_Port", Some("x"), "Master_Port is `x`, not a number"),
            ("Gtid_IO_Pos", Some("0-1"), "Gtid_IO_Pos: `0-1` is no GTID (DOMAIN-SERVER-SEQUENCE)"),
            ("Seconds_Behind_Master", None, "the replica status has no column Seconds_Behind_Master"),
        ] {
            let mut damaged = row.clone();
            match value {
                Some(value) => damaged.insert(column.to_owned(), Some(value.to_owned())),
                None => damaged.remove(column),
            };
            assert_eq!(Channel::from_row(&damaged), Err(problem.to_owned()));
        }
        let mut early = row;
        early.insert("Slave_IO_Running".to_owned(), Some("Preparing".to_owned()));
        early.insert("Using_Gtid".to_owned(), Some("No".to_owned()));
        let early = Channel::from_row(&early).unwrap();
        assert_eq!((early.io, early.uses_gtid), (IoThread::Preparing, false));
    }
}
