//! Objects as the API server writes them, through real requests, into `model`.

use std::collections::BTreeMap;

use kubectl_mariadb::api::objects::{
    ByNamespace, Pods, Scope, get_nodes, get_stateful_set, is_about, list_claims, list_endpoint_slices, list_events, list_nodes,
    list_pods, list_services, list_stateful_sets,
};
use kubectl_mariadb::failure::Kind;
use kubectl_mariadb::model::fact::Fact;
use kubectl_mariadb::model::kubernetes::{
    ContainerEnd, ContainerState, NodeReady, Pod, PodManagement, StatefulSet, UpdateStrategy, VolumeSource,
};
use kubectl_mariadb::model::names::Ordinal;
use serde_json::{Value, json};

use crate::support::{Answer, Server};

const SHOP: Scope<'_> = Scope::Namespace("shop");

fn documents(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/objects/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list(items: impl IntoIterator<Item = Value>) -> Answer {
    Answer::Json(json!({ "kind": "List", "metadata": {}, "items": items.into_iter().collect::<Vec<_>>() }))
}

/// A server that answers every list with these objects.
async fn with(names: &[&str]) -> Server {
    let items: Vec<Value> = names.iter().flat_map(|name| documents(name)).collect();
    Server::start(move |_| list(items.clone())).await
}

fn known<T: std::fmt::Debug>(fact: Fact<ByNamespace<T>>, namespace: &str) -> Vec<T> {
    match fact {
        Fact::Known(mut found) => found.remove(namespace).unwrap(),
        Fact::Unknown(why) => panic!("{why}"),
    }
}

async fn sets(fixture: &str) -> BTreeMap<String, StatefulSet> {
    let server = with(&[fixture]).await;
    let found = list_stateful_sets(&server.api().await, Scope::AllNamespaces, None).await.unwrap();
    found.into_iter().map(|set| (set.name.clone(), set)).collect()
}

#[tokio::test]
async fn sets_that_run_mariadb_are_told_from_the_others() {
    let sets = sets("sets").await;
    assert_eq!(sets.keys().collect::<Vec<_>>(), ["chart", "forgotten", "plain", "unnamed"]);
    let containers: Vec<&str> = sets.values().map(|set| set.layout.container.as_str()).collect();
    assert_eq!(containers, ["mariadb-galera", "db", "server", "app"]);
}

#[tokio::test]
async fn a_set_is_read_with_its_defaults() {
    let sets = sets("sets").await;
    let plain = &sets["plain"];
    assert_eq!((plain.replicas, plain.start, plain.generation, plain.observed_generation), (3, 1, 4, 3));
    assert_eq!((plain.current_revision.as_str(), plain.update_revision.as_str()), ("plain-1", "plain-2"));
    assert_eq!(plain.update_strategy, UpdateStrategy::RollingUpdate { partition: 2 });
    assert_eq!(plain.pod_management, PodManagement::OrderedReady);
    assert!(plain.deletes_claims_when_scaled);
    assert_eq!(plain.claim_templates, ["data"]);
    assert_eq!(sets["chart"].update_strategy, UpdateStrategy::OnDelete);
    assert_eq!(sets["chart"].pod_management, PodManagement::Parallel);
    let forgotten = &sets["forgotten"];
    assert_eq!((forgotten.replicas, forgotten.start, forgotten.deletes_claims_when_scaled), (1, 0, false));
    assert_eq!(forgotten.update_strategy, UpdateStrategy::RollingUpdate { partition: 0 });
}

#[tokio::test]
async fn the_data_directory_comes_first_with_where_it_lives() {
    let sets = sets("sets").await;
    let first = |name: &str| {
        let mount = &sets[name].layout.mounts[0];
        (mount.path.clone(), mount.source.clone())
    };
    assert_eq!(first("plain"), ("/var/lib/mysql".into(), VolumeSource::Claim));
    assert_eq!(first("chart"), ("/bitnami/mariadb".into(), VolumeSource::Claim));
    assert_eq!(first("forgotten"), ("/var/lib/mysql".into(), VolumeSource::EmptyDir));
    assert_eq!(first("unnamed"), ("/var/lib/mysql/".into(), VolumeSource::Claim));
    assert_eq!(sets["plain"].layout.mounts.len(), 3);
}

#[tokio::test]
async fn only_a_switch_that_always_works_is_reported() {
    let sets = sets("sets").await;
    let switches = |name: &str| sets[name].layout.bootstrap_switches.clone();
    assert_eq!(switches("plain"), [""; 0]);
    assert_eq!(switches("chart"), ["env: MARIADB_GALERA_CLUSTER_BOOTSTRAP=yes"]);
    assert_eq!(switches("forgotten"), ["args: --wsrep-new-cluster", "args: gcomm://"]);
}

#[tokio::test]
async fn the_operators_sets_and_pods_are_understood() {
    for fixture in ["galera-statefulset", "replication-statefulset"] {
        let layout = sets(fixture).await.into_values().next().unwrap().layout;
        assert_eq!((layout.container.as_str(), layout.mounts[0].path.as_str()), ("mariadb", "/var/lib/mysql"), "{fixture}");
        assert_eq!(layout.mounts[0].source, VolumeSource::Claim);
        assert_eq!(layout.bootstrap_switches, [""; 0]);
    }
    let set = sets("galera-statefulset").await.remove("gal").unwrap();
    let server = with(&["galera-pods", "job-pod"]).await;
    let pods = list_pods(&server.api().await, Scope::Namespace("mg"), &Pods::OfAnySet).await.unwrap();
    let pods: BTreeMap<Ordinal, Pod> = pods.into_values().flatten().filter_map(|pod| pod.of(&set)).collect();
    assert_eq!(pods.keys().copied().collect::<Vec<_>>(), [Ordinal(0), Ordinal(1), Ordinal(2)]);
    let pod = &pods[&Ordinal(0)];
    assert_eq!((pod.phase.as_str(), pod.ready, pod.node.as_deref()), ("Running", true, Some("n3")));
    assert_eq!(pod.claims, ["storage-gal-0", "galera-gal-0"]);
    assert_eq!(pod.containers.iter().map(|container| container.name.as_str()).collect::<Vec<_>>(), ["mariadb", "agent"]);
    assert!(pod.containers.iter().all(|container| matches!(container.state, ContainerState::Running { since: Some(_) })));
    assert_eq!(pod.revision.as_deref(), Some(set.update_revision.as_str()));
}

#[tokio::test]
async fn pods_in_trouble_keep_the_words_of_kubernetes_and_foreign_pods_are_left_out() {
    let set = sets("sets").await.remove("plain").unwrap();
    let server = with(&["states"]).await;
    let api = server.api().await;
    let found = list_pods(&api, SHOP, &Pods::Ordinals { set: "plain", ordinals: 0..3 }).await.unwrap();
    assert_eq!(server.log().rounds()[0].len(), 1);
    assert!(
        server.log().text().contains("statefulset.kubernetes.io/pod-name in (plain-0,plain-1,plain-2)"),
        "{}",
        server.log().text()
    );
    let pods: BTreeMap<Ordinal, Pod> = found["shop"].iter().cloned().filter_map(|pod| pod.of(&set)).collect();
    assert_eq!(pods.keys().copied().collect::<Vec<_>>(), [Ordinal(1), Ordinal(2)]);

    let crashing = &pods[&Ordinal(1)];
    assert!(crashing.deletion.is_some() && !crashing.ready);
    assert_eq!((crashing.ip.as_deref(), crashing.claims.as_slice()), (Some("10.0.0.7"), ["data-plain-1".to_owned()].as_slice()));
    assert_eq!(crashing.containers[0].state, ContainerState::Unreported);
    let database = &crashing.containers[1];
    assert_eq!(database.restarts, 5);
    let waiting = ContainerState::Waiting { reason: "CrashLoopBackOff".into(), message: "back-off 2m40s".into() };
    assert_eq!(database.state, waiting);
    let at = Some("2026-01-02T03:50:00Z".parse().unwrap());
    assert_eq!(
        database.last_end,
        Some(ContainerEnd { exit_code: 137, signal: Some(9), reason: "OOMKilled".into(), started: None, at })
    );
    assert!(matches!(&crashing.init_containers[0].state, ContainerState::Terminated(end) if end.exit_code == 0));

    let pending = &pods[&Ordinal(2)];
    assert_eq!(pending.unscheduled.as_deref(), Some("Unschedulable: 0/3 nodes are available"));
    assert_eq!((pending.node.as_deref(), pending.revision.as_deref()), (None, None));
}

#[tokio::test]
async fn claims_services_and_endpoints_are_read() {
    let claims = known(list_claims(&with(&["galera-pvc"]).await.api().await, Scope::AllNamespaces).await, "mg");
    assert_eq!(claims.len(), 6);
    assert!(claims.iter().all(|claim| claim.phase == "Bound" && claim.volume.is_some() && claim.deletion.is_none()));
    let storage = claims.iter().find(|claim| claim.name == "galera-gal-0").unwrap();
    assert_eq!((storage.capacity.as_deref(), storage.storage_class.as_deref()), (Some("100Mi"), Some("bed-dir")));

    let services = known(list_services(&with(&["galera-services"]).await.api().await, Scope::AllNamespaces).await, "mg");
    let internal = services.iter().find(|service| service.name == "gal-internal").unwrap();
    assert!(internal.headless && internal.publishes_not_ready);
    let primary = services.iter().find(|service| service.name == "gal-primary").unwrap();
    assert!(!primary.headless);
    assert_eq!(services.len(), 4);

    let slices =
        known(list_endpoint_slices(&with(&["galera-endpointslices"]).await.api().await, Scope::AllNamespaces).await, "mg");
    let of = |name: &str| slices.iter().find(|slice| slice.service == name).unwrap();
    assert_eq!(of("gal").endpoints, ["gal-0", "gal-1", "gal-2"].map(|pod| (pod.to_owned(), true)).into());
}

#[tokio::test]
async fn an_absent_ready_condition_of_an_endpoint_counts_as_ready() {
    let server = Server::start(|_| {
        let endpoint = |name: &str, ready: Value| json!({ "targetRef": { "kind": "Pod", "name": name }, "conditions": { "ready": ready } });
        list([
            json!({ "metadata": { "namespace": "shop", "labels": { "kubernetes.io/service-name": "s" } },
                "endpoints": [endpoint("a", Value::Null), endpoint("b", false.into())] }),
            json!({ "metadata": { "namespace": "shop", "labels": { "kubernetes.io/service-name": "empty" } }, "endpoints": null }),
            json!({ "metadata": { "namespace": "shop" }, "endpoints": null }),
        ])
    })
    .await;
    let slices = known(list_endpoint_slices(&server.api().await, SHOP).await, "shop");
    assert_eq!(slices.len(), 2);
    assert_eq!(slices[0].endpoints, BTreeMap::from([("a".to_owned(), true), ("b".to_owned(), false)]));
}

#[tokio::test]
async fn nodes_are_ready_not_ready_or_silent() {
    let node = |name: &str, status: &str| {
        json!({ "metadata": { "name": name }, "spec": { "unschedulable": name == "a", "taints": [{ "key": "k", "effect": "NoExecute" }] },
            "status": { "conditions": [{ "type": "Ready", "status": status, "reason": "R", "message": "words",
                "lastTransitionTime": "2026-01-02T03:04:05Z" }] } })
    };
    let server = Server::start(move |request| match request.path.rsplit('/').next() {
        Some("nodes") => list([node("a", "True"), node("b", "False"), node("c", "Unknown")]),
        Some("b") => Answer::Json(node("b", "False")),
        _ => Answer::error(404, "no such node"),
    })
    .await;
    let api = server.api().await;
    let Fact::Known(nodes) = list_nodes(&api).await else { panic!() };
    let since = Some("2026-01-02T03:04:05Z".parse().unwrap());
    let ready: Vec<NodeReady> = nodes.iter().map(|node| node.ready.clone()).collect();
    assert_eq!(ready, [NodeReady::Yes, NodeReady::No("R: words".into()), NodeReady::Silent { since }]);
    assert_eq!(
        (nodes[0].cordoned, nodes[1].cordoned, nodes[0].taints.as_slice()),
        (true, false, ["k:NoExecute".to_owned()].as_slice())
    );
    // A node that is gone is no error.
    let Fact::Known(named) = get_nodes(&api, ["b", "gone"]).await else { panic!() };
    assert_eq!(named.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn events_of_the_set_its_pods_and_claims_are_about_it() {
    let event = |kind: &str, name: &str, last: &str| {
        json!({ "metadata": { "namespace": "shop" }, "involvedObject": { "kind": kind, "name": name }, "reason": "R", "message": "m",
            "type": "Warning", "count": 3, "lastTimestamp": last })
    };
    let server = Server::start(move |request| {
        // What is written everywhere all the time stays out; `Killing` comes in.
        let fields = request.query("fieldSelector").unwrap_or_default().to_owned();
        assert!(fields.contains("reason!=Pulled") && !fields.contains("Killing") && !fields.contains("type"), "{fields}");
        list([
            event("Pod", "plain-1", "2026-01-02T03:04:06Z"),
            event("StatefulSet", "plain", "2026-01-02T03:04:05Z"),
            event("PersistentVolumeClaim", "data-plain-2", "2026-01-02T03:04:07Z"),
            event("Pod", "plain-x", "2026-01-02T03:04:08Z"),
            event("Pod", "other-1", "2026-01-02T03:04:08Z"),
        ])
    })
    .await;
    let set = sets("sets").await.remove("plain").unwrap();
    let events = known(list_events(&server.api().await, SHOP).await, "shop");
    let about: Vec<&str> = events.iter().filter(|event| is_about(event, &set)).map(|event| event.object.as_str()).collect();
    assert_eq!(about, ["StatefulSet/plain", "Pod/plain-1", "PersistentVolumeClaim/data-plain-2"]);
    assert_eq!(events[0].count, 3);
}

#[tokio::test]
async fn long_lists_come_in_pages_and_start_again_when_a_page_expires() {
    let set = documents("sets").remove(0);
    let expired = std::sync::atomic::AtomicBool::new(false);
    let server = Server::start(move |request| {
        assert_eq!(request.query("limit"), Some("500"));
        match request.query("continue") {
            None => Answer::Json(json!({ "metadata": { "continue": "second" }, "items": [set] })),
            Some("second") if !expired.swap(true, std::sync::atomic::Ordering::SeqCst) => Answer::error(410, "too old"),
            Some("second") => Answer::Json(json!({ "metadata": { "continue": "" }, "items": [set] })),
            other => panic!("{other:?}"),
        }
    })
    .await;
    let sets = list_stateful_sets(&server.api().await, SHOP, Some("app=g")).await.unwrap();
    assert_eq!((sets.len(), server.log().len()), (2, 4));
    assert!(server.log().text().contains("labelSelector=app=g"), "{}", server.log().text());
}

#[tokio::test]
async fn a_set_by_name_is_found_missing_or_something_else() {
    let server = Server::start(|request| match request.path.as_str() {
        "/apis/apps/v1/namespaces/shop/statefulsets/plain" => Answer::Json(documents("sets").remove(0)),
        "/apis/apps/v1/namespaces/shop/statefulsets/cache" => Answer::Json(documents("sets").pop().unwrap()),
        _ => Answer::error(404, "statefulsets.apps not found"),
    })
    .await;
    let api = server.api().await;
    assert_eq!(get_stateful_set(&api, "shop", "plain").await.unwrap().name, "plain");
    let missing = get_stateful_set(&api, "shop", "nothing").await.unwrap_err();
    assert_eq!((missing.kind, missing.message.as_str()), (Kind::NotFound, "there is no StatefulSet nothing in namespace shop"));
    let other = get_stateful_set(&api, "shop", "cache").await.unwrap_err();
    assert_eq!(
        (other.kind, other.message.as_str()),
        (Kind::NotFound, "the StatefulSet cache in namespace shop does not run MariaDB")
    );
    let odd = get_stateful_set(&api, "shop", "../secrets/x").await.unwrap_err();
    assert_eq!(odd.kind, Kind::Usage);
    assert_eq!(server.log().len(), 3);
}
