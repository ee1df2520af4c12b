//! The command line, run as a whole inside the test.

use std::ffi::OsString;

use insta::assert_snapshot;
use jiff::Timestamp;

use super::global::{Colour, Format, Output};
use super::{Request, Stop, Verb, parse};
use crate::api::flags::ConnectionFlags;
use crate::decide::finding::Severity;
use crate::failure::{Exit, Failure, Kind};
use crate::model::target_name::TargetName;
use crate::output::Printer;
use crate::process::Process;

/// Exit code, stdout, stderr of a run.
fn run(args: &[&str]) -> (Exit, String, String) {
    let (process, captured) = Process::captured(args, Timestamp::UNIX_EPOCH);
    let exit = crate::run(process);
    (exit, captured.stdout(), captured.stderr())
}

fn stdout(args: &[&str]) -> String {
    let (exit, stdout, stderr) = run(args);
    assert_eq!((exit, stderr.as_str()), (Exit::Ok, ""), "{args:?}");
    stdout
}

fn mistake(args: &[&str]) -> String {
    let (exit, stdout, stderr) = run(args);
    assert_eq!((exit, stdout.as_str()), (Exit::Usage, ""), "{args:?}");
    stderr
}

#[test]
fn help_is_on_stdout() {
    assert_snapshot!("help", stdout(&["--help"]));
    assert_snapshot!("help_explain", stdout(&["explain", "-h"]));
    assert_snapshot!("help_sql", stdout(&["sql", "--help"]));
    assert_snapshot!("help_grastate", stdout(&["galera", "grastate", "--help"]));
    assert_snapshot!("help_operation", stdout(&["operation", "--help"]));
    assert_snapshot!("help_stop", stdout(&["stop", "--help"]));
    assert_snapshot!("help_rebuild", stdout(&["rebuild", "--help"]));
    assert_snapshot!("help_scale", stdout(&["scale", "--help"]));
    assert_snapshot!("help_status", stdout(&["status", "--help"]));
    assert_snapshot!("help_version", stdout(&["version", "-h"]));
}

#[test]
fn the_version_is_told_in_every_form() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(stdout(&["--version"]), format!("kubectl-mariadb {version}\n"));
    assert_eq!(stdout(&["version", "--client"]), format!("Client Version: v{version}\n"));
    assert_eq!(stdout(&["version", "--client", "-o", "name"]), format!("v{version}\n"));
    assert_eq!(
        stdout(&["-o", "yaml", "version", "--client"]),
        format!("apiVersion: kubectl-mariadb/v1alpha1\nkind: Version\nclientVersion: v{version}\n")
    );
}

#[test]
fn mistakes_are_on_stderr_and_say_what_to_do() {
    let lines = ["explian", "orders-db", "version --request-timeout soon", "version -o xml", "explain MDB20l"];
    let told = lines.map(|line| format!("$ kubectl mariadb {line}\n{}", mistake(&line.split(' ').collect::<Vec<_>>())));
    assert_snapshot!("mistakes", told.join("\n"));
    assert!(mistake(&[]).contains("Usage: kubectl mariadb"));
}

fn parsed(line: &str) -> Result<Request, Stop> {
    parse(std::iter::once("kubectl-mariadb").chain(line.split(' ')).map(OsString::from), None)
}

#[test]
fn grastate_changes_nothing_without_being_told() {
    use super::galera::GaleraVerb;
    use super::write::DryRun;
    let grastate = |line: &str| match parsed(line).unwrap().verb {
        Verb::Galera(super::Galera { verb: GaleraVerb::Grastate(args) }) => args,
        other => panic!("{other:?}"),
    };
    let plain = grastate("galera grastate db");
    assert!(!plain.recover_positions && !plain.write.yes && plain.write.dry_run == DryRun::None);
    assert_eq!(grastate("galera grastate --dry-run db").write.dry_run, DryRun::Client);
    assert_eq!(grastate("galera grastate db --dry-run=server -y").write.dry_run, DryRun::Server);
    for line in ["galera", "galera grastate pod/db-0", "galera grastate db --timeout soon", "galera grastate -A"] {
        assert!(parsed(line).is_err(), "{line}");
    }
}

#[test]
fn status_takes_a_target_or_a_choice_of_clusters() {
    let status = |line: &str| match parsed(line).unwrap().verb {
        Verb::Status(status) => status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status("status").target, None);
    assert_eq!(status("status sts/db").target, Some(TargetName::StatefulSet("db".to_owned())));
    assert_eq!(status("status mariadb/db").target, Some(TargetName::MariaDb("db".to_owned())));
    assert!(status("status -A -l app=db --no-exec").no_exec);
    assert_eq!(status("status").fail_on.severity(), Some(Severity::Error));
    assert_eq!(status("status --fail-on never").fail_on.severity(), None);
    for line in ["status db -A", "status db -l app=db", "status pod/db-0", "status Db", "status a b", "status --fail-on bad"] {
        assert!(parsed(line).unwrap_err().is_mistake(), "{line}");
    }
}

#[test]
fn times_and_switches_have_their_defaults() {
    let request = parsed("status").unwrap();
    assert_eq!((request.connection.request_timeout.as_secs(), request.pod_timeout.as_secs()), (10, 3));
    let flags = |line: &str| ConnectionFlags::from(&parsed(line).unwrap().connection);
    assert_eq!(flags("status").insecure_skip_tls_verify, None);
    assert_eq!(flags("status --insecure-skip-tls-verify").insecure_skip_tls_verify, Some(true));
    assert_eq!(flags("status --request-timeout 0").request_timeout, None);
    assert_eq!(flags("status --request-timeout=1m").request_timeout.map(|limit| limit.as_secs()), Some(60));
    assert_eq!(flags("status --as-group a --as-group b").as_groups, ["a", "b"]);
}

#[test]
fn every_document_has_its_schema() {
    for args in [&["version", "-o", "json"][..], &["explain", "-o", "json"], &["explain", "MDB201", "-o", "json"]] {
        crate::output::schema::check(&stdout(args));
    }
}

#[test]
fn a_failure_is_a_sentence_for_people_and_a_document_for_machines() {
    let (mut process, captured) = Process::captured(Vec::<String>::new(), Timestamp::UNIX_EPOCH);
    let output = Output { format: Format::Json, no_headers: false, color: Colour::Auto };
    let failure =
        Failure::new(Kind::NotFound, "there is no StatefulSet db in namespace shop").hint("see them with: kubectl get sts");
    assert_eq!(Printer::new(&mut process, output).fail(&failure), Exit::Failed);
    assert_eq!(
        captured.stderr(),
        "error: there is no StatefulSet db in namespace shop\n\nhint: see them with: kubectl get sts\n"
    );
    crate::output::schema::check(&captured.stdout());
    assert!(captured.stdout().contains(r#""reason": "NotFound""#));
}

#[test]
fn connection_flags_are_taken_before_and_after_the_verb() {
    let flags = "--kubeconfig k --context c --cluster l --user u -n n --as a --as-group g --as-group h --as-uid i --token t \
                 -s https://s --tls-server-name t --insecure-skip-tls-verify --certificate-authority ca \
                 --client-certificate cc --client-key ck --request-timeout 5";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    stdout(&[flags.as_slice(), &["version"]].concat());
    stdout(&[&["version"], flags.as_slice()].concat());
    stdout(&["version", "--insecure-skip-tls-verify=false"]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    struct Closed(std::io::ErrorKind);
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for (kind, exit) in [(std::io::ErrorKind::BrokenPipe, Exit::Ok), (std::io::ErrorKind::StorageFull, Exit::Failed)] {
        let (mut process, captured) = Process::captured(["version"], Timestamp::UNIX_EPOCH);
        process.stdout = Box::new(Closed(kind));
        assert_eq!(crate::run(process), exit);
        assert_eq!(captured.stderr().is_empty(), exit == Exit::Ok);
    }
}

#[test]
fn colours_come_from_the_flag() {
    assert!(stdout(&["explain", "3", "--color=always"]).contains('\u{1b}'));
    assert!(!stdout(&["explain", "3"]).contains('\u{1b}'));
}
