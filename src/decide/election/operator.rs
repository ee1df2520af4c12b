//! Whom mariadb-operator would start first. Its rules as its source has them (25.10): the first member whose file says
//! `safe_to_bootstrap: 1` at once; else the highest seqno, the higher ordinal among equals, without a look at the UUID.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::grastate::Grastate;
use crate::model::names::Ordinal;
use crate::model::recovered::{Recovered, RecoveredBy};
use crate::model::snapshot::Snapshot;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorChoice {
    /// `forceClusterBootstrapInPod` names it, whatever it holds.
    Forced(Ordinal),
    /// Its file says `safe_to_bootstrap: 1`; nothing else is looked at.
    BySafe(Ordinal),
    /// The highest seqno of any history.
    BySeqno { ordinal: Ordinal, seqno: u64 },
    /// It scales the set to 0 and recovers the positions of these first.
    RecoversFirst(BTreeSet<Ordinal>),
}

pub(super) fn choice(seen: &Snapshot, recovered: &BTreeMap<Ordinal, Recovered>) -> OperatorChoice {
    let forced = seen.objects.manager.view().and_then(|view| view.spec.force_bootstrap_in.as_deref());
    if let Some(ordinal) = forced.and_then(|pod| Ordinal::of_pod(&seen.target.name, pod)) {
        return OperatorChoice::Forced(ordinal);
    }
    let states: BTreeMap<Ordinal, &Grastate> = seen
        .members
        .iter()
        .filter_map(|(ordinal, member)| Some((*ordinal, member.files.known().ok()?.grastate.parsed()?)))
        .collect();
    if let Some((ordinal, _)) = states.iter().find(|(_, state)| state.safe_to_bootstrap == Some(true)) {
        return OperatorChoice::BySafe(*ordinal);
    }
    let helper = |ordinal: &Ordinal| {
        let recovered = recovered.get(ordinal).filter(|recovered| recovered.by == RecoveredBy::Helper)?;
        recovered.position.known().ok()
    };
    let seqno = |ordinal: &Ordinal| states.get(ordinal).and_then(|state| state.seqno).or_else(|| helper(ordinal)?.seqno);
    // One without any position in its database is passed over.
    let skipped = |ordinal: &Ordinal| helper(ordinal).is_some_and(|found| found.uuid.is_nil() && found.seqno.is_none());
    let open: BTreeSet<Ordinal> =
        seen.members.keys().filter(|ordinal| seqno(ordinal).is_none() && !skipped(ordinal)).copied().collect();
    let best = seen.members.keys().filter_map(|ordinal| Some((seqno(ordinal)?, *ordinal))).max();
    match best {
        Some((seqno, ordinal)) if open.is_empty() => OperatorChoice::BySeqno { ordinal, seqno },
        _ => OperatorChoice::RecoversFirst(open),
    }
}
