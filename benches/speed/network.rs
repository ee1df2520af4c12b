//! Round trips of `status`, and what it costs more than a bare client.

use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;

use crate::measure::{Turns, time};
use crate::place::{Far, Place, Program, SEEN};
use crate::report::{Bar, Report};

const ROUND_TRIPS: [u64; 3] = [0, 50, 200];
const TURNS: usize = 9;
/// Without a distance every other process of the machine counts.
const NEAR_TURNS: usize = 31;

/// Runs `status` and the bare client in turn at each distance.
pub fn measure(report: &mut Report, runtime: &Runtime, program: &Program, place: &Place) -> Result<()> {
    let far: Result<Vec<Far>> =
        ROUND_TRIPS.iter().map(|millis| runtime.block_on(Far::from(place, Duration::from_millis(*millis)))).collect();
    let far = far?;
    let mut runs: Vec<Box<dyn FnMut() -> Result<Duration>>> = Vec::new();
    for far in &far {
        runs.push(Box::new(|| time(&mut far.status(program), SEEN)));
        runs.push(Box::new(|| time(&mut far.bare()?, &[0])));
    }
    let mut contestants: Vec<&mut dyn FnMut() -> Result<Duration>> = runs.iter_mut().map(|run| &mut **run as _).collect();
    let turns = Turns::take(TURNS, &mut contestants)?;
    let near = Turns::take(NEAR_TURNS, &mut contestants[..2])?;
    let status = |distance: usize| 2 * distance;
    let bare = |distance: usize| 2 * distance + 1;
    let trips = |contestant: fn(usize) -> usize| turns.paired(contestant(2), contestant(0), |far, near| (far - near) / 0.2);
    report.line("round trips of `status`: (time at 200 ms − time at 0 ms) / 200 ms", trips(status), 1, "", Bar::AtMost(5.2));
    report.line("round trips of the bare client", trips(bare), 1, "", Bar::None);
    for (distance, millis) in ROUND_TRIPS.iter().enumerate() {
        let turns = if distance == 0 { &near } else { &turns };
        let (own, other) = (1e3 * turns.median(status(distance)), 1e3 * turns.median(bare(distance)));
        let what = format!("`status` {own:.0} ms, bare client {other:.0} ms, at {millis} ms round trip");
        report.line(what, turns.ratio(status(distance), bare(distance)), 2, " ×", Bar::AtMost(1.3));
    }
    for (distance, millis) in ROUND_TRIPS.iter().enumerate() {
        far[distance].relay.take_connections();
        time(&mut far[distance].status(program), SEEN)?;
        let own = far[distance].relay.take_connections();
        time(&mut far[distance].bare()?, &[0])?;
        let what = format!("connections of `status`, at {millis} ms (bare client: {})", far[distance].relay.take_connections());
        report.line(what, own as f64, 0, "", Bar::None);
    }
    Ok(())
}
