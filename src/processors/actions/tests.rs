mod bounds;
mod oracle;
mod unknown;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::resource::v1::Resource as OwnedResource;
use prost::Message;

use super::super::testing::read;
use super::*;
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
