//! Two answers to one query, side by side.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and needs another part of it each"
)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::lib::{
    LabelSet, NativeHistogram, PointValue, QueryAnswer, QueryError, QueryValue, SeriesPoints,
};

/// How far two numbers may lie apart, measured by themselves.
const TOLERANCE: f64 = 1e-9;

/// A value as both sides say it.
#[derive(Clone, Debug)]
pub enum Shown {
    Float(f64),
    /// Count, sum, and the buckets with their bounds.
    Histogram(f64, f64, Vec<[f64; 3]>),
}

/// An answer as both sides give it: values by series and time in milliseconds, or the type
/// of an error.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The type and the text. Texts aren't compared.
    Error(String, String),
    Text(String),
    Values(BTreeMap<String, Vec<(i64, Shown)>>),
}

/// Everything that was said.
#[derive(Clone, Debug)]
pub struct Said {
    pub outcome: Outcome,
    /// The labels of the series in the order of the answer.
    pub order: Vec<String>,
    pub notes: BTreeSet<String>,
    /// Of HTTP, if it was asked by that.
    pub status: Option<u16>,
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

impl Said {
    /// The same with zeros of one sign: of equal values Prometheus takes the one that its sorting,
    /// which isn't stable, has put in the place.
    pub fn without_signs_of_zeros(mut self) -> Self {
        if let Outcome::Values(values) = &mut self.outcome {
            for (_, shown) in values.values_mut().flatten() {
                if let Shown::Float(value) = shown
                    && *value == 0.0
                {
                    *value = 0.0;
                }
            }
        }
        self
    }

    /// Adds a series. Labels that came before are marked, so that none hides another.
    fn add(&mut self, to: &mut Values, mut labels: String, points: Vec<(i64, Shown)>) {
        while to.contains_key(&labels) {
            labels.push_str(" again");
        }
        self.order.push(labels.clone());
        to.insert(labels, points);
    }
}

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
    pub fn add(&mut self, asked: &impl std::fmt::Debug, ours: &Said, theirs: &Said, order: Order) {
        self.count += 1;
        match &theirs.outcome {
            Outcome::Error(..) => self.errors += 1,
            Outcome::Values(values) if values.is_empty() => self.empty += 1,
            Outcome::Values(_) | Outcome::Text(_) => {}
        }
        if let Some(difference) = difference(ours, theirs, order) {
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

type Values = BTreeMap<String, Vec<(i64, Shown)>>;

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

/// What Prometheus said.
pub fn theirs((status, answer): &(u16, Value)) -> Said {
    let list = |key: &str| -> Vec<String> {
        let list = answer[key].as_array().into_iter().flatten();
        list.filter_map(|note| note.as_str().map(plain_note))
            .collect()
    };
    let notes = list("warnings").into_iter().chain(list("infos"));
    // Of colliding resets we say nothing, see the module's documentation.
    let notes = notes.filter(|note| !note.contains("conflicting counter resets"));
    let mut said = Said {
        outcome: Outcome::Values(BTreeMap::new()),
        order: Vec::new(),
        notes: notes.collect(),
        status: Some(*status),
    };
    if answer["status"] != "success" {
        let text = |key: &str| answer[key].as_str().unwrap_or("").to_owned();
        said.outcome = Outcome::Error(text("errorType"), text("error"));
        return said;
    }
    let (kind, result) = (&answer["data"]["resultType"], &answer["data"]["result"]);
    let mut values = BTreeMap::new();
    match kind.as_str() {
        Some("string") => {
            said.outcome = Outcome::Text(result[1].as_str().unwrap_or("").to_owned());
            return said;
        }
        Some("scalar") => {
            values.insert(String::new(), vec![(0, number(&result[1]))]);
        }
        _ => {
            for series in result.as_array().into_iter().flatten() {
                let labels = their_labels(&series["metric"]);
                said.add(&mut values, labels, their_points(series));
            }
        }
    }
    said.outcome = Outcome::Values(values);
    said
}

/// A note without where in the text it arose, and without examples.
fn plain_note(note: &str) -> String {
    let note = note.split(", from buckets").next().unwrap_or(note);
    let end = note.rfind(" (").filter(|_| note.ends_with(')'));
    let is_place = end.is_some_and(|at| note[at + 2..].starts_with(|c: char| c.is_ascii_digit()));
    rounded(match end {
        Some(at) if is_place => &note[..at],
        _ => note,
    })
}

/// A note whose number is rounded.
fn rounded(note: &str) -> String {
    let Some((before, number)) = note.split_once(", got ") else {
        return note.to_owned();
    };
    match number.split(',').next().unwrap_or("").parse::<f64>() {
        Ok(number) => format!("{before}, got {number:.6e}"),
        Err(_) => note.to_owned(),
    }
}

fn their_labels(metric: &Value) -> String {
    let labels = metric.as_object().into_iter().flatten();
    let labels: BTreeMap<&str, &str> = labels
        .map(|(name, value)| {
            let value = value.as_str().unwrap_or("");
            // A page says `1.0`, and Prometheus that is sent the points `1`.
            let whole = value.strip_suffix(".0").filter(|_| name == "le");
            (name.as_str(), whole.unwrap_or(value))
        })
        .collect();
    format!("{labels:?}")
}

fn our_labels(labels: &LabelSet) -> String {
    let labels: BTreeMap<&str, &str> = labels
        .iter()
        .map(|label| (&*label.name, &*label.value))
        .collect();
    format!("{labels:?}")
}

fn their_points(series: &Value) -> Vec<(i64, Shown)> {
    let mut points = Vec::new();
    let time = |point: &Value| (point[0].as_f64().unwrap_or(0.0) * 1_000.0).round() as i64;
    if let Some(point) = series.get("value") {
        points.push((time(point), number(&point[1])));
    }
    if let Some(point) = series.get("histogram") {
        points.push((time(point), histogram(&point[1])));
    }
    for point in series["values"].as_array().into_iter().flatten() {
        points.push((time(point), number(&point[1])));
    }
    for point in series["histograms"].as_array().into_iter().flatten() {
        points.push((time(point), histogram(&point[1])));
    }
    points.sort_by_key(|(time, _)| *time);
    points
}

fn number(value: &Value) -> Shown {
    Shown::Float(float(value))
}

fn float(value: &Value) -> f64 {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or(f64::NAN)
}

fn histogram(value: &Value) -> Shown {
    let buckets = value["buckets"].as_array().into_iter().flatten();
    let buckets = buckets.map(|bucket| [float(&bucket[1]), float(&bucket[2]), float(&bucket[3])]);
    // An empty bucket times NaN is NaN, and how many empty ones there are says nothing.
    let buckets = buckets.filter(|bucket| !bucket[2].is_nan());
    Shown::Histogram(
        float(&value["count"]),
        float(&value["sum"]),
        buckets.collect(),
    )
}

/// What we said.
pub fn ours(answer: Result<QueryAnswer, QueryError>, at: i64) -> Said {
    let mut said = Said {
        outcome: Outcome::Values(BTreeMap::new()),
        order: Vec::new(),
        notes: BTreeSet::new(),
        status: None,
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            said.outcome = Outcome::Error(error.kind.as_str().to_owned(), error.message);
            return said;
        }
    };
    let notes = answer.warnings.iter().chain(&answer.infos);
    said.notes = notes.map(|note| plain_note(note)).collect();
    let mut values = BTreeMap::new();
    match answer.value {
        QueryValue::Text(text) => {
            said.outcome = Outcome::Text(text);
            return said;
        }
        QueryValue::Scalar(value) => {
            values.insert(String::new(), vec![(0, Shown::Float(value))]);
        }
        QueryValue::Vector(samples) => {
            for (labels, value) in samples {
                let labels = our_labels(&labels);
                said.add(&mut values, labels, vec![(at, our_value(&value))]);
            }
        }
        QueryValue::Matrix(matrix) => {
            for series in matrix {
                let labels = our_labels(&series.labels);
                said.add(&mut values, labels, our_points(&series.points));
            }
        }
    }
    said.outcome = Outcome::Values(values);
    said
}

fn our_points(points: &SeriesPoints) -> Vec<(i64, Shown)> {
    let floats = points.times.iter().zip(&points.values);
    let mut shown: Vec<(i64, Shown)> = floats
        .map(|(time, value)| (*time, Shown::Float(*value)))
        .collect();
    let histograms = points.histograms.iter();
    shown.extend(histograms.map(|(time, histogram)| (*time, our_histogram(histogram))));
    shown.sort_by_key(|(time, _)| *time);
    shown
}

fn our_value(value: &PointValue) -> Shown {
    match value {
        PointValue::Float(value) => Shown::Float(*value),
        PointValue::Histogram(histogram) => our_histogram(histogram),
    }
}

fn our_histogram(histogram: &NativeHistogram) -> Shown {
    let buckets = histogram.buckets();
    let buckets = buckets.iter();
    let buckets = buckets.filter(|bucket| bucket.count != 0.0 && !bucket.count.is_nan());
    let buckets = buckets.map(|bucket| [bucket.lower, bucket.upper, bucket.count]);
    Shown::Histogram(histogram.count, histogram.sum, buckets.collect())
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
