//! `pvc …`.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::api::connect::connect;
use crate::api::objects::Scope;
use crate::api::secret::with_password;
use crate::carry_out::helper::Helpers;
use crate::carry_out::volumes::expand::Expanding;
use crate::carry_out::volumes::prune::Pruning;
use crate::carry_out::volumes::{End, Report, list};
use crate::carry_out::{Consent, Mode};
use crate::cli::Request;
use crate::cli::pvc::{Expand, List, Prune};
use crate::cli::write::{DryRun, Write};
use crate::decide::helper::Helper;
use crate::decide::operation::journal::Holder;
use crate::decide::operation::plan::Loss;
use crate::failure::{Exit, Failure, Kind};
use crate::model::names::Target;
use crate::model::target_name::TargetName;
use crate::observe::{self, Depth};
use crate::output::Printer;
use crate::output::command_line::OwnFlags;
use crate::output::operation::Refused;
use crate::output::progress::Waiting;
use crate::output::prompt::{Answer, Asker};
use crate::output::volumes::{VolumeChange, VolumeList, helper_question};
use crate::process::{Process, run_async, until_interrupted};

use super::operation;

/// Whoever asks and tells, between questions and answers.
struct Desk<'a> {
    printer: RefCell<&'a mut Printer>,
    asker: RefCell<Asker>,
    waiting: Waiting,
    yes: bool,
}

impl<'a> Desk<'a> {
    fn new(write: Write, process: &mut Process, printer: &'a mut Printer, waits: &'static str) -> Self {
        let stdin = std::mem::replace(&mut process.stdin, Box::new(std::io::empty()));
        let asker = Asker::new(stdin, process.terminal.stdin_is && process.terminal.stderr_is);
        let waiting = Waiting::new(process.terminal, waits);
        Self { printer: RefCell::new(printer), asker: RefCell::new(asker), waiting, yes: write.yes }
    }

    /// Shows something and asks whether it is to be done. Nobody else uses printer and asker meanwhile: there is one question at
    /// a time.
    #[expect(clippy::await_holding_refcell_ref, reason = "one task, which waits for this answer and does nothing else")]
    async fn ask(&self, show: impl FnOnce(&mut Printer), question: &str) -> Consent {
        self.waiting.aside();
        let mut printer = self.printer.borrow_mut();
        show(&mut printer);
        let answer = if self.yes {
            Answer::Yes
        } else {
            let mut asker = self.asker.borrow_mut();
            if asker.can_ask() {
                printer.ask(question);
            }
            asker.answer().await
        };
        self.waiting.back();
        match answer {
            Answer::Yes => Consent::Given,
            Answer::No => Consent::Declined,
            Answer::Nobody => Consent::NobodyToAsk,
        }
    }

    async fn ask_for_helpers(&self, target: &Target, helpers: &[Helper]) -> Consent {
        let show = |printer: &mut Printer| printer.brief(|out| helper_question(target, helpers, out));
        self.ask(show, "Create these helper pods? [y/N] ").await
    }

    fn tell(&self, text: &str) {
        self.waiting.aside();
        self.printer.borrow_mut().progress(text);
        self.waiting.back();
    }
}

async fn connected(request: &Request, write: Write, process: &Process, everywhere: bool) -> Result<Api, Failure> {
    let api = Box::pin(connect(&(&request.connection).into(), &process.env, process.home.as_deref())).await?;
    Ok(with_password(api, request.password_from.as_ref(), everywhere).await?.showing_changes(write.show_requests))
}

/// `pvc list`.
pub fn list(request: &Request, args: &List, process: &mut Process, printer: &mut Printer) -> Exit {
    let desk = Desk::new(args.write, process, printer, "looking at volumes");
    let depth = depth(request, process);
    let work = async {
        let api = connected(request, args.write, process, args.all_namespaces).await?;
        let namespace = api.namespace().to_owned();
        let helpers = Helpers::new(&api, &namespace, process.clock);
        let scope = if args.all_namespaces { Scope::AllNamespaces } else { Scope::Namespace(&namespace) };
        let mut agree = async |target: &Target, planned: &[Helper]| desk.ask_for_helpers(target, planned).await;
        let listing = list::Listing {
            api: &api,
            scope,
            only: args.target.as_ref(),
            inspect: args.inspect,
            depth,
            mode: mode(args.write.dry_run),
            helpers: &helpers,
        };
        let run = limited(args.write.timeout, "nothing was changed", Box::pin(listing.run(&mut agree)));
        let found = until_interrupted(process.signals, run).await;
        let left = until_interrupted(process.signals, async { Ok(Box::pin(helpers.remove_all()).await) }).await;
        tidied(found, left)
    };
    let found = run_async(false, desk.waiting.during(Box::pin(work)));
    match found {
        Ok((found, left)) => printer.show(&VolumeList::new(&found, left)),
        Err(failure) => printer.fail(&failure),
    }
}

/// `pvc prune`.
pub fn prune(request: &Request, args: &Prune, process: &mut Process, printer: &mut Printer) -> Exit {
    let flags = OwnFlags::new(&request.connection, request.password_from.as_ref(), false);
    let desk = Desk::new(args.write, process, printer, "looking at volumes");
    let (depth, holder, asked) = (depth(request, process), holder(process), Cell::new(0));
    let accepted: Vec<Loss> = args.accept_data_loss.iter().cloned().map(Loss).collect();
    let work = async {
        let api = connected(request, args.write, process, false).await?;
        let target = target(&api, args.target.as_ref(), args.write.yes, depth).await?;
        let helpers = Helpers::new(&api, &target.namespace, process.clock);
        let mut agree = async |planned: &[Helper]| desk.ask_for_helpers(&target, planned).await;
        let question = format!("Delete these claims in namespace {}? [y/N] ", target.namespace);
        let mut confirm = async |report: &Report| confirmed(&desk, &target, "pvc prune", report, &flags, &question).await;
        let pruning = Pruning {
            api: &api,
            target: &target,
            depth,
            pace: process.pace,
            holder,
            mode: mode(args.write.dry_run),
            accepted: &accepted,
            helpers: &helpers,
            asked: &asked,
        };
        let mut tell = |text: &str| desk.tell(text);
        let run = pruning.run(&mut agree, &mut confirm, &mut tell);
        let run = limited(args.write.timeout, "see what is left with `pvc list`", Box::pin(run));
        let end = until_interrupted(process.signals, run).await.map_err(|failure| match asked.get() {
            0 => failure.and("no claim was deleted"),
            1 => failure.and("the API server was asked to delete 1 claim"),
            count => failure.and(&format!("the API server was asked to delete {count} claims")),
        });
        let left = until_interrupted(process.signals, async { Ok(Box::pin(helpers.remove_all()).await) }).await;
        Ok((target.clone(), tidied(end, left)?))
    };
    let ended = run_async(false, desk.waiting.during(Box::pin(work)));
    match ended {
        Ok((target, (end, left))) => shown(end, left, &target, "pvc prune", &flags, printer),
        Err(failure) => printer.fail(&failure),
    }
}

/// `pvc expand`.
pub fn expand(request: &Request, args: &Expand, process: &mut Process, printer: &mut Printer) -> Exit {
    let flags = OwnFlags::new(&request.connection, request.password_from.as_ref(), false);
    let desk = Desk::new(args.write, process, printer, "waiting for volumes to grow");
    let (depth, holder) = (depth(request, process), holder(process));
    let work = async {
        let api = connected(request, args.write, process, false).await?;
        let target = target(&api, args.target.as_ref(), args.write.yes, depth).await?;
        let question = format!("Expand these volumes in namespace {}? [y/N] ", target.namespace);
        let mut confirm = async |report: &Report| confirmed(&desk, &target, "pvc expand", report, &flags, &question).await;
        let timeout = args.write.timeout;
        let expanding = Expanding {
            api: &api,
            target: &target,
            depth,
            pace: process.pace,
            holder,
            mode: mode(args.write.dry_run),
            size: &args.size,
            deadline: (!timeout.is_zero()).then(|| Instant::now() + timeout),
        };
        let mut tell = |text: &str| desk.tell(text);
        let run = until_interrupted(process.signals, Box::pin(expanding.run(&mut confirm, &mut tell))).await;
        let end = run.map_err(|failure| match failure.kind {
            // What was asked for goes on by itself.
            Kind::Interrupted => failure.and("sizes that were asked for stay asked for; run it again to see them through"),
            _ => failure,
        })?;
        Ok((target.clone(), end))
    };
    let ended = run_async(false, desk.waiting.during(Box::pin(work)));
    match ended {
        Ok((target, end)) => shown(end, Vec::new(), &target, "pvc expand", &flags, printer),
        Err(failure) => printer.fail(&failure),
    }
}

async fn confirmed(
    desk: &Desk<'_>,
    target: &Target,
    command: &'static str,
    report: &Report,
    flags: &OwnFlags,
    question: &str,
) -> Consent {
    let plan = VolumeChange::new(target, command, report, Vec::new(), flags);
    desk.ask(|printer| printer.brief(|out| plan.plan(out)), question).await
}

fn shown(end: End, left: Vec<String>, target: &Target, command: &'static str, flags: &OwnFlags, printer: &mut Printer) -> Exit {
    match end {
        End::Refused(refusal) => printer.show(&Refused::new(target, &refusal, false, flags)),
        End::Report(report) => printer.show(&VolumeChange::new(target, command, &report, left, flags)),
    }
}

/// The cluster that is meant; it is of the kind that it is called.
async fn target(api: &Api, named: Option<&TargetName>, yes: bool, depth: Depth) -> Result<Target, Failure> {
    let target = operation::target(api, named, yes).await?;
    if let Some(name @ TargetName::MariaDb(_)) = named {
        Box::pin(observe::named(api, name, Depth { exec: false, ..depth })).await?;
    }
    Ok(target)
}

fn depth(request: &Request, process: &Process) -> Depth {
    Depth { exec: true, pod_timeout: request.pod_timeout, clock: process.clock }
}

fn holder(process: &Process) -> Holder {
    Holder { who: process.who.clone(), session: process.session() }
}

const fn mode(dry_run: DryRun) -> Mode {
    match dry_run {
        DryRun::None => Mode::Do,
        DryRun::Client => Mode::Plan,
        DryRun::Server => Mode::Prove,
    }
}

async fn limited<T>(limit: Duration, state: &str, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    if limit.is_zero() {
        return work.await;
    }
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let text = format!("it was not done within {}s; {state}", limit.as_secs());
        Err(Failure::new(Kind::TimedOut, text).hint("allow more with --timeout"))
    })
}

/// The answer with the helper pods that are left; of a failure, with a word about them.
fn tidied<T>(found: Result<T, Failure>, left: Result<Vec<String>, Failure>) -> Result<(T, Vec<String>), Failure> {
    match (found, left) {
        (Ok(found), Ok(left)) => Ok((found, left)),
        (Ok(_), Err(failure)) => Err(failure),
        (Err(failure), Ok(left)) if left.is_empty() => Err(failure),
        (Err(failure), Ok(left)) => Err(failure.and(&format!("still there: {}, which end by themselves", left.join(", ")))),
        (Err(failure), Err(_)) => Err(failure.and("its helper pods may still be there; they end by themselves")),
    }
}
