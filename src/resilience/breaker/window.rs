//! The last attempts and the last latencies of one endpoint, in fixed room.

use std::time::Duration;

use crate::resilience::health_score::Latency;

/// Attempts that the success share looks back on.
pub(super) const ATTEMPTS: u32 = 100;

/// Latencies that are kept.
const LATENCIES: usize = 50;

/// A latency older than this says nothing about now.
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
        self.share(self.successes)
    }

    /// Share of slow calls, 0 without attempts.
    pub(super) fn slow_share(&self) -> f64 {
        self.share(self.slow_count).unwrap_or(0.0)
    }

    fn share(&self, part: u32) -> Option<f64> {
        (self.count > 0).then(|| f64::from(part) / f64::from(self.count))
    }
}

/// The last fifty latencies, each with its time since the breaker's origin.
#[derive(Debug, Clone)]
pub(super) struct Latencies {
    milliseconds: [f32; LATENCIES],
    taken: [Duration; LATENCIES],
    next: usize,
    count: usize,
}

impl Latencies {
    pub(super) const fn new() -> Self {
        Self {
            milliseconds: [0.0; LATENCIES],
            taken: [Duration::ZERO; LATENCIES],
            next: 0,
            count: 0,
        }
    }

    pub(super) fn push(&mut self, now: Duration, latency: Duration) {
        // `next` is always below the length; a slot that isn't there is never written.
        if let (Some(sample), Some(taken)) = (
            self.milliseconds.get_mut(self.next),
            self.taken.get_mut(self.next),
        ) {
            *sample = latency.as_secs_f32() * 1_000.0;
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
    pub(super) fn summary(&self, now: Duration) -> Latency {
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
    pub(super) fn mean(&self, now: Duration) -> Option<f64> {
        match self.summary(now) {
            Latency::Unknown => None,
            Latency::Single(mean) | Latency::Spread { mean, .. } => Some(mean),
        }
    }

    /// The 95th percentile, once the ring is full of samples that aren't too old.
    pub(super) fn p95(&self, now: Duration) -> Option<Duration> {
        let mut sorted: Vec<f32> = self.samples(now).collect();
        if sorted.len() < LATENCIES {
            return None;
        }
        let rank = (sorted.len() * 95).div_ceil(100) - 1;
        let (_, p95, _) = sorted.select_nth_unstable_by(rank, f32::total_cmp);
        Some(Duration::from_secs_f32(*p95 / 1_000.0))
    }

    fn samples(&self, now: Duration) -> impl Iterator<Item = f32> {
        self.milliseconds
            .iter()
            .zip(&self.taken)
            .take(self.count)
            .filter(move |(_, taken)| now.saturating_sub(**taken) <= LATENCY_AGE)
            .map(|(sample, _)| *sample)
    }
}
