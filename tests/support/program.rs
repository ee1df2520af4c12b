//! The whole program in this process, against a fake API server.

use jiff::Timestamp;
use kubectl_mariadb::process::Process;

use super::server::Server;

/// What one run of the program left.
pub struct Run {
    pub exit: u8,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// For snapshots. The port of the fake API server is another one each time.
    pub fn text(&self, server: &Server) -> String {
        let text = format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.exit, self.stdout, self.stderr);
        let text =
            text.replace(&server.url(), "https://api.example").replace(&server.kubeconfig().display().to_string(), "KUBECONFIG");
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

/// `kubectl mariadb ARGS` at a terminal of 80 columns, at noon of the world's day.
pub async fn run(server: &Server, args: &[&str]) -> Run {
    let now: Timestamp = "2026-01-02T04:00:00Z".parse().unwrap();
    let (mut process, captured) = Process::captured(args.iter().copied(), now);
    process.env.insert("KUBECONFIG".into(), server.kubeconfig().display().to_string());
    process.terminal.width = Some(80);
    // The program has an event loop of its own.
    let exit = tokio::task::spawn_blocking(move || kubectl_mariadb::run(process).code()).await.unwrap();
    Run { exit, stdout: captured.stdout(), stderr: captured.stderr() }
}
