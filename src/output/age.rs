//! Spans of time for people, as kubectl writes them.

use jiff::Timestamp;

/// `5s`, `3m20s`, `47m`, `3h12m`, `14h`, `3d4h`, `12d`, `400d`, `3y`.
#[must_use]
pub fn age(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second() - from.as_second();
    // Clocks differ; kubectl calls two seconds into the future "now" as well.
    u64::try_from(seconds.max(0)).map_or_else(|_| "?".to_owned(), duration)
}

/// The same for a number of seconds.
#[must_use]
pub fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: u64, unit: &str, small: u64, rest: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{rest}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_those_of_kubectl() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (600, "10m"),
            (10_799, "179m"),
            (11_520, "3h12m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (273_600, "3d4h"),
            (691_200, "8d"),
            (34_560_000, "400d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn a_clock_that_is_behind_makes_no_negative_age() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(age(at(100), at(98)), "0s");
        assert_eq!(age(at(100), at(105)), "5s");
    }
}
