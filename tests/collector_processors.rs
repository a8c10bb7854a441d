//! `attributes`, `resource`, `filter` and `batch` beside those of the OpenTelemetry
//! Collector, for spans and log records: both programs get the same configuration and the
//! same requests, and their files of OTLP must hold the same.
//!
//! What differs on purpose stands in `docs/processors.md` and in [`INTENDED`], under the
//! service that shows it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/peers.rs"]
mod peers;
#[path = "support/shorthand.rs"]
mod shorthand;
#[path = "support/twins.rs"]
mod twins;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shorthand::{BEGIN, attributes};
use twins::{Twin, YAML_OF_BOTH};

/// A service of the requests, and the row of the documentation that it shows.
const INTENDED: &[(&str, &str)] = &[
    ("hexadecimal", "a text in hexadecimal"),
    ("unicode", "they are Unicode"),
    ("twice", "they take all"),
];

const LAST: &str = "the last of all";

const YAML: &str = r#"
processors:
  attributes/all:
    actions:
      - {action: insert, key: inserted, value: 010}
      - {action: insert, key: text, value: never}
      - {action: update, key: int, value: 1.5}
      - {action: update, key: absent, value: never}
      - {action: upsert, key: list, value: [1, two, {three: true}]}
      - {action: upsert, key: copied, from_attribute: map}
      - {action: upsert, key: missing, from_attribute: nowhere, default_value: fallback}
      - {action: delete, key: secret}
      - {action: delete, pattern: ^http\.request\.}
      - {action: hash, key: user}
      - {action: hash, key: double}
      - {action: hash, pattern: ^id\.}
      - {action: extract, key: url, pattern: "^(?P<scheme>[a-z]+)://(?P<authority>[^/]+)(?P<path>/.*)?"}
      - {action: convert, key: number, converted_type: int}
      - {action: convert, key: bool, converted_type: string}
      - {action: convert, key: whole, converted_type: double}
      - {action: convert, key: map, converted_type: string}
      - {action: convert, key: hex, converted_type: double}
      - {action: extract, key: word, pattern: '^(?P<letters>\w+)$'}
  attributes/some:
    include: {match_type: regexp, resources: [{key: service.name, value: ^shop}], attributes: [{key: int}]}
    exclude: {match_type: strict, resources: [{key: host, value: b}]}
    actions: [{action: insert, key: selected, value: true}]
  attributes/scoped:
    include: {match_type: strict, libraries: [{name: library, version: "1.0"}]}
    actions: [{action: insert, key: of.library, value: true}]
  resource:
    attributes:
      - {action: upsert, key: cluster, value: lab}
      - {action: insert, key: id, from_attribute: host}
      - {action: delete, key: drop.me}
  filter:
    spans:
      include: {match_type: regexp, services: ["."]}
      exclude:
        match_type: strict
        span_names: [dropped]
        attributes: [{key: tag, value: 7}]
    logs:
      include: {match_type: strict, severity_number: {min: INFO2, match_undefined: true}}
      exclude: {match_type: regexp, bodies: [^tick], record_attributes: [{key: tag, value: ^drop}]}
  batch: {timeout: 20ms, send_batch_size: 3, send_batch_max_size: 4}
exporters:
  file: {path: '${env:OUT_FILE}', flush_interval: 50ms}
service:
  extensions: [health_check]
  telemetry: {metrics: {level: none}}
  pipelines:
    traces:
      receivers: [otlp]
      processors: [attributes/all, attributes/some, attributes/scoped, resource, filter, batch]
      exporters: [file]
    logs:
      receivers: [otlp]
      processors: [attributes/all, attributes/some, attributes/scoped, resource, filter, batch]
      exporters: [file]
"#;

/// Attributes for every action, and for every way not to apply.
fn sets() -> Vec<Value> {
    vec![
        json!({}),
        json!({"text": "a", "int": 7, "double": 0.1, "bool": true, "whole": 3, "number": "-12",
               "map": {"b": [1, null], "a": "<&>"}, "user": "me", "secret": "x", "list": "old",
               "url": "http://host:80/path?q", "id.a": 5, "id.b": false, "word": "plain",
               "http.request.header": "x", "http.response": 200, "bytes": "base64:AQID"}),
        json!({"number": "12.5", "bool": "text", "whole": "1e3", "double": 1e300, "user": [1, 2],
               "url": "no url", "map": [], "hex": "x", "id.c": null, "word": "two words"}),
        json!({"number": 2.9, "whole": true, "double": -0.0, "user": 9, "id.d": 1.5, "int": "text"}),
        json!({"tag": 7}),
        json!({"tag": "drop it"}),
        json!({"tag": "7"}),
    ]
}

fn requests(signal: &str) -> Vec<Value> {
    let services = [
        (
            json!({"service.name": "shop", "host": "a", "drop.me": 1}),
            sets(),
        ),
        (
            json!({"service.name": "shop.b", "host": "b", "id": "own"}),
            sets(),
        ),
        (json!({"host": "c"}), sets()),
        (
            json!({"service.name": "hexadecimal"}),
            vec![json!({"hex": "0x1p-2"})],
        ),
        (
            json!({"service.name": "unicode"}),
            vec![json!({"word": "größe"})],
        ),
        (
            json!({"service.name": "twice"}),
            vec![json!([["secret", "first"], ["secret", "second"]])],
        ),
        (json!({"service.name": LAST}), vec![json!({})]),
    ];
    let requests = services.iter().map(|(resource, sets)| {
        let items: Vec<Value> = sets
            .iter()
            .enumerate()
            .flat_map(|(n, own)| items(signal, n, own))
            .collect();
        let scopes: Vec<Value> = ["1.0", "2.0"]
            .into_iter()
            .map(|version| {
                let scope = json!({"name": "library", "version": version});
                match signal {
                    "traces" => json!({"scope": scope, "spans": items}),
                    _ => json!({"scope": scope, "logRecords": items}),
                }
            })
            .collect();
        let resource = json!({"attributes": attributes(resource)});
        match signal {
            "traces" => json!({"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]}),
            _ => json!({"resourceLogs": [{"resource": resource, "scopeLogs": scopes}]}),
        }
    });
    requests.collect()
}

/// The same attributes under names, severities and bodies that filters know.
fn items(signal: &str, n: usize, own: &Value) -> Vec<Value> {
    let (time, own) = ((BEGIN + n as u64).to_string(), attributes(own));
    match signal {
        "traces" => ["kept", "dropped", ""]
            .iter()
            .map(|name| {
                json!({"name": name, "kind": 2, "traceId": format!("{:032x}", n + 1),
                       "spanId": format!("{:016x}", n + 1), "startTimeUnixNano": time,
                       "attributes": own, "flags": 257})
            })
            .collect(),
        _ => [
            (0, "kept"),
            (9, "kept"),
            (10, "tick tock"),
            (17, "a tick"),
            (10, ""),
        ]
        .iter()
        .map(|(severity, body)| {
            json!({"timeUnixNano": time, "severityNumber": severity,
                       "body": {"stringValue": body}, "attributes": own})
        })
        .collect(),
    }
}

/// Items by their resource, each as text with the scope around it, in order: batches may be
/// cut in other places.
type Items = BTreeMap<String, Vec<String>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_and_records_leave_as_they_leave_the_collector() {
    let Some(collector) = peers::find("otelcol") else {
        return;
    };
    let documented = std::fs::read_to_string("docs/processors.md").unwrap();
    for (_, row) in INTENDED {
        assert!(documented.contains(row), "the documentation lacks: {row}");
    }
    let mut gone: BTreeSet<&str> = INTENDED.iter().map(|(service, _)| *service).collect();
    for signal in ["traces", "logs"] {
        let directory = tempfile::tempdir().unwrap();
        let yaml = format!("{YAML_OF_BOTH}{YAML}");
        let twins = Twin::both(&collector, directory.path(), &yaml).await;
        let mut both = Vec::new();
        for twin in &twins {
            for request in requests(signal) {
                twin.post(signal, &request).await;
            }
            let lines = twin.lines_with(LAST).await;
            both.push(read(signal, &lines));
        }
        let (here, there) = (&both[0], &both[1]);
        let names = |items: &Items| items.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(here), names(there), "{signal}");
        let resources: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
        for resource in resources {
            let (here, there) = (here.get(resource), there.get(resource));
            if here == there || resource.contains(LAST) {
                continue;
            }
            let service = INTENDED
                .iter()
                .find(|(service, _)| resource.contains(service));
            match service {
                Some((service, _)) => gone.remove(service),
                None => panic!(
                    "{signal} of {resource}\nhere  {:#?}\nthere {:#?}",
                    without(here, there),
                    without(there, here)
                ),
            };
        }
    }
    assert!(gone.is_empty(), "these differences are gone: {gone:?}");
}

/// Items that one has and the other has not.
fn without<'i>(of: Option<&'i Vec<String>>, other: Option<&Vec<String>>) -> Vec<&'i String> {
    let other = other.cloned().unwrap_or_default();
    let own = of.into_iter().flatten();
    own.filter(|item| !other.contains(item)).collect()
}

fn read(signal: &str, lines: &[Value]) -> Items {
    let (groups, scopes, kind) = match signal {
        "traces" => ("resourceSpans", "scopeSpans", "spans"),
        _ => ("resourceLogs", "scopeLogs", "logRecords"),
    };
    let list = |of: &Value, key: &str| of[key].as_array().cloned().unwrap_or_default();
    let mut items = Items::new();
    for group in lines.iter().flat_map(|line| list(line, groups)) {
        let of = items
            .entry(said(&group["resource"]).to_string())
            .or_default();
        for scope in list(&group, scopes) {
            let within = said(&scope["scope"]);
            let each = list(&scope, kind).into_iter();
            of.extend(each.map(|item| format!("{within} {}", said(&item))));
        }
    }
    items
}

/// Without what stands for its default, which one writes and the other leaves out. A value
/// of an attribute is one whatever it is.
fn said(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), said(value)));
            let fields = fields.filter(|(key, value)| key.ends_with("Value") || !is_default(value));
            Value::Object(fields.collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(said).collect();
            // Attributes have no order: there, what is deleted leaves its place to the last.
            items.sort_by(|a, b| a["key"].as_str().cmp(&b["key"].as_str()));
            Value::Array(items)
        }
        // Written as 2.0 or as 2.
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || text == "0",
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}
