//! What an agent, the engine or a Prometheus says to a query, in one form.
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

/// The values of series by their labels.
pub type Values = BTreeMap<String, Vec<(i64, Shown)>>;

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
