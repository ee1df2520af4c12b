//! One exec kept open.

use std::time::{Duration, Instant};

use kubectl_mariadb::api::PodRef;
use kubectl_mariadb::api::session::Session;
use kubectl_mariadb::model::fact::Why;

use crate::support::{Answer, Exec, Protocol, Server};

const LIMIT: Duration = Duration::from_secs(5);

fn pod() -> PodRef {
    PodRef { namespace: "shop".into(), name: "db-0".into(), container: "mariadb".into() }
}

async fn serving<F>(protocol: Protocol, container: impl Fn(Exec) -> F + Clone + Send + Sync + 'static) -> (Server, Session)
where
    F: Future<Output = ()> + Send + 'static,
{
    let server = Server::builder().protocol(protocol).start(move |_| Answer::exec(container.clone())).await;
    let session = Session::open(&server.api().await, &pod(), &["sh"], b"script\n--go\n", "--end", LIMIT).await.unwrap();
    (server, session)
}

async fn loaded(exec: &mut Exec) {
    assert_eq!(exec.line().await.as_deref(), Some("script"));
    assert_eq!(exec.line().await.as_deref(), Some("--go"));
}

#[tokio::test]
async fn a_newline_in_a_sample_out() {
    for protocol in [Protocol::V4, Protocol::V5] {
        let (_server, mut session) = serving(protocol, |mut exec| async move {
            loaded(&mut exec).await;
            for number in 0.. {
                let Some(line) = exec.line().await else { return };
                assert_eq!(line, "");
                // In pieces that do not respect lines.
                exec.stdout(format!("sample {number}\nan --end inside\n--e")).await;
                exec.stderr("a warning\n").await;
                exec.stdout("nd\n").await;
            }
        })
        .await;
        for number in 0..3 {
            let sample = String::from_utf8(session.sample(LIMIT).await.unwrap()).unwrap();
            assert_eq!(sample, format!("sample {number}\nan --end inside\n"), "{protocol:?}");
            assert_eq!(session.take_stderr(), b"a warning\n");
        }
    }
}

#[tokio::test]
async fn what_comes_unasked_is_part_of_the_next_sample() {
    let (_server, mut session) = serving(Protocol::V5, |mut exec| async move {
        loaded(&mut exec).await;
        exec.line().await;
        exec.stdout("one\n--end\nnoise\n").await;
        exec.line().await;
        exec.stdout("two\n--end\n").await;
        exec.silence().await;
    })
    .await;
    assert_eq!(session.sample(LIMIT).await.unwrap(), b"one\n");
    assert_eq!(session.sample(LIMIT).await.unwrap(), b"noise\ntwo\n");
}

#[tokio::test]
async fn a_late_sample_is_never_taken_for_the_next() {
    let (_server, mut session) = serving(Protocol::V5, |mut exec| async move {
        loaded(&mut exec).await;
        exec.line().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        exec.stdout("late\n--end\n").await;
        exec.silence().await;
    })
    .await;
    let limit = Duration::from_millis(100);
    let started = Instant::now();
    assert_eq!(session.sample(limit).await, Err(Why::TimedOut(limit)));
    assert!(started.elapsed() < Duration::from_millis(280));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(session.sample(LIMIT).await, Err(Why::Failed("the session has ended".into())));
}

#[tokio::test]
async fn a_sample_given_up_half_way_ends_the_session() {
    let (_server, mut session) = serving(Protocol::V5, Exec::silence).await;
    assert!(tokio::time::timeout(Duration::from_millis(50), session.sample(LIMIT)).await.is_err());
    assert_eq!(session.sample(LIMIT).await, Err(Why::Failed("the session has ended".into())));
}

#[tokio::test]
async fn an_end_says_how() {
    let (_server, mut session) = serving(Protocol::V5, |mut exec| async move {
        loaded(&mut exec).await;
        exec.stderr("sh: mariadb: not found\n\n").await;
        exec.exit(127).await;
    })
    .await;
    let expected = "the command ended with exit code 127: sh: mariadb: not found";
    assert_eq!(session.sample(LIMIT).await, Err(Why::Failed(expected.into())));
    let (_server, mut session) = serving(Protocol::V5, |mut exec| async move {
        loaded(&mut exec).await;
        exec.line().await;
        exec.stdout("half a sample").await;
        exec.close().await;
    })
    .await;
    assert_eq!(session.sample(LIMIT).await, Err(Why::Failed("the connection was closed".into())));
}

#[tokio::test]
async fn a_command_that_cannot_stop_writing_is_cut_off() {
    let (_server, mut session) = serving(Protocol::V5, |mut exec| async move {
        loaded(&mut exec).await;
        for _ in 0..20 {
            exec.stdout(vec![b'x'; 1 << 20]).await;
        }
    })
    .await;
    assert_eq!(session.sample(LIMIT).await, Err(Why::Failed("it wrote more than 8388608 bytes and was cut off".into())));
}

#[tokio::test]
async fn dropping_it_ends_the_connection() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let sender = std::sync::Arc::new(std::sync::Mutex::new(Some(sender)));
    let (_server, session) = serving(Protocol::V4, move |mut exec| {
        let sender = sender.lock().unwrap().take().unwrap();
        async move {
            while exec.stdin().await.is_some() {}
            sender.send(()).unwrap();
        }
    })
    .await;
    drop(session);
    tokio::time::timeout(LIMIT, receiver).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_refused_exec_opens_no_session() {
    let server = Server::start(|_| Answer::error(403, "forbidden")).await;
    let opened = Session::open(&server.api().await, &pod(), &["sh"], b"", "--end", LIMIT).await;
    assert_eq!(opened.err(), Some(Why::Forbidden("get pods/exec in namespace shop".into())));
}
