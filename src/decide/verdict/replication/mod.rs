//! Replication: who takes writes, who follows whom. Roles come from SQL, never from labels.

mod channels;
mod gtids;
mod services;

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::replication as rule;
use crate::model::names::Ordinal;
use crate::model::replica::{Channel, IoThread};
use crate::model::server::Server;
use crate::model::topology::{Primary, Source, Topology, source_of};

use super::galera::mixed_versions;
use super::{Scene, Standing, list, verb};

pub(super) fn findings(scene: &Scene) -> Vec<Finding> {
    match &scene.topology {
        // A member of a Galera cluster may be the replica of another cluster.
        Topology::Galera => channels::findings(scene, &Roles::of(scene, &Primary::Unclear)),
        Topology::Unknown { .. } => Vec::new(),
        Topology::Single => read_only_alone(scene).into_iter().collect(),
        Topology::Independent => independent(scene).into_iter().chain(mixed_versions(scene, &rule::MIXED_VERSIONS)).collect(),
        Topology::Replication { primary } => {
            let roles = Roles::of(scene, primary);
            let mut found = writers(scene, &roles, primary);
            found.extend(channels::findings(scene, &roles));
            found.extend(gtids::findings(scene, &roles));
            found.extend(bystanders(scene, &roles));
            found.extend(settings(scene, &roles));
            found.extend(services::findings(scene, &roles));
            found.extend(versions(scene, &roles));
            found
        }
    }
}

/// Primary and replicas in one phrase, when that much is clear.
pub(super) fn shape(scene: &Scene) -> Option<String> {
    match &scene.topology {
        Topology::Single => {
            let (ordinal, server) = scene.up().next()?;
            let mode = if server.read_only { "is read-only" } else { "takes writes" };
            Some(format!("{} is the only server and {mode}", scene.pod_name(ordinal)))
        }
        Topology::Replication { primary } => {
            let roles = Roles::of(scene, primary);
            let existing = roles.replicas(scene).map(|(ordinal, _)| ordinal);
            let all: BTreeSet<Ordinal> =
                scene.wanted().chain(existing).filter(|ordinal| Some(*ordinal) != roles.primary).collect();
            let running = roles.replicas(scene).filter(|(_, server)| server.channels.iter().all(runs)).count();
            let head = match (roles.primary, primary) {
                (Some(ordinal), _) if scene.standing(ordinal) == Standing::Up => format!("primary {}", scene.pod_name(ordinal)),
                (None, Primary::Outside { host, .. }) => format!("primary {host} outside of this set"),
                _ => return None,
            };
            Some(if all.is_empty() { head } else { format!("{head}, {running} of {} replicas running", all.len()) })
        }
        Topology::Galera | Topology::Independent | Topology::Unknown { .. } => None,
    }
}

/// Both threads of a channel run.
fn runs(channel: &Channel) -> bool {
    channel.io == IoThread::Yes && channel.sql_running
}

/// Who is what, by what the servers say.
struct Roles<'a> {
    /// The server that takes the writes, or that the others follow.
    primary: Option<Ordinal>,
    /// Servers that take writes and follow no other pod of the set.
    writers: Vec<Ordinal>,
    /// The source of every channel.
    sources: BTreeMap<Ordinal, Vec<(&'a Channel, Source)>>,
}

impl<'a> Roles<'a> {
    fn of(scene: &Scene<'a>, told: &Primary) -> Self {
        let sources: BTreeMap<Ordinal, Vec<(&Channel, Source)>> = scene
            .up()
            .map(|(ordinal, server)| {
                let channels = server.channels.iter().map(|channel| (channel, source_of(scene.seen, channel)));
                (ordinal, channels.collect())
            })
            .collect();
        let follows = |ordinal: &Ordinal| sources[ordinal].iter().any(|(_, source)| matches!(source, Source::Pod(_)));
        let writable: Vec<Ordinal> = scene.up().filter(|(_, server)| !server.read_only).map(|(ordinal, _)| ordinal).collect();
        let writers: Vec<Ordinal> = writable.iter().copied().filter(|ordinal| !follows(ordinal)).collect();
        let told = if let Primary::Pod(ordinal) = told { Some(*ordinal) } else { None };
        let primary = match (writers.as_slice(), told) {
            ([only], _) => Some(*only),
            ([], Some(told)) => Some(told),
            ([], None) if writable.len() == 1 => writable.first().copied(),
            (several, Some(told)) if several.contains(&told) => Some(told),
            _ => None,
        };
        Self { primary, writers, sources }
    }

    /// Servers that follow a pod of the set or somebody outside, the primary excepted.
    fn replicas(&self, scene: &Scene<'a>) -> impl Iterator<Item = (Ordinal, &'a Server)> + use<'a> {
        let primary = self.primary;
        scene.up().filter(move |(ordinal, server)| Some(*ordinal) != primary && !server.channels.is_empty())
    }

    fn primary_server(&self, scene: &Scene<'a>) -> Option<(Ordinal, &'a Server)> {
        scene.up().find(|(ordinal, _)| Some(*ordinal) == self.primary)
    }
}

/// Findings about who takes writes: nobody, a read-only primary, more than one.
fn writers(scene: &Scene, roles: &Roles, told: &Primary) -> Vec<Finding> {
    let mut found = Vec::new();
    if roles.writers.len() > 1 {
        let names = scene.names(roles.writers.iter().copied());
        let summary = format!("{} take writes: there is more than one primary", list(&names));
        let finding = with_roles(scene, Finding::new(&rule::TWO_WRITABLE, summary), roles);
        found.push(finding.about(names));
    }
    let anybody_writable = scene.up().any(|(_, server)| !server.read_only);
    if anybody_writable || matches!(told, Primary::Outside { .. }) {
        found.extend(ring(scene, roles));
        return found;
    }
    let hidden: Vec<String> =
        scene.names(scene.wanted().filter(|ordinal| matches!(scene.standing(*ordinal), Standing::Unseen(_))));
    let primary = roles.primary;
    let standing = primary.map(|ordinal| scene.standing(ordinal));
    let finding = match (primary, standing) {
        (Some(ordinal), Some(Standing::Up)) => {
            let summary = format!("{}, the primary, is read-only: no server accepts writes", scene.pod_name(ordinal));
            Finding::new(&rule::PRIMARY_READ_ONLY, summary)
        }
        // It could not be asked, so nothing is known about it: a finding 9xx says so.
        (Some(_), Some(Standing::Unseen(_))) => return found,
        (Some(ordinal), _) => {
            let summary = format!("no primary: {}, which the replicas follow, is down", scene.pod_name(ordinal));
            Finding::new(&rule::NO_PRIMARY, summary)
        }
        (None, _) => Finding::new(&rule::NO_PRIMARY, "no primary: no server that answers accepts writes"),
    };
    let mut finding = with_roles(scene, finding, roles);
    for name in &hidden {
        finding = finding.seen(format!("server of {name}"), "could not be asked");
    }
    found.push(finding.about(primary.map(|ordinal| scene.pod_name(ordinal))));
    found
}

/// Read-only or not, and the sources, of every server.
fn with_roles(scene: &Scene, mut finding: Finding, roles: &Roles) -> Finding {
    for (ordinal, server) in scene.up() {
        let name = scene.pod_name(ordinal);
        finding = finding.seen(format!("read_only on {name}"), if server.read_only { "ON" } else { "OFF" });
        for (channel, _) in &roles.sources[&ordinal] {
            finding = finding.seen(format!("Master_Host on {name}"), &channel.source_host);
        }
    }
    finding
}

/// A primary that follows another pod of the set.
fn ring(scene: &Scene, roles: &Roles) -> Option<Finding> {
    let primary = roles.primary?;
    let followed = roles.sources.get(&primary)?.iter().find_map(|(channel, source)| match source {
        Source::Pod(pod) => Some((*channel, *pod)),
        Source::Outside { .. } | Source::Unclear => None,
    });
    let (channel, pod) = followed?;
    let name = scene.pod_name(primary);
    let summary = format!("{name} takes the writes and itself replicates from {}", scene.pod_name(pod));
    let finding = Finding::new(&rule::RING, summary).seen(format!("Master_Host on {name}"), &channel.source_host);
    Some(finding.about([name]))
}

/// Servers that follow nobody, and replicas that take writes.
fn bystanders(scene: &Scene, roles: &Roles) -> Vec<Finding> {
    let mut found = Vec::new();
    let idle = |(ordinal, server): &(Ordinal, &Server)| {
        roles.primary.is_some_and(|primary| primary != *ordinal) && server.channels.is_empty() && server.read_only
    };
    found.extend(tell(
        scene,
        &rule::NOT_REPLICATING,
        ["replicates from nobody", "replicate from nobody"],
        scene.up().filter(idle),
        |server| ("gtid_current_pos", server.gtid.current_pos.to_string()),
    ));
    let writes = |(ordinal, server): &(Ordinal, &Server)| {
        !server.read_only && !roles.writers.contains(ordinal) && roles.primary != Some(*ordinal)
    };
    found.extend(tell(
        scene,
        &rule::WRITABLE_REPLICA,
        ["is a replica and takes writes", "are replicas and take writes"],
        scene.up().filter(writes),
        |_| ("read_only", "OFF".to_owned()),
    ));
    let options = |ordinal: Ordinal| scene.files(ordinal).and_then(|disk| disk.starts_read_only);
    let returns = |(ordinal, server): &(Ordinal, &Server)| server.read_only && options(*ordinal) == Some(false);
    // Under an operator at work this is so for all of them, and MDB523 says it.
    let replicas = roles.replicas(scene).filter(returns).filter(|_| !scene.is_kept_by_operator());
    found.extend(tell(
        scene,
        &rule::RESTARTS_WRITABLE,
        ["would be writable after its next start", "would be writable after their next start"],
        replicas,
        |_| ("read_only now, read_only by its start options", "ON, OFF".to_owned()),
    ));
    let primary = roles.primary_server(scene).into_iter();
    let starts_open = primary.filter(|(ordinal, server)| !server.read_only && options(*ordinal) == Some(false));
    found.extend(tell(scene, &rule::PRIMARY_STARTS_WRITABLE, ["is writable from its start", ""], starts_open, |_| {
        ("read_only by its start options", "OFF".to_owned())
    }));
    found
}

/// One finding about all servers of an iterator, if there are any.
fn tell<'a>(
    scene: &Scene,
    rule: &'static Rule,
    says: [&'static str; 2],
    servers: impl Iterator<Item = (Ordinal, &'a Server)>,
    evidence: impl Fn(&Server) -> (&'static str, String),
) -> Option<Finding> {
    let servers: Vec<(Ordinal, &Server)> = servers.collect();
    let names = scene.names(servers.iter().map(|(ordinal, _)| *ordinal));
    let mut finding = Finding::new(rule, format!("{} {}", list(&names), verb(&names, says[0], says[1])));
    for (name, (_, server)) in names.iter().zip(&servers) {
        let (what, value) = evidence(server);
        finding = finding.seen(format!("{what} on {name}"), value);
    }
    (!names.is_empty()).then(|| finding.about(names))
}

/// What keeps a replica from taking over.
fn settings(scene: &Scene, roles: &Roles) -> Option<Finding> {
    // A replica that the operator promotes begins a binary log of its own.
    let kept = scene.is_kept_by_operator();
    let mute = |(_, server): &(Ordinal, &Server)| !(server.binlog.enabled && (server.binlog.logs_replicated || kept));
    tell(
        scene,
        &rule::NOT_A_CANDIDATE,
        ["cannot take over as primary", "cannot take over as primary"],
        roles.replicas(scene).filter(mute),
        |server| {
            let on = |switch: bool| if switch { "ON" } else { "OFF" };
            ("log_bin, log_slave_updates", format!("{}, {}", on(server.binlog.enabled), on(server.binlog.logs_replicated)))
        },
    )
}

fn versions(scene: &Scene, roles: &Roles) -> Option<Finding> {
    let primary = roles.primary_server(scene);
    let older = |(_, server): &(Ordinal, &Server)| {
        primary.is_some_and(|(_, primary)| {
            (server.version.major, server.version.minor) < (primary.version.major, primary.version.minor)
        })
    };
    tell(
        scene,
        &rule::OLDER_THAN_SOURCE,
        ["is older than the primary", "are older than the primary"],
        roles.replicas(scene).filter(older),
        |server| ("version", server.version.text.clone()),
    )
    .or_else(|| mixed_versions(scene, &rule::MIXED_VERSIONS))
}

fn read_only_alone(scene: &Scene) -> Option<Finding> {
    let (ordinal, _) = scene.up().find(|(_, server)| server.read_only)?;
    let name = scene.pod_name(ordinal);
    let finding = Finding::new(&rule::PRIMARY_READ_ONLY, format!("{name} is read-only: no server accepts writes"));
    let finding = finding.seen(format!("read_only on {name}"), "ON");
    Some(finding.about([name]))
}

/// Several servers that have nothing to do with each other.
fn independent(scene: &Scene) -> Option<Finding> {
    let names: BTreeSet<String> = scene.up().map(|(ordinal, _)| scene.pod_name(ordinal)).collect();
    let names: Vec<String> = names.into_iter().collect();
    let mut finding = Finding::new(&rule::INDEPENDENT, format!("{} are independent servers: nothing replicates", list(&names)));
    for (ordinal, server) in scene.up() {
        let mode = if server.read_only { "ON" } else { "OFF" };
        let value = format!("none, {mode}, {}", server.gtid.binlog_pos);
        finding = finding.seen(format!("replication channels, read_only, gtid_binlog_pos on {}", scene.pod_name(ordinal)), value);
    }
    (names.len() > 1).then(|| finding.about(names))
}
