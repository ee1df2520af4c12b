//! `operation …`: what was begun, and whoever goes on with it or takes it back. The commands that begin one are in [`begin`].

mod begin;
mod desk;

use std::cell::Cell;

use crate::api::Api;
use crate::api::connect::connect;
use crate::api::objects::get_stateful_set;
use crate::api::secret::with_password;
use crate::carry_out::journal::{Held, Unwritten, all};
use crate::carry_out::prepare::{Left, held_by, left, stands_still, whole_set};
use crate::cli::Request;
use crate::cli::operation::{Going, OperationVerb, Which};
use crate::cli::write::DryRun;
use crate::decide::operation::Goal;
use crate::decide::operation::journal::{Holder, Operation};
use crate::decide::operation::upgrade::rests;
use crate::failure::{Exit, Failure};
use crate::model::names::Target;
use crate::output::Printer;
use crate::output::command_line::OwnFlags;
use crate::output::operation::{Answer, Journal, JournalList, Told};
use crate::process::{Process, run_async, until_interrupted};

use desk::{Desk, carry_out, confirm, desk, leave_at_the_second, shown, untouched};

pub use begin::{bootstrap, rebuild, recover, restart, scale, start, stop, suspend, unsuspend, upgrade};
pub(super) use desk::target;

/// `operation …`.
pub fn operations(request: &Request, verb: &OperationVerb, process: &mut Process, printer: &mut Printer) -> Exit {
    match verb {
        OperationVerb::List => list(request, process, printer),
        OperationVerb::Show(args) => show(request, args, process, printer),
        OperationVerb::Stop(args) => ask_to_stop(request, args, process, printer),
        OperationVerb::Resume(args) => go_on(request, args, false, process, printer),
        OperationVerb::Abort(args) => go_on(request, args, true, process, printer),
    }
}

fn go_on(request: &Request, args: &Going, abort: bool, process: &mut Process, printer: &mut Printer) -> Exit {
    let interrupts = Cell::new(0);
    let mut desk = desk(request, args.write, process, printer, &interrupts);
    let signals = desk.process.signals;
    let work = async {
        let api = connect(&(&request.connection).into(), &desk.process.env, desk.process.home.as_deref()).await?;
        let api = with_password(api, request.password_from.as_ref(), false).await?.showing_changes(args.write.show_requests);
        let target = target(&api, args.target.as_ref(), args.write.yes).await?;
        Box::pin(resume(&mut desk, &api, &target, abort)).await
    };
    let answer = run_async(false, leave_at_the_second(signals, &interrupts, work));
    shown(answer, printer)
}

async fn resume(desk: &mut Desk<'_>, api: &Api, target: &Target, abort: bool) -> Result<Answer, Failure> {
    let (clock, pace) = (desk.process.clock, desk.process.pace);
    let set = whole_set(api, target).await?;
    let mut held = Held::read(api, target, desk.holder.clone(), clock, pace.patience).await?;
    let Some(current) = held.journal.current.clone() else {
        let same = held.journal.set_uid == set["metadata"]["uid"].as_str().unwrap_or_default();
        if !abort && same && rests(&get_stateful_set(api, &target.namespace, &target.name).await?, &held.journal) {
            // It ended well, at the partition it was told to; the rest of the rollout is a new operation.
            return Box::pin(begin::begin(desk, api, target, &Goal::Upgrade.into(), false)).await;
        }
        return Ok(Told::nothing_to_resume(target));
    };
    let told = Told::of_operation(target, &current, desk.flags.clone());
    if held.journal.set_uid != set["metadata"]["uid"].as_str().unwrap_or_default() {
        return Ok(told.of_another_set());
    }
    if current.holder.is_some() {
        desk.printer.brief(|out| told.watches(current.holder.as_ref(), pace.silence, out));
        let still = until_interrupted(desk.process.signals, stands_still(&mut held, pace)).await.map_err(untouched)?;
        if !still {
            let holder = held.journal.current.as_ref().and_then(|operation| operation.holder.as_ref());
            return Ok(told.refused(&held_by(target, holder), true));
        }
    }
    let found = until_interrupted(desk.process.signals, Box::pin(left(api, target, desk.depth, &held.journal, abort)))
        .await
        .map_err(untouched)?;
    let Left { mut operation, plan, confirmed, .. } = match found {
        Ok(left) => left,
        Err(refusal) => return Ok(told.refused(&refusal, true)),
    };
    if desk.write.dry_run != DryRun::None {
        return Ok(told.planned(&plan, None));
    }
    if !confirmed {
        desk.printer.brief(|out| told.other_plan(out));
    }
    if let Some(answer) = confirm(desk, &told, &plan).await? {
        return Ok(answer);
    }
    operation.holder = Some(desk.holder.clone());
    operation.plan = plan;
    if let Err(why) = held.write(|journal| journal.current = Some(Operation { beat: beat(journal), ..operation.clone() })).await {
        return told.not_taken(why);
    }
    Box::pin(carry_out(desk, api, &told, &set, &mut held)).await
}

/// The heartbeat goes on from where it was.
fn beat(journal: &crate::decide::operation::journal::Journal) -> u64 {
    journal.current.as_ref().map_or(0, |operation| operation.beat)
}

fn list(request: &Request, process: &Process, printer: &mut Printer) -> Exit {
    let flags = OwnFlags::new(&request.connection, request.password_from.as_ref(), false);
    let work = async {
        let api = connect(&(&request.connection).into(), &process.env, process.home.as_deref()).await?;
        all(&api, api.namespace()).await
    };
    match run_async(process.signals, work) {
        Ok(found) => printer
            .show(&JournalList { items: found.iter().map(|(target, journal)| Journal::new(target, journal, &flags)).collect() }),
        Err(failure) => printer.fail(&failure),
    }
}

fn show(request: &Request, args: &Which, process: &Process, printer: &mut Printer) -> Exit {
    let flags = OwnFlags::new(&request.connection, request.password_from.as_ref(), false);
    let work = async {
        let api = connect(&(&request.connection).into(), &process.env, process.home.as_deref()).await?;
        let target = target(&api, args.target.as_ref(), false).await?;
        let held = Held::read(&api, &target, reader(process), process.clock, process.pace.patience).await?;
        Ok(Journal::new(&target, &held.journal, &flags))
    };
    match run_async(process.signals, work) {
        Ok(journal) => printer.show(&journal),
        Err(failure) => printer.fail(&failure),
    }
}

fn ask_to_stop(request: &Request, args: &Which, process: &Process, printer: &mut Printer) -> Exit {
    let flags = OwnFlags::new(&request.connection, request.password_from.as_ref(), false);
    let work = async {
        let api = connect(&(&request.connection).into(), &process.env, process.home.as_deref()).await?;
        let target = target(&api, args.target.as_ref(), false).await?;
        let mut held = Held::read(&api, &target, reader(process), process.clock, process.pace.patience).await?;
        let Some(current) = held.journal.current.clone() else { return Ok(Told::nothing_to_resume(&target)) };
        let told = Told::of_operation(&target, &current, flags.clone());
        let Some(holder) = &current.holder else { return Ok(told.stands_already()) };
        match held.ask_to_stop().await {
            Ok(()) => Ok(told.asked_to_stop(holder)),
            Err(Unwritten::TakenOver(_)) => Ok(told.stands_already()),
            Err(Unwritten::Failed(failure)) => Err(failure),
        }
    };
    shown(run_async(process.signals, work), printer)
}

/// Whoever only reads, or leaves a wish.
fn reader(process: &Process) -> Holder {
    Holder { who: process.who.clone(), session: String::new() }
}
