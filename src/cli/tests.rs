//! The command line, run as a whole inside the test.

use insta::assert_snapshot;
use jiff::Timestamp;

use crate::failure::Exit;
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
