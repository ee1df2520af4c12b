//! `status`.

use crate::api::Password;
use crate::api::connect::connect;
use crate::api::objects::Scope;
use crate::api::secret::with_password;
use crate::cli::{self, Request};
use crate::decide::verdict::verdict;
use crate::failure::{Exit, Failure, Kind};
use crate::model::fact::Why;
use crate::model::snapshot::Snapshot;
use crate::model::unmade::Unmade;
use crate::observe::{self, Depth, Fleet};
use crate::output::Printer;
use crate::output::command_line::OwnFlags;
use crate::output::progress::during;
use crate::output::status::{Status, StatusList};
use crate::process::{Process, run_async};

use super::missing_password;

/// Looks once, and shows one cluster in full or several in a row each.
pub fn run(request: &Request, args: &cli::Status, process: &Process, printer: &mut Printer) -> Exit {
    let flags = OwnFlags::new(&request.connection, request.password_from.as_ref(), args.all_namespaces);
    let judged = |seen: &Snapshot| Status::new(seen, &verdict(seen), args.fail_on.severity(), &flags);
    let on_paper = |unmade: &Unmade| Status::of_unmade(unmade, args.fail_on.severity(), &flags);
    let mut look = async |typed: Option<Password>| {
        let api = connect(&(&request.connection).into(), &process.env, process.home.as_deref()).await?;
        let api = with_password(api, request.password_from.as_ref(), args.all_namespaces).await?;
        let api = if let Some(password) = typed { api.with_password(password) } else { api };
        let depth = Depth { exec: !args.no_exec, pod_timeout: request.pod_timeout, clock: process.clock };
        if let Some(target) = &args.target {
            return Ok(Fleet::from(observe::found(&api, target, depth).await?));
        }
        let scope = if args.all_namespaces { Scope::AllNamespaces } else { Scope::Namespace(api.namespace()) };
        let fleet = observe::fleet(&api, scope, args.selector.as_deref(), depth, |seen| printer.value(&judged(seen))).await?;
        fleet.unmade.iter().for_each(|unmade| printer.value(&on_paper(unmade)));
        if fleet.is_empty() { Err(nothing(scope, args.selector.as_deref(), fleet.unlisted.as_ref())) } else { Ok(fleet) }
    };
    let mut look =
        |typed| run_async(process.signals, during(process.terminal, "asking the API server and the pods", look(typed)));
    let mut looked = look(None);
    if let Ok(Fleet { clusters, unmade, .. }) = &looked
        && let ([only], []) = (&clusters[..], &unmade[..])
        && !args.all_namespaces
    {
        match missing_password::ask(only, request, process) {
            Ok(None) => {}
            Ok(typed) => looked = look(typed),
            Err(failure) => return printer.fail(&failure),
        }
    }
    match looked {
        Ok(Fleet { clusters, unmade, unlisted }) => {
            let items = clusters.iter().map(judged).chain(unmade.iter().map(on_paper)).collect();
            show(items, unlisted.as_ref(), args.all_namespaces, printer)
        }
        Err(failure) => printer.fail(&failure),
    }
}

/// One cluster in full, or a row for each.
pub(super) fn show(mut items: Vec<Status>, unlisted: Option<&Why>, always_rows: bool, printer: &mut Printer) -> Exit {
    match items.pop() {
        Some(only) if items.is_empty() && !always_rows => printer.show(&only.unlisted(unlisted)),
        last => {
            items.extend(last);
            printer.show(&StatusList::new(items).unlisted(unlisted))
        }
    }
}

pub(super) fn nothing(scope: Scope<'_>, selector: Option<&str>, unlisted: Option<&Why>) -> Failure {
    let mut failure = no_set(scope, selector);
    if let Some(why) = unlisted {
        failure.message = format!("{}; MariaDB objects without one are not seen: {why}", failure.message);
    }
    failure
}

fn no_set(scope: Scope<'_>, selector: Option<&str>) -> Failure {
    let labels = selector.map(|selector| format!(" with the labels {selector}")).unwrap_or_default();
    match scope {
        Scope::Namespace(namespace) => {
            Failure::new(Kind::NotFound, format!("no StatefulSet{labels} in namespace {namespace} runs MariaDB"))
                .hint("name another namespace with -n, or look at all of them with -A")
        }
        Scope::AllNamespaces => Failure::new(Kind::NotFound, format!("no StatefulSet{labels} in any namespace runs MariaDB"))
            .hint("see with --context that this is the API server you mean: `kubectl config get-contexts`"),
    }
}
