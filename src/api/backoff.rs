//! Pauses between attempts: longer each time, and never at the same moment as everybody else's.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// Doubles from `first` to `longest`; each pause is between half of that and all of it.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    next: Duration,
    longest: Duration,
}

impl Backoff {
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, next: first, longest }
    }

    /// The pause before the next attempt.
    pub fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.longest);
        whole / 2 + (whole / 2).mul_f64(random())
    }

    /// It worked: the next failure starts small again.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

/// From 0 to 1. The keys of the standard library's hash maps are random, and that is random enough here.
pub fn random() -> f64 {
    f64::from(RandomState::new().build_hasher().finish() as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_start_small_after_a_success() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_millis(350));
        let mut backoff = Backoff::new(first, longest);
        for whole in [100, 200, 350, 350] {
            let pause = backoff.pause().as_millis();
            assert!((whole / 2..=whole).contains(&pause), "{pause} of {whole}");
        }
        backoff.reset();
        assert!(backoff.pause() <= first);
    }
}
