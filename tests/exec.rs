//! One command in one container: every way it can end.

use std::time::{Duration, Instant};

use kubectl_mariadb::api::PodRef;
use kubectl_mariadb::api::exec::{ExecEnd, exec, exec_until};
use kubectl_mariadb::model::fact::Why;

use crate::support::server::TOKEN;
use crate::support::{Answer, Exec, Protocol, Server};

const LIMIT: Duration = Duration::from_secs(5);
const MAX: usize = 1 << 20;

fn pod() -> PodRef {
    PodRef { namespace: "shop".into(), name: "db-0".into(), container: "mariadb".into() }
}

/// Runs `sh -s` with `stdin` against a container that behaves as `container` says.
async fn run<F>(protocol: Protocol, stdin: &[u8], container: impl Fn(Exec) -> F + Clone + Send + Sync + 'static) -> ExecEnd
where
    F: Future<Output = ()> + Send + 'static,
{
    run_limited(protocol, stdin, LIMIT, MAX, container).await
}

async fn run_limited<F>(
    protocol: Protocol,
    stdin: &[u8],
    limit: Duration,
    max: usize,
    container: impl Fn(Exec) -> F + Clone + Send + Sync + 'static,
) -> ExecEnd
where
    F: Future<Output = ()> + Send + 'static,
{
    let server = Server::builder().protocol(protocol).start(move |_| Answer::exec(container.clone())).await;
    exec(&server.api().await, &pod(), &["sh", "-s"], stdin, limit, max).await
}

/// Runs against a server that refuses.
async fn refused(answer: impl Fn() -> Answer + Send + Sync + 'static) -> ExecEnd {
    let server = Server::start(move |_| answer()).await;
    exec(&server.api().await, &pod(), &["true"], b"", LIMIT, MAX).await
}

fn exited(code: i32, stdout: &str, stderr: &str) -> ExecEnd {
    ExecEnd::Exited { code, stdout: stdout.into(), stderr: stderr.into() }
}

#[tokio::test]
async fn exit_code_and_both_streams_arrive_on_both_protocols() {
    for protocol in [Protocol::V4, Protocol::V5] {
        for code in [0, 2, 137] {
            let end = run(protocol, b"", move |mut exec| async move {
                exec.stdout("out").await;
                exec.stderr("err").await;
                exec.ping().await;
                exec.stdout("put").await;
                exec.exit(code).await;
            });
            assert_eq!(end.await, exited(code, "output", "err"), "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn stdin_arrives_whole_and_ends_where_the_protocol_can_say_so() {
    let script = "select 1;\n".repeat(30_000);
    let end = run(Protocol::V5, script.as_bytes(), |mut exec| async move {
        assert_eq!(exec.argv, ["sh", "-s"]);
        let length = exec.whole_stdin().await.len();
        exec.stdout(length.to_string()).await;
        exec.exit(0).await;
    });
    assert_eq!(end.await, exited(0, "300000", ""));
}

#[tokio::test]
async fn without_half_close_a_script_that_knows_its_end_still_runs() {
    let end = run(Protocol::V4, b"echo hello\n--go\n", |mut exec| async move {
        let mut lines = Vec::new();
        while let Some(line) = exec.line().await {
            if line == "--go" {
                break;
            }
            lines.push(line);
        }
        exec.stdout(lines.join(";")).await;
        exec.exit(0).await;
    });
    assert_eq!(end.await, exited(0, "echo hello", ""));
}

#[tokio::test]
async fn stdin_that_nobody_reads_does_not_stop_the_output() {
    let script = vec![b'x'; 8 << 20];
    let end = run(Protocol::V5, &script, |mut exec| async move {
        exec.stdout("not interested").await;
        exec.status(1).await;
        exec.silence().await;
    });
    assert_eq!(end.await, exited(1, "not interested", ""));
}

#[tokio::test]
async fn much_output_arrives_quickly_and_whole() {
    let started = Instant::now();
    let end = run_limited(Protocol::V5, b"", Duration::from_secs(20), 32 << 20, |mut exec| async move {
        for _ in 0..20 {
            exec.stdout(vec![b'x'; 1 << 20]).await;
        }
        exec.exit(0).await;
    });
    match end.await {
        ExecEnd::Exited { code: 0, stdout, .. } => assert_eq!(stdout.len(), 20 << 20),
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test]
async fn more_output_than_allowed_is_cut_off_and_said() {
    let end = run(Protocol::V5, b"", |mut exec| async move {
        for _ in 0..20 {
            exec.stdout(vec![b'x'; 1 << 20]).await;
        }
        exec.exit(0).await;
    });
    assert_eq!(end.await, ExecEnd::Lost(Why::Failed("it wrote more than 1048576 bytes and was cut off".into())));
}

#[tokio::test]
async fn output_that_arrives_after_the_exit_code_is_kept() {
    let end = run(Protocol::V5, b"", |mut exec| async move {
        exec.stdout("first, ").await;
        exec.status(0).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        exec.stdout("last").await;
        exec.close().await;
    });
    assert_eq!(end.await, exited(0, "first, last", ""));
}

#[tokio::test]
async fn an_exit_code_without_a_close_is_enough() {
    let end = run(Protocol::V5, b"", |mut exec| async move {
        exec.stdout("done").await;
        exec.status(0).await;
        exec.silence().await;
    });
    assert_eq!(end.await, exited(0, "done", ""));
}

#[tokio::test]
async fn the_last_line_is_the_end_whenever_the_exit_code_comes() {
    let server = Server::start(|_| {
        Answer::exec(|mut exec: Exec| async move {
            for piece in ["not the end\nthe ", "end", " yet\nthe end", "\n"] {
                exec.stdout(piece).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            exec.silence().await;
        })
    });
    let server = server.await;
    let started = Instant::now();
    let end = exec_until(&server.api().await, &pod(), &["sh"], b"", "the end", LIMIT, MAX).await;
    assert_eq!(end, ExecEnd::Complete { stdout: b"not the end\nthe end yet\nthe end\n".to_vec() });
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn without_its_last_line_a_script_ends_as_any_command() {
    let server = Server::start(|_| {
        Answer::exec(|mut exec: Exec| async move {
            exec.stdout("half of the end").await;
            exec.exit(3).await;
        })
    });
    let end = exec_until(&server.await.api().await, &pod(), &["sh"], b"", "the end", LIMIT, MAX).await;
    assert_eq!(end, exited(3, "half of the end", ""));
}

#[tokio::test]
async fn an_end_without_exit_code_is_lost_whatever_was_written() {
    let close = run(Protocol::V5, b"", |mut exec| async move {
        exec.stdout("half").await;
        exec.close().await;
    });
    assert_eq!(close.await, ExecEnd::Lost(Why::Failed("no exit code arrived: the connection was closed".into())));
    let reset = run(Protocol::V5, b"", |mut exec| async move {
        exec.stdout(vec![b'x'; 20_000]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        exec.reset();
    });
    match reset.await {
        ExecEnd::Lost(Why::Failed(message)) => {
            assert!(message.starts_with("no exit code arrived: the connection broke"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_of_another_kind_is_not_passed_over() {
    let end = run(Protocol::V5, b"", |mut exec| async move {
        exec.text("hello").await;
        exec.exit(0).await;
    });
    let message = "no exit code arrived: a text message came where only binary ones are allowed";
    assert_eq!(end.await, ExecEnd::Lost(Why::Failed(message.into())));
}

#[tokio::test]
async fn silence_costs_the_deadline_and_no_more() {
    let limit = Duration::from_millis(300);
    let started = Instant::now();
    let after_upgrade = run_limited(Protocol::V5, b"", limit, MAX, Exec::silence);
    assert_eq!(after_upgrade.await, ExecEnd::Lost(Why::TimedOut(limit)));
    let server = Server::start(|_| Answer::Hang).await;
    let before_upgrade = exec(&server.api().await, &pod(), &["true"], b"", limit, MAX).await;
    assert_eq!(before_upgrade, ExecEnd::Lost(Why::TimedOut(limit)));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_refusal_names_the_right_or_the_servers_reason() {
    let forbidden = refused(|| Answer::error(403, "pods \"db-0\" is forbidden: User \"eve\" cannot get resource \"pods/exec\""));
    assert_eq!(forbidden.await, ExecEnd::Refused(Why::Forbidden("get pods/exec in namespace shop".into())));
    for (code, words) in [
        (404, "pods \"db-0\" not found"),
        (400, "container mariadb is not valid for pod db-0"),
        (400, "pod db-0 does not have a host assigned"),
        (500, "unable to upgrade connection: container not found (\"mariadb\")"),
    ] {
        let end = refused(move || Answer::error(code, words)).await;
        assert_eq!(end, ExecEnd::Refused(Why::NotRunning(words.into())), "{code}");
    }
    for code in [401, 409, 429, 500, 503] {
        match refused(move || Answer::error(code, "no")).await {
            ExecEnd::Refused(Why::Failed(message)) => assert!(message.ends_with(": no"), "{code}: {message}"),
            other => panic!("{code}: {other:?}"),
        }
    }
    // A gateway may have passed the request on before it gave up.
    assert!(matches!(refused(|| Answer::Page(504, "<html>gateway</html>")).await, ExecEnd::Lost(Why::Failed(_))));
}

#[tokio::test]
async fn words_of_the_runtime_after_the_upgrade_tell_whether_it_ran() {
    let missing = "unable to upgrade connection: container not found (\"mariadb\")";
    let end = run(Protocol::V5, b"", move |exec| exec.fail(missing)).await;
    assert_eq!(end, ExecEnd::Refused(Why::NotRunning(missing.into())));
    let no_binary = "Internal error occurred: failed to start exec: exec: \"sh\": executable file not found in $PATH";
    let end = run(Protocol::V5, b"", move |exec| exec.fail(no_binary)).await;
    assert_eq!(end, ExecEnd::Refused(Why::Failed(no_binary.into())));
    let broken = "Internal error occurred: unexpected EOF";
    let end = run(Protocol::V5, b"", move |exec| exec.fail(broken)).await;
    assert_eq!(end, ExecEnd::Lost(Why::Failed(broken.into())));
}

#[tokio::test]
async fn nobody_listening_means_that_nothing_ran() {
    let server = Server::start(|_| Answer::Hang).await;
    let gone = server.api_with(|flags| flags.server = Some("http://127.0.0.1:1".into())).await;
    match exec(&gone, &pod(), &["true"], b"", LIMIT, MAX).await {
        ExecEnd::Refused(Why::Failed(message)) => {
            assert!(message.starts_with("no connection to the API server http://127.0.0.1:1: "), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_container_is_named_and_the_users_identity_is_sent() {
    let server = Server::start(|request| {
        assert_eq!(request.path, "/api/v1/namespaces/shop/pods/db-0/exec");
        assert_eq!(request.query("container"), Some("mariadb"));
        assert_eq!(request.argv(), ["sh", "-c", "cat; exit 3"]);
        assert_eq!(request.header("authorization"), [format!("Bearer {TOKEN}")]);
        assert_eq!(request.header("impersonate-user"), ["eve"]);
        assert_eq!(request.header("impersonate-group"), ["a", "b"]);
        assert_eq!(request.header("impersonate-uid"), ["7"]);
        Answer::exec(|exec| exec.exit(3))
    })
    .await;
    let api = server.api_with(|flags| {
        flags.as_user = Some("eve".into());
        flags.as_groups = vec!["a".into(), "b".into()];
        flags.as_uid = Some("7".into());
    });
    let end = exec(&api.await, &pod(), &["sh", "-c", "cat; exit 3"], b"", LIMIT, MAX).await;
    assert_eq!(end, exited(3, "", ""));
}

#[tokio::test]
async fn a_name_that_would_change_the_path_is_not_sent() {
    let server = Server::start(|_| Answer::Hang).await;
    let odd = PodRef { name: "db-0/../../secrets".into(), ..pod() };
    let end = exec(&server.api().await, &odd, &["true"], b"", LIMIT, MAX).await;
    assert!(matches!(end, ExecEnd::Refused(Why::Failed(_))), "{end:?}");
    assert_eq!(server.log().len(), 0);
}
