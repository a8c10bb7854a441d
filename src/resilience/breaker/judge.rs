//! What an attempt means for the state.

use rand::Rng;

use super::core::{CANARY_INTERVAL, Step};
use super::state::{BreakerState, TransitionReason};
use crate::resilience::health_score::SUCCESS_WEIGHT;
use crate::resilience::outcome::Verdict;
use crate::resilience::threshold::degrading;

/// Attempts before a low score degrades, before slow calls do, and before a low score
/// opens.
const SCORE_ATTEMPTS: u32 = 5;
const SLOW_ATTEMPTS: u32 = 10;
const OPENING_SCORE_ATTEMPTS: u32 = 10;

/// Attempts in a row whose score is too low that open a degraded endpoint's breaker, and
/// successes in a row that make it healthy.
const LOW_SCORES: u32 = 3;
const SUCCESSES: u32 = 3;

/// Share of successes that a healthy endpoint has at least.
const RECOVERED_SHARE: f64 = 0.7;

impl<R: Rng> Step<'_, R> {
    #[cold]
    pub(super) fn judge_canary(&mut self, verdict: Verdict) {
        let core = &mut *self.core;
        let first = core.passes + core.fails == 0;
        match verdict {
            Verdict::Pass => core.passes += 1,
            Verdict::Fail => core.fails += 1,
            Verdict::Throttled => return self.open(TransitionReason::CanaryThrottled, false),
            Verdict::HandBack => return,
        }
        let spare = self.settings.canary_count - self.settings.canary_required;
        if verdict == Verdict::Fail && (first || core.fails > spare) {
            self.open(TransitionReason::CanaryFailed, true);
        } else if core.passes >= self.settings.canary_required {
            core.calm_since = self.now;
            core.until = None;
            self.enter(
                BreakerState::Degraded,
                TransitionReason::CanariesPassed,
                None,
            );
            self.core.poll_at = Some(self.now);
        } else {
            core.poll_at = Some(self.now + CANARY_INTERVAL);
        }
    }

    /// Draws the consequences of an attempt that fed the success share.
    #[inline]
    pub(super) fn judge(&mut self, state: BreakerState, success: bool) {
        let settings = self.settings;
        let core = &*self.core;
        let attempts = core.attempts.count();
        // After a success the run of failures is 0, and the threshold, which costs a square
        // root, isn't needed.
        let (open_at, degrade_at) = if core.fail_run > 0 {
            let threshold = core.averages.threshold(&settings.shape);
            (threshold, degrading(threshold))
        } else {
            (u32::MAX, u32::MAX)
        };
        if core.fail_run >= open_at {
            return self.open(TransitionReason::ConsecutiveFailures, false);
        }
        if attempts >= settings.sample_size
            && core.attempts.succeeded_less_than(settings.min_success_rate)
        {
            return self.open(TransitionReason::SuccessRate, false);
        }
        if state == BreakerState::Degraded {
            return self.judge_degraded(success, attempts);
        }
        let reason = if core.fail_run >= degrade_at {
            TransitionReason::ConsecutiveFailures
        } else if attempts >= SCORE_ATTEMPTS
            // The other parts of the score only add to this one.
            && core.attempts.succeeded_less_than(settings.min_health_score / SUCCESS_WEIGHT)
            && core.score(self.now) < settings.min_health_score
        {
            TransitionReason::HealthScore
        } else if attempts >= SLOW_ATTEMPTS && core.attempts.mostly_slow() {
            TransitionReason::SlowCalls
        } else {
            return;
        };
        self.continue_as(BreakerState::Degraded, reason);
    }

    #[cold]
    fn judge_degraded(&mut self, success: bool, attempts: u32) {
        let core = &mut *self.core;
        let score = core.score(self.now);
        core.low_score_run = if score < self.settings.min_health_score {
            core.low_score_run + 1
        } else {
            0
        };
        core.success_run = if success { core.success_run + 1 } else { 0 };
        if core.low_score_run >= LOW_SCORES && attempts >= OPENING_SCORE_ATTEMPTS {
            self.open(TransitionReason::HealthScore, false);
        } else if core.success_run >= SUCCESSES
            && core.attempts.success_share() > Some(RECOVERED_SHARE)
            && score > self.settings.recovery_score
            && !core.attempts.mostly_slow()
        {
            self.continue_as(BreakerState::Healthy, TransitionReason::Recovered);
        }
    }
}
