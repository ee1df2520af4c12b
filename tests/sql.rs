//! `sql`, the whole program in this process against the model world.

mod shell;

use crate::support::program::{Run, run, run_with};
use crate::support::server::Server;
use crate::support::world::client::{Reply, Then};
use crate::support::world::{Cluster, ExecState, Shared, Sql, World};

const USERS: &str = "SELECT id, name, note FROM users";

fn with(cluster: Cluster) -> Shared {
    let world = World::with([cluster]);
    let mut locked = world.lock();
    locked.reply("SELECT 1", Reply::rows(&["1"], &[&[Some("1")]]));
    let rows: &[&[Option<&'static str>]] =
        &[&[Some("1"), Some("NULL"), None], &[Some("2"), Some("é <b> \"&\"\nx"), Some("0x00FF")]];
    locked.reply(USERS, Reply::rows(&["id", "name", "note"], rows));
    locked.reply("SELECT nothing", Reply { sets: vec![(vec!["a"], vec![])], rows_affected: -1, ..Reply::default() });
    locked.reply(
        "INSERT INTO users VALUES (3)",
        Reply {
            rows_affected: 1,
            warnings: vec![("Warning", 1364, "Field 'name' doesn't have a default value")],
            ..Reply::default()
        },
    );
    locked.reply("SELECT oops", Reply::error(1054, "Unknown column 'oops' in 'SELECT'"));
    drop(locked);
    world
}

fn galera() -> Shared {
    with(Cluster::galera("shop", "db", 3))
}

fn replication() -> Shared {
    with(Cluster::replication("shop", "db", 3))
}

async fn sql(world: &Shared, args: &[&str]) -> (Run, Server) {
    let server = world.serve().await;
    let ran = run(&server, &[&["sql", "-n", "shop"], args].concat()).await;
    (ran, server)
}

async fn text(world: &Shared, args: &[&str]) -> String {
    let (ran, server) = sql(world, args).await;
    format!("$ kubectl mariadb sql -n shop {}\n{}\n", args.join(" "), ran.text(&server))
}

/// The statements of users, and who got them.
fn asked(world: &Shared) -> Vec<(String, String)> {
    let own =
        |text: &str| ["SELECT ROW_COUNT()", "SET SESSION", "SHOW WARNINGS", "DO ("].iter().any(|start| text.starts_with(start));
    world.lock().statements.iter().filter(|(_, text)| !own(text)).cloned().collect()
}

#[tokio::test]
async fn the_right_server_is_asked() {
    for (world, args, pod) in [
        (replication(), &["db"][..], "db-0"),
        (replication(), &[], "db-0"),
        (replication(), &["db", "--on", "replica"], "db-1"),
        (replication(), &["db", "--on", "db-2"], "db-2"),
        (replication(), &["--on", "pod/db-2"], "db-2"),
        (replication(), &["db", "--write"], "db-0"),
        (galera(), &["sts/db"], "db-0"),
        (galera(), &["db", "--on", "db-1", "--write"], "db-1"),
        (with(Cluster::replication("shop", "db", 1)), &["db", "--write"], "db-0"),
    ] {
        let (ran, _server) = sql(&world, &[args, &["-e", "SELECT 1"]].concat()).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (0, "1\n1\n"), "{args:?}: {}", ran.stderr);
        assert_eq!(asked(&world), [(pod.to_owned(), "SELECT 1".to_owned())], "{args:?}");
        let read_only = world.lock().statements.iter().any(|(_, text)| text == "SET SESSION TRANSACTION READ ONLY");
        assert_eq!(read_only, !args.contains(&"--write"), "{args:?}");
    }
}

#[tokio::test]
async fn answers_are_shown_in_every_form() {
    let statements = format!("{USERS}; SELECT nothing; {USERS}\\G");
    let mut shown = String::new();
    for form in [&[][..], &["-o", "json"], &["-o", "jsonl"], &["--no-headers"]] {
        shown += &text(&replication(), &[&["db", "-e", &statements], form].concat()).await;
    }
    insta::assert_snapshot!("forms", shown);
    let written =
        text(&replication(), &["db", "--write", "-e", "INSERT INTO users VALUES (3); USE shop", "-e", "SELECT 1"]).await;
    insta::assert_snapshot!("write", written);
}

#[tokio::test]
async fn statements_come_from_stdin_too() {
    let world = replication();
    let server = world.serve().await;
    for args in [&["sql", "db", "-n", "shop"][..], &["sql", "db", "-", "-n", "shop"], &["sql", "db", "-f", "-", "-n", "shop"]] {
        let ran = run_with(&server, args, "-- two\nSELECT 1;\nSELECT 1\n").await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (0, "1\n1\n\n1\n1\n"), "{}", ran.stderr);
    }
    let nothing = run_with(&server, &["sql", "db", "-n", "shop"], "-- nothing\n").await;
    assert_eq!(nothing.exit, 2);
    let missing = run(&server, &["sql", "db", "-n", "shop", "-f", "/nonexistent/x.sql"]).await;
    insta::assert_snapshot!("no_file", missing.text(&server));
}

/// Safety G4: all of them end with 5 before anybody is asked.
#[tokio::test]
async fn slips_are_refused_before_anybody_is_asked() {
    let world = replication();
    let server = world.serve().await;
    for statement in [
        "SELECT 1; DROP TABLE users",
        "/*!50000 DROP TABLE users */",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "SET GLOBAL read_only = 0",
        "SELECT * FROM users FOR UPDATE",
        "system ls",
        "delimiter //\nSELECT 1; DROP TABLE users//",
    ] {
        let ran = run(&server, &["sql", "db", "-n", "shop", "-e", statement]).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (5, ""), "{statement}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: not without --write: "), "{}", ran.stderr);
    }
    for on in ["all", "replica"] {
        let ran = run(&server, &["sql", "db", "-n", "shop", "--write", "--on", on, "-e", "SELECT 1"]).await;
        assert_eq!(ran.exit, 5, "{}", ran.stderr);
    }
    for mistake in ["\\! ls", "SELECT 'open"] {
        assert_eq!(run(&server, &["sql", "db", "-n", "shop", "-e", mistake]).await.exit, 2);
    }
    assert_eq!(server.log().len(), 0);
}

#[tokio::test]
async fn the_servers_own_mode_decides_what_a_text_is() {
    let world = replication();
    world.lock().sql_mode = "NO_BACKSLASH_ESCAPES";
    let trap = r"SELECT 'C:\' INTO OUTFILE 'x' -- '";
    let (ran, _server) = sql(&world, &["db", "-e", trap]).await;
    assert_eq!(ran.exit, 5, "{}", ran.stderr);
    assert_eq!(asked(&world), []);
}

#[tokio::test]
async fn who_cannot_be_chosen_is_said() {
    let mut shown = text(&replication(), &["db", "--write", "--on", "db-1", "-e", "SELECT 1"]).await;
    shown += &text(&replication(), &["db", "--on", "db-9", "-e", "SELECT 1"]).await;
    shown += &text(&galera(), &["db", "--on", "replica", "-e", "SELECT 1"]).await;
    let split = galera();
    split.lock().cluster("db").as_galera().cut(&[&[0, 1], &[2]]);
    split.lock().cluster("db").as_galera().pc_bootstrap(2);
    shown += &text(&split, &["db", "-e", "SELECT 1"]).await;
    let two = replication();
    two.lock().cluster("db").as_replication().server(1).channel = None;
    two.lock().cluster("db").as_replication().server(1).read_only = false;
    shown += &text(&two, &["db", "-e", "SELECT 1"]).await;
    let silent = replication();
    silent.lock().cluster("db").member(0).exec = ExecState::Hangs;
    shown += &text(&silent, &["db", "--pod-timeout", "300ms", "-e", "SELECT 1"]).await;
    shown += &text(&silent, &["db", "--pod-timeout", "300ms", "--on", "db-0", "-e", "SELECT 1"]).await;
    let several = World::with([Cluster::galera("shop", "db", 3), Cluster::replication("shop", "users", 3)]);
    shown += &text(&several, &["-e", "SELECT 1"]).await;
    insta::assert_snapshot!("no_server", shown);
}

#[tokio::test]
async fn every_way_to_fail_has_its_sentence() {
    let mut shown = text(&replication(), &["db", "-e", "SELECT 1;\nSELECT oops;\nSELECT 1", "-o", "json"]).await;
    let lost = replication();
    lost.lock().reply("SELECT long", Reply::then(Then::ServerLost));
    shown += &text(&lost, &["db", "-e", "SELECT long"]).await;
    let cut = replication();
    cut.lock().reply("SELECT long", Reply::then(Then::ConnectionLost));
    let (ran, server) = sql(&cut, &["db", "-e", "SELECT long"]).await;
    assert_eq!(ran.exit, 1);
    assert!(ran.stderr.contains("the statement may or may not have run to its end"), "{}", ran.text(&server));
    for words in
        [Sql::Refuses("ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: YES)"), Sql::NoClient]
    {
        let refused = replication();
        refused.lock().cluster("db").member(0).sql = words;
        shown += &text(&refused, &["--on", "db-0", "-e", "SELECT 1"]).await;
    }
    let forbidden = replication();
    forbidden.lock().denied.insert("get pods/exec");
    shown += &text(&forbidden, &["db", "-e", "SELECT 1"]).await;
    shown += &text(&replication(), &["db", "--db-user", "eve", "-e", "SELECT 1"]).await;
    insta::assert_snapshot!("failures", shown);
}

#[tokio::test]
async fn a_password_from_a_secret_goes_over_stdin_only() {
    let world = replication();
    let data = serde_json::json!({ "root": "aHVzaC1odXNo" });
    world.lock().secrets = vec![serde_json::json!({ "metadata": { "name": "db", "namespace": "shop" }, "data": data })];
    let server = world.serve().await;
    let args =
        ["sql", "db", "-n", "shop", "--db-user", "eve", "--password-from", "secret/db:root", "-e", "SELECT 1", "-o", "json"];
    let ran = run(&server, &args).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(world.lock().accounts, ["eve"]);
    // Without an account it is root's, for the look and for the statements.
    world.lock().cluster("db").member(0).sql = Sql::Wants("hush-hush");
    let args = ["sql", "db", "-n", "shop", "--password-from", "secret/db:root", "-e", "SELECT 1"];
    assert_eq!(run(&server, &args).await.stdout, "1\n1\n");
    assert!(!format!("{}{}{}", ran.stdout, ran.stderr, server.log().text()).contains("hush"));
    let args = ["sql", "db", "-n", "shop", "--password-from", "secret/db:other", "-e", "SELECT 1"];
    let missing = run(&server, &args).await;
    world.lock().denied.insert("get secrets");
    let forbidden = run(&server, &args).await;
    insta::assert_snapshot!("secrets", format!("{}\n{}", missing.text(&server), forbidden.text(&server)));
}

#[tokio::test]
async fn all_servers_answer_side_by_side() {
    let world = replication();
    for (pod, value) in [("db-0", "OFF"), ("db-1", "ON"), ("db-2", "ON")] {
        let mut locked = world.lock();
        locked.reply_of(pod, "SELECT @@read_only r, 7 same", Reply::rows(&["r", "same"], &[&[Some(value), Some("7")]]));
        let status: &[&[Option<&str>]] = &[&[Some("Threads"), Some("3")], &[Some("Mode"), Some(value)]];
        locked.reply_of(pod, "SHOW STATUS", Reply::rows(&["Variable_name", "Value"], status));
        let note = if pod == "db-2" { None } else { Some("NULL") };
        let rows: &[&[Option<&str>]] = &[&[Some("1"), Some("a"), Some("x")], &[Some("2"), Some("b"), note]];
        locked.reply_of(pod, "SELECT * FROM t", Reply::rows(&["id", "name", "note"], rows));
    }
    let args = ["db", "--on", "all", "-e", "SELECT 1; SELECT @@read_only r, 7 same; SHOW STATUS; SELECT * FROM t"];
    let mut shown = text(&world, &args).await;
    shown += &text(&world, &["db", "--on", "all", "-e", "SELECT * FROM t", "-o", "json"]).await;
    world.lock().cluster("db").member(2).exec = ExecState::Hangs;
    shown += &text(&world, &["db", "--on", "all", "--pod-timeout", "300ms", "-e", "SELECT 1"]).await;
    insta::assert_snapshot!("all", shown);
}
