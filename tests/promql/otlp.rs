//! Random series as requests of OTLP: some points come late, behind later ones.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and needs another part of it each"
)]

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyText;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::data::{DataSeries, DataSet, LENGTH, START};
use super::lib::{LabelSet, NativeHistogram, is_stale};
use super::random::Dice;

const CUMULATIVE: i32 = 2;
/// The flag of a point without a value: the series has ended.
const NO_VALUE: u32 = 1;

/// A series as it is sent.
struct SentSeries {
    labels: LabelSet,
    form: Form,
    points: Vec<SentPoint>,
}

#[derive(Clone, Copy)]
enum Form {
    Gauge(&'static str),
    UpDown(&'static str),
    Counter(&'static str),
    Classic,
    /// One bucket of a classic histogram, as if it were a gauge.
    Bucket,
    Native(&'static str),
}

struct SentPoint {
    time: i64,
    value: SentValue,
    /// Whether it is sent behind points that are later.
    late: bool,
    /// Whether its number is sent as an integer.
    whole: bool,
}

enum SentValue {
    Number(f64),
    Classic {
        bounds: Vec<f64>,
        counts: Vec<u64>,
        sum: f64,
    },
    Native(NativeHistogram),
    /// The mark of the end, with the bounds of the buckets that end: Prometheus marks only what is
    /// in the point.
    End(Vec<f64>),
}

/// The requests that send a set of series.
pub struct Requests {
    /// For whoever is asked afterwards.
    pub bodies: Vec<Vec<u8>>,
    /// How many points they have.
    pub points: usize,
    /// For Prometheus alone: the ends of the buckets that are gone. One that is sent points shows
    /// such a bucket for five more minutes, where one that scrapes a page ends it at once.
    pub ends: Vec<u8>,
}

/// The requests that send a set of series.
pub fn requests(data: &DataSet, dice: &mut Dice) -> Requests {
    const SLICE: i64 = 20 * 60_000;
    let (series, ended) = all(data, dice);
    let points = series.iter().map(|series| series.points.len()).sum();
    let mut bodies = Vec::new();
    // Each series begins with a request of its own, so that Prometheus has them in this order.
    for one in &series {
        bodies.push(request(std::slice::from_ref(one), |at, _| at == 0));
    }
    let mut from = START - 60_000;
    while from < START + LENGTH + SLICE {
        let within = |point: &SentPoint| (from..from + SLICE).contains(&point.time);
        for late in [false, true] {
            bodies.push(request(&series, |at, point| {
                at > 0 && within(point) && point.late == late
            }));
        }
        from += SLICE;
    }
    Requests {
        bodies,
        points,
        ends: request(&ended, |_, _| true),
    }
}

/// The series of a set that OTLP can send, one kind of point each, and the ends of buckets.
fn all(data: &DataSet, dice: &mut Dice) -> (Vec<SentSeries>, Vec<SentSeries>) {
    let mut all = Vec::new();
    let mut classic: BTreeMap<String, Vec<&DataSeries>> = BTreeMap::new();
    for series in &data.0 {
        let form = match series.labels.value("__name__") {
            "gauge" => Form::Gauge("gauge"),
            "level" => Form::Gauge("level"),
            "odd" => Form::Gauge("odd"),
            "tiny" => Form::Gauge("tiny"),
            "up" => Form::Gauge("up"),
            "hits" => Form::UpDown("hits"),
            "requests_total" => Form::Counter("requests"),
            "latency" => Form::Native("latency"),
            "sizes" => Form::Native("sizes"),
            name if name.starts_with("wait_seconds") => {
                let a = series.labels.value("a").to_owned();
                classic.entry(a).or_default().push(series);
                continue;
            }
            _ => continue,
        };
        all.push(SentSeries {
            labels: series.labels.clone(),
            form,
            points: points(series),
        });
    }
    let mut ended = Vec::new();
    for series in classic.into_values() {
        let (histogram, end) = histogram(&series);
        all.push(histogram);
        ended.extend(end);
    }
    for series in &mut all {
        for point in series.points.iter_mut().skip(1) {
            point.late = dice.one_in(30);
            let whole = matches!(&point.value, SentValue::Number(value) if *value == value.round() && value.abs() < 1e15 && (*value != 0.0 || value.is_sign_positive()));
            point.whole = whole && dice.one_in(3);
        }
    }
    (all, ended)
}

fn points(series: &DataSeries) -> Vec<SentPoint> {
    let floats = series.points.times.iter().zip(&series.points.values);
    let floats = floats.map(|(time, value)| {
        let end = is_stale(*value);
        let value = if end {
            SentValue::End(Vec::new())
        } else {
            SentValue::Number(*value)
        };
        (*time, value)
    });
    let histograms = series.points.histograms.iter();
    let histograms =
        histograms.map(|(time, histogram)| (*time, SentValue::Native((**histogram).clone())));
    let mut points: Vec<(i64, SentValue)> = floats.chain(histograms).collect();
    points.sort_by_key(|(time, _)| *time);
    let points = points.into_iter();
    let late = false;
    let whole = false;
    points
        .map(|(time, value)| SentPoint {
            time,
            value,
            late,
            whole,
        })
        .collect()
}

/// One histogram of the series that show it, and the end of one of its buckets: in the second half
/// of the time it lacks a bound.
fn histogram(shown: &[&DataSeries]) -> (SentSeries, Option<SentSeries>) {
    let of = |end: &str, bound: &str| -> &DataSeries {
        let mut shown = shown.iter();
        shown
            .find(|series| {
                series.labels.value("__name__").ends_with(end) && series.labels.value("le") == bound
            })
            .unwrap()
    };
    let bounds = [0.1, 0.5, 1.0, 2.5];
    let texts = ["0.1", "0.5", "1", "2.5", "+Inf"];
    let buckets = texts.map(|text| &of("_bucket", text).points.values);
    let sums = of("_sum", "");
    let mut points = Vec::new();
    let mut end = None;
    let mut changed = false;
    for (at, time) in sums.points.times.iter().enumerate() {
        let sum = sums.points.values[at];
        let fewer = *time > START + LENGTH / 2;
        let mut bounds = bounds.to_vec();
        let changes = fewer && !std::mem::replace(&mut changed, fewer);
        let ends = is_stale(sum);
        if fewer && !(changes && ends) {
            bounds.remove(1);
        }
        if changes && !ends {
            end = Some(SentSeries {
                labels: of("_bucket", "0.5").labels.clone(),
                form: Form::Bucket,
                points: vec![SentPoint {
                    time: *time,
                    value: SentValue::End(Vec::new()),
                    late: false,
                    whole: false,
                }],
            });
        }
        let value = if ends {
            SentValue::End(bounds)
        } else {
            let mut below = 0.0;
            let mut counts: Vec<u64> = Vec::new();
            for bucket in buckets {
                let count = bucket[at].max(below);
                counts.push((count - below) as u64);
                below = count;
            }
            if fewer {
                let merged = counts.remove(1);
                counts[1] += merged;
            }
            SentValue::Classic {
                bounds,
                counts,
                sum,
            }
        };
        points.push(SentPoint {
            time: *time,
            value,
            late: false,
            whole: false,
        });
    }
    let histogram = SentSeries {
        labels: sums.labels.clone(),
        form: Form::Classic,
        points,
    };
    (histogram, end)
}

/// A request of the points that are wanted, given by their index in the series.
fn request(series: &[SentSeries], wanted: impl Fn(usize, &SentPoint) -> bool) -> Vec<u8> {
    let resources = series.iter().filter_map(|series| {
        let points = series.points.iter().enumerate();
        let points = points.filter(|(at, point)| wanted(*at, point));
        let points: Vec<&SentPoint> = points.map(|(_, point)| point).collect();
        if points.is_empty() {
            return None;
        }
        let job = series.labels.value("job");
        let attributes = if job.is_empty() {
            Vec::new()
        } else {
            vec![attribute("service.name", job)]
        };
        Some(ResourceMetrics {
            resource: Some(Resource {
                attributes,
                ..Resource::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![metric(series, &points)],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        })
    });
    let request = ExportMetricsServiceRequest {
        resource_metrics: resources.collect(),
    };
    request.encode_to_vec()
}

fn metric(series: &SentSeries, points: &[&SentPoint]) -> Metric {
    let labels = series.labels.iter();
    let is_bucket = matches!(series.form, Form::Bucket);
    let others = labels.filter(|label| match &*label.name {
        "__name__" | "job" => false,
        "le" => is_bucket,
        _ => true,
    });
    let attributes: Vec<KeyValue> = others
        .map(|label| attribute(&label.name, &label.value))
        .collect();
    let numbers = || -> Vec<NumberDataPoint> {
        let numbers = points.iter().map(|point| number(point, &attributes));
        numbers.collect()
    };
    let sum = |is_monotonic| {
        Data::Sum(Sum {
            data_points: numbers(),
            aggregation_temporality: CUMULATIVE,
            is_monotonic,
        })
    };
    let (name, unit, data) = match series.form {
        Form::Gauge(name) => {
            let data_points = numbers();
            (name, "", Data::Gauge(Gauge { data_points }))
        }
        Form::Bucket => {
            let data_points = numbers();
            (
                "wait_seconds_bucket",
                "",
                Data::Gauge(Gauge { data_points }),
            )
        }
        Form::UpDown(name) => (name, "", sum(false)),
        Form::Counter(name) => (name, "", sum(true)),
        Form::Classic => {
            let points = points.iter().map(|point| classic(point, &attributes));
            let data = Histogram {
                data_points: points.collect(),
                aggregation_temporality: CUMULATIVE,
            };
            ("wait", "s", Data::Histogram(data))
        }
        Form::Native(name) => {
            let points = points.iter().map(|point| native(point, &attributes));
            let data = ExponentialHistogram {
                data_points: points.collect(),
                aggregation_temporality: CUMULATIVE,
            };
            (name, "", Data::ExponentialHistogram(data))
        }
    };
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(point: &SentPoint, attributes: &[KeyValue]) -> NumberDataPoint {
    let value = match &point.value {
        SentValue::Number(value) if point.whole => Some(Value::AsInt(*value as i64)),
        SentValue::Number(value) => Some(Value::AsDouble(*value)),
        _ => None,
    };
    NumberDataPoint {
        attributes: attributes.to_vec(),
        time_unix_nano: nanos(point.time),
        flags: if value.is_none() { NO_VALUE } else { 0 },
        value,
        ..NumberDataPoint::default()
    }
}

fn classic(point: &SentPoint, attributes: &[KeyValue]) -> HistogramDataPoint {
    let mut sent = HistogramDataPoint {
        attributes: attributes.to_vec(),
        time_unix_nano: nanos(point.time),
        ..HistogramDataPoint::default()
    };
    match &point.value {
        SentValue::Classic {
            bounds,
            counts,
            sum,
        } => {
            sent.count = counts.iter().sum();
            sent.sum = Some(*sum);
            sent.bucket_counts.clone_from(counts);
            sent.explicit_bounds.clone_from(bounds);
        }
        SentValue::End(bounds) => {
            sent.flags = NO_VALUE;
            sent.sum = Some(0.0);
            sent.bucket_counts = vec![0; bounds.len() + 1];
            sent.explicit_bounds.clone_from(bounds);
        }
        SentValue::Number(_) | SentValue::Native(_) => {}
    }
    sent
}

fn native(point: &SentPoint, attributes: &[KeyValue]) -> ExponentialHistogramDataPoint {
    let mut sent = ExponentialHistogramDataPoint {
        attributes: attributes.to_vec(),
        time_unix_nano: nanos(point.time),
        ..ExponentialHistogramDataPoint::default()
    };
    if let SentValue::Native(histogram) = &point.value {
        sent.count = histogram.count as u64;
        sent.sum = Some(histogram.sum);
        sent.scale = histogram.schema;
        sent.zero_count = histogram.zero_count as u64;
        sent.positive = buckets(&histogram.positive);
        sent.negative = buckets(&histogram.negative);
    } else {
        sent.flags = NO_VALUE;
    }
    sent
}

/// Prometheus counts buckets by their upper bounds, OTLP by the lower ones.
fn buckets(populated: &[(i32, f64)]) -> Option<Buckets> {
    let (first, last) = (populated.first()?.0, populated.last()?.0);
    let mut bucket_counts = vec![0; (last - first + 1) as usize];
    for (index, count) in populated {
        bucket_counts[(index - first) as usize] = *count as u64;
    }
    Some(Buckets {
        offset: first - 1,
        bucket_counts,
    })
}

fn nanos(millis: i64) -> u64 {
    millis as u64 * 1_000_000
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(AnyText::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}
