//! `sql`.

mod all;
mod input;
mod place;
mod run;
mod shell;

use crate::cli::global::Format;
use crate::cli::{self, Request};
use crate::decide::sql::{On, may_write};
use crate::failure::{Exit, Failure, Kind};
use crate::output::Printer;
use crate::process::Process;

use self::input::Input;

/// Runs statements, or a shell.
pub fn run(request: &Request, args: &cli::Sql, process: &mut Process, printer: &mut Printer) -> Exit {
    if request.output.format == Format::Name {
        return printer.fail(&Failure::new(Kind::Usage, "sql has no -o name").hint("table, wide, json, yaml or jsonl"));
    }
    let checked = if args.write { may_write(&args.on) } else { Ok(()) };
    let input = checked.and_then(|()| Input::take(args, process)).and_then(|input| match input {
        Some(input) => input.check(args.write).map(|()| Some(input)),
        None => shell::may_open(request, args).map(|()| None),
    });
    match input {
        Ok(Some(input)) if args.on == On::All => all::statements(request, args, &input, process, printer),
        Ok(Some(input)) => run::statements(request, args, &input, process, printer),
        Ok(None) => shell::open(request, args, process, printer),
        Err(failure) => printer.fail(&failure),
    }
}
