//! How a user names a cluster.

use std::fmt;
use std::str::FromStr;

/// The target of a command as typed: `NAME`, `sts/NAME` or `mariadb/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetName {
    /// A bare name: whatever manages a cluster of that name.
    Any(String),
    StatefulSet(String),
    /// The operator's object.
    MariaDb(String),
}

impl TargetName {
    /// The name without its kind.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Any(name) | Self::StatefulSet(name) | Self::MariaDb(name) => name,
        }
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(name) => f.write_str(name),
            Self::StatefulSet(name) => write!(f, "sts/{name}"),
            Self::MariaDb(name) => write!(f, "mariadb/{name}"),
        }
    }
}

impl FromStr for TargetName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').map_or((None, text), |(kind, name)| (Some(kind), name));
        let make: fn(String) -> Self = match kind.map(str::to_ascii_lowercase).as_deref() {
            None => Self::Any,
            Some("sts" | "statefulset" | "statefulsets" | "statefulset.apps" | "statefulsets.apps") => Self::StatefulSet,
            Some("mariadb" | "mariadbs" | "mariadb.k8s.mariadb.com" | "mariadbs.k8s.mariadb.com") => Self::MariaDb,
            Some("pod" | "pods" | "po") => {
                return Err("a pod is not a cluster: give the StatefulSet, as NAME or sts/NAME".to_owned());
            }
            Some(kind) => return Err(format!("'{kind}' is not a kind of cluster: give NAME, sts/NAME or mariadb/NAME")),
        };
        if is_object_name(name) {
            Ok(make(name.to_owned()))
        } else {
            Err("names have at most 253 lowercase letters, digits, '-' and '.', and begin and end with a letter or digit"
                .to_owned())
        }
    }
}

/// The API server's rule for names of objects (RFC 1123 subdomain).
pub(super) fn is_object_name(name: &str) -> bool {
    let label = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        part.bytes().all(|byte| inner(byte) || byte == b'-')
            && part.bytes().next().is_some_and(inner)
            && part.bytes().next_back().is_some_and(inner)
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_kubectl_users_write_are_understood() {
        let any = |name: &str| Ok(TargetName::Any(name.to_owned()));
        let set = || Ok(TargetName::StatefulSet("db".to_owned()));
        assert_eq!("db".parse(), any("db"));
        assert_eq!("my-db.v1".parse(), any("my-db.v1"));
        for text in ["sts/db", "statefulset/db", "StatefulSet/db", "statefulsets/db", "statefulset.apps/db"] {
            assert_eq!(text.parse(), set(), "{text}");
        }
        for text in ["mariadb/db", "mariadbs.k8s.mariadb.com/db"] {
            assert_eq!(text.parse(), Ok(TargetName::MariaDb("db".to_owned())), "{text}");
        }
    }

    #[test]
    fn anything_else_is_one_sentence() {
        let long = "a".repeat(254);
        for text in ["", "/", "sts/", "Db", "db_1", "-db", "db-", "db..x", "db/", "deploy/db", "pod/db-0", "sts/db/x", &long] {
            assert!(text.parse::<TargetName>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_printed_reads_back() {
        for text in ["db", "sts/db", "mariadb/db"] {
            assert_eq!(text.parse::<TargetName>().unwrap().to_string(), text);
        }
    }
}
