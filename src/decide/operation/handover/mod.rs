//! The primary of a plain replicating set, handed over to one of its replicas without losing a row (safety D3, F2, F6).
//!
//! The old one is closed first, and nothing goes on before everybody has all it has. The new one follows it until the last moment,
//! also while it is followed itself already: what an account writes that `read_only` does not stop arrives, too. Each step is
//! decided by what the servers say. On the way back the old one takes writes again before anything else: it needs nobody.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::gtid::Gtid;
use crate::model::kubernetes::Service;
use crate::model::names::Ordinal;
use crate::model::replica::{Channel, IoThread};
use crate::model::server::Server;
use crate::model::snapshot::Snapshot;
use crate::model::topology::{Source, source_of};

use super::formation::server;
use super::journal::Begun;
use super::plan::{Action, Refusal, Step};

/// By this label a Service leads to one pod; every pod of a set has it.
pub const POD_LABEL: &str = "statefulset.kubernetes.io/pod-name";

/// Nobody can write while it is waited for.
pub const AWAITED: Duration = Duration::from_secs(20);

/// From which server to which one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handover {
    pub from: Ordinal,
    pub to: Ordinal,
    /// The Services that lead to the primary alone, and are to lead to the new one.
    pub services: Vec<String>,
}

impl Handover {
    /// What moves the role from `from` to `to`, if that can be done without loss and the clients be moved along.
    ///
    /// # Errors
    /// A fact that is needed is not known. Inside of it: why it cannot be done here.
    pub fn of(seen: &Snapshot, from: Ordinal, to: Ordinal) -> Result<Result<Self, Refusal>, Why> {
        let (old, new) = (seen.pod_name(from), seen.pod_name(to));
        let refused = |because: String| {
            let summary = format!("{old} is the primary and would be newer than {new}, and its role cannot be handed over");
            let status = format!("status {}", seen.target.name);
            Ok(Err(Refusal::new(&rules::PRIMARY_NOT_LAST, summary).because([because]).plugin(&status)))
        };
        let services = seen.objects.services.known().map_err(Clone::clone)?;
        let leads = |service: &&Service| service.selector.get(POD_LABEL) == Some(&old);
        let services: Vec<String> = services.iter().filter(leads).map(|service| service.name.clone()).collect();
        if services.is_empty() {
            return refused(format!("no Service selects {old} by the label {POD_LABEL}: how clients find it is not known"));
        }
        for (ordinal, _) in seen.expected().filter(|(ordinal, _)| *ordinal != from) {
            let Some(replica) = server(seen, ordinal) else { continue };
            if let Some(why) = unlike(&replica.channels, &old) {
                return refused(format!("{} {why}", seen.pod_name(ordinal)));
            }
        }
        if !server(seen, to).is_some_and(|server| server.binlog.enabled && server.binlog.logs_replicated) {
            return refused(format!("{new} does not log what it replicates (log_slave_updates): nobody could follow it"));
        }
        let written = server(seen, from).map(|server| &server.gtid);
        if written.is_none_or(|gtid| gtid.binlog_pos.0.iter().any(|(domain, last)| gtid.current_pos.0.get(domain) != Some(last)))
        {
            return refused(format!("gtid_current_pos of {old} is not what it has logged last: it could not go on from there"));
        }
        let files = seen.members.get(&from).and_then(|member| member.files.known().ok());
        match files.and_then(|disk| disk.starts_read_only) {
            Some(true) => Ok(Ok(Self { from, to, services })),
            Some(false) => {
                let summary = format!("{old} is to be a replica and would come back as a server that takes writes");
                let because = format!("read_only at the next start of {old}, by its configuration: OFF");
                Ok(Err(Refusal::new(&rules::OPENS_ITSELF, summary).because([because])))
            }
            None => refused(format!("whether the configuration of {old} starts it read-only is not known")),
        }
    }

    /// Whether the new one may have been opened: from then on there is only the way forward (safety F6).
    fn may_be_promoted(&self, begun: &[Begun]) -> bool {
        begun.iter().any(|step| step.act == Action::Promote { ordinal: self.to })
    }

    /// Whether anybody else than the journal was told of it.
    fn has_begun(&self, begun: &[Begun]) -> bool {
        let changes = |act: &Action| match act {
            Action::Close { ordinal } | Action::Promote { ordinal } => *ordinal == self.from || *ordinal == self.to,
            Action::Follow { .. } | Action::Lead { .. } => true,
            _ => false,
        };
        begun.iter().any(|step| changes(&step.act))
    }

    /// What is left to do when the operation is taken back.
    ///
    /// # Errors
    /// What is waited for.
    pub fn taken_back(&self, seen: &Snapshot, begun: &[Begun]) -> Result<Vec<Step>, String> {
        match (self.has_begun(begun), self.may_be_promoted(begun)) {
            (false, _) => Ok(Vec::new()),
            (true, true) => self.left(seen),
            (true, false) => self.given_back(seen),
        }
    }

    /// The old one has everything and needs nobody: it takes writes again before anything else, whatever became of the others.
    fn given_back(&self, seen: &Snapshot) -> Result<Vec<Step>, String> {
        let old = asked(seen, self.from)?;
        let back = Self { from: self.to, to: self.from, services: self.services.clone() };
        let lead = back.lead(seen);
        let mut steps: Vec<Step> = lead.iter().flatten().cloned().collect();
        if is_open(old) {
            lead?;
        } else {
            // Also while the Services cannot be seen: they may lead there still.
            steps.push(promote(seen, self.from));
        }
        let led = |channel: &Channel| source_of(seen, channel) == Source::Pod(self.from) && !was_stopped(channel);
        let strays = |channels: &[Channel]| !channels.iter().any(led);
        let others = seen.expected().map(|(ordinal, _)| ordinal).filter(|ordinal| *ordinal != self.from);
        let follows: Vec<Ordinal> =
            others.filter(|ordinal| server(seen, *ordinal).is_some_and(|server| strays(&server.channels))).collect();
        if !follows.is_empty() {
            steps.push(back.follow(seen, follows));
        }
        steps.push(noted(seen, self.from));
        Ok(steps)
    }

    /// The step with which it begins.
    #[must_use]
    pub fn begun(&self, seen: &Snapshot) -> Step {
        let (old, new) = (seen.pod_name(self.from), seen.pod_name(self.to));
        let say = format!("hand the role of the primary over from {old} to {new}, so that the primary is replaced last");
        Step::new(format!("hand over to {new}"), say, Action::HandOver { handover: self.clone() })
    }

    /// What is left to do.
    ///
    /// # Errors
    /// What is waited for, in words that follow "waiting: ".
    pub fn left(&self, seen: &Snapshot) -> Result<Vec<Step>, String> {
        let (old, new) = (asked(seen, self.from)?, asked(seen, self.to)?);
        let mut steps = Vec::new();
        match (is_open(old), is_open(new)) {
            (true, true) => return Err(format!("{} and {} both take writes", seen.pod_name(self.from), seen.pod_name(self.to))),
            (_, true) => {}
            (_, false) if old.read_only => self.all_have_it(seen, old)?,
            (_, false) => steps.push(close(seen, self.from)),
        }
        let (follows, pending) = self.followers(seen)?;
        if !follows.is_empty() {
            steps.push(self.follow(seen, follows));
        } else if let Some(why) = pending.filter(|_| steps.is_empty() && !is_open(new)) {
            return Err(why);
        }
        steps.extend(self.lead(seen)?);
        if is_open(new) {
            // What the new one has written since may have reached the old one before the new one was asked.
            let errant = old.gtid.errant_against(&new.gtid);
            if let Some(first) = errant.iter().find(|errant| errant.server == old.server_id) {
                let (old, new) = (seen.pod_name(self.from), seen.pod_name(self.to));
                return Err(format!(
                    "{old} has transactions that {new} lacks ({first}): somebody wrote on it although it was read-only"
                ));
            }
        } else {
            steps.push(promote(seen, self.to));
        }
        steps.push(noted(seen, self.to));
        Ok(steps)
    }

    /// What gives the role back when it was waited for in vain: clients come first.
    #[must_use]
    pub fn called_off(&self, seen: &Snapshot, begun: &[Begun]) -> Vec<Step> {
        let closed = server(seen, self.from).is_some_and(|server| server.read_only);
        if !closed || !self.has_begun(begun) || self.may_be_promoted(begun) {
            return Vec::new();
        }
        let steps = self.given_back(seen).unwrap_or_default();
        steps.into_iter().filter(|step| matches!(step.act, Action::Lead { .. } | Action::Promote { .. })).collect()
    }

    /// Whether the new one takes writes.
    #[must_use]
    pub fn is_promoted(&self, seen: &Snapshot) -> bool {
        server(seen, self.to).is_some_and(is_open)
    }

    /// Whether two looks show that nobody writes on the closed one any more: some accounts may.
    ///
    /// # Errors
    /// Somebody does.
    pub fn confirmed(&self, first: &Snapshot, second: &Snapshot) -> Result<(), String> {
        let own = |server: &Server| -> Vec<Gtid> {
            server.gtid.binlog_state.0.iter().copied().filter(|gtid| gtid.server == server.server_id).collect()
        };
        let closed = |seen| server(seen, self.from).filter(|server| server.read_only).map(own);
        match (closed(first), closed(second)) {
            (Some(before), Some(after)) if before != after => {
                Err(format!("somebody writes on {} although it is read-only", second.pod_name(self.from)))
            }
            _ => Ok(()),
        }
    }

    /// Whether every server has what the closed one has; an empty position would prove nothing (V38).
    fn all_have_it(&self, seen: &Snapshot, old: &Server) -> Result<(), String> {
        let (had, source) = (&old.gtid.binlog_pos, seen.pod_name(self.from));
        if had.is_empty() {
            return Err(format!("{source} does not tell what it has written"));
        }
        for (ordinal, _) in seen.expected().filter(|(ordinal, _)| *ordinal != self.from) {
            let other = asked(seen, ordinal)?;
            if !other.gtid.slave_pos.furthest(&other.gtid.binlog_pos).covers(had) {
                return Err(format!("{} has not applied all that {source} has written", seen.pod_name(ordinal)));
            }
        }
        Ok(())
    }

    /// Those that are to be told to follow the new one, and what keeps one that was told.
    fn followers(&self, seen: &Snapshot) -> Result<(Vec<Ordinal>, Option<String>), String> {
        let (mut follows, mut pending) = (Vec::new(), None);
        for (ordinal, _) in seen.expected().filter(|(ordinal, _)| *ordinal != self.to) {
            let channels = &asked(seen, ordinal)?.channels;
            let there = |channel: &&Channel| source_of(seen, channel) == Source::Pod(self.to);
            match channels.iter().find(there) {
                None => follows.push(ordinal),
                Some(channel) if was_stopped(channel) => follows.push(ordinal),
                Some(channel) if channel.io == IoThread::Yes && channel.sql_running => {}
                Some(channel) => {
                    let error = channel.io_error.as_ref().or(channel.sql_error.as_ref());
                    let error = error.map_or_else(String::new, |error| format!(": {} {}", error.code, error.text));
                    let (name, source) = (seen.pod_name(ordinal), seen.pod_name(self.to));
                    pending.get_or_insert(format!("{name} does not replicate from {source} yet{error}"));
                }
            }
        }
        Ok((follows, pending))
    }

    fn follow(&self, seen: &Snapshot, ordinals: Vec<Ordinal>) -> Step {
        let pods: Vec<String> = ordinals.iter().map(|ordinal| seen.pod_name(*ordinal)).collect();
        let source = seen.pod_name(self.to);
        let say = format!("have {} replicate from {source}", pods.join(" and "));
        Step::new(format!("follow {source}"), say, Action::Follow { ordinals, source: self.to, instead: self.from })
    }

    /// `None`: all lead there.
    fn lead(&self, seen: &Snapshot) -> Result<Option<Step>, String> {
        let (old, new) = (seen.pod_name(self.from), seen.pod_name(self.to));
        let known = seen.objects.services.known().map_err(|why| format!("the Services could not be seen: {why}"))?;
        let leads_there = |service: &&String| {
            let service = known.iter().find(|known| known.name == **service);
            service.is_some_and(|service| service.selector.get(POD_LABEL) == Some(&old))
        };
        let services: Vec<String> = self.services.iter().filter(leads_there).cloned().collect();
        if services.is_empty() {
            return Ok(None);
        }
        let say = format!("lead the clients of Service {} to {new}", services.join(" and "));
        let act = Action::Lead { services, from: self.from, to: self.to };
        Ok(Some(Step::new(format!("lead clients to {new}"), say, act)))
    }

    /// What whoever confirms should know.
    #[must_use]
    pub fn note(&self, seen: &Snapshot) -> String {
        let (old, new) = (seen.pod_name(self.from), seen.pod_name(self.to));
        format!(
            "Clients are led from {old} to {new} by Service {}. If that comes from Git or Helm, change its selector there as well: the next \
             sync would lead them back. Accounts that may write on a read-only server should not do so meanwhile. Scheduled events (`CREATE EVENT`) stay disabled on \
             {new}, as they are on every replica: enable them there.",
            self.services.join(" and ")
        )
    }
}

fn asked(seen: &Snapshot, ordinal: Ordinal) -> Result<&Server, String> {
    server(seen, ordinal).ok_or_else(|| format!("{} does not answer", seen.pod_name(ordinal)))
}

/// By somebody, not by an error: whoever died before the last of a few statements, perhaps.
fn was_stopped(channel: &Channel) -> bool {
    let stopped = channel.io == IoThread::No || !channel.sql_running;
    stopped && channel.io_error.is_none() && channel.sql_error.is_none()
}

fn is_open(server: &Server) -> bool {
    !server.read_only && server.channels.is_empty()
}

fn close(seen: &Snapshot, ordinal: Ordinal) -> Step {
    let pod = seen.pod_name(ordinal);
    let say = format!("make {pod} read-only, and wait until every replica has all that it has; from here on no client can write");
    Step::new(format!("close {pod}"), say, Action::Close { ordinal })
}

fn promote(seen: &Snapshot, ordinal: Ordinal) -> Step {
    let pod = seen.pod_name(ordinal);
    let say = format!("end the replication of {pod} and let it take writes: it is the primary");
    Step::new(format!("promote {pod}"), say, Action::Promote { ordinal })
}

fn noted(seen: &Snapshot, ordinal: Ordinal) -> Step {
    let pod = seen.pod_name(ordinal);
    Step::new(format!("note {pod}"), format!("write down that {pod} is the primary"), Action::HandedOver { ordinal })
}

/// What about the way in which a replica follows its primary is not handled here.
fn unlike(channels: &[Channel], primary: &str) -> Option<String> {
    let [channel] = channels else { return Some(format!("has {} replication channels", channels.len())) };
    if !channel.name.is_empty() {
        return Some(format!("replicates by a connection with a name ({})", channel.name));
    }
    if !channel.uses_gtid {
        return Some("does not replicate by GTID".to_owned());
    }
    if channel.delay_seconds > 0 {
        return Some(format!("is meant to be {} s behind", channel.delay_seconds));
    }
    let own = channel.source_host == primary || channel.source_host.starts_with(&format!("{primary}."));
    (!own).then(|| format!("follows it as {}, which is not the name of its pod", channel.source_host))
}
