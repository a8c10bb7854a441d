//! When a second request may overtake a slow first one.
//!
//! A request that takes longer than nearly all before it was probably unlucky (a lost
//! packet, a pause of the server), and a second one probably isn't. But a second request
//! to an endpoint that is slow because it is overloaded makes it slower still: so only
//! while the endpoint is Healthy, only past what 95 % of its calls take, and each for a
//! token of the retry budget. What a guard asks is always a GET, which may be made twice:
//! `Guard::poll` asks that of its `fetch`.

use std::time::Duration;

use super::breaker::BreakerState;
use super::settings::HedgingSettings;

/// How long to wait for the first request before a second is sent; `None` is for ever.
///
/// `p95` is known once there are fifty recent latencies.
pub(super) fn delay(
    settings: &HedgingSettings,
    state: BreakerState,
    p95: impl FnOnce() -> Option<Duration>,
) -> Option<Duration> {
    if !settings.enabled || state != BreakerState::Healthy {
        return None;
    }
    Some(p95()?.max(settings.min_delay))
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn only_a_healthy_endpoint_with_known_latencies_is_hedged() {
        let on = HedgingSettings {
            enabled: true,
            min_delay: Duration::from_millis(100),
        };
        let off = HedgingSettings {
            enabled: false,
            ..on
        };
        let ms = Duration::from_millis;
        assert_eq!(
            delay(&on, BreakerState::Healthy, || Some(ms(250))),
            Some(ms(250))
        );
        assert_eq!(
            delay(&on, BreakerState::Healthy, || Some(ms(20))),
            Some(ms(100))
        );
        assert_eq!(delay(&on, BreakerState::Healthy, || None), None);
        assert_eq!(delay(&on, BreakerState::Degraded, || Some(ms(250))), None);
        assert_eq!(delay(&on, BreakerState::HalfOpen, || Some(ms(250))), None);
        assert_eq!(delay(&off, BreakerState::Healthy, || Some(ms(250))), None);
    }
}
