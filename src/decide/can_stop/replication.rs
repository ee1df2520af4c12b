//! Replication: never the primary, never one that others copy from, never the last replica that follows.

use crate::model::names::Ordinal;
use crate::model::replica::IoThread;
use crate::model::server::Server;
use crate::model::topology::{Primary, Source, source_of};

use super::{Case, Decision, Reason, Standing, standing};

pub(super) fn decide(case: &Case, primary: &Primary, decision: &mut Decision) {
    let primary = match primary {
        Primary::Pod(primary) => *primary,
        Primary::Outside { host, port } => {
            decision.whole.push(Reason::note(format!("the primary is {host}:{port}, outside of this set")));
            Ordinal(u32::MAX)
        }
        Primary::Several(_) | Primary::Unclear => {
            decision.whole.push(Reason::unknown("it cannot be told which server is the primary"));
            return;
        }
    };
    let unseen = case.seen.members.keys().filter_map(|ordinal| match standing(case.seen, *ordinal) {
        Standing::Unseen(why) => Some(Reason::unknown(format!("{} could not be asked: {why}", case.name(*ordinal)))),
        _ => None,
    });
    decision.whole.extend(unseen);
    let others: Vec<Ordinal> = case.others().into_iter().filter(|ordinal| *ordinal != primary).collect();
    let following = others.iter().filter(|ordinal| server(case, **ordinal).is_some_and(follows)).count();
    for ordinal in &case.running {
        let reasons = decision.pods.entry(*ordinal).or_default();
        if *ordinal == primary {
            reasons.push(Reason::against(
                "it is the primary: make another server the primary first, and move its clients (switchover)",
            ));
            continue;
        }
        reasons.extend(depending(case, *ordinal));
        let own = server(case, *ordinal);
        if own.is_some_and(|server| !server.read_only) && primary != Ordinal(u32::MAX) {
            reasons.push(Reason::against("it takes writes, although it is not the primary"));
        }
        match (own.is_some_and(follows), following, others.is_empty()) {
            (true, 0, false) => {
                reasons.push(Reason::against("no other replica follows the primary: this is the last good copy beside it"));
            }
            (true, 0, true) => reasons.push(Reason::note("until it is back, the primary is the only copy")),
            (true, ..) => {}
            (false, ..) => reasons.push(Reason::note("it does not follow the primary now: see why before it is restarted")),
        }
    }
}

/// Servers that copy from this one.
fn depending(case: &Case, ordinal: Ordinal) -> Option<Reason> {
    let from_it = |server: &Server| server.channels.iter().any(|channel| source_of(case.seen, channel) == Source::Pod(ordinal));
    let names = case.others().into_iter().filter(|other| server(case, *other).is_some_and(from_it)).map(|other| case.name(other));
    let names: Vec<String> = names.collect();
    (!names.is_empty()).then(|| Reason::against(format!("{} copies from it", names.join(" and "))))
}

fn follows(server: &Server) -> bool {
    !server.channels.is_empty() && server.channels.iter().all(|channel| channel.io == IoThread::Yes && channel.sql_running)
}

fn server<'a>(case: &Case<'a>, ordinal: Ordinal) -> Option<&'a Server> {
    case.member(ordinal)?.server.known().ok()
}
