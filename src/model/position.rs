//! A Galera position: `uuid:seqno`, with a GTID behind it when `wsrep_gtid_mode` is ON.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::gtid::Gtid;

/// How far one data directory is in one history. Seqnos of different histories cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Position {
    pub uuid: Uuid,
    /// `None` = -1 = unknown.
    pub seqno: Option<u64>,
    pub gtid: Option<Gtid>,
}

impl Position {
    /// Reads `UUID:SEQNO[,GTID]`.
    ///
    /// # Errors
    /// Which part is unreadable, as one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (uuid, rest) = text.split_once(':').ok_or_else(|| format!("`{text}` is no position (UUID:SEQNO)"))?;
        let (seqno, gtid) = match rest.split_once(',') {
            Some((seqno, gtid)) => (seqno, Some(gtid.parse()?)),
            None => (rest, None),
        };
        Ok(Self { uuid: parse_uuid(uuid)?, seqno: parse_seqno(seqno)?, gtid })
    }

    /// Reads the error log of `mariadbd --wsrep-recover`: its last `Recovered position`. `None`: the server ran with Galera
    /// switched off (`wsrep_on=OFF` in effect) and looked for no position. Exit code 0 says nothing either way, and a half
    /// copied data directory answers with a perfect position.
    ///
    /// # Errors
    /// The log has no such line, or it is unreadable; as one sentence.
    pub fn from_recover_log(log: &str) -> Result<Option<Self>, String> {
        const FOUND: &str = "WSREP: Recovered position: ";
        const DISABLED: &str = "WSREP: disabled, skipping position recovery";
        match log.lines().rev().find_map(|line| line.split_once(FOUND)) {
            Some((_, position)) => Self::parse(position.trim_end()).map(Some),
            None if log.contains(DISABLED) => Ok(None),
            None => Err("the server's log names no recovered position".to_owned()),
        }
    }

    /// The history and the seqno, if this is a position at all: nil UUID or seqno -1 is none.
    #[must_use]
    pub fn known(&self) -> Option<(Uuid, u64)> {
        self.seqno.filter(|_| !self.uuid.is_nil()).map(|seqno| (self.uuid, seqno))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seqno {
            Some(seqno) => write!(f, "{}:{seqno}", self.uuid)?,
            None => write!(f, "{}:-1", self.uuid)?,
        }
        match self.gtid {
            Some(gtid) => write!(f, ",{gtid}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Position {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

/// A UUID in the one form Galera writes: 36 characters, hyphenated.
pub(super) fn parse_uuid(text: &str) -> Result<Uuid, String> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }.ok_or_else(|| format!("`{text}` is no UUID"))
}

/// A seqno; -1 is none. Galera counts in `i64` and prints its -1 as 2^64-1 where it passes through an unsigned variable.
pub(super) fn parse_seqno(text: &str) -> Result<Option<u64>, String> {
    match text {
        "-1" | "18446744073709551615" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| format!("`{text}` is no seqno")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::uuid;

    use super::*;
    use crate::model::testing::fixture;

    #[test]
    fn real_recovery_logs_give_the_position() {
        for (log, expected) in [
            (fixture!("galera-10.11/e4-wsrep-recover-after-kill9.log"), "2ec812f1-e4f6-11f1-ad8a-7a5c33de3170:81"),
            (fixture!("galera-10.11/e4-kill9-all-under-load-n1-recovered.txt"), "2ec812f1-e4f6-11f1-ad8a-7a5c33de3170:7459"),
            (fixture!("galera-10.11/e9-joiner-killed-mid-rsync-SST-recover.log"), "00000000-0000-0000-0000-000000000000:-1"),
            (fixture!("galera-10.11/e9b-joiner-killed-mid-rsync-SST-recover.log"), "169d522a-e4f8-11f1-b6d3-3a2b48115ae6:18"),
            (fixture!("galera-10.11/wsrep-recover-gtid-mode-on.txt"), "169d522a-e4f8-11f1-b6d3-3a2b48115ae6:55,77-1-12190"),
            (fixture!("galera-11.8/kill9-all-n2-wsrep-recover.log"), "72b28e72-e4fc-11f1-865b-c6b6a0870b7b:1887"),
            (fixture!("galera-11.8/wsrep-recover-gtid-mode-on.log"), "169d522a-e4f8-11f1-b6d3-3a2b48115ae6:20558,0-1-32682"),
        ] {
            assert_eq!(Position::from_recover_log(log).unwrap().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn a_log_without_a_position_is_none_only_when_galera_was_off() {
        let off = "2026-11-20 15:45:00 0 [Note] WSREP: disabled, skipping position recovery\n";
        assert_eq!(Position::from_recover_log(off), Ok(None));
        assert!(Position::from_recover_log(fixture!("galera-10.11/recover-while-running.log")).is_err());
        assert!(Position::from_recover_log("").is_err());
    }

    #[test]
    fn the_last_line_counts_even_when_it_is_unreadable() {
        let line = |position: &str| format!("[Note] WSREP: Recovered position: {position} \r\n");
        let (first, second) = ("650ade90-e4f7-11f1-9ccc-d3c02d18f50e:5", "650ade90-e4f7-11f1-9ccc-d3c02d18f50e:9");
        let last = Position::from_recover_log(&(line(first) + &line(second))).unwrap().unwrap();
        assert_eq!(last.known(), Some((uuid!("650ade90-e4f7-11f1-9ccc-d3c02d18f50e"), 9)));
        assert!(Position::from_recover_log(&(line(first) + &line("650ade90"))).is_err());
        assert!(Position::from_recover_log(&line("650ade90-e4f7-11f1-9ccc-d3c02d18f50e:9 and more")).is_err());
    }

    #[test]
    fn a_nil_uuid_or_minus_one_is_no_position() {
        for text in [
            "00000000-0000-0000-0000-000000000000:-1",
            "00000000-0000-0000-0000-000000000000:7",
            "650ade90-e4f7-11f1-9ccc-d3c02d18f50e:-1",
        ] {
            assert_eq!(Position::parse(text).unwrap().known(), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(
            uuid: u128,
            seqno in proptest::option::of(0..=i64::MAX.cast_unsigned()),
            gtid in proptest::option::of((any::<u32>(), any::<u32>(), any::<u64>())),
        ) {
            let gtid = gtid.map(|(domain, server, sequence)| Gtid { domain, server, sequence });
            let position = Position { uuid: Uuid::from_u128(uuid), seqno, gtid };
            prop_assert_eq!(Position::parse(&position.to_string()), Ok(position));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = Position::parse(&text);
            let _ = Position::from_recover_log(&text);
        }
    }
}
