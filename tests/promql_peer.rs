//! Random queries over random series, answered by the engine and by a real Prometheus that
//! holds the same points.
//!
//! `FOGHORN_PROMQL_QUERIES` says how many (2,000 by default), `FOGHORN_PROMQL_SEED` with
//! which seed they begin.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the seed and the count are to be seen")]

use foghorn::query as lib;

#[path = "promql/compare.rs"]
mod compare;
#[path = "promql/data.rs"]
mod data;
#[path = "promql/peer.rs"]
mod peer;
#[path = "support/peers.rs"]
mod peers;
#[path = "promql/queries.rs"]
mod queries;
#[path = "promql/random.rs"]
mod random;
#[path = "promql/words.rs"]
mod words;

use compare::Said;
use data::{DataSet, LENGTH, START};
use lib::{PromQuery, QueryOptions};
use peer::Peer;
use random::Dice;

#[test]
fn random_queries_are_answered_as_prometheus_answers_them() {
    let Some(program) = peers::find("prometheus") else {
        return;
    };
    let number = |name: &str, default: u64| {
        let value = std::env::var(name).ok();
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let count = number("FOGHORN_PROMQL_QUERIES", 2_000);
    let seed = number("FOGHORN_PROMQL_SEED", 1);
    let directory = tempfile::tempdir().unwrap();
    let data = data::random(seed);
    let mut peer = Peer::start(&program, directory.path());
    peer.write(&data);
    let mut dice = Dice::new(seed ^ 0x5eed);
    let mut failures = Vec::new();
    let (mut errors, mut empty) = (0, 0);
    for _ in 0..count {
        let asked = Asked::random(&mut dice);
        let (ours, theirs) = (asked.ours(&data), asked.theirs(&mut peer));
        errors += u64::from(matches!(theirs.outcome, compare::Outcome::Error(..)));
        empty += u64::from(
            matches!(&theirs.outcome, compare::Outcome::Values(values) if values.is_empty()),
        );
        if let Some(difference) = compare::difference(&ours, &theirs, asked.is_ordered()) {
            failures.push(format!("{asked:?}\n    {difference}"));
        }
    }
    println!("seed {seed}: {count} queries, {errors} of them errors, {empty} empty");
    let shown = failures
        .len()
        .min(number("FOGHORN_PROMQL_SHOW", 40) as usize);
    assert!(
        failures.is_empty(),
        "{} of {count} queries of seed {seed} are answered otherwise:\n{}",
        failures.len(),
        failures[..shown].join("\n")
    );
}

/// A query and its times.
#[derive(Debug)]
struct Asked {
    query: String,
    start: i64,
    /// The end and the step of a range.
    range: Option<(i64, i64)>,
}

impl Asked {
    fn random(dice: &mut Dice) -> Self {
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
    fn is_ordered(&self) -> bool {
        self.range.is_some()
    }

    fn ours(&self, data: &DataSet) -> Said {
        let options = QueryOptions::default();
        let answer = PromQuery::parse(&self.query, &options.limits);
        let answer = answer.and_then(|query| match self.range {
            None => query.instant(data, self.start, &options, &|| None),
            Some((end, step)) => query.range(data, (self.start, end), step, &options, &|| None),
        });
        compare::ours(answer, self.start)
    }

    fn theirs(&self, peer: &mut Peer) -> Said {
        let seconds = |time: i64| format!("{}.{:03}", time / 1_000, time % 1_000);
        let start = seconds(self.start);
        let answer = match self.range {
            None => peer.ask("/api/v1/query", &[("query", &self.query), ("time", &start)]),
            Some((end, step)) => {
                let (end, step) = (seconds(end), seconds(step));
                let form = [
                    ("query", self.query.as_str()),
                    ("start", &start),
                    ("end", &end),
                    ("step", &step),
                ];
                peer.ask("/api/v1/query_range", &form)
            }
        };
        compare::theirs(&answer)
    }
}
