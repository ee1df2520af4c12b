//! Galera: state transfers, how far they are, and the probe that does not wait for their end.

use crate::decide::finding::Finding;
use crate::decide::rules::galera as rule;
use crate::decide::verdict::Scene;
use crate::decide::verdict::kubernetes::{self, events, span};
use crate::model::kubernetes::Probe;
use crate::model::names::Ordinal;
use crate::model::transfer::{Bytes, Transfer};

/// A probe that ends the joiner's container if it goes on failing.
struct Deadline<'a> {
    /// `startup` or `liveness`.
    which: &'static str,
    probe: &'a Probe,
    /// Seconds since the container started, and until its end.
    age: u64,
    left: u64,
}

pub(super) fn findings(scene: &Scene) -> Vec<Finding> {
    Transfer::all(scene.seen, &scene.groups).iter().filter_map(|transfer| doomed(scene, transfer)).collect()
}

/// How far the transfer into this member is, as far as it is seen.
pub(super) fn progress(scene: &Scene, joiner: Ordinal) -> Option<String> {
    let transfers = Transfer::all(scene.seen, &scene.groups);
    transfers.iter().find(|transfer| transfer.joiner == Some(joiner) && transfer.received.known().is_ok()).map(words)
}

/// `45 MiB of about 1.9 GiB in 20 s, 2.2 MiB/s, at least 14 min left`.
fn words(transfer: &Transfer) -> String {
    let of = transfer.total.known().map(|total| format!(" of about {}", Bytes(*total))).unwrap_or_default();
    let received = transfer.received.known().map_or_else(|_| "?".to_owned(), |received| Bytes(*received).to_string());
    let running = transfer.running.map(|running| format!(" in {}", span(seconds(running)))).unwrap_or_default();
    let pace = transfer.pace().map(|pace| format!(", {}/s", Bytes(pace))).unwrap_or_default();
    let left = transfer.left().map(|left| format!(", at least {} left", span(seconds(left)))).unwrap_or_default();
    format!("{received}{of}{running}{pace}{left}")
}

/// The transfer needs more time than the joiner's probe gives it, even if nothing slows it down.
fn doomed(scene: &Scene, transfer: &Transfer) -> Option<Finding> {
    let joiner = transfer.joiner?;
    let deadline = deadline(scene, joiner)?;
    let (pace, missing) = (transfer.pace()?, transfer.missing()?);
    if missing == 0 {
        return None;
    }
    let left = transfer.left();
    if left.is_some_and(|left| left <= deadline.left) {
        return None;
    }
    let (name, which, probe) = (scene.pod_name(joiner), deadline.which, deadline.probe);
    let needs = match left {
        Some(left) => format!("it needs at least {}", span(seconds(left))),
        None if pace == 0 => "nothing arrives".to_owned(),
        None => return None,
    };
    let summary = format!(
        "the {which} probe of {name} will end its state transfer before it is done: {needs}, and has {}",
        span(seconds(deadline.left))
    );
    let mut finding =
        Finding::new(&rule::PROBE_WILL_KILL, summary).seen(format!("state transfer into {name}"), words(transfer)).seen(
            format!("{which} probe of {name}"),
            format!(
                "fails since its start, {} ago; period {} s, failureThreshold {}: ends it after {}",
                span(seconds(deadline.age)),
                probe.period,
                probe.failures,
                span(i64::from(probe.patience()))
            ),
        );
    if let Some(left) = left {
        // As much again: what was copied has to be applied, and copies get slower.
        let enough = (deadline.age + left).saturating_mul(2).div_ceil(u64::from(probe.period.max(1)));
        finding = finding.seen("failureThreshold that would do", enough);
    }
    Some(finding.about([name]))
}

/// The probe that is known to fail now, and has failed since the container started.
fn deadline<'a>(scene: &Scene<'a>, joiner: Ordinal) -> Option<Deadline<'a>> {
    let layout = &scene.seen.objects.stateful_set.layout;
    let container = scene.database(joiner)?;
    let age = u64::try_from(kubernetes::age(scene, joiner)?).ok()?;
    let (which, probe) = match (&layout.startup_probe, &layout.liveness_probe) {
        (Some(probe), _) if container.started == Some(false) => ("startup", probe),
        (None, Some(probe)) if events::liveness_fails(scene, joiner) => ("liveness", probe),
        // It has succeeded, or nothing says that it fails.
        _ => return None,
    };
    let left = u64::from(probe.patience()).checked_sub(age)?;
    Some(Deadline { which, probe, age, left })
}

fn seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
