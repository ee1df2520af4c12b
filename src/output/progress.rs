//! What is being waited for, on stderr and only on a terminal.

use std::convert::Infallible;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::process::Terminal;

/// Most answers come sooner; a line that comes and goes at once only disturbs.
const PATIENCE: Duration = Duration::from_millis(500);

/// Does the work, and says what it waits for if that takes longer.
pub async fn during<T>(terminal: Terminal, message: &'static str, work: impl Future<Output = T>) -> T {
    if !terminal.stderr_is {
        return work.await;
    }
    let say = async {
        tokio::time::sleep(PATIENCE).await;
        let _line = Line::start(message);
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        result = work => result,
        never = say => match never {},
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
