//! What every command that writes has at hand, and what all of them do alike: confirm, carry out, say how it ended.

use std::cell::Cell;
use std::time::Instant;

use serde_json::Value;

use crate::api::Api;
use crate::api::objects::{Scope, list_stateful_sets};
use crate::carry_out::journal::Held;
use crate::carry_out::operation::{End, Event, Run};
use crate::cli::Request;
use crate::cli::write::Write;
use crate::decide::operation::Goal;
use crate::decide::operation::journal::{Holder, Operation};
use crate::decide::operation::plan::Plan;
use crate::failure::{Exit, Failure, Kind};
use crate::model::names::Target;
use crate::model::target_name::TargetName;
use crate::observe::Depth;
use crate::output::Printer;
use crate::output::command_line::OwnFlags;
use crate::output::operation::{Answer, Progress, Told};
use crate::output::prompt::{self, Asker};
use crate::process::{Interrupts, Process, until_interrupted};

pub struct Desk<'a> {
    pub process: &'a Process,
    pub printer: &'a mut Printer,
    pub asker: Asker,
    pub flags: OwnFlags,
    pub write: Write,
    pub depth: Depth,
    pub holder: Holder,
    pub deadline: Option<Instant>,
    pub interrupts: &'a Cell<u32>,
}

pub fn desk<'a>(
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

/// A second Ctrl-C ends the program wherever it is; the first is for the loop.
pub async fn leave_at_the_second<T>(
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

pub fn shown(answer: Result<Answer, Failure>, printer: &mut Printer) -> Exit {
    match answer {
        Ok(Answer::Refused(refused)) => printer.show(&refused),
        Ok(Answer::Planned(planned)) => printer.show(&planned),
        Ok(Answer::Ended(ended)) => printer.show(&ended),
        Err(failure) => printer.fail(&failure),
    }
}

pub fn untouched(failure: Failure) -> Failure {
    if failure.kind == Kind::Interrupted { failure.and("nothing was changed") } else { failure }
}

/// `Some`: it is not to be done.
pub async fn confirm(desk: &mut Desk<'_>, told: &Told<'_>, plan: &Plan) -> Result<Option<Answer>, Failure> {
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

pub async fn carry_out(
    desk: &mut Desk<'_>,
    api: &Api,
    told: &Told<'_>,
    set: &Value,
    held: &mut Held<'_>,
) -> Result<Answer, Failure> {
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
        match Box::pin(run.carry_out(held, &mut tell)).await {
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
pub fn recovers(held: &Held<'_>) -> bool {
    let goal = held.journal.current.as_ref().map(|operation| operation.goal);
    matches!(goal, Some(Goal::Recover | Goal::Bootstrap))
}

/// The named set, or the only one of the namespace; with `--yes` it has to be named.
pub async fn target(api: &Api, named: Option<&TargetName>, yes: bool) -> Result<Target, Failure> {
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
