//! How many failures in a row open a breaker, given what is normal for its endpoint.
//!
//! A fixed threshold is wrong at both ends. An endpoint that fails one attempt in five, at
//! random, will fail five in a row sooner or later and isn't asked for a whole cooldown; one
//! that has been half broken for an hour should not cost five more attempts. The
//! threshold therefore shrinks with *chronic* errors and not with a spike: a spike is counted
//! by the run of failures itself, and would be counted twice.
//!
//! Two averages of the same errors, one five times slower than the other, tell the two
//! apart. What the fast one says above what the slow one explained *before* the failures
//! began (its value at the last success, plus some standard errors) is the spike.
//!
//! Both averages start at zero and are divided by the weight seen so far: otherwise the first
//! attempts would be averaged with a long past of successes that never happened.

/// Attempts before the averages are believed.
const WARM_UP: u64 = 10;

/// How much slower the chronic average is.
const CHRONIC: f64 = 5.0;

/// An average below this becomes zero. Otherwise an endpoint that never fails would decay into
/// subnormal numbers, on which some processors take a hundred cycles each.
const NEGLIGIBLE: f64 = 1e-18;

/// The error averages of one endpoint. They outlive openings.
#[derive(Debug, Clone, Copy)]
pub(super) struct ErrorAverages {
    recent: Average,
    chronic: Average,
    /// The chronic average at the last success: zero for an endpoint that never succeeded.
    /// Kept undivided, since it is written at every success and read at failures only.
    explained: Average,
    attempts: u64,
}

/// The keys that shape the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ThresholdShape {
    /// Failures in a row that open the breaker of an endpoint that never fails.
    pub(super) base: u32,
    /// The threshold never shrinks below this.
    pub(super) floor: u32,
    /// Whether it shrinks at all.
    pub(super) adaptive: bool,
    /// Weight of the newest attempt.
    pub(super) alpha: f64,
    /// Standard errors that still count as explained.
    pub(super) sensitivity: f64,
}

impl ErrorAverages {
    pub(super) const fn new() -> Self {
        Self {
            recent: Average::NEW,
            chronic: Average::NEW,
            explained: Average::NEW,
            attempts: 0,
        }
    }

    #[inline]
    pub(super) fn record(&mut self, success: bool, shape: &ThresholdShape) {
        self.attempts += 1;
        // At an endpoint that has only had successes, another one changes no average.
        if success && self.recent.rests() && self.chronic.rests() && self.explained.rests() {
            return;
        }
        let error = if success { 0.0 } else { 1.0 };
        self.recent.update(error, shape.alpha);
        self.chronic.update(error, shape.alpha / CHRONIC);
        if success {
            self.explained = self.chronic;
        }
    }

    /// The share of errors that recent attempts had, 0 to 1.
    pub(super) fn error_ratio(&self) -> f64 {
        self.recent.value()
    }

    /// Failures in a row at which the breaker opens.
    pub(super) fn threshold(&self, shape: &ThresholdShape) -> u32 {
        if !shape.adaptive || self.attempts < WARM_UP {
            return shape.base;
        }
        let slow = shape.alpha / CHRONIC;
        let explained = self.explained.value();
        let variance = explained * (1.0 - explained) * slow / (2.0 - slow);
        let explained = explained + shape.sensitivity * variance.max(0.0).sqrt();
        let chronic = self.recent.value().min(explained);
        let shrunk = if chronic > 0.7 {
            shape.base / 3
        } else if chronic > 0.5 {
            shape.base / 2
        } else if chronic > 0.3 {
            shape.base.saturating_mul(3) / 4
        } else {
            shape.base
        };
        shrunk.max(shape.floor.min(shape.base))
    }
}

/// Failures in a row that degrade an endpoint whose breaker opens at `threshold`:
/// 0.6 of it, rounded up.
pub(super) const fn degrading(threshold: u32) -> u32 {
    // In integers: 0.6 * 5 in floating point is a little more than 3.
    (threshold as u64 * 3).div_ceil(5) as u32
}

/// An exponentially weighted mean, and the weight that it still lacks.
#[derive(Debug, Clone, Copy)]
struct Average {
    sum: f64,
    missing: f64,
}

impl Average {
    const NEW: Self = Self {
        sum: 0.0,
        missing: 1.0,
    };

    fn update(&mut self, sample: f64, alpha: f64) {
        self.sum = negligible(self.sum + alpha * (sample - self.sum));
        self.missing = negligible(self.missing * (1.0 - alpha));
    }

    /// Whether another success would change nothing.
    fn rests(&self) -> bool {
        self.sum == 0.0 && self.missing == 0.0
    }

    fn value(&self) -> f64 {
        if self.missing < 1.0 {
            self.sum / (1.0 - self.missing)
        } else {
            0.0
        }
    }
}

fn negligible(value: f64) -> f64 {
    if value < NEGLIGIBLE { 0.0 } else { value }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const SHAPE: ThresholdShape = ThresholdShape {
        base: 5,
        floor: 2,
        adaptive: true,
        alpha: 0.3,
        sensitivity: 2.0,
    };

    fn after(history: impl IntoIterator<Item = bool>, shape: &ThresholdShape) -> u32 {
        let mut averages = ErrorAverages::new();
        for success in history {
            averages.record(success, shape);
        }
        averages.threshold(shape)
    }

    #[test]
    fn a_spike_after_a_clean_history_does_not_shrink_it() {
        let history = std::iter::repeat_n(true, 100).chain([false; 30]);
        assert_eq!(after(history, &SHAPE), 5);
    }

    #[test]
    fn chronic_errors_shrink_it_by_their_share() {
        let every = |period: usize, failures: usize| {
            after((0..400).map(|attempt| attempt % period >= failures), &SHAPE)
        };
        assert_eq!(every(20, 1), 5);
        assert_eq!(every(2, 1), 3, "above 0.3");
        assert_eq!(every(3, 2), 2, "above 0.5");
        assert_eq!(every(8, 7), 2, "above 0.7, but never below the floor");
    }

    #[test]
    fn the_first_ten_attempts_are_not_believed() {
        let history = [true, false, false, true, false, false, true, false, false];
        assert_eq!(after(history, &SHAPE), 5);
        assert!(after(history.into_iter().chain([true, false, false]), &SHAPE) < 5);
    }

    #[test]
    fn an_endpoint_that_never_succeeded_has_no_history_to_explain_it() {
        assert_eq!(after([false; 50], &SHAPE), 5);
    }

    #[test]
    fn without_adapting_it_is_the_base() {
        let fixed = ThresholdShape {
            adaptive: false,
            ..SHAPE
        };
        assert_eq!(after((0..100).map(|attempt| attempt % 3 == 0), &fixed), 5);
    }

    #[test]
    fn averages_are_those_of_what_was_seen_from_the_first_attempt_on() {
        let mut averages = ErrorAverages::new();
        averages.record(false, &SHAPE);
        assert!((averages.error_ratio() - 1.0).abs() < 1e-12);
        averages.record(true, &SHAPE);
        // 0.3 * 0.7 of a weight of 1 - 0.49.
        assert!((averages.error_ratio() - 0.21 / 0.51).abs() < 1e-12);
    }

    #[test]
    fn an_endpoint_that_never_fails_comes_to_rest() {
        let mut averages = ErrorAverages::new();
        averages.record(false, &SHAPE);
        for _ in 0..10_000 {
            averages.record(true, &SHAPE);
        }
        assert_eq!(averages.recent.sum, 0.0);
        assert_eq!(averages.chronic.missing, 0.0);
    }

    #[test]
    fn degrading_takes_six_tenths_rounded_up() {
        let ladder: Vec<_> = (1..=10).map(degrading).collect();
        assert_eq!(ladder, [1, 2, 2, 3, 3, 4, 5, 5, 6, 6]);
    }

    proptest::proptest! {
        #[test]
        fn it_stays_between_the_floor_and_the_base(
            base in 1u32..=50,
            floor in 1u32..=50,
            alpha in 0.01..=1.0f64,
            sensitivity in 0.5..=5.0f64,
            history in proptest::collection::vec(proptest::bool::ANY, 0..300),
        ) {
            let floor = floor.min(base);
            let shape = ThresholdShape { base, floor, adaptive: true, alpha, sensitivity };
            let threshold = after(history, &shape);
            assert!((floor..=base).contains(&threshold));
            assert!((1..=threshold).contains(&degrading(threshold)));
        }
    }
}
