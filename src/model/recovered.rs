//! Positions that InnoDB told: by `mariadbd --wsrep-recover`, or in the log of a server's last start.

use serde::{Deserialize, Serialize};

use super::fact::{Fact, Why};
use super::position::Position;

/// What position recovery of one data directory answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovered {
    pub by: RecoveredBy,
    /// Known may still be nothing: see [`Position::known`].
    pub position: Fact<Position>,
}

/// Who ran it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecoveredBy {
    /// A helper pod of ours, after a question.
    Helper,
    /// The set's own start script; its log says so, and nothing was applied since.
    StartLog,
}

/// How the latest run of a member that does not stay up ended, by its own log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LastStart {
    /// It started from this position and applied nothing.
    Rested(Position),
    /// It found a group of its own history that has applied less, and gave up ("Reversing history"): its own seqno and the
    /// group's. Its saved state is zeroed by that, and the next start takes a full copy (10.11, experiment V20).
    TurnedAway { own: u64, group: u64 },
}

/// Reads the log of a container's latest run.
#[must_use]
pub fn last_start(log: &str) -> Option<LastStart> {
    turned_away(log).or_else(|| given(log).map(LastStart::Rested))
}

/// The position that a start recovered; or else the one it was given by a start script that keeps to itself how it found it.
fn given(log: &str) -> Option<Position> {
    at_rest_in_log(log).or_else(|| at_rest(log, "initial position: ").filter(|position| !position.uuid.is_nil()))
}

fn turned_away(log: &str) -> Option<LastStart> {
    let (_, told) = log.lines().rev().find_map(|line| line.split_once("Reversing history: "))?;
    let (own, rest) = told.split_once(" -> ")?;
    let (group, _) = rest.split_once(',')?;
    Some(LastStart::TurnedAway { own: own.parse().ok()?, group: group.parse().ok()? })
}

/// Reads what a helper pod printed: our own refusals, or the log of `mariadbd --wsrep-recover`.
#[must_use]
pub fn from_helper(log: &str) -> Recovered {
    Recovered { by: RecoveredBy::Helper, position: Fact::from(read(log).map_err(Why::Failed)) }
}

fn read(log: &str) -> Result<Position, String> {
    if let Some((_, why)) = log.lines().rev().find_map(|line| line.split_once("kubectl-mariadb: refused: ")) {
        return Err(format!("recovery was refused: {why}"));
    }
    let locked = |line: &str| line.contains("lock") && (line.contains("ibdata1") || line.contains("aria"));
    match Position::from_recover_log(log) {
        Ok(Some(position)) => Ok(position),
        Ok(None) => Err("the server's own options switch Galera off (wsrep_on), so it looked for no position".to_owned()),
        Err(_) if log.lines().any(locked) => Err("another server holds the data directory".to_owned()),
        Err(why) => {
            // The server's last word is always the same.
            let mut errors =
                log.lines().rev().filter_map(|line| Some(line.split_once("[ERROR] ")?.1.trim().trim_end_matches('.')));
            let error = errors.find(|error| *error != "Aborting");
            Err(error.map_or(why, |error| format!("recovery failed: {error}")))
        }
    }
}

/// The position in the log of a container's latest run, if its start recovered one and the server applied nothing
/// afterwards: it never got as far as a primary component or clients.
#[must_use]
pub fn at_rest_in_log(log: &str) -> Option<Position> {
    at_rest(log, "WSREP: Recovered position: ")
}

fn at_rest(log: &str, found: &str) -> Option<Position> {
    // A server that gets one of these may take write sets.
    const WENT_ON: [&str; 6] =
        ["-> PRIMARY (", "-> JOINER (", "-> joiner", "Synchronized with group", "ready for connections", "State transfer"];
    let lines: Vec<&str> = log.lines().collect();
    let at = lines.iter().rposition(|line| line.contains(found))?;
    let (_, text) = lines[at].split_once(found)?;
    let went_on = lines[at + 1..].iter().any(|line| WENT_ON.iter().any(|sign| line.contains(sign)));
    Position::parse(text.trim_end()).ok().filter(|_| !went_on)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::fixture;

    const FOUND: &str = "2026-11-20 16:07:27 0 [Note] WSREP: Recovered position: 72b28e72-e4fc-11f1-865b-c6b6a0870b7b:2113\n";
    const FAILED: &str = "2026-11-20 16:07:30 0 [Note] WSREP: Shifting CLOSED -> OPEN (TO: 0)\n\
        2026-11-20 16:08:01 0 [ERROR] WSREP: failed to open gcomm backend connection: 110: failed to reach primary view\n";

    #[test]
    fn a_start_that_came_to_nothing_leaves_the_position_it_recovered() {
        let position = at_rest_in_log(&format!("{FOUND}{FAILED}")).unwrap();
        assert_eq!(position.to_string(), "72b28e72-e4fc-11f1-865b-c6b6a0870b7b:2113");
        assert!(at_rest_in_log(FOUND).is_some());
    }

    #[test]
    fn whoever_is_ahead_of_the_group_says_so_before_it_gives_up() {
        let ahead = fixture!("galera-10.11/joiner-ahead-of-group-errlog.txt");
        let away = Some(LastStart::TurnedAway { own: 999_999, group: 6376 });
        assert_eq!(last_start(ahead), away);
        // On the way there it was in the group, so the position that it started from says nothing more.
        assert_eq!(last_start(&format!("{FOUND}WSREP: Shifting OPEN -> PRIMARY (TO: 6376)\n{ahead}{FAILED}")), away);
        assert!(matches!(last_start(&format!("{FOUND}{FAILED}")), Some(LastStart::Rested(_))));
        let from = |position: &str| {
            format!("[Note] WSREP: Loading provider /usr/lib/libgalera_smm.so initial position: {position}\n{FAILED}")
        };
        let given = last_start(&from("72b28e72-e4fc-11f1-865b-c6b6a0870b7b:2113"));
        assert!(matches!(given, Some(LastStart::Rested(at)) if at.seqno == Some(2113)));
        assert_eq!(last_start(&from("00000000-0000-0000-0000-000000000000:-1")), None);
        for log in ["", "Reversing history: many -> 4, or so\n", "Reversing history: 5\n"] {
            assert_eq!(last_start(log), None, "{log}");
        }
    }

    #[test]
    fn what_a_helper_printed_is_a_position_or_one_reason() {
        let found = from_helper(&format!("{FOUND}kubectl-mariadb: exit 0\n"));
        assert_eq!((found.by, found.position.known().unwrap().seqno), (RecoveredBy::Helper, Some(2113)));
        for (log, why) in [
            ("kubectl-mariadb: refused: .sst shows a state transfer that was cut\n", "recovery was refused: .sst shows"),
            ("[Note] WSREP: disabled, skipping position recovery\n", "the server's own options switch Galera off"),
            ("[ERROR] InnoDB: Unable to lock ./ibdata1 error: 11\n[ERROR] Aborting\n", "another server holds"),
            ("[ERROR] mariadbd: Can't lock aria control file '/var/lib/mysql/aria_log_control'\n", "another server holds"),
            (fixture!("galera-10.11/recover-while-running.log"), "another server holds"),
            (
                "[ERROR] unknown variable 'a=b'\n[ERROR] Aborting\nkubectl-mariadb: exit 1\n",
                "recovery failed: unknown variable 'a=b'",
            ),
            ("", "the server's log names no recovered position"),
        ] {
            let position = from_helper(log).position;
            assert!(position.known().unwrap_err().to_string().starts_with(why), "{log}: {position:?}");
        }
    }

    #[test]
    fn a_server_that_went_on_may_have_applied_more() {
        for sign in [
            "2026-11-20 16:07:30 2 [Note] WSREP: Shifting OPEN -> PRIMARY (TO: 2117)\n",
            "2026-11-20 16:07:31 0 [Note] mariadbd: ready for connections.\n",
        ] {
            assert_eq!(at_rest_in_log(&format!("{FOUND}{sign}{FAILED}")), None, "{sign}");
            // A later start that came to nothing recovered anew.
            assert!(at_rest_in_log(&format!("{FOUND}{sign}{FOUND}{FAILED}")).is_some(), "{sign}");
        }
        assert_eq!(at_rest_in_log(FAILED), None);
        assert_eq!(at_rest_in_log("WSREP: Recovered position: nonsense\n"), None);
    }
}
