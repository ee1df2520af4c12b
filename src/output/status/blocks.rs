//! What stands below the pods' table: the facts of the whole cluster, by its topology.

use super::replication::ReplicationStatus;
use super::table::percent;
use super::{GaleraStatus, Status};
use crate::output::style::Label;
use crate::output::styled::{Column, Span, Styled};

/// Components, histories, state transfers, flow control, reach of the write-set cache.
pub(super) fn galera(galera: &GaleraStatus, out: &mut Styled) {
    out.end_line();
    let split = galera.components.iter().filter(|component| component.primary).count() > 1;
    for component in &galera.components {
        let others = component.others.iter().map(|other| {
            let what = if galera.joiners.contains(&other.name) { "joining" } else { other.kind.name() };
            format!("{} ({what})", other.name)
        });
        let members: Vec<String> = component.members.iter().cloned().chain(others).collect();
        let label = if component.primary && !split { Label::Good } else { Label::Error };
        let name = if component.primary { "primary component" } else { "non-Primary" };
        fact(out, name, label, &members.join(", "));
    }
    if !galera.outside.is_empty() {
        fact(out, "in no component", Label::Error, &galera.outside.join(", "));
    }
    for uuid in galera.state_uuids() {
        let zero = uuid.bytes().all(|byte| byte == b'0' || byte == b'-');
        fact(out, "state UUID", if zero { Label::Error } else { Label::Plain }, uuid);
    }
    for transfer in &galera.transfers {
        fact(out, "state transfer", Label::Warning, &transfer.words());
    }
    if let Some(fraction) = galera.paused_fraction {
        let by = galera.throttled_by.as_ref().map(|pod| format!("; {pod} asked for most pauses")).unwrap_or_default();
        fact(out, "flow control", Label::Plain, &format!("writes paused {} of the time{by}", percent(fraction)));
    }
    if let Some(reach) = &galera.gcache_reach {
        let text = format!("the last {} write sets, from seqno {} on ({})", reach.write_sets, reach.from, reach.pod);
        fact(out, "gcache reach", Label::Plain, &text);
    }
}

/// A row per channel: a replica may have several.
pub(super) fn replication(status: &Status, replication: &ReplicationStatus, out: &mut Styled) {
    let columns = ["REPLICA", "SOURCE", "IO", "SQL", "ERRANT"].map(|head| Column { head, yields: 0 });
    let thread = |runs: bool, word: &str| Span::new(if runs { Label::Plain } else { Label::Error }, word);
    let mut rows = Vec::new();
    for replica in &replication.replicas {
        let server = status.pods.iter().find(|pod| pod.name == replica.pod).and_then(|pod| pod.server.as_ref());
        let errant = match &replica.errant {
            Some(errant) if errant.is_empty() => Span::plain("none"),
            Some(errant) => {
                let texts: Vec<&str> = errant.iter().map(|errant| errant.text.as_str()).collect();
                Span::new(Label::Error, texts.join(","))
            }
            None => Span::new(Label::Warning, "?"),
        };
        rows.extend(server.into_iter().flat_map(|server| &server.channels).map(|channel| {
            vec![
                Span::plain(&replica.pod),
                Span::plain(channel.source()),
                thread(channel.io_thread == "Yes", &channel.io_thread),
                thread(channel.sql_thread_running, if channel.sql_thread_running { "Yes" } else { "No" }),
                errant.clone(),
            ]
        }));
    }
    if !rows.is_empty() {
        out.end_line();
        out.table(&columns, &rows);
    }
}

fn fact(out: &mut Styled, name: &str, label: Label, text: &str) {
    out.hanging(vec![Span::new(label, format!("{name:<19}"))], Label::Plain, text);
}
