//! What the data directories of a cluster at rest make of it: the election among them, and what is written into their
//! `grastate.dat` so that the one founds the cluster and the others join it by an incremental transfer.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::decide::election::{At, Candidate, Election, elect};
use crate::decide::helper::StateChange;
use crate::model::disk::{Disk, Process, StateFile};
use crate::model::fact::{Fact, Why};
use crate::model::grastate::Grastate;
use crate::model::names::Ordinal;
use crate::model::recovered::Recovered;
use crate::model::snapshot::{Member, Snapshot};

/// The election among files that were read while nothing ran. `files` has every ordinal that counts.
#[must_use]
pub fn elect_at_rest(seen: &Snapshot, files: &BTreeMap<Ordinal, Disk>, recovered: &BTreeMap<Ordinal, Recovered>) -> Election {
    elect(&at_rest(seen, files), recovered)
}

/// The cluster with no pod at all, and these files on its volumes.
#[must_use]
pub fn at_rest(seen: &Snapshot, files: &BTreeMap<Ordinal, Disk>) -> Snapshot {
    let member = |disk: &Disk| Member {
        pod: None,
        server: Fact::Unknown(Why::NotRunning("its pod was stopped".to_owned())),
        files: Fact::Known(Disk { process: Process::None, ..disk.clone() }),
    };
    Snapshot { members: files.iter().map(|(ordinal, disk)| (*ordinal, member(disk))).collect(), ..seen.clone() }
}

/// Those that ended alone in a primary component which the founder is ahead of: the others went on without them, or they were told
/// to go on without the others, and then the write sets that both number alike are not the same (safety A9).
#[must_use]
pub fn were_apart(founder: At, election: &Election, files: &BTreeMap<Ordinal, Disk>) -> BTreeSet<Ordinal> {
    let behind = |ordinal: &Ordinal| {
        let at = election.candidates.get(ordinal).and_then(Candidate::at);
        at.is_some_and(|at| at.uuid == founder.uuid && at.seqno < founder.seqno)
    };
    files.iter().filter(|(ordinal, disk)| disk.was_alone() && behind(ordinal)).map(|(ordinal, _)| *ordinal).collect()
}

/// What to write before `founder` starts (safety A5): its own position, so that the history keeps its UUID, and the recovered
/// positions of the others on that history, so that they need no full copy. Whoever is ahead of it, where the user chose so, or
/// may have been primary apart from it, loses its position, so that it takes one. Files that say so already are left alone.
#[must_use]
pub fn writes(founder: Ordinal, election: &Election, files: &BTreeMap<Ordinal, Disk>) -> BTreeMap<Ordinal, StateChange> {
    let Some(at) = election.candidates.get(&founder).and_then(|candidate| candidate.electable()) else {
        return BTreeMap::new();
    };
    // Who was with it in that component no file tells: whoever is behind the founder may have been.
    let apart = !were_apart(at, election, files).is_empty();
    let wanted = election.candidates.iter().filter_map(|(ordinal, candidate)| {
        let own = candidate.electable().filter(|own| own.uuid == at.uuid)?;
        let follows = own.seqno == at.seqno || (own.seqno < at.seqno && !apart);
        Some((*ordinal, Some(own.seqno).filter(|_| follows), *ordinal == founder))
    });
    wanted
        .filter_map(|(ordinal, seqno, safe)| {
            let before = match &files.get(&ordinal)?.grastate {
                StateFile::Parsed(state) => state.clone(),
                StateFile::Absent | StateFile::Empty | StateFile::Malformed { .. } => return None,
            };
            // Without a seqno alone a start script that recovers positions brings it back, and the server aborts ("Reversing
            // history", 11.8): only the zero UUID makes it ask for a copy.
            let uuid = if seqno.is_some() { at.uuid } else { Uuid::nil() };
            let after = Grastate { uuid, seqno, safe_to_bootstrap: Some(safe), ..before.clone() };
            (after != before).then_some((ordinal, StateChange { before: Some(before), after: Some(after) }))
        })
        .collect()
}
