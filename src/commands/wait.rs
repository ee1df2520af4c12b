//! `wait`.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::api::Api;
use crate::api::connect::connect;
use crate::api::objects::{Scope, get_stateful_set, list_stateful_sets};
use crate::api::secret::with_password;
use crate::cli::{self, Request};
use crate::decide::finding::Severity;
use crate::decide::verdict::verdict;
use crate::decide::wish::{Progress, Waiting};
use crate::failure::{Exit, Failure, Kind};
use crate::model::kubernetes::StatefulSet;
use crate::model::snapshot::Snapshot;
use crate::observe::Depth;
use crate::observe::watch::{View, Watched, Watching};
use crate::output::Printer;
use crate::output::command_line::OwnFlags;
use crate::output::status::Status;
use crate::output::waited::{Said, Waited};
use crate::process::{Process, run_async};

use super::status::nothing;
use super::watch::may_not;

/// A server is asked so often that what it says is known within half a second.
const EVERY: Duration = Duration::from_millis(400);

/// Waits until all wishes are met in two looks, and shows the last one.
pub fn run(request: &Request, args: &cli::Wait, process: &Process, printer: &mut Printer) -> Exit {
    let begun = Instant::now();
    let flags = OwnFlags::new(&request.connection, request.password_from.as_ref(), false);
    let mut last: Option<Snapshot> = None;
    let mut missing = vec!["nothing has been seen yet".to_owned()];
    let work = async {
        let api = connect(&(&request.connection).into(), &process.env, process.home.as_deref()).await?;
        let api = with_password(api, request.password_from.as_ref(), false).await?;
        let set = find(&api, args).await?;
        let depth = Depth { exec: true, pod_timeout: request.pod_timeout, clock: process.clock };
        let mut watching = Watching::start(&api, &Watched::one(&set), depth, EVERY);
        let met = until_met(&mut watching, args, printer, &mut last, &mut missing);
        if args.timeout.is_zero() { met.await } else { timeout(args.timeout, met).await.unwrap_or(Ok(())) }
    };
    let ended = run_async(process.signals, work);
    let exit = match ended {
        Ok(()) if missing.is_empty() => Exit::Ok,
        Ok(()) => Exit::TimedOut,
        Err(failure) if failure.kind == Kind::Interrupted => Exit::Interrupted,
        Err(failure) => return printer.fail(&failure),
    };
    let status = last.map(|seen| Status::new(&seen, &verdict(&seen), Some(Severity::Error), &flags));
    printer.show(&Waited::new(&args.wishes, exit, begun.elapsed(), missing, status))
}

/// Every view is one look; `missing` is what the newest one lacks.
async fn until_met(
    watching: &mut Watching,
    args: &cli::Wait,
    printer: &mut Printer,
    last: &mut Option<Snapshot>,
    missing: &mut Vec<String>,
) -> Result<(), Failure> {
    let mut waiting = Waiting::new(args.wishes.clone());
    let mut said = Said::new(&args.wishes);
    loop {
        let View { mut clusters, lost, forbidden } = watching.next().await;
        if let Some(right) = forbidden {
            return Err(may_not(&right));
        }
        let seen = clusters.pop();
        let lacks = match (&lost, &seen) {
            (Some(lost), _) => vec![lost.why.clone()],
            (None, None) => vec!["the StatefulSet does not exist any more".to_owned()],
            (None, Some(seen)) => match waiting.look(seen) {
                Progress::Done => Vec::new(),
                Progress::Confirming => vec!["it is so in one look; a second one has to confirm it".to_owned()],
                Progress::NotYet(lacks) => lacks,
                Progress::Never(why) => {
                    return Err(Failure::new(Kind::Other, format!("waiting cannot help: {why}")));
                }
                Progress::Forbidden(right) => {
                    return Err(Failure::new(Kind::Forbidden, format!("you may not {right}"))
                        .hint("without that right nobody can tell whether it is so, and waiting does not help"));
                }
            },
        };
        *missing = lacks;
        *last = seen.or(last.take());
        if missing.is_empty() {
            return Ok(());
        }
        said.say(missing, printer);
    }
}

/// The set that is named, or the only one.
async fn find(api: &Api, args: &cli::Wait) -> Result<StatefulSet, Failure> {
    let namespace = api.namespace();
    if let Some(target) = &args.target {
        return get_stateful_set(api, namespace, target.name()).await;
    }
    let mut sets = list_stateful_sets(api, Scope::Namespace(namespace), None).await?;
    match sets.len() {
        0 => Err(nothing(Scope::Namespace(namespace), None, None)),
        1 => Ok(sets.remove(0)),
        count => {
            let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
            Err(Failure::new(Kind::Other, format!("namespace {namespace} has {count} clusters: {}", names.join(", ")))
                .hint("name the one to wait for"))
        }
    }
}
