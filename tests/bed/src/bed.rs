//! A bed: up, down, and the handles to what it consists of.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::cache::{Cache, digest};
use crate::command::{command, output, output_of_input};
use crate::control_plane::{ControlPlane, Part, kubectl};
use crate::layout::{Layout, MAX_NODES, STATE};
use crate::node::{Node, NodeService, place_program};
use crate::process::{read_record, remove_file, wait_until, write_record};
use crate::progress::{Progress, Step};
use crate::status::Status;
use crate::template::template;
use crate::testing::faults::Faults;
use crate::testing::ledger::Ledger;
use crate::{cgroup, components, host, images, logs, network, operator, pki};

/// Storage classes and DNS.
const BASE: &str = include_str!("base.yaml");

const USUAL_UP: Duration = Duration::from_secs(15);

/// How a bed is to be brought up.
#[derive(Debug, Clone)]
pub struct Options {
    /// 1 to [`MAX_NODES`].
    pub nodes: u32,
    /// Nothing but etcd and the API server.
    pub api_only: bool,
    /// mariadb-operator, too. A bed that had it once keeps it.
    pub operator: bool,
    pub progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 3, api_only: false, operator: false, progress: Progress::new() }
    }
}

/// What a bed was last asked to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub nodes: u32,
    pub api_only: bool,
}

/// One bed of this machine, up or not.
#[derive(Debug, Clone)]
pub struct Bed {
    layout: Layout,
}

impl Bed {
    /// The bed of this name; nothing is started.
    ///
    /// # Errors
    /// If no bed can have this name.
    pub fn open(name: &str) -> Result<Self> {
        Ok(Self { layout: Layout::new(name)? })
    }

    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The administrator's kubeconfig. Its server answers inside the bed's network only.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        pki::kubeconfig(&self.layout)
    }

    /// `kubectl` with `args`, as administrator, inside the bed's network.
    #[must_use]
    pub fn kubectl(&self, args: &[&str]) -> Command {
        kubectl(&self.layout, args)
    }

    /// `words` as a command inside the bed's network.
    #[must_use]
    pub fn run<S: AsRef<str>>(&self, words: &[S]) -> Command {
        let enter = format!("--net={}", self.layout.network().display());
        let mut all = command(&["nsenter", &enter, "--"]);
        all.args(words.iter().map(AsRef::as_ref));
        all
    }

    /// Moves the calling thread into the bed's network; threads and processes that it starts
    /// afterwards live there too. Call it before a runtime is started.
    ///
    /// # Errors
    /// If the bed is not up.
    pub fn enter_network(&self) -> Result<()> {
        network::enter(&self.layout.network())
    }

    #[must_use]
    pub fn api_server(&self) -> ControlPlane {
        self.part(Part::ApiServer)
    }

    #[must_use]
    pub fn part(&self, part: Part) -> ControlPlane {
        let api_only = self.shape().is_some_and(|shape| shape.api_only);
        ControlPlane::new(self.layout.clone(), part, api_only)
    }

    /// The node of this number, from 1.
    ///
    /// # Errors
    /// If no bed has this many nodes.
    pub fn node(&self, number: u32) -> Result<Node> {
        let sharers = self.shape().map_or(number, |shape| shape.nodes);
        Ok(Node::new(self.layout.node(number)?, sharers))
    }

    /// The node that Kubernetes calls `name`.
    ///
    /// # Errors
    /// If the bed was not asked to have such a node.
    pub fn node_named(&self, name: &str) -> Result<Node> {
        let found = self.nodes().into_iter().find(|node| node.name() == name);
        found.with_context(|| {
            let names: Vec<String> = self.nodes().iter().map(Node::name).collect();
            let has = if names.is_empty() { String::from("it has none") } else { format!("it has {}", names.join(", ")) };
            format!("The bed {} has no node {name:?}; {has}.", self.layout.name())
        })
    }

    /// The nodes that the bed was last asked to have.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        let shape = self.shape().filter(|shape| !shape.api_only);
        let numbers = 1..=shape.map_or(0, |shape| shape.nodes);
        numbers.filter_map(|number| self.node(number).ok()).collect()
    }

    /// What runs of the bed.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::of(self)
    }

    /// Copies the logs of every component and pod, and what the API server knows, into `folder`.
    ///
    /// # Errors
    /// If `folder` cannot be written.
    pub fn logs_to(&self, folder: &Path) -> Result<()> {
        logs::copy(self, folder)
    }

    /// Brings the bed up as `options` say, whatever of it is up already: what runs rightly is left
    /// alone, what is missing or runs otherwise is started. State of an earlier run is kept.
    ///
    /// # Errors
    /// One sentence about what is missing or does not work.
    pub fn up(&self, options: &Options) -> Result<()> {
        let progress = &options.progress;
        self.layout.node(options.nodes)?;
        host::prepare(progress)?;
        host::install_packages(components::PACKAGES, progress)?;
        let cache = Cache::open()?;
        let kubernetes = components::kubernetes(&cache, progress)?;
        let mut images = None;
        if !options.api_only {
            host::install_packages(images::PACKAGES, progress)?;
            let archives = images::all(&cache, progress)?;
            images = Some(template(&cache, progress, &archives)?);
        }
        let _lock = lock()?;
        let shape = Shape { nodes: options.nodes, api_only: options.api_only };
        let doing = format!("starting the bed {}", self.layout.name());
        progress
            .during(doing, Some(USUAL_UP), |step| {
                self.prepare_state(&kubernetes, shape)?;
                network::bed_up(&self.layout)?;
                self.start(images.as_deref(), progress, step)
            })
            .inspect_err(|_| {
                progress.say("Try it again; if that does not help, `cargo bed down --purge` throws the state of the bed away.");
            })?;
        // What a test that was killed has left; one that runs undoes its own.
        if let Some(_alone) = Ledger::at(self.layout.root()).claim()? {
            Faults::of(self).undo_all()?;
        }
        // Nodes that got other images have lost its one.
        let operator = options.operator || (!options.api_only && operator::is_wanted(self));
        if operator { operator::install(self, progress) } else { Ok(()) }
    }

    fn prepare_state(&self, kubernetes: &Path, shape: Shape) -> Result<()> {
        let layout = &self.layout;
        for folder in [layout.bin(), layout.log(), layout.run()] {
            fs::create_dir_all(folder)?;
        }
        fs::set_permissions(layout.root(), fs::Permissions::from_mode(0o700))?;
        for program in components::PROGRAMS {
            place_program(&kubernetes.join(program), &layout.bin().join(program))?;
        }
        place_self(&layout.bin().join("bed"))?;
        write_record(&self.shape_file(), &shape)?;
        pki::make(layout)?;
        host::raise_limits(layout)
    }

    fn start(&self, images: Option<&Path>, progress: &Progress, step: &Step) -> Result<()> {
        step.note("etcd and API server");
        if let Err(cause) = self.part(Part::Etcd).start() {
            progress.say(&format!("The state that the bed kept is of no use, so it begins anew: {cause:#}"));
            self.forget()?;
            self.part(Part::Etcd).start()?;
        }
        self.api_server().launch()?;
        self.stop_surplus()?;
        std::thread::scope(|scope| {
            let boots: Vec<_> = self
                .nodes()
                .into_iter()
                .map(|node| scope.spawn(move || node.bring_up(images).map(|new| new.then_some(node))))
                .collect();
            self.api_server().wait_ready()?;
            if boots.is_empty() {
                return Ok(());
            }
            for part in [Part::ControllerManager, Part::Scheduler, Part::Provisioner] {
                self.part(part).start()?;
            }
            self.apply_base()?;
            step.note("nodes");
            let mut started = Vec::new();
            for boot in boots {
                let node = boot.join().map_err(|_| anyhow::anyhow!("A node's start panicked."))??;
                started.extend(node);
            }
            self.wait_nodes(&started)?;
            step.note("DNS");
            self.wait_dns()
        })
    }

    /// Stops what an earlier shape of the bed had and this one has not.
    fn stop_surplus(&self) -> Result<()> {
        let wanted = u32::try_from(self.nodes().len())?;
        for number in wanted + 1..=MAX_NODES {
            let node = self.node(number)?;
            if node.layout().root().exists() {
                node.power_off()?;
                fs::remove_dir_all(node.layout().root())?;
                if wanted > 0 {
                    self.api_server().wait_ready()?;
                    output(&mut self.kubectl(&["delete", "node", &node.name(), "--ignore-not-found"]))?;
                }
            }
        }
        if wanted == 0 {
            for part in [Part::Provisioner, Part::Scheduler, Part::ControllerManager] {
                self.part(part).kill()?;
            }
        }
        Ok(())
    }

    fn apply_base(&self) -> Result<()> {
        let (record, wanted) = (self.layout.root().join("base"), digest([BASE]));
        if fs::read_to_string(&record).is_ok_and(|applied| applied == wanted) {
            return Ok(());
        }
        output_of_input(&mut self.kubectl(&["apply", "--filename=-"]), BASE)
            .context("Storage classes and DNS cannot be set up")?;
        Ok(fs::write(record, wanted)?)
    }

    /// Waits until every node is ready. The API server still holds what a node of an earlier run
    /// said, so those `started` just now must have said something new.
    fn wait_nodes(&self, started: &[Node]) -> Result<()> {
        let lease = |node: &Node| {
            let of = format!("lease/{}", node.name());
            let renewed = ["--namespace=kube-node-lease", "--output=jsonpath={.spec.renewTime}"];
            output(self.kubectl(&["get", &of]).args(renewed)).unwrap_or_default()
        };
        let before: Vec<String> = started.iter().map(&lease).collect();
        for (node, before) in started.iter().zip(before) {
            let renewed = wait_until(Duration::from_secs(60), || lease(node) != before);
            if !renewed {
                bail!(
                    "The kubelet of node {} does not report to the API server; its log is {}.",
                    node.name(),
                    node.service(NodeService::Kubelet).log.display()
                );
            }
        }
        let names: Vec<String> = self.nodes().iter().map(Node::name).collect();
        let mut wait = self.kubectl(&["wait", "--for=condition=Ready", "--timeout=120s", "node"]);
        output(wait.args(&names)).with_context(|| {
            let log = self.layout.root().join("nodes");
            format!("Not every node is ready; their logs are in {}.", log.display())
        })?;
        Ok(())
    }

    /// Waits until every node resolves a name by the service of the DNS.
    fn wait_dns(&self) -> Result<()> {
        let resolves = |node: &Node| {
            let enter = format!("--net={}", node.layout().network().display());
            let mut ask = command(&["nsenter", &enter]);
            ask.arg(self.layout.bin().join("bed")).args(["resolve", "kubernetes.default.svc.cluster.local"]);
            output(&mut ask).is_ok()
        };
        for node in self.nodes() {
            if !wait_until(Duration::from_secs(90), || resolves(&node)) {
                bail!(
                    "The cluster's DNS does not answer on node {}; look at `kubectl -n kube-system get pods` in `cargo bed shell`.",
                    node.name()
                );
            }
        }
        Ok(())
    }

    /// Takes the bed down, however it was left: no process, mount, namespace, control group or
    /// setting stays. Its state stays for the next `up`, unless `purge`.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn down(&self, purge: bool) -> Result<()> {
        host::require_root()?;
        if !Path::new(STATE).exists() {
            return Ok(());
        }
        let lock = lock()?;
        self.power_off_all()?;
        for part in Part::ALL.into_iter().rev() {
            self.part(part).kill()?;
        }
        // All faults went with what they were done to.
        Ledger::at(self.layout.root()).forget()?;
        network::bed_down(&self.layout)?;
        cgroup::remove(&self.layout.cgroup())?;
        cgroup::remove_if_empty(self.layout.cgroup().parent());
        host::restore_limits(&self.layout)?;
        if purge && self.layout.root().exists() {
            fs::remove_dir_all(self.layout.root())?;
        }
        // It stays while it holds another bed.
        let _ = fs::remove_dir(STATE);
        drop(lock);
        Ok(())
    }

    fn power_off_all(&self) -> Result<()> {
        std::thread::scope(|scope| {
            let nodes: Vec<_> = (1..=MAX_NODES)
                .filter_map(|number| self.node(number).ok())
                .filter(|node| node.layout().root().exists() || node.layout().network().exists())
                .map(|node| scope.spawn(move || node.power_off()))
                .collect();
            nodes.into_iter().try_for_each(|node| node.join().map_err(|_| anyhow::anyhow!("A node's end panicked."))?)
        })
    }

    /// Throws away everything the cluster knew: objects, volumes, containers' logs.
    fn forget(&self) -> Result<()> {
        self.part(Part::ApiServer).kill()?;
        self.part(Part::Etcd).kill()?;
        self.power_off_all()?;
        for place in ["etcd", "nodes"] {
            let place = self.layout.root().join(place);
            if place.exists() {
                fs::remove_dir_all(place)?;
            }
        }
        remove_file(&self.layout.root().join("operator"))?;
        remove_file(&self.layout.root().join("base"))
    }

    pub(crate) fn shape(&self) -> Option<Shape> {
        read_record(&self.shape_file())
    }

    fn shape_file(&self) -> PathBuf {
        self.layout.root().join("shape.json")
    }
}

/// One bed of the machine at a time goes up or down.
fn lock() -> Result<File> {
    fs::create_dir_all(STATE)?;
    let folder = File::open(STATE)?;
    folder.lock().with_context(|| format!("{STATE} cannot be locked"))?;
    Ok(folder)
}

/// Places this program in the bed: it is PID 1 of the nodes and the provisioner, also when a test
/// starts them and the program is built anew meanwhile.
fn place_self(to: &Path) -> Result<()> {
    let own = std::env::current_exe()?;
    let name = own.file_name().unwrap_or_default();
    // A test program lies in target/debug/deps.
    let beside = || own.parent()?.parent().map(|folder| folder.join("bed"));
    let bed = if name == "bed" || name == "bed (deleted)" {
        // It may have been built anew since it was started.
        Some(PathBuf::from("/proc/self/exe"))
    } else {
        beside().filter(|bed| bed.is_file())
    };
    match bed {
        Some(bed) if fs::read(&bed)? == fs::read(to).unwrap_or_default() => Ok(()),
        Some(bed) => {
            remove_file(to)?;
            fs::copy(&bed, to)?;
            Ok(())
        }
        None if to.exists() => Ok(()),
        None => bail!("The program `bed` is not there; start the bed once with `cargo bed up`."),
    }
}
