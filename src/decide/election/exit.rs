//! The exit code of an election.

use crate::failure::Exit;
use crate::model::fact::Why;

use super::{Outcome, Reason};

/// 0: elected, or none needed. 5: enough is known, and none may be chosen. Otherwise something that decides is not known:
/// 8 if a right is missing, else 4.
#[must_use]
pub fn exit(outcome: &Outcome) -> Exit {
    let Outcome::Refused(reasons) = outcome else { return Exit::Ok };
    let settled = |reason: &Reason| matches!(reason, Reason::Histories(_) | Reason::DistrustedAhead { .. } | Reason::NobodyWhole);
    let forbidden = |reason: &Reason| match reason {
        Reason::VolumesUnseen(why) => matches!(why, Why::Forbidden(_)),
        Reason::MayBePrimary(whys) | Reason::Unread(whys) => whys.values().any(|why| matches!(why, Why::Forbidden(_))),
        _ => false,
    };
    if reasons.iter().any(settled) {
        Exit::Refused
    } else if reasons.iter().any(forbidden) {
        Exit::Forbidden
    } else {
        Exit::Unobserved
    }
}
