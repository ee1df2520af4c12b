//! `sql` on real servers: which one answers, what is exact, what is refused, and what is stopped.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bed::testing::audit::AuditLog;
use bed::testing::run::{Ended, run, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::stage::Stage;
use crate::status::access::command_lines;

const LIMIT: Duration = Duration::from_secs(90);

fn command(stage: &Stage, args: &[&str]) -> Command {
    let all = [&["sql", "sts/db", "-n", &stage.cluster.namespace, "--pod-timeout=15s"], args].concat();
    stage.plugin.command(&all)
}

fn sql(stage: &Stage, args: &[&str]) -> Result<Ended> {
    run(command(stage, args), "", LIMIT)
}

/// The rows of the only result set of the only statement.
fn rows(stage: &Stage, args: &[&str]) -> Result<Value> {
    let ended = sql(stage, &[args, &["-o", "json"]].concat())?;
    ensure!(ended.is_success(), "{args:?} ended with {:?}: {}", ended.code, ended.stderr);
    let document: Value = serde_json::from_str(&ended.stdout)?;
    Ok(document["statements"][0]["resultSets"][0]["rows"].clone())
}

fn expect(what: &str, seen: &Ended, code: i32, says: &str) -> Result<()> {
    ensure!(seen.code == Some(code), "{what}: exit code {:?} instead of {code}: {}{}", seen.code, seen.stdout, seen.stderr);
    let told = format!("{}{}", seen.stdout, seen.stderr);
    ensure!(told.contains(says), "{what}: nothing says {says:?}: {told}");
    Ok(())
}

/// Each `--on` asks the server it says; a write reaches all of them through replication.
pub fn right_server_of_replication(stage: &Stage) -> Result<()> {
    for (on, hosts) in [("primary", &["db-0"][..]), ("replica", &["db-1", "db-2"]), ("db-2", &["db-2"])] {
        let seen = rows(stage, &["--on", on, "-e", "SELECT @@hostname"])?;
        let host = seen[0][0].as_str().unwrap_or_default().to_owned();
        ensure!(hosts.contains(&host.as_str()), "--on {on} asked {host}");
    }
    let all = sql(stage, &["--on", "all", "-e", "SELECT @@hostname h, 1 same", "-o", "json"])?;
    let document: Value = serde_json::from_str(&all.stdout)?;
    ensure!(document["statements"][0]["same"] == false && document["servers"].as_array().map(Vec::len) == Some(3), "{document}");
    let written =
        sql(stage, &["--write", "-e", "CREATE TABLE trial.s (i INT PRIMARY KEY, v TEXT); INSERT INTO trial.s VALUES (1, 'a')"])?;
    expect("a write", &written, 0, "1 row affected")?;
    wait_until("the write is everywhere", Duration::from_secs(20), || {
        let compared = sql(stage, &["--on", "all", "-e", "SELECT * FROM trial.s"])?;
        expect("all agree", &compared, 0, "the same on db-0, db-1, db-2")
    })?;
    expect("a write on a replica", &sql(stage, &["--write", "--on", "db-1", "-e", "SELECT 1"])?, 5, "db-0 is")?;
    expect("a write on all", &sql(stage, &["--write", "--on", "all", "-e", "SELECT 1"])?, 5, "--on all")
}

/// Any Synced member answers and takes writes.
pub fn right_server_of_galera(stage: &Stage) -> Result<()> {
    expect("the default", &sql(stage, &["-e", "SELECT @@wsrep_on"])?, 0, "Synced member")?;
    expect(
        "a write on a named member",
        &sql(stage, &["--write", "--on", "db-2", "-e", "CREATE TABLE trial.s (i INT PRIMARY KEY)"])?,
        0,
        "",
    )?;
    expect("no replica", &sql(stage, &["--on", "replica", "-e", "SELECT 1"])?, 1, "has no replicas")
}

/// NULL, its name, binary, other alphabets and lines: exact in JSON, told apart in the table.
pub fn values_are_exact(stage: &Stage) -> Result<()> {
    let odd = "SELECT NULL a, 'NULL' a, '' b, X'00ff41' c, 'é✓漢' d, 'l\\n\\tx\\\\' e, '<x>&\"' f, 1.50 g, CAST('{}' AS CHAR) h";
    let seen = rows(stage, &["-e", odd])?;
    let expected = serde_json::json!([[null, "NULL", "", "0x00FF41", "é✓漢", "l\n\tx\\", "<x>&\"", "1.50", "{}"]]);
    ensure!(seen == expected, "{seen}");
    let table = sql(stage, &["-e", odd])?;
    expect("the table", &table, 0, "NULL  'NULL'     0x00FF41  é✓漢  l\\n\\tx\\  <x>&\"  1.50  {}")?;
    let file = run(
        command(stage, &["-"]),
        "-- a file\nDELIMITER //\nSELECT 'a;b' x//\nDELIMITER ;\nSHOW DATABASES LIKE 'trial';",
        LIMIT,
    )?;
    expect("stdin", &file, 0, "a;b")?;
    expect("stdin", &file, 0, "trial")?;
    expect("an error", &sql(stage, &["-e", "SELECT 1;\nSELECT nope"])?, 1, "ERROR 1054: Unknown column 'nope'")?;
    expect("the line", &sql(stage, &["-e", "SELECT 1;\nSELECT nope"])?, 1, "(statement in line 2)")
}

/// Without `--write` nothing changes, whatever the statement is dressed up as (safety G4).
pub fn slips_change_nothing(stage: &Stage) -> Result<()> {
    stage.cluster.sql(
        0,
        "CREATE TABLE trial.kept (i INT PRIMARY KEY); INSERT INTO trial.kept VALUES (1);\n\
         DELIMITER //\nCREATE FUNCTION trial.slip() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO trial.kept VALUES (2); RETURN 1; END//\n\
         DELIMITER ;\n",
    )?;
    expect("a function that writes", &sql(stage, &["-e", "SELECT trial.slip()"])?, 1, "1792")?;
    for slip in [
        "SELECT 1; DROP TABLE trial.kept",
        "/*!50000 DROP TABLE trial.kept */",
        "SELECT * FROM trial.kept INTO OUTFILE '/tmp/slip'",
        "SELECT 1 INTO DUMPFILE '/tmp/slip'",
        "SET GLOBAL max_connections = 61",
        "EXECUTE IMMEDIATE 'DROP TABLE trial.kept'",
        "WITH a AS (SELECT 1) DELETE FROM trial.kept",
    ] {
        expect(slip, &sql(stage, &["-e", slip])?, 5, "not without --write")?;
    }
    // What the mariadb client would do itself, were it given the chance.
    expect("a command of the client", &sql(stage, &["--write", "-e", "\\! touch /tmp/slip"])?, 2, "only \\g and \\G")?;
    for own in ["system touch /tmp/slip", "source /etc/passwd", "tee /tmp/slip"] {
        expect(own, &sql(stage, &["--write", "-e", own])?, 1, "1064")?;
    }
    expect("the client's own word", &sql(stage, &["-e", "SELECT 1 AS delimiter , 2"])?, 0, "delimiter")?;
    ensure!(stage.cluster.sql(0, "SELECT GROUP_CONCAT(i) FROM trial.kept")? == "1", "a row was written");
    let files = stage.cluster.exec(0, "ls /tmp/slip 2>&1; true", "")?;
    ensure!(files.stdout.contains("No such file"), "a file was written: {}", files.stdout);
    Ok(())
}

/// A million rows: the first are shown at once, and memory does not grow with them.
pub fn large_results_stream(stage: &Stage) -> Result<()> {
    let statement = "SELECT seq, MD5(seq) FROM seq_1_to_1000000";
    for form in ["table", "json"] {
        let file = fs::File::create(stage.folder.join("rows"))?;
        let mut child =
            command(stage, &["-D", "trial", "-o", form, "-e", statement]).stdin(Stdio::null()).stdout(file).spawn()?;
        let mut most = 0;
        let code = loop {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            most = most.max(line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or_default());
            if let Some(status) = child.try_wait()? {
                break status.code();
            }
            thread::sleep(Duration::from_millis(20));
        };
        let lines = fs::read_to_string(stage.folder.join("rows"))?.lines().count();
        eprintln!("a million rows as {form}: {most} kB at most");
        ensure!(code == Some(0) && lines > 1_000_000, "{form}: exit code {code:?}, {lines} lines");
        ensure!((1..64 << 10).contains(&most), "{form}: {most} kB of memory");
    }
    Ok(())
}

/// Ctrl-C ends the statement on the server, and so does a reader that goes away.
pub fn interrupt_stops_the_statement(stage: &Stage) -> Result<()> {
    let running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%kept_awake%' AND ID <> CONNECTION_ID()";
    let runs = |expected: &str| {
        wait_until("the process list", Duration::from_secs(20), || {
            let count = stage.cluster.sql(0, running)?;
            ensure!(count == expected, "{count} run");
            Ok(())
        })
    };
    let child = command(stage, &["--on", "db-0", "-e", "SELECT SLEEP(300) AS kept_awake"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    runs("1")?;
    let pid = Pid::from_raw(i32::try_from(child.id())?).context("a pid")?;
    kill_process(pid, Signal::INT)?;
    let ended = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.code() == Some(130), "{:?}: {said}", ended.status.code());
    ensure!(said.contains("was stopped on db-0 and is gone from its process list"), "{said}");
    runs("0")?;
    let mut child = command(stage, &["--on", "db-0", "-D", "trial", "-e", "SELECT seq AS kept_awake FROM seq_1_to_1000000000"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    runs("1")?;
    drop(child.stdout.take());
    ensure!(child.wait()?.code() == Some(0), "a reader that goes away is no failure");
    runs("0").map(drop)
}

/// Accounts: one of the user's choice, a wrong password, one that demands TLS.
pub fn accounts(stage: &Stage) -> Result<()> {
    let from = |key: &str| format!("secret/db-passwords:{key}");
    let writer = from("writer");
    let who = ["--db-user", "writer", "--password-from", &writer, "-e", "SELECT CURRENT_USER()"];
    expect("another account", &sql(stage, &who)?, 0, "writer@%")?;
    let wrong = from("root");
    let who = ["--db-user", "writer", "--password-from", &wrong, "-e", "SELECT 1"];
    expect("a wrong password", &sql(stage, &who)?, 4, "1045")?;
    stage.cluster.sql(0, "CREATE USER secure@localhost IDENTIFIED BY 'only over TLS' REQUIRE SSL")?;
    stage.cluster.kubectl(&["create", "secret", "generic", "secure", "--from-literal=password=only over TLS"])?;
    let who = ["--db-user", "secure", "--password-from", "secret/secure:password", "-e", "SHOW STATUS LIKE 'Ssl_cipher'"];
    expect("an account that demands TLS", &sql(stage, &who)?, 0, "TLS_")
}

/// No password and no SQL in any argument list or in the audit log.
pub fn nothing_leaks(stage: &Stage) -> Result<()> {
    let audit = AuditLog::from_now(stage.cluster.bed.layout())?;
    let pods = stage.cluster.pods()?;
    let done = AtomicBool::new(false);
    let (printed, lines) = thread::scope(|scope| {
        let watcher = scope.spawn(|| command_lines(stage, &pods, &done));
        let run = || -> Result<String> {
            let mut printed = String::new();
            for _ in 0..5 {
                let args = [
                    "--db-user",
                    "writer",
                    "--password-from",
                    "secret/db-passwords:writer",
                    "-e",
                    "SELECT 'told_to_nobody', SLEEP(0.3)",
                ];
                let ended = sql(stage, &args)?;
                expect("a statement", &ended, 0, "told_to_nobody")?;
                printed.push_str(&ended.stderr);
            }
            Ok(printed)
        };
        let printed = run();
        done.store(true, Ordering::Relaxed);
        (printed, watcher.join())
    });
    let lines = lines.map_err(|_| anyhow::anyhow!("the watcher died"))?;
    ensure!(lines.iter().any(|line| line.contains("--binary-mode")), "no client of the plugin was ever seen: {lines:?}");
    let audited = audit.since()?;
    ensure!(audited.contains("/exec"), "the audit log holds no exec");
    let printed = printed?;
    for secret in stage.cluster.secrets.all().into_iter().chain(["told_to_nobody"]) {
        ensure!(!printed.contains(secret) && !audited.contains(secret), "{secret} leaked");
        ensure!(!lines.iter().any(|line| line.contains(secret)), "{secret} is in an argument list");
    }
    Ok(())
}
