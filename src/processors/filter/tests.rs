use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue as OwnedAttribute;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource as OwnedResource;
use proptest::prelude::*;
use prost::Message;

use super::super::testing::{OutputRecorder, context, read, sample};
use super::*;
use crate::pdata::samples::Style;

/// What is left of a request, and how many items went.
fn filtered(yaml: &str, batch: Batch) -> (Vec<u8>, u64) {
    let signal = batch.signal();
    let config: Config = read(yaml).unwrap();
    let mut filter = config.build(&context("filter"), signal).unwrap();
    let mut out = OutputRecorder::default();
    filter.process(batch, Now::read(), &mut out);
    let parts = out.emitted.iter().flat_map(Batch::parts);
    let left = parts.flat_map(|part| part.bytes().clone()).collect();
    let went = out.discarded.iter().map(|(items, reason)| {
        assert_eq!(*reason, DropReason::Filtered);
        items
    });
    (left, went.sum())
}

fn has(attributes: &[OwnedAttribute], key: &str) -> bool {
    attributes.iter().any(|attribute| attribute.key == key)
}

fn resource_has(resource: &Option<OwnedResource>, key: &str) -> bool {
    resource
        .as_ref()
        .is_some_and(|resource| has(&resource.attributes, key))
}

/// Keeps what is wanted, and says whether the last has gone.
fn prune<T>(list: &mut Vec<T>, keep: impl FnMut(&mut T) -> bool) -> bool {
    let before = list.len();
    list.retain_mut(keep);
    before > 0 && list.is_empty()
}

/// The metrics without those for which `keep_metric` is false, and the points for which
/// `keep_point` is, as prost's structs have them; and without resources and scopes that are
/// empty, or came empty.
fn metrics_oracle(
    request: &[u8],
    keep_metric: impl Fn(bool, &str) -> bool,
    keep_point: impl Fn(bool, &str, &[OwnedAttribute]) -> bool,
) -> Vec<u8> {
    let mut request = ExportMetricsServiceRequest::decode(request).unwrap();
    prune(&mut request.resource_metrics, |resource| {
        let marked = resource_has(&resource.resource, "host");
        prune(&mut resource.scope_metrics, |scope| {
            prune(&mut scope.metrics, |metric| {
                let name = metric.name.clone();
                let point = |attributes: &[OwnedAttribute]| keep_point(marked, &name, attributes);
                let emptied = match metric.data.as_mut() {
                    Some(Data::Gauge(d)) => prune(&mut d.data_points, |p| point(&p.attributes)),
                    Some(Data::Sum(d)) => prune(&mut d.data_points, |p| point(&p.attributes)),
                    Some(Data::Histogram(d)) => prune(&mut d.data_points, |p| point(&p.attributes)),
                    Some(Data::ExponentialHistogram(d)) => {
                        prune(&mut d.data_points, |p| point(&p.attributes))
                    }
                    Some(Data::Summary(d)) => prune(&mut d.data_points, |p| point(&p.attributes)),
                    None => false,
                };
                keep_metric(marked, &name) && !emptied
            });
            !scope.metrics.is_empty()
        });
        !resource.scope_metrics.is_empty()
    });
    request.encode_to_vec()
}

proptest! {
    #[test]
    fn metrics_go_as_they_do_from_decoded_structs(seed: u64) {
        let f = |yaml: &str,
                 keep_metric: &dyn Fn(bool, &str) -> bool,
                 keep_point: &dyn Fn(bool, &str, &[OwnedAttribute]) -> bool| {
            let yaml = format!("metrics: {{{yaml}}}");
            for style in [Style::CANONICAL, Style::REGULAR] {
                let batch = sample(Signal::Metrics, seed, style);
                let request: Vec<u8> =
                    batch.parts().iter().flat_map(|part| part.bytes().clone()).collect();
                let items = batch.items();
                let (left, went) = filtered(&yaml, batch);
                let expected = metrics_oracle(&request, keep_metric, keep_point);
                let left_items = Batch::decode(Signal::Metrics, left.clone().into()).unwrap().items();
                assert_eq!(left_items + went, items, "{yaml}");
                let left = metrics_oracle(&left, |_, _| true, |_, _, _| true);
                assert!(left == expected, "{yaml}");
            }
        };
        let all_points = |_: bool, _: &str, _: &[OwnedAttribute]| true;
        f(
            "include: {match_type: strict, metric_names: [a, b]}",
            &|_, name| name == "a" || name == "b",
            &all_points,
        );
        f(
            "exclude: {match_type: regexp, metric_names: [^a]}",
            &|_, name| !name.starts_with('a'),
            &all_points,
        );
        f(
            "include: {match_type: strict, resource_attributes: [{key: host}]}",
            &|marked, _| marked,
            &all_points,
        );
        f(
            "include: {match_type: strict, metric_names: [a, b], resource_attributes: [{key: host}]}",
            &|marked, name| marked && (name == "a" || name == "b"),
            &all_points,
        );
        f(
            "exclude: {match_type: strict, metric_names: [a], resource_attributes: [{key: host}]}",
            &|marked, name| !marked && name != "a",
            &all_points,
        );
        f(
            "include: {match_type: strict, datapoint_attributes: [{key: a}]}",
            &|_, _| true,
            &|_, _, attributes| has(attributes, "a"),
        );
        f(
            "exclude: {match_type: strict, metric_names: [a, b], datapoint_attributes: [{key: a}]}",
            &|_, _| true,
            &|_, name, attributes| !((name == "a" || name == "b") && has(attributes, "a")),
        );
        f(
            "exclude: {match_type: strict, resource_attributes: [{key: host}],
                       datapoint_attributes: [{key: a}]}",
            &|_, _| true,
            &|marked, _, attributes| !(marked && has(attributes, "a")),
        );
    }

    #[test]
    fn spans_and_records_go_as_they_do_from_decoded_structs(seed: u64) {
        for style in [Style::CANONICAL, Style::REGULAR] {
            let batch = sample(Signal::Traces, seed, style);
            let request: Vec<u8> =
                batch.parts().iter().flat_map(|part| part.bytes().clone()).collect();
            let yaml = "spans: {exclude: {match_type: strict, resources: [{key: host}], \
                        attributes: [{key: a}]}}";
            let (left, _) = filtered(yaml, batch);
            let mut expected = ExportTraceServiceRequest::decode(request.as_slice()).unwrap();
            prune(&mut expected.resource_spans, |resource| {
                let marked = resource_has(&resource.resource, "host");
                !prune(&mut resource.scope_spans, |scope| {
                    !prune(&mut scope.spans, |span| !(marked && has(&span.attributes, "a")))
                })
            });
            let left = ExportTraceServiceRequest::decode(left.as_slice()).unwrap();
            prop_assert!(left.encode_to_vec() == expected.encode_to_vec());

            let batch = sample(Signal::Logs, seed, style);
            let request: Vec<u8> =
                batch.parts().iter().flat_map(|part| part.bytes().clone()).collect();
            let yaml = "logs: {include: {match_type: strict, severity_number: {min: WARN}, \
                        record_attributes: [{key: a}]}}";
            let (left, _) = filtered(yaml, batch);
            let mut expected = ExportLogsServiceRequest::decode(request.as_slice()).unwrap();
            prune(&mut expected.resource_logs, |resource| {
                !prune(&mut resource.scope_logs, |scope| {
                    !prune(&mut scope.log_records, |record| {
                        record.severity_number >= 13 && has(&record.attributes, "a")
                    })
                })
            });
            let left = ExportLogsServiceRequest::decode(left.as_slice()).unwrap();
            prop_assert!(left.encode_to_vec() == expected.encode_to_vec());
        }
    }
}

#[test]
fn what_stays_whole_keeps_its_bytes() {
    for signal in Signal::ALL {
        for seed in 0..50 {
            let batch = sample(signal, seed, Style::ANY);
            let before: Vec<u8> = batch
                .parts()
                .iter()
                .flat_map(|p| p.bytes().clone())
                .collect();
            let yaml = "{metrics: {exclude: {match_type: strict, metric_names: [gone]}}, \
                        spans: {exclude: {match_type: strict, span_names: [gone]}}, \
                        logs: {exclude: {match_type: strict, bodies: [gone]}}}";
            assert_eq!(filtered(yaml, batch), (before, 0), "{signal} {seed}");
        }
    }
}

#[test]
fn mistakes_are_named() {
    let f = |yaml: &str, expected: &str| {
        let problems = read::<Config>(yaml).unwrap_err();
        assert_eq!(problems, [expected], "{yaml}");
    };
    f(
        "metrics: {metric: ['name == \"a\"']}",
        "metrics::metric: conditions in OTTL aren't supported: write what is to go as \
         `metrics: {exclude: {match_type: regexp, metric_names: [^name$]}}`",
    );
    f(
        "traces: {span: ['name == \"a\"']}",
        "traces: conditions in OTTL aren't supported: write what is to go as \
         `spans: {exclude: {match_type: strict, span_names: [name]}}`",
    );
    f(
        "logs: {log_record: ['IsMatch(body, \"a\")']}",
        "logs::log_record: conditions in OTTL aren't supported: write what is to go as \
         `logs: {exclude: {match_type: regexp, bodies: [text]}}`",
    );
    f(
        "error_mode: ignore",
        "error_mode: error_mode has no effect: matching can't fail",
    );
    f(
        "metrics: {include: {metric_names: [a]}}",
        "metrics::include: `match_type` is missing",
    );
    f(
        "logs: {include: {bodies: [a]}}",
        "logs::include: `match_type` is missing",
    );
    f(
        "logs: {include: {match_type: strict, bodys: [a]}}",
        "logs::include::bodys: unknown key `bodys`, did you mean `bodies`?",
    );
    assert!(read::<Config>("logs: {include: {severity_number: {min: WARN}}}").is_ok());
}
