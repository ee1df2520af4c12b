//! Running whole processes, and comparing them with their neighbours in time: the machine may be noisy, a ratio of neighbours
//! is less so.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// How long one run of a whole process took, output thrown away. `codes` are the exit codes of a run that worked.
pub fn time(command: &mut Command, codes: &[i32]) -> Result<Duration> {
    quiet(command);
    let start = Instant::now();
    let status = command.status();
    let taken = start.elapsed();
    check(command, status?, codes)?;
    Ok(taken)
}

/// What one run of a whole process cost.
pub struct Cost {
    pub taken: Duration,
    /// On a CPU, of its first thread: the plugin has no other that works.
    pub busy: Duration,
    /// Peak of its resident memory in bytes, as the kernel counts it for `/proc/PID/status` (`VmHWM`). Not `ru_maxrss`: that
    /// one starts with the memory of the process that forked.
    pub memory: u64,
}

/// As [`time`], with a look at the process every millisecond.
pub fn cost(command: &mut Command, codes: &[i32]) -> Result<Cost> {
    quiet(command);
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("{command:?} does not start"))?;
    let files = PathBuf::from(format!("/proc/{}", child.id()));
    let (mut memory, mut busy) = (0, 0);
    let status = loop {
        if let Some(kib) = peak_memory(&std::fs::read_to_string(files.join("status"))?) {
            memory = kib * 1024;
            busy = nanoseconds_on_cpu(&std::fs::read_to_string(files.join("schedstat"))?).unwrap_or(busy);
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let taken = start.elapsed();
    check(command, status, codes)?;
    Ok(Cost { taken, busy: Duration::from_nanos(busy), memory })
}

/// A process that has ended has none.
fn peak_memory(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

fn nanoseconds_on_cpu(schedstat: &str) -> Option<u64> {
    schedstat.split(' ').next()?.parse().ok()
}

fn quiet(command: &mut Command) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
}

fn check(command: &Command, status: std::process::ExitStatus, codes: &[i32]) -> Result<()> {
    ensure!(status.code().is_some_and(|code| codes.contains(&code)), "{command:?} ended with {status}");
    Ok(())
}

/// The one in the middle, of an uneven number best.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn best(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}

/// What is compared, each run in turn: A B C, A B C …
pub struct Turns {
    /// `seconds[contestant][turn]`
    seconds: Vec<Vec<f64>>,
}

impl Turns {
    /// Runs each contestant `turns` times after one time that does not count.
    pub fn take(turns: usize, contestants: &mut [&mut dyn FnMut() -> Result<Duration>]) -> Result<Self> {
        let mut seconds = vec![Vec::with_capacity(turns); contestants.len()];
        for turn in 0..=turns {
            for (contestant, run) in contestants.iter_mut().enumerate() {
                let taken = run()?.as_secs_f64();
                if turn > 0 {
                    seconds[contestant].push(taken);
                }
            }
        }
        Ok(Self { seconds })
    }

    pub fn median(&self, contestant: usize) -> f64 {
        median(self.seconds[contestant].iter().copied())
    }

    pub fn best(&self, contestant: usize) -> f64 {
        best(self.seconds[contestant].iter().copied())
    }

    /// The median of what `compare` says of two contestants' runs of the same turn.
    pub fn paired(&self, a: usize, b: usize, compare: fn(f64, f64) -> f64) -> f64 {
        median(self.seconds[a].iter().zip(&self.seconds[b]).map(|(a, b)| compare(*a, *b)))
    }

    /// The median of A/B, turn by turn.
    pub fn ratio(&self, a: usize, b: usize) -> f64 {
        self.paired(a, b, |a, b| a / b)
    }
}
