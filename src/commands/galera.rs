//! `galera …`.

use std::time::Duration;

use crate::api::Api;
use crate::api::connect::connect;
use crate::api::objects::{Scope, list_stateful_sets};
use crate::carry_out::grastate::{self, Options, Report};
use crate::carry_out::helper::Helpers;
use crate::carry_out::{Consent, Mode};
use crate::cli::Request;
use crate::cli::galera::Grastate;
use crate::cli::write::DryRun;
use crate::decide::helper::Helper;
use crate::failure::{Exit, Failure, Kind};
use crate::model::names::Target;
use crate::observe::Depth;
use crate::output::Printer;
use crate::output::command_line::OwnFlags;
use crate::output::grastate::{Grastate as Screen, question};
use crate::output::progress::Waiting;
use crate::output::prompt::{Answer, Asker};
use crate::process::{Process, run_async, until_interrupted};

/// `galera grastate`: what the files say, and who may be started first.
pub fn grastate(request: &Request, args: &Grastate, process: &mut Process, printer: &mut Printer) -> Exit {
    let flags = OwnFlags::new(&request.connection, request.password_from.as_ref(), false);
    let stdin = std::mem::replace(&mut process.stdin, Box::new(std::io::empty()));
    let mut asker = Asker::new(stdin, process.terminal.stdin_is && process.terminal.stderr_is);
    let waiting = Waiting::new(process.terminal, "reading the data directories");
    let work = async {
        let connection = (&request.connection).into();
        let api = Box::pin(connect(&connection, &process.env, process.home.as_deref())).await?;
        let api = api.showing_changes(args.write.show_requests);
        let target = target(&api, args).await?;
        let helpers = Helpers::new(&api, &target.namespace, process.clock);
        let agree = async |planned: &[Helper]| {
            waiting.aside();
            printer.brief(|out| question(&target, planned, out));
            if asker.can_ask() && !args.write.yes {
                printer.ask("Create these helper pods? [y/N] ");
            }
            let answer = if args.write.yes { Answer::Yes } else { asker.answer().await };
            waiting.back();
            match answer {
                Answer::Yes => Consent::Given,
                Answer::No => Consent::Declined,
                Answer::Nobody => Consent::NobodyToAsk,
            }
        };
        let depth = Depth { exec: true, pod_timeout: request.pod_timeout, clock: process.clock };
        let name = args.target.as_ref();
        let options = Options { name, depth, recover: args.recover_positions, mode: mode(args.write.dry_run) };
        let run = limited(args.write.timeout, Box::pin(grastate::run(&api, &target, options, &helpers, agree)));
        let report = until_interrupted(process.signals, run).await;
        // However it ended: what was created is taken away again. A second Ctrl-C leaves it to its own deadline.
        let left = until_interrupted(process.signals, async { Ok(Box::pin(helpers.remove_all()).await) }).await;
        tidied(report, left, helpers.created_any())
    };
    let looked = run_async(false, waiting.during(Box::pin(work)));
    match looked {
        Ok((report, left)) => printer.show(&Screen::new(&report, &left, &flags)),
        Err(failure) => printer.fail(&failure),
    }
}

/// The named set, or the only one of the namespace.
async fn target(api: &Api, args: &Grastate) -> Result<Target, Failure> {
    let namespace = api.namespace().to_owned();
    if let Some(target) = &args.target {
        return Ok(Target { namespace, name: target.name().to_owned() });
    }
    let mut names = list_stateful_sets(api, Scope::Namespace(&namespace), None).await?.into_iter().map(|set| set.name);
    let Some(name) = names.next() else {
        return Err(Failure::new(Kind::NotFound, format!("no StatefulSet in namespace {namespace} runs MariaDB"))
            .hint("name another namespace with -n"));
    };
    let others: Vec<String> = names.collect();
    if others.is_empty() {
        return Ok(Target { namespace, name });
    }
    let text = format!("namespace {namespace} has several clusters, and none is named: {name}, {}", others.join(", "));
    Err(Failure::new(Kind::Usage, text).hint("name one of them: kubectl mariadb galera grastate NAME"))
}

const fn mode(dry_run: DryRun) -> Mode {
    match dry_run {
        DryRun::None => Mode::Do,
        DryRun::Client => Mode::Plan,
        DryRun::Server => Mode::Prove,
    }
}

async fn limited<T>(limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    if limit.is_zero() {
        return work.await;
    }
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let text = format!(
            "it was not done within {}s; no data directory was changed but by recovery that was agreed to",
            limit.as_secs()
        );
        Err(Failure::new(Kind::TimedOut, text).hint("allow more with --timeout"))
    })
}

/// The report with the helper pods that are left; of a failure, with a word about them.
fn tidied(
    report: Result<Report, Failure>,
    left: Result<Vec<String>, Failure>,
    created: bool,
) -> Result<(Report, Vec<String>), Failure> {
    let left = match (report, left) {
        (Ok(report), Ok(left)) => return Ok((report, left)),
        (Ok(_), Err(failure)) => return Err(failure),
        (Err(failure), _) if !created => return Err(failure),
        (Err(failure), Ok(left)) if left.is_empty() => return Err(failure.and("nothing of ours is left in the cluster")),
        (Err(failure), Ok(left)) => (failure, left.join(", ")),
        (Err(failure), Err(_)) => (failure, "its helper pods".to_owned()),
    };
    Err(left.0.and(&format!("still there: {}, which end by themselves", left.1)))
}
