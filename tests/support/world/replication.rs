//! GTID replication as far as positions and threads go. A single server is a primary without replicas.

use std::collections::{BTreeMap, BTreeSet};

mod orders;

/// The number of an error, and its text.
pub type Failed = (u32, &'static str);

/// Servers by StatefulSet ordinal.
pub struct Replication {
    servers: BTreeMap<u32, Server>,
    /// What becomes of a replica while the primary is being closed, once.
    pub behind: Option<Behind>,
    /// How many servers took writes at once when one of them was opened.
    pub most_open: usize,
}

/// A replica that stops applying before the last that its primary writes.
pub struct Behind {
    pub ordinal: u32,
    /// Without one its thread was stopped by hand.
    pub error: Option<Failed>,
}

pub struct Server {
    pub server_id: u32,
    pub running: bool,
    pub read_only: bool,
    pub channel: Option<Channel>,
    /// Last sequence of each (domain, server id) in the binary log.
    binlog: BTreeMap<(u32, u32), u64>,
    /// What came from a source.
    applied: BTreeMap<u32, (u32, u64)>,
}

/// What a replica is told to follow, and how it does.
#[derive(Clone)]
pub struct Channel {
    pub source: u32,
    /// How it names it; `None`: by the name of its pod.
    pub host: Option<String>,
    /// It was told no account, or a wrong password.
    pub refused: bool,
    pub io: &'static str,
    pub sql_running: bool,
    pub io_error: Option<(u32, &'static str)>,
    pub sql_error: Option<(u32, &'static str)>,
    /// NULL when a thread does not run.
    pub lag_seconds: Option<u64>,
}

impl Channel {
    fn of(source: u32) -> Self {
        Self {
            source,
            host: None,
            refused: false,
            io: "Yes",
            sql_running: true,
            io_error: None,
            sql_error: None,
            lag_seconds: Some(0),
        }
    }

    /// Whether a thread of it runs.
    fn moves(&self) -> bool {
        self.io != "No" || self.sql_running
    }

    /// Stopped by an error while applying.
    pub fn stop_applying(&mut self, code: u32, text: &'static str) {
        self.sql_running = false;
        self.sql_error = Some((code, text));
        self.lag_seconds = None;
    }
}

impl Server {
    /// Domain, server id and sequence of the last transaction in the binary log.
    fn newest(&self) -> Option<(u32, u32, u64)> {
        self.binlog.iter().max_by_key(|(_, sequence)| **sequence).map(|((domain, id), sequence)| (*domain, *id, *sequence))
    }
}

pub const fn server_id(ordinal: u32) -> u32 {
    100 + ordinal
}

impl Replication {
    /// The first is the primary; the others follow it.
    pub fn healthy(ordinals: impl IntoIterator<Item = u32>) -> Self {
        let ordinals: Vec<u32> = ordinals.into_iter().collect();
        let first = ordinals.first().copied();
        Self::led_by(first, ordinals)
    }

    /// All others follow this one.
    pub fn led_by(primary: Option<u32>, ordinals: Vec<u32>) -> Self {
        let servers = ordinals.into_iter().map(|ordinal| {
            let channel = primary.filter(|source| *source != ordinal).map(Channel::of);
            let server = Server {
                server_id: server_id(ordinal),
                running: true,
                read_only: channel.is_some(),
                channel,
                binlog: BTreeMap::new(),
                applied: BTreeMap::new(),
            };
            (ordinal, server)
        });
        let servers = servers.collect();
        let mut replication = Self { servers, behind: None, most_open: 0 };
        if let Some(primary) = primary {
            replication.write(primary, 7);
        }
        replication
    }

    pub fn server(&mut self, ordinal: u32) -> &mut Server {
        self.servers.get_mut(&ordinal).expect("a server of this cluster")
    }

    pub fn server_id_of(&self, ordinal: u32) -> u32 {
        self.servers[&ordinal].server_id
    }

    pub fn has(&self, ordinal: u32) -> bool {
        self.servers.contains_key(&ordinal)
    }

    pub fn runs(&self, ordinal: u32) -> bool {
        self.servers.get(&ordinal).is_some_and(|server| server.running)
    }

    /// Whether it has been told whom to follow.
    pub fn follows(&self, ordinal: u32) -> bool {
        self.servers[&ordinal].channel.is_some()
    }

    /// A server on a copy of another one's data: its binary log begins anew.
    pub fn clone_to(&mut self, donor: u32, ordinal: u32) {
        let donor = &self.servers[&donor];
        let server = Server {
            server_id: server_id(ordinal),
            running: false,
            read_only: true,
            channel: donor.channel.clone(),
            binlog: BTreeMap::new(),
            applied: donor.applied.clone(),
        };
        self.servers.insert(ordinal, server);
    }

    /// A server that does not run yet, on a copy of another one's data; whatever was there is gone.
    pub fn copy(&mut self, ordinal: u32, of: u32) {
        let (binlog, applied) = (self.servers[&of].binlog.clone(), self.servers[&of].applied.clone());
        self.servers.insert(
            ordinal,
            Server { running: false, server_id: server_id(ordinal), read_only: false, channel: None, binlog, applied },
        );
    }

    pub fn follow(&mut self, ordinal: u32, source: u32) {
        self.server(ordinal).channel = Some(Channel::of(source));
    }

    /// `STOP SLAVE SQL_THREAD`: events still arrive and are not applied.
    pub fn stop_thread(&mut self, ordinal: u32) {
        let channel = self.server(ordinal).channel.as_mut().expect("a replica");
        channel.sql_running = false;
        channel.lag_seconds = None;
    }

    /// `START SLAVE SQL_THREAD`: what has arrived is applied.
    pub fn start_thread(&mut self, ordinal: u32) {
        let Channel { source, host, .. } = self.servers[&ordinal].channel.clone().expect("a replica");
        let (binlog, newest) = (self.servers[&source].binlog.clone(), self.servers[&source].newest());
        let replica = self.server(ordinal);
        for (writer, sequence) in binlog {
            let own = replica.binlog.entry(writer).or_default();
            *own = sequence.max(*own);
        }
        replica.applied.extend(newest.map(|(domain, id, sequence)| (domain, (id, sequence))));
        replica.channel = Some(Channel { host, ..Channel::of(source) });
    }

    /// A server that starts takes what was written meanwhile, if its threads run.
    pub fn catch_up(&mut self, ordinal: u32) {
        let channel = self.servers[&ordinal].channel.as_ref();
        if channel.is_some_and(|channel| channel.io == "Yes" && channel.sql_running && channel.sql_error.is_none()) {
            self.start_thread(ordinal);
        }
    }

    /// Transactions on one server, replicated to all who follow it with both threads running.
    pub fn write(&mut self, ordinal: u32, transactions: u64) {
        let last =
            self.servers[&ordinal].binlog.iter().filter(|((domain, _), _)| *domain == 0).map(|(_, sequence)| *sequence).max();
        let sequence = last.unwrap_or(0) + transactions;
        let id = server_id(ordinal);
        let mut reached = BTreeSet::from([ordinal]);
        while let Some(next) = self.follower_of(&reached) {
            reached.insert(next);
            self.server(next).applied.insert(0, (id, sequence));
        }
        for server in reached {
            self.server(server).binlog.insert((0, id), sequence);
        }
    }

    fn follower_of(&self, sources: &BTreeSet<u32>) -> Option<u32> {
        let follows = |server: &Server| {
            server.running
                && server
                    .channel
                    .as_ref()
                    .is_some_and(|channel| channel.io == "Yes" && channel.sql_running && sources.contains(&channel.source))
        };
        self.servers.iter().find(|(ordinal, server)| !sources.contains(ordinal) && follows(server)).map(|(ordinal, _)| *ordinal)
    }

    /// `gtid_binlog_pos`, `gtid_binlog_state`, `gtid_slave_pos`, `gtid_current_pos` and friends, as variables.
    pub fn variables(&self, ordinal: u32) -> BTreeMap<String, String> {
        let server = &self.servers[&ordinal];
        let gtid = |(domain, id, sequence): (u32, u32, u64)| format!("{domain}-{id}-{sequence}");
        let state: Vec<String> = server.binlog.iter().map(|((domain, id), sequence)| gtid((*domain, *id, *sequence))).collect();
        let position = server.newest().map_or_else(String::new, gtid);
        let applied: Vec<String> =
            server.applied.iter().map(|(domain, (id, sequence))| gtid((*domain, *id, *sequence))).collect();
        let read_only = if server.read_only { "ON" } else { "OFF" };
        [
            ("gtid_binlog_pos", position.clone()),
            ("gtid_binlog_state", state.join(",")),
            ("gtid_slave_pos", applied.join(",")),
            ("gtid_current_pos", position),
            ("read_only", read_only.to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// Replicas that are connected to this server.
    pub fn connected(&self, ordinal: u32) -> usize {
        let connected = |server: &&Server| {
            server.running && server.channel.as_ref().is_some_and(|channel| channel.source == ordinal && channel.io == "Yes")
        };
        self.servers.values().filter(connected).count()
    }

    /// The row of `SHOW ALL SLAVES STATUS`, if the server follows another: column names and values.
    pub fn channel_row(&self, ordinal: u32, host: impl Fn(u32) -> String) -> Option<Vec<(&'static str, String)>> {
        let server = &self.servers[&ordinal];
        let channel = server.channel.as_ref()?;
        let null = || "NULL".to_owned();
        let error = |error: Option<(u32, &str)>| error.map_or((0, String::new()), |(code, text)| (code, text.to_owned()));
        let ((io_code, io_text), (sql_code, sql_text)) = (error(channel.io_error), error(channel.sql_error));
        let io_position = self.variables(channel.source)["gtid_binlog_pos"].clone();
        Some(vec![
            ("Connection_name", String::new()),
            ("Master_Host", channel.host.clone().unwrap_or_else(|| host(channel.source))),
            ("Master_Port", "3306".to_owned()),
            ("Slave_IO_Running", channel.io.to_owned()),
            ("Slave_SQL_Running", if channel.sql_running { "Yes" } else { "No" }.to_owned()),
            ("Seconds_Behind_Master", channel.lag_seconds.map_or_else(null, |lag| lag.to_string())),
            ("Last_IO_Errno", io_code.to_string()),
            ("Last_IO_Error", io_text),
            ("Last_SQL_Errno", sql_code.to_string()),
            ("Last_SQL_Error", sql_text),
            ("Master_Server_Id", server_id(channel.source).to_string()),
            ("Using_Gtid", "Slave_Pos".to_owned()),
            ("Gtid_IO_Pos", if channel.io == "Yes" { io_position } else { String::new() }),
            ("SQL_Delay", "0".to_owned()),
        ])
    }
}
