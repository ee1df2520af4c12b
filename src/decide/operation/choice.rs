//! `galera bootstrap`: the user says who founds the cluster. What the files say of that is not less true.

use std::collections::BTreeMap;

use crate::decide::election::{Bar, Candidate, Election, Loss as Lost, Trust, elect};
use crate::decide::rules::operations as rules;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::memo::{Choice, Founder};
use super::plan::{Loss, Range, Refusal};

/// The chosen member as the founder, and what is lost by it; or why it must not be.
pub fn founder(seen: &Snapshot, choice: &Choice, election: &Election) -> Result<(Founder, Option<Loss>), Refusal> {
    let ordinal = choice.ordinal;
    let pod = seen.pod_name(ordinal);
    let Some(candidate) = election.candidates.get(&ordinal) else {
        let summary = format!("{pod} has no data directory that could found the cluster");
        return Err(Refusal::new(&rules::NOT_WHOLE_DATA, summary).plugin(&format!("galera grastate {}", seen.target.name)));
    };
    let Some(at) = candidate.electable() else {
        return Err(not_whole(seen, &pod, candidate).plugin(&format!("operation abort {}", seen.target.name)));
    };
    let founder = Founder { ordinal, state_uuid: at.uuid };
    if candidate.losses.is_empty() {
        return Ok((founder, None));
    }
    let loss = loss(seen, &candidate.losses);
    if choice.accepted.as_ref() == Some(&loss) {
        return Ok((founder, Some(loss)));
    }
    let name = &seen.target.name;
    let summary = format!("if {pod} founds the cluster, what the others hold more is erased");
    let refusal = Refusal::new(&rules::WOULD_LOSE, summary)
        .because(candidate.losses.iter().map(|lost| told(seen, lost)).collect::<Vec<_>>())
        .plugin(&format!("operation abort {name}"))
        .plugin(&format!("galera bootstrap {pod} --accept-data-loss={}", loss.0));
    Err(refusal)
}

/// What can be told before anything is touched.
pub fn unfit(seen: &Snapshot, choice: &Choice) -> Option<Refusal> {
    let pod = seen.pod_name(choice.ordinal);
    if !Range::of(&seen.objects.stateful_set).ordinals().any(|ordinal| ordinal == choice.ordinal) {
        let summary = format!("{pod} is not one of the pods of {}", seen.target.name);
        return Some(Refusal::new(&rules::NOT_WHOLE_DATA, summary).plugin(&format!("status {}", seen.target.name)));
    }
    let election = elect(seen, &BTreeMap::new());
    let candidate = election.candidates.get(&choice.ordinal).filter(|candidate| matches!(candidate.trust, Trust::Never(_)))?;
    Some(not_whole(seen, &pod, candidate))
}

/// Never, whatever is accepted: its data may be no database at all (safety A3).
fn not_whole(seen: &Snapshot, pod: &str, candidate: &Candidate) -> Refusal {
    let because: Vec<String> = match &candidate.trust {
        Trust::Whole => vec!["its position is not known".to_owned()],
        Trust::Unread(why) => vec![format!("files: {why}")],
        Trust::Never(bars) => bars.iter().map(bar).collect(),
    };
    let name = &seen.target.name;
    Refusal::new(&rules::NOT_WHOLE_DATA, format!("the data of {pod} must not found a cluster"))
        .because(because)
        .plugin(&format!("galera grastate {name}"))
}

fn bar(bar: &Bar) -> String {
    match bar {
        Bar::HalfCopy(marks) => format!("half a copy, marks of a state transfer: {}", marks.join(", ")),
        Bar::EmptyGrastate => "half a copy: grastate.dat has 0 bytes".to_owned(),
        Bar::ZeroUuid => "grastate.dat: zero UUID, not to be trusted".to_owned(),
        Bar::NoGrastate => "grastate.dat: none".to_owned(),
        Bar::DamagedGrastate(problem) => format!("grastate.dat: {problem}"),
        Bar::NoDatabase => "no database".to_owned(),
        Bar::WithoutGalera => "its server runs with Galera switched off".to_owned(),
    }
}

/// The words that accept exactly these losses: they hold positions, so that they fit no other.
fn loss(seen: &Snapshot, losses: &[Lost]) -> Loss {
    let one = |lost: &Lost| match lost {
        Lost::WriteSets { of, from, to } => format!("{}:{from}-{to}", pods(seen, of)),
        Lost::History { uuid, of } => format!("{}:{uuid}", pods(seen, of)),
        Lost::Unknown { of } => format!("{}:unknown", pods(seen, of)),
    };
    Loss(losses.iter().map(one).collect::<Vec<_>>().join("+"))
}

fn told(seen: &Snapshot, lost: &Lost) -> String {
    match lost {
        Lost::WriteSets { of, from, to } => format!("lost: write sets {from} to {to}, only on {}", pods(seen, of)),
        Lost::History { uuid, of } => format!("lost: all of history {uuid}, on {}", pods(seen, of)),
        Lost::Unknown { of } => format!("lost: whatever only {} holds, at a position that is not known", pods(seen, of)),
    }
}

fn pods<'a>(seen: &Snapshot, of: impl IntoIterator<Item = &'a Ordinal>) -> String {
    of.into_iter().map(|ordinal| seen.pod_name(*ordinal)).collect::<Vec<_>>().join(",")
}
