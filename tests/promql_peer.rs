//! Random queries over random series, answered by the engine and by a real Prometheus that
//! holds the same points.
//!
//! `FOGHORN_PROMQL_QUERIES` says how many (2,000 by default), `FOGHORN_PROMQL_SEED` with
//! which seed they begin.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the seed and the count are to be seen")]

use foghorn::query as lib;

#[path = "promql/asked.rs"]
mod asked;
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

use asked::{Asked, setting};
use compare::{Differences, Said};
use data::DataSet;
use lib::{PromQuery, QueryOptions};
use peer::Peer;
use random::Dice;

#[test]
fn random_queries_are_answered_as_prometheus_answers_them() {
    let Some(program) = peers::find("prometheus") else {
        return;
    };
    let count = setting("FOGHORN_PROMQL_QUERIES", 2_000);
    let seed = setting("FOGHORN_PROMQL_SEED", 1);
    let directory = tempfile::tempdir().unwrap();
    let data = data::random(seed);
    let mut peer = Peer::start(&program, directory.path());
    peer.write(&data);
    let mut dice = Dice::new(seed ^ 0x5eed);
    let mut differences = Differences::default();
    for _ in 0..count {
        let asked = Asked::random(&mut dice);
        let ours = ours(&asked, &data);
        let theirs = asked.by_http(|path, form| peer.ask(path, form));
        differences.add(&asked, &ours, &compare::theirs(&theirs), asked.is_ordered());
    }
    println!("seed {seed}: {}", differences.summary());
    differences.finish(setting("FOGHORN_PROMQL_SHOW", 40) as usize);
}

fn ours(asked: &Asked, data: &DataSet) -> Said {
    let options = QueryOptions::default();
    let answer = PromQuery::parse(&asked.query, &options.limits);
    let answer = answer.and_then(|query| match asked.range {
        None => query.instant(data, asked.start, &options, &|| None),
        Some((end, step)) => query.range(data, (asked.start, end), step, &options, &|| None),
    });
    compare::ours(answer, asked.start)
}
