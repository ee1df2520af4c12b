//! Names, addresses and folders of a bed: everything that follows from its name.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Where the beds of this machine keep their state.
pub const STATE: &str = "/var/lib/kubectl-mariadb-bed";

/// Nodes a bed may have; addresses and routes are laid out for all of them.
pub const MAX_NODES: u32 = 9;

/// The API server, at the bed's end of the bridge.
pub const API_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub const API_PORT: u16 = 6443;
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
/// The first address of the services: `kubernetes.default`.
pub const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
pub const DNS_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
pub const POD_CIDR: &str = "10.88.0.0/16";

/// The folders and names of one bed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    name: String,
    root: PathBuf,
}

impl Layout {
    /// # Errors
    /// If `name` cannot name a network namespace of its own.
    pub fn new(name: &str) -> Result<Self> {
        // No '-': `bed-n1` is the namespace of a node.
        let plain = name.len() <= 12
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        ensure!(
            plain,
            "A bed cannot be named {name:?} because its namespaces carry the name; use up to 12 lower-case letters and digits."
        );
        Ok(Self { name: name.to_owned(), root: Path::new(STATE).join(name) })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder that holds all state of the bed.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Records of the running processes of the control plane.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The network namespace that everything lives in.
    #[must_use]
    pub fn network(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// The cgroup of the bed, relative to the root of each hierarchy.
    #[must_use]
    pub fn cgroup(&self) -> PathBuf {
        Path::new("kubectl-mariadb-bed").join(&self.name)
    }

    /// # Errors
    /// If the number is not 1 to [`MAX_NODES`].
    pub fn node(&self, number: u32) -> Result<NodeLayout> {
        ensure!(
            (1..=MAX_NODES).contains(&number),
            "There is no node {number} because a bed has 1 to {MAX_NODES} nodes; choose one of those."
        );
        Ok(NodeLayout { bed: self.clone(), number: u8::try_from(number)? })
    }
}

/// The folders, names and addresses of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLayout {
    pub bed: Layout,
    number: u8,
}

impl NodeLayout {
    /// From 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        u32::from(self.number)
    }

    /// What Kubernetes calls it: `n1`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("n{}", self.number)
    }

    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.bed.root().join("nodes").join(self.name())
    }

    /// The node's /var/lib, as the host sees it.
    #[must_use]
    pub fn var_lib(&self) -> PathBuf {
        self.root().join("var/lib")
    }

    /// The node's /var/lib/bed: configuration and programs.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.var_lib().join("bed")
    }

    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root().join("log")
    }

    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root().join("run")
    }

    #[must_use]
    pub fn network(&self) -> PathBuf {
        Path::new("/run/netns").join(self.network_name())
    }

    #[must_use]
    pub fn network_name(&self) -> String {
        format!("{}-{}", self.bed.name(), self.name())
    }

    /// The bed's end of the cable to the node's `eth0`.
    #[must_use]
    pub fn cable(&self) -> String {
        format!("v{}", self.name())
    }

    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, 10 + self.number)
    }

    #[must_use]
    pub fn pod_cidr(&self) -> String {
        format!("10.88.{}.0/24", self.number)
    }

    #[must_use]
    pub fn cgroup(&self) -> PathBuf {
        self.bed.cgroup().join(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_collide_are_refused() {
        for good in ["bed", "lab2", "abcdefghijkl"] {
            assert!(Layout::new(good).is_ok(), "{good}");
        }
        for bad in ["", "bed-n1", "2", "Bed", "a/b", "..", "abcdefghijklm"] {
            assert!(Layout::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nodes_have_addresses_of_their_own() {
        let bed = Layout::new("bed").unwrap();
        let node = bed.node(2).unwrap();
        assert_eq!(node.name(), "n2");
        assert_eq!(node.address().to_string(), "10.77.0.12");
        assert_eq!(node.pod_cidr(), "10.88.2.0/24");
        assert_eq!(node.network(), Path::new("/run/netns/bed-n2"));
        assert_eq!(node.cgroup(), Path::new("kubectl-mariadb-bed/bed/n2"));
        assert!(bed.node(0).is_err());
        assert!(bed.node(MAX_NODES + 1).is_err());
    }

    #[test]
    fn two_beds_share_no_folder() {
        let (a, b) = (Layout::new("bed").unwrap(), Layout::new("other").unwrap());
        assert!(!a.root().starts_with(b.root()) && !b.root().starts_with(a.root()));
        assert_ne!(a.network(), b.network());
        assert_ne!(a.cgroup(), b.cgroup());
    }
}
