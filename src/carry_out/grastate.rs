//! `galera grastate`: read every data directory, by helper pods where nothing else can, and elect.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::api::Api;
use crate::api::objects::get_whole_stateful_set;
use crate::decide::election::{Election, Outcome, elect, exit};
use crate::decide::helper::{Helper, Plan, Template, inspections, recoveries, unread};
use crate::failure::{Exit, Failure, Kind};
use crate::model::fact::{Fact, Why};
use crate::model::names::{Ordinal, Target};
use crate::model::recovered::Recovered;
use crate::model::snapshot::Snapshot;
use crate::model::target_name::TargetName;
use crate::model::topology::Topology;
use crate::observe::{self, Depth};

use super::helper::Helpers;
use super::{Consent, Mode};

/// How long a container that crashes and starts again is waited for, before a helper pod is thought of.
pub const WINDOW: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// What the user called the cluster, if that was more than its namespace.
    pub name: Option<&'a TargetName>,
    pub depth: Depth,
    /// Recover positions that the files do not tell.
    pub recover: bool,
    pub mode: Mode,
}

/// Everything that was seen and done.
#[derive(Clone, Debug)]
pub struct Report {
    pub seen: Snapshot,
    pub election: Election,
    pub recovered: BTreeMap<Ordinal, Recovered>,
    /// Ordinals whose files a helper pod read.
    pub by_helper: BTreeSet<Ordinal>,
    /// Helper pods that were planned, in order.
    pub helpers: Vec<Planned>,
    /// Why not all of them were used.
    pub stopped: Option<Stopped>,
    /// Why positions were not recovered, although that was asked for.
    pub not_recovered: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Planned {
    pub helper: Helper,
    pub state: HelperState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelperState {
    Planned,
    /// The API server would take it.
    Accepted,
    /// The API server would not, and why.
    Denied(Why),
    /// It has run, and its Job was removed.
    Used,
}

/// Why planned helper pods were not created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    DryRun,
    Denied,
    Declined,
    NobodyToAsk,
}

/// One run. `helpers` is given by the caller, who removes what is left however this ends.
///
/// # Errors
/// The set or its pods could not be read; it is no Galera cluster, or not of the kind that it was called.
pub async fn run(
    api: &Api,
    target: &Target,
    options: Options<'_>,
    helpers: &Helpers<'_>,
    mut agree: impl AsyncFnMut(&[Helper]) -> Consent,
) -> Result<Report, Failure> {
    let mut seen = Box::pin(observe::datadirs(api, target, options.depth)).await?;
    options.name.map_or(Ok(()), |name| observe::is_of_kind(name, &seen))?;
    refuse_others(&seen)?;
    let mut report = Report {
        election: elect(&seen, &BTreeMap::new()),
        seen: seen.clone(),
        recovered: BTreeMap::new(),
        by_helper: BTreeSet::new(),
        helpers: Vec::new(),
        stopped: None,
        not_recovered: None,
    };
    if matches!(report.election.outcome, Outcome::NotNeeded { .. }) {
        return Ok(report);
    }
    Box::pin(observe::catch(api, &mut seen, options.depth, WINDOW)).await;
    report.seen = seen;
    report.elect();
    report.recovered = Box::pin(observe::in_logs(api, &report.seen, report.election.to_recover(&report.seen))).await;
    report.elect();
    if matches!(report.election.outcome, Outcome::NotNeeded { .. } | Outcome::Elected { .. }) {
        return Ok(report);
    }
    let set = get_whole_stateful_set(api, &target.namespace, &target.name).await?;
    let template = &set["spec"]["template"];
    if unread(&report.seen).next().is_some() {
        let limit = options.depth.pod_timeout;
        let homes = Box::pin(observe::homes(api, &report.seen, unread(&report.seen), limit)).await;
        let plan = inspections(&report.seen, Template { set: &report.seen.objects.stateful_set, template }, &homes);
        report.cannot_be_read(&plan);
        if report.pass(helpers, plan.helpers.clone(), options.mode, &mut agree).await {
            let found = Box::pin(helpers.inspect(&plan.helpers)).await;
            report.take(found);
        }
        report.elect();
    }
    let wanted = report.election.to_recover(&report.seen);
    if options.recover && report.stopped.is_none() && !wanted.is_empty() {
        if exit(&report.election.outcome) == Exit::Refused {
            report.not_recovered = Some("no position would change that none may be chosen".to_owned());
            return Ok(report);
        }
        if !report.election.all_read() {
            report.not_recovered = Some("recovery writes, so it waits until the files of every member are read".to_owned());
            return Ok(report);
        }
        let plan = recoveries(&report.seen, Template { set: &report.seen.objects.stateful_set, template }, &wanted);
        report.cannot_be_recovered(&plan);
        if report.pass(helpers, plan.helpers.clone(), options.mode, &mut agree).await {
            report.recovered.extend(Box::pin(helpers.recover(&plan.helpers)).await);
        }
        report.elect();
    }
    Ok(report)
}

fn refuse_others(seen: &Snapshot) -> Result<(), Failure> {
    let what = match Topology::of(seen) {
        Topology::Galera | Topology::Unknown { .. } => return Ok(()),
        Topology::Replication { .. } => "its servers replicate by GTID",
        Topology::Single => "it is a single server",
        Topology::Independent => "its servers are independent",
    };
    let text = format!("{} is no Galera cluster: {what}", seen.target);
    Err(Failure::new(Kind::Other, text).hint(format!("see `kubectl mariadb status {}`", seen.target.name)))
}

impl Report {
    fn elect(&mut self) {
        self.election = elect(&self.seen, &self.recovered);
    }

    fn cannot_be_read(&mut self, plan: &Plan) {
        for (ordinal, why) in &plan.impossible {
            if let Some(member) = self.seen.members.get_mut(ordinal) {
                member.files = Fact::Unknown(Why::NotRunning(why.clone()));
            }
        }
    }

    fn cannot_be_recovered(&mut self, plan: &Plan) {
        let said: Vec<String> =
            plan.impossible.iter().map(|(ordinal, why)| format!("{}: {why}", self.seen.pod_name(*ordinal))).collect();
        self.not_recovered = Some(said.join("; ")).filter(|_| !said.is_empty());
    }

    fn take(&mut self, found: BTreeMap<Ordinal, Fact<crate::model::disk::Disk>>) {
        for (ordinal, files) in found {
            if files.known().is_ok() {
                self.by_helper.insert(ordinal);
            }
            if let Some(member) = self.seen.members.get_mut(&ordinal) {
                member.files = files;
            }
        }
    }

    /// Whether these may be created now. All are proven before the first is (safety C3).
    async fn pass(
        &mut self,
        helpers: &Helpers<'_>,
        planned: Vec<Helper>,
        mode: Mode,
        agree: &mut impl AsyncFnMut(&[Helper]) -> Consent,
    ) -> bool {
        if planned.is_empty() {
            return false;
        }
        let denied = if mode == Mode::Plan { BTreeMap::new() } else { Box::pin(helpers.prove(&planned)).await };
        self.stopped = match mode {
            _ if !denied.is_empty() => Some(Stopped::Denied),
            Mode::Plan | Mode::Prove => Some(Stopped::DryRun),
            Mode::Do => match agree(&planned).await {
                Consent::Given => None,
                Consent::Declined => Some(Stopped::Declined),
                Consent::NobodyToAsk => Some(Stopped::NobodyToAsk),
            },
        };
        for helper in planned {
            let state = match (denied.get(&helper.ordinal), self.stopped, mode) {
                (Some(denied), ..) => HelperState::Denied(denied.clone().into()),
                (None, None, _) => HelperState::Used,
                (None, _, Mode::Plan) => HelperState::Planned,
                (None, Some(_), _) => HelperState::Accepted,
            };
            if let (HelperState::Denied(why), Some(member)) = (&state, self.seen.members.get_mut(&helper.ordinal))
                && matches!(member.files, Fact::Unknown(_))
            {
                member.files = Fact::Unknown(why.clone());
            }
            self.helpers.push(Planned { helper, state });
        }
        self.stopped.is_none()
    }
}
