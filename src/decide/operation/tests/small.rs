//! A set, its pods and their data directories, as small as the deciders of operations need them: one Galera history, clean
//! stops, starts that join.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::decide::operation::bootstrap_name;
use crate::decide::operation::memo::Closed;
use crate::decide::operation::plan::{Action, Range};
use crate::model::fact::{Fact, Why};
use crate::model::names::Ordinal;
use crate::model::server::Galera;
use crate::model::snapshot::{Member, Snapshot};
use crate::model::testing::{galera_of, galera_server, healthy_galera, noon, pod, snapshot, view_member};
use crate::model::wsrep::Status;

/// What the API server and the volumes hold. Equal ones are the same spec and the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub range: Range,
    pub deletes: bool,
    pub disks: BTreeMap<Ordinal, Closed>,
    pub running: BTreeSet<Ordinal>,
}

#[derive(Clone, Debug)]
pub struct Small {
    pub kept: Kept,
    generation: i64,
    observed: i64,
    leaving: BTreeSet<Ordinal>,
    founder: Option<(Ordinal, bool)>,
    seqno: u64,
    base: Snapshot,
}

pub fn history() -> Uuid {
    Uuid::from_u128(0x2ec8)
}

impl Small {
    pub fn new(range: Range, deletes: bool) -> Self {
        let running: BTreeSet<Ordinal> = range.ordinals().collect();
        let disk = Closed { state_uuid: history(), seqno: None, safe_to_bootstrap: false, unclean: true };
        let disks = running.iter().map(|ordinal| (*ordinal, disk.clone())).collect();
        let mut base = snapshot((0..range.start + range.replicas).map(|ordinal| galera_server(ordinal, status(), Vec::new())));
        let claims: Vec<_> = base.objects.claims.known().unwrap().iter().skip(range.start as usize).cloned().collect();
        base.objects.claims = Fact::Known(claims);
        let kept = Kept { range, deletes, disks, running };
        Self { kept, generation: 1, observed: 1, leaving: BTreeSet::new(), founder: None, seqno: 10, base }
    }

    /// Nothing runs; `last` stopped last.
    pub fn stopped(full: Range, last: Ordinal) -> Self {
        let mut small = Self::new(full, false);
        small.kept.range = full.with(0);
        let others: Vec<Ordinal> = full.ordinals().filter(|ordinal| *ordinal != last).chain([last]).collect();
        others.into_iter().for_each(|ordinal| small.stop(ordinal));
        small
    }

    /// All that run, and they are one Primary component.
    pub fn members(&self) -> BTreeSet<Ordinal> {
        let founder = self.founder.filter(|(_, up)| *up).map(|(ordinal, _)| ordinal);
        self.kept.running.iter().copied().chain(founder).collect()
    }

    pub fn has_founder(&self) -> bool {
        self.founder.is_some()
    }

    /// How many run and have been told to stop.
    pub fn leaves(&self) -> usize {
        let wanted: BTreeSet<Ordinal> = self.kept.range.ordinals().collect();
        let told = self.kept.running.iter().filter(|ordinal| !wanted.contains(ordinal) || self.leaving.contains(ordinal));
        told.count() + usize::from(self.founder.is_some_and(|(founder, _)| self.leaving.contains(&founder)))
    }

    fn stop(&mut self, ordinal: Ordinal) {
        self.seqno += 1;
        let safe_to_bootstrap = self.members().len() == 1;
        self.kept.running.remove(&ordinal);
        if self.founder.is_some_and(|(founder, _)| founder == ordinal) {
            self.founder = None;
        }
        let closed = Closed { state_uuid: history(), seqno: Some(self.seqno), safe_to_bootstrap, unclean: false };
        self.kept.disks.insert(ordinal, closed);
    }

    fn start(&mut self, ordinal: Ordinal) {
        assert!(!self.members().contains(&ordinal), "two servers on one volume");
        let alone = self.members().is_empty();
        let disk = self.kept.disks.get_mut(&ordinal).expect("its volume is there");
        assert!(!alone || disk.safe_to_bootstrap, "{ordinal:?} may not found the cluster");
        assert!(!alone || disk.seqno == Some(self.seqno), "rows would be lost");
        *disk = Closed { seqno: None, safe_to_bootstrap: alone, unclean: true, ..disk.clone() };
        self.seqno += 1;
    }

    /// One thing happens.
    pub fn tick(&mut self) {
        self.observed = self.generation;
        if let Some(ordinal) = self.leaving.pop_last() {
            self.stop(ordinal);
            return;
        }
        if let Some((ordinal, false)) = self.founder {
            self.start(ordinal);
            self.founder = Some((ordinal, true));
            return;
        }
        let wanted: BTreeSet<Ordinal> = self.kept.range.ordinals().collect();
        if let Some(ordinal) = self.kept.running.difference(&wanted).last() {
            assert!(!self.kept.deletes, "its volume would be deleted");
            self.leaving.insert(*ordinal);
        } else if let Some(ordinal) = wanted.difference(&self.kept.running).next().copied() {
            assert!(self.founder.is_none_or(|(founder, _)| founder != ordinal), "two servers on one volume");
            assert!(!self.members().is_empty(), "nobody is there to join");
            self.start(ordinal);
            self.kept.running.insert(ordinal);
        }
    }

    /// Carries an action out; what reading finds.
    pub fn act(&mut self, action: &Action) -> Vec<(Ordinal, Closed)> {
        match action {
            Action::Range { from, to } => {
                assert_eq!(*from, self.kept.range, "a change of what is no more so");
                self.kept.range = *to;
                self.generation += 1;
            }
            Action::WhenScaled { delete } => {
                self.kept.deletes = *delete;
                self.generation += 1;
            }
            Action::Inspect { ordinals } => {
                assert!(ordinals.iter().all(|ordinal| !self.members().contains(ordinal)), "a server runs there");
                return ordinals.iter().map(|ordinal| (*ordinal, self.kept.disks[ordinal].clone())).collect();
            }
            Action::Bootstrap { ordinal, .. } => {
                assert!(self.kept.range.ordinals().all(|wanted| wanted != *ordinal), "the set would start a second one there");
                self.founder.get_or_insert((*ordinal, false));
            }
            Action::EndBootstrap { ordinal } => {
                assert!(self.members().len() > 1, "the last one would stop");
                self.leaving.insert(*ordinal);
            }
            Action::Record { .. } | Action::Forget => {}
            other => panic!("no step of a stop or a start: {other:?}"),
        }
        Vec::new()
    }

    pub fn snapshot(&self) -> Snapshot {
        let mut seen = self.base.clone();
        let set = &mut seen.objects.stateful_set;
        (set.start, set.replicas) = (self.kept.range.start, self.kept.range.replicas);
        (set.generation, set.observed_generation) = (self.generation, self.observed);
        set.deletes_claims_when_scaled = self.kept.deletes;
        let members = self.members();
        let conf_id = Some(self.seqno);
        let statuses: BTreeMap<Ordinal, Status> = members.iter().map(|ordinal| (*ordinal, of(*ordinal, conf_id))).collect();
        let view: Vec<_> = statuses.iter().filter_map(|(ordinal, status)| view_member(ordinal.0, status)).collect();
        for (ordinal, status) in &statuses {
            let own: &mut Galera = galera_of(&mut seen, ordinal.0);
            (own.status, own.view) = (status.clone(), view.clone());
        }
        let wanted: BTreeSet<Ordinal> = self.kept.range.ordinals().collect();
        seen.members.retain(|ordinal, _| members.contains(ordinal) || wanted.contains(ordinal) || self.is_founder(*ordinal));
        for (ordinal, member) in &mut seen.members {
            self.pod_of(*ordinal, member, members.contains(ordinal));
        }
        seen
    }

    fn is_founder(&self, ordinal: Ordinal) -> bool {
        self.founder.is_some_and(|(founder, _)| founder == ordinal)
    }

    fn pod_of(&self, ordinal: Ordinal, member: &mut Member, runs: bool) {
        let mut own = pod(ordinal.0);
        if self.is_founder(ordinal) {
            own.name = bootstrap_name("db", ordinal);
        }
        own.deletion = self.leaving.contains(&ordinal).then(noon);
        member.pod = (runs || self.is_founder(ordinal)).then_some(own);
        if !runs {
            member.server = Fact::Unknown(Why::NotRunning("it does not run".to_owned()));
        }
    }
}

fn status() -> Status {
    galera_of(&mut healthy_galera(), 0).status.clone()
}

fn of(ordinal: Ordinal, conf_id: Option<u64>) -> Status {
    let gcomm_uuid = Some(Uuid::from_u128(0x100 + u128::from(ordinal.0)));
    Status { gcomm_uuid, conf_id, cluster_state_uuid: history(), local_state_uuid: history(), ..status() }
}
