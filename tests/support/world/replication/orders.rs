//! Statements that change a server: whether it takes writes, and whom it follows.

use std::collections::BTreeSet;

use super::super::seeding::SECRET;
use super::{Channel, Failed, Replication, Server};

const RUNS: Failed = (1198, "This operation cannot be performed as you have a running slave ''; run STOP SLAVE '' first");
const UNTOLD: Failed = (1200, "The server is not configured as slave; fix in config file or with CHANGE MASTER TO");
const REFUSED: Failed = (1045, "error connecting to master 'repl@db:3306': Access denied for user 'repl'@'10.0.0.11'");
const AWAY: Failed = (2003, "error connecting to master 'repl@db:3306': Can't connect to server");
const AHEAD: Failed =
    (1236, "Got fatal error 1236 from master when reading data from binary log: the GTID is not in the master's binlog");
const OUT_OF_ORDER: Failed =
    (1950, "An attempt was made to binlog a GTID which would create an out-of-order sequence number with existing GTID");

impl Replication {
    /// What comes of a statement; `None`: it is none of these. `named`: the ordinal behind the name of a host.
    pub fn order(&mut self, ordinal: u32, text: &str, named: impl Fn(&str) -> Option<u32>) -> Option<Result<(), Failed>> {
        let moves = self.server(ordinal).channel.as_ref().is_some_and(Channel::moves);
        Some(match text {
            "SET GLOBAL read_only = ON" => {
                self.close(ordinal);
                Ok(())
            }
            "SET GLOBAL read_only = OFF" => {
                self.open(ordinal);
                Ok(())
            }
            "SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_current_pos" | "RESET SLAVE ALL" if moves => Err(RUNS),
            "SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_current_pos" => {
                let newest = self.server(ordinal).newest();
                self.server(ordinal).applied.extend(newest.map(|(domain, id, sequence)| (domain, (id, sequence))));
                Ok(())
            }
            "RESET SLAVE ALL" => {
                self.server(ordinal).channel = None;
                Ok(())
            }
            "STOP SLAVE" => {
                if let Some(channel) = &mut self.server(ordinal).channel {
                    (channel.io, channel.sql_running, channel.io_error, channel.lag_seconds) = ("No", false, None, None);
                }
                Ok(())
            }
            "START SLAVE" => self.start_slave(ordinal),
            text => {
                let change = text.strip_prefix("CHANGE MASTER TO ")?;
                if moves {
                    return Some(Err(RUNS));
                }
                self.change_master(ordinal, change, named);
                Ok(())
            }
        })
    }

    fn close(&mut self, ordinal: u32) {
        if let Some(behind) = self.behind.take() {
            self.stop_thread(behind.ordinal);
            let channel = self.server(behind.ordinal).channel.as_mut();
            if let (Some(channel), Some((code, text))) = (channel, behind.error) {
                channel.stop_applying(code, text);
            }
            self.write(ordinal, 3);
        }
        self.server(ordinal).read_only = true;
    }

    fn open(&mut self, ordinal: u32) {
        self.server(ordinal).read_only = false;
        let open = self.servers.values().filter(|server| server.running && !server.read_only).count();
        self.most_open = self.most_open.max(open);
    }

    fn change_master(&mut self, ordinal: u32, change: &str, named: impl Fn(&str) -> Option<u32>) {
        let option = |name: &str| {
            let mut options = change.split(',');
            let value = options.find_map(|option| option.trim().strip_prefix(name)?.strip_prefix('='))?;
            Some(value.trim_matches('\'').to_owned())
        };
        assert_eq!(option("MASTER_USE_GTID").as_deref(), Some("slave_pos"), "every channel here replicates by GTID");
        let before = self.server(ordinal).channel.clone();
        let host = option("MASTER_HOST").expect("whom to follow");
        let source = named(&host).expect("the name of a pod of this world");
        // What is not said stays as it was; whoever followed nobody knows no account.
        let refused = match (option("MASTER_USER"), option("MASTER_PASSWORD")) {
            (None, None) => before.as_ref().is_none_or(|before| before.refused),
            (user, password) => user.as_deref() != Some("repl") || password.as_deref() != Some(SECRET),
        };
        // What stopped it is still there.
        let sql_error = before.and_then(|before| before.sql_error);
        let channel = Channel { io: "No", sql_running: false, lag_seconds: None, refused, sql_error, ..Channel::of(source) };
        self.server(ordinal).channel = Some(Channel { host: Some(host), ..channel });
    }

    fn start_slave(&mut self, ordinal: u32) -> Result<(), Failed> {
        let server = &self.servers[&ordinal];
        let Some(channel) = server.channel.clone() else { return Err(UNTOLD) };
        if channel.io == "Yes" && channel.sql_running {
            return Ok(());
        }
        let source = &self.servers[&channel.source];
        let sequence = |server: &Server| server.newest().map_or(0, |(_, _, sequence)| sequence);
        let (own, had) = (sequence(server), sequence(source));
        let at = server.applied.get(&0).map_or(0, |(_, sequence)| *sequence);
        let connected = Channel { io: "Yes", sql_running: true, io_error: None, ..channel };
        let with = |error, io| Channel { io, io_error: Some(error), lag_seconds: None, ..connected.clone() };
        let channel = if connected.refused {
            with(REFUSED, "Connecting")
        } else if !source.running {
            with(AWAY, "Connecting")
        } else if at > had {
            with(AHEAD, "No")
        } else if at < own && at < had {
            // It would take once more what it has written itself.
            Channel { sql_running: false, sql_error: Some(OUT_OF_ORDER), ..connected }
        } else if connected.sql_error.is_some() {
            Channel { sql_running: false, ..connected }
        } else {
            self.server(ordinal).channel = Some(connected);
            self.start_thread(ordinal);
            self.pass_on(ordinal);
            return Ok(());
        };
        self.server(ordinal).channel = Some(channel);
        Ok(())
    }

    /// What a server has got, those that follow it get, too.
    fn pass_on(&mut self, ordinal: u32) {
        let mut reached = BTreeSet::from([ordinal]);
        while let Some(next) = self.follower_of(&reached) {
            reached.insert(next);
            self.start_thread(next);
        }
    }
}
