//! The model world must not lie: played on real servers, the same steps lead to the same states. The files are written there
//! (`UPDATE_CONTRACT=1 cargo bed test contract`), never from here.

use jiff::Timestamp;
use kubectl_mariadb::process::Process;

use crate::support::server::Server;
use crate::support::world::{Cluster, Engine, Pod, Shared, World};

mod reduce;

/// Plays the steps on `cluster` and compares what the whole program shows after each.
async fn keeps(contract: &str, cluster: Cluster) {
    let world = World::with([cluster]);
    let server = world.serve().await;
    let mut played = reduce::parse(contract);
    for step in &mut played {
        let words: Vec<&str> = step.action.split_whitespace().collect();
        act(world.lock().cluster("db"), &words);
        probe(&world);
        step.state = look(&server).await;
    }
    assert_eq!(reduce::render(&played), contract);
}

fn act(cluster: &mut Cluster, words: &[&str]) {
    let ordinal = |pod: &str| pod.trim_start_matches("db-").parse::<u32>().unwrap();
    match words {
        ["start"] => {}
        ["write", pod] => match &mut cluster.engine {
            Engine::Galera(galera) => galera.write(ordinal(pod), 1),
            Engine::Gtid(replication) => replication.write(ordinal(pod), 1),
        },
        // Each of them is alone; the others stay together.
        ["cut", pods @ ..] => {
            let alone: Vec<u32> = pods.iter().map(|pod| ordinal(pod)).collect();
            let together: Vec<u32> = (0..cluster.replicas).filter(|ordinal| !alone.contains(ordinal)).collect();
            let sides: Vec<&[u32]> = [together.as_slice()].into_iter().chain(alone.chunks(1)).collect();
            cluster.as_galera().cut(&sides);
        }
        ["heal"] => cluster.as_galera().heal(),
        ["bootstrap", pod] => cluster.as_galera().pc_bootstrap(ordinal(pod)),
        ["scale", replicas] => cluster.scale(replicas.parse().unwrap()),
        ["stop", "applying", pod] => cluster.as_replication().stop_thread(ordinal(pod)),
        ["start", "applying", pod] => cluster.as_replication().start_thread(ordinal(pod)),
        _ => panic!("no step: {words:?}"),
    }
}

/// Readiness probes ask whether the server takes statements.
fn probe(world: &Shared) {
    let mut world = world.lock();
    let cluster = world.cluster("db");
    for (ordinal, member) in &mut cluster.members {
        if let Pod::Running { ready } = &mut member.pod {
            *ready = match &cluster.engine {
                Engine::Galera(galera) => galera.serves(*ordinal),
                Engine::Gtid(_) => true,
            };
        }
    }
}

async fn look(server: &Server) -> Vec<String> {
    let now: Timestamp = "2026-01-02T04:00:00Z".parse().unwrap();
    let (mut process, captured) = Process::captured(["status", "db", "-n", "shop", "-o", "json"], now);
    process.env.insert("KUBECONFIG".into(), server.kubeconfig().display().to_string());
    // The program has an event loop of its own.
    tokio::task::spawn_blocking(move || kubectl_mariadb::run(process).code()).await.unwrap();
    reduce::reduce(&serde_json::from_str(&captured.stdout()).unwrap())
}

#[tokio::test]
async fn the_world_is_like_galera() {
    keeps(include_str!("contract/galera.txt"), Cluster::galera("shop", "db", 3)).await;
}

#[tokio::test]
async fn the_world_is_like_replication() {
    keeps(include_str!("contract/replication.txt"), Cluster::replication("shop", "db", 3)).await;
}
