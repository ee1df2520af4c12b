//! `status --settled`.

use std::time::Duration;

use crate::api::Api;
use crate::api::connect::connect;
use crate::api::objects::Scope;
use crate::api::secret::with_password;
use crate::cli::{self, Request};
use crate::decide::settled::{APART, settled};
use crate::decide::verdict::verdict;
use crate::failure::{Exit, Failure};
use crate::model::names::Target;
use crate::model::snapshot::Snapshot;
use crate::observe::{self, Depth};
use crate::output::Printer;
use crate::output::command_line::OwnFlags;
use crate::output::status::{Status, StatusList};
use crate::process::{Process, run_async};

use super::missing_password;
use super::status::nothing;

/// Looks twice and shows the second look, with what the two say together.
pub fn run(request: &Request, args: &cli::Status, process: &Process, printer: &mut Printer) -> Exit {
    let flags = OwnFlags::new(&request.connection, request.password_from.as_ref(), args.all_namespaces);
    let judged = |seen: &Snapshot| Status::new(seen, &verdict(seen), args.fail_on.severity(), &flags);
    let depth = Depth { exec: !args.no_exec, pod_timeout: request.pod_timeout, clock: process.clock };
    let work = async {
        let api = connect(&(&request.connection).into(), &process.env, process.home.as_deref()).await?;
        let api = with_password(api, request.password_from.as_ref(), args.all_namespaces).await?;
        let mut first = look(&api, args, depth).await?;
        let typed = match &first[..] {
            [only] if !args.all_namespaces => missing_password::ask(only, request, process)?,
            _ => None,
        };
        let api = if let Some(password) = typed {
            let api = api.with_password(password);
            first = look(&api, args, depth).await?;
            api
        } else {
            api
        };
        for seen in &first {
            printer.progress(&format!("first look: {}", verdict(seen).headline));
        }
        printer.progress(&format!("the second look follows in {} s", APART.as_secs()));
        tokio::time::sleep(APART + Duration::from_millis(100)).await;
        Ok((first, look(&api, args, depth).await?))
    };
    let (first, second) = match run_async(process.signals, work) {
        Ok(looks) => looks,
        Err(failure) => return printer.fail(&failure),
    };
    let both = |seen: &Snapshot| {
        let status = judged(seen);
        match first.iter().find(|before| before.target == seen.target) {
            Some(before) => status.settled(before, settled(before, seen)),
            // It was not there at the first look.
            None => status.settled(seen, settled(seen, seen)),
        }
    };
    match &second[..] {
        [only] if !args.all_namespaces => printer.show(&both(only)),
        several => printer.show(&StatusList::new(several.iter().map(both).collect())),
    }
}

async fn look(api: &Api, args: &cli::Status, depth: Depth) -> Result<Vec<Snapshot>, Failure> {
    if let Some(target) = &args.target {
        let target = Target { namespace: api.namespace().to_owned(), name: target.name().to_owned() };
        return Ok(vec![observe::cluster(api, &target, depth).await?]);
    }
    let scope = if args.all_namespaces { Scope::AllNamespaces } else { Scope::Namespace(api.namespace()) };
    let seen = observe::fleet(api, scope, args.selector.as_deref(), depth, |_| ()).await?;
    if seen.is_empty() { Err(nothing(scope, args.selector.as_deref())) } else { Ok(seen) }
}
