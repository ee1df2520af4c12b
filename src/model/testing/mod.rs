//! Snapshots for tables of tests: realistic values, taken from recorded servers where there are any.

mod objects;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::disk::{Disk, Process, Space, StateFile};
use super::fact::{Fact, Obstacle, Why};
use super::grastate::Grastate;
use super::gvwstate::Gvwstate;
use super::kubernetes::{EndpointSlice, Service};
use super::manager::Manager;
use super::names::{Ordinal, Target};
use super::replica::{Channel, IoThread};
use super::server::{Binlog, Connections, Galera, Gtids, Server};
use super::snapshot::{Member, Objects, Snapshot};
use super::wsrep::{Status, ViewMember, parse_options};
use jiff::Timestamp;

pub(crate) use objects::{claim, operator_view, pod, stateful_set};

use objects::{address, labels, node};

/// The text of a recorded output, by its path under `tests/fixtures`.
macro_rules! fixture {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/", $path))
    };
}
pub(crate) use fixture;

/// The path and bytes of every recorded output whose name ends so.
pub(crate) fn fixtures(ending: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found = Vec::new();
    let folders = std::fs::read_dir(root).unwrap().map(|folder| folder.unwrap().path()).filter(|path| path.is_dir());
    for folder in folders {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.display().to_string();
            if name.ends_with(ending) {
                found.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no recorded output ends in {ending}");
    found
}

/// The set all test snapshots are about.
pub(crate) const SET: &str = "db";

/// Name and value of each line of `mariadb -N -B`.
pub(crate) fn variables(tsv: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| line.split_once('\t').map(|(name, value)| (name.to_owned(), value.to_owned()));
    tsv.lines().filter_map(pair).collect()
}

/// The moment all test snapshots are taken.
pub(crate) fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// Three members, Primary, Synced, each with every other in its view.
pub(crate) fn healthy_galera() -> Snapshot {
    galera(&[
        fixture!("galera-10.11/healthy-n1-status.tsv"),
        fixture!("galera-10.11/healthy-n2-status.tsv"),
        fixture!("galera-10.11/healthy-n3-status.tsv"),
    ])
}

/// One member per status recorded on n1, n2, n3 (`127.0.0.11` …), all in one view.
pub(crate) fn galera(recorded: &[&str]) -> Snapshot {
    let statuses: Vec<Status> = recorded.iter().map(|tsv| Status::from_variables(&variables(tsv)).unwrap()).collect();
    let view: Vec<ViewMember> = (0..).zip(&statuses).filter_map(|(ordinal, status)| view_member(ordinal, status)).collect();
    snapshot((0..).zip(statuses).map(|(ordinal, status)| galera_server(ordinal, status, view.clone())))
}

/// A recorded moment of `fixtures/views-10.11`: one member per recorded server, given as `three-n1`; of a member given as
/// `-` the server takes no connections.
pub(crate) fn moment(servers: [&str; 3]) -> Snapshot {
    let mut seen = snapshot((0..).zip(servers).map(|(ordinal, recorded)| match recorded {
        "-" => server(ordinal),
        _ => {
            let status = Status::from_variables(&variables(&view_fixture(recorded, "status"))).unwrap();
            let rows = view_fixture(recorded, "members");
            galera_server(ordinal, status, rows.lines().map(view_row).collect())
        }
    }));
    for (ordinal, _) in (0..).zip(servers).filter(|(_, recorded)| *recorded == "-") {
        let why = Why::NoSql { obstacle: Obstacle::NoSocket, message: format!("db-{ordinal} takes no connections") };
        seen.members.get_mut(&Ordinal(ordinal)).unwrap().server = Fact::Unknown(why);
    }
    seen
}

/// The members of a network cut after which somebody told the minority to bootstrap: two Primary components, equal in state
/// UUID and view number.
pub(crate) fn split_brain() -> Snapshot {
    moment(["twoprimaries-n1", "twoprimaries-n2", "twoprimaries-n3"])
}

/// db-2 is cut off from the others and has noticed.
pub(crate) fn cut_off() -> Snapshot {
    moment(["cut-10s-n1", "cut-10s-n2", "cut-10s-n3"])
}

/// Formed again by itself after a crash of all: Primary, Synced, and a zero state UUID.
pub(crate) fn zero_uuid() -> Snapshot {
    moment(["zero-n1", "zero-n2", "zero-n3"])
}

fn view_fixture(recorded: &str, what: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/views-10.11/{recorded}-{what}.tsv"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn view_row(row: &str) -> ViewMember {
    let columns: Vec<&str> = row.split('\t').collect();
    let [uuid, cluster_uuid, name, address] = columns[..] else { panic!("not four columns: {row}") };
    ViewMember {
        uuid: uuid.parse().unwrap(),
        cluster_uuid: cluster_uuid.parse().unwrap(),
        name: name.to_owned(),
        address: address.to_owned(),
    }
}

/// db-0 is the primary, db-1 and db-2 replicate from it; everything has arrived.
pub(crate) fn healthy_replication() -> Snapshot {
    snapshot((0..3).map(|ordinal| {
        let mut server = server(ordinal);
        server.gtid = gtids("0-10-3514", "0-10-3514");
        if ordinal == 0 {
            server.gtid.slave_pos = "".parse().unwrap();
            server.replicas_connected = 2;
        } else {
            server.read_only = true;
            server.channels = vec![channel(0, "0-10-3514")];
        }
        server
    }))
}

/// One server, nothing else.
/// One more replica of [`healthy_replication`].
pub(crate) fn replica(ordinal: u32) -> Member {
    let mut server = server(ordinal);
    server.gtid = gtids("0-10-3514", "0-10-3514");
    server.read_only = true;
    server.channels = vec![channel(0, "0-10-3514")];
    member(ordinal, server)
}

pub(crate) fn single() -> Snapshot {
    snapshot([server(0)])
}

/// A cluster whose ordinals 0, 1 … are these servers.
pub(crate) fn snapshot(servers: impl IntoIterator<Item = Server>) -> Snapshot {
    let members: BTreeMap<Ordinal, Member> =
        (0..).zip(servers).map(|(ordinal, server)| (Ordinal(ordinal), member(ordinal, server))).collect();
    let replicas = u32::try_from(members.len()).unwrap();
    let pods = || (0..replicas).map(|ordinal| (Ordinal(ordinal).pod(SET), true));
    Snapshot {
        taken: noon(),
        target: Target { namespace: "shop".to_owned(), name: SET.to_owned() },
        objects: Objects {
            stateful_set: stateful_set(replicas),
            claims: Fact::Known((0..replicas).map(claim).collect()),
            services: Fact::Known(vec![Service {
                name: SET.to_owned(),
                headless: true,
                selector: labels(),
                publishes_not_ready: true,
            }]),
            endpoint_slices: Fact::Known(vec![EndpointSlice { service: SET.to_owned(), endpoints: pods().collect() }]),
            nodes: Fact::Known((0..replicas).map(node).collect()),
            events: Fact::Known(Vec::new()),
            manager: Manager::StatefulSet,
        },
        members,
        last_starts: BTreeMap::new(),
    }
}

/// Forgets what the server of one ordinal said, as if its SQL had not answered in time.
pub(crate) fn silence(seen: &mut Snapshot, ordinal: u32) {
    seen.members.get_mut(&Ordinal(ordinal)).unwrap().server = Fact::Unknown(Why::TimedOut(Duration::from_secs(3)));
}

/// What the server of one ordinal said, to change it.
pub(crate) fn server_of(seen: &mut Snapshot, ordinal: u32) -> &mut Server {
    match &mut seen.members.get_mut(&Ordinal(ordinal)).unwrap().server {
        Fact::Known(server) => server,
        Fact::Unknown(why) => panic!("db-{ordinal} did not answer: {why}"),
    }
}

/// What the server of one ordinal said about Galera, to change it.
pub(crate) fn galera_of(seen: &mut Snapshot, ordinal: u32) -> &mut Galera {
    server_of(seen, ordinal).galera.as_mut().unwrap()
}

/// What the files of one ordinal say, to change it.
pub(crate) fn files_of(seen: &mut Snapshot, ordinal: u32) -> &mut Disk {
    match &mut seen.members.get_mut(&Ordinal(ordinal)).unwrap().files {
        Fact::Known(disk) => disk,
        Fact::Unknown(why) => panic!("the files of db-{ordinal} are unknown: {why}"),
    }
}

/// A running, ready pod with this server in it, and the files that go with it.
pub(crate) fn member(ordinal: u32, server: Server) -> Member {
    let files = disk(server.galera.as_ref());
    Member { pod: Some(pod(ordinal)), server: Fact::Known(server), files: Fact::Known(files) }
}

/// The row of a member in every other member's table; `None` for a server without a group.
pub(crate) fn view_member(ordinal: u32, status: &Status) -> Option<ViewMember> {
    Some(ViewMember {
        uuid: status.gcomm_uuid?,
        cluster_uuid: status.cluster_state_uuid,
        name: Ordinal(ordinal).pod(SET),
        address: format!("{}:3306", address(ordinal)),
    })
}

/// A Galera member with this status and this members table.
pub(crate) fn galera_server(ordinal: u32, status: Status, view: Vec<ViewMember>) -> Server {
    let recorded = variables(fixture!("galera-10.11/healthy-n1-variables.tsv"));
    Server {
        galera: Some(Galera {
            status,
            view,
            cluster_name: "shop".to_owned(),
            node_name: Ordinal(ordinal).pod(SET),
            options: parse_options(&recorded["wsrep_provider_options"]),
            desync: false,
            sst_method: "mariabackup".to_owned(),
        }),
        ..server(ordinal)
    }
}

/// A writable server that replicates from nobody.
pub(crate) fn server(ordinal: u32) -> Server {
    Server {
        asked: noon(),
        version: "10.11.19-MariaDB-deb12-log".parse().unwrap(),
        uptime: Duration::from_secs(86_400),
        server_id: 10 + ordinal,
        hostname: Ordinal(ordinal).pod(SET),
        read_only: false,
        binlog: Binlog { enabled: true, logs_replicated: true, basename: Some("/var/lib/mysql/binlog".to_owned()) },
        gtid: gtids(&format!("0-{}-7", 10 + ordinal), ""),
        galera: None,
        channels: Vec::new(),
        replicas_connected: 0,
        flush_log_at_commit: 1,
        connections: Connections { now: 12, limit: 151 },
    }
}

/// Positions of a server whose binary log ends in `logged` and that replicated up to `replicated`.
pub(crate) fn gtids(logged: &str, replicated: &str) -> Gtids {
    Gtids {
        domain: 0,
        strict: true,
        binlog_pos: logged.parse().unwrap(),
        slave_pos: replicated.parse().unwrap(),
        current_pos: logged.parse().unwrap(),
        binlog_state: logged.parse().unwrap(),
    }
}

/// A running channel from the pod of `source`, received up to `position`.
pub(crate) fn channel(source: u32, position: &str) -> Channel {
    Channel {
        name: String::new(),
        source_host: format!("{}.{SET}.shop.svc.cluster.local", Ordinal(source).pod(SET)),
        source_port: 3306,
        source_server_id: 10 + source,
        io: IoThread::Yes,
        sql_running: true,
        io_error: None,
        sql_error: None,
        lag_seconds: Some(0),
        uses_gtid: true,
        gtid_io_pos: position.parse().unwrap(),
        delay_seconds: 0,
        filters: Vec::new(),
    }
}

/// The files of a running server: of a Galera member with the state files Galera keeps while it runs.
pub(crate) fn disk(galera: Option<&Galera>) -> Disk {
    let me = galera.and_then(|galera| galera.status.gcomm_uuid);
    let grastate = galera.map(|galera| Grastate {
        version: Some("2.1".to_owned()),
        uuid: galera.status.local_state_uuid,
        seqno: None,
        safe_to_bootstrap: Some(galera.status.cluster_size == 1),
    });
    let gvwstate = galera.zip(me).map(|(galera, my_uuid)| Gvwstate {
        my_uuid,
        view_uuid: galera.view.first().map_or(my_uuid, |member| member.uuid),
        view_number: galera.status.conf_id.unwrap_or(3),
        bootstrap: false,
        members: galera.view.iter().map(|member| (member.uuid, 0)).collect(),
    });
    Disk {
        asked: noon(),
        datadir: "/var/lib/mysql".to_owned(),
        initialised: true,
        empty: false,
        grastate: grastate.map_or(StateFile::Absent, StateFile::Parsed),
        gvwstate: gvwstate.map_or(StateFile::Absent, StateFile::Parsed),
        transfer_markers: Vec::new(),
        copying: None,
        upgrade_info: Some("10.11.19-MariaDB".to_owned()),
        space: Space { total: 10 << 30, used: 2 << 30, available: 8 << 30 },
        process: Process::Running { pid: 1, state: 'S', listening: if me.is_some() { vec![3306, 4567] } else { vec![3306] } },
        starts_read_only: Some(galera.is_none()),
        bootstrap_switches: Vec::new(),
        certificate: None,
        logged: BTreeMap::new(),
        follows: false,
    }
}
