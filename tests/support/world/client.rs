//! The client that `sql` runs in a container of the model world: one statement after the other, answers as `--xml`.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::streams::Exec;
use super::replication::Failed;
use super::{Engine, Shared, Sql};

const DELIMITER: &str = "@@kubectl-mdb@@";
const MARK: &str = "@@kubectl-mariadb@@";

/// A row of a result set; `None` is NULL.
pub type Row = Vec<Option<&'static str>>;

/// What servers answer to a statement of a test.
#[derive(Clone, Default)]
pub struct Reply {
    /// Column names and rows.
    pub sets: Vec<(Vec<&'static str>, Vec<Row>)>,
    pub rows_affected: i64,
    /// Level, code, message.
    pub warnings: Vec<(&'static str, u32, &'static str)>,
    pub then: Then,
}

/// How a statement ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    #[default]
    Ends,
    /// It runs until it is killed.
    Runs,
    /// The server goes away under it.
    ServerLost,
    /// The connection to the API server breaks.
    ConnectionLost,
}

impl Reply {
    pub fn rows(columns: &[&'static str], rows: &[&[Option<&'static str>]]) -> Self {
        let set = (columns.to_vec(), rows.iter().map(|row| row.to_vec()).collect());
        Self { sets: vec![set], rows_affected: -1, ..Self::default() }
    }

    pub fn error(code: u32, message: &'static str) -> Self {
        Self { rows_affected: -1, warnings: vec![("Error", code, message)], ..Self::default() }
    }

    pub fn then(then: Then) -> Self {
        Self { rows_affected: -1, then, ..Self::default() }
    }
}

/// Whether a script starts this client.
pub fn is_started_by(script: &[String]) -> bool {
    script.iter().any(|line| line.contains("--binary-mode"))
}

/// Reads statements until stdin ends.
pub async fn run(world: Shared, mut exec: Exec, cluster: String, ordinal: u32, script: Vec<String>) {
    let database = script.iter().find_map(|line| line.strip_prefix("database='")?.strip_suffix('\''));
    let mut session = Session { database: database.unwrap_or_default().to_owned(), ..Session::default() };
    {
        let mut world = world.lock();
        let account = script.iter().find_map(|line| line.strip_prefix("given_user='")?.strip_suffix('\'')).unwrap_or_default();
        world.accounts.push(account.to_owned());
        world.connections += 1;
        session.id = world.connections;
    }
    let given = script.iter().find_map(|line| line.strip_prefix("given='")?.strip_suffix('\'')).unwrap_or_default();
    let state = if world.lock().cluster(&cluster).engine.runs(ordinal) {
        world.lock().cluster(&cluster).members[&ordinal].sql
    } else {
        Sql::Refuses("ERROR 2002 (HY000): Can't connect to local server through socket '/run/mysqld/mysqld.sock' (2)")
    };
    match state {
        Sql::Answers => {}
        Sql::Wants(password) if password == given => {}
        Sql::Wants(_) => {
            exec.stderr("ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: YES)\n").await;
            return exec.exit(1).await;
        }
        Sql::Refuses(words) => {
            exec.stderr(format!("{words}\n")).await;
            return exec.exit(1).await;
        }
        Sql::Silent => return exec.silence().await,
        Sql::NoClient => {
            exec.stderr("noclient\n").await;
            return exec.exit(127).await;
        }
    }
    let mut statement = String::new();
    while let Some(line) = exec.line().await {
        if line != DELIMITER {
            statement.push_str(&line);
            statement.push('\n');
            continue;
        }
        let text = std::mem::take(&mut statement);
        let text = text.trim_end();
        world.lock().statements.push((format!("{cluster}-{ordinal}"), text.to_owned()));
        if !session.answer(&world, &mut exec, &cluster, ordinal, text).await {
            return if session.broken { exec.reset() } else { exec.exit(1).await };
        }
    }
    exec.exit(0).await;
}

/// Carries out a statement that changes whether the server takes writes, or whom it follows; `None`: it is no such statement.
fn order(world: &Shared, cluster: &str, ordinal: u32, text: &str) -> Option<Result<(), Failed>> {
    let mut world = world.lock();
    let cluster = world.cluster(cluster);
    let pods: Vec<(u32, String)> = cluster.members.keys().map(|ordinal| (*ordinal, cluster.pod(*ordinal))).collect();
    let named = |host: &str| {
        let first = host.split('.').next()?;
        pods.iter().find(|(_, pod)| pod == first).map(|(ordinal, _)| *ordinal)
    };
    match &mut cluster.engine {
        Engine::Gtid(replication) => replication.order(ordinal, text, named),
        Engine::Galera(_) => None,
    }
}

#[derive(Default)]
struct Session {
    id: u64,
    database: String,
    rows_affected: i64,
    warnings: Vec<(&'static str, u32, &'static str)>,
    broken: bool,
}

impl Session {
    /// Whether the session goes on.
    async fn answer(&mut self, world: &Shared, exec: &mut Exec, cluster: &str, ordinal: u32, text: &str) -> bool {
        if text.starts_with("SELECT ROW_COUNT() AS") {
            exec.stdout(self.standing(world, cluster, ordinal)).await;
            return true;
        }
        if text == "SHOW WARNINGS" {
            let row = |(level, code, message): &(&str, u32, &str)| {
                vec![Some((*level).to_owned()), Some(code.to_string()), Some((*message).to_owned())]
            };
            let rows: Vec<_> = self.warnings.iter().map(row).collect();
            exec.stdout(xml(&["Level", "Code", "Message"], &rows)).await;
            return true;
        }
        if text.starts_with("DO (") {
            self.warnings.clear();
            return true;
        }
        if let Some(outcome) = order(world, cluster, ordinal, text) {
            return self.ordered(world, exec, text, outcome).await;
        }
        if text.starts_with("SET SESSION ") {
            return true;
        }
        if let Some(id) = text.strip_prefix("KILL QUERY ") {
            world.lock().killed.insert(id.parse().unwrap());
            return true;
        }
        if text.contains("information_schema.PROCESSLIST") {
            exec.stdout(xml(&["1"], &[])).await;
            return true;
        }
        if let Some(database) = text.strip_prefix("USE ").or_else(|| text.strip_prefix("use ")) {
            database.clone_into(&mut self.database);
            self.rows_affected = 0;
            return true;
        }
        self.reply(world, exec, cluster, ordinal, text).await
    }

    /// Tells what came of a statement that changed the server. Whether the session goes on.
    async fn ordered(&mut self, world: &Shared, exec: &mut Exec, text: &str, outcome: Result<(), Failed>) -> bool {
        {
            let mut world = world.lock();
            world.orders += 1;
            self.broken = world.breaks_after == Some(world.orders);
        }
        self.rows_affected = if outcome.is_ok() { 0 } else { -1 };
        self.warnings = outcome.err().map(|(code, message)| ("Error", code, message)).into_iter().collect();
        if let Some((_, code, message)) = self.warnings.first() {
            exec.stderr(format!("--------------\n{text}\n--------------\n\nERROR {code} (HY000) at line 1: {message}\n")).await;
        }
        !self.broken
    }

    async fn reply(&mut self, world: &Shared, exec: &mut Exec, cluster: &str, ordinal: u32, text: &str) -> bool {
        let pod = format!("{cluster}-{ordinal}");
        let reply = {
            let world = world.lock();
            world.replies.get(&(pod, text.to_owned())).or_else(|| world.replies.get(&(String::new(), text.to_owned()))).cloned()
        };
        let reply = reply.unwrap_or_else(|| Reply::error(1064, "You have an error in your SQL syntax"));
        for (columns, rows) in &reply.sets {
            let rows: Vec<Vec<Option<String>>> =
                rows.iter().map(|row| row.iter().map(|value| value.map(str::to_owned)).collect()).collect();
            exec.stdout(xml(columns, &rows)).await;
        }
        (self.rows_affected, self.warnings) = (reply.rows_affected, reply.warnings);
        match reply.then {
            Then::Ends => {}
            Then::Runs => {
                while !world.lock().killed.contains(&self.id) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                self.warnings = vec![("Error", 1317, "Query execution was interrupted")];
            }
            Then::ServerLost => {
                exec.stderr("ERROR 2013 (HY000) at line 9: Lost connection to server during query\n").await;
                return false;
            }
            Then::ConnectionLost => {
                self.broken = true;
                return false;
            }
        }
        if let Some((_, code, message)) = self.warnings.iter().find(|(level, _, _)| *level == "Error") {
            exec.stderr(format!("--------------\n{text}\n--------------\n\nERROR {code} (42000) at line 1: {message}\n")).await;
        }
        true
    }

    /// The answer to the program's own question.
    fn standing(&self, world: &Shared, cluster: &str, ordinal: u32) -> String {
        let mut world = world.lock();
        let sql_mode = world.sql_mode;
        let cluster = world.cluster(cluster);
        let read_only = match &mut cluster.engine {
            Engine::Galera(_) => false,
            Engine::Gtid(replication) => replication.server(ordinal).read_only,
        };
        let errors = self.warnings.iter().filter(|(level, _, _)| *level == "Error").count();
        let values = [
            self.rows_affected.to_string(),
            self.warnings.len().to_string(),
            errors.to_string(),
            sql_mode.to_owned(),
            self.database.clone(),
            self.id.to_string(),
            format!("{}-MariaDB", cluster.version),
            u8::from(read_only).to_string(),
        ];
        let row = values.into_iter().enumerate().map(|(at, value)| (at != 4 || !value.is_empty()).then_some(value)).collect();
        xml(
            &[
                MARK,
                "@@warning_count",
                "@@error_count",
                "@@sql_mode",
                "DATABASE()",
                "CONNECTION_ID()",
                "VERSION()",
                "@@read_only",
            ],
            &[row],
        )
    }
}

/// As the client prints it.
fn xml(columns: &[&str], rows: &[Vec<Option<String>>]) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let mut text =
        "<?xml version=\"1.0\"?>\n\n<resultset statement=\"…\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">"
            .to_owned();
    for row in rows {
        text.push_str("\n  <row>\n");
        for (name, value) in columns.iter().zip(row) {
            match value {
                Some(value) => writeln!(text, "\t<field name=\"{}\">{}</field>", escaped(name), escaped(value)).unwrap(),
                None => writeln!(text, "\t<field name=\"{}\" xsi:nil=\"true\" />", escaped(name)).unwrap(),
            }
        }
        text.push_str("  </row>");
    }
    text + "\n</resultset>\n"
}
