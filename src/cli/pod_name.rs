//! How a user names a pod.

use std::str::FromStr;

use crate::model::target_name::TargetName;

/// `POD` or `pod/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodName(pub String);

impl FromStr for PodName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = match text.split_once('/') {
            None => text,
            Some(("pod" | "pods" | "po", name)) => name,
            Some((kind, _)) => return Err(format!("'{kind}' is no pod: give POD or pod/NAME")),
        };
        // The same rule for names as for every other object.
        match name.parse()? {
            TargetName::Any(name) => Ok(Self(name)),
            TargetName::StatefulSet(_) | TargetName::MariaDb(_) => Err("give POD or pod/NAME".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_named_as_in_kubectl() {
        for text in ["db-0", "pod/db-0", "pods/db-0", "po/db-0"] {
            assert_eq!(text.parse(), Ok(PodName("db-0".to_owned())), "{text}");
        }
        for text in ["", "pod/", "sts/db", "DB-0", "pod/a/b"] {
            assert!(text.parse::<PodName>().is_err(), "{text}");
        }
    }
}
