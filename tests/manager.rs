//! Who manages a cluster: found by owner, by name, in every group, and without a right to read it.

use std::time::Duration;

use jiff::Timestamp;
use kubectl_mariadb::api::objects::Scope;
use kubectl_mariadb::model::fact::{Fact, Why};
use kubectl_mariadb::model::manager::{Manager, Operator};
use kubectl_mariadb::model::names::{Ordinal, Target};
use kubectl_mariadb::model::operator::{ApiGroup, BackupKind, Mode};
use kubectl_mariadb::observe::{self, Depth};
use kubectl_mariadb::process::Clock;
use serde_json::json;

use crate::support::server::Server;
use crate::support::world::{Cluster, Shared, World};

fn depth() -> Depth {
    Depth { exec: true, pod_timeout: Duration::from_secs(2), clock: Clock::Fixed(Timestamp::UNIX_EPOCH) }
}

async fn manager_seen(server: &Server) -> Manager {
    let target = Target { namespace: "shop".into(), name: "db".into() };
    observe::cluster(&server.api().await, &target, depth()).await.unwrap().objects.manager
}

async fn manager(world: &Shared) -> Manager {
    manager_seen(&world.serve().await).await
}

fn operator(manager: &Manager) -> &Operator {
    manager.operator().expect("an operator")
}

#[tokio::test]
async fn an_operator_is_read_with_what_it_believes() {
    let mut cluster = Cluster::galera("shop", "db", 3).managed();
    cluster.operator().spec["galera"]["recovery"]["forceClusterBootstrapInPod"] = "db-1".into();
    cluster.operator().status["galeraRecovery"] = json!({
        "state": { "db-0": { "version": "2.1", "uuid": "2ec812f1-e4f6-11f1-ad8a-7a5c33de3170", "seqno": -1, "safeToBootstrap": false } },
        "recovered": { "db-0": { "uuid": "2ec812f1-e4f6-11f1-ad8a-7a5c33de3170", "seqno": 23 } },
        "bootstrap": { "pod": "db-1", "time": "2026-01-02T03:05:00Z" }, "podsRestarted": true,
    });
    let manager = manager(&World::with([cluster])).await;
    let operator = operator(&manager);
    assert_eq!((operator.group, operator.owns), (ApiGroup::MariaDb, true));
    let view = operator.view.known().unwrap();
    assert_eq!((view.spec.mode, view.spec.primary_index), (Mode::Galera, Some(Ordinal(0))));
    assert_eq!(view.spec.force_bootstrap_in.as_deref(), Some("db-1"));
    assert_eq!(view.spec.min_cluster_size.as_deref(), Some("1"));
    assert_eq!(view.data_plane().map(|version| version.to_string()).as_deref(), Some("26.10.1"));
    let recovery = view.status.recovery.as_ref().unwrap();
    assert_eq!(recovery.states["db-0"].position.seqno, None);
    assert_eq!(recovery.recovered["db-0"].seqno, Some(23));
    assert_eq!((recovery.bootstrap_pod.as_deref(), recovery.pods_restarted), (Some("db-1"), true));
    assert_eq!(operator.backups, Fact::Known(vec![]));
}

#[tokio::test]
async fn a_set_of_nobody_costs_one_question() {
    let server = World::with([Cluster::galera("shop", "db", 3)]).serve().await;
    assert_eq!(manager_seen(&server).await, Manager::StatefulSet);
    let text = server.log().text();
    assert_eq!(text.matches("mariadb.com").count(), 1, "{text}");
    assert!(!text.contains("backups") && !text.contains("jobs") && !text.contains("deployments"), "{text}");
}

#[tokio::test]
async fn an_object_that_may_not_be_read_is_an_extra_only_if_something_hints_at_it() {
    let world = World::with([Cluster::galera("shop", "db", 3).managed()]);
    world.lock().denied.extend(["get mariadbs", "list physicalbackups"]);
    let manager_of_owned = manager(&world).await;
    let operator = operator(&manager_of_owned);
    let forbidden = |right: &str| Some(Why::Forbidden(format!("{right} in namespace shop")));
    assert_eq!(operator.view.known().err().cloned(), forbidden("get mariadbs.k8s.mariadb.com"));
    assert_eq!(operator.backups.known().err().cloned(), forbidden("list physicalbackups.k8s.mariadb.com"));
    let world = World::with([Cluster::galera("shop", "db", 3)]);
    world.lock().denied.insert("get mariadbs");
    assert_eq!(manager(&world).await, Manager::StatefulSet);
}

#[tokio::test]
async fn older_groups_are_asked_only_where_the_owner_names_one() {
    for (group, expected) in [("enterprise.mariadb.com", ApiGroup::Enterprise), ("mariadb.mmontes.io", ApiGroup::Mmontes)] {
        let mut cluster = Cluster::replication("shop", "db", 3).managed();
        cluster.operator().group = group;
        let spec = &mut cluster.operator().spec;
        spec["replication"]["primary"] = json!({ "podIndex": 2, "automaticFailover": false });
        spec["image"] = json!({ "repository": "mariadb", "tag": "10.6" });
        cluster.operator().status["replication"] = json!(null);
        cluster.operator().status["replicationStatus"] = json!({ "db-0": "Master", "db-1": "Slave" });
        let manager = manager(&World::with([cluster])).await;
        let view = manager.view().unwrap();
        assert_eq!(view.group, expected);
        assert_eq!((view.spec.primary_index, view.spec.auto_failover), (Some(Ordinal(2)), Some(false)));
        assert_eq!(view.spec.image.as_deref(), Some("mariadb:10.6"));
        assert_eq!(view.status.roles.get("db-1").map(String::as_str), Some("Slave"));
    }
}

#[tokio::test]
async fn backups_are_those_of_the_cluster_with_their_own_jobs() {
    let mut cluster = Cluster::replication("shop", "db", 3).managed();
    let backup = |kind: &str, name: &str, of: &str| {
        json!({
            "kind": kind, "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-{name}") },
            "spec": { "mariaDbRef": { "name": of }, "schedule": { "cron": "0 3 * * *" } },
            "status": { "conditions": [{ "type": "Complete", "status": "True", "reason": "JobFailed", "message": "Failed" }] },
        })
    };
    let job = |name: &str, owner: serde_json::Value, end: &str| {
        json!({
            "metadata": { "name": name, "namespace": "shop", "uid": name, "ownerReferences": [owner] },
            "status": { "startTime": "2026-01-02T03:00:00Z", "completionTime": "2026-01-02T03:01:00Z",
                "conditions": [{ "type": end, "status": "True", "reason": "R", "message": "words" }] },
        })
    };
    let by = |kind: &str, name: &str| json!({ "kind": kind, "name": name, "uid": format!("uid-{name}"), "controller": true });
    let operator = cluster.operator();
    operator.backups = vec![backup("Backup", "dump", "db"), backup("Backup", "other", "db2")];
    operator.physical_backups = vec![backup("PhysicalBackup", "phys", "db")];
    operator.jobs = vec![
        job("dump-1", by("CronJob", "dump"), "Complete"),
        job("phys-1", by("PhysicalBackup", "phys"), "Failed"),
        job("unrelated", by("CronJob", "cleanup"), "Complete"),
    ];
    let world = World::with([cluster, Cluster::replication("shop", "db2", 1).managed()]);
    let manager = manager(&world).await;
    let backups = manager.operator().unwrap().backups.known().unwrap();
    assert_eq!(
        backups.iter().map(|backup| (backup.kind, backup.name.as_str())).collect::<Vec<_>>(),
        [(BackupKind::Logical, "dump"), (BackupKind::Physical, "phys")]
    );
    assert_eq!(backups[0].last_success(), Some("2026-01-02T03:01:00Z".parse().unwrap()));
    assert_eq!(backups[1].last_failure().map(|(_, why)| why).as_deref(), Some("R: words"));
    assert_eq!(backups[1].last_success(), None);
}

#[tokio::test]
async fn a_fleet_asks_for_all_objects_at_once() {
    let managed = (0..5).map(|number| Cluster::replication("shop", &format!("db{number}"), 2).managed());
    let mut enterprise = Cluster::galera("other", "g", 3).managed();
    enterprise.operator().group = "enterprise.mariadb.com";
    let world = World::with(managed.chain([enterprise, Cluster::galera("other", "plain", 3)]));
    let server = world.serve().await;
    let fleet = observe::fleet(&server.api().await, Scope::AllNamespaces, None, depth(), |_| {}).await.unwrap();
    assert_eq!((fleet.unmade, fleet.unlisted), (Vec::new(), None));
    let managers: Vec<Option<ApiGroup>> =
        fleet.clusters.iter().map(|snapshot| snapshot.objects.manager.view().map(|view| view.group)).collect();
    assert_eq!(managers[..2], [Some(ApiGroup::Enterprise), None]);
    assert_eq!(managers[2..], [Some(ApiGroup::MariaDb); 5]);
    let text = server.log().text();
    let lists = text.lines().filter(|line| line.contains("GET") && !line.contains("/exec")).count();
    // Nine of any fleet (see `look`); the older group, two kinds of backups of each of two groups, jobs, Deployments.
    assert_eq!(lists, 9 + 1 + 2 * 2 + 2, "{text}");
}

/// Whatever its group, and though nothing that is there names it; as many requests as for any other fleet of these groups.
#[tokio::test]
async fn an_object_without_a_set_is_found_in_every_group() {
    let groups = [("k8s.mariadb.com", 0), ("enterprise.mariadb.com", 1), ("mariadb.mmontes.io", 1), ("database.mmontes.io", 1)];
    for (group, older) in groups {
        let unmade = |number| {
            let mut cluster = Cluster::galera("other", &format!("lost{number}"), 3).managed();
            cluster.operator().group = group;
            cluster.operator().without_set = true;
            cluster
        };
        let world = World::with((0..7).map(unmade).chain([Cluster::galera("shop", "db", 3)]));
        let server = world.serve().await;
        let fleet = observe::fleet(&server.api().await, Scope::AllNamespaces, None, depth(), |_| {}).await.unwrap();
        let names: Vec<String> = fleet.unmade.iter().map(|unmade| unmade.target().to_string()).collect();
        assert_eq!((names.len(), names[0].as_str(), fleet.clusters.len()), (7, "other/lost0", 1), "{group}");
        let text = server.log().text();
        let requests = text.lines().filter(|line| line.contains("GET") && !line.contains("/exec")).count();
        // Nodes of the only cluster one by one.
        assert_eq!(requests, 8 + 3 + older, "{text}");
        let target = Target { namespace: "other".into(), name: "lost0".into() };
        let failure = observe::cluster(&server.api().await, &target, depth()).await.unwrap_err();
        assert!(failure.message.starts_with("MariaDB lost0 in namespace other has no StatefulSet: "), "{failure}");
        let selected = observe::fleet(&server.api().await, Scope::AllNamespaces, Some("app=db"), depth(), |_| {}).await;
        assert_eq!(selected.unwrap().unmade, []);
    }
}

/// Who may not list the objects is told so where there are such objects, and not where their kind is unknown.
#[tokio::test]
async fn what_may_not_be_listed_is_missed_only_where_it_is_served() {
    let world = World::with([Cluster::galera("shop", "db", 3), Cluster::galera("shop", "managed", 3).managed()]);
    world.lock().denied.insert("list mariadbs");
    let unlisted = async |world: &Shared| {
        let server = world.serve().await;
        observe::fleet(&server.api().await, Scope::AllNamespaces, None, depth(), |_| {}).await.unwrap().unlisted
    };
    let forbidden = Why::Forbidden("list mariadbs.k8s.mariadb.com in all namespaces".into());
    assert_eq!(unlisted(&world).await, Some(forbidden));
    let world = World::with([Cluster::galera("shop", "db", 3)]);
    world.lock().denied.insert("list mariadbs");
    assert_eq!(unlisted(&world).await, None);
}
