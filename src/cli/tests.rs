//! The command line, run as a whole inside the test.

use insta::assert_snapshot;
use jiff::Timestamp;

use super::global::{Colour, Format, Output};
use crate::failure::{Exit, Failure, Kind};
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
    assert_snapshot!("help_version", stdout(&["version", "-h"]));
}

#[test]
fn the_version_is_told_in_every_form() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(stdout(&["--version"]), format!("kubectl-mariadb {version}\n"));
    assert_eq!(stdout(&["version"]), format!("Client Version: v{version}\n"));
    assert_eq!(stdout(&["version", "--client", "-o", "name"]), format!("v{version}\n"));
    assert_eq!(
        stdout(&["-o", "yaml", "version"]),
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
