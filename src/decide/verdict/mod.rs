//! The verdict: what is wrong with this cluster, worst first, and one line that says how it is.
//!
//! Members are compared as sets, not by numbers. The root cause is the finding; what follows from it is its evidence.

mod galera;
mod kubernetes;
mod managers;
mod replication;
mod services;
mod storage;
mod unmade;
mod unseen;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::model::disk::{Disk, Process};
use crate::model::fact::Why;
use crate::model::galera::Groups;
use crate::model::kubernetes::{Container, NodeReady, Pod};
use crate::model::names::Ordinal;
use crate::model::operator::Mode;
use crate::model::server::Server;
use crate::model::snapshot::{Member, Snapshot};
use crate::model::topology::Topology;

use super::exit::{Standing, database, standing};
use super::finding::{Finding, NextCommand, Rule, Severity};
use super::rules;

pub(in crate::decide) use kubernetes::before;
pub use unmade::of_unmade;

/// How a cluster is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum State {
    /// Everything that was expected is there and in order.
    Healthy,
    /// It serves, with less safety than it should have.
    Degraded,
    /// Clients cannot write, or acknowledged rows are in danger.
    Critical,
    /// Too little could be seen to say.
    Unknown,
}

impl State {
    /// The word used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::Critical => "Critical",
            Self::Unknown => "Unknown",
        }
    }
}

/// The verdict on one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub state: State,
    /// One line, beginning with the state.
    pub headline: String,
    /// Worst first.
    pub findings: Vec<Finding>,
}

/// Judges one look. One sample is one sample: for about 6 s after a cut both sides of it still look whole (safety G1).
#[must_use]
pub fn verdict(seen: &Snapshot) -> Verdict {
    let scene = Scene::new(seen);
    let mut findings = kubernetes::findings(&scene);
    findings.extend(galera::findings(&scene));
    findings.extend(replication::findings(&scene));
    findings.extend(services::findings(&scene));
    findings.extend(storage::findings(&scene));
    findings.extend(managers::findings(&scene));
    findings.extend(unseen::findings(&scene));
    findings.extend(managers::ready_lies(&scene, &findings));
    let mut findings = joined(findings);
    for finding in findings.iter_mut().filter(|finding| finding.next.is_empty()) {
        finding.next.push(NextCommand::Plugin(vec!["explain".to_owned(), finding.rule.code.to_owned()]));
    }
    findings.sort_by(|a, b| {
        let rank = |finding: &Finding| (Reverse(weight(finding.rule)), finding.rule.code);
        (rank(a), &a.pods).cmp(&(rank(b), &b.pods))
    });
    let state = state(&scene, &findings);
    Verdict { state, headline: headline(&scene, state, &findings), findings }
}

/// One finding for what is the same on several pods. Those that hold something of one pod alone stay apart.
fn joined(findings: Vec<Finding>) -> Vec<Finding> {
    let apart = [rules::replication::ERRANT.code, rules::storage::CLAIM_DELETED.code, rules::kubernetes::SERVICE_TO_BAD_POD.code];
    // Of objects that are no pods each is a finding of its own.
    let is_apart = |code: &str| apart.contains(&code) || code.starts_with("MDB6");
    let mut joined: Vec<Finding> = Vec::new();
    for finding in findings {
        let alike = |other: &&mut Finding| other.rule.code == finding.rule.code && !is_apart(finding.rule.code);
        match joined.iter_mut().find(alike) {
            Some(first) => {
                first.pods.extend(finding.pods);
                first.evidence.extend(finding.evidence);
            }
            None => joined.push(finding),
        }
    }
    for finding in &mut joined {
        let (named, others): (Vec<&String>, Vec<&String>) = finding.pods.iter().partition(|pod| mentions(&finding.summary, pod));
        if !named.is_empty() && !others.is_empty() {
            finding.summary = format!("{}; likewise {}", finding.summary, list(&others));
        }
    }
    joined
}

fn mentions(summary: &str, pod: &str) -> bool {
    summary.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|word| word == pod)
}

/// Rules that mean: clients cannot write, or acknowledged rows are in danger.
const CRITICAL: &[&Rule] = &[
    &rules::kubernetes::SCALED_TO_ZERO,
    &rules::kubernetes::NO_PODS,
    &rules::kubernetes::SET_BEING_DELETED,
    &rules::kubernetes::NOBODY_RUNS,
    &rules::galera::NO_PRIMARY,
    &rules::galera::ALL_DOWN,
    &rules::galera::SPLIT_BRAIN,
    &rules::galera::TWO_CLUSTERS,
    &rules::galera::ZERO_UUID,
    &rules::galera::AHEAD,
    &rules::replication::NO_PRIMARY,
    &rules::replication::PRIMARY_READ_ONLY,
    &rules::replication::TWO_WRITABLE,
    &rules::replication::INDEPENDENT,
    &rules::storage::CLAIM_DELETED,
];

/// How much a rule weighs in the order of findings and in the state.
fn weight(rule: &Rule) -> Weight {
    match rule.severity {
        _ if CRITICAL.iter().any(|critical| critical.code == rule.code) => Weight::Critical,
        Severity::Error => Weight::Error,
        Severity::Warning if rule.is_unseen() => Weight::Unseen,
        Severity::Warning => Weight::Warning,
        Severity::Info => Weight::Info,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Info,
    Warning,
    Unseen,
    Error,
    Critical,
}

fn state(scene: &Scene, findings: &[Finding]) -> State {
    let blind = scene.wanted().any(|ordinal| matches!(scene.standing(ordinal), Standing::Unseen(_)));
    let nobody = scene.wanted().all(|ordinal| scene.standing(ordinal) != Standing::Up);
    match findings.iter().map(|finding| weight(finding.rule)).max() {
        Some(Weight::Critical) => State::Critical,
        Some(Weight::Error) if nobody && !blind => State::Critical,
        Some(Weight::Error) => State::Degraded,
        Some(Weight::Unseen) => State::Unknown,
        _ if blind => State::Unknown,
        Some(Weight::Warning) => State::Degraded,
        Some(Weight::Info) | None => State::Healthy,
    }
}

/// `Degraded: 2 of 3 members Synced in one primary component; db-2 crashes again and again (2 more findings)`.
fn headline(scene: &Scene, state: State, findings: &[Finding]) -> String {
    let shape = galera::shape(scene).or_else(|| replication::shape(scene));
    let worst = findings.first().filter(|finding| weight(finding.rule) > Weight::Info && state != State::Healthy);
    let parts: Vec<String> = match (state, worst) {
        (State::Critical, Some(worst)) => vec![worst.summary.clone()],
        (_, Some(worst)) => shape.into_iter().chain([worst.summary.clone()]).collect(),
        (_, None) => shape.into_iter().collect(),
    };
    let more = findings.iter().filter(|finding| finding.rule.severity > Severity::Info).count().saturating_sub(1);
    let more = match more {
        0 => String::new(),
        1 => " (1 more finding)".to_owned(),
        more => format!(" ({more} more findings)"),
    };
    let said = if parts.is_empty() { "nothing is known of its servers".to_owned() } else { parts.join("; ") };
    format!("{}: {said}{more}", state.name())
}

/// One look and what is concluded from it before any rule.
struct Scene<'a> {
    seen: &'a Snapshot,
    standings: BTreeMap<Ordinal, Standing<'a>>,
    groups: Groups,
    topology: Topology,
}

impl<'a> Scene<'a> {
    fn new(seen: &'a Snapshot) -> Self {
        let all = seen.members.keys().copied().chain(seen.objects.stateful_set.wanted());
        let standings = all.map(|ordinal| (ordinal, standing(seen, ordinal))).collect();
        Self { seen, standings, groups: Groups::of(seen), topology: Topology::of(seen) }
    }

    fn pod_name(&self, ordinal: Ordinal) -> String {
        self.seen.pod_name(ordinal)
    }

    fn names(&self, ordinals: impl IntoIterator<Item = Ordinal>) -> Vec<String> {
        ordinals.into_iter().map(|ordinal| self.pod_name(ordinal)).collect()
    }

    fn standing(&self, ordinal: Ordinal) -> Standing<'a> {
        self.standings.get(&ordinal).copied().unwrap_or(Standing::Down)
    }

    /// The ordinals that the set wants, with or without a pod.
    fn wanted(&self) -> impl Iterator<Item = Ordinal> + use<'a> {
        self.seen.objects.stateful_set.wanted()
    }

    fn member(&self, ordinal: Ordinal) -> Option<&'a Member> {
        self.seen.members.get(&ordinal)
    }

    fn pod(&self, ordinal: Ordinal) -> Option<&'a Pod> {
        self.member(ordinal)?.pod.as_ref()
    }

    /// Every pod there is.
    fn pods(&self) -> impl Iterator<Item = (Ordinal, &'a Pod)> + use<'a> {
        self.seen.members.iter().filter_map(|(ordinal, member)| Some((*ordinal, member.pod.as_ref()?)))
    }

    /// Every server that answered.
    fn up(&self) -> impl Iterator<Item = (Ordinal, &'a Server)> + use<'a> {
        self.seen.members.iter().filter_map(|(ordinal, member)| Some((*ordinal, member.server.known().ok()?)))
    }

    /// Why the server of this ordinal is not known.
    fn unknown(&self, ordinal: Ordinal) -> Option<&'a Why> {
        self.member(ordinal)?.server.known().err()
    }

    fn files(&self, ordinal: Ordinal) -> Option<&'a Disk> {
        self.member(ordinal)?.files.known().ok()
    }

    /// Why the files of this ordinal are not known, although its server could be asked.
    fn files_gap(&self, ordinal: Ordinal) -> Option<&'a Why> {
        let why = self.member(ordinal)?.files.known().err()?;
        (self.standing(ordinal) == Standing::Up && !matches!(why, Why::NotAsked | Why::NotRunning(_))).then_some(why)
    }

    fn database(&self, ordinal: Ordinal) -> Option<&'a Container> {
        database(self.seen, self.member(ordinal)?)
    }

    /// Whether the node of this pod is known to be silent, gone or not ready.
    fn on_bad_node(&self, ordinal: Ordinal) -> bool {
        let (Some(name), Ok(nodes)) = (self.pod(ordinal).and_then(|pod| pod.node.as_ref()), self.seen.objects.nodes.known())
        else {
            return false;
        };
        nodes.iter().find(|node| node.name == *name).is_none_or(|node| node.ready != NodeReady::Yes)
    }

    /// The operator makes its replicas read-only, and sets up whom they follow, after each of their starts.
    fn is_kept_by_operator(&self) -> bool {
        let manager = &self.seen.objects.manager;
        let owned = manager.operator().is_some_and(|operator| operator.owns);
        owned && manager.view().is_none_or(|view| view.spec.mode == Mode::Replication && !view.spec.suspended)
    }

    /// The set is told to wait for deletions, and the operator deletes the old pods itself, one after the other.
    fn operator_deletes_old_pods(&self) -> bool {
        let strategy = self.seen.objects.manager.view().map(|view| view.spec.update_strategy.as_deref());
        matches!(strategy, Some(None | Some("ReplicasFirstPrimaryLast")))
    }

    /// Kubernetes runs no server there.
    fn is_down(&self, ordinal: Ordinal) -> bool {
        self.standing(ordinal) == Standing::Down
    }

    fn is_galera(&self) -> bool {
        self.topology == Topology::Galera
    }

    /// Whether the server of this pod can serve clients; `None`: unknown, or on its way.
    fn serves(&self, ordinal: Ordinal) -> Option<bool> {
        match self.standing(ordinal) {
            Standing::Up => {
                let server = self.member(ordinal)?.server.known().ok()?;
                match &server.galera {
                    Some(galera) => galera::serves(&galera.status),
                    None => Some(true),
                }
            }
            Standing::Quiet | Standing::Hung => Some(false),
            Standing::Down | Standing::Unseen(_) => None,
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
fn list<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The verb that fits this many names.
fn verb<T>(names: &[T], one: &'static str, several: &'static str) -> &'static str {
    if names.len() == 1 { one } else { several }
}

/// The server process of a container, for evidence.
fn process(disk: &Disk) -> String {
    match &disk.process {
        Process::None => "none runs".to_owned(),
        Process::Running { pid, state, listening } => {
            let ports: Vec<String> = listening.iter().map(u16::to_string).collect();
            let ports = if ports.is_empty() { "no port".to_owned() } else { format!("port {}", ports.join(", ")) };
            format!("pid {pid}, state {state}, listens on {ports}")
        }
    }
}

#[cfg(test)]
pub(in crate::decide) mod tests;
