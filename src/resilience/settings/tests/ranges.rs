//! Every key's range, at both ends.

use super::*;

#[test]
fn every_range_is_kept_at_both_ends() {
    fn check<T: Copy>(
        inside: &[T],
        outside: &[(T, &str)],
        set: fn(&mut Config, &mut PollConfig, T),
    ) {
        for &value in inside {
            // Alone, a value in range may cross nothing: defaults give way.
            assert_eq!(problems(|config, poll| set(config, poll, value)), [""; 0]);
        }
        for &(value, message) in outside {
            assert_eq!(problems(|config, poll| set(config, poll, value)), [message]);
        }
    }
    check(
        &[1, 1000],
        &[
            (
                0,
                "`breaker.failure_threshold` is 0, outside its range of 1 to 1000",
            ),
            (
                1001,
                "`breaker.failure_threshold` is 1001, outside its range of 1 to 1000",
            ),
        ],
        |config, _, value| config.breaker.failure_threshold = Some(value),
    );
    check(
        &[1, 1000],
        &[
            (
                0,
                "`breaker.min_failure_threshold` is 0, outside its range of 1 to 1000",
            ),
            (
                1001,
                "`breaker.min_failure_threshold` is 1001, outside its range of 1 to 1000",
            ),
        ],
        |config, _, value| config.breaker.min_failure_threshold = Some(value),
    );
    check(
        &[0.01, 1.0],
        &[
            (
                0.009,
                "`breaker.ewma_alpha` is 0.009, outside its range of 0.01 to 1",
            ),
            (
                1.1,
                "`breaker.ewma_alpha` is 1.1, outside its range of 0.01 to 1",
            ),
            (
                f64::NAN,
                "`breaker.ewma_alpha` is NaN, outside its range of 0.01 to 1",
            ),
        ],
        |config, _, value| config.breaker.ewma_alpha = Some(value),
    );
    check(
        &[0.5, 5.0],
        &[
            (
                0.4,
                "`breaker.adaptive_sensitivity` is 0.4, outside its range of 0.5 to 5",
            ),
            (
                f64::INFINITY,
                "`breaker.adaptive_sensitivity` is inf, outside its range of 0.5 to 5",
            ),
        ],
        |config, _, value| config.breaker.adaptive_sensitivity = Some(value),
    );
    check(
        &[0.0, 0.5, 0.8, 1.0],
        &[
            (
                -0.1,
                "`breaker.min_health_score` is -0.1, outside its range of 0 to 1",
            ),
            (
                1.1,
                "`breaker.min_health_score` is 1.1, outside its range of 0 to 1",
            ),
        ],
        |config, _, value| config.breaker.min_health_score = Some(value),
    );
    check(
        &[0.1, 0.3, 1.0],
        &[
            (
                1.1,
                "`breaker.recovery_score` is 1.1, outside its range of 0 to 1",
            ),
            (
                0.0,
                "`breaker.recovery_score` is 0, which is not above `breaker.min_health_score`, 0; \
                 its range is above that, to 1",
            ),
        ],
        |config, _, value| config.breaker.recovery_score = Some(value),
    );
    check(
        &[0.0, 1.0],
        &[(
            2.0,
            "`breaker.min_success_rate` is 2, outside its range of 0 to 1",
        )],
        |config, _, value| config.breaker.min_success_rate = Some(value),
    );
    check(
        &[5, 100],
        &[
            (
                4,
                "`breaker.sample_size` is 4, outside its range of 5 to 100",
            ),
            (
                101,
                "`breaker.sample_size` is 101, outside its range of 5 to 100",
            ),
        ],
        |config, _, value| config.breaker.sample_size = Some(value),
    );
    check(
        &[ms(1), s(600)],
        &[
            (
                ms(0),
                "`breaker.slow_call` is 0s, outside its range of 1ms to 10m",
            ),
            (
                s(601),
                "`breaker.slow_call` is 10m1s, outside its range of 1ms to 10m",
            ),
        ],
        |config, _, value| config.breaker.slow_call = Some(value),
    );
    check(
        &[s(1), s(280), s(3600)],
        &[
            (
                ms(999),
                "`breaker.cooldown` is 999ms, outside its range of 1s to 1h",
            ),
            (
                s(3601),
                "`breaker.cooldown` is 1h1s, outside its range of 1s to 1h",
            ),
        ],
        |config, _, value| config.breaker.cooldown = Some(value),
    );
    check(
        &[s(1), s(86_400)],
        &[
            (
                ms(1),
                "`breaker.max_cooldown` is 1ms, outside its range of 1s to 24h",
            ),
            (
                s(86_401),
                "`breaker.max_cooldown` is 24h1s, outside its range of 1s to 24h",
            ),
        ],
        |config, _, value| config.breaker.max_cooldown = Some(value),
    );
    check(
        &[0.0, 0.9],
        &[(
            0.91,
            "`breaker.jitter` is 0.91, outside its range of 0 to 0.9",
        )],
        |config, _, value| config.breaker.jitter = Some(value),
    );
    check(
        &[1, 100],
        &[
            (
                0,
                "`breaker.canary_count` is 0, outside its range of 1 to 100",
            ),
            (
                101,
                "`breaker.canary_count` is 101, outside its range of 1 to 100",
            ),
        ],
        |config, _, value| config.breaker.canary_count = Some(value),
    );
    check(
        &[1, 100],
        &[(
            0,
            "`breaker.canary_required` is 0, outside its range of 1 to 100",
        )],
        |config, _, value| config.breaker.canary_required = Some(value),
    );
    check(
        &[1, 100],
        &[(
            0,
            "`breaker.canary_concurrency` is 0, outside its range of 1 to 100",
        )],
        |config, _, value| config.breaker.canary_concurrency = Some(value),
    );
    check(
        &[s(1), s(3600)],
        &[(
            ms(900),
            "`breaker.half_open_timeout` is 900ms, outside its range of 1s to 1h",
        )],
        |config, _, value| config.breaker.half_open_timeout = Some(value),
    );
    check(
        &[0, 10],
        &[(11, "`retry.max` is 11, outside its range of 0 to 10")],
        |config, _, value| config.retry.max = Some(value),
    );
    check(
        &[ms(10), s(60)],
        &[
            (
                ms(9),
                "`retry.base` is 9ms, outside its range of 10ms to 1m",
            ),
            (
                s(61),
                "`retry.base` is 1m1s, outside its range of 10ms to 1m",
            ),
        ],
        |config, _, value| config.retry.base = Some(value),
    );
    check(
        &[ms(50), s(3600)],
        &[
            (
                ms(49),
                "`retry.deadline` is 49ms, outside its range of 50ms to 1h",
            ),
            (
                s(3601),
                "`retry.deadline` is 1h1s, outside its range of 50ms to 1h",
            ),
        ],
        |config, _, value| config.retry.deadline = Some(value),
    );
    check(
        &[0, 1000],
        &[(
            1001,
            "`retry.budget.capacity` is 1001, outside its range of 0 to 1000",
        )],
        |config, _, value| config.retry.budget_capacity = Some(value),
    );
    check(
        &[0.0, 1.0],
        &[(
            -1.0,
            "`retry.budget.per_success` is -1, outside its range of 0 to 1",
        )],
        |config, _, value| config.retry.budget_per_success = Some(value),
    );
    check(
        &[s(0), s(3600)],
        &[(
            s(3601),
            "`cache.ttl` is 1h1s, outside its range of 0s to 1h",
        )],
        |config, _, value| config.cache.ttl = Some(value),
    );
    check(
        &[s(0), s(5), s(86_400)],
        &[(
            s(86_401),
            "`cache.max_staleness` is 24h1s, outside its range of 0s to 24h",
        )],
        |config, _, value| config.cache.max_staleness = Some(value),
    );
    check(
        &[ms(1), s(600)],
        &[(
            s(601),
            "`hedging.min_delay` is 10m1s, outside its range of 1ms to 10m",
        )],
        |config, _, value| config.hedging.min_delay = Some(value),
    );
    check(
        &[ms(100), s(86_400)],
        &[(
            ms(99),
            "`collection_interval` is 99ms, outside its range of 100ms to 24h",
        )],
        |_, poll, value| poll.interval = Some(value),
    );
    check(
        &[ms(1), s(20), s(600)],
        &[(
            s(601),
            "`timeout` is 10m1s, outside its range of 1ms to 10m",
        )],
        |_, poll, value| poll.timeout = Some(value),
    );
}
