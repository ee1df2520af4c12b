//! Questions to the person at the terminal.

use std::io;

/// Asks for a password without showing it. It goes past the streams of the process: to the terminal itself.
///
/// # Errors
/// There is no terminal, or it is closed.
pub fn password(question: &str) -> io::Result<String> {
    rpassword::prompt_password(question)
}
