//! Every key's range, every crossing, and every way a default gives way.

use super::*;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Resolves a configuration that was changed a little from nothing written.
fn resolve(change: impl FnOnce(&mut Config, &mut PollConfig)) -> Result<Settings, Problems> {
    let (mut config, mut poll) = (Config::default(), PollConfig::default());
    change(&mut config, &mut poll);
    config.resolve(&poll)
}

fn settings(change: impl FnOnce(&mut Config, &mut PollConfig)) -> Settings {
    resolve(change).unwrap()
}

/// The messages of what is wrong.
fn problems(change: impl FnOnce(&mut Config, &mut PollConfig)) -> Vec<String> {
    match resolve(change) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn nothing_written_is_the_documented_defaults() {
    let settings = Settings::default();
    let breaker = &settings.breaker;
    assert_eq!(breaker.mode, Mode::Enforce);
    assert_eq!((breaker.shape.base, breaker.shape.floor), (5, 2));
    assert!(breaker.shape.adaptive);
    assert_eq!((breaker.shape.alpha, breaker.shape.sensitivity), (0.3, 2.0));
    assert_eq!(
        (breaker.min_health_score, breaker.recovery_score),
        (0.3, 0.7)
    );
    assert_eq!((breaker.min_success_rate, breaker.sample_size), (0.3, 20));
    assert_eq!(breaker.slow_call, s(2));
    assert_eq!(
        (breaker.cooldown.base, breaker.cooldown.max),
        (s(60), s(300))
    );
    assert_eq!(breaker.cooldown.jitter, 0.3);
    assert_eq!(breaker.canary_count, 3);
    assert_eq!(
        (breaker.canary_required, breaker.canary_concurrency),
        (2, 1)
    );
    assert_eq!(breaker.half_open_timeout, s(30));
    assert_eq!((settings.retry.max, settings.retry.base), (3, s(1)));
    assert_eq!(settings.deadline(), s(14));
    assert_eq!((settings.interval(), settings.timeout()), (s(15), s(5)));
    assert_eq!(settings.retry.budget.capacity, 10);
    assert_eq!(settings.retry.budget.per_success, 0.2);
    assert_eq!(
        (settings.cache.ttl, settings.cache.max_staleness),
        (s(10), s(300))
    );
    assert!(!settings.hedging.enabled);
    assert_eq!(settings.hedging.min_delay, ms(100));
    assert_eq!(settings.warnings(), []);
}

#[test]
fn presets_and_edges_change_defaults_only() {
    let simple = settings(|config, _| config.breaker.preset = Some(Preset::Simple)).breaker;
    assert_eq!((simple.shape.base, simple.shape.adaptive), (5, false));
    assert_eq!((simple.cooldown.base, simple.cooldown.max), (s(30), s(39)));
    assert_eq!((simple.canary_count, simple.canary_required), (1, 1));
    let written = settings(|config, _| {
        config.breaker.preset = Some(Preset::Simple);
        config.breaker.adaptive = Some(true);
        config.breaker.canary_required = Some(4);
        config.breaker.max_cooldown = Some(s(100));
    })
    .breaker;
    assert!(written.shape.adaptive);
    assert_eq!((written.canary_count, written.canary_required), (4, 4));
    assert_eq!(
        (written.cooldown.base, written.cooldown.max),
        (s(30), s(100))
    );
    let push = BreakerConfig::default()
        .resolve(Edge::Destination, s(5))
        .unwrap();
    assert_eq!((push.cooldown.base, push.cooldown.max), (s(5), s(60)));
}

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

#[test]
fn two_written_keys_that_cross_are_an_error() {
    let crossed = |change: fn(&mut Config, &mut PollConfig), message: &str| {
        assert_eq!(problems(change), [message]);
    };
    crossed(
        |config, _| {
            config.breaker.canary_count = Some(3);
            config.breaker.canary_required = Some(4);
        },
        "`breaker.canary_required` is 4, more than `breaker.canary_count`, which allows 3",
    );
    crossed(
        |config, _| {
            config.breaker.canary_count = Some(3);
            config.breaker.canary_concurrency = Some(4);
        },
        "`breaker.canary_concurrency` is 4, more than `breaker.canary_count`, which allows 3",
    );
    crossed(
        |config, _| {
            config.breaker.failure_threshold = Some(3);
            config.breaker.min_failure_threshold = Some(4);
        },
        "`breaker.min_failure_threshold` is 4, more than `breaker.failure_threshold`, which \
         allows 3",
    );
    crossed(
        |config, _| {
            config.breaker.cooldown = Some(s(60));
            config.breaker.max_cooldown = Some(s(75));
            config.breaker.jitter = Some(0.5);
        },
        "`breaker.cooldown` is 1m, more than `breaker.max_cooldown`, which allows 50s",
    );
    crossed(
        |config, _| {
            config.breaker.cooldown = Some(s(60));
            config.breaker.max_cooldown = Some(s(50));
        },
        "`breaker.cooldown` is 1m, more than `breaker.max_cooldown`, which allows 50s",
    );
    crossed(
        |config, _| {
            config.breaker.min_health_score = Some(0.8);
            config.breaker.recovery_score = Some(0.8);
        },
        "`breaker.recovery_score` is 0.8, which is not above `breaker.min_health_score`, 0.8; \
         its range is above that, to 1",
    );
    crossed(
        |config, poll| {
            poll.timeout = Some(s(6));
            config.retry.deadline = Some(s(5));
        },
        "`timeout` is 6s, more than `retry.deadline`, which allows 5s",
    );
    crossed(
        |config, poll| {
            config.retry.deadline = Some(s(20));
            poll.interval = Some(s(15));
        },
        "`retry.deadline` is 20s, more than `collection_interval`, which allows 15s",
    );
    crossed(
        |_, poll| {
            poll.timeout = Some(s(20));
            poll.interval = Some(s(15));
        },
        "`timeout` is 20s, more than `collection_interval`, which allows 15s",
    );
    crossed(
        |config, poll| {
            poll.timeout = Some(s(6));
            config.breaker.half_open_timeout = Some(s(5));
        },
        "`timeout` is 6s, more than `breaker.half_open_timeout`, which allows 5s",
    );
    crossed(
        |config, _| {
            config.cache.ttl = Some(s(20));
            config.cache.max_staleness = Some(s(10));
        },
        "`cache.ttl` is 20s, more than `cache.max_staleness`, which allows 10s",
    );
}

#[test]
fn every_problem_is_reported_at_once() {
    let found = problems(|config, poll| {
        config.breaker.failure_threshold = Some(0);
        config.breaker.jitter = Some(f64::NAN);
        config.cache.ttl = Some(s(20));
        config.cache.max_staleness = Some(s(10));
        poll.timeout = Some(s(0));
    });
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn a_default_gives_way_to_a_written_key() {
    let with = settings(|config, _| config.cache.max_staleness = Some(s(5)));
    assert_eq!(with.cache.ttl, s(5));
    let with = settings(|config, _| config.cache.max_staleness = Some(s(0)));
    assert_eq!(with.cache.ttl, s(10), "nothing stale crosses nothing");
    let with = settings(|config, _| config.cache.ttl = Some(s(400)));
    assert_eq!(with.cache.max_staleness, s(400));
    let with = settings(|_, poll| poll.interval = Some(s(3)));
    assert_eq!(with.deadline(), ms(2_800));
    assert_eq!(with.timeout(), ms(2_800));
    let with = settings(|_, poll| poll.timeout = Some(s(20)));
    assert_eq!((with.deadline(), with.interval()), (s(20), s(20)));
    let with = settings(|_, poll| poll.timeout = Some(s(40)));
    assert_eq!(with.breaker.half_open_timeout, s(40));
    let with = settings(|config, _| config.breaker.half_open_timeout = Some(s(2)));
    assert_eq!(with.timeout(), s(2));
    let with = settings(|config, _| config.breaker.cooldown = Some(s(280)));
    assert_eq!(with.breaker.cooldown.max, s(364));
    let with = settings(|config, _| config.breaker.max_cooldown = Some(s(13)));
    assert!(
        with.breaker.cooldown.base <= s(10),
        "{:?}",
        with.breaker.cooldown
    );
    let with = settings(|config, _| {
        config.breaker.cooldown = Some(s(60));
        config.breaker.max_cooldown = Some(s(66));
    });
    assert!((with.breaker.cooldown.jitter - 0.1).abs() < 1e-9);
    let with = settings(|config, _| config.breaker.min_failure_threshold = Some(9));
    assert_eq!((with.breaker.shape.floor, with.breaker.shape.base), (9, 9));
    let with = settings(|config, _| config.breaker.failure_threshold = Some(1));
    assert_eq!((with.breaker.shape.floor, with.breaker.shape.base), (1, 1));
    let with = settings(|config, _| config.breaker.min_health_score = Some(0.8));
    assert!((with.breaker.recovery_score - 0.9).abs() < 1e-9);
    let with = settings(|config, _| config.breaker.recovery_score = Some(0.2));
    assert!((with.breaker.min_health_score - 0.1).abs() < 1e-9);
}

#[test]
fn what_looks_like_a_mistake_is_a_warning() {
    let warned = |change: fn(&mut Config, &mut PollConfig)| {
        let settings = settings(change);
        settings
            .warnings()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        warned(|config, _| config.cache.ttl = Some(s(15))),
        [
            "`cache.ttl` is 15s, not above the collection interval of 15s: no poll will ever be \
          answered from the cache"
        ],
    );
    assert_eq!(warned(|config, _| config.cache.ttl = Some(s(16))), [""; 0]);
    assert_eq!(warned(|config, _| config.cache.ttl = Some(s(0))), [""; 0]);
    assert_eq!(
        warned(|config, _| config.breaker.min_health_score = Some(1.0)).len(),
        1
    );
}
