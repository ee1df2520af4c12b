//! How pods go once they are asked to. Whose server is still there when the grace period of its pod is over is killed, and has to
//! recover; a Galera member loses its position with that. So the first ones tell whether the next ones may go.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decide::exit::database;
use crate::decide::rules::operations as rules;
use crate::model::kubernetes::{ContainerState, NodeReady, Pod};
use crate::model::names::Ordinal;
use crate::model::snapshot::{Member, Snapshot};

use super::memo::Memo;
use super::operator::view;
use super::plan::{Action, Decision, Refusal};

/// What a process that was killed exits with: 128 and the number of SIGKILL.
const KILLED: i32 = 137;

/// A pod that was asked to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Departure {
    pub pod: String,
    pub uid: String,
    /// `deletionTimestamp`: when its grace period is over, by the clock of the API server.
    pub deadline: Timestamp,
    /// `deletionGracePeriodSeconds`.
    pub grace: u32,
    /// When it was first seen going, by the clock of whoever looked.
    pub since: Timestamp,
    /// How its server ended; none: that was not seen.
    #[serde(default)]
    pub end: Option<End>,
    /// It tells nothing about the next ones: its node was silent, or it was given another grace period than its own.
    #[serde(default)]
    pub apart: bool,
    #[serde(default)]
    pub gone: Option<Gone>,
    /// Whoever goes on has been told that it outstayed its grace period.
    #[serde(default)]
    pub told: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    pub exit_code: i32,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gone {
    /// From when it was asked to go.
    pub after_seconds: i64,
    /// It was still there when its grace period was over.
    pub late: bool,
}

impl Departure {
    /// `None`: it is not going, or no server runs in it.
    fn new(seen: &Snapshot, member: &Member) -> Option<Self> {
        let pod = member.pod.as_ref()?;
        let (deadline, grace) = (pod.deletion?, pod.deletion_grace.filter(|grace| *grace > 0)?);
        // A container that waits for its next start is not stopped.
        let state = &database(seen, member)?.state;
        let ran = matches!(state, ContainerState::Running { .. } | ContainerState::Terminated(_));
        let (pod, uid, since) = (pod.name.clone(), pod.uid.clone(), seen.taken);
        ran.then_some(Self { pod, uid, deadline, grace, since, end: None, apart: false, gone: None, told: false })
    }

    /// What one more look at it shows.
    fn looked_at(&mut self, seen: &Snapshot, member: &Member, pod: &Pod) {
        // The kubelet removes a pod that has ended with a grace period of 0.
        if let (Some(deadline), Some(grace)) = (pod.deletion, pod.deletion_grace.filter(|grace| *grace > 0)) {
            (self.deadline, self.grace) = (deadline, grace);
        }
        let silent = |pod: &Pod| {
            let nodes = seen.objects.nodes.known().ok()?;
            let node = nodes.iter().find(|node| Some(&node.name) == pod.node.as_ref())?;
            (node.ready != NodeReady::Yes).then_some(())
        };
        self.apart |= pod.grace != Some(self.grace) || silent(pod).is_some();
        if let Some(ContainerState::Terminated(end)) = database(seen, member).map(|container| &container.state) {
            self.end = Some(End { exit_code: end.exit_code, reason: end.reason.clone() });
        }
    }

    /// It is not there any more. `next`: the pod that came in its place.
    fn left(&mut self, next: Option<&Pod>, taken: Timestamp) {
        let grace = i64::from(self.grace);
        let after_seconds = match next {
            // Both are times of the API server, in whole seconds.
            Some(next) => next.created.as_second() - (self.deadline.as_second() - grace),
            // Our clock may be another one: only what has passed on it since counts.
            None => taken.as_second() - self.since.as_second(),
        };
        self.gone = Some(Gone { after_seconds, late: after_seconds >= grace });
    }

    /// Whether it was killed because its grace period was over, as far as was seen.
    fn outstayed(&self) -> bool {
        let killed = |end: &End| end.exit_code == KILLED && end.reason != "OOMKilled";
        !self.apart && self.gone.is_some_and(|gone| gone.late) && self.end.as_ref().is_none_or(killed)
    }

    /// In words that follow the name of the pod.
    fn told(&self) -> String {
        format!("was still there when its grace period of {} s was over", self.grace)
    }
}

/// Keeps what a look shows of pods that go. Whether that is news.
pub fn notice(departures: &mut BTreeMap<Ordinal, Departure>, seen: &Snapshot) -> bool {
    let before = departures.clone();
    for (ordinal, member) in &seen.members {
        let Some(pod) = member.pod.as_ref().filter(|pod| pod.deletion.is_some()) else { continue };
        if departures.get(ordinal).is_none_or(|known| known.uid != pod.uid)
            && let Some(new) = Departure::new(seen, member)
        {
            departures.insert(*ordinal, new);
        }
        if let Some(known) = departures.get_mut(ordinal).filter(|known| known.uid == pod.uid) {
            known.looked_at(seen, member, pod);
        }
    }
    for (ordinal, known) in departures.iter_mut().filter(|(_, known)| known.gone.is_none()) {
        let now = seen.members.get(ordinal).and_then(|member| member.pod.as_ref());
        if now.is_none_or(|pod| pod.uid != known.uid) {
            known.left(now, seen.taken);
        }
    }
    *departures != before
}

/// Whoever goes on has seen the refusal, or reads it in the plan.
pub fn acknowledge(memo: &mut Memo) {
    memo.departures.values_mut().for_each(|departure| departure.told |= departure.outstayed());
}

/// The decision, unless it takes another pod after one was killed at the end of its grace period and nobody was told. `open`:
/// the pods that are still to go, the next one first.
pub fn heeded(seen: &Snapshot, memo: &Memo, decision: Decision, open: &[Ordinal]) -> Decision {
    let Decision::Go(mut plan) = decision else { return decision };
    let untold = memo.departures.values().find(|departure| departure.outstayed() && !departure.told);
    if let (Some(departure), Some(next)) = (untold, open.first())
        && plan.steps.first().is_some_and(|step| takes(&step.act))
    {
        return Decision::Refuse(refusal(seen, departure, *next));
    }
    plan.notes.extend(note(seen, memo, open));
    Decision::Go(plan)
}

/// Whether a pod goes by it, or clients move because one is about to go.
const fn takes(act: &Action) -> bool {
    match act {
        Action::Rollout { from, to, .. } => to.partition < from.partition,
        Action::Evict { .. } | Action::DeletePods { .. } | Action::MovePrimary { .. } => true,
        _ => false,
    }
}

fn refusal(seen: &Snapshot, departure: &Departure, next: Ordinal) -> Refusal {
    let (name, pod) = (&seen.target.name, &departure.pod);
    let summary = format!("{pod} {}, so {} is not taken yet", departure.told(), seen.pod_name(next));
    let end = departure.end.as_ref().map_or_else(
        || format!("how the server of {pod} ended: not seen; Kubernetes kills it when the grace period is over"),
        |end| format!("exit code of the server of {pod}: {} (SIGKILL)", end.exit_code),
    );
    let field = match view(seen) {
        Some(view) => format!("said in: spec.terminationGracePeriodSeconds of MariaDB {}, where its version has it", view.name),
        None => format!("said in: spec.template.spec.terminationGracePeriodSeconds of StatefulSet {name}"),
    };
    let took = departure.gone.map(|gone| format!("gone after: {} s", gone.after_seconds));
    Refusal::new(&rules::OUTSTAYED, summary)
        .because([format!("terminationGracePeriodSeconds of {pod}: {}", departure.grace), field])
        .because(took)
        .because([end])
        .plugin(&format!("operation resume {name}"))
}

/// How long the next ones may take, and how long the first ones took.
fn note(seen: &Snapshot, memo: &Memo, open: &[Ordinal]) -> Option<String> {
    let pods = open.iter().filter_map(|ordinal| seen.members.get(ordinal)?.pod.as_ref());
    let graces: BTreeSet<u32> = pods.filter_map(|pod| pod.grace).collect();
    let (least, most) = (graces.first()?, graces.last()?);
    if let Some(departure) = memo.departures.values().find(|departure| departure.outstayed()) {
        return Some(format!(
            "{} {}: a server of those that follow that takes as long to stop is killed, too.",
            departure.pod,
            departure.told()
        ));
    }
    let time = if least == most { format!("{least} s") } else { format!("{least} to {most} s") };
    let measured = match longest(memo) {
        Some((departure, took)) => format!("; the longest took {took} s so far ({})", departure.pod),
        None if open.len() > 1 => "; how long it takes is measured at the first pod".to_owned(),
        None => String::new(),
    };
    Some(format!("A server may take {time} to stop (terminationGracePeriodSeconds), then it is killed{measured}."))
}

fn longest(memo: &Memo) -> Option<(&Departure, i64)> {
    let gone = |departure: &Departure| departure.gone.map(|gone| gone.after_seconds).filter(|_| !departure.apart);
    let measured = memo.departures.values().filter_map(|departure| Some((departure, gone(departure)?)));
    // Less than nothing: the clocks of several API servers differ.
    measured.filter(|(_, took)| *took >= 0).max_by_key(|(_, took)| *took)
}

/// What is said of it when all is done.
#[must_use]
pub fn told(memo: &Memo) -> Option<String> {
    if let Some(departure) = memo.departures.values().find(|departure| departure.outstayed()) {
        let code = rules::OUTSTAYED.code;
        return Some(format!(
            "{} {} (terminationGracePeriodSeconds), when Kubernetes kills a server: see {code}.",
            departure.pod,
            departure.told()
        ));
    }
    let (departure, took) = longest(memo)?;
    Some(format!("The longest that a pod took to go was {took} s, of the {} s it had ({}).", departure.grace, departure.pod))
}

#[cfg(test)]
mod tests;
