//! A node: namespaces of its own around containerd, kubelet and kube-proxy.

mod config;
pub mod init;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{command, output};
use crate::control_plane::build_of;
use crate::layout::NodeLayout;
use crate::process::{Process, children, read_record, remove_file, spawn_detached, wait_until, write_record};
use crate::service::{Inside, Program, Service, enter_words};
use crate::{cgroup, host, network, pki};

/// The programs of a node, in the order in which they start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeService {
    Containerd,
    Kubelet,
    Proxy,
}

impl NodeService {
    pub const ALL: [Self; 3] = [Self::Containerd, Self::Kubelet, Self::Proxy];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::Proxy => "kube-proxy",
        }
    }
}

/// One node of a bed.
#[derive(Debug, Clone)]
pub struct Node {
    layout: NodeLayout,
    /// How many nodes share the machine's memory.
    sharers: u32,
}

impl Node {
    pub(crate) const fn new(layout: NodeLayout, sharers: u32) -> Self {
        Self { layout, sharers }
    }

    #[must_use]
    pub const fn layout(&self) -> &NodeLayout {
        &self.layout
    }

    /// What Kubernetes calls it: `n1`.
    #[must_use]
    pub fn name(&self) -> String {
        self.layout.name()
    }

    /// The process id, as the host sees it, of the node's PID 1; `None` without power.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.init().map(|init| init.pid)
    }

    pub(crate) fn init(&self) -> Option<Process> {
        read_record(&self.init_record()).filter(Process::alive)
    }

    /// `words` as a command inside the node.
    ///
    /// # Errors
    /// If the node has no power.
    pub fn run<S: AsRef<str>>(&self, words: &[S]) -> Result<Command> {
        let init = self.powered()?;
        let mut all = enter_words(init.pid);
        all.extend(words.iter().map(|word| word.as_ref().to_owned()));
        Ok(command(&all))
    }

    /// The processes of a pod, by its uid, as the host sees them.
    #[must_use]
    pub fn pod_processes(&self, uid: &str) -> Vec<u32> {
        cgroup::processes(&self.layout.cgroup(), &format!("pod{uid}"))
    }

    /// Gives the node power, or starts what is missing of a node that has it, and plugs its cable.
    /// `images` is a containerd root that holds all images; without it the node keeps what it has.
    /// True if its kubelet was started just now.
    ///
    /// # Errors
    /// If a namespace, a mount or a program is refused.
    pub(crate) fn bring_up(&self, images: Option<&Path>) -> Result<bool> {
        if self.init().is_some() && self.has_other_images(images) {
            self.power_off()?;
        }
        if self.init().is_none() {
            self.power_off()?;
            self.boot(images).with_context(|| format!("Node {} cannot be started", self.name()))?;
        } else {
            network::set_cable(&self.layout, true)?;
        }
        self.write_configuration()?;
        let before = self.service(NodeService::Kubelet).process();
        for service in NodeService::ALL {
            self.start(service)?;
        }
        Ok(before != self.service(NodeService::Kubelet).process())
    }

    /// Gives the node power and starts its programs. Its disk holds what it held before.
    ///
    /// # Errors
    /// If a namespace, a mount or a program is refused.
    pub fn power_on(&self) -> Result<()> {
        self.bring_up(None).map(drop)
    }

    /// A power cut: every process and mount of the node is gone at once. Its disk stays.
    ///
    /// # Errors
    /// If something of it cannot be removed.
    pub fn power_off(&self) -> Result<()> {
        if let Some(init) = self.init() {
            init.kill()?;
        }
        // Also what was started into it from outside, and a PID 1 whose record was lost.
        for left in network::inhabitants(&self.layout.network()) {
            left.kill()?;
        }
        network::node_down(&self.layout);
        cgroup::remove(&self.layout.cgroup())?;
        remove_file(&self.init_record())
    }

    /// Pulls the node's network cable.
    ///
    /// # Errors
    /// If the node has no power.
    pub fn cut(&self) -> Result<()> {
        self.powered()?;
        network::set_cable(&self.layout, false)
    }

    /// Plugs the node's network cable in again.
    ///
    /// # Errors
    /// If the node has no power.
    pub fn heal(&self) -> Result<()> {
        self.powered()?;
        network::set_cable(&self.layout, true)
    }

    /// Kills one of the node's programs; its containers go on.
    ///
    /// # Errors
    /// If it does not end.
    pub fn kill(&self, service: NodeService) -> Result<()> {
        self.service(service).kill()
    }

    /// Starts one of the node's programs, if it does not run.
    ///
    /// # Errors
    /// If the node has no power or the program ends at once.
    pub fn start(&self, service: NodeService) -> Result<()> {
        let init = self.powered()?;
        let program = self.program(service, &init)?;
        let running = self.service(service);
        match service {
            NodeService::Containerd => {
                let socket = format!("/proc/{}/root/run/containerd/containerd.sock", init.pid);
                running.start(&program)?;
                running.wait_ready(Duration::from_secs(30), || Path::new(&socket).exists())
            }
            // The socket is there a moment before what answers behind it ("server is not initialized
            // yet"), and a kubelet that asks in between ends.
            NodeService::Kubelet => running.start_until_ready(&program, 5, Duration::from_secs(60), || kubelet_listens(&init)),
            NodeService::Proxy => running.start(&program),
        }
    }

    #[must_use]
    pub fn running(&self, service: NodeService) -> bool {
        self.service(service).process().is_some()
    }

    pub(crate) fn service(&self, service: NodeService) -> Service {
        Service::new(service.name(), &self.layout.run(), &self.layout.log())
    }

    fn program(&self, service: NodeService, init: &Process) -> Result<Program> {
        let place = |file: &str| format!("{}/{file}", config::FOLDER);
        let (program, files): (String, &[&str]) = match service {
            NodeService::Containerd => (String::from("containerd"), &["containerd.toml"]),
            NodeService::Kubelet => (place("bin/kubelet"), &["kubelet.yaml"]),
            NodeService::Proxy => (place("bin/kube-proxy"), &["proxy.yaml"]),
        };
        let mut words = vec![program];
        match service {
            NodeService::Containerd => {
                words.extend([String::from("--config"), place(files[0])]);
                words.extend([String::from("--log-level"), String::from("warn")]);
            }
            NodeService::Kubelet => words.extend(self.kubelet_flags()),
            NodeService::Proxy => words.push(format!("--config={}", place(files[0]))),
        }
        let folder = self.layout.config();
        let mut configuration = vec![build_of(&folder.join("bin/kubelet"))];
        for file in files {
            configuration.push(fs::read_to_string(folder.join(file))?);
        }
        Ok(Program { inside: Inside::Node(init.clone()), words, configuration })
    }

    fn kubelet_flags(&self) -> Vec<String> {
        let (name, number, folder) = (self.name(), self.layout.number(), config::FOLDER);
        vec![
            format!("--config={folder}/kubelet.yaml"),
            format!("--kubeconfig={folder}/{}.conf", pki::node_file(&self.layout)),
            format!("--hostname-override={name}"),
            format!("--node-ip={}", self.layout.address()),
            String::from("--cert-dir=/var/lib/kubelet/pki"),
            String::from("--root-dir=/var/lib/kubelet"),
            format!(
                "--node-labels=topology.kubernetes.io/zone=z{number},topology.kubernetes.io/region=bed,bed.local/node={name}"
            ),
        ]
    }

    fn boot(&self, images: Option<&Path>) -> Result<()> {
        let root = self.layout.root();
        let folders = [
            self.layout.log(),
            self.layout.run(),
            self.layout.config().join("cni"),
            self.layout.config().join("bin"),
            self.layout.var_lib().join("kubelet"),
            root.join("var/log/pods"),
            root.join("var/log/containers"),
        ];
        for folder in folders {
            fs::create_dir_all(folder)?;
        }
        if let Some(images) = images.filter(|_| self.has_other_images(images)) {
            self.fill(images)?;
        }
        cgroup::make(&self.layout.cgroup())?;
        network::node_up(&self.layout)?;
        let ready = self.layout.var_lib().join(init::READY);
        remove_file(&ready)?;
        let init = self.spawn_init(&root)?;
        write_record(&self.init_record(), &init)?;
        wait_until(Duration::from_secs(20), || ready.exists() || !init.alive());
        if !ready.exists() || !init.alive() {
            bail!(self.init_ended());
        }
        Ok(())
    }

    fn init_ended(&self) -> String {
        let log = fs::read_to_string(self.init_log()).unwrap_or_default();
        let last = log.lines().rev().find(|line| !line.trim().is_empty());
        format!("Its PID 1 ended or hangs; it said: {}", last.unwrap_or("nothing"))
    }

    fn spawn_init(&self, root: &Path) -> Result<Process> {
        let enter = format!("--net={}", self.layout.network().display());
        let apart = ["unshare", "--pid", "--mount", "--uts", "--ipc", "--fork", "--propagation", "unchanged"];
        let mut command = command(&[&["nsenter", &enter], &apart[..]].concat());
        let bed = self.layout.bed.bin().join("bed");
        command.arg(bed).arg("node-init").arg(self.name()).arg(root);
        let parent = spawn_detached(&command, &self.init_log())?;
        let mut init = None;
        wait_until(Duration::from_secs(10), || {
            init = children(parent).first().and_then(|pid| Process::of(*pid));
            init.is_some() || Process::of(parent).is_none()
        });
        init.with_context(|| self.init_ended())
    }

    /// Writes what the programs read, and places the programs themselves: the bed's folder is
    /// hidden inside the node.
    fn write_configuration(&self) -> Result<()> {
        let folder = self.layout.config();
        let total = host::memory("MemTotal")?;
        let reserved = total - total / u64::from(self.sharers.max(1));
        for (file, content) in config::files(&self.layout, reserved) {
            fs::write(folder.join(file), content)?;
        }
        pki::make_node(&self.layout)?;
        let own = pki::node_file(&self.layout);
        let pki = self.layout.bed.pki();
        let files = [
            String::from("ca.crt"),
            String::from("proxy.conf"),
            format!("{own}.crt"),
            format!("{own}.key"),
            format!("{own}.conf"),
        ];
        for file in files {
            fs::copy(pki.join(&file), folder.join(&file))
                .with_context(|| format!("{file} cannot be copied to node {}", self.name()))?;
        }
        for program in ["kubelet", "kube-proxy"] {
            let from = self.layout.bed.bin().join(program);
            place_program(&from, &folder.join("bin").join(program))?;
        }
        Ok(())
    }

    fn has_other_images(&self, images: Option<&Path>) -> bool {
        let has = fs::read_to_string(self.images_record()).unwrap_or_default();
        images.is_some_and(|images| Path::new(&has) != images)
    }

    /// Gives the node's containerd the images of `template`: hard links to the content, which is
    /// never written to, and copies of the databases.
    fn fill(&self, template: &Path) -> Result<()> {
        let root = self.layout.var_lib().join("containerd");
        remove_file(&self.images_record())?;
        clear(&root)?;
        let from = template.join("root");
        if output(command(&["cp", "-al"]).args([&from, &root])).is_err() {
            // The cache is on another file system.
            clear(&root)?;
            output(command(&["cp", "-a", "--reflink=auto"]).args([&from, &root]))?;
        }
        let databases = output(command(&["find"]).arg(&from).args(["-name", "*.db"]))?;
        for database in databases.lines() {
            let target = root.join(Path::new(database).strip_prefix(&from)?);
            remove_file(&target)?;
            fs::copy(database, target)?;
        }
        fs::write(self.images_record(), template.as_os_str().as_encoded_bytes())?;
        Ok(())
    }

    fn powered(&self) -> Result<Process> {
        self.init().with_context(|| format!("Node {} cannot do this because it has no power; give it power first.", self.name()))
    }

    fn init_record(&self) -> PathBuf {
        self.layout.run().join("init.json")
    }

    fn init_log(&self) -> PathBuf {
        self.layout.log().join("init.log")
    }

    fn images_record(&self) -> PathBuf {
        self.layout.root().join("images")
    }
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    Ok(())
}

/// Whether something listens at the address where a kubelet tells its health, which it does once it
/// has spoken with containerd; it needs no API server for that.
fn kubelet_listens(init: &Process) -> bool {
    let sockets = fs::read_to_string(format!("/proc/{}/net/tcp", init.pid)).unwrap_or_default();
    let address = format!("0100007F:{:04X}", config::KUBELET_HEALTH_PORT);
    sockets.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next() == Some(&address) && fields.nth(1) == Some("0A")
    })
}

/// Makes `to` the same file as `from`: a hard link, so that it costs nothing, or a copy.
pub(crate) fn place_program(from: &Path, to: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let wanted = fs::metadata(from).with_context(|| format!("The program {} is not there", from.display()))?;
    if let Ok(there) = fs::metadata(to) {
        let same = there.ino() == wanted.ino() && there.dev() == wanted.dev();
        let copied = there.size() == wanted.size() && there.modified()? == wanted.modified()?;
        if same || copied {
            return Ok(());
        }
    }
    // A running program cannot be written to, but its name can be given to another file.
    remove_file(to)?;
    if fs::hard_link(fs::canonicalize(from)?, to).is_err() {
        fs::copy(from, to).with_context(|| format!("{} cannot be written", to.display()))?;
        fs::File::options().write(true).open(to)?.set_modified(wanted.modified()?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_placed_once_and_replaced_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&from, "one").unwrap();
        place_program(&from, &to).unwrap();
        place_program(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"one");
        remove_file(&from).unwrap();
        fs::write(&from, "other").unwrap();
        place_program(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"other");
        assert!(place_program(&folder.path().join("absent"), &to).is_err());
    }
}
