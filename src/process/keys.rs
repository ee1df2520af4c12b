//! Keys as they are pressed, and changes of the terminal's size, while a screen is shown that stays.

use std::io::Read;

use tokio::sync::mpsc;

use super::Terminal;

/// Reads keys until it is dropped; then the terminal is as it was before.
pub struct Keys {
    pressed: mpsc::UnboundedReceiver<u8>,
    #[cfg(unix)]
    _mode: Option<mode::Changed>,
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
            _mode: mode,
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
}

/// Tells when the screen has to be drawn anew as a whole: another size, or back from the background.
pub struct Redraws {
    #[cfg(unix)]
    signals: [Option<tokio::signal::unix::Signal>; 2],
}

impl Redraws {
    /// Only in an event loop.
    #[must_use]
    pub fn of(terminal: Terminal) -> Self {
        #[cfg(not(unix))]
        let _ = terminal;
        Self {
            #[cfg(unix)]
            signals: if terminal.own && terminal.stdout_is { mode::signals() } else { [None, None] },
        }
    }

    pub async fn next(&mut self) {
        #[cfg(unix)]
        {
            let [resized, resumed] = &mut self.signals;
            tokio::select! {
                () = mode::arrived(resized) => {}
                () = mode::arrived(resumed) => mode::each_key_again(),
            }
        }
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
mod mode {
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
    }

    impl Drop for Changed {
        fn drop(&mut self) {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
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

    pub fn signals() -> [Option<Signal>; 2] {
        let resumed = SignalKind::from_raw(rustix::process::Signal::CONT.as_raw());
        [signal(SignalKind::window_change()).ok(), signal(resumed).ok()]
    }

    pub async fn arrived(signal: &mut Option<Signal>) {
        let is_over = match signal {
            Some(signal) => signal.recv().await.is_none(),
            None => true,
        };
        if is_over {
            std::future::pending::<()>().await;
        }
    }
}
