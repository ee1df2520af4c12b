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
use crate::model::snapshot::Snapshot;
use crate::model::unmade::Unmade;
use crate::observe::{self, Depth, Fleet};
use crate::output::Printer;
use crate::output::command_line::OwnFlags;
use crate::output::status::Status;
use crate::process::{Process, run_async};

use super::missing_password;
use super::status::{nothing, show};

/// Looks twice and shows the second look, with what the two say together.
pub fn run(request: &Request, args: &cli::Status, process: &Process, printer: &mut Printer) -> Exit {
    let flags = OwnFlags::new(&request.connection, request.password_from.as_ref(), args.all_namespaces);
    let judged = |seen: &Snapshot| Status::new(seen, &verdict(seen), args.fail_on.severity(), &flags);
    let depth = Depth { exec: !args.no_exec, pod_timeout: request.pod_timeout, clock: process.clock };
    let work = async {
        let api = connect(&(&request.connection).into(), &process.env, process.home.as_deref()).await?;
        let api = with_password(api, request.password_from.as_ref(), args.all_namespaces).await?;
        let mut first = look(&api, args, depth).await?;
        let typed = match &first.clusters[..] {
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
        for seen in &first.clusters {
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
        match first.clusters.iter().find(|before| before.target == seen.target) {
            Some(before) => status.settled(before, settled(before, seen)),
            // It was not there at the first look.
            None => status.settled(seen, settled(seen, seen)),
        }
    };
    // Whether an object has a set does not flicker: one look is enough.
    let on_paper = |unmade: &Unmade| Status::of_unmade(unmade, args.fail_on.severity(), &flags);
    let items = second.clusters.iter().map(both).chain(second.unmade.iter().map(on_paper)).collect();
    show(items, second.unlisted.as_ref(), args.all_namespaces, printer)
}

async fn look(api: &Api, args: &cli::Status, depth: Depth) -> Result<Fleet, Failure> {
    if let Some(target) = &args.target {
        return Ok(Fleet::from(observe::found(api, target, depth).await?));
    }
    let scope = if args.all_namespaces { Scope::AllNamespaces } else { Scope::Namespace(api.namespace()) };
    let fleet = observe::fleet(api, scope, args.selector.as_deref(), depth, |_| ()).await?;
    if fleet.is_empty() { Err(nothing(scope, args.selector.as_deref(), fleet.unlisted.as_ref())) } else { Ok(fleet) }
}
