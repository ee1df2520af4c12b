//! What is being waited for, on stderr and only on a terminal.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use indicatif::ProgressBar;

use crate::process::Terminal;

/// Most answers come sooner; a line that comes and goes at once only disturbs.
const PATIENCE: Duration = Duration::from_millis(500);

/// Does the work, and says what it waits for if that takes longer.
pub async fn during<T>(terminal: Terminal, message: &'static str, work: impl Future<Output = T>) -> T {
    Waiting::new(terminal, message).during(work).await
}

/// A word about what is being waited for, which steps aside while a question is on the screen.
pub struct Waiting {
    terminal: Terminal,
    message: &'static str,
    aside: Cell<bool>,
    line: RefCell<Option<Line>>,
}

impl Waiting {
    #[must_use]
    pub const fn new(terminal: Terminal, message: &'static str) -> Self {
        Self { terminal, message, aside: Cell::new(false), line: RefCell::new(None) }
    }

    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        if !self.terminal.stderr_is {
            return work.await;
        }
        let say = async {
            loop {
                tokio::time::sleep(PATIENCE).await;
                if !self.aside.get() && self.line.borrow().is_none() {
                    *self.line.borrow_mut() = Some(Line::start(self.message));
                }
            }
        };
        let result = tokio::select! {
            biased;
            result = work => result,
            never = say => never,
        };
        self.line.take();
        result
    }

    /// Clears the line until [`Self::back`].
    pub fn aside(&self) {
        self.aside.set(true);
        self.line.take();
    }

    pub fn back(&self) {
        self.aside.set(false);
    }
}

/// A line that moves; gone when it is dropped.
struct Line(ProgressBar);

impl Line {
    fn start(message: &'static str) -> Self {
        // Draws to stderr.
        let bar = ProgressBar::new_spinner().with_message(message);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
