//! What `wait` waits for: whether it is so in one look, and whether two looks confirm it.

mod waiting;

use std::fmt;

use crate::model::galera::Groups;
use crate::model::names::Ordinal;
use crate::model::replica::{Channel, IoThread};
use crate::model::server::Server;
use crate::model::snapshot::Snapshot;
use crate::model::topology::{Primary, Topology};
use crate::model::wsrep::LocalState;

use super::verdict::{State, verdict};

pub use waiting::{Progress, Waiting};

/// One thing to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The verdict is Healthy.
    Healthy,
    /// Every wanted member is Synced in one primary component; every replica follows and has caught up.
    Synced,
    /// Galera: this pod is Synced in the primary component. Replication: it takes writes and all others follow it.
    Primary(String),
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Synced => f.write_str("synced"),
            Self::Primary(pod) => write!(f, "primary={pod}"),
        }
    }
}

/// Whether it is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met {
    Yes,
    /// What is missing, one thing each.
    NotYet(Vec<String>),
    /// Waiting cannot help; why, in one sentence.
    Never(String),
}

impl Met {
    fn unless(missing: Vec<String>) -> Self {
        if missing.is_empty() { Self::Yes } else { Self::NotYet(missing) }
    }
}

/// Whether one look shows it.
#[must_use]
pub fn met(wish: &Wish, seen: &Snapshot) -> Met {
    match wish {
        Wish::Healthy => {
            let verdict = verdict(seen);
            Met::unless(if verdict.state == State::Healthy { Vec::new() } else { vec![verdict.headline] })
        }
        Wish::Synced => synced(seen),
        Wish::Primary(pod) => primary(pod, seen),
    }
}

fn synced(seen: &Snapshot) -> Met {
    let topology = Topology::of(seen);
    let set = &seen.objects.stateful_set;
    if set.replicas == 1 && !matches!(topology, Topology::Galera | Topology::Replication { .. }) {
        return Met::Never(format!(
            "{} wants one server and that is no Galera member: there is nobody to be in sync with",
            seen.target
        ));
    }
    match topology {
        Topology::Galera => Met::unless(galera_synced(seen)),
        Topology::Replication { primary: Primary::Pod(primary) } => Met::unless(replication_synced(seen, primary)),
        Topology::Replication { .. } => Met::NotYet(vec!["the replicas do not follow one primary of this set".to_owned()]),
        Topology::Single | Topology::Independent => Met::NotYet(vec!["no server follows another one".to_owned()]),
        Topology::Unknown { .. } => Met::NotYet(unanswered(seen)),
    }
}

fn galera_synced(seen: &Snapshot) -> Vec<String> {
    let groups = Groups::of(seen);
    let primaries: Vec<_> = groups.primaries().collect();
    let [component] = primaries[..] else {
        let what =
            if primaries.is_empty() { "there is no primary component" } else { "there is more than one primary component" };
        return [vec![what.to_owned()], unanswered(seen)].concat();
    };
    let mut missing = unanswered(seen);
    for ordinal in seen.objects.stateful_set.wanted() {
        let name = seen.pod_name(ordinal);
        let Some(galera) = server(seen, ordinal).and_then(|server| server.galera.as_ref()) else { continue };
        let status = &galera.status;
        if !component.ordinals.contains(&ordinal) {
            missing.push(format!("{name} is not in the primary component"));
        } else if status.local_state != LocalState::Synced {
            missing.push(format!("{name} is {}", status.state_comment));
        } else if !(status.ready && status.connected) {
            missing.push(format!("{name} takes no statements"));
        } else if status.cluster_state_uuid.is_nil() {
            missing.push(format!("the history of {name} is not known (zero UUID)"));
        }
    }
    missing
}

fn replication_synced(seen: &Snapshot, primary: Ordinal) -> Vec<String> {
    let mut missing = unanswered(seen);
    missing.extend(following(seen, primary));
    let behind = others(seen, primary).filter(|(_, server)| !is_delayed(server));
    missing.extend(behind.filter_map(|(name, server)| {
        let lag = server.channels.iter().filter_map(|channel| channel.lag_seconds).max()?;
        (lag > 1).then(|| format!("{name} is {lag} s behind"))
    }));
    missing
}

fn primary(pod: &str, seen: &Snapshot) -> Met {
    let set = &seen.objects.stateful_set;
    let Some(ordinal) = Ordinal::of_pod(&set.name, pod).filter(|ordinal| set.wants(*ordinal)) else {
        let pods: Vec<String> = set.wanted().map(|ordinal| seen.pod_name(ordinal)).collect();
        let pods = if pods.is_empty() { "none, it is scaled to 0".to_owned() } else { pods.join(", ") };
        return Met::Never(format!("{pod} is no pod that {} wants; those are: {pods}", seen.target));
    };
    match Topology::of(seen) {
        Topology::Galera => {
            let groups = Groups::of(seen);
            let primaries: Vec<_> = groups.primaries().collect();
            let [component] = primaries[..] else {
                return Met::NotYet(vec![format!("there are {} primary components", primaries.len())]);
            };
            let galera = server(seen, ordinal).and_then(|server| server.galera.as_ref());
            Met::unless(match galera {
                None => vec![unanswered_by(seen, ordinal)],
                Some(_) if !component.ordinals.contains(&ordinal) => vec![format!("{pod} is not in the primary component")],
                Some(galera) if galera.status.local_state != LocalState::Synced => {
                    vec![format!("{pod} is {}", galera.status.state_comment)]
                }
                Some(galera) if !galera.status.ready => vec![format!("{pod} takes no statements")],
                Some(_) => Vec::new(),
            })
        }
        Topology::Replication { primary: Primary::Pod(primary) } if primary == ordinal => {
            let mut missing = unanswered(seen);
            missing.extend(server(seen, ordinal).filter(|server| server.read_only).map(|_| format!("{pod} is read-only")));
            let writable = others(seen, ordinal).filter(|(_, server)| !server.read_only);
            missing.extend(writable.map(|(name, _)| format!("{name} takes writes, too")));
            missing.extend(following(seen, ordinal));
            Met::unless(missing)
        }
        Topology::Replication { primary: Primary::Pod(other) } => {
            Met::NotYet(vec![format!("the primary is {}", seen.pod_name(other))])
        }
        Topology::Replication { .. } => Met::NotYet(vec!["the replicas do not follow one primary of this set".to_owned()]),
        Topology::Single => {
            let read_only = server(seen, ordinal).is_none_or(|server| server.read_only);
            Met::unless(if read_only { vec![format!("{pod} is read-only")] } else { Vec::new() })
        }
        Topology::Independent => Met::NotYet(vec!["no server follows another one".to_owned()]),
        Topology::Unknown { .. } => Met::NotYet(unanswered(seen)),
    }
}

/// Replicas whose threads do not run, or that follow nobody.
fn following(seen: &Snapshot, primary: Ordinal) -> impl Iterator<Item = String> {
    others(seen, primary).filter_map(|(name, server)| {
        if server.channels.is_empty() {
            return Some(format!("{name} follows nobody"));
        }
        let stopped = |channel: &&Channel| channel.io != IoThread::Yes || !channel.sql_running;
        let channel = server.channels.iter().find(stopped)?;
        let error = channel.sql_error.as_ref().or(channel.io_error.as_ref());
        let error = error.map_or_else(String::new, |error| format!(": {} {}", error.code, error.text));
        Some(format!("replication from {} does not run on {name}{error}", channel.source_host))
    })
}

fn is_delayed(server: &Server) -> bool {
    server.channels.iter().any(|channel| channel.delay_seconds > 0)
}

/// Every wanted server but the primary that answered.
fn others(seen: &Snapshot, primary: Ordinal) -> impl Iterator<Item = (String, &Server)> {
    let wanted = seen.expected().filter(move |(ordinal, _)| *ordinal != primary);
    wanted.filter_map(|(ordinal, member)| Some((seen.pod_name(ordinal), member.server.known().ok()?)))
}

fn server(seen: &Snapshot, ordinal: Ordinal) -> Option<&Server> {
    seen.members.get(&ordinal)?.server.known().ok()
}

/// Every wanted server that did not answer, and why.
fn unanswered(seen: &Snapshot) -> Vec<String> {
    let wanted = seen.objects.stateful_set.wanted();
    wanted.filter(|ordinal| server(seen, *ordinal).is_none()).map(|ordinal| unanswered_by(seen, ordinal)).collect()
}

fn unanswered_by(seen: &Snapshot, ordinal: Ordinal) -> String {
    let why = seen.members.get(&ordinal).and_then(|member| member.server.known().err());
    format!(
        "{} does not answer: {}",
        seen.pod_name(ordinal),
        why.map_or_else(|| "there is no pod".to_owned(), ToString::to_string)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{
        channel, cut_off, galera_of, healthy_galera, healthy_replication, server_of, silence, single, split_brain, zero_uuid,
    };

    fn missing(wish: &Wish, seen: &Snapshot) -> String {
        match met(wish, seen) {
            Met::NotYet(missing) => missing.join("; "),
            other => panic!("{wish} is {other:?}"),
        }
    }

    fn pod(name: &str) -> Wish {
        Wish::Primary(name.to_owned())
    }

    #[test]
    fn healthy_clusters_are_all_of_it() {
        for seen in [healthy_galera(), healthy_replication()] {
            for wish in [Wish::Healthy, Wish::Synced, pod("db-0")] {
                assert_eq!(met(&wish, &seen), Met::Yes, "{wish}");
            }
        }
        assert_eq!(met(&pod("db-2"), &healthy_galera()), Met::Yes);
        assert_eq!(missing(&pod("db-2"), &healthy_replication()), "the primary is db-0");
        assert_eq!(met(&pod("db-0"), &single()), Met::Yes);
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(missing(&Wish::Synced, &cut_off()), "db-2 is not in the primary component");
        assert!(missing(&Wish::Healthy, &cut_off()).starts_with("Degraded: "));
        assert_eq!(missing(&Wish::Synced, &split_brain()), "there is more than one primary component");
        assert_eq!(missing(&pod("db-0"), &split_brain()), "there are 2 primary components");
        assert!(missing(&Wish::Synced, &zero_uuid()).contains("zero UUID"));
        let mut donor = healthy_galera();
        galera_of(&mut donor, 1).status.local_state = LocalState::DonorDesynced;
        galera_of(&mut donor, 1).status.state_comment = "Donor/Desynced".to_owned();
        assert_eq!(missing(&Wish::Synced, &donor), "db-1 is Donor/Desynced");
        let mut silent = healthy_galera();
        silence(&mut silent, 2);
        assert_eq!(missing(&Wish::Synced, &silent), "db-2 does not answer: no answer within 3s");
        assert_eq!(met(&pod("db-0"), &silent), Met::Yes);
    }

    #[test]
    fn replicas_must_follow_without_lag_and_alone_be_read_only() {
        let mut seen = healthy_replication();
        server_of(&mut seen, 2).channels[0].lag_seconds = Some(40);
        assert_eq!(missing(&Wish::Synced, &seen), "db-2 is 40 s behind");
        server_of(&mut seen, 2).channels[0].delay_seconds = 60;
        assert_eq!(met(&Wish::Synced, &seen), Met::Yes);
        server_of(&mut seen, 2).channels[0].io = IoThread::Connecting;
        assert!(missing(&Wish::Synced, &seen).contains("does not run on db-2"));
        let mut seen = healthy_replication();
        server_of(&mut seen, 1).read_only = false;
        assert_eq!(missing(&pod("db-0"), &seen), "db-1 takes writes, too");
        server_of(&mut seen, 0).read_only = true;
        assert!(missing(&pod("db-0"), &seen).starts_with("db-0 is read-only"));
        let mut seen = healthy_replication();
        server_of(&mut seen, 2).channels = vec![channel(1, "0-10-3514")];
        assert_eq!(met(&Wish::Synced, &seen), Met::Yes);
    }

    #[test]
    fn what_can_never_be_is_refused() {
        assert!(matches!(met(&Wish::Synced, &single()), Met::Never(why) if why.starts_with("shop/db wants one server")));
        for (name, seen) in [("db-7", healthy_galera()), ("other-0", healthy_replication()), ("db", single())] {
            assert!(matches!(met(&pod(name), &seen), Met::Never(why) if why.contains("is no pod that shop/db wants")), "{name}");
        }
    }
}
