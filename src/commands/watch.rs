//! `status --watch`.

use std::time::Duration;

use crate::api::Password;
use crate::api::connect::connect;
use crate::api::objects::{Scope, get_stateful_set, list_stateful_sets};
use crate::api::secret::with_password;
use crate::cli::global::Format;
use crate::cli::{self, Request};
use crate::decide::verdict::verdict;
use crate::failure::{Exit, Failure, Kind};
use crate::model::snapshot::Snapshot;
use crate::observe::watch::{View, Watched, Watching};
use crate::observe::{self, Depth};
use crate::output::Printer;
use crate::output::command_line::OwnFlags;
use crate::output::status::{Followed, Status};
use crate::process::keys::{Keys, ScreenSignal, ScreenSignals};
use crate::process::{Process, Terminal, run_async};

use super::missing_password;
use super::status::nothing;

/// From one sample of a server to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Shows every change until somebody ends it; `q` gives the exit code of the last verdict, Ctrl-C that of an interruption.
pub fn run(request: &Request, args: &cli::Status, process: &mut Process, printer: &mut Printer) -> Exit {
    if let Some(form) = unsuitable(printer.format()) {
        return printer.fail(&form);
    }
    let flags = OwnFlags::new(&request.connection, request.password_from.as_ref(), args.all_namespaces);
    let judged = |seen: &Snapshot| Status::new(seen, &verdict(seen), args.fail_on.severity(), &flags);
    let mut shown = Followed::new(args.all_namespaces);
    // Before the keys are read: the answer is none of them.
    let typed = match first_password(request, args, process) {
        Ok(typed) => typed,
        Err(failure) => return printer.fail(&failure),
    };
    // With `| less` the keys are those of less.
    let terminal = Terminal { stdin_is: process.terminal.stdin_is && printer.is_live(), ..process.terminal };
    let mut keys = Keys::of(terminal, &mut process.stdin);
    let work = async {
        let api = connect(&(&request.connection).into(), &process.env, process.home.as_deref()).await?;
        let api = with_password(api, request.password_from.as_ref(), args.all_namespaces).await?;
        let api = if let Some(password) = typed { api.with_password(password) } else { api };
        let depth = Depth { exec: !args.no_exec, pod_timeout: request.pod_timeout, clock: process.clock };
        let watched = find(&api, args).await?;
        let mut signals = ScreenSignals::of(terminal);
        let mut watching = Watching::start(&api, &watched, depth, EVERY);
        loop {
            let still_read = tokio::select! {
                view = watching.next() => {
                    let View { clusters, lost, forbidden } = view;
                    if let Some(right) = forbidden {
                        return Err(may_not(&right));
                    }
                    shown.take(clusters.iter().map(judged).map(|status| status.lost(lost.as_ref())).collect(), lost.as_ref());
                    shown.show(printer)
                }
                signal = signals.next() => match signal {
                    ScreenSignal::Redraw => {
                        printer.redraw();
                        shown.show(printer)
                    }
                    ScreenSignal::Suspend => {
                        printer.give_back();
                        keys.suspend();
                        true
                    }
                },
                () = keys.quit() => return Ok(()),
            };
            if !still_read {
                return Ok(());
            }
        }
    };
    let ended = run_async(process.signals, work);
    drop(keys);
    match ended {
        Ok(()) => shown.end(printer),
        Err(failure) if failure.kind == Kind::Interrupted => {
            shown.end(printer);
            Exit::Interrupted
        }
        Err(failure) => printer.fail(&failure),
    }
}

/// The password for one cluster whose containers know none: asked for once, after a look that nobody sees.
fn first_password(request: &Request, args: &cli::Status, process: &Process) -> Result<Option<Password>, Failure> {
    if !missing_password::may_be_asked(request, process) || args.all_namespaces || args.no_exec {
        return Ok(None);
    }
    let depth = Depth { exec: true, pod_timeout: request.pod_timeout, clock: process.clock };
    let look = async {
        let api = connect(&(&request.connection).into(), &process.env, process.home.as_deref()).await?;
        let target = match find(&api, args).await? {
            Watched::One { target, .. } => target,
            Watched::Many { .. } => return Ok(None),
        };
        observe::cluster(&api, &target, depth).await.map(Some)
    };
    match run_async(process.signals, look)? {
        Some(seen) => missing_password::ask(&seen, request, process),
        None => Ok(None),
    }
}

/// More than one document of these forms would be none.
fn unsuitable(format: Format) -> Option<Failure> {
    let form = match format {
        Format::Table | Format::Wide | Format::Jsonl => return None,
        Format::Json => "json",
        Format::Yaml => "yaml",
        Format::Name => "name",
    };
    Some(
        Failure::new(Kind::Usage, format!("--watch does not go with -o {form}, which is one answer and not one per change"))
            .hint("use -o jsonl for a document per change, or leave --watch out"),
    )
}

/// Objects are followed by listing and watching them.
pub(super) fn may_not(right: &str) -> Failure {
    Failure::new(Kind::Forbidden, format!("you may not {right}"))
        .hint(format!("you need the right to {right}, and to watch the same"))
}

/// One cluster if one is named or there is only one, else all of them.
async fn find(api: &crate::api::Api, args: &cli::Status) -> Result<Watched, Failure> {
    if let Some(target) = &args.target {
        return Ok(Watched::one(&get_stateful_set(api, api.namespace(), target.name()).await?));
    }
    let scope = if args.all_namespaces { Scope::AllNamespaces } else { Scope::Namespace(api.namespace()) };
    let sets = list_stateful_sets(api, scope, args.selector.as_deref()).await?;
    match &sets[..] {
        [] => Err(nothing(scope, args.selector.as_deref(), None)),
        [only] if !args.all_namespaces => Ok(Watched::one(only)),
        _ => Ok(Watched::Many {
            namespace: (!args.all_namespaces).then(|| api.namespace().to_owned()),
            labels: args.selector.clone(),
        }),
    }
}
