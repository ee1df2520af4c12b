//! `pvc …`, the whole program against the model world: what it says, what it deletes and changes, and what it leaves alone.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::program::{Run, run_at_terminal, run_quickly};
use crate::support::server::{Answer, Server};
use crate::support::world::volumes::claim;
use crate::support::world::{Cluster, Pod, Shared, World};

mod cuts;
mod expand;
mod list;
mod prune;

const FOREIGN: &str = "650ade90-e4f6-11f1-ad8a-000000000002";

/// Three members that are well, and the volumes of two more that a scale-in has left: closed cleanly, and of the members' history.
fn scaled_in() -> Shared {
    let mut cluster = Cluster::galera("shop", "db", 5).controlled(false);
    cluster.scale(3);
    cluster.as_galera().write(0, 7);
    World::with([cluster])
}

async fn played(world: &Shared, args: &[&str], exit: u8) -> Run {
    let server = world.serve().await;
    let run = run_quickly(&server, args).await;
    assert_eq!(run.exit, exit, "{args:?}\n{}", run.text(&server));
    run
}

async fn shown(world: &Shared, args: &[&str]) -> String {
    let server = world.serve().await;
    run_quickly(&server, args).await.text(&server)
}

async fn document(world: &Shared, args: &[&str]) -> (u8, Value) {
    let server = world.serve().await;
    let run = run_quickly(&server, &[args, &["-o", "json"]].concat()).await;
    (run.exit, serde_json::from_str(&run.stdout).unwrap_or_else(|why| panic!("{why}: {}{}", run.stdout, run.stderr)))
}

/// The names of the claims that were deleted.
fn deleted(world: &Shared) -> Vec<String> {
    world.lock().cluster("db").volumes.deleted.clone()
}

fn assert_nothing_is_left(world: &Shared) {
    assert_eq!(world.lock().helpers.alive(), Vec::<&str>::new());
    assert!(world.lock().config_maps.kept("kubectl-mariadb.db", "current").is_null(), "a lock is left");
}

/// The name and the result of each volume of a document.
fn results(document: &Value) -> Vec<(&str, &str)> {
    let volumes = document["volumes"].as_array().unwrap_or_else(|| panic!("{document:#}"));
    volumes.iter().map(|volume| (volume["name"].as_str().unwrap(), volume["result"].as_str().unwrap())).collect()
}
