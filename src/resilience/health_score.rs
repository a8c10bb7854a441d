//! How well an endpoint does, as one number from 0 to 1.
//!
//! Half of it is whether attempts succeed, three tenths how long they take, two tenths how
//! much that varies. The parts are piecewise linear between the knots below, so that the
//! score moves without jumps and an operator can work it out by hand.

/// Mean latency in ms, and the score at it.
const LATENCY: [(f64, f64); 4] = [(0.0, 1.0), (100.0, 0.95), (1_000.0, 0.5), (5_000.0, 0.0)];

/// Standard deviation of the latency in ms, and the score at it.
const JITTER: [(f64, f64); 4] = [(0.0, 1.0), (50.0, 0.8), (200.0, 0.3), (500.0, 0.0)];

/// Weight of the success share.
pub(super) const SUCCESS_WEIGHT: f64 = 0.5;
const LATENCY_WEIGHT: f64 = 0.3;
const JITTER_WEIGHT: f64 = 0.2;

/// What the recent latencies of an endpoint look like, in ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Latency {
    /// None were measured.
    Unknown,
    /// One was, so nothing is known about how they vary.
    Single(f64),
    /// Mean and sample standard deviation.
    Spread {
        /// Mean.
        mean: f64,
        /// Sample standard deviation.
        deviation: f64,
    },
}

/// The score of an endpoint of whose `attempts` so many were `successes`.
pub(super) fn score(successes: u32, attempts: u32, latency: Latency) -> f64 {
    if attempts == 0 {
        return 1.0;
    }
    if successes == 0 {
        // Without a success the score is 0, even if every connection was refused quickly.
        return 0.0;
    }
    let success = f64::from(successes) / f64::from(attempts);
    let (latency, jitter) = match latency {
        Latency::Unknown => (1.0, 1.0),
        Latency::Single(mean) => (interpolate(&LATENCY, mean), 1.0),
        Latency::Spread { mean, deviation } => {
            (interpolate(&LATENCY, mean), interpolate(&JITTER, deviation))
        }
    };
    SUCCESS_WEIGHT * success + LATENCY_WEIGHT * latency + JITTER_WEIGHT * jitter
}

/// Reads a line through `knots`, which rise in their first part; flat beyond the last.
fn interpolate(knots: &[(f64, f64); 4], at: f64) -> f64 {
    let mut left = knots[0];
    for &right in knots {
        if at <= right.0 {
            let width = right.0 - left.0;
            return if width > 0.0 {
                left.1 + (right.1 - left.1) * (at - left.0) / width
            } else {
                right.1
            };
        }
        left = right;
    }
    left.1
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn spread(mean: f64, deviation: f64) -> Latency {
        Latency::Spread { mean, deviation }
    }

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} is not {right}");
    }

    #[test]
    fn the_latency_part_has_its_knots() {
        let part = |mean, expected| close(interpolate(&LATENCY, mean), expected);
        part(0.0, 1.0);
        part(50.0, 0.975);
        part(100.0, 0.95);
        part(550.0, 0.725);
        part(1_000.0, 0.5);
        part(3_000.0, 0.25);
        part(5_000.0, 0.0);
        part(60_000.0, 0.0);
    }

    #[test]
    fn the_jitter_part_has_its_knots() {
        let part = |deviation, expected| close(interpolate(&JITTER, deviation), expected);
        part(0.0, 1.0);
        part(25.0, 0.9);
        part(50.0, 0.8);
        part(125.0, 0.55);
        part(200.0, 0.3);
        part(350.0, 0.15);
        part(500.0, 0.0);
        part(60_000.0, 0.0);
    }

    #[test]
    fn the_parts_weigh_half_three_tenths_and_two_tenths() {
        close(score(10, 10, spread(0.0, 0.0)), 1.0);
        close(score(5, 10, spread(5_000.0, 500.0)), 0.25);
        close(score(10, 10, spread(1_000.0, 500.0)), 0.65);
        close(score(10, 10, spread(5_000.0, 200.0)), 0.56);
    }

    #[test]
    fn what_is_unknown_is_taken_for_good_and_failure_alone_is_not() {
        close(score(0, 0, Latency::Unknown), 1.0);
        close(score(0, 10, Latency::Unknown), 0.0);
        close(score(0, 10, spread(5.0, 1.0)), 0.0);
        close(score(5, 10, Latency::Unknown), 0.75);
        close(score(10, 10, Latency::Single(1_000.0)), 0.85);
    }

    proptest::proptest! {
        #[test]
        fn it_is_between_0_and_1_and_never_rises_with_trouble(
            attempts in 1u32..=100,
            share in 0.0..=1.0f64,
            mean in 0.0..10_000.0f64,
            deviation in 0.0..1_000.0f64,
            more in 0.0..500.0f64,
        ) {
            let successes = (share * f64::from(attempts)) as u32;
            let now = score(successes, attempts, spread(mean, deviation));
            assert!((0.0..=1.0).contains(&now));
            assert!(score(successes, attempts, spread(mean + more, deviation)) <= now);
            assert!(score(successes, attempts, spread(mean, deviation + more)) <= now);
            assert!(score(successes.saturating_sub(1), attempts, spread(mean, deviation)) <= now);
        }

        #[test]
        fn it_has_no_jumps(mean in 0.0..6_000.0f64, deviation in 0.0..600.0f64) {
            let at = |mean, deviation| score(7, 10, spread(mean, deviation));
            let step = (at(mean, deviation) - at(mean + 0.01, deviation + 0.01)).abs();
            // The steepest slopes are 0.2 * 0.5 / 150 and 0.3 * 0.45 / 900 a millisecond.
            assert!(step < 2e-5, "{step}");
        }
    }
}
