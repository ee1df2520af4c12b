//! What could not be seen. These findings say why the verdict is not complete; they never make a cluster unhealthy.

use crate::decide::exit::unobserved;
use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::unseen as rule;
use crate::model::fact::{Obstacle, Why};
use crate::model::names::Ordinal;

use super::{Scene, Standing, list};

pub(super) fn findings(scene: &Scene) -> Vec<Finding> {
    let causes: Vec<(&Rule, Ordinal, &Why)> = scene
        .seen
        .members
        .keys()
        .filter(|ordinal| !is_explained(scene, **ordinal))
        .filter_map(|ordinal| match scene.standing(*ordinal) {
            Standing::Unseen(why) => Some((rule_of(why), *ordinal, why)),
            _ => scene.files_gap(*ordinal).map(|why| (&rule::FILES_UNREADABLE, *ordinal, why)),
        })
        .collect();
    let mut found = Vec::new();
    for (rule, says) in SAYS {
        let pods: Vec<(Ordinal, &Why)> =
            causes.iter().filter(|(of, _, _)| of.code == rule.code).map(|(_, ordinal, why)| (*ordinal, *why)).collect();
        if !pods.is_empty() {
            found.push(finding(scene, rule, says, &pods));
        }
    }
    found.extend(extras(scene));
    found
}

/// A dead node or a deletion is the cause already; that the pod does not answer is its evidence.
fn is_explained(scene: &Scene, ordinal: Ordinal) -> bool {
    scene.on_bad_node(ordinal) || scene.pod(ordinal).is_some_and(|pod| pod.deletion.is_some())
}

fn rule_of(why: &Why) -> &'static Rule {
    match why {
        Why::NotAsked => &rule::NOT_ASKED,
        Why::Forbidden(_) => &rule::EXEC_FORBIDDEN,
        Why::TimedOut(_) | Why::Unreachable(_) => &rule::POD_SILENT,
        Why::NoSql { obstacle, .. } => match obstacle {
            Obstacle::WrongPassword => &rule::WRONG_PASSWORD,
            Obstacle::NoPassword => &rule::NO_PASSWORD,
            Obstacle::NoClient => &rule::NO_CLIENT,
            Obstacle::NoSocket | Obstacle::Starting => &rule::NO_SOCKET,
            Obstacle::TooManyConnections => &rule::TOO_MANY_CONNECTIONS,
            Obstacle::Silent => &rule::POD_SILENT,
            Obstacle::Tls => &rule::TLS_DISAGREES,
        },
        Why::NotRunning(_) | Why::Failed(_) => &rule::SQL_FAILED,
    }
}

/// What each of these rules says of pods, and of the reason that was given.
const SAYS: &[(&Rule, &str)] = &[
    (&rule::POD_SILENT, "PODS did not answer: WHY"),
    (&rule::EXEC_FORBIDDEN, "PODS could not be asked: WHY"),
    (&rule::WRONG_PASSWORD, "PODS could not be asked: WHY"),
    (&rule::NO_PASSWORD, "no password is known inside the container of PODS"),
    (&rule::NO_CLIENT, "the container of PODS has no MariaDB client"),
    (&rule::NO_SOCKET, "no server socket was found in PODS"),
    (&rule::TOO_MANY_CONNECTIONS, "the server of PODS takes no more connections"),
    (&rule::TLS_DISAGREES, "client and server in PODS disagree on TLS"),
    (&rule::SQL_FAILED, "PODS could not be asked: WHY"),
    (&rule::FILES_UNREADABLE, "the files of PODS could not be read: WHY"),
    (&rule::NOT_ASKED, "nobody asked PODS"),
];

/// Rules whose cause the pod's events and log may tell.
const LOGS_TELL: &[&str] = &[rule::POD_SILENT.code, rule::NO_SOCKET.code, rule::SQL_FAILED.code];

fn finding(scene: &Scene, rule: &'static Rule, says: &str, pods: &[(Ordinal, &Why)]) -> Finding {
    let names: Vec<String> = pods.iter().map(|(ordinal, _)| scene.pod_name(*ordinal)).collect();
    let why = pods.first().map(|(_, why)| why.to_string()).unwrap_or_default();
    let summary = says.replace("PODS", &list(&names)).replace("WHY", &why);
    let mut finding = Finding::new(rule, summary);
    for (ordinal, why) in pods {
        finding = finding.seen(format!("exec in {}", scene.pod_name(*ordinal)), why);
    }
    if rule.code == rule::EXEC_FORBIDDEN.code {
        finding = finding.kubectl("auth can-i get pods --subresource=exec");
    } else if rule.code == rule::NO_PASSWORD.code {
        finding = finding.plugin(&format!("status {} --password-from secret/NAME:KEY", scene.seen.target.name));
    } else if let (true, Some(name)) = (LOGS_TELL.contains(&rule.code), names.first()) {
        finding = finding.kubectl(&format!("describe pod {name}")).kubectl(&format!("logs {name} --tail=50"));
    }
    finding.about(names)
}

/// One finding for all extras.
fn extras(scene: &Scene) -> Option<Finding> {
    let extra = unobserved(scene.seen).extra;
    let kinds: Vec<&str> = extra.iter().map(|gap| gap.fact).collect();
    let summary = format!("{} could not be read, so they add nothing here", list(&kinds));
    let mut finding = Finding::new(&rule::EXTRAS_UNREADABLE, summary);
    for gap in &extra {
        finding = finding.seen(gap.fact, &gap.why);
        if let Why::Forbidden(right) = &gap.why {
            let words: Vec<&str> = right.split(' ').take(2).collect();
            finding = finding.kubectl(&format!("auth can-i {}", words.join(" ")));
        }
    }
    (!extra.is_empty()).then_some(finding)
}
