//! Scripts for shells. They hold no words themselves: they ask this program, which also knows the clusters.

use crate::cli::Shell;

#[must_use]
pub const fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("completion/kubectl-mariadb.bash"),
        Shell::Zsh => include_str!("completion/kubectl-mariadb.zsh"),
        Shell::Fish => include_str!("completion/kubectl-mariadb.fish"),
        Shell::Powershell => include_str!("completion/kubectl-mariadb.ps1"),
    }
}
