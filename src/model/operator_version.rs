//! Which mariadb-operator runs.

use super::version::Version;

/// The Deployment of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorDeployment {
    pub namespace: String,
    pub name: String,
    /// Of its first container, as written there.
    pub image: String,
}

impl OperatorDeployment {
    /// From the image's tag; `None`: it has none that is a version (`latest`, a digest).
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        let tagged = self.image.split('@').next()?;
        let (_, tag) = tagged.rsplit('/').next()?.split_once(':')?;
        tag.strip_prefix('v').unwrap_or(tag).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_the_version() {
        let version = |image: &str| {
            let operator = OperatorDeployment { namespace: "o".into(), name: "o".into(), image: image.into() };
            operator.version().map(|version| version.to_string())
        };
        for image in ["r.example:5000/mariadb-operator:25.10.4", "mariadb-operator:v25.10.4", "a/b:25.10.4@sha256:00ff"] {
            assert_eq!(version(image).as_deref(), Some("25.10.4"), "{image}");
        }
        for image in ["mariadb-operator", "mariadb-operator:latest", "r.example:5000/mariadb-operator", "a/b@sha256:00ff", ""] {
            assert_eq!(version(image), None, "{image}");
        }
    }
}
