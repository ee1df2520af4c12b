//! `kubectl mariadb`: what is true of a MariaDB cluster on Kubernetes, what to do, and doing it safely.
//!
//! Data flows one way, see `docs/architecture.md`:
//! arguments → request → `observe` → snapshot → `decide` → `output`.

pub mod api;
pub mod carry_out;
pub mod cli;
pub mod commands;
pub mod decide;
pub mod failure;
#[cfg(test)]
mod generated;
pub mod model;
pub mod observe;
pub mod output;
pub mod process;

use cli::galera::{Galera, GaleraVerb};
use cli::pvc::{Pvc, PvcVerb};
use cli::{Request, Verb};
use failure::Exit;
use output::Printer;
use process::Process;

/// Runs the program: reads the command line, does what it says, writes the answer.
pub fn run(mut process: Process) -> Exit {
    if let Some(words) = cli::complete::asked(&process.args) {
        return commands::complete::run(&words, &process).write(&mut process.stdout);
    }
    let mut request = match cli::parse(std::mem::take(&mut process.args), process.terminal.width) {
        Ok(request) => request,
        Err(stop) => return output::stop(&mut process, &stop),
    };
    let mut printer = Printer::new(&mut process, request.output);
    request.connection.log = printer.log(request.connection.verbosity);
    answer(&request, &mut process, &mut printer)
}

fn answer(request: &Request, process: &mut Process, printer: &mut Printer) -> Exit {
    match &request.verb {
        Verb::Completion(args) => printer.text(output::completion::script(args.shell)),
        Verb::Explain(cli::Explain { code: None }) => printer.show(&commands::explain::list()),
        Verb::Explain(cli::Explain { code: Some(code) }) => match commands::explain::explain(code) {
            Ok(explanation) => printer.show(&explanation),
            Err(failure) => printer.fail(&failure),
        },
        Verb::Wait(args) => commands::wait::run(request, args, process, printer),
        Verb::CanStop(args) => commands::can_stop::run(request, args, process, printer),
        Verb::Status(args) if args.settled => commands::settled::run(request, args, process, printer),
        Verb::Status(args) if args.watch => commands::watch::run(request, args, process, printer),
        Verb::Sql(args) => commands::sql::run(request, args, process, printer),
        Verb::Galera(Galera { verb: GaleraVerb::Grastate(args) }) => commands::galera::grastate(request, args, process, printer),
        Verb::Galera(Galera { verb: GaleraVerb::Recover(args) }) => commands::operation::recover(request, args, process, printer),
        Verb::Galera(Galera { verb: GaleraVerb::Bootstrap(args) }) => {
            commands::operation::bootstrap(request, args, process, printer)
        }
        Verb::Stop(args) => commands::operation::stop(request, args, process, printer),
        Verb::Suspend(args) => commands::operation::suspend(request, args, process, printer),
        Verb::Unsuspend(args) => commands::operation::unsuspend(request, args, process, printer),
        Verb::Start(args) => commands::operation::start(request, args, process, printer),
        Verb::Upgrade(args) => commands::operation::upgrade(request, args, process, printer),
        Verb::Restart(args) => commands::operation::restart(request, args, process, printer),
        Verb::Scale(args) => commands::operation::scale(request, args, process, printer),
        Verb::Rebuild(args) => commands::operation::rebuild(request, args, process, printer),
        Verb::Pvc(Pvc { verb: PvcVerb::List(args) }) => commands::pvc::list(request, args, process, printer),
        Verb::Pvc(Pvc { verb: PvcVerb::Prune(args) }) => commands::pvc::prune(request, args, process, printer),
        Verb::Pvc(Pvc { verb: PvcVerb::Expand(args) }) => commands::pvc::expand(request, args, process, printer),
        Verb::Operation(args) => commands::operation::operations(request, &args.verb, process, printer),
        Verb::Status(args) => commands::status::run(request, args, process, printer),
        Verb::Version(args) => commands::version::run(request, args, process, printer),
    }
}
