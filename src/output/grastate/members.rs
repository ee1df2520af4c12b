//! One data directory in the document.

use serde::Serialize;

use crate::carry_out::grastate::Report;
use crate::decide::election::{Candidate, Source, Told, Trust};
use crate::model::disk::{Disk, Process, StateFile};
use crate::model::names::Ordinal;
use crate::output::status::Unknown;

use super::words;

/// One ordinal.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GrastateMember {
    /// The name its pod has, or would have.
    pub name: String,
    pub exists: bool,
    /// What its data directory holds, if that could be read.
    pub files: Option<FilesStatus>,
    pub files_unknown: Option<Unknown>,
    /// The best position that is known, trusted or not.
    pub position: Option<PositionStatus>,
    /// Why none is known; `null` also if recovery says that there is none.
    pub position_unknown: Option<String>,
    /// `whole`, `never` (be chosen) or `unread`.
    pub trust: String,
    /// What speaks against it.
    pub because: Vec<String>,
    /// What choosing it would lose; empty also if it is never chosen.
    pub losses: Vec<String>,
}

/// The state files.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FilesStatus {
    /// `container` or `helper`.
    pub read_by: String,
    pub datadir: String,
    /// `absent`, `empty`, `damaged` or `present`.
    pub grastate: String,
    pub uuid: Option<String>,
    /// -1: not known.
    pub seqno: Option<String>,
    pub safe_to_bootstrap: Option<bool>,
    /// `absent`, `empty`, `damaged` or `present`; present unless the server stopped cleanly.
    pub gvwstate: String,
    /// Marks of a state transfer that runs or was cut.
    pub markers: Vec<String>,
    /// Whether there is a database in the directory.
    pub initialised: bool,
    /// Whether a server process runs beside it.
    pub server_runs: bool,
    /// The last version whose system tables are installed.
    pub version: Option<String>,
}

/// How far it is in which history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PositionStatus {
    pub uuid: String,
    pub seqno: String,
    /// `sql`, `grastate`, `recovery` (in a helper pod) or `startLog` (the last start recovered it itself).
    pub from: String,
}

pub(super) fn all(report: &Report) -> Vec<GrastateMember> {
    report.election.candidates.iter().map(|(ordinal, candidate)| member(report, *ordinal, candidate)).collect()
}

fn member(report: &Report, ordinal: Ordinal, candidate: &Candidate) -> GrastateMember {
    let member = &report.seen.members[&ordinal];
    let trust = match &candidate.trust {
        Trust::Whole => "whole",
        Trust::Never(_) => "never",
        Trust::Unread(_) => "unread",
    };
    let unread = match &candidate.trust {
        Trust::Unread(why) => Some(why),
        _ => None,
    };
    let files = member.files.known().ok().filter(|_| unread.is_none());
    GrastateMember {
        name: report.seen.pod_name(ordinal),
        exists: member.pod.is_some(),
        files: files.map(|disk| FilesStatus::new(disk, report.by_helper.contains(&ordinal))),
        files_unknown: unread.map(Into::into),
        position: candidate.at().map(|at| PositionStatus {
            uuid: at.uuid.to_string(),
            seqno: at.seqno.to_string(),
            from: source(at.from).to_owned(),
        }),
        position_unknown: match &candidate.position {
            Told::Unknown(why) if candidate.counts() && unread.is_none() => Some(why.clone()),
            _ => None,
        },
        trust: trust.to_owned(),
        because: words::because(candidate),
        losses: candidate.losses.iter().map(|loss| words::loss(report, loss)).collect(),
    }
}

const fn source(source: Source) -> &'static str {
    match source {
        Source::Sql => "sql",
        Source::Grastate => "grastate",
        Source::Recovery => "recovery",
        Source::StartLog => "startLog",
    }
}

impl FilesStatus {
    fn new(disk: &Disk, by_helper: bool) -> Self {
        let grastate = disk.grastate.parsed();
        let seqno = |seqno: Option<u64>| seqno.map_or_else(|| "-1".to_owned(), |seqno| seqno.to_string());
        Self {
            read_by: if by_helper { "helper" } else { "container" }.to_owned(),
            datadir: disk.datadir.clone(),
            grastate: presence(&disk.grastate).to_owned(),
            uuid: grastate.map(|state| state.uuid.to_string()),
            seqno: grastate.map(|state| seqno(state.seqno)),
            safe_to_bootstrap: grastate.and_then(|state| state.safe_to_bootstrap),
            gvwstate: presence(&disk.gvwstate).to_owned(),
            markers: disk.transfer_markers.clone(),
            initialised: disk.initialised,
            server_runs: disk.process != Process::None,
            version: disk.upgrade_info.clone(),
        }
    }
}

const fn presence<T>(file: &StateFile<T>) -> &'static str {
    match file {
        StateFile::Absent => "absent",
        StateFile::Empty => "empty",
        StateFile::Malformed { .. } => "damaged",
        StateFile::Parsed(_) => "present",
    }
}
