//! Which member of a Galera cluster that is down may be started first, and what that would lose (safety A1, A3).
//!
//! The history (UUID) comes before the seqno. A position counts only from a whole data directory; whoever may hold
//! something that nobody else has and that is not known stands in the way of any choice.

mod candidate;
mod exit;
mod operator;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::decide::exit::{Standing, standing};
use crate::model::disk::Process;
use crate::model::fact::Why;
use crate::model::galera::Groups;
use crate::model::names::Ordinal;
use crate::model::recovered::Recovered;
use crate::model::snapshot::Snapshot;

pub use candidate::{At, Bar, Candidate, Loss, Source, Told, Trust};
pub use exit::exit;
pub use operator::OperatorChoice;

/// The candidates and what comes of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Election {
    pub candidates: BTreeMap<Ordinal, Candidate>,
    pub outcome: Outcome,
    /// Whom mariadb-operator would start first, by the rules of its source; whether this cluster is its own or not.
    pub operator: OperatorChoice,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// These form a primary component: whoever is down joins them, and a bootstrap would make a second cluster (safety A1).
    NotNeeded { primary: BTreeSet<Ordinal> },
    /// `ordinal` loses nothing that is known. `tied` are as far in the same history.
    Elected { ordinal: Ordinal, tied: BTreeSet<Ordinal> },
    /// None may be chosen.
    Refused(Vec<Reason>),
}

/// Why none may be chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// It is not known which volumes there are.
    VolumesUnseen(Why),
    /// Servers run there, or may run, that could not be asked: they may be a primary component.
    MayBePrimary(BTreeMap<Ordinal, Why>),
    /// What these hold is unknown.
    Unread(BTreeMap<Ordinal, Why>),
    /// More than one history: seqnos cannot be compared, and the one not chosen is erased.
    Histories(BTreeMap<Uuid, BTreeSet<Ordinal>>),
    /// The files of these do not tell their position.
    PositionUnknown(BTreeSet<Ordinal>),
    /// These may not be chosen and hold more than the best that may be: write sets `from..=to`.
    DistrustedAhead { ordinals: BTreeSet<Ordinal>, best: Ordinal, from: u64, to: u64 },
    /// No data directory is whole.
    NobodyWhole,
}

/// Elects among all members of the snapshot. `recovered`: what position recovery told, where it was run.
#[must_use]
pub fn elect(seen: &Snapshot, recovered: &BTreeMap<Ordinal, Recovered>) -> Election {
    let layout = &seen.objects.stateful_set.layout;
    let mut candidates: BTreeMap<Ordinal, Candidate> = seen
        .members
        .iter()
        .map(|(ordinal, member)| (*ordinal, candidate::of(layout, member, standing(seen, *ordinal), recovered.get(ordinal))))
        .collect();
    let losses: BTreeMap<Ordinal, Vec<Loss>> =
        candidates.keys().map(|ordinal| (*ordinal, candidate::losses(*ordinal, &candidates))).collect();
    for (ordinal, losses) in losses {
        candidates.entry(ordinal).and_modify(|candidate| candidate.losses = losses);
    }
    let outcome = outcome(seen, &candidates);
    let operator = operator::choice(seen, recovered);
    Election { candidates, outcome, operator }
}

fn outcome(seen: &Snapshot, candidates: &BTreeMap<Ordinal, Candidate>) -> Outcome {
    let primary: BTreeSet<Ordinal> = Groups::of(seen).primaries().flat_map(|component| &component.ordinals).copied().collect();
    if !primary.is_empty() {
        return Outcome::NotNeeded { primary };
    }
    let reasons = obstacles(seen, candidates);
    if !reasons.is_empty() {
        return Outcome::Refused(reasons);
    }
    let whole: BTreeMap<Ordinal, u64> =
        candidates.iter().filter_map(|(ordinal, candidate)| Some((*ordinal, candidate.electable()?.seqno))).collect();
    let best: BTreeSet<Ordinal> = {
        let highest = whole.values().max();
        whole.iter().filter(|(_, seqno)| Some(*seqno) == highest).map(|(ordinal, _)| *ordinal).collect()
    };
    let Some(ordinal) = best.iter().copied().min_by_key(|ordinal| preference(*ordinal, &candidates[ordinal])) else {
        return Outcome::Refused(vec![Reason::NobodyWhole]);
    };
    if let Some(ahead) = distrusted_ahead(candidates, ordinal, whole[&ordinal]) {
        return Outcome::Refused(vec![ahead]);
    }
    Outcome::Elected { ordinal, tied: best.into_iter().filter(|tied| *tied != ordinal).collect() }
}

/// Everything unknown or not comparable that forbids a choice.
fn obstacles(seen: &Snapshot, candidates: &BTreeMap<Ordinal, Candidate>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let Err(why) = seen.objects.claims.known() {
        reasons.push(Reason::VolumesUnseen(why.clone()));
    }
    let hidden: BTreeMap<Ordinal, Why> = seen
        .members
        .iter()
        .filter(|(ordinal, _)| matches!(standing(seen, **ordinal), Standing::Unseen(_) | Standing::Hung))
        .filter_map(|(ordinal, member)| Some((*ordinal, member.server.known().err()?.clone())))
        .collect();
    if !hidden.is_empty() {
        reasons.push(Reason::MayBePrimary(hidden));
    }
    let unread = unread(candidates);
    let all_read = unread.is_empty() && seen.objects.claims.known().is_ok();
    if !unread.is_empty() {
        reasons.push(Reason::Unread(unread));
    }
    let mut histories: BTreeMap<Uuid, BTreeSet<Ordinal>> = BTreeMap::new();
    for (ordinal, candidate) in candidates {
        for uuid in &candidate.histories {
            histories.entry(*uuid).or_default().insert(*ordinal);
        }
    }
    if histories.len() > 1 {
        reasons.push(Reason::Histories(histories));
    }
    if all_read && candidates.values().all(|candidate| candidate.trust != Trust::Whole) {
        reasons.push(Reason::NobodyWhole);
        return reasons;
    }
    let unknown: BTreeSet<Ordinal> = candidates
        .iter()
        .filter(|(_, candidate)| candidate.hides() && !matches!(candidate.trust, Trust::Unread(_)))
        .map(|(ordinal, _)| *ordinal)
        .collect();
    if !unknown.is_empty() {
        reasons.push(Reason::PositionUnknown(unknown));
    }
    reasons
}

fn unread(candidates: &BTreeMap<Ordinal, Candidate>) -> BTreeMap<Ordinal, Why> {
    let why = |candidate: &Candidate| match &candidate.trust {
        Trust::Unread(why) => Some(why.clone()),
        _ => None,
    };
    candidates.iter().filter_map(|(ordinal, candidate)| Some((*ordinal, why(candidate)?))).collect()
}

fn distrusted_ahead(candidates: &BTreeMap<Ordinal, Candidate>, best: Ordinal, seqno: u64) -> Option<Reason> {
    let ahead: BTreeMap<Ordinal, u64> = candidates
        .iter()
        .filter(|(_, candidate)| candidate.counts())
        .filter_map(|(ordinal, candidate)| Some((*ordinal, candidate.at()?.seqno)))
        .filter(|(_, other)| *other > seqno)
        .collect();
    let to = ahead.values().copied().max()?;
    Some(Reason::DistrustedAhead { ordinals: ahead.into_keys().collect(), best, from: seqno + 1, to })
}

/// Among equals, the least first: who stopped cleanly, then who was the last to leave, then the lowest ordinal.
fn preference(ordinal: Ordinal, candidate: &Candidate) -> (bool, bool, Ordinal) {
    let clean = candidate.at().is_some_and(|at| at.from == Source::Grastate);
    (!clean, !candidate.safe_to_bootstrap, ordinal)
}

impl Election {
    /// Members whose files could not be read, and why.
    #[must_use]
    pub fn unread(&self) -> BTreeMap<Ordinal, Why> {
        unread(&self.candidates)
    }

    /// Whether each member's files were read, or it is known that there are none to read: before that no position may be
    /// recovered, since recovery writes (safety A4).
    #[must_use]
    pub fn all_read(&self) -> bool {
        !self.candidates.is_empty() && self.unread().is_empty()
    }

    /// Members whose position only recovery can tell, and where it was not tried: not beside a running server, not in a half
    /// copy or an empty directory (safety A4).
    #[must_use]
    pub fn to_recover(&self, seen: &Snapshot) -> BTreeSet<Ordinal> {
        let Outcome::Refused(reasons) = &self.outcome else { return BTreeSet::new() };
        let hidden = reasons.iter().find_map(|reason| match reason {
            Reason::PositionUnknown(ordinals) => Some(ordinals),
            _ => None,
        });
        let rests = |ordinal: &Ordinal| {
            let files = seen.members.get(ordinal).and_then(|member| member.files.known().ok());
            files.is_some_and(|disk| disk.process == Process::None)
        };
        let to_try = |ordinal: &&Ordinal| rests(ordinal) && !self.candidates[*ordinal].recovery_tried;
        hidden.into_iter().flatten().filter(to_try).copied().collect()
    }
}
