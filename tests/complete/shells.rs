//! The scripts for shells, in these shells: they ask the program, and offer what it says.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::{TIMEOUT, fleet};
use crate::support::terminal::{PROGRAM, Terminal};

/// Whether this shell is here. If not, that is said where no harness keeps it: what was not tried shall be seen.
fn is_here(shell: &str) -> bool {
    let here = Command::new(shell).arg("--version").output().is_ok();
    if !here {
        let said = format!("SKIPPED: completion in {shell}, which is not installed\n");
        std::io::stderr().write_all(said.as_bytes()).unwrap();
    }
    here
}

/// The first word on a line that is typed.
fn program() -> &'static str {
    Path::new(PROGRAM).file_name().unwrap().to_str().unwrap()
}

/// A search path that leads to the program.
fn path() -> String {
    format!("{}:/usr/bin:/bin", Path::new(PROGRAM).parent().unwrap().display())
}

/// What a shell prints that runs this script with these arguments.
fn printed(shell: &mut Command, kubeconfig: &Path) -> String {
    let ended = shell.env("PATH", path()).env("KUBECONFIG", kubeconfig).env(TIMEOUT, "1m").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{shell:?}");
    String::from_utf8(ended.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_offers_what_the_program_says() {
    let (_world, server) = fleet().await;
    let kubeconfig = server.kubeconfig();
    let person = move || {
        // As bash calls it: words parted at blanks and at `=`.
        let driver = r#"
            source <("$1" completion bash)
            read -ra COMP_WORDS <<< "${2//=/ = }"
            [[ $2 == *' ' ]] && COMP_WORDS+=('')
            COMP_WORDS=("$1" "${COMP_WORDS[@]}")
            COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )) COMP_TYPE=$3
            _kubectl_mariadb && printf '%s\n' "${COMPREPLY[@]}"
        "#;
        for (line, kind, offers) in [
            ("status ", 9, "db\norders\n"),
            ("status o", 63, "orders\n"),
            ("status ", 63, "db  (StatefulSet, 2 replicas)\norders  (StatefulSet, 1 replica)\n"),
            ("status --namespace=dep", 9, "depot\n"),
            ("status --namespace=depot ", 9, "stock\n"),
            ("status db ", 9, "\n"),
        ] {
            let mut bash = Command::new("bash");
            bash.args(["--norc", "-c", driver, "driver", PROGRAM, line, &kind.to_string()]);
            assert_eq!(printed(&mut bash, &kubeconfig), offers, "{line}");
        }
    };
    tokio::task::spawn_blocking(person).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fish_offers_what_the_program_says() {
    if !is_here("fish") {
        return;
    }
    let (_world, server) = fleet().await;
    let kubeconfig = server.kubeconfig();
    let person = move || {
        let file = kubeconfig.display().to_string();
        let begun = &file[..file.len() - 1];
        for (line, offers) in [
            ("status ", "db\tStatefulSet, 2 replicas\norders\tStatefulSet, 1 replica\n".to_owned()),
            ("status o", "orders\tStatefulSet, 1 replica\n".to_owned()),
            ("status --namespace=dep", "--namespace=depot\n".to_owned()),
            ("status --namespace=depot ", "stock\tStatefulSet, 1 replica\n".to_owned()),
            ("status db ", String::new()),
            (&format!("status --kubeconfig {begun}"), format!("{file}\n")),
            (&format!("status --kubeconfig={begun}"), format!("--kubeconfig={file}\n")),
        ] {
            let mut fish = Command::new("fish");
            let driver = format!("{} completion fish | source; complete -C \"{} {line}\"", program(), program());
            fish.args(["--no-config", "-c", &driver]);
            assert_eq!(printed(&mut fish, &kubeconfig), offers, "{line}");
        }
    };
    tokio::task::spawn_blocking(person).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn zsh_offers_what_the_program_says() {
    if !is_here("zsh") {
        return;
    }
    let (_world, server) = fleet().await;
    let person = move || {
        let program = program();
        let mut zsh = Terminal::of("zsh", &["-fi"], &server.kubeconfig());
        zsh.wait("prompt> ");
        let path = path();
        zsh.keys(&format!("export PATH={path} {TIMEOUT}=1m; autoload -Uz compinit; compinit -uD\r"));
        zsh.keys(&format!("source <({program} completion zsh); echo be''gin\r"));
        zsh.wait("begin\r\n");
        zsh.keys(&format!("{program} status \t"));
        zsh.wait("-- StatefulSet, 2 replicas");
        zsh.wait("-- StatefulSet, 1 replica");
        // One word that fits is typed; then the line is thrown away.
        for (line, completed) in [("status o\t", "status orders "), ("status --namespace=dep\t", "--namespace=depot ")] {
            zsh.keys(&format!("\x15{program} {line}"));
            zsh.until(completed, |screen| screen.contents().contains(completed.trim_end()));
        }
        zsh.keys("\x15exit\r");
        assert_eq!(zsh.exit(), 0);
    };
    tokio::task::spawn_blocking(person).await.unwrap();
}
