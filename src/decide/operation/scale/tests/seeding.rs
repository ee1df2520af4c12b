//! The volume of a new replica: like the others' and no smaller, and of nobody else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{begun, claims, ids, plan, to};
use crate::decide::operation::plan::Range;
use crate::decide::operation::scale::seeding::{MADE_BY, claim, unused};
use crate::model::names::Ordinal;
use crate::model::testing::healthy_replication;

fn set() -> Value {
    json!({"spec": {
        "selector": {"matchLabels": {"app": "db"}},
        "volumeClaimTemplates": [{
            "metadata": {"name": "data", "labels": {"team": "shop"}, "annotations": {"kept": "yes"}},
            "spec": {"storageClassName": "fast", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }],
    }})
}

#[test]
fn a_claim_is_made_as_the_set_would_make_it_with_room_for_the_copy() {
    let like = json!({"spec": {"resources": {"requests": {"storage": "8Gi"}}}});
    let made = claim(&set(), "data", "db-3", &like, "noon").unwrap();
    assert_eq!(made["metadata"]["name"], "data-db-3");
    assert_eq!(made["metadata"]["labels"], json!({"team": "shop", "app": "db"}));
    assert_eq!(made["metadata"]["annotations"], json!({"kept": "yes", MADE_BY: "noon"}));
    assert_eq!(made["spec"]["storageClassName"], "fast");
    assert_eq!(made["spec"]["resources"]["requests"]["storage"], "8Gi");
    assert!(claim(&set(), "data", "db-3", &json!({}), "noon").is_err(), "a size that is not known is no size");
    assert!(claim(&set(), "logs", "db-3", &like, "noon").is_err());
}

#[test]
fn a_scale_in_of_replicas_adds_none() {
    let mut seen = healthy_replication();
    let mut memo = begun(&to(2), &seen).unwrap();
    // Somebody has taken away one more, and whoever goes on has been told.
    seen.objects.stateful_set.replicas = 1;
    memo.ranges = vec![Range::of(&seen.objects.stateful_set)];
    seen.members.retain(|ordinal, _| ordinal.0 == 0);
    let refused = plan(&seen, &memo).unwrap_err();
    assert!(refused.starts_with("MDB749"), "{refused}");
}

#[test]
fn each_new_replica_gets_a_volume_a_copy_and_a_pod_in_this_order() {
    let seen = healthy_replication();
    let mut memo = begun(&to(5), &seen).unwrap();
    let of = |pod: &str| [format!("make the volume of {pod}"), format!("seed {pod}"), format!("start {pod}")];
    assert_eq!(ids(&plan(&seen, &memo).unwrap()), [of("db-3"), of("db-4")].concat());
    // What it has made is what it goes on with, as long as that is there.
    let mut there = seen.clone();
    let mut made = claims(&mut there)[2].clone();
    (made.name, made.uid) = ("data-db-3".to_owned(), "new".to_owned());
    claims(&mut there).push(made);
    let seeding = memo.scale.as_mut().unwrap().seeding.as_mut().unwrap();
    seeding.made.insert("data-db-3".to_owned(), "new".to_owned());
    assert_eq!(ids(&plan(&there, &memo).unwrap())[..2], ["seed db-3", "start db-3"]);
    assert_eq!(unused(&there, memo.scale.as_ref().unwrap()).len(), 1, "nobody ever ran on it");
    memo.scale.as_mut().unwrap().seeding.as_mut().unwrap().seeded = BTreeSet::from([Ordinal(3)]);
    assert_eq!(ids(&plan(&there, &memo).unwrap())[0], "start db-3");
    // Somebody has put another one in its place: whether a copy lies there nobody knows, and it is not ours to delete.
    claims(&mut there)[3].uid = "another".to_owned();
    assert_eq!(ids(&plan(&there, &memo).unwrap())[..3], of("db-3"));
    assert!(unused(&there, memo.scale.as_ref().unwrap()).is_empty());
    // Once its pod was there it is a member's volume.
    let scale = memo.scale.as_mut().unwrap();
    (scale.reached, scale.seeding.as_mut().unwrap().made) = (4, [("data-db-3".to_owned(), "another".to_owned())].into());
    assert!(unused(&there, scale).is_empty());
}
