//! Reads the data directories of volumes that no pod mounts, by helper pods (safety C).

use std::collections::BTreeMap;

use crate::api::Api;
use crate::api::writes::Denied;
use crate::carry_out::helper::Helpers;
use crate::carry_out::{Consent, Mode};
use crate::decide::helper::{Helper, Template, inspections, unread};
use crate::failure::Failure;
use crate::model::disk::Disk;
use crate::model::fact::{Fact, Why};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::observe::{self, Depth};

use serde_json::Value;

/// What was read, or why not.
pub enum Read {
    /// By ordinal; what cannot be read is unknown.
    Files(BTreeMap<Ordinal, Fact<Disk>>),
    /// Only planned, and accepted by the API server where it was asked.
    Planned(Vec<Helper>),
    /// The API server would not take one.
    Denied(Vec<(Helper, Denied)>),
    Declined,
    NobodyToAsk,
}

/// Reads the volume of every member of `seen` that has no pod. All helper pods are proven before the first is created, and
/// `agree` is asked once for all.
///
/// # Errors
/// None of its own: whoever waits for it may be interrupted.
pub async fn read(
    api: &Api,
    seen: &Snapshot,
    set: &Value,
    depth: Depth,
    helpers: &Helpers<'_>,
    mode: Mode,
    agree: &mut impl AsyncFnMut(&[Helper]) -> Consent,
) -> Result<Read, Failure> {
    let homes = Box::pin(observe::homes(api, seen, unread(seen), depth.pod_timeout)).await;
    let template = Template { set: &seen.objects.stateful_set, template: &set["spec"]["template"] };
    let plan = inspections(seen, template, &homes);
    let mut files: BTreeMap<Ordinal, Fact<Disk>> =
        plan.impossible.iter().map(|(ordinal, why)| (*ordinal, Fact::Unknown(Why::NotRunning(why.clone())))).collect();
    if plan.helpers.is_empty() {
        return Ok(Read::Files(files));
    }
    let mut denied = if mode == Mode::Plan { BTreeMap::new() } else { Box::pin(helpers.prove(&plan.helpers)).await };
    if !denied.is_empty() {
        let of = |helper: Helper| denied.remove(&helper.ordinal).map(|denied| (helper, denied));
        return Ok(Read::Denied(plan.helpers.into_iter().filter_map(of).collect()));
    }
    if mode != Mode::Do {
        return Ok(Read::Planned(plan.helpers));
    }
    match agree(&plan.helpers).await {
        Consent::Given => {}
        Consent::Declined => return Ok(Read::Declined),
        Consent::NobodyToAsk => return Ok(Read::NobodyToAsk),
    }
    files.extend(Box::pin(helpers.inspect(&plan.helpers)).await);
    Ok(Read::Files(files))
}
