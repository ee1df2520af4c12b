//! Several clusters, a row each.

use serde::Serialize;

use super::table::state_label;
use super::unmade::of_objects;
use super::{Status, Unseen};
use crate::decide::State;
use crate::decide::finding::Severity;
use crate::failure::Exit;
use crate::model::fact::Why;
use crate::output::Screen;
use crate::output::style::Label;
use crate::output::styled::{Column, Span, Styled};

const WORST_FIRST: [Exit; 3] = [Exit::Unhealthy, Exit::Forbidden, Exit::Unobserved];

/// What is true of every cluster that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StatusList {
    /// The worst first.
    pub items: Vec<Status>,
    /// What keeps other clusters from being seen.
    pub unseen: Vec<Unseen>,
}

impl StatusList {
    /// The worst first: what a person on call looks for stands at the top, also of a fleet of hundreds.
    #[must_use]
    pub fn new(mut items: Vec<Status>) -> Self {
        items.sort_by(|one, other| {
            let place = |status: &Status| (rank(status.exit), severity(status.state));
            let name = |status: &Status| (status.namespace.clone(), status.name.clone());
            place(one).cmp(&place(other)).then_with(|| name(one).cmp(&name(other)))
        });
        Self { items, unseen: Vec::new() }
    }

    /// There may be objects without a set.
    #[must_use]
    pub fn unlisted(mut self, why: Option<&Why>) -> Self {
        self.unseen.extend(why.map(of_objects));
        self
    }

    fn row(status: &Status) -> Vec<Span> {
        let ready = format!("{}/{}", status.ready_replicas, status.replicas);
        let all_ready = status.ready_replicas == status.replicas;
        vec![
            Span::plain(&status.namespace),
            Span::plain(&status.name),
            Span::plain(status.topology.name()),
            Span::new(if all_ready { Label::Plain } else { Label::Warning }, ready),
            Span::plain(status.primary()),
            Span::new(state_label(status.state), status.state.name()),
            findings(status),
        ]
    }

    /// What is true of the look as a whole.
    fn beside(&self, out: &mut Styled) {
        if let Some((status, lost)) = self.items.iter().find_map(|status| Some((status, status.lost.as_ref()?))) {
            let clock = |at: jiff::Timestamp| at.strftime("%H:%M:%S UTC");
            let (since, from) = (clock(lost.since), clock(status.taken));
            let text = format!("API server not reachable since {since}; what is shown is from {from} ({})", lost.message);
            out.hanging(Vec::new(), Label::Error, &text);
        }
        for status in &self.items {
            let Some(settled) = status.settled.as_ref().filter(|settled| !settled.settled) else { continue };
            let moved: Vec<&str> = settled.moved.iter().chain(&settled.unseen).map(String::as_str).collect();
            let place =
                vec![Span::new(Label::Warning, "not settled"), Span::plain(format!(" {}/{}: ", status.namespace, status.name))];
            out.hanging(place, Label::Plain, &moved.join("; "));
        }
        for unseen in &self.unseen {
            let text = format!("clusters without a StatefulSet would not be seen: {}", unseen.message);
            out.hanging(Vec::new(), Label::Faint, &text);
        }
    }
}

/// As of several exit codes the worst is given.
fn rank(exit: Exit) -> usize {
    WORST_FIRST.iter().position(|worse| *worse == exit).unwrap_or(WORST_FIRST.len())
}

/// Clusters below `--fail-on` have one exit code and are not all alike.
const fn severity(state: State) -> u8 {
    match state {
        State::Critical => 0,
        State::Unknown => 1,
        State::Degraded => 2,
        State::Healthy => 3,
    }
}

/// The worst codes and how many more there are: `MDB211 +2`. Info is not worth a look across a fleet.
fn findings(status: &Status) -> Span {
    let mut worth = status.findings.iter().filter(|finding| finding.severity > Severity::Info);
    let Some(worst) = worth.next() else { return Span::new(Label::Faint, "-") };
    let text = match worth.count() {
        0 => worst.code.clone(),
        more => format!("{} +{more}", worst.code),
    };
    Span::new(worst.severity.into(), text)
}

impl Screen for StatusList {
    const KIND: &'static str = "StatusList";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        let columns = [
            Column { head: "NAMESPACE", yields: 0 },
            Column { head: "NAME", yields: 0 },
            Column { head: "TOPOLOGY", yields: 2 },
            Column { head: "READY", yields: 0 },
            Column { head: "PRIMARY", yields: 1 },
            Column { head: "VERDICT", yields: 0 },
            Column { head: "FINDINGS", yields: 0 },
        ];
        out.table(&columns, &self.items.iter().map(Self::row).collect::<Vec<_>>());
        self.beside(out);
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().flat_map(Screen::names).collect()
    }

    /// The worst of all.
    fn exit(&self) -> Exit {
        let any = |exit| self.items.iter().any(|status| status.exit == exit);
        WORST_FIRST.into_iter().find(|exit| any(*exit)).unwrap_or(Exit::Ok)
    }
}
