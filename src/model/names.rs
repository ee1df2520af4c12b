//! Names: ordinals, the target of a command.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number at the end of a StatefulSet pod's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ordinal(pub u32);

impl Ordinal {
    /// The ordinal of `pod` if it is named as the pods of `set` are (`SET-N`, no leading zeros).
    #[must_use]
    pub fn of_pod(set: &str, pod: &str) -> Option<Self> {
        let digits = pod.strip_prefix(set)?.strip_prefix('-')?;
        let number: u32 = digits.parse().ok()?;
        (number.to_string() == digits).then_some(Self(number))
    }

    /// The pod of `set` with this ordinal.
    #[must_use]
    pub fn pod(self, set: &str) -> String {
        format!("{set}-{self}")
    }
}

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The StatefulSet whose pod has this name; `None`: it has not the form of one.
#[must_use]
pub fn set_of_pod(pod: &str) -> Option<&str> {
    let (set, _) = pod.rsplit_once('-')?;
    Ordinal::of_pod(set, pod).map(|_| set)
}

/// The StatefulSet a snapshot is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_name_gives_its_ordinal_only_in_the_form_the_controller_writes() {
        assert_eq!(Ordinal::of_pod("db", "db-10"), Some(Ordinal(10)));
        for other in ["db-01", "db-+1", "db-", "db", "db-1-bootstrap", "other-1", "dbx-1"] {
            assert_eq!(Ordinal::of_pod("db", other), None, "{other}");
        }
        assert_eq!(Ordinal(3).pod("a-b"), "a-b-3");
        assert_eq!((set_of_pod("a-b-3"), set_of_pod("a-b"), set_of_pod("3")), (Some("a-b"), None, None));
    }
}
