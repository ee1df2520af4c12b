//! Galera: queues, flow control, versions, cache reach.

use std::collections::BTreeSet;

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::galera as rule;
use crate::model::names::Ordinal;
use crate::model::server::{Galera, Server};
use crate::model::wsrep::LocalState;

use super::{Scene, is_primary, is_synced, list, say, up};

/// `gcs.fc_limit` of the provider where a server does not tell its own.
const FC_LIMIT: u64 = 16;
/// Write sets waiting to be sent from which it is more than a moment.
const SEND_LIMIT: u64 = 16;
/// Part of the uptime, in percent, from which pauses are worth a word.
const PAUSED_PERCENT: u128 = 5;
/// Write sets below which a cache that has dropped older ones is called short.
const SHORT_REACH: u64 = 1000;

pub(super) fn findings(scene: &Scene) -> Vec<Finding> {
    let found = [queue(scene), flow_control(scene), paused(scene), sending(scene), reach(scene)];
    found.into_iter().flatten().chain(mixed_versions(scene, &rule::MIXED_VERSIONS)).collect()
}

/// A finding about the members that fit, if any does.
fn tell(scene: &Scene, rule: &'static Rule, says: &str, what: &str, of: impl Fn(&Galera) -> Option<String>) -> Option<Finding> {
    let names: Vec<String> =
        up(scene).filter(|(_, galera)| of(galera).is_some()).map(|(ordinal, _)| scene.pod_name(ordinal)).collect();
    let finding = Finding::new(rule, format!("{says} {}", list(&names)));
    let finding = say(scene, finding, what, |_, galera| of(galera)).plugin("status");
    (!names.is_empty()).then(|| finding.about(names))
}

fn queue(scene: &Scene) -> Option<Finding> {
    tell(scene, &rule::RECV_QUEUE, "applying is behind on", "wsrep_local_recv_queue (gcs.fc_limit)", |galera| {
        let limit = galera.options.get("gcs.fc_limit").and_then(|limit| limit.parse().ok()).unwrap_or(FC_LIMIT);
        let queue = galera.status.recv_queue;
        (is_synced(&galera.status) && queue > limit).then(|| format!("{queue} ({limit})"))
    })
}

fn flow_control(scene: &Scene) -> Option<Finding> {
    let is_active = up(scene).any(|(_, galera)| galera.status.flow_control.active);
    let finding = Finding::new(&rule::FLOW_CONTROL, "writes on the whole cluster are paused by flow control");
    let finding = say(scene, finding, "wsrep_flow_control_sent, receive queue", |_, galera| {
        is_primary(&galera.status).then(|| format!("{}, {}", galera.status.flow_control.sent, galera.status.recv_queue))
    });
    is_active.then(|| finding.plugin("status"))
}

fn paused(scene: &Scene) -> Option<Finding> {
    let share = |server: &Server| -> Option<u128> {
        let paused = u128::from(server.galera.as_ref()?.status.flow_control.paused_ns);
        (paused * 100).checked_div(server.uptime.as_nanos()).filter(|share| *share > PAUSED_PERCENT)
    };
    let often: Vec<(Ordinal, u128)> = scene.up().filter_map(|(ordinal, server)| Some((ordinal, share(server)?))).collect();
    let most = often.iter().map(|(_, share)| *share).max()?;
    let mut finding = Finding::new(&rule::PAUSED_OFTEN, format!("writes were paused for {most} % of the time since the start"));
    for (ordinal, share) in often {
        finding = finding
            .seen(format!("wsrep_flow_control_paused_ns on {}", scene.pod_name(ordinal)), format!("{share} % of the uptime"));
    }
    Some(finding)
}

fn sending(scene: &Scene) -> Option<Finding> {
    tell(scene, &rule::SEND_QUEUE, "sending is slower than committing on", "wsrep_local_send_queue", |galera| {
        let queue = galera.status.send_queue;
        (queue > SEND_LIMIT).then(|| queue.to_string())
    })
}

/// How far back the best donor can send write sets.
fn reach(scene: &Scene) -> Option<Finding> {
    let can_give = |galera: &Galera| {
        is_primary(&galera.status) && matches!(galera.status.local_state, LocalState::Synced | LocalState::DonorDesynced)
    };
    let donors: Vec<&Galera> = up(scene).map(|(_, galera)| galera).filter(|galera| can_give(galera)).collect();
    let last = donors.iter().filter_map(|galera| galera.status.last_committed).max();
    let what = "wsrep_local_cached_downto, wsrep_last_committed";
    let evidence = |finding| {
        say(scene, finding, what, |_, galera| {
            let text = |value: Option<u64>| value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
            can_give(galera).then(|| format!("{}, {}", text(galera.status.cached_downto), text(galera.status.last_committed)))
        })
    };
    match donors.iter().filter_map(|galera| galera.status.cached_downto).min() {
        None if donors.is_empty() => None,
        None => Some(evidence(Finding::new(&rule::GCACHE_UNKNOWN, "no member says how far back it can send write sets"))),
        Some(first) => {
            let reach = (last? + 1).saturating_sub(first);
            let summary = format!("the best donor keeps only {reach} write sets: a longer absence needs a full copy");
            (first > 1 && reach < SHORT_REACH).then(|| evidence(Finding::new(&rule::GCACHE_SHORT, summary)))
        }
    }
}

/// Different versions in one set, told by the rule of the topology.
pub(in crate::decide::verdict) fn mixed_versions(scene: &Scene, rule: &'static Rule) -> Option<Finding> {
    let versions: BTreeSet<(u32, u32, u32)> =
        scene.up().map(|(_, server)| (server.version.major, server.version.minor, server.version.patch)).collect();
    if versions.len() < 2 {
        return None;
    }
    let named: Vec<String> = versions.iter().map(|(major, minor, patch)| format!("{major}.{minor}.{patch}")).collect();
    let mut finding = Finding::new(rule, format!("the servers run {}", list(&named)));
    for (ordinal, server) in scene.up() {
        finding = finding.seen(format!("version of {}", scene.pod_name(ordinal)), &server.version.text);
    }
    Some(finding.kubectl(&format!("rollout status statefulset/{}", scene.seen.target.name)))
}
