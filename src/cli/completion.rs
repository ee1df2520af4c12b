//! `completion`.

use clap::{Args, ValueEnum};

/// A script that completes commands, flags and names of clusters
///
/// `kubectl mariadb …`: kubectl (1.26 and later) completes it itself if the plugin is on PATH by a second name. Beside the first:
///
///   ln -s kubectl-mariadb ~/.krew/bin/kubectl_complete-mariadb     (installed by krew)
///   ln -s "$(command -v kubectl-mariadb)" ~/bin/kubectl_complete-mariadb
///
/// On Windows copy kubectl-mariadb.exe to kubectl_complete-mariadb.exe.
///
/// Names come from the API server if it answers within 150 ms; KUBECTL_MARIADB_COMPLETION_TIMEOUT=500ms gives one far away more time.
///
/// `kubectl-mariadb …`: the script printed here, for example
///
///   source <(kubectl mariadb completion bash)
///   kubectl mariadb completion zsh > "${fpath[1]}/_kubectl-mariadb"
///   kubectl mariadb completion fish > ~/.config/fish/completions/kubectl-mariadb.fish
///   kubectl mariadb completion powershell | Out-String | Invoke-Expression
#[derive(Args, Clone, Copy, Debug)]
#[command(verbatim_doc_comment)]
pub struct Completion {
    /// The shell it is for
    #[arg(value_enum)]
    pub shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}
