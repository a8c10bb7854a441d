//! A random query with its times, and how both sides are asked.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a test needs another part of it each"
)]

use serde_json::Value;

use super::data::{LENGTH, START};
use super::queries;
use super::random::Dice;

/// A query and its times.
#[derive(Debug)]
pub struct Asked {
    pub query: String,
    pub start: i64,
    /// The end and the step of a range.
    pub range: Option<(i64, i64)>,
}

impl Asked {
    pub fn random(dice: &mut Dice) -> Self {
        let query = queries::random(dice);
        let on_a_second = if dice.one_in(2) { 1 } else { 1_000 };
        let start = START - 60_000 + dice.below(LENGTH as usize + 600_000) as i64;
        let start = start / on_a_second * on_a_second;
        let range = dice.one_in(2).then(|| {
            let step = [1_000, 15_000, 60_000, 61_003, 300_000][dice.below(5)];
            (start + step * dice.below(40) as i64 + 7, step)
        });
        Self {
            query,
            start,
            range,
        }
    }

    /// Whether the order of the series says something.
    pub fn is_ordered(&self) -> bool {
        self.range.is_some()
    }

    /// The answer of Prometheus's HTTP API, given what asks it.
    pub fn by_http(&self, mut ask: impl FnMut(&str, &[(&str, &str)]) -> Value) -> Value {
        let seconds = |time: i64| format!("{}.{:03}", time / 1_000, time % 1_000);
        let start = seconds(self.start);
        let query = self.query.as_str();
        match self.range {
            None => ask("/api/v1/query", &[("query", query), ("time", &start)]),
            Some((end, step)) => {
                let (end, step) = (seconds(end), seconds(step));
                let form = [
                    ("query", query),
                    ("start", &start),
                    ("end", &end),
                    ("step", &step),
                ];
                ask("/api/v1/query_range", &form)
            }
        }
    }
}

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}
