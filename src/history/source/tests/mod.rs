//! From stored series to those that are shown.

mod listing;
mod reading;
mod selecting;

use super::*;
use crate::query::{
    PointValue, PromQuery, QueryLimits, QueryOptions, QueryValue, SeriesPoints, parse_selector,
};
use crate::window::{
    StoredExponential, StoredHistogram, StoredPoint, StoredSummary, ValueKind, WindowSettings,
};

const MINUTE: i64 = 60_000;

/// Stores that are filled by hand, a minute between two points.
#[derive(Default)]
struct Rig {
    shelf: Shelf,
}

impl Rig {
    /// Stores the points of a series in the store of an owner, beginning at a minute.
    fn store(
        &self,
        owner: &str,
        (name, kind): (&str, ValueKind),
        labels: &[(&str, &str)],
        minute: i64,
        points: &[StoredPoint<'_>],
    ) {
        let store = self.shelf.open(owner, &WindowSettings::default());
        let mut windows = store.lock();
        windows.advance(0, 1_000 * MINUTE);
        let id = windows.register(name, kind, labels).unwrap();
        for (at, point) in (minute..).zip(points) {
            if point.is_stale() {
                windows.push_stale(id, at * MINUTE).unwrap();
            } else {
                windows.push_point(id, 0, at * MINUTE, point).unwrap();
            }
        }
    }

    fn gauge(&self, owner: &str, name: &str, labels: &[(&str, &str)], minute: i64, values: &[f64]) {
        let points: Vec<_> = values.iter().map(|v| StoredPoint::Number(*v)).collect();
        self.store(owner, (name, ValueKind::Gauge), labels, minute, &points);
    }

    /// A histogram `wait` of two minutes, another with more bounds in its second minute, a summary
    /// `size`, an exponential histogram `lag`, a gauge and a counter.
    fn of_all_kinds() -> Self {
        let rig = Self::default();
        let wait = |owner, labels: &[_], points: &[_]| {
            rig.store(owner, ("wait", ValueKind::Histogram), labels, 0, points);
        };
        wait(
            "window",
            &[("a", "x"), ("z", "1")],
            &[
                histogram(&[0.5, 1.0], &[1.0, 2.0, 3.0], Some(4.5)),
                histogram(&[0.5, 1.0], &[2.0, 2.0, 3.0], Some(5.0)),
            ],
        );
        wait(
            "window",
            &[("a", "y"), ("z", "1")],
            &[
                histogram(&[0.5, 1.0], &[1.0, 0.0, 0.0], None),
                histogram(&[0.5, 1.0, 1e6], &[1.0, 1.0, 0.0, 1.0], None),
            ],
        );
        let summary = StoredPoint::Summary(StoredSummary {
            count: 7.0,
            sum: 8.0,
            quantiles: &[0.5, 0.99],
            values: &[1.0, 2.0],
        });
        let size = ("size", ValueKind::Summary);
        rig.store("window", size, &[("a", "x")], 0, &[summary]);
        let lag = ("lag", ValueKind::ExponentialHistogram);
        rig.store("window", lag, &[("a", "x")], 0, &[exponential(3)]);
        rig.gauge("window", "up", &[("a", "x")], 0, &[1.0]);
        let counter = ("hits_total", ValueKind::Counter);
        let points = [StoredPoint::Number(3.0), StoredPoint::Number(4.0)];
        rig.store("window", counter, &[("a", "x")], 0, &points);
        rig
    }

    fn source(&self) -> HistorySource {
        HistorySource::new(&self.shelf)
    }

    /// The answer at a minute, a line for each series.
    fn ask(&self, query: &str, minute: i64) -> Vec<String> {
        let options = QueryOptions::default();
        let query = PromQuery::parse(query, &options.limits).unwrap();
        let source = self.source();
        let answer = query.instant(&source, minute * MINUTE, &options, &|| None);
        match answer.unwrap().value {
            QueryValue::Vector(samples) => samples
                .iter()
                .map(|(labels, value)| match value {
                    PointValue::Float(value) => format!("{labels} {value}"),
                    PointValue::Histogram(histogram) => format!("{labels} {histogram}"),
                })
                .collect(),
            QueryValue::Matrix(series) => series
                .iter()
                .map(|series| format!("{} {}", series.labels, shown(&series.points)))
                .collect(),
            QueryValue::Scalar(value) => vec![value.to_string()],
            QueryValue::Text(text) => vec![text],
        }
    }

    /// The labels that a selector finds, in the order in which they come.
    fn select(&self, selector: &str) -> Vec<String> {
        let source = self.source();
        let found = source.select(&matchers(selector), 0, 10 * MINUTE, &Unbounded);
        let found = found.unwrap();
        found.iter().map(|one| one.labels().to_string()).collect()
    }
}

/// Points of every kind, minutes before a colon.
fn shown(points: &SeriesPoints) -> String {
    let floats = points.times.iter().zip(&points.values);
    let mut shown: Vec<(i64, String)> = floats
        .map(|(time, value)| {
            let value = match crate::query::is_stale(*value) {
                true => "stale".to_owned(),
                false => value.to_string(),
            };
            (*time, value)
        })
        .collect();
    let histograms = points.histograms.iter();
    shown.extend(histograms.map(|(time, histogram)| (*time, histogram.to_string())));
    shown.sort();
    let shown = shown
        .iter()
        .map(|(time, value)| format!("{}:{value}", time / MINUTE));
    shown.collect::<Vec<_>>().join(" ")
}

fn matchers(selector: &str) -> Vec<LabelMatcher> {
    parse_selector(selector, &QueryLimits::default()).unwrap()
}

fn histogram<'a>(bounds: &'a [f64], buckets: &'a [f64], sum: Option<f64>) -> StoredPoint<'a> {
    StoredPoint::Histogram(StoredHistogram {
        count: buckets.iter().sum(),
        sum,
        bounds,
        buckets,
    })
}

fn exponential(scale: i32) -> StoredPoint<'static> {
    StoredPoint::Exponential(StoredExponential {
        count: 10.0,
        sum: Some(9.5),
        scale,
        zero_count: 1.0,
        zero_threshold: 0.25,
        positive: (-2, &[2.0, 0.0, 3.0, 1.0]),
        negative: (1, &[0.0, 3.0]),
    })
}

const STALE_POINT: StoredPoint<'static> = StoredPoint::Number(crate::query::STALE);

/// Room without bounds.
struct Unbounded;

impl SourceRoom for Unbounded {
    fn work(&self, _: usize) -> Result<(), QueryError> {
        Ok(())
    }

    fn hold(&self, _: usize) -> Result<(), QueryError> {
        Ok(())
    }

    fn release(&self, _: usize) {}
}
