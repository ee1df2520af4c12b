//! `status`.

use crate::api::Password;
use crate::api::connect::connect;
use crate::api::objects::Scope;
use crate::api::secret::with_password;
use crate::cli::{self, Request};
use crate::decide::verdict::verdict;
use crate::failure::{Exit, Failure, Kind};
use crate::model::snapshot::Snapshot;
use crate::observe::{self, Depth};
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
    let mut look = async |typed: Option<Password>| {
        let api = connect(&(&request.connection).into(), &process.env, process.home.as_deref()).await?;
        let api = with_password(api, request.password_from.as_ref(), args.all_namespaces).await?;
        let api = if let Some(password) = typed { api.with_password(password) } else { api };
        let depth = Depth { exec: !args.no_exec, pod_timeout: request.pod_timeout, clock: process.clock };
        if let Some(target) = &args.target {
            return Ok(vec![observe::named(&api, target, depth).await?]);
        }
        let scope = if args.all_namespaces { Scope::AllNamespaces } else { Scope::Namespace(api.namespace()) };
        let seen = observe::fleet(&api, scope, args.selector.as_deref(), depth, |seen| printer.value(&judged(seen))).await?;
        if seen.is_empty() { Err(nothing(scope, args.selector.as_deref())) } else { Ok(seen) }
    };
    let mut look =
        |typed| run_async(process.signals, during(process.terminal, "asking the API server and the pods", look(typed)));
    let mut looked = look(None);
    if let Ok([only]) = looked.as_deref()
        && !args.all_namespaces
    {
        match missing_password::ask(only, request, process) {
            Ok(None) => {}
            Ok(typed) => looked = look(typed),
            Err(failure) => return printer.fail(&failure),
        }
    }
    match looked.as_deref() {
        Ok([only]) if !args.all_namespaces => printer.show(&judged(only)),
        Ok(several) => printer.show(&StatusList::new(several.iter().map(judged).collect())),
        Err(failure) => printer.fail(failure),
    }
}

pub(super) fn nothing(scope: Scope<'_>, selector: Option<&str>) -> Failure {
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
