use crate::decide::rules::galera as rule;
use crate::decide::verdict::State;
use crate::model::disk::{Copying, Process, Side, StateFile};
use crate::model::fact::{Fact, Obstacle, Why};
use crate::model::grastate::Grastate;
use crate::model::kubernetes::{ContainerState, Event, Handler, PodManagement, Probe};
use crate::model::names::Ordinal;
use crate::model::position::Position;
use crate::model::recovered::LastStart;
use crate::model::snapshot::Snapshot;
use crate::model::testing::{
    cut_off, files_of, fixture, galera, galera_of, healthy_galera, healthy_replication, moment, server, server_of, single,
    split_brain, zero_uuid,
};
use crate::model::wsrep::{ClusterStatus, LocalState};

use super::*;

mod verdicts;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case { rule: &rule::NO_PRIMARY, base: healthy_galera, hit: nobody_primary, miss: |seen| non_primary(seen, 2) },
        Case {
            rule: &rule::ALL_DOWN,
            base: healthy_galera,
            hit: all_crash,
            miss: |seen| {
                all_crash(seen);
                *seen = {
                    let mut one = healthy_galera();
                    no_sql_after_crash(&mut one, 1);
                    one
                };
            },
        },
        Case {
            rule: &rule::SPLIT_BRAIN,
            base: split_brain,
            hit: nothing,
            miss: |seen| {
                galera_of(seen, 2).status.evs_state = Some("GATHER".to_owned());
            },
        },
        Case {
            rule: &rule::RENEGOTIATING,
            base: healthy_galera,
            hit: |seen| {
                galera_of(seen, 1).status.evs_state = Some("INSTALL".to_owned());
            },
            miss: |seen| non_primary(seen, 2),
        },
        Case {
            rule: &rule::TWO_CLUSTERS,
            base: split_brain,
            hit: |seen| {
                galera_of(seen, 2).status.cluster_state_uuid = uuid::Uuid::from_u128(7);
                galera_of(seen, 2).status.local_state_uuid = uuid::Uuid::from_u128(7);
            },
            miss: nothing,
        },
        Case {
            rule: &rule::NO_PRIMARY_SEEN,
            base: healthy_galera,
            hit: |seen| {
                nobody_primary(seen);
                hide(seen, 1, timed_out());
            },
            miss: nobody_primary,
        },
        Case { rule: &rule::ZERO_UUID, base: zero_uuid, hit: nothing, miss: |seen| *seen = healthy_galera() },
        Case {
            rule: &rule::STATE_DIFFERS,
            base: healthy_galera,
            hit: |seen| {
                galera_of(seen, 1).status.local_state_uuid = uuid::Uuid::from_u128(7);
            },
            miss: |seen| {
                galera_of(seen, 1).status.local_state_uuid = uuid::Uuid::nil();
                galera_of(seen, 1).status.local_state = LocalState::Joining;
            },
        },
        Case {
            rule: &rule::NOT_ACCEPTING,
            base: healthy_galera,
            hit: |seen| galera_of(seen, 1).status.ready = false,
            miss: |seen| {
                galera_of(seen, 1).status.ready = false;
                galera_of(seen, 1).status.local_state = LocalState::Joined;
            },
        },
        Case {
            rule: &rule::WITHOUT_GALERA,
            base: healthy_galera,
            hit: |seen| server_of(seen, 1).galera = None,
            miss: |seen| {
                (0..3).for_each(|ordinal| server_of(seen, ordinal).galera = None);
            },
        },
        Case { rule: &rule::PARTITIONED, base: cut_off, hit: nothing, miss: nobody_primary },
        Case { rule: &rule::ZOMBIE, base: healthy_galera, hit: |seen| zombie(seen, 2), miss: |seen| inconsistent(seen, 2) },
        Case { rule: &rule::INCONSISTENT, base: healthy_galera, hit: |seen| inconsistent(seen, 2), miss: |seen| zombie(seen, 2) },
        Case {
            rule: &rule::LIMBO,
            base: healthy_galera,
            hit: limbo,
            miss: |seen| {
                // The others are there and Primary: it is just joining.
                no_sql_after_crash(seen, 1);
            },
        },
        Case { rule: &rule::NEEDS_RECOVERY, base: healthy_galera, hit: all_crash, miss: limbo },
        Case {
            rule: &rule::JOINING,
            base: healthy_galera,
            hit: |seen| transfer(seen, 2),
            miss: |seen| {
                transfer(seen, 2);
                files_of(seen, 2).process = Process::None;
                out_of_view(seen, 2);
            },
        },
        Case {
            rule: &rule::PROBE_WILL_KILL,
            base: healthy_galera,
            hit: |seen| copying(seen, 10),
            // In time, as far as can be said.
            miss: |seen| copying(seen, 100),
        },
        Case {
            rule: &rule::DONOR,
            base: healthy_galera,
            hit: |seen| {
                galera_of(seen, 0).status.local_state = LocalState::DonorDesynced;
                transfer(seen, 2);
            },
            miss: desynced,
        },
        Case {
            rule: &rule::DESYNCED,
            base: healthy_galera,
            hit: desynced,
            miss: |seen| {
                galera_of(seen, 0).status.local_state = LocalState::DonorDesynced;
                transfer(seen, 2);
            },
        },
        Case {
            rule: &rule::NOT_SYNCED,
            base: healthy_galera,
            hit: |seen| {
                galera_of(seen, 1).status.local_state = LocalState::Initialized;
            },
            miss: |seen| galera_of(seen, 1).status.local_state = LocalState::Joined,
        },
        Case {
            rule: &rule::NOT_IN_VIEW,
            base: healthy_galera,
            hit: |seen| {
                hide(seen, 2, timed_out());
                out_of_view(seen, 2);
            },
            miss: |seen| hide(seen, 2, timed_out()),
        },
        Case {
            rule: &rule::OUTSIDER,
            base: healthy_galera,
            hit: |seen| {
                pod_of(seen, 2).ip = None;
                seen.members.remove(&Ordinal(2));
                seen.objects.stateful_set.replicas = 2;
            },
            miss: |seen| seen.objects.stateful_set.replicas = 2,
        },
        Case {
            rule: &rule::MARGIN_GONE,
            base: healthy_galera,
            hit: two_left,
            // An arbitrator votes in the place of the member that is away.
            miss: |seen| {
                *seen = moment(["killed-10s-n1", "killed-10s-n2", "-"]);
                crash(seen, 2, "Error", 137);
            },
        },
        Case {
            rule: &rule::EVEN_SIZE,
            base: healthy_galera,
            hit: |seen| {
                two_left(seen);
                seen.members.remove(&Ordinal(2));
                seen.objects.stateful_set.replicas = 2;
            },
            miss: two_left,
        },
        Case {
            rule: &rule::ARBITRATOR,
            base: || moment(["garbd-n1", "garbd-n2", "garbd-n3"]),
            hit: nothing,
            miss: |seen| *seen = healthy_galera(),
        },
        Case {
            rule: &rule::RECV_QUEUE,
            base: healthy_galera,
            hit: |seen| galera_of(seen, 1).status.recv_queue = 17,
            miss: |seen| {
                galera_of(seen, 1).status.recv_queue = 16;
            },
        },
        Case {
            rule: &rule::FLOW_CONTROL,
            base: healthy_galera,
            hit: |seen| galera_of(seen, 1).status.flow_control.active = true,
            miss: |seen| {
                galera_of(seen, 1).status.flow_control.sent = 9;
            },
        },
        Case {
            rule: &rule::PAUSED_OFTEN,
            base: healthy_galera,
            hit: |seen| {
                galera_of(seen, 1).status.flow_control.paused_ns = 86_400 * 60_000_000;
            },
            miss: |seen| galera_of(seen, 1).status.flow_control.paused_ns = 86_400 * 40_000_000,
        },
        Case {
            rule: &rule::SEND_QUEUE,
            base: healthy_galera,
            hit: |seen| galera_of(seen, 1).status.send_queue = 17,
            miss: |seen| {
                galera_of(seen, 1).status.send_queue = 16;
            },
        },
        Case {
            rule: &rule::MIXED_VERSIONS,
            base: healthy_galera,
            hit: |seen| {
                server_of(seen, 2).version = "11.8.6-MariaDB-deb13-log".parse().unwrap();
            },
            miss: |seen| server_of(seen, 2).version = "10.11.19-MariaDB-ubu2204".parse().unwrap(),
        },
        Case {
            rule: &rule::BOOTSTRAP_SWITCH,
            base: healthy_galera,
            hit: |seen| {
                files_of(seen, 0).bootstrap_switches = vec!["file /etc/mysql/conf.d/1-bootstrap.cnf".to_owned()];
            },
            miss: |seen| files_of(seen, 0).bootstrap_switches = vec!["flag --wsrep-new-cluster of the running server".to_owned()],
        },
        Case {
            rule: &rule::BOOTSTRAP_IN_TEMPLATE,
            base: healthy_galera,
            hit: |seen| {
                seen.objects.stateful_set.layout.bootstrap_switches = vec!["args: --wsrep-new-cluster".to_owned()];
            },
            miss: nothing,
        },
        Case {
            rule: &rule::GCACHE_UNKNOWN,
            base: healthy_galera,
            hit: |seen| {
                (0..3).for_each(|ordinal| galera_of(seen, ordinal).status.cached_downto = None);
            },
            miss: |seen| (1..3).for_each(|ordinal| galera_of(seen, ordinal).status.cached_downto = None),
        },
        Case {
            rule: &rule::GCACHE_SHORT,
            base: healthy_galera,
            hit: |seen| reach(seen, 5000, 4500),
            miss: |seen| reach(seen, 5000, 4000),
        },
        Case {
            rule: &rule::HALF_COPY,
            base: healthy_galera,
            hit: |seen| {
                all_crash(seen);
                files_of(seen, 2).grastate = StateFile::Empty;
            },
            miss: |seen| transfer(seen, 2),
        },
        Case {
            rule: &rule::DISTRUSTED,
            base: healthy_galera,
            hit: |seen| {
                all_crash(seen);
                state_of(seen, 2).uuid = uuid::Uuid::nil();
            },
            miss: |seen| {
                all_crash(seen);
                state_of(seen, 2).uuid = uuid::Uuid::nil();
                files_of(seen, 2).transfer_markers = vec!["sst_in_progress".to_owned()];
            },
        },
        Case {
            rule: &rule::GRASTATE_MISSING,
            base: healthy_galera,
            hit: |seen| {
                all_crash(seen);
                files_of(seen, 2).grastate = StateFile::Absent;
            },
            miss: |seen| files_of(seen, 2).grastate = StateFile::Absent,
        },
        Case {
            rule: &rule::GVWSTATE_BROKEN,
            base: healthy_galera,
            hit: |seen| {
                no_sql_after_crash(seen, 2);
                files_of(seen, 2).gvwstate = StateFile::Empty;
            },
            miss: |seen| {
                no_sql_after_crash(seen, 2);
                files_of(seen, 2).gvwstate = StateFile::Absent;
            },
        },
        Case {
            rule: &rule::SAFE_TWICE,
            base: healthy_galera,
            hit: |seen| {
                all_crash(seen);
                (0..2).for_each(|ordinal| state_of(seen, ordinal).safe_to_bootstrap = Some(true));
            },
            miss: |seen| {
                all_crash(seen);
                state_of(seen, 0).safe_to_bootstrap = Some(true);
            },
        },
        Case {
            rule: &rule::HISTORIES_ON_DISK,
            base: healthy_galera,
            hit: |seen| {
                no_sql_after_crash(seen, 2);
                state_of(seen, 2).uuid = uuid::Uuid::from_u128(7);
            },
            miss: |seen| no_sql_after_crash(seen, 2),
        },
        Case {
            rule: &rule::AHEAD,
            base: healthy_galera,
            hit: |seen| {
                no_sql_after_crash(seen, 2);
                state_of(seen, 2).seqno = Some(5);
            },
            // A write set that is received is applied in a moment: the one that is down was quicker.
            miss: |seen| {
                no_sql_after_crash(seen, 2);
                state_of(seen, 2).seqno = Some(4);
            },
        },
    ]
}

fn state_of(seen: &mut Snapshot, ordinal: u32) -> &mut Grastate {
    match &mut files_of(seen, ordinal).grastate {
        StateFile::Parsed(state) => state,
        other => panic!("grastate.dat of db-{ordinal} is {other:?}"),
    }
}

pub(in crate::decide) fn non_primary(seen: &mut Snapshot, ordinal: u32) {
    let status = &mut galera_of(seen, ordinal).status;
    status.cluster_status = ClusterStatus::NonPrimary;
    status.local_state = LocalState::Initialized;
    status.state_comment = "Initialized".to_owned();
    status.ready = false;
    status.conf_id = None;
    pod_of(seen, ordinal).ready = false;
}

pub(in crate::decide) fn nobody_primary(seen: &mut Snapshot) {
    (0..3).for_each(|ordinal| non_primary(seen, ordinal));
}

fn replace(seen: &mut Snapshot, ordinal: u32, recorded: &str) {
    let mut other = galera(&[recorded]);
    let galera = galera_of(&mut other, 0).clone();
    server_of(seen, ordinal).galera = Some(galera);
    out_of_view(seen, ordinal);
}

pub(in crate::decide) fn zombie(seen: &mut Snapshot, ordinal: u32) {
    replace(seen, ordinal, fixture!("galera-10.11/zombie-disconnected-n3-status.tsv"));
}

pub(in crate::decide) fn inconsistent(seen: &mut Snapshot, ordinal: u32) {
    replace(seen, ordinal, fixture!("galera-10.11/inconsistency-voted-out-n3-status.tsv"));
}

/// The others run without this member.
pub(in crate::decide) fn out_of_view(seen: &mut Snapshot, ordinal: u32) {
    for other in (0..3).filter(|other| *other != ordinal) {
        let Fact::Known(server) = &mut member_of(seen, other).server else { continue };
        let galera = server.galera.as_mut().unwrap();
        galera.view.retain(|row| row.name != Ordinal(ordinal).pod("db"));
        galera.status.cluster_weight = Some(2);
    }
}

/// The server of this member was killed and started again; it has not opened its socket.
pub(in crate::decide) fn no_sql_after_crash(seen: &mut Snapshot, ordinal: u32) {
    quiet(seen, ordinal);
    out_of_view(seen, ordinal);
    files_of(seen, ordinal).process = Process::Running { pid: 1, state: 'S', listening: vec![4567] };
    container_of(seen, ordinal).restarts = 1;
    container_of(seen, ordinal).last_end = Some(end("Error", 137, 25));
}

/// All were killed, and each start ends for want of a primary component.
pub(in crate::decide) fn all_crash(seen: &mut Snapshot) {
    for ordinal in 0..3 {
        no_sql_after_crash(seen, ordinal);
        files_of(seen, ordinal).gvwstate = StateFile::Absent;
        container_of(seen, ordinal).last_end = Some(end("Error", 1, 25));
    }
}

/// All were killed; two are back and wait for the third, whose pod is not placed.
pub(in crate::decide) fn limbo(seen: &mut Snapshot) {
    (0..3).for_each(|ordinal| no_sql_after_crash(seen, ordinal));
    stop(seen, 2, ContainerState::Unreported);
    pod_of(seen, 2).unscheduled = Some("Unschedulable: 0/3 nodes are available".to_owned());
}

/// The server of db-2 crashes, and the others go on.
pub(in crate::decide) fn two_left(seen: &mut Snapshot) {
    out_of_view(seen, 2);
    crash(seen, 2, "Error", 137);
}

/// A first state transfer runs.
pub(in crate::decide) fn transfer(seen: &mut Snapshot, ordinal: u32) {
    quiet(seen, ordinal);
    let files = files_of(seen, ordinal);
    files.grastate = StateFile::Empty;
    files.transfer_markers = vec!["sst_in_progress".to_owned()];
}

/// db-0 copies 2000 MiB to db-2, whose startup probe ends it in 40 s; so much is done after 20 s.
fn copying(seen: &mut Snapshot, percent: u64) {
    transfer(seen, 2);
    let copying = |side, peer: Option<&str>, mib: u64| {
        let (method, peer, bytes) = ("rsync".to_owned(), peer.map(str::to_owned), Some(mib << 20));
        Some(Copying { side, method, seconds: 20, peer, bytes })
    };
    files_of(seen, 0).copying = copying(Side::Donor, Some("db-2.db"), 2000);
    files_of(seen, 2).copying = copying(Side::Joiner, None, 20 * percent);
    container_of(seen, 2).started = Some(false);
    seen.objects.stateful_set.layout.startup_probe = Some(probe(60));
}

/// Asks for SQL once a second, so many times.
fn probe(failures: u32) -> Probe {
    Probe { initial_delay: 0, period: 1, failures, handler: Handler::Exec("mariadb -e SELECT 1".to_owned()) }
}

fn desynced(seen: &mut Snapshot) {
    let galera = galera_of(seen, 0);
    galera.desync = true;
    galera.status.local_state = LocalState::DonorDesynced;
    galera.status.state_comment = "Donor/Desynced".to_owned();
    galera.status.desync_count = Some(1);
}

fn reach(seen: &mut Snapshot, last: u64, first: u64) {
    for ordinal in 0..3 {
        galera_of(seen, ordinal).status.last_committed = Some(last);
        galera_of(seen, ordinal).status.cached_downto = Some(first);
    }
}
