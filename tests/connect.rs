//! From flags, environment and kubeconfig to a connection that works.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubectl_mariadb::api::Api;
use kubectl_mariadb::api::connect::connect;
use kubectl_mariadb::api::flags::ConnectionFlags;
use kubectl_mariadb::api::objects::list_nodes;
use kubectl_mariadb::failure::{Failure, Kind};
use kubectl_mariadb::model::fact::{Fact, Why};
use serde_json::{Value, json};

use crate::support::proxy::Proxy;
use crate::support::server::TOKEN;
use crate::support::tls::Certificates;
use crate::support::{Answer, Request, Server};

fn no_items(_: &Request) -> Answer {
    Answer::Json(json!({ "items": [] }))
}

fn flags(kubeconfig: PathBuf) -> ConnectionFlags {
    ConnectionFlags { kubeconfig: Some(kubeconfig), ..ConnectionFlags::default() }
}

fn env<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

async fn plain(flags: &ConnectionFlags) -> Result<Api, Failure> {
    connect(flags, &BTreeMap::new(), None).await
}

/// One request, and why it brought nothing.
async fn try_out(api: &Api) -> Result<(), Why> {
    match list_nodes(api).await {
        Fact::Known(nodes) => {
            assert_eq!(nodes, []);
            Ok(())
        }
        Fact::Unknown(why) => Err(why),
    }
}

fn failed(result: Result<(), Why>) -> String {
    match result {
        Err(Why::Failed(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn files_of_a_list_that_do_not_exist_are_skipped() {
    let server = Server::start(no_items).await;
    let list = std::env::join_paths([Path::new("/does/not/exist"), &server.kubeconfig(), Path::new("")]).unwrap();
    let env = env([("KUBECONFIG", list.into_string().unwrap())]);
    let api = connect(&ConnectionFlags::default(), &env, None).await.unwrap();
    assert_eq!(api.namespace(), "shop");
    assert_eq!(try_out(&api).await, Ok(()));
}

#[tokio::test]
async fn the_file_of_the_home_directory_is_the_default() {
    let server = Server::start(no_items).await;
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    std::fs::copy(server.kubeconfig(), home.path().join(".kube/config")).unwrap();
    let api = connect(&ConnectionFlags::default(), &BTreeMap::new(), Some(home.path())).await.unwrap();
    assert_eq!(try_out(&api).await, Ok(()));
}

#[tokio::test]
async fn an_address_and_a_token_need_no_kubeconfig() {
    let server = Server::start(|request| {
        assert_eq!(request.header("authorization"), ["Bearer abc"]);
        no_items(request)
    })
    .await;
    let flags = ConnectionFlags { server: Some(server.url()), token: Some("abc".into()), ..ConnectionFlags::default() };
    let api = plain(&flags).await.unwrap();
    assert_eq!(api.namespace(), "default");
    assert_eq!(try_out(&api).await, Ok(()));
}

#[tokio::test]
async fn the_identity_to_act_as_is_sent() {
    let server = Server::start(|request| {
        assert_eq!(request.header("authorization"), [format!("Bearer {TOKEN}")]);
        assert_eq!(request.header("impersonate-user"), ["eve"]);
        assert_eq!(request.header("impersonate-group"), ["ops"]);
        no_items(request)
    })
    .await;
    let api = server.api_with(|flags| {
        flags.as_user = Some("eve".into());
        flags.as_groups = vec!["ops".into()];
    });
    assert_eq!(try_out(&api.await).await, Ok(()));
}

#[tokio::test]
async fn certificates_are_checked_against_the_given_authority_and_name() {
    let server = Server::builder().tls(Certificates::for_name("kube.test")).start(no_items).await;
    let message = failed(try_out(&server.api().await).await);
    assert!(message.contains(" is not trusted: invalid peer certificate: "), "{message}");
    let named = server.api_with(|flags| flags.tls_server_name = Some("kube.test".into())).await;
    assert_eq!(try_out(&named).await, Ok(()));
    let unchecked = server.api_with(|flags| flags.insecure_skip_tls_verify = Some(true)).await;
    assert_eq!(try_out(&unchecked).await, Ok(()));

    let other_authority = server.dir().join("other.pem");
    std::fs::write(&other_authority, Certificates::for_name("kube.test").authority_pem).unwrap();
    let wrong = server.api_with(|flags| {
        flags.tls_server_name = Some("kube.test".into());
        flags.certificate_authority = Some(other_authority);
    });
    let message = failed(try_out(&wrong.await).await);
    assert!(message.contains(" is not trusted: invalid peer certificate: "), "{message}");
}

#[tokio::test]
async fn a_proxy_is_used_unless_no_proxy_names_the_server() {
    let server = Server::start(no_items).await;
    let (http, socks) = (Proxy::http(server.address).await, Proxy::socks(server.address).await);
    let named = ConnectionFlags { server: Some("http://api.cluster.test:6443".into()), ..flags(server.kubeconfig()) };

    let through_http = env([("http_proxy", format!("http://{}", http.address)), ("no_proxy", "other.test,".into())]);
    assert_eq!(try_out(&connect(&named, &through_http, None).await.unwrap()).await, Ok(()));
    assert_eq!(http.asked(), ["api.cluster.test:6443"]);

    let through_socks = env([("HTTP_PROXY", format!("socks5://{}", socks.address))]);
    assert_eq!(try_out(&connect(&named, &through_socks, None).await.unwrap()).await, Ok(()));
    assert_eq!(socks.asked(), ["api.cluster.test:6443"]);

    // A name in NO_PROXY is asked for directly, and does not exist.
    let direct = env([("HTTP_PROXY", format!("http://{}", http.address)), ("NO_PROXY", ".cluster.test".into())]);
    let message = failed(try_out(&connect(&named, &direct, None).await.unwrap()).await);
    assert!(message.starts_with("no connection to the API server http://api.cluster.test:6443"), "{message}");
    assert_eq!(http.asked().len(), 1);
}

#[tokio::test]
async fn a_proxy_of_the_kubeconfig_is_used_by_tls_and_exec_too() {
    use kubectl_mariadb::api::{PodRef, exec};
    let certificates = Certificates::for_name("api.cluster.test");
    let server = Server::builder().tls(certificates).start(|_| Answer::exec(|exec| exec.exit(0))).await;
    let proxy = Proxy::http(server.address).await;
    let path = server.kubeconfig();
    let mut kubeconfig: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    kubeconfig["clusters"][0]["cluster"]["proxy-url"] = format!("http://{}", proxy.address).into();
    kubeconfig["clusters"][0]["cluster"]["server"] = "https://api.cluster.test".into();
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let api = connect(&flags(path), &env([("NO_PROXY", "*".into())]), None).await.unwrap();
    let pod = PodRef { namespace: "shop".into(), name: "db-0".into(), container: "mariadb".into() };
    let end = exec::exec(&api, &pod, &["true"], b"", Duration::from_secs(5), 1000).await;
    assert_eq!(end, exec::ExecEnd::Exited { code: 0, stdout: vec![], stderr: vec![] });
    assert_eq!(proxy.asked(), ["api.cluster.test:443"]);
}

/// A credential plugin that counts its runs in `runs` and answers with `status`.
fn plugin(dir: &Path, status: &Value) -> Value {
    let answer = json!({ "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status });
    std::fs::write(dir.join("answer.json"), answer.to_string()).unwrap();
    let script = format!(
        "echo run >> {0}/runs; printf %s \"$KUBERNETES_EXEC_INFO\" > {0}/info; echo \"$GREETING\" >> {0}/runs; cat {0}/answer.json",
        dir.display()
    );
    json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
        "interactiveMode": "Never", "provideClusterInfo": true, "env": [{ "name": "GREETING", "value": "hello" }],
    }})
}

fn runs(dir: &Path) -> usize {
    std::fs::read_to_string(dir.join("runs")).unwrap().lines().filter(|line| *line == "run").count()
}

fn path_env() -> BTreeMap<String, String> {
    env([("PATH", "/usr/bin:/bin".into())])
}

#[tokio::test]
async fn a_credential_plugin_runs_once_for_many_requests() {
    let server = Server::start(|request| {
        assert_eq!(request.header("authorization"), ["Bearer fresh"]);
        no_items(request)
    })
    .await;
    let user = plugin(server.dir(), &json!({ "token": "fresh", "expirationTimestamp": "2999-01-01T00:00:00Z" }));
    let api = connect(&flags(server.kubeconfig_with(user)), &path_env(), None).await.unwrap();
    let (one, two, three) = tokio::join!(try_out(&api), try_out(&api), try_out(&api));
    assert_eq!((one, two, three), (Ok(()), Ok(()), Ok(())));
    assert_eq!(runs(server.dir()), 1);
    let info: Value = serde_json::from_str(&std::fs::read_to_string(server.dir().join("info")).unwrap()).unwrap();
    assert_eq!(info["spec"], json!({ "interactive": false, "cluster": { "server": server.url() } }));
    assert!(std::fs::read_to_string(server.dir().join("runs")).unwrap().contains("hello"));
}

#[tokio::test]
async fn a_token_about_to_expire_is_renewed() {
    let server = Server::start(no_items).await;
    let user = plugin(server.dir(), &json!({ "token": "short", "expirationTimestamp": "2020-01-01T00:00:00Z" }));
    let api = connect(&flags(server.kubeconfig_with(user)), &path_env(), None).await.unwrap();
    assert_eq!(runs(server.dir()), 1);
    assert_eq!(try_out(&api).await, Ok(()));
    assert!(runs(server.dir()) > 1);
}

#[tokio::test]
async fn a_plugin_may_give_a_certificate() {
    let server = Server::builder().tls(Certificates::for_name("127.0.0.1")).start(no_items).await;
    let (certificate, key) = Certificates::client();
    let user = plugin(server.dir(), &json!({ "clientCertificateData": certificate, "clientKeyData": key }));
    let api = connect(&flags(server.kubeconfig_with(user)), &path_env(), None).await.unwrap();
    assert_eq!(try_out(&api).await, Ok(()));
    assert_eq!(runs(server.dir()), 1);
}

#[tokio::test]
async fn a_plugin_that_fails_is_quoted() {
    let server = Server::start(no_items).await;
    let entry = |command: &str, script: &str| {
        json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1", "command": command, "args": ["-c", script],
            "interactiveMode": "Never", "installHint": "install the login tool" } })
    };
    for (user, message, hint) in [
        (
            entry("sh", "echo first >&2; echo 'token expired, log in' >&2; exit 4"),
            "the credential plugin sh failed (exit status: 4): token expired, log in",
            None,
        ),
        (
            entry("no-such-login", ""),
            "the credential plugin no-such-login cannot be run: No such file or directory (os error 2)",
            Some("install the login tool"),
        ),
        (entry("sh", "echo no json"), "the answer of the credential plugin sh is not usable: it is no ExecCredential", None),
        (
            entry("sh", "echo '{\"status\": {}}'"),
            "the answer of the credential plugin sh is not usable: it has neither a token nor a certificate with its key",
            None,
        ),
    ] {
        let failure = connect(&flags(server.kubeconfig_with(user)), &path_env(), None).await.err().unwrap();
        assert_eq!((failure.kind, failure.message.as_str()), (Kind::Unauthorized, message));
        assert_eq!(failure.hint.as_deref(), hint);
    }
    // With a token on the command line nobody needs the plugin.
    let with_token = ConnectionFlags { token: Some("t".into()), ..flags(server.kubeconfig_with(entry("no-such-login", ""))) };
    assert!(plain(&with_token).await.is_ok());
}
