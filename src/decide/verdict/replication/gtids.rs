//! Replication: transactions that should not be where they are.

use std::collections::BTreeSet;

use crate::decide::finding::Finding;
use crate::decide::rules::replication as rule;
use crate::decide::verdict::{Scene, list};
use crate::model::gtid::Errant;
use crate::model::names::Ordinal;
use crate::model::server::Server;

use super::Roles;

pub(super) fn findings(scene: &Scene, roles: &Roles) -> Vec<Finding> {
    let Some((primary, source)) = roles.primary_server(scene) else { return Vec::new() };
    let mut found = Vec::new();
    for (ordinal, server) in scene.up().filter(|(ordinal, _)| *ordinal != primary) {
        let name = scene.pod_name(ordinal);
        let errant = errant(scene, server, (primary, source));
        if !errant.is_empty() {
            let gtids: Vec<String> = errant.iter().map(ToString::to_string).collect();
            let summary = format!("{name} has transactions that the primary {} lacks: {}", scene.pod_name(primary), list(&gtids));
            found.push(
                Finding::new(&rule::ERRANT, summary)
                    .seen(format!("gtid_binlog_state on {name}"), &server.gtid.binlog_state)
                    .seen(format!("gtid_binlog_state on {}", scene.pod_name(primary)), &source.gtid.binlog_state)
                    .about([name]),
            );
        } else if is_incomparable(server, source) {
            found.push(
                Finding::new(&rule::NOT_COMPARABLE, format!("the position of {name} cannot be compared with the primary's"))
                    .seen(format!("gtid_slave_pos on {name}"), &server.gtid.slave_pos)
                    .seen(format!("gtid_current_pos on {}", scene.pod_name(primary)), &source.gtid.current_pos)
                    .about([name]),
            );
        }
    }
    found
}

/// What `server` has and the primary has not. The servers are not asked at one moment: what the primary wrote, or got from
/// outside, after its own answer may be on a replica already, and is not errant.
fn errant(scene: &Scene, server: &Server, (primary, source): (Ordinal, &Server)) -> Vec<Errant> {
    let ours: BTreeSet<u32> = scene.up().filter(|(ordinal, _)| *ordinal != primary).map(|(_, server)| server.server_id).collect();
    let is_foreign =
        |errant: &Errant| errant.server != source.server_id && (source.channels.is_empty() || ours.contains(&errant.server));
    server.gtid.errant_against(&source.gtid).into_iter().filter(is_foreign).collect()
}

/// Whether the position has a domain that the primary lacks, and no binary log to tell whose transactions these are.
fn is_incomparable(server: &Server, source: &Server) -> bool {
    let known = source.gtid.slave_pos.furthest(&source.gtid.binlog_pos);
    server.gtid.binlog_state.is_empty() && server.gtid.slave_pos.0.keys().any(|domain| !known.0.contains_key(domain))
}
