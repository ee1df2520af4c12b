//! What `pvc prune` and `pvc expand` would do, or have done.

use serde::Serialize;

use crate::carry_out::volumes::{Did, Item, Outcome, Report};
use crate::failure::Exit;
use crate::model::fact::Fact;
use crate::model::names::Target;
use crate::output::Screen;
use crate::output::command_line::OwnFlags;
use crate::output::status::Unknown;
use crate::output::style::Label;
use crate::output::styled::{Span, Styled};

/// A change of volumes: the plan, or what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VolumeChange {
    pub namespace: String,
    /// Of the `StatefulSet`.
    pub name: String,
    /// The command: `pvc prune`, `pvc expand`.
    pub command: String,
    /// `planned`, `nothingToDo`, `done`, `declined`, `notConfirmed`, `denied`, `stopped`, `timedOut` or `failed`.
    pub outcome: String,
    pub message: String,
    /// Why it went no further; `explain` tells more.
    pub code: Option<String>,
    pub volumes: Vec<ChangedVolume>,
    pub notes: Vec<String>,
    /// What to run next.
    pub next: Vec<String>,
    /// Jobs of ours that were not seen to go. They end by themselves.
    pub left: Vec<String>,
    pub exit_code: u8,
    #[serde(skip)]
    #[cfg_attr(test, schemars(skip))]
    exit: Exit,
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChangedVolume {
    pub name: String,
    pub uid: String,
    /// The pod that uses it, or used it.
    pub pod: String,
    /// `deleted`, `goes`, `kept`, `wouldDelete`, `wouldRead`, `expanded`, `pending`, `wouldExpand`, `failed` or `notReached`.
    pub result: String,
    /// For people; the text may change.
    pub because: String,
    /// What would be lost with it, in the words that accept it.
    pub loss: Option<String>,
    /// What becomes of the `PersistentVolume` with the claim: `Delete` or `Retain`.
    pub reclaim_policy: Option<String>,
    pub reclaim_policy_unknown: Option<Unknown>,
    /// With `--dry-run=server`: `accepted`, or why not; `null`: not asked.
    pub server: Option<String>,
}

impl ChangedVolume {
    fn new(target: &Target, item: &Item) -> Self {
        let (reclaim_policy, reclaim_policy_unknown) = match &item.reclaim {
            Fact::Known(policy) => (Some(policy.clone()), None),
            Fact::Unknown(why) => (None, super::unknown(why)),
        };
        Self {
            name: item.volume.name.clone(),
            uid: item.volume.uid.clone(),
            pod: item.ordinal.pod(&target.name),
            result: result(item.did).to_owned(),
            because: item.because.clone(),
            loss: item.loss.as_ref().map(|loss| loss.0.clone()),
            reclaim_policy,
            reclaim_policy_unknown,
            server: item.server.as_ref().map(|answer| match answer {
                Ok(()) => "accepted".to_owned(),
                Err(why) => why.to_string(),
            }),
        }
    }

    fn line(&self, out: &mut Styled) {
        let (word, label) = match self.result.as_str() {
            "deleted" | "expanded" => (self.result.as_str(), Label::Good),
            "kept" => ("kept", Label::Plain),
            "wouldDelete" => ("delete", Label::Warning),
            "wouldRead" => ("read", Label::Plain),
            "wouldExpand" => ("expand", Label::Plain),
            "pending" => ("pending", Label::Warning),
            "goes" => ("going", Label::Warning),
            "failed" => ("failed", Label::Error),
            _ => ("left alone", Label::Warning),
        };
        let first = vec![Span::plain("  "), Span::new(label, word), Span::plain(format!("  {}: ", self.name))];
        out.hanging(first, Label::Plain, &self.because);
        let goes = matches!(self.result.as_str(), "wouldDelete" | "deleted" | "goes");
        let policy = match (self.reclaim_policy.as_deref(), self.result.as_str()) {
            (Some("Retain"), _) => Some("its PersistentVolume stays (reclaim policy Retain), and the data with it".to_owned()),
            (Some("Delete"), "deleted") => Some("the data went with it (reclaim policy Delete)".to_owned()),
            (Some("Delete"), _) => Some("the data goes with it (reclaim policy Delete)".to_owned()),
            (Some(policy), _) => Some(format!("reclaim policy {policy}")),
            (None, _) => self
                .reclaim_policy_unknown
                .as_ref()
                .map(|why| format!("whether the data goes with it is not known (reclaim policy: {}); count on it", why.message)),
        };
        let indent = || vec![Span::plain("      ")];
        if let (true, Some(policy)) = (goes, policy) {
            out.hanging(indent(), Label::Faint, &policy);
        }
        if let (true, Some(loss)) = (goes, &self.loss) {
            out.hanging(vec![Span::new(Label::Error, "      lost: ")], Label::Error, loss);
        }
        if let Some(server) = &self.server {
            out.hanging(indent(), Label::Faint, &format!("API server: {server}"));
        }
    }
}

const fn result(did: Did) -> &'static str {
    match did {
        Did::Deleted => "deleted",
        Did::Going => "goes",
        Did::Kept => "kept",
        Did::WouldDelete => "wouldDelete",
        Did::WouldRead => "wouldRead",
        Did::Expanded => "expanded",
        Did::Pending => "pending",
        Did::WouldExpand => "wouldExpand",
        Did::Failed => "failed",
        Did::NotReached => "notReached",
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::NothingToDo => "nothingToDo",
        Outcome::Planned => "planned",
        Outcome::Denied => "denied",
        Outcome::Declined => "declined",
        Outcome::NobodyToAsk => "notConfirmed",
        Outcome::Stopped => "stopped",
        Outcome::TimedOut => "timedOut",
        Outcome::Failed => "failed",
    }
}

impl VolumeChange {
    #[must_use]
    pub fn new(target: &Target, command: &str, report: &Report, left: Vec<String>, flags: &OwnFlags) -> Self {
        let exit = report.outcome.exit();
        Self {
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            command: command.to_owned(),
            outcome: outcome(report.outcome).to_owned(),
            message: report.message.clone(),
            code: report.rule.map(|rule| rule.code.to_owned()),
            volumes: report.items.iter().map(|item| ChangedVolume::new(target, item)).collect(),
            notes: report.notes.clone(),
            next: report.next.iter().map(|command| flags.line(command, &target.namespace)).collect(),
            left,
            exit_code: exit.code(),
            exit,
        }
    }

    /// What is shown before the question, too.
    pub fn plan(&self, out: &mut Styled) {
        out.line(Label::Heading, format!("{} {}", self.command, self.name));
        self.volumes.iter().for_each(|volume| volume.line(out));
        for note in &self.notes {
            out.hanging(Vec::new(), Label::Plain, note);
        }
    }
}

impl Screen for VolumeChange {
    const KIND: &'static str = "VolumeChange";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        let told = matches!(self.outcome.as_str(), "declined" | "notConfirmed" | "nothingToDo");
        if !told {
            self.volumes.iter().for_each(|volume| volume.line(out));
        }
        let label = match self.exit {
            Exit::Ok => Label::Plain,
            Exit::Declined => Label::Warning,
            _ => Label::Error,
        };
        let first = self.code.as_ref().map(|code| Span::new(Label::Error, format!("{code} ")));
        out.hanging(first.into_iter().collect(), label, &self.message);
        for note in &self.notes {
            out.hanging(Vec::new(), Label::Plain, note);
        }
        for next in &self.next {
            out.plain("  → ").line(Label::Command, next.as_str());
        }
        if let Some(code) = &self.code {
            out.plain("Why: ").line(Label::Command, format!("kubectl mariadb explain {code}"));
        }
        if self.outcome == "planned" {
            out.line(Label::Faint, "Nothing was changed.");
        }
        if !self.left.is_empty() {
            let text = format!("still there: {}; Kubernetes ends and removes them", self.left.join(", "));
            out.hanging(vec![Span::new(Label::Warning, "! ")], Label::Plain, &text);
        }
    }

    /// Claims that were changed, or would be.
    fn names(&self) -> Vec<String> {
        let changed = |volume: &&ChangedVolume| !matches!(volume.result.as_str(), "kept" | "notReached" | "failed");
        self.volumes.iter().filter(changed).map(|volume| format!("persistentvolumeclaim/{}", volume.name)).collect()
    }

    fn exit(&self) -> Exit {
        self.exit
    }
}
