//! Statements on every server of a cluster, at once.

use futures::future::join_all;

use super::input::Input;
use super::place::{Place, Server};
use super::run::{Out, Running, find, unasked};
use crate::cli::{self, Request};
use crate::decide::sql::Role;
use crate::failure::{Exit, Failure};
use crate::model::sql::{Quoting, Statement};
use crate::output::Printer;
use crate::output::sql::Writer;
use crate::output::sql::side::{Server as Answered, SqlComparison};
use crate::process::{Interrupts, Process, run_async};

/// Runs the input on every server, and shows the answers side by side.
pub fn statements(request: &Request, args: &cli::Sql, input: &Input, process: &Process, printer: &mut Printer) -> Exit {
    let work = async {
        let mut interrupts = Interrupts::new(process.signals);
        let place = find(request, args, process, &mut interrupts).await?;
        let ask = place.seen.members.iter().map(|(ordinal, member)| {
            let pod = place.seen.pod_name(*ordinal);
            let (place, interrupts) = (&place, Interrupts::new(process.signals));
            async move {
                match member.server.known() {
                    Ok(_) => one(request, args, input, place, pod, interrupts).await,
                    Err(why) => Answered { failure: Some(unasked(&pod, why, &args.on)), pod, answers: Vec::new() },
                }
            }
        });
        Ok(join_all(ask).await)
    };
    // As most servers read them: their differences in that are differences of the answers.
    let asked: Result<Vec<Statement>, Failure> = input.statements(Quoting::default(), args.write);
    match (run_async(false, work), asked) {
        (Ok(answered), Ok(asked)) => printer.show(&SqlComparison::new(&asked, answered)),
        (Err(failure), _) | (_, Err(failure)) => printer.fail(&failure),
    }
}

/// Everything one server answers. Ctrl-C reaches each of them on its own.
async fn one(
    request: &Request,
    args: &cli::Sql,
    input: &Input,
    place: &Place,
    pod: String,
    mut interrupts: Interrupts,
) -> Answered {
    let mut out = Out::held();
    let server = Server { pod: place.pod(pod.clone()), role: Role::Named };
    let asking = async {
        let mut running = Running::open(place, server, args, request.pod_timeout).await?;
        let statements = input.statements(running.standing.quoting, args.write)?;
        running.all(&statements, &mut interrupts, &mut out).await
    };
    let failure = asking.await.err();
    let answers = if let Writer::Held(held) = out.writer { held.answers } else { Vec::new() };
    Answered { pod, answers, failure }
}
