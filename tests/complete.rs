//! Completion, the whole program in this process: as kubectl asks it, and as the shells' scripts do.

mod shells;

use kubectl_mariadb::process::Process;

use crate::support::server::{Answer, Server};
use crate::support::world::{Cluster, Shared, World};

/// The machine may be busy: what is offered is the question here, not how fast.
const TIMEOUT: &str = "KUBECTL_MARIADB_COMPLETION_TIMEOUT";

/// What is answered to these words, the last one under the cursor.
async fn offered(server: &Server, line: &str) -> String {
    let words = std::iter::once("__complete").chain(line.split(' '));
    let (mut process, captured) = Process::captured(words, jiff::Timestamp::UNIX_EPOCH);
    process.env.insert("KUBECONFIG".into(), server.kubeconfig().display().to_string());
    process.env.insert(TIMEOUT.into(), "1m".into());
    let exit = tokio::task::spawn_blocking(move || kubectl_mariadb::run(process).code()).await.unwrap();
    assert_eq!((exit, captured.stderr().as_str()), (0, ""), "{line}");
    captured.stdout()
}

async fn fleet() -> (Shared, Server) {
    let clusters =
        [Cluster::galera("shop", "db", 2), Cluster::replication("shop", "orders", 1), Cluster::galera("depot", "stock", 1)];
    let world = World::with(clusters);
    let server = world.serve().await;
    (world, server)
}

#[tokio::test]
async fn names_come_from_the_api_server() {
    let (_world, server) = fleet().await;
    let lines = [
        "status ",
        "status d",
        "status -n depot ",
        "status sts/o",
        "status db ",
        "-n ",
        "status --namespace=d",
        "--context ",
        "--cluster ",
        "--user ",
        "explain MDB20",
        "status -o ",
        "completion ",
        "status --kubeconfig ",
        "status --token ",
        "status --se",
    ];
    let mut told = String::new();
    for line in lines {
        told += &format!("$ kubectl __complete mariadb {line}▏\n{}\n", offered(&server, line).await);
    }
    insta::assert_snapshot!("offered", told);
}

#[tokio::test]
async fn what_fails_offers_nothing_and_says_nothing() {
    let (world, server) = fleet().await;
    world.lock().denied.insert("list statefulsets");
    assert_eq!(offered(&server, "status ").await, ":4\n");
    assert_eq!(offered(&server, "status --context no-such ").await, ":4\n");
    assert_eq!(offered(&server, "status --kubeconfig /no/such/file ").await, ":4\n");
    assert_eq!(offered(&server, "status --request-timeout soon ").await, ":4\n");
    assert_eq!(offered(&server, "--no-such-flag status --pod-timeout").await, "--pod-timeout\tLimit of each pod's answer\n:4\n");
    assert_eq!(offered(&server, "").await.lines().last(), Some(":4"));
}

#[tokio::test]
async fn nobody_waits_for_an_api_server_that_does_not_answer() {
    let server = Server::start(|_| Answer::Hang).await;
    let (mut process, captured) = Process::captured(["__complete", "status", ""], jiff::Timestamp::UNIX_EPOCH);
    process.env.insert("KUBECONFIG".into(), server.kubeconfig().display().to_string());
    // It would hang for ever.
    let exit = tokio::task::spawn_blocking(move || kubectl_mariadb::run(process).code()).await.unwrap();
    assert_eq!((exit, captured.stdout().as_str(), captured.stderr().as_str()), (0, ":4\n", ""));
}

#[tokio::test]
async fn a_cluster_costs_two_requests_whatever_there_is() {
    let (_world, server) = fleet().await;
    offered(&server, "status ").await;
    insta::assert_snapshot!("requests", server.log().text());
}
