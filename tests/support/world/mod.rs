//! The model world: StatefulSets, pods and the servers in them, behind the fake API server.
//!
//! A test changes the world between looks; what the program sees follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

use super::server::{Builder, Server};

mod answers;
pub mod client;
mod cluster;
pub mod config_maps;
pub mod controller;
mod exec;
pub mod galera;
pub mod helpers;
mod objects;
mod operator;
pub mod replication;
pub mod rolling;
mod sample;
pub mod scaling;
pub mod seeding;
pub mod volumes;
mod watches;

pub use cluster::{Cluster, Engine, ExecState, Member, Pod, Sql};

use answers::{Asked, selected};
use config_maps::ConfigMaps;
use helpers::Helpers;

#[derive(Default)]
pub struct World {
    pub nodes: BTreeMap<String, Node>,
    pub clusters: Vec<Cluster>,
    /// Rights the user lacks: `list nodes`, `get pods/exec` …
    pub denied: BTreeSet<&'static str>,
    /// Images of the operators that run beside.
    pub operators: Vec<&'static str>,
    /// Whole `Secret` objects.
    pub secrets: Vec<Value>,
    pub helpers: Helpers,
    pub config_maps: ConfigMaps,
    /// `HorizontalPodAutoscaler` objects of the namespace.
    pub horizontal: Vec<Value>,
    /// `VerticalPodAutoscaler` objects; without one the kind is not installed.
    pub vertical: Vec<Value>,
    /// Every request fails so: `(503, "…")`.
    pub down: Option<(u16, &'static str)>,
    /// One more cuts every watch and every exec there is.
    pub cuts: u32,
    /// One more ends every watch with 410.
    pub expiries: u32,
    pub told: watches::Told,
    /// How often a budget refused an eviction.
    pub held_back: u32,
    /// What a pod answers to a statement; without a pod's name, what all answer.
    pub replies: BTreeMap<(String, String), client::Reply>,
    /// Every statement that a server got, and which.
    pub statements: Vec<(String, String)>,
    /// The accounts that clients named, empty for the container's own.
    pub accounts: Vec<String>,
    pub connections: u64,
    /// Connections whose statement was killed.
    pub killed: BTreeSet<u64>,
    pub sql_mode: &'static str,
    /// Statements so far that changed whether a server takes writes, or whom it follows.
    pub orders: usize,
    /// The answer to the one of this number gets lost: it was carried out, and the connection breaks.
    pub breaks_after: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    Ready,
    NotReady,
    /// Its kubelet says nothing any more.
    Silent,
}

/// A world that a server and a test share.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    world: Mutex<World>,
    /// Counts changes; versions of objects are made of it.
    changes: tokio::sync::watch::Sender<u64>,
    /// Looks of all sessions and execs.
    samples: AtomicUsize,
}

/// The world, to be changed: whoever watches it looks again afterwards.
pub struct Guard<'a> {
    world: Option<MutexGuard<'a, World>>,
    inner: &'a Inner,
}

impl Deref for Guard<'_> {
    type Target = World;

    fn deref(&self) -> &World {
        self.world.as_ref().expect("it is there until the end")
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut World {
        self.world.as_mut().expect("it is there until the end")
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.inner.changes.send_modify(|changes| *changes += 1);
        self.world = None;
    }
}

impl World {
    /// Three ready nodes and these clusters.
    pub fn with(clusters: impl IntoIterator<Item = Cluster>) -> Shared {
        let nodes = ["n1", "n2", "n3"].map(|name| (name.to_owned(), Node::Ready)).into();
        let world = Mutex::new(Self { nodes, clusters: clusters.into_iter().collect(), ..Self::default() });
        Shared(Arc::new(Inner { world, changes: tokio::sync::watch::Sender::new(100), samples: AtomicUsize::new(0) }))
    }

    /// What all servers answer to a statement.
    pub fn reply(&mut self, statement: &str, reply: client::Reply) {
        self.replies.insert((String::new(), statement.to_owned()), reply);
    }

    /// What one pod answers to it.
    pub fn reply_of(&mut self, pod: &str, statement: &str, reply: client::Reply) {
        self.replies.insert((pod.to_owned(), statement.to_owned()), reply);
    }

    /// The cluster of this name.
    pub fn cluster(&mut self, name: &str) -> &mut Cluster {
        self.clusters.iter_mut().find(|cluster| cluster.name == name).expect("a cluster of this world")
    }
}

impl Shared {
    pub fn lock(&self) -> Guard<'_> {
        Guard { world: Some(self.0.world.lock().unwrap()), inner: &self.0 }
    }

    /// To look, not to change anything that can be watched.
    fn peek(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap()
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn version(&self) -> u64 {
        *self.0.changes.borrow()
    }

    /// How often pods were looked at.
    pub fn samples(&self) -> usize {
        self.0.samples.load(Ordering::SeqCst)
    }

    pub async fn serve(&self) -> Server {
        self.serve_as(Server::builder()).await
    }

    pub async fn serve_as(&self, builder: Builder) -> Server {
        let world = self.clone();
        builder.start(move |request| world.answer(request)).await
    }
}
