//! etcd, API server, controller-manager, scheduler and the provisioner of volumes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::command::{command, output};
use crate::layout::{API_ADDRESS, API_PORT, Layout, SERVICE_CIDR};
use crate::service::{Inside, Program, Service};

const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";

/// Everything is recorded once per request; bodies (secrets) are not.
const AUDIT_POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}
"#;

/// The parts of the control plane, in the order in which they start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Etcd,
    ApiServer,
    ControllerManager,
    Scheduler,
    Provisioner,
}

impl Part {
    pub const ALL: [Self; 5] = [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Provisioner];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Provisioner => "provisioner",
        }
    }
}

/// A part of the control plane of one bed.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    bed: Layout,
    part: Part,
    /// Nothing but etcd and the API server runs: nobody makes the service accounts that the API
    /// server would ask every pod for.
    api_only: bool,
}

impl ControlPlane {
    pub(crate) const fn new(bed: Layout, part: Part, api_only: bool) -> Self {
        Self { bed, part, api_only }
    }

    pub(crate) fn service(&self) -> Service {
        Service::new(self.part.name(), &self.bed.run(), &self.bed.log())
    }

    /// Starts it, if it does not run, and waits until it answers.
    ///
    /// # Errors
    /// If it ends or does not answer within two minutes.
    pub fn start(&self) -> Result<()> {
        self.launch()?;
        self.wait_ready()
    }

    /// Starts it, if it does not run.
    pub(crate) fn launch(&self) -> Result<()> {
        let program = self.program()?;
        self.service().start(&program)
    }

    /// Waits until it answers; the parts that serve nobody are ready when they run.
    pub(crate) fn wait_ready(&self) -> Result<()> {
        self.service().wait_ready(Duration::from_secs(120), || self.ready())
    }

    fn ready(&self) -> bool {
        let url = match self.part {
            Part::Etcd => return answers(&self.bed, 2379),
            Part::ApiServer => "/readyz",
            _ => return true,
        };
        // A start of kubectl is dearer than a connection that is refused.
        answers(&self.bed, API_PORT) && output(kubectl(&self.bed, &["get", "--raw", url]).env_remove("KUBECONFIG")).is_ok()
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// If the process does not end.
    pub fn kill(&self) -> Result<()> {
        self.service().kill()
    }

    #[must_use]
    pub fn running(&self) -> bool {
        self.service().process().is_some()
    }

    fn program(&self) -> Result<Program> {
        let mut words = match self.part {
            Part::Etcd => self.etcd(),
            Part::ApiServer => self.api_server(),
            Part::ControllerManager => self.controller_manager(),
            Part::Scheduler => self.client("kube-scheduler", "scheduler"),
            Part::Provisioner => vec![self.bin("bed"), String::from("provisioner"), format!("--name={}", self.bed.name())],
        };
        let mut configuration = Vec::new();
        if self.part == Part::ApiServer {
            let policy = self.bed.root().join("audit-policy.json");
            fs::write(&policy, AUDIT_POLICY)?;
            words.push(format!("--audit-policy-file={}", policy.display()));
            configuration.push(String::from(AUDIT_POLICY));
        }
        // Another build of the same program is another program.
        configuration.push(build_of(Path::new(&words[0])));
        Ok(Program { inside: Inside::Network(self.bed.network()), words, configuration })
    }

    fn etcd(&self) -> Vec<String> {
        let data = self.bed.root().join("etcd");
        let quota = 1_u64 << 30;
        vec![
            String::from("etcd"),
            String::from("--name=bed"),
            format!("--data-dir={}", data.display()),
            // The data of a bed is not worth waiting for the disk.
            String::from("--unsafe-no-fsync"),
            String::from("--log-level=warn"),
            format!("--listen-client-urls={ETCD}"),
            format!("--advertise-client-urls={ETCD}"),
            format!("--listen-peer-urls={ETCD_PEER}"),
            format!("--initial-advertise-peer-urls={ETCD_PEER}"),
            format!("--initial-cluster=bed={ETCD_PEER}"),
            format!("--quota-backend-bytes={quota}"),
            String::from("--auto-compaction-mode=periodic"),
            String::from("--auto-compaction-retention=30m"),
        ]
    }

    fn api_server(&self) -> Vec<String> {
        let mut words = vec![
            self.bin("kube-apiserver"),
            String::from("--v=1"),
            format!("--etcd-servers={ETCD}"),
            format!("--service-cluster-ip-range={SERVICE_CIDR}"),
            String::from("--bind-address=0.0.0.0"),
            format!("--secure-port={API_PORT}"),
            format!("--advertise-address={API_ADDRESS}"),
            String::from("--allow-privileged"),
            String::from("--authorization-mode=Node,RBAC"),
            String::from("--enable-admission-plugins=NodeRestriction"),
            format!("--client-ca-file={}", self.pki("ca.crt")),
            format!("--tls-cert-file={}", self.pki("apiserver.crt")),
            format!("--tls-private-key-file={}", self.pki("apiserver.key")),
            format!("--kubelet-certificate-authority={}", self.pki("ca.crt")),
            format!("--kubelet-client-certificate={}", self.pki("kubelet-client.crt")),
            format!("--kubelet-client-key={}", self.pki("kubelet-client.key")),
            String::from("--kubelet-preferred-address-types=InternalIP"),
            String::from("--service-account-issuer=https://kubernetes.default.svc.cluster.local"),
            format!("--service-account-key-file={}", self.pki("service-accounts.pub")),
            format!("--service-account-signing-key-file={}", self.pki("service-accounts.key")),
            // Webhooks are called at the pod's address, by the bed's routes: there is no kube-proxy here.
            String::from("--enable-aggregator-routing=true"),
            String::from("--profiling=false"),
            // Tests do not want to wait five minutes for a dead node's pods.
            String::from("--default-not-ready-toleration-seconds=30"),
            String::from("--default-unreachable-toleration-seconds=30"),
            format!("--audit-log-path={}", self.bed.log().join("audit.log").display()),
            String::from("--audit-log-maxsize=200"),
            String::from("--audit-log-maxbackup=4"),
        ];
        if self.api_only {
            words.push(String::from("--disable-admission-plugins=ServiceAccount"));
        }
        words
    }

    fn controller_manager(&self) -> Vec<String> {
        let mut words = self.client("kube-controller-manager", "controller-manager");
        words.extend([
            String::from("--use-service-account-credentials"),
            format!("--root-ca-file={}", self.pki("ca.crt")),
            format!("--service-account-private-key-file={}", self.pki("service-accounts.key")),
            format!("--cluster-signing-cert-file={}", self.pki("ca.crt")),
            format!("--cluster-signing-key-file={}", self.pki("ca.key")),
            String::from("--allocate-node-cidrs=false"),
            // A dead node is known after about 21 s.
            String::from("--node-monitor-period=2s"),
            String::from("--node-monitor-grace-period=20s"),
            String::from("--attach-detach-reconcile-sync-period=10s"),
        ]);
        words
    }

    fn client(&self, program: &str, user: &str) -> Vec<String> {
        let conf = self.pki(&format!("{user}.conf"));
        vec![
            self.bin(program),
            String::from("--v=1"),
            format!("--kubeconfig={conf}"),
            format!("--authentication-kubeconfig={conf}"),
            format!("--authorization-kubeconfig={conf}"),
            String::from("--bind-address=127.0.0.1"),
            String::from("--leader-elect=false"),
            String::from("--profiling=false"),
        ]
    }

    fn bin(&self, program: &str) -> String {
        self.bed.bin().join(program).display().to_string()
    }

    fn pki(&self, file: &str) -> String {
        self.bed.pki().join(file).display().to_string()
    }
}

/// `kubectl` as the bed's administrator, inside its network.
pub(crate) fn kubectl(bed: &Layout, args: &[&str]) -> std::process::Command {
    let enter = format!("--net={}", bed.network().display());
    let mut kubectl = command(&["nsenter", &enter]);
    kubectl.arg(bed.bin().join("kubectl")).arg("--kubeconfig").arg(crate::pki::kubeconfig(bed)).args(args);
    kubectl
}

/// What tells two builds of a program apart: where it really is, its size and its time.
pub(crate) fn build_of(program: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(program)
        .map_or_else(|_| String::new(), |found| format!("{} {} {}", program.display(), found.size(), found.mtime()))
}

/// Whether somebody listens on a port of the bed's network: read from the kernel's table, which the
/// process shows for its own namespace.
fn answers(bed: &Layout, port: u16) -> bool {
    let enter = format!("--net={}", bed.network().display());
    let Ok(table) = output(&mut command(&["nsenter", &enter, "cat", "/proc/net/tcp", "/proc/net/tcp6"])) else {
        return false;
    };
    let listens = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next().is_some_and(|local| local.ends_with(&listens)) && fields.nth(1) == Some("0A")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(part: Part, api_only: bool) -> Vec<String> {
        let bed = Layout::new("bed").unwrap();
        let part = ControlPlane::new(bed, part, api_only);
        match part.part {
            Part::Etcd => part.etcd(),
            Part::ApiServer => part.api_server(),
            _ => part.controller_manager(),
        }
    }

    #[test]
    fn nothing_but_the_api_server_listens_outside_its_own_host() {
        let all = [words(Part::Etcd, false), words(Part::ControllerManager, false)].concat();
        for word in all.iter().filter(|word| word.contains("listen") || word.contains("bind")) {
            assert!(word.contains("127.0.0.1"), "{word}");
        }
        let api = words(Part::ApiServer, false);
        assert!(api.contains(&String::from("--bind-address=0.0.0.0")));
    }

    #[test]
    fn without_controllers_pods_need_no_service_account() {
        let admission = String::from("--disable-admission-plugins=ServiceAccount");
        assert!(words(Part::ApiServer, true).contains(&admission));
        assert!(!words(Part::ApiServer, false).contains(&admission));
    }
}
