//! `docs/screens/*.svg`: what a terminal shows, drawn from what the program printed, so that the documents show no screen that
//! does not exist.

use std::path::Path;

use anstyle_svg::Term;
use jiff::Timestamp;
use kubectl_mariadb::process::Process;

use crate::support::world::{Cluster, Pod, Shared, Sql, World};

/// A picture: a cluster in some trouble, a command, and the width of the terminal.
struct Picture {
    file: &'static str,
    columns: u16,
    args: &'static [&'static str],
    world: fn() -> Shared,
}

const PICTURES: &[Picture] = &[
    Picture { file: "status", columns: 80, args: &["status", "db"], world: hung_member },
    Picture { file: "status-60", columns: 60, args: &["status", "db"], world: hung_member },
    Picture { file: "fleet", columns: 80, args: &["status", "-A"], world: fleet },
    Picture { file: "split-brain", columns: 80, args: &["status", "db"], world: split_brain },
    Picture { file: "no-exec-right", columns: 80, args: &["status", "db"], world: no_exec_right },
    Picture { file: "grastate", columns: 80, args: &["galera", "grastate", "db", "--recover-positions", "--yes"], world: killed },
    Picture { file: "can-stop", columns: 80, args: &["can-stop", "--node", "n1"], world: node },
];

fn hung_member() -> Shared {
    let mut db = Cluster::galera("shop", "db", 3);
    db.member(2).sql = Sql::Refuses(
        "ERROR 2013 (HY000): Lost connection to server at 'handshake: reading initial communication packet', system error: 110",
    );
    World::with([db])
}

fn fleet() -> Shared {
    let mut orders = Cluster::galera("shop", "orders", 3);
    orders.as_galera().kill(&[0, 1, 2]);
    for ordinal in 0..3 {
        orders.member(ordinal).pod =
            Pod::Waiting { reason: "CrashLoopBackOff", message: "back-off 5m0s restarting failed container" };
    }
    let mut users = Cluster::replication("shop", "users", 3);
    users.member(1).used_percent = 93;
    World::with([Cluster::galera("crm", "db", 3), orders, users])
}

/// Both sides of a network cut were bootstrapped.
fn split_brain() -> Shared {
    let mut db = Cluster::galera("shop", "db", 3);
    db.as_galera().cut(&[&[0, 1], &[2]]);
    db.as_galera().pc_bootstrap(2);
    World::with([db])
}

fn no_exec_right() -> Shared {
    let world = World::with([Cluster::galera("shop", "db", 3)]);
    world.lock().denied.extend(["get pods/exec", "list events"]);
    world
}

/// All killed at one moment with db-1 further than the others; the set is scaled to 0.
fn killed() -> Shared {
    let mut db = Cluster::galera("shop", "db", 3);
    db.as_galera().kill(&[0, 1, 2]);
    db.as_galera().behind(0, 6);
    db.as_galera().behind(2, 1);
    db.replicas = 0;
    (0..3).for_each(|ordinal| db.member(ordinal).pod = Pod::Absent);
    World::with([db])
}

/// The first pod of each cluster is on n1: a member that others can do without, and a primary.
fn node() -> Shared {
    World::with([Cluster::galera("shop", "db", 3), Cluster::replication("shop", "users", 2)])
}

/// As a terminal of this width would get it, colours included.
async fn shown(picture: &Picture) -> String {
    let server = (picture.world)().serve().await;
    let now: Timestamp = "2026-01-02T04:00:00Z".parse().unwrap();
    let (mut process, captured) = Process::captured(picture.args.iter().copied().chain(["--color=always"]), now);
    process.env.insert("KUBECONFIG".into(), server.kubeconfig().display().to_string());
    process.terminal.width = Some(picture.columns);
    tokio::task::spawn_blocking(move || kubectl_mariadb::run(process)).await.unwrap();
    // What is said on the way comes before the answer.
    format!("$ kubectl mariadb {}\n{}{}", picture.args.join(" "), captured.stderr(), captured.stdout())
}

#[tokio::test]
async fn the_documents_show_real_screens() {
    for picture in PICTURES {
        let svg = Term::new().render_svg(&shown(picture).await);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screens").join(picture.file).with_extension("svg");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &svg).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        let update = "UPDATE_DOCS=1 cargo test --test hermetic screens";
        assert!(written == svg, "{} is not what the program prints; run: {update}", path.display());
    }
}
