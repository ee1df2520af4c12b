//! The password that a cluster's containers do not know, from the person at the terminal.

use crate::api::Password;
use crate::cli::Request;
use crate::cli::global::Format;
use crate::failure::{Failure, Kind};
use crate::model::fact::{Fact, Obstacle, Why};
use crate::model::snapshot::Snapshot;
use crate::output::prompt;
use crate::process::Process;

/// Whether somebody is there to be asked for a password that was not named. A program that reads documents is nobody.
#[must_use]
pub fn may_be_asked(request: &Request, process: &Process) -> bool {
    let for_people = matches!(request.output.format, Format::Table | Format::Wide);
    request.password_from.is_none() && for_people && process.terminal.stdin_is && process.terminal.stderr_is
}

/// Asks, if a server of this cluster wants a password and its container knows none. An empty answer is none: then nothing more
/// is known than before.
///
/// # Errors
/// The terminal cannot be read.
pub fn ask(seen: &Snapshot, request: &Request, process: &Process) -> Result<Option<Password>, Failure> {
    let wants = |server: &Fact<_>| matches!(server, Fact::Unknown(Why::NoSql { obstacle: Obstacle::NoPassword, .. }));
    if !may_be_asked(request, process) || !seen.members.values().any(|member| wants(&member.server)) {
        return Ok(None);
    }
    let answer = prompt::password(&format!("Password of the root account of {}: ", seen.target.name));
    let answer = answer.map_err(|problem| Failure::new(Kind::Other, format!("the password cannot be read: {problem}")))?;
    Ok(Password::typed(answer))
}
