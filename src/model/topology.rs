//! What kind of cluster this is, by the servers' own answers; labels and Services say what somebody meant it to be.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::disk::StateFile;
use super::fact::{Fact, Why};
use super::kubernetes::Service;
use super::names::Ordinal;
use super::operator::Mode;
use super::replica::Channel;
use super::server::Server;
use super::snapshot::{Member, Snapshot};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Topology {
    Galera,
    Replication {
        primary: Primary,
    },
    /// One server, and nobody else expected.
    Single,
    /// Several servers, none of which replicates from anybody: clients see different data on each.
    Independent,
    /// Too few answers to tell. `silent` are those whose answer would be needed; empty: there is nobody to ask.
    Unknown {
        silent: BTreeSet<Ordinal>,
    },
}

/// Where the replicas get their data from, in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Primary {
    /// Every replica's chain of sources ends in this pod. It need not have answered itself.
    Pod(Ordinal),
    /// They end outside of this set.
    Outside { host: String, port: u16 },
    /// They end in different servers; or, as the last of a chain, they replicate from each other.
    Several(BTreeSet<Ordinal>),
    /// Some source cannot be told from a server that did not answer.
    Unclear,
}

/// Where one channel leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Pod(Ordinal),
    Outside {
        host: String,
        port: u16,
    },
    /// A server of this set or not: it did not answer, or is behind a Service.
    Unclear,
}

/// The server behind one channel of one of the set's servers.
#[must_use]
pub fn source_of(seen: &Snapshot, channel: &Channel) -> Source {
    source(seen, &answers(seen), channel)
}

impl Topology {
    /// A member that did not answer never makes the cluster smaller than it is: with one silent the answer may be
    /// [`Self::Unknown`] where it would be [`Self::Single`] or [`Self::Independent`].
    #[must_use]
    pub fn of(seen: &Snapshot) -> Self {
        let answers = answers(seen);
        let silent: BTreeSet<Ordinal> = seen.members.keys().filter(|ordinal| !answers.contains_key(ordinal)).copied().collect();
        let dumps = |server: &&Server| server.replicas_connected > 0;

        if answers.values().any(|server| server.galera.is_some()) {
            Self::Galera
        } else if answers.values().any(|server| !server.channels.is_empty()) {
            Self::Replication { primary: primary(seen, &answers) }
        } else if silent.iter().any(|ordinal| was_galera(&seen.members[ordinal])) {
            Self::Galera
        } else if !silent.is_empty() && answers.values().any(dumps) {
            let primaries = answers.iter().filter(|(_, server)| dumps(server)).map(|(ordinal, _)| *ordinal);
            Self::Replication { primary: one_or_several(primaries.collect()) }
        } else if answers.is_empty() && !silent.is_empty() && is_meant_for_galera(seen) {
            Self::Galera
        } else if !silent.is_empty() || answers.is_empty() {
            Self::Unknown { silent }
        } else if answers.len() == 1 {
            Self::Single
        } else {
            Self::Independent
        }
    }
}

fn answers(seen: &Snapshot) -> BTreeMap<Ordinal, &Server> {
    seen.members.iter().filter_map(|(ordinal, member)| Some((*ordinal, member.server.known().ok()?))).collect()
}

/// No server runs, and no file can be read: what the operator was told, or what the template speaks of.
fn is_meant_for_galera(seen: &Snapshot) -> bool {
    let down = |member: &Member| matches!(member.server, Fact::Unknown(Why::NotRunning(_))) && member.files.known().is_err();
    let nothing_known = seen.members.values().all(down);
    let objects = &seen.objects;
    let told = objects.manager.view().map(|view| view.spec.mode == Mode::Galera);
    nothing_known && told.unwrap_or(!objects.stateful_set.layout.galera_signs.is_empty())
}

/// The files of a server that cannot be asked: Galera leaves a state file in every data directory it ever opened.
fn was_galera(member: &Member) -> bool {
    member.files.known().is_ok_and(|disk| disk.grastate != StateFile::Absent)
}

fn primary(seen: &Snapshot, answers: &BTreeMap<Ordinal, &Server>) -> Primary {
    let sources: BTreeMap<Ordinal, Vec<Source>> = answers
        .iter()
        .map(|(ordinal, server)| (*ordinal, server.channels.iter().map(|channel| source(seen, answers, channel)).collect()))
        .collect();
    let ends: BTreeSet<Source> = sources.keys().flat_map(|ordinal| ends(*ordinal, &sources)).collect();
    if ends.contains(&Source::Unclear) {
        return Primary::Unclear;
    }
    let pods: BTreeSet<Ordinal> =
        ends.iter().filter_map(|end| if let Source::Pod(ordinal) = end { Some(*ordinal) } else { None }).collect();
    match ends.iter().find(|end| matches!(end, Source::Outside { .. })) {
        Some(Source::Outside { host, port }) if pods.is_empty() => Primary::Outside { host: host.clone(), port: *port },
        _ => one_or_several(pods),
    }
}

fn one_or_several(pods: BTreeSet<Ordinal>) -> Primary {
    match pods.first() {
        Some(only) if pods.len() == 1 => Primary::Pod(*only),
        _ => Primary::Several(pods),
    }
}

/// Where the chains that begin with the channels of `replica` end. A circle ends in all that are part of it.
fn ends(replica: Ordinal, sources: &BTreeMap<Ordinal, Vec<Source>>) -> BTreeSet<Source> {
    let mut seen = BTreeSet::new();
    let mut ends = BTreeSet::new();
    let mut next: Vec<&Source> = sources[&replica].iter().collect();
    while let Some(source) = next.pop() {
        let further =
            if let Source::Pod(ordinal) = source { sources.get(ordinal).filter(|further| !further.is_empty()) } else { None };
        match further {
            None => {
                ends.insert(source.clone());
            }
            Some(_) if *source == Source::Pod(replica) => {
                ends.insert(source.clone());
            }
            Some(further) => {
                if seen.insert(source) {
                    next.extend(further);
                }
            }
        }
    }
    ends
}

/// The server behind a channel: by the host if that names a pod; by the server id if it is a Service of this namespace or an
/// IP, which may be that of a pod now gone. Any other name is outside, whatever its server id: other clusters use the same.
fn source(seen: &Snapshot, answers: &BTreeMap<Ordinal, &Server>, channel: &Channel) -> Source {
    let host = channel.source_host.as_str();
    let is_service = seen.objects.services.known().map(|services| services.iter().any(|service| is_at(seen, service, host)));
    let may_be_ours = host.parse::<IpAddr>().is_ok() || is_service.unwrap_or(true);
    let same_id =
        |(_, server): &(&Ordinal, &&Server)| channel.source_server_id != 0 && server.server_id == channel.source_server_id;
    let by_id = || answers.iter().find(same_id).filter(|_| may_be_ours).map(|(ordinal, _)| *ordinal);
    match seen.ordinal_at(host).or_else(by_id) {
        Some(ordinal) => Source::Pod(ordinal),
        None if is_service == Ok(true) || (may_be_ours && answers.len() < seen.members.len()) => Source::Unclear,
        None => Source::Outside { host: host.to_owned(), port: channel.source_port },
    }
}

fn is_at(seen: &Snapshot, service: &Service, host: &str) -> bool {
    let mut labels = host.split('.');
    labels.next() == Some(&service.name) && labels.next().is_none_or(|namespace| namespace == seen.target.namespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fact::Fact;
    use crate::model::testing::{
        channel, files_of, fixture, galera, healthy_galera, healthy_replication, server, server_of, silence, single, snapshot,
        split_brain,
    };

    fn unknown(silent: &[u32]) -> Topology {
        Topology::Unknown { silent: silent.iter().copied().map(Ordinal).collect() }
    }

    fn replication(primary: Primary) -> Topology {
        Topology::Replication { primary }
    }

    fn several(ordinals: &[u32]) -> Topology {
        replication(Primary::Several(ordinals.iter().copied().map(Ordinal).collect()))
    }

    /// Servers 0, 1 … each replicating from these ordinals.
    fn chain(sources: &[&[u32]]) -> Snapshot {
        snapshot((0..).zip(sources).map(|(ordinal, sources)| {
            let mut server = server(ordinal);
            server.channels = sources.iter().map(|source| channel(*source, "0-10-7")).collect();
            server
        }))
    }

    #[test]
    fn answers_tell_the_topology() {
        let zombies = galera(&[fixture!("galera-10.11/zombie-disconnected-n1-status.tsv")]);
        for (name, seen, expected) in [
            ("healthy galera", healthy_galera(), Topology::Galera),
            ("split brain", split_brain(), Topology::Galera),
            ("zombie", zombies, Topology::Galera),
            ("replication", healthy_replication(), replication(Primary::Pod(Ordinal(0)))),
            ("single", single(), Topology::Single),
            ("nobody joined", chain(&[&[], &[], &[]]), Topology::Independent),
            ("chain", chain(&[&[1], &[2], &[]]), replication(Primary::Pod(Ordinal(2)))),
            ("old primary came back alone", chain(&[&[], &[], &[1]]), replication(Primary::Pod(Ordinal(1)))),
            ("two primaries", chain(&[&[], &[], &[0], &[1]]), several(&[0, 1])),
            ("circle", chain(&[&[1], &[0], &[0]]), several(&[0, 1])),
            ("scaled to 0", snapshot([]), unknown(&[])),
        ] {
            assert_eq!(Topology::of(&seen), expected, "{name}");
        }
    }

    #[test]
    fn a_silent_member_never_makes_the_cluster_smaller() {
        for (name, mut seen, silent, expected) in [
            ("one of three galera members", healthy_galera(), &[1][..], Topology::Galera),
            ("the primary", healthy_replication(), &[0], replication(Primary::Pod(Ordinal(0)))),
            ("the replicas", healthy_replication(), &[1, 2], replication(Primary::Pod(Ordinal(0)))),
            ("all of replication", healthy_replication(), &[0, 1, 2], unknown(&[0, 1, 2])),
            ("the only one", single(), &[0], unknown(&[0])),
            ("one of two", chain(&[&[], &[]]), &[1], unknown(&[1])),
            ("all of galera, by their files", healthy_galera(), &[0, 1, 2], Topology::Galera),
        ] {
            for ordinal in silent {
                silence(&mut seen, *ordinal);
            }
            assert_eq!(Topology::of(&seen), expected, "{name}");
        }
    }

    #[test]
    fn an_empty_state_file_is_galeras_too_but_servers_that_answer_prevail() {
        let mut joining = single();
        files_of(&mut joining, 0).grastate = StateFile::Empty;
        assert_eq!(Topology::of(&joining), Topology::Single);
        silence(&mut joining, 0);
        assert_eq!(Topology::of(&joining), Topology::Galera);
    }

    #[test]
    fn a_source_is_found_by_host_or_else_by_server_id() {
        let outside = |host: &str| replication(Primary::Outside { host: host.to_owned(), port: 3306 });
        let from = |host: &str, server_id: u32, silent: bool| {
            let mut seen = chain(&[&[], &[0]]);
            let channel = &mut server_of(&mut seen, 1).channels[0];
            channel.source_host = host.to_owned();
            channel.source_server_id = server_id;
            if silent {
                silence(&mut seen, 0);
            }
            Topology::of(&seen)
        };
        let first = || replication(Primary::Pod(Ordinal(0)));
        for (host, server_id, silent, expected) in [
            ("db-0", 0, false, first()),
            ("db-0.db", 0, true, first()),
            ("127.0.0.11", 0, true, first()),
            ("db", 10, false, first()),
            ("db.shop.svc", 10, false, first()),
            ("10.0.0.9", 10, false, first()),
            ("db", 0, false, replication(Primary::Unclear)),
            ("10.0.0.9", 10, true, replication(Primary::Unclear)),
            ("10.0.0.9", 99, false, outside("10.0.0.9")),
            ("db-0.db.other.svc", 10, false, outside("db-0.db.other.svc")),
            ("db.example.org", 10, true, outside("db.example.org")),
        ] {
            assert_eq!(from(host, server_id, silent), expected, "{host} {server_id} {silent}");
        }
    }

    #[test]
    fn without_a_look_at_services_a_server_id_may_tell() {
        let mut seen = chain(&[&[], &[0]]);
        server_of(&mut seen, 1).channels[0].source_host = "db-primary".to_owned();
        assert!(matches!(Topology::of(&seen), Topology::Replication { primary: Primary::Outside { .. } }));
        seen.objects.services = Fact::Unknown(crate::model::fact::Why::Forbidden("list services".to_owned()));
        assert_eq!(Topology::of(&seen), replication(Primary::Pod(Ordinal(0))));
    }

    #[test]
    fn a_replica_of_two_sources_belongs_to_the_one_inside() {
        let mut seen = chain(&[&[], &[0, 0]]);
        server_of(&mut seen, 1).channels[1].source_host = "db.example.org".to_owned();
        assert_eq!(Topology::of(&seen), replication(Primary::Pod(Ordinal(0))));
    }
}
