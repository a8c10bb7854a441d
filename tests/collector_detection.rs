//! `resource_detection` beside that of the OpenTelemetry Collector, on the same machine with the
//! same environment and configuration: resources leave both with the same attributes.
//!
//! What differs on purpose stands in `docs/processors.md`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and a skip must be seen"
)]

#[path = "support/peers.rs"]
mod peers;
#[path = "support/shorthand.rs"]
mod shorthand;
#[path = "support/twins.rs"]
mod twins;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use shorthand::{BEGIN, attributes};
use twins::{Twin, YAML_OF_BOTH};

const LAST: &str = "the last of all";

/// Every attribute of the machine, over what a resource has and under it.
const YAML: &str = r#"
processors:
  resource_detection/over:
    detectors: [env, system]
    timeout: 30s
    system:
      resource_attributes:
        host.arch: {enabled: true}
        host.cpu.cache.l2.size: {enabled: true}
        host.cpu.family: {enabled: true}
        host.cpu.model.id: {enabled: true}
        host.cpu.model.name: {enabled: true}
        host.cpu.stepping: {enabled: true}
        host.cpu.vendor.id: {enabled: true}
        host.id: {enabled: true}
        host.interface: {enabled: true}
        host.ip: {enabled: true}
        host.mac: {enabled: true}
        os.build.id: {enabled: true}
        os.description: {enabled: true}
        os.name: {enabled: true}
        os.version: {enabled: true}
  resource_detection/under:
    detectors: [system, env]
    override: false
    timeout: 30s
    system: {hostname_sources: [SOURCES]}
exporters:
  file: {path: '${env:OUT_FILE}', flush_interval: 50ms}
service:
  extensions: [health_check]
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], processors: [resource_detection/over], exporters: [file]}
    logs: {receivers: [otlp], processors: [resource_detection/under], exporters: [file]}
"#;

/// What the environment of both says.
const VARIABLE: (&str, &str) = (
    "OTEL_RESOURCE_ATTRIBUTES",
    "from.env=yes, spaced = a+b ,escaped=1%2C2,host.id=of the environment,os.type=mine",
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_leave_as_they_leave_the_collector() {
    let Some(collector) = peers::find("otelcol").filter(|found| has_the_processor(found)) else {
        return;
    };
    for sources in ["os", "cname, os", "lookup, os"] {
        let directory = tempfile::tempdir().unwrap();
        let yaml = format!("{YAML_OF_BOTH}{YAML}").replace("SOURCES", sources);
        let twins = Twin::both_with(&collector, directory.path(), &yaml, &[VARIABLE]).await;
        for signal in ["traces", "logs"] {
            let mut both = Vec::new();
            for twin in &twins {
                for request in requests(signal) {
                    twin.post(signal, &request).await;
                }
                let lines = twin.lines_with(&format!("{signal}: {LAST}")).await;
                both.push(resources(signal, &lines));
            }
            assert!(both[0].len() == 3, "{signal}: {:?}", both[0]);
            let expected: &[&str] = match signal {
                "traces" => &[
                    "host.name",
                    "host.ip",
                    "os.description",
                    "spaced",
                    "escaped",
                ],
                _ => &["host.name", "os.type", "from.env"],
            };
            for attributes in both[0].values() {
                for key in expected {
                    assert!(attributes.contains_key(*key), "{key} in {attributes:?}");
                }
            }
            assert_eq!(both[0], both[1], "{signal} with {sources}");
        }
    }
}

/// Whether this Collector has the processor; not every distribution does.
fn has_the_processor(collector: &Path) -> bool {
    let listed = Command::new(collector).arg("components").output().unwrap();
    let has = String::from_utf8_lossy(&listed.stdout).contains("resource_detection");
    if !has {
        println!("SKIPPED: {} has no resource_detection", collector.display());
    }
    has
}

fn requests(signal: &str) -> Vec<Value> {
    let resources = [
        json!({"service.name": "plain"}),
        json!({"service.name": "own", "host.name": "own", "os.type": 7, "from.env": "own"}),
        json!({"service.name": format!("{signal}: {LAST}")}),
    ];
    let requests = resources.iter().map(|resource| {
        let resource = json!({"attributes": attributes(resource)});
        let time = BEGIN.to_string();
        match signal {
            "traces" => {
                let span = json!({"name": "span", "kind": 2, "traceId": format!("{:032x}", 1),
                                  "spanId": format!("{:016x}", 1), "startTimeUnixNano": time});
                json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]})
            }
            _ => {
                let record = json!({"timeUnixNano": time, "body": {"stringValue": "text"}});
                json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]})
            }
        }
    });
    requests.collect()
}

/// The attributes of each resource by their keys, by the name of its service. Lists have no order,
/// and what is empty is as good as absent.
fn resources(signal: &str, lines: &[Value]) -> BTreeMap<String, BTreeMap<String, String>> {
    let groups = match signal {
        "traces" => "resourceSpans",
        _ => "resourceLogs",
    };
    let mut resources = BTreeMap::new();
    let all = lines.iter().filter_map(|line| line[groups].as_array());
    for group in all.flatten() {
        let list = group["resource"]["attributes"].as_array().unwrap();
        let mut attributes = BTreeMap::new();
        for attribute in list {
            let key = attribute["key"].as_str().unwrap().to_owned();
            let mut value = attribute["value"].clone();
            if let Some(values) = value["arrayValue"]["values"].as_array_mut() {
                values.sort_by_key(ToString::to_string);
            }
            let is_empty = value["stringValue"] == "" || value["arrayValue"] == json!({});
            let before = attributes.insert(key.clone(), value.to_string());
            assert_eq!(before, None, "{key} is there twice");
            if is_empty {
                attributes.remove(&key);
            }
        }
        resources.insert(attributes["service.name"].clone(), attributes);
    }
    resources
}
