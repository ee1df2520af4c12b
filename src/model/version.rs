//! Server versions: `10.11.19-MariaDB-deb12-log`. Not semver.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
    /// The whole text the server gave.
    pub text: String,
}
