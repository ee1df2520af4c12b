//! Which mariadb-operator runs.

use serde::{Deserialize, Serialize};

use super::fact::{Fact, Why};
use super::operator::OperatorVersion;

/// The Deployment of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorDeployment {
    pub namespace: String,
    pub name: String,
    /// Of its first container, as written there.
    pub image: String,
}

impl OperatorDeployment {
    /// From the image's tag; `None`: it has none that is a version (`latest`, a digest).
    #[must_use]
    pub fn version(&self) -> Option<OperatorVersion> {
        OperatorVersion::of_image(&self.image)
    }
}

/// The version of whichever of these does the work: nothing in its objects names it, so that all have to agree.
///
/// # Errors
/// There is none, its image does not tell, or they do not agree.
pub fn of_all(deployments: &Fact<Vec<OperatorDeployment>>) -> Fact<OperatorVersion> {
    let deployments = match deployments {
        Fact::Known(deployments) => deployments,
        Fact::Unknown(why) => return Fact::Unknown(why.clone()),
    };
    let failed = |why: String| Fact::Unknown(Why::Failed(why));
    let mut versions: Vec<OperatorVersion> = Vec::new();
    for deployment in deployments {
        let Some(version) = deployment.version() else {
            return failed(format!("the image of the operator's Deployment tells no version: {}", deployment.image));
        };
        versions.push(version);
    }
    versions.sort();
    versions.dedup();
    match versions[..] {
        [] => failed("no Deployment of mariadb-operator is seen".to_owned()),
        [only] => Fact::Known(only),
        [..] => {
            let all: Vec<String> = versions.iter().map(ToString::to_string).collect();
            failed(format!(
                "operators of the versions {} run here, and nothing tells which one is this cluster's",
                all.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_that_agree_tell_the_version() {
        let version = |tags: &[&str]| {
            let deployment = |tag: &&str| OperatorDeployment {
                namespace: "ops".into(),
                name: "op".into(),
                image: format!("r.example:5000/op{tag}"),
            };
            match of_all(&Fact::Known(tags.iter().map(deployment).collect())) {
                Fact::Known(version) => version.to_string(),
                Fact::Unknown(why) => why.to_string(),
            }
        };
        assert_eq!(version(&[":v25.10.4"]), "25.10.4");
        assert_eq!(version(&[":25.10.4", ":v25.10.4@sha256:00ff"]), "25.10.4");
        assert_eq!(version(&[]), "no Deployment of mariadb-operator is seen");
        assert!(version(&[":26.10.1", ":25.10.4"]).contains("the versions 25.10.4, 26.10.1 run here"));
        for tag in ["", ":latest", "@sha256:00ff"] {
            assert!(version(&[":25.10.4", tag]).ends_with(&format!("tells no version: r.example:5000/op{tag}")), "{tag}");
        }
        assert_eq!(of_all(&Fact::Unknown(Why::NotAsked)), Fact::Unknown(Why::NotAsked));
    }
}
