use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord as OwnedRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource as OwnedResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as OwnedSpan};
use prost::Message;

use super::super::testing::read;
use super::*;
use crate::pdata::Batch;

fn selection(yaml: &str) -> Selection {
    struct Whole(Selection);
    impl FromValue for Whole {
        fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
            let mut fields = value.fields()?;
            let selection = Selection::from_fields(&mut fields);
            fields.finish();
            Some(Self(selection))
        }
    }
    let Whole(selection) = read(yaml).unwrap();
    selection
}

fn attributes(pairs: &[(&str, Any)]) -> Vec<KeyValue> {
    let attribute = |(key, value): &(&str, Any)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue {
            value: Some(value.clone()),
        }),
        ..Default::default()
    };
    pairs.iter().map(attribute).collect()
}

fn text(text: &str) -> Any {
    Any::StringValue(text.to_owned())
}

fn resource() -> Option<OwnedResource> {
    let attributes = attributes(&[
        ("service.name", text("checkout")),
        ("cores", Any::IntValue(4)),
    ]);
    Some(OwnedResource {
        attributes,
        ..Default::default()
    })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "lib".to_owned(),
        version: "1.2".to_owned(),
        ..Default::default()
    })
}

/// Whether a server's span `login` of the service `checkout` is selected.
fn selects_span(yaml: &str) -> bool {
    let span = OwnedSpan {
        name: "login".to_owned(),
        kind: 2,
        attributes: attributes(&[("tier", text("gold")), ("load", Any::DoubleValue(0.5))]),
        ..Default::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource(),
            scope_spans: vec![ScopeSpans {
                scope: scope(),
                spans: vec![span],
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    let batch = Batch::decode(Signal::Traces, request.encode_to_vec().into()).unwrap();
    let mut selection = selection(yaml);
    let resource = batch.resource_spans().next().unwrap();
    let scope = resource.scopes().next().unwrap();
    let span = scope.spans().next().unwrap();
    let entered =
        selection.enter_resource(resource.resource()) && selection.enter_scope(scope.scope());
    let selected = selection.span(&span);
    assert!(entered || !selected, "what isn't entered isn't selected");
    selected
}

/// Whether a log record of severity 9 (or none) is selected.
fn selects_record(yaml: &str, severity_number: i32) -> bool {
    let record = OwnedRecord {
        severity_number,
        severity_text: "INFO".to_owned(),
        body: Some(AnyValue {
            value: Some(Any::IntValue(42)),
        }),
        ..Default::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: vec![record],
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    let batch = Batch::decode(Signal::Logs, request.encode_to_vec().into()).unwrap();
    let mut selection = selection(yaml);
    let resource = batch.resource_logs().next().unwrap();
    let scope = resource.scopes().next().unwrap();
    selection.enter_resource(resource.resource());
    selection.enter_scope(scope.scope());
    selection.log_record(&scope.log_records().next().unwrap())
}

#[test]
fn a_span_is_included_when_it_has_every_property() {
    let f = |properties: &str, expected: bool| {
        let of = |side: &str| format!("{side}: {{match_type: strict, {properties}}}");
        assert_eq!(selects_span(&of("include")), expected, "{properties}");
        assert_eq!(selects_span(&of("exclude")), !expected, "{properties}");
    };
    f("services: [checkout]", true);
    f("services: [cart, checkout]", true);
    f("services: [cart]", false);
    f("span_names: [login]", true);
    f("span_names: [log]", false);
    f("span_kinds: [SPAN_KIND_SERVER]", true);
    f("span_kinds: [SPAN_KIND_CLIENT]", false);
    f("attributes: [{key: tier}]", true);
    f("attributes: [{key: tier, value: gold}]", true);
    f("attributes: [{key: tier, value: gold}, {key: gone}]", false);
    f("attributes: [{key: load, value: 0.5}]", true);
    f("attributes: [{key: load, value: '0.5'}]", false);
    f("resources: [{key: cores, value: 4}]", true);
    f("resources: [{key: cores, value: 4.0}]", false);
    f("libraries: [{name: lib}]", true);
    f(
        "libraries: [{name: other}, {name: lib, version: '1.2'}]",
        true,
    );
    f("libraries: [{name: lib, version: ''}]", false);
    f("services: [checkout], span_names: [logout]", false);
}

#[test]
fn patterns_see_numbers_as_text() {
    let f = |properties: &str, expected: bool| {
        let yaml = format!("include: {{match_type: regexp, {properties}}}");
        assert_eq!(selects_span(&yaml), expected, "{properties}");
    };
    f("attributes: [{key: load, value: '^0\\.5$'}]", true);
    f("resources: [{key: cores, value: '[3-5]'}]", true);
    f("span_names: ['^log(in|out)$']", true);
    f("services: [out$]", true);
    f("libraries: [{name: '^l', version: '^2'}]", false);
}

#[test]
fn what_is_excluded_is_not_selected_though_it_is_included() {
    let include = "include: {match_type: strict, services: [checkout]}";
    let f = |exclude: &str, expected: bool| {
        let yaml = format!("{{{include}, exclude: {{match_type: glob, {exclude}}}}}");
        assert_eq!(selects_span(&yaml), expected, "{yaml}");
    };
    f("span_names: ['log*']", false);
    f("span_names: ['health*']", true);
    assert!(selects_span("{}"), "nothing written selects everything");
}

#[test]
fn log_records_are_told_by_body_and_severity() {
    let f = |properties: &str, severity: i32, expected: bool| {
        let yaml = format!("include: {{match_type: strict, {properties}}}");
        assert_eq!(
            selects_record(&yaml, severity),
            expected,
            "{yaml} {severity}"
        );
    };
    f("log_bodies: ['42']", 9, true);
    f("log_bodies: ['4']", 9, false);
    f("log_severity_texts: [INFO]", 9, true);
    f("log_severity_texts: [WARN]", 9, false);
    f("log_severity_number: {min: INFO}", 9, true);
    f("log_severity_number: {min: info2}", 9, false);
    f("log_severity_number: {min: 10}", 9, false);
    f("log_severity_number: {min: 24}", 24, true);
    f("log_severity_number: {min: DEBUG}", 0, false);
    f(
        "log_severity_number: {min: ERROR4, match_undefined: true}",
        0,
        true,
    );
    // No resource is there at all.
    f("services: [<nil-service-name>]", 9, true);
}

#[test]
fn a_property_of_another_signal_is_refused() {
    let f = |properties: &str, signal: Signal, expected: &str| {
        let yaml = format!("exclude: {{match_type: strict, {properties}}}");
        let error = selection(&yaml).check(signal).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    f(
        "span_names: [a]",
        Signal::Metrics,
        "exclude::span_names has no meaning in a pipeline of metrics",
    );
    f(
        "metric_names: [a]",
        Signal::Traces,
        "exclude::metric_names has no meaning in a pipeline of traces",
    );
    f(
        "attributes: [{key: a}]",
        Signal::Metrics,
        "exclude::attributes has no meaning in a pipeline of metrics",
    );
}

#[test]
fn mistakes_are_named() {
    let f = |yaml: &str, expected: &str| {
        let problems = read::<Properties>(yaml).unwrap_err();
        assert_eq!(problems, [expected], "{yaml}");
    };
    f(
        "match_type: strict",
        ": names no property to match, such as `services` or `attributes`",
    );
    f("services: [a]", ": `match_type` is missing");
    f(
        "{match_type: strict, attributes: [{value: 1}]}",
        "attributes::0: `key` is missing",
    );
    f(
        "{match_type: regexp, attributes: [{key: a, value: 1}]}",
        "attributes::0::value: a pattern is a text: put it in quotes",
    );
    f(
        "{match_type: strict, libraries: [{version: '1'}]}",
        "libraries::0: `name` is missing",
    );
    f(
        "{match_type: strict, log_severity_number: {min: LOUD}}",
        "log_severity_number::min: `LOUD` is no severity: use TRACE, DEBUG, INFO, WARN, ERROR \
         or FATAL, or 1 to 24",
    );
}
