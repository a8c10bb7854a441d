mod unknown;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource as OwnedResource;
use proptest::prelude::*;
use prost::Message;

use super::super::testing::{read, sample};
use super::*;
use crate::pdata::samples::Style;
use crate::pdata::view::{LogRecord, Metric, Point, Resource, Span};
use crate::pdata::{Action as Fate, At, Batch, Edit, Signal};

/// Applies actions to resources and items alike.
struct Everywhere(Actions);

impl Edit for Everywhere {
    fn resource(&mut self, resource: Resource<'_>, new: &mut Replacement) -> Fate {
        self.0.apply(resource.attributes(), new);
        Fate::Keep
    }

    fn point(&mut self, _: At<'_>, _: &Metric<'_>, at: &Point<'_>, new: &mut Replacement) -> Fate {
        self.0.apply(at.attributes(), new);
        Fate::Keep
    }

    fn span(&mut self, _: At<'_>, span: &Span<'_>, new: &mut Replacement) -> Fate {
        self.0.apply(span.attributes(), new);
        Fate::Keep
    }

    fn log_record(&mut self, _: At<'_>, at: &LogRecord<'_>, new: &mut Replacement) -> Fate {
        self.0.apply(at.attributes(), new);
        Fate::Keep
    }
}

/// What some attributes become, as `key=value` with Rust's notation for the value.
fn applied(actions: &str, attributes: &[(&str, Any)]) -> String {
    let attributes = attributes.iter().map(|(key, value)| attribute(key, value));
    let request = ExportLogsServiceRequest {
        resource_logs: vec![opentelemetry_proto::tonic::logs::v1::ResourceLogs {
            resource: Some(OwnedResource {
                attributes: attributes.collect(),
                ..Default::default()
            }),
            ..Default::default()
        }],
    };
    let mut batch = Batch::decode(Signal::Logs, request.encode_to_vec().into()).unwrap();
    batch.edit(&mut Everywhere(read(actions).unwrap()));
    let resource = batch.resource_logs().next().unwrap();
    let shown = resource.attributes().iter().map(|attribute| {
        let value = match attribute.value {
            Attribute::Str(text) => format!("{text:?}"),
            Attribute::Double(value) => format!("{value:?}"),
            value => value.to_string(),
        };
        format!("{}={value}", attribute.key)
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn attribute(key: &str, value: &Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(value.clone()),
        }),
        ..Default::default()
    }
}

fn text(text: &str) -> Any {
    Any::StringValue(text.to_owned())
}

#[test]
fn each_action_does_what_it_does_in_the_collector() {
    let f = |actions: &str, expected: &str| {
        let before = [
            ("env", text("prod")),
            ("n", Any::IntValue(7)),
            ("url", text("http://host:80/path")),
        ];
        let kept = expected.replace("..", "url=\"http://host:80/path\"");
        assert_eq!(applied(actions, &before), kept, "{actions}");
    };
    f(
        "[{action: insert, key: env, value: lab}]",
        "env=\"prod\" n=7 ..",
    );
    f(
        "[{action: insert, key: new, value: 1.0}]",
        "env=\"prod\" n=7 .. new=1.0",
    );
    f(
        "[{action: update, key: env, value: lab}]",
        "env=\"lab\" n=7 ..",
    );
    f(
        "[{action: update, key: new, value: lab}]",
        "env=\"prod\" n=7 ..",
    );
    f(
        "[{action: UPSERT, key: env, value: true}, {action: Upsert, key: new, value: '5'}]",
        "env=true n=7 .. new=\"5\"",
    );
    f(
        "[{action: insert, key: m, from_attribute: n}]",
        "env=\"prod\" n=7 .. m=7",
    );
    f(
        "[{action: upsert, key: env, from_attribute: gone}]",
        "env=\"prod\" n=7 ..",
    );
    f(
        "[{action: upsert, key: env, from_attribute: gone, default_value: 0x10}]",
        "env=16 n=7 ..",
    );
    f(
        "[{action: insert, key: a, value: 1}, {action: update, key: a, value: 2}]",
        "env=\"prod\" n=7 .. a=2",
    );
    f("[{action: delete, key: env}]", "n=7 ..");
    f("[{action: delete, pattern: '^(n|e)'}]", "..");
    f("[{action: delete, key: n, pattern: ^env$}]", "..");
    f(
        "[{action: convert, key: n, converted_type: string}]",
        "env=\"prod\" n=\"7\" ..",
    );
    f(
        "[{action: convert, key: n, converted_type: double}]",
        "env=\"prod\" n=7.0 ..",
    );
    f(
        "[{action: convert, key: env, converted_type: int}]",
        "env=\"prod\" n=7 ..",
    );
    f(
        r#"[{action: extract, key: url, pattern: "^(?P<scheme>\\w+)://(?<n>[^/:]+)(?P<x>!)?"}]"#,
        "env=\"prod\" n=\"host\" .. scheme=\"http\" x=\"\"",
    );
    f(
        "[{action: extract, key: n, pattern: '(?P<digit>.)'}]",
        "env=\"prod\" n=7 ..",
    );
}

#[test]
fn hashes_are_those_of_the_collector() {
    let f = |value: Any, expected: &str| {
        let actions = "[{action: hash, key: a}]";
        assert_eq!(applied(actions, &[("a", value)]), format!("a={expected:?}"));
    };
    f(
        text("prod"),
        "6754af9632a2745e85c293e5aac0863370d9bd3330b9938c00cadfd215227d77",
    );
    f(
        Any::IntValue(7),
        "aae89fc0f03e2959ae4d701a80cc3915918c950b159f6abb6c92c1433b1a8534",
    );
    f(
        Any::BoolValue(true),
        "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a",
    );
    f(
        Any::DoubleValue(1.5),
        "e163f8cb0f7067a7fc78ca859a77f849aea3214f38fb75b884e4a16be725c905",
    );
    f(Any::BytesValue(vec![1]), "");
}

#[test]
fn conversions_keep_what_they_cannot_convert() {
    let f = |target: &str, value: Any, expected: &str| {
        let actions = format!("[{{action: convert, key: a, converted_type: {target}}}]");
        let shown = applied(&actions, &[("a", value)]);
        assert_eq!(shown, format!("a={expected}"), "{target}");
    };
    f("int", Any::DoubleValue(-2.9), "-2");
    f("int", Any::BoolValue(true), "1");
    f("int", text("-12"), "-12");
    f("int", text("12.5"), "\"12.5\"");
    f(
        "int",
        text("99999999999999999999"),
        "\"99999999999999999999\"",
    );
    f("double", text("1e3"), "1000.0");
    f("double", text("1e999"), "\"1e999\"");
    f("double", text("inf"), "inf");
    f("double", Any::BoolValue(false), "0.0");
    f("string", Any::DoubleValue(1.5), "\"1.5\"");
    f("string", Any::BoolValue(true), "\"true\"");
    f("string", text("x"), "\"x\"");
}

#[test]
fn what_is_hidden_under_a_repeated_key_does_not_come_to_light() {
    let twice = [("a", text("first")), ("a", text("second"))];
    assert_eq!(applied("[{action: delete, key: a}]", &twice), "");
    let hashed = applied("[{action: hash, key: a}]", &twice);
    assert!(!hashed.contains("second"), "{hashed}");
}

#[test]
fn mistakes_are_named() {
    let f = |yaml: &str, expected: &str| {
        let problems = read::<Actions>(yaml).unwrap_err();
        assert_eq!(problems, [expected], "{yaml}");
    };
    f("[]", ": needs at least one action");
    f("[{key: a, value: 1}]", "0: `action` is missing");
    f(
        "[{action: instert, key: a, value: 1}]",
        "0::action: expected insert, update, upsert, delete, hash, extract or convert, found \
         `instert`, did you mean `insert`?",
    );
    f("[{action: insert, value: 1}]", "0: `key` is missing");
    f(
        "[{action: insert, key: a}]",
        "0: `value` or `from_attribute` is missing",
    );
    f(
        "[{action: insert, key: a, value: 1, from_attribute: b}]",
        "0: `value` and `from_attribute` exclude each other",
    );
    f(
        "[{action: insert, key: a, from_context: metadata.tenant}]",
        "0::from_context: what a client says beside its data isn't kept: use value or \
         from_attribute",
    );
    f(
        "[{action: delete, key: a, value: 1}]",
        "0::value: means something to insert, update and upsert only",
    );
    f("[{action: hash}]", "0: `key` or `pattern` is missing");
    f(
        "[{action: delete, pattern: '('}]",
        "0::pattern: no regular expression: unclosed group",
    );
    f("[{action: extract, key: a}]", "0: `pattern` is missing");
    f(
        "[{action: extract, key: a, pattern: 'b'}]",
        "0: `b` has no group to extract: write (?P<name>...)",
    );
    f(
        "[{action: extract, key: a, pattern: '(b)'}]",
        "0: a group of `(b)` has no name: write (?P<name>...), or (?:...) for one that isn't \
         an attribute",
    );
    f(
        "[{action: convert, key: a, converted_type: float}]",
        "0::converted_type: expected string, int or double, found `float`",
    );
    f(
        "[{action: convert, key: a}]",
        "0: `converted_type` is missing",
    );
}

/// An action, as YAML and as prost's structs have it.
#[derive(Debug, Clone)]
enum Step {
    Insert(&'static str, i64),
    Update(&'static str, i64),
    Upsert(&'static str, i64),
    Copy(&'static str, &'static str),
    Delete(&'static str),
    DeleteMatching(&'static str),
    Text(&'static str),
    Hash(&'static str),
}

impl Step {
    fn any() -> impl Strategy<Value = Self> {
        let key = prop::sample::select(vec!["a", "b", "host", "service.name", "naïve", "new"]);
        (0..8, key.clone(), key, -3_i64..1000).prop_map(|(kind, key, other, value)| match kind {
            0 => Self::Insert(key, value),
            1 => Self::Update(key, value),
            2 => Self::Upsert(key, value),
            3 => Self::Copy(key, other),
            4 => Self::Delete(key),
            5 => Self::DeleteMatching(other),
            6 => Self::Text(key),
            _ => Self::Hash(key),
        })
    }

    fn yaml(&self) -> String {
        let action = |action: &str, rest: &str| format!("{{action: {action}, {rest}}}");
        match self {
            Self::Insert(key, value) => action("insert", &format!("key: {key}, value: {value}")),
            Self::Update(key, value) => action("update", &format!("key: {key}, value: {value}")),
            Self::Upsert(key, value) => action("upsert", &format!("key: {key}, value: {value}")),
            Self::Copy(key, from) => {
                action("upsert", &format!("key: {key}, from_attribute: {from}"))
            }
            Self::Delete(key) => action("delete", &format!("key: {key}")),
            Self::DeleteMatching(part) => action("delete", &format!("pattern: {part}")),
            Self::Text(key) => action("convert", &format!("key: {key}, converted_type: string")),
            Self::Hash(key) => action("hash", &format!("key: {key}")),
        }
    }

    fn apply(&self, attributes: &mut Vec<KeyValue>) {
        let find =
            |attributes: &[KeyValue], key: &str| attributes.iter().position(|a| a.key == key);
        match self {
            Self::Insert(key, value) => {
                if find(attributes, key).is_none() {
                    attributes.push(attribute(key, &Any::IntValue(*value)));
                }
            }
            Self::Update(key, value) => {
                if let Some(at) = find(attributes, key) {
                    attributes[at].value = attribute(key, &Any::IntValue(*value)).value;
                }
            }
            Self::Upsert(key, value) => match find(attributes, key) {
                Some(at) => attributes[at].value = attribute(key, &Any::IntValue(*value)).value,
                None => attributes.push(attribute(key, &Any::IntValue(*value))),
            },
            Self::Copy(key, from) => {
                let Some(from) = find(attributes, from) else {
                    return;
                };
                let mut value = attributes[from].value.clone().unwrap_or_default();
                // An index into a string table that only profiles have.
                if let Some(Any::StringValueStrindex(_)) = value.value {
                    value.value = None;
                }
                let copy = KeyValue {
                    key: (*key).to_owned(),
                    value: Some(value),
                    ..Default::default()
                };
                match find(attributes, key) {
                    Some(at) => attributes[at].value = copy.value,
                    None => attributes.push(copy),
                }
            }
            Self::Delete(key) => attributes.retain(|a| a.key != *key),
            Self::DeleteMatching(part) => {
                let pattern = Regex::new(part).unwrap();
                attributes.retain(|a| !pattern.is_match(&a.key));
            }
            Self::Text(key) => {
                if let Some(at) = find(attributes, key) {
                    let value = attributes[at].value.clone().unwrap_or_default();
                    if !matches!(value.value, Some(Any::StringValue(_))) {
                        let encoded = value.encode_to_vec();
                        let shown = <Attribute<'_> as crate::pdata::view::View>::parse(&encoded);
                        attributes[at].value = attribute(key, &text(&shown.to_string())).value;
                    }
                }
            }
            Self::Hash(key) => {
                for at in attributes.iter_mut().filter(|a| a.key == *key) {
                    let value = at.value.take().and_then(|value| value.value);
                    let bytes = match value {
                        Some(Any::StringValue(text)) => Some(text.into_bytes()),
                        Some(Any::BoolValue(value)) => Some(vec![u8::from(value)]),
                        Some(Any::IntValue(value)) => Some(value.to_le_bytes().to_vec()),
                        Some(Any::DoubleValue(value)) => Some(value.to_le_bytes().to_vec()),
                        _ => None,
                    };
                    let hash = bytes.map(|bytes| {
                        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
                        let digits = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
                        digits.collect::<String>()
                    });
                    at.value = attribute(key, &text(&hash.unwrap_or_default())).value;
                }
            }
        }
    }
}

/// The same edit of prost's structs, encoded again.
fn oracle(signal: Signal, request: &[u8], steps: &[Step]) -> Vec<u8> {
    let edit = |attributes: &mut Vec<KeyValue>| {
        for step in steps {
            step.apply(attributes);
        }
    };
    // A resource that isn't there gets one only with attributes in it.
    let edit_resource = |resource: &mut Option<OwnedResource>| {
        let mut edited = resource.clone().unwrap_or_default();
        edit(&mut edited.attributes);
        if resource.is_some() || !edited.attributes.is_empty() {
            *resource = Some(edited);
        }
    };
    match signal {
        Signal::Metrics => {
            let mut request = ExportMetricsServiceRequest::decode(request).unwrap();
            for resource in &mut request.resource_metrics {
                edit_resource(&mut resource.resource);
                for metric in resource
                    .scope_metrics
                    .iter_mut()
                    .flat_map(|s| &mut s.metrics)
                {
                    match metric.data.as_mut() {
                        Some(Data::Gauge(data)) => {
                            data.data_points
                                .iter_mut()
                                .for_each(|p| edit(&mut p.attributes));
                        }
                        Some(Data::Sum(data)) => {
                            data.data_points
                                .iter_mut()
                                .for_each(|p| edit(&mut p.attributes));
                        }
                        Some(Data::Histogram(data)) => {
                            data.data_points
                                .iter_mut()
                                .for_each(|p| edit(&mut p.attributes));
                        }
                        Some(Data::ExponentialHistogram(data)) => {
                            data.data_points
                                .iter_mut()
                                .for_each(|p| edit(&mut p.attributes));
                        }
                        Some(Data::Summary(data)) => {
                            data.data_points
                                .iter_mut()
                                .for_each(|p| edit(&mut p.attributes));
                        }
                        None => {}
                    }
                }
            }
            request.encode_to_vec()
        }
        Signal::Traces => {
            let mut request = ExportTraceServiceRequest::decode(request).unwrap();
            for resource in &mut request.resource_spans {
                edit_resource(&mut resource.resource);
                for span in resource.scope_spans.iter_mut().flat_map(|s| &mut s.spans) {
                    edit(&mut span.attributes);
                }
            }
            request.encode_to_vec()
        }
        Signal::Logs => {
            let mut request = ExportLogsServiceRequest::decode(request).unwrap();
            for resource in &mut request.resource_logs {
                edit_resource(&mut resource.resource);
                for record in resource
                    .scope_logs
                    .iter_mut()
                    .flat_map(|s| &mut s.log_records)
                {
                    edit(&mut record.attributes);
                }
            }
            request.encode_to_vec()
        }
    }
}

/// What prost makes of a request.
fn normal(signal: Signal, request: &[u8]) -> Vec<u8> {
    oracle(signal, request, &[])
}

proptest! {
    #[test]
    fn edits_are_those_of_the_decoded_structs(
        seed: u64,
        steps in prop::collection::vec(Step::any(), 1..5),
    ) {
        let yaml: Vec<String> = steps.iter().map(Step::yaml).collect();
        let actions: Actions = read(&format!("[{}]", yaml.join(", "))).unwrap();
        for signal in Signal::ALL {
            for style in [Style::CANONICAL, Style::REGULAR, Style::ANY] {
                let mut batch = sample(signal, seed, style);
                let before: Vec<u8> = batch.parts().iter().flat_map(|p| p.bytes().clone()).collect();
                batch.edit(&mut Everywhere(actions.clone()));
                let after: Vec<u8> = batch.parts().iter().flat_map(|p| p.bytes().clone()).collect();
                prop_assert!(Batch::decode(signal, after.clone().into()).is_ok());
                let (edited, expected) = (normal(signal, &after), oracle(signal, &before, &steps));
                prop_assert!(edited == expected, "{signal} {yaml:?}");
            }
        }
    }
}
