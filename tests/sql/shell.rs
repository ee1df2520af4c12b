//! The shell, in a terminal: the real program on a pseudo terminal, against the fake API server of this process.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};

use super::{asked, replication};
use crate::support::server::Server;
use crate::support::world::client::{Reply, Then};

/// A terminal with the program in it.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    fn open(server: &Server, args: &[&str]) -> Self {
        let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 80, ..PtySize::default() }).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_kubectl-mariadb"));
        command.args(args);
        command.env_clear();
        command.env("KUBECONFIG", server.kubeconfig());
        command.env("TERM", "xterm");
        command.env("NO_COLOR", "1");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let (tell, shown) = channel();
        std::thread::spawn(move || {
            let _master = pair.master;
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                if tell.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, shown, text: String::new() }
    }

    /// Waits until `wanted` is shown, and forgets everything up to there.
    fn wait(&mut self, wanted: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(at) = self.text.find(wanted) {
                self.text.drain(..at + wanted.len());
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{wanted:?} never came: {:?}", self.text),
            }
        }
    }

    fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn exit(mut self) -> u32 {
        self.child.wait().unwrap().exit_code()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_types_statements_and_stops_one() {
    let world = replication();
    world.lock().reply("SELECT\n1", Reply::rows(&["one"], &[&[Some("1")]]));
    world.lock().reply("SELECT SLEEP(100)", Reply::then(Then::Runs));
    let server = world.serve().await;
    let (seen, exit) = tokio::task::spawn_blocking({
        let world = world.clone();
        move || {
            let mut terminal = Terminal::open(&server, &["sql", "db", "-n", "shop"]);
            terminal.wait("on db-0, the primary");
            terminal.wait("read-only: --write allows changes");
            terminal.wait("db-0> ");
            terminal.keys("SELECT\r");
            terminal.wait("-> ");
            terminal.keys("1;\r");
            terminal.wait("one\r\n1\r\n");
            terminal.wait("db-0> ");
            terminal.keys("drop table users;\r");
            terminal.wait("not without --write: drop table users");
            terminal.wait("db-0> ");
            terminal.keys("use shop\r");
            terminal.wait("db-0/shop> ");
            terminal.keys("\\! ls\r");
            terminal.wait("is a command of the mariadb client");
            terminal.wait("db-0/shop> ");
            terminal.keys("SELECT SLEEP(100);\r");
            while !asked(&world).iter().any(|(_, text)| text.starts_with("SELECT SLEEP")) {
                std::thread::sleep(Duration::from_millis(5));
            }
            terminal.keys("\x03");
            terminal.wait("the statement was stopped on db-0");
            terminal.wait("db-0/shop> ");
            terminal.keys("SELECT 1;\r");
            terminal.wait("1\r\n1\r\n");
            terminal.wait("db-0/shop> ");
            // Up twice: the history.
            terminal.keys("\x1b[A\x1b[A");
            terminal.wait("SELECT SLEEP(100);");
            terminal.keys("\x03");
            terminal.wait("db-0/shop> ");
            terminal.keys("\x04");
            (asked(&world), terminal.exit())
        }
    })
    .await
    .unwrap();
    assert_eq!(exit, 0);
    let texts: Vec<&str> = seen.iter().map(|(_, text)| text.as_str()).collect();
    assert!(texts.contains(&"use shop") && texts.iter().all(|text| !text.contains("drop")), "{texts:?}");
    assert_eq!(world.lock().killed.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_told_and_made_again() {
    let world = replication();
    world.lock().reply("SELECT lost", Reply::then(Then::ConnectionLost));
    let server = world.serve().await;
    let exit = tokio::task::spawn_blocking(move || {
        let mut terminal = Terminal::open(&server, &["sql", "db", "-n", "shop"]);
        terminal.wait("db-0> ");
        terminal.keys("SELECT lost;\r");
        terminal.wait("may or may not have run");
        terminal.wait("db-0> ");
        terminal.keys("SELECT 1;\r");
        terminal.wait("1\r\n1\r\n");
        terminal.keys("exit\r");
        terminal.exit()
    });
    assert_eq!(exit.await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_shot_is_stopped_by_ctrl_c_and_says_so() {
    let world = replication();
    world.lock().reply("SELECT SLEEP(100)", Reply::then(Then::Runs));
    let server = world.serve().await;
    let exit = tokio::task::spawn_blocking({
        let world = world.clone();
        move || {
            let mut terminal = Terminal::open(&server, &["sql", "db", "-n", "shop", "-e", "SELECT SLEEP(100)"]);
            terminal.wait("on db-0");
            while asked(&world).is_empty() {
                std::thread::sleep(Duration::from_millis(5));
            }
            terminal.keys("\x03");
            terminal.wait("interrupted by Ctrl-C: the statement was stopped on db-0 and is gone from its process list");
            terminal.exit()
        }
    });
    assert_eq!(exit.await.unwrap(), 130);
    assert_eq!(world.lock().killed.len(), 1);
}
