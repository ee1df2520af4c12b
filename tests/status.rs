//! `status`, the whole program in this process against the model world: what it prints, its exit code, what it asks.

use std::time::Duration;

use crate::support::program::run;
use crate::support::server::{Answer, Server};
use crate::support::terminal::{PROGRAM, Terminal};
use crate::support::world::{Cluster, ExecState, Pod, Sql, World};

async fn shown(world: impl IntoIterator<Item = Cluster>, args: &[&str]) -> String {
    let server = World::with(world).serve().await;
    run(&server, args).await.text(&server)
}

fn galera(change: impl FnOnce(&mut Cluster)) -> [Cluster; 1] {
    let mut cluster = Cluster::galera("shop", "db", 3);
    change(&mut cluster);
    [cluster]
}

fn replication(change: impl FnOnce(&mut Cluster)) -> [Cluster; 1] {
    let mut cluster = Cluster::replication("shop", "db", 3);
    change(&mut cluster);
    [cluster]
}

const STATUS: &[&str] = &["status", "db", "-n", "shop"];

#[tokio::test]
async fn healthy_clusters_exit_0() {
    insta::assert_snapshot!("galera", shown(galera(|_| {}), STATUS).await);
    insta::assert_snapshot!("replication", shown(replication(|_| {}), STATUS).await);
    insta::assert_snapshot!("single", shown([Cluster::replication("shop", "db", 1)], STATUS).await);
}

#[tokio::test]
async fn table_json_and_yaml_say_the_same() {
    let server = World::with(galera(|cluster| cluster.as_galera().disconnect(2))).serve().await;
    let table = run(&server, STATUS).await;
    let json = run(&server, &[STATUS, &["-o", "json"]].concat()).await;
    let yaml = run(&server, &[STATUS, &["-o", "yaml"]].concat()).await;
    let jsonl = run(&server, &[STATUS, &["-o", "jsonl"]].concat()).await;
    assert_eq!([table.exit, json.exit, yaml.exit, jsonl.exit], [3; 4]);
    let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let from_yaml: serde_json::Value = serde_saphyr::from_str(&yaml.stdout).unwrap();
    let from_line: serde_json::Value = serde_json::from_str(jsonl.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(document, from_yaml);
    assert_eq!(document, from_line);
    assert_eq!(document["exitCode"], 3);
    for finding in document["findings"].as_array().unwrap() {
        assert!(table.stdout.contains(finding["code"].as_str().unwrap()), "{}", table.stdout);
    }
    let squeezed = table.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(squeezed.starts_with(document["headline"].as_str().unwrap()), "{squeezed}");
    for pod in document["pods"].as_array().unwrap() {
        assert!(table.stdout.contains(pod["name"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn a_split_brain_is_told_apart_from_a_cut() {
    let cut = galera(|cluster| cluster.as_galera().cut(&[&[0, 1], &[2]]));
    insta::assert_snapshot!("cut", shown(cut, STATUS).await);
    let split = galera(|cluster| {
        cluster.as_galera().cut(&[&[0, 1], &[2]]);
        cluster.as_galera().pc_bootstrap(2);
    });
    insta::assert_snapshot!("split_brain", shown(split, STATUS).await);
}

#[tokio::test]
async fn pods_that_cannot_be_asked_have_their_reasons() {
    let cluster = galera(|cluster| {
        cluster.member(1).exec = ExecState::Hangs;
        cluster.member(2).sql =
            Sql::Refuses("ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: YES)");
    });
    insta::assert_snapshot!("unseen", shown(cluster, &[STATUS, &["--pod-timeout", "300ms"]].concat()).await);
    let cluster = galera(|cluster| {
        cluster.crash_loop(1);
        cluster.member(2).pod = Pod::Pending("0/3 nodes are available");
    });
    insta::assert_snapshot!("down", shown(cluster, STATUS).await);
    insta::assert_snapshot!("no_exec", shown(galera(|_| {}), &[STATUS, &["--no-exec"]].concat()).await);
}

#[tokio::test]
async fn missing_rights_are_named_and_the_rest_is_shown() {
    let world = World::with(galera(|_| {}));
    world.lock().denied.extend(["get nodes", "list events"]);
    let server = world.serve().await;
    insta::assert_snapshot!("no_extras", run(&server, STATUS).await.text(&server));
    world.lock().denied.extend(["get pods/exec"]);
    insta::assert_snapshot!("no_exec_right", run(&server, STATUS).await.text(&server));
    world.lock().denied.extend(["list pods"]);
    insta::assert_snapshot!("no_pods_right", run(&server, STATUS).await.text(&server));
    let json = run(&server, &[STATUS, &["-o", "json"]].concat()).await;
    let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.exit, document["kind"].as_str()), (8, Some("Failure")));
}

#[tokio::test]
async fn replication_in_trouble() {
    let stopped = replication(|cluster| {
        let replication = cluster.as_replication();
        replication.server(2).channel.as_mut().unwrap().stop_applying(1062, "Duplicate entry '1' for key 'PRIMARY'");
        replication.write(0, 3);
    });
    insta::assert_snapshot!("stopped_replica", shown(stopped, STATUS).await);
    let errant = replication(|cluster| {
        cluster.as_replication().write(1, 1);
        cluster.as_replication().server(1).read_only = false;
    });
    insta::assert_snapshot!("errant_and_writable", shown(errant, STATUS).await);
}

#[tokio::test]
async fn names_that_lead_nowhere() {
    insta::assert_snapshot!("wrong_name", shown(galera(|_| {}), &["status", "nosuch", "-n", "shop"]).await);
    insta::assert_snapshot!("wrong_namespace", shown(galera(|_| {}), &["status", "-n", "nosuch"]).await);
    insta::assert_snapshot!("nothing_anywhere", shown([], &["status", "-A"]).await);
}

#[tokio::test]
async fn a_fleet_is_a_row_per_cluster_and_the_worst_exit_code() {
    let clusters = || {
        let mut broken = Cluster::galera("shop", "db", 3);
        broken.as_galera().disconnect(1);
        [Cluster::replication("bank", "ledger", 2), broken, Cluster::replication("shop", "cache", 1)]
    };
    insta::assert_snapshot!("fleet", shown(clusters(), &["status", "-A"]).await);
    insta::assert_snapshot!("fleet_names", shown(clusters(), &["status", "-n", "shop", "-o", "name"]).await);
    let server = World::with(clusters()).serve().await;
    let lines = run(&server, &["status", "-A", "-o", "jsonl"]).await.stdout;
    let kinds: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["Status", "Status", "Status", "StatusList"]);
}

#[tokio::test]
async fn an_api_server_that_answers_nothing_useful() {
    for (code, message) in [(401, "Unauthorized"), (429, "too many requests"), (500, "boom")] {
        let server = Server::start(move |_| Answer::error(code, message)).await;
        insta::assert_snapshot!(format!("api_{code}"), run(&server, STATUS).await.text(&server));
    }
    let server = World::with(galera(|_| {})).serve_as(Server::builder().delay(Duration::from_secs(5))).await;
    let late = run(&server, &[STATUS, &["--request-timeout", "200ms"]].concat()).await;
    insta::assert_snapshot!("api_late", late.text(&server));
}

#[tokio::test]
async fn a_managed_cluster_says_by_whom_and_does_without_what_may_not_be_read() {
    let managed = || Cluster::replication("shop", "db", 3).managed();
    insta::assert_snapshot!("managed", shown([managed()], STATUS).await);
    let world = World::with([managed()]);
    world.lock().operators.push("r.example/mariadb-operator:25.10.4");
    let server = world.serve().await;
    let known = run(&server, STATUS).await.stdout;
    assert!(known.contains("\nmanaged by mariadb-operator 25.10.4; ") && known.contains("MDB532"), "{known}");
    world.lock().operators.push("r.example/mariadb-operator:26.10.1");
    let json = run(&server, &[STATUS, &["-o", "json"]].concat()).await.stdout;
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    let operator = &document["manager"]["operator"];
    assert_eq!((operator["version"].as_str(), operator["versionUnknown"]["reason"].as_str()), (None, Some("Failed")), "{json}");
    let mut suspended = managed();
    suspended.operator().spec["suspend"] = true.into();
    insta::assert_snapshot!("managed_suspended", shown([suspended], STATUS).await);
    let world = World::with([managed()]);
    world.lock().denied.extend(["get mariadbs", "list backups", "list physicalbackups", "list jobs", "list deployments"]);
    let server = world.serve().await;
    let run = run(&server, STATUS).await;
    assert_eq!(run.exit, 0);
    insta::assert_snapshot!("managed_forbidden", run.text(&server));
}

#[tokio::test]
async fn an_object_of_the_operator_without_its_set_is_an_answer() {
    let on_paper = || {
        let mut cluster = Cluster::galera("shop", "db", 3).managed();
        cluster.operator().without_set = true;
        cluster.operator().condition("Ready", "False", "Failed", "Error reconciling ConfigMap: no rights");
        cluster
    };
    insta::assert_snapshot!("without_set", shown([on_paper()], STATUS).await);
    insta::assert_snapshot!("without_set_of_that_kind", shown([on_paper()], &["status", "sts/db", "-n", "shop"]).await);
    let others = || [Cluster::replication("bank", "ledger", 2), on_paper(), Cluster::replication("shop", "cache", 1)];
    insta::assert_snapshot!("fleet_without_set", shown(others(), &["status", "-A"]).await);
    insta::assert_snapshot!("only_without_set", shown([on_paper()], &["status", "-n", "shop"]).await);
    let names = shown(others(), &["status", "-n", "shop", "-o", "name"]).await;
    assert!(names.contains("\nmariadb.k8s.mariadb.com/db\nstatefulset.apps/cache\n"), "{names}");
    let server = World::with(others()).serve().await;
    let lines = run(&server, &["status", "-A", "-o", "jsonl"]).await.stdout;
    let documents: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(documents.len(), 4, "{lines}");
    let own = documents[..3].iter().find(|document| document["name"] == "db").unwrap();
    assert_eq!((own["setExists"].as_bool(), own["findings"][0]["code"].as_str()), (Some(false), Some("MDB525")));
    assert_eq!(documents[3]["items"][0]["name"], "db");
    let world = World::with(others());
    world.lock().denied.extend(["list mariadbs", "get mariadbs"]);
    let server = world.serve().await;
    insta::assert_snapshot!("fleet_without_mariadbs_right", run(&server, &["status", "-A"]).await.text(&server));
    insta::assert_snapshot!("name_without_mariadbs_right", run(&server, STATUS).await.text(&server));
    let plain = shown([Cluster::galera("shop", "db", 3)], &["status", "mariadb/db", "-n", "shop"]).await;
    insta::assert_snapshot!("not_a_mariadb", plain);
    let managed = shown([Cluster::galera("shop", "db", 3).managed()], &["status", "mariadb/db", "-n", "shop"]).await;
    assert!(managed.starts_with("exit 0\n"), "{managed}");
}

#[tokio::test]
async fn a_password_comes_from_the_secret_that_is_named_and_goes_through_stdin_only() {
    let world = World::with(galera(|_| {}));
    let data = serde_json::json!({ "good": "aXQncyE=", "wrong": "bm8=", "empty": "" });
    let secret = serde_json::json!({ "metadata": { "name": "db-root", "namespace": "shop" }, "data": data });
    world.lock().secrets = vec![secret];
    for ordinal in 0..3 {
        world.lock().cluster("db").member(ordinal).sql = Sql::Wants(r"it'\''s!");
    }
    let server = world.serve().await;
    let with = async |secret: &str| run(&server, &[STATUS, &["--password-from", secret]].concat()).await;
    insta::assert_snapshot!("no_password", run(&server, STATUS).await.text(&server));
    let good = with("secret/db-root:good").await;
    assert_eq!(good.exit, 0, "{}", good.stdout);
    assert!(good.stdout.starts_with("Healthy: 3 of 3 members Synced"), "{}", good.stdout);
    let text = server.log().text();
    assert!(!text.contains("it's!") && !text.contains("given"), "{text}");
    insta::assert_snapshot!("wrong_password_from", with("secret/db-root:wrong").await.text(&server));
    for (secret, expected) in [
        ("secret/nosuch:password", "the Secret nosuch that --password-from names does not exist in namespace shop"),
        ("secret/db-root:password", "the Secret db-root in namespace shop has no key password: it has empty, good, wrong"),
        ("secret/db-root:empty", "secret/db-root:empty in namespace shop holds no password"),
    ] {
        let failed = with(secret).await;
        assert_eq!(failed.exit, 1);
        assert!(failed.stderr.contains(expected), "{}", failed.stderr);
    }
    assert_eq!(with("hunter2").await.exit, 2);
    assert_eq!(run(&server, &["status", "-A", "--password-from", "secret/db-root:good"]).await.exit, 2);
    world.lock().denied.insert("get secrets");
    let forbidden = with("secret/db-root:good").await;
    assert_eq!(forbidden.exit, 8);
    assert!(forbidden.stderr.contains("you need the right to get secrets in namespace shop"), "{}", forbidden.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_no_container_knows_is_asked_for_at_a_terminal() {
    let world = World::with(galera(|_| {}));
    for ordinal in 0..3 {
        world.lock().cluster("db").member(ordinal).sql = Sql::Wants(r"it'\''s!");
    }
    let server = world.serve().await;
    let typed = async |args: &'static [&'static str], answer: &'static str, until: &'static str| {
        let kubeconfig = server.kubeconfig();
        let ended = tokio::task::spawn_blocking(move || {
            let mut terminal = Terminal::of(PROGRAM, args, &kubeconfig);
            terminal.wait("Password of the root account of db: ");
            terminal.keys(answer);
            terminal.wait(until);
            if args.contains(&"-w") {
                terminal.keys("q");
            }
            terminal.exit()
        });
        ended.await.unwrap()
    };
    assert_eq!(typed(STATUS, "it's!\r", "Healthy: 3 of 3 members Synced").await, 0);
    assert_eq!(typed(STATUS, "other\r", "the server refuses the password that you gave").await, 4);
    // No answer: what is known without.
    assert_eq!(typed(STATUS, "\r", "files name none").await, 4);
    assert_eq!(typed(&["status", "db", "-n", "shop", "-w"], "it's!\r", "Healthy: 3 of 3 members Synced").await, 0);
    let text = server.log().text();
    assert!(!text.contains("it's!"), "{text}");
    // A document is read by a program, which has nothing to type.
    let json = run(&server, &[STATUS, &["-o", "json"]].concat()).await;
    assert_eq!(json.exit, 4);
}
