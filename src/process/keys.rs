//! Keys as they are pressed, and what becomes of the terminal, while a screen is shown that stays.

use std::io::Read;

use tokio::sync::mpsc;

use super::Terminal;

/// Reads keys until it is dropped; then the terminal is as it was before.
pub struct Keys {
    pressed: mpsc::UnboundedReceiver<u8>,
    #[cfg(unix)]
    mode: Option<mode::Changed>,
}

impl Keys {
    /// Nothing is read if stdin is no terminal: it may be somebody else's input.
    #[must_use]
    pub fn of(terminal: Terminal, stdin: &mut Box<dyn Read + Send>) -> Self {
        let (sender, pressed) = mpsc::unbounded_channel();
        #[cfg(unix)]
        let mode = (terminal.own && terminal.stdin_is).then(mode::Changed::each_key).flatten();
        if terminal.stdin_is {
            let mut stdin = std::mem::replace(stdin, Box::new(std::io::empty()));
            // Ends with the process at the latest: nothing else can end a read.
            std::thread::spawn(move || {
                let mut key = [0];
                while stdin.read(&mut key).is_ok_and(|read| read == 1) && sender.send(key[0]).is_ok() {}
            });
        }
        Self {
            pressed,
            #[cfg(unix)]
            mode,
        }
    }

    /// Waits until `q` or `Q` is pressed.
    pub async fn quit(&mut self) {
        while let Some(key) = self.pressed.recv().await {
            if matches!(key, b'q' | b'Q') {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Stops this process, with the terminal's modes as they were. When somebody continues it, the next [`ScreenSignal`] is
    /// [`ScreenSignal::Redraw`].
    pub fn suspend(&self) {
        #[cfg(unix)]
        {
            self.mode.as_ref().map(mode::Changed::undo);
            mode::stop();
        }
    }
}

/// What a screen that stays has to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScreenSignal {
    /// Everything has to be drawn anew: another size, or back from the background.
    Redraw,
    /// Ctrl-Z: give the terminal back, then [`Keys::suspend`].
    Suspend,
}

/// The signals that are about the screen.
pub struct ScreenSignals {
    #[cfg(unix)]
    signals: Option<[tokio::signal::unix::Signal; 3]>,
}

impl ScreenSignals {
    /// Only in an event loop.
    #[must_use]
    pub fn of(terminal: Terminal) -> Self {
        #[cfg(not(unix))]
        let _ = terminal;
        Self {
            #[cfg(unix)]
            signals: if terminal.own && terminal.stdout_is { mode::signals() } else { None },
        }
    }

    pub async fn next(&mut self) -> ScreenSignal {
        #[cfg(unix)]
        if let Some([resized, resumed, suspended]) = &mut self.signals {
            return tokio::select! {
                Some(()) = resized.recv() => ScreenSignal::Redraw,
                Some(()) = resumed.recv() => {
                    mode::each_key_again();
                    ScreenSignal::Redraw
                }
                Some(()) = suspended.recv() => ScreenSignal::Suspend,
                else => std::future::pending().await,
            };
        }
        std::future::pending().await
    }
}

#[cfg(unix)]
mod mode {
    use rustix::process;
    use rustix::stdio::stdin;
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// How the terminal was.
    pub struct Changed(Termios);

    impl Changed {
        /// Keys come one by one and are not shown; Ctrl-C and Ctrl-Z stay what they are.
        pub fn each_key() -> Option<Self> {
            let before = tcgetattr(stdin()).ok()?;
            set(&before);
            Some(Self(before))
        }

        pub fn undo(&self) {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
        }
    }

    impl Drop for Changed {
        fn drop(&mut self) {
            self.undo();
        }
    }

    fn set(before: &Termios) {
        let mut each = before.clone();
        each.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        let _ = tcsetattr(stdin(), OptionalActions::Now, &each);
    }

    /// The shell has set its own modes while we were in the background.
    pub fn each_key_again() {
        if let Ok(now) = tcgetattr(stdin()) {
            set(&now);
        }
    }

    pub fn signals() -> Option<[Signal; 3]> {
        let caught = |kind| signal(kind).ok();
        let of = |signal: process::Signal| SignalKind::from_raw(signal.as_raw());
        Some([caught(SignalKind::window_change())?, caught(of(process::Signal::CONT))?, caught(of(process::Signal::TSTP))?])
    }

    /// Once caught, the signal of Ctrl-Z stops nobody; this one does.
    pub fn stop() {
        let _ = process::kill_process(process::getpid(), process::Signal::STOP);
    }
}
