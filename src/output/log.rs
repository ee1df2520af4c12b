//! The lines of `-v`, on stderr.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::api::log::Log;

/// A stream that several parts of the program write whole lines to.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Box<dyn Write + Send>>>);

impl Shared {
    pub(super) fn new(stream: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    /// Lines of requests go here.
    pub(super) fn log(&self, level: u8) -> Log {
        let stream = self.clone();
        Log::new(level, move |line| {
            // Nobody is left to be told.
            let _ = stream.clone().write_all(format!("{line}\n").as_bytes());
        })
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}
