//! All scenarios, in groups that share a cluster.

mod slow;

use anyhow::Result;
use bed::testing::shape::{Habit, Kind, Plain, Readiness, Shape, Source, Start, Version};

use crate::contract;
use crate::grastate;
use crate::groups::{Group, Scenario};
use crate::operations;
use crate::promises;
use crate::rebuild;
use crate::recover;
use crate::rights;
use crate::scale;
use crate::sql;
use crate::stage::Stage;
use crate::status::{self, access, galera, habits, nodes, operator, outage, replication, single};
use crate::steering;
use crate::upgrade;
use crate::volumes;
use crate::watch;

type Body = fn(&Stage) -> Result<()>;

/// A scenario after which the cluster goes on.
const KEEPS: bool = false;
/// A scenario after which the cluster is thrown away.
const SPOILS: bool = true;

/// All groups; without `all` each fault is played on one version, with it on both.
pub fn catalogue(all: bool) -> Vec<Group> {
    use Version::{V10_11, V11_8};
    let mut groups = smoke(V11_8, V10_11);
    if all {
        groups.extend(slow::groups(V11_8, V10_11));
        groups.extend(smoke(V10_11, V11_8));
        groups.extend(slow::states(V11_8));
        forget_repeated(&mut groups);
    }
    groups
}

/// Every scenario once, half of them on `one` version and half on the `other`; the healthy ones on both.
fn smoke(one: Version, other: Version) -> Vec<Group> {
    let mut groups = galera_groups(one, other);
    groups.extend(other_groups(one, other));
    groups.extend(operator_groups(one));
    groups.extend(bitnami_groups(one));
    groups.extend(habit_groups(&[Habit::Port, Habit::DatadirConfig, Habit::Sidecar, Habit::NoPassword], one));
    groups.extend(grastate_groups(one, other));
    groups.extend(recovery_groups(one, other));
    groups.extend(upgrade_groups(Version::V10_11));
    groups.extend(lonely_groups(one, other));
    groups
}

fn galera_groups(one: Version, other: Version) -> Vec<Group> {
    let galera = |version| Shape::new(Kind::Galera, version);
    vec![
        group(
            galera(one),
            &[
                ("contract::galera", KEEPS, contract::galera),
                ("status::healthy_galera", KEEPS, status::healthy),
                ("sql::right_server_of_galera", KEEPS, sql::right_server_of_galera),
                ("sql::nothing_leaks", KEEPS, sql::nothing_leaks),
                ("status::member_killed", KEEPS, galera::member_killed),
                ("watch::member_killed", KEEPS, watch::member_killed),
                ("watch::allowed_stop_loses_nothing", KEEPS, watch::allowed_stop_loses_nothing),
                ("status::no_right_to_exec", KEEPS, access::no_right_to_exec),
                ("rights::roles_of_the_page", KEEPS, rights::roles_of_the_page),
                ("rights::nothing_without_a_right", KEEPS, rights::nothing_without_a_right),
                ("status::wrong_root_password", KEEPS, access::wrong_root_password),
                ("status::nothing_there", KEEPS, access::nothing_there),
                ("status::secrets_stay_secret", KEEPS, access::secrets_stay_secret),
                ("status::network_partition_of_pods", KEEPS, galera::network_partition),
                ("status::split_brain", SPOILS, galera::split_brain),
            ],
        ),
        group(
            Shape::plain(Plain { readiness: Readiness::Answers, ..Plain::default() }, Kind::Galera, other),
            &[
                ("status::healthy_galera", KEEPS, status::healthy),
                ("status::member_in_sst", KEEPS, galera::member_in_sst),
                ("bed::galera_loses_nothing", KEEPS, promises::galera_loses_nothing),
                ("status::zombie", KEEPS, galera::zombie),
                ("rebuild::zombie", KEEPS, rebuild::zombie),
                ("status::limbo", SPOILS, outage::limbo),
                ("status::crash_loop", SPOILS, outage::crash_loop),
            ],
        ),
        group(galera(other), &[("contract::galera", SPOILS, contract::galera)]),
        group(
            Shape::plain(Plain { start: Start::Plain, ..Plain::default() }, Kind::Galera, one),
            &[("status::zero_uuid", SPOILS, outage::zero_uuid)],
        ),
    ]
}

fn other_groups(one: Version, other: Version) -> Vec<Group> {
    vec![
        group(
            Shape::new(Kind::Replication, one),
            &[
                ("status::healthy_replication", KEEPS, status::healthy),
                ("sql::right_server_of_replication", KEEPS, sql::right_server_of_replication),
                ("sql::accounts", KEEPS, sql::accounts),
                ("status::two_writable_servers", KEEPS, replication::two_writable_servers),
                ("status::replica_stopped_by_an_error", KEEPS, replication::replica_stopped_by_an_error),
                ("status::errant_replica", KEEPS, replication::errant_replica),
                ("status::read_only_primary", KEEPS, replication::read_only_primary),
                ("contract::replication", SPOILS, contract::replication),
            ],
        ),
        group(
            Shape::new(Kind::Replication, other),
            &[
                ("status::healthy_replication", KEEPS, status::healthy),
                ("watch::replication_keeps_its_primary", KEEPS, watch::replication_keeps_its_primary),
                ("sql::values_are_exact", KEEPS, sql::values_are_exact),
                ("sql::slips_change_nothing", KEEPS, sql::slips_change_nothing),
                ("sql::large_results_stream", KEEPS, sql::large_results_stream),
                ("sql::interrupt_stops_the_statement", KEEPS, sql::interrupt_stops_the_statement),
                ("bed::replication_loses_nothing", KEEPS, promises::replication_loses_nothing),
            ],
        ),
        group(
            Shape { storage_class: "bed-ext4", size: "512Mi", ..Shape::new(Kind::Single, one) },
            &[("status::healthy_single", KEEPS, status::healthy), ("status::volume_full", KEEPS, single::volume_full)],
        ),
        group(Shape::new(Kind::Independent, other), &[("status::independent_servers", SPOILS, single::independent_servers)]),
    ]
}

fn operator_groups(one: Version) -> Vec<Group> {
    vec![
        group(
            Shape::operator(Kind::Galera, one),
            &[
                ("status::healthy", KEEPS, status::healthy),
                ("rights::roles_of_the_page", KEEPS, rights::roles_of_the_page),
                ("status::suspended", KEEPS, operator::suspended),
                ("status::object_without_a_set", KEEPS, operator::object_without_a_set),
                ("status::forced_bootstrap_left", KEEPS, operator::forced_bootstrap_left),
                ("status::bootstrap_file_left", KEEPS, operator::bootstrap_file_left),
                ("status::failed_backup_shown_complete", KEEPS, operator::failed_backup_shown_complete),
                ("status::network_partition_of_pods", KEEPS, galera::network_partition),
                ("steering::suspend_and_unsuspend", KEEPS, steering::suspend_and_unsuspend),
                ("steering::would_lose", KEEPS, steering::would_lose),
                ("status::rollout_paused", SPOILS, operator::rollout_paused),
                ("grastate::crash_at_rest", SPOILS, grastate::operator::crash_at_rest),
            ],
        ),
        group(
            Shape::operator(Kind::Replication, one),
            &[
                ("status::healthy", KEEPS, status::healthy),
                ("status::three_opinions_of_the_primary", KEEPS, operator::three_opinions_of_the_primary),
                ("status::replica_of_a_replica", SPOILS, operator::replica_of_a_replica),
            ],
        ),
    ]
}

fn bitnami_groups(one: Version) -> Vec<Group> {
    vec![group(
        Shape::bitnami(one),
        &[
            ("status::healthy", KEEPS, status::healthy),
            ("status::scaling_in_deletes", KEEPS, galera::scaling_in_deletes),
            ("status::member_killed", KEEPS, galera::member_killed),
            ("status::network_partition_of_pods", KEEPS, galera::network_partition),
            ("status::zombie", SPOILS, galera::zombie),
        ],
    )]
}

/// One server each, but for one of them.
fn habit_groups(habits: &[Habit], version: Version) -> Vec<Group> {
    habits.iter().map(|habit| group(Shape::habit(*habit, version), &[("status::habit", KEEPS, habits::habit)])).collect()
}

/// Data directories at rest.
fn grastate_groups(one: Version, other: Version) -> Vec<Group> {
    let galera = |version| Shape::new(Kind::Galera, version);
    vec![
        group(
            galera(one),
            &[
                ("grastate::clean_stop", KEEPS, grastate::outage::clean_stop),
                ("rights::helpers_of_the_page", KEEPS, rights::helpers_of_the_page),
                ("grastate::foreign_history", KEEPS, grastate::volumes::foreign_history),
                ("grastate::volume_gone", KEEPS, grastate::volumes::volume_gone),
                ("grastate::crash", SPOILS, grastate::outage::crash),
            ],
        ),
        group(galera(other), &[("grastate::half_copy", SPOILS, grastate::outage::half_copy)]),
    ]
}

/// Operations, one of each kind of fault.
fn recovery_groups(one: Version, other: Version) -> Vec<Group> {
    vec![
        group(
            Shape::new(Kind::Galera, one),
            &[
                ("recover::all_killed", KEEPS, recover::all_killed),
                ("recover::who_lives_knows_less", KEEPS, recover::who_lives_knows_less),
                ("rebuild::live_member", KEEPS, rebuild::live_member),
                ("volumes::pruned", KEEPS, volumes::pruned),
            ],
        ),
        group(Shape::new(Kind::Replication, one), &[("scale::new_replica", KEEPS, scale::new_replica)]),
        group(Shape::new(Kind::Galera, other), &[("operations::killed_and_resumed", KEEPS, operations::killed_and_resumed)]),
    ]
}

/// Another image, and restarts.
fn upgrade_groups(older: Version) -> Vec<Group> {
    let galera = Shape::new(Kind::Galera, older);
    let replication = Shape::new(Kind::Replication, older);
    vec![
        group(
            galera,
            &[
                ("upgrade::does_not_come_up", KEEPS, upgrade::does_not_come_up),
                ("upgrade::next_series", SPOILS, upgrade::next_series),
            ],
        ),
        group(replication, &[("upgrade::restart::replication", KEEPS, upgrade::restart)]),
    ]
}

/// Those that have the bed to themselves.
fn lonely_groups(one: Version, other: Version) -> Vec<Group> {
    let nodes = group(
        Shape::new(Kind::Galera, one),
        &[
            ("status::dead_node", KEEPS, nodes::dead_node),
            ("status::network_partition_of_a_node", KEEPS, nodes::network_partition),
            ("status::api_server_down", KEEPS, nodes::api_server_down),
            ("watch::api_server_restart", KEEPS, watch::api_server_restart),
            ("status::claim_deleted", SPOILS, galera::claim_deleted),
        ],
    );
    let faults = group(
        Shape { storage_class: "bed-ext4", size: "768Mi", ..Shape::new(Kind::Galera, other) },
        &[("bed::forgotten_faults_are_undone", SPOILS, promises::forgotten_faults_are_undone)],
    );
    [nodes, faults].into_iter().map(|group| Group { alone: true, ..group }).collect()
}

fn group(shape: Shape, scenarios: &[(&str, bool, Body)]) -> Group {
    let source = match shape.source {
        Source::Plain(_) => String::new(),
        _ => format!("::{}", shape.name().trim_start_matches("habit_")),
    };
    let version = shape.version;
    let scenario = |(name, spoils, body): &(&str, bool, Body)| Scenario {
        name: format!("{name}{source}::{version}"),
        spoils: *spoils,
        body: *body,
    };
    Group { shape, alone: false, scenarios: scenarios.iter().map(scenario).collect() }
}

fn forget_repeated(groups: &mut Vec<Group>) {
    let mut seen = std::collections::BTreeSet::new();
    for group in groups.iter_mut() {
        group.scenarios.retain(|scenario| seen.insert(scenario.name.clone()));
    }
    groups.retain(|group| !group.scenarios.is_empty());
}
