//! The real program in a pseudo terminal, against the fake API server of this process, and what the terminal then shows.

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::server::Server;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-mariadb");

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    master: Box<dyn MasterPty + Send>,
    bytes: Receiver<Vec<u8>>,
    emulator: vt100::Parser,
    /// What came and was not yet waited for.
    text: String,
}

impl Terminal {
    /// `kubectl mariadb ARGS` in 24 lines of 80 columns.
    pub fn open(server: &Server, args: &[&str]) -> Self {
        Self::of(PROGRAM, args, &server.kubeconfig())
    }

    /// Any other program there, with nothing of our own environment.
    pub fn of(program: &str, args: &[&str], kubeconfig: &Path) -> Self {
        let pair = native_pty_system().openpty(size(24, 80)).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env_clear();
        command.env("PATH", "/usr/bin:/bin");
        command.env("KUBECONFIG", kubeconfig);
        command.env("TERM", "xterm");
        command.env("NO_COLOR", "1");
        command.env("PS1", "prompt> ");
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let (tell, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if tell.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let emulator = vt100::Parser::new(some(24), some(80), 0);
        Self { child, keys, master: pair.master, bytes, emulator, text: String::new() }
    }

    /// Waits until `wanted` comes, and forgets everything up to there.
    pub fn wait(&mut self, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text.find(wanted) {
                self.text.drain(..at + wanted.len());
                return;
            }
            assert!(self.more(until), "{wanted:?} never came: {:?}", self.text);
        }
    }

    /// Waits until the screen is so.
    pub fn until(&mut self, what: &str, is: impl Fn(&vt100::Screen) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is(self.screen()) {
            let more = self.more(until);
            assert!(more, "never {what}; the screen:\n{}", self.screen().contents());
        }
    }

    pub fn screen(&self) -> &vt100::Screen {
        self.emulator.screen()
    }

    /// Everything that came since it was asked last, control characters included.
    pub fn take_text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// `false`: nothing came until then, or it has ended.
    fn more(&mut self, until: Instant) -> bool {
        let Ok(bytes) = self.bytes.recv_timeout(until.saturating_duration_since(Instant::now())) else { return false };
        self.emulator.process(&bytes);
        self.text.push_str(&String::from_utf8_lossy(&bytes));
        true
    }

    pub fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// The window gets another size; whatever runs in it is told so by the kernel.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        self.master.resize(size(rows, columns)).unwrap();
        self.emulator.screen_mut().set_size(some(rows), some(columns));
    }

    /// Waits for the end, and gives the exit code.
    pub fn exit(&mut self) -> u32 {
        let code = self.child.wait().unwrap().exit_code();
        while self.more(Instant::now() + Duration::from_millis(200)) {}
        code
    }
}

const fn size(rows: u16, cols: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn some(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}
