//! `gvwstate.dat`: the last Primary view, present unless the server stopped cleanly.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::position::parse_uuid;

/// The view type of a Primary component; Galera saves no other.
const PRIMARY_VIEW: &str = "3";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gvwstate {
    pub my_uuid: Uuid,
    pub view_uuid: Uuid,
    pub view_number: u64,
    /// 1 in the view that `pc.bootstrap`, a new cluster or automatic recovery made.
    pub bootstrap: bool,
    /// Every member, joiners and arbitrators included, with its network segment.
    pub members: BTreeMap<Uuid, u8>,
}

impl Gvwstate {
    /// Reads the file. A restarting server waits for all `members` before it does anything else.
    ///
    /// # Errors
    /// What is missing or unreadable, as one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut my_uuid, mut view, mut bootstrap, mut members) = (None, None, None, BTreeMap::new());
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let mut words = value.split_whitespace();
            let mut word = || words.next().ok_or_else(|| format!("the line `{}` ends too early", line.trim()));
            match key.trim() {
                "my_uuid" => my_uuid = Some(parse_uuid(word()?)?),
                "view_id" => {
                    let kind = word()?;
                    if kind != PRIMARY_VIEW {
                        return Err(format!("the view is of type {kind}, not {PRIMARY_VIEW} (Primary)"));
                    }
                    let uuid = parse_uuid(word()?)?;
                    let number = word()?;
                    view = Some((uuid, number.parse().map_err(|_| format!("`{number}` is no view number"))?));
                }
                "bootstrap" => bootstrap = Some(word()? != "0"),
                "member" => {
                    let uuid = parse_uuid(word()?)?;
                    let segment = word()?;
                    members.insert(uuid, segment.parse().map_err(|_| format!("`{segment}` is no segment"))?);
                }
                _ => {}
            }
        }
        let (view_uuid, view_number) = view.ok_or("it has no `view_id:` line")?;
        Ok(Self {
            my_uuid: my_uuid.ok_or("it has no `my_uuid:` line")?,
            view_uuid,
            view_number,
            bootstrap: bootstrap.ok_or("it has no `bootstrap:` line")?,
            members,
        })
    }
}

/// Whether two gcomm ids are of one server: when it restarts with a saved view it keeps its id and counts its bytes 8 and 9
/// up (seen on 11.8.6 with Galera 26.4.23: `b43f2610-e559-11f1-a17c-…` came back as `…-a17d-…` and waited for the others).
#[must_use]
pub fn same_server(a: Uuid, b: Uuid) -> bool {
    let without_count = |uuid: Uuid| {
        let mut bytes = uuid.into_bytes();
        bytes[8..10].fill(0);
        bytes
    };
    without_count(a) == without_count(b)
}

/// The layout Galera writes.
impl fmt::Display for Gvwstate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "my_uuid: {}\n#vwbeg", self.my_uuid)?;
        writeln!(f, "view_id: {PRIMARY_VIEW} {} {}", self.view_uuid, self.view_number)?;
        writeln!(f, "bootstrap: {}", u8::from(self.bootstrap))?;
        for (uuid, segment) in &self.members {
            writeln!(f, "member: {uuid} {segment}")?;
        }
        writeln!(f, "#vwend")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::uuid;

    use super::*;
    use crate::model::testing::fixture;

    #[test]
    fn a_running_member_lists_its_view() {
        let view = Gvwstate::parse(fixture!("galera-10.11/running-3of3-gvwstate.dat")).unwrap();
        assert_eq!(view.my_uuid, uuid!("2ec756a1-e4f6-11f1-b132-2eafade3384b"));
        assert_eq!((view.view_uuid, view.view_number, view.bootstrap), (view.my_uuid, 3, false));
        let members: Vec<Uuid> = view.members.into_keys().collect();
        assert_eq!(
            members,
            [
                uuid!("2ec756a1-e4f6-11f1-b132-2eafade3384b"),
                uuid!("2f122a51-e4f6-11f1-aad5-ae3a36a931d5"),
                uuid!("326b0de1-e4f6-11f1-953a-3fea78fb3f35"),
            ]
        );
    }

    #[test]
    fn real_files_are_printed_byte_for_byte() {
        for text in [
            fixture!("galera-10.11/running-3of3-gvwstate.dat"),
            fixture!("galera-10.11/e4-after-kill9-gvwstate.dat"),
            fixture!("galera-10.11/e4-pc-recovery-zero-uuid-n3-gvwstate.dat"),
            fixture!("galera-10.11/nonprimary-1of3-n2-gvwstate.dat"),
            fixture!("galera-11.8/kill9-all-n3-gvwstate.dat"),
        ] {
            assert_eq!(Gvwstate::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_view_made_by_automatic_recovery_is_marked() {
        let view = Gvwstate::parse(fixture!("galera-10.11/e4-pc-recovery-zero-uuid-n1-gvwstate.dat")).unwrap();
        assert!(view.bootstrap);
        assert_eq!(view.view_number, 13);
    }

    #[test]
    fn damage_is_an_error_that_names_the_line() {
        let uuid = "2ec756a1-e4f6-11f1-b132-2eafade3384b";
        for (text, problem) in [
            (String::new(), "it has no `view_id:` line"),
            (format!("view_id: 3 {uuid} 3\n"), "it has no `my_uuid:` line"),
            (format!("my_uuid: {uuid}\nview_id: 3 {uuid} 3\n"), "it has no `bootstrap:` line"),
            (format!("view_id: 2 {uuid} 3\n"), "the view is of type 2, not 3 (Primary)"),
            (format!("view_id: 3 {uuid}\n"), &format!("the line `view_id: 3 {uuid}` ends too early")),
            ("my_uuid: 2ec756a1\n".to_owned(), "`2ec756a1` is no UUID"),
        ] {
            assert_eq!(Gvwstate::parse(&text), Err(problem.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_restarted_server_is_known_by_its_old_id() {
        let id = |text: &str| text.parse::<Uuid>().expect("a UUID");
        let before = id("b43f2610-e559-11f1-a17c-db0237403a8c");
        assert!(same_server(before, before));
        assert!(same_server(before, id("b43f2610-e559-11f1-a17d-db0237403a8c")));
        assert!(!same_server(before, id("b43f2611-e559-11f1-a17c-db0237403a8c")));
        assert!(!same_server(before, id("b43f2610-e559-11f1-a17c-db0237403a8d")));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(
            my_uuid: u128, view_uuid: u128, view_number: u64, bootstrap: bool,
            members in proptest::collection::btree_map(any::<u128>().prop_map(Uuid::from_u128), any::<u8>(), 0..5),
        ) {
            let (my_uuid, view_uuid) = (Uuid::from_u128(my_uuid), Uuid::from_u128(view_uuid));
            let view = Gvwstate { my_uuid, view_uuid, view_number, bootstrap, members };
            prop_assert_eq!(Gvwstate::parse(&view.to_string()), Ok(view));
        }
    }
}
