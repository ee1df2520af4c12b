//! `status` on every state a cluster can get into: each is really reached first, on real servers, and proven by SQL or `kubectl`.

mod access;
mod galera;
mod nodes;
mod outage;
mod replication;
mod single;

use anyhow::{Result, ensure};
use bed::testing::plugin::Seen;
use bed::testing::shape::{Kind, Readiness, Shape, Start, Version};

use crate::groups::{Group, Scenario};
use crate::stage::{Expected, Stage};

type Body = fn(&Stage) -> Result<()>;

/// A scenario after which the cluster goes on.
const KEEPS: bool = false;
/// A scenario after which the cluster is thrown away.
const SPOILS: bool = true;

/// All groups; without `all` each fault is played on one version, with it on both.
pub fn catalogue(all: bool) -> Vec<Group> {
    use Version::{V10_11, V11_8};
    let mut groups = smoke(V11_8, V10_11);
    if all {
        groups.extend(smoke(V10_11, V11_8));
        forget_repeated(&mut groups);
    }
    groups
}

/// Every scenario once, half of them on `one` version and half on the `other`; the healthy ones on both.
fn smoke(one: Version, other: Version) -> Vec<Group> {
    let galera = |version| Shape::new(Kind::Galera, version);
    vec![
        group(
            galera(one),
            &[
                ("healthy_galera", KEEPS, healthy),
                ("member_killed", KEEPS, galera::member_killed),
                ("no_right_to_exec", KEEPS, access::no_right_to_exec),
                ("wrong_root_password", KEEPS, access::wrong_root_password),
                ("nothing_there", KEEPS, access::nothing_there),
                ("secrets_stay_secret", KEEPS, access::secrets_stay_secret),
                ("network_partition_of_pods", KEEPS, galera::network_partition),
                ("split_brain", SPOILS, galera::split_brain),
            ],
        ),
        group(
            Shape { readiness: Readiness::Answers, ..galera(other) },
            &[
                ("healthy_galera", KEEPS, healthy),
                ("member_in_sst", KEEPS, galera::member_in_sst),
                ("zombie", KEEPS, galera::zombie),
                ("limbo", SPOILS, outage::limbo),
                ("crash_loop", SPOILS, outage::crash_loop),
            ],
        ),
        group(Shape { start: Start::Plain, ..galera(one) }, &[("zero_uuid", SPOILS, outage::zero_uuid)]),
        group(
            Shape::new(Kind::Replication, one),
            &[
                ("healthy_replication", KEEPS, healthy),
                ("two_writable_servers", KEEPS, replication::two_writable_servers),
                ("replica_stopped_by_an_error", KEEPS, replication::replica_stopped_by_an_error),
                ("errant_replica", KEEPS, replication::errant_replica),
                ("read_only_primary", KEEPS, replication::read_only_primary),
            ],
        ),
        group(Shape::new(Kind::Replication, other), &[("healthy_replication", KEEPS, healthy)]),
        group(
            Shape { storage_class: "bed-ext4", size: "512Mi", ..Shape::new(Kind::Single, one) },
            &[("healthy_single", KEEPS, healthy), ("volume_full", KEEPS, single::volume_full)],
        ),
        group(Shape::new(Kind::Independent, other), &[("independent_servers", SPOILS, single::independent_servers)]),
        Group {
            alone: true,
            ..group(
                galera(one),
                &[
                    ("dead_node", KEEPS, nodes::dead_node),
                    ("network_partition_of_a_node", KEEPS, nodes::network_partition),
                    ("api_server_down", KEEPS, nodes::api_server_down),
                    ("claim_deleted", SPOILS, galera::claim_deleted),
                ],
            )
        },
    ]
}

fn group(shape: Shape, scenarios: &[(&str, bool, Body)]) -> Group {
    let version = shape.version;
    let scenario = |(name, spoils, body): &(&str, bool, Body)| Scenario {
        name: format!("status::{name}::{version}"),
        spoils: *spoils,
        body: *body,
    };
    Group { shape, alone: false, scenarios: scenarios.iter().map(scenario).collect() }
}

fn forget_repeated(groups: &mut Vec<Group>) {
    let mut seen = std::collections::BTreeSet::new();
    for group in groups.iter_mut() {
        group.scenarios.retain(|scenario| seen.insert(scenario.name.clone()));
    }
    groups.retain(|group| !group.scenarios.is_empty());
}

/// Right verdict, exit 0, nothing to worry about; table, JSON and YAML say the same.
fn healthy(stage: &Stage) -> Result<()> {
    let seen = stage.status(&Expected::default())?;
    let worrying: Vec<_> = seen.findings().filter(|finding| finding["severity"] != "info").collect();
    ensure!(worrying.is_empty(), "a healthy cluster has findings: {worrying:?}\n{}", seen.told());
    forms_agree(stage, &seen)
}

fn forms_agree(stage: &Stage, seen: &Seen) -> Result<()> {
    let namespace = &stage.cluster.namespace;
    let yaml = stage.plugin.run(&["status", "sts/db", "-n", namespace, "-o", "yaml"])?;
    let yaml: serde_json::Value = serde_saphyr::from_str(&yaml.stdout)?;
    ensure!(shape_of(&yaml) == shape_of(&seen.document), "yaml and json differ:\n{yaml}\n{}", seen.document);
    for pod in stage.cluster.shape.pods() {
        ensure!(seen.table.stdout.contains(&pod), "the table has no row for {pod}:\n{}", seen.table.stdout);
    }
    let too_wide = seen.table.stdout.lines().find(|line| line.chars().count() > 80);
    ensure!(too_wide.is_none(), "a line is wider than 80 columns: {too_wide:?}");
    Ok(())
}

/// A document without its values that change from look to look: names, structure, words.
fn shape_of(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), shape_of(value))).collect(),
        Value::Array(items) => items.iter().map(shape_of).collect(),
        Value::String(text) if text.chars().any(|c| c.is_ascii_digit()) => Value::String("changes".into()),
        Value::Number(_) => Value::String("changes".into()),
        other => other.clone(),
    }
}
