//! `galera grastate`: one value, as a document and as the screen.

mod members;
mod screen;
#[cfg(test)]
mod tests;
mod words;

use jiff::Timestamp;
use serde::Serialize;

use crate::carry_out::grastate::{HelperState, Planned, Report, Stopped};
use crate::decide::election::{self, OperatorChoice, Outcome};
use crate::decide::finding::NextCommand;
use crate::decide::helper::Helper;
use crate::failure::Exit;
use crate::model::fact::Why;
use crate::model::names::Target;
use crate::output::command_line::OwnFlags;
use crate::output::status::Unknown;
use crate::output::styled::Styled;

use super::Screen;

pub use members::{FilesStatus, GrastateMember, PositionStatus};

/// What the files of a Galera cluster say, and whom it may be started from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Grastate {
    pub taken: Timestamp,
    pub namespace: String,
    /// Of the `StatefulSet`.
    pub name: String,
    pub exit_code: u8,
    pub election: ElectionStatus,
    /// Every ordinal the set wants, every pod beyond them, and every volume of the set.
    pub members: Vec<GrastateMember>,
    /// Only on a set of mariadb-operator: whom it would start.
    pub operator: Option<OperatorStatus>,
    /// Pods that were planned for reading or recovery.
    pub helpers: Vec<HelperStatus>,
    /// Why the planned helper pods were not created: `dryRun`, `denied`, `declined`, `nobodyToAsk`.
    pub stopped: Option<String>,
    /// The same in a sentence.
    pub stopped_because: Option<String>,
    /// Why positions were not recovered, although that was asked for.
    pub not_recovered: Option<String>,
    /// Jobs of ours that were not seen to go. They end by themselves.
    pub left: Vec<String>,
    /// What to keep in mind about the election.
    pub cautions: Vec<String>,
    /// What to run next.
    pub next: Vec<String>,
    #[serde(skip)]
    exit: Exit,
}

/// The election.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ElectionStatus {
    /// `notNeeded`, `elected` or `refused`.
    pub result: String,
    /// The pod that may be started first.
    pub pod: Option<String>,
    /// Pods that are as far.
    pub tied: Vec<String>,
    /// The members of the primary component that needs no election.
    pub primary: Vec<String>,
    /// One sentence.
    pub message: String,
    /// Why none may be chosen.
    pub reasons: Vec<ReasonStatus>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReasonStatus {
    /// One word, for example `Unread`, `Histories`, `PositionUnknown`.
    pub reason: String,
    pub pods: Vec<String>,
    pub message: String,
}

/// Whom mariadb-operator would start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OperatorStatus {
    /// `null`: it would recover positions first.
    pub pod: Option<String>,
    /// Whether that is another choice than ours.
    pub differs: bool,
    pub message: String,
}

/// A helper pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HelperStatus {
    /// Of its Job.
    pub name: String,
    /// The pod whose volume it mounts.
    pub pod: String,
    /// `inspect` or `recover`.
    pub kind: String,
    pub claims: Vec<ClaimStatus>,
    /// The node it must run on.
    pub node: Option<String>,
    pub image: String,
    /// Kubernetes ends it then, if nobody else does.
    pub lifetime_seconds: u64,
    /// `planned`, `accepted` (by a server dry-run), `denied` or `used`.
    pub state: String,
    pub denied: Option<Unknown>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ClaimStatus {
    pub name: String,
    pub writable: bool,
}

impl Grastate {
    #[must_use]
    pub fn new(report: &Report, left: &[String], flags: &OwnFlags) -> Self {
        let exit = exit(report);
        let manager = report.seen.objects.manager.operator();
        let next = words::next(report).iter().map(|command| flags.line(command, &report.seen.target.namespace)).collect();
        Self {
            taken: report.seen.taken,
            namespace: report.seen.target.namespace.clone(),
            name: report.seen.target.name.clone(),
            exit_code: exit.code(),
            election: ElectionStatus::new(report),
            members: members::all(report),
            operator: manager.is_some_and(|operator| operator.owns).then(|| OperatorStatus::new(report)),
            helpers: report.helpers.iter().map(HelperStatus::new(report)).collect(),
            stopped: report.stopped.map(|stopped| stopped_word(stopped).to_owned()),
            stopped_because: words::stopped(report),
            not_recovered: report.not_recovered.clone(),
            left: left.to_vec(),
            cautions: words::cautions(report).into_iter().map(str::to_owned).collect(),
            next,
            exit,
        }
    }
}

/// A plan that was only shown has nothing to say about the cluster.
fn exit(report: &Report) -> Exit {
    let denied = || {
        report.helpers.iter().filter_map(|planned| match &planned.state {
            HelperState::Denied(why) => Some(why),
            _ => None,
        })
    };
    match report.stopped {
        Some(Stopped::DryRun) => Exit::Ok,
        Some(Stopped::Declined) => Exit::Declined,
        Some(Stopped::Denied) if denied().any(|why| matches!(why, Why::Forbidden(_))) => Exit::Forbidden,
        _ => election::exit(&report.election.outcome),
    }
}

const fn stopped_word(stopped: Stopped) -> &'static str {
    match stopped {
        Stopped::DryRun => "dryRun",
        Stopped::Denied => "denied",
        Stopped::Declined => "declined",
        Stopped::NobodyToAsk => "nobodyToAsk",
    }
}

impl ElectionStatus {
    fn new(report: &Report) -> Self {
        let names =
            |ordinals: &std::collections::BTreeSet<_>| ordinals.iter().map(|ordinal| report.seen.pod_name(*ordinal)).collect();
        let mut status = Self {
            result: "refused".to_owned(),
            pod: None,
            tied: Vec::new(),
            primary: Vec::new(),
            message: words::outcome(report),
            reasons: Vec::new(),
        };
        match &report.election.outcome {
            Outcome::NotNeeded { primary } => {
                "notNeeded".clone_into(&mut status.result);
                status.primary = names(primary);
            }
            Outcome::Elected { ordinal, tied } => {
                "elected".clone_into(&mut status.result);
                status.pod = Some(report.seen.pod_name(*ordinal));
                status.tied = names(tied);
            }
            Outcome::Refused(reasons) => status.reasons = reasons.iter().map(|reason| words::reason(report, reason)).collect(),
        }
        status
    }
}

impl OperatorStatus {
    fn new(report: &Report) -> Self {
        let ordinal = match report.election.operator {
            OperatorChoice::Forced(ordinal) | OperatorChoice::BySafe(ordinal) | OperatorChoice::BySeqno { ordinal, .. } => {
                Some(ordinal)
            }
            OperatorChoice::RecoversFirst(_) => None,
        };
        let differs = match &report.election.outcome {
            // Among equals nothing is lost by either.
            Outcome::Elected { ordinal: ours, tied } => ordinal.is_some_and(|its| its != *ours && !tied.contains(&its)),
            Outcome::Refused(_) => ordinal.is_some(),
            Outcome::NotNeeded { .. } => false,
        };
        Self { pod: ordinal.map(|ordinal| report.seen.pod_name(ordinal)), differs, message: words::operator(report) }
    }
}

impl HelperStatus {
    fn new(report: &Report) -> impl Fn(&Planned) -> Self {
        |planned| {
            let Planned { helper, state } = planned;
            let (state, denied) = match state {
                HelperState::Planned => ("planned", None),
                HelperState::Accepted => ("accepted", None),
                HelperState::Denied(why) => ("denied", Some(why.into())),
                HelperState::Used => ("used", None),
            };
            let claim = |(name, writable): &(String, bool)| ClaimStatus { name: name.clone(), writable: *writable };
            Self {
                name: helper.name.clone(),
                pod: report.seen.pod_name(helper.ordinal),
                kind: helper.kind.name().to_owned(),
                claims: helper.claims.iter().map(claim).collect(),
                node: helper.node.clone(),
                image: helper.image.clone(),
                lifetime_seconds: helper.kind.lifetime().as_secs(),
                state: state.to_owned(),
                denied,
            }
        }
    }
}

/// What is about to be created, before the question.
pub fn question(target: &Target, helpers: &[Helper], out: &mut Styled) {
    screen::question(target, helpers, out);
}

impl Screen for Grastate {
    const KIND: &'static str = "Grastate";

    fn screen(&self, wide: bool, out: &mut Styled) {
        screen::screen(self, wide, out);
    }

    /// The elected pod; nothing if there is none.
    fn names(&self) -> Vec<String> {
        self.election.pod.iter().map(|pod| format!("pod/{pod}")).collect()
    }

    fn exit(&self) -> Exit {
        self.exit
    }
}

/// A command of ours about the set.
fn plugin(words: &[&str]) -> NextCommand {
    NextCommand::Plugin(words.iter().map(|word| (*word).to_owned()).collect())
}
