//! How far mariadb-operator may act on a cluster.

use serde::{Deserialize, Serialize};

use super::OperatorView;

/// What its object tells the operator of acting by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Steering {
    /// `spec.suspend`.
    pub suspended: bool,
    /// `spec.galera.recovery.enabled`; `None`: it is not said.
    pub recovers: Option<bool>,
    /// `spec.galera.recovery.forceClusterBootstrapInPod`.
    pub force: Option<String>,
}

impl Steering {
    #[must_use]
    pub fn of(view: &OperatorView) -> Self {
        let spec = &view.spec;
        Self { suspended: spec.suspended, recovers: spec.recovery_enabled, force: spec.force_bootstrap_in.clone() }
    }

    /// As people read it.
    #[must_use]
    pub fn told(&self) -> String {
        let recovers = self.recovers.map_or_else(String::new, |recovers| format!(", recovery.enabled {recovers}"));
        let force = self.force.as_deref().unwrap_or("not set");
        format!("suspend {}{recovers}, forceClusterBootstrapInPod {force}", self.suspended)
    }
}
