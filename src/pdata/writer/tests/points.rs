//! Points with encoded attributes, of every kind.

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Metric, exemplar, exponential_histogram_data_point::Buckets,
};

use super::*;

const DESCRIPTOR: MetricDescriptor<'_> = MetricDescriptor {
    name: "m",
    unit: "s",
    description: "seconds",
};

/// Writes a metric of this kind, and reads it with prost. What was written must be the canonical
/// encoding.
fn written(kind: MetricKind, write: impl FnOnce(&mut MetricsWriter)) -> Metric {
    let mut writer = MetricsWriter::new();
    writer.resource(&[]);
    writer.scope("", "");
    writer.metric_with(
        kind,
        DESCRIPTOR,
        &[
            ("prometheus.type", "unknown".into()),
            ("n", AttributeValue::Int(1)),
        ],
    );
    write(&mut writer);
    // What follows has no metadata of what came before.
    writer.metric(MetricKind::Gauge, DESCRIPTOR);
    let batch = writer.finish();
    let bytes = batch.parts()[0].bytes();
    let walked = walk::request(Signal::Metrics, bytes).unwrap();
    assert!(walked.regular);
    assert_eq!(walked.items, batch.items());
    let read = ExportMetricsServiceRequest::decode(bytes.clone()).unwrap();
    assert_eq!(&read.encode_to_vec(), bytes);
    let mut metrics = read.resource_metrics[0].scope_metrics[0].metrics.clone();
    assert_eq!(metrics.len(), 2);
    assert!(metrics.pop().unwrap().metadata.is_empty());
    let metric = metrics.remove(0);
    let keys: Vec<&str> = metric
        .metadata
        .iter()
        .map(|pair| pair.key.as_str())
        .collect();
    assert_eq!(keys, ["prometheus.type", "n"]);
    metric
}

fn attributes(kind: MetricKind) -> EncodedAttributes {
    EncodedAttributes::new(kind, [("a", "b"), ("c", "")])
}

fn head<'a>(attributes: &'a EncodedAttributes, exemplars: &'a [ExemplarData<'a>]) -> PointHead<'a> {
    PointHead {
        attributes,
        start: 3,
        time: 9,
        exemplars,
    }
}

/// A point of any kind has the attributes and times of [`head`], whether or not it is a tombstone.
macro_rules! check_head {
    ($point:expr) => {
        assert_eq!(pairs(&$point.attributes), [("a", "b"), ("c", "")]);
        assert_eq!(($point.start_time_unix_nano, $point.time_unix_nano), (3, 9));
    };
}

fn pairs(attributes: &[KeyValue]) -> Vec<(&str, &str)> {
    let attributes = attributes.iter();
    attributes
        .map(|pair| match &pair.value.as_ref().unwrap().value {
            Some(any_value::Value::StringValue(text)) => (pair.key.as_str(), text.as_str()),
            value => panic!("{value:?}"),
        })
        .collect()
}

fn exemplars() -> [ExemplarData<'static>; 2] {
    [
        ExemplarData {
            value: 0.0,
            time: 0,
            trace_id: None,
            span_id: None,
            attributes: vec![("x".into(), "y".into()), ("z".into(), "".into())],
        },
        ExemplarData {
            value: 2.5,
            time: 7,
            trace_id: Some([1; 16]),
            span_id: Some([2; 8]),
            attributes: Vec::new(),
        },
    ]
}

fn check_exemplars(read: &[Exemplar]) {
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].filtered_attributes.len(), 2);
    assert_eq!(read[0].value, Some(exemplar::Value::AsDouble(0.0)));
    assert_eq!(read[1].value, Some(exemplar::Value::AsDouble(2.5)));
    assert_eq!(read[1].time_unix_nano, 7);
    assert_eq!((read[1].trace_id.len(), read[1].span_id.len()), (16, 8));
}

#[test]
fn numbers_keep_attributes_times_and_exemplars() {
    for kind in [
        MetricKind::Gauge,
        MetricKind::Counter,
        MetricKind::UpDownCounter,
    ] {
        let attributes = attributes(kind);
        let exemplars = exemplars();
        let head = head(&attributes, &exemplars);
        let metric = written(kind, |writer| {
            writer.encoded_number(head, Some(0.0));
            writer.encoded_number(head, None);
        });
        let (points, monotonic) = match metric.data.unwrap() {
            Data::Gauge(gauge) => (gauge.data_points, None),
            Data::Sum(sum) => (sum.data_points, Some(sum.is_monotonic)),
            data => panic!("{data:?}"),
        };
        assert_eq!(monotonic.unwrap_or_default(), kind == MetricKind::Counter);
        assert_eq!(points[0].value, Some(Value::AsDouble(0.0)));
        for point in &points {
            check_head!(point);
        }
        check_exemplars(&points[0].exemplars);
        assert_eq!((points[1].value.as_ref(), points[1].flags), (None, 1));
        assert!(points[1].exemplars.is_empty());
    }
}

#[test]
fn histograms_keep_counts_and_may_lack_a_sum() {
    let attributes = attributes(MetricKind::Histogram);
    let exemplars = exemplars();
    let head = head(&attributes, &exemplars);
    let data = HistogramData {
        count: 3,
        sum: Some(0.0),
        bounds: &[1.0, 2.0],
        buckets: &[1, 0, 2],
    };
    let metric = written(MetricKind::Histogram, |writer| {
        writer.encoded_histogram(head, Some(data));
        writer.encoded_histogram(head, Some(HistogramData { sum: None, ..data }));
        writer.ending(true);
        writer.encoded_histogram(head, Some(data));
        writer.ending(false);
    });
    let Some(Data::Histogram(histogram)) = metric.data else {
        panic!("{metric:?}")
    };
    assert_eq!(histogram.aggregation_temporality, 2);
    let [point, without_sum, ended] = &histogram.data_points[..] else {
        panic!("{histogram:?}")
    };
    for point in &histogram.data_points {
        check_head!(point);
    }
    assert_eq!((point.count, point.sum), (3, Some(0.0)));
    assert_eq!(point.bucket_counts, [1, 0, 2]);
    assert_eq!(point.explicit_bounds, [1.0, 2.0]);
    check_exemplars(&point.exemplars);
    assert_eq!(without_sum.sum, None);
    assert_eq!((ended.flags, ended.count, ended.sum), (1, 0, None));
    assert!(ended.bucket_counts.is_empty() && ended.exemplars.is_empty());
}

#[test]
fn exponential_histograms_keep_both_sides() {
    let attributes = attributes(MetricKind::ExponentialHistogram);
    let exemplars = exemplars();
    let head = head(&attributes, &exemplars);
    let data = ExponentialHistogramData {
        count: 300,
        sum: -2.5,
        scale: -3,
        zero_count: 1,
        zero_threshold: 0.25,
        positive: ExponentialBuckets {
            offset: -7,
            counts: &[1, 0, 200],
        },
        negative: ExponentialBuckets {
            offset: 0,
            counts: &[98],
        },
    };
    let metric = written(MetricKind::ExponentialHistogram, |writer| {
        writer.encoded_exponential(head, Some(data));
        writer.encoded_exponential(head, None);
    });
    let Some(Data::ExponentialHistogram(histogram)) = metric.data else {
        panic!("{metric:?}")
    };
    assert_eq!(histogram.aggregation_temporality, 2);
    let [point, ended] = &histogram.data_points[..] else {
        panic!("{histogram:?}")
    };
    check_head!(point);
    check_head!(ended);
    assert_eq!((point.count, point.sum), (300, Some(-2.5)));
    assert_eq!((point.scale, point.zero_count), (-3, 1));
    assert_eq!(point.zero_threshold, 0.25);
    let buckets = |offset, counts: &[u64]| Buckets {
        offset,
        bucket_counts: counts.to_vec(),
    };
    assert_eq!(point.positive, Some(buckets(-7, &[1, 0, 200])));
    assert_eq!(point.negative, Some(buckets(0, &[98])));
    check_exemplars(&point.exemplars);
    assert_eq!((ended.flags, ended.count, ended.sum), (1, 0, None));
    assert!(ended.positive.is_none() && ended.exemplars.is_empty());
}

#[test]
fn summaries_keep_their_quantiles() {
    let attributes = attributes(MetricKind::Summary);
    let head = head(&attributes, &[]);
    let metric = written(MetricKind::Summary, |writer| {
        let data = SummaryData {
            count: 4,
            sum: 5.5,
            quantiles: &[(0.0, 1.0), (0.5, f64::NAN), (1.0, 0.0)],
        };
        writer.encoded_summary(head, Some(data));
        writer.encoded_summary(head, None);
    });
    let Some(Data::Summary(summary)) = metric.data else {
        panic!("{metric:?}")
    };
    let [point, ended] = &summary.data_points[..] else {
        panic!("{summary:?}")
    };
    check_head!(point);
    check_head!(ended);
    assert_eq!((point.count, point.sum), (4, 5.5));
    let quantiles: Vec<f64> = point.quantile_values.iter().map(|at| at.quantile).collect();
    assert_eq!(quantiles, [0.0, 0.5, 1.0]);
    assert!(point.quantile_values[1].value.is_nan());
    assert_eq!((ended.flags, ended.count), (1, 0));
    assert!(ended.quantile_values.is_empty());
}
