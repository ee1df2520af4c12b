//! The verdict on an object whose cluster does not exist.

use super::{State, Verdict};
use crate::decide::finding::Finding;
use crate::decide::rules::managers as rule;
use crate::model::unmade::Unmade;

/// Nothing runs, so nobody is served, whatever the reason.
#[must_use]
pub fn of_unmade(unmade: &Unmade) -> Verdict {
    let view = &unmade.view;
    let object = format!("mariadb/{}", view.name);
    let mut finding = Finding::new(&rule::NO_SET, format!("MariaDB {} has no StatefulSet: {}", view.name, view.says()));
    for condition in view.status.conditions.iter().filter(|condition| condition.holds != Some(true)) {
        finding = finding.seen(format!("condition {} of {object}", condition.name), condition);
    }
    if view.spec.suspended {
        finding = finding.seen(format!("spec.suspend of {object}"), true);
    }
    if let Some(at) = view.deletion {
        finding = finding.seen(format!("metadata.deletionTimestamp of {object}"), at);
    }
    let finding = finding.seen(format!("spec.replicas of {object}"), view.spec.replicas).kubectl(&format!(
        "describe mariadbs.{} {}",
        view.group.name(),
        view.name
    ));
    let state = State::Critical;
    Verdict { state, headline: format!("{}: {}", state.name(), finding.summary), findings: vec![finding] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::operator::Condition;
    use crate::model::testing::{noon, operator_view};

    #[test]
    fn it_says_what_the_object_says() {
        let mut view = operator_view();
        view.status.conditions = vec![Condition {
            name: "Ready".into(),
            holds: Some(false),
            reason: "Failed".into(),
            message: "no rights".into(),
            since: None,
        }];
        view.spec.suspended = true;
        let verdict = of_unmade(&Unmade { taken: noon(), view: view.clone() });
        assert_eq!(
            verdict.headline,
            "Critical: MariaDB db has no StatefulSet: its condition Ready is False (Failed: no rights); it is suspended"
        );
        assert_eq!(verdict.findings[0].evidence.len(), 3);
        view.status.conditions.clear();
        view.deletion = Some(noon());
        let verdict = of_unmade(&Unmade { taken: noon(), view });
        assert!(verdict.headline.contains("has said nothing of it yet"), "{}", verdict.headline);
        assert!(verdict.headline.ends_with("it is suspended; it is being deleted"), "{}", verdict.headline);
    }
}
