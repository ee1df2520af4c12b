//! How single requests end: refusals, silence, broken answers; and how many there are.

use std::time::{Duration, Instant};

use futures::future::join_all;
use kubectl_mariadb::api::PodRef;
use kubectl_mariadb::api::exec::{ExecEnd, exec};
use kubectl_mariadb::api::objects::{Pods, Scope, get_stateful_set, list_nodes, list_pods};
use kubectl_mariadb::failure::{Exit, Kind};
use kubectl_mariadb::model::fact::{Fact, Why};
use serde_json::json;

use crate::support::{Answer, Server};

/// Asks for the StatefulSet `db` of a server that answers so.
async fn asked(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (kubectl_mariadb::failure::Failure, usize) {
    let server = Server::start(move |_| answer()).await;
    let api = server.api_with(|flags| flags.request_timeout = Some(Duration::from_millis(300))).await;
    let failure = get_stateful_set(&api, "shop", "db").await.unwrap_err();
    (failure, server.log().len())
}

#[tokio::test]
async fn every_error_status_is_one_request_with_the_servers_words() {
    for (code, kind, exit) in [
        (401, Kind::Unauthorized, Exit::Unobserved),
        (403, Kind::Forbidden, Exit::Forbidden),
        (404, Kind::NotFound, Exit::Failed),
        (409, Kind::Other, Exit::Failed),
        (429, Kind::Unreachable, Exit::Unobserved),
        (500, Kind::Unreachable, Exit::Unobserved),
        (503, Kind::Unreachable, Exit::Unobserved),
    ] {
        let (failure, requests) = asked(move || Answer::error(code, "the server's own words")).await;
        assert_eq!((failure.kind, failure.exit(), requests), (kind, exit, 1), "{code}: {failure}");
        if code != 404 {
            assert!(failure.message.contains("the server's own words"), "{failure}");
        }
        assert!(!failure.message.contains("Status {"), "{failure}");
    }
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let (failure, _) = asked(|| Answer::error(403, "statefulsets.apps \"db\" is forbidden")).await;
    assert_eq!(failure.message, "statefulsets.apps \"db\" is forbidden");
    assert_eq!(failure.hint.as_deref(), Some("you need the right to get statefulsets.apps in namespace shop"));
    let server = Server::start(|_| Answer::error(403, "no")).await;
    assert_eq!(list_nodes(&server.api().await).await, Fact::Unknown(Why::Forbidden("list nodes".into())));
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_request_timeout() {
    let started = Instant::now();
    let (failure, requests) = asked(|| Answer::Hang).await;
    assert_eq!((failure.kind, requests), (Kind::Unreachable, 1));
    assert!(failure.message.ends_with("did not answer within 0.3s (get statefulsets.apps in namespace shop)"), "{failure}");
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn broken_and_foreign_answers_are_said() {
    let (failure, requests) = asked(|| Answer::Cut("{\"metadata\": ")).await;
    assert_eq!((failure.kind, requests), (Kind::Unreachable, 1));
    assert!(failure.message.contains("broke"), "{failure}");
    let (failure, _) = asked(|| Answer::Page(502, "<html>bad gateway</html>")).await;
    assert_eq!(failure.kind, Kind::Unreachable);
    assert!(failure.message.ends_with("<html>bad gateway</html>"), "{failure}");
    let (failure, _) = asked(|| Answer::Page(200, "<html>a login page</html>")).await;
    assert!(failure.message.contains("is not understood"), "{failure}");
}

#[tokio::test]
async fn nobody_listening_is_said_at_once() {
    let server = Server::start(|_| Answer::Hang).await;
    let api = server.api_with(|flags| flags.server = Some("http://127.0.0.1:1".into())).await;
    let failure = get_stateful_set(&api, "shop", "db").await.unwrap_err();
    assert_eq!(failure.kind, Kind::Unreachable);
    assert_eq!(failure.message, "no connection to the API server http://127.0.0.1:1: Connection refused (os error 111)");
}

/// The sequence of `status`: two GETs, then an exec for each of three pods.
#[tokio::test]
async fn execs_use_the_connections_of_the_requests_before_them() {
    let server = Server::builder().delay(Duration::from_millis(150));
    let server = server
        .start(|request| match request.exec_pod() {
            Some(_) => Answer::exec(|exec| exec.exit(0)),
            None => Answer::Json(json!({ "items": [] })),
        })
        .await;
    let api = server.api().await;
    let pods = Pods::Ordinals { set: "db", ordinals: 0..9 };
    let (nodes, pods) = tokio::join!(list_nodes(&api), list_pods(&api, Scope::Namespace("shop"), &pods));
    assert!(nodes.known().is_ok() && pods.is_ok());
    assert_eq!(server.connections(), 2);
    let execs = (0..3).map(|ordinal| {
        let api = api.clone();
        async move {
            let pod = PodRef { namespace: "shop".into(), name: format!("db-{ordinal}"), container: "mariadb".into() };
            exec(&api, &pod, &["true"], b"", Duration::from_secs(5), 1000).await
        }
    });
    for end in join_all(execs).await {
        assert_eq!(end, ExecEnd::Exited { code: 0, stdout: vec![], stderr: vec![] });
    }
    // Two are taken over from the first round; a race may open one more.
    assert!((3..=4).contains(&server.connections()), "{}", server.connections());
    assert_eq!(server.log().rounds().iter().map(Vec::len).collect::<Vec<_>>(), [2, 3], "{}", server.log().text());
}
