//! Against the loop that everybody has.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use crate::measure::{Turns, time};
use crate::place::{Far, Place, Program, SEEN};
use crate::report::{Bar, Report};

const TURNS: usize = 7;

/// The Secret is that of the cluster that `cargo bed demo` makes.
const LOOP: &str = r#"set -e
password=$(kubectl -n "$1" get secret db-passwords -o 'jsonpath={.data.root}' | base64 -d)
for pod in $(kubectl -n "$1" get pods -l "app=$2" -o name); do
  kubectl -n "$1" exec "$pod" -c "$3" -- mariadb -uroot -p"$password" -e "show status like 'wsrep%'"
done"#;

/// Prints the last line of a look and nothing else.
const NOTHING: &str = "printf '@@kubectl-mariadb@@ end\\n'\n--go\n";

pub fn measure(report: &mut Report, runtime: &Runtime, program: &Program, place: &Place) -> Result<()> {
    let pods = place.ask.pods.len();
    let empty = place.with_script(NOTHING);
    for millis in [0, 50] {
        let round_trip = Duration::from_millis(millis);
        let far = runtime.block_on(Far::from(place, round_trip))?;
        let far_empty = runtime.block_on(Far::from(&empty, round_trip))?;
        let turns = Turns::take(
            TURNS,
            &mut [
                &mut || time(&mut shell_loop(place, &far.kubeconfig), &[0]),
                &mut || time(&mut far.status(program), SEEN),
                &mut || time(&mut far_empty.bare()?, &[0]),
            ],
        )?;
        let [other, own, nothing] = [0, 1, 2].map(|contestant| 1e3 * turns.median(contestant));
        let what = format!("loop {other:.0} ms, `status` {own:.0} ms, {pods} pods, at {millis} ms round trip");
        report.line(what, turns.ratio(0, 1), 1, " ×", Bar::AtLeast(5.0));
        let what = format!("the same objects and {pods} execs that do nothing, bare client, at {millis} ms");
        report.line(what, nothing, 0, " ms", Bar::None);
    }
    Ok(())
}

fn shell_loop(place: &Place, kubeconfig: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", LOOP, "sh", &place.ask.namespace, &place.ask.set, &place.ask.container]).env("KUBECONFIG", kubeconfig);
    command
}
