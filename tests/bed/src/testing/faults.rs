//! Faults: each is written to the ledger, done, and undone by its handle, by the next run or with the bed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::cluster::Pod;
use super::ledger::{Fault, Ledger};
use super::run::{output, run};
use crate::Bed;
use crate::layout::NodeLayout;
use crate::process::Process;

const SOON: Duration = Duration::from_secs(30);

/// Which way packets are lost, seen from the node or pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Both,
    /// It hears nobody; the others hear it.
    In,
    /// Nobody hears it.
    Out,
}

/// Does faults to one bed.
#[derive(Clone)]
pub struct Faults {
    bed: Bed,
    ledger: Ledger,
}

/// A fault that lasts until it is healed; healed when dropped, so that a failed test leaves nothing.
#[must_use = "a fault that is dropped at once was never there"]
pub struct Lasting {
    faults: Faults,
    id: u64,
    fault: Option<Fault>,
}

impl Lasting {
    /// Undoes the fault.
    ///
    /// # Errors
    /// It cannot be undone; the ledger keeps it for the next run.
    pub fn heal(mut self) -> Result<()> {
        self.heal_once()
    }

    fn heal_once(&mut self) -> Result<()> {
        let Some(fault) = self.fault.take() else { return Ok(()) };
        self.faults.undo(&fault)?;
        self.faults.ledger.end(self.id)
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        if let Err(why) = self.heal_once() {
            eprintln!("a fault stays for the next run to undo: {why:#}");
        }
    }
}

impl Faults {
    #[must_use]
    pub fn of(bed: &Bed) -> Self {
        Self { bed: bed.clone(), ledger: Ledger::at(bed.layout().root()) }
    }

    /// Undoes what earlier runs left, the newest first; all are tried. Only for who has claimed the ledger.
    ///
    /// # Errors
    /// The first fault that cannot be undone; it stays in the ledger.
    pub fn undo_all(&self) -> Result<usize> {
        let open = self.ledger.open_entries()?;
        let mut failed = None;
        for (id, fault) in &open {
            match self.undo(fault) {
                Ok(()) => self.ledger.end(*id)?,
                Err(why) => drop(failed.get_or_insert(why)),
            }
        }
        if let Some(why) = failed {
            return Err(why);
        }
        self.ledger.forget()?;
        Ok(open.len())
    }

    /// SIGKILL to every mariadbd of a pod: from outside, since PID 1 of a container is deaf to its own.
    ///
    /// # Errors
    /// No server runs there, or it cannot be killed.
    pub fn kill_server(&self, pod: &Pod) -> Result<()> {
        self.kill_servers(std::slice::from_ref(pod))
    }

    /// SIGKILL to the servers of several pods within a few milliseconds.
    ///
    /// # Errors
    /// As [`Self::kill_server`].
    pub fn kill_servers(&self, pods: &[Pod]) -> Result<()> {
        let mut processes = Vec::new();
        for pod in pods {
            processes.extend(self.processes(pod, "mariadbd")?);
        }
        let names = pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>().join(",");
        let id = self.ledger.begin(&Fault::Killed { pod: names, processes: processes.clone() })?;
        for process in &processes {
            process.signal(Signal::KILL)?;
        }
        // Those that are gone by now are not signalled again.
        processes.iter().try_for_each(Process::kill)?;
        self.ledger.end(id)
    }

    /// SIGSTOP to the processes of a pod that are named `command`.
    ///
    /// # Errors
    /// There is none, or it cannot be stopped.
    pub fn pause(&self, pod: &Pod, command: &str) -> Result<Lasting> {
        let processes = self.processes(pod, command)?;
        self.last(Fault::Paused { pod: pod.name.clone(), processes: processes.clone() }, || {
            processes.iter().try_for_each(|process| process.signal(Signal::STOP))
        })
    }

    /// Deletes pods at one moment, with their normal grace, and does not wait.
    ///
    /// # Errors
    /// The API server refuses.
    pub fn delete_pods(&self, namespace: &str, pods: &[&str]) -> Result<()> {
        let id = self.ledger.begin(&Fault::PodsDeleted { pods: pods.iter().map(|pod| (*pod).to_owned()).collect() })?;
        let args = [&["-n", namespace, "delete", "pod", "--wait=false"], pods].concat();
        output(self.bed.kubectl(&args), "", SOON)?;
        self.ledger.end(id)
    }

    /// Cuts the power of a node; healing switches it on again.
    ///
    /// # Errors
    /// There is no such node, or it cannot be switched off.
    pub fn power_off(&self, node: &str) -> Result<Lasting> {
        self.last(Fault::PoweredOff { node: node.to_owned() }, || self.bed.node_named(node)?.power_off())
    }

    /// Pulls the network cable of a node: the API server loses it too.
    ///
    /// # Errors
    /// The link cannot be set down.
    pub fn unplug(&self, node: &str) -> Result<Lasting> {
        self.last(Fault::Unplugged { node: node.to_owned() }, || self.bed.node_named(node)?.cut())
    }

    /// Drops what a node sends or hears; [`Self::unplug`] is the same for both ways.
    ///
    /// # Errors
    /// The rules cannot be set.
    pub fn cut_one_way(&self, node: &str, way: Way) -> Result<Lasting> {
        let mut rules = Vec::new();
        if way != Way::Out {
            rules.push(words("PREROUTING -t raw -i eth0 -j DROP"));
        }
        if way != Way::In {
            rules.push(words("POSTROUTING -t mangle -o eth0 -j DROP"));
        }
        self.drop_packets(vec![(node.to_owned(), rules)])?.pop().context("one node gives one fault")
    }

    /// Keeps two groups of pods from each other; the API server, the probes and the tests still reach both.
    ///
    /// # Errors
    /// A pod has no address, or the rules cannot be set.
    pub fn partition(&self, here: &[&Pod], there: &[&Pod]) -> Result<Vec<Lasting>> {
        let mut per_node: Vec<(String, Vec<Vec<String>>)> = Vec::new();
        for (own, others) in [(here, there), (there, here)] {
            for pod in own {
                let mut rules = Vec::new();
                for other in others {
                    let (own, other) = (pod.address()?, other.address()?);
                    rules.push(words(&format!("FORWARD -s {own} -d {other} -j DROP")));
                    rules.push(words(&format!("FORWARD -s {other} -d {own} -j DROP")));
                }
                per_node.push((pod.node()?.to_owned(), rules));
            }
        }
        self.drop_packets(per_node)
    }

    /// Makes a node's link slow in both directions. The kernel may have no fixed delay: what grows is the queue.
    ///
    /// # Errors
    /// The rate cannot be set.
    pub fn slow(&self, node: &str, rate: &str) -> Result<Lasting> {
        self.last(Fault::Slowed { node: node.to_owned() }, || {
            for mut command in self.shapers(node, "replace")? {
                command.args(["root", "tbf", "rate", rate, "burst", "16kb", "latency", "400ms"]);
                output(command, "", SOON)?;
            }
            Ok(())
        })
    }

    /// Fills the volume mounted at `folder` on `node` until `used` of its bytes (0 to 1) are taken.
    ///
    /// # Errors
    /// The folder is not there or shares the machine's disk, or the file cannot be made.
    pub fn fill(&self, node: &str, folder: &Path, used: f64) -> Result<Lasting> {
        let path = folder.join("ballast");
        self.last(Fault::Filled { node: node.to_owned(), path: path.clone() }, || {
            let mounted = self.on_node(node, folder)?;
            let above = mounted.parent().context("a volume has a folder above it")?;
            let shared = fs::metadata(&mounted)?.dev() == fs::metadata(above)?.dev();
            ensure!(!shared, "the volume {} has no size of its own; use the storage class bed-ext4", folder.display());
            let volume = rustix::fs::statvfs(&mounted)?;
            let taken = volume.f_blocks - volume.f_bavail;
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let wanted = (volume.f_blocks as f64 * used) as u64;
            let file = fs::File::create(self.on_node(node, &path)?)?;
            let size = wanted.saturating_sub(taken) * volume.f_frsize;
            Ok(rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size)?)
        })
    }

    /// Kills the API server; healing starts it and waits until it answers.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill_api_server(&self) -> Result<Lasting> {
        self.last(Fault::ApiServerDown, || self.bed.api_server().kill())
    }

    /// Processes of a pod by the name of their command, as the kernel keeps it (15 characters).
    ///
    /// # Errors
    /// There is none.
    pub fn processes(&self, pod: &Pod, command: &str) -> Result<Vec<Process>> {
        let mut found = Vec::new();
        for pid in self.all_processes(pod)? {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.trim_end() == command {
                found.extend(Process::of(pid));
            }
        }
        ensure!(!found.is_empty(), "no {command} runs in pod {}", pod.name);
        Ok(found)
    }

    /// Every process of a pod.
    ///
    /// # Errors
    /// The pod is on no node.
    pub fn all_processes(&self, pod: &Pod) -> Result<Vec<u32>> {
        Ok(self.bed.node_named(pod.node()?)?.pod_processes(&pod.uid))
    }

    /// A path of a node as the host sees it, mounts of the node included.
    fn on_node(&self, node: &str, path: &Path) -> Result<PathBuf> {
        let init = self.bed.node_named(node)?.pid().with_context(|| format!("node {node} is switched off"))?;
        Ok(PathBuf::from(format!("/proc/{init}/root")).join(path.strip_prefix("/").unwrap_or(path)))
    }

    fn last(&self, fault: Fault, act: impl FnOnce() -> Result<()>) -> Result<Lasting> {
        let id = self.ledger.begin(&fault)?;
        // Half a fault is healed by the drop.
        let lasting = Lasting { faults: self.clone(), id, fault: Some(fault) };
        act()?;
        Ok(lasting)
    }

    fn drop_packets(&self, per_node: Vec<(String, Vec<Vec<String>>)>) -> Result<Vec<Lasting>> {
        per_node
            .into_iter()
            .map(|(node, rules)| {
                self.last(Fault::Dropping { node: node.clone(), rules: rules.clone() }, || {
                    rules.iter().try_for_each(|rule| self.iptables(&node, "-I", rule).map(drop))
                })
            })
            .collect()
    }

    fn undo(&self, fault: &Fault) -> Result<()> {
        if fault.node().is_some_and(|node| self.bed.node_named(node).is_err()) {
            return Ok(()); // The bed has fewer nodes than it had.
        }
        match fault {
            Fault::Killed { .. } | Fault::PodsDeleted { .. } => Ok(()),
            Fault::Paused { processes, .. } => processes.iter().try_for_each(|process| process.signal(Signal::CONT)),
            Fault::PoweredOff { node } => self.bed.node_named(node)?.power_on(),
            Fault::Unplugged { node } => self.bed.node_named(node)?.heal(),
            Fault::Dropping { node, rules } => {
                // A node that lost its power lost its rules: only what is there is taken away.
                let there = |rule: &&Vec<String>| self.iptables(node, "-C", rule).is_ok_and(|found| found);
                rules.iter().filter(there).try_for_each(|rule| self.iptables(node, "-D", rule).map(drop))
            }
            Fault::Slowed { node } => {
                for mut command in self.shapers(node, "del")? {
                    command.arg("root");
                    // "No such file": it is not slow any more.
                    run(command, "", SOON)?;
                }
                Ok(())
            }
            Fault::Filled { node, path } => match fs::remove_file(self.on_node(node, path)?) {
                Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(why).context("the ballast cannot be removed"),
                _ => Ok(()),
            },
            Fault::ApiServerDown => self.bed.api_server().start(),
        }
    }

    /// `false`: `iptables` says no (`-C`: there is no such rule).
    fn iptables(&self, node: &str, verb: &str, rule: &[String]) -> Result<bool> {
        let node = self.bed.node_named(node)?.layout().clone();
        let mut command = in_network(&node, "iptables");
        command.args(["-w", verb]).args(rule);
        let ended = run(command, "", SOON)?;
        if verb != "-C" && !ended.is_success() {
            bail!("iptables {verb} {} on {}: {}", rule.join(" "), node.name(), ended.stderr.trim());
        }
        Ok(ended.is_success())
    }

    /// `tc qdisc <verb>` for both ends of a node's cable.
    fn shapers(&self, node: &str, verb: &str) -> Result<[Command; 2]> {
        let node = self.bed.node_named(node)?.layout().clone();
        let mut outer = Command::new("tc");
        outer.args(["-n", self.bed.layout().name(), "qdisc", verb, "dev", &node.cable()]);
        let mut inner = Command::new("tc");
        inner.args(["-n", &node.network_name(), "qdisc", verb, "dev", "eth0"]);
        Ok([outer, inner])
    }
}

/// A program of the host in the network of a node.
fn in_network(node: &NodeLayout, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", node.network().display())).args(["--", program]);
    command
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
