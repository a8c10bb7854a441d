//! Every key's range, every crossing, and every way a default gives way.

mod ranges;

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
        (s(30), s(120))
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
    assert_eq!(with.cache.ttl, s(2));
    let with = settings(|config, poll| {
        poll.interval = Some(s(3));
        config.cache.ttl = Some(s(10));
    });
    assert_eq!(with.cache.ttl, s(10), "as it is written");
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
fn at_another_pace_only_the_key_that_contradicts_gives_way() {
    let written = settings(|config, _| {
        config.retry.deadline = Some(s(12));
        config.breaker.half_open_timeout = Some(s(25));
    });
    let f = |interval: u64, timeout: u64, deadline: Duration, round: u64| {
        let paced = written.at_pace(s(interval), s(timeout));
        assert_eq!(
            (paced.interval(), paced.timeout()),
            (s(interval), s(timeout))
        );
        let found = (paced.deadline(), paced.breaker.half_open_timeout);
        assert_eq!(found, (deadline, s(round)), "{interval} {timeout}");
    };
    f(60, 10, s(12), 25);
    f(60, 20, s(20), 25);
    f(3, 2, ms(2_800), 25);
    f(60, 30, s(30), 30);
    // Beyond the ranges of both keys.
    f(200_000, 10, s(12), 25);
    f(200_000, 1_000, s(1_000), 25);
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
