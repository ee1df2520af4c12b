//! `grastate.dat`: the position Galera saved at its last clean close.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::position::{parse_seqno, parse_uuid};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grastate {
    pub version: Option<String>,
    /// History id; nil = this data must not be trusted.
    pub uuid: Uuid,
    /// `None` = -1 = unknown.
    pub seqno: Option<u64>,
    /// Absent in files older than Galera 3.19.
    pub safe_to_bootstrap: Option<bool>,
}

impl Grastate {
    /// What Galera itself writes where the data must not be trusted: a server that starts on it asks for a full copy, and none
    /// may found a cluster with it.
    #[must_use]
    pub fn distrusted() -> Self {
        Self { version: Some("2.1".to_owned()), uuid: Uuid::nil(), seqno: None, safe_to_bootstrap: Some(false) }
    }

    /// Reads the file as Galera does: one `key: value` a line, the last of a repeated key counts. Comments, unknown keys,
    /// carriage returns and the blanks Galera pads a rewritten file with (also behind the last newline) mean nothing.
    ///
    /// # Errors
    /// What is missing or unreadable, as one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut version, mut uuid, mut seqno, mut safe_to_bootstrap) = (None, None, None, None);
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match key.trim_end() {
                "version" => version = Some(value.to_owned()),
                "uuid" => uuid = Some(parse_uuid(value)?),
                "seqno" => seqno = Some(parse_seqno(value)?),
                "safe_to_bootstrap" => {
                    safe_to_bootstrap = Some(match value {
                        "0" => false,
                        "1" => true,
                        other => return Err(format!("safe_to_bootstrap is `{other}`, not 0 or 1")),
                    });
                }
                _ => {}
            }
        }
        Ok(Self {
            version,
            uuid: uuid.ok_or("it has no `uuid:` line")?,
            seqno: seqno.ok_or("it has no `seqno:` line")?,
            safe_to_bootstrap,
        })
    }
}

/// The layout Galera writes.
impl fmt::Display for Grastate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# GALERA saved state")?;
        if let Some(version) = &self.version {
            writeln!(f, "version: {version}")?;
        }
        writeln!(f, "uuid:    {}", self.uuid)?;
        match self.seqno {
            Some(seqno) => writeln!(f, "seqno:   {seqno}")?,
            None => writeln!(f, "seqno:   -1")?,
        }
        match self.safe_to_bootstrap {
            Some(safe) => writeln!(f, "safe_to_bootstrap: {}", u8::from(safe)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::uuid;

    use super::*;
    use crate::model::testing::fixture;

    fn grastate(uuid: Uuid, seqno: Option<u64>, safe: bool) -> Grastate {
        Grastate { version: Some("2.1".to_owned()), uuid, seqno, safe_to_bootstrap: Some(safe) }
    }

    #[test]
    fn real_files_read_as_the_facts_say() {
        let stopped = uuid!("2ec812f1-e4f6-11f1-ad8a-7a5c33de3170");
        let history = uuid!("650ade90-e4f7-11f1-9ccc-d3c02d18f50e");
        for (text, expected) in [
            (fixture!("galera-10.11/running-grastate.dat"), grastate(stopped, None, false)),
            (fixture!("galera-10.11/e1-clean-stop-order-3-2-1-n1-grastate.dat"), grastate(stopped, Some(58), true)),
            (fixture!("galera-10.11/e1-clean-stop-order-3-2-1-n3-grastate.dat"), grastate(stopped, Some(56), false)),
            (fixture!("galera-10.11/e4-after-kill9-grastate.dat"), grastate(stopped, None, false)),
            (fixture!("galera-10.11/e4-kill9-all-under-load-n1-grastate.dat"), grastate(stopped, None, false)),
            (fixture!("galera-10.11/paused-by-FTWRL-grastate.dat"), grastate(history, Some(9), false)),
            (fixture!("galera-10.11/inconsistency-voted-out-n3-grastate.dat"), grastate(Uuid::nil(), None, false)),
            (fixture!("galera-10.11/e4-pc-recovery-zero-uuid-n1-grastate.dat"), grastate(Uuid::nil(), None, false)),
        ] {
            assert_eq!(Grastate::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_file_galera_wrote_is_printed_byte_for_byte_but_for_the_padding() {
        for text in [
            fixture!("galera-10.11/e1-clean-stop-order-3-2-1-n1-grastate.dat"),
            fixture!("galera-10.11/inconsistency-voted-out-n3-grastate.dat"),
            fixture!("galera-11.8/kill9-all-n1-grastate.dat"),
        ] {
            assert_eq!(Grastate::parse(text).unwrap().to_string(), text.trim_end_matches(' '));
        }
    }

    #[test]
    fn other_writers_are_understood() {
        let uuid = uuid!("05f061bd-02a3-11ee-857c-aa370ff6666b");
        let operator = "version: 2.1\nuuid: 05f061bd-02a3-11ee-857c-aa370ff6666b\nseqno: 1\nsafe_to_bootstrap: 1";
        assert_eq!(Grastate::parse(operator), Ok(grastate(uuid, Some(1), true)));
        assert_eq!(Grastate::parse(&operator.replace('\n', "\r\n")), Ok(grastate(uuid, Some(1), true)));
        assert_eq!(Grastate::parse(&format!("{operator}\ncert_index:\nfuture: 7\n")), Ok(grastate(uuid, Some(1), true)));
        let old = "uuid: 05f061bd-02a3-11ee-857c-aa370ff6666b\nseqno: -1\n";
        assert_eq!(Grastate::parse(old), Ok(Grastate { version: None, uuid, seqno: None, safe_to_bootstrap: None }));
    }

    #[test]
    fn damage_is_an_error_that_names_the_line() {
        let uuid = "uuid: 05f061bd-02a3-11ee-857c-aa370ff6666b\n";
        for (text, problem) in [
            ("", "it has no `uuid:` line"),
            ("\0\0\0\0", "it has no `uuid:` line"),
            (uuid, "it has no `seqno:` line"),
            ("uuid: 05f0\nseqno: 1\n", "`05f0` is no UUID"),
            (&format!("{uuid}seqno: -2\n"), "`-2` is no seqno"),
            (&format!("{uuid}seqno: 1\nsafe_to_bootstrap: yes\n"), "safe_to_bootstrap is `yes`, not 0 or 1"),
        ] {
            assert_eq!(Grastate::parse(text), Err(problem.to_owned()), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(
            version in proptest::option::of("[0-9]\\.[0-9]"),
            uuid: u128,
            seqno in proptest::option::of(0..=i64::MAX.cast_unsigned()),
            safe_to_bootstrap: Option<bool>,
            padding in "[ ]{0,4}",
        ) {
            let state = Grastate { version, uuid: Uuid::from_u128(uuid), seqno, safe_to_bootstrap };
            prop_assert_eq!(Grastate::parse(&format!("{state}{padding}")), Ok(state));
        }
    }
}
