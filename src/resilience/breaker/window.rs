//! The last attempts and the last latencies of one endpoint, in fixed room.

use std::time::Duration;

use tokio::time::Instant;

use crate::resilience::health_score::Latency;

/// Attempts that the success share looks back on.
pub(super) const ATTEMPTS: u32 = 100;

/// Latencies that are kept.
const LATENCIES: usize = 50;

/// Latencies that are older are left out of mean, deviation and percentile.
const LATENCY_AGE: Duration = Duration::from_secs(300);

/// Which of the last hundred attempts succeeded, and which were slow.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempts {
    /// One bit an attempt, the newest lowest.
    succeeded: u128,
    slow: u128,
    count: u32,
    successes: u32,
    slow_count: u32,
}

impl Attempts {
    #[inline]
    pub(super) fn push(&mut self, success: bool, slow: bool) {
        if self.count == ATTEMPTS {
            const OLDEST: u128 = 1 << (ATTEMPTS - 1);
            self.successes -= u32::from(self.succeeded & OLDEST != 0);
            self.slow_count -= u32::from(self.slow & OLDEST != 0);
        } else {
            self.count += 1;
        }
        self.succeeded = self.succeeded << 1 | u128::from(success);
        self.slow = self.slow << 1 | u128::from(slow);
        self.successes += u32::from(success);
        self.slow_count += u32::from(slow);
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn successes(&self) -> u32 {
        self.successes
    }

    /// Share of successes; `None` without attempts.
    pub(super) fn success_share(&self) -> Option<f64> {
        (self.count > 0).then(|| f64::from(self.successes) / f64::from(self.count))
    }

    /// Whether less than `share` of them succeeded. Without a division: it is asked at
    /// every attempt.
    pub(super) fn succeeded_less_than(&self, share: f64) -> bool {
        f64::from(self.successes) < share * f64::from(self.count)
    }

    /// Whether at least four in five were slow.
    pub(super) fn mostly_slow(&self) -> bool {
        self.count > 0 && self.slow_count * 5 >= self.count * 4
    }
}

/// The last fifty latencies, each with the time at which it was measured.
#[derive(Debug, Clone)]
pub(super) struct Latencies {
    milliseconds: [f32; LATENCIES],
    taken: [Instant; LATENCIES],
    next: usize,
    count: usize,
}

impl Latencies {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            milliseconds: [0.0; LATENCIES],
            taken: [now; LATENCIES],
            next: 0,
            count: 0,
        }
    }

    #[inline]
    pub(super) fn push(&mut self, now: Instant, latency: u64) {
        // `next` is always below the length; a slot that isn't there is never written.
        if let (Some(sample), Some(taken)) = (
            self.milliseconds.get_mut(self.next),
            self.taken.get_mut(self.next),
        ) {
            *sample = latency as f32 * 1e-6;
            *taken = now;
        }
        self.next = if self.next + 1 == LATENCIES {
            0
        } else {
            self.next + 1
        };
        self.count = (self.count + 1).min(LATENCIES);
    }

    /// Mean and sample deviation of what isn't too old.
    pub(super) fn summary(&self, now: Instant) -> Latency {
        let samples = || self.samples(now).map(f64::from);
        let count = samples().count();
        let sum: f64 = samples().sum();
        match count {
            0 => Latency::Unknown,
            1 => Latency::Single(sum),
            _ => {
                let mean = sum / count as f64;
                // A second pass instead of a sum of squares, which cancels.
                let squares: f64 = samples().map(|sample| (sample - mean).powi(2)).sum();
                Latency::Spread {
                    mean,
                    deviation: (squares / (count - 1) as f64).sqrt(),
                }
            }
        }
    }

    /// Mean in ms; `None` without samples.
    pub(super) fn mean(&self, now: Instant) -> Option<f64> {
        match self.summary(now) {
            Latency::Unknown => None,
            Latency::Single(mean) | Latency::Spread { mean, .. } => Some(mean),
        }
    }

    /// The 95th percentile, once the ring is full of samples that aren't too old.
    pub(super) fn p95(&self, now: Instant) -> Option<Duration> {
        let mut sorted: Vec<f32> = self.samples(now).collect();
        if sorted.len() < LATENCIES {
            return None;
        }
        let rank = (sorted.len() * 95).div_ceil(100) - 1;
        let (_, p95, _) = sorted.select_nth_unstable_by(rank, f32::total_cmp);
        Some(Duration::from_secs_f32(*p95 / 1_000.0))
    }

    fn samples(&self, now: Instant) -> impl Iterator<Item = f32> {
        self.milliseconds
            .iter()
            .zip(&self.taken)
            .take(self.count)
            .filter(move |(_, taken)| now.saturating_duration_since(**taken) <= LATENCY_AGE)
            .map(|(sample, _)| *sample)
    }
}
