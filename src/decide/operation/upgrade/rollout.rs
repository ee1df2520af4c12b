//! Which image, which partition, and who is told so: the set, or mariadb-operator that makes it.

use serde::{Deserialize, Serialize};

use crate::decide::rules::operations as rules;
use crate::model::kubernetes::UpdateStrategy;
use crate::model::operator::OperatorView;
use crate::model::snapshot::Snapshot;

use super::super::operator::view;
use super::super::plan::Refusal;

/// The only strategy of the operator that heeds a partition (25.10.4, seen).
const HELD: &str = "RollingUpdate";

/// What decides which pods run what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Of the database container in the pod template.
    pub image: String,
    /// Pods of an index below this keep their revision: ordinals below `ordinals.start + partition`.
    pub partition: u32,
    /// `spec.updateStrategy.type` of the `MariaDB` object; none: no operator makes the set.
    #[serde(default)]
    pub strategy: Option<String>,
}

impl Rollout {
    /// What the object says by which the set is made. `None`: Kubernetes holds no pod back (`OnDelete`).
    #[must_use]
    pub fn of(seen: &Snapshot) -> Option<Self> {
        let set = &seen.objects.stateful_set;
        if let Some(view) = view(seen) {
            let image = view.spec.image.clone().unwrap_or_else(|| set.layout.image.clone());
            return Some(Self { image, partition: view.spec.partition.unwrap_or(0), strategy: Some(strategy(view).to_owned()) });
        }
        let UpdateStrategy::RollingUpdate { partition } = set.update_strategy else { return None };
        Some(Self { image: set.layout.image.clone(), partition, strategy: None })
    }

    /// The same, with pods below an index held back.
    #[must_use]
    pub fn held_at(&self, partition: u32) -> Self {
        let strategy = self.strategy.as_ref().map(|_| HELD.to_owned());
        Self { image: self.image.clone(), partition, strategy }
    }

    #[must_use]
    pub fn told(&self) -> String {
        let strategy = self.strategy.as_ref().map_or_else(String::new, |strategy| format!(", updateStrategy {strategy}"));
        format!("image {}, partition {}{strategy}", self.image, self.partition)
    }
}

fn strategy(view: &OperatorView) -> &str {
    view.spec.update_strategy.as_deref().unwrap_or("ReplicasFirstPrimaryLast")
}

/// What the operator was told and has not made of the set yet, in words that follow "waiting: ".
#[must_use]
pub fn not_passed_on(seen: &Snapshot) -> Option<String> {
    let (view, told, set) = (view(seen)?, Rollout::of(seen)?, &seen.objects.stateful_set);
    let held = match (&told.strategy, set.update_strategy) {
        (Some(strategy), UpdateStrategy::RollingUpdate { partition }) => strategy == HELD && partition == told.partition,
        (Some(strategy), UpdateStrategy::OnDelete) => strategy != HELD,
        (None, _) => true,
    };
    let same = set.layout.image == told.image && held;
    (!same).then(|| format!("mariadb-operator has not passed on to the StatefulSet what it is told: {}", view.says()))
}

/// What the set, or the operator, says now, if pods are held back where they are told to be.
///
/// # Errors
/// They are not.
pub fn held_back(seen: &Snapshot) -> Result<Rollout, Refusal> {
    let set = &seen.objects.stateful_set;
    let name = &set.name;
    if let Some(view) = view(seen) {
        not_steered(seen, view).map_or(Ok(()), Err)?;
    }
    let Some(from) = Rollout::of(seen) else {
        let summary =
            format!("{name} has the update strategy OnDelete: any pod that restarts would come back with the new image");
        let change = r#"{"spec":{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":0}}}}"#;
        return Err(Refusal::new(&rules::NOT_HELD, summary)
            .because(["spec.updateStrategy.type: OnDelete".to_owned()])
            .kubectl(&format!("patch sts {name} --type merge -p {change}")));
    };
    if let Some(most) = set.max_unavailable.as_ref().filter(|most| *most != "1") {
        let summary = format!("{name} lets Kubernetes replace several pods at once");
        let change = r#"{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":null}}}}"#;
        return Err(Refusal::new(&rules::NOT_HELD, summary)
            .because([format!("spec.updateStrategy.rollingUpdate.maxUnavailable: {most}")])
            .kubectl(&format!("patch sts {name} --type merge -p {change}")));
    }
    Ok(from)
}

/// The operator would not do what its object says, or does something else now.
fn not_steered(seen: &Snapshot, view: &OperatorView) -> Option<Refusal> {
    let name = &seen.target.name;
    let refuse = |summary: String| Some(Refusal::new(&rules::NOT_HELD, summary));
    if view.spec.suspended {
        let summary = format!("mariadb-operator is suspended for {name}: it would not pass the image on");
        return refuse(summary).map(|refusal| refusal.plugin(&format!("unsuspend {name}")));
    }
    if strategy(view) == "Never" {
        let because = format!("spec.updateStrategy.type of MariaDB {}: Never", view.name);
        let change = r#"{"spec":{"updateStrategy":{"type":"ReplicasFirstPrimaryLast"}}}"#;
        return refuse(format!("mariadb-operator is told never to change the StatefulSet {name}")).map(|refusal| {
            refusal.because([because]).kubectl(&format!(
                "patch mariadbs.{} {} --type merge -p {change}",
                view.group.name(),
                view.name
            ))
        });
    }
    if view.spec.max_scale.is_some() {
        return refuse(format!("a MaxScale moves the primary of {name}: that is not handled here"));
    }
    None
}
