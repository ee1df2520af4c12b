//! One cluster: the document, made from a snapshot and its verdict.

mod blocks;
mod changes;
mod followed;
mod galera;
mod list;
mod manager;
mod pod;
mod replication;
mod table;
#[cfg(test)]
mod tests;
mod transfer;
mod unknown;
mod unmade;

use jiff::Timestamp;
use serde::Serialize;

pub use self::changes::changes;
pub use self::followed::Followed;
use self::galera::Transfers;
pub use self::galera::{ComponentStatus, GaleraStatus, GcacheReach, OtherKind, OtherMember};
pub use self::list::StatusList;
pub use self::manager::{
    BackupStatus, ChartStatus, ConditionStatus, ManagerKind, ManagerStatus, OperatorMode, OperatorStatus, OperatorWords,
};
pub use self::pod::{PodStatus, Role};
pub use self::replication::{ReplicaStatus, ReplicationStatus};
pub use self::transfer::TransferStatus;
pub use self::unknown::{Unknown, Unseen, split};

use super::Screen;
use super::command_line::OwnFlags;
use super::styled::Styled;
use crate::decide;
use crate::decide::finding::{Finding, Severity};
use crate::decide::settled::Settlement;
use crate::decide::{State, Verdict};
use crate::failure::Exit;
use crate::model::fact::Lost;
use crate::model::galera::Groups;
use crate::model::names::{Ordinal, Target};
use crate::model::snapshot::{Member, Snapshot};
use crate::model::topology;

/// What kind of cluster the servers make, by what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Topology {
    Galera,
    Replication,
    /// One server.
    Single,
    /// Several servers that have nothing to do with each other.
    Independent,
    /// Too few servers answered to tell.
    Unknown,
}

impl From<&topology::Topology> for Topology {
    fn from(topology: &topology::Topology) -> Self {
        match topology {
            topology::Topology::Galera => Self::Galera,
            topology::Topology::Replication { .. } => Self::Replication,
            topology::Topology::Single => Self::Single,
            topology::Topology::Independent => Self::Independent,
            topology::Topology::Unknown { .. } => Self::Unknown,
        }
    }
}

impl Topology {
    const fn name(self) -> &'static str {
        match self {
            Self::Galera => "Galera",
            Self::Replication => "replication",
            Self::Single => "single",
            Self::Independent => "independent",
            Self::Unknown => "?",
        }
    }
}

/// What is true of one cluster. The table is a rendering of this value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Status {
    /// When the look began.
    pub taken: Timestamp,
    pub namespace: String,
    pub name: String,
    pub topology: Topology,
    pub manager: ManagerStatus,
    pub state: State,
    /// The verdict in one line, for people; the text may change.
    pub headline: String,
    /// The exit code of this verdict.
    pub exit_code: u8,
    /// `false`: there is only a `MariaDB` object, without a StatefulSet.
    pub set_exists: bool,
    /// `spec.replicas` of the set; without one, of the object.
    pub replicas: u32,
    /// Pods that Kubernetes calls ready, of those the set wants.
    pub ready_replicas: u32,
    /// Versions of the servers that answered, lowest first; one, if all is well.
    pub versions: Vec<String>,
    /// Worst first.
    pub findings: Vec<FindingStatus>,
    /// By ordinal.
    pub pods: Vec<PodStatus>,
    /// `null`: not a Galera cluster.
    pub galera: Option<GaleraStatus>,
    /// `null`: not a replicating set.
    pub replication: Option<ReplicationStatus>,
    pub unseen: Vec<Unseen>,
    /// Only with `--watch`, while the API server is silent: everything else is what was seen last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<LostStatus>,
    /// Only with `--settled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<SettledStatus>,
    #[serde(skip)]
    #[cfg_attr(test, schemars(skip))]
    exit: Exit,
}

/// Since when, and why, nothing new is heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LostStatus {
    pub since: Timestamp,
    pub message: String,
}

/// What two looks say together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SettledStatus {
    /// Both looks saw everything that is needed, and the same.
    pub settled: bool,
    /// When the first of the two looks began; the rest of the document is of the second.
    pub first: Timestamp,
    /// What changed between the looks, or is changing.
    pub moved: Vec<String>,
    /// What could not be seen.
    pub unseen: Vec<String>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FindingStatus {
    /// Stable; `explain` has the text.
    pub code: String,
    pub severity: Severity,
    pub title: String,
    /// What is so here, for people; the text may change.
    pub summary: String,
    /// Pods it is about; empty: the whole cluster.
    pub pods: Vec<String>,
    pub evidence: Vec<EvidenceStatus>,
    /// Commands to run next, as a POSIX shell reads them.
    pub next: Vec<String>,
}

/// A fact and where it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EvidenceStatus {
    pub source: String,
    pub value: String,
}

impl Status {
    /// The document of one look. `fail_on`: findings from here on make the exit code 3.
    #[must_use]
    pub fn new(seen: &Snapshot, verdict: &Verdict, fail_on: Option<Severity>, flags: &OwnFlags) -> Self {
        let topology = topology::Topology::of(seen);
        let groups = Groups::of(seen);
        let transfers = Transfers::of(seen, &groups);
        let pod = |(ordinal, member): (&Ordinal, &Member)| {
            PodStatus::new(seen, *ordinal, member, role(*ordinal, member, &topology, &transfers))
        };
        let gaps = decide::unobserved(seen);
        let exit = decide::exit(&verdict.findings, &gaps, fail_on);
        let mut versions: Vec<_> =
            seen.members.values().filter_map(|member| member.server.known().ok()).map(|server| &server.version).collect();
        versions.sort();
        versions.dedup();
        let needed = gaps.needed.iter().map(|gap| Unseen::new(gap, true));
        Self {
            taken: seen.taken,
            namespace: seen.target.namespace.clone(),
            name: seen.target.name.clone(),
            topology: (&topology).into(),
            manager: ManagerStatus::new(seen),
            state: verdict.state,
            headline: verdict.headline.clone(),
            exit_code: exit.code(),
            set_exists: true,
            replicas: seen.objects.stateful_set.replicas,
            ready_replicas: ready(seen),
            versions: versions.into_iter().map(ToString::to_string).collect(),
            findings: verdict.findings.iter().map(|finding| FindingStatus::new(finding, &seen.target, flags)).collect(),
            pods: seen.members.iter().map(pod).collect(),
            galera: (topology == topology::Topology::Galera).then(|| GaleraStatus::new(seen, &groups)),
            replication: match &topology {
                topology::Topology::Replication { primary } => Some(ReplicationStatus::new(seen, primary)),
                _ => None,
            },
            unseen: needed.chain(gaps.extra.iter().map(|gap| Unseen::new(gap, false))).collect(),
            lost: None,
            settled: None,
            exit,
        }
    }

    /// Nothing new is heard any more: without a worse verdict, what is so now is not known.
    #[must_use]
    pub fn lost(mut self, lost: Option<&Lost>) -> Self {
        self.lost = lost.map(|lost| LostStatus { since: lost.since, message: lost.why.clone() });
        if self.lost.is_some() && self.exit == Exit::Ok {
            self.set_exit(Exit::Unobserved);
        }
        self
    }

    /// Compared with a look before this one: a verdict that did not hold for both is none.
    #[must_use]
    pub fn settled(mut self, first: &Snapshot, settlement: Settlement) -> Self {
        let settled = settlement.is_settled();
        let moved = settlement.moved.into_iter().chain(settlement.too_soon).collect();
        self.settled = Some(SettledStatus { settled, first: first.taken, moved, unseen: settlement.unseen });
        if !settled && self.exit == Exit::Ok {
            self.set_exit(Exit::Unobserved);
        }
        self
    }

    fn set_exit(&mut self, exit: Exit) {
        self.exit = exit;
        self.exit_code = exit.code();
    }

    /// The primary in a word: a pod, or how many members of the primary component answered.
    fn primary(&self) -> String {
        if let Some(galera) = &self.galera {
            let primary: Vec<_> = galera.components.iter().filter(|component| component.primary).collect();
            return match primary[..] {
                [] => "none".to_owned(),
                [one] => format!("{} of {}", one.members.len(), one.size()),
                _ => "split".to_owned(),
            };
        }
        match &self.replication {
            Some(ReplicationStatus { primary: Some(primary), .. }) => primary.clone(),
            Some(ReplicationStatus { outside_source: Some(_), .. }) => "outside".to_owned(),
            Some(replication) if !replication.several.is_empty() => "several".to_owned(),
            Some(_) => "?".to_owned(),
            None => "-".to_owned(),
        }
    }
}

fn ready(seen: &Snapshot) -> u32 {
    let ready = seen.expected().filter(|(_, member)| member.pod.as_ref().is_some_and(|pod| pod.ready)).count();
    u32::try_from(ready).unwrap_or(u32::MAX)
}

/// What a server is. A joiner answers no SQL: the others tell.
fn role(ordinal: Ordinal, member: &Member, topology: &topology::Topology, transfers: &Transfers) -> Option<Role> {
    if transfers.joiners.contains(&ordinal) {
        return Some(Role::Joiner);
    }
    if transfers.donors.contains(&ordinal) {
        return Some(Role::Donor);
    }
    let server = member.server.known().ok()?;
    match topology {
        topology::Topology::Galera => server.galera.as_ref().filter(|galera| galera.status.connected).map(|_| Role::Member),
        topology::Topology::Replication { primary } => replication::role(ordinal, server, primary),
        topology::Topology::Single | topology::Topology::Independent => Some(Role::Single),
        topology::Topology::Unknown { .. } => None,
    }
}

impl FindingStatus {
    fn new(finding: &Finding, target: &Target, flags: &OwnFlags) -> Self {
        let evidence = |evidence: &crate::decide::finding::Evidence| EvidenceStatus {
            source: evidence.source.clone(),
            value: evidence.value.clone(),
        };
        Self {
            code: finding.rule.code.to_owned(),
            severity: finding.rule.severity,
            title: finding.rule.title.to_owned(),
            summary: finding.summary.clone(),
            pods: finding.pods.clone(),
            evidence: finding.evidence.iter().map(evidence).collect(),
            next: finding.next.iter().map(|command| flags.line(command, &target.namespace)).collect(),
        }
    }
}

impl Screen for Status {
    const KIND: &'static str = "Status";

    fn screen(&self, wide: bool, out: &mut Styled) {
        table::screen(self, wide, out);
    }

    fn names(&self) -> Vec<String> {
        match &self.manager.operator {
            Some(operator) if !self.set_exists => vec![format!("mariadb.{}/{}", operator.group, self.name)],
            _ => vec![format!("statefulset.apps/{}", self.name)],
        }
    }

    fn exit(&self) -> Exit {
        self.exit
    }
}
