//! `version`, and what `-v` tells of the requests.

use crate::support::program::run;
use crate::support::server::{Answer, Server};
use crate::support::world::{Cluster, ExecState, World};

#[tokio::test]
async fn versions_and_what_they_are_known_for() {
    let mut newer = Cluster::galera("shop", "orders", 3);
    newer.member(2).exec = ExecState::Missing;
    let world = World::with([Cluster::replication("shop", "db", 2), newer]);
    world.lock().operators.push("r.example/mariadb-operator:v26.6.0");
    let server = world.serve().await;
    insta::assert_snapshot!("seen", run(&server, &["version"]).await.text(&server));
    let json = run(&server, &["version", "-o", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(document["kubernetesVersion"], "v1.34.4");
    assert_eq!(document["operators"][0]["version"], "26.6.0");
    assert_eq!(document["clusters"][1]["unknown"][0]["pod"], "orders-2");
}

/// Only the client's version is needed: nothing else may end the command.
#[tokio::test]
async fn it_never_fails_for_others() {
    let world = World::with([Cluster::galera("shop", "db", 3)]);
    world.lock().denied.extend(["list deployments", "get pods/exec"]);
    let server = world.serve().await;
    insta::assert_snapshot!("denied", run(&server, &["version"]).await.text(&server));
    let silent = Server::start(|_| Answer::Hang).await;
    insta::assert_snapshot!("silent", run(&silent, &["version", "--request-timeout", "200ms"]).await.text(&silent));
    let nowhere = run(&silent, &["version", "--context", "no-such", "-o", "json"]).await;
    assert_eq!((nowhere.exit, nowhere.stderr.as_str()), (0, ""));
    assert!(nowhere.stdout.contains("the kubeconfig has no context"), "{}", nowhere.stdout);
    let client = run(&silent, &["version", "--client"]).await;
    assert_eq!(client.stdout, format!("Client Version: v{}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn requests_are_told_on_stderr_without_secrets() {
    let world = World::with([Cluster::replication("shop", "db", 1)]);
    let server = world.serve().await;
    let told = run(&server, &["status", "db", "-v=9"]).await.stderr;
    for part in
        ["/apis/apps/v1/namespaces/shop/statefulsets/db 200 OK in ", "/exec?", " 101 Switching Protocols in ", "  body: {"]
    {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    assert!(!told.contains(crate::support::server::TOKEN), "{told}");
    let lines = run(&server, &["status", "db", "-v"]).await.stderr;
    assert!(
        lines.lines().count() > 5 && lines.lines().all(|line| line.starts_with("GET http://") && line.ends_with(" ms")),
        "{lines}"
    );
    assert_eq!(run(&server, &["status", "db", "-v=5"]).await.stderr, "");
}
