//! State transfers (SST) under way: who copies to whom, and how far it is.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::disk::{Copying, Side};
use super::fact::{Fact, Why};
use super::galera::{Groups, donors};
use super::names::Ordinal;
use super::snapshot::Snapshot;

/// Seconds that a transfer has to run before its pace says anything.
const FIRST: u64 = 10;

/// One full copy, as far as its two sides can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// `None`: somebody gives, and nobody of this set is seen to receive.
    pub joiner: Option<Ordinal>,
    /// `None`: not known who gives.
    pub donor: Option<Ordinal>,
    /// `rsync`, `mariabackup`, … by the name of the script.
    pub method: Option<String>,
    /// Seconds since the donor began; since the joiner waits, where the donor does not tell.
    pub running: Option<u64>,
    /// Bytes in files that were written on the joiner since it began. rsync writes over older files in place, and such a file
    /// counts whole from its first byte on: it is rather too much than too little.
    pub received: Fact<u64>,
    /// What the donor has of what is copied: about the size to reach.
    pub total: Fact<u64>,
}

impl Transfer {
    /// Every transfer that is seen on one side at least, by joiner.
    #[must_use]
    pub fn all(seen: &Snapshot, groups: &Groups) -> Vec<Self> {
        let on = |side: Side| seen.members.keys().copied().filter(move |ordinal| copying(seen, *ordinal, side).is_some());
        let joiners: BTreeSet<Ordinal> = groups.joiners(seen).into_iter().chain(on(Side::Joiner)).collect();
        let donors: BTreeSet<Ordinal> = donors(seen).into_iter().chain(on(Side::Donor)).collect();
        let gives_to = |donor: Ordinal| seen.ordinal_at(copying(seen, donor, Side::Donor)?.peer.as_deref()?);
        let donor_of = |joiner: Ordinal| {
            let told = donors.iter().copied().find(|donor| gives_to(*donor) == Some(joiner));
            let only =
                donors.first().copied().filter(|donor| donors.len() == 1 && joiners.len() == 1 && gives_to(*donor).is_none());
            told.or(only)
        };
        let found = joiners.iter().map(|joiner| Self::between(seen, Some(*joiner), donor_of(*joiner)));
        let mut found: Vec<Self> = found.collect();
        let known: BTreeSet<Ordinal> = found.iter().filter_map(|transfer| transfer.donor).collect();
        found.extend(donors.difference(&known).map(|donor| Self::between(seen, None, Some(*donor))));
        found
    }

    fn between(seen: &Snapshot, joiner: Option<Ordinal>, donor: Option<Ordinal>) -> Self {
        let gives = donor.and_then(|donor| copying(seen, donor, Side::Donor));
        let takes = joiner.and_then(|joiner| copying(seen, joiner, Side::Joiner));
        Self {
            joiner,
            donor,
            method: takes.or(gives).map(|copying| copying.method.clone()),
            running: gives.or(takes).map(|copying| copying.seconds),
            received: bytes(seen, joiner, takes, "which pod receives is not known"),
            total: bytes(seen, donor, gives, "which pod gives is not known"),
        }
    }

    /// Bytes a second since it began. `None`: it has run for too short a time, or the joiner cannot be seen.
    #[must_use]
    pub fn pace(&self) -> Option<u64> {
        let running = self.running.filter(|running| *running >= FIRST)?;
        Some(self.received.known().ok()? / running)
    }

    /// Bytes that have still to come.
    #[must_use]
    pub fn missing(&self) -> Option<u64> {
        Some(self.total.known().ok()?.saturating_sub(*self.received.known().ok()?))
    }

    /// Seconds until everything is copied at this pace; the joiner then has to apply it, which takes its own time. `None`: not
    /// known, or nothing arrives.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.missing()?.checked_div(self.pace()?)
    }
}

fn copying(seen: &Snapshot, ordinal: Ordinal, side: Side) -> Option<&Copying> {
    seen.members.get(&ordinal)?.files.known().ok()?.copying.as_ref().filter(|copying| copying.side == side)
}

fn bytes(seen: &Snapshot, ordinal: Option<Ordinal>, copying: Option<&Copying>, nobody: &str) -> Fact<u64> {
    let why = |text: &str| Why::Failed(text.to_owned());
    let Some(member) = ordinal.and_then(|ordinal| seen.members.get(&ordinal)) else { return Fact::Unknown(why(nobody)) };
    match (&member.files, copying) {
        (Fact::Unknown(why), _) => Fact::Unknown(why.clone()),
        (_, None) => Fact::Unknown(why("no script of a state transfer runs in the container")),
        (_, Some(copying)) => {
            Fact::from(copying.bytes.ok_or_else(|| why("the files of the data directory could not be counted in time")))
        }
    }
}

/// A number of bytes as people write it: `512 KiB`, `45 MiB`, `1.9 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["KiB", "MiB", "GiB", "TiB"];
        let unit = (1..units.len()).rev().find(|unit| self.0 >> (10 * (unit + 1)) > 0).unwrap_or(0);
        let tenths = (u128::from(self.0) * 10) >> (10 * (unit + 1));
        // One decimal where there is one digit before it, and none for KiB.
        if tenths < 100 && unit > 0 {
            write!(f, "{}.{} {}", tenths / 10, tenths % 10, units[unit])
        } else {
            write!(f, "{} {}", tenths / 10, units[unit])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{files_of, healthy_galera};

    fn copies(seen: &mut Snapshot, ordinal: u32, side: Side, peer: Option<&str>, seconds: u64, mib: u64) {
        files_of(seen, ordinal).copying =
            Some(Copying { side, method: "rsync".to_owned(), seconds, peer: peer.map(str::to_owned), bytes: Some(mib << 20) });
    }

    #[test]
    fn two_sides_make_a_transfer_with_a_pace() {
        let mut seen = healthy_galera();
        copies(&mut seen, 0, Side::Donor, Some("db-2.db"), 20, 2000);
        copies(&mut seen, 2, Side::Joiner, None, 25, 400);
        let [transfer] = &Transfer::all(&seen, &Groups::of(&seen))[..] else { panic!("one transfer") };
        assert_eq!((transfer.joiner, transfer.donor), (Some(Ordinal(2)), Some(Ordinal(0))));
        assert_eq!((transfer.running, transfer.pace(), transfer.left()), (Some(20), Some(20 << 20), Some(80)));
        // In its first seconds it says nothing of its pace.
        copies(&mut seen, 0, Side::Donor, Some("db-2.db"), 9, 2000);
        let transfer = &Transfer::all(&seen, &Groups::of(&seen))[0];
        assert_eq!((transfer.pace(), transfer.left(), transfer.missing()), (None, None, Some(1600 << 20)));
    }

    #[test]
    fn a_transfer_of_which_one_side_is_hidden_makes_nothing_up() {
        let mut seen = healthy_galera();
        copies(&mut seen, 2, Side::Joiner, None, 25, 400);
        seen.members.get_mut(&Ordinal(0)).unwrap().files = Fact::Unknown(Why::NotAsked);
        let transfer = &Transfer::all(&seen, &Groups::of(&seen))[0];
        assert_eq!((transfer.donor, transfer.missing(), transfer.left()), (None, None, None));
        assert_eq!(transfer.running, Some(25), "since the joiner waits");
        let mut alone = healthy_galera();
        copies(&mut alone, 0, Side::Donor, Some("10.9.9.9"), 20, 2000);
        let transfer = &Transfer::all(&alone, &Groups::of(&alone))[0];
        assert_eq!((transfer.joiner, transfer.donor), (None, Some(Ordinal(0))));
    }

    #[test]
    fn two_transfers_at_once_are_told_apart_by_where_the_donors_send() {
        let mut seen = healthy_galera();
        copies(&mut seen, 0, Side::Donor, Some("db-1.db"), 20, 2000);
        copies(&mut seen, 1, Side::Joiner, None, 25, 1);
        copies(&mut seen, 2, Side::Joiner, None, 25, 1);
        let found = Transfer::all(&seen, &Groups::of(&seen));
        assert_eq!(
            found.iter().map(|one| (one.joiner, one.donor)).collect::<Vec<_>>(),
            [(Some(Ordinal(1)), Some(Ordinal(0))), (Some(Ordinal(2)), None)]
        );
    }

    #[test]
    fn bytes_are_written_with_two_digits_or_more() {
        for (bytes, text) in [
            (0, "0 KiB"),
            (5 << 10, "5 KiB"),
            (1 << 20, "1.0 MiB"),
            (45 << 20, "45 MiB"),
            (1_990_000_000, "1.8 GiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
