//! The helper that takes a copy for a new replica: what it mounts, whom it lets in, and what its log says.

use serde_json::json;

use super::super::{Kind, Template, seeded, way_to};
use super::template;
use crate::model::names::Ordinal;
use crate::model::testing::stateful_set;

#[test]
fn a_seeder_writes_to_the_new_volume_alone_and_listens_to_one_server() {
    let (set, template) = (stateful_set(3), template());
    let template = Template { set: &set, template: &template };
    let helper = template.seeder(Ordinal(3), "/var/lib/mysql", "10.0.0.12").unwrap();
    assert_eq!((helper.kind, helper.name.as_str()), (Kind::Seed, "db-3-seed"));
    assert_eq!(helper.claims, [("data-db-3".to_owned(), true)]);
    let spec = &helper.job["spec"]["template"]["spec"];
    let listen = "TCP4-LISTEN:4444,reuseaddr,range=10.0.0.12/32,accept-timeout=120";
    assert_eq!(spec["containers"][0]["command"][5], listen);
    // Crash recovery of a copy needs what the server has; and no password of the set's is in it.
    assert_eq!(spec["containers"][0]["resources"], json!({"limits": {"memory": "1Gi"}}));
    assert!(spec["containers"][0]["env"].is_null());
    assert_eq!(spec["automountServiceAccountToken"], false);
    let apart = &spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"];
    assert_eq!(apart["labelSelector"]["matchLabels"], json!({"app": "db"}));
    assert!(helper.job["spec"]["template"]["metadata"]["labels"]["app"].is_null(), "it would be taken for a member");

    let six = template.seeder(Ordinal(3), "/var/lib/mysql", "fd00::c").unwrap();
    let listen = "TCP6-LISTEN:4444,reuseaddr,range=[fd00::c]/128,accept-timeout=120";
    assert_eq!(six.job["spec"]["template"]["spec"]["containers"][0]["command"][5], listen);
    assert_eq!((way_to("10.0.0.9"), way_to("fd00::9")), ("TCP4:10.0.0.9:4444".to_owned(), "TCP6:[fd00::9]:4444".to_owned()));
}

#[test]
fn only_its_own_words_make_a_copy_whole() {
    assert_eq!(seeded("kubectl-mariadb: listening\ncompleted OK!\nkubectl-mariadb: seeded\n"), Ok(()));
    let refused = "kubectl-mariadb: listening\nkubectl-mariadb: refused: the copy ended before it was whole\n";
    assert_eq!(seeded(refused), Err("the copy ended before it was whole".to_owned()));
    let killed = seeded("kubectl-mariadb: listening\nInnoDB: Starting crash recovery\n").unwrap_err();
    assert!(killed.ends_with("it said last: InnoDB: Starting crash recovery"), "{killed}");
    assert!(seeded("").unwrap_err().ends_with("it said last: nothing"));
}
