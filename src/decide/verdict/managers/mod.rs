//! What managers were told and believe, against what the servers say.

mod backups;
mod certificates;
mod operator;
mod primary;

use crate::decide::finding::{Finding, Severity};
use crate::decide::rules::managers as rule;
use crate::model::manager::Operator;
use crate::model::operator::{Condition, OperatorView};

use super::Scene;

pub(super) fn findings(scene: &Scene) -> Vec<Finding> {
    let mut found: Vec<Finding> = primary::labels(scene).into_iter().collect();
    found.extend(certificates::of_servers(scene));
    let Some(operator) = scene.seen.objects.manager.operator() else { return found };
    found.extend(backups::findings(scene, operator));
    found.extend(operator::claims(scene));
    if let Some(view) = scene.seen.objects.manager.view() {
        let eye = Eye { scene, operator, view };
        found.extend(operator::findings(&eye));
        found.extend(primary::findings(&eye));
    }
    found
}

/// The operator's object beside the scene.
struct Eye<'a> {
    scene: &'a Scene<'a>,
    operator: &'a Operator,
    view: &'a OperatorView,
}

impl Eye<'_> {
    /// The object as `kubectl` names it.
    fn object(&self) -> String {
        object(self.operator)
    }

    fn describe(&self) -> String {
        format!("describe mariadbs.{} {}", self.operator.group.name(), self.operator.name)
    }

    /// Adds what a condition says.
    fn with(&self, finding: Finding, name: &str) -> Finding {
        match self.view.status.condition(name) {
            Some(condition) => finding.seen(format!("condition {name} of {}", self.object()), condition),
            None => finding,
        }
    }

    /// Seconds since a condition is as it is.
    fn age(&self, condition: &Condition) -> Option<i64> {
        condition.since.map(|since| self.scene.seen.taken.duration_since(since).as_secs())
    }
}

fn object(operator: &Operator) -> String {
    format!("mariadb/{}", operator.name)
}

/// Ready is True, and an error was found that its servers show. Asked when all other findings are there.
pub(super) fn ready_lies(scene: &Scene, found: &[Finding]) -> Option<Finding> {
    let operator = scene.seen.objects.manager.operator().filter(|operator| operator.owns)?;
    let view = operator.view.known().ok()?;
    let ready = view.status.condition("Ready").filter(|ready| ready.holds == Some(true))?;
    // What the servers and their files say: Galera and replication.
    let shown_by_servers = |finding: &&Finding| {
        finding.rule.severity == Severity::Error
            && (finding.rule.code.starts_with("MDB2") || finding.rule.code.starts_with("MDB3"))
    };
    let codes: Vec<&str> = found.iter().filter(shown_by_servers).map(|finding| finding.rule.code).collect();
    if codes.is_empty() {
        return None;
    }
    let mut finding = Finding::new(&rule::READY_LIES, "the operator shows Ready, and the servers say otherwise")
        .seen(format!("condition Ready of {}", object(operator)), ready);
    if let Some(galera) = view.status.condition("GaleraReady") {
        finding = finding.seen(format!("condition GaleraReady of {}", object(operator)), galera);
    }
    Some(finding.seen("errors found", codes.join(", ")))
}
