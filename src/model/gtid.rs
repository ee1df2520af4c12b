//! MariaDB GTIDs: `domain-server-sequence`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Gtid {
    pub domain: u32,
    pub server: u32,
    pub sequence: u64,
}

/// A position: the last GTID of each domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GtidList(pub BTreeMap<u32, Gtid>);

/// `gtid_binlog_state`: the last sequence of each (domain, server), in the server's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GtidState(pub Vec<Gtid>);

/// How one position stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GtidOrder {
    Equal,
    /// The other has everything this has, and more.
    Behind,
    /// This has everything the other has, and more.
    Ahead,
    /// One domain ends in the same sequence from different servers: different transactions.
    Diverged,
    /// One has a domain the other lacks, or each is ahead in some domain. Not to be guessed.
    Incomparable,
}

/// Transactions of one server in one domain that a source has not: at most those from `from` to `to`, both included
/// (the numbers of a domain are shared by all its servers, so not each of them need exist).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Errant {
    pub domain: u32,
    pub server: u32,
    pub from: u64,
    pub to: u64,
}

impl GtidList {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares domain by domain. Positions of equal order say nothing about transactions further back.
    #[must_use]
    pub fn compare(&self, other: &Self) -> GtidOrder {
        let (mut behind, mut ahead) = (false, false);
        for (domain, mine) in &self.0 {
            let Some(theirs) = other.0.get(domain) else { continue };
            if mine.sequence == theirs.sequence && mine.server != theirs.server {
                return GtidOrder::Diverged;
            }
            behind |= mine.sequence < theirs.sequence;
            ahead |= mine.sequence > theirs.sequence;
        }
        if !self.0.keys().eq(other.0.keys()) {
            return GtidOrder::Incomparable;
        }
        match (behind, ahead) {
            (false, false) => GtidOrder::Equal,
            (true, false) => GtidOrder::Behind,
            (false, true) => GtidOrder::Ahead,
            (true, true) => GtidOrder::Incomparable,
        }
    }

    /// Whether this position has reached `other` in every domain of `other`: what `MASTER_GTID_WAIT` waits for. An empty
    /// `other` is covered by everything and so proves nothing.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other
            .0
            .values()
            .all(|theirs| self.0.get(&theirs.domain).is_some_and(|mine| mine.sequence > theirs.sequence || mine == theirs))
    }

    /// In each domain the further one of two positions of one server.
    #[must_use]
    pub fn furthest(&self, other: &Self) -> Self {
        let mut furthest = self.clone();
        for gtid in other.0.values() {
            let known = furthest.0.entry(gtid.domain).or_insert(*gtid);
            if gtid.sequence > known.sequence {
                *known = *gtid;
            }
        }
        furthest
    }
}

impl GtidState {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last sequence of `server` in `domain`; 0 when it wrote nothing that is known here.
    #[must_use]
    pub fn sequence(&self, domain: u32, server: u32) -> u64 {
        self.0.iter().find(|gtid| (gtid.domain, gtid.server) == (domain, server)).map_or(0, |gtid| gtid.sequence)
    }

    /// The errant transactions of this server against a source: for some (domain, server) this has a higher sequence. Holds
    /// with and without `gtid_strict_mode`. The source must log what it replicates and have its whole state (no
    /// `RESET MASTER` since); of one that has not, see [`Self::errant_after`].
    #[must_use]
    pub fn errant_against(&self, source: &Self) -> Vec<Errant> {
        self.errant_where(|gtid| source.sequence(gtid.domain, gtid.server))
    }

    /// The errant transactions of this server against a source whose binary log is empty or does not go back far enough:
    /// whatever lies beyond `position`, the source's position. Misses errant transactions that lie before it.
    #[must_use]
    pub fn errant_after(&self, position: &GtidList) -> Vec<Errant> {
        self.errant_where(|gtid| match position.0.get(&gtid.domain) {
            Some(reached) if reached.sequence == gtid.sequence && reached.server != gtid.server => {
                gtid.sequence.saturating_sub(1)
            }
            Some(reached) => reached.sequence,
            None => 0,
        })
    }

    fn errant_where(&self, known: impl Fn(&Gtid) -> u64) -> Vec<Errant> {
        let beyond = |gtid: &Gtid| {
            let known = known(gtid);
            let (domain, server, to) = (gtid.domain, gtid.server, gtid.sequence);
            (to > known).then_some(Errant { domain, server, from: known + 1, to })
        };
        self.0.iter().filter_map(beyond).collect()
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.sequence)
    }
}

/// `0-12-3512` or `0-12-3512..3513`; `≤0-12-3513` when the source knows nothing of that server: how many there are below
/// cannot be told, since all servers of a domain share its numbers.
impl fmt::Display for Errant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, server, from, to } = self;
        match from {
            1 if *to > 1 => write!(f, "≤{domain}-{server}-{to}"),
            _ if to > from => write!(f, "{domain}-{server}-{from}..{to}"),
            _ => write!(f, "{domain}-{server}-{from}"),
        }
    }
}

impl fmt::Display for GtidList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, self.0.values())
    }
}

impl fmt::Display for GtidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0)
    }
}

fn write_list<'a>(f: &mut fmt::Formatter<'_>, gtids: impl IntoIterator<Item = &'a Gtid>) -> fmt::Result {
    for (index, gtid) in gtids.into_iter().enumerate() {
        if index > 0 {
            f.write_str(",")?;
        }
        write!(f, "{gtid}")?;
    }
    Ok(())
}

impl FromStr for Gtid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_gtid(text.trim()).ok_or_else(|| format!("`{text}` is no GTID (DOMAIN-SERVER-SEQUENCE)"))
    }
}

fn parse_gtid(text: &str) -> Option<Gtid> {
    let mut parts = text.split('-').map(|part| if part.starts_with('+') { "" } else { part });
    let (domain, server, sequence) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some(Gtid { domain: domain.parse().ok()?, server: server.parse().ok()?, sequence: sequence.parse().ok()? })
}

impl FromStr for GtidList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut list = BTreeMap::new();
        for gtid in parse_list(text)? {
            if let Some(other) = list.insert(gtid.domain, gtid) {
                return Err(format!("the position `{text}` names domain {} twice", other.domain));
            }
        }
        Ok(Self(list))
    }
}

impl FromStr for GtidState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let state = parse_list(text)?;
        let mut seen = BTreeSet::new();
        match state.iter().find(|gtid| !seen.insert((gtid.domain, gtid.server))) {
            Some(gtid) => Err(format!("the state `{text}` names server {} of domain {} twice", gtid.server, gtid.domain)),
            None => Ok(Self(state)),
        }
    }
}

fn parse_list(text: &str) -> Result<Vec<Gtid>, String> {
    if text.trim().is_empty() { Ok(Vec::new()) } else { text.split(',').map(str::parse).collect() }
}

/// Kept as the text the server prints.
macro_rules! as_text {
    ($($kind:ty),*) => {$(
        impl TryFrom<String> for $kind {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$kind> for String {
            fn from(value: $kind) -> Self {
                value.to_string()
            }
        }
    )*};
}

as_text!(Gtid, GtidList, GtidState);

#[cfg(test)]
#[path = "gtid_tests.rs"]
mod tests;
