//! Objects of a real mariadb-operator in its troubles, through real requests, into findings. No server is asked: what is found
//! here, the objects alone tell.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use kubectl_mariadb::decide::verdict;
use kubectl_mariadb::model::names::Target;
use kubectl_mariadb::observe::{self, Depth};
use kubectl_mariadb::process::Clock;
use serde_json::{Value, json};

use crate::support::{Answer, Server};

/// A server with the objects of `tests/fixtures/operator/NAME.yaml`.
async fn recorded(name: &str) -> (Server, Target) {
    let path = format!("{}/tests/fixtures/operator/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let cluster = documents.iter().find(|document| document["kind"] == "MariaDB").unwrap();
    let target = Target { namespace: text(&cluster["metadata"]["namespace"]), name: text(&cluster["metadata"]["name"]) };
    let server = Server::start(move |request| {
        let parts: Vec<&str> = request.path.split('/').skip_while(|part| *part != "namespaces").skip(2).collect();
        let plural = |document: &Value| format!("{}s", document["kind"].as_str().unwrap().to_lowercase());
        let of_kind = |kind: &str| documents.iter().filter(|document| plural(document) == kind).cloned().collect::<Vec<_>>();
        match parts.as_slice() {
            [kind] => Answer::Json(json!({ "metadata": {}, "items": of_kind(kind) })),
            [kind, name] => match of_kind(kind).into_iter().find(|document| document["metadata"]["name"] == *name) {
                Some(document) => Answer::Json(document),
                None => Answer::error(404, "not found"),
            },
            _ => Answer::error(404, "not found"),
        }
    })
    .await;
    (server, target)
}

/// The codes that are about managers and backups, at a time of that day.
async fn codes(name: &str, time: &str) -> BTreeSet<&'static str> {
    let (server, target) = recorded(name).await;
    let taken: Timestamp = format!("2026-11-20T{time}Z").parse().unwrap();
    let depth = Depth { exec: false, pod_timeout: Duration::from_secs(2), clock: Clock::Fixed(taken) };
    let seen = observe::cluster(&server.api().await, &target, depth).await.unwrap();
    let findings = verdict(&seen).findings;
    let about_managers = findings.iter().map(|finding| finding.rule.code).filter(|code| ["MDB5", "MDB6"].contains(&&code[..4]));
    about_managers.collect()
}

#[tokio::test]
async fn what_a_new_replica_is_copied_from_is_read() {
    for (name, from, scales) in [("scale-out-leaked-claim", Some("rb-tpl"), true), ("galera-ready", None, false)] {
        let (server, target) = recorded(name).await;
        let depth = Depth { exec: false, pod_timeout: Duration::from_secs(2), clock: Clock::Fixed(Timestamp::UNIX_EPOCH) };
        let seen = observe::cluster(&server.api().await, &target, depth).await.unwrap();
        let view = seen.objects.manager.view().unwrap();
        assert_eq!(view.spec.seeds_from.as_deref(), from, "{name}");
        assert_eq!((view.status.scale_out_from.is_some(), view.status.denies("ScaledOut")), (scales, scales), "{name}");
    }
}

#[tokio::test]
async fn recorded_troubles_are_found() {
    for (name, time, expected) in [
        ("galera-ready", "21:07:00", vec!["MDB531", "MDB601"]),
        ("replication-ready", "21:07:00", vec!["MDB532", "MDB601"]),
        ("scaled-to-one", "21:30:30", vec!["MDB502", "MDB518", "MDB519", "MDB520", "MDB532"]),
        ("scale-out-stale-claim", "21:24:00", vec!["MDB504", "MDB532"]),
        ("scale-out-leaked-claim", "21:40:00", vec!["MDB524", "MDB532"]),
        ("partition-paused", "21:19:00", vec!["MDB516", "MDB532", "MDB605"]),
        ("on-delete", "21:25:00", vec!["MDB532"]),
        ("never", "21:31:00", vec!["MDB519", "MDB532"]),
        ("backups", "21:25:00", vec!["MDB532"]),
        ("stuck-switchover", "21:35:30", vec!["MDB512", "MDB519", "MDB520", "MDB532"]),
        ("stuck-switchover", "21:34:00", vec!["MDB511", "MDB519", "MDB520", "MDB532"]),
        ("wrong-source", "21:28:00", vec!["MDB511", "MDB519", "MDB520", "MDB532"]),
        ("recovered", "21:12:00", vec!["MDB520", "MDB531", "MDB601"]),
        ("force-left", "21:25:00", vec!["MDB505", "MDB520", "MDB531", "MDB601"]),
        ("suspended", "21:23:00", vec!["MDB501", "MDB518", "MDB519", "MDB520", "MDB532"]),
    ] {
        assert_eq!(codes(name, time).await, expected.into_iter().collect(), "{name} at {time}");
    }
}
