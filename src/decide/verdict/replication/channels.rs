//! Replication: each channel of each replica.

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::replication as rule;
use crate::decide::verdict::{Scene, Standing};
use crate::model::names::Ordinal;
use crate::model::replica::{Channel, IoThread, ServerError};
use crate::model::server::Server;
use crate::model::topology::Source;

use super::{Roles, runs};

/// Seconds a replica may be behind.
const LAG: u64 = 30;

pub(super) fn findings(scene: &Scene, roles: &Roles) -> Vec<Finding> {
    let mut found = Vec::new();
    for (ordinal, server) in scene.up() {
        let name = scene.pod_name(ordinal);
        if server.channels.len() > 1 {
            let mut finding =
                Finding::new(&rule::MULTI_SOURCE, format!("{name} replicates from {} sources", server.channels.len()));
            for channel in &server.channels {
                finding = finding.seen(format!("Master_Host of channel `{}` on {name}", channel.name), &channel.source_host);
            }
            found.push(finding.about([&name]));
        }
        for (channel, source) in &roles.sources[&ordinal] {
            let look = Look { scene, roles, ordinal, name: &name, server, channel, source };
            let findings = [look.threads(), look.lag(), look.source(), look.server_id(), look.gtid()];
            found.extend(findings.into_iter().flatten().map(|finding| finding.about([&name])));
        }
    }
    found
}

/// One channel and what surrounds it.
struct Look<'a> {
    scene: &'a Scene<'a>,
    roles: &'a Roles<'a>,
    ordinal: Ordinal,
    name: &'a str,
    server: &'a Server,
    channel: &'a Channel,
    source: &'a Source,
}

impl Look<'_> {
    fn finding(&self, rule: &'static Rule, says: &str) -> Finding {
        let of = if self.server.channels.len() > 1 { format!(" (channel `{}`)", self.channel.name) } else { String::new() };
        Finding::new(rule, format!("{}{of} {says}", self.name))
            .seen(format!("Master_Host on {}", self.name), &self.channel.source_host)
            .seen(format!("Slave_IO_Running, Slave_SQL_Running on {}", self.name), self.threads_text())
    }

    fn threads_text(&self) -> String {
        let io = match self.channel.io {
            IoThread::Yes => "Yes",
            IoThread::No => "No",
            IoThread::Connecting => "Connecting",
            IoThread::Preparing => "Preparing",
        };
        format!("{io}, {}", if self.channel.sql_running { "Yes" } else { "No" })
    }

    /// Why this channel does not run.
    fn threads(&self) -> Option<Finding> {
        let channel = self.channel;
        if runs(channel) {
            return None;
        }
        let sql = channel.sql_error.as_ref().filter(|_| !channel.sql_running);
        let io = channel.io_error.as_ref().filter(|_| channel.io != IoThread::Yes);
        let connecting = matches!(channel.io, IoThread::Connecting | IoThread::Preparing);
        let finding = match (sql, io) {
            (Some(error), _) => self.failed(sql_rule(error), "no longer applies", error),
            (None, Some(error)) if is_login(error) => self.failed(&rule::CREDENTIALS, "cannot log in at its source", error),
            (None, Some(error)) if !connecting => self.failed(io_rule(error), "no longer receives", error),
            (None, error) if connecting => {
                if self.source_is_down() {
                    return None;
                }
                let finding = self.finding(&rule::CONNECTING, "cannot reach its source");
                match error {
                    Some(error) => finding.seen(format!("Last_IO_Error on {}", self.name), text(error)),
                    None => finding,
                }
            }
            _ => self.finding(&rule::STOPPED, "has replication threads that were stopped"),
        };
        Some(finding.kubectl(&format!("logs {} --tail=50", self.name)))
    }

    fn failed(&self, rule: &'static Rule, says: &str, error: &ServerError) -> Finding {
        self.finding(rule, &format!("{says}: error {}", error.code)).seen(format!("last error on {}", self.name), text(error))
    }

    /// A source that is down is told as such; that nobody reaches it follows.
    fn source_is_down(&self) -> bool {
        let Source::Pod(source) = self.source else { return false };
        let standing = self.scene.standing(*source);
        matches!(standing, Standing::Down | Standing::Quiet | Standing::Hung) || self.scene.on_bad_node(*source)
    }

    fn lag(&self) -> Option<Finding> {
        let (channel, delay) = (self.channel, self.channel.delay_seconds);
        let lag = channel.lag_seconds.filter(|_| channel.sql_running);
        match lag {
            Some(lag) if lag > LAG.saturating_add(delay) => Some(
                self.finding(&rule::LAG, &format!("is {lag} s behind"))
                    .seen(format!("Seconds_Behind_Master on {}", self.name), lag)
                    .seen(format!("Gtid_IO_Pos, gtid_slave_pos on {}", self.name), self.positions()),
            ),
            _ if delay > 0 => Some(
                self.finding(&rule::DELAYED, &format!("is delayed by {delay} s on purpose"))
                    .seen(format!("SQL_Delay on {}", self.name), delay),
            ),
            _ => None,
        }
    }

    fn positions(&self) -> String {
        format!("{}, {}", self.channel.gtid_io_pos, self.server.gtid.slave_pos)
    }

    /// A source that is not the primary.
    fn source(&self) -> Option<Finding> {
        let source = match self.source {
            Source::Pod(source) => *source,
            Source::Outside { host, .. } => {
                return Some(self.finding(&rule::EXTERNAL_SOURCE, &format!("replicates from {host}, outside of this set")));
            }
            Source::Unclear => return None,
        };
        let primary = self.roles.primary.filter(|primary| *primary != source && *primary != self.ordinal)?;
        let (source_name, primary_name) = (self.scene.pod_name(source), self.scene.pod_name(primary));
        let (rule, says) = if self.passes_on(source, primary) {
            (&rule::CHAINED, format!("follows {source_name}, a replica of the primary {primary_name}"))
        } else {
            (&rule::WRONG_SOURCE, format!("follows {source_name}, which is not the primary ({primary_name})"))
        };
        Some(self.finding(rule, &says))
    }

    /// Whether this source is a working replica of the primary that logs what it replicates.
    fn passes_on(&self, source: Ordinal, primary: Ordinal) -> bool {
        let Some((_, server)) = self.scene.up().find(|(ordinal, _)| *ordinal == source) else { return false };
        let follows = self
            .roles
            .sources
            .get(&source)
            .is_some_and(|channels| channels.iter().any(|(channel, of)| *of == Source::Pod(primary) && runs(channel)));
        follows && server.binlog.enabled && server.binlog.logs_replicated
    }

    /// A connection to another server than the host's name stands for.
    fn server_id(&self) -> Option<Finding> {
        let named = self.scene.seen.ordinal_at(&self.channel.source_host)?;
        let (_, server) = self.scene.up().find(|(ordinal, _)| *ordinal == named)?;
        let (connected, expected) = (self.channel.source_server_id, server.server_id);
        if connected == 0 || connected == expected || self.channel.io != IoThread::Yes {
            return None;
        }
        let finding = self.finding(&rule::SERVER_ID_DIFFERS, "is connected to another server than its source's name stands for");
        Some(
            finding
                .seen(format!("Master_Server_Id on {}", self.name), connected)
                .seen(format!("server_id on {}", self.scene.pod_name(named)), expected),
        )
    }

    fn gtid(&self) -> Option<Finding> {
        (!self.channel.uses_gtid).then(|| {
            self.finding(&rule::NO_GTID, "replicates by file and offset, not by GTID")
                .seen(format!("Using_Gtid on {}", self.name), "No")
        })
    }
}

fn text(error: &ServerError) -> String {
    format!("{}: {}", error.code, error.text)
}

/// Errors of the log-in: access denied, plugin or account trouble, host not allowed.
fn is_login(error: &ServerError) -> bool {
    [1044, 1045, 1129, 1130, 1227, 1524, 1698].contains(&error.code)
}

fn io_rule(error: &ServerError) -> &'static Rule {
    let diverged = ["not in the master's binlog", "diverged", "not in the source's binlog"];
    let purged = ["purged", "could not find next log", "could not find first log"];
    let says = |words: &[&str]| words.iter().any(|word| error.text.to_lowercase().contains(word));
    match error.code {
        1236 if says(&purged) => &rule::PURGED,
        1236 if says(&diverged) => &rule::DIVERGED,
        _ => &rule::IO_STOPPED,
    }
}

fn sql_rule(error: &ServerError) -> &'static Rule {
    match error.code {
        1950 => &rule::OUT_OF_ORDER,
        1062 => &rule::DUPLICATE_KEY,
        1032 | 1146 => &rule::ROW_MISSING,
        _ => &rule::SQL_STOPPED,
    }
}
