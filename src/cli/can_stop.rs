//! `can-stop`.

use clap::Args;

use super::pod_name::PodName;

/// May I take this pod, node or zone down now?
///
/// Tells what the other members could still do without it: quorum and weights, who is primary, donor or joiner, whether another member is already away, how it would come back (IST or a full copy), volumes that lie on the node, disruption budgets. A yes takes two looks eight seconds apart.
///
/// Exit codes: 0 yes, 5 no, 4 a needed fact could not be seen, 8 a needed right is missing.
#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(false))]
#[command(after_help = "Example: kubectl mariadb can-stop --node worker-3 && kubectl drain worker-3 …")]
pub struct CanStop {
    /// POD or pod/NAME
    #[arg(group = "what")]
    pub pod: Option<PodName>,
    /// Every pod on this node; in all namespaces, unless one is given with -n
    #[arg(long, value_name = "NODE", group = "what")]
    pub node: Option<String>,
    /// Every pod on the nodes of this zone (label topology.kubernetes.io/zone)
    #[arg(long, value_name = "ZONE", group = "what")]
    pub zone: Option<String>,
}
