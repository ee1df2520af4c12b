//! The screen.

use crate::decide::helper::{Helper, Kind};
use crate::model::names::Target;
use crate::output::style::Label;
use crate::output::styled::{Column, Span, Styled};

use super::words::{self, short};
use super::{Grastate, GrastateMember, HelperStatus};

pub(super) fn screen(answer: &Grastate, wide: bool, out: &mut Styled) {
    let (word, label) = match answer.election.result.as_str() {
        "elected" => ("Elected", Label::Good),
        "notNeeded" => ("Not needed", Label::Good),
        _ if answer.exit_code == crate::failure::Exit::Refused.code() => ("Refused", Label::Error),
        _ => ("Unknown", Label::Warning),
    };
    out.hanging(vec![Span::new(label, word), Span::plain(": ")], Label::Plain, &answer.election.message);
    let read = answer.members.iter().filter(|member| member.files.is_some()).count();
    let at = answer.taken.strftime("%H:%M:%S UTC");
    let line = format!("{}/{}: {read} of {} data directories read at {at}", answer.namespace, answer.name, answer.members.len());
    out.hanging(Vec::new(), Label::Faint, &line);
    if !answer.members.is_empty() {
        out.end_line();
        table(answer, wide, out);
    }
    members(answer, out);
    reasons(answer, out);
    helpers(answer, out);
    for command in &answer.next {
        out.end_line();
        out.plain("→ ").line(Label::Command, command);
    }
}

type Cell = fn(&GrastateMember) -> Span;

fn table(answer: &Grastate, wide: bool, out: &mut Styled) {
    let column = |head, yields, cell: Cell| Some((Column { head, yields }, cell));
    let columns = [
        column("POD", 0, |member| Span::plain(&member.name)),
        column("READ BY", 3, |member| file(member, |files| Some(files.read_by.clone()))),
        column("UUID", 0, |member| file(member, |files| files.uuid.as_deref().map(|uuid| short(uuid).to_owned())))
            .filter(|_| !wide),
        column("UUID", 0, |member| file(member, |files| files.uuid.clone())).filter(|_| wide),
        column("SEQNO", 0, |member| file(member, |files| files.seqno.clone().or_else(|| Some(format!("({})", files.grastate))))),
        column("SAFE", 0, |member| file(member, |files| files.safe_to_bootstrap.map(|safe| u8::from(safe).to_string()))),
        column("VIEW", 1, |member| file(member, |files| Some(files.gvwstate.clone()).filter(|text| text != "absent"))),
        column("MARKS", 2, |member| file(member, |files| Some(files.markers.join(",")).filter(|text| !text.is_empty()))),
        column("POSITION", 0, position),
        column("TRUST", 0, trust),
        column("DATADIR", 0, |member| file(member, |files| Some(files.datadir.clone()))).filter(|_| wide),
        column("VERSION", 0, |member| file(member, |files| files.version.clone())).filter(|_| wide),
    ];
    let columns: Vec<(Column, Cell)> = columns.into_iter().flatten().collect();
    let rows: Vec<Vec<Span>> =
        answer.members.iter().map(|member| columns.iter().map(|(_, cell)| cell(member)).collect()).collect();
    out.table(&columns.iter().map(|(column, _)| *column).collect::<Vec<_>>(), &rows);
}

/// `?`: not read; `-`: there is none.
fn file(member: &GrastateMember, value: impl FnOnce(&super::FilesStatus) -> Option<String>) -> Span {
    match &member.files {
        None => Span::new(Label::Warning, "?"),
        Some(files) => value(files).map_or_else(|| Span::new(Label::Faint, "-"), Span::plain),
    }
}

fn position(member: &GrastateMember) -> Span {
    match (&member.position, &member.position_unknown) {
        (Some(position), _) => Span::plain(&position.seqno),
        (None, None) if member.files.is_some() => Span::new(Label::Faint, "-"),
        _ => Span::new(Label::Warning, "?"),
    }
}

fn trust(member: &GrastateMember) -> Span {
    match member.trust.as_str() {
        "whole" if member.position.is_some() => Span::new(Label::Good, "whole"),
        "whole" => Span::new(Label::Warning, "recover first"),
        "never" => Span::new(Label::Error, "never"),
        _ => Span::new(Label::Warning, "not read"),
    }
}

/// What each choice would mean, in a line or two per member.
fn members(answer: &Grastate, out: &mut Styled) {
    if answer.election.result == "notNeeded" || answer.members.is_empty() {
        return;
    }
    out.end_line();
    for member in &answer.members {
        let elected = answer.election.pod.as_ref() == Some(&member.name);
        let sign = if elected { Span::new(Label::Good, "* ") } else { Span::plain("- ") };
        let mut said: Vec<String> = Vec::new();
        if let Some(position) = &member.position {
            said.push(format!("at {} of {}, {}", position.seqno, short(&position.uuid), words::source(&position.from)));
        }
        said.extend(member.position_unknown.clone());
        said.extend(member.because.iter().cloned());
        match (&member.losses[..], member.trust.as_str()) {
            ([], "whole") if member.position.is_some() => said.push("choosing it loses nothing that is known".to_owned()),
            ([], "never") => said.push("it is never chosen".to_owned()),
            ([], _) => {}
            (losses, _) => said.push(format!("choosing it loses {}", losses.join(", and "))),
        }
        out.hanging(vec![sign, Span::plain(format!("{}: ", member.name))], Label::Plain, &said.join("; "));
    }
}

fn reasons(answer: &Grastate, out: &mut Styled) {
    let lines: Vec<(Label, String)> = answer
        .election
        .reasons
        .iter()
        .skip(1)
        .map(|reason| (Label::Warning, reason.message.clone()))
        .chain(answer.not_recovered.iter().map(|why| (Label::Warning, format!("not recovered: {why}"))))
        .chain(answer.stopped_because.iter().map(|why| (Label::Warning, why.clone())))
        .chain(answer.operator.iter().map(|operator| {
            let differs = if operator.differs { "; that is another choice than the one above" } else { "" };
            (if operator.differs { Label::Error } else { Label::Plain }, format!("{}{differs}", operator.message))
        }))
        .chain(answer.cautions.iter().map(|caution| (Label::Plain, caution.clone())))
        .collect();
    if !lines.is_empty() {
        out.end_line();
    }
    for (label, line) in lines {
        out.hanging(vec![Span::new(label, "! ")], Label::Plain, &line);
    }
}

fn helpers(answer: &Grastate, out: &mut Styled) {
    // Why files were not read stands with their member.
    let told = |helper: &HelperStatus| helper.state == "used" || (helper.state == "denied" && helper.kind == "inspect");
    for helper in answer.helpers.iter().filter(|helper| !told(helper)) {
        let claims: Vec<String> = helper
            .claims
            .iter()
            .map(|claim| format!("{} {}", claim.name, if claim.writable { "writable" } else { "read-only" }))
            .collect();
        let denied = helper.denied.as_ref().map(|denied| format!(": {}", denied.message)).unwrap_or_default();
        let text = format!("{} of {} ({}), {}{denied}", helper.kind, helper.pod, claims.join(", "), helper.state);
        out.hanging(vec![Span::plain("  - ")], Label::Plain, &text);
    }
    if !answer.left.is_empty() {
        let text = format!("still there: {}; Kubernetes ends and removes them", answer.left.join(", "));
        out.hanging(vec![Span::new(Label::Warning, "! ")], Label::Plain, &text);
    }
}

/// The plan, before the question.
pub(super) fn question(target: &Target, helpers: &[Helper], out: &mut Styled) {
    let kind = helpers.first().map_or(Kind::Inspect, |helper| helper.kind);
    let pods = if helpers.len() == 1 { "One helper pod is" } else { "Helper pods are" };
    let purpose = match kind {
        Kind::Inspect => "to read files that nothing else can read",
        Kind::Recover => "to recover positions that the files do not tell",
        Kind::Write => "to write a recovered position into grastate.dat",
        Kind::Reset => "to take the position from a data directory",
        Kind::Try => "to try an image",
        Kind::Seed => "to copy data to a new volume",
    };
    out.hanging(Vec::new(), Label::Heading, &format!("{pods} needed in namespace {} {purpose}:", target.namespace));
    for helper in helpers {
        let claims: Vec<String> = helper
            .claims
            .iter()
            .map(|(name, writable)| format!("{name} ({})", if *writable { "writable" } else { "read-only" }))
            .collect();
        let node = helper.node.as_ref().map(|node| format!(", on node {node}")).unwrap_or_default();
        out.hanging(
            vec![Span::plain(format!("  {}  ", helper.name))],
            Label::Plain,
            &format!("volumes {}{node}", claims.join(", ")),
        );
    }
    let facts = match kind {
        Kind::Inspect => "They only read: every volume is mounted read-only, nothing of the set is started",
        Kind::Recover => {
            "They write: `mariadbd --wsrep-recover` does InnoDB's crash recovery in each data directory, as every start would. \
             It must not run beside a server: leave the set as it is meanwhile"
        }
        Kind::Try => "It mounts nothing, and only asks a server for its version",
        Kind::Seed => "It writes to a new volume, and nowhere else",
        Kind::Write | Kind::Reset => "They write: `grastate.dat`, and nothing else",
    };
    let text = format!(
        "{facts}. No Service selects them, they carry no token, and they are removed afterwards; if this program dies, Kubernetes \
         ends and removes them within {} s.",
        kind.lifetime().as_secs() + 60
    );
    out.hanging(Vec::new(), Label::Plain, &text);
}
