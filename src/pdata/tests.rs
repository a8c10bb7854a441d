//! The walk and the re-encoding against prost.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use proptest::prelude::*;
use prost::Message;

use super::costly::{self, field};
use super::samples::{self, Random, Style};
use super::{Batch, Malformed, MalformedReason, Signal, walk};

/// A random request of a signal.
pub(super) fn sample(signal: Signal, seed: u64, style: Style) -> Vec<u8> {
    match signal {
        Signal::Metrics => samples::metrics(seed, style),
        Signal::Traces => samples::traces(seed, style),
        Signal::Logs => samples::logs(seed, style),
    }
}

/// What prost makes of a request: how many items, or none where it refuses or an id has a
/// length that the Collector refuses.
fn items_by_prost(signal: Signal, bytes: &[u8]) -> Option<u64> {
    let items = match signal {
        Signal::Metrics => ExportMetricsServiceRequest::decode(bytes)
            .ok()?
            .resource_metrics
            .iter()
            .flat_map(|resource| &resource.scope_metrics)
            .flat_map(|scope| &scope.metrics)
            .map(|metric| match &metric.data {
                None => 0,
                Some(Data::Gauge(data)) => data.data_points.len(),
                Some(Data::Sum(data)) => data.data_points.len(),
                Some(Data::Histogram(data)) => data.data_points.len(),
                Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
                Some(Data::Summary(data)) => data.data_points.len(),
            })
            .sum(),
        Signal::Traces => ExportTraceServiceRequest::decode(bytes)
            .ok()?
            .resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans)
            .map(|scope| scope.spans.len())
            .sum(),
        Signal::Logs => ExportLogsServiceRequest::decode(bytes)
            .ok()?
            .resource_logs
            .iter()
            .flat_map(|resource| &resource.scope_logs)
            .map(|scope| scope.log_records.len())
            .sum::<usize>(),
    };
    (!has_wrong_ids(signal, bytes)).then_some(items as u64)
}

fn has_wrong_ids(signal: Signal, bytes: &[u8]) -> bool {
    match signal {
        Signal::Metrics => samples::metrics_have_wrong_ids(bytes),
        Signal::Traces => samples::traces_have_wrong_ids(bytes),
        Signal::Logs => samples::logs_have_wrong_ids(bytes),
    }
}

/// Decoded and encoded again: equal for requests that mean the same.
pub(super) fn canonical(signal: Signal, bytes: &[u8]) -> Vec<u8> {
    match signal {
        Signal::Metrics => ExportMetricsServiceRequest::decode(bytes)
            .unwrap()
            .encode_to_vec(),
        Signal::Traces => ExportTraceServiceRequest::decode(bytes)
            .unwrap()
            .encode_to_vec(),
        Signal::Logs => ExportLogsServiceRequest::decode(bytes)
            .unwrap()
            .encode_to_vec(),
    }
}

fn agrees_with_prost(signal: Signal, bytes: &[u8]) {
    let walked = walk::request(signal, bytes).map(|walked| walked.items);
    assert_eq!(
        walked.as_ref().ok().copied(),
        items_by_prost(signal, bytes),
        "{signal}: {walked:?} for {bytes:02x?}"
    );
}

fn decode(signal: Signal, bytes: Vec<u8>) -> Batch {
    Batch::decode(signal, bytes.into()).unwrap()
}

proptest! {
    #[test]
    fn whatever_protobuf_allows_is_accepted_and_counted(seed: u64) {
        for signal in Signal::ALL {
            for style in [Style::CANONICAL, Style::REGULAR, Style::ANY] {
                let bytes = sample(signal, seed, style);
                agrees_with_prost(signal, &bytes);
                let walked = walk::request(signal, &bytes).unwrap();
                prop_assert!(walked.regular || style.irregular);
            }
        }
    }

    #[test]
    fn a_truncated_request_is_refused_where_prost_refuses_it(seed: u64) {
        for signal in Signal::ALL {
            let bytes = sample(signal, seed, Style::ANY);
            for end in 0..bytes.len().min(2_000) {
                agrees_with_prost(signal, &bytes[..end]);
            }
        }
    }

    #[test]
    fn a_damaged_request_is_refused_where_prost_refuses_it(seed: u64) {
        let mut random = Random::new(seed);
        for signal in Signal::ALL {
            let original = sample(signal, seed, Style::ANY);
            for _ in 0..if original.is_empty() { 0 } else { 50 } {
                let mut bytes = original.clone();
                for _ in 0..=random.below(3) {
                    let at = random.below(bytes.len());
                    bytes[at] = if random.one_in(2) {
                        bytes[at] ^ 1 << random.below(8)
                    } else {
                        random.next() as u8
                    };
                }
                agrees_with_prost(signal, &bytes);
            }
        }
    }

    #[test]
    fn random_bytes_are_refused_where_prost_refuses_them(bytes: Vec<u8>) {
        for signal in Signal::ALL {
            agrees_with_prost(signal, &bytes);
        }
    }

    #[test]
    fn an_irregular_request_is_forwarded_as_it_is_and_read_as_prost_reads_it(seed: u64) {
        for signal in Signal::ALL {
            let bytes = sample(signal, seed, Style::ANY);
            let batch = decode(signal, bytes.clone());
            for part in batch.parts() {
                prop_assert_eq!(part.bytes(), &bytes);
                let regular = part.regular_bytes(signal);
                if part.is_regular() {
                    prop_assert_eq!(regular, &bytes);
                }
                let walked = walk::request(signal, regular).unwrap();
                prop_assert!(walked.regular);
                prop_assert_eq!(walked.items, part.items());
                prop_assert_eq!(canonical(signal, regular), canonical(signal, &bytes));
            }
        }
    }
}

/// A log record's body nested in so many arrays, around `core`.
fn nested(arrays: usize, core: &[u8]) -> Vec<u8> {
    let mut value = core.to_vec();
    for _ in 0..arrays {
        value = field(5, &field(1, &value));
    }
    // Request, resource, scope, record, body.
    field(1, &field(2, &field(2, &field(5, &value))))
}

/// A request with one point of a gauge, whose attributes are of every plain type.
fn plain() -> Vec<u8> {
    let attribute = |key: &str, value: &[u8]| {
        let content = [field(1, key.as_bytes()), field(2, value)].concat();
        field(7, &content)
    };
    let point = [
        &[
            0x11, 1, 2, 3, 4, 5, 6, 7, 0x88, 0x19, 1, 2, 3, 4, 5, 6, 7, 0x88,
        ][..],
        &[0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        &attribute("a.long.key", &field(1, b"text")),
        &attribute("i", &[0x18, 0xc8, 0x01]),
        &attribute("b", &[0x10, 1]),
        &attribute("d", &[0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]),
    ]
    .concat();
    field(1, &field(2, &field(2, &field(5, &field(1, &point)))))
}

#[test]
fn what_is_nearly_plain_is_read_as_prost_reads_it() {
    let original = plain();
    assert!(walk::request(Signal::Metrics, &original).unwrap().regular);
    for at in 0..original.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = original.clone();
            bytes[at] = byte;
            agrees_with_prost(Signal::Metrics, &bytes);
            if walk::request(Signal::Metrics, &bytes).is_ok_and(|walked| walked.regular) {
                agrees_with_views(&bytes);
            }
        }
    }
}

/// Reads the points of a regular request by views and by prost.
fn agrees_with_views(bytes: &[u8]) {
    let batch = decode(Signal::Metrics, bytes.to_vec());
    let views = batch
        .resource_metrics()
        .flat_map(|resource| resource.scopes())
        .flat_map(|scope| scope.metrics())
        .flat_map(|metric| metric.data().points())
        .map(|point| (point.time_unix_nano(), point.attributes().iter().count()));
    let structs = ExportMetricsServiceRequest::decode(bytes).unwrap();
    let structs = structs
        .resource_metrics
        .iter()
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| &scope.metrics)
        .flat_map(|metric| match &metric.data {
            Some(Data::Gauge(data)) => data.data_points.as_slice(),
            Some(Data::Sum(data)) => &data.data_points,
            _ => &[],
        })
        .map(|point| (point.time_unix_nano, point.attributes.len()));
    let read_by_views: Vec<_> = views.collect();
    // Of other kinds of points every field is optional, so that anything reads as one.
    if !read_by_views.is_empty() && structs.clone().count() == read_by_views.len() {
        assert_eq!(read_by_views, structs.collect::<Vec<_>>(), "{bytes:02x?}");
    }
}

#[test]
fn a_costly_irregular_request_is_read_within_its_weight() {
    for size in [1 << 10, 1 << 14, 1 << 18] {
        for bytes in costly::irregular(size) {
            let batch = decode(Signal::Metrics, bytes.clone());
            let [part] = batch.parts() else {
                panic!("one request, one part")
            };
            assert!(!part.is_regular());
            assert!(batch.weight() <= 8 * batch.size());
            let regular = part.regular_bytes(Signal::Metrics);
            let taken = (bytes.len() + regular.len()) as u64;
            assert_eq!(batch.weight(), taken, "it has been read");
            assert!(regular.len() <= bytes.len(), "{size}");
            assert!(walk::request(Signal::Metrics, regular).unwrap().regular);
            assert_eq!(
                canonical(Signal::Metrics, regular),
                canonical(Signal::Metrics, &bytes)
            );
        }
    }
}

#[test]
fn an_irregular_request_weighs_what_its_pieces_cost() {
    let size = 1 << 18;
    let weight = |bytes: &[u8]| {
        let batch = decode(Signal::Metrics, bytes.to_vec());
        batch.weight() as f64 / batch.size() as f64
    };
    // A group, unpacked numbers, or a name that stands twice, in a request that is regular
    // otherwise.
    let name = field(1, b"m");
    let points = field(5, &field(1, &[]).repeat(size / 2));
    let group =
        costly::metric(&[name.clone(), vec![0xa3, 0x06, 0xa4, 0x06], points.clone()].concat());
    let counts = [[0x31].as_slice(), &[0; 8]].concat().repeat(size / 9);
    let unpacked = costly::metric(&[name.clone(), field(9, &field(1, &counts))].concat());
    let twice = costly::metric(&[name.clone(), name, points].concat());
    for request in [group, unpacked, twice] {
        assert!(
            (2.9..3.1).contains(&weight(&request)),
            "{}",
            weight(&request)
        );
    }
    let [pieces, ..] = &costly::irregular(size)[..] else {
        panic!("there are several");
    };
    assert!(weight(pieces) > 7.9);
}

#[test]
fn messages_may_be_nested_as_deep_as_prost_allows() {
    let cores: [&[u8]; 4] = [
        // Nothing, a known scalar, an unknown field, an unknown group.
        &[],
        &[0x10, 0x01],
        &[0xa0, 0x06, 0x01],
        &[0xa3, 0x06, 0x0b, 0x0c, 0xa4, 0x06],
    ];
    for arrays in 40..55 {
        for core in cores {
            agrees_with_prost(Signal::Logs, &nested(arrays, core));
        }
    }
    assert!(walk::request(Signal::Logs, &nested(48, &[])).is_ok());
    let refused = walk::request(Signal::Logs, &nested(49, &[])).unwrap_err();
    assert_eq!(refused.reason, MalformedReason::Depth);
}

#[test]
fn a_malformed_request_says_where_and_what() {
    let refused = |bytes: Vec<u8>| {
        Batch::decode(Signal::Metrics, bytes.into())
            .unwrap_err()
            .to_string()
    };
    // A metric whose name isn't UTF-8, behind an empty resource.
    let metric = field(2, &field(1, &[0xff]));
    assert_eq!(
        refused([field(1, &[]), field(1, &field(2, &metric))].concat()),
        "a string that is not UTF-8 at byte 8, in resource_metrics.scope_metrics.metrics.name"
    );
    assert_eq!(refused(vec![0x00]), "an invalid field key at byte 0");
    assert_eq!(
        refused(field(1, &[0x08, 0x01])),
        "a field of the wrong wire type at byte 2, in resource_metrics.resource"
    );
    assert_eq!(
        refused(vec![0x0a, 0x05, 0x12]),
        "a truncated or overlong field at byte 0, in resource_metrics"
    );
    assert_eq!(
        refused(vec![0x0c]),
        "a field of the wrong wire type at byte 0, in resource_metrics"
    );
    assert_eq!(refused(vec![0x14]), "an unmatched end of a group at byte 0");
}

#[test]
fn an_id_has_its_length_or_is_empty() {
    /// A request whose only id is in these fields, outermost first.
    fn request(path: &[u8], id: &[u8]) -> Vec<u8> {
        let inner = path.iter().rev();
        inner.fold(id.to_vec(), |content, number| field(*number, &content))
    }
    let call = |signal, path: &[u8], name: &str, right: u8| {
        for length in 0..=40 {
            // Zeros are an id that says nothing, and are taken as one.
            for byte in [0, 0xab] {
                let bytes = request(path, &vec![byte; length]);
                agrees_with_prost(signal, &bytes);
                let refused = Batch::decode(signal, bytes.into()).err();
                let refused = refused.map(|refused| (refused.reason, refused.path));
                let wrong = (MalformedReason::Id(right), name.to_owned());
                let is_right = length == 0 || length == usize::from(right);
                assert_eq!(refused, (!is_right).then_some(wrong), "{name} of {length}");
            }
        }
    };
    let (traces, logs) = (Signal::Traces, Signal::Logs);
    let span = "resource_spans.scope_spans.spans";
    call(traces, &[1, 2, 2, 1], &format!("{span}.trace_id"), 16);
    call(traces, &[1, 2, 2, 2], &format!("{span}.span_id"), 8);
    call(traces, &[1, 2, 2, 4], &format!("{span}.parent_span_id"), 8);
    call(
        traces,
        &[1, 2, 2, 13, 1],
        &format!("{span}.links.trace_id"),
        16,
    );
    call(
        traces,
        &[1, 2, 2, 13, 2],
        &format!("{span}.links.span_id"),
        8,
    );
    let record = "resource_logs.scope_logs.log_records";
    call(logs, &[1, 2, 2, 9], &format!("{record}.trace_id"), 16);
    call(logs, &[1, 2, 2, 10], &format!("{record}.span_id"), 8);
    for (data, points, name) in [
        (5, 5, "gauge"),
        (7, 5, "sum"),
        (9, 8, "histogram"),
        (10, 11, "exponential_histogram"),
    ] {
        let exemplar =
            format!("resource_metrics.scope_metrics.metrics.{name}.data_points.exemplars");
        for (number, id, length) in [(5, "trace_id", 16), (4, "span_id", 8)] {
            call(
                Signal::Metrics,
                &[1, 2, 2, data, 1, points, number],
                &format!("{exemplar}.{id}"),
                length,
            );
        }
    }
}

#[test]
fn an_empty_request_is_an_empty_batch() {
    let batch = Batch::decode(Signal::Traces, Bytes::new()).unwrap();
    assert!(batch.parts().is_empty());
    assert_eq!(batch.items(), 0);
}

#[test]
fn of_a_oneof_the_last_member_counts() {
    let point = field(1, &[]);
    let two = [point.clone(), point.clone()].concat();
    let request = |members: &[Vec<u8>]| field(1, &field(2, &field(2, &members.concat())));
    let call = |members: &[Vec<u8>], items: u64| {
        let batch = decode(Signal::Metrics, request(members));
        assert_eq!(batch.items(), items);
        assert!(!batch.parts()[0].is_regular());
        agrees_with_prost(Signal::Metrics, &request(members));
        let read = batch
            .resource_metrics()
            .flat_map(|resource| resource.scopes())
            .flat_map(|scope| scope.metrics())
            .flat_map(|metric| metric.data().points())
            .count();
        assert_eq!(read as u64, items);
    };
    let (gauge, sum) = (field(5, &two), field(7, &point));
    call(&[gauge.clone(), sum.clone()], 1);
    call(&[sum.clone(), gauge.clone()], 2);
    call(&[gauge.clone(), gauge.clone()], 4);
    call(&[gauge.clone(), sum, gauge], 2);
}

#[test]
fn a_refusal_holds_nothing_of_the_request() {
    let secret = field(
        1,
        &field(1, &field(1, &[field(1, b"token"), vec![0x10]].concat())),
    );
    let refused: Malformed = Batch::decode(Signal::Logs, secret.into()).unwrap_err();
    assert!(!format!("{refused:?} {refused}").contains("token"));
}
