//! A cluster that exists on paper only, in the same document.

use super::manager::{ManagerKind, ManagerStatus, OperatorStatus};
use super::{FindingStatus, Status, Topology, Unseen};
use crate::decide::finding::Severity;
use crate::decide::verdict::of_unmade;
use crate::decide::{self, Gap, Unobserved};
use crate::model::fact::Why;
use crate::model::unmade::Unmade;
use crate::output::command_line::OwnFlags;

impl Status {
    /// The document of an object without a set.
    #[must_use]
    pub fn of_unmade(unmade: &Unmade, fail_on: Option<Severity>, flags: &OwnFlags) -> Self {
        let (target, verdict) = (unmade.target(), of_unmade(unmade));
        let exit = decide::exit(&verdict.findings, &Unobserved::default(), fail_on);
        let operator = Some(OperatorStatus::of_unmade(&unmade.view));
        Self {
            taken: unmade.taken,
            topology: Topology::Unknown,
            manager: ManagerStatus { kind: ManagerKind::Operator, chart: None, operator },
            state: verdict.state,
            exit_code: exit.code(),
            set_exists: false,
            replicas: unmade.view.spec.replicas,
            ready_replicas: 0,
            versions: Vec::new(),
            findings: verdict.findings.iter().map(|finding| FindingStatus::new(finding, &target, flags)).collect(),
            headline: verdict.headline,
            namespace: target.namespace,
            name: target.name,
            pods: Vec::new(),
            galera: None,
            replication: None,
            unseen: Vec::new(),
            lost: None,
            settled: None,
            exit,
        }
    }

    /// The only cluster that was found, where there may be objects without one.
    #[must_use]
    pub fn unlisted(mut self, why: Option<&Why>) -> Self {
        let unseen = why.map(of_objects).filter(|unseen| !self.unseen.contains(unseen));
        self.unseen.extend(unseen);
        self
    }
}

/// The objects of operators could not be listed.
pub(super) fn of_objects(why: &Why) -> Unseen {
    Unseen::new(&Gap { fact: "mariadbs", pod: None, why: why.clone() }, false)
}
