//! A cluster that exists on paper only.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::names::Target;
use super::operator::OperatorView;

/// A `MariaDB` object without a StatefulSet of its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unmade {
    pub taken: Timestamp,
    pub view: OperatorView,
}

impl Unmade {
    /// The cluster it would be.
    #[must_use]
    pub fn target(&self) -> Target {
        Target { namespace: self.view.namespace.clone(), name: self.view.name.clone() }
    }
}
