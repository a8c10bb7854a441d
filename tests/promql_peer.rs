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
#[path = "promql/patterns.rs"]
mod patterns;
#[path = "promql/peer.rs"]
mod peer;
#[path = "support/peers.rs"]
mod peers;
#[path = "promql/queries.rs"]
mod queries;
#[path = "promql/random.rs"]
mod random;
#[path = "promql/said.rs"]
mod said;
#[path = "promql/words.rs"]
mod words;

use asked::{Asked, setting};
use compare::Differences;
use data::DataSet;
use lib::{PromQuery, QueryOptions};
use peer::Peer;
use random::Dice;
use said::Said;

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
        let theirs = asked.by_http(|method, path, form| peer.ask(method, path, form));
        let theirs = said::theirs(&theirs);
        differences.add(&asked, ours, theirs);
    }
    println!("seed {seed}: {}", differences.summary());
    differences.finish(setting("FOGHORN_PROMQL_SHOW", 40) as usize);
}

fn ours(asked: &Asked, data: &DataSet) -> Said {
    let mut options = QueryOptions::default();
    if let Some(lookback) = asked.lookback_milliseconds() {
        options.lookback = lookback;
    }
    let answer = PromQuery::parse(&asked.query, &options.limits);
    let answer = answer.and_then(|query| match asked.range {
        None => query.instant(data, asked.start, &options, &|| None),
        Some((end, step)) => query.range(data, (asked.start, end), step, &options, &|| None),
    });
    said::ours(answer, asked.start)
}

/// Asked as selectors: `label_replace` tells of no reason, and takes an unbalanced `a)|(b`.
#[test]
fn random_regular_expressions_are_read_as_prometheus_reads_them() {
    let Some(program) = peers::find("prometheus") else {
        return;
    };
    let seed = setting("FOGHORN_PROMQL_SEED", 1);
    let directory = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(&program, directory.path());
    let mut dice = Dice::new(seed ^ 0x9a77e6);
    let mut differences = Vec::new();
    for _ in 0..setting("FOGHORN_PROMQL_QUERIES", 2_000) {
        let (expression, text) = (patterns::expression(&mut dice), patterns::text(&mut dice));
        let quoted = serde_json::to_string(&expression).unwrap();
        let selector = format!("up{{a=~{quoted},b=\"\"}}");
        let answer = peer.ask("POST", "/api/v1/query", &[("query", &selector)]).1;
        let theirs = match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => {
                let text = serde_json::to_string(text).unwrap();
                let query = format!(
                    "label_replace(label_replace(vector(0), \"a\", {text}, \"\", \"\"), \"b\", \"found\", \"a\", {quoted})"
                );
                let answer = peer.ask("POST", "/api/v1/query", &[("query", &query)]).1;
                Ok(answer["data"]["result"][0]["metric"]["b"] == "found")
            }
        };
        let read = lib::parse_selector(&selector, &lib::QueryLimits::default());
        let ours = read.map(|matchers| matchers[0].matches(text));
        let same = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => ours == theirs,
            (Err(ours), Err(theirs)) => {
                theirs.split_once("parse error: ").map(|parts| parts.1)
                    == ours
                        .message
                        .split_once("parse error: ")
                        .map(|parts| parts.1)
            }
            // A bound of ours.
            (Err(ours), Ok(_)) => ours.message.ends_with("too large"),
            _ => false,
        };
        if !same {
            differences.push(format!("{quoted} {text:?}: {ours:?} / {theirs:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
