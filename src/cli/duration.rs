//! Durations on the command line.

use std::time::Duration;

/// Reads `3`, `3s`, `500ms`, `1.5m`, `1h30m`. A bare number is seconds, as in kubectl.
///
/// # Errors
/// One sentence on what is accepted.
pub fn parse(text: &str) -> Result<Duration, String> {
    seconds(text)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "write a duration as 10s, 500ms, 2m or 1h30m; a bare number is seconds".to_owned())
}

fn seconds(text: &str) -> Option<f64> {
    if let Some(bare) = number(text) {
        return Some(bare);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (count, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        total += number(count)? * unit_seconds(unit)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// Digits with at most one point: no sign, no exponent, no `inf`.
fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| plain)
}

fn unit_seconds(unit: &str) -> Option<f64> {
    match unit {
        "ms" => Some(0.001),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_numbers_are_seconds_and_units_add_up() {
        for (text, milliseconds) in [
            ("0", 0),
            ("3", 3_000),
            ("3s", 3_000),
            ("0.5", 500),
            ("500ms", 500),
            ("1.5m", 90_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("1m30s500ms", 90_500),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "s", "-1", "-1s", "+3", "1e3", "inf", "NaN", "3 s", "3S", "3d", "1..5s", "3s4", "99999999999999999999h", "5m s"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
