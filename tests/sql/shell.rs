//! The shell, in a terminal: the real program on a pseudo terminal, against the fake API server of this process.

use std::time::Duration;

use super::{asked, replication};
use crate::support::terminal::Terminal;
use crate::support::world::client::{Reply, Then};

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
