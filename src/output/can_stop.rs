//! The answer of `can-stop`.

use jiff::Timestamp;
use serde::Serialize;

use super::Screen;
use super::status::{Role, Status};
use super::style::Label;
use super::styled::{Column, Span, Styled};
use crate::decide::can_stop::{Answer, Decision, Reason, Weight};
use crate::failure::Exit;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

/// Whether something may be stopped now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CanStop {
    /// `pod shop/db-2`, `node n1`, `zone eu-1a`.
    pub question: String,
    /// The worst answer of all clusters.
    pub answer: Answer,
    /// 0 yes, 5 no, 4 not known, 8 not known for want of a right.
    pub exit_code: u8,
    /// Each cluster that has a pod there; empty: nothing of MariaDB runs there.
    pub clusters: Vec<CanStopCluster>,
    /// What was not looked at, or could not be.
    pub notes: Vec<String>,
    #[serde(skip)]
    #[cfg_attr(test, schemars(skip))]
    exit: Exit,
}

/// What one cluster says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CanStopCluster {
    pub namespace: String,
    pub name: String,
    pub answer: Answer,
    /// When the looks began that the answer is from; one is enough for a no.
    pub looks: Vec<Timestamp>,
    pub reasons: Vec<CanStopReason>,
    pub pods: Vec<CanStopPod>,
}

/// One pod that would stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CanStopPod {
    pub name: String,
    pub node: Option<String>,
    pub role: Option<Role>,
    /// In a word or two, for people; the texts may change.
    pub state: String,
    pub answer: Answer,
    pub reasons: Vec<CanStopReason>,
}

/// A sentence that speaks for or against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CanStopReason {
    pub weight: Weight,
    /// For people; the text may change.
    pub text: String,
}

impl From<&Reason> for CanStopReason {
    fn from(reason: &Reason) -> Self {
        Self { weight: reason.weight, text: reason.text.clone() }
    }
}

impl CanStopCluster {
    /// `status` is the document of the last of the looks.
    #[must_use]
    pub fn new(looks: &[&Snapshot], status: &Status, decision: &Decision) -> Self {
        let pod = |(ordinal, reasons): (&Ordinal, &Vec<Reason>)| {
            let known = status.pods.iter().find(|pod| pod.ordinal == ordinal.0);
            CanStopPod {
                name: ordinal.pod(&status.name),
                node: known.and_then(|pod| pod.node.clone()),
                role: known.and_then(|pod| pod.role),
                state: known.map_or_else(|| "no pod".to_owned(), |pod| pod.state.clone()),
                answer: decision.answer_of(*ordinal),
                reasons: reasons.iter().map(Into::into).collect(),
            }
        };
        Self {
            namespace: status.namespace.clone(),
            name: status.name.clone(),
            answer: decision.answer(),
            looks: looks.iter().map(|look| look.taken).collect(),
            reasons: decision.whole.iter().map(Into::into).collect(),
            pods: decision.pods.iter().map(pod).collect(),
        }
    }
}

impl CanStop {
    /// `forbidden`: what is not known is so for want of a right.
    #[must_use]
    pub fn new(question: String, clusters: Vec<CanStopCluster>, notes: Vec<String>, forbidden: bool) -> Self {
        let answer = clusters.iter().map(|cluster| cluster.answer).max().unwrap_or(Answer::Yes);
        let exit = match answer {
            Answer::Yes => Exit::Ok,
            Answer::No => Exit::Refused,
            Answer::Unknown if forbidden => Exit::Forbidden,
            Answer::Unknown => Exit::Unobserved,
        };
        Self { question, answer, exit_code: exit.code(), clusters, notes, exit }
    }
}

const fn word(answer: Answer) -> (&'static str, Label) {
    match answer {
        Answer::Yes => ("yes", Label::Good),
        Answer::Unknown => ("unknown", Label::Warning),
        Answer::No => ("no", Label::Error),
    }
}

impl Screen for CanStop {
    const KIND: &'static str = "CanStop";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        let (text, label) = word(self.answer);
        let pods: usize = self.clusters.iter().map(|cluster| cluster.pods.len()).sum();
        let what = match (self.answer, pods) {
            (_, 0) => format!(": no MariaDB server runs on {}", self.question),
            (Answer::Yes, _) => format!(": {} may stop now", self.question),
            (Answer::Unknown, _) => format!(": it cannot be told whether {} may stop", self.question),
            (Answer::No, _) => format!(": {} must not stop now", self.question),
        };
        out.hanging(vec![Span::new(label, text)], Label::Plain, &what);
        let several = self.clusters.len() > 1;
        for cluster in &self.clusters {
            reasons(&cluster.reasons, several.then(|| format!("{}/{}", cluster.namespace, cluster.name)).as_deref(), out);
        }
        if pods > 0 {
            out.end_line();
            let columns = [
                Column { head: "POD", yields: 0 },
                Column { head: "CLUSTER", yields: 2 },
                Column { head: "ROLE", yields: 0 },
                Column { head: "STATE", yields: 0 },
                Column { head: "NODE", yields: 1 },
                Column { head: "STOP", yields: 0 },
            ];
            out.table(&columns, &self.rows());
            if self.clusters.iter().flat_map(|cluster| &cluster.pods).any(|pod| !pod.reasons.is_empty()) {
                out.end_line();
            }
        }
        for pod in self.clusters.iter().flat_map(|cluster| &cluster.pods) {
            reasons(&pod.reasons, Some(&pod.name), out);
        }
        for note in &self.notes {
            out.hanging(vec![Span::new(Label::Faint, "note ")], Label::Faint, note);
        }
    }

    /// The pods that may stop.
    fn names(&self) -> Vec<String> {
        let pods = self.clusters.iter().flat_map(|cluster| &cluster.pods);
        pods.filter(|_| self.answer == Answer::Yes).map(|pod| format!("pod/{}", pod.name)).collect()
    }

    fn exit(&self) -> Exit {
        self.exit
    }
}

impl CanStop {
    fn rows(&self) -> Vec<Vec<Span>> {
        let row = |cluster: &CanStopCluster, pod: &CanStopPod| {
            let (text, label) = word(pod.answer);
            vec![
                Span::plain(&pod.name),
                Span::plain(format!("{}/{}", cluster.namespace, cluster.name)),
                Span::plain(pod.role.map_or("-", |role| role.name())),
                Span::plain(&pod.state),
                Span::plain(pod.node.as_deref().unwrap_or("-")),
                Span::new(label, text),
            ]
        };
        self.clusters.iter().flat_map(|cluster| cluster.pods.iter().map(move |pod| row(cluster, pod))).collect()
    }
}

/// The heaviest first.
fn reasons(reasons: &[CanStopReason], about: Option<&str>, out: &mut Styled) {
    let mut sorted: Vec<&CanStopReason> = reasons.iter().collect();
    sorted.sort_by_key(|reason| std::cmp::Reverse(reason.weight));
    for reason in sorted {
        let (mark, label) = match reason.weight {
            Weight::Against => ("against ", Label::Error),
            Weight::Unknown => ("unknown ", Label::Warning),
            Weight::Note => ("note    ", Label::Faint),
        };
        let about = about.map(|about| format!("{about}: ")).unwrap_or_default();
        out.hanging(vec![Span::new(label, mark)], Label::Plain, &format!("{about}{}", reason.text));
    }
}
