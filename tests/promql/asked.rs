//! A random query with its times, and how both sides are asked.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a test needs another part of it each"
)]

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
    /// How old the points of an instant may be, if that is asked for.
    pub lookback: Option<&'static str>,
    /// How it is asked by HTTP.
    pub method: &'static str,
}

/// What the order of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing.
    Free,
    /// The values are in an order, and series of equal values in any.
    OfValues,
    /// The series are in an order.
    OfSeries,
}

impl Asked {
    pub fn random(dice: &mut Dice) -> Self {
        let query = queries::maybe_wrong(dice);
        let on_a_second = if dice.one_in(2) { 1 } else { 1_000 };
        let start = START - 60_000 + dice.below(LENGTH as usize + 600_000) as i64;
        let start = start / on_a_second * on_a_second;
        let range = dice.one_in(2).then(|| {
            let step = [1_000, 15_000, 60_000, 61_003, 300_000][dice.below(5)];
            let steps = if dice.one_in(10) { 1_000 } else { 40 };
            (start + step * dice.below(steps) as i64 + 7, step)
        });
        Self {
            query,
            start,
            range,
            lookback: dice
                .one_in(10)
                .then(|| dice.pick(&["1m", "17s", "10m", "1h", "61.5"])),
            method: dice.pick(&["POST", "POST", "GET"]),
        }
    }

    /// What the order of the series says.
    pub fn order(&self) -> Order {
        let picks = ["sort(", "sort_desc(", "topk", "bottomk"];
        match self.range {
            Some(_) => Order::OfSeries,
            None if picks.iter().any(|name| self.query.starts_with(name)) => Order::OfValues,
            None => Order::Free,
        }
    }

    /// Whether one of equal values may be picked, such as one of two zeros.
    pub fn picks_among_equal(&self) -> bool {
        let pick = ["quantile", "max", "min", "clamp"];
        pick.iter().any(|name| self.query.contains(name))
    }

    /// The age in milliseconds.
    pub fn lookback_milliseconds(&self) -> Option<i64> {
        self.lookback.map(|text| match text {
            "1m" => 60_000,
            "17s" => 17_000,
            "10m" => 600_000,
            "1h" => 3_600_000,
            _ => 61_500,
        })
    }

    /// The answer of Prometheus's HTTP API, given what asks it.
    pub fn by_http<A>(&self, mut ask: impl FnMut(&str, &str, &[(&str, &str)]) -> A) -> A {
        let seconds = |time: i64| format!("{}.{:03}", time / 1_000, time % 1_000);
        let start = seconds(self.start);
        let query = self.query.as_str();
        let mut form = vec![("query", query)];
        form.extend(self.lookback.map(|age| ("lookback_delta", age)));
        match self.range {
            None => {
                form.push(("time", &start));
                ask(self.method, "/api/v1/query", &form)
            }
            Some((end, step)) => {
                let (end, step) = (seconds(end), seconds(step));
                form.extend([("start", &*start), ("end", &*end), ("step", &*step)]);
                ask(self.method, "/api/v1/query_range", &form)
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
