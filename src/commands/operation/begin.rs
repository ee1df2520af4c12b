//! Commands that begin an operation, from their arguments to its end: `stop`, `start`, `suspend`, `unsuspend`, `scale`, `rebuild`,
//! `upgrade`, `restart`, `galera recover`, `galera bootstrap`.

use std::cell::Cell;
use std::time::Instant;

use serde_json::Value;

use crate::api::Api;
use crate::api::connect::connect;
use crate::api::secret::with_password;
use crate::api::writes::Denied;
use crate::carry_out::journal::Held;
use crate::carry_out::operation::Event;
use crate::carry_out::prepare::{Preparation, Prepared, operation, take, whole_set};
use crate::cli::Request;
use crate::cli::galera::{Bootstrap, Founding, Recover};
use crate::cli::operation::{OfPod, Rebuild, Restart, Scale, Upgrade, Whole};
use crate::cli::write::DryRun;
use crate::decide::operation::plan::{Loss, Refusal};
use crate::decide::operation::{Goal, Number, Volumes, Wish};
use crate::decide::rules::galera::NO_PRIMARY_SEEN;
use crate::decide::rules::operations::{NOT_SETTLED, NOT_SPARED, SCALE_NOT_NOW};
use crate::failure::{Exit, Failure, Kind};
use crate::model::names::{Ordinal, Target};
use crate::model::target_name::TargetName;
use crate::output::Printer;
use crate::output::operation::{Answer, Progress, Told};
use crate::process::{Process, run_async, until_interrupted};

use super::desk::{Desk, carry_out, confirm, desk, leave_at_the_second, shown, target, untouched};

/// `stop`.
pub fn stop(request: &Request, args: &Whole, process: &mut Process, printer: &mut Printer) -> Exit {
    whole(&Goal::Stop.into(), request, args, process, printer)
}

/// `start`.
pub fn start(request: &Request, args: &Whole, process: &mut Process, printer: &mut Printer) -> Exit {
    whole(&Goal::Start.into(), request, args, process, printer)
}

/// `suspend`.
pub fn suspend(request: &Request, args: &Whole, process: &mut Process, printer: &mut Printer) -> Exit {
    whole(&Goal::Suspend.into(), request, args, process, printer)
}

/// `unsuspend`.
pub fn unsuspend(request: &Request, args: &Whole, process: &mut Process, printer: &mut Printer) -> Exit {
    whole(&Goal::Unsuspend.into(), request, args, process, printer)
}

/// `galera recover`.
pub fn recover(request: &Request, args: &Recover, process: &mut Process, printer: &mut Printer) -> Exit {
    let wish = founding(Goal::Recover, args.founding);
    whole(&wish, request, &args.whole, process, printer)
}

/// `scale`.
pub fn scale(request: &Request, args: &Scale, process: &mut Process, printer: &mut Printer) -> Exit {
    let volumes = match (args.reuse_pvcs, args.prune_pvcs) {
        (true, _) => Volumes::Reuse,
        (_, true) => Volumes::Prune,
        _ => Volumes::Refuse,
    };
    let number = Number { replicas: args.replicas, current: args.current_replicas, volumes };
    let accepted = args.accept_data_loss.clone().map(Loss);
    let wish = Wish { number: Some(number), accepted, ..Goal::Scale.into() };
    whole(&wish, request, &args.whole, process, printer)
}

/// `rebuild`.
pub fn rebuild(request: &Request, args: &Rebuild, process: &mut Process, printer: &mut Printer) -> Exit {
    let wish = Wish { new_volume: args.new_volume, ..Goal::Rebuild.into() };
    of_pod(wish, request, &args.one, process, printer)
}

/// `upgrade`.
pub fn upgrade(request: &Request, args: &Upgrade, process: &mut Process, printer: &mut Printer) -> Exit {
    let (image, partition) = (args.image.clone(), args.partition);
    let wish = Wish { image, partition, skips_lts: args.allow_lts_skip, ..Goal::Upgrade.into() };
    // Whoever only walks the partition leaves to the repository what is its own.
    let whole_args = Whole { gitops_paused: args.whole.gitops_paused || args.follow, ..args.whole.clone() };
    whole(&wish, request, &whole_args, process, printer)
}

/// `restart`.
pub fn restart(request: &Request, args: &Restart, process: &mut Process, printer: &mut Printer) -> Exit {
    let Some(pod) = &args.pod else { return whole(&Goal::Restart.into(), request, &args.whole, process, printer) };
    let Some((set, ordinal)) = member(&pod.0) else { return no_member(&pod.0, printer) };
    if let Some(other) = args.whole.target.as_ref().map(TargetName::name).filter(|name| *name != set) {
        return printer.fail(&Failure::new(Kind::Usage, format!("{} is no pod of {other}", pod.0)));
    }
    let wish = Wish { ordinal: Some(ordinal), ..Goal::Restart.into() };
    let target = Some(TargetName::Any(set.to_owned()));
    whole(&wish, request, &Whole { target, ..args.whole.clone() }, process, printer)
}

/// The set and the ordinal in the name of a pod.
fn member(pod: &str) -> Option<(&str, Ordinal)> {
    pod.rsplit_once('-').and_then(|(set, _)| Some((set, Ordinal::of_pod(set, pod)?)))
}

fn no_member(pod: &str, printer: &mut Printer) -> Exit {
    let text = format!("{pod} is no pod of a StatefulSet: their names end in a number");
    printer.fail(&Failure::new(Kind::Usage, text))
}

/// `galera bootstrap`.
pub fn bootstrap(request: &Request, args: &Bootstrap, process: &mut Process, printer: &mut Printer) -> Exit {
    let wish = founding(Goal::Bootstrap, args.founding);
    of_pod(wish, request, &args.one, process, printer)
}

fn founding(goal: Goal, args: Founding) -> Wish {
    Wish { holds: args.hold_traffic, members: args.replicas, ..goal.into() }
}

/// A command about one pod.
fn of_pod(wish: Wish, request: &Request, args: &OfPod, process: &mut Process, printer: &mut Printer) -> Exit {
    let Some((set, ordinal)) = member(&args.pod.0) else { return no_member(&args.pod.0, printer) };
    let wish = Wish { ordinal: Some(ordinal), accepted: args.accept_data_loss.clone().map(Loss), ..wish };
    let target = Some(TargetName::Any(set.to_owned()));
    whole(&wish, request, &Whole { target, gitops_paused: args.gitops_paused, write: args.write }, process, printer)
}

fn whole(wish: &Wish, request: &Request, args: &Whole, process: &mut Process, printer: &mut Printer) -> Exit {
    let interrupts = Cell::new(0);
    let mut desk = desk(request, args.write, process, printer, &interrupts);
    let signals = desk.process.signals;
    let work = async {
        let api = connect(&(&request.connection).into(), &desk.process.env, desk.process.home.as_deref()).await?;
        let api = with_password(api, request.password_from.as_ref(), false).await?.showing_changes(args.write.show_requests);
        let target = target(&api, args.target.as_ref(), args.write.yes).await?;
        Box::pin(begin(&mut desk, &api, &target, wish, args.gitops_paused)).await
    };
    let answer = run_async(false, leave_at_the_second(signals, &interrupts, work));
    shown(answer, printer)
}

/// How often a plan is proven whose objects change between the look and the proof: an operator that has just found an outage writes
/// its own object several times a second (25.10.4, seen).
const PROOFS: u32 = 3;

/// From a wish to its end: prepared, confirmed, carried out.
pub async fn begin(desk: &mut Desk<'_>, api: &Api, target: &Target, wish: &Wish, gitops_paused: bool) -> Result<Answer, Failure> {
    let (clock, pace) = (desk.process.clock, desk.process.pace);
    let told = Told::of(target, wish, desk.flags.clone());
    let mut preparation = Preparation { api, target, wish, depth: desk.depth, pace, gitops_paused, waited: false };
    let (signals, dry_run) = (desk.process.signals, desk.write.dry_run != DryRun::None);
    let mut proofs = 0;
    let first = async {
        loop {
            let set = whole_set(api, target).await?;
            let held = Held::read(api, target, desk.holder.clone(), clock, pace.patience).await?;
            let ready = match awaited(desk, &mut preparation, &set, &held).await? {
                Prepared::Wait { why, limit, .. } if dry_run => return Ok(Err(told.would_wait(&why, limit))),
                Prepared::Wait { why, limit, .. } => return Ok(Err(told.waited(&why, limit))),
                Prepared::Nothing(why) => return Ok(Err(told.nothing(why))),
                Prepared::Refused(refusal) => return Ok(Err(told.refused(&refusal, false))),
                Prepared::Ready(ready) => ready,
            };
            let answers = match desk.write.dry_run {
                DryRun::Client => Vec::new(),
                DryRun::None | DryRun::Server => preparation.prove(&set, &ready).await,
            };
            proofs += 1;
            if proofs == PROOFS || !answers.iter().flatten().any(|answer| *answer == Err(Denied::Gone)) {
                return Ok(Ok((set, held, ready, answers)));
            }
        }
    };
    let (set, mut held, ready, answers) = match until_interrupted(signals, first).await.map_err(untouched)? {
        Ok(found) => found,
        Err(answer) => return Ok(answer),
    };
    match desk.write.dry_run {
        DryRun::None => {}
        DryRun::Client => return Ok(told.planned(&ready.plan, None)),
        DryRun::Server => return Ok(told.planned(&ready.plan, Some(&answers))),
    }
    if let Some(failure) = told.not_accepted(&answers) {
        return Err(failure);
    }
    if let Some(answer) = confirm(desk, &told, &ready.plan).await? {
        return Ok(answer);
    }
    let operation = operation(wish.goal, &ready, desk.holder.clone(), clock.now());
    if let Err(why) = take(&mut held, &set, &operation, clock).await {
        return told.not_taken(why);
    }
    Box::pin(carry_out(desk, api, &told, &set, &mut held)).await
}

/// What is found once that has come which comes by itself, or the wait for it, if it was too long.
async fn awaited(
    desk: &mut Desk<'_>,
    preparation: &mut Preparation<'_>,
    set: &Value,
    held: &Held<'_>,
) -> Result<Prepared, Failure> {
    let began = Instant::now();
    let mut told = String::new();
    let mut hidden: Option<Instant> = None;
    loop {
        let found = Box::pin(preparation.prepare(set, &held.journal)).await?;
        let (why, limit, then) = match found {
            Prepared::Wait { why, limit, then } => {
                hidden = None;
                (why, limit, then)
            }
            Prepared::Refused(refusal) if may_pass(&refusal) && desk.write.dry_run == DryRun::None => {
                if hidden.get_or_insert_with(Instant::now).elapsed() >= 2 * desk.process.pace.settle {
                    return Ok(Prepared::Refused(refusal));
                }
                (refusal.summary, desk.process.pace.patience, false)
            }
            found => return Ok(found),
        };
        let late = desk.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let long = began.elapsed() >= limit.min(desk.process.pace.reform);
        if then && long && !late {
            preparation.waited = true;
        } else if desk.write.dry_run != DryRun::None || late || began.elapsed() >= limit {
            return Ok(Prepared::Wait { why, limit, then });
        }
        if told != why {
            let progress = Progress::new(&Event::Waits { why: &why });
            desk.printer.brief(|out| progress.tell(out));
            desk.printer.value(&progress);
            told = why;
        }
        tokio::time::sleep(desk.process.pace.look).await;
    }
}

/// A container that has just started cannot be asked for a moment, and a backlog is applied in the next one: under writers a
/// replica that is well may be two seconds behind in one look.
fn may_pass(refusal: &Refusal) -> bool {
    [&NO_PRIMARY_SEEN, &NOT_SPARED, &NOT_SETTLED, &SCALE_NOT_NOW].contains(&refusal.rule)
}
