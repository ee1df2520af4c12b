//! Who else writes to a StatefulSet.

use crate::model::fact::Fact;

/// What the set's metadata and the autoscalers of its namespace say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custody {
    /// A program that makes the set again what a repository says.
    pub gitops: Option<GitOps>,
    /// Release of a Helm chart. Helm changes nothing by itself, only when somebody upgrades.
    pub helm: Option<String>,
    /// Those that change how many pods the set has.
    pub horizontal: Fact<Vec<Autoscaler>>,
    /// Those that replace its pods.
    pub vertical: Fact<Vec<Autoscaler>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitOps {
    /// Name of the Application.
    Argo(String),
    /// Kind and name: `kustomization shop`.
    Flux { kind: &'static str, name: String, namespace: String },
}

/// What changes the number of pods, or replaces them, by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Autoscaler {
    Horizontal(String),
    /// Name of the `ScaledObject`, which makes a `HorizontalPodAutoscaler` of its own.
    Keda(String),
    /// A `VerticalPodAutoscaler` that evicts pods.
    Vertical(String),
}

impl Autoscaler {
    /// Kind and name, as kubectl shows them.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Horizontal(name) => format!("HorizontalPodAutoscaler {name}"),
            Self::Keda(name) => format!("ScaledObject {name} (KEDA)"),
            Self::Vertical(name) => format!("VerticalPodAutoscaler {name}"),
        }
    }

    /// The `kubectl` arguments that pause it.
    #[must_use]
    pub fn pause(&self) -> String {
        match self {
            Self::Horizontal(name) => format!("delete hpa {name}"),
            Self::Keda(name) => format!("annotate scaledobject {name} autoscaling.keda.sh/paused=true"),
            Self::Vertical(name) => {
                format!("patch vpa {name} --type merge -p {{\"spec\":{{\"updatePolicy\":{{\"updateMode\":\"Off\"}}}}}}")
            }
        }
    }
}
