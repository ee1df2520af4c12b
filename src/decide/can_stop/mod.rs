//! Whether pods may be stopped now: what the others could still do without them (safety D1, D2, D7, B11).
//!
//! A pod may stop if its cluster goes on without it even when it does not say goodbye, if nobody depends on it at this
//! moment, and if it can come back. What is not known is no yes.

mod galera;
mod replication;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::disruption::{Budget, LocalVolume};
use crate::model::fact::Fact;
use crate::model::galera::Groups;
use crate::model::kubernetes::{Mount, Pod, UpdateStrategy, VolumeSource};
use crate::model::names::Ordinal;
use crate::model::snapshot::{Member, Snapshot};
use crate::model::topology::Topology;

use super::exit::{Standing, standing};
use super::settled::settled;

/// What is to stop of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    pub ordinals: BTreeSet<Ordinal>,
    /// Their nodes stop with them: what lies on the disks of those is away, and for good if they do not come back.
    pub nodes: bool,
    pub load: Load,
    pub leave: Leave,
}

/// How a member leaves its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// With a goodbye or without: the rest has to go on either way.
    EitherWay,
    /// With a goodbye, and whoever asked for it knows that the rest stops without one: of two members nobody could go otherwise.
    Cleanly,
}

/// How busy the others may be (safety D7). No acknowledged row depends on it: a write set that waits has been delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// For whoever can choose another moment.
    Quiet,
    /// As busy as a cluster under full load always is.
    Burst,
    /// It is too late to choose.
    Any,
}

/// What is known beside the cluster itself. Extras: without them there is less to say, and the answer stays what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    pub budgets: Fact<Vec<Budget>>,
    /// Of the claims of the pods that are to stop.
    pub volumes: Fact<Vec<LocalVolume>>,
}

/// Worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Answer {
    Yes,
    /// A needed fact is not known.
    Unknown,
    No,
}

/// Worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Weight {
    /// Good to know.
    Note,
    /// It would take this to say yes, and it is not known.
    Unknown,
    /// Speaks against the stop.
    Against,
}

/// A sentence that speaks for or against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub weight: Weight,
    pub text: String,
}

impl Reason {
    fn against(text: impl Into<String>) -> Self {
        Self { weight: Weight::Against, text: text.into() }
    }

    fn unknown(text: impl Into<String>) -> Self {
        Self { weight: Weight::Unknown, text: text.into() }
    }

    fn note(text: impl Into<String>) -> Self {
        Self { weight: Weight::Note, text: text.into() }
    }
}

/// The decision about one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// About the cluster as a whole.
    pub whole: Vec<Reason>,
    /// About each pod that is to stop.
    pub pods: BTreeMap<Ordinal, Vec<Reason>>,
}

impl Decision {
    /// Yes only if nothing speaks against it, and nothing that it would take is unknown.
    #[must_use]
    pub fn answer(&self) -> Answer {
        answer(self.whole.iter().chain(self.pods.values().flatten()))
    }

    /// The answer for one pod: what is about the cluster is about every pod.
    #[must_use]
    pub fn answer_of(&self, ordinal: Ordinal) -> Answer {
        answer(self.whole.iter().chain(self.pods.get(&ordinal).into_iter().flatten()))
    }
}

fn answer<'a>(reasons: impl Iterator<Item = &'a Reason>) -> Answer {
    match reasons.map(|reason| reason.weight).max() {
        Some(Weight::Against) => Answer::No,
        Some(Weight::Unknown) => Answer::Unknown,
        Some(Weight::Note) | None => Answer::Yes,
    }
}

/// Decides by one look. A yes needs a second one: see [`confirmed`].
#[must_use]
pub fn can_stop(seen: &Snapshot, stop: &Stop, beside: &Beside) -> Decision {
    let case = Case::new(seen, stop);
    let mut decision = Decision { whole: Vec::new(), pods: stop.ordinals.iter().map(|ordinal| (*ordinal, Vec::new())).collect() };
    if case.running.is_empty() {
        for (ordinal, reasons) in &mut decision.pods {
            reasons.push(Reason::note("it is down already: its stop changes nothing"));
            reasons.extend(doomed_claim(seen, *ordinal));
        }
        return decision;
    }
    decision.whole.extend(rollout(seen));
    match &case.topology {
        Topology::Galera => galera::decide(&case, &mut decision),
        Topology::Replication { primary } => replication::decide(&case, primary, &mut decision),
        Topology::Single => decision.whole.push(Reason::against("it is the only server: while it is down, clients have none")),
        Topology::Independent => {
            decision.whole.push(Reason::against("the servers of this set share no data: nobody else has what this one has"));
        }
        Topology::Unknown { .. } => {
            decision.whole.push(Reason::unknown("too few servers answer to tell what kind of cluster this is"));
        }
    }
    for (ordinal, reasons) in &mut decision.pods {
        if !case.running.contains(ordinal) {
            reasons.push(Reason::note("it is down already: its stop changes nothing"));
        } else {
            reasons.extend(volume(&case, *ordinal, beside));
            reasons.extend(switches(seen, *ordinal));
            reasons.extend(budgets(seen, *ordinal, beside));
        }
        reasons.extend(doomed_claim(seen, *ordinal));
    }
    decision
}

/// Decides by two looks at least eight seconds apart (safety G1, D7): both must allow it, and nothing may have moved.
#[must_use]
pub fn confirmed(first: &Snapshot, second: &Snapshot, stop: &Stop, beside: &Beside) -> Decision {
    let mut decision = can_stop(second, stop, beside);
    let before = can_stop(first, stop, beside);
    let spoke = |reason: &Reason| reason.weight == Weight::Against;
    decision.whole.extend(before.whole.into_iter().chain(before.pods.into_values().flatten()).filter(spoke));
    let settlement = settled(first, second);
    decision.whole.extend(settlement.too_soon.map(Reason::unknown));
    decision.whole.extend(settlement.moved.into_iter().map(|moved| Reason::against(format!("the cluster is moving: {moved}"))));
    decision.whole.extend(galera::reach_in_time(first, second, stop));
    let mut seen = BTreeSet::new();
    decision.whole.retain(|reason| seen.insert(reason.text.clone()));
    decision
}

/// One look and what is concluded from it before any rule.
struct Case<'a> {
    seen: &'a Snapshot,
    stop: &'a Stop,
    topology: Topology,
    groups: Groups,
    /// Those of the pods to stop that take part in anything: a server runs there, or it cannot be told.
    running: BTreeSet<Ordinal>,
}

impl<'a> Case<'a> {
    fn new(seen: &'a Snapshot, stop: &'a Stop) -> Self {
        let running = stop.ordinals.iter().copied().filter(|ordinal| standing(seen, *ordinal) != Standing::Down).collect();
        Self { seen, stop, topology: Topology::of(seen), groups: Groups::of(seen), running }
    }

    fn name(&self, ordinal: Ordinal) -> String {
        self.seen.pod_name(ordinal)
    }

    fn member(&self, ordinal: Ordinal) -> Option<&'a Member> {
        self.seen.members.get(&ordinal)
    }

    fn pod(&self, ordinal: Ordinal) -> Option<&'a Pod> {
        self.member(ordinal)?.pod.as_ref()
    }

    /// The others: every ordinal that the set wants, or that exists, and that is not to stop.
    fn others(&self) -> BTreeSet<Ordinal> {
        let all = self.seen.objects.stateful_set.wanted().chain(self.seen.members.keys().copied());
        all.filter(|ordinal| !self.stop.ordinals.contains(ordinal)).collect()
    }
}

/// The controller is restarting pods itself: the next one may be one of the others.
fn rollout(seen: &Snapshot) -> Option<Reason> {
    let set = &seen.objects.stateful_set;
    if set.deletion.is_some() {
        return Some(Reason::against("the StatefulSet is being deleted"));
    }
    if set.observed_generation < set.generation {
        return Some(Reason::against("the StatefulSet controller has not acted on the last change of the set yet"));
    }
    let UpdateStrategy::RollingUpdate { partition } = set.update_strategy else { return None };
    let due = |(ordinal, member): (Ordinal, &Member)| {
        let old = member.pod.as_ref()?.revision.as_ref().is_some_and(|revision| *revision != set.update_revision);
        (old && ordinal.0 >= set.start.saturating_add(partition)).then(|| seen.pod_name(ordinal))
    };
    let due: Vec<String> = seen.expected().filter_map(due).collect();
    (!due.is_empty()).then(|| Reason::against(format!("a rollout is under way, and will restart {}", due.join(", "))))
}

/// Where its data lies.
fn volume(case: &Case, ordinal: Ordinal, beside: &Beside) -> Vec<Reason> {
    let (seen, mut reasons) = (case.seen, Vec::new());
    let layout = &seen.objects.stateful_set.layout;
    let datadir = case.member(ordinal).and_then(|member| member.files.known().ok()).map(|disk| disk.datadir.as_str());
    let holds = |mount: &&Mount| {
        let rest = datadir.and_then(|datadir| datadir.strip_prefix(mount.path.trim_end_matches('/')));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match layout.mounts.iter().filter(holds).max_by_key(|mount| mount.path.len()) {
        Some(mount) if mount.source == VolumeSource::EmptyDir => {
            reasons.push(Reason::against(format!(
                "its data directory is on volume {} (emptyDir), which dies with the pod",
                mount.volume
            )));
        }
        None if datadir.is_some() => {
            reasons.push(Reason::against("its data directory is on no volume, and dies with the container"));
        }
        Some(_) | None => {}
    }
    let Some(pod) = case.pod(ordinal) else { return reasons };
    let claims = seen.objects.claims.known().into_iter().flatten().filter(|claim| pod.claims.contains(&claim.name));
    let volumes: BTreeSet<&String> = claims.filter_map(|claim| claim.volume.as_ref()).collect();
    match &beside.volumes {
        Fact::Known(local) => {
            let local = local.iter().find(|volume| volumes.contains(&volume.name));
            let node = pod.node.as_deref().unwrap_or("its node");
            reasons.extend(local.map(|volume| {
                let (name, kind) = (&volume.name, &volume.kind);
                Reason::note(if case.stop.nodes {
                    format!("its volume {name} ({kind}) lies on {node}: if the node does not come back, this copy is lost")
                } else {
                    format!("its volume {name} ({kind}) lies on {node}: the pod can run nowhere else")
                })
            }));
        }
        Fact::Unknown(why) => reasons.push(Reason::note(format!("? whether its volume lies on its node only: {why}"))),
    }
    let cordoned =
        seen.objects.nodes.known().into_iter().flatten().find(|node| Some(&node.name) == pod.node.as_ref() && node.cordoned);
    reasons.extend(cordoned.map(|node| Reason::note(format!("{} is cordoned: the pod cannot come back there now", node.name))));
    reasons
}

/// A claim that vanishes with its pod (safety B11).
fn doomed_claim(seen: &Snapshot, ordinal: Ordinal) -> Option<Reason> {
    let pod = seen.members.get(&ordinal)?.pod.as_ref()?;
    let claims = seen.objects.claims.known().ok()?;
    let doomed = claims.iter().find(|claim| pod.claims.contains(&claim.name) && claim.deletion.is_some())?;
    Some(Reason::against(format!("its claim {} is being deleted: the data vanishes as soon as the pod stops", doomed.name)))
}

/// A switch that makes the next start of this pod found a cluster of its own.
fn switches(seen: &Snapshot, ordinal: Ordinal) -> Option<Reason> {
    let files = seen.members.get(&ordinal)?.files.known().ok();
    // The running server's own flag was its start script's choice for that start; what is in files and template counts next time.
    let lasting = |switch: &&String| !switch.starts_with("flag ");
    let own = files.into_iter().flat_map(|disk| &disk.bootstrap_switches).filter(lasting);
    let switch = own.chain(&seen.objects.stateful_set.layout.bootstrap_switches).next()?;
    Some(Reason::against(format!("its next start would found a cluster of its own ({switch})")))
}

fn budgets(seen: &Snapshot, ordinal: Ordinal, beside: &Beside) -> Vec<Reason> {
    let name = seen.pod_name(ordinal);
    let budgets = match &beside.budgets {
        Fact::Known(budgets) => budgets,
        Fact::Unknown(why) => return vec![Reason::note(format!("? whether a PodDisruptionBudget allows it: {why}"))],
    };
    let own: Vec<&Budget> =
        budgets.iter().filter(|budget| budget.namespace == seen.target.namespace && budget.pods.contains(&name)).collect();
    let told = |budget: &&Budget| match (budget.current, budget.allowed) {
        (true, 0) => Some(Reason::against(format!("PodDisruptionBudget {} allows no disruption now", budget.name))),
        (true, _) => None,
        (false, _) => Some(Reason::note(format!("? PodDisruptionBudget {} was changed and not evaluated yet", budget.name))),
    };
    if own.is_empty() {
        return vec![Reason::note("no PodDisruptionBudget is about it: an eviction would not be refused in a worse moment")];
    }
    own.iter().filter_map(told).collect()
}
