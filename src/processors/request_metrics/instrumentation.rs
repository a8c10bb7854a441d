//! Reads what the instrumentation of HTTP servers sends.

use std::borrow::Cow;

use crate::pdata::view::{
    Attributes, ExponentialHistogramPoint, HistogramPoint, Metric, Point, Value,
};
use crate::traffic::{LatencyReading, LatencyUnit, UnreadableBuckets};

/// The longest text that is taken for a label, in bytes.
pub(super) const MOST_TEXT: usize = 256;

/// Which semantic conventions a histogram follows. A program may send both during its transition,
/// with the same requests in either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HttpConvention {
    /// `http.server.duration`, in milliseconds.
    Older,
    /// `http.server.request.duration`, in seconds.
    Stable,
}

impl HttpConvention {
    /// That of a metric; `None` if it isn't about requests.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "http.server.request.duration" => Some(Self::Stable),
            "http.server.duration" => Some(Self::Older),
            _ => None,
        }
    }

    /// The unit of a metric's durations: what it says, or else the convention's.
    pub(super) fn unit(self, metric: &Metric<'_>) -> LatencyUnit {
        match (metric.unit(), self) {
            ("s", _) => LatencyUnit::Seconds,
            ("ms", _) => LatencyUnit::Millis,
            (_, Self::Stable) => LatencyUnit::Seconds,
            (_, Self::Older) => LatencyUnit::Millis,
        }
    }
}

/// Reads the counts of a point. With an error comes a reading without buckets. `None` if the point is
/// no histogram. Bounds that are those of `like` are shared with it.
pub(super) fn reading(
    point: &Point<'_>,
    unit: LatencyUnit,
    like: Option<&LatencyReading>,
) -> Option<(LatencyReading, Option<UnreadableBuckets>)> {
    let (total, with_buckets) = match point {
        Point::Histogram(point) => {
            let total = LatencyReading::total(point.count() as f64, point.sum(), unit);
            (total.clone(), explicit(total, point, unit, like))
        }
        Point::ExponentialHistogram(point) => {
            let total = LatencyReading::total(point.count() as f64, point.sum(), unit);
            (total.clone(), exponential(total, point, unit))
        }
        Point::Number(_) | Point::Summary(_) => return None,
    };
    Some(match with_buckets {
        Ok(reading) => (reading, None),
        Err(error) => (total, Some(error)),
    })
}

fn explicit(
    total: LatencyReading,
    point: &HistogramPoint<'_>,
    unit: LatencyUnit,
    like: Option<&LatencyReading>,
) -> Result<LatencyReading, UnreadableBuckets> {
    let counts = point.bucket_counts().map(|count| count as f64);
    total.with_explicit(point.explicit_bounds(), counts, unit, like)
}

fn exponential(
    total: LatencyReading,
    point: &ExponentialHistogramPoint<'_>,
    unit: LatencyUnit,
) -> Result<LatencyReading, UnreadableBuckets> {
    let (positive, negative) = (point.positive(), point.negative());
    total.with_exponential(
        point.scale(),
        (point.zero_count() as f64, point.zero_threshold()),
        (
            positive.offset(),
            positive.counts().map(|count| count as f64),
        ),
        (
            negative.offset(),
            negative.counts().map(|count| count as f64),
        ),
        unit,
    )
}

/// Whether the requests with these attributes were answered with a status of 500 or above.
pub(super) fn is_error(attributes: &Attributes<'_>) -> bool {
    let status = attributes
        .get("http.response.status_code")
        .or_else(|| attributes.get("http.status_code"));
    let code = match status {
        Some(Value::Int(code)) => code,
        Some(Value::Str(text)) => text.parse().unwrap_or_default(),
        _ => 0,
    };
    code >= 500
}

/// The text of an attribute; `None` if it isn't there, is empty or no scalar.
pub(super) fn text<'a>(attributes: &Attributes<'a>, key: &str) -> Option<Cow<'a, str>> {
    match attributes.get(key)? {
        Value::Str("") => None,
        Value::Str(text) => Some(Cow::Borrowed(text)),
        value @ (Value::Int(_) | Value::Bool(_) | Value::Double(_)) => {
            Some(Cow::Owned(value.to_string()))
        }
        Value::Empty | Value::Bytes(_) | Value::Array(_) | Value::Map(_) => None,
    }
}
