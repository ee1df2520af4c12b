//! What only `--all` plays: the same on other shapes, and what takes minutes.

use bed::testing::shape::{Habit, Kind, Plain, Readiness, Shape, Start, Version};

use super::{Body, KEEPS, SPOILS, group, habit_groups};
use crate::apart;
use crate::disturbed;
use crate::grastate;
use crate::groups::Group;
use crate::operations;
use crate::rebuild;
use crate::recover;
use crate::rights;
use crate::scale;
use crate::status::{galera, nodes, operator, outage};
use crate::{steering, upgrade, volumes};

/// All but the states of [`states`]; each fault on `one` version, or on the `other`.
pub(super) fn groups(one: Version, other: Version) -> Vec<Group> {
    let mut groups = others(one);
    groups.extend(operations(one, other));
    groups.extend(rebuilds(one, other));
    groups.extend(upgrades(other));
    groups.extend(scales(one, other));
    groups.extend(volume_groups(one, other));
    groups
}

/// States of the first groups again on the other sources, and those that take minutes.
pub(super) fn states(one: Version) -> Vec<Group> {
    let operator = Shape::operator(Kind::Galera, one);
    let plain = Shape::new(Kind::Galera, one);
    let states = [
        group(plain, &[("status::joiner_that_its_probe_kills", SPOILS, galera::joiner_that_its_probe_kills)]),
        group(
            operator.clone(),
            &[
                ("status::member_killed", KEEPS, galera::member_killed),
                ("status::recovers_by_itself", KEEPS, operator::recovers_by_itself),
                ("status::split_brain", SPOILS, galera::split_brain),
            ],
        ),
        group(
            Shape::bitnami(one),
            &[
                // Its method of transfer is mariabackup.
                ("status::member_in_sst", KEEPS, galera::member_in_sst),
                ("status::split_brain", SPOILS, galera::split_brain),
                ("status::crash_loop", SPOILS, outage::crash_loop),
            ],
        ),
    ];
    let dead = [operator, Shape::bitnami(one)]
        .map(|shape| Group { alone: true, ..group(shape, &[("status::dead_node", SPOILS, nodes::dead_node)]) });
    states.into_iter().chain(habit_groups(&Habit::ALL, one)).chain(dead).collect()
}

/// The rest of them.
fn operations(one: Version, other: Version) -> Vec<Group> {
    vec![
        group(
            Shape::new(Kind::Galera, one),
            &[
                ("recover::one_behind", KEEPS, recover::one_behind),
                ("recover::chosen_behind", KEEPS, recover::chosen_behind),
                ("recover::frozen", KEEPS, recover::rows::frozen),
                ("recover::two_halves", KEEPS, recover::rows::two_halves),
                ("recover::simultaneous_stop", KEEPS, recover::rows::simultaneous_stop),
                ("recover::foreign_history", KEEPS, recover::rows::foreign_history),
                ("recover::half_copy", SPOILS, recover::rows::half_copy),
                ("recover::donor_killed", SPOILS, recover::rows::donor_killed),
            ],
        ),
        group(
            Shape::new(Kind::Galera, other),
            &[
                ("recover::by_hand", KEEPS, recover::rows::by_hand),
                ("recover::not_flushed", KEEPS, recover::lost::not_flushed),
                ("recover::paused_partition", KEEPS, recover::disturbed::paused_partition),
                ("recover::rounds", SPOILS, recover::rows::rounds),
            ],
        ),
        group(
            Shape::new(Kind::Galera, one),
            &[
                ("recover::scaled_from_outside", KEEPS, recover::disturbed::scaled_from_outside),
                ("recover::on_hold", KEEPS, recover::held::on_hold),
                ("recover::scaled_to_zero", KEEPS, recover::held::scaled_to_zero),
                ("recover::scaled_and_back", KEEPS, recover::held::scaled_and_back),
                ("recover::wrong_one_founded", KEEPS, recover::held::wrong_one_founded),
                ("recover::wrong_one_killed", KEEPS, recover::held::wrong_one_killed),
                ("recover::founder_killed", KEEPS, recover::disturbed::founder_killed),
                ("recover::founder_evicted", KEEPS, recover::disturbed::founder_evicted),
                ("recover::helpers_refused", KEEPS, recover::disturbed::helpers_refused),
                ("recover::when_scaled_delete", KEEPS, recover::disturbed::when_scaled_delete),
                ("recover::switch_left", KEEPS, recover::disturbed::switch_left),
                ("recover::heavy_member", KEEPS, recover::disturbed::heavy_member),
            ],
        ),
        Group {
            alone: true,
            ..group(Shape::new(Kind::Galera, one), &[("recover::with_its_node", SPOILS, recover::lost::with_its_node)])
        },
        group(
            Shape::new(Kind::Galera, one),
            &[
                ("operations::stop_and_start", KEEPS, operations::stop_and_start),
                ("operations::killed_and_taken_back", KEEPS, operations::killed_and_taken_back),
            ],
        ),
        group(
            Shape::new(Kind::Galera, other),
            &[
                ("operations::stop_and_start", KEEPS, operations::stop_and_start),
                ("operations::two_at_once", KEEPS, operations::two_at_once),
                ("operations::asleep_and_taken_over", KEEPS, operations::asleep_and_taken_over),
            ],
        ),
    ]
}

/// The rest of them.
fn upgrades(older: Version) -> Vec<Group> {
    let galera = Shape::new(Kind::Galera, older);
    let replication = Shape::new(Kind::Replication, older);
    vec![
        group(
            galera.clone(),
            &[
                ("upgrade::by_partition", KEEPS, upgrade::by_partition),
                ("upgrade::restart", KEEPS, upgrade::restart),
                ("upgrade::killed", SPOILS, upgrade::killed),
            ],
        ),
        group(
            galera.clone(),
            &[
                ("disturbed::pods_deleted", KEEPS, disturbed::pods_deleted),
                ("disturbed::image_set_back", KEEPS, disturbed::image_set_back),
                ("disturbed::never_synced", KEEPS, disturbed::never_synced),
                ("disturbed::outstayed", KEEPS, disturbed::outstayed),
                ("disturbed::scaled", SPOILS, disturbed::scaled),
            ],
        ),
        group(
            Shape { storage_class: "bed-ext4", size: "768Mi", ..galera.clone() },
            &[("disturbed::no_room", SPOILS, disturbed::no_room)],
        ),
        Group {
            alone: true,
            ..group(
                galera.clone(),
                &[("disturbed::drained", KEEPS, disturbed::drained), ("disturbed::node_lost", SPOILS, disturbed::node_lost)],
            )
        },
        group(galera, &[("upgrade::plain_way", SPOILS, upgrade::plain_way)]),
        group(
            replication.clone(),
            &[
                ("upgrade::by_partition::replication", KEEPS, upgrade::by_partition),
                ("upgrade::primary_elsewhere::replication", KEEPS, upgrade::primary_elsewhere),
                ("upgrade::handover_killed::replication", KEEPS, upgrade::handover_killed),
                ("upgrade::next_series::replication", SPOILS, upgrade::next_series),
            ],
        ),
        group(replication, &[("upgrade::plain_way::replication", SPOILS, upgrade::plain_way)]),
        group(
            Shape::operator(Kind::Galera, older),
            &[("upgrade::by_partition", KEEPS, upgrade::by_partition), ("upgrade::strategies", SPOILS, upgrade::strategies)],
        ),
        group(
            Shape::operator(Kind::Replication, older),
            &[
                ("upgrade::by_partition", KEEPS, upgrade::by_partition),
                ("upgrade::restart", KEEPS, upgrade::restart),
                ("upgrade::strategies", SPOILS, upgrade::strategies),
            ],
        ),
    ]
}

/// Left-over volumes, and volumes that grow.
fn volume_groups(one: Version, other: Version) -> Vec<Group> {
    let grows = Shape { storage_class: "bed-xfs-grow", size: "768Mi", ..Shape::new(Kind::Galera, other) };
    vec![
        group(
            Shape::new(Kind::Galera, one),
            &[
                ("volumes::not_expanded", KEEPS, volumes::not_expanded),
                ("volumes::pruned", KEEPS, volumes::pruned),
                ("volumes::unfinished", KEEPS, volumes::unfinished),
            ],
        ),
        group(grows, &[("volumes::expanded", KEEPS, volumes::expanded)]),
    ]
}

/// Rebuilds: each fault on one shape, and the usual ones on all.
fn rebuilds(one: Version, other: Version) -> Vec<Group> {
    let green = |version| Shape::plain(Plain { readiness: Readiness::Answers, ..Plain::default() }, Kind::Galera, version);
    let usual: [(&str, bool, Body); 3] = [
        ("rebuild::live_member", KEEPS, rebuild::live_member),
        ("rebuild::zombie", KEEPS, rebuild::zombie),
        ("rebuild::crash_loop", KEEPS, rebuild::crash_loop),
    ];
    let rare: [(&str, bool, Body); 4] = [
        ("rebuild::killed_and_resumed", KEEPS, rebuild::killed_and_resumed),
        ("rebuild::split_brain_loser", KEEPS, rebuild::split_brain_loser),
        ("rebuild::limbo", KEEPS, rebuild::limbo),
        ("rebuild::last_copy", SPOILS, rebuild::last_copy),
    ];
    let lost = [("rebuild::lost_volume", SPOILS, rebuild::lost_volume as Body)];
    let out_of_service = [("rebuild::node_out_of_service", SPOILS, rebuild::node_out_of_service as Body)];
    vec![
        group(green(one), &usual),
        group(green(other), &usual),
        group(Shape::bitnami(one), &usual),
        group(Shape::bitnami(other), &usual[1..2]),
        group(Shape::new(Kind::Galera, one), &rare),
        group(Shape::new(Kind::Galera, other), &rare),
        Group { alone: true, ..group(Shape::new(Kind::Galera, one), &lost) },
        Group { alone: true, ..group(Shape::bitnami(other), &lost) },
        Group { alone: true, ..group(Shape::new(Kind::Galera, other), &out_of_service) },
    ]
}

/// Other numbers of members: up to five servers, which have the bed to themselves.
fn scales(one: Version, other: Version) -> Vec<Group> {
    let usual: [(&str, bool, Body); 3] = [
        ("scale::out_and_in", KEEPS, scale::out_and_in),
        ("scale::stale_volumes", KEEPS, scale::stale_volumes),
        ("scale::half_left_over", KEEPS, apart::half_left_over),
    ];
    let rare: [(&str, bool, Body); 2] =
        [("scale::when_scaled_delete", KEEPS, scale::when_scaled_delete), ("scale::killed", KEEPS, scale::killed)];
    let replication: [(&str, bool, Body); 5] = [
        ("scale::new_replica", KEEPS, scale::new_replica),
        ("scale::former_primary", KEEPS, scale::former_primary),
        ("scale::replicas_come_and_go", KEEPS, scale::replicas_come_and_go),
        ("scale::seeding_killed", KEEPS, scale::seeding_killed),
        ("rights::new_replica_of_the_page", SPOILS, rights::new_replica_of_the_page),
    ];
    let groups = [
        group(Shape::new(Kind::Galera, one), &[&usual[..], &rare].concat()),
        group(Shape::bitnami(other), &[&usual[..1], &rare[..1]].concat()),
        group(Shape::new(Kind::Replication, one), &replication),
        group(Shape::operator(Kind::Replication, one), &[("scale::operated", SPOILS, scale::operated)]),
    ];
    groups.into_iter().map(|group| Group { alone: true, ..group }).collect()
}

/// What takes minutes of waiting, and is the same on every version; and the other sources.
fn others(version: Version) -> Vec<Group> {
    let (plain, bitnami) = (Shape::new(Kind::Galera, version), Shape::bitnami(version));
    let operator = Shape::operator(Kind::Galera, version);
    let mut groups = vec![
        group(
            plain.clone(),
            &[
                ("grastate::killed_plugin", KEEPS, grastate::helpers::killed_plugin),
                ("grastate::simultaneous_stop", SPOILS, grastate::outage::simultaneous_stop),
            ],
        ),
        group(
            Shape::plain(Plain { start: Start::Plain, ..Plain::default() }, Kind::Galera, version),
            &[("grastate::crash_loop", SPOILS, grastate::outage::crash_loop)],
        ),
        group(
            bitnami.clone(),
            &[
                ("grastate::clean_stop", KEEPS, grastate::outage::clean_stop),
                ("grastate::foreign_history", KEEPS, grastate::volumes::foreign_history),
                ("grastate::volume_gone", KEEPS, grastate::volumes::volume_gone),
                ("grastate::crash", SPOILS, grastate::outage::crash),
            ],
        ),
        group(
            bitnami.clone(),
            &[
                ("operations::stop_and_start", KEEPS, operations::stop_and_start),
                ("recover::all_killed", KEEPS, recover::all_killed),
                ("recover::on_hold", KEEPS, recover::held::on_hold),
            ],
        ),
        group(
            operator.clone(),
            &[
                ("grastate::clean_stop", KEEPS, grastate::operator::clean_stop),
                ("grastate::crash", KEEPS, grastate::operator::crash),
                ("grastate::foreign_history", SPOILS, grastate::volumes::foreign_history),
            ],
        ),
        group(
            operator.clone(),
            &[
                ("steering::stop_and_start", KEEPS, steering::stop_and_start),
                ("steering::left_alone", KEEPS, steering::left_alone),
                ("steering::chosen", KEEPS, steering::chosen),
                ("recover::on_hold", KEEPS, recover::held::on_hold),
                ("rebuild::live_member", KEEPS, rebuild::live_member),
            ],
        ),
        group(operator.clone(), &[("grastate::volume_gone", SPOILS, grastate::volumes::volume_gone)]),
    ];
    for shape in [bitnami.clone(), operator.clone()] {
        groups.push(group(shape.clone(), &[("grastate::simultaneous_stop", SPOILS, grastate::outage::simultaneous_stop)]));
        groups.push(group(shape.clone(), &[("grastate::half_copy", SPOILS, grastate::outage::half_copy)]));
        groups.push(group(shape, &[("grastate::crash_loop", SPOILS, grastate::outage::crash_loop)]));
    }
    let lost = [("grastate::lost_node", SPOILS, grastate::volumes::lost_node as Body)];
    groups.extend([plain, bitnami, operator].map(|shape| Group { alone: true, ..group(shape, &lost) }));
    groups
}
