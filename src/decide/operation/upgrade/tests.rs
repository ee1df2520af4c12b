//! Which version may follow which, which pods are replaced, and what a given-up wait leaves.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::operation::formation::Formation;
use crate::model::fact::Fact;
use crate::model::kubernetes::UpdateStrategy;
use crate::model::manager::Manager;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::testing::{healthy_galera, healthy_replication, noon, operator_view, server_of};
use crate::model::version::Version;

use super::pods::{closed, due, is_new};
use super::{Rollout, Tried, Upgrade, path, settled_at, tag_version};

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn rollout(image: &str, partition: u32) -> Rollout {
    Rollout { image: image.to_owned(), partition, strategy: None }
}

/// From servers of these versions to an image of that one.
fn upgrade(before: [&str; 3], to: &str) -> Upgrade {
    let before: BTreeMap<Ordinal, Version> = (0..).map(Ordinal).zip(before.map(version)).collect();
    Upgrade {
        from: rollout("db:old", 0),
        to: rollout("db:new", 0),
        formation: Formation::Single,
        strategy: None,
        skips_lts: false,
        replaces: BTreeSet::new(),
        before,
        tried: Some(Tried::Version(version(to))),
        revision: None,
        handover: None,
        rollouts: vec![rollout("db:old", 0)],
        converted: BTreeSet::new(),
    }
}

#[test]
fn one_series_after_the_other_and_never_back() {
    let seen = healthy_galera();
    let code = |upgrade: &Upgrade| path::refused(&seen, upgrade).map_or("", |refusal| refusal.rule.code);
    for (before, to, expected, for_good) in [
        (["11.8.5"; 3], "11.8.6", "", false),
        (["11.8.6"; 3], "11.8.5", "", false),
        (["11.4.9"; 3], "11.8.6", "", true),
        (["10.11.9"; 3], "11.8.6", "MDB735", true),
        (["11.8.6"; 3], "11.4.9", "MDB741", true),
        (["11.4.9", "11.4.9", "11.8.6"], "11.8.6", "", true),
        (["11.4.9", "11.4.9", "11.8.6"], "11.4.9", "MDB741", true),
        (["10.11.9", "10.11.9", "11.8.6"], "11.8.6", "MDB735", true),
    ] {
        let upgrade = upgrade(before, to);
        assert_eq!((code(&upgrade), upgrade.is_for_good()), (expected, for_good), "{before:?} to {to}");
        // A flag lets a series be left out, and no flag a server go back.
        let insists = code(&Upgrade { skips_lts: true, ..upgrade });
        assert_eq!(insists, if expected == "MDB735" { "" } else { expected }, "{before:?} to {to}");
    }
    let above = Upgrade { to: rollout("db:new", 2), ..upgrade(["11.8.6", "11.8.6", "11.4.9"], "11.4.10") };
    assert_eq!(code(&above), "", "only db-2 gets it");
    let unusable = Upgrade { tried: Some(Tried::Unusable("no server".into())), ..upgrade(["11.8.6"; 3], "11.8.6") };
    assert_eq!(code(&unusable), "MDB738");
}

#[test]
fn a_tag_tells_a_version_or_nothing() {
    for (image, expected) in [
        ("mariadb:11.8.6", Some("11.8.6")),
        ("registry:5000/mariadb:10.11.19-debian-12-r3", Some("10.11.19")),
        ("mariadb:11.8.6@sha256:00", Some("11.8.6")),
        ("mariadb:11.8", None),
        ("mariadb:latest", None),
        ("mariadb", None),
        ("registry:5000/mariadb", None),
        ("mariadb@sha256:00", None),
    ] {
        assert_eq!(tag_version(image).map(|version| version.to_string()).as_deref(), expected, "{image}");
    }
}

/// A set of which these pods are of the newest revision.
fn half_way(new: &[u32], partition: u32) -> Snapshot {
    let mut seen = healthy_galera();
    seen.objects.stateful_set.update_revision = "db-new".into();
    seen.objects.stateful_set.current_revision = "db-old".into();
    seen.objects.stateful_set.update_strategy = UpdateStrategy::RollingUpdate { partition };
    for (ordinal, member) in &mut seen.members {
        let pod = member.pod.as_mut().unwrap();
        pod.revision = Some(if new.contains(&ordinal.0) { "db-new" } else { "db-old" }.into());
    }
    seen
}

#[test]
fn the_highest_ordinal_comes_first_down_to_the_partition() {
    let image = healthy_galera().objects.stateful_set.layout.image;
    for (new, partition, expected) in [(&[][..], 0, &[2, 1, 0][..]), (&[2], 1, &[1]), (&[2, 1], 1, &[]), (&[], 2, &[2])] {
        let seen = half_way(new, 3);
        let due: Vec<u32> = due(&seen, &rollout(&image, partition)).into_iter().map(|ordinal| ordinal.0).collect();
        assert_eq!(due, expected, "{new:?} down to {partition}");
    }
    assert!(is_new(&half_way(&[2], 2), Ordinal(2)) && !is_new(&half_way(&[2], 2), Ordinal(1)));
}

/// It comes back from the template, or as it was if the partition holds it: then it is still to be replaced.
#[test]
fn a_pod_that_is_gone_or_about_to_go_is_due_if_it_comes_back_as_it_was() {
    let image = healthy_galera().objects.stateful_set.layout.image;
    for (held, expected) in [(3, &[2][..]), (2, &[])] {
        for gone in [true, false] {
            let mut seen = half_way(&[], held);
            let pod = &mut seen.members.get_mut(&Ordinal(2)).unwrap().pod;
            if gone {
                *pod = None;
            } else {
                pod.as_mut().unwrap().deletion = Some(noon());
            }
            let due: Vec<u32> = due(&seen, &rollout(&image, 2)).into_iter().map(|ordinal| ordinal.0).collect();
            assert_eq!(due, expected, "held at {held}");
        }
    }
}

/// What was released and not replaced is held again; what was replaced stays released.
#[test]
fn a_given_up_wait_closes_the_partition_at_what_is_true() {
    let image = healthy_galera().objects.stateful_set.layout.image;
    for (new, partition, expected) in [(&[2][..], 1, Some(2)), (&[2, 1], 1, None), (&[], 2, Some(3)), (&[], 3, None)] {
        let seen = half_way(new, partition);
        let own = Upgrade { rollouts: vec![rollout(&image, partition)], ..upgrade(["11.8.5"; 3], "11.8.6") };
        assert_eq!(settled_at(&seen, &own).map(|(_, to)| to.partition), expected, "{new:?} at {partition}");
        let others = Upgrade { rollouts: vec![rollout(&image, 9)], ..own };
        assert_eq!(settled_at(&seen, &others), None, "somebody else has set it");
    }
}

#[test]
fn a_pod_that_does_not_start_is_replaced_alone_or_nobody_is() {
    let broken = |ordinals: &[u32]| ordinals.iter().copied().map(Ordinal).collect::<BTreeSet<_>>();
    let another = rollout("db:another", 0);
    assert_eq!(closed(&half_way(&[2], 2), &broken(&[2]), &another), 2, "below the partition it would be the old one again");
    assert_eq!(closed(&half_way(&[2, 1], 1), &broken(&[1]), &another), 3, "db-2 would be replaced, too");
    assert_eq!(closed(&half_way(&[2], 2), &broken(&[]), &another), 3);
}

/// The operator's configuration does not say read-only, and it closes a restarted replica only if it comes by in time.
#[test]
fn a_restarted_replica_that_the_operator_has_left_open_is_closed() {
    let formation = Formation::Replication { primary: Ordinal(0), writable: true };
    let closes = |seen: &Snapshot| formation.closing(seen, |ordinal| *ordinal == Ordinal(2)).map(|step| step.id);
    let open = |ordinal: u32, index: u32| {
        let mut seen = healthy_replication();
        server_of(&mut seen, ordinal).read_only = false;
        let mut view = operator_view();
        view.spec.primary_index = Some(Ordinal(index));
        seen.objects.manager = Manager::of(&seen.objects.stateful_set, Fact::Known(Some(view)));
        if let Manager::Operator(operator) = &mut seen.objects.manager {
            operator.owns = true;
        }
        seen
    };
    assert_eq!(closes(&open(2, 0)).as_deref(), Some("close db-2"));
    assert_eq!(closes(&open(0, 0)), None, "the primary alone is open");
    assert_eq!(closes(&open(1, 0)), None, "it was not restarted: somebody has opened it");
    assert_eq!(closes(&open(2, 2)), None, "it is about to be the primary");
    let mut nobody = open(2, 0);
    nobody.objects.manager = Manager::StatefulSet;
    assert_eq!(closes(&nobody), None, "its own configuration opens it");
}
