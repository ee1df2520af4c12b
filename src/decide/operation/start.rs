//! The start after a planned stop: exactly the member that stopped last founds the cluster.

use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::snapshot::Snapshot;

use super::Beginning;
use super::founding::{afterwards, begin_again, founding, onward, second_cluster};
use super::gates::changed_outside;
use super::journal::Stopped;
use super::memo::{Closed, Founder, Memo};
use super::plan::{Action, Decision, Plan, Range, Refusal, Step};

pub(super) fn begin(seen: &Snapshot, stopped: Option<&Stopped>) -> Result<Beginning, Why> {
    let name = &seen.target.name;
    let now = Range::of(&seen.objects.stateful_set);
    let Some(stopped) = stopped else {
        return Ok(if now.replicas > 0 {
            Beginning::Nothing(format!("{name} was not stopped by `kubectl mariadb stop`: replicas is {}", now.replicas))
        } else {
            Beginning::Refuse(
                Refusal::new(
                    &rules::NO_RECORD,
                    format!("how {name} was stopped was not written down, so who must start first is not known"),
                )
                .plugin(&format!("galera grastate {name}")),
            )
        });
    };
    if now != stopped.range && (now.replicas > 0 || !seen.members.is_empty()) {
        let summary = format!("{name} was stopped with `kubectl mariadb stop`, and somebody has begun to start it since");
        return Ok(Beginning::Refuse(
            Refusal::new(&rules::CHANGED_OUTSIDE, summary)
                .because([format!("the set says now: replicas {}, ordinals.start {}", now.replicas, now.start)])
                .plugin(&format!("status {name}")),
        ));
    }
    let image = &seen.objects.stateful_set.layout.image;
    if *image != stopped.image {
        return Ok(Beginning::Refuse(image_changed(seen, stopped)));
    }
    Ok(Beginning::Begin(Box::new(Memo {
        range: stopped.range,
        deleted_claims: stopped.deleted_claims,
        founder: Some(Founder { ordinal: stopped.last, state_uuid: stopped.state_uuid }),
        stopped_at: stopped.positions.get(&stopped.last).cloned(),
        recorded: false,
        steering: stopped.steering.clone(),
        images: stopped.images.clone(),
        ..Memo::new(seen)
    })))
}

/// The data directories may have to be converted, or may be too new (safety D4, B8).
fn image_changed(seen: &Snapshot, stopped: &Stopped) -> Refusal {
    let (set, container) = (&seen.target.name, &seen.objects.stateful_set.layout.container);
    Refusal::new(&rules::IMAGE_CHANGED, format!("the image of {set} was changed while it was stopped"))
        .because([
            format!("image at the stop: {}", stopped.image),
            format!("image in the pod template now: {}", seen.objects.stateful_set.layout.image),
        ])
        .kubectl(&format!("set image sts {set} {container}={}", stopped.image))
}

pub(super) fn decide(seen: &Snapshot, memo: &Memo) -> Result<Decision, Why> {
    let (now, founder) = (Range::of(&seen.objects.stateful_set), memo.founder()?);
    if let Some(stray) = &memo.stray {
        return Ok(Decision::Refuse(second_cluster(seen, stray)));
    }
    if let Some(decision) = changed_outside(seen, memo) {
        return Ok(decision);
    }
    // The record stays until the cluster is whole.
    Ok(onward(seen, memo, founder, now).unwrap_or_else(|| at_rest(seen, memo, founder, now)))
}

/// Nothing runs yet.
fn at_rest(seen: &Snapshot, memo: &Memo, founder: Founder, now: Range) -> Decision {
    let mut steps = Vec::new();
    match memo.closed.get(&founder.ordinal) {
        None => {
            let first = seen.pod_name(founder.ordinal);
            let say = format!("read the state files of {first} with a short-lived pod: they must be as the stop left them");
            steps.push(Step::new(
                format!("read the state files of {first}"),
                say,
                Action::Inspect { ordinals: vec![founder.ordinal] },
            ));
        }
        Some(found) if memo.stopped_at.as_ref().is_some_and(|stopped| may_found(found, stopped)) => {}
        // Its own server has changed them.
        Some(_) if memo.founded => {
            return Decision::Go(Plan { steps: begin_again(memo, None), ..Plan::default() });
        }
        Some(found) => return Decision::Refuse(files_changed(seen, memo, founder, found)),
    }
    steps.extend(founding(seen, memo, founder, now));
    steps.extend(afterwards(seen, memo));
    Decision::Go(Plan { steps, ..Plan::default() })
}

fn files_changed(seen: &Snapshot, memo: &Memo, founder: Founder, found: &Closed) -> Refusal {
    let stopped = memo.stopped_at.as_ref().map_or_else(|| "nothing".to_owned(), Closed::told);
    let pod = seen.pod_name(founder.ordinal);
    let summary = format!("the files of {pod} are not as `stop` left them: somebody has started it meanwhile");
    Refusal::new(&rules::FILES_CHANGED, summary)
        .because([format!("written down at the stop: {stopped}"), format!("grastate.dat now: {}", found.told())])
        .plugin(&format!("galera grastate {}", seen.target.name))
}

/// As the stop left it; or further, if it was the only member since and stopped cleanly again.
fn may_found(found: &Closed, stopped: &Closed) -> bool {
    found.safe_to_bootstrap && !found.unclean && found.state_uuid == stopped.state_uuid && found.seqno >= stopped.seqno
}
