//! The election in plain words.

use std::collections::BTreeSet;

use crate::carry_out::grastate::{Report, Stopped};
use crate::decide::election::{Bar, Candidate, Loss, OperatorChoice, Outcome, Reason, Source, Trust, exit};
use crate::decide::finding::{NextCommand, Rule};
use crate::decide::helper::Kind;
use crate::decide::rules;
use crate::failure::Exit;
use crate::model::disk::{Disk, Process};
use crate::model::names::Ordinal;

use super::{ReasonStatus, plugin};

/// `db-0`, `db-0 and db-1`, `db-0, db-1 and db-2`.
fn names(report: &Report, ordinals: &BTreeSet<Ordinal>) -> String {
    let names: Vec<String> = ordinals.iter().map(|ordinal| report.seen.pod_name(*ordinal)).collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

fn verb<'a>(of: &BTreeSet<Ordinal>, one: &'a str, several: &'a str) -> &'a str {
    if of.len() == 1 { one } else { several }
}

/// The headline.
pub(super) fn outcome(report: &Report) -> String {
    let election = &report.election;
    match &election.outcome {
        Outcome::NotNeeded { primary } => {
            let forms = verb(primary, "forms", "form");
            format!(
                "{} {forms} a primary component: nothing needs a bootstrap, and one would make a second cluster",
                names(report, primary)
            )
        }
        Outcome::Elected { ordinal, tied } => {
            let pod = report.seen.pod_name(*ordinal);
            let at = election.candidates[ordinal].at();
            let seqno = at.map_or_else(String::new, |at| format!(" with seqno {}", at.seqno));
            if tied.is_empty() && election.candidates.len() > 1 {
                format!("{pod} may be started first: it is furthest{seqno}, and nothing that is known is lost")
            } else if tied.is_empty() {
                format!("{pod} may be started first{seqno}: there is no other")
            } else {
                let others = names(report, tied);
                format!("{pod} may be started first{seqno}: a tie with {others}, so nothing that is known is lost by any of them")
            }
        }
        Outcome::Refused(reasons) => {
            let settled = exit(&election.outcome) == Exit::Refused;
            let first = reasons.first().map_or_else(String::new, |first| reason(report, first).message);
            if settled {
                format!("none may be started first: {first}")
            } else {
                format!("it cannot be told yet whom to start first: {first}")
            }
        }
    }
}

pub(super) fn reason(report: &Report, reason: &Reason) -> ReasonStatus {
    let list = |ordinals: &BTreeSet<Ordinal>| names(report, ordinals);
    let of = |ordinals: &BTreeSet<Ordinal>| ordinals.iter().map(|ordinal| report.seen.pod_name(*ordinal)).collect();
    let status = |word: &str, pods, message: String| ReasonStatus { reason: word.to_owned(), pods, message };
    match reason {
        Reason::VolumesUnseen(why) => {
            status("VolumesUnseen", Vec::new(), format!("it is not known which volumes there are ({why})"))
        }
        Reason::MayBePrimary(whys) => {
            let who: BTreeSet<Ordinal> = whys.keys().copied().collect();
            let server = verb(&who, "the server of", "the servers of");
            status("MayBePrimary", of(&who), format!("{server} {} could not be asked and may be a primary component", list(&who)))
        }
        Reason::Unread(whys) => {
            let who: BTreeSet<Ordinal> = whys.keys().copied().collect();
            let message = format!(
                "the files of {} could not be read, so what only {} is unknown",
                list(&who),
                verb(&who, "it holds", "they hold")
            );
            status("Unread", of(&who), message)
        }
        Reason::Histories(histories) => {
            let held: Vec<String> =
                histories.iter().map(|(uuid, who)| format!("{} by {}", short(&uuid.to_string()), list(who))).collect();
            let who: BTreeSet<Ordinal> = histories.values().flatten().copied().collect();
            let message =
                format!("there are {} histories ({}), and whichever is not chosen is erased", histories.len(), held.join(", "));
            status("Histories", of(&who), message)
        }
        Reason::PositionUnknown(who) => {
            let message = format!("the position of {} is not known", list(who));
            status("PositionUnknown", of(who), message)
        }
        Reason::DistrustedAhead { ordinals, best, from, to } => {
            let best = report.seen.pod_name(*best);
            let message = format!(
                "{} cannot be trusted and {} what {best}, the best of the others, has not: {}",
                list(ordinals),
                verb(ordinals, "holds", "hold"),
                write_sets(*from, *to)
            );
            status("DistrustedAhead", of(ordinals), message)
        }
        Reason::NobodyWhole if report.election.candidates.is_empty() => {
            status("NobodyWhole", Vec::new(), "the set has no volume and wants no pod".to_owned())
        }
        Reason::NobodyWhole => status("NobodyWhole", Vec::new(), "no data directory is whole and to be trusted".to_owned()),
    }
}

fn write_sets(from: u64, to: u64) -> String {
    if from == to { format!("write set {to}") } else { format!("write sets {from} to {to} (at most {})", to - from + 1) }
}

pub(super) fn loss(report: &Report, loss: &Loss) -> String {
    match loss {
        Loss::WriteSets { of, from, to } => {
            format!("{}, which only {} {}", write_sets(*from, *to), names(report, of), verb(of, "has", "have"))
        }
        Loss::History { uuid, of } => format!("everything that {} of history {}", holds(report, of), short(&uuid.to_string())),
        Loss::Unknown { of } => format!("whatever only {}: their positions are not known", holds(report, of))
            .replace("their positions are", verb(of, "its position is", "their positions are")),
    }
}

fn holds(report: &Report, of: &BTreeSet<Ordinal>) -> String {
    format!("{} {}", names(report, of), verb(of, "holds", "hold"))
}

/// What speaks against a data directory.
pub(super) fn because(candidate: &Candidate) -> Vec<String> {
    match &candidate.trust {
        Trust::Whole => Vec::new(),
        Trust::Unread(why) => vec![why.to_string()],
        Trust::Never(bars) => bars.iter().map(bar).collect(),
    }
}

fn bar(bar: &Bar) -> String {
    match bar {
        Bar::HalfCopy(marks) => format!("it is half a copy: a state transfer into it was cut ({})", marks.join(", ")),
        Bar::EmptyGrastate => "it is half a copy: grastate.dat has 0 bytes, its first state transfer never completed".to_owned(),
        Bar::ZeroUuid => "zero UUID: Galera itself says that its data is not to be trusted".to_owned(),
        Bar::NoGrastate => "it has a database and no grastate.dat, which Galera would take for safe to bootstrap".to_owned(),
        Bar::DamagedGrastate(problem) => format!("its grastate.dat is damaged: {problem}"),
        Bar::NoDatabase => "there is no database in it".to_owned(),
        Bar::WithoutGalera => "its server runs with Galera switched off and changes alone".to_owned(),
    }
}

/// How the position of a member is known.
pub(super) const fn source(from: &str) -> &'static str {
    match from.as_bytes() {
        b"sql" => "by its server",
        b"grastate" => "saved by a clean stop",
        b"recovery" => "recovered",
        _ => "recovered by its last start, says its log",
    }
}

pub(super) fn operator(report: &Report) -> String {
    match &report.election.operator {
        OperatorChoice::Forced(ordinal) => format!(
            "mariadb-operator starts {} first, whatever it holds: forceClusterBootstrapInPod names it",
            report.seen.pod_name(*ordinal)
        ),
        OperatorChoice::BySafe(ordinal) => format!(
            "mariadb-operator starts {} first, at once: its file says safe_to_bootstrap 1, and nothing else is looked at",
            report.seen.pod_name(*ordinal)
        ),
        OperatorChoice::BySeqno { ordinal, seqno } => format!(
            "mariadb-operator starts {} first: {seqno} is the highest seqno (the higher ordinal among equals); it does not compare UUIDs",
            report.seen.pod_name(*ordinal)
        ),
        OperatorChoice::RecoversFirst(who) => {
            format!("mariadb-operator scales the set to 0 and recovers the position of {} first", names(report, who))
        }
    }
}

/// What to run next.
pub(super) fn next(report: &Report) -> Vec<NextCommand> {
    let name = report.seen.target.name.as_str();
    let again = |more: &[&str]| plugin(&[&["galera", "grastate", name], more].concat());
    let explain = |rule: &Rule| plugin(&["explain", rule.code]);
    if matches!(report.stopped, Some(Stopped::NobodyToAsk)) {
        let recovers = report.helpers.iter().any(|planned| planned.helper.kind == Kind::Recover);
        return vec![if recovers { again(&["--recover-positions", "--yes"]) } else { again(&["--yes"]) }];
    }
    let reasons = match &report.election.outcome {
        Outcome::NotNeeded { .. } => return vec![plugin(&["status", name])],
        Outcome::Elected { .. } => return vec![explain(&rules::galera::ALL_DOWN)],
        Outcome::Refused(reasons) => reasons,
    };
    let mut next = Vec::new();
    if reasons.iter().any(|reason| matches!(reason, Reason::Histories(_))) {
        next.push(explain(&rules::galera::HISTORIES_ON_DISK));
    } else if reasons.iter().any(|reason| matches!(reason, Reason::DistrustedAhead { .. } | Reason::NobodyWhole)) {
        next.push(explain(&rules::galera::DISTRUSTED));
    } else if matches!(report.stopped, Some(Stopped::DryRun | Stopped::Declined)) {
        next.push(again(&[]));
    } else if report.election.all_read() && !report.election.to_recover(&report.seen).is_empty() {
        next.push(again(&["--recover-positions"]));
    } else {
        next.push(plugin(&["status", name]));
    }
    next
}

/// Cautions that belong to what was decided.
pub(super) fn cautions(report: &Report) -> Vec<&'static str> {
    let Outcome::Elected { tied, .. } = &report.election.outcome else { return Vec::new() };
    let mut cautions = Vec::new();
    let recovered =
        |candidate: &Candidate| candidate.at().is_some_and(|at| matches!(at.from, Source::Recovery | Source::StartLog));
    if report.election.candidates.values().any(recovered) {
        cautions.push(
            "a recovered position is what reached the disk: unless innodb_flush_log_at_trx_commit is 1, the last second before \
             a node lost its power may be on no disk at all",
        );
    }
    if !tied.is_empty() {
        cautions
            .push("equal positions are equal rows, unless pc.bootstrap or a forced bootstrap was used on more than one of them");
    }
    if report.seen.objects.stateful_set.replicas == 0 {
        cautions.push("the set wants no pods: a member beyond these whose volume is gone has left no trace");
    }
    let runs = |disk: &Disk| disk.process != Process::None;
    if report.seen.members.values().any(|member| member.files.known().is_ok_and(runs)) {
        cautions.push("servers still run beside some of these files: what they say may change with each start");
    }
    cautions
}

/// Why this much is unknown, for the case that a flag would help.
pub(super) fn stopped(report: &Report) -> Option<String> {
    let count = report.helpers.len();
    let pods = if count == 1 { "one helper pod" } else { "helper pods" };
    match report.stopped? {
        Stopped::DryRun => Some(format!("dry run: {pods} would be created, nothing was")),
        Stopped::Denied => {
            Some(format!("{pods} would be needed, and the API server would not take all of them: none was created"))
        }
        Stopped::Declined => Some(format!("{pods} would be needed, and you said no: none was created")),
        Stopped::NobodyToAsk => {
            Some(format!("{pods} would be needed, and there is no terminal to ask at: --yes creates them without a question"))
        }
    }
}

pub(super) fn short(uuid: &str) -> &str {
    uuid.split('-').next().unwrap_or(uuid)
}
