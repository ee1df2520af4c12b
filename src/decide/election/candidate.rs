//! One data directory as a candidate: its position, how that is known, and whether to trust it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::decide::exit::Standing;
use crate::model::disk::{Disk, Process, StateFile};
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::Layout;
use crate::model::names::Ordinal;
use crate::model::recovered::{Recovered, RecoveredBy};
use crate::model::server::Galera;
use crate::model::snapshot::Member;

#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub position: Told,
    /// Every history that its files, its server or a recovery name; the nil UUID is none.
    pub histories: BTreeSet<Uuid>,
    pub trust: Trust,
    /// As Galera would take it: a missing `grastate.dat` counts as 1, a missing line as 0. A hint that is not believed.
    pub safe_to_bootstrap: bool,
    /// Position recovery in a helper pod has been tried.
    pub recovery_tried: bool,
    /// What choosing it would lose; empty also if it can never be chosen.
    pub losses: Vec<Loss>,
}

/// What is known of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    At(At),
    /// Recovery says that this directory never had one.
    None,
    /// Why nothing tells it.
    Unknown(String),
}

/// A position and who tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    pub uuid: Uuid,
    pub seqno: u64,
    pub from: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The running server.
    Sql,
    /// `grastate.dat` of a clean stop.
    Grastate,
    /// `--wsrep-recover` in a helper pod.
    Recovery,
    /// The log of the last start, which recovered it itself.
    StartLog,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Trust {
    /// Nothing in its files speaks against it.
    Whole,
    /// Never chosen, whatever position it reports (safety A3).
    Never(Vec<Bar>),
    /// Its files could not be read.
    Unread(Why),
}

/// What forbids a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bar {
    /// A state transfer into it was cut: these marks are left.
    HalfCopy(Vec<String>),
    /// `grastate.dat` of 0 bytes: its first state transfer never completed.
    EmptyGrastate,
    /// Zero UUID: Galera itself says that the data is not to be trusted.
    ZeroUuid,
    /// There is a database, and no `grastate.dat`.
    NoGrastate,
    /// `grastate.dat` is unreadable, and why.
    DamagedGrastate(String),
    /// There is no database in it.
    NoDatabase,
    /// Its server runs with Galera switched off and changes alone.
    WithoutGalera,
}

/// What is gone if one candidate is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Write sets `from..=to`, which only these have. An upper bound: changes of the membership take numbers too.
    WriteSets { of: BTreeSet<Ordinal>, from: u64, to: u64 },
    /// All that these hold of another history.
    History { uuid: Uuid, of: BTreeSet<Ordinal> },
    /// Whatever only these hold: their position is not known.
    Unknown { of: BTreeSet<Ordinal> },
}

impl Candidate {
    /// The best position that is known, trusted or not.
    #[must_use]
    pub const fn at(&self) -> Option<At> {
        match self.position {
            Told::At(at) => Some(at),
            Told::None | Told::Unknown(_) => None,
        }
    }

    /// Its position, if it may be chosen.
    #[must_use]
    pub fn electable(&self) -> Option<At> {
        self.at().filter(|_| self.trust == Trust::Whole)
    }

    /// A half copy or an empty directory holds nothing that was acknowledged there alone: what it had before, its group
    /// discarded when it asked for the transfer.
    #[must_use]
    pub fn counts(&self) -> bool {
        let discarded = |bar: &Bar| matches!(bar, Bar::HalfCopy(_) | Bar::EmptyGrastate | Bar::NoDatabase);
        !matches!(&self.trust, Trust::Never(bars) if bars.iter().any(discarded))
    }

    /// It may hold more than is known.
    #[must_use]
    pub fn hides(&self) -> bool {
        self.counts()
            && match (&self.trust, &self.position) {
                (Trust::Unread(_), _) | (_, Told::Unknown(_)) => true,
                // Its own file names a history, and the database knows of none.
                (_, Told::None) => !self.histories.is_empty(),
                (_, Told::At(_)) => false,
            }
    }
}

pub(super) fn of(layout: &Layout, member: &Member, standing: Standing<'_>, recovered: Option<&Recovered>) -> Candidate {
    let server = member.server.known().ok();
    let galera = server.and_then(|server| server.galera.as_ref());
    let misplaced = member.files.known().ok().and_then(|disk| misplaced(layout, disk));
    let disk = match &misplaced {
        Some(why) => Err(why),
        None => member.files.known(),
    };
    let bars = disk.map(bars).unwrap_or_default();
    let alone = server.is_some() && galera.is_none();
    let trust = match disk {
        Err(why) => Trust::Unread(why.clone()),
        Ok(_) if alone => Trust::Never([bars, vec![Bar::WithoutGalera]].concat()),
        Ok(_) if !bars.is_empty() => Trust::Never(bars),
        Ok(_) => Trust::Whole,
    };
    let position = if alone {
        Told::Unknown("its server runs with Galera switched off".to_owned())
    } else {
        position(disk.ok(), galera, standing, recovered)
    };
    let in_file = disk.ok().and_then(|disk| disk.grastate.parsed()).map(|state| state.uuid);
    let by_recovery = recovered.and_then(|recovered| recovered.position.known().ok()).map(|found| found.uuid);
    let by_server = galera.map(|galera| galera.status.local_state_uuid);
    let histories = [in_file, by_recovery, by_server].into_iter().flatten().filter(|uuid| !uuid.is_nil()).collect();
    let recovery_tried = recovered.is_some_and(|recovered| recovered.by == RecoveredBy::Helper);
    let safe_to_bootstrap = disk.is_ok_and(safe);
    Candidate { position, histories, trust, safe_to_bootstrap, recovery_tried, losses: Vec::new() }
}

/// Without a running server, where its data is was told by its configuration files. A directory of the image in the place of
/// the volume would look empty, and whoever is empty is no obstacle.
fn misplaced(layout: &Layout, disk: &Disk) -> Option<Why> {
    let holds = |path: &str| {
        let rest = disk.datadir.strip_prefix(path.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let on_a_mount = layout.mounts.iter().any(|mount| holds(&mount.path));
    let text = || format!("the look found the data directory {}, which is on no volume of the pod", disk.datadir);
    (disk.process == Process::None && !on_a_mount).then(|| Why::Failed(text()))
}

/// The server first, then a recovery just made, then the file of a clean stop, then what the last start recovered.
fn position(disk: Option<&Disk>, galera: Option<&Galera>, standing: Standing<'_>, recovered: Option<&Recovered>) -> Told {
    let status = galera.map(|galera| &galera.status).filter(|status| !status.local_state_uuid.is_nil());
    if let Some((uuid, seqno)) = status.and_then(|status| Some((status.local_state_uuid, status.last_committed?))) {
        return Told::At(At { uuid, seqno, from: Source::Sql });
    }
    if galera.is_some() {
        return Told::Unknown("its server names no position".to_owned());
    }
    let helper = recovered.filter(|recovered| recovered.by == RecoveredBy::Helper);
    if let Some(recovered) = helper {
        return recovery(recovered, Source::Recovery);
    }
    let Some(disk) = disk else { return Told::Unknown("its files could not be read".to_owned()) };
    if let Some((uuid, seqno)) = clean(disk) {
        return Told::At(At { uuid, seqno, from: Source::Grastate });
    }
    match recovered.map(|recovered| recovery(recovered, Source::StartLog)) {
        Some(told @ Told::At(_)) => told,
        _ => Told::Unknown(why_unknown(disk, standing)),
    }
}

fn recovery(recovered: &Recovered, from: Source) -> Told {
    match &recovered.position {
        Fact::Unknown(why) => Told::Unknown(why.to_string()),
        Fact::Known(found) => match (found.known(), found.seqno) {
            (Some((uuid, seqno)), _) => Told::At(At { uuid, seqno, from }),
            (None, None) => Told::None,
            (None, Some(_)) => {
                Told::Unknown("its data is of a cluster with the zero UUID, which compares with nothing".to_owned())
            }
        },
    }
}

/// The saved position of a server that stopped cleanly. One that was killed while its provider was paused leaves a seqno too,
/// and its view file (V8 of the experiments: believing it cost four acknowledged rows).
fn clean(disk: &Disk) -> Option<(Uuid, u64)> {
    let state = disk.grastate.parsed().filter(|_| disk.gvwstate == StateFile::Absent && disk.process == Process::None)?;
    state.seqno.filter(|_| !state.uuid.is_nil()).map(|seqno| (state.uuid, seqno))
}

fn why_unknown(disk: &Disk, standing: Standing<'_>) -> String {
    let seqno = disk.grastate.parsed().and_then(|state| state.seqno);
    let why = match (&disk.process, seqno) {
        (Process::Running { .. }, _) if standing == Standing::Quiet => "its server runs and takes no statements",
        (Process::Running { .. }, _) => "its server runs",
        (Process::None, Some(_)) => "it has a seqno, and gvwstate.dat shows that its server did not stop cleanly",
        (Process::None, None) => "its files do not tell (seqno -1): the server was killed, or a later start failed",
    };
    why.to_owned()
}

fn bars(disk: &Disk) -> Vec<Bar> {
    let mut bars = Vec::new();
    // An older journal names what a donor leaves, too.
    let marks: Vec<String> = disk.transfer_markers.iter().filter(|mark| *mark != "wsrep_sst.pid").cloned().collect();
    if !marks.is_empty() {
        bars.push(Bar::HalfCopy(marks));
    }
    if !disk.initialised {
        bars.push(Bar::NoDatabase);
    }
    match &disk.grastate {
        StateFile::Empty => bars.push(Bar::EmptyGrastate),
        StateFile::Absent if disk.initialised => bars.push(Bar::NoGrastate),
        StateFile::Malformed { problem, .. } => bars.push(Bar::DamagedGrastate(problem.clone())),
        StateFile::Parsed(state) if state.uuid.is_nil() => bars.push(Bar::ZeroUuid),
        StateFile::Absent | StateFile::Parsed(_) => {}
    }
    bars
}

fn safe(disk: &Disk) -> bool {
    match &disk.grastate {
        StateFile::Absent => true,
        StateFile::Parsed(state) => state.safe_to_bootstrap == Some(true),
        StateFile::Empty | StateFile::Malformed { .. } => false,
    }
}

/// What the others have and `chosen` has not.
pub(super) fn losses(chosen: Ordinal, candidates: &BTreeMap<Ordinal, Candidate>) -> Vec<Loss> {
    let Some(own) = candidates.get(&chosen).filter(|own| own.trust == Trust::Whole) else { return Vec::new() };
    let others = || candidates.iter().filter(|(ordinal, other)| **ordinal != chosen && other.counts());
    let mut losses = Vec::new();
    let mut erased: BTreeMap<Uuid, BTreeSet<Ordinal>> = BTreeMap::new();
    for (ordinal, other) in others() {
        for uuid in other.histories.difference(&own.histories) {
            erased.entry(*uuid).or_default().insert(*ordinal);
        }
    }
    losses.extend(erased.into_iter().map(|(uuid, of)| Loss::History { uuid, of }));
    if let Some(at) = own.at() {
        let ahead: BTreeMap<Ordinal, u64> = others()
            .filter_map(|(ordinal, other)| Some((*ordinal, other.at()?)))
            .filter(|(_, other)| other.uuid == at.uuid && other.seqno > at.seqno)
            .map(|(ordinal, other)| (ordinal, other.seqno))
            .collect();
        if let Some(to) = ahead.values().copied().max() {
            losses.push(Loss::WriteSets { of: ahead.into_keys().collect(), from: at.seqno + 1, to });
        }
    }
    // Of one that does not know its own position, nothing can be said about anybody else's either.
    let unknown = others().filter(|(_, other)| other.hides() || (own.at().is_none() && !other.histories.is_empty()));
    let of: BTreeSet<Ordinal> = unknown.map(|(ordinal, _)| *ordinal).collect();
    if !of.is_empty() {
        losses.push(Loss::Unknown { of });
    }
    losses
}
