//! Reads the keys of guards and breakers: the body of `processors: resilience`, and the `breaker`
//! of an exporter.
//!
//! ```yaml
//! breaker:
//!   preset: default            # default | simple: which defaults the other keys have
//!   mode: enforce              # enforce | observe | off
//!   failure_threshold: 5       # 1 to 1000 failures in a row
//!   min_failure_threshold: 2   # 1 to failure_threshold; what chronic errors shrink it to
//!   adaptive: true
//!   ewma_alpha: 0.3            # 0.01 to 1
//!   adaptive_sensitivity: 2.0  # 0.5 to 5
//!   min_health_score: 0.3      # 0 to 1
//!   recovery_score: 0.7        # above min_health_score, to 1
//!   min_success_rate: 0.3      # 0 to 1
//!   sample_size: 20            # 5 to 100
//!   slow_call: 2s              # 1ms to 10m
//!   cooldown: 30s              # 1s to 1h; 5s for an exporter
//!   max_cooldown: 120s         # 1s to 24h; 60s for an exporter
//!   jitter: 0.3                # 0 to 0.9
//!   canary_count: 3            # 1 to 100
//!   canary_required: 2         # 1 to canary_count
//!   canary_concurrency: 1      # 1 to canary_count
//!   half_open_timeout: 30s     # 1s to 1h
//! retry:                       # these three of sources only
//!   max: 3                     # 0 to 10
//!   base: 1s                   # 10ms to 60s
//!   deadline: 14s              # 50ms to 1h, of a whole poll
//!   budget:
//!     capacity: 10             # 0 to 1000
//!     per_success: 0.2         # 0 to 1
//! cache:
//!   ttl: 10s                   # 0 (off) to 1h
//!   max_staleness: 300s        # 0 (nothing is served stale) to 24h
//! hedging:
//!   enabled: false
//!   min_delay: 100ms           # 1ms to 10m
//! ```
//!
//! A default is adapted to written keys that it would contradict. Which values a written key may
//! have depends on other keys, some of which are elsewhere in the file: the deadline of a source
//! must not be longer than the collection interval of its receiver. So the place of every written
//! key is remembered, and a contradiction that is found later is reported there.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::resilience::{
    self, BreakerConfig, BreakerSettings, CacheConfig, Edge, HedgingConfig, Key, Mode, PollConfig,
    Preset, Problems, RetryConfig,
};
use crate::yaml::{Diagnostics, Fields, FromValue, PlacedNode, Problem, Severity, SourceSpan};

/// The range of an exporter's `timeout`.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(600);

/// The body of `processors: resilience`, without contradictions among its own keys.
#[derive(Debug, Clone)]
pub struct GuardConfig {
    /// The keys that are written.
    pub config: resilience::Config,
    /// Where each of them is written.
    pub places: Places,
}

/// Where the keys of a block are written.
#[derive(Debug, Clone)]
pub struct Places {
    block: ValuePlace,
    keys: Vec<(&'static str, ValuePlace)>,
}

/// Where one value is written.
#[derive(Debug, Clone)]
struct ValuePlace {
    span: SourceSpan,
    path: String,
}

impl FromValue for GuardConfig {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut places = Places::new(value);
        let mut fields = value.fields()?;
        let config = resilience::Config {
            breaker: read_block(&mut fields, "breaker", &mut places, breaker),
            retry: read_block(&mut fields, "retry", &mut places, retry),
            cache: read_block(&mut fields, "cache", &mut places, cache),
            hedging: read_block(&mut fields, "hedging", &mut places, hedging),
        };
        fields.finish();
        if let Err(problems) = config.resolve(&PollConfig::default()) {
            places.report(value.diagnostics(), &problems);
            return None;
        }
        Some(Self { config, places })
    }
}

/// Reads the `breaker` and the `timeout` of an exporter. `default_timeout` is the default of the
/// latter, adapted to the breaker's keys. Returns both.
pub fn destination(
    fields: &mut Fields<'_>,
    default_timeout: Duration,
) -> (BreakerSettings, Duration) {
    let mut places = Places::new(fields.map());
    let config = read_block(fields, "breaker", &mut places, breaker);
    let room = config.half_open_timeout.unwrap_or(Duration::MAX);
    // The default is adapted. Never to less than a second, as no valid `half_open_timeout` is
    // shorter.
    let default = default_timeout.min(room.max(Duration::from_secs(1)));
    if let Some(value) = fields.value("timeout") {
        places.note("timeout", &value);
    }
    let timeout = fields.within("timeout", default, TIMEOUTS);
    let settings = config
        .resolve(Edge::Destination, timeout)
        .unwrap_or_else(|problems| {
            places.report(fields.map().diagnostics(), &problems);
            // Never used: the reported problem is an error.
            BreakerSettings::default()
        });
    (settings, timeout)
}

impl Places {
    fn new(block: &PlacedNode<'_>) -> Self {
        Self {
            block: ValuePlace::of(block),
            keys: Vec::new(),
        }
    }

    fn note(&mut self, key: &'static str, value: &PlacedNode<'_>) {
        self.keys.push((key, ValuePlace::of(value)));
    }

    /// Whether the key is written in the block.
    pub fn hold(&self, key: Key) -> bool {
        self.keys.iter().any(|(known, _)| *known == key.as_str())
    }

    /// Reports every problem as an error at the place of its key.
    pub fn report(&self, diagnostics: &Diagnostics, problems: &Problems) {
        for problem in problems.iter() {
            self.tell(diagnostics, problem.key(), Severity::Error, problem);
        }
    }

    /// Reports something at the place of a key, or of the block if the key isn't written.
    pub fn tell(
        &self,
        diagnostics: &Diagnostics,
        key: Key,
        severity: Severity,
        message: impl Display,
    ) {
        let written = self.keys.iter().find(|(known, _)| *known == key.as_str());
        let place = written.map_or(&self.block, |(_, place)| place);
        diagnostics.push(Problem {
            span: place.span.clone(),
            path: place.path.clone(),
            message: message.to_string(),
            severity,
        });
    }
}

impl ValuePlace {
    fn of(value: &PlacedNode<'_>) -> Self {
        Self {
            span: value.span().clone(),
            path: value.path().to_owned(),
        }
    }
}

/// Reads the map under `key` by `read`; the default if it isn't written.
fn read_block<T: Default>(
    fields: &mut Fields<'_>,
    key: &'static str,
    places: &mut Places,
    read: impl FnOnce(&mut KeyReader<'_, '_>) -> T,
) -> T {
    let Some(fields) = fields.value(key).and_then(|value| value.fields()) else {
        return T::default();
    };
    let mut reader = KeyReader { fields, places };
    let block = read(&mut reader);
    reader.fields.finish();
    block
}

/// Reads keys, and remembers where they are written.
struct KeyReader<'p, 'f> {
    fields: Fields<'f>,
    places: &'p mut Places,
}

impl KeyReader<'_, '_> {
    /// Reads the key that is the last segment of this path.
    fn read<T: FromValue>(&mut self, path: &'static str) -> Option<T> {
        let key = path.rsplit_once('.').map_or(path, |(_, key)| key);
        let value = self.fields.value(key).filter(|value| !value.is_null())?;
        self.places.note(path, &value);
        value.read()
    }

    fn number(&mut self, path: &'static str) -> Option<f64> {
        self.read(path).map(|AnyNumber(number)| number)
    }
}

fn breaker(r: &mut KeyReader<'_, '_>) -> BreakerConfig {
    BreakerConfig {
        preset: r.read("breaker.preset"),
        mode: r.read("breaker.mode"),
        failure_threshold: r.read("breaker.failure_threshold"),
        min_failure_threshold: r.read("breaker.min_failure_threshold"),
        adaptive: r.read("breaker.adaptive"),
        ewma_alpha: r.number("breaker.ewma_alpha"),
        adaptive_sensitivity: r.number("breaker.adaptive_sensitivity"),
        min_health_score: r.number("breaker.min_health_score"),
        recovery_score: r.number("breaker.recovery_score"),
        min_success_rate: r.number("breaker.min_success_rate"),
        sample_size: r.read("breaker.sample_size"),
        slow_call: r.read("breaker.slow_call"),
        cooldown: r.read("breaker.cooldown"),
        max_cooldown: r.read("breaker.max_cooldown"),
        jitter: r.number("breaker.jitter"),
        canary_count: r.read("breaker.canary_count"),
        canary_required: r.read("breaker.canary_required"),
        canary_concurrency: r.read("breaker.canary_concurrency"),
        half_open_timeout: r.read("breaker.half_open_timeout"),
    }
}

fn retry(r: &mut KeyReader<'_, '_>) -> RetryConfig {
    let (budget_capacity, budget_per_success) =
        read_block(&mut r.fields, "budget", r.places, |r| {
            (
                r.read("retry.budget.capacity"),
                r.number("retry.budget.per_success"),
            )
        });
    RetryConfig {
        max: r.read("retry.max"),
        base: r.read("retry.base"),
        deadline: r.read("retry.deadline"),
        budget_capacity,
        budget_per_success,
    }
}

fn cache(r: &mut KeyReader<'_, '_>) -> CacheConfig {
    CacheConfig {
        ttl: r.read("cache.ttl"),
        max_staleness: r.read("cache.max_staleness"),
    }
}

fn hedging(r: &mut KeyReader<'_, '_>) -> HedgingConfig {
    HedgingConfig {
        enabled: r.read("hedging.enabled"),
        min_delay: r.read("hedging.min_delay"),
    }
}

/// A number whose range is checked later; NaN and infinities are accepted here, so that the error
/// can state the range.
struct AnyNumber(f64);

impl FromValue for AnyNumber {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let number = value.text().and_then(|text| {
            // YAML writes NaN and infinity as `.nan` and `.inf`.
            let special = text.strip_prefix('.').filter(|word| word.len() == 3);
            let number: Option<f64> = text.parse().ok();
            number.or_else(|| special?.parse().ok())
        });
        number.or_else(|| value.read()).map(Self)
    }
}

impl FromValue for Preset {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        value.choice(&[("default", Self::Default), ("simple", Self::Simple)])
    }
}

impl FromValue for Mode {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        value.choice(&[
            ("enforce", Self::Enforce),
            ("observe", Self::Observe),
            ("off", Self::Off),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    /// The value that a text is read as, and the problems reported.
    fn read<T>(text: &str, read: impl FnOnce(&PlacedNode<'_>) -> T) -> (T, Vec<String>) {
        let diagnostics = Diagnostics::new();
        let node = yaml::parse(text, &"test".into(), &diagnostics).unwrap();
        let read = read(&PlacedNode::root(&node, &diagnostics));
        let problems = diagnostics.problems();
        (read, problems.iter().map(ToString::to_string).collect())
    }

    fn guard(text: &str) -> (Option<resilience::Config>, Vec<String>) {
        read(text, |value| {
            value.read::<GuardConfig>().map(|guard| guard.config)
        })
    }

    #[test]
    fn an_empty_body_writes_nothing() {
        assert_eq!(
            guard("{}"),
            (Some(resilience::Config::default()), Vec::new())
        );
        let (config, problems) = guard("{breaker: , retry: {budget: }, cache: {ttl: }}");
        assert_eq!(config, Some(resilience::Config::default()));
        assert_eq!(problems, [""; 0]);
    }

    #[test]
    fn every_key_reaches_its_place() {
        let text = "
breaker: {preset: simple, mode: observe, failure_threshold: 9, min_failure_threshold: 3,
  adaptive: true, ewma_alpha: 0.2, adaptive_sensitivity: 3, min_health_score: 0.1,
  recovery_score: 0.8, min_success_rate: 0.4, sample_size: 30, slow_call: 3s, cooldown: 20s,
  max_cooldown: 100s, jitter: 0.1, canary_count: 7, canary_required: 6,
  canary_concurrency: 5, half_open_timeout: 40s}
retry: {max: 1, base: 20ms, deadline: 9s, budget: {capacity: 11, per_success: 0.5}}
cache: {ttl: 4s, max_staleness: 60s}
hedging: {enabled: true, min_delay: 50ms}";
        let s = |seconds| Some(Duration::from_secs(seconds));
        let ms = |milliseconds| Some(Duration::from_millis(milliseconds));
        let expected = resilience::Config {
            breaker: BreakerConfig {
                preset: Some(Preset::Simple),
                mode: Some(Mode::Observe),
                failure_threshold: Some(9),
                min_failure_threshold: Some(3),
                adaptive: Some(true),
                ewma_alpha: Some(0.2),
                adaptive_sensitivity: Some(3.0),
                min_health_score: Some(0.1),
                recovery_score: Some(0.8),
                min_success_rate: Some(0.4),
                sample_size: Some(30),
                slow_call: s(3),
                cooldown: s(20),
                max_cooldown: s(100),
                jitter: Some(0.1),
                canary_count: Some(7),
                canary_required: Some(6),
                canary_concurrency: Some(5),
                half_open_timeout: s(40),
            },
            retry: RetryConfig {
                max: Some(1),
                base: ms(20),
                deadline: s(9),
                budget_capacity: Some(11),
                budget_per_success: Some(0.5),
            },
            cache: CacheConfig {
                ttl: s(4),
                max_staleness: s(60),
            },
            hedging: HedgingConfig {
                enabled: Some(true),
                min_delay: ms(50),
            },
        };
        assert_eq!(guard(text), (Some(expected), Vec::new()));
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands_and_all_at_once() {
        let text = "
breaker:
  failure_threshold: 0
  canary_required: 4
  canary_count: 3
  jitter: .NaN
  mode: of
  cooldwn: 3s
retry:
  budget: {capacity: 1001}
cache:
  ttl: 2h";
        let (config, problems) = guard(text);
        assert_eq!(config, None);
        assert_eq!(
            problems,
            [
                "test:3:22: breaker::failure_threshold: `breaker.failure_threshold` is 0, \
                 outside its range of 1 to 1000",
                "test:4:20: breaker::canary_required: `breaker.canary_required` is 4, more than \
                 `breaker.canary_count`, which allows 3",
                "test:6:11: breaker::jitter: `breaker.jitter` is NaN, outside its range of 0 to \
                 0.9",
                "test:7:9: breaker::mode: expected enforce, observe or off, found `of`, did you \
                 mean `off`?",
                "test:8:3: breaker::cooldwn: unknown key `cooldwn`, did you mean `cooldown`?",
                "test:10:22: retry::budget::capacity: `retry.budget.capacity` is 1001, outside \
                 its range of 0 to 1000",
                "test:12:8: cache::ttl: `cache.ttl` is 2h, outside its range of 0s to 1h",
            ]
        );
        let (_, problems) = guard("breaker: {jitter: much}");
        assert_eq!(
            problems,
            ["test:1:19: breaker::jitter: expected a number, found `much`"]
        );
    }

    #[test]
    fn a_destination_has_its_own_defaults_and_its_timeout_gives_way() {
        let f = |text: &str| {
            read(text, |value| {
                let mut fields = value.fields().unwrap();
                let read = destination(&mut fields, Duration::from_secs(5));
                fields.finish();
                read
            })
        };
        let expected = BreakerConfig::default()
            .resolve(Edge::Destination, Duration::from_secs(5))
            .unwrap();
        assert_eq!(f("{}"), ((expected, Duration::from_secs(5)), Vec::new()));

        let ((_, timeout), problems) = f("breaker: {half_open_timeout: 3s}");
        assert_eq!((timeout, problems.len()), (Duration::from_secs(3), 0));
        let ((_, timeout), problems) = f("timeout: 1m");
        assert_eq!((timeout, problems.len()), (Duration::from_secs(60), 0));

        let (_, problems) = f("timeout: 4s\nbreaker: {half_open_timeout: 3s}");
        assert_eq!(
            problems,
            [
                "test:1:10: timeout: `timeout` is 4s, more than `breaker.half_open_timeout`, \
                 which allows 3s"
            ]
        );
        let (_, problems) = f("timeout: 0\nbreaker: {jitter: 1}");
        assert_eq!(
            problems,
            [
                "test:1:10: timeout: 0s is out of range: use 1ms to 10m",
                "test:2:19: breaker::jitter: `breaker.jitter` is 1, outside its range of 0 to 0.9",
            ]
        );
    }
}
