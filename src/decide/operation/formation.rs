//! What the members are to each other while one after the other is replaced, and whether they are so now.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::decide::can_stop::{Beside, Leave, Load, Stop, Weight, can_stop};
use crate::decide::exit::database;
use crate::decide::rules::operations as rules;
use crate::decide::settled::settled;
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::ContainerState;
use crate::model::names::Ordinal;
use crate::model::replica::{Channel, IoThread};
use crate::model::server::Server;
use crate::model::snapshot::Snapshot;
use crate::model::topology::{Primary, Topology};

use super::gates::{galera, leaving, together};
use super::operator::view;
use super::plan::{Action, Range, Refusal, Step};

/// How long a pod may take to come up and catch up: a full copy takes its time.
pub const BACK: Duration = Duration::from_secs(3600);

/// A replica that is further behind than this has not caught up. In seconds.
pub const LAG: u64 = 1;

/// The kind of cluster, and what of it must stay as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Formation {
    /// One primary component of this history.
    Galera { state_uuid: Uuid },
    /// All others follow this one. `writable`: it took writes when it began.
    Replication { primary: Ordinal, writable: bool },
    /// One server.
    Single,
}

impl Formation {
    /// What the servers say they are. A pod in `but` is not asked.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn of(seen: &Snapshot, verb: &str, but: &BTreeSet<Ordinal>) -> Result<Result<Self, Refusal>, Why> {
        let name = &seen.target.name;
        let not_this = |what: &str| {
            Ok(Err(Refusal::new(&rules::NOT_THIS_KIND, format!("{name} is {what}")).plugin(&format!("status {name}"))))
        };
        match Topology::of(seen) {
            Topology::Galera if seen.objects.stateful_set.replicas < 2 => not_this(&format!(
                "a Galera cluster of one member: its own start must found the cluster again, and whether it does cannot be told from \
                 here, so there is no {verb}"
            )),
            Topology::Galera => {
                let ask = |ordinal| galera(seen, ordinal).map(|galera| galera.status.cluster_state_uuid);
                let asked = seen.objects.stateful_set.wanted().filter(|ordinal| !but.contains(ordinal)).find_map(ask);
                match asked.filter(|uuid| !uuid.is_nil()) {
                    Some(state_uuid) => Ok(Ok(Self::Galera { state_uuid })),
                    None => Err(Why::Failed("no member tells the history of the cluster".to_owned())),
                }
            }
            Topology::Replication { primary: Primary::Pod(primary) } => {
                let server = server(seen, primary)
                    .ok_or_else(|| Why::Failed(format!("the primary {} could not be asked", seen.pod_name(primary))))?;
                Ok(Ok(Self::Replication { primary, writable: !server.read_only }))
            }
            Topology::Replication { .. } => {
                not_this("a replication cluster whose replicas do not follow one primary of this set")
            }
            Topology::Single => Ok(Ok(Self::Single)),
            Topology::Independent => not_this("no cluster: its servers do not know each other"),
            Topology::Unknown { .. } => {
                Err(Why::Failed("what kind of cluster this is cannot be told: too few servers answer".to_owned()))
            }
        }
    }

    /// The one that all others depend on; it is replaced last.
    #[must_use]
    pub const fn primary(self) -> Option<Ordinal> {
        match self {
            Self::Replication { primary, .. } => Some(primary),
            Self::Galera { .. } | Self::Single => None,
        }
    }

    /// Whether every member but those in `but` is there and in step with the others: Ready for Kubernetes alone says little.
    ///
    /// # Errors
    /// What is missing, in words that follow "waiting: ".
    pub fn whole(self, seen: &Snapshot, but: &BTreeSet<Ordinal>) -> Result<(), String> {
        self.within(seen, but, LAG)
    }

    /// The same, where a replica may be so many seconds behind.
    ///
    /// # Errors
    /// As [`Self::whole`].
    pub fn within(self, seen: &Snapshot, but: &BTreeSet<Ordinal>, behind: u64) -> Result<(), String> {
        let range = Range::of(&seen.objects.stateful_set);
        if let Some(pod) = leaving(seen, range) {
            return Err(format!("{} is outside of the range of the set and still there", pod.name));
        }
        let wanted: BTreeSet<Ordinal> = range.ordinals().filter(|ordinal| !but.contains(ordinal)).collect();
        for ordinal in &wanted {
            serves(seen, *ordinal)?;
        }
        match self {
            Self::Galera { state_uuid } => together(seen, &wanted, state_uuid)?,
            Self::Replication { primary, writable } => {
                // One server alone leads nobody yet.
                if range.replicas > 1 {
                    lead_to(seen, primary)?;
                }
                for ordinal in wanted.iter().filter(|ordinal| **ordinal != primary) {
                    follows(seen, *ordinal, primary)?;
                    keeps_up(seen, *ordinal, behind)?;
                }
                leads(seen, primary, writable)?;
            }
            Self::Single => {}
        }
        wanted.iter().try_for_each(|ordinal| ready(seen, *ordinal))
    }

    /// Whether a second look, some seconds after the first, says so, too: nothing has moved, and by now every replica has what
    /// the primary had then. A lag of 0 does not prove that.
    ///
    /// # Errors
    /// What has not been confirmed, in words that follow "waiting: ".
    pub fn confirmed(self, first: &Snapshot, second: &Snapshot) -> Result<(), String> {
        if let Some(moved) = settled(first, second).moved.into_iter().next() {
            return Err(moved);
        }
        let Self::Replication { primary, .. } = self else { return Ok(()) };
        let had = server(first, primary).map(|server| &server.gtid.binlog_pos);
        let had = had.ok_or_else(|| format!("what {} had some seconds ago is not known", first.pod_name(primary)))?;
        for (ordinal, _) in second.expected().filter(|(ordinal, _)| *ordinal != primary) {
            let Some(replica) = server(second, ordinal).filter(|server| !is_delayed(server)) else { continue };
            if had
                .0
                .values()
                .any(|gtid| replica.gtid.slave_pos.0.get(&gtid.domain).is_none_or(|own| own.sequence < gtid.sequence))
            {
                let (name, source) = (second.pod_name(ordinal), second.pod_name(primary));
                return Err(format!("{name} has not yet applied what {source} had some seconds ago"));
            }
        }
        Ok(())
    }

    /// Why this member cannot be taken away now although all is whole (safety D1, D2, D7). Two members have nothing to spare: there
    /// a clean leave is what keeps the other one going.
    #[must_use]
    pub fn holds_back(self, seen: &Snapshot, ordinal: Ordinal) -> Option<String> {
        if seen.objects.stateful_set.replicas < 3 || self.primary() == Some(ordinal) {
            return None;
        }
        let ordinals = BTreeSet::from([ordinal]);
        let stop = Stop { ordinals, nodes: false, load: Load::Burst, leave: Leave::EitherWay };
        let beside = Beside { budgets: Fact::Unknown(Why::NotAsked), volumes: Fact::Unknown(Why::NotAsked) };
        let decision = can_stop(seen, &stop, &beside);
        let mut reasons = decision.whole.into_iter().chain(decision.pods.into_values().flatten());
        reasons.find(|reason| reason.weight != Weight::Note).map(|reason| format!("{}: {}", seen.pod_name(ordinal), reason.text))
    }

    /// Of a cluster of mariadb-operator: another one becomes the primary before this one goes, one of `done` or else the lowest
    /// (safety D3). Left to itself the operator would fail over while it restarts, and an acknowledged row may be nowhere else yet.
    #[must_use]
    pub fn moved_off(self, seen: &Snapshot, ordinal: Ordinal, due: &[Ordinal]) -> Option<(Self, Step)> {
        let Self::Replication { primary, .. } = self else { return None };
        view(seen).filter(|_| primary == ordinal)?;
        let mut others: Vec<Ordinal> = seen.objects.stateful_set.wanted().filter(|other| *other != ordinal).collect();
        others.sort_by_key(|other| (due.contains(other), *other));
        let to = *others.first()?;
        let (pod, from) = (seen.pod_name(to), seen.pod_name(ordinal));
        let say = format!("have mariadb-operator make {pod} the primary in the place of {from}, which is next to be replaced");
        let step = Step::new(format!("make {pod} the primary"), say, Action::MovePrimary { to });
        Some((Self::Replication { primary: to, writable: true }, step))
    }

    /// What to know before mariadb-operator moves the primary. It lets the new primary take writes first, and then sets the replicas
    /// to the position which that one has by then (25.10.4, seen: a switch under writers that went to the pods themselves left 436
    /// acknowledged rows out of one replica, with both threads running and no lag). Its Service leads there only afterwards.
    #[must_use]
    pub fn moving_note(self, seen: &Snapshot, due: &[Ordinal]) -> Option<String> {
        let view = view(seen)?;
        self.primary().filter(|primary| due.contains(primary))?;
        Some(format!(
            "Clients have to reach the primary by the Service {}-primary: a write that reaches a new primary by another way within the \
             second in which mariadb-operator makes it the primary may be left out of a replica, and nothing shows that.",
            view.name
        ))
    }

    /// A primary that came back as its configuration says, read-only: it is opened again if it still is the one that all follow.
    #[must_use]
    pub fn opening(self, seen: &Snapshot, restarted: impl Fn(&Ordinal) -> bool) -> Option<Step> {
        let Self::Replication { primary, writable: true } = self else { return None };
        // One that was not restarted was closed by somebody, who has a reason: a switchover, perhaps.
        if !restarted(&primary) {
            return None;
        }
        if view(seen).is_some() {
            return None;
        }
        lead_to(seen, primary).ok()?;
        server(seen, primary).filter(|server| server.read_only && server.channels.is_empty())?;
        let other = |(ordinal, _): &(Ordinal, _)| *ordinal != primary;
        let apart = |(ordinal, _)| {
            server(seen, ordinal).is_none_or(|server| !server.read_only)
                || follows(seen, ordinal, primary).is_err()
                || keeps_up(seen, ordinal, LAG).is_err()
        };
        (!seen.expected().filter(other).any(apart)).then(|| open(seen, primary))
    }

    /// A restarted replica of mariadb-operator that takes writes. Its configuration does not say read-only: the operator closes it
    /// if it looks while replication does not run yet, and otherwise never (25.10.4, seen: open for six minutes, until we left).
    #[must_use]
    pub fn closing(self, seen: &Snapshot, restarted: impl Fn(&Ordinal) -> bool) -> Option<Step> {
        let Self::Replication { primary, writable } = self else { return None };
        let view = view(seen)?;
        // Whoever is about to be the primary is not closed.
        let settled =
            view.status.current_primary_index == Some(primary) && view.spec.primary_index.is_none_or(|index| index == primary);
        let stands = settled && lead_to(seen, primary).is_ok() && leads(seen, primary, writable).is_ok();
        let is_open =
            |ordinal: &Ordinal| server(seen, *ordinal).is_some_and(|server| !server.read_only && !server.channels.is_empty());
        let ordinal = seen
            .objects
            .stateful_set
            .wanted()
            .find(|ordinal| stands && *ordinal != primary && restarted(ordinal) && is_open(ordinal))?;
        let pod = seen.pod_name(ordinal);
        let say = format!("make {pod} read-only: it is a replica, and mariadb-operator has not closed it since its restart");
        Some(Step { unasked: true, ..Step::new(format!("close {pod}"), say, Action::Close { ordinal }) })
    }

    /// The same, as foreseen: what its server's own options make of the next start.
    #[must_use]
    pub fn will_open(self, seen: &Snapshot) -> Option<Step> {
        let Self::Replication { primary, writable: true } = self else { return None };
        if view(seen).is_some() {
            return None;
        }
        let files = seen.members.get(&primary)?.files.known().ok();
        (files.and_then(|disk| disk.starts_read_only) != Some(false)).then(|| open(seen, primary))
    }
}

/// Lets a primary take writes again.
pub fn open(seen: &Snapshot, primary: Ordinal) -> Step {
    let pod = seen.pod_name(primary);
    let say = format!("let {pod} take writes again: its configuration starts it read-only, and all others still follow it");
    Step::new(format!("open {pod}"), say, Action::Open { ordinal: primary })
}

pub fn server(seen: &Snapshot, ordinal: Ordinal) -> Option<&Server> {
    seen.members.get(&ordinal)?.server.known().ok()
}

/// Whether its server answers.
fn serves(seen: &Snapshot, ordinal: Ordinal) -> Result<(), String> {
    let name = seen.pod_name(ordinal);
    let member = seen.members.get(&ordinal).filter(|member| member.pod.is_some());
    let member = member.ok_or_else(|| format!("{name} has no pod yet"))?;
    if member.pod.as_ref().is_some_and(|pod| pod.deletion.is_some()) {
        return Err(format!("{name} is stopping"));
    }
    if let Some(why) = member.pod.as_ref().and_then(|pod| pod.unscheduled.as_ref()) {
        return Err(format!("{name} finds no node: {why}"));
    }
    member.server.known().map(drop).map_err(|why| format!("{name}: {why}"))
}

fn ready(seen: &Snapshot, ordinal: Ordinal) -> Result<(), String> {
    let ready = seen.members.get(&ordinal).and_then(|member| member.pod.as_ref()).is_some_and(|pod| pod.ready);
    if ready { Ok(()) } else { Err(format!("{} is not Ready for Kubernetes yet", seen.pod_name(ordinal))) }
}

fn is_delayed(server: &Server) -> bool {
    server.channels.iter().any(|channel| channel.delay_seconds > 0)
}

/// Whether every replica gets its data from the primary in the end. Threads Yes and a lag of 0 are no proof: one may follow
/// another server (operator-run 6.3).
pub fn lead_to(seen: &Snapshot, primary: Ordinal) -> Result<(), String> {
    match Topology::of(seen) {
        Topology::Replication { primary: Primary::Pod(found) } if found == primary => Ok(()),
        _ => Err(format!("not every replica follows {} now", seen.pod_name(primary))),
    }
}

/// Whether it replicates from the primary, and takes no writes of its own.
fn follows(seen: &Snapshot, ordinal: Ordinal, primary: Ordinal) -> Result<(), String> {
    let (name, source) = (seen.pod_name(ordinal), seen.pod_name(primary));
    let Some(replica) = server(seen, ordinal) else { return Err(format!("{name} does not answer")) };
    if replica.channels.is_empty() {
        return Err(format!("{name} follows nobody"));
    }
    let stopped = |channel: &&Channel| channel.io != IoThread::Yes || !channel.sql_running;
    if let Some(channel) = replica.channels.iter().find(stopped) {
        let error = channel.sql_error.as_ref().or(channel.io_error.as_ref());
        let error = error.map_or_else(String::new, |error| format!(": {} {}", error.code, error.text));
        return Err(format!("replication from {source} does not run on {name}{error}"));
    }
    if !replica.read_only {
        return Err(format!("{name} takes writes, although {source} is the primary"));
    }
    Ok(())
}

/// Whether it is no more than so many seconds behind.
pub fn keeps_up(seen: &Snapshot, ordinal: Ordinal, behind: u64) -> Result<(), String> {
    match lag(seen, ordinal) {
        Some(lag) if lag > behind => Err(format!("{} is {lag} s behind", seen.pod_name(ordinal))),
        _ => Ok(()),
    }
}

/// How many seconds a replica is behind that is not meant to be.
#[must_use]
pub fn lag(seen: &Snapshot, ordinal: Ordinal) -> Option<u64> {
    let channels = server(seen, ordinal)?.channels.iter().filter(|channel| channel.delay_seconds == 0);
    channels.filter_map(|channel| channel.lag_seconds).max()
}

/// Whether the primary still is one.
fn leads(seen: &Snapshot, primary: Ordinal, writable: bool) -> Result<(), String> {
    let name = seen.pod_name(primary);
    match server(seen, primary) {
        None => Err(format!("{name} does not answer")),
        Some(server) if !server.channels.is_empty() => Err(format!("the primary {name} follows another server now")),
        Some(server) if server.read_only == writable => {
            Err(format!("the primary {name} is {}", if writable { "read-only" } else { "writable" }))
        }
        Some(_) => Ok(()),
    }
}

/// What keeps the server of a pod from starting, where waiting does not help.
#[must_use]
pub fn does_not_start(seen: &Snapshot, ordinal: Ordinal) -> Option<String> {
    const LASTING: [&str; 8] = [
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "CrashLoopBackOff",
    ];
    let member = seen.members.get(&ordinal)?;
    let pod = member.pod.as_ref().filter(|pod| pod.deletion.is_none())?;
    let waits = |state: &ContainerState| match state {
        ContainerState::Waiting { reason, message } if LASTING.contains(&reason.as_str()) => {
            Some(if message.is_empty() { reason.clone() } else { format!("{reason} ({message})") })
        }
        _ => None,
    };
    let containers = pod.init_containers.iter().chain(&pod.containers);
    let state = containers.into_iter().find_map(|container| waits(&container.state))?;
    // Why it ended last says more than that it is waited for.
    let end = database(seen, member).and_then(|container| container.last_end.as_ref());
    let end = end.map_or_else(String::new, |end| format!("; it ended with exit code {} ({})", end.exit_code, end.reason));
    Some(format!("{state}{end}"))
}
