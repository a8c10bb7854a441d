//! The day that is asked about, as requests of OTLP.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyText;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::random::Dice;

/// Series of each kind.
pub(crate) const SERIES: usize = 1_000;

const STEP: i64 = 15_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A day, and an hour more that the agent has forgotten again, as one has that runs for long.
const STEPS: i64 = 25 * HOUR / STEP;

/// The longest window of a rate.
const RATE: i64 = 5 * 60_000;

/// Values of the label `g`.
const GROUPS: usize = 16;

/// One point in so many of a counter is a reset.
const RESETS: usize = 2_000;

const CUMULATIVE: i32 = 2;

/// A day of points, and more.
pub(crate) struct History {
    /// The time of the newest, in milliseconds since the epoch.
    end: i64,
}

impl History {
    /// Until now, at whole steps.
    pub(crate) fn ending_now() -> Self {
        Self {
            end: now() / STEP * STEP,
        }
    }

    /// Points that are sent.
    pub(crate) fn points(&self) -> u64 {
        (2 * SERIES) as u64 * STEPS.unsigned_abs()
    }

    /// Points that the agent remembers.
    pub(crate) fn remembered(&self) -> u64 {
        (2 * SERIES) as u64 * (DAY / STEP).unsigned_abs()
    }

    pub(crate) fn end_seconds(&self) -> String {
        (self.end / 1_000).to_string()
    }

    /// Where rates begin, so that the first looks back as far as the agent remembers.
    pub(crate) fn start_seconds(&self) -> String {
        ((self.end - DAY + RATE) / 1_000).to_string()
    }

    /// Makes a request of each step, in their order.
    pub(crate) fn send(&self, mut send: impl FnMut(&[u8])) {
        let mut dice = Dice::new(1);
        let mut levels = vec![200_i64; SERIES];
        let mut visits = vec![0_i64; SERIES];
        for step in 1 - STEPS..=0 {
            let time = self.end + step * STEP;
            let level = |(series, state): (usize, &mut i64)| {
                *state += dice.below(7) as i64 - 3;
                // Half of them have a decimal, most others are whole numbers, the rest is noise.
                let value = match series % 10 {
                    0..5 => *state as f64 / 10.0,
                    5..9 => *state as f64,
                    _ => dice.share() * 100.0,
                };
                point(series, time, Value::AsDouble(value))
            };
            let gauge = Gauge {
                data_points: levels.iter_mut().enumerate().map(level).collect(),
            };
            let count = |(series, state): (usize, &mut i64)| {
                *state += dice.below(200) as i64;
                if dice.one_in(RESETS) {
                    *state = 0;
                }
                point(series, time, Value::AsInt(*state))
            };
            let sum = Sum {
                data_points: visits.iter_mut().enumerate().map(count).collect(),
                aggregation_temporality: CUMULATIVE,
                is_monotonic: true,
            };
            let metrics = [("level", Data::Gauge(gauge)), ("visits", Data::Sum(sum))];
            send(&request(metrics));
        }
    }
}

/// A request of one point of each of the gauges, measured now.
pub(crate) fn points_of_now() -> Vec<u8> {
    let time = now();
    let points = (0..SERIES).map(|series| point(series, time, Value::AsDouble(series as f64)));
    let gauge = Gauge {
        data_points: points.collect(),
    };
    request([("level", Data::Gauge(gauge))])
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn point(series: usize, time: i64, value: Value) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![
            attribute("g", format!("group-{}", series % GROUPS)),
            attribute("mode", "idle".to_owned()),
            attribute("series", series.to_string()),
        ],
        time_unix_nano: time.unsigned_abs() * 1_000_000,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn attribute(key: &str, value: String) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(AnyText::StringValue(value)),
        }),
        ..KeyValue::default()
    }
}

fn request(metrics: impl IntoIterator<Item = (&'static str, Data)>) -> Vec<u8> {
    let metrics = metrics.into_iter().map(|(name, data)| Metric {
        name: name.to_owned(),
        data: Some(data),
        ..Metric::default()
    });
    let resource = Resource {
        attributes: vec![attribute("service.name", "bench".to_owned())],
        ..Resource::default()
    };
    let scope = ScopeMetrics {
        metrics: metrics.collect(),
        ..ScopeMetrics::default()
    };
    let resource_metrics = vec![ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![scope],
        ..ResourceMetrics::default()
    }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}
