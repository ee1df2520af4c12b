//! The one screen.

use std::collections::BTreeMap;

use super::pod::{PodStatus, ServerStatus};
use super::{Role, Status, Topology, Unseen, blocks};
use crate::decide::State;
use crate::decide::rules;
use crate::model::fact::Why;
use crate::output::age::{age, duration};
use crate::output::style::Label;
use crate::output::styled::{Column, Span, Styled};

/// From here on a volume's use is coloured.
const VOLUME_WARNING_PERCENT: u64 = 80;
const VOLUME_ERROR_PERCENT: u64 = 95;

pub(super) fn screen(status: &Status, wide: bool, out: &mut Styled) {
    headline(status, out);
    lost(status, out);
    settled(status, out);
    findings(status, out);
    if status.set_exists {
        out.end_line();
        pods(status, wide, out);
    }
    reasons(status, out);
    if let Some(galera) = &status.galera {
        blocks::galera(galera, out);
    }
    if let Some(replication) = &status.replication {
        blocks::replication(status, replication, out);
    }
    missing(status, out);
}

pub(super) const fn state_label(state: State) -> Label {
    match state {
        State::Healthy => Label::Good,
        State::Degraded | State::Unknown => Label::Warning,
        State::Critical => Label::Error,
    }
}

fn headline(status: &Status, out: &mut Styled) {
    let (state, rest) = status.headline.split_at(status.state.name().len().min(status.headline.len()));
    out.hanging(vec![Span::new(state_label(status.state), state)], Label::Plain, rest);
    let versions = match &status.versions[..] {
        [] => String::new(),
        versions => format!(", MariaDB {}", versions.join(" and ")),
    };
    let topology = match status.topology {
        Topology::Galera => "Galera",
        Topology::Replication => "replication",
        Topology::Single => "single server",
        Topology::Independent => "independent servers",
        Topology::Unknown => "topology not known",
    };
    let at = status.taken.strftime("%H:%M:%S UTC");
    let what = if status.set_exists {
        format!("{topology}{versions}, {}/{} ready", status.ready_replicas, status.replicas)
    } else {
        format!("no StatefulSet, {} replicas wanted", status.replicas)
    };
    let line = format!("{}/{}: {what} at {at}", status.namespace, status.name);
    out.hanging(Vec::new(), Label::Faint, &line);
    if let Some(manager) = status.manager.words(status.taken) {
        out.hanging(Vec::new(), Label::Faint, &manager);
    }
}

fn lost(status: &Status, out: &mut Styled) {
    let Some(lost) = &status.lost else { return };
    let clock = |at: jiff::Timestamp| at.strftime("%H:%M:%S UTC");
    let text = format!(
        "API server not reachable since {}; what is shown is from {} ({})",
        clock(lost.since),
        clock(status.taken),
        lost.message
    );
    out.hanging(Vec::new(), Label::Error, &text);
}

fn settled(status: &Status, out: &mut Styled) {
    let Some(settled) = &status.settled else { return };
    let between = format!("two looks, from {} on", settled.first.strftime("%H:%M:%S UTC"));
    if settled.settled {
        out.hanging(vec![Span::new(Label::Good, "settled")], Label::Plain, &format!(": {between}, saw the same"));
        return;
    }
    out.hanging(vec![Span::new(Label::Warning, "not settled")], Label::Plain, &format!(": {between}, do not agree"));
    for reason in settled.moved.iter().chain(&settled.unseen) {
        out.hanging(vec![Span::plain("  - ")], Label::Faint, reason);
    }
}

fn findings(status: &Status, out: &mut Styled) {
    for finding in status.findings.iter().filter(|finding| finding.code != rules::unseen::EXTRAS_UNREADABLE.code) {
        out.end_line();
        let label: Label = finding.severity.into();
        let head = vec![Span::new(label, finding.severity.name()), Span::plain(format!(" {}  ", finding.code))];
        out.hanging(head, Label::Plain, &finding.summary);
        for evidence in &finding.evidence {
            out.hanging(vec![Span::plain("  - ")], Label::Faint, &format!("{}: {}", evidence.source, evidence.value));
        }
        for command in &finding.next {
            out.plain("  → ").line(Label::Command, command);
        }
    }
}

/// A column of the pods' table and how to fill it.
type Cell = fn(&Status, &PodStatus) -> Span;

fn pods(status: &Status, wide: bool, out: &mut Styled) {
    let galera = status.topology == Topology::Galera;
    let replicates = status.topology == Topology::Replication;
    let column = |head, yields, cell: Cell| Some((Column { head, yields }, cell));
    let columns = [
        column("POD", 0, |_, pod| Span::plain(&pod.name)),
        column("ROLE", 0, role),
        column("STATE", 0, state),
        if galera { column("SEQNO", 0, seqno) } else { column("GTID", 0, gtid) },
        column("LAG", 0, lag).filter(|_| replicates),
        // One version for all is in the line above.
        column("VERSION", if status.versions.len() > 1 { 0 } else { 5 }, version),
        column("RESTARTS", 2, restarts),
        column("VOLUME", 1, volume),
        column("NODE", 4, |_, pod| text(pod.node.clone())),
        column("AGE", 3, |status, pod| text(pod.created.map(|created| age(created, status.taken)))),
        column("IP", 0, |_, pod| text(pod.ip.clone())).filter(|_| wide),
        column("IMAGE", 0, |_, pod| text(pod.image.clone())).filter(|_| wide),
        column("REVISION", 0, |_, pod| text(pod.revision.clone())).filter(|_| wide),
        column("GCACHE", 0, gcache).filter(|_| wide && galera),
        column("PAUSED", 0, paused).filter(|_| wide && galera),
        column("QUEUE", 0, queue).filter(|_| wide && galera),
        column("CONNECTIONS", 0, connections).filter(|_| wide),
    ];
    let columns: Vec<(Column, Cell)> = columns.into_iter().flatten().collect();
    let rows: Vec<Vec<Span>> =
        status.pods.iter().map(|pod| columns.iter().map(|(_, cell)| cell(status, pod)).collect()).collect();
    out.table(&columns.iter().map(|(column, _)| *column).collect::<Vec<_>>(), &rows);
}

/// `-`: there is none.
fn text(value: Option<String>) -> Span {
    value.map_or_else(|| Span::new(Label::Faint, "-"), Span::plain)
}

/// What the server says; `?` if it could not be asked, `-` if there is none to ask or it has no such thing.
fn said(pod: &PodStatus, value: impl FnOnce(&ServerStatus) -> Option<String>) -> Span {
    match &pod.server {
        Some(server) => text(value(server)),
        None if is_down(pod) => text(None),
        None => Span::new(Label::Warning, "?"),
    }
}

/// There is no server: no pod, or a container that does not run.
fn is_down(pod: &PodStatus) -> bool {
    !pod.exists || pod.server_unknown.as_ref().is_some_and(|unknown| unknown.reason == "NotRunning")
}

fn role(_: &Status, pod: &PodStatus) -> Span {
    match pod.role {
        Some(role @ (Role::Donor | Role::Joiner)) => Span::new(Label::Warning, role.name()),
        Some(role) => Span::plain(role.name()),
        None => said(pod, |_| None),
    }
}

fn state(_: &Status, pod: &PodStatus) -> Span {
    let good = ["Synced", "writable", "replicating"];
    let label = match &pod.server {
        Some(_) if good.contains(&pod.state.as_str()) => Label::Good,
        Some(server) if server.galera.is_none() && pod.state == "read-only" => Label::Plain,
        _ => Label::Warning,
    };
    Span::new(label, &pod.state)
}

fn seqno(_: &Status, pod: &PodStatus) -> Span {
    said(pod, |server| server.galera.as_ref()?.seqno.clone())
}

/// What a replica has applied, or what a primary has logged.
fn gtid(_: &Status, pod: &PodStatus) -> Span {
    said(pod, |server| {
        let position = match (server.channels.is_empty(), server.gtid.binlog_pos.is_empty()) {
            (false, _) => &server.gtid.slave_pos,
            (true, false) => &server.gtid.binlog_pos,
            (true, true) => &server.gtid.current_pos,
        };
        Some(position.clone()).filter(|position| !position.is_empty())
    })
}

fn lag(_: &Status, pod: &PodStatus) -> Span {
    said(pod, |server| {
        let lags: Option<Vec<u64>> = server.channels.iter().map(|channel| channel.lag_seconds).collect();
        lags?.into_iter().max().map(duration)
    })
}

fn version(_: &Status, pod: &PodStatus) -> Span {
    said(pod, |server| Some(server.version.clone()))
}

fn restarts(_: &Status, pod: &PodStatus) -> Span {
    let label = if pod.restarts.is_some_and(|restarts| restarts > 0) { Label::Warning } else { Label::Plain };
    Span { label, ..text(pod.restarts.map(|restarts| restarts.to_string())) }
}

fn volume(_: &Status, pod: &PodStatus) -> Span {
    match pod.files.as_ref().map(|files| files.volume_used_percent) {
        Some(percent) => {
            let label = match percent {
                VOLUME_ERROR_PERCENT.. => Label::Error,
                VOLUME_WARNING_PERCENT.. => Label::Warning,
                _ => Label::Plain,
            };
            Span::new(label, format!("{percent}%"))
        }
        None if is_down(pod) => text(None),
        None => Span::new(Label::Warning, "?"),
    }
}

fn gcache(_: &Status, pod: &PodStatus) -> Span {
    said(pod, |server| server.galera.as_ref()?.cached_downto.as_ref().map(|seqno| format!("from {seqno}")))
}

fn paused(_: &Status, pod: &PodStatus) -> Span {
    said(pod, |server| server.galera.as_ref().map(|galera| percent(galera.flow_control.paused_fraction)))
}

fn queue(_: &Status, pod: &PodStatus) -> Span {
    said(pod, |server| server.galera.as_ref().map(|galera| galera.receive_queue.clone()))
}

fn connections(_: &Status, pod: &PodStatus) -> Span {
    said(pod, |server| Some(format!("{}/{}", server.connections, server.connections_limit)))
}

pub(super) fn percent(fraction: f64) -> String {
    format!("{:.1}%", fraction * 100.0)
}

/// Why there are question marks: pods with the same reason share a line.
fn reasons(status: &Status, out: &mut Styled) {
    let mut pods: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for pod in status.pods.iter().filter(|pod| !is_down(pod)) {
        let server = pod.server_unknown.as_ref().map(|unknown| &unknown.message);
        let files = pod.files_unknown.as_ref().map(|unknown| &unknown.message);
        let reasons = match (server, files) {
            (Some(server), Some(files)) if server == files => vec![server.clone()],
            _ => server.into_iter().cloned().chain(files.map(|files| format!("files: {files}"))).collect(),
        };
        for reason in reasons {
            let reason = if reason == Why::NotAsked.to_string() { format!("{reason} (--no-exec)") } else { reason };
            pods.entry(reason).or_default().push(&pod.name);
        }
    }
    for (reason, pods) in pods {
        out.hanging(vec![Span::new(Label::Warning, "? ")], Label::Plain, &format!("{}: {reason}", pods.join(", ")));
    }
}

/// The last line: extras that could not be read, for want of a right or otherwise.
fn missing(status: &Status, out: &mut Styled) {
    let (forbidden, failed): (Vec<&Unseen>, Vec<&Unseen>) =
        status.unseen.iter().filter(|unseen| !unseen.needed).partition(|unseen| unseen.reason == "Forbidden");
    let rights: Vec<&str> = forbidden.iter().map(|unseen| unseen.message.trim_start_matches("you may not ")).collect();
    let failed: Vec<String> = failed.iter().map(|unseen| format!("{} ({})", unseen.fact, unseen.message)).collect();
    let mut parts = Vec::new();
    if !rights.is_empty() {
        parts.push(format!("rights missing for extras: {}", rights.join(", ")));
    }
    if !failed.is_empty() {
        parts.push(format!("extras not seen: {}", failed.join(", ")));
    }
    if !parts.is_empty() {
        out.end_line();
        out.hanging(Vec::new(), Label::Faint, &format!("{}; the verdict does without", parts.join("; ")));
    }
}
