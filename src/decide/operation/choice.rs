//! `galera bootstrap`: the user says who founds the cluster. What the files say of that is not less true.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::decide::election::{Bar, Candidate, Election, Loss as Lost, Trust, elect};
use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::memo::{Choice, Founder};
use super::plan::{Loss, Range, Refusal};

/// The chosen member as the founder, and what is lost by it; or why it must not be.
pub fn founder(
    seen: &Snapshot,
    choice: &Choice,
    members: Option<u32>,
    election: &Election,
) -> Result<(Founder, Option<Loss>), Refusal> {
    let ordinal = choice.ordinal;
    let pod = seen.pod_name(ordinal);
    let Some(candidate) = election.candidates.get(&ordinal) else {
        let summary = format!("{pod} has no data directory that could found the cluster");
        return Err(Refusal::new(&rules::NOT_WHOLE_DATA, summary).plugin(&format!("galera grastate {}", seen.target.name)));
    };
    let cannot = || not_whole(seen, &pod, candidate).plugin(&format!("operation abort {}", seen.target.name));
    if candidate.trust != Trust::Whole {
        return Err(cannot());
    }
    // Before positions are recovered: that writes, and what cannot be read may yet be brought back (safety A2, A4).
    if !gives_up(seen, choice, election) {
        return Err(would_lose(seen, &pod, members, election, &[Lost::Unknown { of: election.unread().into_keys().collect() }]));
    }
    let Some(at) = candidate.electable() else { return Err(cannot()) };
    let founder = Founder { ordinal, state_uuid: at.uuid };
    if candidate.losses.is_empty() {
        return Ok((founder, None));
    }
    let loss = loss(seen, election, &candidate.losses);
    if choice.accepted.as_ref() == Some(&loss) {
        return Ok((founder, Some(loss)));
    }
    Err(would_lose(seen, &pod, members, election, &candidate.losses))
}

fn would_lose(seen: &Snapshot, pod: &str, members: Option<u32>, election: &Election, losses: &[Lost]) -> Refusal {
    let summary = if election.unread().is_empty() {
        format!("if {pod} founds the cluster, what the others hold more is erased")
    } else {
        format!("if {pod} founds the cluster, what the others hold more is erased, read or not")
    };
    Refusal::new(&rules::WOULD_LOSE, summary)
        .because(losses.iter().flat_map(|lost| told(seen, election, lost)).collect::<Vec<_>>())
        .plugin(&format!("operation abort {}", seen.target.name))
        .plugin(&bootstrap(pod, members, &loss(seen, election, losses).0))
}

fn bootstrap(pod: &str, members: Option<u32>, words: &str) -> String {
    let members = members.map_or_else(String::new, |members| format!(" --replicas {members}"));
    format!("galera bootstrap {pod}{members} --accept-data-loss={words}")
}

/// Whether everything that could not be read was given up, each by its own words.
pub fn gives_up(seen: &Snapshot, choice: &Choice, election: &Election) -> bool {
    let accepted: Vec<&str> = choice.accepted.iter().flat_map(|loss| loss.0.split('+')).collect();
    let chosen = election.candidates.get(&choice.ordinal).is_some_and(|candidate| candidate.trust == Trust::Whole);
    chosen && election.unread().keys().all(|ordinal| accepted.contains(&unread(seen, *ordinal).as_str()))
}

/// The way out of an election that fails for want of what cannot be read: who could found the cluster, and what that gives up.
pub fn way_out(seen: &Snapshot, members: Option<u32>, election: &Election) -> Option<String> {
    let lost = Lost::Unknown { of: election.unread().into_keys().collect() };
    let whole = election.candidates.iter().filter(|(_, candidate)| candidate.trust == Trust::Whole);
    let (ordinal, _) = whole.max_by_key(|(ordinal, candidate)| (candidate.at().map(|at| at.seqno), Reverse(**ordinal)))?;
    let words = loss(seen, election, &[lost]).0;
    (!words.is_empty()).then(|| bootstrap(&seen.pod_name(*ordinal), members, &words))
}

/// The words for what could not be read hold the volume: they fit no other one, and none that was made in its place.
fn unread(seen: &Snapshot, ordinal: Ordinal) -> String {
    let set = &seen.objects.stateful_set;
    let on_data =
        |claim: &String| set.layout.mounts.first().is_some_and(|mount| claim.starts_with(&format!("{}-", mount.volume)));
    let name = set.claims_of(ordinal).find(on_data).or_else(|| set.claims_of(ordinal).next());
    let claim = seen.objects.claims.known().into_iter().flatten().find(|claim| Some(&claim.name) == name.as_ref());
    let volume = claim.and_then(|claim| claim.volume.as_deref()).unwrap_or("no-volume");
    format!("{}:unread:{volume}", seen.pod_name(ordinal))
}

/// What can be told before anything is touched.
pub fn unfit(seen: &Snapshot, choice: &Choice) -> Option<Refusal> {
    let pod = seen.pod_name(choice.ordinal);
    if !Range::of(&seen.objects.stateful_set).ordinals().any(|ordinal| ordinal == choice.ordinal) {
        return Some(not_one_of(seen, &pod).plugin(&format!("status {}", seen.target.name)));
    }
    let election = elect(seen, &BTreeMap::new());
    let candidate = election.candidates.get(&choice.ordinal).filter(|candidate| matches!(candidate.trust, Trust::Never(_)))?;
    Some(not_whole(seen, &pod, candidate))
}

pub fn not_one_of(seen: &Snapshot, pod: &str) -> Refusal {
    Refusal::new(&rules::NOT_WHOLE_DATA, format!("{pod} is not one of the pods of {}", seen.target.name))
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

/// The words that accept exactly these losses: they hold positions or volumes, so that they fit no other.
fn loss(seen: &Snapshot, election: &Election, losses: &[Lost]) -> Loss {
    let one = |lost: &Lost| match lost {
        Lost::WriteSets { of, from, to } => vec![format!("{}:{from}-{to}", pods(seen, of))],
        Lost::History { uuid, of } => vec![format!("{}:{uuid}", pods(seen, of))],
        Lost::Unknown { of } => {
            let (hidden, known) = apart(election, of);
            let known = (!known.is_empty()).then(|| format!("{}:unknown", pods(seen, &known)));
            known.into_iter().chain(hidden.keys().map(|ordinal| unread(seen, *ordinal))).collect()
        }
    };
    Loss(losses.iter().flat_map(one).collect::<Vec<_>>().join("+"))
}

fn told(seen: &Snapshot, election: &Election, lost: &Lost) -> Vec<String> {
    match lost {
        Lost::WriteSets { of, from, to } => vec![format!("lost: write sets {from} to {to}, only on {}", pods(seen, of))],
        Lost::History { uuid, of } => vec![format!("lost: all of history {uuid}, on {}", pods(seen, of))],
        Lost::Unknown { of } => {
            let (hidden, known) = apart(election, of);
            let say = |of: &str| format!("lost: whatever only {of} holds, at a position that is not known");
            let known = (!known.is_empty()).then(|| say(&pods(seen, &known)));
            let hidden = hidden.into_iter().map(|(ordinal, why)| {
                let pod = seen.pod_name(ordinal);
                format!("lost: whatever only {pod} holds, for its files could not be read: {why}")
            });
            known.into_iter().chain(hidden).collect()
        }
    }
}

/// Those of `of` that could not be read, and those that could.
fn apart(election: &Election, of: &BTreeSet<Ordinal>) -> (BTreeMap<Ordinal, Why>, BTreeSet<Ordinal>) {
    let unread = election.unread();
    let known = of.iter().copied().filter(|ordinal| !unread.contains_key(ordinal)).collect();
    (unread.into_iter().filter(|(ordinal, _)| of.contains(ordinal)).collect(), known)
}

fn pods<'a>(seen: &Snapshot, of: impl IntoIterator<Item = &'a Ordinal>) -> String {
    of.into_iter().map(|ordinal| seen.pod_name(*ordinal)).collect::<Vec<_>>().join(",")
}
