//! What versions side by side mean: servers that differ, operators with known trouble.

use crate::model::operator::OperatorVersion;
use crate::model::operator_version::OperatorDeployment;
use crate::model::version::Version;

/// Something to know about a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// `NAMESPACE/NAME` of a cluster or an operator.
    pub about: String,
    pub message: String,
}

/// Pods of one cluster that run one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers {
    pub version: Version,
    pub pods: Vec<String>,
}

/// Trouble of mariadb-operator, and the first version without it. From its release notes and issues.
const OPERATOR_TROUBLE: &[(OperatorVersion, &str)] = &[
    (OperatorVersion::new(26, 6, 0), "one failed job of a physical backup can stop its schedule for good"),
    (
        OperatorVersion::new(26, 10, 0),
        "after a total loss of a Galera cluster it starts from any pod with safe_to_bootstrap: 1, whatever positions the \
         others have",
    ),
    (OperatorVersion::new(26, 10, 0), "a replica whose role is unknown for a moment loses its binary logs (RESET MASTER)"),
    (OperatorVersion::new(26, 10, 1), "it never runs mariadb-upgrade: after a new major version the system tables stay old"),
];

/// What is worth to know of one cluster's servers.
#[must_use]
pub fn of_servers(about: &str, servers: &[Servers]) -> Vec<Note> {
    if servers.len() < 2 {
        return Vec::new();
    }
    let each: Vec<String> = servers.iter().map(|same| format!("{} ({})", same.version, same.pods.join(", "))).collect();
    let message = format!("its servers run different versions: {}; an upgrade is under way or was left", each.join(", "));
    vec![Note { about: about.to_owned(), message }]
}

/// What is worth to know of an operator of this version.
#[must_use]
pub fn of_operator(operator: &OperatorDeployment) -> Vec<Note> {
    let Some(version) = operator.version() else { return Vec::new() };
    let known = OPERATOR_TROUBLE.iter().filter(|(first_without, _)| version < *first_without);
    known
        .map(|(first_without, trouble)| Note {
            about: format!("{}/{}", operator.namespace, operator.name),
            message: format!("mariadb-operator before {first_without}: {trouble}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(tag: &str) -> OperatorDeployment {
        OperatorDeployment { namespace: "ops".into(), name: "mariadb-operator".into(), image: format!("op:{tag}") }
    }

    #[test]
    fn trouble_ends_with_the_version_that_mends_it() {
        for (tag, notes) in [("25.10.4", 4), ("26.5.9", 4), ("26.6.0", 3), ("26.10.0", 1), ("26.10.1", 0), ("latest", 0)] {
            assert_eq!(of_operator(&operator(tag)).len(), notes, "{tag}");
        }
    }

    #[test]
    fn servers_of_one_version_are_no_news() {
        let servers = |version: &str, pod: &str| Servers { version: version.parse().unwrap(), pods: vec![pod.to_owned()] };
        assert_eq!(of_servers("shop/db", &[]), []);
        assert_eq!(of_servers("shop/db", &[servers("11.8.6", "db-0")]), []);
        let notes = of_servers("shop/db", &[servers("11.4.10", "db-0"), servers("11.8.6", "db-1")]);
        assert_eq!(
            notes[0].message,
            "its servers run different versions: 11.4.10 (db-0), 11.8.6 (db-1); an upgrade is under way or was left"
        );
    }
}
