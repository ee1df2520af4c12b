//! What the programs of a node read. Paths are those inside the node.

use crate::layout::{DNS_ADDRESS, NodeLayout, POD_CIDR};
use crate::pki;

/// Where a node keeps its configuration.
pub(super) const FOLDER: &str = "/var/lib/bed";

/// Where a kubelet tells its health, on the loopback of its node.
pub(super) const KUBELET_HEALTH_PORT: u16 = 10248;

/// The files of [`FOLDER`]: name and content.
pub(super) fn files(node: &NodeLayout, reserved_memory: u64) -> Vec<(&'static str, String)> {
    vec![
        ("resolv.conf", String::new()),
        ("containerd.toml", containerd()),
        ("cni/10-bed.conflist", cni(node)),
        ("kubelet.yaml", kubelet(node, reserved_memory)),
        ("proxy.yaml", proxy(node)),
    ]
}

fn containerd() -> String {
    // restrict_oom_score_adj: without CAP_SYS_RESOURCE runc could not give a sandbox its score and
    // would end with "can't get final child's PID from pipe: EOF".
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "bed.local/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{FOLDER}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"#
    )
}

fn cni(node: &NodeLayout) -> String {
    // The addresses given out are kept on /run: after a reboot no pod has one.
    let subnet = node.pod_cidr();
    format!(
        r#"{{"cniVersion": "0.4.0", "name": "bed", "plugins": [
  {{"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "ipMasq": false, "hairpinMode": true,
    "ipam": {{"type": "host-local", "dataDir": "/run/cni/networks", "ranges": [[{{"subnet": "{subnet}"}}]]}}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}}}
]}}
"#
    )
}

fn kubelet(node: &NodeLayout, reserved_memory: u64) -> String {
    // Every node sees the whole disk, so no image is ever collected; every node sees the whole
    // memory, so what belongs to the others is reserved. A lease is renewed every quarter of its
    // duration, which must fit into the grace period of the controller-manager (20 s).
    let (address, certificate) = (node.address(), pki::node_file(node));
    let cgroup = node.cgroup().display().to_string();
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {address}
port: 10250
readOnlyPort: 0
healthzPort: {KUBELET_HEALTH_PORT}
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {FOLDER}/ca.crt}}}}
authorization: {{mode: Webhook}}
tlsCertFile: {FOLDER}/{certificate}.crt
tlsPrivateKeyFile: {FOLDER}/{certificate}.key
rotateCertificates: false
clusterDNS: [{DNS_ADDRESS}]
clusterDomain: cluster.local
resolvConf: {FOLDER}/resolv.conf
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /{cgroup}
cgroupsPerQOS: true
enforceNodeAllocatable: [pods]
failSwapOn: false
failCgroupV1: false
systemReserved: {{memory: \"{reserved_memory}\"}}
evictionHard: {{memory.available: 200Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
imageMinimumGCAge: 8760h
nodeStatusUpdateFrequency: 5s
nodeStatusReportFrequency: 1m
nodeLeaseDurationSeconds: 16
syncFrequency: 10s
volumeStatsAggPeriod: 20s
serializeImagePulls: false
shutdownGracePeriod: 0s
logging: {{verbosity: 1}}
"
    )
}

fn proxy(node: &NodeLayout) -> String {
    // The kernel's limits of connection tracking are read-only outside the first network
    // namespace: with any other value than 0 kube-proxy would end.
    let (name, address) = (node.name(), node.address());
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {{kubeconfig: {FOLDER}/proxy.conf}}
clusterCIDR: {POD_CIDR}
hostnameOverride: {name}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
bindAddress: {address}
detectLocalMode: ClusterCIDR
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
iptables: {{minSyncPeriod: 100ms, syncPeriod: 30s}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn each_node_gets_its_own_addresses_and_group() {
        let bed = Layout::new("bed").unwrap();
        let files = files(&bed.node(2).unwrap(), 1024);
        let content = |name: &str| {
            let found = files.iter().find(|(file, _)| *file == name);
            found.unwrap().1.clone()
        };
        let kubelet = content("kubelet.yaml");
        for line in [
            "address: 10.77.0.12",
            "cgroupRoot: /kubectl-mariadb-bed/bed/n2",
            "tlsCertFile: /var/lib/bed/node-n2.crt",
            "systemReserved: {memory: \"1024\"}",
        ] {
            assert!(kubelet.lines().any(|l| l == line), "{line}");
        }
        assert!(content("proxy.yaml").contains("hostnameOverride: n2\n"));
        let cni: serde_json::Value = serde_json::from_str(&content("cni/10-bed.conflist")).unwrap();
        let range = &cni["plugins"][0]["ipam"]["ranges"][0][0];
        assert_eq!(range["subnet"], "10.88.2.0/24");
    }
}
