//! `cargo bed shell`: a shell, or one command, inside the bed's network.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use bed::Bed;

/// Becomes `words`, or the user's shell without any.
///
/// # Errors
/// If the bed is not up or the program cannot be started.
pub fn run(bed: &Bed, words: &[String]) -> Result<()> {
    bed.enter_network()?;
    let shell = env::var("SHELL").unwrap_or_else(|_| String::from("/bin/sh"));
    let mut command = match words.split_first() {
        Some((program, args)) => {
            let mut command = Command::new(program);
            command.args(args);
            command
        }
        None => {
            eprintln!("A shell in the bed {}; `exit` leaves it.", bed.layout().name());
            Command::new(&shell)
        }
    };
    equip(&mut command, bed, newest_plugin().as_deref())?;
    let cause = command.exec();
    let program = words.first().unwrap_or(&shell);
    Err(cause).with_context(|| format!("{program} cannot be started"))
}

/// Gives `command` the bed's kubeconfig, and a PATH that begins with `kubectl` and the folder of the plugin.
///
/// # Errors
/// If PATH holds something that no PATH can hold.
pub fn equip(command: &mut Command, bed: &Bed, plugin: Option<&Path>) -> Result<()> {
    let mut path = vec![bed.layout().bin()];
    path.extend(plugin.map(Path::to_owned));
    let inherited = env::var_os("PATH").unwrap_or_default();
    path.extend(env::split_paths(&inherited));
    let path: OsString = env::join_paths(path)?;
    command.env("PATH", path).env("KUBECONFIG", bed.kubeconfig()).env("BED", bed.layout().name());
    Ok(())
}

/// The folder of the plugin that was built last, debug or release, beside this program.
fn newest_plugin() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    let target = own.parent()?.parent()?;
    ["debug", "release"]
        .into_iter()
        .map(|profile| target.join(profile))
        .filter_map(|folder| {
            let built = folder.join("kubectl-mariadb").metadata().ok()?.modified().ok()?;
            Some((built, folder))
        })
        .max()
        .map(|(_, folder)| folder)
}
