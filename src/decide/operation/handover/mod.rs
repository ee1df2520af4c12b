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
use crate::model::gtid::{Errant, Gtid};
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
    /// The new one was told to take writes: from then on there is only the way forward (safety F6).
    #[serde(default)]
    pub promoting: bool,
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
            if let Some(why) = unlike(replica, &old) {
                return refused(format!("{} {why}", seen.pod_name(ordinal)));
            }
        }
        let both = server(seen, to).zip(server(seen, from));
        if let Some(errant) = both.and_then(|(new, old)| written_alone(new, old)) {
            return refused(format!("{new} has transactions that {old} lacks ({errant}): the others would never get them"));
        }
        if !server(seen, to).is_some_and(|server| server.binlog.enabled && server.binlog.logs_replicated) {
            return refused(format!("{new} does not log what it replicates (log_slave_updates): nobody could follow it"));
        }
        if !server(seen, from).is_some_and(|server| goes_on(server, false)) {
            return refused(format!("gtid_current_pos of {old} is not what it has logged last: it could not go on from there"));
        }
        let files = seen.members.get(&from).and_then(|member| member.files.known().ok());
        match files.and_then(|disk| disk.starts_read_only) {
            Some(true) => Ok(Ok(Self { from, to, services, promoting: false })),
            Some(false) => {
                let summary = format!("{old} is to be a replica and would come back as a server that takes writes");
                let because = format!("read_only at the next start of {old}, by its configuration: OFF");
                Ok(Err(Refusal::new(&rules::OPENS_ITSELF, summary).because([because])))
            }
            None => refused(format!("whether the configuration of {old} starts it read-only is not known")),
        }
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
        if !self.has_begun(begun) {
            return Ok(Vec::new());
        }
        // Somebody else may have given it the role meanwhile.
        if self.promoting || self.is_promoted(seen) { self.ended(seen) } else { self.given_back(seen) }
    }

    /// The new one has the role, whatever became of the others: what is wrong with them is for `status` to say.
    fn ended(&self, seen: &Snapshot) -> Result<Vec<Step>, String> {
        let new = asked(seen, self.to)?;
        if !is_open(new) {
            return self.opened(seen);
        }
        self.alone_open(seen, self.to)?;
        let led = |server: &Server| server.channels.iter().any(|channel| source_of(seen, channel) == Source::Pod(self.to));
        let others: Vec<Ordinal> = seen.expected().map(|(ordinal, _)| ordinal).filter(|ordinal| *ordinal != self.to).collect();
        // Where nobody replicates any more, nobody tells how.
        let told = others.iter().any(|ordinal| server(seen, *ordinal).is_some_and(|other| !other.channels.is_empty()));
        let strays = |other: &Server| told && !led(other) && written_alone(other, new).is_none();
        let follows: Vec<Ordinal> = others.into_iter().filter(|ordinal| server(seen, *ordinal).is_some_and(strays)).collect();
        let mut steps = Vec::new();
        if !follows.is_empty() {
            steps.push(self.follow(seen, follows));
        }
        steps.extend(self.lead(seen)?);
        steps.push(noted(seen, self.to));
        Ok(steps)
    }

    /// Everybody was seen to have everything before it was begun, so it waits for nobody now: no client can write.
    fn opened(&self, seen: &Snapshot) -> Result<Vec<Step>, String> {
        self.alone_open(seen, self.to)?;
        Ok(vec![promote(seen, self.to), noted(seen, self.to)])
    }

    /// Whether nobody else is seen to take writes, so that this one may.
    ///
    /// # Errors
    /// Who does.
    fn alone_open(&self, seen: &Snapshot, ordinal: Ordinal) -> Result<(), String> {
        no_other_open(seen, &[ordinal], ordinal)
    }

    /// The old one has everything and needs nobody: it takes writes again before anything else, whatever became of the others.
    fn given_back(&self, seen: &Snapshot) -> Result<Vec<Step>, String> {
        let old = asked(seen, self.from)?;
        self.alone_open(seen, self.from)?;
        let back = Self { from: self.to, to: self.from, ..self.clone() };
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
        let new = asked(seen, self.to)?;
        if self.promoting && !is_open(new) {
            return self.opened(seen);
        }
        no_other_open(seen, &[self.from, self.to], self.to)?;
        let old = asked(seen, self.from)?;
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
            if let Some(errant) = written_alone(old, new) {
                let (old, new) = (seen.pod_name(self.from), seen.pod_name(self.to));
                return Err(format!(
                    "{old} has transactions that {new} lacks ({errant}): somebody wrote on it although it was read-only; after \
                     `operation abort`, which leaves the role with {new}, `status` tells what to do with them"
                ));
            }
        } else if let Some(errant) = written_alone(new, old) {
            let (old, new) = (seen.pod_name(self.from), seen.pod_name(self.to));
            return Err(format!("{new} has transactions that {old} lacks ({errant}): the others would never get them"));
        } else {
            steps.push(promote(seen, self.to));
        }
        steps.push(noted(seen, self.to));
        Ok(steps)
    }

    /// What gives the role back when it was waited for in vain: clients come first. Empty: the old one is open, or not to be opened.
    #[must_use]
    pub fn called_off(&self, seen: &Snapshot, begun: &[Begun]) -> Vec<Step> {
        if !self.has_begun(begun) || self.promoting || self.alone_open(seen, self.from).is_err() {
            return Vec::new();
        }
        match server(seen, self.from) {
            Some(old) if !old.read_only => Vec::new(),
            // It may be closed.
            None => vec![promote(seen, self.from)],
            Some(_) => {
                let steps = self.given_back(seen).unwrap_or_default();
                steps.into_iter().filter(|step| matches!(step.act, Action::Lead { .. } | Action::Promote { .. })).collect()
            }
        }
    }

    /// What whoever leaves has to be told: neither of the two was seen to take writes.
    #[must_use]
    pub fn closed(&self, seen: &Snapshot, begun: &[Begun]) -> Option<String> {
        let (old, new) = (seen.pod_name(self.from), seen.pod_name(self.to));
        if self.promoting && !self.is_promoted(seen) {
            return Some(format!("{new} was not seen to take writes: no client can write, and `operation resume` goes on"));
        }
        let closed = !self.called_off(seen, begun).is_empty();
        closed.then(|| format!("{old} was not seen to take writes again: no client can write, and `operation abort` opens it"))
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
        if !goes_on(old, true) {
            return Err(format!("gtid_current_pos of {source} is not what it has logged last: it could not go on from there"));
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

/// Whether nobody but these is seen to take writes, so that `ordinal` may.
fn no_other_open(seen: &Snapshot, but: &[Ordinal], ordinal: Ordinal) -> Result<(), String> {
    let open = |other: &Ordinal| !but.contains(other) && server(seen, *other).is_some_and(|server| !server.read_only);
    match seen.expected().map(|(other, _)| other).find(open) {
        Some(other) => {
            let (other, ordinal) = (seen.pod_name(other), seen.pod_name(ordinal));
            Err(format!("{other} takes writes, so {ordinal} must not; it goes on when {other} is read-only"))
        }
        None => Ok(()),
    }
}

fn asked(seen: &Snapshot, ordinal: Ordinal) -> Result<&Server, String> {
    server(seen, ordinal).ok_or_else(|| format!("{} does not answer", seen.pod_name(ordinal)))
}

/// Whether `gtid_current_pos`, from which the old one is to go on as a replica, is what it has logged last. While clients write
/// (`closed` is false), the server reads the two at different moments, and its own last write is known to be in both.
fn goes_on(server: &Server, closed: bool) -> bool {
    let is = |last: &Gtid, current: &Gtid| {
        current == last || (!closed && last.server == server.server_id && current.server == server.server_id)
    };
    let current = &server.gtid.current_pos.0;
    server.gtid.binlog_pos.0.iter().all(|(domain, last)| current.get(domain).is_some_and(|current| is(last, current)))
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

/// What a server has written itself and another one has not. What others wrote may have reached this one since the other was asked.
fn written_alone(server: &Server, other: &Server) -> Option<Errant> {
    server.gtid.errant_against(&other.gtid).into_iter().find(|errant| errant.server == server.server_id)
}

/// What about the way in which a replica follows its primary is not handled here.
fn unlike(replica: &Server, primary: &str) -> Option<String> {
    if !replica.read_only {
        return Some("is not read-only".to_owned());
    }
    let [channel] = &replica.channels[..] else {
        return Some(format!("has {} replication channels", replica.channels.len()));
    };
    if let Some(filter) = channel.filters.first() {
        return Some(format!("replicates only a part ({filter}): its position does not say what it has"));
    }
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
