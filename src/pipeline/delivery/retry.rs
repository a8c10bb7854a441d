//! How long to wait before a request is attempted again, and for how long it is retried. Pure:
//! the time and the random source are handed in.

use std::time::Duration;

use rand::{Rng, RngExt as _};
use tokio::time::Instant;

use crate::settings::RetryOnFailure;

/// Longest advice of a peer that is followed.
const LONGEST_ADVICE: Duration = Duration::from_secs(300);

/// The waits of one request.
#[derive(Debug, Clone)]
pub(super) struct RetryWaits {
    settings: RetryOnFailure,
    interval: Duration,
    gives_up: Option<Instant>,
}

impl RetryWaits {
    /// For a request whose first attempt begins now.
    pub(super) fn new(settings: RetryOnFailure, now: Instant) -> Self {
        Self {
            settings,
            interval: settings.initial_interval,
            gives_up: settings.max_elapsed_time.map(|most| now + most),
        }
    }

    /// Gives the request more time, since for so long no attempt was allowed.
    pub(super) fn excuse(&mut self, forbidden: Duration) {
        self.gives_up = self.gives_up.map(|end| end + forbidden);
    }

    /// How long to wait after an attempt that failed now; `None` when the request has been
    /// tried for long enough. A peer's advice is never undercut. `forbidden` is how long
    /// from now on no attempt is allowed, which isn't the request's fault.
    pub(super) fn next(
        &mut self,
        now: Instant,
        advice: Option<Duration>,
        forbidden: Duration,
        rng: &mut impl Rng,
    ) -> Option<Duration> {
        if !self.settings.enabled {
            return None;
        }
        let wait = self.pause(advice, rng);
        let counted = wait.saturating_sub(forbidden);
        let in_time = self.gives_up.is_none_or(|end| now + counted <= end);
        in_time.then_some(wait)
    }

    /// The same for a request that isn't given up for its time.
    pub(super) fn pause(&mut self, advice: Option<Duration>, rng: &mut impl Rng) -> Duration {
        let jitter = self.settings.randomization_factor;
        let drawn = self
            .interval
            .mul_f64(rng.random_range(1.0 - jitter..=1.0 + jitter));
        self.interval = self
            .interval
            .mul_f64(self.settings.multiplier)
            .min(self.settings.max_interval);
        drawn.max(advice.unwrap_or_default().min(LONGEST_ADVICE))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    /// An attempt is allowed at once.
    const FREELY: Duration = Duration::ZERO;

    fn settings() -> RetryOnFailure {
        RetryOnFailure {
            randomization_factor: 0.0,
            ..RetryOnFailure::default()
        }
    }

    #[test]
    fn waits_grow_to_the_longest_and_end_with_the_time() {
        let start = Instant::now();
        let mut retry = RetryWaits::new(settings(), start);
        let mut rng = StdRng::seed_from_u64(1);
        let mut now = start;
        let mut waits = Vec::new();
        while let Some(wait) = retry.next(now, None, FREELY, &mut rng) {
            waits.push(wait.as_secs_f64());
            now += wait;
        }
        assert_eq!(&waits[..6], [5.0, 7.5, 11.25, 16.875, 25.3125, 30.0]);
        assert_eq!(waits.last(), Some(&30.0));
        assert!(now - start <= Duration::from_secs(300));
        assert!(now - start > Duration::from_secs(270));
    }

    #[test]
    fn advice_is_never_undercut_and_never_lasts_for_ever() {
        let start = Instant::now();
        let f = |advice: u64, expected: u64| {
            let unbounded = RetryOnFailure {
                max_elapsed_time: None,
                ..settings()
            };
            let wait = RetryWaits::new(unbounded, start).next(
                start,
                Some(Duration::from_secs(advice)),
                FREELY,
                &mut StdRng::seed_from_u64(1),
            );
            assert_eq!(wait, Some(Duration::from_secs(expected)), "advice {advice}");
        };
        f(0, 5);
        f(4, 5);
        f(20, 20);
        f(100_000, 300);
    }

    #[test]
    fn randomised_waits_stay_in_their_band() {
        let mut rng = StdRng::seed_from_u64(7);
        for _ in 0..1000 {
            let start = Instant::now();
            let wait = RetryWaits::new(RetryOnFailure::default(), start)
                .next(start, None, FREELY, &mut rng)
                .unwrap();
            assert!((2.5..=7.5).contains(&wait.as_secs_f64()), "{wait:?}");
        }
    }

    #[test]
    fn without_retries_nothing_waits() {
        let off = RetryOnFailure {
            enabled: false,
            ..RetryOnFailure::default()
        };
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(
            RetryWaits::new(off, now).next(now, None, FREELY, &mut rng),
            None
        );
    }

    #[test]
    fn time_in_which_nothing_was_allowed_does_not_count() {
        let start = Instant::now();
        let hour = Duration::from_secs(3600);
        let mut rng = StdRng::seed_from_u64(1);
        let mut retry = RetryWaits::new(settings(), start);
        let five = Duration::from_secs(5);
        let almost = start + Duration::from_secs(299);
        assert_eq!(retry.next(almost, None, hour, &mut rng), Some(five));
        retry.excuse(hour);
        assert!(retry.next(almost + hour, None, FREELY, &mut rng).is_none());
        retry.excuse(hour);
        assert!(retry.next(almost + hour, None, FREELY, &mut rng).is_some());
    }
}
