//! Shell scripts for containers: how they get there, and the part all that speak SQL share.

/// Reads the script from stdin up to the line `--go` and runs it. The script is not in argv, so neither it nor any
/// SQL is in audit logs and process lists; stdin need not end, which the older exec protocol (v4) cannot say. What follows
/// that line on stdin is the script's own input.
pub const LOADER: [&str; 3] = ["sh", "-c", "s=; while IFS= read -r l && [ \"$l\" != --go ]; do s=\"$s$l\n\"; done; eval \"$s\""];

/// Functions that find the server of a container, its client and an account.
pub const CLIENT: &str = include_str!("sql/client.sh");

/// `name='value'` lines; a value may hold anything but NUL.
#[must_use]
pub fn assignments(settings: &[(&str, &str)]) -> String {
    settings.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect()
}

/// Adds `functions` without what only people need: the loader reads byte by byte.
pub fn append(script: &mut String, functions: &str) {
    for line in functions.lines().map(str::trim_start).filter(|line| !line.starts_with('#')) {
        script.push_str(line);
        script.push('\n');
    }
}

/// A word for the shell, whatever it holds.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}
