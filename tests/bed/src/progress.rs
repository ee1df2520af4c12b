//! What is being done, since when, and how long it usually takes; on stderr.
//!
//! A terminal gets a spinner per step; anything else gets plain lines: one at the start, one per
//! minute, one at the end.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Where steps are shown. Clones share the terminal, so steps of several threads do not mix.
#[derive(Debug, Clone)]
pub struct Progress {
    spinners: Option<MultiProgress>,
    silent: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    #[must_use]
    pub fn new() -> Self {
        Self { spinners: std::io::stderr().is_terminal().then(MultiProgress::new), silent: false }
    }

    /// Shows nothing.
    #[must_use]
    pub const fn silent() -> Self {
        Self { spinners: None, silent: true }
    }

    /// Starts a step. `doing` reads like "building Kubernetes 1.34"; `usual` is how long it takes
    /// on two cores, or `None` for what takes a second.
    #[must_use = "the step ends when it is dropped"]
    pub fn step(&self, doing: impl Into<String>, usual: Option<Duration>) -> Step {
        let doing = doing.into();
        let shown = match (&self.spinners, self.silent) {
            (_, true) => Shown::Nowhere,
            (Some(all), false) => Shown::Spinner(spinner(all, &doing, usual)),
            (None, false) => Shown::lines(doing.clone(), usual),
        };
        Step { doing, began: Instant::now(), shown, ended: false }
    }

    /// Runs `work` as a step, which is done or failed as the result says.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn during<T>(
        &self,
        doing: impl Into<String>,
        usual: Option<Duration>,
        work: impl FnOnce(&Step) -> Result<T>,
    ) -> Result<T> {
        let step = self.step(doing, usual);
        let result = work(&step)?;
        step.done();
        Ok(result)
    }

    /// One line that stays, outside any step.
    pub fn say(&self, line: &str) {
        match &self.spinners {
            _ if self.silent => {}
            Some(all) => all.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }
}

/// Something that is being done. Dropped without [`Step::done`] it counts as failed.
#[derive(Debug)]
pub struct Step {
    doing: String,
    began: Instant,
    shown: Shown,
    ended: bool,
}

impl Step {
    /// Says what the step is at just now ("unpacking", "3 of 7").
    pub fn note(&self, what: &str) {
        if let Shown::Spinner(bar) = &self.shown {
            bar.set_message(format!("{} ({what})", self.doing));
        }
    }

    /// The step has succeeded.
    pub fn done(mut self) {
        self.end("done in");
    }

    fn end(&mut self, how: &str) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let line = format!("{}: {how} {}", self.doing, spoken(self.began.elapsed()));
        match std::mem::replace(&mut self.shown, Shown::Nowhere) {
            Shown::Nowhere => {}
            Shown::Spinner(bar) => {
                bar.set_style(style("{msg}"));
                bar.finish_with_message(line);
            }
            Shown::Lines { stop, ticker } => {
                drop(stop);
                // A panic in the ticker loses a line, nothing else.
                let _ = ticker.join();
                eprintln!("{line}");
            }
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.end("failed after");
    }
}

#[derive(Debug)]
enum Shown {
    Nowhere,
    Spinner(ProgressBar),
    Lines { stop: Sender<()>, ticker: JoinHandle<()> },
}

impl Shown {
    fn lines(doing: String, usual: Option<Duration>) -> Self {
        let hint = usually(usual);
        eprintln!("{doing}{hint}");
        let (stop, stopped) = channel::<()>();
        let began = Instant::now();
        let ticker = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{doing}: {} so far{hint}", spoken(began.elapsed()));
            }
        });
        Self::Lines { stop, ticker }
    }
}

fn spinner(all: &MultiProgress, doing: &str, usual: Option<Duration>) -> ProgressBar {
    let bar = all.add(ProgressBar::new_spinner());
    let hint = usually(usual);
    bar.set_style(style(&format!("{{spinner}} {{msg}} {{elapsed}}{hint}")));
    bar.set_message(doing.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this file are well formed")
}

fn usually(usual: Option<Duration>) -> String {
    usual.map_or_else(String::new, |d| format!(" (usually {})", spoken(d)))
}

/// `0.4 s`, `12 s`, `7 min 39 s`: as precise as a reader wants it.
#[must_use]
pub fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spoken_as_precisely_as_needed() {
        let of = |ms| spoken(Duration::from_millis(ms));
        assert_eq!(of(432), "0.4 s");
        assert_eq!(of(12_900), "12 s");
        assert_eq!(of(459_000), "7 min 39 s");
        assert_eq!(of(120_000), "2 min");
    }

    #[test]
    fn a_step_returns_the_result_of_its_work() {
        let progress = Progress::silent();
        let ok = progress.during("counting", None, |_| Ok(3)).unwrap();
        assert_eq!(ok, 3);
        let failed: Result<()> = progress.during("counting", None, |step| {
            step.note("half way");
            anyhow::bail!("lost count")
        });
        assert_eq!(failed.unwrap_err().to_string(), "lost count");
    }
}
