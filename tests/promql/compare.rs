//! Two answers to one query, side by side.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and needs another part of it each"
)]

use std::collections::BTreeSet;

use serde_json::Value;

use super::asked::{Asked, Order};
use super::said::{Outcome, Said, Shown, Values, theirs};

/// How far two numbers may lie apart, measured by themselves.
const TOLERANCE: f64 = 1e-9;

/// What was found in many answers.
#[derive(Default)]
pub struct Differences {
    count: usize,
    errors: usize,
    empty: usize,
    found: Vec<String>,
}

impl Differences {
    /// Compares both answers to what was asked.
    pub fn add(&mut self, asked: &Asked, ours: Said, theirs: Said) {
        let (ours, theirs) = match asked.picks_among_equal() {
            true => (
                ours.without_signs_of_zeros(),
                theirs.without_signs_of_zeros(),
            ),
            false => (ours, theirs),
        };
        self.count += 1;
        match &theirs.outcome {
            Outcome::Error(..) => self.errors += 1,
            Outcome::Values(values) if values.is_empty() => self.empty += 1,
            Outcome::Values(_) | Outcome::Text(_) => {}
        }
        if let Some(difference) = difference(&ours, &theirs, asked.order()) {
            self.found.push(format!("{asked:?}\n    {difference}"));
        }
    }

    /// How many answers of which kind there were.
    pub fn summary(&self) -> String {
        let Self {
            count,
            errors,
            empty,
            ..
        } = self;
        format!("{count} queries, {errors} of them errors, {empty} empty")
    }

    /// Fails if anything differs, and shows so many of the differences.
    pub fn finish(&self, most: usize) {
        let shown = &self.found[..self.found.len().min(most)];
        assert!(
            self.found.is_empty(),
            "{} of {} queries are answered otherwise:\n{}",
            self.found.len(),
            self.count,
            shown.join("\n")
        );
    }
}

/// What differs, if something does.
fn difference(ours: &Said, theirs: &Said, order: Order) -> Option<String> {
    if let (Some(mine), Some(other)) = (ours.status, theirs.status)
        && mine != other
    {
        return Some(format!(
            "statuses: {mine} {} / {other} {}",
            brief(&ours.outcome),
            brief(&theirs.outcome)
        ));
    }
    match (&ours.outcome, &theirs.outcome) {
        (Outcome::Error(ours, ours_text), Outcome::Error(theirs, theirs_text)) => {
            (ours != theirs).then(|| format!("errors: {ours} {ours_text} / {theirs} {theirs_text}"))
        }
        (Outcome::Text(ours), Outcome::Text(theirs)) => {
            (ours != theirs).then(|| format!("texts: {ours} / {theirs}"))
        }
        (Outcome::Values(mine), Outcome::Values(other)) => values(mine, other)
            .or_else(|| {
                let differs = match order {
                    Order::Free => false,
                    Order::OfValues => !same_values(ours, theirs),
                    Order::OfSeries => ours.order != theirs.order,
                };
                differs.then(|| format!("order: {:?} / {:?}", ours.order, theirs.order))
            })
            .or_else(|| notes(&ours.notes, &theirs.notes)),
        (ours, theirs) => Some(format!("kinds: {} / {}", brief(ours), brief(theirs))),
    }
}

/// Of more than ten notes Prometheus shows any ten.
fn notes(ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> Option<String> {
    let omitted = |notes: &BTreeSet<String>| -> BTreeSet<String> {
        let notes = notes.iter();
        notes
            .filter(|note| note.ends_with("omitted"))
            .cloned()
            .collect()
    };
    // Of those between one vector and another Prometheus shows the last of a step.
    const LAST_OF_A_STEP: &str = "incompatible sample types";
    let shows = |notes: &BTreeSet<String>| notes.iter().any(|note| note.contains(LAST_OF_A_STEP));
    if shows(ours) && shows(theirs) && theirs.is_subset(ours) {
        return None;
    }
    let same = if omitted(theirs).is_empty() {
        ours == theirs
    } else {
        omitted(ours) == omitted(theirs)
    };
    (!same).then(|| format!("notes: {ours:?} / {theirs:?}"))
}

fn brief(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Values(values) => format!("{} series", values.len()),
        other => format!("{other:?}"),
    }
}

fn values(ours: &Values, theirs: &Values) -> Option<String> {
    let only = |a: &Values, b: &Values| -> Vec<String> {
        a.keys()
            .filter(|key| !b.contains_key(*key))
            .cloned()
            .collect()
    };
    let (mine, other) = (only(ours, theirs), only(theirs, ours));
    if !mine.is_empty() || !other.is_empty() {
        return Some(format!("only ours {mine:?}, only theirs {other:?}"));
    }
    for (labels, mine) in ours {
        let other = &theirs[labels];
        let times = |points: &[(i64, Shown)]| -> BTreeSet<i64> {
            points.iter().map(|(time, _)| *time).collect()
        };
        let (mine_at, other_at) = (times(mine), times(other));
        if mine_at != other_at {
            let extra: Vec<_> = mine_at.difference(&other_at).take(3).collect();
            let missing: Vec<_> = other_at.difference(&mine_at).take(3).collect();
            return Some(format!(
                "{labels}: times {extra:?} extra, {missing:?} missing"
            ));
        }
        let pairs = mine.iter().zip(other);
        for ((time, mine), (_, other)) in pairs {
            if !same(mine, other) {
                return Some(format!("{labels} at {time}: {mine:?} / {other:?}"));
            }
        }
    }
    None
}

/// Whether the first values of the series are the same, one by one.
fn same_values(ours: &Said, theirs: &Said) -> bool {
    let firsts = |said: &Said| -> Vec<Shown> {
        let Outcome::Values(values) = &said.outcome else {
            return Vec::new();
        };
        let series = said.order.iter().filter_map(|labels| values.get(labels));
        series
            .filter_map(|points| Some(points.first()?.1.clone()))
            .collect()
    };
    let (mine, other) = (firsts(ours), firsts(theirs));
    mine.len() == other.len() && mine.iter().zip(&other).all(|(a, b)| same(a, b))
}

fn same(a: &Shown, b: &Shown) -> bool {
    match (a, b) {
        (Shown::Float(a), Shown::Float(b)) => close(*a, *b),
        (Shown::Histogram(count, sum, buckets), Shown::Histogram(count_b, sum_b, others)) => {
            let mut pairs = buckets.iter().flatten().zip(others.iter().flatten());
            close(*count, *count_b)
                && close(*sum, *sum_b)
                && buckets.len() == others.len()
                && pairs.all(|(a, b)| close(*a, *b))
        }
        _ => false,
    }
}

fn close(a: f64, b: f64) -> bool {
    if a == b {
        return a != 0.0 || a.is_sign_negative() == b.is_sign_negative();
    }
    (a.is_nan() && b.is_nan())
        || (a.is_finite() && b.is_finite() && (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()))
}

#[test]
fn answers_that_only_look_alike_differ() {
    let answer = |values: &[(&str, &str)]| {
        let series = values.iter().map(
            |(labels, value)| serde_json::json!({"metric": {"a": labels}, "value": [0, value]}),
        );
        let result: Vec<Value> = series.collect();
        let data = serde_json::json!({"resultType": "vector", "result": result});
        (200, serde_json::json!({"status": "success", "data": data}))
    };
    let f = |ours: &[(&str, &str)], other: &[(&str, &str)], order: Order, same: bool| {
        let found = difference(&theirs(&answer(ours)), &theirs(&answer(other)), order);
        assert_eq!(found.is_none(), same, "{ours:?} {other:?} {found:?}");
    };
    f(
        &[("x", "1")],
        &[("x", "1.0000000000001")],
        Order::Free,
        true,
    );
    f(&[("x", "0")], &[("x", "-0")], Order::Free, false);
    f(&[("x", "1e-300")], &[("x", "0")], Order::Free, false);
    f(&[("x", "1e-17")], &[("x", "2e-17")], Order::Free, false);
    f(&[("x", "1"), ("x", "1")], &[("x", "1")], Order::Free, false);
    let (one, other) = ([("x", "1"), ("y", "2")], [("y", "2"), ("x", "1")]);
    f(&one, &other, Order::Free, true);
    f(&one, &other, Order::OfValues, false);
    f(
        &[("x", "1"), ("y", "1")],
        &[("y", "1"), ("x", "1")],
        Order::OfValues,
        true,
    );
    f(
        &[("x", "1"), ("y", "1")],
        &[("y", "1"), ("x", "1")],
        Order::OfSeries,
        false,
    );
    let refused = |status: u16, kind: &str| {
        theirs(&(
            status,
            serde_json::json!({"status": "error", "errorType": kind}),
        ))
    };
    let differs = |ours, theirs| difference(&ours, &theirs, Order::Free).is_some();
    assert!(differs(refused(400, "bad_data"), refused(422, "bad_data")));
    assert!(differs(refused(400, "bad_data"), refused(400, "execution")));
    assert!(!differs(refused(400, "bad_data"), refused(400, "bad_data")));
}
