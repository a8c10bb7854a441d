//! How long to wait: before an open breaker lets a canary through, and before a retry.
//!
//! Both grow exponentially and are spread at random: otherwise all agents of a fleet that
//! lost an endpoint at one moment would ask it again at one moment.

use std::time::Duration;

use rand::{Rng, RngExt};

/// Exponents stop growing here: a cooldown has reached its maximum long before.
const MAX_EXPONENT: u32 = 63;

/// An exponent falls by one for each of these that an endpoint spends outside
/// CoolingDown and HalfOpen.
const DECAY: Duration = Duration::from_secs(60);

/// Retry delays are drawn from 0.7 to 1.3 of their nominal length.
const RETRY_JITTER: f64 = 0.3;

/// How long a breaker stays open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cooldown {
    /// The first one's length.
    pub(super) base: Duration,
    /// No drawn cooldown is longer.
    pub(super) max: Duration,
    /// Share of its length by which one is drawn shorter or longer.
    pub(super) jitter: f64,
}

impl Cooldown {
    /// Draws the cooldown of one opening: `min(base * 2^exponent, max / (1 + jitter))`,
    /// times something between `1 - jitter` and `1 + jitter`.
    ///
    /// The doubling ends below `max` so that the longest cooldowns have the whole jitter. To
    /// double up to `max` and let the jitter only shorten saves a dead endpoint three
    /// requests an hour, but leaves the canaries of a source's paths together for longer,
    /// and then none of them comes soon.
    pub(super) fn draw(&self, exponent: u32, rng: &mut impl Rng) -> Duration {
        let doubled = self.base.as_secs_f64() * 2f64.powi(exponent.min(MAX_EXPONENT) as i32);
        let nominal = doubled.min(self.max.as_secs_f64() / (1.0 + self.jitter));
        seconds(nominal * spread(self.jitter, rng)).min(self.max)
    }
}

/// The exponent after one more failure.
pub(super) fn grown(exponent: u32) -> u32 {
    (exponent + 1).min(MAX_EXPONENT)
}

/// The exponent after `calm` time outside CoolingDown and HalfOpen.
pub(super) fn decayed(exponent: u32, calm: Duration) -> u32 {
    let steps = calm.as_secs() / DECAY.as_secs();
    exponent.saturating_sub(u32::try_from(steps).unwrap_or(u32::MAX))
}

/// Draws the delay before retry number `retry`, counted from 0: `base * 2^retry`, give or
/// take 30 %.
pub(super) fn retry_delay(base: Duration, retry: u32, rng: &mut impl Rng) -> Duration {
    let doubled = base.as_secs_f64() * 2f64.powi(retry.min(MAX_EXPONENT) as i32);
    seconds(doubled * spread(RETRY_JITTER, rng))
}

fn spread(jitter: f64, rng: &mut impl Rng) -> f64 {
    1.0 - jitter + 2.0 * jitter * rng.random::<f64>()
}

/// Like `from_secs_f64`, but what doesn't fit is long instead of a panic.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    const COOLDOWN: Cooldown = Cooldown {
        base: Duration::from_secs(60),
        max: Duration::from_secs(300),
        jitter: 0.3,
    };

    /// The least and the most of many draws, in seconds.
    fn range(draw: impl Fn(&mut SmallRng) -> Duration) -> (f64, f64) {
        let mut rng = SmallRng::seed_from_u64(7);
        let draws: Vec<f64> = (0..20_000).map(|_| draw(&mut rng).as_secs_f64()).collect();
        let least = draws.iter().copied().fold(f64::INFINITY, f64::min);
        let most = draws.iter().copied().fold(0.0, f64::max);
        (least, most)
    }

    fn near((least, most): (f64, f64), expected: (f64, f64)) {
        let off = (least - expected.0).abs().max((most - expected.1).abs());
        assert!(
            off < expected.1 * 0.002,
            "{least}..{most} is not {expected:?}"
        );
    }

    #[test]
    fn a_cooldown_doubles_and_never_exceeds_its_maximum() {
        near(range(|rng| COOLDOWN.draw(0, rng)), (42.0, 78.0));
        near(range(|rng| COOLDOWN.draw(1, rng)), (84.0, 156.0));
        near(
            range(|rng| COOLDOWN.draw(2, rng)),
            (300.0 / 1.3 * 0.7, 300.0),
        );
        near(
            range(|rng| COOLDOWN.draw(63, rng)),
            (300.0 / 1.3 * 0.7, 300.0),
        );
        near(
            range(|rng| COOLDOWN.draw(u32::MAX, rng)),
            (300.0 / 1.3 * 0.7, 300.0),
        );
    }

    #[test]
    fn an_exponent_grows_to_63_and_falls_by_one_a_minute() {
        assert_eq!(grown(0), 1);
        assert_eq!(grown(63), 63);
        let seconds = Duration::from_secs;
        assert_eq!(decayed(5, seconds(59)), 5);
        assert_eq!(decayed(5, seconds(60)), 4);
        assert_eq!(decayed(5, seconds(301)), 0);
        assert_eq!(decayed(5, Duration::MAX), 0);
    }

    #[test]
    fn retries_wait_1_2_and_4_seconds_give_or_take_three_tenths() {
        let base = Duration::from_secs(1);
        near(range(|rng| retry_delay(base, 0, rng)), (0.7, 1.3));
        near(range(|rng| retry_delay(base, 1, rng)), (1.4, 2.6));
        near(range(|rng| retry_delay(base, 2, rng)), (2.8, 5.2));
    }
}
