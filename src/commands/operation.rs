//! `stop`, `start`, `rebuild`, `galera recover`, `galera bootstrap`, `operation …`.

use std::cell::Cell;
use std::time::Instant;

use serde_json::Value;

use crate::api::Api;
use crate::api::connect::connect;
use crate::api::objects::{Scope, list_stateful_sets};
use crate::api::secret::with_password;
use crate::carry_out::journal::{Held, Unwritten, all};
use crate::carry_out::operation::{End, Event, Run};
use crate::carry_out::prepare::{Left, Preparation, Prepared, held_by, left, operation, stands_still, take, whole_set};
use crate::cli::Request;
use crate::cli::operation::{Going, OfPod, OperationVerb, Rebuild, Which, Whole};
use crate::cli::write::{DryRun, Write};
use crate::decide::operation::journal::{Holder, Operation};
use crate::decide::operation::plan::{Loss, Plan, Refusal};
use crate::decide::operation::{Goal, Wish};
use crate::decide::rules::galera::NO_PRIMARY_SEEN;
use crate::decide::rules::operations::NOT_SPARED;
use crate::failure::{Exit, Failure, Kind};
use crate::model::names::{Ordinal, Target};
use crate::model::target_name::TargetName;
use crate::observe::Depth;
use crate::output::Printer;
use crate::output::command_line::OwnFlags;
use crate::output::operation::{Answer, Journal, JournalList, Progress, Told};
use crate::output::prompt::{self, Asker};
use crate::process::{Interrupts, Process, run_async, until_interrupted};

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
pub fn recover(request: &Request, args: &Whole, process: &mut Process, printer: &mut Printer) -> Exit {
    whole(&Goal::Recover.into(), request, args, process, printer)
}

/// `rebuild`.
pub fn rebuild(request: &Request, args: &Rebuild, process: &mut Process, printer: &mut Printer) -> Exit {
    let wish = Wish { new_volume: args.new_volume, ..Goal::Rebuild.into() };
    of_pod(wish, request, &args.one, process, printer)
}

/// `galera bootstrap`.
pub fn bootstrap(request: &Request, args: &OfPod, process: &mut Process, printer: &mut Printer) -> Exit {
    of_pod(Goal::Bootstrap.into(), request, args, process, printer)
}

/// A command about one pod.
fn of_pod(wish: Wish, request: &Request, args: &OfPod, process: &mut Process, printer: &mut Printer) -> Exit {
    let pod = args.pod.0.as_str();
    let of_set = pod.rsplit_once('-').and_then(|(set, _)| Some((set, Ordinal::of_pod(set, pod)?)));
    let Some((set, ordinal)) = of_set else {
        let text = format!("{pod} is no pod of a StatefulSet: their names end in a number");
        return printer.fail(&Failure::new(Kind::Usage, text));
    };
    let wish = Wish { ordinal: Some(ordinal), accepted: args.accept_data_loss.clone().map(Loss), ..wish };
    let target = Some(TargetName::Any(set.to_owned()));
    whole(&wish, request, &Whole { target, gitops_paused: args.gitops_paused, write: args.write }, process, printer)
}

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

/// What every writing command has at hand.
struct Desk<'a> {
    process: &'a Process,
    printer: &'a mut Printer,
    asker: Asker,
    flags: OwnFlags,
    write: Write,
    depth: Depth,
    holder: Holder,
    deadline: Option<Instant>,
    interrupts: &'a Cell<u32>,
}

fn desk<'a>(
    request: &Request,
    write: Write,
    process: &'a mut Process,
    printer: &'a mut Printer,
    interrupts: &'a Cell<u32>,
) -> Desk<'a> {
    let stdin = std::mem::replace(&mut process.stdin, Box::new(std::io::empty()));
    let asker = Asker::new(stdin, process.terminal.stdin_is && process.terminal.stderr_is);
    Desk {
        asker,
        flags: OwnFlags::new(&request.connection, request.password_from.as_ref(), false),
        write,
        depth: Depth { exec: true, pod_timeout: request.pod_timeout, clock: process.clock },
        holder: Holder { who: process.who.clone(), session: process.session() },
        deadline: (!write.timeout.is_zero()).then(|| Instant::now() + write.timeout),
        interrupts,
        process,
        printer,
    }
}

fn whole(wish: &Wish, request: &Request, args: &Whole, process: &mut Process, printer: &mut Printer) -> Exit {
    let interrupts = Cell::new(0);
    let mut desk = desk(request, args.write, process, printer, &interrupts);
    let signals = desk.process.signals;
    let work = async {
        let api = connect(&(&request.connection).into(), &desk.process.env, desk.process.home.as_deref()).await?;
        let api = with_password(api, request.password_from.as_ref(), false).await?.showing_changes(args.write.show_requests);
        let target = target(&api, args.target.as_ref(), args.write.yes).await?;
        begin(&mut desk, &api, &target, wish, args.gitops_paused).await
    };
    let answer = run_async(false, leave_at_the_second(signals, &interrupts, work));
    shown(answer, printer)
}

/// A second Ctrl-C ends the program wherever it is; the first is for the loop.
async fn leave_at_the_second<T>(
    signals: bool,
    interrupts: &Cell<u32>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut heard = Interrupts::new(signals);
    let second = async {
        while interrupts.get() < 2 {
            heard.next().await;
            interrupts.set(interrupts.get() + 1);
        }
    };
    tokio::select! {
        biased;
        result = work => result,
        () = second => Err(Failure::new(Kind::Interrupted, "left at once; the step that was under way may be half done")
            .hint("`kubectl mariadb operation show` says how far it is; `operation resume` goes on after 60 s")),
    }
}

fn shown(answer: Result<Answer, Failure>, printer: &mut Printer) -> Exit {
    match answer {
        Ok(Answer::Refused(refused)) => printer.show(&refused),
        Ok(Answer::Planned(planned)) => printer.show(&planned),
        Ok(Answer::Ended(ended)) => printer.show(&ended),
        Err(failure) => printer.fail(&failure),
    }
}

async fn begin(desk: &mut Desk<'_>, api: &Api, target: &Target, wish: &Wish, gitops_paused: bool) -> Result<Answer, Failure> {
    let (clock, pace) = (desk.process.clock, desk.process.pace);
    let told = Told { target, goal: wish.goal, ordinal: wish.ordinal, flags: desk.flags.clone() };
    let mut preparation = Preparation { api, target, wish, depth: desk.depth, pace, gitops_paused, waited: false };
    let (signals, dry_run) = (desk.process.signals, desk.write.dry_run != DryRun::None);
    let first = async {
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
        Ok(Ok((set, held, ready, answers)))
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
    carry_out(desk, api, &told, &set, &mut held).await
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
        let found = preparation.prepare(set, &held.journal).await?;
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

/// A container that has just started cannot be asked for a moment, and a backlog is applied in the next one.
fn may_pass(refusal: &Refusal) -> bool {
    refusal.rule == &NO_PRIMARY_SEEN || refusal.rule == &NOT_SPARED
}

fn untouched(failure: Failure) -> Failure {
    if failure.kind == Kind::Interrupted { failure.and("nothing was changed") } else { failure }
}

/// `Some`: it is not to be done.
async fn confirm(desk: &mut Desk<'_>, told: &Told<'_>, plan: &Plan) -> Result<Option<Answer>, Failure> {
    let planned = told.plan(plan, None);
    desk.printer.brief(|out| planned.steps(out));
    if desk.write.yes {
        return Ok(None);
    }
    if !desk.asker.can_ask() {
        return Ok(Some(told.nobody_to_ask()));
    }
    desk.printer.ask(&told.question());
    let answer = until_interrupted(desk.process.signals, async { Ok(desk.asker.answer().await) }).await.map_err(untouched)?;
    Ok((answer != prompt::Answer::Yes).then(|| told.declined()))
}

async fn carry_out(desk: &mut Desk<'_>, api: &Api, told: &Told<'_>, set: &Value, held: &mut Held<'_>) -> Result<Answer, Failure> {
    let run = Run {
        api,
        target: told.target,
        depth: desk.depth,
        pace: desk.process.pace,
        set,
        interrupts: desk.interrupts,
        deadline: desk.deadline,
    };
    let before = held.journal.current.clone();
    let end = loop {
        let printer = &mut *desk.printer;
        let mut tell = |event: &Event<'_>| {
            let progress = Progress::new(event);
            printer.brief(|out| progress.tell(out));
            printer.value(&progress);
        };
        match run.carry_out(held, &mut tell).await {
            // It was to find out what to do: that is confirmed, too.
            End::Changed(plan) if recovers(held) => {
                if confirm(desk, told, &plan).await?.is_some() {
                    let begun = held.journal.current.iter().flat_map(|operation| &operation.begun).map(|step| step.id.clone());
                    return Ok(told.left_open(&begun.collect::<Vec<_>>()));
                }
                let holder = desk.holder.clone();
                let taken = held.write(|journal| {
                    if let Some(operation) = &mut journal.current {
                        operation.holder = Some(holder.clone());
                        operation.plan.clone_from(&plan);
                    }
                });
                if let Err(why) = taken.await {
                    return told.not_taken(why);
                }
            }
            end => break end,
        }
    };
    let operation: Option<&Operation> = held.journal.current.as_ref().or(before.as_ref());
    match end {
        End::Failed(failure) => Err(told.failed(failure, operation)),
        end => Ok(told.ended(end, operation, &held.journal)),
    }
}

/// Also of a start whose founder ended (safety A8).
fn recovers(held: &Held<'_>) -> bool {
    let goal = held.journal.current.as_ref().map(|operation| operation.goal);
    matches!(goal, Some(Goal::Recover | Goal::Bootstrap))
}

fn go_on(request: &Request, args: &Going, abort: bool, process: &mut Process, printer: &mut Printer) -> Exit {
    let interrupts = Cell::new(0);
    let mut desk = desk(request, args.write, process, printer, &interrupts);
    let signals = desk.process.signals;
    let work = async {
        let api = connect(&(&request.connection).into(), &desk.process.env, desk.process.home.as_deref()).await?;
        let api = with_password(api, request.password_from.as_ref(), false).await?.showing_changes(args.write.show_requests);
        let target = target(&api, args.target.as_ref(), args.write.yes).await?;
        resume(&mut desk, &api, &target, abort).await
    };
    let answer = run_async(false, leave_at_the_second(signals, &interrupts, work));
    shown(answer, printer)
}

async fn resume(desk: &mut Desk<'_>, api: &Api, target: &Target, abort: bool) -> Result<Answer, Failure> {
    let (clock, pace) = (desk.process.clock, desk.process.pace);
    let set = whole_set(api, target).await?;
    let mut held = Held::read(api, target, desk.holder.clone(), clock, pace.patience).await?;
    let Some(current) = held.journal.current.clone() else { return Ok(Told::nothing_to_resume(target)) };
    let told = Told { target, goal: current.goal, ordinal: current.ordinal(), flags: desk.flags.clone() };
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
    let found =
        until_interrupted(desk.process.signals, left(api, target, desk.depth, &held.journal, abort)).await.map_err(untouched)?;
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
    carry_out(desk, api, &told, &set, &mut held).await
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
        let told = Told { target: &target, goal: current.goal, ordinal: current.ordinal(), flags: flags.clone() };
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

/// The named set, or the only one of the namespace; with `--yes` it has to be named.
async fn target(api: &Api, named: Option<&TargetName>, yes: bool) -> Result<Target, Failure> {
    let namespace = api.namespace().to_owned();
    if let Some(target) = named {
        return Ok(Target { namespace, name: target.name().to_owned() });
    }
    let names: Vec<String> =
        list_stateful_sets(api, Scope::Namespace(&namespace), None).await?.into_iter().map(|set| set.name).collect();
    match names.as_slice() {
        [] => Err(Failure::new(Kind::NotFound, format!("no StatefulSet in namespace {namespace} runs MariaDB"))
            .hint("name another namespace with -n")),
        [only] if !yes => Ok(Target { namespace, name: only.clone() }),
        [only] => {
            Err(Failure::new(Kind::Usage, "with -y the cluster has to be named".to_owned())
                .hint(format!("the only one is {only}")))
        }
        several => {
            let text = format!("namespace {namespace} has several clusters, and none is named: {}", several.join(", "));
            Err(Failure::new(Kind::Usage, text).hint("name one of them"))
        }
    }
}
